"""The engine buildah, recorded and with the real program: as root, and as an ordinary user."""

from __future__ import annotations

import json
import os
import pwd
import re
import subprocess
import sys
import time
import tomllib
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from buildpush.credentials.docker import Credential, Keychain
from buildpush.engines import Tools
from buildpush.engines.buildah import Buildah
from buildpush.engines.registries import registry_files
from buildpush.foundation import mounts
from buildpush.foundation.errors import BuildError, EngineMissingError, UnsupportedError
from buildpush.foundation.events import Log
from buildpush.foundation.secrets import Secret
from buildpush.foundation.state import State
from buildpush.http.client import Http
from buildpush.images.model import Index, Platform
from buildpush.images.references import Repository
from buildpush.places import FILES, CommandResult, Here, Recorded
from buildpush.registry.client import Registry
from buildpush.registry.push import push
from buildpush.sandbox import Sandbox
from buildpush.transfer.docker_archive import write_docker_archive


def failing_build(call):
    return (
        CommandResult(1, "", 'STEP 1/1\nError: building at STEP "RUN x": exit status 1\n')
        if "build" in call.argv
        else CommandResult(0)
    )


@pytest.fixture
def built(directory):
    """Return the function that asks for a build that fails, and gives the call that was made."""

    def built(text: str, find=lambda _host: None, **changes):
        directory.dockerfile(text)
        place = Recorded(failing_build)
        engine = Buildah(Tools({"HOME": str(directory.root)}, place, find))
        with pytest.raises(BuildError, match="exit status 1"), engine.build(directory.request(**changes)):
            pass
        return next(call for call in place.calls if "build" in call.argv)

    return built


def test_a_request_becomes_flags_and_a_storage_of_its_own(built, directory):
    call = built(
        "FROM scratch AS t\n",
        build_args={"A": "1,2"},
        labels={"l": "m n"},
        target="t",
        platforms=(Platform("linux", "arm64"),),
        no_cache=True,
    )
    words = " ".join(call.argv)
    assert "--build-arg A=1,2 --label l=m n --target t --platform linux/arm64 --no-cache" in words
    assert "--isolation chroot --format docker --layers --identity-label=false --timestamp 1700000000" in words
    assert call.argv[-1] == str(directory.root)
    storage = call.argv[call.argv.index("--root") + 1]
    assert f"buildpush-{os.getpid()}-" in storage
    assert not Path(storage).exists()


def test_logins_and_secrets_travel_in_private_files(built):
    secret = {"s": Secret("s3cr3t-of-buildah")}
    call = built(
        "FROM a.test/base\n", lambda host: Credential("u", Secret("p4ss-of-buildah"), host), build_secrets=secret
    )
    assert f"--authfile {FILES}/auth.json" in " ".join(call.argv)
    assert f"id=s,src={FILES}/secrets/0" in call.argv
    assert list(json.loads(call.files["auth.json"])["auths"]) == ["a.test"]
    assert not any("of-buildah" in word for word in call.argv)


def test_only_the_build_sees_secrets_and_logins(directory, make_base):
    def packed(call):
        if "push" in call.argv:
            write_docker_archive(make_base({"a": "b"}), Path(call.argv[-1].partition(":")[2]))
        return CommandResult(0)

    directory.dockerfile("FROM a.test/base\n")
    place = Recorded(packed)
    engine = Buildah(Tools({}, place, lambda host: Credential("u", Secret("p4ss-of-buildah"), host)))
    with engine.build(directory.request(build_secrets={"s": Secret("s3cr3t-of-buildah")})):
        pass
    build, out = (next(call for call in place.calls if word in call.argv) for word in ("build", "push"))
    assert {"auth.json", "secrets/0"} <= build.files.keys()
    assert not {"auth.json", "secrets/0"} & out.files.keys()


def test_a_docker_configuration_that_is_not_there_is_looked_past(directory):
    """buildah ends where DOCKER_CONFIG names a directory without the file; docker does not."""
    directory.dockerfile("FROM scratch\n")
    place = Recorded(failing_build)
    engine = Buildah(Tools({"DOCKER_CONFIG": str(directory.root)}, place))
    for there in (False, True):
        if there:
            directory.write("config.json", "{}")
        with pytest.raises(BuildError), engine.build(directory.request()):
            pass
    first, second = [call.env for call in place.calls if "build" in call.argv]
    assert (first.get("DOCKER_CONFIG"), second.get("DOCKER_CONFIG")) == ("", None)


def test_names_mean_what_docker_means(built):
    files = built("FROM fedora:40\n").files
    assert '"fedora" = "docker.io/library/fedora"' in files["aliases.conf"]
    assert "registries.conf" not in files


def test_a_host_that_was_declared_insecure_is_so_in_the_settings_of_registries(built):
    files = built("FROM bases.test/app\n", insecure=frozenset({"bases.test", "elsewhere.test"})).files
    assert 'location = "bases.test"\ninsecure = true' in files["registries.conf"]
    assert "elsewhere.test" not in files["registries.conf"]


@pytest.mark.parametrize(("more", "refused"), [("", True), ("insecure = false\n", True), ("insecure = true\n", False)])
def test_users_settings_that_require_tls_of_a_host_declared_insecure_are_refused(built, directory, more, refused):
    directory.write(".config/containers/registries.conf", f'[[registry]]\nlocation = "bases.test"\n{more}')
    with pytest.raises(UnsupportedError, match=r"already configure bases\.test") if refused else nullcontext():
        built("FROM bases.test/app\n", insecure=frozenset({"bases.test"}))


def test_several_mirrors_are_asked_before_the_last_one(built):
    text = built("FROM fedora:40\n", mirrors=("m.test/hub", "127.0.0.1:5000", "docker.io")).files["registries.conf"]
    [table] = tomllib.loads(text)["registry"]
    assert (table["prefix"], table["location"]) == ("docker.io", "docker.io")
    assert table["mirror"] == [{"location": "m.test/hub"}, {"location": "127.0.0.1:5000", "insecure": True}]


def test_this_machine_is_spoken_to_without_tls_and_the_users_own_registries_count(built, directory):
    directory.write(".config/containers/registries.conf", "# mine\n")
    files = built("FROM 127.0.0.1:5000/app\n").files
    assert files["registries.conf"].startswith("# mine\n")
    assert 'location = "127.0.0.1:5000"\ninsecure = true' in files["registries.conf"]


@pytest.mark.parametrize("said", ["location = '127.0.0.1:5000'", "prefix = '127.0.0.1:5000'\nlocation = 'm.test'"])
def test_a_host_of_which_the_user_has_said_something_is_left_to_that(built, directory, said):
    own = f"[[registry]]\n{said}\n"
    directory.write(".config/containers/registries.conf", own)
    assert "registries.conf" not in built("FROM 127.0.0.1:5000/team/app\n").files


def test_settings_of_registries_are_those_that_buildah_would_read(directory):
    env = {"HOME": str(directory.root / "home")}
    directory.write("home/.config/containers/registries.conf", "# of the home\n")
    named = directory.write("named.conf", "# named\n")
    names = [Repository("127.0.0.1:5000", "app")]
    assert registry_files(names, env)["registries.conf"].startswith("# of the home\n")
    env["CONTAINERS_REGISTRIES_CONF"] = str(named)
    assert registry_files(names, env)["registries.conf"].startswith("# named\n")


@pytest.mark.parametrize("written", [b"\xff\xfe", b"[[registry"])
def test_settings_of_registries_that_nobody_can_read_are_an_error_that_names_them(directory, written):
    path = directory.write(".config/containers/registries.conf", written)
    directory.dockerfile("FROM 127.0.0.1:5000/app\n")
    engine = Buildah(Tools({"HOME": str(directory.root)}, Recorded(lambda _call: CommandResult(0))))
    with pytest.raises(BuildError, match=re.escape(str(path))), engine.build(directory.request()):
        pass


def test_without_the_program_the_remedies_are_told(directory):
    directory.dockerfile("FROM scratch\n")

    def absent(_call):
        message = "the program 'buildah' is not on this machine"
        raise EngineMissingError(message)

    engine = Buildah(Tools({}, Recorded(absent)))
    assert "engine: docker" in engine.missing()
    with pytest.raises(EngineMissingError) as caught, engine.build(directory.request()):
        pass
    assert "install buildah" in caught.value.hint


def test_a_user_without_namespaces_is_told_how_to_get_them(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    engine = Buildah(Tools({}, Recorded(lambda call: CommandResult(1 if "unshare" in call.argv else 0))))
    assert "user namespaces" in engine.missing()
    assert "/etc/subuid" in engine.missing()


# From here on, the real thing.


@pytest.fixture
def real(need):
    """Return the function that makes the engine, with the events that it tells."""
    need("buildah")

    def make(events=None, find=lambda _host: None):
        sink = (events if events is not None else []).append
        return Buildah(Tools(dict(os.environ), Here(dict(os.environ)), find, sink))

    return make


@pytest.fixture
def base(directory, busybox, tmp_path):
    """Return a base image with a shell in a sandbox that wants a login, and the function that knows it."""
    shell = tmp_path / "shell"
    shell.mkdir()
    for name in ("sh", "cat"):
        (shell / name).write_bytes(busybox.read_bytes())
        (shell / name).chmod(0o755)
    (shell / "Dockerfile").write_text("FROM scratch\nCOPY sh cat /bin/\n")
    request = directory.request(context=shell, dockerfile=shell / "Dockerfile")
    with Sandbox() as box, Http() as http, directory.engine().build(request) as image:
        known = Credential(box.username, box.password, "test")
        name = Repository(box.host, "docker-local/base").tagged("1")
        push(image, [name], Registry(http, Keychain({box.host: known})))
        yield str(name), {box.host: known}.get


@pytest.mark.engines
def test_the_real_buildah_runs_what_a_dockerfile_says(directory, base, real):
    name, find = base
    events = []
    with real(events, find).build(directory.everything(name)) as image:
        found, config = directory.files_of(image), directory.config_of(image)
        assert not any(layer.compressed for layer in image.layers)
        assert image.manifest is None
    assert (found["a"].text, found["got"].text) == ("hello", "s3cr3t-run7\n")
    assert config["config"]["Labels"] == {"l": "m"}
    lines = [event.line for event in events if isinstance(event, Log)]
    assert any("RUN" in line for line in lines)
    assert not any("s3cr3t-run" in line for line in lines)


@pytest.mark.engines
def test_a_base_is_pulled_with_its_login_where_the_file_names_a_language_of_its_own(directory, base, real):
    """Buildah passes over the directive; we read no such file, but find its bases."""
    name, find = base
    directory.dockerfile(f"# syntax=mirror.test/docker/dockerfile:1\nFROM {name}\nRUN cat /bin/sh > /got\n")
    with real([], find).build(directory.request()) as image:
        assert "got" in directory.files_of(image)


@pytest.mark.engines
def test_what_only_copies_has_the_same_files_as_from_the_native_engine(directory, real):
    for path in ("d/f", "d/s/g", "e"):
        directory.write(path, path)
    (directory.root / "d/l").symlink_to("f")
    directory.dockerfile("FROM scratch\nWORKDIR /w\nCOPY d /all/\nCOPY --chown=3:4 d/f e /x/\nCOPY d/l /l\n")
    with real().build(directory.request()) as image:
        theirs = directory.files_of(image)
    with directory.built() as image:
        ours = directory.files_of(image)
    # Its tars hold the kind of file in the mode as well, which everybody masks.
    assert {path: replace(thing, mode=thing.mode & 0o7777) for path, thing in theirs.items()} == ours


@pytest.mark.engines
def test_the_same_build_gives_the_same_bytes(directory, real):
    directory.write("a", "hello")
    directory.dockerfile("FROM scratch\nCOPY a /a\n")
    found = []
    for _ in range(2):
        with real().build(directory.request()) as image:
            found.append((image.config, directory.bytes_of(image)))
    assert found[0] == found[1]


@pytest.mark.engines
def test_every_instruction_gives_a_layer_so_that_a_change_of_the_last_one_sends_only_that(directory, real):
    directory.dockerfile("FROM scratch\nCOPY a /a\nCOPY b /b\n")
    found = []
    for text in ("1", "2"):
        directory.write("a", "hello")
        directory.write("b", text)
        with real().build(directory.request()) as image:
            found.append([str(layer.diff_id) for layer in image.layers])
    assert [len(ids) for ids in found] == [2, 2]
    assert [first == second for first, second in zip(*found, strict=True)] == [True, False]


@pytest.mark.engines
def test_several_platforms_become_an_index(directory, real):
    directory.write("a", "hello")
    directory.dockerfile("FROM scratch\nCOPY a /a\n")
    platforms = (Platform("linux", "amd64"), Platform("linux", "arm64"))
    with real().build(directory.request(platforms=platforms)) as index:
        assert isinstance(index, Index)
        assert [(one.platform.os, one.platform.architecture) for one in index.images] == [
            ("linux", "amd64"),
            ("linux", "arm64"),
        ]


@pytest.mark.engines
@pytest.mark.parametrize(
    ("words", "flag"),
    [
        ("COPY --parents a /", "--parents"),
        ("ADD --unpack a /", "--unpack"),
        ("RUN --security=sandbox true", "--security"),
    ],
)
def test_a_flag_that_the_real_buildah_does_not_know_is_named(directory, base, real, words, flag):
    name, find = base
    directory.write("a", "a")
    directory.dockerfile(f"FROM {name}\n{words}\n")
    with pytest.raises(BuildError) as caught, real(find=find).build(directory.request()):
        pass
    assert f"older than {flag}" in caught.value.hint


@pytest.mark.engines
def test_a_failing_build_tells_its_last_lines(directory, base, real):
    name, find = base
    directory.dockerfile(f"FROM {name}\nRUN echo the reason; exit 3\n")
    with pytest.raises(BuildError) as caught, real(find=find).build(directory.request()):
        pass
    assert "the reason" in str(caught.value)
    assert "exit status 3" in str(caught.value)
    assert caught.value.exit_code == 3


TWICE = """
import os, sys
from pathlib import Path
from buildpush.engines import Tools
from buildpush.engines.buildah import Buildah
from buildpush.engines.registries import registry_files
from buildpush.dockerfile.request import BuildRequest
from buildpush.images.references import Reference
from buildpush.places import Here

home, user, group = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
env = {"HOME": str(home), "PATH": os.environ["PATH"]}
name = Reference.parse("127.0.0.1:5000/local/app:1")
request = BuildRequest(home / "context", home / "context/Dockerfile", (name,), created=1_700_000_000)

def build():
    with Buildah(Tools(env, Here(env), scratch=home / "scratch")).build(request) as image:
        print(image.layers[0].diff_id)
    print(os.listdir(home / "scratch"))

build()  # as root; it also loads all modules, which the user may not be able to read
os.setgroups([])
os.setgid(group)
os.setuid(user)
os.chdir(home)
build()
"""


@pytest.mark.engines
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="becomes an ordinary user, which takes root")
def test_an_ordinary_user_gets_the_same_layer_and_leaves_nothing_behind(need, ordinary):
    need("buildah")
    home = Path(ordinary.pw_dir)
    for directory in ("context", "scratch"):
        (home / directory).mkdir()
        os.chown(home / directory, ordinary.pw_uid, ordinary.pw_gid)
    (home / "context/a").write_text("hello")
    (home / "context/Dockerfile").write_text("FROM scratch\nCOPY a /a\n")
    argv = [sys.executable, "-c", TWICE, str(home), str(ordinary.pw_uid), str(ordinary.pw_gid)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    by_root, nothing, by_user, nothing_again = done.stdout.splitlines()
    assert by_root == by_user
    assert (nothing, nothing_again) == ("[]", "[]")


@pytest.fixture
def ordinary():
    """Return an ordinary user with namespaces, who is gone afterwards."""
    user = f"bp{os.getpid()}"
    subprocess.run(["useradd", "--create-home", user], check=True, capture_output=True)
    yield pwd.getpwnam(user)
    subprocess.run(["userdel", "--remove", user], check=True, capture_output=True)


KILLED = """
import os, sys
from pathlib import Path
import buildpush
buildpush.build(cwd=sys.argv[1], engine="buildah", sink=lambda event: print(event, file=sys.stderr, flush=True))
"""


@pytest.mark.engines
def test_a_build_as_root_that_is_killed_leaves_no_process_and_the_next_run_no_mount(need, directory, busybox, tmp_path):
    need("buildah")
    if os.geteuid() != 0:
        pytest.skip("mounts that stay are root's")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    nap = f"600.{os.getpid()}"  # which nobody else has
    directory.write("busybox", busybox.read_bytes())
    directory.dockerfile(f'FROM scratch\nCOPY --chmod=755 busybox /busybox\nRUN ["/busybox", "sleep", "{nap}"]\n')
    env = {**os.environ, "TMPDIR": str(scratch)}
    with subprocess.Popen([sys.executable, "-c", KILLED, str(directory.root)], env=env) as us:
        wait_until(lambda: napping(nap) and us.poll() is None)
        us.kill()
    wait_until(lambda: not napping(nap))

    state = State(tmp_path / "state", scratch)
    assert [path for path in scratch.iterdir() if mounts.below(path)]
    assert state.sweep()
    assert list(scratch.iterdir()) == []
    assert mounts.below(scratch) == []


def napping(nap: str) -> list[int]:
    """Return the processes that sleep so long, by their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if f"sleep\0{nap}".encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def wait_until(true) -> None:
    for _ in range(600):
        if true():
            return
        time.sleep(0.1)
    pytest.fail("it never became true")


@pytest.mark.engines
def test_equal_inputs_give_an_equal_configuration(need, directory):
    need("buildah")
    directory.write("a")
    directory.dockerfile("FROM scratch\nCOPY a /a\nENV x=1\nWORKDIR /w\nCOPY a /b\n")
    configs = []
    for _ in range(2):
        with Buildah(Tools(dict(os.environ), Here(dict(os.environ)))).build(
            directory.request(created=1_700_000_000)
        ) as image:
            configs.append(image.config)
        time.sleep(1.1)
        os.utime(directory.root / "a")
    assert configs[0] == configs[1]

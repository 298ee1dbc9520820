"""A container as a place: its command line recorded, and what it does with the real program."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import tarfile
import threading
import time
from pathlib import Path

import pytest

from buildpush.foundation.errors import EngineMissingError, SourceError, TimeOutError, UnsupportedError
from buildpush.foundation.secrets import Secret
from buildpush.places import FILES, CommandResult, Container, Here, Mount, Recorded

engines = pytest.mark.engines
IMAGE = f"buildpush.test/container-{os.getpid()}:1"


def recorded(*answers: CommandResult, **how):
    """Return a container that runs nothing, and the place that writes its calls down."""
    here = Recorded(answers)
    return Container("image", here, **how), here


def flags(argv: tuple[str, ...]) -> list[str]:
    """Return the words behind the container's name, up to the image."""
    return list(argv[argv.index("--name") + 2 :])


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({}, []),
        ({"memory": 500 * 2**20, "cores": 0.4}, ["--memory", "524288000", "--cpus", "0.4"]),
        ({"cores": 2.0}, ["--cpus", "2"]),
        ({"user": 0}, ["--user", "0"]),
        ({"user": 1000}, ["--user", "1000"]),
        ({"privileged": True}, ["--privileged"]),
        ({"network": "host"}, ["--network", "host"]),
        ({"mounts": [Mount(Path("/a"), "/b")]}, ["--mount", "type=bind,source=/a,target=/b,readonly"]),
        ({"mounts": [Mount(Path("/a"), "/b", writable=True)]}, ["--mount", "type=bind,source=/a,target=/b"]),
        ({"mounts": [Mount(Path("/a,b"), "/b")]}, ["--mount", 'type=bind,"source=/a,b",target=/b,readonly']),
    ],
)
def test_what_a_container_may_is_said_in_flags(how, words):
    container, here = recorded(**how)
    container.run(["/bin/x", "--flag", "y"])
    assert flags(here.argv[0]) == [*words, "--entrypoint", "/bin/x", "image", "--flag", "y"]


def test_a_container_is_started_by_the_program_that_was_named_and_removes_itself():
    container, here = recorded(program="podman")
    container.run(["x"])
    (argv,) = here.argv
    assert argv[:3] == ("podman", "run", "--rm")


def test_two_commands_never_share_a_name():
    container, here = recorded()
    container.run(["x"])
    container.run(["x"])
    first, second = (argv[argv.index("--name") + 1] for argv in here.argv)
    assert first != second
    assert first.startswith(f"buildpush-{os.getpid()}-")


def test_private_files_and_variables_travel_in_files_alone():
    container, here = recorded()
    container.run(
        ["x", f"{FILES}/token"], files={"token": Secret("planted-token")}, env={"A": f"{FILES}/a", "B": "planted-b"}
    )
    (call,) = here.calls
    mount = f"type=bind,source={FILES}/files,target=/run/buildpush,readonly"
    assert flags(call.argv)[:4] == ["--mount", mount, "--env-file", f"{FILES}/env"]
    assert call.argv[-1] == "/run/buildpush/token"
    assert call.files["files/token"].reveal() == "planted-token"
    assert call.files["env"] == "A=/run/buildpush/a\nB=planted-b\n"
    assert not any("planted" in word for word in call.argv)
    assert call.env == {}


def test_a_directory_and_something_to_read_are_passed_on():
    container, here = recorded()
    container.run(["x"], cwd=Path("/work"), stdin=b"in")
    assert flags(here.argv[0])[:3] == ["--workdir", "/work", "--interactive"]
    assert here.calls[0].stdin == b"in"


@pytest.mark.parametrize("value", ["a\nb", "a\n", "a\rb"])
def test_a_variable_of_several_lines_is_refused(value):
    container, _ = recorded()
    with pytest.raises(SourceError, match="the variable A has several lines"):
        container.run(["x"], env={"A": value})


def test_private_files_for_a_user_who_cannot_read_them_are_refused():
    container, here = recorded(user=1000)
    with pytest.raises(UnsupportedError, match="could not read"):
        container.run(["x"], files={"token": "t"})
    assert here.calls == []


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (
            "docker",
            "Unable to find image\ndocker: Error response from daemon: no such host\nSee --help.\n",
        ),
        ("podman", "Trying to pull\nError: initializing source: no such host\n"),
    ],
)
def test_a_container_that_cannot_be_started_is_a_missing_engine(program, said):
    container, _ = recorded(CommandResult(125, "", said), program=program)
    with pytest.raises(EngineMissingError, match=r"cannot start a container of image: .*no such host"):
        container.run(["x"])


def test_a_command_may_end_with_the_status_of_a_missing_one():
    container, _ = recorded(CommandResult(127, "", "sh: nothing: not found\n"))
    assert container.run(["sh"]).status == 127


def test_a_program_that_was_killed_leaves_no_container():
    container, here = recorded(CommandResult(-9))
    container.run(["x"])
    run, remove = here.argv
    assert remove == ("docker", "rm", "--force", run[run.index("--name") + 1])


# From here on, the real thing.


@pytest.fixture(scope="module")
def image(need):
    """Import an image made of a static busybox; it is gone afterwards."""
    need("docker", "busybox")
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        tar.add(Path("/bin/busybox").resolve(), "bin/busybox")
        for name in ("sh", "cat", "id", "ls", "sleep", "stat", "touch", "echo", "trap"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    subprocess.run(["docker", "import", "-", IMAGE], input=raw.getvalue(), check=True, capture_output=True)
    yield IMAGE
    subprocess.run(["docker", "rmi", "--force", IMAGE], check=True, capture_output=True)


@pytest.fixture
def make(image):
    """Return the function that makes a place of containers of busybox."""
    return lambda **how: Container(image, Here(dict(os.environ)), **how)


def left() -> list[str]:
    """Return the names of the containers of this process that are still there, running or not."""
    asked = ["docker", "ps", "--all", "--filter", f"name=buildpush-{os.getpid()}-", "--format", "{{.Names}}"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()


def sh(code: str) -> list[str]:
    return ["/bin/sh", "-c", code]


@engines
def test_status_and_both_outputs_come_back_and_nothing_is_left(make):
    ran = make().run(sh("echo out; echo err >&2; exit 3"))
    assert ran == CommandResult(3, "out\n", "err\n")
    assert left() == []


@engines
def test_lines_come_as_they_are_printed(make):
    """A build of an hour must not be silent for an hour."""
    came: list[tuple[str, float]] = []
    make().run(sh("echo first; sleep 2; echo last"), stream=lambda line: came.append((line, time.monotonic())))
    (first, early), (last, late) = came
    assert (first, last) == ("first", "last")
    assert late - early > 1


@engines
def test_a_limit_of_memory_and_cores_is_one(make):
    v1 = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/cpu/cpu.cfs_quota_us"
    v2 = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max"
    said = make(memory=64 * 2**20, cores=0.5).run(sh(f"{v2} 2>/dev/null || {v1}")).stdout.split()
    assert said[:2] == [str(64 * 2**20), "50000"]


@engines
@pytest.mark.parametrize(("user", "number"), [(None, "0"), (0, "0"), (1234, "1234")])
def test_the_command_runs_as_the_user_that_is_asked_for(make, user, number):
    assert make(user=user).run(["/bin/id", "-u"]).stdout.strip() == number


@engines
def test_private_files_are_read_only_there_and_gone_here(make, image, tmp_path):
    place = Container(image, Here(dict(os.environ), private=tmp_path))
    code = f"stat -c %a {FILES}/deep/token; cat {FILES}/deep/token; touch {FILES}/x || echo refused"
    ran = place.run(sh(code), files={"deep/token": Secret("t0ken-for-container")})
    assert ran.stdout.split("\n")[:2] == ["600", "t0ken-for-containerrefused"]
    assert list(tmp_path.iterdir()) == []


@engines
def test_variables_reach_the_command_as_they_are(make):
    value = "a=b \"c\" 'd' $HOME #e"
    assert make().run(sh('echo "$A"; echo "$B"'), env={"A": value, "B": ""}).stdout == f"{value}\n\n"


@engines
def test_our_own_environment_stays_outside(make, monkeypatch):
    monkeypatch.setenv("PLANTED", "planted")
    assert "planted" not in make().run(["/bin/busybox", "env"]).stdout


@engines
def test_what_is_read_and_where_are_the_callers(make):
    assert make().run(sh("echo $PWD; cat"), stdin=b"text", cwd=Path("/bin")).stdout == "/bin\ntext"


@engines
def test_directories_are_read_only_unless_they_are_not(make, tmp_path):
    (tmp_path / "in, put").mkdir()
    (tmp_path / "in, put/a").write_text("hello")
    (tmp_path / "out").mkdir()
    directories = [Mount(tmp_path / "in, put", "/in"), Mount(tmp_path / "out", "/out", writable=True)]
    ran = make(mounts=directories).run(sh("cat /in/a >/out/b; touch /in/c || echo refused"))
    assert ran.stdout == "refused\n"
    assert (tmp_path / "out/b").read_text() == "hello"


@engines
def test_a_privileged_container_may_mount(make):
    code = sh("/bin/busybox mkdir -p /m; /bin/busybox mount -t tmpfs none /m && echo mounted")
    assert "mounted" not in make().run(code).stdout
    assert "mounted" in make(privileged=True).run(code).stdout


@engines
def test_a_time_out_removes_the_container(make):
    """Ending the program that started it does not end a container whose first process heeds no signal."""
    with pytest.raises(TimeOutError, match="longer than 2 seconds"):
        make().run(sh("trap '' TERM INT; sleep 60"), timeout=2)
    assert left() == []


@engines
def test_ctrl_c_removes_the_container(make):
    def press() -> None:
        while not left():
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        make().run(sh("trap '' TERM INT; sleep 60"), timeout=60)
    assert left() == []


@engines
def test_an_image_that_is_nowhere_is_a_missing_engine(make, image):
    place = Container("127.0.0.1:1/no/image:1", Here(dict(os.environ)))
    with pytest.raises(EngineMissingError, match="cannot start a container of 127"):
        place.run(["x"])
    assert left() == []


@engines
def test_a_command_that_is_not_in_the_image_is_a_missing_engine(make):
    with pytest.raises(EngineMissingError, match="cannot start"):
        make().run(["/no/such"])
    assert left() == []


@engines
def test_secrets_stand_neither_in_the_command_line_nor_in_the_mounts(make):
    """Whoever may list processes here sees command lines."""
    seen: list[str] = []

    def look(_line: str) -> None:
        (name,) = left()
        seen.append(subprocess.run(["docker", "inspect", name], check=True, capture_output=True, text=True).stdout)
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.append(path.read_bytes().decode(errors="replace"))
            except OSError:
                continue

    make().run(sh("echo now; sleep 2"), files={"token": Secret("t0ken-unseen-anywhere")}, stream=look)
    assert json.loads(seen[0])
    assert any("docker\0run" in text for text in seen)
    assert not any("t0ken-unseen-anywhere" in text for text in seen)

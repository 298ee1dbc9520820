"""The engine Docker, with a daemon of paper and with the real one."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from docker.errors import NotFound

from buildpush.credentials.docker import Credential
from buildpush.dockerfile.caches import CacheSpec
from buildpush.engines import Tools
from buildpush.engines.docker.classic import Docker
from buildpush.foundation.errors import BuildError, DockerfileError, EngineMissingError, PushError, UnsupportedError
from buildpush.foundation.events import Log, Note
from buildpush.foundation.secrets import Secret
from buildpush.images.model import Platform
from buildpush.images.references import Reference, Repository
from buildpush.places import FILES, CommandResult, Here, Recorded
from buildpush.transfer.docker_archive import write_docker_archive


class Paper:
    """A daemon's client that does nothing: it is there, and says which image store it has."""

    def __init__(self, status=()):
        self.status = list(status)
        self.pulled = []
        self.removed = []
        self.built = {}
        self.images = self.api = self

    def info(self):
        return {"DriverStatus": self.status}

    def inspect_image(self, name):
        raise NotFound(name, response=SimpleNamespace(status_code=404))

    def pull(self, name, **how):
        self.pulled.append((name, how))

    def remove(self, name):
        self.removed.append(name)

    def build(self, **how):
        self.built = how
        return iter([{"stream": "Step 1\n"}, {"stream": "\n"}, {"error": "it broke"}])


@pytest.fixture
def paper(monkeypatch):
    """Return a function that puts a paper daemon into an engine."""

    def put(engine: Docker, client: Paper) -> Docker:
        @contextmanager
        def connected(_self):
            yield client

        monkeypatch.setattr(Docker, "missing", lambda _: None)
        monkeypatch.setattr(Docker, "_client", connected)
        return engine

    return put


CONTAINERD = [["driver-type", "io.containerd.snapshotter.v1"]]


def answers(*, buildx=True, build=None):
    def answer(call):
        if call.argv[-1] == "version":
            return CommandResult(0 if buildx else 1)
        return build or CommandResult(1, "", "ERROR: it broke\n")

    return Recorded(answer)


def test_no_socket_is_an_error_with_the_three_remedies(directory):
    directory.dockerfile("FROM scratch\n")
    engine = Docker(Tools({"DOCKER_HOST": f"unix://{directory.root}/none.sock"}, Recorded()))
    assert "does not exist" in engine.missing()
    with pytest.raises(EngineMissingError) as caught, engine.build(directory.request()):
        pass
    for remedy in ("start Docker", "usermod", "engine: native"):
        assert remedy in caught.value.hint


def test_a_socket_that_is_closed_to_the_user_says_so(directory, monkeypatch):
    socket = directory.write("docker.sock")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "is not accessible to it" in Docker(Tools({"DOCKER_HOST": f"unix://{socket}"}, Recorded())).missing()


@pytest.mark.sandbox
def test_a_daemon_that_does_not_answer_is_missing():
    reason = Docker(Tools({"DOCKER_HOST": "tcp://127.0.0.1:1"}, Recorded())).missing()
    assert "does not answer" in reason


def test_buildx_gets_logins_and_secrets_in_private_files(directory, paper):
    directory.dockerfile("FROM a.test/base\nRUN x\n")
    place = answers()
    engine = Docker(Tools({"HOME": "/h"}, place, lambda host: Credential("u", Secret("p4ssw0rd"), host)))
    request = directory.request(build_secrets={"s": Secret("s3cr3t")})

    with pytest.raises(BuildError, match="it broke"), paper(engine, Paper(CONTAINERD)).build(request):
        pass

    call = place.calls[-1]
    assert call.argv[:3] == ("docker", "buildx", "build")
    assert call.argv[-1] == str(directory.root)
    assert "tar=false,compression=uncompressed,rewrite-timestamp=true" in call.argv[-2]
    assert call.env["DOCKER_CONFIG"] == f"{FILES}/docker"
    assert call.env["BUILDX_CONFIG"] == "/h/.docker/buildx"
    assert call.env["SOURCE_DATE_EPOCH"] == "1700000000"
    assert sorted(call.files) == ["docker/config.json", "secrets/0"]
    assert "p4ssw0rd" not in repr(call.argv) + repr(call.env)
    assert "s3cr3t" not in repr(call.argv) + repr(call.env)


# What another value of each setting that Docker spells makes of a request; secrets of either kind are one.
ANOTHER = {
    "add_host": {"add_hosts": {"h": "10.0.0.7"}},
    "build_contexts": {"build_contexts": {"c": "/c"}},
    "network": {"network": "none"},
    "pull_image": {"pull_image": True},
    "ssh": {"ssh": ("default",)},
    "ssh_agent_key": {"ssh_key": Secret("s3cret-key")},
    "build_args": {"build_args": {"A": "b"}},
    "context": {"context": ".."},
    "dockerfile": {"dockerfile": "other/Dockerfile"},
    "env_docker_secrets": {"build_secrets": {"x": Secret("s3cret-x")}},
    "file_docker_secrets": {"build_secrets": {"x": Secret("s3cret-x")}},
    "labels": {"labels": {"l": "m"}},
    "no_cache": {"no_cache": True},
    "platforms": {"platforms": (Platform("linux", "arm64"),)},
    "target": {"target": "base"},
}


def told(directory, paper, *, buildx, find=lambda _host: None, **changes):
    """Return what Docker is told: arguments, private files and variables, or the call of the daemon's SDK."""
    directory.dockerfile("FROM a.test/base AS base\nFROM base\n")
    directory.write("other/Dockerfile", "FROM a.test/base AS base\n")
    changes |= {
        name: (directory.root / changes[name]).resolve() for name in ("context", "dockerfile") if name in changes
    }
    place, client = answers(buildx=buildx), Paper()
    with pytest.raises(BuildError), paper(Docker(Tools({}, place, find)), client).build(directory.request(**changes)):
        pass
    if not buildx:
        return {**client.built, "tag": None, "pulled": client.pulled}
    call = place.calls[-1]
    return [word for word in call.argv if "buildpush.invalid" not in word], sorted(call.files), call.env


@pytest.mark.parametrize("name", sorted(ANOTHER))
def test_every_setting_that_docker_spells_is_told_to_buildx(directory, paper, name):
    usual, changed = told(directory, paper, buildx=True), told(directory, paper, buildx=True, **ANOTHER[name])
    assert changed != usual
    assert Docker.flags[name] in [*changed[0], "PATH"]


ONLY_BUILDKIT = {"build_contexts", "env_docker_secrets", "file_docker_secrets", "ssh", "ssh_agent_key"}


@pytest.mark.parametrize("name", sorted(ANOTHER.keys() - ONLY_BUILDKIT))
def test_every_setting_that_the_classic_builder_knows_is_told_to_it(directory, paper, name):
    assert told(directory, paper, buildx=False, **ANOTHER[name]) != told(directory, paper, buildx=False)


@pytest.mark.parametrize("buildx", [True, False])
def test_a_login_for_a_base_image_is_told_too(directory, paper, buildx):
    find = {"a.test": Credential("u", Secret("pa55word"), "x")}.get
    assert told(directory, paper, buildx=buildx, find=find) != told(directory, paper, buildx=buildx)


def test_nothing_else_is_spelled():
    assert ANOTHER.keys() | {"base_image_connector_refs"} == Docker.flags.keys()


def test_without_a_credential_dockers_own_configuration_is_used(directory, paper):
    directory.dockerfile("FROM a.test/base\n")
    place = answers()
    with (
        pytest.raises(BuildError),
        paper(Docker(Tools({}, place)), Paper(CONTAINERD)).build(directory.request(created=None)),
    ):
        pass
    assert "DOCKER_CONFIG" not in place.calls[-1].env
    assert "rewrite" not in place.calls[-1].argv[-2]


def test_the_old_image_store_is_asked_for_the_image_and_the_name_is_removed(directory, paper):
    directory.dockerfile("FROM scratch\n")
    place, client = answers(build=CommandResult(0)), Paper()
    with (
        pytest.raises(PushError, match="does not have the image"),
        paper(Docker(Tools({}, place)), client).build(directory.request()),
    ):
        pass
    argv = place.calls[-1].argv
    assert client.removed == [argv[argv.index("--tag") + 1]]
    assert "--load" in argv


def test_several_platforms_need_a_store_for_them(directory, paper):
    directory.dockerfile("FROM scratch\n")
    request = directory.request(platforms=(Platform("linux", "amd64"), Platform("linux", "arm64")))
    for place in (answers(), answers(buildx=False)):
        with pytest.raises(UnsupportedError) as caught, paper(Docker(Tools({}, place)), Paper()).build(request):
            pass
        assert caught.value.setting == "platforms"


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ({}, "default"),
        ({"BUILDX_BUILDER": "mine"}, "default"),
        ({"DOCKER_CONTEXT": "far"}, "far"),
        ({"DOCKER_CONTEXT": "far", "DOCKER_HOST": "tcp://127.0.0.1:1"}, "default"),
    ],
)
def test_the_daemon_builds_whatever_builder_is_in_use(directory, paper, env, name):
    directory.dockerfile("FROM scratch\n")
    place = answers()
    with pytest.raises(BuildError), paper(Docker(Tools(env, place)), Paper()).build(directory.request()):
        pass
    argv = place.calls[-1].argv
    assert argv[argv.index("--builder") + 1] == name


@pytest.mark.parametrize("setting", ["caching", "cache_to", "remote_cache_repo"])
def test_the_old_image_store_leaves_no_layers_for_later_builds(directory, paper, setting):
    directory.dockerfile("FROM scratch\n")
    cache = CacheSpec("local", (("dest", "/c"),))
    changes = {
        "caching": {"caching": True, "cache_to": (cache,)},
        "cache_to": {"cache_to": (cache,)},
        "remote_cache_repo": {"cache_repository": Repository("r.test", "c")},
    }
    request = directory.request(**changes[setting])
    with pytest.raises(UnsupportedError) as caught, paper(Docker(Tools({}, answers())), Paper()).build(request):
        pass
    assert caught.value.setting == setting


def test_the_classic_builder_is_used_where_buildx_is_not(directory, paper):
    directory.dockerfile("ARG B=a.test/base\nFROM $B:2\nRUN x\n")
    events = []
    client = Paper()
    find = {"a.test": Credential("u", Secret("pa55word"), "x")}.get
    engine = paper(Docker(Tools({}, answers(buildx=False), find, events.append)), client)
    with pytest.raises(BuildError, match="it broke"), engine.build(directory.request(labels={"l": "m"})):
        pass
    assert client.built["labels"] == {"l": "m"}
    assert client.pulled == [("a.test/base", {"tag": "2", "auth_config": {"username": "u", "password": "pa55word"}})]
    assert [event.line for event in events if isinstance(event, Log)] == ["pull a.test/base:2", "Step 1", "it broke"]
    assert isinstance(events[0], Note)
    assert client.removed == [client.built["tag"]]


def test_an_identity_token_for_a_base_image_is_no_password(directory, paper):
    directory.dockerfile("FROM a.test/base\n")
    client = Paper()
    find = {"a.test": Credential("<token>", Secret("ident1ty"), "x", "identity")}.get
    with (
        pytest.raises(BuildError),
        paper(Docker(Tools({}, answers(buildx=False), find)), client).build(directory.request()),
    ):
        pass
    assert client.pulled == [("a.test/base", {"tag": "latest", "auth_config": {"identitytoken": "ident1ty"}})]


def test_the_classic_builder_refuses_build_secrets(directory, paper):
    directory.dockerfile("FROM scratch\n")
    request = directory.request(build_secrets={"x": Secret("s3cr3t-x")})
    with (
        pytest.raises(UnsupportedError, match="classic"),
        paper(Docker(Tools({}, answers(buildx=False))), Paper()).build(request),
    ):
        pass


def test_a_dockerfile_that_we_cannot_read_is_left_to_docker(directory, paper):
    directory.dockerfile("FROM scratch\nFUTURE thing\n")
    place = answers()
    with (
        pytest.raises(BuildError, match="it broke"),
        paper(Docker(Tools({}, place)), Paper(CONTAINERD)).build(directory.request()),
    ):
        pass
    (directory.root / "Dockerfile").unlink()
    with pytest.raises(DockerfileError), paper(Docker(Tools({}, place)), Paper(CONTAINERD)).build(directory.request()):
        pass


# From here on, the real thing.


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def real():
    """Return a function that makes the engine, with the events that it tells."""

    def make(events=None, *, buildx=True):
        env = dict(os.environ)
        here = Here(env)
        place = here if buildx else answers(buildx=False)
        return Docker(Tools(env, place, sink=(events if events is not None else []).append))

    return make


@pytest.mark.engines
def test_the_real_docker_runs_what_a_dockerfile_says(directory, base, real):
    events = []
    with real(events).build(directory.everything(base)) as image:
        found = directory.files_of(image)
        assert all(not layer.compressed for layer in image.layers[1:])
        assert image.manifest is None
    assert found["got"].text == "s3cr3t-run7\n"
    lines = [event.line for event in events if isinstance(event, Log)]
    assert any("RUN" in line for line in lines)
    assert not any("s3cr3t-run" in line for line in lines)
    assert not list(Path(os.environ.get("TMPDIR", "/tmp")).glob(f"buildpush-{os.getpid()}-*/layout"))


@pytest.mark.engines
@pytest.mark.parametrize("buildx", [True, False])
def test_the_image_also_comes_by_way_of_docker_save(directory, base, real, monkeypatch, buildx):
    monkeypatch.setattr("buildpush.engines.docker.classic.DockerBuild._writes_layouts", lambda *_: False)
    directory.write("a", "hello")
    directory.dockerfile(f"FROM {base}\nCOPY a /b\nRUN echo hi > /c\n")
    with real(buildx=buildx).build(directory.request()) as image:
        found = directory.files_of(image)
    assert (found["b"].text, found["c"].text) == ("hello", "hi\n")
    assert "buildpush.invalid" not in docker("images")


@pytest.mark.engines
@pytest.mark.parametrize("buildx", [True, False])
def test_a_failing_build_tells_its_last_lines(directory, base, real, buildx):
    directory.dockerfile(f"FROM {base}\nRUN echo the reason; false\n")
    with pytest.raises(BuildError) as caught, real(buildx=buildx).build(directory.request(no_cache=True)):
        pass
    assert "the reason" in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.engines
def test_an_unknown_instruction_is_reported_with_its_line(directory, need, real):
    need("docker", "buildx")
    directory.dockerfile("FROM scratch\nCOPPY a b\n")
    with pytest.raises(BuildError) as caught, real().build(directory.request()):
        pass
    assert caught.value.where == "Dockerfile:2"
    assert "unknown instruction" in str(caught.value)


SAME = {
    "copies": "FROM scratch\nCOPY . /all/\nCOPY d /x/y\nCOPY d/f d/l d/s /z/\nCOPY --chown=3:4 d /o\nCOPY l* /links/\n",
    "stages": (
        "FROM scratch AS a\nCOPY d /d\nCOPY --chown=5 d/f /d/s/g\nFROM a AS b\nCOPY d/f /d/n\n"
        "FROM scratch\nCOPY --from=b /d /e/\nCOPY --from=a /d/f /d/l /g/\nCOPY --from=b /d/s/* /h\n"
    ),
    "directories": "FROM scratch\nWORKDIR /w\nUSER 7:8\nWORKDIR v/u\nCOPY d ./\nCOPY d/f ../\nWORKDIR /w\nCOPY d/s s\n",
    "merges": "FROM scratch\nCOPY d /m\nCOPY d2 /m\nCOPY d2/s /m/s\nCOPY e /m/s/deep/er/\n",
    "links": (
        "FROM scratch\nCOPY t /\nCOPY d/f /to-file\nCOPY d /to-folder/\nCOPY d/f /to-folder/sub/\nCOPY d/f /dangling\n"
    ),
    "add": "FROM scratch\nADD a.tar.gz d/f /x/\nADD a.tar.gz d.gz /\n",
    "heredocs": "FROM scratch\nARG V=1\nCOPY <<one <<-'two' /h/\n$V \\$V \"q\" 'r'\none\n\t$V\n\ttwo\nCOPY <<x /y\nx\n",
}


def fill(directory) -> None:
    directory.write("d/f", "F")
    directory.write("d/s/x", "X", mode=0o755)
    (directory.root / "d/s").chmod(0o2775)
    (directory.root / "d/l").symlink_to("f")
    directory.write("d2/f", "2", mode=0o600)
    directory.write("d2/s/y", "Y")
    (directory.root / "d2/s").chmod(0o700)
    (directory.root / "e").mkdir()
    (directory.root / "lf").symlink_to("d/f")
    (directory.root / "ld").symlink_to("d")
    directory.write("t/folder/sub/old", "old")
    directory.write("t/file", "old")
    for name, target in {"to-file": "file", "to-folder": "/folder", "dangling": "new/place"}.items():
        (directory.root / "t" / name).symlink_to(target)
    directory.write("d.gz", b"\x1f\x8bnot gzip at all")
    directory.write("hidden/a")
    directory.write("hidden/kept")
    directory.write(".dockerignore", "hidden\n!hidden/kept\nt\n**/*.gz\n")
    with tarfile.open(directory.root / "a.tar.gz", "w:gz") as tar:
        for name, mode in (("p/q", 0o640), ("p/run", 0o4755), ("../up", 0o644)):
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.uid, member.gid = 1, mode, 11, 12
            tar.addfile(member, io.BytesIO(b"z"))
    # BuildKit's client does not send a file again whose name, size and time it has seen in another test.
    for number, path in enumerate(sorted(directory.root.rglob("*"))):
        if not path.is_symlink():
            os.utime(path, (1_600_000_000 + hash(str(path)) % 10**6, 1_600_000_000 + number))


@pytest.mark.engines
@pytest.mark.parametrize("name", SAME)
def test_native_and_docker_make_the_same_files(directory, need, real, name):
    need("docker", "buildx")
    fill(directory)
    if name in {"links", "add"}:
        (directory.root / ".dockerignore").unlink()
    directory.dockerfile(SAME[name])
    native = directory.tree()
    with real().build(directory.request(no_cache=True)) as image:
        theirs = directory.files_of(image)
    assert {path: repr(thing) for path, thing in native.items()} == {
        path: repr(thing) for path, thing in theirs.items()
    }


@pytest.mark.engines
def test_native_and_docker_write_the_same_configuration(directory, need, real):
    need("docker", "buildx")
    directory.write("a")
    text = (
        'FROM scratch\nENV A=1 B="x y"\nENV C=$A\nLABEL l=$B\nEXPOSE 80 81/udp\nVOLUME /v ["w"]\nWORKDIR /x\n'
        'USER 1\nCOPY a ./\nENTRYPOINT ["e"]\nCMD c d\nSTOPSIGNAL SIGINT\n'
        "HEALTHCHECK --timeout=2s CMD x\nONBUILD COPY a b\n"
    )
    directory.dockerfile(text)
    with real().build(directory.request(labels={"m": "n"})) as image:
        theirs = directory.config_of(image)
    ours = directory.config(text, labels={"m": "n"})
    for document in (ours, theirs):
        document.pop("rootfs")
        for line in document["history"]:
            line.pop("comment", None)
    # BuildKit counts an empty layer for a directory that is there; and shows checks and ports in Go's own way.
    shown = ("EXPOSE", "HEALTHCHECK")
    for document in (ours, theirs):
        document["history"] = [line for line in document["history"] if not line["created_by"].startswith(shown)]
    assert ours == theirs


@pytest.mark.engines
def test_docker_runs_what_native_built(directory, need, busybox, tmp_path):
    """Its layers are read by another program than ours, and the files are right."""
    need("docker")
    directory.write("bin/busybox", busybox.read_bytes(), mode=0o755)
    directory.write("bin/list", "#!/bin/busybox sh\nexec /bin/busybox stat -c '%n %u %g %s' /site/*/*\n", mode=0o755)
    directory.write("site/ünï/" + "long" * 40, "content")
    text = 'FROM scratch\nCOPY bin /bin\nCOPY --chown=5:6 site /site\nUSER 5\nCMD ["/bin/list"]\n'
    reference = Reference.parse("buildpush.test/native:1")
    with directory.built(text) as image:
        write_docker_archive(image, tmp_path / "image.tar", [reference])
    docker("load", "--input", str(tmp_path / "image.tar"))
    try:
        assert docker("run", "--rm", str(reference)).strip() == f"/site/ünï/{'long' * 40} 5 6 7"
    finally:
        docker("rmi", "--force", str(reference))


def test_a_daemon_that_refuses_is_an_error(directory, paper, monkeypatch):
    def refuse(_self, **_):
        raise ConnectionRefusedError

    directory.dockerfile("FROM scratch\n")
    monkeypatch.setattr(Paper, "build", refuse)
    engine = paper(Docker(Tools({}, answers(buildx=False))), Paper())
    with (
        pytest.raises(BuildError, match="the Docker daemon went away: ConnectionRefused"),
        engine.build(directory.request()),
    ):
        pass


@pytest.mark.engines
@pytest.mark.parametrize("link", ["", "--link "])
def test_native_and_docker_lay_files_on_a_base_the_same_way(directory, base, real, tmp_path, link):
    """The directories and links of a base stay what they are."""
    directory.write("a", "1")
    directory.write("d/b", "2", mode=0o755)
    text = f"FROM {base}\nCOPY {link}a /bin/a\nCOPY {link}d /new/d\nCOPY --chown=9 {link}a /bin/more/\n"
    directory.dockerfile(f"FROM {base}\n")
    with real().build(directory.request()) as image:
        directory.bases[base] = image
        native = directory.tree(text)
        with real().build(directory.request(no_cache=True)) as theirs:
            assert native == directory.files_of(theirs)

"""The corpus: the engine native builds what BuildKit builds, and where other builders differ is known.

BuildKit is the current one, buildx's driver ``remote``. Docker 26's own BuildKit, its classic builder and buildah are
held against it: what each makes in another way stands in the context's file.
"""

from __future__ import annotations

import io
import os
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from corpus import Built, Case, cases, opened

from buildpush.engines import Tools
from buildpush.engines.buildah import Buildah
from buildpush.engines.docker.buildx import Buildx
from buildpush.engines.docker.classic import Docker
from buildpush.engines.native import Native
from buildpush.foundation.errors import BuildPushError
from buildpush.http.client import Http
from buildpush.http.download import download
from buildpush.places import Here, Recorded

CASES = {case.name: case for case in cases()}
MOST_DIFFERENCES = 15

pytestmark = pytest.mark.engines


class Builders:
    """The builders by name; what BuildKit has built is kept, since each of the others is held against it."""

    def __init__(self, far, scratch):
        env = dict(os.environ)
        bare = {**env, "PATH": str(scratch / "no-programs")}
        self.scratch = scratch
        self.engines = {
            "native": Native(Tools({}, Recorded())),
            "buildkit": Buildx(Tools(far, Here(far), layers=scratch / "kept")),
            "docker": Docker(Tools(env, Here(env))),
            "classic": Docker(Tools(bare, Here(bare))),  # without buildx
            "buildah": Buildah(Tools(env, Here(env))),
        }
        self.kept: dict[str, Built | BuildPushError] = {}

    def built(self, name: str, case: Case) -> Built | BuildPushError:
        """Return what the builder makes of *case*, or its refusal."""
        directory = self.scratch / f"{name}-{case.name}"
        directory.mkdir()
        try:
            with self.engines[name].build(case.request(directory)) as image:
                return opened(image)
        except BuildPushError as error:
            return error

    def by_buildkit(self, case: Case) -> Built | BuildPushError:
        if case.name not in self.kept:
            self.kept[case.name] = self.built("buildkit", case)
        return self.kept[case.name]


@pytest.fixture(scope="module")
def builders(far, tmp_path_factory):
    return Builders(far, tmp_path_factory.mktemp("corpus"))


@pytest.mark.parametrize("name", CASES)
def test_native_builds_what_buildkit_builds(builders, name):
    case = CASES[name]
    wanted, found = builders.by_buildkit(case), builders.built("native", case)
    if case.refused:
        assert isinstance(wanted, BuildPushError)
        assert isinstance(found, BuildPushError)
        assert case.refused in f"{found} {found.hint}"
        return
    assert isinstance(wanted, Built), wanted
    assert isinstance(found, Built), found
    assert [sorted(layer) for layer in found.layers] == [sorted(layer) for layer in wanted.layers]
    assert (found.tree, found.config, found.history) == (wanted.tree, wanted.config, wanted.history)


@pytest.mark.parametrize("builder", ["docker", "classic", "buildah"])
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.refused])
def test_where_another_builder_differs_is_known(need, builders, builder, name):
    need("docker", "buildah")
    case = CASES[name]
    wanted, found = builders.by_buildkit(case), builders.built(builder, case)
    if builder in case.lacks:
        assert isinstance(found, BuildPushError)
        assert case.lacks[builder] in str(found)
        assert "went away" not in str(found)
        return
    assert isinstance(found, Built), found
    assert isinstance(wanted, Built), wanted
    known = case.differs.get(builder, {"has": [], "for": []})
    ours, theirs = found.tree | found.config, wanted.tree | wanted.config
    assert {"has": sorted(ours - theirs), "for": sorted(theirs - ours)} == known


def test_the_corpus_is_large_and_its_differences_few():
    assert len(CASES) >= 60
    assert sum(bool(case.differs) for case in CASES.values()) <= MOST_DIFFERENCES


def test_files_keep_their_times(builders):
    case = CASES["copy-folder"]
    directory = builders.scratch / "times"
    directory.mkdir()
    request = case.request(directory)
    with builders.engines["native"].build(request) as mine, builders.engines["buildkit"].build(request) as theirs:
        assert opened(mine).times == opened(theirs).times


@pytest.fixture
def web(tmp_path):
    """Serve files on loopback, and give the address."""
    (tmp_path / "web").mkdir()
    (tmp_path / "web/a b.txt").write_text("hello")
    (tmp_path / "web/sub").mkdir()
    for directory in ("sub/", ""):
        (tmp_path / f"web/{directory}index.html").write_text("a page")
    with tarfile.open(tmp_path / "web/t.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("in/x")
        member.size, member.mode = 1, 0o600
        tar.addfile(member, io.BytesIO(b"x"))
    os.utime(tmp_path / "web/a b.txt", (1_400_000_000, 1_400_000_000))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "web")))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments):
        pass


HELLO = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


def from_the_web(builders, name, directory, text):
    """Build a Dockerfile that adds from the web; native fetches as it does in a run."""
    directory.mkdir(exist_ok=True)
    request = Case(f"{directory.name}-{name}", "", text).request(directory / name)
    with Http() as http:
        fetch = partial(download, http, most=1_000_000)
        engine = Native(Tools({}, Recorded(), fetch=fetch)) if name == "native" else builders.engines[name]
        try:
            with engine.build(request) as image:
                return opened(image)
        except BuildPushError as error:
            return error


def test_native_adds_from_the_web_as_buildkit_does(builders, web, tmp_path):
    text = f"""FROM scratch
ADD {web}/a%20b.txt /1
ADD {web}/a%20b.txt /2/
ADD {web}/a%20b.txt?x=1 /3/
ADD --chmod=755 --chown=1:2 {web}/a%20b.txt /4/
ADD --chmod=+x {web}/a%20b.txt /5/
ADD {web}/t.tar.gz /6/
ADD --unpack=true {web}/t.tar.gz /7/
ADD --checksum={HELLO} {web}/a%20b.txt /8/
ADD {web}/sub/ /10/
ADD {web} /11/
ARG ADDRESS={web}/a%20b.txt
ADD $ADDRESS {web}/t.tar.gz /9/
"""
    found, wanted = (from_the_web(builders, name, tmp_path / "c", text) for name in ("native", "buildkit"))
    assert isinstance(wanted, Built), wanted
    assert isinstance(found, Built), found
    assert [sorted(layer) for layer in found.layers] == [sorted(layer) for layer in wanted.layers]
    assert (found.history, found.times) == (wanted.history, wanted.times)


@pytest.mark.parametrize(
    ("flags", "source", "words"),
    [
        ("--checksum=sha256:" + "0" * 64, "/a%20b.txt", "--checksum says"),
        ("--checksum=sha256:zz", "/a%20b.txt", "is not a digest"),
        ("", "/nope", "status 404"),
        (f"--checksum={HELLO}", "/a%20b.txt /t.tar.gz", "a single source"),
    ],
)
def test_what_the_web_does_not_give_is_refused_by_both(builders, web, tmp_path, flags, source, words):
    text = f"FROM scratch\nADD {flags} {web}{source.replace(' ', f' {web}')} /x/\n"
    found, wanted = (from_the_web(builders, name, tmp_path / "c", text) for name in ("native", "buildkit"))
    assert isinstance(wanted, BuildPushError)
    assert isinstance(found, BuildPushError)
    assert (words in str(found), found.where) == (True, "Dockerfile:2")

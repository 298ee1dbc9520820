"""The corpus: the engine native builds what BuildKit builds, and where other builders differ is known.

BuildKit is the current one, buildx's driver ``remote``. Docker 26's own BuildKit, its classic builder and buildah are
held against it: what each makes in another way stands in the context's file.
"""

from __future__ import annotations

import os

import pytest
from corpus import Built, Case, cases, opened

from buildpush.engines.buildah import Buildah
from buildpush.engines.buildx import Buildx
from buildpush.engines.caching import Kept
from buildpush.engines.docker import Docker
from buildpush.engines.native import Native
from buildpush.errors import BuildPushError
from buildpush.places import Here

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
            "native": Native(None),
            "buildkit": Buildx(far, Here(far), kept=Kept(scratch / "kept")),
            "docker": Docker(env, Here(env)),
            "classic": Docker(bare, Here(bare)),  # without buildx
            "buildah": Buildah(env, Here(env)),
        }
        self.kept: dict[str, Built | BuildPushError] = {}

    def built(self, name: str, case: Case) -> Built | BuildPushError:
        """Return what the builder makes of *case*, or its refusal."""
        folder = self.scratch / f"{name}-{case.name}"
        folder.mkdir()
        try:
            with self.engines[name].build(case.request(folder)) as image:
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
    folder = builders.scratch / "times"
    folder.mkdir()
    request = case.request(folder)
    with builders.engines["native"].build(request) as mine, builders.engines["buildkit"].build(request) as theirs:
        assert opened(mine).times == opened(theirs).times

"""One build-info made of several: nothing is lost, and their order does not matter."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildpush.artifactory import Agent, BuildInfo, VcsEntry, describe
from buildpush.artifactory.document import AffectedIssue, Artifact, Dependency, Issues, Module, Tracker
from buildpush.artifactory.merging import merge, renamed

START = datetime(2026, 10, 1, 12, tzinfo=UTC)

some = settings(max_examples=40)  # each is a whole document, or several
names = st.sampled_from(
    ["app:1", "app:2", "team/app:1", "r1/app:1", "r1/a/app:1", "custom", "linux/amd64/app:1", "app@sha256:3"]
)
texts = st.sampled_from(["", "a", "b", "a, b"])
others = st.dictionaries(
    st.sampled_from(["x", "y"]), st.sampled_from([1, None, ["a"], ["b", "c"], {"k": [1]}, {"k": [2], "m": "n"}])
)
properties = st.dictionaries(st.sampled_from(["docker.image.tag", "p"]), texts)
artifacts = st.builds(
    Artifact,
    st.sampled_from(["manifest.json", "sha256__1"]),
    st.sampled_from(
        [
            "",
            "app/1/manifest.json",
            "a/app/1/manifest.json",
            "b/app/1/manifest.json",
            "a/app/sha256:3/manifest.json",
            "r1/a/app/sha256__3/manifest.json",
        ]
    ),
    st.sampled_from(["", "r1", "r2"]),
    st.sampled_from(["1" * 64, "2" * 64]),
    texts,
    others=others,
)
dependencies = st.builds(Dependency, st.sampled_from(["d1", "d2"]), st.sampled_from(["", "1" * 64]), others=others)
modules = st.builds(
    Module,
    names,
    st.sampled_from(["docker", "generic", "maven"]),
    properties,
    st.lists(artifacts, max_size=3).map(tuple),
    st.lists(dependencies, max_size=2).map(tuple),
    st.sampled_from(["", "app:1", "a/app:1"]),
    others,
)
infos = st.builds(
    BuildInfo,
    name=st.just("b"),
    number=st.just("1"),
    started=st.integers(0, 3).map(lambda seconds: START + timedelta(seconds=seconds)),
    modules=st.lists(modules, max_size=3, unique_by=lambda one: one.id).map(tuple),
    agent=st.builds(Agent, st.sampled_from(["buildpush", "jfrog-cli-go"]), texts),
    duration_ms=st.integers(0, 2),
    properties=properties,
    url=texts,
    issues=st.builds(
        Issues,
        st.builds(Tracker, texts, texts),
        st.booleans(),
        texts,
        st.lists(st.builds(AffectedIssue, texts, texts, texts, st.booleans()), max_size=3).map(tuple),
    ),
    vcs=st.lists(st.builds(VcsEntry, texts, texts), max_size=2).map(tuple),
    others=others,
)


@some
@given(infos, infos, infos)
def test_it_does_not_matter_what_is_merged_first(one, two, three):
    whole = merge([one, two, three])
    assert merge([merge([one, two]), three]) == whole
    assert merge([one, merge([two, three])]) == whole
    assert merge([whole, two, whole]) == whole


@some
@given(st.lists(infos, min_size=2, max_size=3))
def test_the_order_does_not_matter(several):
    assert all(merge(order) == merge(several) for order in permutations(several))


@some
@given(infos)
def test_a_single_one_stays_as_it_is(info):
    assert merge([info]) == merge([info, info]) == info


@some
@given(st.lists(infos, min_size=1, max_size=4))
def test_nothing_is_lost_and_every_module_has_its_own_id(several):
    whole = merge(several)
    assert whole.started == min(one.started for one in several)
    every = [module for info in several for module in info.modules]
    assert {facts for module in every for facts in facts_of(module)} == {
        facts for module in whole.modules for facts in facts_of(module)
    }
    assert {(one.url, one.revision) for info in several for one in info.vcs} == {
        (one.url, one.revision) for one in whole.vcs
    }
    assert {(one.key, one.url, one.summary) for info in several for one in info.issues.affected} == {
        (one.key, one.url, one.summary) for one in whole.issues.affected
    }
    trackers = {name for info in several for name in info.issues.tracker.name.split(", ")} - {""}
    assert trackers == set(whole.issues.tracker.name.split(", ")) - {""}
    new = dict(renamed(several, whole))
    assert {one.id for one in every} <= {one.id for one in whole.modules} | new.keys()


def facts_of(module: Module):
    yield from (("artifact", one.repository, one.path, one.name, one.sha256) for one in module.artifacts)
    yield from (("dependency", one.id, one.sha256) for one in module.dependencies)
    for name, text in module.properties.items():
        yield from (("property", name, one) for one in text.split(", ") if one)


@pytest.fixture
def image(recipes):
    def make(*references: str, key: str = "docker-local", **changes) -> BuildInfo:
        pushed = recipes.hello(*(f"acme.jfrog.io/{key}/{reference}" for reference in references))
        return describe(pushed, recipes.record(**changes), repository_key=key)

    return make


def ids(info: BuildInfo) -> list[str]:
    return [module.id for module in info.modules]


def test_two_images_of_one_name_get_their_paths(image):
    several = [image("team-a/app:1"), image("team-b/app:1"), image("other:1")]
    whole = merge(several)
    assert ids(whole) == ["team-a/app:1", "team-b/app:1", "other:1"]
    assert renamed(several, whole) == [("app:1", "team-a/app:1"), ("app:1", "team-b/app:1")]


def test_one_path_in_two_repositories_gets_the_key(image):
    several = [image("team/app:1"), image("team/app:1", key="docker-prod")]
    assert ids(merge(several)) == ["docker-local/team/app:1", "docker-prod/team/app:1"]


def test_the_platforms_of_an_image_have_its_new_name(image, recipes):
    pushed = recipes.multi("acme.jfrog.io/docker-local/team/app:1")
    index = describe(pushed, recipes.record(), repository_key="docker-local")
    assert ids(merge([index, image("other/app:1")])) == [
        "other/app:1",
        "team/app:1",
        "linux/amd64/team/app:1",
        "linux/arm64/team/app:1",
    ]


def test_an_id_that_the_user_set_is_not_given_to_an_image(image):
    assert ids(merge([image("team/app:1"), image("team/web:1", module="app:1")])) == ["app:1", "team/app:1"]


def test_one_module_of_two_tags_keeps_both(image):
    several = [image("team/app:1", module="app"), image("team/app:2", module="app")]
    [module] = merge(several).modules
    assert module.properties["docker.image.tag"] == (
        "acme.jfrog.io/docker-local/team/app:1, acme.jfrog.io/docker-local/team/app:2"
    )
    assert len(module.artifacts) == sum(len(info.modules[0].artifacts) for info in several)


def test_a_checksum_that_one_has_is_kept(image):
    whole = image("team/app:1")
    [module] = whole.modules
    bare = replace(module, artifacts=tuple(replace(one, md5="") for one in module.artifacts))
    without = replace(whole, modules=(bare,))
    assert {one.md5 for one in merge([without, whole]).artifacts} == {one.md5 for one in whole.artifacts}


def test_a_variable_of_two_jobs_has_both_values(image):
    jobs = [image("a:1", environment={"JOB": "one", "CI": "true"}), image("b:1", environment={"JOB": "two"})]
    assert merge(jobs).properties == {"buildInfo.env.JOB": "one, two", "buildInfo.env.CI": "true"}


def a_module(name: str, *files: tuple[str, str], parent: str = "", kind: str = "docker") -> BuildInfo:
    """Return the build-info of a module with a manifest in each of some repositories and paths."""
    artifacts = tuple(Artifact("manifest.json", path, key, "1" * 64) for key, path in files)
    return BuildInfo(
        name="b", number="1", started=START, modules=(Module(name, artifacts=artifacts, parent=parent, type=kind),)
    )


@pytest.mark.parametrize(
    "several",
    [
        # files of one module in two repositories, in either order
        [
            a_module("app:1", ("r2", "b/app/1/manifest.json"), ("r1", "a/app/1/manifest.json")),
            a_module("app:1", ("r1", "a/app/1/manifest.json"), ("r2", "b/app/1/manifest.json")),
            a_module("app:1", ("r2", "b/app/1/manifest.json")),
        ],
        # a name that the user set, in modules of which one has the files, and the other the index that it is of
        [
            a_module("team/app:1", ("r1", "b/app/1/manifest.json")),
            a_module("team/app:1", parent="app:1"),
            a_module("team/app:1", kind="generic"),
        ],
        # a module of another program, whose files become those of an image when it is joined with one
        [
            a_module("app:1", ("r1", "a/app/1/manifest.json"), kind="maven"),
            a_module("app:1"),
            a_module("app:1", kind="generic"),
        ],
        # a platform that is named as a repository
        [
            a_module("linux/r1/app:1", ("r1", "a/app/sha256:3/manifest.json"), parent="a/app:1"),
            a_module("app:1", ("r1", "b/app/1/manifest.json")),
            a_module("linux/app:1", ("r1", "a/app/sha256:4/manifest.json"), parent="a/app:1"),
        ],
    ],
)
def test_modules_of_several_places_are_the_same_ones_in_every_order(several):
    results = [merge(order) for order in permutations(several)]
    results += [merge([one, merge([two, three])]) for one, two, three in permutations(several)]
    assert all(one == results[0] for one in results)


def test_files_of_one_module_in_two_places_stay_together(image):
    several = [image("team/app:1", module="app"), image("other/web:2", key="docker-prod", module="app")]
    [module] = merge(several).modules
    assert {one.repository for one in module.artifacts} == {"docker-local", "docker-prod"}


def test_an_image_in_the_directory_of_its_digest_is_named_by_its_path():
    several = [
        a_module("app:1", ("r1", "a/app/sha256__3/manifest.json")),
        a_module("app:1", ("r1", "b/app/1/manifest.json")),
    ]
    assert ids(merge(several)) == ["a/app:1", "b/app:1"]


def test_an_id_of_an_image_stays_where_another_image_has_the_same_last_part():
    several = [
        a_module("x/app:1", ("r1", "a/app/1/manifest.json")),
        a_module("app:1", ("r1", "b/app/1/manifest.json")),
    ]
    assert sorted(ids(merge(several))) == ["app:1", "x/app:1"]

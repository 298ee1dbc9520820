"""What differs between two runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildpush.artifactory.difference import Change, difference
from buildpush.artifactory.document import (
    AffectedIssue,
    Artifact,
    BuildInfo,
    Dependency,
    Issues,
    Module,
    Tracker,
    VcsEntry,
)

NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)
SHAS = [character * 64 for character in "0123456789abcdef"]


def info(*modules, number="1", **more) -> BuildInfo:
    return BuildInfo(name="hello", number=number, started=NOW, modules=modules, **more)


def layer(sha):
    return Artifact(f"sha256__{sha}", f"hello/1/sha256__{sha}", "docker-local", sha)


def image(tag, manifest, config, layers, base=()):
    files = [Artifact("manifest.json", f"hello/{tag}/manifest.json", "docker-local", manifest), layer(config)]
    files += [layer(sha) for sha in (*base, *layers)]
    used = tuple(Dependency(f"sha256__{sha}", sha) for sha in base)
    properties = {"docker.image.id": f"sha256:{config}", "docker.image.tag": f"acme.test/hello:{tag}"}
    return Module(f"hello:{tag}", properties=properties, artifacts=tuple(files), dependencies=used)


def found(old, new):
    return [(change.kind, change.part, change.old[-1:], change.new[-1:]) for change in difference(old, new).changes]


def test_a_run_does_not_differ_from_itself():
    one = info(image("1", SHAS[1], SHAS[2], [SHAS[3]]), properties={"buildInfo.env.CI": "true"})
    assert difference(one, one).changes == ()
    assert difference(one, one).same == 3


def test_another_tag_of_an_image_is_the_same_module():
    old, new = info(image("1", SHAS[1], SHAS[2], [SHAS[3]])), info(image("2", SHAS[4], SHAS[5], [SHAS[6]]), number="2")
    assert found(old, new) == [
        ("changed", "manifest", "1", "4"),
        ("changed", "config", "2", "5"),
        ("removed", "layer", "3", ""),
        ("added", "layer", "", "6"),
        ("changed", "property", "1", "2"),
    ]


def test_a_new_base_is_told_once_although_an_image_lists_its_layers_twice():
    old = info(image("1", SHAS[1], SHAS[2], [SHAS[3]], base=[SHAS[7]]))
    new = info(image("1", SHAS[1], SHAS[2], [SHAS[3]], base=[SHAS[8]]))
    assert found(old, new) == [("removed", "base", "7", ""), ("added", "base", "", "8")]


def test_modules_come_and_go():
    old, new = info(Module("gone:1")), info(Module("come:1"))
    assert [(change.kind, change.name) for change in difference(old, new).changes] == [
        ("added", "come:1"),
        ("removed", "gone:1"),
    ]


def test_two_tags_of_one_image_are_not_mixed_up():
    old = info(Module("hello:1"), Module("hello:2"))
    new = info(Module("hello:3"), Module("hello:2"))
    assert difference(old, new).changes == ()


def test_environment_and_sources_are_compared():
    old = info(
        properties={"buildInfo.env.A": "1", "other": "1"},
        vcs=(VcsEntry("https://git.test/a", "abc", message="mend\n\nbecause"),),
    )
    new = info(properties={"buildInfo.env.B": "2", "other": "2"}, vcs=(VcsEntry("https://git.test/a", "def"),))
    assert difference(old, new).changes == (
        Change("environment", "A", "1", ""),
        Change("environment", "B", "", "2"),
        Change("source", "https://git.test/a", "abc", "def"),
    )


def issues(**summaries):
    each = (AffectedIssue(key, f"https://a.test/{key}", text) for key, text in summaries.items())
    return Issues(Tracker("JIRA"), affected=tuple(each))


def test_issues_are_compared_by_their_keys():
    old, new = info(issues=issues(A="Open", B="Mend", D="")), info(issues=issues(B="Mend all", C=""))
    assert difference(old, new).changes == (
        Change("issue", "A", "Open", ""),
        Change("issue", "B", "Mend", "Mend all"),
        Change("issue", "C", "", "C"),
        Change("issue", "D", "D", ""),
    )


def test_a_summary_has_a_line_for_each_issue():
    listed = issues(A="Open\x1b[31m", B="")
    earlier = AffectedIssue("C", "", "Sell", aggregated=True)
    shown = str(info(issues=replace(listed, affected=(*listed.affected, earlier)))).splitlines()
    assert "issue         B https://a.test/B" in shown
    assert "issue         C: Sell (of an earlier run)" in shown
    assert [line for line in shown if line.startswith("issue         A: Open") and "\x1b" not in line]


def test_a_file_of_a_generic_module_is_named_by_its_path():
    def module(sha):
        return Module("files", type="generic", artifacts=(Artifact("a.txt", "x/a.txt", "generic-local", sha),))

    assert difference(info(module(SHAS[1])), info(module(SHAS[2]))).changes == (
        Change("file", "x/a.txt", f"sha256:{SHAS[1]}", f"sha256:{SHAS[2]}", "files"),
    )


modules = st.builds(
    lambda tag, numbers, base: image(
        tag, *(SHAS[number] for number in numbers[:2]), [SHAS[n] for n in numbers[2:]], base
    ),
    st.sampled_from(["1", "2"]),
    st.lists(st.integers(0, 15), min_size=2, max_size=6, unique=True),
    st.lists(st.sampled_from(SHAS), max_size=2, unique=True),
)
infos = st.lists(modules, max_size=3, unique_by=lambda module: module.id).map(lambda listed: info(*listed))


@given(infos, infos)
def test_the_way_back_has_the_same_changes_the_other_way_round(old, new):
    def mirrored(changes):
        return sorted((change.part, change.new, change.old) for change in changes if change.part != "module")

    there, back = difference(old, new), difference(new, old)
    assert there.same == back.same
    assert mirrored(there.changes) == sorted((c.part, c.old, c.new) for c in back.changes if c.part != "module")


def test_foreign_text_is_made_safe_where_it_is_shown():
    old, new = info(), info(properties={"buildInfo.env.A": "<b>\x1b[31m\nred"})
    found = difference(old, new)
    assert "\x1b" not in str(found)
    assert "<b>" not in found._repr_html_()
    assert len(str(found).splitlines()) == 4


def test_a_difference_is_plain_json_types():
    found = difference(info(), info(Module("a:1"))).as_json()
    assert found["changes"] == [
        {"kind": "added", "part": "module", "name": "a:1", "old": "", "new": "a:1", "module": "a:1"}
    ]


def test_a_summary_names_each_image_with_its_digest():
    lines = [line.split() for line in str(info(image("1", SHAS[1], SHAS[2], []))).splitlines()]
    assert lines[-2:] == [["image", "acme.test/hello:1"], ["digest", f"sha256:{SHAS[1]}"]]


@pytest.mark.parametrize("statuses", [None, "x", [None], [{"status": "released\x1b[31m", "user": "ann"}]])
def test_a_summary_has_a_line_for_each_fact(statuses):
    shown = str(
        info(
            Module("a:1"),
            vcs=(VcsEntry("https://git.test/a", "abc", message="mend\n\nbecause"),),
            others={"statuses": statuses},
        )
    )
    assert "module        a:1 (docker): no files" in shown.splitlines()
    assert "\x1b" not in shown
    assert ("promotion     status released" in shown) == isinstance(statuses and statuses[0], dict)

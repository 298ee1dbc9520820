"""Directories of a build-info and where their files are by now: each place stands for one directory of ours."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from buildpush.artifactory.answers import FileFacts
from buildpush.artifactory.directories import (
    Finding,
    ImageFiles,
    Presence,
    groups_of,
    is_same,
    with_actual_paths,
)
from buildpush.artifactory.document import Artifact, BuildInfo, Module
from buildpush.artifactory.lookup import find_files

MARK = "a" * 64
STARTED = datetime(2026, 10, 1, tzinfo=UTC)


def files(tag: str, mark: str = MARK) -> tuple[Artifact, Artifact]:
    """Return the manifest and a blob in the directory of a tag."""
    return (
        Artifact("manifest.json", f"app/{tag}/manifest.json", "local", mark),
        Artifact("sha256__b", f"app/{tag}/sha256__b", "local", "b" * 64),
    )


def info_of(*tags: str) -> BuildInfo:
    modules = tuple(Module(f"app:{tag}", artifacts=files(tag)) for tag in tags)
    return BuildInfo(name="n", number="1", started=STARTED, modules=modules)


def places(info: BuildInfo) -> list[tuple[str, ...]]:
    return [tuple(f"{one.repository}:{one.path}" for one in module.artifacts) for module in info.modules]


def at(tag: str) -> tuple[str, ...]:
    return tuple(f"local:{one.path}" for one in files(tag))


NOWHERE = (":", ":")


def seen(info: BuildInfo, *found: str | None) -> list[Finding]:
    """Return what is found of the directories of *info*: each where it should be, at another tag, or nowhere."""
    told = []
    for directory, tag in zip(groups_of(info.artifacts), found, strict=True):
        if tag is None:
            told.append(Finding(directory, Presence.NOTHING))
        elif directory.path == f"app/{tag}":
            told.append(Finding(directory, Presence.OURS, directory))
        else:
            told.append(Finding(directory, Presence.THEIRS, directory.at("local", f"app/{tag}")))
    return told


@pytest.mark.parametrize(
    ("found", "placed_at"),
    [
        (("1", "2"), [at("1"), at("2")]),
        (("3", "2"), [at("3"), at("2")]),
        ((None, "2"), [NOWHERE, at("2")]),
        (("2", "2"), [NOWHERE, at("2")]),  # what lies there is the other one
        (("3", "3"), [at("3"), NOWHERE]),  # and of two that are both there, the first
        (("3", "4"), [at("3"), at("4")]),
        ((None, None), [NOWHERE, NOWHERE]),
    ],
)
def test_each_file_is_at_one_place_or_at_none(found, placed_at):
    info = info_of("1", "2")
    assert places(with_actual_paths(info, seen(info, *found))) == placed_at


def test_what_nobody_says_stays_where_it_should_be():
    info = info_of("1")
    [directory] = groups_of(info.artifacts)
    assert with_actual_paths(info, [Finding(directory, Presence.UNKNOWN)]) == info


def test_the_files_of_a_directory_go_together_and_those_without_a_manifest_alone():
    assert groups_of(files("1")) == (ImageFiles(files("1")[0], (files("1")[1],)),)
    lonely = Artifact("a", "x/a", "local", MARK), Artifact("b", "x/b", "local", MARK)
    assert groups_of(lonely) == (ImageFiles(lonely[0]), ImageFiles(lonely[1]))
    assert groups_of((Artifact("a", "", "local", MARK), Artifact("b", "x/b", "", MARK))) == ()
    assert groups_of((*files("1"), *files("1"))) == groups_of(files("1"))


class Shown:
    """A client that shows one file, and does not search."""

    def __init__(self, facts: FileFacts | None) -> None:
        self.facts = facts

    def file(self, key, path):
        return self.facts

    def files_below(self, key, directory):
        return ()

    def search(self, alternatives):
        return None

    def repository(self, key):
        return None


@pytest.mark.parametrize(
    ("facts", "presence"),
    [
        (FileFacts("", "", MARK), Presence.OURS),
        (FileFacts("", "", "c" * 64), Presence.THEIRS),
        (None, Presence.NOTHING),
    ],
)
def test_whose_a_directory_is_says_the_checksum_of_its_manifest(facts, presence):
    [directory] = groups_of(files("1"))
    found = directory if presence is Presence.OURS else None
    assert find_files([directory], Shown(facts)) == [Finding(directory, presence, found)]


@pytest.mark.parametrize(
    ("facts", "same"),
    [
        (("1", "2", "3"), True),
        (("1", "2", "X"), False),  # the strongest decides
        (("9", "9", "3"), True),
        (("1", "9", ""), True),
        (("9", "2", ""), False),
        (("", "2", ""), True),
        (("", "", ""), False),
    ],
)
def test_the_strongest_checksum_that_both_know_decides(facts, same):
    assert is_same(Artifact("a", "a", "local", "3", "1", "2"), FileFacts(*facts)) is same
    assert is_same(Artifact("a", "a", "local"), FileFacts(*facts)) is False


def test_letters_of_a_checksum_have_no_case():
    assert is_same(Artifact("a", "a", "local", "AB"), FileFacts("", "", "ab"))

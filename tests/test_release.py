"""The release: one version, one dated heading, one tag, in a clone of its own."""

from __future__ import annotations

import runpy
import subprocess
from datetime import date
from pathlib import Path

import pytest

SCRIPT = runpy.run_path(str(Path(__file__).parent.parent / "release.py"))
Refused = SCRIPT["RefusedError"]
MODULE = '"""A package."""\n\n__version__ = "0.1.0"\n'
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A thing.\n\n## [0.0.9] - 2026-01-01\n\n- Older.\n"


def test_the_version_is_written_where_it_stands():
    assert SCRIPT["versioned"](MODULE, "0.2.0") == MODULE.replace("0.1.0", "0.2.0")
    assert SCRIPT["versioned"](MODULE, "0.1.0") == MODULE


@pytest.mark.parametrize("version", ["0.0.9", "1", "v0.2.0", "0.2.0rc1", "", "01.2.3", "\u0660.1.2"])
def test_a_version_that_is_none_or_an_earlier_one_is_refused(version):
    with pytest.raises(Refused):
        SCRIPT["versioned"](MODULE, version)


def test_what_was_unreleased_gets_a_heading_with_its_day():
    text = SCRIPT["dated"](CHANGELOG, "0.2.0", date(2026, 12, 1))
    assert text == CHANGELOG.replace("## [Unreleased]\n", "## [Unreleased]\n\n## [0.2.0] - 2026-12-01\n")


@pytest.mark.parametrize(
    "changelog", [CHANGELOG.replace("### Added\n\n- A thing.\n\n", ""), CHANGELOG.replace("0.0.9", "0.2.0")]
)
def test_a_release_with_nothing_new_and_one_that_was_made_are_refused(changelog):
    with pytest.raises(Refused):
        SCRIPT["dated"](changelog, "0.2.0", date(2026, 12, 1))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A repository with a version and a changelog, and the function that runs git there."""
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Tester")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "tester@example.com")
    here = tmp_path / "project"
    (here / "buildpush").mkdir(parents=True)
    (here / "buildpush" / "__init__.py").write_text(MODULE)
    (here / "CHANGELOG.md").write_text(CHANGELOG)
    monkeypatch.chdir(here)

    def git(*words, at=here):
        return subprocess.run(["git", *words], cwd=at, check=True, capture_output=True, text=True).stdout

    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "begin"]):
        git(*words)
    return git


@pytest.mark.programs
def test_commit_and_tag_are_made_in_the_clone_and_nothing_changes_here(project, tmp_path):
    before = project("log", "--format=%H")
    clone = tmp_path / "clone"
    SCRIPT["release"]("0.2.0", clone)
    assert project("describe", "--tags", at=clone) == "v0.2.0\n"
    assert '"0.2.0"' in project("show", "v0.2.0:buildpush/__init__.py", at=clone)
    assert "## [0.2.0] - " in project("show", "v0.2.0:CHANGELOG.md", at=clone)
    assert (project("log", "--format=%H"), project("tag"), project("status", "--porcelain")) == (before, "", "")


@pytest.mark.programs
@pytest.mark.parametrize("words", [["tag", "v0.2.0"], ["rm", "--quiet", "--cached", "CHANGELOG.md"]])
def test_a_version_that_is_tagged_and_changes_that_are_not_committed_are_refused(project, tmp_path, words):
    project(*words)
    with pytest.raises(Refused):
        SCRIPT["release"]("0.2.0", tmp_path / "clone")
    assert not (tmp_path / "clone").exists()

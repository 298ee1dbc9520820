"""The revision in a build-info: that of the repository that the context is in, not that of the working directory."""

from __future__ import annotations

import subprocess

import pytest

from buildpush.cli import run_command

pytestmark = pytest.mark.programs

AUTHOR = ("-c", "user.name=x", "-c", "user.email=x@x.test", "-c", "protocol.file.allow=always")


def git(directory, *words) -> str:
    done = subprocess.run(["git", *AUTHOR, *words], cwd=directory, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def repository(directory, message: str):
    """Make a repository with a Dockerfile, and return its directory."""
    directory.mkdir(parents=True)
    (directory / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    git(directory, "init", "-q", "-b", "main")
    git(directory, "add", ".")
    git(directory, "commit", "-q", "-m", message)
    return directory


@pytest.fixture
def vcs_of(box, tmp_path, monkeypatch):
    """Return a function that builds a context from a working directory in another repository: its ``vcs``."""
    monkeypatch.chdir(repository(tmp_path / "pipelines", "The pipelines"))
    monkeypatch.setenv("JF_URL", box.url)
    monkeypatch.setenv("PLUGIN_USERNAME", box.username)
    monkeypatch.setenv("PLUGIN_PASSWORD", box.password.reveal())

    def vcs_of(context):
        target = ("--repo", f"{box.host}/docker-local/app", "--tags", "1", "--build-name", "app", "--build-number", "1")
        words = ("--context", str(context), "--dockerfile", f"{context}/Dockerfile", "--engine", "native")
        assert run_command(["run", *target, *words]) == 0
        [build] = box.builds("app")
        return build.get("vcs", [])

    return vcs_of


def test_a_context_elsewhere_has_the_revision_of_its_own_repository(vcs_of, tmp_path):
    sources = repository(tmp_path / "sources", "The sources")
    (sources / "service").mkdir()
    (sources / "service" / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    [entry] = vcs_of(sources / "service")
    assert (entry["revision"], entry["message"]) == (git(sources, "rev-parse", "HEAD"), "The sources")


def test_a_worktree_has_the_branch_and_revision_that_are_checked_out_there(vcs_of, tmp_path):
    """``jf`` reads those of the main worktree."""
    sources = repository(tmp_path / "sources", "The sources")
    git(sources, "worktree", "add", "-q", "-b", "topic", "../topic")
    git(tmp_path / "topic", "commit", "-q", "--allow-empty", "-m", "The topic")
    [entry] = vcs_of(tmp_path / "topic")
    assert (entry["branch"], entry["message"]) == ("topic", "The topic")


def test_a_submodule_is_a_repository_of_its_own(vcs_of, tmp_path):
    library = repository(tmp_path / "library", "The library")
    sources = repository(tmp_path / "sources", "The sources")
    git(sources, "submodule", "--quiet", "add", str(library), "library")
    [entry] = vcs_of(sources / "library")
    assert (entry["message"], entry["url"]) == ("The library", str(library))


def test_a_detached_head_has_no_branch(vcs_of, tmp_path):
    sources = repository(tmp_path / "sources", "The sources")
    git(sources, "checkout", "-q", "--detach")
    [entry] = vcs_of(sources)
    assert "branch" not in entry
    assert entry["revision"] == git(sources, "rev-parse", "HEAD")


def test_a_context_in_no_repository_has_no_revision(vcs_of, tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    assert vcs_of(tmp_path / "made") == []


@pytest.mark.parametrize("commit", [None, "0" * 40])
def test_a_repository_of_another_user_is_a_note_with_what_allows_it(vcs_of, tmp_path, monkeypatch, capsys, commit):
    """As in a container that runs as root in the files of a user."""
    sources = repository(tmp_path / "the sources", "The sources")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    if commit:
        monkeypatch.setenv("DRONE_COMMIT_SHA", commit)
    assert [entry["revision"] for entry in vcs_of(sources)] == [commit] * bool(commit)
    told = capsys.readouterr().err
    assert ("only the revision of the CI system" if commit else "the build-info has no revision") in told
    assert f"run git config --global --add safe.directory '{sources}'" in told


def test_a_message_is_read_whatever_encoding_the_repository_prefers(vcs_of, tmp_path):
    sources = repository(tmp_path / "sources", "Grüße")
    git(sources, "config", "i18n.commitEncoding", "ISO-8859-1")
    assert vcs_of(sources)[0]["message"] == "Grüße"

"""Issues in a build-info: of the commits since the last run of the same build, for the same repository."""

from __future__ import annotations

import pytest

from buildpush.cli import run_command
from buildpush.expressions.git import Git
from buildpush.places import Here
from tests.test_sources import git, repository

pytestmark = [pytest.mark.programs, pytest.mark.sandbox]

SEARCH = ("--issues-tracker", "JIRA", "--issues-regexp", r"([A-Z]+-\d+) (.+)", "--issues-url", "https://a.test/browse")


class Shop:
    """A repository, and runs that build it."""

    def __init__(self, box, directory) -> None:
        self.box, self.directory = box, directory

    def commit(self, *messages: str) -> None:
        for message in messages:
            git(self.directory, "commit", "-q", "--allow-empty", "-m", message)

    def run(self, number: str, *words: str, context=None) -> list[str]:
        """Build, and return the keys of the issues."""
        where = context or self.directory
        target = ("--repo", f"{self.box.host}/docker-local/app", "--tags", number)
        build = ("--build-name", "app", "--build-number", number, "--engine", "native")
        source = ("--context", str(where), "--dockerfile", f"{where}/Dockerfile")
        assert run_command(["run", *target, *build, *source, *SEARCH, *words]) == 0
        return [one["key"] for one in self.issues.get("affectedIssues", [])]

    @property
    def issues(self):
        return max(self.box.builds("app"), key=lambda build: build["started"]).get("issues", {})


@pytest.fixture
def shop(box, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JF_URL", box.url)
    monkeypatch.setenv("PLUGIN_USERNAME", box.username)
    monkeypatch.setenv("PLUGIN_PASSWORD", box.password.reveal())
    return Shop(box, repository(tmp_path / "shop", "SHOP-1 Open"))


def test_each_run_has_the_issues_since_the_one_before(shop):
    assert shop.run("1") == ["SHOP-1"]
    shop.commit("SHOP-2 Sell pears\n\nSHOP-7 is no subject", "Tidy up", "SHOP-3 Sell plums")
    assert shop.run("2") == ["SHOP-3", "SHOP-2"]
    assert shop.issues["tracker"] == {"name": "JIRA"}
    pears = {"key": "SHOP-2", "url": "https://a.test/browse/SHOP-2", "summary": "Sell pears"}
    assert shop.issues["affectedIssues"][1] == pears
    assert shop.run("3") == []
    assert shop.issues == {"tracker": {"name": "JIRA"}}


def test_without_an_earlier_run_there_are_a_hundred_commits(shop):
    shop.commit(*(f"SHOP-{number} Sell" for number in range(2, 103)))
    keys = shop.run("1")
    assert (len(keys), keys[0], keys[-1]) == (100, "SHOP-102", "SHOP-3")


def test_a_run_that_is_replaced_is_not_the_one_before(shop):
    shop.run("1")
    shop.commit("SHOP-2 Sell pears")
    assert shop.run("2") == ["SHOP-2"]
    assert shop.run("2", "--build-exists", "replace") == ["SHOP-2"]
    assert shop.run("2", "--build-exists", "add") == []


def test_the_revision_of_another_repository_does_not_count(shop, tmp_path):
    shop.run("1")
    other = repository(tmp_path / "other", "PAY-1 Pay")
    git(other, "remote", "add", "origin", "https://me@git.test/pay.git")
    assert shop.run("2", context=other) == ["PAY-1"]
    git(other, "remote", "set-url", "origin", "https://git.test/pay")
    git(other, "commit", "-q", "--allow-empty", "-m", "PAY-2 Refund")
    assert shop.run("3", context=other) == ["PAY-2"]


def test_two_steps_of_one_run_have_the_issues_of_both_repositories(shop, tmp_path, monkeypatch):
    monkeypatch.setenv("PLUGIN_REGISTRY", shop.box.host)
    other = repository(tmp_path / "other", "PAY-1 Pay")
    steps = [
        {"step": {"type": "BuildAndPushDockerRegistry", "identifier": place.name, "spec": {
            "repo": f"{shop.box.host}/docker-local/{place.name}", "tags": ["1"], "context": str(place),
            "dockerfile": f"{place}/Dockerfile",
        }}}
        for place in (shop.directory, other)
    ]  # fmt: skip
    (tmp_path / "steps.yml").write_text(str({"steps": steps}))
    build = ("--build-name", "app", "--build-number", "1", "--engine", "native")
    assert run_command(["run", "steps.yml", *build, *SEARCH]) == 0
    [document] = shop.box.builds("app")
    assert [one["key"] for one in document["issues"]["affectedIssues"]] == ["PAY-1", "SHOP-1"]


def test_a_history_that_was_rewritten_is_a_note_and_no_issues(shop, capsys):
    shop.run("1")
    lost = git(shop.directory, "rev-parse", "HEAD")
    git(shop.directory, "commit", "-q", "--amend", "-m", "SHOP-1 Open early")
    git(shop.directory, "reflog", "expire", "--expire=now", "--all")
    git(shop.directory, "gc", "-q", "--prune=now")
    assert shop.run("2") == []
    assert shop.issues == {}
    assert f"does not have the revision {lost} of the last run" in capsys.readouterr().err


def test_a_shallow_clone_is_a_note_unless_it_reaches_back_to_the_last_run(shop, tmp_path, capsys):
    shop.commit("SHOP-2 Sell pears", "SHOP-3 Sell plums")
    origin = f"file://{shop.directory}"
    git(shop.directory, "remote", "add", "origin", origin)
    git(tmp_path, "clone", "-q", "--depth=1", origin, "shallow")
    assert shop.run("1", context=tmp_path / "shallow") == []
    assert "its clone is shallow: fetch the whole history" in capsys.readouterr().err
    shop.commit("SHOP-4 Sell figs")
    git(tmp_path / "shallow", "pull", "-q", "--depth=2")
    assert shop.run("2", context=tmp_path / "shallow") == ["SHOP-4"]


def test_a_context_in_no_repository_is_a_note(shop, tmp_path, capsys):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    assert shop.run("1", context=tmp_path / "made") == []
    assert "the build-info has no issues: git knows no commit of" in capsys.readouterr().err


def test_an_account_that_may_not_read_builds_gets_a_note(shop, capsys):
    shop.box.add_fault("GET", "/artifactory/api/build/app", status=403, times=9)
    assert shop.run("1") == []
    assert "the build-info has no issues: " in capsys.readouterr().err


def test_the_publish_step_finds_issues_in_the_repository_that_git_path_names(shop, monkeypatch):
    shop.run("1")
    shop.commit("SHOP-2 Sell pears")
    settings = {
        "url": shop.box.artifactory_url,
        "username": shop.box.username,
        "password": shop.box.password.reveal(),
        "docker_image": f"{shop.box.host}/docker-local/app:1",
        "build_name": "app",
        "build_number": "2",
        "git_path": str(shop.directory),
        "issues_tracker": "JIRA",
        "issues_regexp": r"([A-Z]+-\d+) (.+)",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"PLUGIN_{name.upper()}", value)
    assert run_command(["plugin", "--like", "artifactory-publish-docker-buildinfo"]) == 0
    assert shop.issues["affectedIssues"] == [{"key": "SHOP-2", "summary": "Sell pears"}]


@pytest.mark.parametrize("revision", ["HEAD", "--output=stolen", "0" * 39, "", "0" * 40])
def test_what_a_server_calls_a_revision_is_a_commit_only_if_git_has_it_by_its_full_hash(shop, revision):
    here = Git(Here(env={}), shop.directory)
    assert not here.has_commit(revision)
    assert here.has_commit(here.revision)


def test_without_git_there_is_a_note(shop, monkeypatch, capsys):
    monkeypatch.setattr(Git, "_run", lambda *_: None)  # as where the program is missing
    assert shop.run("1") == []
    assert "the build-info has no issues: git knows no commit of" in capsys.readouterr().err

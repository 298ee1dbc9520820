"""The issues that ``jf rt build-add-git --config`` finds are those that buildpush finds."""

from __future__ import annotations

import pytest

from buildpush.cli import run_command
from tests.test_sources import git, repository

pytestmark = pytest.mark.engines

REGEXP = r"(.+-[0-9]+)\s-\s(.+)"  # that of JFrog's documentation
CONFIG = f"""\
version: 1
issues:
  serverID: sandbox
  trackerName: JIRA
  regexp: {REGEXP}
  keyGroupIndex: 1
  summaryGroupIndex: 2
  trackerUrl: https://a.test/browse
"""
MESSAGES = [
    "SHOP-2 - Sell pears",
    "Tidy up",
    "SHOP-3 - Sell plums - ripe ones\n\nSHOP-8 - is no subject",
    "see SHOP-4 - Grüße",
    "SHOP-2 - Sell pears, and mend what the first did",
    "SHOP-3 - Sell plums - ripe ones",
]


@pytest.fixture
def clients(jf, box, tmp_path, monkeypatch):
    """Return, for each client, a function that publishes a run and returns the issues of it."""
    sources = repository(tmp_path / "shop", "SHOP-1 - Open")
    # Where this does not end in .git, jf records another address, and knows only its own runs.
    git(sources, "remote", "add", "origin", "https://git.test/shop.git")
    (tmp_path / "issues.yml").write_text(CONFIG)
    monkeypatch.chdir(sources)
    for name, value in {"URL": box.url, "USER": box.username, "PASSWORD": box.password.reveal()}.items():
        monkeypatch.setenv(f"JF_{name}", value)

    def with_jf(number):
        jf.run("rt", "build-add-git", "shop", number, "--config", tmp_path / "issues.yml", cwd=sources)
        jf.run("rt", "build-publish", "shop", number)
        return box.builds("shop")[0]["issues"]

    def with_buildpush(number):
        target = ("--repo", f"{box.host}/docker-local/shop", "--tags", number, "--engine", "native")
        build = ("--build-name", "shop", "--build-number", number, "--publish-build-info")
        search = ("--issues-tracker", "JIRA", "--issues-regexp", REGEXP, "--issues-url", "https://a.test/browse")
        assert run_command(["run", *target, *build, *search]) == 0
        return box.builds("shop")[0]["issues"]

    return {"jf": with_jf, "buildpush": with_buildpush}


def remove(number):
    assert run_command(["build-info", "delete", "shop", number]) == 0


@pytest.mark.parametrize("before", ["jf", "buildpush", None])
def test_the_issues_since_a_run_of_either_client_are_the_same(clients, tmp_path, before):
    if before:
        clients[before]("1")
    for message in MESSAGES:
        git(tmp_path / "shop", "commit", "-q", "--allow-empty", "-m", message)
    theirs = clients["jf"]("2")
    remove("2")
    ours = clients["buildpush"]("2")
    keys = [one["key"] for one in ours["affectedIssues"]]
    assert keys == ["SHOP-3", "SHOP-2", "see SHOP-4", *([] if before else ["SHOP-1"])]
    theirs["affectedIssues"].sort(key=lambda issue: keys.index(issue["key"]))  # jf gives them in a random order
    assert ours == theirs

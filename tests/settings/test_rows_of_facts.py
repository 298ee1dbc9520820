"""Every row of the table of expressions: what each stands for in each CI system, and in a repository without one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from buildpush.expressions.evaluate import AbsentError, evaluate
from buildpush.expressions.facts import Counter, Facts, Git
from buildpush.foundation.errors import ExpressionError
from buildpush.foundation.secrets import Secret
from buildpush.places import Here
from buildpush.settings.sources import read

pytestmark = pytest.mark.programs

SHA = "0123456789abcdef0123456789abcdef01234567"
BASE = "89abcdef0123456789abcdef0123456789abcdef"
GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"]}
EVENT = {
    "action": "opened",
    "number": 5,
    "pull_request": {
        "number": 5,
        "title": "Bake rye",
        "body": "At last.",
        "html_url": "https://github.com/bakery/bread/pull/5",
        "state": "open",
        "merged": False,
        "merge_commit_sha": "f" * 40,
        "user": {"login": "ada", "avatar_url": "https://avatars.example/ada"},
        "base": {"sha": BASE, "ref": "main"},
        "head": {"sha": "e" * 40, "ref": "feature/rye"},
    },
}
SYSTEMS = {
    "nothing": {},
    "Harness": {
        "HARNESS_BUILD_ID": "7",
        "HARNESS_EXECUTION_ID": "aGk",
        "HARNESS_PIPELINE_ID": "Bread",
        "HARNESS_STAGE_ID": "bake",
        "HARNESS_STEP_ID": "oven",
        "HARNESS_ACCOUNT_ID": "acc",
        "HARNESS_ACCOUNT_NAME": "Bakery",
        "HARNESS_ORG_ID": "bakers",
        "HARNESS_PROJECT_ID": "bread",
        "HARNESS_USER_ID": "ada",
        "DRONE_BUILD_LINK": "https://app.harness.io/7",
        "DRONE_BUILD_EVENT": "pull_request",
        "DRONE_COMMIT_BRANCH": "main",
        "DRONE_COMMIT_SHA": SHA,
        "DRONE_COMMIT_REF": "refs/pull/5/head",
        "DRONE_COMMIT_MESSAGE": "Rye",
        "DRONE_COMMIT_AUTHOR": "ada",
        "DRONE_COMMIT_AUTHOR_NAME": "Ada L.",
        "DRONE_COMMIT_AUTHOR_EMAIL": "ada@bakery.example",
        "DRONE_COMMIT_AUTHOR_AVATAR": "https://avatars.example/ada",
        "DRONE_COMMIT_BEFORE": BASE,
        "DRONE_REPO_LINK": "https://github.com/bakery/bread",
        "DRONE_PULL_REQUEST": "5",
        "DRONE_PULL_REQUEST_TITLE": "Bake rye",
        "DRONE_PULL_REQUEST_LINK": "https://github.com/bakery/bread/pull/5",
        "DRONE_PULL_REQUEST_BODY": "At last.",
        "DRONE_SOURCE_BRANCH": "feature/rye",
        "DRONE_TARGET_BRANCH": "main",
        "DRONE_STAGE_NAME": "Bake",
        "DRONE_STEP_NAME": "Oven",
    },
    "Drone": {"DRONE": "true", "DRONE_BUILD_NUMBER": "8", "DRONE_BUILD_EVENT": "tag", "DRONE_TAG": "v1"},
    "GitHub": {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_EVENT_PATH": "event.json",
        "GITHUB_REPOSITORY": "bakery/bread",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_RUN_NUMBER": "9",
        "GITHUB_RUN_ID": "900",
        "GITHUB_ACTOR": "ada",
        "GITHUB_SHA": SHA,
        "GITHUB_REF": "refs/pull/5/merge",
        "GITHUB_REF_NAME": "5/merge",
        "GITHUB_REF_TYPE": "branch",
        "GITHUB_HEAD_REF": "feature/rye",
        "GITHUB_BASE_REF": "main",
    },
    "GitHub, a tag": {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "push",
        "GITHUB_SHA": SHA,
        "GITHUB_REF": "refs/tags/v1",
        "GITHUB_REF_NAME": "v1",
        "GITHUB_REF_TYPE": "tag",
    },
    "GitHub, by time": {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "schedule"},
    "GitLab": {
        "GITLAB_CI": "true",
        "CI_PIPELINE_IID": "10",
        "CI_PIPELINE_ID": "1000",
        "CI_PIPELINE_URL": "https://gitlab.com/bakery/bread/-/pipelines/1000",
        "CI_PIPELINE_SOURCE": "merge_request_event",
        "CI_COMMIT_SHA": SHA,
        "CI_COMMIT_MESSAGE": "Rye",
        "CI_COMMIT_AUTHOR": "Ada L. <ada@bakery.example>",
        "CI_PROJECT_URL": "https://gitlab.com/bakery/bread",
        "GITLAB_USER_LOGIN": "ada",
        "GITLAB_USER_EMAIL": "ada@bakery.example",
        "CI_MERGE_REQUEST_IID": "5",
        "CI_MERGE_REQUEST_TITLE": "Bake rye",
        "CI_MERGE_REQUEST_DESCRIPTION": "At last.",
        "CI_MERGE_REQUEST_PROJECT_URL": "https://gitlab.com/bakery/bread",
        "CI_MERGE_REQUEST_REF_PATH": "refs/merge-requests/5/merge",
        "CI_MERGE_REQUEST_EVENT_TYPE": "merged_result",
        "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "feature/rye",
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": BASE,
    },
    "Bitbucket": {
        "BITBUCKET_BUILD_NUMBER": "11",
        "BITBUCKET_PIPELINE_UUID": "{b0b}",
        "BITBUCKET_COMMIT": SHA,
        "BITBUCKET_BRANCH": "feature/rye",
        "BITBUCKET_GIT_HTTP_ORIGIN": "https://bitbucket.org/bakery/bread",
        "BITBUCKET_PR_ID": "5",
        "BITBUCKET_PR_DESTINATION_BRANCH": "main",
        "BITBUCKET_PR_DESTINATION_COMMIT": BASE,
    },
    "Azure": {
        "TF_BUILD": "True",
        "BUILD_BUILDID": "12",
        "BUILD_REASON": "PullRequest",
        "BUILD_REQUESTEDFOR": "Ada L.",
        "BUILD_REQUESTEDFOREMAIL": "ada@bakery.example",
        "BUILD_SOURCEBRANCH": "refs/pull/5/merge",
        "BUILD_SOURCEVERSION": SHA,
        "BUILD_SOURCEVERSIONMESSAGE": "Rye",
        "BUILD_SOURCEVERSIONAUTHOR": "Ada L.",
        "BUILD_REPOSITORY_URI": "https://dev.azure.com/bakery/bread/_git/bread",
        "BUILD_REPOSITORY_PROVIDER": "TfsGit",
        "SYSTEM_COLLECTIONURI": "https://dev.azure.com/bakery/",
        "SYSTEM_TEAMPROJECT": "bread",
        "SYSTEM_PULLREQUEST_PULLREQUESTID": "5",
        "SYSTEM_PULLREQUEST_SOURCEBRANCH": "refs/heads/feature/rye",
        "SYSTEM_PULLREQUEST_TARGETBRANCH": "refs/heads/main",
    },
    "Jenkins": {
        "JENKINS_URL": "https://ci.bakery.example",
        "BUILD_NUMBER": "13",
        "BUILD_TAG": "jenkins-bread-13",
        "BUILD_URL": "https://ci.bakery.example/job/bread/13",
        "GIT_BRANCH": "PR-5",
        "GIT_COMMIT": SHA,
        "GIT_URL": "https://git.bakery.example/bread.git",
        "CHANGE_ID": "5",
        "CHANGE_TITLE": "Bake rye",
        "CHANGE_URL": "https://git.bakery.example/bread/pull/5",
        "CHANGE_BRANCH": "feature/rye",
        "CHANGE_TARGET": "main",
        "CHANGE_AUTHOR": "ada",
        "CHANGE_AUTHOR_DISPLAY_NAME": "Ada L.",
        "CHANGE_AUTHOR_EMAIL": "ada@bakery.example",
    },
    "Circle": {
        "CIRCLECI": "true",
        "CIRCLE_BUILD_NUM": "14",
        "CIRCLE_WORKFLOW_ID": "w14",
        "CIRCLE_BUILD_URL": "https://circleci.com/14",
        "CIRCLE_BRANCH": "feature/rye",
        "CIRCLE_SHA1": SHA,
        "CIRCLE_REPOSITORY_URL": "https://github.com/bakery/bread",
        "CIRCLE_PULL_REQUEST": "https://github.com/bakery/bread/pull/5",
        "CIRCLE_USERNAME": "ada",
    },
}
FILE = """\
pipeline:
  name: Daily bread
  identifier: Daily
  orgIdentifier: bakers
  projectIdentifier: bread
  tags: {team: oven}
  variables:
    - {name: flour, type: String, value: rye}
    - {name: loaves, type: Number, value: 3}
  stages:
    - stage:
        name: Bake it
        identifier: bake
        type: CI
        variables:
          - {name: heat, type: String, value: 240 C}
        spec:
          execution:
            steps:
              - step:
                  name: Oven
                  identifier: oven
                  type: BuildAndPushDockerRegistry
                  spec: {connectorRef: c, repo: r, tags: [x]}
    - stage:
        name: Cool
        identifier: cool
        type: CI
        spec: {execution: {steps: []}}
"""
ABSENT = type("Absent", (), {"__repr__": lambda _self: "absent"})()
PULL_REQUESTS = ("Harness", "GitHub", "GitLab", "Bitbucket", "Azure", "Jenkins")


def of_pull_requests(expression, value, *, but=()):
    return [(expression, system, value) for system in PULL_REQUESTS if system not in but]


LINKS = {
    "Harness": "https://github.com/bakery/bread/pull/5",
    "GitHub": "https://github.com/bakery/bread/pull/5",
    "GitLab": "https://gitlab.com/bakery/bread/-/merge_requests/5",
    "Bitbucket": "https://bitbucket.org/bakery/bread/pull-requests/5",
    "Azure": "https://dev.azure.com/bakery/bread/_git/bread/pullrequest/5",
    "Jenkins": "https://git.bakery.example/bread/pull/5",
    "Circle": "https://github.com/bakery/bread/pull/5",
}
NUMBERS = {"Harness": 7, "Drone": 8, "GitHub": 9, "GitLab": 10, "Bitbucket": 11, "Azure": 12, "Jenkins": 13}
IDS = {"Harness": "aGk", "GitHub": "900", "GitLab": "1000", "Bitbucket": "{b0b}", "Azure": "12", "Circle": "w14"}
PAGES = {
    "Harness": "https://app.harness.io/7",
    "GitHub": "https://github.com/bakery/bread/actions/runs/900",
    "GitLab": "https://gitlab.com/bakery/bread/-/pipelines/1000",
    "Bitbucket": "https://bitbucket.org/bakery/bread/pipelines/results/11",
    "Azure": "https://dev.azure.com/bakery/bread/_build/results?buildId=12",
    "Jenkins": "https://ci.bakery.example/job/bread/13",
    "Circle": "https://circleci.com/14",
    "nothing": ABSENT,
}
# By the number of the row: an expression, the CI system, and what it stands for there.
ROWS = {
    1: [("pipeline.sequenceId", system, number) for system, number in (NUMBERS | {"Circle": 14, "nothing": 1}).items()],
    2: [("pipeline.executionId", system, text) for system, text in (IDS | {"nothing": "made-here"}).items()],
    3: [("pipeline.executionUrl", system, text) for system, text in PAGES.items()],
    4: [
        ("pipeline.name", "nothing", "bread"),
        ("pipeline.name", "Harness", "Bread"),
        ("pipeline.name", "file", "Daily bread"),
    ],
    5: [("pipeline.identifier", "Harness", "Bread"), ("pipeline.identifier", "file", "Daily")],
    6: [("pipeline.tags.team", "file", "oven")],
    7: [("pipeline.branchSeqId", "nothing", 1), ("pipeline.branchSeqId", "GitHub, a tag", ABSENT)],
    8: [("pipeline.resumedExecutionId", "Harness", "aGk"), ("pipeline.resumedExecutionId", "nothing", "made-here")],
    9: [("pipeline.executionMode", "nothing", "NORMAL")],
    10: [("pipeline.startTs", "nothing", 1700000000500)],
    11: [
        ("pipeline.triggerType", "nothing", "MANUAL"),
        ("pipeline.triggerType", "GitHub, by time", "SCHEDULER_CRON"),
        *of_pull_requests("pipeline.triggerType", "WEBHOOK", but=("Jenkins",)),
    ],
    12: [
        ("pipeline.triggeredBy.name", "nothing", "Ada"),
        *(("pipeline.triggeredBy.name", system, "ada") for system in ("Harness", "GitHub", "GitLab", "Circle")),
        ("pipeline.triggeredBy.name", "Azure", "Ada L."),
    ],
    13: [
        ("pipeline.triggeredBy.email", "nothing", "ada@example.com"),
        ("pipeline.triggeredBy.email", "GitLab", "ada@bakery.example"),
        ("pipeline.triggeredBy.email", "Azure", "ada@bakery.example"),
    ],
    14: [("pipeline.variables.flour", "file", "rye"), ("pipeline.variables.loaves", "file", "3")],
    15: [("stage.variables.heat", "file", "240 C")],
    16: [("variable.a", "flags", "1"), ("variable.org.b", "flags", "2"), ("variable.account.c", "flags", "3")],
    17: [
        ("account.identifier", "Harness", "acc"),
        ("account.name", "Harness", "Bakery"),
        ("account.companyName", "nothing", ABSENT),
        ("account.companyName", "flags", "Bakery Ltd"),
    ],
    18: [
        ("org.identifier", "Harness", "bakers"),
        ("org.name", "Harness", "bakers"),
        ("org.identifier", "file", "bakers"),
    ],
    19: [
        ("project.identifier", "Harness", "bread"),
        ("project.name", "Harness", "bread"),
        ("project.identifier", "file", "bread"),
    ],
    20: [
        ("stage.name", "Harness", "Bake"),
        ("stage.identifier", "Harness", "bake"),
        ("stage.name", "file", "Bake it"),
        ("stage.identifier", "file", "bake"),
        ("stage.type", "file", "CI"),
    ],
    21: [
        ("step.name", "Harness", "Oven"),
        ("step.identifier", "Harness", "oven"),
        ("step.name", "file", "Oven"),
        ("step.identifier", "file", "oven"),
    ],
    22: [("stage.executionUrl", "GitLab", PAGES["GitLab"]), ("step.executionUrl", "Azure", PAGES["Azure"])],
    29: [
        ("codebase.branch", "nothing", "feature/lane"),
        ("codebase.branch", "GitHub, a tag", "feature/lane"),
        ("codebase.branch", "Circle", "feature/rye"),
        *of_pull_requests("codebase.branch", "main"),
    ],
    30: [("codebase.commitSha", "nothing", "<HEAD>"), *of_pull_requests("codebase.commitSha", SHA)],
    31: [("codebase.shortCommitSha", system, SHA[:7]) for system in ("GitHub", "Bitbucket", "Circle")],
    32: [
        ("codebase.commitRef", "nothing", "refs/heads/feature/lane"),
        ("codebase.commitRef", "GitHub", "refs/pull/5/merge"),
        ("codebase.commitRef", "GitHub, a tag", "refs/tags/v1"),
        ("codebase.commitRef", "GitLab", "refs/merge-requests/5/merge"),
        ("codebase.commitRef", "Azure", "refs/pull/5/merge"),
        ("codebase.commitRef", "Bitbucket", ABSENT),
        ("codebase.commitRef", "Drone", "refs/tags/v1"),
    ],
    33: [("codebase.commitMessage", "nothing", "One"), ("codebase.commitMessage", "GitLab", "Rye")],
    34: [("codebase.tag", "nothing", "v0"), ("codebase.tag", "Drone", "v1"), ("codebase.tag", "GitHub, a tag", "v1")],
    35: [
        ("codebase.repoUrl", "nothing", "https://git.example.com/bread.git"),
        ("codebase.repoUrl", "GitHub", "https://github.com/bakery/bread"),
        ("codebase.repoUrl", "Bitbucket", "https://bitbucket.org/bakery/bread"),
        ("codebase.repoUrl", "Jenkins", "https://git.bakery.example/bread.git"),
    ],
    36: [
        ("codebase.build.type", "nothing", "branch"),
        ("codebase.build.type", "Drone", "tag"),
        ("codebase.build.type", "GitHub, a tag", "tag"),
        ("codebase.build.type", "Circle", "PR"),
        *of_pull_requests("codebase.build.type", "PR"),
    ],
    37: [
        *of_pull_requests("codebase.prNumber", "5"),
        ("codebase.prNumber", "Circle", "5"),
        ("codebase.prNumber", "nothing", ABSENT),
        *of_pull_requests("codebase.prTitle", "Bake rye", but=("Bitbucket", "Azure")),
        *(("codebase.pullRequestLink", system, link) for system, link in LINKS.items()),
        *of_pull_requests("codebase.pullRequestBody", "At last.", but=("Bitbucket", "Azure", "Jenkins")),
    ],
    38: [
        *of_pull_requests("codebase.sourceBranch", "feature/rye"),
        *of_pull_requests("codebase.targetBranch", "main"),
        ("codebase.targetBranch", "nothing", ABSENT),
    ],
    39: [
        *of_pull_requests("codebase.baseCommitSha", BASE, but=("Azure", "Jenkins")),
        *(("codebase.mergeSha", system, SHA) for system in ("GitHub", "GitLab", "Azure")),
        ("codebase.state", "GitHub", "open"),
        ("codebase.state", "GitLab", ABSENT),
    ],
    40: [
        ("codebase.gitUser", "nothing", "Ada"),
        ("codebase.gitUserEmail", "nothing", "ada@example.com"),
        *(("codebase.gitUser", system, "Ada L.") for system in ("Harness", "GitLab", "Azure", "Jenkins")),
        *(("codebase.gitUserEmail", system, "ada@bakery.example") for system in ("Harness", "GitLab", "Jenkins")),
        *(("codebase.gitUserId", system, "ada") for system in ("Harness", "GitHub", "GitLab", "Jenkins")),
        *(("codebase.gitUserAvatar", system, "https://avatars.example/ada") for system in ("Harness", "GitHub")),
    ],
    41: [
        ("trigger.branch", "nothing", ABSENT),
        ("trigger.payload.pull_request.title", "GitHub", "Bake rye"),
        ("trigger.payload.pull_request.number", "GitHub", 5),
        ("trigger.payload.loaf.grain", "flags", "rye"),
        ("trigger.payload", "GitLab", ABSENT),
        ("trigger.event", "GitHub", "PR"),
        ("trigger.event", "GitHub, a tag", "PUSH"),
        ("trigger.type", "GitLab", "Webhook"),
        ("trigger.type", "GitHub, by time", "Scheduled"),
        ("trigger.sourceRepo", "GitHub", "GitHub Actions"),
        ("trigger.targetBranch", "Bitbucket", "main"),
        ("trigger.commitSha", "Azure", SHA),
        ("trigger.prNumber", "GitLab", "5"),
        ("trigger.tag", "GitHub, a tag", "v1"),
    ],
    42: [('secrets.getValue("token")', "nothing", "value of token")],
    43: [
        ('secrets.getValue("org.token")', "nothing", "value of org.token"),
        ('secrets.getValue("account.token")', "nothing", "value of account.token"),
    ],
    44: [("env.GITHUB_ACTOR", "GitHub", "ada"), ("env.name", "nothing", ExpressionError)],
    45: [("matrix.grain", "loop", "rye"), ("matrix.grain", "nothing", ABSENT)],
    46: [("matrix.oven.heat", "loop", "240")],
    47: [("stage.matrix.shelf", "loop", "top")],
    48: [("repeat.item", "loop", "a")],
    49: [("repeat.partition", "loop", ["a", "b"])],
    50: [("strategy.iteration", "loop", 0)],
    51: [("strategy.iterations", "loop", 2)],
    52: [("strategy.identifierPostFix", "loop", "_0_1")],
    54: [("input", "flags", "given"), ("input>.default(x", "nothing", "x"), ("input", "nothing", ABSENT)],
    55: [("codebase.gitUser.toLowerCase()", "Azure", "ada l.")],
    56: [('codebase.sourceBranch.replace("/","-")', "GitHub", "feature-rye")],
    57: [('codebase.sourceBranch.split("/")[1]', "GitLab", "rye")],
    58: [
        ("codebase.commitSha.substring(0,7)", "Circle", SHA[:7]),
        ("stage.name.substring(0,99)", "file", ExpressionError),
    ],
    59: [
        ('codebase.sourceBranch.contains("ry")', "Bitbucket", True),
        ('codebase.sourceBranch.startsWith("feature/")', "Azure", True),
        ('codebase.sourceBranch.endsWith("/rye")', "Jenkins", True),
        ('codebase.sourceBranch.matches("feature/.*")', "Harness", True),
    ],
    60: [
        ('codebase.branch=="main"?"yes":"no"', "GitHub", "yes"),
        ('codebase.branch=="main"?"yes":"no"', "nothing", "no"),
    ],
    61: [
        ('<+pipeline.sequenceId>.toString() + "-rc"', "GitHub", "9-rc"),
        ('pipeline.sequenceId + "-rc"', "GitLab", "10-rc"),
    ],
    62: [
        ('json.select("a.b", \'{"a": {"b": "c"}}\')', "nothing", "c"),
        ('json.list("a", \'{"a": ["b"]}\')[0]', "nothing", "b"),
        ('json.format({"a": "b"})', "nothing", '{"a":"b"}'),
    ],
    63: [
        ("pipeline.selectedStages", "file", ["bake", "cool"]),
        ("pipeline.selectedStages", "stage bake", ["bake"]),
        ("pipeline.storeType", "nothing", "REMOTE"),
        ("pipeline.repo", "nothing", "bread"),
        ("pipeline.branch", "nothing", "feature/lane"),
    ],
    65: [
        (f"{name}.x", "nothing", ExpressionError) for name in ("artifact", "infra", "service", "manifest", "delegate")
    ],
}
# What steps have become: tested where steps are run.
OF_RUNS = {23, 24, 25, 26, 27, 28, 53, 64}
CASES = [(number, *case) for number, cases in ROWS.items() for case in cases]
INPUTS = {
    "variable.a": "1",
    "org.b": "2",
    "variable.account.c": "3",
    "account.companyName": "Bakery Ltd",
    "tags": "given",
    "trigger.payload": '{"loaf": {"grain": "rye"}}',
}
LOOP = {
    "matrix": {"grain": "rye", "oven": {"heat": "240"}},
    "stage": {"matrix": {"shelf": "top"}},
    "repeat": {"item": "a", "partition": ["a", "b"]},
    "strategy": {"iteration": 0, "iterations": 2, "identifierPostFix": "_0_1"},
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    root = tmp_path_factory.mktemp("all") / "bread"
    root.mkdir()
    place = Here(GIT)
    for words in (
        ("init", "-q", "-b", "feature/lane"),
        ("config", "user.name", "Ada"),
        ("config", "user.email", "ada@example.com"),
        ("remote", "add", "origin", "https://ada:hunter22@git.example.com/bread.git"),
        ("commit", "-q", "--allow-empty", "-m", "One"),
        ("tag", "v0"),
    ):
        ran = place.run(["git", *words], cwd=root)
        assert ran.status == 0, ran.stderr
    (root / "event.json").write_text(json.dumps(EVENT))
    (root / "bread.yml").write_text(FILE)
    return root


@pytest.fixture
def ask(repository, tmp_path):
    def answer(expression, system):
        env = dict(SYSTEMS.get(system, {}))
        if "GITHUB_EVENT_PATH" in env:
            env["GITHUB_EVENT_PATH"] = str(repository / env["GITHUB_EVENT_PATH"])
        inputs = INPUTS if system == "flags" else {}
        facts = Facts(
            env,
            Git(Here(GIT), repository),
            Counter(tmp_path),
            1700000000.5,
            lambda identifier: Secret(f"value of {identifier}"),
            scope=LOOP if system == "loop" else {},
            written=dict(inputs),
            inputs=inputs,
            new_id=lambda: "made-here",
        )
        if system in {"file", "stage bake"}:
            stage = "bake" if system == "stage bake" else None
            loaded = read(Path("bread.yml"), env={}, flags={}, keywords={}, cwd=repository, step=None, stage=stage)
            facts = facts.within(loaded.steps[0].scope, loaded.steps[0].facts)
        text = f"<+{expression}" + (")" if expression.endswith("(x") else ">")
        value = evaluate(text, facts, field="tags")
        return value.reveal() if isinstance(value, Secret) else value

    return answer


@pytest.mark.parametrize(("row", "expression", "system", "value"), CASES, ids=lambda one: str(one)[:40])
def test_an_expression_stands_for_what_its_row_says(ask, repository, row, expression, system, value):
    if value is ABSENT:
        try:
            assert ask(expression, system) == "", row
        except AbsentError:
            return
    elif value is ExpressionError:
        with pytest.raises(ExpressionError):
            ask(expression, system)
    elif value == "<HEAD>":
        ran = Here(GIT).run(["git", "rev-parse", "HEAD"], cwd=repository)
        assert ask(expression, system) == ran.stdout.strip()
    else:
        assert ask(expression, system) == value


def test_each_of_the_rows_is_there():
    assert {*ROWS, *OF_RUNS} == set(range(1, 66))


class TestEvents:
    @pytest.mark.parametrize("text", ["", "{", "[1]", '{"pull_request": 5}', '{"pull_request": {"title": ["x"]}}'])
    def test_an_event_that_says_nothing_leaves_the_variables(self, ask, repository, tmp_path, text, monkeypatch):
        (tmp_path / "event.json").write_text(text)
        monkeypatch.setitem(SYSTEMS["GitHub"], "GITHUB_EVENT_PATH", str(tmp_path / "event.json"))
        assert ask("codebase.prNumber", "GitHub") == "5"
        assert ask("codebase.prTitle ?? 'none'", "GitHub") == "none"

    def test_in_a_container_without_the_event_the_reference_says_the_number(self, ask, monkeypatch):
        monkeypatch.setitem(SYSTEMS["GitHub"], "GITHUB_EVENT_PATH", "/nowhere/event.json")
        assert ask("codebase.prNumber", "GitHub") == "5"
        assert ask("codebase.pullRequestLink", "GitHub") == "https://github.com/bakery/bread/pull/5"

    @pytest.mark.parametrize(
        ("change", "state"), [({"state": "closed"}, "closed"), ({"state": "closed", "merged": True}, "merged")]
    )
    def test_a_pull_request_that_is_no_longer_open_says_so(self, ask, tmp_path, monkeypatch, change, state):
        event = {**EVENT, "pull_request": {**EVENT["pull_request"], **change}}
        (tmp_path / "event.json").write_text(json.dumps(event))
        monkeypatch.setitem(SYSTEMS["GitHub"], "GITHUB_EVENT_PATH", str(tmp_path / "event.json"))
        assert ask("codebase.state", "GitHub") == state

    def test_a_payload_given_as_a_flag_must_be_json(self, ask, monkeypatch):
        monkeypatch.setitem(INPUTS, "trigger.payload", "{")
        with pytest.raises(ExpressionError, match=r"trigger.payload is not JSON"):
            ask("trigger.payload.loaf.grain", "flags")


def test_what_a_flag_says_counts_for_what_is_made_of_it(ask, monkeypatch):
    monkeypatch.setitem(INPUTS, "codebase.commitSha", "a" * 40)
    monkeypatch.setitem(INPUTS, "codebase.prNumber", "8")
    assert ask("codebase.shortCommitSha", "flags") == "aaaaaaa"
    assert ask("codebase.build.type", "flags") == "PR"

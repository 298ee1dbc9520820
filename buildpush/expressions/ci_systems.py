"""The CI systems, one row each: which of their variables give which value.

Sources: each system's page on predefined variables; for GitHub also its page on webhook events and payloads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

from buildpush.foundation import strict_json
from buildpush.foundation.forms import clean_address
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex

Env = Mapping[str, str]

_EVENT_LIMIT: Final = 32 * 2**20  # bytes; a payload of GitHub has at most 25 MB
_GITHUB_PULL: Final = regex(r"refs/pull/([0-9]{1,18})/(?:merge|head)\Z")
_AZURE_PULL: Final = regex(r"refs/pull/([0-9]{1,18})/merge\Z")
_AUTHOR: Final = regex(r"([^<>]*?) ?<([^<>]*)>\Z")


@dataclass(frozen=True, slots=True)
class Formula:
    """A value that is computed from variables.

    Attributes:
        variables: the variables that it needs.
        compute: returns the value; the empty text for none.
    """

    variables: tuple[str, ...]
    compute: Callable[[Env], str]


# One variable; several, of which the first that is set counts; or a formula.
ValueSource = str | tuple[str, ...] | Formula

# Outputs for later steps, one per line; a summary in Markdown, or the directory for one that a line of the log names; a
# card, which Drone shows beside the log; the reason for a failure.
FileKind = Literal["outputs", "summary", "summary directory", "card", "failure"]


@dataclass(frozen=True, slots=True)
class CiSystem:
    """A CI system and its variables.

    Attributes:
        name: as its makers write it.
        marker: the variable by which it is recognised.
        values: for each name in expressions, such as ``codebase.branch``, where its value comes from.
        files: variables that name the files that it reads after a step, and what belongs in each.
        build: variables that together name what it runs, wherever that is in its server.
        job: the variable that names the job; empty where *build* says it.
        attempt: the variable that counts how often a run of the same number was started.
    """

    name: str
    marker: str
    values: Mapping[str, ValueSource]
    files: Mapping[str, FileKind] = field(default_factory=dict)
    build: tuple[str, ...] = ()
    job: str = ""
    attempt: str = ""


def _trigger(variable: str, **types: str) -> Formula:
    """Return the formula for ``pipeline.triggerType``; *types* are the types of the events that are not webhooks."""
    return Formula((variable,), lambda env: types.get(env[variable], "WEBHOOK") if env.get(variable) else "")


def _after(prefix: str, variable: str) -> Formula:
    """Return the formula for what follows *prefix* in *variable*; empty if the variable begins with something else."""
    return Formula((variable,), lambda env: _rest(env.get(variable, ""), prefix))


def _rest(text: str, prefix: str) -> str:
    return text.removeprefix(prefix) if text.startswith(prefix) else ""


def _without(prefix: str, variable: str) -> Formula:
    """Return the formula for *variable* without *prefix*, if it begins with that."""
    return Formula((variable,), lambda env: env.get(variable, "").removeprefix(prefix))


def _under(base: str, variable: str, path: str) -> Formula:
    """Return the formula for an address: the one in *base*, followed by *path* and the value of *variable*."""
    return Formula(
        (base, variable),
        lambda env: f"{_address(env[base])}{path}{env[variable]}" if env.get(base) and env.get(variable) else "",
    )


def _address(text: str) -> str:
    return clean_address(text).removesuffix(".git").rstrip("/")


# ---- GitHub


def event_of(env: Env) -> Mapping[str, Any]:
    """Return the event of GitHub that started the run, as it was delivered; empty if it cannot be read."""
    path = Path(env.get("GITHUB_EVENT_PATH", ""))
    try:
        if not path.is_file() or path.stat().st_size > _EVENT_LIMIT:
            return {}
        return _event(path, path.stat().st_mtime_ns)
    except (OSError, ValueError, RecursionError):  # in a container, the file may not be there
        return {}


@lru_cache(maxsize=1)
def _event(path: Path, _: int) -> Mapping[str, Any]:
    event = strict_json.parse(path.read_bytes())
    return event if isinstance(event, dict) else {}


def _of_event(*keys: str) -> Formula:
    """Return the formula for the text or number at *keys* of the event."""

    def read(env: Env) -> str:
        value: Any = event_of(env)
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""

    return Formula(("GITHUB_EVENT_PATH",), read)


def _of_pull_request(*keys: str) -> Formula:
    return _of_event("pull_request", *keys)


def _github_state(env: Env) -> str:
    pull = event_of(env).get("pull_request")
    if not isinstance(pull, dict) or pull.get("state") not in {"open", "closed"}:
        return ""
    return "merged" if pull.get("merged") is True else str(pull["state"])


def _github_number(env: Env) -> str:
    match = _GITHUB_PULL.match(env.get("GITHUB_REF", ""))
    return _of_pull_request("number").compute(env) or (match[1] if match else "")


def _github_merge(env: Env) -> str:
    is_merge = env.get("GITHUB_REF", "").endswith("/merge") and _GITHUB_PULL.match(env["GITHUB_REF"])
    return env.get("GITHUB_SHA", "") if is_merge else _of_pull_request("merge_commit_sha").compute(env)


def _github_repository(env: Env) -> str:
    if not env.get("GITHUB_REPOSITORY"):
        return ""
    server = env.get("GITHUB_SERVER_URL", "https://github.com").rstrip("/")
    return clean_address(f"{server}/{env['GITHUB_REPOSITORY']}")


def _github_run_url(env: Env) -> str:
    repository, run = _github_repository(env), env.get("GITHUB_RUN_ID")
    return f"{repository}/actions/runs/{run}" if repository and run else ""


def _github_reference(env: Env, kind: str) -> str:
    return env.get("GITHUB_REF_NAME", "") if env.get("GITHUB_REF_TYPE") == kind else ""


def _github_link(env: Env) -> str:
    repository, number = _github_repository(env), _github_number(env)
    address = f"{repository}/pull/{number}" if repository and number else ""
    return _of_pull_request("html_url").compute(env) or address


# ---- others


def _gitlab_author(part: int) -> Formula:
    def read(env: Env) -> str:
        match = _AUTHOR.match(env.get("CI_COMMIT_AUTHOR", ""))
        return match[part] if match else ""

    return Formula(("CI_COMMIT_AUTHOR",), read)


def _gitlab_merge(env: Env) -> str:
    merges = {"merged_result", "merge_train"}
    return env.get("CI_COMMIT_SHA", "") if env.get("CI_MERGE_REQUEST_EVENT_TYPE") in merges else ""


def _azure_run_url(env: Env) -> str:
    if not env.get("SYSTEM_COLLECTIONURI") or not env.get("BUILD_BUILDID"):
        return ""
    collection, project = env["SYSTEM_COLLECTIONURI"].rstrip("/"), env.get("SYSTEM_TEAMPROJECT", "")
    return f"{collection}/{project}/_build/results?buildId={env['BUILD_BUILDID']}"


def _azure_merge(env: Env) -> str:
    return env.get("BUILD_SOURCEVERSION", "") if _AZURE_PULL.match(env.get("BUILD_SOURCEBRANCH", "")) else ""


def _azure_link(env: Env) -> str:
    repository, number = env.get("BUILD_REPOSITORY_URI"), env.get("SYSTEM_PULLREQUEST_PULLREQUESTID")
    is_azure = env.get("BUILD_REPOSITORY_PROVIDER", "TfsGit") == "TfsGit"
    return f"{_address(repository)}/pullrequest/{number}" if repository and number and is_azure else ""


def _bitbucket_source(env: Env) -> str:
    return env.get("BITBUCKET_BRANCH", "") if env.get("BITBUCKET_PR_ID") else ""


def _bitbucket_trigger(env: Env) -> str:
    return "WEBHOOK" if env.get("BITBUCKET_PR_ID") else ""


def _circle_number(env: Env) -> str:
    number = env.get("CIRCLE_PULL_REQUEST", "").rstrip("/").rpartition("/")[2]
    return number if number.isascii() and number.isdigit() else ""


_DRONE: Final[Mapping[str, ValueSource]] = {
    "pipeline.executionUrl": "DRONE_BUILD_LINK",
    "pipeline.triggerType": _trigger("DRONE_BUILD_EVENT", cron="SCHEDULER_CRON", custom="MANUAL"),
    "pipeline.triggeredBy.name": "DRONE_BUILD_TRIGGER",
    "stage.name": "DRONE_STAGE_NAME",
    "step.name": "DRONE_STEP_NAME",
    "codebase.branch": "DRONE_COMMIT_BRANCH",
    "codebase.commitSha": "DRONE_COMMIT_SHA",
    "codebase.commitRef": "DRONE_COMMIT_REF",
    "codebase.commitMessage": "DRONE_COMMIT_MESSAGE",
    "codebase.tag": "DRONE_TAG",
    "codebase.repoUrl": ("DRONE_REPO_LINK", "DRONE_GIT_HTTP_URL"),
    "codebase.gitUser": ("DRONE_COMMIT_AUTHOR_NAME", "DRONE_COMMIT_AUTHOR"),
    "codebase.gitUserEmail": "DRONE_COMMIT_AUTHOR_EMAIL",
    "codebase.gitUserId": "DRONE_COMMIT_AUTHOR",
    "codebase.gitUserAvatar": "DRONE_COMMIT_AUTHOR_AVATAR",
    "codebase.prNumber": "DRONE_PULL_REQUEST",
    "codebase.prTitle": "DRONE_PULL_REQUEST_TITLE",
    "codebase.pullRequestLink": "DRONE_PULL_REQUEST_LINK",
    "codebase.pullRequestBody": "DRONE_PULL_REQUEST_BODY",
    "codebase.sourceBranch": "DRONE_SOURCE_BRANCH",
    "codebase.targetBranch": "DRONE_TARGET_BRANCH",
    "codebase.baseCommitSha": "DRONE_COMMIT_BEFORE",
}

CI_SYSTEMS: Final = (
    CiSystem(
        "Harness",
        "HARNESS_BUILD_ID",
        {
            **_DRONE,  # Harness CI is built on Drone, and sets its variables too
            "pipeline.sequenceId": "HARNESS_BUILD_ID",
            "pipeline.name": "HARNESS_PIPELINE_ID",
            "pipeline.identifier": "HARNESS_PIPELINE_ID",
            "pipeline.executionId": "HARNESS_EXECUTION_ID",
            "pipeline.triggeredBy.name": ("HARNESS_USER_ID", "DRONE_BUILD_TRIGGER"),
            "stage.name": ("HARNESS_STAGE_NAME", "DRONE_STAGE_NAME", "HARNESS_STAGE_ID"),
            "stage.identifier": "HARNESS_STAGE_ID",
            "step.identifier": "HARNESS_STEP_ID",
            "account.identifier": "HARNESS_ACCOUNT_ID",
            "account.name": "HARNESS_ACCOUNT_NAME",
            "org.identifier": "HARNESS_ORG_ID",
            "org.name": "HARNESS_ORG_ID",
            "project.identifier": "HARNESS_PROJECT_ID",
            "project.name": "HARNESS_PROJECT_ID",
        },
        files={"HARNESS_OUTPUT_FILE": "outputs", "HARNESS_OUTPUT": "outputs", "ERROR_METADATA_FILE": "failure"},
        build=("HARNESS_PIPELINE_ID",),
    ),
    CiSystem(
        "GitHub Actions",
        "GITHUB_ACTIONS",
        {
            "pipeline.sequenceId": "GITHUB_RUN_NUMBER",
            "pipeline.executionId": "GITHUB_RUN_ID",
            "pipeline.executionUrl": Formula(("GITHUB_REPOSITORY", "GITHUB_RUN_ID"), _github_run_url),
            "pipeline.triggerType": _trigger(
                "GITHUB_EVENT_NAME",
                schedule="SCHEDULER_CRON",
                workflow_dispatch="MANUAL",
                repository_dispatch="WEBHOOK_CUSTOM",
            ),
            "pipeline.triggeredBy.name": "GITHUB_ACTOR",
            "codebase.branch": Formula(
                ("GITHUB_HEAD_REF", "GITHUB_REF_NAME"),
                lambda env: env.get("GITHUB_HEAD_REF") or _github_reference(env, "branch"),
            ),
            "codebase.commitSha": "GITHUB_SHA",
            "codebase.commitRef": "GITHUB_REF",
            # A TAG_NAME that the workflow itself sets takes precedence.
            "codebase.tag": Formula(
                ("TAG_NAME", "GITHUB_REF_NAME"), lambda env: env.get("TAG_NAME") or _github_reference(env, "tag")
            ),
            "codebase.repoUrl": Formula(("GITHUB_REPOSITORY",), _github_repository),
            "codebase.gitUserId": Formula(
                ("GITHUB_EVENT_PATH",),
                lambda env: _of_pull_request("user", "login").compute(env) or _of_event("sender", "login").compute(env),
            ),
            "codebase.gitUserAvatar": Formula(
                ("GITHUB_EVENT_PATH",),
                lambda env: (
                    _of_pull_request("user", "avatar_url").compute(env)
                    or _of_event("sender", "avatar_url").compute(env)
                ),
            ),
            "codebase.prNumber": Formula(("GITHUB_EVENT_PATH", "GITHUB_REF"), _github_number),
            "codebase.prTitle": _of_pull_request("title"),
            "codebase.pullRequestLink": Formula(("GITHUB_EVENT_PATH", "GITHUB_REF"), _github_link),
            "codebase.pullRequestBody": _of_pull_request("body"),
            "codebase.sourceBranch": "GITHUB_HEAD_REF",
            "codebase.targetBranch": "GITHUB_BASE_REF",
            "codebase.baseCommitSha": _of_pull_request("base", "sha"),
            "codebase.mergeSha": Formula(("GITHUB_REF", "GITHUB_SHA", "GITHUB_EVENT_PATH"), _github_merge),
            "codebase.state": Formula(("GITHUB_EVENT_PATH",), _github_state),
        },
        files={"GITHUB_OUTPUT": "outputs", "GITHUB_STEP_SUMMARY": "summary"},
        build=("GITHUB_REPOSITORY", "GITHUB_WORKFLOW"),
        job="GITHUB_JOB",
        attempt="GITHUB_RUN_ATTEMPT",
    ),
    CiSystem(
        "GitLab CI",
        "GITLAB_CI",
        {
            "pipeline.sequenceId": "CI_PIPELINE_IID",
            "pipeline.executionId": "CI_PIPELINE_ID",
            "pipeline.executionUrl": ("CI_PIPELINE_URL", "CI_JOB_URL"),
            "pipeline.triggerType": _trigger(
                "CI_PIPELINE_SOURCE", schedule="SCHEDULER_CRON", web="MANUAL", api="MANUAL"
            ),
            "pipeline.triggeredBy.name": "GITLAB_USER_LOGIN",
            "pipeline.triggeredBy.email": "GITLAB_USER_EMAIL",
            "codebase.branch": "CI_COMMIT_BRANCH",
            "codebase.commitSha": "CI_COMMIT_SHA",
            "codebase.commitRef": "CI_MERGE_REQUEST_REF_PATH",
            "codebase.commitMessage": "CI_COMMIT_MESSAGE",
            "codebase.tag": "CI_COMMIT_TAG",
            "codebase.repoUrl": "CI_PROJECT_URL",
            "codebase.gitUser": _gitlab_author(1),
            "codebase.gitUserEmail": _gitlab_author(2),
            "codebase.gitUserId": "GITLAB_USER_LOGIN",
            "codebase.prNumber": "CI_MERGE_REQUEST_IID",
            "codebase.prTitle": "CI_MERGE_REQUEST_TITLE",
            "codebase.pullRequestLink": _under(
                "CI_MERGE_REQUEST_PROJECT_URL", "CI_MERGE_REQUEST_IID", "/-/merge_requests/"
            ),
            "codebase.pullRequestBody": "CI_MERGE_REQUEST_DESCRIPTION",
            "codebase.sourceBranch": "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME",
            "codebase.targetBranch": "CI_MERGE_REQUEST_TARGET_BRANCH_NAME",
            "codebase.baseCommitSha": "CI_MERGE_REQUEST_DIFF_BASE_SHA",
            "codebase.mergeSha": Formula(("CI_MERGE_REQUEST_EVENT_TYPE", "CI_COMMIT_SHA"), _gitlab_merge),
        },
        build=("CI_PROJECT_PATH",),
        job="CI_JOB_NAME",
    ),
    CiSystem(
        "Jenkins",
        "JENKINS_URL",
        {
            "pipeline.sequenceId": "BUILD_NUMBER",
            "pipeline.executionId": "BUILD_TAG",
            "pipeline.executionUrl": "BUILD_URL",
            "pipeline.triggeredBy.name": "BUILD_USER_ID",
            "pipeline.triggeredBy.email": "BUILD_USER_EMAIL",
            "codebase.branch": _without("origin/", "GIT_BRANCH"),  # it begins with the remote
            "codebase.commitSha": "GIT_COMMIT",
            # Other programs may use this variable as well: a formula, so that other systems take precedence.
            "codebase.tag": Formula(("TAG_NAME",), lambda env: env.get("TAG_NAME", "")),
            "codebase.repoUrl": "GIT_URL",
            "codebase.gitUser": "CHANGE_AUTHOR_DISPLAY_NAME",
            "codebase.gitUserEmail": "CHANGE_AUTHOR_EMAIL",
            "codebase.gitUserId": "CHANGE_AUTHOR",
            "codebase.prNumber": "CHANGE_ID",
            "codebase.prTitle": "CHANGE_TITLE",
            "codebase.pullRequestLink": "CHANGE_URL",
            "codebase.sourceBranch": "CHANGE_BRANCH",
            "codebase.targetBranch": "CHANGE_TARGET",
        },
        build=("JOB_NAME",),
    ),
    CiSystem(
        "Drone",
        "DRONE",
        {**_DRONE, "pipeline.sequenceId": "DRONE_BUILD_NUMBER"},
        files={"DRONE_OUTPUT": "outputs", "DRONE_CARD_PATH": "card"},
        build=("DRONE_REPO",),
        job="DRONE_STAGE_NAME",
    ),
    CiSystem(
        "Azure Pipelines",
        "TF_BUILD",
        {
            "pipeline.sequenceId": "BUILD_BUILDID",
            "pipeline.executionId": "BUILD_BUILDID",
            "pipeline.executionUrl": Formula(
                ("SYSTEM_COLLECTIONURI", "SYSTEM_TEAMPROJECT", "BUILD_BUILDID"), _azure_run_url
            ),
            "pipeline.triggerType": _trigger("BUILD_REASON", Schedule="SCHEDULER_CRON", Manual="MANUAL"),
            "pipeline.triggeredBy.name": "BUILD_REQUESTEDFOR",
            "pipeline.triggeredBy.email": "BUILD_REQUESTEDFOREMAIL",
            "codebase.branch": _after("refs/heads/", "BUILD_SOURCEBRANCH"),
            "codebase.commitSha": "BUILD_SOURCEVERSION",
            "codebase.commitRef": "BUILD_SOURCEBRANCH",
            "codebase.commitMessage": "BUILD_SOURCEVERSIONMESSAGE",
            "codebase.tag": _after("refs/tags/", "BUILD_SOURCEBRANCH"),
            "codebase.repoUrl": "BUILD_REPOSITORY_URI",
            "codebase.gitUser": "BUILD_SOURCEVERSIONAUTHOR",
            "codebase.prNumber": ("SYSTEM_PULLREQUEST_PULLREQUESTNUMBER", "SYSTEM_PULLREQUEST_PULLREQUESTID"),
            "codebase.pullRequestLink": Formula(
                ("BUILD_REPOSITORY_URI", "SYSTEM_PULLREQUEST_PULLREQUESTID"), _azure_link
            ),
            "codebase.sourceBranch": _without("refs/heads/", "SYSTEM_PULLREQUEST_SOURCEBRANCH"),
            "codebase.targetBranch": _without("refs/heads/", "SYSTEM_PULLREQUEST_TARGETBRANCH"),
            "codebase.mergeSha": Formula(("BUILD_SOURCEBRANCH", "BUILD_SOURCEVERSION"), _azure_merge),
        },
        files={"AGENT_TEMPDIRECTORY": "summary directory"},
        build=("SYSTEM_TEAMPROJECT", "BUILD_DEFINITIONNAME"),
        job="SYSTEM_JOBNAME",
        attempt="SYSTEM_JOBATTEMPT",
    ),
    CiSystem(
        "CircleCI",
        "CIRCLECI",
        {
            "pipeline.sequenceId": "CIRCLE_BUILD_NUM",
            "pipeline.executionId": "CIRCLE_WORKFLOW_ID",
            "pipeline.executionUrl": "CIRCLE_BUILD_URL",
            "pipeline.triggeredBy.name": "CIRCLE_USERNAME",
            "codebase.branch": "CIRCLE_BRANCH",
            "codebase.commitSha": "CIRCLE_SHA1",
            "codebase.tag": "CIRCLE_TAG",
            "codebase.repoUrl": "CIRCLE_REPOSITORY_URL",
            "codebase.prNumber": Formula(("CIRCLE_PULL_REQUEST",), _circle_number),
            "codebase.pullRequestLink": "CIRCLE_PULL_REQUEST",
        },
        build=("CIRCLE_PROJECT_USERNAME", "CIRCLE_PROJECT_REPONAME"),
        job="CIRCLE_JOB",
    ),
    CiSystem(
        "Bitbucket Pipelines",
        "BITBUCKET_BUILD_NUMBER",
        {
            "pipeline.sequenceId": "BITBUCKET_BUILD_NUMBER",
            "pipeline.executionId": "BITBUCKET_PIPELINE_UUID",
            "pipeline.executionUrl": _under(
                "BITBUCKET_GIT_HTTP_ORIGIN", "BITBUCKET_BUILD_NUMBER", "/pipelines/results/"
            ),
            "pipeline.triggerType": Formula(("BITBUCKET_PR_ID",), _bitbucket_trigger),
            "codebase.branch": "BITBUCKET_BRANCH",
            "codebase.commitSha": "BITBUCKET_COMMIT",
            "codebase.tag": "BITBUCKET_TAG",
            "codebase.repoUrl": "BITBUCKET_GIT_HTTP_ORIGIN",
            "codebase.prNumber": "BITBUCKET_PR_ID",
            "codebase.pullRequestLink": _under("BITBUCKET_GIT_HTTP_ORIGIN", "BITBUCKET_PR_ID", "/pull-requests/"),
            "codebase.sourceBranch": Formula(("BITBUCKET_BRANCH",), _bitbucket_source),
            "codebase.targetBranch": "BITBUCKET_PR_DESTINATION_BRANCH",
            "codebase.baseCommitSha": "BITBUCKET_PR_DESTINATION_COMMIT",
        },
        build=("BITBUCKET_REPO_FULL_NAME",),
    ),
)

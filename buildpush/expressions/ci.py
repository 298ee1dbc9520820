"""What CI systems say about a run, by their variables: one row per system.

Sources: the pages on predefined variables of each system.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from buildpush.foundation.forms import clean_address
from buildpush.foundation.records import dataclass

Env = Mapping[str, str]
# Variables, of which the first that is set counts; or what makes the value of several variables.
ValueSource = str | tuple[str, ...] | Callable[[Env], str]

_ADDRESSES: Final = frozenset({"codebase.repoUrl", "pipeline.executionUrl"})


@dataclass(frozen=True, slots=True)
class CiSystem:
    """A CI system, and what its variables say.

    Attributes:
        name: as its makers write it.
        marker: variable by which it is recognised.
        values: lookups by the name in expressions that they give the value of, such as ``codebase.branch``.
        output: variable that names the file for outputs of the step, a line ``key=value`` each.
    """

    name: str
    marker: str
    values: Mapping[str, ValueSource]
    output: str = ""


def _trigger(variable: str, **types: str) -> ValueSource:
    """Return the lookup for ``pipeline.triggerType``: the type of each event in *variable* that is not a webhook."""
    return lambda env: types.get(env[variable], "WEBHOOK") if env.get(variable) else ""


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


def _azure_run_url(env: Env) -> str:
    if not env.get("SYSTEM_COLLECTIONURI") or not env.get("BUILD_BUILDID"):
        return ""
    collection, project = env["SYSTEM_COLLECTIONURI"].rstrip("/"), env.get("SYSTEM_TEAMPROJECT", "")
    return f"{collection}/{project}/_build/results?buildId={env['BUILD_BUILDID']}"


def _azure_reference(env: Env, prefix: str) -> str:
    reference = env.get("BUILD_SOURCEBRANCH", "")
    return reference.removeprefix(prefix) if reference.startswith(prefix) else ""


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
    "codebase.repoUrl": "DRONE_REPO_LINK",
    "codebase.gitUser": "DRONE_COMMIT_AUTHOR",
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
            **_DRONE,  # it is made of it, and sets its variables too
            "pipeline.sequenceId": "HARNESS_BUILD_ID",
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
    ),
    CiSystem(
        "GitHub Actions",
        "GITHUB_ACTIONS",
        {
            "pipeline.sequenceId": "GITHUB_RUN_NUMBER",
            "pipeline.executionId": "GITHUB_RUN_ID",
            "pipeline.executionUrl": _github_run_url,
            "pipeline.triggerType": _trigger(
                "GITHUB_EVENT_NAME",
                schedule="SCHEDULER_CRON",
                workflow_dispatch="MANUAL",
                repository_dispatch="WEBHOOK_CUSTOM",
            ),
            "pipeline.triggeredBy.name": "GITHUB_ACTOR",
            "codebase.branch": lambda env: env.get("GITHUB_HEAD_REF") or _github_reference(env, "branch"),
            "codebase.commitSha": "GITHUB_SHA",
            "codebase.commitRef": "GITHUB_REF",
            # What a workflow itself calls TAG_NAME comes first.
            "codebase.tag": lambda env: env.get("TAG_NAME") or _github_reference(env, "tag"),
            "codebase.repoUrl": _github_repository,
            "codebase.sourceBranch": "GITHUB_HEAD_REF",
            "codebase.targetBranch": "GITHUB_BASE_REF",
        },
        output="GITHUB_OUTPUT",
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
            "codebase.commitMessage": "CI_COMMIT_MESSAGE",
            "codebase.tag": "CI_COMMIT_TAG",
            "codebase.repoUrl": "CI_PROJECT_URL",
            "codebase.prNumber": "CI_MERGE_REQUEST_IID",
            "codebase.prTitle": "CI_MERGE_REQUEST_TITLE",
            "codebase.pullRequestBody": "CI_MERGE_REQUEST_DESCRIPTION",
            "codebase.sourceBranch": "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME",
            "codebase.targetBranch": "CI_MERGE_REQUEST_TARGET_BRANCH_NAME",
            "codebase.baseCommitSha": "CI_MERGE_REQUEST_DIFF_BASE_SHA",
            "codebase.mergeSha": "CI_MERGE_REQUEST_TARGET_BRANCH_SHA",
        },
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
            "codebase.branch": lambda env: env.get("GIT_BRANCH", "").removeprefix("origin/"),  # it names the remote
            "codebase.commitSha": "GIT_COMMIT",
            "codebase.tag": lambda env: env.get("TAG_NAME", ""),  # anyone may call a variable so: other systems first
            "codebase.repoUrl": "GIT_URL",
            "codebase.prNumber": "CHANGE_ID",
            "codebase.prTitle": "CHANGE_TITLE",
            "codebase.pullRequestLink": "CHANGE_URL",
            "codebase.sourceBranch": "CHANGE_BRANCH",
            "codebase.targetBranch": "CHANGE_TARGET",
        },
    ),
    CiSystem("Drone", "DRONE", {**_DRONE, "pipeline.sequenceId": "DRONE_BUILD_NUMBER"}, output="DRONE_OUTPUT"),
    CiSystem(
        "Azure Pipelines",
        "TF_BUILD",
        {
            "pipeline.sequenceId": "BUILD_BUILDID",
            "pipeline.executionId": "BUILD_BUILDID",
            "pipeline.executionUrl": _azure_run_url,
            "pipeline.triggerType": _trigger("BUILD_REASON", Schedule="SCHEDULER_CRON", Manual="MANUAL"),
            "pipeline.triggeredBy.name": "BUILD_REQUESTEDFOR",
            "pipeline.triggeredBy.email": "BUILD_REQUESTEDFOREMAIL",
            "codebase.branch": lambda env: _azure_reference(env, "refs/heads/"),
            "codebase.commitSha": "BUILD_SOURCEVERSION",
            "codebase.commitRef": "BUILD_SOURCEBRANCH",
            "codebase.commitMessage": "BUILD_SOURCEVERSIONMESSAGE",
            "codebase.tag": lambda env: _azure_reference(env, "refs/tags/"),
            "codebase.repoUrl": "BUILD_REPOSITORY_URI",
            "codebase.prNumber": "SYSTEM_PULLREQUEST_PULLREQUESTNUMBER",
            "codebase.sourceBranch": "SYSTEM_PULLREQUEST_SOURCEBRANCH",
            "codebase.targetBranch": "SYSTEM_PULLREQUEST_TARGETBRANCH",
        },
    ),
    CiSystem(
        "CircleCI",
        "CIRCLECI",
        {
            "pipeline.executionUrl": "CIRCLE_BUILD_URL",
            "codebase.branch": "CIRCLE_BRANCH",
            "codebase.commitSha": "CIRCLE_SHA1",
            "codebase.tag": "CIRCLE_TAG",
            "codebase.repoUrl": "CIRCLE_REPOSITORY_URL",
        },
    ),
    CiSystem(
        "Bitbucket Pipelines",
        "BITBUCKET_BUILD_NUMBER",
        {"codebase.branch": "BITBUCKET_BRANCH", "codebase.tag": "BITBUCKET_TAG"},
    ),
)


def value_of(name: str, env: Env) -> str:
    """Return the value that the first CI system which has one gives for *name*, or an empty text.

    What a single variable says comes before what is made of several.
    """
    if found := next((env[variable] for variable in variables_of(name) if env.get(variable)), ""):
        return clean_address(found) if name in _ADDRESSES else found
    return next((found for lookup in _lookups(name) if callable(lookup) and (found := lookup(env))), "")


def variables_of(name: str) -> tuple[str, ...]:
    """Return the variables of which each alone says *name*, in the order in which they are asked."""
    plain = [(lookup,) if isinstance(lookup, str) else lookup for lookup in _lookups(name) if not callable(lookup)]
    return tuple(dict.fromkeys(variable for variables in plain for variable in variables))


def _lookups(name: str) -> Iterator[ValueSource]:
    return (system.values[name] for system in CI_SYSTEMS if name in system.values)


def output_files(env: Env) -> tuple[Path, ...]:
    """Return the files that take outputs of the step, a line ``key=value`` each."""
    return tuple(Path(env[system.output]) for system in CI_SYSTEMS if system.output and env.get(system.output))


@dataclass(frozen=True, slots=True)
class Ci:
    """The CI system that this run belongs to; what it does not say is empty.

    Attributes:
        url: of the page of this run.
        number: of this run.
        actor: who started it.
    """

    name: str = ""
    url: str = ""
    number: str = ""
    actor: str = ""


def ci(env: Env) -> Ci:
    """Return what the variables of CI systems say about this run."""
    name = next((system.name for system in CI_SYSTEMS if env.get(system.marker)), "")
    values = ("pipeline.executionUrl", "pipeline.sequenceId", "pipeline.triggeredBy.name")
    return Ci(name, *(value_of(value, env) for value in values))


def revision_of(env: Env) -> Mapping[str, str]:
    """Return the fields of :class:`Vcs` that CI variables say."""
    names = {
        "url": "codebase.repoUrl",
        "revision": "codebase.commitSha",
        "branch": "codebase.branch",
        "message": "codebase.commitMessage",
    }
    return {field: value_of(name, env) for field, name in names.items()}

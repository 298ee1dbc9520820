"""What CI systems say about a run, by their variables.

Sources: the pages on predefined variables of each system.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from buildpush.foundation.forms import clean_address

SEQUENCE: Final = (
    "HARNESS_BUILD_ID",
    "GITHUB_RUN_NUMBER",
    "CI_PIPELINE_IID",
    "BUILD_NUMBER",
    "DRONE_BUILD_NUMBER",
    "BUILD_BUILDID",
)
EXECUTION: Final = ("HARNESS_EXECUTION_ID", "GITHUB_RUN_ID", "CI_PIPELINE_ID", "BUILD_TAG", "BUILD_BUILDID")
_BRANCH: Final = ("DRONE_COMMIT_BRANCH", "CI_COMMIT_BRANCH", "CIRCLE_BRANCH", "BITBUCKET_BRANCH")
REVISION: Final = (
    "DRONE_COMMIT_SHA",
    "GITHUB_SHA",
    "CI_COMMIT_SHA",
    "GIT_COMMIT",
    "BUILD_SOURCEVERSION",
    "CIRCLE_SHA1",
)
REFERENCE: Final = ("DRONE_COMMIT_REF", "GITHUB_REF", "BUILD_SOURCEBRANCH")
_TAG: Final = ("DRONE_TAG", "CI_COMMIT_TAG", "CIRCLE_TAG", "BITBUCKET_TAG", "TAG_NAME")
MESSAGE: Final = ("DRONE_COMMIT_MESSAGE", "CI_COMMIT_MESSAGE", "BUILD_SOURCEVERSIONMESSAGE")
REPOSITORY: Final = ("DRONE_REPO_LINK", "CI_PROJECT_URL", "GIT_URL", "BUILD_REPOSITORY_URI", "CIRCLE_REPOSITORY_URL")
_RUN_URL: Final = ("DRONE_BUILD_LINK", "CI_PIPELINE_URL", "CI_JOB_URL", "BUILD_URL", "CIRCLE_BUILD_URL")
ACTOR: Final = (
    "HARNESS_USER_ID",
    "DRONE_BUILD_TRIGGER",
    "GITHUB_ACTOR",
    "GITLAB_USER_LOGIN",
    "BUILD_USER_ID",
    "BUILD_REQUESTEDFOR",
)
PULL_REQUEST: Final[Mapping[str, Sequence[str]]] = {
    "prNumber": ("DRONE_PULL_REQUEST", "CI_MERGE_REQUEST_IID", "CHANGE_ID", "SYSTEM_PULLREQUEST_PULLREQUESTNUMBER"),
    "prTitle": ("DRONE_PULL_REQUEST_TITLE", "CI_MERGE_REQUEST_TITLE", "CHANGE_TITLE"),
    "pullRequestLink": ("DRONE_PULL_REQUEST_LINK", "CHANGE_URL"),
    "pullRequestBody": ("DRONE_PULL_REQUEST_BODY", "CI_MERGE_REQUEST_DESCRIPTION"),
    "sourceBranch": (
        "DRONE_SOURCE_BRANCH",
        "GITHUB_HEAD_REF",
        "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME",
        "CHANGE_BRANCH",
        "SYSTEM_PULLREQUEST_SOURCEBRANCH",
    ),
    "targetBranch": (
        "DRONE_TARGET_BRANCH",
        "GITHUB_BASE_REF",
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME",
        "CHANGE_TARGET",
        "SYSTEM_PULLREQUEST_TARGETBRANCH",
    ),
    "baseCommitSha": ("DRONE_COMMIT_BEFORE", "CI_MERGE_REQUEST_DIFF_BASE_SHA"),
    "mergeSha": ("CI_MERGE_REQUEST_TARGET_BRANCH_SHA",),
    "state": (),
}
EVENTS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("schedule", "cron", "Schedule"), "SCHEDULER_CRON"),
    **dict.fromkeys(("workflow_dispatch", "web", "custom", "Manual", "api"), "MANUAL"),
    "repository_dispatch": "WEBHOOK_CUSTOM",
    "": "MANUAL",
}


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


_SYSTEMS: Final = {
    "HARNESS_BUILD_ID": "Harness",
    "GITHUB_ACTIONS": "GitHub Actions",
    "GITLAB_CI": "GitLab CI",
    "JENKINS_URL": "Jenkins",
    "DRONE": "Drone",
    "TF_BUILD": "Azure Pipelines",
    "CIRCLECI": "CircleCI",
    "BITBUCKET_BUILD_NUMBER": "Bitbucket Pipelines",
}


def ci(env: Mapping[str, str]) -> Ci:
    """Return what the variables of CI systems say about this run."""
    name = next((system for variable, system in _SYSTEMS.items() if env.get(variable)), "")
    return Ci(name, run_url_of(env), first_of(env, SEQUENCE), first_of(env, ACTOR))


def revision_of(env: Mapping[str, str]) -> Mapping[str, str]:
    """Return the fields of :class:`Vcs` that CI variables say."""
    return {
        "url": clean_address(first_of(env, REPOSITORY) or github_repository(env)),
        "revision": first_of(env, REVISION),
        "branch": branch_of(env),
        "message": first_of(env, MESSAGE),
    }


def first_of(env: Mapping[str, str], names: Iterable[str]) -> str:
    """Return the first of these variables that is set, or an empty text."""
    return next((env[name] for name in names if env.get(name)), "")


def run_url_of(env: Mapping[str, str]) -> str:
    """Return the address of the page of this run, or an empty text."""
    if url := first_of(env, _RUN_URL):
        return clean_address(url)
    if env.get("GITHUB_RUN_ID") and env.get("GITHUB_REPOSITORY"):
        return f"{github_repository(env)}/actions/runs/{env['GITHUB_RUN_ID']}"
    if env.get("SYSTEM_COLLECTIONURI") and env.get("BUILD_BUILDID"):
        collection, project = env["SYSTEM_COLLECTIONURI"].rstrip("/"), env.get("SYSTEM_TEAMPROJECT", "")
        return f"{collection}/{project}/_build/results?buildId={env['BUILD_BUILDID']}"
    return ""


def github_repository(env: Mapping[str, str]) -> str:
    """Return the address of the repository, as GitHub Actions says it."""
    if not env.get("GITHUB_REPOSITORY"):
        return ""
    return f"{env.get('GITHUB_SERVER_URL', 'https://github.com').rstrip('/')}/{env['GITHUB_REPOSITORY']}"


def branch_of(env: Mapping[str, str]) -> str:
    """Return the branch that is built, or an empty text."""
    if branch := first_of(env, _BRANCH):
        return branch
    if env.get("GITHUB_HEAD_REF"):
        return env["GITHUB_HEAD_REF"]
    if env.get("GITHUB_REF_TYPE") == "branch":
        return env.get("GITHUB_REF_NAME", "")
    # Jenkins names the remote too, Azure the whole reference.
    if jenkins := env.get("GIT_BRANCH"):
        return jenkins.removeprefix("origin/")
    return _under(env.get("BUILD_SOURCEBRANCH", ""), "refs/heads/")


def _under(reference: str, folder: str) -> str:
    return reference.removeprefix(folder) if reference.startswith(folder) else ""


def tag_of(env: Mapping[str, str]) -> str:
    """Return the tag that is built, or an empty text."""
    if tag := first_of(env, _TAG):
        return tag
    if env.get("GITHUB_REF_TYPE") == "tag":
        return env.get("GITHUB_REF_NAME", "")
    return _under(env.get("BUILD_SOURCEBRANCH", ""), "refs/tags/")

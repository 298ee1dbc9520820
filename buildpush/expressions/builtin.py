"""The names that are built in, and where the value of each comes from: CI variables first, then git and this machine.

Source of names and meanings: Harness documentation, "Built-in and custom Harness variables reference".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from buildpush.expressions.ci import value_of, variables_of
from buildpush.expressions.evaluate import AbsentError, Value

if TYPE_CHECKING:
    from buildpush.expressions.facts import Facts

BuiltIn = Callable[["Facts"], Value]


def _value(
    name: str,
    reason: Callable[[Facts], str] | str,
    otherwise: Callable[[Facts], str | None] = lambda _: None,
    *,
    needed: bool = False,
) -> BuiltIn:
    """Return what asks CI for *name*, and *otherwise*.

    Where neither has a value, ``??`` goes on; without that it is an error if *needed*, and an empty text if not.
    """

    def ask(facts: Facts) -> str:
        if found := value_of(name, facts.env) or otherwise(facts):
            return found
        why = reason if isinstance(reason, str) else reason(facts)
        message = f"{name} {'is not known' if needed else 'has no value'}: {why}"
        raise AbsentError(message, fallback=None if needed else "")

    return ask


def _variable(name: str) -> BuiltIn:
    """Return what asks for a name that only CI variables can say."""
    variables = ", ".join(variables_of(name))
    return _value(name, f"no CI variable gives it ({variables})" if variables else "nothing here gives it")


# ---- pipeline


def _sequence_id(facts: Facts) -> Value:
    number = value_of("pipeline.sequenceId", facts.env)
    if number:
        is_whole = number.isascii() and number.isdigit() and len(number) < len(str(2**63))
        return int(number) if is_whole else number
    return facts.counter.take(*_counter(facts))


def _branch_sequence_id(facts: Facts) -> Value:
    return facts.counter.take(*_counter(facts), str(_branch(facts)))


def _counter(facts: Facts) -> tuple[str, str]:
    """Return the names of the counter: project and pipeline."""
    return facts.git.root or str(facts.git.directory), str(facts.lookup(("pipeline", "name")))


def _pipeline_name(facts: Facts) -> str:
    directory = PurePath(facts.git.root or facts.git.directory).name
    return value_of("pipeline.identifier", facts.env) or directory or "pipeline"


def _pipeline_identifier(facts: Facts) -> str:
    name = value_of("pipeline.identifier", facts.env) or str(facts.lookup(("pipeline", "name")))
    word = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name)
    return f"_{word}" if word[:1].isdigit() else word


def _user(facts: Facts) -> str | None:
    return facts.git.ask("config", "user.name") or facts.env.get("USER") or facts.env.get("LOGNAME")


_execution_url = _value("pipeline.executionUrl", "no CI system gives its address")


# ---- codebase


def _no_branch(facts: Facts) -> str:
    reason = "HEAD is on no branch" if facts.git.revision else f"{facts.git.directory} is in no git repository"
    return f"{reason}, and no CI variable gives it"


def _no_commit(facts: Facts) -> str:
    return f"{facts.git.directory} is in no git repository with a commit"


_branch = _value("codebase.branch", _no_branch, lambda facts: facts.git.branch, needed=True)
_revision = _value(
    "codebase.commitSha",
    lambda facts: f"{_no_commit(facts)}, and no CI variable gives it",
    lambda facts: facts.git.revision,
    needed=True,
)


def _reference(facts: Facts) -> str | None:
    if tag := value_of("codebase.tag", facts.env):
        return f"refs/tags/{tag}"
    if branch := value_of("codebase.branch", facts.env) or facts.git.branch:
        return f"refs/heads/{branch}"
    return f"refs/tags/{facts.git.tag}" if facts.git.tag else None


def _build_type(facts: Facts) -> str:
    if value_of("codebase.prNumber", facts.env):
        return "PR"
    return "tag" if value_of("codebase.tag", facts.env) else "branch"


def origin_of(name: str, facts: Facts) -> str:
    """Return in words who gives the value of a built-in name: CI variables, git, or this machine."""
    if value_of(name, facts.env):
        given = [variable for variable in variables_of(name) if facts.env.get(variable)]
        return f"the CI system, by {', '.join(given)}" if given else "variables of the CI system"
    if name == "codebase.shortCommitSha":
        return origin_of("codebase.commitSha", facts)
    if name.startswith("codebase."):
        return f"git in {facts.git.directory}"
    return _OF_MACHINE.get(name, "this run")


_OF_MACHINE: Final = {
    "pipeline.sequenceId": "the counter of this machine",
    "pipeline.branchSeqId": "the counter of this machine, by branch",
    "pipeline.name": "the name of the directory",
    "pipeline.identifier": "the name of the pipeline",
    "pipeline.triggeredBy.name": "git, or the user of this machine",
    "pipeline.triggeredBy.email": "git",
    "pipeline.startTs": "the clock",
}
_OF_CI: Final = (
    *("stage.name", "stage.identifier", "step.name", "step.identifier"),
    *("account.identifier", "account.name", "account.companyName"),
    *("org.identifier", "org.name", "project.identifier", "project.name"),
    *("codebase.gitUserId", "codebase.gitUserAvatar", "codebase.prNumber", "codebase.prTitle"),
    *("codebase.pullRequestLink", "codebase.pullRequestBody", "codebase.sourceBranch", "codebase.targetBranch"),
    *("codebase.baseCommitSha", "codebase.mergeSha", "codebase.state"),
)
BUILT_IN: Final[Mapping[str, BuiltIn]] = {
    "pipeline.sequenceId": _sequence_id,
    "pipeline.branchSeqId": _branch_sequence_id,
    "pipeline.name": _pipeline_name,
    "pipeline.identifier": _pipeline_identifier,
    "pipeline.executionId": lambda facts: value_of("pipeline.executionId", facts.env) or facts.new_id(),
    "pipeline.resumedExecutionId": lambda facts: facts.lookup(("pipeline", "executionId")),
    "pipeline.executionUrl": _execution_url,
    "pipeline.execution.url": _execution_url,
    "pipeline.executionMode": lambda _: "NORMAL",
    "pipeline.startTs": lambda facts: int(facts.now * 1000),
    "pipeline.triggerType": lambda facts: value_of("pipeline.triggerType", facts.env) or "MANUAL",
    "pipeline.triggeredBy.name": _value("pipeline.triggeredBy.name", "neither CI nor git says who you are", _user),
    "pipeline.triggeredBy.email": _value(
        "pipeline.triggeredBy.email", "git does not have it", lambda facts: facts.git.ask("config", "user.email")
    ),
    "stage.executionUrl": _execution_url,
    "step.executionUrl": _execution_url,
    "codebase.branch": _branch,
    "codebase.commitSha": _revision,
    "codebase.shortCommitSha": lambda facts: str(_revision(facts))[:7],
    "codebase.commitRef": _value("codebase.commitRef", "HEAD is on no branch and has no tag", _reference, needed=True),
    "codebase.commitMessage": _value(
        "codebase.commitMessage", _no_commit, lambda facts: facts.git.message, needed=True
    ),
    "codebase.tag": _value("codebase.tag", "this commit has no tag", lambda facts: facts.git.tag),
    "codebase.repoUrl": _value(
        "codebase.repoUrl", "git has no remote named origin", lambda facts: facts.git.url, needed=True
    ),
    "codebase.build.type": _build_type,
    "codebase.gitUser": _value("codebase.gitUser", "git does not have it", lambda facts: facts.git.author),
    "codebase.gitUserEmail": _value(
        "codebase.gitUserEmail", "git does not have it", lambda facts: facts.git.author_email
    ),
    **{name: _variable(name) for name in _OF_CI},
}

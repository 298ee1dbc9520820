"""The built-in names, and where the value of each comes from: CI variables first, then git and this machine.

Source of names and meanings: Harness documentation, "Built-in and custom Harness variables reference", and for
``codebase`` also "CI codebase variables reference".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from buildpush.expressions.ci import all_variables_of, ci, value_of
from buildpush.expressions.ci_systems import event_of
from buildpush.expressions.evaluate import AbsentError, Value
from buildpush.foundation.records import dataclass

if TYPE_CHECKING:
    from buildpush.expressions.facts import Facts


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A built-in name.

    Attributes:
        meaning: what it is, in words.
        answer: returns the value.
        origin: in words, the source of the value if no CI variable has it; empty for none.
        made_of: other names that the value may be made of.
    """

    meaning: str
    answer: Callable[[Facts], Value]
    origin: str = ""
    made_of: tuple[str, ...] = ()


def _value(
    name: str,
    reason: Callable[[Facts], str] | str,
    otherwise: Callable[[Facts], str | None] = lambda _: None,
    *,
    needed: bool = False,
) -> Callable[[Facts], str]:
    """Return a lookup that takes the value of *name* from CI variables, or else from *otherwise*.

    If neither has a value, ``??`` applies; without ``??``, that is an error if *needed*, and the empty text if not.
    """

    def ask(facts: Facts) -> str:
        if value := value_of(name, facts.env) or otherwise(facts):
            return value
        why = reason if isinstance(reason, str) else reason(facts)
        message = f"{name} {'is not known' if needed else 'has no value'}: {why}"
        raise AbsentError(message, fallback=None if needed else "")

    return ask


def _variable(name: str, meaning: str, origin: str = "") -> BuiltIn:
    """Return the row of a name whose value comes from the file, or else from CI variables only."""
    variables = ", ".join(dict.fromkeys(one for those in all_variables_of(name).values() for one in those))
    reason = f"no CI variable gives it ({variables})" if variables else "it exists only in Harness"
    return BuiltIn(meaning, _value(name, reason), origin)


def _same(name: str, meaning: str) -> BuiltIn:
    """Return the row of a name that has the value of another name."""
    return BuiltIn(meaning, lambda facts: facts.lookup(tuple(name.split("."))), name, (name,))


def _given(name: str, facts: Facts) -> str:
    """Return the value that a flag or a CI variable gives for *name*; empty for none."""
    flag = facts.inputs.get(name)
    return str(flag) if flag else value_of(name, facts.env)


# ---- pipeline


def _sequence_id(facts: Facts) -> Value:
    number = value_of("pipeline.sequenceId", facts.env)
    if number:
        is_whole = number.isascii() and number.isdigit() and len(number) < len(str(2**63))
        return int(number) if is_whole else number
    return facts.counter.take(*_counter(facts))


def _branch_sequence_id(facts: Facts) -> Value:
    if _build_type(facts) == "tag":
        message = "pipeline.branchSeqId has no value: this is a build of a tag, and only builds of a branch are counted"
        raise AbsentError(message)
    return facts.counter.take(*_counter(facts), str(facts.lookup(("codebase", "branch"))))


def _counter(facts: Facts) -> tuple[str, str]:
    """Return the names that identify the counter: project and pipeline."""
    return facts.git.root or str(facts.git.directory), str(facts.lookup(("pipeline", "name")))


def _pipeline_name(facts: Facts) -> str:
    directory = PurePath(facts.git.root or facts.git.directory).name
    return value_of("pipeline.name", facts.env) or directory or "pipeline"


def _pipeline_identifier(facts: Facts) -> str:
    name = value_of("pipeline.identifier", facts.env) or str(facts.lookup(("pipeline", "name")))
    word = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name)
    return f"_{word}" if word[:1].isdigit() else word


def _user(facts: Facts) -> str | None:
    return facts.git.ask("config", "user.name") or facts.env.get("USER") or facts.env.get("LOGNAME")


def _repository_name(facts: Facts) -> str | None:
    url = value_of("codebase.repoUrl", facts.env) or facts.git.url or ""
    return url.rstrip("/").removesuffix(".git").replace(":", "/").rpartition("/")[2] or None


def _selected_stages(_: Facts) -> Value:
    message = "pipeline.selectedStages has no value: the file does not have a pipeline"
    raise AbsentError(message, fallback="")


_execution_url = _value("pipeline.executionUrl", "no CI variable gives it")


# ---- codebase


def _no_branch(facts: Facts) -> str:
    reason = "HEAD is on no branch" if facts.git.revision else f"{facts.git.directory} is not in a git repository"
    return f"{reason}, and no CI variable gives it"


def _no_commit(facts: Facts) -> str:
    return f"{facts.git.directory} is not in a git repository with a commit"


def _branch(facts: Facts) -> str:
    """Return the branch; for a pull request its target branch, as in Harness."""
    return _target(facts) or _own_branch(facts)


def _target(facts: Facts) -> str:
    return _given("codebase.targetBranch", facts) if _given("codebase.prNumber", facts) else ""


_own_branch = _value("codebase.branch", _no_branch, lambda facts: facts.git.branch, needed=True)


def _reference(facts: Facts) -> str | None:
    if tag := _given("codebase.tag", facts):
        return f"refs/tags/{tag}"
    if _given("codebase.prNumber", facts):
        return None
    if branch := _given("codebase.branch", facts) or facts.git.branch:
        return f"refs/heads/{branch}"
    return f"refs/tags/{facts.git.tag}" if facts.git.tag else None


def _no_reference(facts: Facts) -> str:
    if number := _given("codebase.prNumber", facts):
        return f"this is pull request {number}, and no CI variable gives its reference"
    return "HEAD is on no branch and has no tag"


def _build_type(facts: Facts) -> str:
    if _given("codebase.prNumber", facts):
        return "PR"
    is_tag = _given("codebase.tag", facts) or not (
        _given("codebase.branch", facts) or facts.git.branch or not facts.git.tag
    )
    return "tag" if is_tag else "branch"


# ---- trigger


def _by_trigger(name: str, answer: Callable[[Facts], Value]) -> Callable[[Facts], Value]:
    """Return a lookup that returns *answer*, but only if a trigger started the run."""

    def ask(facts: Facts) -> Value:
        if facts.lookup(("pipeline", "triggerType")) == "MANUAL":
            message = f"{name} has no value: no trigger started this run"
            raise AbsentError(message)
        return answer(facts)

    return ask


def _trigger_type(facts: Facts) -> Value:
    words = {"SCHEDULER_CRON": "Scheduled", "WEBHOOK_CUSTOM": "Custom", "ARTIFACT": "Artifact"}
    return words.get(str(facts.lookup(("pipeline", "triggerType"))), "Webhook")


def _payload(facts: Facts) -> Value:
    if event := event_of(facts.env):
        return event
    message = "trigger.payload has no value: only GitHub Actions keeps the event, in the file GITHUB_EVENT_PATH"
    raise AbsentError(message)


_OF_TRIGGER: Final = {
    "branch": "codebase.branch",
    "tag": "codebase.tag",
    "commitSha": "codebase.commitSha",
    "baseCommitSha": "codebase.baseCommitSha",
    "sourceBranch": "codebase.sourceBranch",
    "targetBranch": "codebase.targetBranch",
    "prNumber": "codebase.prNumber",
    "prTitle": "codebase.prTitle",
    "gitUser": "codebase.gitUser",
    "repoUrl": "codebase.repoUrl",
}
_TRIGGER: Final[Mapping[str, BuiltIn]] = {
    "trigger.type": BuiltIn(
        "what kind of trigger started the run: Webhook, Scheduled or Custom",
        _trigger_type,
        made_of=("pipeline.triggerType",),
    ),
    "trigger.event": BuiltIn(
        "what started the run: PR for a pull request, else PUSH",
        lambda facts: "PR" if _build_type(facts) == "PR" else "PUSH",
        made_of=("codebase.build.type",),
    ),
    "trigger.sourceRepo": BuiltIn(
        "the sender: the name of the CI system", lambda facts: ci(facts.env).name, "the CI system"
    ),
    "trigger.payload": BuiltIn(
        "the event as it was delivered; its entries by their path",
        _payload,
        "the event of GitHub Actions, in GITHUB_EVENT_PATH",
    ),
    **{f"trigger.{name}": _same(other, f"the same as {other}") for name, other in _OF_TRIGGER.items()},
}


def parts_of(name: str) -> frozenset[str]:
    """Return the other names that the value of a built-in name may be made of."""
    return frozenset(BUILT_IN[name].made_of).union(*map(parts_of, BUILT_IN[name].made_of))


def origin_of(name: str, facts: Facts) -> str:
    """Return in words the source of a built-in name's value: CI variables, git, or this machine."""
    if name == "codebase.branch" and _target(facts):
        return origin_of("codebase.targetBranch", facts)
    if value_of(name, facts.env):
        variables = dict.fromkeys(one for those in all_variables_of(name).values() for one in those)
        sources = [variable for variable in variables if facts.env.get(variable)]
        return f"the CI system, by {', '.join(sources)}" if sources else "variables of the CI system"
    row = BUILT_IN[name]
    parts = row.made_of if name.startswith("codebase.") else (row.origin,)
    if part := next((one for one in parts if one in BUILT_IN and value_of(one, facts.env)), ""):
        return origin_of(part, facts)
    return f"git in {facts.git.directory}" if row.origin == "git" else row.origin or "this run"


_PIPELINE: Final[Mapping[str, BuiltIn]] = {
    "pipeline.sequenceId": BuiltIn(
        "the number of the run, one more each time", _sequence_id, "the counter of this machine", ("pipeline.name",)
    ),
    "pipeline.branchSeqId": BuiltIn(
        "the same, counted by branch; a build of a tag has none",
        _branch_sequence_id,
        "the counter of this machine, by branch",
        ("pipeline.name", "codebase.branch", "codebase.build.type"),
    ),
    "pipeline.name": BuiltIn("the name of the pipeline", _pipeline_name, "the name of the directory"),
    "pipeline.identifier": BuiltIn(
        "its identifier", _pipeline_identifier, "the name of the pipeline", ("pipeline.name",)
    ),
    "pipeline.executionId": BuiltIn(
        "an identifier of the run",
        lambda facts: value_of("pipeline.executionId", facts.env) or facts.new_id(),
        "this run",
    ),
    "pipeline.resumedExecutionId": BuiltIn(
        "the same", lambda facts: facts.lookup(("pipeline", "executionId")), "this run", ("pipeline.executionId",)
    ),
    "pipeline.executionUrl": BuiltIn("the address of the run's page", _execution_url),
    "pipeline.execution.url": _same("pipeline.executionUrl", "the same"),
    "pipeline.executionMode": BuiltIn("NORMAL: nothing is rolled back here", lambda _: "NORMAL", "this run"),
    "pipeline.startTs": BuiltIn(
        "when the run began, in milliseconds since 1970", lambda facts: int(facts.now * 1000), "the clock"
    ),
    "pipeline.triggerType": BuiltIn(
        "what started the run: MANUAL, WEBHOOK, WEBHOOK_CUSTOM or SCHEDULER_CRON",
        lambda facts: value_of("pipeline.triggerType", facts.env) or "MANUAL",
        "MANUAL",
    ),
    "pipeline.triggeredBy.name": BuiltIn(
        "who started it",
        _value("pipeline.triggeredBy.name", "no CI variable gives it, and git has no user.name", _user),
        "git, or the user of this machine",
    ),
    "pipeline.triggeredBy.email": BuiltIn(
        "the email address of the user who started it",
        _value(
            "pipeline.triggeredBy.email",
            "no CI variable gives it, and git has no user.email",
            lambda facts: facts.git.ask("config", "user.email"),
        ),
        "git",
    ),
    "pipeline.selectedStages": BuiltIn(
        "the identifiers of the stages that are run: all, or the one that --stage names", _selected_stages, "the file"
    ),
    "pipeline.storeType": BuiltIn(
        "REMOTE for a file in a git repository, else INLINE",
        lambda facts: "REMOTE" if facts.git.revision else "INLINE",
        "git",
    ),
    "pipeline.repo": BuiltIn(
        "the name of that repository",
        _value("pipeline.repo", "git has no remote named origin", _repository_name),
        "git",
    ),
    "pipeline.branch": BuiltIn(
        "its branch", _value("pipeline.branch", _no_branch, lambda facts: facts.git.branch), "git"
    ),
    "stage.executionUrl": _same("pipeline.executionUrl", "the address of the run's page"),
    "step.executionUrl": _same("pipeline.executionUrl", "the same"),
    "stage.name": _variable("stage.name", "the name of the stage", "the file"),
    "stage.identifier": _variable("stage.identifier", "its identifier", "the file"),
    "step.name": _variable("step.name", "the name of the step", "the file"),
    "step.identifier": _variable("step.identifier", "its identifier", "the file"),
    "account.identifier": _variable("account.identifier", "the account of Harness"),
    "account.name": _variable("account.name", "its name"),
    "account.companyName": _variable("account.companyName", "the company it belongs to"),
    "org.identifier": _variable("org.identifier", "the organization", "the file"),
    "org.name": _variable("org.name", "its name"),
    "project.identifier": _variable("project.identifier", "the project", "the file"),
    "project.name": _variable("project.name", "its name"),
}
_CODEBASE: Final[Mapping[str, BuiltIn]] = {
    "codebase.branch": BuiltIn(
        "the branch that is built; for a pull request, its target branch",
        _branch,
        "git",
        ("codebase.prNumber", "codebase.targetBranch"),
    ),
    "codebase.commitSha": BuiltIn(
        "the commit that is built",
        _value(
            "codebase.commitSha",
            lambda facts: f"{_no_commit(facts)}, and no CI variable gives it",
            lambda facts: facts.git.revision,
            needed=True,
        ),
        "git",
    ),
    "codebase.shortCommitSha": BuiltIn(
        "its first seven characters",
        lambda facts: str(facts.lookup(("codebase", "commitSha")))[:7],
        "git",
        ("codebase.commitSha",),
    ),
    "codebase.commitRef": BuiltIn(
        "the reference that is built, such as refs/heads/main",
        _value("codebase.commitRef", _no_reference, _reference, needed=True),
        "git",
        ("codebase.prNumber", "codebase.tag", "codebase.branch"),
    ),
    "codebase.commitMessage": BuiltIn(
        "the message of the commit",
        _value("codebase.commitMessage", _no_commit, lambda facts: facts.git.message, needed=True),
        "git",
    ),
    "codebase.tag": BuiltIn(
        "the tag of the commit",
        _value("codebase.tag", "this commit has no tag", lambda facts: facts.git.tag),
        "git",
    ),
    "codebase.repoUrl": BuiltIn(
        "the address of the repository, without credentials",
        _value("codebase.repoUrl", "git has no remote named origin", lambda facts: facts.git.url, needed=True),
        "git",
    ),
    "codebase.build.type": BuiltIn(
        "what is built: branch, tag or PR", _build_type, "git", ("codebase.prNumber", "codebase.tag", "codebase.branch")
    ),
    "codebase.gitUser": BuiltIn(
        "the author of the commit",
        _value("codebase.gitUser", _no_commit, lambda facts: facts.git.author),
        "git",
    ),
    "codebase.gitUserEmail": BuiltIn(
        "the author's email address",
        _value("codebase.gitUserEmail", _no_commit, lambda facts: facts.git.author_email),
        "git",
    ),
    "codebase.gitUserId": _variable("codebase.gitUserId", "the author's login"),
    "codebase.gitUserAvatar": _variable("codebase.gitUserAvatar", "the address of the author's picture"),
    "codebase.prNumber": _variable("codebase.prNumber", "the number of the pull request"),
    "codebase.prTitle": _variable("codebase.prTitle", "its title"),
    "codebase.pullRequestLink": _variable("codebase.pullRequestLink", "its address"),
    "codebase.pullRequestBody": _variable("codebase.pullRequestBody", "its text"),
    "codebase.sourceBranch": _variable("codebase.sourceBranch", "its source branch"),
    "codebase.targetBranch": _variable("codebase.targetBranch", "its target branch"),
    "codebase.baseCommitSha": _variable("codebase.baseCommitSha", "the target branch's commit that it is based on"),
    "codebase.mergeSha": _variable("codebase.mergeSha", "the commit that merges it"),
    "codebase.state": _variable("codebase.state", "open, closed or merged"),
}
BUILT_IN: Final[Mapping[str, BuiltIn]] = {
    **_PIPELINE,
    **_CODEBASE,
    **{
        name: BuiltIn(
            row.meaning,
            _by_trigger(name, row.answer),
            row.origin,
            (*row.made_of, "pipeline.triggerType", "codebase.build.type"),
        )
        for name, row in _TRIGGER.items()
    },
}

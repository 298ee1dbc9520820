"""What expressions may ask: CI variables, git, a counter, the clock; all of it is passed in, nothing is read here.

Every name has one entry in a table; where several sources can answer, the first that does counts.
Source of names and meanings: Harness documentation, "Built-in and custom Harness variables reference".
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import PurePath
from typing import Final

from buildpush.expressions import methods
from buildpush.expressions.ci import (
    ACTOR,
    EVENTS,
    EXECUTION,
    MESSAGE,
    PULL_REQUEST,
    REFERENCE,
    REPOSITORY,
    REVISION,
    SEQUENCE,
    branch_of,
    first_of,
    github_repository,
    run_url_of,
    tag_of,
)
from buildpush.expressions.counter import Counter
from buildpush.expressions.evaluate import AbsentError, Value, evaluate
from buildpush.expressions.git import Git, Vcs, vcs
from buildpush.foundation.errors import ExpressionError, SecretError
from buildpush.foundation.forms import clean_address
from buildpush.foundation.secrets import Secret

__all__ = ["Counter", "Facts", "Git", "Vcs", "vcs"]

# Filled by whoever runs loops, earlier steps or a trigger; outside of those they have no value.
_PASSING: Final = {
    "matrix": "it has a value inside a matrix only",
    "repeat": "it has a value inside a repeat only",
    "strategy": "it has a value inside a loop only",
    "steps": "no earlier step of that name has given it",
    "execution": "no earlier step of that name has given it",
    "trigger": "no trigger started this run",
}
_DEPLOYMENT: Final = frozenset(
    {"artifact", "artifacts", "infra", "service", "serviceVariables", "manifest", "manifests", "delegate", "instance"}
    | {"serviceConfig", "rollbackArtifact", "configFile", "kubernetes", "deploymentInstanceName"}
)
_DEPLOYMENT_ENV: Final = frozenset({"name", "identifier", "description", "type", "variables", "envGroupName"})
_VARIABLES: Final = (("pipeline", "variables"), ("stage", "variables"), ("variable",))


@dataclass(frozen=True, slots=True)
class Facts:
    """Answers the names in expressions; each at most once, so a run has one number and one id.

    Attributes:
        env: the environment.
        git: the repository of the working folder.
        counter: where numbers come from outside CI; not touched until one is asked for.
        now: seconds since 1970 at which the run began.
        secrets: gives the secret of an identifier.
        scope: what flags and loops know, nested: ``{"pipeline": {"name": ...}, "matrix": {...}}``; taken as it is.
        written: what the step file says, by dotted path: ``pipeline.variables.x``; may hold expressions of its own.
        inputs: values given by flag, which beat all others: by name (``pipeline.sequenceId``; ``x`` for
            ``pipeline.variables.x``), or by the setting whose ``<+input>`` asks (``tags``).
        new_id: gives a fresh id.
    """

    env: Mapping[str, str]
    git: Git
    counter: Counter
    now: float
    secrets: Callable[[str], Secret]
    scope: Mapping[str, Value] = field(default_factory=dict)
    written: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, Value] = field(default_factory=dict)
    new_id: Callable[[], str] = field(default=lambda: uuid.uuid4().hex)
    _memo: dict[str, Value] = field(default_factory=dict, repr=False)
    _answers: dict[str, Value] = field(default_factory=dict, repr=False)
    _asked: tuple[str, ...] = ()

    def within(self, scope: Mapping[str, Value] | None = None, written: Mapping[str, str] | None = None) -> Facts:
        """Return the facts of the same run with *scope* and *written* laid over: ``{"matrix": {"os": "linux"}}``."""
        return replace(
            self,
            scope={**self.scope, **(scope or {})},
            written={**self.written, **(written or {})},
            _answers={},  # a variable may be made of what has changed now
        )

    def given(self, field: str) -> Value:
        """Return the value given for an ``<+input>`` of *field*, or ``None``."""
        names = (field, *(field.removeprefix(".".join((*root, ""))) for root in _VARIABLES))
        return next((self.inputs[name] for name in names if name in self.inputs), None)

    def secret(self, identifier: str) -> Secret:
        """Return the secret *identifier*; see :mod:`buildpush.credentials.connectors`."""
        return self.secrets(identifier)

    def lookup(self, path: tuple[str, ...]) -> Value:
        """Return what *path* stands for.

        Raises:
            AbsentError: a good name without a value in this run.
            ExpressionError: no such name; the hint has near ones.
        """
        for known in (self._flagged, self._scoped):
            if (found := known(path)) is not None:
                return found
        for length in range(len(path), 0, -1):
            name = ".".join(path[:length])
            if name in self.written:
                return _deeper(self._answered(name), path[length:])
            if name in _TABLE:
                return _deeper(self._once(name), path[length:])
        return self._rooted(path)

    def _once(self, name: str) -> Value:
        if name not in self._memo:
            self._memo[name] = _TABLE[name](self)
        return self._memo[name]

    def _flagged(self, path: tuple[str, ...]) -> Value:
        """Return what a flag says for *path*, variables also by their bare name; ``None`` for nothing."""
        short = [path[len(root) :] for root in _VARIABLES if path[: len(root)] == root]
        names = (".".join(keys) for keys in (path, *short))
        return next((self.inputs[name] for name in names if name in self.inputs), None)

    def _scoped(self, path: tuple[str, ...]) -> Value:
        """Return what the scope has for *path*; ``None`` for nothing."""
        value: Value = self.scope
        for key in path:
            if isinstance(value, Mapping) and key not in value:
                return None
            value = methods.item(value, key)
        return value

    def _answered(self, name: str) -> Value:
        """Return the value of what the file says, its own expressions answered."""
        text = self.written[name]
        if name in self._answers or "<+" not in text:
            return self._answers.get(name, text)
        if name in self._asked:
            circle = " -> ".join((*self._asked[self._asked.index(name) :], name))
            message = f"these need each other: {circle}"
            raise ExpressionError(message)
        try:
            self._answers[name] = evaluate(text, replace(self, _asked=(*self._asked, name)), field=name)
        except (ExpressionError, SecretError) as error:
            message = f"in {name}: {error.args[0]}"
            raise type(error)(message, hint=error.hint, setting=error.setting) from None
        return self._answers[name]

    def _rooted(self, path: tuple[str, ...]) -> Value:
        root, rest = path[0], path[1:]
        if root == "env" and rest and rest[0] not in _DEPLOYMENT_ENV:
            return self._variable(path)
        if root in _DEPLOYMENT or root == "env":
            message = f"{'.'.join(path)} is not available outside CD: it belongs to a deployment"
            raise ExpressionError(message, hint="a build step knows pipeline, stage, step, codebase, variable and env")
        if root in _PASSING and (rest or root == "trigger"):
            message = f"{'.'.join(path)} has no value: {_PASSING[root]}"
            raise AbsentError(message)
        return self._unknown(path)

    def _variable(self, path: tuple[str, ...]) -> Value:
        name = path[1]
        if name not in self.env:
            near = get_close_matches(name, list(self.env), n=3, cutoff=0.7)
            message = f"the environment has no variable {name}"
            raise AbsentError(message, hint=_near(near) or "set it, or write a value for this case: <+env.X ?? 'x'>")
        return _deeper(self.env[name], path[2:])

    def _unknown(self, path: tuple[str, ...]) -> Value:
        names = [*_TABLE, *self.written, *_names(self.scope)]
        near = get_close_matches(".".join(path), names, n=3, cutoff=0.6)
        if any(path[: len(root)] == root and len(path) > len(root) for root in _VARIABLES):
            message = f"there is no variable {'.'.join(path)}"
            raise AbsentError(message, hint=_near(near))
        message = f"nothing is called {'.'.join(path)}"
        raise ExpressionError(message, hint=_near(near) or _inside(path, names))


Ask = Callable[[Facts], Value]


def _names(scope: Mapping[str, Value], before: str = "") -> Iterable[str]:
    for key, value in scope.items():
        yield f"{before}{key}"
        if isinstance(value, Mapping):
            yield from _names(value, f"{before}{key}.")


def _deeper(value: Value, rest: tuple[str, ...]) -> Value:
    for key in rest:
        value = methods.item(value, key)
    return value


def _near(names: Sequence[str]) -> str | None:
    return f"did you mean {' or '.join(names)}?" if names else None


def _inside(path: tuple[str, ...], names: Iterable[str]) -> str:
    """Return what there is under the longest known beginning of *path*."""
    inside = [name for name in names if name.startswith(f"{path[0]}.")]
    if inside:
        return f"known are {', '.join(inside)}"
    roots = dict.fromkeys(name.partition(".")[0] for name in (*names, "env.", "variable.", "secrets."))
    return f"names begin with {', '.join(roots)}"


# ---- CI variables


# ---- one function per name


def _needed(name: str, value: str | None, reason: str) -> str:
    if not value:
        message = f"{name} is not known: {reason}"
        raise AbsentError(message)
    return value


def _optional(name: str, value: str | None, reason: str) -> str:
    """Return *value*; where there is none, the name stands for an empty text, and ``??`` goes on."""
    if not value:
        message = f"{name} has no value: {reason}"
        raise AbsentError(message, fallback="")
    return value


def _sequence_id(facts: Facts) -> Value:
    said = first_of(facts.env, SEQUENCE)
    if said:
        return int(said) if said.isascii() and said.isdigit() and len(said) < len(str(2**63)) else said
    return facts.counter.take(*_counted(facts))


def _counted(facts: Facts) -> tuple[str, ...]:
    """Return the names of the counter: project and pipeline."""
    return facts.git.root or str(facts.git.folder), str(facts.lookup(("pipeline", "name")))


def _branch_sequence_id(facts: Facts) -> Value:
    return facts.counter.take(*_counted(facts), _codebase_branch(facts))


def _execution_id(facts: Facts) -> str:
    return first_of(facts.env, EXECUTION) or facts.new_id()


def _execution_url(facts: Facts) -> str:
    return _optional("pipeline.executionUrl", run_url_of(facts.env), "no CI system says its address")


def _pipeline_name(facts: Facts) -> str:
    folder = PurePath(facts.git.root or facts.git.folder).name
    return facts.env.get("HARNESS_PIPELINE_ID") or folder or "pipeline"


def _pipeline_identifier(facts: Facts) -> str:
    name = facts.env.get("HARNESS_PIPELINE_ID") or str(facts.lookup(("pipeline", "name")))
    word = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name)
    return f"_{word}" if word[:1].isdigit() else word


def _trigger_type(facts: Facts) -> str:
    event = first_of(facts.env, ("DRONE_BUILD_EVENT", "GITHUB_EVENT_NAME", "CI_PIPELINE_SOURCE", "BUILD_REASON"))
    return EVENTS.get(event, "WEBHOOK")


def _triggered_by(facts: Facts) -> str:
    name = (
        first_of(facts.env, ACTOR) or facts.git.ask("config", "user.name") or first_of(facts.env, ("USER", "LOGNAME"))
    )
    return _optional("pipeline.triggeredBy.name", name, "neither CI nor git says who you are")


def _triggered_by_email(facts: Facts) -> str:
    email = first_of(facts.env, ("GITLAB_USER_EMAIL", "BUILD_REQUESTEDFOREMAIL", "BUILD_USER_EMAIL"))
    return _optional(
        "pipeline.triggeredBy.email", email or facts.git.ask("config", "user.email"), "git does not say it"
    )


def _codebase_branch(facts: Facts) -> str:
    reason = "HEAD is on no branch" if facts.git.revision else f"{facts.git.folder} is in no git repository"
    return _needed("codebase.branch", branch_of(facts.env) or facts.git.branch, f"{reason}, and no CI variable says it")


def _codebase_revision(facts: Facts) -> str:
    reason = f"{facts.git.folder} is in no git repository with a commit, and no CI variable says it"
    return _needed("codebase.commitSha", first_of(facts.env, REVISION) or facts.git.revision, reason)


def _codebase_reference(facts: Facts) -> str:
    if reference := first_of(facts.env, REFERENCE):
        return reference
    if tag := tag_of(facts.env):
        return f"refs/tags/{tag}"
    if branch := branch_of(facts.env) or facts.git.branch:
        return f"refs/heads/{branch}"
    return f"refs/tags/{_needed('codebase.commitRef', facts.git.tag, 'HEAD is on no branch and has no tag')}"


def _codebase_tag(facts: Facts) -> str:
    return _optional("codebase.tag", tag_of(facts.env) or facts.git.tag, "this commit has no tag")


def _codebase_message(facts: Facts) -> str:
    message = first_of(facts.env, MESSAGE) or facts.git.message
    return _needed("codebase.commitMessage", message, f"{facts.git.folder} is in no git repository with a commit")


def _codebase_url(facts: Facts) -> str:
    url = first_of(facts.env, REPOSITORY) or github_repository(facts.env)
    return _needed("codebase.repoUrl", clean_address(url) or facts.git.url, "git has no remote named origin")


def _codebase_author(facts: Facts) -> str:
    return _optional(
        "codebase.gitUser", facts.env.get("DRONE_COMMIT_AUTHOR") or facts.git.author, "git does not say it"
    )


def _codebase_author_email(facts: Facts) -> str:
    email = facts.env.get("DRONE_COMMIT_AUTHOR_EMAIL") or facts.git.author_email
    return _optional("codebase.gitUserEmail", email, "git does not say it")


def _build_type(facts: Facts) -> str:
    if first_of(facts.env, PULL_REQUEST["prNumber"]):
        return "PR"
    return "tag" if tag_of(facts.env) else "branch"


def _variable(name: str, *variables: str) -> Ask:
    """Return the function of a name that only variables can say."""
    reason = f"no CI variable says it ({', '.join(variables)})" if variables else "nothing here says it"
    return lambda facts: _optional(name, first_of(facts.env, variables), reason)


_TABLE: Final[Mapping[str, Ask]] = {
    "pipeline.sequenceId": _sequence_id,
    "pipeline.branchSeqId": _branch_sequence_id,
    "pipeline.name": _pipeline_name,
    "pipeline.identifier": _pipeline_identifier,
    "pipeline.executionId": _execution_id,
    "pipeline.resumedExecutionId": lambda facts: facts.lookup(("pipeline", "executionId")),
    "pipeline.executionUrl": _execution_url,
    "pipeline.execution.url": _execution_url,
    "pipeline.executionMode": lambda _: "NORMAL",
    "pipeline.startTs": lambda facts: int(facts.now * 1000),
    "pipeline.triggerType": _trigger_type,
    "pipeline.triggeredBy.name": _triggered_by,
    "pipeline.triggeredBy.email": _triggered_by_email,
    "stage.name": _variable("stage.name", "HARNESS_STAGE_NAME", "DRONE_STAGE_NAME", "HARNESS_STAGE_ID"),
    "stage.identifier": _variable("stage.identifier", "HARNESS_STAGE_ID"),
    "stage.executionUrl": _execution_url,
    "step.name": _variable("step.name", "DRONE_STEP_NAME"),
    "step.identifier": _variable("step.identifier", "HARNESS_STEP_ID"),
    "step.executionUrl": _execution_url,
    "account.identifier": _variable("account.identifier", "HARNESS_ACCOUNT_ID"),
    "account.name": _variable("account.name", "HARNESS_ACCOUNT_NAME"),
    "account.companyName": _variable("account.companyName"),
    "org.identifier": _variable("org.identifier", "HARNESS_ORG_ID"),
    "org.name": _variable("org.name", "HARNESS_ORG_ID"),
    "project.identifier": _variable("project.identifier", "HARNESS_PROJECT_ID"),
    "project.name": _variable("project.name", "HARNESS_PROJECT_ID"),
    "codebase.branch": _codebase_branch,
    "codebase.commitSha": _codebase_revision,
    "codebase.shortCommitSha": lambda facts: _codebase_revision(facts)[:7],
    "codebase.commitRef": _codebase_reference,
    "codebase.commitMessage": _codebase_message,
    "codebase.tag": _codebase_tag,
    "codebase.repoUrl": _codebase_url,
    "codebase.build.type": _build_type,
    "codebase.gitUser": _codebase_author,
    "codebase.gitUserEmail": _codebase_author_email,
    "codebase.gitUserId": _variable("codebase.gitUserId", "DRONE_COMMIT_AUTHOR"),
    "codebase.gitUserAvatar": _variable("codebase.gitUserAvatar", "DRONE_COMMIT_AUTHOR_AVATAR"),
    **{f"codebase.{name}": _variable(f"codebase.{name}", *names) for name, names in PULL_REQUEST.items()},
}

"""The values of names in expressions, in this order: flags, loops, the step file, built-in names, the environment.

Everything is passed in, and nothing is read here.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import Final, NoReturn, TypeAlias

from buildpush.expressions import methods
from buildpush.expressions.builtin import BUILT_IN, origin_of
from buildpush.expressions.counter import Counter
from buildpush.expressions.evaluate import AbsentError, Value, evaluate
from buildpush.expressions.git import Git, Vcs, vcs
from buildpush.foundation import strict_json
from buildpush.foundation.errors import ExpressionError, SecretError
from buildpush.foundation.interrupts import Lock
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import Secret
from buildpush.foundation.spelling import did_you_mean

__all__ = ["Counter", "Facts", "Git", "Vcs", "vcs"]

# Names that have a value only inside a loop, after a step, or if a trigger started the run.
_TEMPORARY: Final = {
    "matrix": "it has a value only inside a matrix",
    "repeat": "it has a value only inside a repeat",
    "strategy": "it has a value only inside a loop",
    "steps": "no earlier step of that name gives it a value",
    "execution": "no earlier step of that name gives it a value",
    "trigger": "no trigger started this run, or its event does not have this",
}
Steps = Callable[[tuple[str, ...], tuple[str, ...]], Value]
_DEPLOYMENT: Final = frozenset(
    {"artifact", "artifacts", "infra", "service", "serviceVariables", "manifest", "manifests", "delegate", "instance"}
    | {"serviceConfig", "rollbackArtifact", "configFile", "kubernetes", "deploymentInstanceName"}
)
_DEPLOYMENT_ENV: Final = frozenset({"name", "identifier", "description", "type", "variables", "envGroupName"})
AXES: Final = "all axes"  # in the scope, below strategy: the axes that any iteration of the matrix has
_DEEPEST_LISTED: Final = 2  # dots in a name that hints list: a file has many longer ones that are of little use
_VAULT_LOOKUP: Final = "<+secrets.getValue("
AskInput: TypeAlias = Callable[[str, str], str | None]
VARIABLE_ROOTS: Final = (("pipeline", "variables"), ("stage", "variables"), ("variable",))


@dataclass(frozen=True, slots=True)
class Facts:
    """Knows the values of names in expressions; computes each at most once, so that a run has one number and one ID.

    Attributes:
        env: the environment.
        git: the repository of the working directory.
        counter: gives run numbers outside CI; used only when an expression needs one.
        now: when the run began, in seconds since 1970.
        secrets: returns the secret with an identifier.
        scope: values of flags and loops, nested: ``{"pipeline": {"name": ...}, "matrix": {...}}``; not evaluated.
        written: texts of the step file by dotted path, such as ``pipeline.variables.x``; may contain expressions.
        inputs: values given by flag, which take precedence over all others: by name (``pipeline.sequenceId``; ``x``
            for ``pipeline.variables.x``), or by the setting that has the ``<+input>`` (``tags``).
        new_id: returns a new ID.
        steps: returns the value of a path about a step of the run, as seen from *around*; ``None`` for other paths.
        around: identifiers of the stage and the groups around the current step.
        person: asks the user for an input; ``None`` if no one can be asked.
        note: called once for each name that has no value and becomes the empty text.
        strict: whether a name without a value is an error, as in what goes into an image, or its name.
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
    steps: Steps = lambda _path, _around: None
    around: tuple[str, ...] = ("",)
    person: AskInput | None = None
    note: Callable[[str], object] = field(default=lambda _: None)
    strict: bool = False
    _noted: set[str] = field(default_factory=set, repr=False)
    _memo: dict[str, Value] = field(default_factory=dict, repr=False)
    _results: dict[str, Value] = field(default_factory=dict, repr=False)
    _pending: tuple[str, ...] = ()
    _outside: Mapping[str, str] | None = None
    _of_variables: dict[str, Value] = field(default_factory=dict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def within(
        self,
        scope: Mapping[str, Value] | None = None,
        written: Mapping[str, str] | None = None,
        around: tuple[str, ...] | None = None,
    ) -> Facts:
        """Return the facts of the same run, in which *scope* and *written* take precedence."""
        return replace(
            self,
            around=self.around if around is None else around,
            scope={**self.scope, **(scope or {})},
            written={**self.written, **(written or {})},
            _results={},  # a variable may depend on what has changed
        )

    def with_variables(self, variables: Mapping[str, str]) -> Facts:
        """Return the facts for a step with its own *variables*, which take precedence over those of the environment."""
        return replace(self, env={**self.env, **variables}, _outside=self.env, _of_variables={}, _results={})

    def without_variables(self) -> Facts:
        """Return the facts as they are outside the step that has its own variables."""
        if self._outside is None:
            return self
        return replace(self, env=self._outside, _outside=None, _results={})

    def for_image(self) -> Facts:
        """Return the facts for what goes into an image, or its name: there, a name without a value is an error."""
        return replace(self, strict=True, _results={})

    def if_absent(self, error: AbsentError) -> Value:
        """Return the fallback for a name without a value, with a note; raise *error* if *strict*."""
        if self.strict:
            raise error
        message = str(error.args[0])
        if message not in self._noted:
            self._noted.add(message)
            self.note(f"{message}; here it becomes the empty text")
        return error.fallback

    def ask(self, field: str, limits: str) -> Value:
        """Return what the user types for the input of *field*; ``None`` for nothing, or if no one can be asked."""
        return self.person(field, limits) if self.person else None

    def used_values(self, names: Iterable[str]) -> dict[str, Value]:
        """Return the values of those *names* that this run has used so far."""
        return {name: self._memo[name] for name in names if name in self._memo}

    def with_earlier_values(self, known: Mapping[str, Value]) -> Facts:
        """Return the same facts with the values of the earlier run that this one resumes."""
        return replace(self, _memo=dict(known))

    def lasting(self, name: str, compute: Callable[[], str]) -> str:
        """Return the value of *name*, which is computed once, and is the same in a run that resumes this one."""
        with self._lock:
            if name not in self._memo:
                self._memo[name] = compute()
            return str(self._memo[name])

    def given(self, field: str) -> Value:
        """Return the value given for an ``<+input>`` of *field*, or ``None``."""
        names = (field, *(field.removeprefix(".".join((*root, ""))) for root in VARIABLE_ROOTS))
        return next((self.inputs[name] for name in names if name in self.inputs), None)

    def secret(self, identifier: str) -> Secret:
        """Return the secret *identifier*; see :mod:`buildpush.credentials.vault`."""
        return self.secrets(identifier)

    def lookup(self, path: tuple[str, ...]) -> Value:
        """Return the value of *path*.

        Raises:
            AbsentError: a valid name without a value in this run.
            ExpressionError: there is no such name; the hint lists similar ones.
        """
        for source in (self._by_flag, self._in_scope):
            if (value := source(path)) is not None:
                return value
        for length in range(len(path), 0, -1):
            name = ".".join(path[:length])
            if name in self.written:
                value = self._evaluate(name)
                return _descend(_payload(value) if name == "trigger.payload" else value, path[length:])
            if name in BUILT_IN:
                return _descend(self._once(name), path[length:])
        return self._elsewhere(path)

    def _once(self, name: str) -> Value:
        is_own = self._outside is not None and name.startswith("codebase.")
        memo = self._of_variables if is_own else self._memo
        with self._lock:  # steps that run at the same time have the same number
            if name not in memo:
                memo[name] = self._answer(name)
            return memo[name]

    def _answer(self, name: str) -> Value:
        try:
            return BUILT_IN[name].answer(self)
        except AbsentError as error:
            error.hint = error.hint or f"give it with --var {name}=VALUE, or write a fallback: <+{name} ?? 'x'>"
            raise

    def _by_flag(self, path: tuple[str, ...]) -> Value:
        """Return the value that a flag gives for *path*, a variable also by its bare name; ``None`` for none.

        For a variable of the type Secret, the flag gives the ID of another secret: anyone could read the secret itself.
        """
        value = next((self.inputs[name] for name in flags_of(path) if name in self.inputs), None)
        name = ".".join(path)
        if self.written.get(name, "").startswith("<+input>"):  # it may restrict the values
            return None if value is None else self._evaluate(name)
        if value is None or not self._is_secret(name):
            return value
        return self._secret_of(name, lambda: self.secret(str(value)))

    def _is_secret(self, name: str) -> bool:
        return self.written.get(name, "").startswith(_VAULT_LOOKUP)

    def _secret_of(self, name: str, read: Callable[[], Value]) -> Value:
        """Return what *read* returns for the Secret variable *name*; an error does not repeat what is written there."""
        try:
            return read()
        except SecretError as error:
            message = f"{name} is a secret, and the value given for it is not the ID of a known secret"
            hint = "give the ID, not the secret itself, and set BUILDPUSH_SECRET_<ID> or name it in the connectors file"
            raise SecretError(message, hint=hint, setting=error.setting) from None

    def source(self, path: tuple[str, ...]) -> str:
        """Return in words where the value of *path* comes from, in the order of :meth:`lookup`."""
        if flag := next((name for name in flags_of(path) if name in self.inputs), None):
            return f"--var {flag}"
        if self._in_scope(path) is not None:
            return "the loop around the step, or a step before it"
        for length in range(len(path), 0, -1):
            name = ".".join(path[:length])
            if name in self.written:
                return f"{name} in the file, written {self.written[name]}"
            if name in BUILT_IN:
                return origin_of(name, self)
        if path[0] == "env" and path[1:]:
            return f"the environment variable {path[1]}"
        return "a step of this run"

    def _in_scope(self, path: tuple[str, ...]) -> Value:
        """Return the value of *path* in the scope; ``None`` for none."""
        value: Value = self.scope
        for key in path:
            if isinstance(value, Mapping) and key not in value:
                return None
            value = methods.item(value, key)
        return value

    def _evaluate(self, name: str) -> Value:
        """Return the value of a text of the file, with the expressions in it evaluated."""
        text = self.written[name]
        if name in self._results or "<+" not in text:
            return self._results.get(name, text)
        if name in self._pending:
            circle = " -> ".join((*self._pending[self._pending.index(name) :], name))
            message = f"these names depend on each other: {circle}"
            raise ExpressionError(message)
        pending = replace(self, _pending=(*self._pending, name))
        try:
            if self._is_secret(name):
                self._results[name] = self._secret_of(name, lambda: evaluate(text, pending, field=name))
            else:
                self._results[name] = evaluate(text, pending, field=name)
        except (ExpressionError, SecretError) as error:
            message = f"in {name}: {error.args[0]}"
            raise type(error)(message, hint=error.hint, setting=error.setting) from None
        return self._results[name]

    def _elsewhere(self, path: tuple[str, ...]) -> Value:
        if (value := self.steps(path, self.around)) is not None:
            return value
        root, rest = path[0], path[1:]
        if root == "env" and rest and rest[0] not in _DEPLOYMENT_ENV:
            return self._variable(path)
        if root in _DEPLOYMENT or root == "env":
            message = f"{'.'.join(path)} is not available outside CD: it belongs to a deployment"
            raise ExpressionError(message, hint="a build step has pipeline, stage, step, codebase, variable and env")
        axes = self.scope.get("matrix")
        if root == "matrix" and rest and isinstance(axes, Mapping):
            self._refuse_axis(rest[0], axes)
        if root in _TEMPORARY and (rest or root == "trigger"):
            message = f"{'.'.join(path)} has no value: {_TEMPORARY[root]}"
            raise AbsentError(message)
        return self._unknown(path)

    def _refuse_axis(self, name: str, axes: Mapping[str, Value]) -> NoReturn:
        """Raise an error: this iteration has no axis *name*; others may have it, by an entry of ``include``."""
        others = self._in_scope(("strategy", AXES))
        if isinstance(others, Sequence) and name in others:
            message = f"matrix.{name} has no value in this iteration: only some entries of include give it"
            raise AbsentError(message, hint=f"write a fallback for the others: <+matrix.{name} ?? 'x'>")
        message = f"matrix.{name} has no value: the axes of the matrix are {', '.join(axes)}"
        raise AbsentError(message, hint=did_you_mean(name, axes) or f"give it with --var matrix.{name}=VALUE")

    def _variable(self, path: tuple[str, ...]) -> Value:
        name = path[1]
        if name not in self.env:
            message = f"the environment has no variable {name}"
            raise AbsentError(
                message,
                hint=did_you_mean(name, self.env, cutoff=0.7) or f"set it, or write a fallback: <+env.{name} ?? 'x'>",
            )
        return _descend(self.env[name], path[2:])

    def _unknown(self, path: tuple[str, ...]) -> Value:
        names = [*BUILT_IN, *self.written, *_names(self.scope)]
        near = did_you_mean(".".join(path), names)
        if any(path[: len(root)] == root and len(path) > len(root) for root in VARIABLE_ROOTS):
            message = f"there is no variable {'.'.join(path)}"
            raise AbsentError(message, hint=_joined(near, _flag_hint(path)))
        message = f"unknown name {'.'.join(path)}"
        raise ExpressionError(message, hint=_joined(near or _inside(path, names), _flag_hint(path)))


def flags_of(path: tuple[str, ...]) -> list[str]:
    """Return the names under which a flag may give a value for *path*: a variable also has its bare name."""
    short = [path[len(root) :] for root in VARIABLE_ROOTS if path[: len(root)] == root]
    return [".".join(keys) for keys in (path, *short)]


def _joined(*hints: str | None) -> str:
    return "; ".join(hint for hint in hints if hint)


def _flag_hint(path: tuple[str, ...]) -> str:
    return f"give it with --var {min(flags_of(path), key=len)}=VALUE"


def _names(scope: Mapping[str, Value], before: str = "") -> Iterable[str]:
    for key, value in scope.items():
        yield f"{before}{key}"
        if isinstance(value, Mapping):
            yield from _names(value, f"{before}{key}.")


def _payload(text: Value) -> Value:
    """Return the event that a flag gives as JSON."""
    try:
        event: Value = strict_json.parse(str(text))
    except (ValueError, RecursionError) as error:
        message = f"the value of trigger.payload is not JSON: {error}"
        raise ExpressionError(message, hint="give the event as JSON, or --var trigger.payload.NAME=VALUE") from None
    return event


def _descend(value: Value, rest: tuple[str, ...]) -> Value:
    for key in rest:
        value = methods.item(value, key)
    return value


def _inside(path: tuple[str, ...], names: Iterable[str]) -> str:
    """Return a hint with the known names that begin like *path*, or else with how names begin."""
    inside = [name for name in names if name.startswith(f"{path[0]}.") and name.count(".") <= _DEEPEST_LISTED]
    if inside:
        return f"known names are {', '.join(inside)}"
    roots = dict.fromkeys(name.partition(".")[0] for name in (*names, "env.", "variable.", "secrets."))
    return f"known names begin with {', '.join(roots)}"

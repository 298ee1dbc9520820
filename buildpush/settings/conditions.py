"""``when``: under which status, and under which condition, a step, group or stage is run.

Source: Harness, "Define conditional executions for stages and steps".
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

from buildpush.foundation.documents import Raw
from buildpush.foundation.errors import SourceError
from buildpush.foundation.records import dataclass
from buildpush.settings.words import nearest, reject
from buildpush.settings.written import WrittenValue

Status: TypeAlias = Literal["Success", "Failure", "All"]
StatusKey: TypeAlias = Literal["stageStatus", "pipelineStatus"]

_STATUSES: Final[tuple[Status, ...]] = get_args(Status)


@dataclass(frozen=True, slots=True)
class Condition:
    """When something is run.

    Attributes:
        key: whose *status* counts: the stage's for steps and groups, the pipeline's for stages.
        text: an expression that must be true as well; ``true`` if there is none.
        where: place of the expression.
    """

    key: StatusKey
    status: Status = "Success"
    text: str = "true"
    where: str = ""


def read_condition(written: WrittenValue | None, key: StatusKey) -> Condition:
    """Return the condition in *written*; without one, all earlier steps must have succeeded.

    Args:
        written: the value of ``when``.
        key: the key of the status in it.

    Raises:
        SourceError: an unknown key or status, or a condition that is not text.
    """
    if written is None or not written.value:
        return Condition(key)
    entries, origin = written.value, written.origin
    if not isinstance(entries, dict):
        message = "when is a map of a status and a condition"
        raise SourceError(message, where=origin.where, setting="when", hint=f"write {key}: Success below it")
    for name in entries:
        if name not in {key, "condition"}:
            reject("key", name, [key, "condition"], origin.at(name))
    status = _status(entries.get(key) or "Success", key, origin.at(key))
    return Condition(key, status, _text(entries.get("condition"), origin.at("condition")), origin.at("condition"))


def _status(raw: Raw, key: str, where: str) -> Status:
    for status in _STATUSES:
        if raw == status:
            return status
    near = nearest(str(raw), _STATUSES)
    message = f"{key} is {raw!r}, which is not a status"
    hint = f"did you mean {near!r}?" if near else f"write one of {', '.join(_STATUSES)}"
    raise SourceError(message, where=where, setting="when", hint=hint)


def _text(raw: Raw | None, where: str) -> str:
    if raw is None or isinstance(raw, str):
        return (raw or "").strip() or "true"
    message = "a condition is an expression, and this is a list or a map"
    raise SourceError(message, where=where, setting="when", hint="write it in quotes: '<+codebase.branch> == \"main\"'")

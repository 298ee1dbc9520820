"""A place that runs nothing, for tests."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Unpack

from buildpush.foundation.records import dataclass
from buildpush.foundation.text import Lines
from buildpush.places.place import CommandOptions, CommandResult, FileContent


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One command that a :class:`Recorded` place was asked to run."""

    argv: tuple[str, ...]
    cwd: Path | None = None
    files: Mapping[str, FileContent] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes | None = field(default=None, repr=False)


class Recorded:
    """A place that runs nothing: it records what it was asked to run, and returns prepared answers.

    Args:
        answers: results in the order of the calls, the last one also for all further calls; or a function of the call.
            Without answers, every command ends with status 0 and prints nothing.
    """

    def __init__(self, answers: Callable[[RecordedCall], CommandResult] | Iterable[CommandResult] = ()) -> None:
        self.calls: list[RecordedCall] = []
        self._answer = answers if callable(answers) else _in_order(answers)

    def run(self, argv: Sequence[str], **options: Unpack[CommandOptions]) -> CommandResult:
        """Record the call and return its answer; lines of the answer go to *stream*."""
        files, env = dict(options.get("files") or {}), dict(options.get("env") or {})
        call = RecordedCall(tuple(argv), options.get("cwd"), files, env, options.get("stdin"))
        self.calls.append(call)
        ran = self._answer(call)
        if stream := options.get("stream"):
            lines = Lines(stream)
            lines.write(ran.stdout + ran.stderr)
            lines.close()
        return ran

    @property
    def argv(self) -> list[tuple[str, ...]]:
        """The command lines of the calls so far."""
        return [call.argv for call in self.calls]


def _in_order(answers: Iterable[CommandResult]) -> Callable[[RecordedCall], CommandResult]:
    waiting = deque(answers) or deque([CommandResult(0)])

    def answer(_call: RecordedCall) -> CommandResult:
        return waiting.popleft() if len(waiting) > 1 else waiting[0]

    return answer

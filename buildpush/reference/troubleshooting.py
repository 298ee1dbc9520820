"""Rows of advice shown in a terminal: the meaning of a message, and the known lines of a log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from buildpush.advice.logs import MatchedLine
from buildpush.advice.row import Advice
from buildpush.advice.sources import missing_source
from buildpush.advice.table import ROWS, advice_named
from buildpush.dockerfile.missing import hint_for
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.spelling import did_you_mean
from buildpush.foundation.text import one_line


def as_text(row: Advice) -> str:
    """Return a row for people."""
    return "\n".join([*_facts(row), *(f"message   {example}" for example in row.examples)])


def as_json(row: Advice) -> dict[str, Any]:
    """Return a row for programs."""
    facts = {name: getattr(row, name) for name in ("symptom", "programs", "cause", "fix", "type")}
    return {"advice": row.anchor, **facts}


def find(anchor: str) -> Advice:
    """Return the row with that anchor.

    Raises:
        SettingsError: there is none; the hint names a similar one.
    """
    if row := advice_named(anchor):
        return row
    message = f"there is no advice {anchor!r}"
    raise SettingsError(message, hint=did_you_mean(anchor, [one.anchor for one in ROWS]))


def finding_text(log: str, match: MatchedLine, directory: Path) -> str:
    """Return what is known about one line of the log called *log*; *directory* may be the context that was built."""
    here = f"here      in {directory}: {hint}" if (hint := _here(match, directory)) else ""
    facts = filter(None, (*_facts(match.advice), here, f"read      buildpush explain {match.advice.anchor}"))
    return "\n".join([f"{log}:{match.number}: {match.line}", *(f"  {line}" for line in facts)])


def finding_json(match: MatchedLine, directory: Path) -> dict[str, Any]:
    """Return the same facts for programs."""
    return {"line": match.number, "text": match.line, **as_json(match.advice), "here": _here(match, directory)}


def _here(found: MatchedLine, directory: Path) -> str | None:
    """Return what *directory* holds at or near the path that a builder did not find."""
    path = missing_source(found.line) if found.advice.name == "copy-source" else None
    hint = hint_for(directory, None, path) if path else None
    return one_line(hint) if hint else None


def _facts(row: Advice) -> Iterator[str]:
    yield f"{row.symptom} ({row.programs})"
    yield f"cause     {row.cause}"
    yield f"to do     {row.fix}"
    if row.type:
        yield f"type      {row.type}, in failure strategies"

"""The record of a run: one JSON document with every step, attempt, decision and reason, written while it runs.

It holds no secret; ``--resume`` continues from it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

from buildpush.credentials.jfrog import BUILD_ATTEMPT
from buildpush.expressions.facts import Facts
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.interrupts import Lock
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import redacted
from buildpush.foundation.strict_json import parse
from buildpush.pipeline.outcomes import Outcome
from buildpush.pipeline.results import JSON_VERSION, RunResult, time_text
from buildpush.pipeline.step_values import StepPath, place_of
from buildpush.settings.evaluate import evaluate
from buildpush.settings.tree import Loaded, Step, leaves

# Names whose value is different in each run, but the same in a resumed run.
_LASTING: Final = (
    "pipeline.sequenceId",
    "pipeline.branchSeqId",
    "pipeline.executionId",
    "pipeline.startTs",
    BUILD_ATTEMPT,
)
_COMMIT: Final = "codebase.commitSha"
# Settings that do not change what a step makes: its name, and when and how often it is run.
_NOT_COMPARED: Final = frozenset({"name", "description", "when", "strategy", "failure_strategies", "timeout", "quiet"})

_FAILED: Final = frozenset({"FAILED", "EXPIRED", "ABORTED", "IGNORE_FAILED"})

_T = TypeVar("_T")
Write: TypeAlias = Callable[[str], object]
# The whole record is written again with each step, as long as there are few; with thousands, once there are one more
# in a hundred, and when the run ends, however it does. A run that is killed repeats at most those.
_SHARE_NOT_WRITTEN: Final = 100


class RunRecord:
    """The record of a run, which is written step by step."""

    def __init__(self, loaded: Loaded, facts: Facts, began: datetime, write: Write) -> None:
        self._facts, self._write = facts, write
        self._head = {
            "version": JSON_VERSION,
            "file": str(Path(facts.git.directory, loaded.file)) if loaded.file else None,
            "began": time_text(began),
            "variables": dict(facts.inputs),
        }
        self._rows: list[str] = []
        self._written = 0
        self._lock = Lock()

    def begin(self) -> None:
        """Write what is known before the first step."""
        with self._lock:
            self._save("RUNNING", None)

    def add(self, outcome: Outcome, result: RunResult, place: StepPath) -> None:
        """Add the outcome of a step."""
        self._add(outcome.step, outcome.state, result, place, outcome.reason)

    def interrupt(self, step: Step, result: RunResult, place: StepPath) -> None:
        """Record that a step was interrupted, and what it had achieved."""
        self._add(step, "ABORTED", result, place, "it was interrupted")

    def end(self, state: str, ended: datetime) -> None:
        """Record how the run ended."""
        with self._lock:
            self._save(state, ended)

    def flush(self) -> None:
        """Write the steps that are not written yet: nothing is added after an interrupt."""
        with self._lock:
            if self._written < len(self._rows):
                self._save("RUNNING", None)

    def _add(self, step: Step, state: str, result: RunResult, place: StepPath, reason: str) -> None:
        row = {
            "place": list(place),
            "state": state,
            "reason": reason or None,
            "where": step.where,
            "settings": self._settings(step) if state == "SUCCEEDED" else None,
            "result": result.as_json(),
        }
        text = _as_json(row).replace("\n", "\n    ")  # not indent, which takes U+2028 in a text for the end of a line
        with self._lock:
            self._rows.append(f"    {text}")
            if len(self._rows) - self._written > len(self._rows) // _SHARE_NOT_WRITTEN:
                self._save("RUNNING", None)

    def _save(self, state: str, ended: datetime | None) -> None:
        self._write(self._text(state, ended))
        self._written = len(self._rows)  # an interrupt while it is written leaves the file as it was before

    def _settings(self, step: Step) -> dict[str, str] | None:
        try:
            return settings_text(step, self._facts)
        except SettingsError:
            return None  # the step failed by it, and a failure strategy marked it as success

    def _text(self, state: str, ended: datetime | None) -> str:
        facts = self._facts.used_values((*_LASTING, _COMMIT))
        tail = {"state": state, "ended": time_text(ended), "facts": facts}
        rows = ",\n".join(self._rows)
        steps = f"[\n{rows}\n  ]" if rows else "[]"
        return f'{_as_json({**self._head, **tail})[:-2]},\n  "steps": {steps}\n}}\n'


def _as_json(document: Mapping[str, Any]) -> str:
    return json.dumps(redacted(document), indent=2, ensure_ascii=False)


def settings_text(step: Step, facts: Facts) -> dict[str, str]:
    """Return the settings that decide what *step* makes, evaluated, as text without secrets.

    Raises:
        LaterError: in a plan, one is known only after an earlier step has run.
        SettingsError: one cannot be evaluated.
    """
    settings = evaluate(step, facts)
    values = {name: _plain(getattr(settings, name)) for name in step.settings if name not in _NOT_COMPARED}
    texts = {name: one if isinstance(one, str) else _in_brackets(one) for name, one in redacted(values).items()}
    return dict(redacted(texts))


def _plain(value: object) -> str | list[str] | dict[str, str]:
    if isinstance(value, Mapping):
        return {str(key): str(one) for key, one in value.items()}
    return [str(one) for one in value] if isinstance(value, list | tuple) else str(value)


def _in_brackets(value: object) -> str:
    """Return a list or a map on one line, as a step file may have it."""
    return json.dumps(value, ensure_ascii=False)


# ---- a run that is resumed


@dataclass(frozen=True, slots=True)
class Resumed:
    """The record of an earlier run, which this one resumes.

    Attributes:
        path: of the record.
        facts: values that built-in names had.
        steps: its rows, by place; steps without an identifier may share a place.
        unnamed: where steps that share a place are written in the file as it is now.
    """

    path: Path
    facts: Mapping[str, Any]
    steps: Mapping[StepPath, Sequence[Mapping[str, Any]]]
    unnamed: frozenset[str] = frozenset()

    def result(self, step: Step, place: StepPath, facts: Facts) -> RunResult | None:
        """Return the receipt of a step that has succeeded; ``None`` if it must be run.

        Raises:
            SettingsError: it would make something else now.
        """
        row = self._row(step, place)
        result = row.get("result") or {}
        if row.get("state") != "SUCCEEDED" or result.get("ignored") or not _still_exists(result):
            return None
        self._check(step, row, facts)
        return RunResult(step=step.name or step.identifier, earlier=result)

    def builds(self) -> dict[tuple[str, str], datetime]:
        """Return when the builds began that its steps take part in, by name and number."""
        from buildpush.artifactory.document import started_from  # few runs are resumed

        starts: dict[tuple[str, str], datetime] = {}
        for row in chain.from_iterable(self.steps.values()):
            build = (row.get("result") or {}).get("build") or {}
            if row.get("state") == "SUCCEEDED" and (started := started_from(str(build.get("started") or ""))):
                starts.setdefault((str(build.get("name")), str(build.get("number"))), started)
        return starts

    def _row(self, step: Step, place: StepPath) -> Mapping[str, Any]:
        rows = self.steps.get(place, ())
        if len(rows) > 1 or step.where in self.unnamed:
            rows = [row for row in rows if row.get("where") == step.where]
        return rows[-1] if rows else {}

    def _check(self, step: Step, row: Mapping[str, Any], facts: Facts) -> None:
        now, before = settings_text(step, facts), row.get("settings") or {}
        for name in sorted({*now, *before}):
            if now.get(name) != before.get(name):
                where = step.settings[name].origin.where if name in step.settings else step.where
                was, is_now = (_quoted(one[name]) if name in one else "not set" for one in (before, now))
                about = f"the step {step.name or step.identifier!r}, which has succeeded"
                message = f"{name} of {about}, was {was} and is {is_now}"
                raise SettingsError(message, where=where, setting=name, hint=_HINT)


def _quoted(text: str) -> str:
    return text if text[:1] in {"[", "{"} else repr(text)


_HINT: Final = "run it without --resume, or restore the earlier value"


def _still_exists(result: Mapping[str, Any]) -> bool:
    """Return whether the image of a step still exists: one that was kept only for its run does not."""
    tar = (result.get("outputs") or {}).get("IMAGE_TAR_PATH")
    return bool(result.get("references") or result.get("build")) or bool(tar and Path(tar).exists())


def read_record(path: Path) -> dict[str, Any]:
    """Return the record of a run.

    Raises:
        SettingsError: it cannot be read, or is not a record.
    """
    try:
        document = parse(path.read_bytes())
    except (OSError, ValueError) as error:
        message = f"{path} cannot be read as the record of a run: {error}"
        raise SettingsError(message, hint="name a file that run --record has written") from None
    is_ours = isinstance(document, dict) and {"version", "file", "state"} <= set(document)
    if is_ours and document["version"] != JSON_VERSION:
        message = f"{path} is a record of version {document['version']!r}, and this buildpush reads {JSON_VERSION}"
        hint = "resume it with the buildpush that has written it, or run the file without --resume"
        raise SettingsError(message, hint=hint)
    if not (is_ours and _has_rows(document)):
        message = f"{path} is not the record of a run"
        raise SettingsError(message, hint="name a file that run --record has written")
    return dict(document)


def _has_rows(document: Mapping[str, Any]) -> bool:
    rows = document.get("steps")
    return isinstance(document.get("facts"), dict) and isinstance(rows, list) and all(map(_is_row, rows))


def _is_row(row: Any) -> bool:
    if not isinstance(row, dict) or not isinstance(row.get("place"), list):
        return False
    result, settings = row.get("result"), row.get("settings")
    parts = {"references": list, "manifest": dict, "outputs": dict, "build": dict}
    return (
        isinstance(result, dict)
        and isinstance(settings, dict | None)
        and all(isinstance(result.get(name) or kind(), kind) for name, kind in parts.items())
    )


def run_to_resume(record: Path | None, directory: Path, loaded: Loaded, facts: Facts) -> Resumed:
    """Return the run that is resumed: that of *record*, or the last one of the same file in *directory*.

    Raises:
        SettingsError: there is none, it has succeeded, or it was about another file or commit.
    """
    if loaded.file is None:
        message = "--resume needs the file of the run, and none is given"
        raise SettingsError(message, hint="name the file: run FILE --resume")
    file = str(Path(facts.git.directory, loaded.file))
    path = record or next(_records_of(file, directory), None)
    if path is None:
        message = f"there is no record of a run of {loaded.file}"
        raise SettingsError(message, hint="run it without --resume, or name a file that run --record has written")
    document = read_record(path)
    _check_head(document, path, file, facts)
    known = {name: value for name, value in document["facts"].items() if name in _LASTING}
    rows = _by_place((tuple(map(str, row["place"])), row) for row in document["steps"])
    steps = _by_place(((*place_of(around), step.identifier), step.where) for step, around in leaves(loaded.tree))
    unnamed = frozenset(chain.from_iterable(places for places in steps.values() if len(places) > 1))
    return Resumed(path, known, rows, unnamed)


def failed_places(earlier: Resumed | None, directory: Path, loaded: Loaded, facts: Facts) -> frozenset[StepPath]:
    """Return where the run that is resumed, or else the last one of the same file, failed.

    These are the places of steps, and of what is around them; none without a record.

    Raises:
        SettingsError: the record cannot be read.
    """
    rows: Iterable[Mapping[str, Any]] = ()
    if earlier:
        rows = chain.from_iterable(earlier.steps.values())
    elif loaded.file and (path := next(_records_of(str(Path(facts.git.directory, loaded.file)), directory), None)):
        rows = read_record(path)["steps"]
    # Of a group that was run again, the last pass counts.
    last = {(tuple(map(str, row["place"])), str(row.get("where"))): str(row.get("state")) for row in rows}
    places = (place for (place, _), state in last.items() if state in _FAILED)
    return frozenset(place[:length] for place in places for length in range(1, len(place) + 1))


def _by_place(pairs: Iterable[tuple[StepPath, _T]]) -> dict[StepPath, list[_T]]:
    groups: dict[StepPath, list[_T]] = {}
    for place, one in pairs:
        groups.setdefault(place, []).append(one)
    return groups


def _records_of(file: str, directory: Path) -> Iterator[Path]:
    name = json.dumps(file, ensure_ascii=False).encode(errors="surrogatepass")
    for path in sorted(directory.glob("*.json"), reverse=True):
        try:
            content = path.read_bytes()
            document = parse(content) if name in content else None  # those of other files may be long
        except (OSError, ValueError):
            continue
        if isinstance(document, dict) and document.get("file") == file and "state" in document:
            yield path


def _check_head(document: Mapping[str, Any], path: Path, file: str, facts: Facts) -> None:
    if document.get("file") != file:
        message = f"{path} is the record of a run of {document.get('file') or 'no file'}, not of {file}"
        raise SettingsError(message, hint="name the file that was run")
    if document["state"] == "SUCCEEDED":
        message = f"the run that {path} records has succeeded, so there is nothing to resume"
        raise SettingsError(message, hint="run it without --resume")
    before = document["facts"].get(_COMMIT)
    if before and (now := str(facts.lookup(tuple(_COMMIT.split("."))))) != before:
        message = f"the run that {path} records was of the commit {before}, and this is {now}"
        raise SettingsError(message, hint="check out that commit, or run without --resume")

"""``strategy``: a matrix, a repeat, a parallelism or a while, and its iterations.

Sources: Harness, "Use looping strategies": matrix, repeat, parallelism; for the newer form harness/harness-schema,
``v1/pipeline/common/strategy.yaml`` and those that it names, and Harness 3.0, "Advanced configuration": while.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any, Final, NoReturn

from buildpush.expressions.tree import Value
from buildpush.foundation import strict_json
from buildpush.foundation.documents import Raw, structure_of
from buildpush.foundation.errors import SourceError
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.settings.conditions import Condition, read_condition
from buildpush.settings.words import reject
from buildpush.settings.written import Origin, WrittenValue

MOST: Final = 10_000  # iterations of one loop
_NUMBER: Final = regex(r"[0-9]{1,9}\Z")
NEWER: Final = "newer form"  # the key that marks a strategy in that form; at it, the expression for all of one
_KINDS: Final = ("matrix", "repeat", "parallelism")
_KEYS: Final = (*_KINDS, "maxConcurrency", "when", "onFailure")
_NEWER_KINDS: Final = ("matrix", "for", "while", "repeat", "parallelism")
_NEWER_KEYS: Final = ("matrix", "for", "while", "repeat", "maxConcurrency", "nodeName", "fail-fast", "when")
_NEWER_NAMES: Final = {  # by those of the older form, which the newer one takes as well
    "maxConcurrency": "max-parallel",
    "nodeName": "node-name",
    "times": "iterations",
    "partitionSize": "partition-size",
    "when": "if",
}
_OLDER_NAMES: Final = {newer: older for older, newer in _NEWER_NAMES.items()}
_INCLUDE: Final = "include"  # of a matrix in the newer form; in the older one, it is the name of an axis
_ABOUT_MATRIX: Final = ("exclude", "maxConcurrency", "nodeName")
_WHILE: Final = ("times", "condition", "nodeName")
_REPEAT: Final = ("times", "items", "partitionSize", "start", "end", "unit", "maxConcurrency", "nodeName")
_UNITS: Final = ("Count", "Percentage")
_ON_FAILURE: Final = ("RunAll", "SkipQueued")


@dataclass(frozen=True, slots=True)
class Iteration:
    """One run of an element with a loop.

    Attributes:
        suffix: follows its identifier: ``_0``, and for a matrix the position on each axis, ``_0_1``.
        values: for expressions: ``{"matrix": {"os": "alpine"}}``.
    """

    suffix: str
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Loop:
    """The iterations of a loop in their order.

    Attributes:
        iterations: all of them; for a ``while``, the maximum.
        at_once: how many run at the same time; ``None`` if the loop does not set it.
        skips_queued: whether those that have not begun are skipped once one has failed.
        condition: of a ``while``: iterations continue as long as it is true.
    """

    iterations: tuple[Iteration, ...]
    at_once: int | None
    skips_queued: bool = False
    condition: Condition | None = None


def before_loop(raw: Raw) -> Raw:
    """Return the parts of a ``strategy`` that are evaluated before its iterations: not its ``when`` and their names."""
    if not isinstance(raw, dict):
        return raw
    later = {"nodeName", "node-name"} if NEWER in raw else {"nodeName"}
    return {
        key: {name: part for name, part in one.items() if name not in later} if isinstance(one, dict) else one
        for key, one in raw.items()
        if key not in {*later, when_key(raw)}
    }


def when_key(raw: Mapping[str, Raw]) -> str:
    """Return the key of the condition under which a ``strategy`` runs anything."""
    return "if" if NEWER in raw and "if" in raw else "when"


def _older(raw: Raw) -> Raw:
    """Return a ``strategy`` with the names of the older form."""
    if not isinstance(raw, dict) or NEWER not in raw:
        return raw
    kinds = {key: _renamed(one) if key in _NEWER_KINDS and isinstance(one, dict) else one for key, one in raw.items()}
    return _renamed(kinds)


def _renamed(entries: dict[str, Raw]) -> dict[str, Raw]:
    """Return *entries* by the names of the older form; an entry in both forms stays, so that it is refused."""
    names = {key: _OLDER_NAMES.get(key, key) for key in entries}
    return {key if names[key] != key and names[key] in entries else names[key]: one for key, one in entries.items()}


def combinations(
    axes: Mapping[str, Sequence[Value]],
    exclude: Iterable[Mapping[str, Value]] = (),
    include: Iterable[Mapping[str, Value]] = (),
) -> tuple[Iteration, ...]:
    """Return every combination of *axes*, the last one changing fastest, except those that *exclude* matches.

    An entry of *include* is added to each combination whose values on the axes it does not change; if there is none,
    it becomes one more combination, after the others. Source: GitHub, "Workflow syntax", ``matrix.include``.
    """
    entries = tuple(exclude)
    iterations: list[Iteration] = []
    for places in product(*(range(len(values)) for values in axes.values())) if axes else ():
        one = {axis: values[place] for (axis, values), place in zip(axes.items(), places, strict=True)}
        if not any(all(one[axis] == value for axis, value in entry.items()) for entry in entries):
            iterations.append(Iteration("".join(f"_{place}" for place in places), {"matrix": one}))
    return _with_included(iterations, axes, tuple(include))


def _with_included(
    iterations: Sequence[Iteration], axes: Mapping[str, Sequence[Value]], include: Sequence[Mapping[str, Value]]
) -> tuple[Iteration, ...]:
    """Return *iterations* with the entries of *include*; the suffix of a new one is a number after all others."""
    original = [_matrix_of(one) for one in iterations]
    combined = [dict(one) for one in original]
    extra: list[Mapping[str, Value]] = []
    for entry in include:
        matches = [
            place
            for place, one in enumerate(original)
            if all(axis not in one or one[axis] == value for axis, value in entry.items())
        ]
        for place in matches:
            combined[place] |= entry
        extra += [] if matches else [entry]
    first = math.prod(map(len, axes.values())) if axes else 0
    return (
        *(Iteration(one.suffix, {"matrix": values}) for one, values in zip(iterations, combined, strict=True)),
        *(Iteration(f"_{place}", {"matrix": entry}) for place, entry in enumerate(extra, first)),
    )


def _matrix_of(iteration: Iteration) -> Mapping[str, Value]:
    values = iteration.values["matrix"]
    return values if isinstance(values, Mapping) else {}


def bounds(size: int, start: int | None, end: int | None, *, percentage: bool = False) -> tuple[int, int]:
    """Return which of *size* items are used: the position of the first, and the one after the last.

    With a *start* alone the last item is left out, as in Harness; with percentages, this is so wherever there is no
    *end*. They are rounded, and an end is at least 1.
    """
    if percentage:
        start, end = (None if one is None else min(size, _share(size, one)) for one in (start, end))
        end = max(1, size - 1 if end is None else end)
    if end is None:
        end = size if start is None else size - 1
    return min(start or 0, size), min(end, size)


def _share(size: int, percentage: int) -> int:
    return (percentage * size + 50) // 100


def partitions(items: Sequence[Value], size: int) -> tuple[Sequence[Value], ...]:
    """Return *items* in groups of *size*, in their order."""
    return tuple(items[first : first + size] for first in range(0, len(items), size))


def read_loop(raw: Raw, origin: Origin) -> Loop:
    """Return the loop of a ``strategy``.

    Args:
        raw: its value without what :func:`before_loop` leaves out; expressions are evaluated, except in the
            condition of a while.
        origin: of the value.

    Raises:
        SourceError: an unknown key, a wrong value, or no iteration at all.
    """
    return _LoopReader(origin).loop(_older(raw))


def loop_notes(raw: Raw, origin: Origin) -> Iterator[str]:
    """Yield notes about what is different here, or may be a mistake, in a ``strategy`` as it is written."""
    if not isinstance(raw, dict):
        return
    inner = next((raw[kind] for kind in _KINDS if kind in raw), None)
    entries = inner if isinstance(inner, dict) else {}
    if "matrix" in raw:
        yield from _unused_exclusions(entries, origin)
        if NEWER not in raw and "{" in str(entries.get(_INCLUDE)):
            where = origin.at("matrix", _INCLUDE)
            yield f"{where}: include is an axis here, as in Harness; only in the newer form it adds combinations"
    if "repeat" in raw:
        yield from _slices(entries, origin)


def _slices(entries: Mapping[str, Raw], origin: Origin) -> Iterator[str]:
    """Yield notes about how Harness reads the ``start`` and ``end`` of a repeat, in both forms."""
    beside = next((key for key in ("partitionSize", "partition-size") if key in entries), None)
    for key in ("start", "end"):
        if beside and key in entries:
            yield f"{origin.at('repeat', key)}: {key} has no effect beside {beside}, as in Harness"
    if beside or "end" in entries:
        return
    if "start" in entries:
        yield f"{origin.at('repeat', 'start')}: start without end leaves out the last item, as in Harness"
    elif str(entries.get("unit")).lower() == "percentage":
        yield f"{origin.at('repeat', 'unit')}: percentages without end leave out the last item, as in Harness"


def _unused_exclusions(entries: Mapping[str, Raw], origin: Origin) -> Iterator[str]:
    """Yield the entries of *exclude* with a value that its axis does not have; expressions may have any value."""
    exclude = entries.get("exclude")
    for place, entry in enumerate(exclude if isinstance(exclude, list) else ()):
        for axis, value in entry.items() if isinstance(entry, dict) else ():
            values = entries.get(axis)
            known = isinstance(values, list) and "<+" not in f"{values} {value}"
            if known and isinstance(values, list) and value not in values:
                where = origin.at("matrix", "exclude", place, axis)
                yield f"{where}: this entry excludes nothing: {axis} does not have the value {value!r}"


def node_name(raw: Raw) -> str:
    """Return the name that a ``strategy`` gives to its iterations: an expression, or the empty text."""
    raw = _older(raw)
    if not isinstance(raw, dict):
        return ""
    inner = next((raw[kind] for kind in _NEWER_KINDS if kind in raw), None)
    name = (inner.get("nodeName") if isinstance(inner, dict) else None) or raw.get("nodeName")
    return name if isinstance(name, str) else ""


class _LoopReader:
    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.is_newer = False

    def loop(self, raw: Raw) -> Loop:
        if not isinstance(raw, dict):
            self.fail("strategy is a map", "write matrix, repeat or parallelism below it")
        self.is_newer = NEWER in raw
        known, kinds = (_NEWER_KEYS, _NEWER_KINDS) if self.is_newer else (_KEYS, _KINDS)
        for key in raw:
            if key not in {*known, *_KEYS, NEWER}:
                self.unknown(key, known, key)
        found = [kind for kind in kinds if kind in raw]
        if len(found) != 1:
            has = " and ".join(found) or "none of them"
            self.fail(f"strategy takes one of {', '.join(kinds)}, and has {has}", "keep one of them")
        (kind,) = found
        iterations = self.reader(kind)(raw[kind])
        self.count(len(iterations), kind)
        if kind == "while":
            return Loop(iterations, 1, self.skips(raw), self.condition(raw[kind]))
        return Loop(iterations, self.at_once(raw, kind), self.skips(raw))

    def reader(self, kind: str) -> Callable[[Raw], tuple[Iteration, ...]]:
        readers: Mapping[str, Callable[[Raw], tuple[Iteration, ...]]] = {
            "matrix": self.matrix,
            "while": self.runs_while,
            "parallelism": self.parallelism,
        }
        return readers.get(kind) or partial(self.repeat, kind=kind)

    def at_once(self, raw: Mapping[str, Raw], kind: str) -> int | None:
        inner = raw[kind]
        limit = inner.get("maxConcurrency") if isinstance(inner, dict) else None
        found = self.limit(raw.get("maxConcurrency"), "maxConcurrency") or self.limit(limit, kind, "maxConcurrency")
        return found or None

    def count(self, number: int, *path: str) -> None:
        name = ".".join(map(self.named, path))
        if number == 0:
            self.fail(f"{name} has no iterations", "leave the loop out, or give it values", *path)
        if number > MOST:
            self.fail(f"{name} has {number} iterations, and the maximum is {MOST}", "write a smaller number", *path)

    def matrix(self, raw: Raw) -> tuple[Iteration, ...]:
        entries = dict(self.map(raw, "matrix"))
        include = entries.pop(_INCLUDE, None) if self.is_newer else None
        axes = {key: self.items(value, "matrix", key) for key, value in entries.items() if key not in _ABOUT_MATRIX}
        size = 1
        for values in axes.values():
            size *= len(values)
        more = [
            self.included_entry(one, place) for place, one in enumerate(self.items(include or [], "matrix", _INCLUDE))
        ]
        self.count(size if axes else len(more), "matrix")
        listed = self.items(entries.get("exclude") or [], "matrix", "exclude")
        return combinations(axes, [self.entry(one, axes, place) for place, one in enumerate(listed)], more)

    def included_entry(self, raw: Raw, place: int) -> Mapping[str, Raw]:
        entries = self.map(raw, "matrix", _INCLUDE, place)
        if not entries:
            self.fail("an entry of include is empty", "name an axis and its value", "matrix", _INCLUDE, place)
        return entries

    def entry(self, raw: Raw, axes: Mapping[str, Any], place: int) -> Mapping[str, Raw]:
        entries = self.map(raw, "matrix", "exclude", place)
        for key in entries:
            if key not in axes:
                reject("axis", key, axes, self.where("matrix", "exclude", place, key))
        if not entries:
            self.fail("an entry of exclude is empty", "name an axis and its value", "matrix", "exclude", place)
        return entries

    def runs_while(self, raw: Raw) -> tuple[Iteration, ...]:
        entries = self.map(raw, "while")
        for key in entries:
            if key not in _WHILE:
                self.unknown(key, _WHILE, "while", key)
        if not entries.get("times"):
            self.fail("while does not have a maximum number of iterations", "write iterations: 10 below it", "while")
        return self.times(self.number(entries["times"], "while", "times") or 0, "while", "times")

    def condition(self, raw: Raw) -> Condition:
        entries = self.map(raw, "while")
        text, where = entries.get("condition"), self.where("while", "condition")
        if not text:
            self.fail("while does not have a condition", "write condition: EXPRESSION below it, or use for", "while")
        written = WrittenValue({"condition": text}, Origin("file", where, ""))
        return replace(read_condition(written, "stageStatus"), status="All")

    def repeat(self, raw: Raw, kind: str) -> tuple[Iteration, ...]:
        entries = self.map(raw, kind)
        for key in entries:
            if key not in _REPEAT:
                self.unknown(key, _REPEAT, kind, key)
        times = self.named("times")
        if ("times" in entries) == ("items" in entries):
            self.fail(f"{kind} takes either {times} or items", "keep one of them", kind)
        if "times" in entries:
            if unused := [key for key in ("partitionSize", "start", "end", "unit") if key in entries]:
                message = f"{self.named(unused[0])} is for items, and {kind} has {times}"
                self.fail(message, "leave it out", kind, unused[0])
            return self.times(self.number(entries["times"], kind, "times") or 0, kind, "times")
        return self.repeated(entries, kind)

    def repeated(self, entries: Mapping[str, Raw], kind: str) -> tuple[Iteration, ...]:
        items = self.items(entries["items"], kind, "items")
        start, end = (self.number(entries.get(key), kind, key) for key in ("start", "end"))
        unit = self.word(entries.get("unit") or "Count", _UNITS, kind, "unit")
        if "partitionSize" in entries:
            size = self.number(entries["partitionSize"], kind, "partitionSize")
            if not size:
                message = f"{self.named('partitionSize')} is at least 1"
                self.fail(message, "write the number of items in a group", kind, "partitionSize")
            size = max(1, _share(len(items), size)) if unit == "Percentage" else size
            values: list[Mapping[str, Value]] = [{"partition": part} for part in partitions(items, size)]
        else:
            first, last = bounds(len(items), start, end, percentage=unit == "Percentage")
            values = [{"item": item} for item in items[first:last]]
        return tuple(Iteration(f"_{place}", {"repeat": value}) for place, value in enumerate(values))

    def parallelism(self, raw: Raw) -> tuple[Iteration, ...]:
        return self.times(self.number(raw, "parallelism") or 0, "parallelism")

    def times(self, number: int, *path: str) -> tuple[Iteration, ...]:
        self.count(number, *path)
        return tuple(Iteration(f"_{place}", {}) for place in range(number))

    # ---- values

    def map(self, raw: Raw, *path: str | int) -> dict[str, Raw]:
        raw = self.structure(raw, *path)
        if not isinstance(raw, dict):
            self.fail(f"{path[0]} takes a map here", "look at the indentation", *path)
        return raw

    def items(self, raw: Raw, *path: str | int) -> Sequence[Raw]:
        raw = self.structure(raw, *path)
        if not isinstance(raw, list):
            self.fail(f"{path[-1]} takes a list", "write [a, b], or an expression that gives a list", *path)
        return raw

    def structure(self, raw: Raw, *path: str | int) -> Raw:
        """Return a list or map; an expression may give one as JSON, where ``null`` is that word, or as YAML."""
        if isinstance(raw, str) and raw.lstrip()[:1] in {"[", "{"}:
            with suppress(ValueError):
                return _json_words(strict_json.parse(raw))
        try:
            return structure_of(raw, str(path[-1]))
        except SourceError:
            self.fail(f"{path[-1]} is not a list or map: {raw!r}", "write it as JSON", *path)

    def number(self, raw: Raw | None, *path: str | int) -> int | None:
        if raw is None or raw == "":
            return None
        if not isinstance(raw, str) or not _NUMBER.match(raw):
            message = f"{self.named(path[-1])} is {raw!r}, which is not a whole number from 0 to 999999999"
            self.fail(message, "write it in digits", *path)
        return int(raw)

    def limit(self, raw: Raw | None, *path: str | int) -> int:
        number = self.number(raw, *path)
        if number == 0:
            self.fail(f"{self.named('maxConcurrency')} is at least 1", "leave it out for no limit", *path)
        return number or 0

    def skips(self, raw: Mapping[str, Raw]) -> bool:
        if fast := raw.get("fail-fast"):
            word = fast.lower() if isinstance(fast, str) else fast
            return self.word(word, ("true", "false"), "fail-fast") == "true"
        return self.word(raw.get("onFailure") or "RunAll", _ON_FAILURE, "onFailure") == "SkipQueued"

    def word(self, raw: Raw, words: Sequence[str], *path: str | int) -> str:
        """Return one of *words*, which begin with a small letter in the newer form."""
        found = [one for one in words if raw == one or (self.is_newer and raw == one.lower())]
        if not found:
            self.fail(f"{path[-1]} is {raw!r}, which is not known", f"write one of {', '.join(words)}", *path)
        return found[0]

    def named(self, key: str | int) -> str:
        """Return *key* as it is spelled in the form of the file."""
        return _NEWER_NAMES.get(str(key), str(key)) if self.is_newer else str(key)

    def unknown(self, key: str, known: Sequence[str], *path: str | int) -> NoReturn:
        reject("key", key, list(map(self.named, known)), self.where(*path))

    def where(self, *path: str | int) -> str:
        """Return the place of *path*, whose names may be written in either form."""
        found: tuple[str | int, ...] = ()
        for part in path:
            newer = _NEWER_NAMES.get(str(part), part)
            found = (*found, newer if (*found, part) not in self.origin.parts else part)
        return self.origin.at(*found)

    def fail(self, message: str, hint: str, *path: str | int) -> NoReturn:
        raise SourceError(message, where=self.where(*path), setting="strategy", hint=hint)


def _json_words(value: Any) -> Raw:
    """Return a list or map of JSON with its words as text: ``true``, not ``True``."""
    if isinstance(value, dict):
        return {str(key): _json_words(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_json_words(one) for one in value]
    return value if isinstance(value, str) else json.dumps(value)

"""``strategy``: a matrix, a repeat or a parallelism, and its iterations.

Source: Harness, "Use looping strategies": matrix, repeat, parallelism.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any, Final, NoReturn

from buildpush.expressions.tree import Value
from buildpush.foundation import strict_json
from buildpush.foundation.documents import Raw
from buildpush.foundation.errors import SourceError
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.settings.words import reject
from buildpush.settings.written import Origin

MOST: Final = 10_000  # iterations of one loop
_NUMBER: Final = regex(r"[0-9]{1,9}\Z")
_KEYS_OF_EVERY_KIND: Final = ("maxConcurrency", "when", "onFailure")
_KINDS: Final = ("matrix", "repeat", "parallelism")
INCLUDE: Final = "include"  # of a matrix in the newer form; moved beside the matrix, whose axes may have any name
FAIL_FAST: Final = "fail-fast"  # of the newer form
_ABOUT_MATRIX: Final = ("exclude", "maxConcurrency", "nodeName")
_REPEAT: Final = ("times", "items", "partitionSize", "start", "end", "unit", "maxConcurrency", "nodeName")
_UNITS: Final = ("Count", "Percentage")
_ON_FAILURE: Final = ("RunAll", "SkipQueued")


@dataclass(frozen=True, slots=True)
class Iteration:
    """One run of an element with a loop.

    Attributes:
        suffix: behind its identifier: ``_0``, and for a matrix the position on each axis, ``_0_1``.
        values: what expressions may ask for: ``{"matrix": {"os": "alpine"}}``.
    """

    suffix: str
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Loop:
    """The iterations of a loop in their order.

    Attributes:
        at_once: how many run at the same time; ``None`` where the loop does not say it.
        skips_queued: whether those that have not begun are skipped once one has failed.
    """

    iterations: tuple[Iteration, ...]
    at_once: int | None
    skips_queued: bool = False


def combinations(
    axes: Mapping[str, Sequence[Value]],
    exclude: Iterable[Mapping[str, Value]] = (),
    include: Iterable[Mapping[str, Value]] = (),
) -> tuple[Iteration, ...]:
    """Return every combination of *axes*, the last one changing fastest, that no entry of *exclude* fits as a whole.

    An entry of *include* adds its other keys to each of them whose values on the axes it does not change; if there is
    none, it is a combination of its own, after the others.  Source: GitHub, "Workflow syntax", ``matrix.include``.
    """
    entries = tuple(exclude)
    found: list[Iteration] = []
    for places in product(*(range(len(values)) for values in axes.values())) if axes else ():
        one = {axis: values[place] for (axis, values), place in zip(axes.items(), places, strict=True)}
        if not any(all(one[axis] == value for axis, value in entry.items()) for entry in entries):
            found.append(Iteration("".join(f"_{place}" for place in places), {"matrix": one}))
    return _with_included(found, axes, tuple(include))


def _with_included(
    found: Sequence[Iteration], axes: Mapping[str, Sequence[Value]], include: Sequence[Mapping[str, Value]]
) -> tuple[Iteration, ...]:
    """Return *found* with what the entries of *include* add; the suffix of a new one is a number after all others."""
    original = [_matrix_of(one) for one in found]
    grown = [dict(one) for one in original]
    added: list[Mapping[str, Value]] = []
    for entry in include:
        fitting = [
            place
            for place, one in enumerate(original)
            if all(axis not in one or one[axis] == value for axis, value in entry.items())
        ]
        for place in fitting:
            grown[place] |= entry
        added += [] if fitting else [entry]
    first = math.prod(map(len, axes.values())) if axes else 0
    return (
        *(Iteration(one.suffix, {"matrix": values}) for one, values in zip(found, grown, strict=True)),
        *(Iteration(f"_{place}", {"matrix": entry}) for place, entry in enumerate(added, first)),
    )


def _matrix_of(iteration: Iteration) -> Mapping[str, Value]:
    values = iteration.values["matrix"]
    return values if isinstance(values, Mapping) else {}


def bounds(size: int, start: int | None, end: int | None, *, percentage: bool = False) -> tuple[int, int]:
    """Return which items of *size* are used: the first, and the one after the last.

    With a *start* alone the last item is left out, as in Harness. Percentages are rounded; an end is at least 1.
    """
    if percentage:
        start, end = (None if one is None else min(size, (one * size + 50) // 100) for one in (start, end))
        end = None if end is None else max(1, end)
    if end is None:
        end = size if start is None else size - 1
    return min(start or 0, size), min(end, size)


def partitions(items: Sequence[Value], size: int) -> tuple[Sequence[Value], ...]:
    """Return *items* in groups of *size*, in their order."""
    return tuple(items[first : first + size] for first in range(0, len(items), size))


def read_loop(raw: Raw, origin: Origin) -> Loop:
    """Return the loop of a ``strategy``.

    Args:
        raw: its value; expressions are evaluated, except ``nodeName`` and ``when``, which are read elsewhere.
        origin: of the value.

    Raises:
        SourceError: an unknown key, a wrong value, or no iteration at all.
    """
    return _LoopReader(origin).loop(raw)


def loop_notes(raw: Raw, origin: Origin) -> Iterator[str]:
    """Yield notes about what is different here, or may be a mistake, in a ``strategy`` as it is written."""
    if not isinstance(raw, dict):
        return
    inner = next((raw[kind] for kind in _KINDS if kind in raw), None)
    entries = inner if isinstance(inner, dict) else {}
    if "matrix" in raw:
        yield from _vain_exclusions(entries, origin)
    if "start" in entries and "end" not in entries and "repeat" in raw:
        yield f"{origin.at('repeat', 'start')}: start without end leaves out the last item, as in Harness"


def _vain_exclusions(entries: Mapping[str, Raw], origin: Origin) -> Iterator[str]:
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
    inner = next((raw[kind] for kind in _KINDS if kind in raw), None) if isinstance(raw, dict) else None
    found = inner.get("nodeName") if isinstance(inner, dict) else None
    return found if isinstance(found, str) else ""


class _LoopReader:
    def __init__(self, origin: Origin) -> None:
        self.origin = origin

    def loop(self, raw: Raw) -> Loop:
        if not isinstance(raw, dict):
            self.fail("strategy is a map", "write matrix, repeat or parallelism below it")
        kinds = [kind for kind in _KINDS if kind in raw]
        for key in raw:
            if key not in {*_KINDS, *_KEYS_OF_EVERY_KIND, INCLUDE, FAIL_FAST}:
                reject("key", key, [*_KINDS, *_KEYS_OF_EVERY_KIND], self.origin.at(key))
        if len(kinds) != 1:
            said = f"{' and '.join(kinds)}" if kinds else "none of them"
            self.fail(f"strategy takes one of {', '.join(_KINDS)}, and has {said}", "keep one of them")
        (kind,) = kinds
        if kind != "matrix" and INCLUDE in raw:
            self.fail("include is for a matrix, and this strategy has none", "leave it out", INCLUDE)
        inner = raw[kind]
        matrix = partial(self.matrix, include=raw.get(INCLUDE) or "")
        readers: Mapping[str, Callable[[Raw], tuple[Iteration, ...]]]
        readers = {"matrix": matrix, "repeat": self.repeat, "parallelism": self.parallelism}
        iterations = readers[kind](inner)
        self.count(len(iterations), kind)
        limit = inner.get("maxConcurrency") if isinstance(inner, dict) else None
        at_once = self.limit(raw.get("maxConcurrency"), "maxConcurrency") or self.limit(limit, kind, "maxConcurrency")
        return Loop(iterations, at_once or None, self.skips(raw))

    def count(self, number: int, kind: str) -> None:
        if number == 0:
            self.fail(f"{kind} has no iterations", "leave the loop out, or give it values", kind)
        if number > MOST:
            self.fail(f"{kind} has {number} iterations, and the maximum is {MOST}", "write a smaller number", kind)

    def matrix(self, raw: Raw, include: Raw = "") -> tuple[Iteration, ...]:
        entries = self.map(raw, "matrix")
        old = entries.get("include")
        if isinstance(old, list) and any(isinstance(one, dict) for one in old):
            hint = "write all values on the axes, and name under exclude what is not to be run"
            message = "include of a matrix is of the newer form, and Harness takes it for an axis here"
            self.fail(message, hint, "matrix", "include")
        axes = {key: self.items(value, "matrix", key) for key, value in entries.items() if key not in _ABOUT_MATRIX}
        size = 1
        for values in axes.values():
            size *= len(values)
        more = [self.included_entry(one, place) for place, one in enumerate(self.items(include or [], INCLUDE))]
        self.count(size if axes else len(more), "matrix")
        exclude = [
            self.entry(one, axes, place) for place, one in enumerate(self.list(entries.get("exclude") or [], "exclude"))
        ]
        return combinations(axes, exclude, more)

    def included_entry(self, raw: Raw, place: int) -> Mapping[str, Raw]:
        entries = self.map(raw, INCLUDE, place)
        if not entries:
            self.fail("an entry of include is empty", "name an axis and its value", INCLUDE, place)
        return entries

    def entry(self, raw: Raw, axes: Mapping[str, Any], place: int) -> Mapping[str, Raw]:
        entries = self.map(raw, "matrix", "exclude", place)
        for key in entries:
            if key not in axes:
                reject("axis", key, axes, self.origin.at("matrix", "exclude", place, key))
        if not entries:
            self.fail("an entry of exclude is empty", "name an axis and its value", "matrix", "exclude", place)
        return entries

    def repeat(self, raw: Raw) -> tuple[Iteration, ...]:
        entries = self.map(raw, "repeat")
        for key in entries:
            if key not in _REPEAT:
                reject("key", key, _REPEAT, self.origin.at("repeat", key))
        if ("times" in entries) == ("items" in entries):
            self.fail("repeat takes either times or items", "keep one of them", "repeat")
        if "times" in entries:
            if vain := [key for key in ("partitionSize", "start", "end", "unit") if key in entries]:
                self.fail(f"{vain[0]} is for items, and repeat has times", "leave it out", "repeat", vain[0])
            return self.times(self.number(entries["times"], "repeat", "times") or 0, "repeat", "times")
        return self.repeated(entries)

    def repeated(self, entries: Mapping[str, Raw]) -> tuple[Iteration, ...]:
        items = self.items(entries["items"], "repeat", "items")
        start, end = (self.number(entries.get(key), "repeat", key) for key in ("start", "end"))
        unit = self.word(entries.get("unit") or "Count", _UNITS, "repeat", "unit")
        first, last = bounds(len(items), start, end, percentage=unit == "Percentage")
        chosen = items[first:last]
        if "partitionSize" in entries:
            size = self.number(entries["partitionSize"], "repeat", "partitionSize")
            if not size:
                self.fail(
                    "partitionSize is at least 1", "write the number of items in a group", "repeat", "partitionSize"
                )
            values: list[Mapping[str, Value]] = [{"partition": part} for part in partitions(chosen, size)]
        else:
            values = [{"item": item} for item in chosen]
        return tuple(Iteration(f"_{place}", {"repeat": value}) for place, value in enumerate(values))

    def parallelism(self, raw: Raw) -> tuple[Iteration, ...]:
        return self.times(self.number(raw, "parallelism") or 0, "parallelism")

    def times(self, number: int, *path: str | int) -> tuple[Iteration, ...]:
        self.count(number, ".".join(map(str, path)))
        return tuple(Iteration(f"_{place}", {}) for place in range(number))

    # ---- values

    def map(self, raw: Raw, *path: str | int) -> dict[str, Raw]:
        if not isinstance(raw, dict):
            self.fail(f"{path[0]} takes a map here", "look at the indentation", *path)
        return raw

    def list(self, raw: Raw, *path: str | int) -> Sequence[Raw]:
        if not isinstance(raw, list):
            self.fail(f"{path[-1]} takes a list", "write [a, b], or an expression that gives a list", *path)
        return raw

    def items(self, raw: Raw, *path: str | int) -> Sequence[Raw]:
        """Return a list; an expression may give one as JSON."""
        if isinstance(raw, str) and raw.lstrip().startswith("["):
            try:
                return [_json_item(one) for one in strict_json.parse(raw)]
            except ValueError:
                self.fail(f"{path[-1]} is not a list: {raw!r}", "write it as JSON", *path)
        return self.list(raw, *path)

    def number(self, raw: Raw | None, *path: str | int) -> int | None:
        if raw is None or raw == "":
            return None
        if not isinstance(raw, str) or not _NUMBER.match(raw):
            self.fail(f"{path[-1]} is {raw!r}, which is not a whole number", "write 0 or more", *path)
        return int(raw)

    def limit(self, raw: Raw | None, *path: str | int) -> int:
        number = self.number(raw, *path)
        if number == 0:
            self.fail("maxConcurrency is at least 1", "leave it out for no limit", *path)
        return number or 0

    def skips(self, raw: Mapping[str, Raw]) -> bool:
        if fast := raw.get(FAIL_FAST):
            return self.word(fast.lower() if isinstance(fast, str) else fast, ("true", "false"), FAIL_FAST) == "true"
        return self.word(raw.get("onFailure") or "RunAll", _ON_FAILURE, "onFailure") == "SkipQueued"

    def word(self, raw: Raw, words: Sequence[str], *path: str | int) -> str:
        if raw not in words:
            self.fail(f"{path[-1]} is {raw!r}", f"write one of {', '.join(words)}", *path)
        return str(raw)

    def fail(self, message: str, hint: str, *path: str | int) -> NoReturn:
        raise SourceError(message, where=self.origin.at(*path), setting="strategy", hint=hint)


def _json_item(value: Any) -> Raw:
    """Return an item of a list that an expression gives, as JSON: ``true``, not ``True``."""
    if isinstance(value, dict):
        return {str(key): _json_item(one) for key, one in value.items()}
    return value if isinstance(value, str) else json.dumps(value)

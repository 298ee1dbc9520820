"""Pictures of what belongs together: steps over time, the parts of a text, and what was made from what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from buildpush.display.drawing import HUE, WIDTH, Picture, draw, legend_at, line, number_text, words_at
from buildpush.foundation.records import dataclass
from buildpush.foundation.text import one_line, shortened

_TOP, _ROW, _BAR = 34, 30, 18
_LETTER: Final = 7.2  # of a word, in pixels
_BOX_HEIGHT, _BOX_GAP = 34, 22
_LEVEL: Final = 46
_MONOSPACE: Final = "ui-monospace,Menlo,Consolas,monospace"


@dataclass(frozen=True, slots=True)
class Period:
    """A row of a :func:`time_chart`: when something began and ended, in seconds; what did not begin has *words* only.

    Attributes:
        hue: its colour.
        words: what is written beside it; by default its seconds.
    """

    begin: float = 0.0
    end: float = 0.0
    hue: str = HUE
    words: str = ""


def time_chart(
    title: str, rows: Sequence[tuple[str, Period | Sequence[Period]]], legend: Mapping[str, str] | None = None
) -> Picture:
    """Return a bar for each of *rows*, from its begin to its end on one scale of time.

    Args:
        title: what is shown, which begins the alternative text.
        rows: names with their spans, one or several that follow one another.
        legend: the meaning of each colour, if there are several.
    """
    names = [shortened(one_line(name), 34) for name, _ in rows]
    bars = [[one] if isinstance(one, Period) else [*one] for _, one in rows]
    words = [one_line(bar[-1].words) or f"{number_text(bar[-1].end - bar[0].begin)} s" for bar in bars]
    left, right = (16 + max(map(len, texts), default=0) * _LETTER for texts in (names, words))
    first = min((bar[0].begin for bar in bars if bar[-1].end), default=0.0)
    scale = (WIDTH - left - right) / (max((bar[-1].end for bar in bars), default=0.0) - first or 1.0)
    lines, facts = [words_at(0, 18, title, weight=600)], []
    for at, (name, said, bar) in enumerate(zip(names, words, bars, strict=True)):
        y, x = _TOP + at * _ROW, left
        lines.append(words_at(left - 10, y + 14, name, anchor="end"))
        for span in bar if bar[-1].end else ():
            x, width = left + max(span.begin - first, 0.0) * scale, (span.end - span.begin) * scale
            box = f'x="{x:.1f}" y="{y}" width="{max(width, 1):.1f}" height="{_BAR}"'
            lines.append(f'<rect {box} rx="2" fill="{span.hue}"/>')
            x += width
        lines.append(words_at(x + 8, y + 14, said))
        facts.append(f"{name}: {said}{_when(bar, first, legend or {})}")
    bottom = _TOP + len(rows) * _ROW
    lines += legend_at(legend or {}, bottom)
    return draw(lines, bottom + (24 if legend else 0), f"{title}: {'; '.join(facts)}")


def _when(bar: Sequence[Period], first: float, legend: Mapping[str, str]) -> str:
    """Return when a bar begins, and how long each part of it is, if it has several."""
    if not bar[-1].end:
        return ""
    parts = [f"{legend[one.hue]} {number_text(one.end - one.begin)} s" for one in bar if one.hue in legend]
    lengths = f" ({', '.join(parts)})" if parts and len(bar) > 1 else ""
    return f", from {number_text(bar[0].begin - first)} s{lengths}"


def parts_of_text(title: str, text: str, value: str, parts: Sequence[tuple[str, str, str]]) -> Picture:
    """Return *text* with a bracket below each of its parts, and the value of each; the whole is the last.

    Args:
        title: what is shown, which begins the alternative text.
        text: what is taken apart.
        value: of the whole.
        parts: each with its value and the source of that, which may be empty; those that are not in *text* are left
            out.
    """
    text = one_line(text)
    letter = min(8.4, WIDTH / (len(text) or 1))
    spans = _levels([(text.find(part), part, result, source) for part, result, source in parts if part in text])
    deepest = max((level for level, *_ in spans), default=0)
    spans.append((deepest + 1, 0, text, value, ""))
    width = f'textLength="{len(text) * letter:.1f}" lengthAdjust="spacingAndGlyphs"'
    style = f'font-family="{_MONOSPACE}" font-size="{letter / 0.602:.1f}" {width}'
    lines = [words_at(0, 18, title, weight=600), words_at(0, 50, text, more=style)]
    for level, begin, part, result, source in spans:
        is_whole = level > deepest
        x, end, y = begin * letter, (begin + len(part)) * letter, float(18 + level * _LEVEL)
        hue = HUE if is_whole else "currentColor"
        lines += [line((x, y), (x, y - 6), hue), line((x, y), (end, y), hue), line((end, y), (end, y - 6), hue)]
        x = min(x, WIDTH - max(len(result), len(source)) * _LETTER)
        lines.append(words_at(x, y + 17, result, weight=600))
        lines += [words_at(x, y + 32, source, more='opacity=".75"')] if source else []
    facts = "; ".join(
        f"{part} is {result}" + (f", from {source}" if source else "") for *_, part, result, source in spans
    )
    return draw(lines, 30 + (deepest + 2) * _LEVEL, f"{title}: {facts}")


def _levels(found: Sequence[tuple[int, str, str, str]]) -> list[tuple[int, int, str, str, str]]:
    """Return each part with its level: below all parts that are inside of it."""
    levels: list[tuple[int, int, str, str, str]] = []
    for begin, part, value, source in sorted(found, key=lambda one: len(one[1])):
        inside = [level for level, at, other, *_ in levels if begin <= at and at + len(other) <= begin + len(part)]
        levels.append((max(inside, default=0) + 1, begin, part, value, source))
    return levels


def graph(title: str, columns: Mapping[str, Mapping[str, str]], arrows: Sequence[tuple[str, str, str]]) -> Picture:
    """Return boxes in columns, with arrows between them.

    Args:
        title: what is shown, which begins the alternative text.
        columns: by their headings: the words of each box, by its name.
        arrows: from which box to which, and the words beside it.
    """
    wide = (WIDTH - 110 * (len(columns) - 1)) / (len(columns) or 1)
    lines, said = [words_at(0, 18, title, weight=600)], dict[str, str]()
    places: dict[str, tuple[float, float]] = {}
    for at, (heading, boxes) in enumerate(columns.items()):
        x = at * (wide + 110)
        lines.append(words_at(x + wide / 2, _TOP + 14, heading, anchor="middle", more='opacity=".75"'))
        for row, (name, words) in enumerate(boxes.items()):
            y = float(_TOP + 28 + row * (_BOX_HEIGHT + _BOX_GAP))
            places[name], said[name] = (x, y + _BOX_HEIGHT / 2), words
            lines += _box(x, y, wide, words)
    facts = []
    for begin, end, words in arrows:
        (x, y), (to_x, to_y) = places[begin], places[end]
        lines += _arrow((x + wide, y), (to_x, to_y), words)
        facts.append(f"{said[begin]} → {said[end]}" + (f" ({words})" if words else ""))
    rows = max(map(len, columns.values()), default=0)
    return draw(lines, _TOP + 28 + rows * (_BOX_HEIGHT + _BOX_GAP), f"{title}: {'; '.join(facts) or 'nothing'}")


def _box(x: float, y: float, width: float, words: str) -> Iterator[str]:
    place = f'x="{x + 0.5:.1f}" y="{y:.1f}" width="{width - 1:.1f}" height="{_BOX_HEIGHT}"'
    yield f'<rect {place} rx="5" fill="none" stroke="currentColor" opacity=".6"/>'
    fitting = shortened(one_line(words), int((width - 12) / _LETTER))
    yield words_at(x + width / 2, y + _BOX_HEIGHT / 2 + 5, fitting, anchor="middle")


def _arrow(begin: tuple[float, float], end: tuple[float, float], words: str) -> Iterator[str]:
    yield line((begin[0] + 3, begin[1]), (end[0] - 8, end[1]), HUE)
    x, y = end[0] - 2, end[1]
    yield f'<path d="M{x:.1f} {y:.1f}l-9 -4.5v9z" fill="{HUE}"/>'
    middle = (begin[0] + end[0]) / 2, (begin[1] + end[1]) / 2
    yield words_at(middle[0], middle[1] - 7, words, anchor="middle")

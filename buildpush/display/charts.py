"""Charts for notebooks: bars, a line that rises, and who said what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from buildpush.display.drawing import HUE, WIDTH, Picture, draw, legend_at, line, number_text, words_at
from buildpush.display.tables import HUES
from buildpush.foundation.text import shortened

_HEIGHT, _BAR, _GAP = 240, 20, 12
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 34, 44


def bar_chart(
    title: str, rows: Mapping[str, Sequence[tuple[float, str]]], unit: str, legend: Mapping[str, str] | None = None
) -> Picture:
    """Return a bar for each of *rows*.

    Args:
        title: what is shown, which begins the alternative text.
        rows: parts of each bar, by its name: their values and colours.
        unit: of the values.
        legend: the meaning of each colour, if there are several.
    """
    totals = {name: sum(value for value, _ in parts) for name, parts in rows.items()}
    words = {name: f"{number_text(total)} {unit}" for name, total in totals.items()}
    left, right = (16 + max(map(len, texts), default=0) * 8 for texts in (rows, words.values()))
    scale = (WIDTH - left - right) / (max(totals.values(), default=0) or 1)
    lines = [words_at(0, 18, title, weight=600)]
    for at, (name, parts) in enumerate(rows.items()):
        x, y = float(left), _TOP + at * (_BAR + _GAP)
        lines.append(words_at(left - 10, y + 15, name, anchor="end"))
        for value, hue in parts:
            lines.append(
                f'<rect x="{x:.1f}" y="{y}" width="{max(value * scale - 1, 0.5):.1f}" height="{_BAR}" fill="{hue}"/>'
            )
            x += value * scale
        lines.append(words_at(x + 8, y + 15, words[name]))
    bottom = _TOP + len(rows) * (_BAR + _GAP)
    lines += legend_at(legend or {}, bottom)
    facts = ", ".join(f"{name} {text}" for name, text in words.items())
    return draw(lines, bottom + (24 if legend else 0), f"{title}: {facts}")


def line_chart(
    title: str,
    points: Iterable[tuple[float, float]],
    units: tuple[str, str],
    *,
    marks: Sequence[float] = (),
    mark: str = "",
    spans: Sequence[tuple[float, float]] = (),
    span: str = "",
    level: float = 0.0,
    level_name: str = "",
) -> Picture:
    """Return a line that rises by steps.

    Args:
        title: what is shown, which begins the alternative text.
        points: their x and y, the x in order.
        units: words for the x and the y.
        marks: the x of each vertical line.
        mark: what a vertical line means.
        spans: the x where each shaded part begins and ends.
        span: what a shaded part means.
        level: the y of a horizontal line, if it is not 0.
        level_name: what that means.
    """
    points = tuple(points)
    most_x = max((x for x, _ in points), default=0.0) or 1.0
    most_y = max([level, *(y for _, y in points)]) or 1.0
    across, up = (WIDTH - _LEFT - _RIGHT) / most_x, (_HEIGHT - _TOP - _BOTTOM) / most_y

    def at(x: float, y: float) -> tuple[float, float]:
        return _LEFT + x * across, _HEIGHT - _BOTTOM - y * up

    lines = [words_at(0, 18, title, weight=600)]
    for value in _ticks(most_y):
        lines += [line(at(0, value), at(most_x, value), "currentColor", opacity=0.2)]
        lines.append(words_at(_LEFT - 8, at(0, value)[1] + 4, number_text(value), anchor="end"))
    lines += [words_at(at(value, 0)[0], _HEIGHT - 26, number_text(value), anchor="middle") for value in _ticks(most_x)]
    for begin, end_x in spans:
        (x, y), (right, _) = at(begin, most_y), at(end_x, 0)
        lines.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(right - x, 1):.1f}" height="{_HEIGHT - _TOP - _BOTTOM}"'
            f' fill="{_SPAN}" opacity=".28"/>'
        )
    lines += [line(at(x, 0), at(x, most_y), _MARK, opacity=0.8) for x in marks]
    if level:
        lines += [line(at(0, level), at(most_x, level), _LEVEL, dash="5 4")]
    path = " ".join(f"H{x:.1f}V{y:.1f}" for x, y in (at(*point) for point in points))
    lines.append(f'<path d="M{_LEFT} {_HEIGHT - _BOTTOM}{path}" fill="none" stroke="{HUE}" stroke-width="2"/>')
    names = {
        HUE: f"{units[1]} by {units[0]}",
        **({_MARK: mark} if marks else {}),
        **({_SPAN: span} if spans else {}),
        **({_LEVEL: level_name} if level else {}),
    }
    lines += legend_at(names, _HEIGHT - 16)
    last_x, last_y = (number_text(value) for value in (points[-1] if points else (0.0, 0.0)))
    end = f"{last_y} {units[1]} after {last_x} {units[0]}" if points else "nothing"
    shaded = sum(end_x - begin for begin, end_x in spans)
    more = [f"{mark}: {len(marks)}"] * bool(marks) + [f"{span} for {number_text(shaded)} {units[0]}"] * bool(spans)
    more += [f"{level_name} {number_text(level)} {units[1]}"] * bool(level)
    return draw(lines, _HEIGHT + 8, f"{title}: {', '.join([end, *more])}")


def precedence_chart(title: str, claims: Mapping[str, Mapping[str, str]], sources: Mapping[str, str]) -> Picture:
    """Return a table of who said what: the value that counts in colour, those that it overrides struck through.

    Args:
        title: what is shown, which begins the alternative text.
        claims: the values of each setting, by source.
        sources: the words for each source, the weakest first.
    """
    left = 24 + max(map(len, claims), default=0) * 7
    width = (WIDTH - left) / (len(sources) or 1)
    lines = [words_at(0, 18, title, weight=600)]
    lines += [words_at(left + at * width + 8, _TOP + 14, words) for at, words in enumerate(sources.values())]
    facts = []
    for row, (setting, values) in enumerate(claims.items(), 1):
        y = _TOP + row * (_BAR + _GAP)
        lines += [line((0, y - 6), (WIDTH, y - 6), "currentColor", opacity=0.2), words_at(0, y + 15, setting)]
        *beaten, winner = [source for source in sources if source in values]
        for at, source in enumerate(sources):
            if source in values:
                place = left + at * width, y, width - 6
                lines += _claim(*place, shortened(values[source], int(width / 8.5)), counts=source == winner)
        over = f", over {', '.join(values[source] for source in reversed(beaten))}" * bool(beaten)
        facts.append(f"{setting} is {values[winner]} by {sources[winner]}{over}")
    return draw(lines, _TOP + (len(claims) + 1) * (_BAR + _GAP), f"{title}: {'; '.join(facts)}")


def _claim(x: float, y: float, width: float, words: str, *, counts: bool) -> Iterator[str]:
    if counts:
        yield f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="3" fill="{HUE}" opacity=".28"/>'
        yield words_at(x + 8, y + 15, words, weight=600)
    else:
        yield f'<g opacity=".75" text-decoration="line-through">{words_at(x + 8, y + 15, words)}</g>'


_MARK: Final = "#c2564b"
_LEVEL: Final = HUES["exists"]
_SPAN: Final = "#c98a2b"


def _ticks(most: float) -> Iterator[float]:
    """Yield about four round values up to *most*, from 0."""
    size = 10.0 ** (len(str(int(most))) - 1) if most >= 1 else most / 4
    step = next(size * part for part in (0.2, 0.5, 1.0, 2.0, 5.0) if most / (size * part) <= 5)  # noqa: PLR2004 - ticks
    value = 0.0
    while value <= most:
        yield round(value, 6)
        value += step

"""Pictures for notebooks: small SVGs with alternative text, readable in light and dark themes.

They are images with a data address: JupyterLab drops ``<svg>`` from a notebook that is only opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from buildpush.display.tables import HUES
from buildpush.foundation.records import dataclass
from buildpush.foundation.text import one_line, shortened

HUE: Final = HUES["sent"]
_WIDTH, _HEIGHT, _BAR, _GAP = 640, 240, 20, 12
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 34, 44
# The colours follow the theme of the page around the image.
_STYLE: Final = (
    "svg{color:#555;font:13px system-ui,sans-serif}"
    "@media(prefers-color-scheme:dark){svg{color:#ccc}}text{fill:currentColor}"
)


@dataclass(frozen=True, slots=True)
class Picture:
    """An SVG, and the text for those who do not see it."""

    svg: str
    alt: str

    def __repr__(self) -> str:
        return self.alt

    def _repr_html_(self) -> str:
        from base64 import b64encode  # imported here, since a terminal shows no pictures

        data = b64encode(self.svg.encode()).decode()
        return f'<img alt="{_safe(self.alt)}" style="max-width:100%" src="data:image/svg+xml;base64,{data}">'


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
    words = {name: f"{_number(total)} {unit}" for name, total in totals.items()}
    left, right = (16 + max(map(len, texts), default=0) * 8 for texts in (rows, words.values()))
    scale = (_WIDTH - left - right) / (max(totals.values(), default=0) or 1)
    lines = [_text(0, 18, title, weight=600)]
    for at, (name, parts) in enumerate(rows.items()):
        x, y = float(left), _TOP + at * (_BAR + _GAP)
        lines.append(_text(left - 10, y + 15, name, anchor="end"))
        for value, hue in parts:
            lines.append(
                f'<rect x="{x:.1f}" y="{y}" width="{max(value * scale - 1, 0.5):.1f}" height="{_BAR}" fill="{hue}"/>'
            )
            x += value * scale
        lines.append(_text(x + 8, y + 15, words[name]))
    bottom = _TOP + len(rows) * (_BAR + _GAP)
    lines += _legend(legend or {}, bottom)
    facts = ", ".join(f"{name} {text}" for name, text in words.items())
    return _picture(lines, bottom + (24 if legend else 0), f"{title}: {facts}")


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
    across, up = (_WIDTH - _LEFT - _RIGHT) / most_x, (_HEIGHT - _TOP - _BOTTOM) / most_y

    def at(x: float, y: float) -> tuple[float, float]:
        return _LEFT + x * across, _HEIGHT - _BOTTOM - y * up

    lines = [_text(0, 18, title, weight=600)]
    for value in _ticks(most_y):
        lines += [_line(at(0, value), at(most_x, value), "currentColor", opacity=0.2)]
        lines.append(_text(_LEFT - 8, at(0, value)[1] + 4, _number(value), anchor="end"))
    lines += [_text(at(value, 0)[0], _HEIGHT - 26, _number(value), anchor="middle") for value in _ticks(most_x)]
    for begin, end_x in spans:
        (x, y), (right, _) = at(begin, most_y), at(end_x, 0)
        lines.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(right - x, 1):.1f}" height="{_HEIGHT - _TOP - _BOTTOM}"'
            f' fill="{_SPAN}" opacity=".28"/>'
        )
    lines += [_line(at(x, 0), at(x, most_y), _MARK, opacity=0.8) for x in marks]
    if level:
        lines += [_line(at(0, level), at(most_x, level), _LEVEL, dash="5 4")]
    path = " ".join(f"H{x:.1f}V{y:.1f}" for x, y in (at(*point) for point in points))
    lines.append(f'<path d="M{_LEFT} {_HEIGHT - _BOTTOM}{path}" fill="none" stroke="{HUE}" stroke-width="2"/>')
    names = {
        HUE: f"{units[1]} by {units[0]}",
        **({_MARK: mark} if marks else {}),
        **({_SPAN: span} if spans else {}),
        **({_LEVEL: level_name} if level else {}),
    }
    lines += _legend(names, _HEIGHT - 16)
    end = f"{_number(points[-1][1])} {units[1]} after {_number(points[-1][0])} {units[0]}" if points else "nothing"
    shaded = sum(end_x - begin for begin, end_x in spans)
    more = [f"{mark}: {len(marks)}"] * bool(marks) + [f"{span} for {_number(shaded)} {units[0]}"] * bool(spans)
    more += [f"{level_name} {_number(level)} {units[1]}"] * bool(level)
    return _picture(lines, _HEIGHT + 8, f"{title}: {', '.join([end, *more])}")


def precedence_chart(title: str, claims: Mapping[str, Mapping[str, str]], sources: Mapping[str, str]) -> Picture:
    """Return a table of who said what: the value that counts in colour, those that it overrides struck through.

    Args:
        title: what is shown, which begins the alternative text.
        claims: the values of each setting, by source.
        sources: the words for each source, the weakest first.
    """
    left = 24 + max(map(len, claims), default=0) * 7
    width = (_WIDTH - left) / (len(sources) or 1)
    lines = [_text(0, 18, title, weight=600)]
    lines += [_text(left + at * width + 8, _TOP + 14, words) for at, words in enumerate(sources.values())]
    facts = []
    for row, (setting, values) in enumerate(claims.items(), 1):
        y = _TOP + row * (_BAR + _GAP)
        lines += [_line((0, y - 6), (_WIDTH, y - 6), "currentColor", opacity=0.2), _text(0, y + 15, setting)]
        *beaten, winner = [source for source in sources if source in values]
        for at, source in enumerate(sources):
            if source in values:
                place = left + at * width, y, width - 6
                lines += _claim(*place, shortened(values[source], int(width / 8.5)), counts=source == winner)
        over = f", over {', '.join(values[source] for source in reversed(beaten))}" * bool(beaten)
        facts.append(f"{setting} is {values[winner]} by {sources[winner]}{over}")
    return _picture(lines, _TOP + (len(claims) + 1) * (_BAR + _GAP), f"{title}: {'; '.join(facts)}")


def _claim(x: float, y: float, width: float, words: str, *, counts: bool) -> Iterator[str]:
    if counts:
        yield f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="3" fill="{HUE}" opacity=".28"/>'
        yield _text(x + 8, y + 15, words, weight=600)
    else:
        yield f'<g opacity=".75" text-decoration="line-through">{_text(x + 8, y + 15, words)}</g>'


_MARK: Final = "#c2564b"
_LEVEL: Final = HUES["exists"]
_SPAN: Final = "#c98a2b"


def _picture(lines: Iterable[str], height: float, alt: str) -> Picture:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}">'
    )
    return Picture(f"{head}<style>{_STYLE}</style>{''.join(lines)}</svg>", one_line(alt))


def _ticks(most: float) -> Iterator[float]:
    """Yield about four round values up to *most*, from 0."""
    size = 10.0 ** (len(str(int(most))) - 1) if most >= 1 else most / 4
    step = next(size * part for part in (0.2, 0.5, 1.0, 2.0, 5.0) if most / (size * part) <= 5)  # noqa: PLR2004 - ticks
    value = 0.0
    while value <= most:
        yield round(value, 6)
        value += step


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"  # noqa: PLR2004 - from here on, .3g writes 1e+03


def _legend(names: Mapping[str, str], y: float) -> Iterator[str]:
    x = 0.0
    for hue, words in names.items():
        yield f'<rect x="{x:.0f}" y="{y + 3:.0f}" width="11" height="11" rx="2" fill="{hue}"/>'
        yield _text(x + 17, y + 13, words)
        x += 40 + len(words) * 7


def _text(x: float, y: float, words: str, *, anchor: str = "start", weight: int = 400) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{_safe(words)}</text>'


def _line(
    begin: tuple[float, float], end: tuple[float, float], hue: str, *, opacity: float = 1, dash: str = "0"
) -> str:
    ends = f'x1="{begin[0]:.1f}" y1="{begin[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"'
    return f'<line {ends} stroke="{hue}" opacity="{opacity}" stroke-dasharray="{dash}"/>'


def _safe(text: str) -> str:
    from html import escape

    return escape(one_line(text))

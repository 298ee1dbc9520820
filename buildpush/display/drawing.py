"""What pictures for notebooks are drawn with: small SVGs with alternative text, readable in light and dark themes.

They are images with a data address: JupyterLab drops ``<svg>`` from a notebook that is only opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Final

from buildpush.display.tables import HUES
from buildpush.foundation.records import dataclass
from buildpush.foundation.text import one_line

HUE: Final = HUES["sent"]
WIDTH: Final = 640
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


def draw(lines: Iterable[str], height: float, alt: str) -> Picture:
    """Return the picture of *lines*, which say *alt*."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">'
    return Picture(f"{head}<style>{_STYLE}</style>{''.join(lines)}</svg>", one_line(alt))


def number_text(value: float) -> str:
    """Return *value* as short as it can be read."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"  # noqa: PLR2004 - from here on, .3g writes 1e+03


def legend_at(names: Mapping[str, str], y: float) -> Iterator[str]:
    """Yield the meaning of each colour, side by side."""
    x = 0.0
    for hue, words in names.items():
        yield f'<rect x="{x:.0f}" y="{y + 3:.0f}" width="11" height="11" rx="2" fill="{hue}"/>'
        yield words_at(x + 17, y + 13, words)
        x += 40 + len(words) * 7


def words_at(x: float, y: float, words: str, *, anchor: str = "start", weight: int = 400, more: str = "") -> str:
    """Return *words* at a place; *more* is what else the element gets."""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}"'
    return f"<text {' '.join(filter(None, (place, more)))}>{_safe(words)}</text>"


def line(begin: tuple[float, float], end: tuple[float, float], hue: str, *, opacity: float = 1, dash: str = "0") -> str:
    """Return a line."""
    ends = f'x1="{begin[0]:.1f}" y1="{begin[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"'
    return f'<line {ends} stroke="{hue}" opacity="{opacity}" stroke-dasharray="{dash}"/>'


def _safe(text: str) -> str:
    return escape(one_line(text))

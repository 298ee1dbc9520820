"""The sentence and the bar chart at the top of the performance page, both from what the benchmarks wrote."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

FIGURES = Path(__file__).parent.parent / "performance.jsonl"
OURS = "buildpush"
REGISTRY = "docker-registry"
# Row of the figures, what is done, and the beginning of the other client's name there.
COMPARED = (
    ("build", "Build an image and push it", "docker buildx"),
    ("daemon", "Push an image of the Docker daemon", "docker push"),
    ("plain", "Push a layout of plain layers", "skopeo copy"),
    ("tls", "Push compressed layers over TLS", "crane push"),
)
COLOURS = {True: "#2f8f83", False: "#8a8f98"}  # ours and the others', on white and on black
LONGEST, ROW, GAP = 80, 22, 14  # per cent of the width; pixels


@dataclass(frozen=True)
class Pair:
    """One task, done by us and by another client, in seconds.

    Attributes:
        times: how many times as long the other takes; the median of the ratios within one round.
    """

    task: str
    other: str
    ours: float
    theirs: float
    times: float


def pairs(path: Path = FIGURES) -> tuple[Pair, ...]:
    """Return what is compared."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return tuple(_pair(lines, *compared) for compared in COMPARED)


def _pair(lines: list[dict[str, Any]], row: str, task: str, other: str) -> Pair:
    found = [line for line in lines if (line.get("row"), line.get("registry")) == (row, REGISTRY)]
    ours, theirs = (next(line for line in found if line["name"].startswith(name)) for name in (OURS, other))
    return Pair(task, other, ours["value"], theirs["value"], theirs["ratio"])


def sentence(found: tuple[Pair, ...]) -> str:
    """Return what the chart shows, in one sentence."""
    built, pushed, copied, packed = found
    return (
        f"An image of 1 GB is built and pushed in {built.ours:.1f} s, {built.times:.1f} times as fast as "
        f"by {built.other}; one that Docker has built is pushed {pushed.times:.1f} times as fast as by "
        f"{pushed.other}, plain layers {copied.times:.1f} times as fast as by {copied.other}, and "
        f"compressed layers, over TLS, about as fast as by {packed.other}."
    )


def chart(found: tuple[Pair, ...]) -> str:
    """Return the bars as SVG that takes the width it gets, and the colour of the text around it."""
    scale = LONGEST / max(max(pair.ours, pair.theirs) for pair in found)
    drawn, top = list[str](), 0
    for pair in found:
        drawn.append(f'<text x="0" y="{top + 15}" font-weight="600">{escape(pair.task)}</text>')
        for place, (name, seconds) in enumerate(((OURS, pair.ours), (pair.other, pair.theirs)), start=1):
            drawn += _bar(name, seconds, seconds * scale, top + place * 2 * ROW - ROW)
        top += 5 * ROW + GAP
    said = escape("; ".join(f"{one.task}: {OURS} {one.ours:.1f} s, {one.other} {one.theirs:.1f} s" for one in found))
    return (
        f'<svg role="img" aria-label="{said}" class="headline" width="100%" height="{top}" fill="currentColor" '
        f'font-size="14">{"".join(drawn)}</svg>'
    )


def _bar(name: str, seconds: float, width: float, top: int) -> list[str]:
    end = f'x="{width:.1f}%" dx="6"'
    return [
        f'<text x="0" y="{top + 15}">{escape(name)}</text>',
        f'<rect x="0" y="{top + ROW}" width="{width:.1f}%" height="14" rx="2" fill="{COLOURS[name == OURS]}"/>',
        f'<text {end} y="{top + ROW + 12}">{seconds:.1f} s</text>',
    ]


class HeadlineDirective(SphinxDirective):
    """``{headline}``: the sentence; ``{headline} chart``: the sentence and the chart."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return a paragraph, and the chart."""
        self.env.note_dependency(str(FIGURES))
        found = pairs()
        said = nodes.paragraph(sentence(found), sentence(found))
        return [said, nodes.raw("", chart(found), format="html")] if self.arguments else [said]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("headline", HeadlineDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

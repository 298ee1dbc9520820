"""Rows about the second push: what the registry has is not sent again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.pushing import commands, material, registries, trials
from benchmarks.pushing.commands import Ran
from benchmarks.pushing.figures import Entry
from benchmarks.pushing.ground import SMALL_LAYERS, Ground
from benchmarks.pushing.material import Context
from benchmarks.pushing.registries import Target
from benchmarks.pushing.trials import OURS
from benchmarks.turns import in_turns

MORE_ROUNDS = 3  # than of the long ones: these are short, and a tenth of a second is what counts
OVER_CHECK = 0.1  # seconds


def unchanged(ground: Ground) -> list[Entry]:
    """Run the same step again, beside ``check`` of it."""
    return [
        *_unchanged(ground, ground.context, "2 layers"),
        *_unchanged(ground, ground.twenty, "20 small layers"),
    ]


def _unchanged(ground: Ground, context: Context, words: str) -> list[Entry]:
    with registries.KINDS[ground.kind]() as target:
        _command(target, context, "run")
        acts = {verb: _act(target, context, verb) for verb in ("run", "check")}
        figures = in_turns(acts, ground.rounds * MORE_ROUNDS)
    run, check = figures["run"], figures["check"]
    over = run.over(check)
    aim = f"at most {OVER_CHECK * 1000:.0f} ms over check"
    return [
        Entry(
            f"buildpush run, {words}",
            run.median,
            spread=run.spread,
            more={"seconds over check": over},
            aim=aim,
            kept=over <= OVER_CHECK,
        ),
        Entry(f"buildpush check, {words}", check.median, spread=check.spread),
    ]


def one_of_twenty(ground: Ground) -> list[Entry]:
    """Change one layer of twenty, and push again; beside that layer alone, and beside no change."""
    context, part = ground.twenty, ground.twenty.parts[SMALL_LAYERS // 2]
    alone = context.directory / "Dockerfile.alone"
    alone.write_text("FROM scratch\n" + material.copies([part]), encoding="utf-8")
    with registries.KINDS[ground.kind]() as target:
        _command(target, context, "run")
        changed = _Change(target, context, part)
        acts = {
            "one layer changed": changed,
            "that layer alone": _Change(target.beside("alone"), context, part, alone),
            "nothing changed": _act(target, context, "run"),
        }
        figures = in_turns(acts, ground.rounds * MORE_ROUNDS)
    mine = figures["one layer changed"]
    more = {"seconds over nothing changed": mine.over(figures["nothing changed"]), "bytes sent": float(changed.sent)}
    return [
        Entry(name, figure.median, spread=figure.spread, more=more if figure is mine else {})
        for name, figure in figures.items()
    ]


@dataclass
class _Change:
    """Changes one part of a context, and builds and pushes."""

    target: Target
    context: Context
    part: str
    dockerfile: Path | None = None
    sent: int = 0  # bytes of layers, the last time

    def __call__(self, number: int) -> float:
        material.renew(self.context, self.part, number)
        ran = _command(self.target, self.context, "run", self.dockerfile)
        self.sent = sum(layer["size"] for layer in layers_of(ran) if layer["fate"] == "sent")
        return ran.seconds


def _act(target: Target, context: Context, verb: str) -> Callable[[int], float]:
    return lambda _number: _command(target, context, verb).seconds


def _command(target: Target, context: Context, verb: str, dockerfile: Path | None = None) -> Ran:
    words = [*OURS, verb, *trials.run_words(context, target, dockerfile), "--json"]
    return commands.run(words, target.env)


def layers_of(ran: Ran) -> list[dict]:
    """Return the layers that ``buildpush run --json`` tells of."""
    (step,) = json.loads(ran.out)["steps"]
    return [layer for image in step["images"] for layer in image["layers"]]

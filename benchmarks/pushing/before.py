"""Rows that compare this code with an earlier checkout of it: whether a change has made the push slower."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.pushing import commands, material, registries, trials
from benchmarks.pushing.figures import Entry
from benchmarks.pushing.ground import IMAGE, SMALL_LAYERS, Ground, need
from benchmarks.pushing.registries import Target
from benchmarks.pushing.trials import Trial
from benchmarks.turns import Act, in_turns

HERE = Path(__file__).parents[2]
# -P: not what lies in the working directory, but what PYTHONPATH names.
PROGRAM = [sys.executable, "-P", "-m", "buildpush"]
MOST = 1.03  # times as long as before


@dataclass(frozen=True)
class Code:
    """One of the two checkouts."""

    name: str
    directory: Path

    @property
    def env(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self.directory)}


Make = Callable[[Ground, Code], Act]


def _push(ground: Ground, code: Code, source: str, *more: str, kind: str | None = None, **env: str) -> Act:
    words = lambda target: [[*PROGRAM, "push", source, target.reference, *more]]  # noqa: E731
    return Trial(kind or ground.kind, words, env={**code.env, **env})


def _daemon(ground: Ground, code: Code) -> Act:
    return _push(ground, code, f"docker-daemon:{IMAGE}", DOCKER_HOST=ground.docker)


def _plain(ground: Ground, code: Code) -> Act:
    return _push(ground, code, f"oci:{ground.plain}", "--compression", "gzip")


def _packed(ground: Ground, code: Code) -> Act:
    return _push(ground, code, f"oci:{ground.packed}")


def _tls(ground: Ground, code: Code) -> Act:
    need(None if ground.kind == "docker-registry" else "TLS at this registry")
    need(registries.missing_for_tls())
    return _push(ground, code, f"oci:{ground.packed}", kind=registries.OVER_TLS)


def _build(ground: Ground, code: Code) -> Act:
    words = lambda target: [[*PROGRAM, "run", *trials.run_words(ground.context, target)]]  # noqa: E731
    return Trial(ground.kind, words, env=code.env)


EMPTY: Mapping[str, Make] = {"daemon": _daemon, "plain": _plain, "packed": _packed, "tls": _tls, "build": _build}


@dataclass
class Repeated:
    """Builds and pushes into a repository of its own that has it all already; *changes* renews one small layer."""

    ground: Ground
    code: Code
    target: Target
    changes: bool
    env: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.env = {**self.target.env, **self.code.env}
        self.env["XDG_STATE_HOME"] = str(self.target.directory / self.code.name / str(self.changes))
        self(0)

    def __call__(self, number: int) -> float:
        if self.changes:
            material.renew(self.ground.twenty, self.ground.twenty.parts[SMALL_LAYERS // 2], number)
        words = trials.run_words(self.ground.twenty, self.target)
        return commands.run([*PROGRAM, "run", *words], self.env).seconds


def measure(ground: Ground, name: str, earlier: Path) -> list[Entry]:
    """Return the seconds of both checkouts in one row, and how many times as long ours takes now."""
    codes = [Code("before", earlier), Code("now", HERE)]
    if name in EMPTY:
        return _compared({code.name: EMPTY[name](ground, code) for code in codes}, ground.rounds)
    with registries.KINDS[ground.kind]() as target:
        acts = {code.name: Repeated(ground, code, target.beside(code.name), name == "changed") for code in codes}
        return _compared(acts, ground.rounds * 2)


def _compared(acts: Mapping[str, Act], rounds: int) -> list[Entry]:
    figures = in_turns(acts, rounds)
    now, before = figures["now"], figures["before"]
    ratio = now.ratio(before)
    aim = f"at most {MOST:g} times"
    return [
        Entry("before", before.median, spread=before.spread),
        Entry(
            "now", now.median, spread=now.spread, more={"times as long as before": ratio}, aim=aim, kept=ratio <= MOST
        ),
    ]


ROWS = (*EMPTY, "unchanged", "changed")

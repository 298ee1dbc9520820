"""Rows about size: what the registries themselves take, our memory, and seconds by gigabytes and by layers."""

from __future__ import annotations

from benchmarks.pushing import ceiling, material, registries, trials
from benchmarks.pushing.figures import Entry
from benchmarks.pushing.ground import IMAGE, Ground, Missing
from benchmarks.pushing.layouts import layers
from benchmarks.pushing.material import MEGABYTE
from benchmarks.pushing.trials import Trial
from benchmarks.turns import Figure, in_turns

SIZES = (0.25, 0.5, 1.0, 2.0)  # of the size asked for
COUNTS = (1, 10, 50)  # of layers
MOST_MEMORY = 150 * MEGABYTE


def ceilings(ground: Ground) -> list[Entry]:
    """Send the ready layers, two at once."""
    blobs = layers(ground.packed)
    size = sum(blob.stat().st_size for blob in blobs)

    def act(_number: int) -> float:
        with registries.KINDS[ground.kind]() as target:
            return ceiling.measure(target, blobs)

    figure = in_turns({"ready": act}, ground.rounds)["ready"]
    more = {"bytes of layers": float(size), "MB/s": size / figure.median / MEGABYTE}
    return [Entry("layers that are ready, by plain HTTP", figure.median, spread=figure.spread, more=more)]


def memory(ground: Ground) -> list[Entry]:
    """Push once from every source, and look at the largest process."""
    ways = {
        "buildpush run, native engine": trials.build_and_push(ground.kind, ground.context),
        "buildpush push oci: (gzip on the way)": trials.push(
            ground.kind, f"oci:{ground.plain}", "--compression", "gzip"
        ),
        "buildpush push oci:": trials.push(ground.kind, f"oci:{ground.packed}"),
    }
    try:
        env = {"DOCKER_HOST": ground.docker}
        ways["buildpush push docker-daemon:"] = trials.push(ground.kind, f"docker-daemon:{IMAGE}", env=env)
    except Missing as missing:
        print(f"  buildpush push docker-daemon: not measured, there is no {missing}")
    return [_peak(name, trial) for name, trial in ways.items()]


def _peak(name: str, trial: Trial) -> Entry:
    trial(0)
    peak = float(trial.ran[-1].peak)
    return Entry(name, peak, "bytes", aim=f"at most {MOST_MEMORY // MEGABYTE} MB", kept=peak <= MOST_MEMORY)


def by_size(ground: Ground) -> list[Entry]:
    """Build and push images of several sizes, two layers each."""
    sizes = [round(share * ground.megabytes) for share in SIZES]
    contexts = {f"{size:5} MB in 2 layers": material.two_layers(ground.cache, size) for size in sizes}
    figures = in_turns({name: trials.build_and_push(ground.kind, one) for name, one in contexts.items()}, ground.rounds)
    return [_grown(figures[name], context.size) for name, context in contexts.items()]


def by_layers(ground: Ground) -> list[Entry]:
    """Build and push images of one size in several numbers of layers."""
    contexts = {
        f"{ground.megabytes:5} MB in {count} layers": material.many_layers(ground.cache, ground.megabytes, count)
        for count in COUNTS
    }
    figures = in_turns({name: trials.build_and_push(ground.kind, one) for name, one in contexts.items()}, ground.rounds)
    return [_grown(figures[name], context.size) for name, context in contexts.items()]


def _grown(figure: Figure, size: int) -> Entry:
    more = {"bytes of files": float(size), "seconds a GB": figure.median / size * 1000 * MEGABYTE}
    return Entry(f"buildpush run, {figure.name.strip()}", figure.median, spread=figure.spread, more=more)

"""Rows that compare: the same image into an empty registry, by us and by others, in turns."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.pushing import registries, trials
from benchmarks.pushing.figures import Entry
from benchmarks.pushing.ground import IMAGE, Ground, need, need_program
from benchmarks.pushing.trials import Docker, Trial
from benchmarks.turns import Figure, in_turns


@dataclass(frozen=True)
class Way:
    """Another way to do the same, and how many times as long as ours it is to take at least."""

    name: str
    trial: Trial
    times: float

    @property
    def aim(self) -> str:
        return f"at least {self.times:g} times" if self.times > 1 else "not slower"


def of_a_daemon(ground: Ground) -> list[Entry]:
    """Push an image of a Docker daemon."""
    docker, env = Docker(ground.docker, ground.kind), {"DOCKER_HOST": ground.docker}
    need_program("skopeo")
    return _compare(
        ground,
        Way("buildpush push docker-daemon:", trials.push(ground.kind, f"docker-daemon:{IMAGE}", env=env), 1),
        [
            Way("docker push", docker.push(IMAGE), 4),
            Way("docker save, skopeo copy", docker.save_and_copy(IMAGE, ground.cache / "saved.tar"), 2),
        ],
    )


def of_a_plain_layout(ground: Ground) -> list[Entry]:
    """Push an OCI layout whose layers are compressed on the way."""
    need_program("skopeo")
    source = f"oci:{ground.plain}"
    return _compare(
        ground,
        Way("buildpush push oci:", trials.push(ground.kind, source, "--compression", "gzip"), 1),
        [Way("skopeo copy oci:", trials.skopeo(ground.kind, source), 6)],
    )


def of_a_packed_layout(ground: Ground) -> list[Entry]:
    """Push an OCI layout whose layers are compressed already."""
    return _beside_crane(ground, ground.kind)


def over_tls(ground: Ground) -> list[Entry]:
    """Push the same over TLS, as it goes to every registry but those of this machine."""
    need(None if ground.kind == "docker-registry" else "TLS at this registry")
    need(registries.missing_for_tls())
    return _beside_crane(ground, registries.OVER_TLS)


def _beside_crane(ground: Ground, kind: str) -> list[Entry]:
    need_program("crane")
    return _compare(
        ground,
        Way("buildpush push oci:", trials.push(kind, f"oci:{ground.packed}"), 1),
        [Way("crane push", trials.crane(kind, ground.packed), 1)],
    )


def of_a_build(ground: Ground) -> list[Entry]:
    """Build and push a context that is only copied."""
    docker = Docker(ground.docker, ground.kind)
    return _compare(
        ground,
        Way("buildpush run, native engine", trials.build_and_push(ground.kind, ground.context), 1),
        [
            Way("docker buildx build --push", docker.buildx(ground.context), 10),
            Way("docker build, docker push", docker.build_and_push(ground.context), 15),
        ],
    )


def _compare(ground: Ground, ours: Way, others: Sequence[Way]) -> list[Entry]:
    figures = in_turns({way.name: way.trial for way in (ours, *others)}, ground.rounds)
    mine = figures[ours.name]
    return [_of_ours(mine, ours.trial), *(_of_another(figures[way.name], mine, way) for way in others)]


def _of_ours(figure: Figure, trial: Trial) -> Entry:
    more = {
        "seconds of processor": statistics.median(one.processor for one in trial.ran),
        "seconds of these in the kernel": statistics.median(one.kernel for one in trial.ran),
        "bytes of memory": float(max(one.peak for one in trial.ran)),
    }
    return Entry(figure.name, figure.median, spread=figure.spread, more=more)


def _of_another(figure: Figure, mine: Figure, way: Way) -> Entry:
    ratio = figure.ratio(mine)
    return Entry(figure.name, figure.median, spread=figure.spread, ratio=ratio, aim=way.aim, kept=ratio >= way.times)

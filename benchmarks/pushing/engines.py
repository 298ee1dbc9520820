"""Rows about engines: one context built and pushed with each of them, beside the engine's own push, in turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.pushing import material, trials
from benchmarks.pushing.figures import Entry
from benchmarks.pushing.ground import Ground, Missing, need_program
from benchmarks.pushing.material import Context
from benchmarks.pushing.registries import Target
from benchmarks.pushing.trials import OURS, Commands, Trial
from benchmarks.turns import Figure, in_turns

SMALL_FILES = 2000
STAGES = 10
TIMES_OF_BUILDX = 10  # that the native engine is to be faster where files are only copied


@dataclass(frozen=True)
class Job:
    """What is built.

    Attributes:
        again: whether all of it was built and pushed just before.
        copied: whether native is to be ten times faster than buildx.
    """

    context: Context
    dockerfile: Path
    again: bool = False
    copied: bool = False

    @property
    def fresh(self) -> list[str]:
        return [] if self.again else ["--no-cache"]


@dataclass(frozen=True)
class Rival:
    """An engine, and its own way to build and push."""

    engine: str
    own_name: str
    own: Commands
    forget: Commands
    env: Mapping[str, str]


def copied(ground: Ground) -> list[Entry]:
    """Copy large and small files, a GB unless told otherwise."""
    return _compare(ground, Job(ground.context, ground.context.dockerfile, copied=True))


def small_files(ground: Ground) -> list[Entry]:
    """Copy two thousand small files."""
    context = material.small_files(ground.cache, SMALL_FILES)
    return _compare(ground, Job(context, context.dockerfile, copied=True))


def staged(ground: Ground) -> list[Entry]:
    """Build ten stages, each of which copies from the one before."""
    context = material.many_layers(ground.cache, max(STAGES, ground.megabytes // 10), STAGES)
    dockerfile = context.directory / "Dockerfile.stages"
    dockerfile.write_text(_stages(context), encoding="utf-8")
    return _compare(ground, Job(context, dockerfile))


def again(ground: Ground) -> list[Entry]:
    """Build and push twenty small layers once more, although nothing has changed."""
    return _compare(ground, Job(ground.twenty, ground.twenty.dockerfile, again=True))


def _stages(context: Context) -> str:
    lines = [f"FROM scratch AS s0\nCOPY {context.parts[0]} /in\n"]
    for number, part in enumerate(context.parts[1:], 1):
        lines.append(f"FROM scratch AS s{number}\nCOPY {part} /in\nCOPY --from=s{number - 1} /in /before\n")
    return "".join(lines)


def _compare(ground: Ground, job: Job) -> list[Entry]:
    ours, own, rivals = {}, {}, _rivals(ground, job)
    for engine, rival in rivals.items():
        ours[engine] = _trial(ground.kind, job, _ours(job, engine), rival)
        if rival:
            own[engine] = _trial(ground.kind, job, rival.own, rival)
    acts = {_name(engine): trial for engine, trial in ours.items()}
    acts |= {rivals[engine].own_name: trial for engine, trial in own.items()}
    figures = in_turns(acts, ground.rounds)
    entries = []
    for engine, rival in rivals.items():
        mine = figures[_name(engine)]
        entries.append(
            _entry(mine, figures, job) if engine == "native" else Entry(mine.name, mine.median, spread=mine.spread)
        )
        if rival:
            entries.append(_beside(figures[rival.own_name], mine))
    return entries


def _name(engine: str) -> str:
    return f"buildpush run --engine {engine}"


def _entry(mine: Figure, figures: Mapping[str, Figure], job: Job) -> Entry:
    """Return the figure of native, which is compared with buildx's own push."""
    other = figures.get(_BUILDX)
    entry = Entry(mine.name, mine.median, spread=mine.spread)
    if other is None:
        return entry
    ratio = other.ratio(mine)
    entry = replace(entry, more={"times as long: buildx's own push": ratio})
    aim = f"{TIMES_OF_BUILDX} times as fast as buildx"
    return replace(entry, aim=aim, kept=ratio >= TIMES_OF_BUILDX) if job.copied else entry


def _beside(own: Figure, mine: Figure) -> Entry:
    ratio = own.ratio(mine)
    return Entry(own.name, own.median, spread=own.spread, ratio=ratio, aim="not faster than ours", kept=ratio >= 1)


def _trial(kind: str, job: Job, commands: Commands, rival: Rival | None) -> Trial:
    before = commands if job.again else trials.nothing
    if rival is None:
        return Trial(kind, commands, before)
    return Trial(kind, commands, before, rival.forget, rival.env)


def _ours(job: Job, engine: str) -> Commands:
    words = [
        "--context",
        str(job.context.directory),
        "--dockerfile",
        str(job.dockerfile),
        "--engine",
        engine,
        "--tags",
        "1",
    ]
    words += [*job.fresh, "--no-publish-build-info"]  # others publish none
    return lambda target: [[*OURS, "run", *words, "--repo", f"{target.host}/{target.path}"]]


_BUILDX = "docker buildx build --push"


def _rivals(ground: Ground, job: Job) -> dict[str, Rival | None]:
    """Return the engines that are here, native first; what is missing is said."""
    found: dict[str, Rival | None] = {"native": None}
    makers: dict[str, Callable[[Ground, Job], Rival]] = {"docker": _docker, "buildx": _buildx, "buildah": _buildah}
    for engine, make in makers.items():
        try:
            found[engine] = make(ground, job)
        except Missing as missing:
            print(f"  {engine} is left out: there is no {missing}")
    return found


def _words(job: Job) -> list[str]:
    return [*job.fresh, "--file", str(job.dockerfile), str(job.context.directory)]


def _docker(ground: Ground, job: Job) -> Rival:
    env = {"DOCKER_HOST": ground.bare_docker}

    def own(target: Target) -> list[list[str]]:
        build = ["docker", "build", "--quiet", "--tag", target.reference, *_words(job)]
        return [build, ["docker", "push", "--quiet", target.reference]]

    forget = [["docker", "system", "prune", "--all", "--force"], ["docker", "builder", "prune", "--all", "--force"]]
    return Rival("docker", "docker build, docker push", own, lambda _: forget, env)


def _buildx(ground: Ground, job: Job) -> Rival:
    words = ["docker", "buildx", "build", "--quiet", "--provenance=false", "--push", *_words(job)]
    forget = [["docker", "buildx", "prune", "--all", "--force"]]
    return Rival(
        "buildx", _BUILDX, lambda target: [[*words, "--tag", target.reference]], lambda _: forget, ground.buildkit
    )


def _buildah(ground: Ground, job: Job) -> Rival:
    need_program("buildah")
    storage = ground.cache / "buildah"
    buildah = ["buildah", "--root", f"{storage}/root", "--runroot", f"{storage}/run"]

    def own(target: Target) -> list[list[str]]:
        build = [
            *buildah,
            "build",
            "--quiet",
            "--isolation",
            "chroot",
            "--layers",
            "--tag",
            target.reference,
            *_words(job),
        ]
        return [build, [*buildah, "push", "--quiet", "--tls-verify=false", target.reference]]

    forget = [[*buildah, "rmi", "--all", "--force"]]
    return Rival("buildah", "buildah build, buildah push", own, lambda _: forget, {})

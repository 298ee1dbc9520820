"""Which engine builds: every engine there is, what each can do, and the choice among them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from buildpush.dockerfile import parse as dockerfile
from buildpush.dockerfile.request import BuildRequest
from buildpush.dockerfile.rules import advise
from buildpush.dockerfile.stages import StageOrderError, check_order
from buildpush.engines import Engine
from buildpush.engines.refusal import refusal_of, require_done
from buildpush.foundation.errors import DockerfileError, EngineMissingError, StrictError, UnsupportedError
from buildpush.foundation.events import Decision, Note, Sink

AUTO = "auto"


# What known() gives, for those who want no more than names: to load the engines takes longer than help may.
NAMES = ("native", "docker", "buildx", "buildah", "kaniko")


# Settings that change how an engine works but not what comes out; without them the image is the same.
HINTS = frozenset({"optimize"})


# Settings of the run that one engine acts on, and what another does without them.
OF_ONE: Final = {
    "fetch_limit": ("native", "the engine {engine} fetches itself what ADD names, without a limit of ours"),
    "kaniko_image": ("kaniko", "the engine {engine} needs no image of kaniko"),
}


def known() -> tuple[type[Engine], ...]:
    """Return every engine there is, in the order in which ``auto`` tries them."""
    from buildpush.engines.buildah import Buildah
    from buildpush.engines.docker.buildx import Buildx
    from buildpush.engines.docker.classic import Docker
    from buildpush.engines.kaniko.kaniko import Kaniko
    from buildpush.engines.native import Native

    return (Native, Docker, Buildx, Buildah, Kaniko)


def offered(choices: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the words of *choices* that ``engine`` may be today, and those that no engine answers to yet."""
    names = {AUTO, *NAMES}
    return tuple(word for word in choices if word in names), tuple(word for word in choices if word not in names)


def choose(
    wanted: str, set_names: Collection[str], request: BuildRequest, candidates: Sequence[Engine], sink: Sink
) -> Engine:
    """Return the engine that is to build *request*, and tell *sink* which and why.

    Args:
        wanted: an engine's name, or ``auto`` for the first candidate that is here and can do all of it.
        set_names: settings that the user set; those that are not for engines do not matter.
        request: what is to be built.
        candidates: in order of preference.
        sink: gets a ``Decision``, and a ``Note`` for each hint that makes no difference.

    Raises:
        UnsupportedError: there is no such engine, or it cannot honour a setting that was set, or not with that value.
        EngineMissingError: the engine that was asked for, or each that could do it, is not here.
        DockerfileError: the Dockerfile cannot be read, or the engine that was asked for does not do all of it.
    """
    _require_stages(request)
    if wanted != AUTO:
        engine = _named(wanted, candidates)
        refuse_unspelled(engine, set_names, sink)
        _require(engine)
        require_done(engine, request, candidates)
        sink(Decision("engine", engine.name, "the setting 'engine' asks for it"))
        return engine
    passed: list[str] = []
    unreadable: DockerfileError | None = None
    for engine in candidates:
        try:
            why_not = _why_not(engine, set_names, request)
        except DockerfileError as error:
            unreadable, why_not = error, "it cannot read the Dockerfile"
        if why_not is None:
            refuse_unspelled(engine, set_names, sink)
            sink(Decision("engine", engine.name, "; ".join([*passed, _strength(engine)])))
            return engine
        passed.append(f"{engine.name} is passed over: {why_not}")
    if unreadable:
        raise unreadable
    message = f"no engine can build this: {'; '.join(passed)}"
    raise EngineMissingError(message, hint=_remedies(candidates), setting="engine")


def advised(engine: Engine, request: BuildRequest, sink: Sink) -> None:
    """Tell *sink* each trap that the Dockerfile holds for *engine*, before anything is built.

    Raises:
        StrictError: the Dockerfile itself asks, with ``# check=error=true``, to be refused for one of them.
    """
    from buildpush.engines.bases import unknown  # which loads what speaks to registries; help needs only names

    advice = advise(request, engine.lacks)
    for trap in advice.traps:
        sink(Note(str(trap)))
    if note := unknown(request):
        sink(Note(note))
    if advice.refused:
        message = f"the Dockerfile asks to be refused for {', '.join(advice.refused)}"
        hint = "mend it, or take error=true out of its check directive"
        raise StrictError(message, hint=hint, where=request.dockerfile.name)


def _require_stages(request: BuildRequest) -> None:
    """Refuse a target that the Dockerfile has not, and stages that no order fits, whichever engine would build it.

    Some engines would ask Docker Hub for an image called as a later stage. Numbers of targets are left to the engine.
    """
    try:
        file = dockerfile.read(request.dockerfile)
    except DockerfileError:
        return  # each engine says so itself, or can read it
    if not file.stages:
        return
    if request.target is not None and not request.target.isdecimal():
        file.target(request.target)
    try:
        check_order(file, request)
    except StageOrderError:
        raise
    except DockerfileError:
        return  # as above


def _remedies(candidates: Iterable[Engine]) -> str | None:
    """Return what the engines that are not here advise."""
    reasons = filter(None, (engine.missing() for engine in candidates))
    return "; ".join(filter(None, (reason.partition("\n")[2] for reason in reasons))) or None


def _named(wanted: str, candidates: Iterable[Engine]) -> Engine:
    by_name = {engine.name: engine for engine in candidates}
    if wanted in by_name:
        return by_name[wanted]
    message = f"there is no engine {wanted!r}"
    raise UnsupportedError(message, hint=f"engines are: {AUTO}, {', '.join(sorted(by_name))}", setting="engine")


def _require(engine: Engine) -> None:
    reason = engine.missing()
    if reason is None:
        return
    message, _, hint = reason.partition("\n")
    raise EngineMissingError(message, hint=hint or None, setting="engine")


def _why_not(engine: Engine, set_names: Collection[str], request: BuildRequest) -> str | None:
    """Return why ``auto`` passes *engine* over; the cheap questions come first."""
    unspelled = _unspelled(engine, set_names)
    if unspelled:
        return f"it does not honour {_listed(unspelled)}"
    refused = refusal_of(engine, request)
    if refused:
        return refused
    reason = engine.missing()
    return reason.partition("\n")[0] if reason else None


def _strength(engine: Engine) -> str:
    return "it needs no daemon and no root" if engine.name == "native" else "it is here and honours every setting"


def refuse_unspelled(engine: Engine, set_names: Collection[str], sink: Sink) -> None:
    """Refuse a setting that was set and that *engine* does not honour; a mere hint gets a note.

    Raises:
        UnsupportedError: naming the engines that can.
    """
    for name, (owner, words) in OF_ONE.items():
        if name in set_names and engine.name != owner:
            sink(Note(f"{words.format(engine=engine.name)}: {name} is for the engine {owner}"))
    for name in sorted(set(set_names) & HINTS - engine.spells.keys()):
        sink(Note(f"the engine {engine.name} leaves {name!r} alone; the image is the same"))
    unspelled = _unspelled(engine, set_names)
    if not unspelled:
        return
    able = [other.name for other in known() if not _unspelled(other, set_names)]
    hint = f"use engine: {' or '.join(able)}" if able else "no single engine honours them all; leave some out"
    message = f"the engine {engine.name} cannot honour {_listed(unspelled)}"
    raise UnsupportedError(message, hint=hint, setting=unspelled[0])


def _unspelled(engine: Engine | type[Engine], set_names: Collection[str]) -> list[str]:
    """Return the settings for engines that were set and that *engine* does not spell."""
    for_engines = {name for other in known() for name in other.spells} - HINTS
    return sorted((set(set_names) & for_engines) - engine.spells.keys())


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)

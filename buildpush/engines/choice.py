"""Chooses the engine that builds: one that is available and supports the request; and says why."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from buildpush.dockerfile import parse as dockerfile
from buildpush.dockerfile.instructions import errors_in
from buildpush.dockerfile.model import NewerSyntaxError, UnbuildableError
from buildpush.dockerfile.request import BuildRequest
from buildpush.dockerfile.rules import advise
from buildpush.dockerfile.stages import check_order
from buildpush.engines import AUTO, ENGINES, OWN_SETTINGS
from buildpush.engines.bases import authorities, insecure_hosts, unknown_bases_note
from buildpush.engines.refusal import refusal_of, refuse_unsupported, require_here
from buildpush.engines.seam import Engine
from buildpush.foundation.errors import DockerfileError, EngineMissingError, StrictError, UnsupportedError
from buildpush.foundation.events import Decision, Note, Sink
from buildpush.http.urls import is_loopback

_CONTAINER_SETTINGS = frozenset({"resources", "run_as_user", "privileged"})
_NOT_TRUSTED = (
    "the engine {engine} connects to {host} as its own configuration says: if that host has no TLS, or a certificate "
    "that is not trusted, add it to insecure-registries in /etc/docker/daemon.json, or to the buildkitd.toml of the "
    "builder; or use engine: buildah"
)
_NO_AUTHORITY = (
    "the engine {engine} connects to {host} as its own configuration says: put the authority's certificate into "
    "/etc/docker/certs.d/{host}/ca.crt, which buildah reads as well, or name it in the buildkitd.toml of the builder"
)
# Settings that change how an engine works but not its result; without them the image is the same.
HINTS = frozenset({"optimize"}) | _CONTAINER_SETTINGS


def choose(
    wanted: str, set_names: Collection[str], request: BuildRequest, engines: Mapping[str, Engine], sink: Sink
) -> Engine:
    """Return the engine that builds *request*, and report the choice and its reason to *sink*.

    Args:
        wanted: an engine's name, or ``auto`` for the first candidate that is available and supports all of it.
        set_names: names of the settings for engines that the user has set.
        request: what to build.
        engines: by name, in order of preference.
        sink: gets a ``Decision``, and a ``Note`` for each setting that makes no difference.

    Raises:
        UnsupportedError: there is no such engine, or it does not honour a setting that was set, or its value.
        EngineMissingError: the engine that was asked for, or each that supports the request, is not available.
        DockerfileError: the Dockerfile cannot be read, or the engine that was asked for does not support all of it.
    """
    _require_stages(request)
    if wanted != AUTO:
        engine = require(wanted, set_names, engines, sink)
        refuse_unsupported(engine, request, engines.values())
        return engine
    reasons: list[str] = []
    unreadable: DockerfileError | None = None
    for engine in engines.values():
        try:
            why_not = _why_not(engine, set_names, request)
        except NewerSyntaxError as error:
            unreadable, why_not = error, "it cannot read the Dockerfile"
        if why_not is None:
            refuse_unsupported_settings(engine, set_names, sink)
            sink(Decision("engine", engine.name, "; ".join([*reasons, ENGINES[engine.name].strength])))
            return engine
        reasons.append(f"{engine.name} is not used: {why_not}")
    if unreadable:
        raise unreadable
    message = f"no engine can build this: {'; '.join(reasons)}"
    raise EngineMissingError(message, hint=_remedies(engines.values()), setting="engine")


def require(wanted: str, set_names: Collection[str], engines: Mapping[str, Engine], sink: Sink) -> Engine:
    """Return the engine with the name *wanted*, whatever it builds; errors as for :func:`choose`."""
    engine = _engine_named(wanted, engines)
    refuse_unsupported_settings(engine, set_names, sink, engines.values())
    require_here(engine)
    sink(Decision("engine", engine.name, "the step asks for it"))
    return engine


def note_traps(engine: Engine, request: BuildRequest, sink: Sink) -> None:
    """Report each trap that the Dockerfile has for *engine* to *sink*, before anything is built.

    Raises:
        StrictError: the Dockerfile itself asks, with ``# check=error=true``, to be refused for such a trap.
    """
    advice = advise(request, engine.unsupported_features)
    for trap in advice.traps:
        sink(Note(str(trap)))
    if note := unknown_bases_note(request):
        sink(Note(note))
    for host in insecure_hosts(request):
        if not is_loopback(host) and "insecure_registry" not in engine.flags:
            sink(Note(_NOT_TRUSTED.format(engine=engine.name, host=host)))
    for host in authorities(request):
        if "registry_certificate" not in engine.flags:
            sink(Note(_NO_AUTHORITY.format(engine=engine.name, host=host)))
    if advice.errors:
        message = f"the Dockerfile breaks the rules {', '.join(advice.errors)}, and says that this is an error"
        hint = "follow these rules, or remove error=true from the line # check="
        raise StrictError(message, hint=hint, where=request.dockerfile.name)


def _require_stages(request: BuildRequest) -> None:
    """Refuse what no engine can build, such as a target that does not exist, or stages that need each other.

    Some engines would ask Docker Hub for an image with the name of a later stage. A target that is a number is left to
    the engine.
    """
    try:
        file = dockerfile.read(request.dockerfile)
    except UnbuildableError:
        raise
    except DockerfileError:
        return  # each engine reports it itself, or can read it
    if not file.stages:
        return
    if request.target is not None and not request.target.isdecimal():
        file.target(request.target)
    try:
        check_order(file, request)
    except UnbuildableError:
        raise
    except DockerfileError:
        return  # each engine reports it itself, or can read it
    if "BUILDKIT_SYNTAX" in request.build_args:  # which names another frontend
        return
    if error := next((one for one in errors_in(file, request) if isinstance(one, UnbuildableError)), None):
        raise error


def _remedies(candidates: Iterable[Engine]) -> str | None:
    """Return the remedies of the engines that are not available."""
    reasons = filter(None, (engine.missing() for engine in candidates))
    return "; ".join(filter(None, (reason.partition("\n")[2] for reason in reasons))) or None


def _engine_named(wanted: str, engines: Mapping[str, Engine]) -> Engine:
    if wanted in engines:
        return engines[wanted]
    is_known = wanted in ENGINES
    message = f"the engine {wanted} does not run in a cluster" if is_known else f"there is no engine {wanted!r}"
    raise UnsupportedError(message, hint=f"choose one of: {AUTO}, {', '.join(sorted(engines))}", setting="engine")


def _why_not(engine: Engine, set_names: Collection[str], request: BuildRequest) -> str | None:
    """Return why ``auto`` does not use *engine*; the cheap checks come first."""
    unsupported = unsupported_settings(engine, set_names)
    if unsupported:
        return f"it does not honour {_quote_names(unsupported)}"
    refused = refusal_of(engine, request)
    if refused:
        return refused
    reason = engine.missing()
    return reason.partition("\n")[0] if reason else None


def refuse_unsupported_settings(
    engine: Engine, set_names: Collection[str], sink: Sink, others: Iterable[Engine] = ()
) -> None:
    """Refuse a setting that *engine* does not honour; report a note where the image is the same without it.

    Raises:
        UnsupportedError: its hint names the engines that honour all settings.
    """
    for other in ENGINES.values():
        for name, effect in other.settings.items():
            if name in set_names and engine.name != other.name:
                sink(Note(f"{effect.format(engine=engine.name)}: {name} is for the engine {other.name}"))
    for name in sorted(set(set_names) & HINTS - engine.flags.keys()):
        reason = "it does not run in a container of its own" if name in _CONTAINER_SETTINGS else "the image is the same"
        sink(Note(f"the engine {engine.name} does not use {name!r}; {reason}"))
    unsupported = unsupported_settings(engine, set_names)
    if not unsupported:
        return
    candidates: tuple[Engine | type[Engine], ...] = (*others,) or tuple(row.load() for row in ENGINES.values())
    able = [one.name for one in candidates if not unsupported_settings(one, set_names)]
    hint = f"use engine: {' or '.join(able)}" if able else "no single engine honours them all; leave some out"
    message = f"the engine {engine.name} cannot honour {_quote_names(unsupported)}"
    raise UnsupportedError(message, hint=hint, setting=unsupported[0])


def unsupported_settings(engine: Engine | type[Engine], set_names: Collection[str]) -> list[str]:
    """Return the settings that were set and that *engine* does not support."""
    return sorted(set(set_names) - HINTS - OWN_SETTINGS - engine.flags.keys())


def _quote_names(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)

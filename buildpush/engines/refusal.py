"""Why an engine cannot build: it is not available, or does not support what is asked for."""

from __future__ import annotations

from collections.abc import Iterable

from buildpush.dockerfile.instructions import InstructionError
from buildpush.dockerfile.request import BuildRequest
from buildpush.engines.seam import Engine
from buildpush.foundation.errors import DockerfileError, EngineMissingError, UnsupportedError


def require_here(engine: Engine) -> None:
    """Refuse to build with an engine that cannot be used on this machine.

    Raises:
        EngineMissingError: its hint has the remedies.
    """
    if reason := engine.missing():
        message, _, hint = reason.partition("\n")
        raise EngineMissingError(message, hint=hint or None, setting="engine")


def refuse_unsupported(engine: Engine, request: BuildRequest, candidates: Iterable[Engine] = ()) -> None:
    """Refuse a request that *engine* does not support.

    Raises:
        DockerfileError: its hint names those of *candidates* that support it.
        UnsupportedError: the engine honours a setting, but not with this value.
    """
    refusal = engine.refuses(request)
    if not refusal:
        return
    where, _, words = refusal.partition(": ")
    able = [other.name for other in candidates if other is not engine and _supports(other, request)]
    message = f"the engine {engine.name} does not support this: {words}"
    hint = f"use engine: {' or '.join(able)}" if able else None
    raise DockerfileError(message, hint=hint, where=where, setting="engine")


def _supports(engine: Engine, request: BuildRequest) -> bool:
    try:
        return not refusal_of(engine, request)
    except DockerfileError:
        return False


def refusal_of(engine: Engine, request: BuildRequest) -> str | None:
    """Return the part of *request* that the engine does not support: an instruction, or the value of a setting."""
    try:
        return engine.refuses(request)
    except (UnsupportedError, InstructionError) as error:
        return str(error)

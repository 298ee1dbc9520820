"""Where the Docker daemon is, according to Docker's own configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from buildpush.foundation import strict_json

CRASH_HINT: Final = "see its log (journalctl -u docker) and whether memory ran out (dmesg); then run again"


def docker_config(home: Path) -> dict[str, Any]:
    """Return Docker's ``config.json``, empty where it does not exist or cannot be read."""
    try:
        document = strict_json.parse((home / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def daemon_builder(env: Mapping[str, str], home: Path) -> str:
    """Return the name of the daemon's own builder, which is that of Docker's context."""
    if env.get("DOCKER_HOST"):
        return "default"
    return str(env.get("DOCKER_CONTEXT") or docker_config(home).get("currentContext") or "default")


def current_host(env: Mapping[str, str], home: Path) -> str | None:
    """Return the daemon's address as Docker's command line finds it, or ``None`` for the default socket.

    Args:
        env: ``DOCKER_HOST`` and ``DOCKER_CONTEXT`` count.
        home: the user's Docker configuration directory.
    """
    if env.get("DOCKER_HOST"):
        return env["DOCKER_HOST"]
    name = env.get("DOCKER_CONTEXT") or docker_config(home).get("currentContext")
    for path in sorted((home / "contexts/meta").glob("*/meta.json")) if name else ():
        try:
            context = strict_json.parse(path.read_text(encoding="utf-8"))
            if context["Name"] == name:
                return str(context["Endpoints"]["docker"]["Host"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None

"""The registries configuration for buildah: names mean the same as in Docker, and the user's own settings apply.

Source: containers-registries.conf(5); each rule was tried with buildah 1.28.
"""

# Flags of other programs in this module's texts: any

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from buildpush.foundation.errors import BuildError, UnsupportedError
from buildpush.http.urls import is_loopback
from buildpush.images.references import DOCKER_HUB, Repository
from buildpush.places import FileContent

_ALIASES: Final = "aliases.conf"
_SETTINGS: Final = "registries.conf"
# The flag that names each of the files.
FLAGS: Final = {_ALIASES: "--short-name-alias-conf", _SETTINGS: "--registries-conf"}


def registry_files(names: Iterable[Repository], env: Mapping[str, str], mirror: str = "") -> dict[str, FileContent]:
    """Return configuration files with which *names* can be pulled; nothing changes for other names.

    Args:
        names: of base images.
        env: says where the user's own settings are.
        mirror: ``HOST`` or ``HOST/PATH`` that replaces Docker Hub.

    Raises:
        BuildError: the user's own settings are needed and cannot be read.
    """
    wanted = tuple(names)
    files: dict[str, FileContent] = {_ALIASES: _aliases(name.path for name in wanted if name.host == DOCKER_HUB)}
    here = sorted({name.host for name in wanted if is_loopback(name.host)})
    settings = _with_tables(here, mirror, env) if here or mirror else None
    return files if settings is None else files | {_SETTINGS: settings}


def _aliases(paths: Iterable[str]) -> str:
    """Return the aliases of names without a host: Docker Hub, and not the distribution's choice."""
    found = {short: f"docker.io/{path}" for path in paths for short in (path, path.removeprefix("library/"))}
    lines = (f"{json.dumps(short)} = {json.dumps(whole)}" for short, whole in sorted(found.items()))
    return "\n".join(["[aliases]", *lines, ""])


def _with_tables(hosts: Iterable[str], mirror: str, env: Mapping[str, str]) -> str | None:
    """Return the user's own settings, followed by what they do not set; ``None`` where that is nothing.

    Raises:
        UnsupportedError: they set something other than the mirror for Docker Hub.
    """
    text, configured = _user_settings(env)
    tables = [_table(host, host, insecure=True) for host in hosts if host not in configured]
    if mirror and DOCKER_HUB in configured:
        message = f"the registry settings in {_settings_path(env)} already configure {DOCKER_HUB}"
        raise UnsupportedError(message, hint="leave out mirror, or that table", setting="mirror")
    if mirror:
        tables.append(_table(DOCKER_HUB, mirror, insecure=is_loopback(mirror.partition("/")[0])))
    return "\n".join([text, *tables]) if tables else None


def _table(prefix: str, location: str, *, insecure: bool) -> str:
    lines = ["[[registry]]", f"prefix = {json.dumps(prefix)}", f"location = {json.dumps(location)}"]
    return "\n".join([*lines, *(["insecure = true"] if insecure else []), ""])


def _user_settings(env: Mapping[str, str]) -> tuple[str, set[str]]:
    """Return the settings that buildah reads by default, and the hosts that they configure."""
    path = _settings_path(env)
    if path is None:
        return "", set()
    try:
        text = path.read_text(encoding="utf-8")
        return text, _hosts(tomllib.loads(text))
    except (OSError, ValueError) as error:
        message = f"the registry settings in {path} cannot be read: {error}"
        raise BuildError(message, hint="fix the file: buildah reads it, too") from error


def _settings_path(env: Mapping[str, str]) -> Path | None:
    if named := env.get("CONTAINERS_REGISTRIES_CONF"):
        return Path(named)
    users = Path(env.get("HOME") or "/nonexistent") / ".config/containers" / _SETTINGS
    return next((path for path in (users, Path("/etc/containers") / _SETTINGS) if path.is_file()), None)


def _hosts(document: Mapping[str, Any]) -> set[str]:
    """Return the hosts; buildah refuses a second, different table for one of them."""
    tables = document.get("registry")
    found = [table for table in tables if isinstance(table, dict)] if isinstance(tables, list) else []
    return {str(table.get("prefix") or table.get("location")) for table in found} | {
        str(table.get("location")) for table in found
    }

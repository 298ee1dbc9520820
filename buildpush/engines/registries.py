"""The registries configuration for buildah: names mean the same as in Docker, and the user's own settings apply.

Source: containers-registries.conf(5); each rule was tried with buildah 1.28.
"""

# Flags of other programs in this module's texts: any

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
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


def registry_files(
    names: Iterable[Repository], env: Mapping[str, str], mirrors: Sequence[str] = (), insecure: Iterable[str] = ()
) -> dict[str, FileContent]:
    """Return configuration files with which *names* can be pulled; nothing changes for other names.

    Args:
        names: of base images.
        env: says where the user's own settings are.
        mirrors: ``HOST`` or ``HOST/PATH`` that replace Docker Hub, in this order.
        insecure: hosts that may have any certificate, or no TLS.

    Raises:
        BuildError: the user's own settings are needed and cannot be read.
        UnsupportedError: they say something else.
    """
    wanted, declared = tuple(names), frozenset(insecure)
    files: dict[str, FileContent] = {_ALIASES: _aliases(name.path for name in wanted if name.host == DOCKER_HUB)}
    here = {name.host for name in wanted if is_loopback(name.host)}
    settings = _with_tables(here, declared, mirrors, env) if here or declared or mirrors else None
    return files if settings is None else files | {_SETTINGS: settings}


def _aliases(paths: Iterable[str]) -> str:
    """Return the aliases of names without a host: Docker Hub, and not the distribution's choice."""
    found = {short: f"docker.io/{path}" for path in paths for short in (path, path.removeprefix("library/"))}
    lines = (f"{json.dumps(short)} = {json.dumps(whole)}" for short, whole in sorted(found.items()))
    return "\n".join(["[aliases]", *lines, ""])


def _with_tables(
    here: Collection[str], declared: Collection[str], mirrors: Sequence[str], env: Mapping[str, str]
) -> str | None:
    """Return the user's own settings, followed by what they do not set; ``None`` where that is nothing.

    Raises:
        UnsupportedError: they set something other than the mirrors for Docker Hub, or require TLS of a host that is
            *declared* to be insecure.
    """
    text, configured = _user_settings(env)
    for host in sorted(declared):
        if configured.get(host) is False:
            hint = "write insecure = true into that table, or leave out insecure_registry"
            raise _already(host, env, hint, "insecure_registry")
    if mirrors and DOCKER_HUB in configured:
        raise _already(DOCKER_HUB, env, "leave out mirror, or that table", "mirror")
    tables = [_table(host, host, insecure=True) for host in sorted({*here, *declared}) if host not in configured]
    if mirrors:
        tables.append(_mirror_table(mirrors, declared))
    return "\n".join([text, *tables]) if tables else None


def _already(host: str, env: Mapping[str, str], hint: str, setting: str) -> UnsupportedError:
    message = f"the registry settings in {_settings_path(env)} already configure {host}"
    return UnsupportedError(message, hint=hint, setting=setting)


def _mirror_table(mirrors: Sequence[str], declared: Collection[str]) -> str:
    """Return the table of Docker Hub: buildah asks the mirrors in it in their order, and then its location."""
    *first, last = mirrors
    hosts = {mirror: mirror.partition("/")[0] for mirror in mirrors}
    insecure = {mirror: is_loopback(host) or host in declared for mirror, host in hosts.items()}
    asked_first = (_lines("[[registry.mirror]]", location=mirror, insecure=insecure[mirror]) for mirror in first)
    return "\n".join([_table(DOCKER_HUB, last, insecure=insecure[last]), *asked_first])


def _table(prefix: str, location: str, *, insecure: bool) -> str:
    return _lines("[[registry]]", prefix=prefix, location=location, insecure=insecure)


def _lines(name: str, **values: str | bool) -> str:
    return "\n".join([name, *(f"{key} = {json.dumps(value)}" for key, value in values.items() if value), ""])


def _user_settings(env: Mapping[str, str]) -> tuple[str, dict[str, bool]]:
    """Return the settings that buildah reads by default, and the hosts in them, with whether they are insecure."""
    path = _settings_path(env)
    if path is None:
        return "", {}
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


def _hosts(document: Mapping[str, Any]) -> dict[str, bool]:
    """Return the hosts; buildah refuses a second, different table for one of them."""
    tables = document.get("registry")
    found = [table for table in tables if isinstance(table, dict)] if isinstance(tables, list) else []
    names = [(str(table.get(key)), table) for table in found for key in ("prefix", "location") if table.get(key)]
    return {name: table.get("insecure") is True for name, table in names}

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
    names: Iterable[Repository],
    env: Mapping[str, str],
    mirrors: Sequence[str] = (),
    insecure: Iterable[str] = (),
    tls: Collection[str] = (),
) -> dict[str, FileContent]:
    """Return configuration files with which *names* can be pulled; nothing changes for other names.

    Args:
        names: of base images.
        env: says where the user's own settings are.
        mirrors: ``HOST`` or ``HOST/PATH`` that replace Docker Hub, in this order.
        insecure: hosts that may have any certificate, or no TLS.
        tls: hosts that have TLS, even on this machine.

    Raises:
        BuildError: the user's own settings are needed and cannot be read.
        UnsupportedError: they contradict *mirrors* or *insecure*.
    """
    repositories, insecure_hosts = tuple(names), frozenset(insecure)
    files: dict[str, FileContent] = {_ALIASES: _aliases(name.path for name in repositories if name.host == DOCKER_HUB)}
    loopback = {name.host for name in repositories if is_loopback(name.host) and name.host not in tls}
    settings = _with_tables(loopback, insecure_hosts, mirrors, env) if loopback or insecure_hosts or mirrors else None
    return files if settings is None else files | {_SETTINGS: settings}


def _aliases(paths: Iterable[str]) -> str:
    """Return the aliases for names without a host: they are on Docker Hub, whatever the distribution has chosen."""
    aliases = {short: f"docker.io/{path}" for path in paths for short in (path, path.removeprefix("library/"))}
    lines = (f"{json.dumps(short)} = {json.dumps(whole)}" for short, whole in sorted(aliases.items()))
    return "\n".join(["[aliases]", *lines, ""])


def _with_tables(
    loopback: Collection[str], insecure_hosts: Collection[str], mirrors: Sequence[str], env: Mapping[str, str]
) -> str | None:
    """Return the user's own settings, with the tables that are missing in them; ``None`` where none is.

    Raises:
        UnsupportedError: they set something other than the mirrors for Docker Hub, or require TLS of one of
            *insecure_hosts*.
    """
    text, configured = _user_settings(env)
    for host in sorted(insecure_hosts):
        if configured.get(host) is False:
            hint = "write insecure = true into that table, or leave out insecure_registry"
            raise _conflict(host, env, hint, "insecure_registry")
    if mirrors and DOCKER_HUB in configured:
        raise _conflict(DOCKER_HUB, env, "leave out mirror, or remove that table", "mirror")
    tables = [
        _table(host, host, insecure=True) for host in sorted({*loopback, *insecure_hosts}) if host not in configured
    ]
    if mirrors:
        tables.append(_mirror_table(mirrors, insecure_hosts))
    return "\n".join([text, *tables]) if tables else None


def _conflict(host: str, env: Mapping[str, str], hint: str, setting: str) -> UnsupportedError:
    message = f"the registry settings in {_settings_path(env)} already configure {host}"
    return UnsupportedError(message, hint=hint, setting=setting)


def _mirror_table(mirrors: Sequence[str], insecure_hosts: Collection[str]) -> str:
    """Return the table of Docker Hub: buildah tries its mirrors in their order, and then its location."""
    *first, last = mirrors
    hosts = {mirror: mirror.partition("/")[0] for mirror in mirrors}
    insecure = {mirror: is_loopback(host) or host in insecure_hosts for mirror, host in hosts.items()}
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
    """Return the hosts; buildah refuses two different tables for one host."""
    tables = document.get("registry")
    rows = [table for table in tables if isinstance(table, dict)] if isinstance(tables, list) else []
    names = [(str(table.get(key)), table) for table in rows for key in ("prefix", "location") if table.get(key)]
    return {name: table.get("insecure") is True for name, table in names}

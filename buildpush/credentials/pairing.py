"""Which credential may be sent to which host: the host must be named by the credential's own source, or a nearer one.

The nearest sources belong to whoever starts the run; a step file may come from anyone. Without this rule, the author of
a file could have the credentials of the environment sent to any host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from buildpush.credentials.docker import HUB_NAMES, Credential
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import Secret
from buildpush.http.urls import Address, AddressError, is_loopback
from buildpush.images.references import DOCKER_HUB

if TYPE_CHECKING:
    from buildpush.settings.declare import Setting
    from buildpush.settings.written import Origin

HUB_HOSTS: Final = HUB_NAMES | {"hub.docker.com"}


class Nearness(IntEnum):
    """How near a source is to whoever starts the run; smaller is nearer.

    A file and its ``envVariables`` are one source, since they have the same author. Variables of other tools are as
    near as our own, although ours, and settings of the file, take precedence over them.
    """

    FLAG = 0
    KEYWORD = 1
    VARIABLE = 2
    FILE = 3
    PROJECT = 4
    DEFAULT = 5

    @classmethod
    def of(cls, origin: Origin | None) -> Nearness:
        """Return how near *origin* is; a default is the farthest."""
        return cls[origin.kind.upper()] if origin else cls.DEFAULT


@dataclass(frozen=True, slots=True)
class NamedHost:
    """A host, and the source that named it.

    Attributes:
        host: its name, with the port unless that is the default; see :func:`host_of`.
        source: where it is named, for messages: ``step.yml:7:3``, ``JF_URL``.
    """

    host: str
    nearness: Nearness
    source: str


@dataclass(frozen=True, slots=True)
class BoundCredential:
    """A credential that is not read yet, and the hosts that it may be sent to.

    Attributes:
        bounds: the only hosts that it is for; or how near its source is: then it is for every host that a source as
            near, or nearer, names.
        hint: returns what to do if it may not be sent to the given host.
        ambient: whether a run continues without it, since the environment may have it for another program.
    """

    source: str
    read: Callable[[], Credential]
    bounds: frozenset[str] | Nearness
    hint: Callable[[str], str]
    ambient: bool = False

    def may_go_to(self, address: NamedHost) -> bool:
        """Return whether it may be sent to the host of *address*."""
        if isinstance(self.bounds, Nearness):
            return address.nearness <= self.bounds
        return address.host in self.bounds

    def refusal(self, address: NamedHost) -> str:
        """Return why it may not be sent there."""
        if isinstance(self.bounds, Nearness):
            return f"{self.source} is not sent to {address.host}, which only {address.source} names"
        hosts = ", ".join(sorted(self.bounds)) or "no valid host"
        return f"{self.source} is for {hosts}, and is not sent to {address.host}, which {address.source} names"


def login_pair(
    username: str | None,
    password: Secret | str | None,
    where: Callable[[str], str | None] = lambda _: None,
    *,
    name: str = "password",
    hint: str = "set both, or neither",
) -> tuple[str, Secret | str] | None:
    """Return user and password if both are set, ``None`` if neither is.

    Args:
        username: empty for none.
        password: the secret, or its reference.
        where: returns where a setting is written, for the error.
        name: setting that has the password.
        hint: what to do if only one of them is set.

    Raises:
        SettingsError: only one of them is set.
    """
    if not username and password is None:
        return None
    if username and password is not None:
        return username, password
    present, missing = ("username", "password") if username else (name, "username")
    message = f"{present} is set, but {missing} is not"
    raise SettingsError(message, hint=hint, setting=present, where=where(present))


def host_of(address: str) -> str:
    """Return name and port of an address or a registry host, in lower case; the default port is left out.

    It is parsed in the same way as for a connection.

    Raises:
        SettingsError: its host cannot be parsed.
    """
    try:
        return Address.parse(address if "://" in address else f"https://{address}").netloc
    except AddressError as error:
        message = "this address has no valid host"
        raise SettingsError(message, hint="write https://HOST/..., without user and password") from error


def registry_host(address: str) -> str:
    """Return the host of a setting such as ``https://index.docker.io/v1/``, as in references.

    Raises:
        SettingsError: its host cannot be parsed.
    """
    host = host_of(address)
    return DOCKER_HUB if host in HUB_HOSTS else host


def written_schemes(addresses: Iterable[str | None]) -> dict[str, str]:
    """Return, by host, the scheme that is written in *addresses*; of several for one host, the first counts.

    A host alone has none: how it is reached is found out. What is no address is reported by whoever connects to it.
    """
    schemes: dict[str, str] = {}
    for address in filter(None, addresses):
        scheme, mark, _ = address.partition("://")
        with suppress(SettingsError):
            schemes |= {registry_host(address): scheme.lower(), **schemes} if mark else {}
    return schemes


def safe_schemes(addresses: Iterable[str | None]) -> dict[str, str]:
    """Return :func:`written_schemes` without ``http`` elsewhere than on this machine, where a login could be read."""
    found = written_schemes(addresses).items()
    return {host: scheme for host, scheme in found if scheme == "https" or is_loopback(host)}


def is_same_server(one: str, other: str) -> bool:
    """Return whether *one* is the server at *other*: the same host, or the same name at the default port.

    With JFrog's port method, each repository has a port, and Artifactory itself is at the default one.
    """
    return one == other or (one == other.rpartition(":")[0] and "]" not in other.rpartition(":")[2])


def how_to_set(setting: Setting, nearness: Nearness, value: str) -> str:
    """Return a hint that says how to set *setting* to *value* in a source of that *nearness*."""
    variable = setting.variables[0] if setting.variables else setting.key
    in_file = f"{variable}: {value} under envVariables" if setting.place == "env" else f"{setting.key}: {value}"
    notation = {
        Nearness.FLAG: f"{setting.flags[0] if setting.flags else setting.key} {value}",
        Nearness.KEYWORD: f'{setting.name}="{value}"',
        Nearness.VARIABLE: f"{variable}={value}",
        Nearness.FILE: in_file,
    }.get(nearness, f"{setting.key}: {value} in buildpush.yaml")
    return f"if it is for that host, add {notation}"

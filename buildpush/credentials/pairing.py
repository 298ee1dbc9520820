"""Which credential may be sent to which host: only to one that the source of the credential, or a nearer one, names.

The nearest sources belong to whoever starts the run; a step file may come from anyone. Without this rule, the author of
a file could have the credentials of the environment sent to any host.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from buildpush.credentials.docker import HUB_NAMES, Credential
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import Secret
from buildpush.http.urls import Address, AddressError
from buildpush.images.references import DOCKER_HUB

if TYPE_CHECKING:
    from buildpush.settings.declare import Setting
    from buildpush.settings.written import Origin

HUB_HOSTS: Final = HUB_NAMES | {"hub.docker.com"}


class Nearness(IntEnum):
    """How near a source is to whoever starts the run; smaller is nearer.

    A file's ``envVariables`` and the rest of it are one source, as they have the same author. Variables of other tools
    are as near as our own, although ours and the file's settings take precedence.
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
    """A host, and what named it.

    Attributes:
        host: name, and the port unless it is the default; see :func:`host_of`.
        who: its place, for people: ``step.yml:7:3``, ``JF_URL``.
    """

    host: str
    by: Nearness
    who: str


@dataclass(frozen=True, slots=True)
class BoundCredential:
    """A credential that is not read yet, and the hosts that it may be sent to.

    Attributes:
        bounds: the hosts that it was given for, and no others; or how near its source is, so that it is for hosts that
            are named from at least as near.
        hint: what to do where it may not be sent to a host; gets that host.
        ambient: whether a run continues without it: it is in the environment, perhaps for another program.
    """

    source: str
    read: Callable[[], Credential]
    bounds: frozenset[str] | Nearness
    hint: Callable[[str], str]
    ambient: bool = False

    def may_go_to(self, address: NamedHost) -> bool:
        """Return whether it may be sent to the host at *address*."""
        if isinstance(self.bounds, Nearness):
            return address.by <= self.bounds
        return address.host in self.bounds

    def refusal(self, address: NamedHost) -> str:
        """Return why it may not be sent there."""
        if isinstance(self.bounds, Nearness):
            return f"{self.source} is not sent to {address.host}, which only {address.who} names"
        hosts = ", ".join(sorted(self.bounds)) or "no host that can be read"
        return f"{self.source} is for {hosts}, and is not sent to {address.host}, which {address.who} names"


def login_pair(
    username: str | None,
    password: Secret | str | None,
    where: Callable[[str], str | None] = lambda _: None,
    *,
    name: str = "password",
    hint: str = "set both, or neither",
) -> tuple[str, Secret | str] | None:
    """Return user and password where both are set, ``None`` for neither.

    Args:
        username: empty for none.
        password: or the reference of its secret.
        where: returns the place of a setting, for the error.
        name: setting that holds the password.
        hint: what to do about one without the other.

    Raises:
        SettingsError: only one of them is set.
    """
    if not username and password is None:
        return None
    if username and password is not None:
        return username, password
    there, missing = ("username", "password") if username else (name, "username")
    message = f"{there} is set, and {missing} is not"
    raise SettingsError(message, hint=hint, setting=there, where=where(there))


def host_of(address: str) -> str:
    """Return name and port of an address or a registry host, in lower case; the default port is left out.

    It is parsed by the parser that connects.

    Raises:
        SettingsError: its host cannot be parsed.
    """
    try:
        return Address.parse(address if "://" in address else f"https://{address}").netloc
    except AddressError as error:
        message = "this address has no host that can be read"
        raise SettingsError(message, hint="write https://HOST/..., without user and password") from error


def registry_host(address: str) -> str:
    """Return the host that a setting such as ``https://index.docker.io/v1/`` means, as in references.

    Raises:
        SettingsError: its host cannot be parsed.
    """
    host = host_of(address)
    return DOCKER_HUB if host in HUB_HOSTS else host


def is_same_server(one: str, other: str) -> bool:
    """Return whether *one* is the server at *other*: the same host, or its default port.

    JFrog's port method has a port for each repository, and Artifactory itself at the default one.
    """
    return one == other or (one == other.rpartition(":")[0] and "]" not in other.rpartition(":")[2])


def how_to_set(setting: Setting, by: Nearness, value: str) -> str:
    """Return a hint that says how a source as near as *by* sets *setting* to *value*."""
    variable = setting.variables[0] if setting.variables else setting.key
    in_file = f"{variable}: {value} under envVariables" if setting.place == "env" else f"{setting.key}: {value}"
    ways = {
        Nearness.FLAG: f"{setting.flags[0] if setting.flags else setting.key} {value}",
        Nearness.KEYWORD: f'{setting.name}="{value}"',
        Nearness.VARIABLE: f"{variable}={value}",
        Nearness.FILE: in_file,
    }.get(by, f"{setting.key}: {value} in buildpush.yaml")
    return f"if it is for that host, add {ways}"

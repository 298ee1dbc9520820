r"""Parses addresses that others wrote, rebuilds them from their parts, and decides where they may lead.

A registry names the server that makes tokens (``realm``), the place of an upload or a blob (``Location``), the next
page of a list (``Link``). An address that two parsers read in two ways (``http://OTHER\@REGISTRY/x``) sends
credentials to a stranger, so there is only one parser here: that of urllib3, which also connects.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import replace
from enum import Enum
from typing import Final
from urllib.parse import urlencode, urljoin

from buildpush.foundation.errors import ElsewhereError
from buildpush.foundation.forms import clean_address
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.foundation.secrets import redact
from buildpush.foundation.text import quotation

PORTS: Final = {"http": 80, "https": 443}
_WRONG_HINT: Final = "the registry's external address may be set wrongly, or a proxy in between changes what it passes"
# Parsers differ about all of these: some stop there, some skip them, some read them as something else.
_FORBIDDEN = regex(r"[\x00-\x1f\x7f-\x9f\\]|\s")
_AUTHORITY = regex(r"[^:/?#]+://(?P<authority>[^/?#]*)")
_HOST = regex(r"\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?\.?")
_BARE_HOST = regex(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s\\/?#@:\[\]]+)(?::[0-9]*)?")
_LONGEST_SHOWN: Final = 200


class AddressError(ElsewhereError):
    """An address that a server wrote cannot be followed: it is invalid, or leads where it must not."""


class Zone(Enum):
    """How near a host is to this machine, by its name or IP address; names are not resolved."""

    WORLD = "elsewhere"
    NETWORK = "a private network"
    LINK = "this link"
    MACHINE = "this machine"


@dataclass(frozen=True, slots=True)
class Address:
    """An http or https address without user info and fragment, in its normal form.

    Attributes:
        scheme: ``http`` or ``https``.
        host: in lower case; an IPv6 address in brackets.
        port: given also where it is the default.
        path: begins with a slash; percent-encoded.
        query: percent-encoded; ``None`` where there is none.
    """

    scheme: str
    host: str
    port: int
    path: str = "/"
    query: str | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """Parse *text* as an address.

        Raises:
            AddressError: it is invalid, or parsers would disagree about it: a backslash, a blank, a control character,
                a user before the host.
        """
        return _read(text)

    @classmethod
    def parse_lenient(cls, text: str) -> Address:
        """Parse an address that a person wrote: blanks are allowed, and a user is dropped.

        Raises:
            AddressError: it is invalid.
        """
        match = _AUTHORITY.match(text)
        if match and "\\" not in text:
            start, end = match.span("authority")
            text = f"{text[:start]}{match['authority'].rpartition('@')[2]}{text[end:]}"
        return _read(text.strip().replace(" ", "%20"))

    def __str__(self) -> str:
        query = "" if self.query is None else f"?{self.query}"
        return f"{self.scheme}://{self.netloc}{self.path}{query}"

    @property
    def netloc(self) -> str:
        """Host, and the port unless it is the default."""
        return self.host if self.port == PORTS[self.scheme] else f"{self.host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port: what credentials belong to."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def zone(self) -> Zone:
        """How near its host is to this machine."""
        return zone_of(self.host)

    def join(self, location: str) -> Address:
        """Return the address of a *location* that this server gave, which may be relative.

        Raises:
            AddressError: it is not an address.
        """
        text = location.strip(" \t")  # they are not part of a header's value
        if _FORBIDDEN.search(text):
            raise _invalid(text, "a backslash, blank or control character is in it")
        try:
            return _read(urljoin(str(self), text))
        except ValueError as error:  # a bracket that is not closed
            raise _invalid(text, "its host cannot be read") from error

    def with_query(self, fields: Iterable[tuple[str, str]]) -> Address:
        """Return the same address with *fields* added to its query."""
        query = "&".join(filter(None, [self.query, urlencode(list(fields))]))
        return replace(self, query=query)


@functools.lru_cache(maxsize=256)
def _read(text: str) -> Address:
    from urllib3.util import parse_url

    if _FORBIDDEN.search(text):
        raise _invalid(text, "a backslash, blank or control character is in it")
    try:
        parts = parse_url(text)
    except ValueError as error:
        raise _invalid(text, "its host or port cannot be read") from error
    authority = _AUTHORITY.match(text)
    if parts.scheme not in PORTS or not parts.host or not authority:
        raise _invalid(text, "it is neither http nor https")
    if "@" in authority["authority"]:
        raise _invalid(text, "a user is in it")
    if not _HOST.fullmatch(parts.host) or parts.port == 0:
        raise _invalid(text, "no host has such a name or port")
    return Address(parts.scheme, parts.host, parts.port or PORTS[parts.scheme], parts.path or "/", parts.query)


def _invalid(text: str, reason: str) -> AddressError:
    return AddressError(f"{_quote(text)} is not an address: {reason}", hint=_WRONG_HINT)


def _quote(text: str) -> str:
    """Return *text* for a message: what is not plain ASCII is escaped, and user and query are left out."""
    return ascii(clean_address(quotation(text, _LONGEST_SHOWN)))


def user_info(text: str) -> str:
    """Return the user part of an address, without the ``@``; empty where there is none."""
    match = _AUTHORITY.match(text)
    return match["authority"].rpartition("@")[0] if match else ""


def check_redirect(before: Address, target: Address, method: str = "GET", zone: Zone | None = None) -> None:
    """Check that a server at *before* may make us send *method* to *target*: the only policy for what servers write.

    Credentials are a separate matter: only the origin that they belong to gets them, wherever a request goes.

    Args:
        before: the address of that server.
        target: the address.
        method: of the request that we would send there.
        zone: how near *before* is, where more than its name is known.

    Raises:
        AddressError: it leads out of TLS, into a network that the server is not in, or would delete at another host.
    """
    reason = _unsafe(zone or before.zone, target, tls=before.scheme == "https")
    if not reason and method == "DELETE" and target.origin != before.origin:
        reason = "and nothing is deleted at another host"
    if reason:
        addresses = f"{url_without_secrets(str(before))} leads to {url_without_secrets(str(target))}"
        message = f"{addresses}, {reason}: that is not safe"
        raise AddressError(message, hint=_WRONG_HINT)


def check_named(what: str, target: Address) -> None:
    """Check that *what*, whose origin is unknown, may make us read *target*, as a server on the internet may.

    Raises:
        AddressError: it leads out of TLS, or into a network near us.
    """
    if reason := _unsafe(Zone.WORLD, target, tls=True):
        message = f"{what} leads to {url_without_secrets(str(target))}, {reason}: that is not safe"
        raise AddressError(message, hint="take the image from a registry that has all its layers")


def _unsafe(base: Zone, target: Address, *, tls: bool) -> str:
    """Return the reason not to follow a host in *base* to *target*, or an empty text."""
    if tls and target.scheme == "http":
        return "without TLS"
    # A server on the internet must not reach an internal network through us.
    may_reach = target.zone in {Zone.WORLD, base} or (base is Zone.MACHINE and target.zone is Zone.NETWORK)
    return "" if may_reach else f"on {target.zone.value}"


def origin(url: str) -> str:
    """Return scheme, host and port of *url*: what credentials belong to.

    Raises:
        AddressError: it is not an address; a server may have given it.
    """
    return Address.parse(url).origin


def join_url(base: str, location: str) -> str:
    """Return the full address of a *location* that a server at *base* gave.

    Raises:
        AddressError: it is not an address.
    """
    return str(Address.parse(base).join(location))


def url_without_secrets(url: str) -> str:
    """Return *url* as it may be printed: without user, password, query and fragment, which may be secrets."""
    try:
        address = Address.parse_lenient(url)
    except AddressError:
        return _quote(url).strip("'\"")
    has_path = "/" in url.partition("://")[2]
    return redact(f"{address.scheme}://{address.netloc}{address.path if has_path else ''}")


def is_loopback(host: str) -> bool:
    """Return whether *host*, with or without a port, is this machine."""
    match = _BARE_HOST.fullmatch(host)
    return match is not None and zone_of(match["host"]) is Zone.MACHINE


EVERY_HOST: Final = "*"  # a key for all hosts, in mappings by host


def names_of_host(host: str) -> tuple[str, ...]:
    """Return the names by which a setting may declare *host*, in lower case: with its port, and without."""
    bare, _, port = host.lower().rpartition(":")
    return (f"{bare}:{port}", bare) if bare and port.isdecimal() else (host.lower(),)


_NAMES_OF_THIS_MACHINE: Final = frozenset({"localhost", "ip6-localhost", "ip6-loopback", "localhost.localdomain"})


def zone_of(host: str) -> Zone:
    """Return how near *host* is: a name, or a number in any form that the system's resolver accepts."""
    name = host.strip("[]").partition("%")[0].rstrip(".").lower()
    if name in _NAMES_OF_THIS_MACHINE or name.endswith(".localhost"):
        return Zone.MACHINE
    number = _number(name)
    return Zone.WORLD if number is None else _zone_of_number(number)


def _number(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    with contextlib.suppress(ValueError):
        return _embedded(ipaddress.ip_address(name))
    # 2130706433, 0x7f.1 and 0177.1 all connect to 127.0.0.1.
    with contextlib.suppress(OSError, ValueError):
        return ipaddress.IPv4Address(socket.inet_aton(name))
    return None


_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def _embedded(number: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the IPv4 address that an IPv6 address embeds, if there is one.

    Source: RFC 4291 (mapped, compatible), RFC 3056 (6to4), RFC 6052 (NAT64).
    """
    if isinstance(number, ipaddress.IPv4Address):
        return number
    compatible = int(number) >> 32 == 0 and int(number) > 1
    if number in _NAT64 or compatible:
        return ipaddress.IPv4Address(int(number) & 0xFFFFFFFF)
    return number.ipv4_mapped or number.sixtofour or number


_THIS_HOST = ipaddress.ip_network("0.0.0.0/8")
_SITE_LOCAL = ipaddress.ip_network("fec0::/10")  # deprecated by RFC 3879, and still in use


def _zone_of_number(number: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Zone:
    if number.is_loopback or number.is_unspecified or number in _THIS_HOST:
        return Zone.MACHINE
    if number.is_link_local:
        return Zone.LINK
    private = not number.is_global or number.is_multicast or number in _SITE_LOCAL
    return Zone.NETWORK if private else Zone.WORLD

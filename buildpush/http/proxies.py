"""Finds the proxy for an address in the usual variables."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Mapping
from urllib.parse import unquote

from buildpush.foundation.errors import SettingsError
from buildpush.foundation.secrets import remember
from buildpush.foundation.text import quotation
from buildpush.http.urls import PORTS, Address, AddressError, Zone, user_info


class Proxies:
    """The proxies in ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, in upper or lower case.

    Source: golang.org/x/net/http/httpproxy, whose rules Docker and other clients of registries follow:
    this machine is never reached through a proxy.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        values = {name.lower(): value for name, value in sorted(variables.items()) if value}
        self._by_scheme = {scheme: values.get(f"{scheme}_proxy") or values.get("all_proxy", "") for scheme in PORTS}
        for text in self._by_scheme.values():
            _remember_password(text)
        self._exempt = [word.strip().lower() for word in values.get("no_proxy", "").split(",") if word.strip()]

    def find(self, url: str) -> str | None:
        """Return the proxy's address, or ``None`` where *url* is reached directly, or is not an address.

        Raises:
            SettingsError: the proxy's address is invalid; one that is not needed, such as a SOCKS proxy for other
                programs, is not checked.
        """
        if not any(self._by_scheme.values()):
            return None
        try:
            address = Address.parse_lenient(url)
        except AddressError:
            return None
        proxy = self._by_scheme[address.scheme]
        if not proxy or address.zone is Zone.MACHINE:
            return None
        host = address.host.strip("[]")
        exempt = any(_exempts(word, host, str(address.port)) for word in self._exempt)
        return None if exempt else _proxy_address(proxy)


def login(proxy: str) -> str | None:
    """Return the user and password of a proxy's address as ``USER:PASSWORD``, or ``None``."""
    name, _, password = user_info(proxy).partition(":")
    return f"{unquote(name)}:{unquote(password)}" if name else None


def _proxy_address(text: str) -> str:
    url = _with_scheme(text)
    try:
        parsed = Address.parse_lenient(url)
    except AddressError:
        message = f"the proxy {quotation(url, 200)} is not an http or https address"
        raise SettingsError(message, hint="set HTTPS_PROXY to http://HOST:PORT") from None
    user = user_info(url)
    return f"{parsed.scheme}://{user}@{parsed.netloc}" if user else f"{parsed.scheme}://{parsed.netloc}"


def _remember_password(text: str) -> None:
    if password := user_info(_with_scheme(text)).partition(":")[2]:
        remember(unquote(password))


def _with_scheme(text: str) -> str:
    return text if "://" in text else f"http://{text}"


def _exempts(word: str, host: str, port: str) -> bool:
    name, colon, number = word.rpartition(":")
    if colon and number.isdecimal() and not name.endswith(":"):
        return number == port and _exempts(name, host, port)
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host) in ipaddress.ip_network(word.strip("[]"), strict=False)
    suffix = word.removeprefix("*")
    return word == "*" or host == suffix.removeprefix(".") or host.endswith(f".{suffix.removeprefix('.')}")


def proxy_headers(proxy: str) -> dict[str, str]:
    """Return the header that logs in at *proxy*, where its address has a user."""
    import urllib3

    user = login(proxy)
    return dict(urllib3.make_headers(proxy_basic_auth=user)) if user else {}

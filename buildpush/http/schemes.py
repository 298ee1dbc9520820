"""With or without TLS: what is written is obeyed, what was declared insecure is asked once, and so is this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final

from buildpush.foundation.interrupts import Lock, pause
from buildpush.http.failures import NoAnswer
from buildpush.http.messages import Answer
from buildpush.http.urls import Address, is_loopback, names_of_host

HTTP_PORT: Final = 80
_HTTPS_PORT: Final = 443
# A server that requires TLS answers 400 to a request without.
REQUIRES_TLS: Final = 400
_NOT_ITS_OWN: Final = frozenset({REQUIRES_TLS, 502, 503, 504})
_PAUSES: Final = 0.0, 0.2, 1.0  # seconds before each question


class Schemes:
    """The schemes of hosts, as written or found out.

    Args:
        written: by host, what its address is written with.
        insecure: hosts that are reached with TLS and any certificate, or without TLS where they do not offer it.
        ask: sends a request without credentials to an address, and raises :class:`NoAnswer`.
    """

    def __init__(self, written: Mapping[str, str], insecure: frozenset[str], ask: Callable[[Address], Answer]) -> None:
        by_host = {host.lower(): scheme for host, scheme in written.items()}
        self._plain = frozenset(host for host, scheme in by_host.items() if scheme == "http")
        self._with_tls = by_host.keys() - self._plain
        self.insecure = frozenset(map(str.lower, insecure)) - self._plain
        self._ask = ask
        self._found: dict[str, bool] = {}  # by host with port, whether it has TLS
        self._lock = Lock()

    def is_insecure(self, host: str) -> bool:
        """Return whether *host*, with or without its port, may have any certificate, or no TLS."""
        return bool({*names_of_host(host)} & (self.insecure | self._plain))

    def first(self, host: str, *, has_authority: bool) -> str:
        """Return what *host* is first tried with: ``http`` where it was declared insecure, or is this machine.

        For this machine, ``https`` that is written, or *has_authority*, certificates for it alone, take precedence.
        """
        is_this_machine = is_loopback(host) and not has_authority and host.lower() not in self._with_tls
        return "http" if self.is_insecure(host) or is_this_machine else "https"

    def connection_address(self, address: Address) -> Address:
        """Return *address* with the scheme that will be used.

        A host that was declared insecure is reached with TLS where it offers it, whatever its certificate; else
        without. Which one is found out once, by a request without credentials.
        """
        host = f"{address.host}:{address.port}"
        if address.scheme == "https":
            return address
        if not {host, address.host} & self.insecure:
            return _with_tls(address) if self._found.get(host) else address
        secure = replace(_with_tls(address), port=address.port) if host in self.insecure else _with_tls(address)
        with self._lock:
            has_tls = self._found.get(host)
            if has_tls is None and (has_tls := self._offers_tls(address, secure)) is not None:
                self._found[host] = has_tls
        return secure if has_tls is not False else address

    def turned(self, address: Address) -> Address | None:
        """Return *address* with TLS, after it has failed without; ``None`` if that was written, or there is no TLS.

        Only on this machine is a host first tried without. Its certificate is verified, as that of any other host.
        """
        host = f"{address.host}:{address.port}"
        if address.scheme == "https" or not is_loopback(address.host) or self.is_insecure(host):
            return None
        with self._lock:
            if host not in self._found:
                self._found[host] = self._speaks_tls(_with_tls(address))
            return _with_tls(address) if self._found[host] else None

    def _speaks_tls(self, secure: Address) -> bool:
        try:
            self._ask(secure)
        except NoAnswer as failure:
            return failure.final and not failure.plain  # its certificate is refused
        return True

    def _offers_tls(self, address: Address, secure: Address) -> bool | None:
        """Return whether a host speaks TLS; ``None`` where it does not answer."""
        try:
            self._ask(secure)
        except NoAnswer as failure:
            if not failure.plain:
                return None
        else:
            return True
        for seconds in _PAUSES:  # a busy host may break a connection, and TLS would then be refused for good
            pause(seconds)
            with suppress(NoAnswer):
                return False if self._ask(address).status not in _NOT_ITS_OWN else None
        return None


def _with_tls(address: Address) -> Address:
    return replace(address, scheme="https", port=_HTTPS_PORT if address.port == HTTP_PORT else address.port)

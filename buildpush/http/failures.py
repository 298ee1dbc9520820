"""Explains why no answer came, in a message with a hint."""

from __future__ import annotations

from typing import Final

from buildpush.foundation.errors import UnreachableError
from buildpush.http.proxies import login
from buildpush.http.urls import Address, url_without_secrets


class Interruption(UnreachableError):  # noqa: N818 - not an error but a state: the transfer can be resumed
    """The connection broke while a stream was being sent; *sent* bytes had been handed to the network by then."""

    def __init__(self, message: str, *, sent: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.sent = sent


PROXY_LOGIN: Final = 407


class NoAnswer(Exception):  # noqa: N818 - never leaves this module
    """No answer came; *final* says that another try would not help, *reached* that bytes may have arrived.

    *plain* says that a host that does not offer TLS would fail in the same way.
    """

    def __init__(self, error: UnreachableError, *, final: bool, reached: bool, plain: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.final = final
        self.reached = reached
        self.plain = plain


def failure_of(error: Exception, url: str, proxy: str | None = None) -> NoAnswer:
    """Return the reason why no answer came, with a hint."""
    import urllib3.exceptions as e

    host = Address.parse(url).netloc
    if isinstance(error, e.ProxyError):
        return _explain_proxy(error, host, proxy)
    if isinstance(error, e.SSLError):
        return _explain_tls(error, host)
    if isinstance(error, e.NameResolutionError):
        return _no_answer(f"the host {host} is not known", "check its spelling, DNS and VPN")
    if isinstance(error, (e.NewConnectionError, e.ConnectTimeoutError)):
        return _no_answer(
            f"no connection to {host}: {_reason(error)}",
            "check host and port, that the server runs, and any proxy",
            plain=True,
        )
    if isinstance(error, e.ReadTimeoutError | TimeoutError):
        return _explain_silence(error, host)
    final = isinstance(error, e.LocationParseError)
    return _no_answer(
        f"the connection to {host} broke: {_reason(error)}", None, final=final, reached=True, plain=not final
    )


def _explain_proxy(error: Exception, host: str, proxy: str | None) -> NoAnswer:
    if " 407 " in f"{_reason(error)} ":
        return proxy_login_failure(proxy)
    message = f"the proxy {url_without_secrets(proxy or '')} does not connect to {host}: {_reason(error)}"
    return _no_answer(message, "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY", plain=True)


def proxy_login_failure(proxy: str | None) -> NoAnswer:
    """Return the failure that a proxy, and not the registry, refuses us (407)."""
    proxy_name = f"the proxy {url_without_secrets(proxy)}" if proxy else "a proxy in between"
    if proxy and login(proxy):
        return _no_answer(
            f"{proxy_name} refuses its user and password (407)", "check them in HTTPS_PROXY or HTTP_PROXY", final=True
        )
    # In the form of an address, the example would be hidden as somebody's password.
    hint = "write USER:PASSWORD@ before the host in HTTPS_PROXY and HTTP_PROXY, or name the host in NO_PROXY"
    return _no_answer(f"{proxy_name} requires a user and password (407)", hint, final=True)


def _explain_silence(error: Exception, host: str) -> NoAnswer:
    from buildpush.http.wires import TooSlowError

    if isinstance(slow := error.__cause__, TooSlowError):
        return _no_answer(f"{host} answers too slowly: {slow}", "it may be overloaded, or the line slow", reached=True)
    return _no_answer(f"{host} went silent", "it may be overloaded; or a proxy holds the answer back", reached=True)


def _explain_tls(error: Exception, host: str) -> NoAnswer:
    reason = _reason(error)
    for mark, words, hint in _TLS_FAULTS:
        if mark in str(error):
            return _no_answer(f"{host} {words}", hint, final=True, plain=words == _NO_TLS)
    plain = "EOF" in str(error) or "reset" in str(error)
    hint = "a proxy may intercept it: check HTTPS_PROXY and NO_PROXY"
    return _no_answer(f"no secure connection to {host}: {reason}", hint, reached=True, plain=plain)


_INSECURE_HINT = (
    "only if the host is your own: set insecure, or let the connector's dockerRegistryUrl begin with http://"
)
_NO_TLS: Final = "does not speak TLS"
_TLS_FAULTS: Final = (
    ("certificate has expired", "presents an expired certificate", "renew it, or correct this machine's clock"),
    ("not yet valid", "presents a certificate that is not valid yet", "correct this machine's clock"),
    ("Hostname mismatch", "presents the certificate of another host", "use a name that is in the certificate"),
    ("IP address mismatch", "presents the certificate of another host", "use a name that is in the certificate"),
    (
        "certificate verify failed",
        "presents a certificate of an authority that is not trusted here",
        f"set SSL_CERT_FILE to a file with your company's certificates; {_INSECURE_HINT}",
    ),
    ("WRONG_VERSION_NUMBER", _NO_TLS, _INSECURE_HINT),
    ("record layer failure", _NO_TLS, _INSECURE_HINT),
)


def _no_answer(
    message: str, hint: str | None, *, final: bool = False, reached: bool = False, plain: bool = False
) -> NoAnswer:
    return NoAnswer(UnreachableError(message, hint=hint), final=final, reached=reached, plain=plain)


def _reason(error: BaseException) -> str:
    """Return the innermost cause in the system's own words."""
    while True:
        inner = next((one for one in (*error.args[::-1], error.__cause__) if isinstance(one, BaseException)), None)
        if inner is None or inner is error:
            break
        error = inner
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    # urllib3 puts the object before the colon: "<Wire object at 0x…>: Failed to establish …".
    return text.partition(">: ")[2] or text

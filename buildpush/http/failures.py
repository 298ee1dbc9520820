"""Why no answer came, as a sentence and a hint."""

from __future__ import annotations

from typing import Final

from buildpush.foundation.errors import UnreachableError
from buildpush.http.proxies import login
from buildpush.http.urls import Address, url_without_secrets


class Interrupted(UnreachableError):  # noqa: N818 - not an error but a state: the transfer can be resumed
    """The connection broke while a stream was being sent; *sent* bytes had been handed over by then."""

    def __init__(self, message: str, *, sent: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.sent = sent


PROXY_LOGIN: Final = 407


class Broken(Exception):  # noqa: N818 - never leaves this module
    """No answer came; *final* says that another try would not help, *reached* that bytes may have arrived.

    *plain* says that a host without TLS would have done the same.
    """

    def __init__(self, error: UnreachableError, *, final: bool, reached: bool, plain: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.final = final
        self.reached = reached
        self.plain = plain


def failure_of(error: Exception, url: str, proxy: str | None = None) -> Broken:
    """Return a sentence that says why no answer came, and a hint."""
    import urllib3.exceptions as e

    host = Address.parse(url).netloc
    if isinstance(error, e.ProxyError):
        return _explain_proxy(error, host, proxy)
    if isinstance(error, e.SSLError):
        return _explain_tls(error, host)
    if isinstance(error, e.NameResolutionError):
        return _broken(f"the host {host} is not known", "check its spelling, DNS and VPN")
    if isinstance(error, (e.NewConnectionError, e.ConnectTimeoutError)):
        return _broken(
            f"no connection to {host}: {_reason(error)}",
            "check host and port, that the server runs, and any proxy",
            plain=True,
        )
    if isinstance(error, e.ReadTimeoutError | TimeoutError):
        return _explain_silence(error, host)
    final = isinstance(error, e.LocationParseError)
    return _broken(
        f"the connection to {host} broke: {_reason(error)}", None, final=final, reached=True, plain=not final
    )


def _explain_proxy(error: Exception, host: str, proxy: str | None) -> Broken:
    if " 407 " in f"{_reason(error)} ":
        return proxy_login_failure(proxy)
    message = f"the proxy {url_without_secrets(proxy or '')} does not lead to {host}: {_reason(error)}"
    return _broken(message, "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY", plain=True)


def proxy_login_failure(proxy: str | None) -> Broken:
    """Return the message that a proxy refuses us (407), not the registry."""
    who = f"the proxy {url_without_secrets(proxy)}" if proxy else "a proxy in between"
    if proxy and login(proxy):
        return _broken(
            f"{who} refuses its user and password (407)", "check them in HTTPS_PROXY or HTTP_PROXY", final=True
        )
    # Written as an address, it would be taken for someone's password, and hidden.
    hint = "write USER:PASSWORD@ before the host in HTTPS_PROXY and HTTP_PROXY, or name the host in NO_PROXY"
    return _broken(f"{who} requires a user and password (407)", hint, final=True)


def _explain_silence(error: Exception, host: str) -> Broken:
    from buildpush.http.wires import TooSlowError

    if isinstance(slow := error.__cause__, TooSlowError):
        return _broken(f"{host} answers too slowly: {slow}", "it may be overloaded, or the line slow", reached=True)
    return _broken(f"{host} went silent", "it may be overloaded; or a proxy holds the answer back", reached=True)


def _explain_tls(error: Exception, host: str) -> Broken:
    reason = _reason(error)
    for mark, says, hint in _TLS_FAULTS:
        if mark in str(error):
            return _broken(f"{host} {says}", hint, final=True, plain=says == _NO_TLS)
    plain = "EOF" in str(error) or "reset" in str(error)
    return _broken(f"no secure connection to {host}: {reason}", "a proxy may intercept it", reached=True, plain=plain)


_INSECURE_HINT = (
    "only if the host is your own: set insecure, or let the connector's dockerRegistryUrl begin with http://"
)
_NO_TLS: Final = "does not speak TLS"
_TLS_FAULTS: Final = (
    ("certificate has expired", "shows an expired certificate", "renew it, or set this machine's clock right"),
    ("not yet valid", "shows a certificate that is not valid yet", "set this machine's clock right"),
    ("Hostname mismatch", "shows the certificate of another host", "use the name that the certificate names"),
    ("IP address mismatch", "shows the certificate of another host", "use the name that the certificate names"),
    (
        "certificate verify failed",
        "shows a certificate that is not signed by anyone trusted here",
        f"set SSL_CERT_FILE to a file with your company's certificates; {_INSECURE_HINT}",
    ),
    ("WRONG_VERSION_NUMBER", _NO_TLS, _INSECURE_HINT),
    ("record layer failure", _NO_TLS, _INSECURE_HINT),
)


def _broken(
    message: str, hint: str | None, *, final: bool = False, reached: bool = False, plain: bool = False
) -> Broken:
    return Broken(UnreachableError(message, hint=hint), final=final, reached=reached, plain=plain)


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

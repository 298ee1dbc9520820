"""What it is called when no answer came, and what an answer says."""

from __future__ import annotations

import socket

import pytest
from urllib3 import exceptions as e

from buildpush.foundation.errors import RegistryError, UnreachableError
from buildpush.foundation.secrets import Secret
from buildpush.http import failures
from buildpush.http.messages import Answer
from buildpush.http.wires import TooSlowError


def test_an_unknown_host_says_so(client, monkeypatch):
    def unknown(*_words, **_named):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(UnreachableError, match=r"the host registry\.invalid is not known"):
        client.request("GET", "https://registry.invalid/v2/")


def test_a_page_where_json_was_expected_is_explained():
    with pytest.raises(RegistryError, match='answered with a web page, titled "Sign in"') as caught:
        Answer(200, {}, b"<html><title>Sign in</title>", "https://r.io/v2/?token=abc").json()
    assert "abc" not in str(caught.value)


def test_something_else_where_json_was_expected_is_explained():
    with pytest.raises(RegistryError, match="not JSON"):
        Answer(200, {}, b"welcome", "https://r.io/v2/").json()


def test_the_text_of_an_answer_is_short_and_hides_secrets():
    Secret("geheim-44")
    assert Answer(500, {}, b"geheim-44 " + b"x" * 5000, "").text().startswith("******** xxx")


def cause(error: Exception, inner: BaseException) -> Exception:
    error.__cause__ = inner
    return error


EOF = "[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol (_ssl.c:1006)"


EXPIRED = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1006)"


WRONG = "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)"


ALERT = "[SSL: TLSV1_ALERT_INTERNAL_ERROR] tlsv1 alert internal error (_ssl.c:1006)"


@pytest.mark.parametrize(
    ("error", "says", "hint", "flags"),
    [
        (e.SSLError(EXPIRED), "r.io presents an expired certificate", "renew it, or correct this machine", "final"),
        (e.SSLError(WRONG), "r.io does not speak TLS", "only if the host is your own: set insecure", "final plain"),
        (e.SSLError("record layer failure"), "r.io does not speak TLS", "only if the host is your own", "final plain"),
        (e.SSLError(EOF), f"no secure connection to r.io: {EOF}", "a proxy may intercept it", "reached plain"),
        (
            e.SSLError(ConnectionResetError(104, "Connection reset by peer")),
            "no secure connection to r.io: Connection reset by peer",
            "a proxy may intercept it",
            "reached plain",
        ),
        (e.SSLError(ALERT), f"no secure connection to r.io: {ALERT}", "a proxy may intercept it", "reached"),
        (
            e.NameResolutionError("r.io", None, socket.gaierror(-2, "Name or service not known")),
            "the host r.io is not known",
            "check its spelling, DNS and VPN",
            "",
        ),
        (
            cause(e.NewConnectionError(None, "no"), ConnectionRefusedError(111, "Connection refused")),
            "no connection to r.io: Connection refused",
            "check host and port, that the server runs, and any proxy",
            "plain",
        ),
        (
            e.ConnectTimeoutError("timed out"),
            "no connection to r.io: timed out",
            "check host and port, that the server runs, and any proxy",
            "plain",
        ),
        (e.ReadTimeoutError(None, None, "x"), "r.io went silent", "it may be overloaded; or a proxy", "reached"),
        (TimeoutError("timed out"), "r.io went silent", "it may be overloaded; or a proxy holds", "reached"),
        (
            cause(e.ReadTimeoutError(None, None, "x"), TooSlowError("only 5 bytes came in 130 s")),
            "r.io answers too slowly: only 5 bytes came in 130 s",
            "it may be overloaded, or the line slow",
            "reached",
        ),
        (
            e.ProtocolError("Connection aborted.", ConnectionResetError(104, "Connection reset by peer")),
            "the connection to r.io broke: Connection reset by peer",
            None,
            "reached plain",
        ),
        (ValueError(), "the connection to r.io broke: ValueError", None, "reached plain"),
        (
            e.LocationParseError("x"),
            "the connection to r.io broke: Failed to parse: x",
            None,
            "final reached",
        ),
        (
            e.ProxyError("Cannot connect to proxy.", OSError("Tunnel connection failed: 503 Service Unavailable")),
            "the proxy http://p.io:3128 does not connect to r.io: Tunnel connection failed: 503 Service Unavailable",
            "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
            "plain",
        ),
        (
            e.ProxyError("Cannot connect to proxy.", OSError("Tunnel connection failed: 407 Proxy Auth")),
            "the proxy http://p.io:3128 requires a user and password (407)",
            "write USER:PASSWORD@ before the host in HTTPS_PROXY and HTTP_PROXY, or name the host in NO_PROXY",
            "final",
        ),
    ],
)
def test_why_no_answer_came_is_said_with_what_to_do_and_whether_to_ask_again(error, says, hint, flags):
    found = failures.failure_of(error, "https://r.io/v2/", "http://p.io:3128")

    assert str(found.error) == says
    assert found.error.hint == hint if hint is None else (found.error.hint or "").startswith(hint)
    assert [name for name in ("final", "reached", "plain") if getattr(found, name)] == flags.split()

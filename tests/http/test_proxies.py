"""Proxies: which hosts are reached through one, and what its login is."""

from __future__ import annotations

import pytest

from buildpush.foundation.errors import SettingsError, UnreachableError
from buildpush.foundation.secrets import MASK, redact
from buildpush.http import failures
from buildpush.http.client import Http
from buildpush.http.proxies import Proxies, login
from tests.http.servers import OK, Client, serving


@pytest.mark.sandbox
def test_a_proxy_is_used_for_other_machines_only():
    with serving(OK) as proxy, Http(proxies={"HTTP_PROXY": proxy.url.replace("//", "//me:geheim-42@")}) as client:
        client.request("GET", "http://registry.example/v2/")
        with serving(OK) as server:
            client.request("GET", server.url)

    assert [one.path for one in proxy.seen] == ["http://registry.example/v2/"]
    assert proxy.seen[0].headers["Proxy-Authorization"] == "Basic bWU6Z2VoZWltLTQy"


@pytest.mark.sandbox
def test_a_broken_proxy_is_named_without_its_password():
    with serving(OK) as proxy:
        address = proxy.url.replace("//", "//me:geheim-43@")
    with Client(proxies={"https_proxy": address}) as client, pytest.raises(UnreachableError) as caught:
        client.request("GET", "https://registry.example/v2/")

    assert "the proxy http://127.0.0.1" in str(caught.value)
    assert "geheim-43" not in str(caught.value)


@pytest.mark.parametrize(
    ("exempt", "url", "direct"),
    [
        ("", "https://a.example.org", False),
        ("example.org", "https://a.example.org", True),
        (".example.org", "https://a.example.org", True),
        ("*.example.org", "https://a.example.org", True),
        ("example.org", "https://badexample.org", False),
        ("other, a.example.org:8443", "https://a.example.org:8443", True),
        ("a.example.org:8443", "https://a.example.org", False),
        ("*", "https://a.example.org", True),
        ("10.0.0.0/8", "https://10.1.2.3:5000", True),
        ("10.0.0.0/8", "https://11.1.2.3", False),
        ("fd00::/8", "https://[fd00::1]:5000", True),
        ("a.example.org:8443", "https://b.a.example.org:8443", True),
        (".example.org:8443", "https://a.example.org:8443", True),
        ("[fd00::1]", "https://[fd00::1]:5000", True),
        ("[fd00::1]:5000", "https://[fd00::1]:5000", True),
        ("[fd00::1]:5000", "https://[fd00::1]:5001", False),
        ("fd00::1", "https://[fd00::1]:5000", True),
        ("10.1.2.3:5000", "https://10.1.2.3:5000", True),
        ("10.1.2.3/8", "https://10.9.9.9", True),
        ("10.0.0.0/8:5000", "https://10.9.9.9:5000", True),
        (" , ,EXAMPLE.org ", "https://A.example.ORG", True),
        ("example.org.", "https://example.org", False),
        ("", "http://localhost:5000", True),
        ("", "http://127.0.0.1:5000", True),
        ("", "http://[::1]:5000", True),
    ],
)
def test_no_proxy_exempts_hosts_domains_and_networks(exempt, url, direct):
    proxies = Proxies({"HTTPS_PROXY": "proxy:3128", "HTTP_PROXY": "http://proxy:3128", "NO_PROXY": exempt})

    assert proxies.find(url) == (None if direct else "http://proxy:3128")


@pytest.mark.parametrize(
    ("variables", "plain", "secure"),
    [
        ({}, None, None),
        ({"HTTP_PROXY": "http://p:1"}, "http://p:1", None),
        ({"https_proxy": "http://p:1"}, None, "http://p:1"),
        ({"ALL_PROXY": "p:1"}, "http://p:1", "http://p:1"),
        ({"ALL_PROXY": "p:1", "HTTPS_PROXY": "https://q"}, "http://p:1", "https://q"),
        ({"HTTP_PROXY": "http://me:w@rd@p:1/path"}, "http://me:w@rd@p:1", None),
        ({"HTTP_PROXY": "", "http_proxy": "p:1"}, "http://p:1", None),
    ],
)
def test_each_scheme_has_its_proxy(variables, plain, secure):
    proxies = Proxies(variables)

    assert proxies.find("http://a.example.org/") == plain
    assert proxies.find("https://a.example.org/") == secure
    assert proxies.find("no address") is None


@pytest.mark.parametrize(
    ("proxy", "wanted"),
    [
        ("http://p:1", None),
        ("http://me:w%40rd:2@p:1", "me:w@rd:2"),
        ("http://me@p:1", "me:"),
        ("http://m%3A@p:1", "m::"),
    ],
)
def test_the_login_of_a_proxy_is_read_from_its_address(proxy, wanted):
    assert login(proxy) == wanted


def test_the_password_of_a_proxy_is_hidden_from_then_on():
    Proxies({"HTTPS_PROXY": "http://me:pl%40nted:45@p:1"})
    assert redact("it said pl@nted:45") == f"it said {MASK}"


@pytest.mark.parametrize("address", ["socks5://", "http://", ""])
@pytest.mark.parametrize(
    "rest", ["me:geheim-44@proxy:99999", "me:geheim-44@pro xy:3128", "me:geheim-44@[proxy", "me:g@"]
)
def test_an_address_that_no_proxy_has_is_refused_without_its_password(address, rest):
    with pytest.raises(SettingsError, match="not an http or https address") as caught:
        Proxies({"HTTPS_PROXY": address + rest}).find("https://r.io")
    assert "geheim" not in str(caught.value)


def test_a_proxy_of_an_unknown_kind_is_refused():
    with pytest.raises(SettingsError, match="socks5"):
        Proxies({"HTTPS_PROXY": "socks5://proxy:1080"}).find("https://r.io")


def test_a_proxy_that_cannot_be_used_stops_nothing_that_needs_none():
    proxies = Proxies({"ALL_PROXY": "socks5://proxy:1080", "HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".local"})

    assert proxies.find("https://r.io") == "http://proxy:3128"
    assert proxies.find("http://127.0.0.1:5000") is None
    assert proxies.find("http://registry.local") is None


@pytest.mark.sandbox
@pytest.mark.parametrize("url", ["http://registry.example/v2/", "https://registry.example/v2/"])
@pytest.mark.parametrize(
    ("user", "says"), [("", "requires a user and password"), ("me:geheim-45@", "refuses its user and password")]
)
def test_a_login_that_the_proxy_wants_is_not_taken_for_the_registrys(url, user, says):
    def refuse(request):
        request.answer(407, b"", Proxy_Authenticate="Basic", Connection="close")

    with serving(refuse) as proxy:
        address = proxy.url.replace("//", f"//{user}")
        with (
            Client(proxies={"http_proxy": address, "https_proxy": address}) as client,
            pytest.raises(UnreachableError, match=rf"the proxy http://127.0.0.1:\d+ {says}") as caught,
        ):
            client.request("GET", url)
    assert "PROXY" in caught.value.hint
    assert "geheim" not in f"{caught.value} {caught.value.hint}"
    assert client.waits == []


def test_of_a_proxy_that_nobody_named_only_its_refusal_is_told():
    found = failures.proxy_login_failure(None)

    assert str(found.error) == "a proxy in between requires a user and password (407)"
    assert found.final


def test_the_proxy_of_an_address_is_told():
    with Http(proxies={"HTTPS_PROXY": "http://p.io:3128", "NO_PROXY": "direct.io"}) as client:
        found = [client.proxy_for(url) for url in ("https://r.io/", "https://direct.io/", "http://r.io/")]
    assert found == ["http://p.io:3128", None, None]

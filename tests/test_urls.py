"""Addresses: the host that we decide by is the host that is connected to, and where a server may send us."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from unittest import mock
from urllib.parse import urlsplit

import pytest
import urllib3  # noqa: F401 - it tries a socket at its first import, which a fast test may not
from hypothesis import given
from hypothesis import strategies as st

from buildpush.foundation.secrets import MASK, Secret
from buildpush.http.client import Http
from buildpush.http.retry import Retries
from buildpush.http.urls import (
    Address,
    AddressError,
    Zone,
    check_redirect,
    is_loopback,
    join_url,
    names_of_host,
    url_without_secrets,
    user_info,
    zone_of,
)

# Of these pieces, addresses are made that parsers may disagree about.
PIECES = [
    *["http://", "https://", "HTTP://", "hTTps://", "//", "http:/", "http:", "ftp://", "://"],
    *["a.example", "b.example", "B.EXAMPLE", "127.0.0.1", "[::1]", "0x7f.1", "2130706433", "xn--bcher-kva.example"],
    *["/", "\\", "@", ":", "?", "#", "%40", "%5c", "%2f", "%00", "%31", ".", "..", ";", "&", "[", "]", "|", "^"],
    *["user:word@", ":80", ":443", ":0", ":00080", ":99999", " ", "\t", "\n", "\r", "\0", "\x7f", "\x85", "\u2028"],
    *["\u3002", "\uff0f", "\uff20", "\ufb00", "\xfc", "\u00ad", "\u200b", "x", "path", "\uff41"],
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=8).map("".join) | st.text(max_size=30)


# The system's resolver itself, which a fast test may not ask: here only how it reads numbers, and nothing is sent.
RESOLVER = socket.getaddrinfo


class NotReachedError(OSError):
    """Every connection ends so here."""


@contextlib.contextmanager
def connections():
    """Give the list of hosts and ports that are connected to; none is reached."""
    reached: list[tuple[str, int]] = []

    def connect(address, *_words, **_named):
        reached.append(address)
        raise NotReachedError

    with mock.patch("urllib3.util.connection.create_connection", connect):
        yield reached


def read(text: str) -> Address | None:
    with contextlib.suppress(AddressError):
        return Address.parse(text)
    return None


@given(TEXTS)
def test_the_host_that_we_decide_by_is_the_host_that_is_connected_to(text):
    address = read(text)
    with connections() as reached, Http(retries=Retries(attempts=1)) as http, contextlib.suppress(Exception):
        http.request("GET", text)
    wanted = [(address.host.strip("[]"), address.port)] if address else []
    assert reached in ([], wanted)  # a name that no resolver takes is not looked for
    assert len(reached) == 1 or address is None or len(max(address.host.split("."), key=len)) > 63 or ".." in text


@given(TEXTS, TEXTS)
def test_a_location_leads_where_its_address_says(base, location):
    here = read(f"http://a.example/{base}")
    if here is None:
        return
    with contextlib.suppress(AddressError):
        there = here.join(location)
        assert Address.parse(str(there)) == there


@given(TEXTS)
def test_an_address_is_the_same_when_it_is_read_again(text):
    address = read(text)
    if address:
        assert Address.parse(str(address)) == address
        assert str(address).isprintable()
        assert not set("\\@ ") & set(address.netloc)
        assert urlsplit(str(address)).hostname == address.host.strip("[]")  # another parser finds nothing else in it


@given(TEXTS)
def test_whatever_is_no_address_can_be_shown_on_one_line(text):
    assert url_without_secrets(text).isprintable()
    with contextlib.suppress(AddressError):
        Address.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "http://b.example\\@a.example/x",
        "http://b.example\\.a.example/x",
        "http://user:word@a.example/x",
        "http://@a.example/x",
        "http://a.example /x",
        "http://a.example/\tx",
        "http://a.example/x\r\nHost: b.example",
        "http://a.exa\x00mple/",
        "http://a.example:99999/",
        "http://a.example:0/",
        "http://[::1/",
        "http://%61%2fb/",
        "http:///x",
        "file:///etc/passwd",
        "a.example/x",
        "",
    ],
)
def test_what_parsers_disagree_about_is_refused(text):
    with pytest.raises(AddressError, match="is not an address") as caught:
        Address.parse(text)
    assert str(caught.value).isprintable()
    assert "word" not in str(caught.value)
    assert caught.value.hint


def test_a_location_may_be_a_part_of_an_address():
    here = "https://a.example/v2/app/blobs/uploads/?x=1"
    assert join_url(here, "u1") == "https://a.example/v2/app/blobs/uploads/u1"
    assert join_url(here, "/v2/u1?y=%2F ") == "https://a.example/v2/u1?y=%2F"
    assert join_url(here, "//b.example/u1") == "https://b.example/u1"


def test_what_a_person_wrote_may_have_blanks_and_a_user():
    assert str(Address.parse_lenient(" https://me:word@a.example/a b@c ")) == "https://a.example/a%20b@c"
    with pytest.raises(AddressError):
        Address.parse_lenient("https://b.example\\@a.example/")


def test_of_what_a_person_wrote_the_host_stands_behind_the_last_user():
    assert str(Address.parse_lenient("https://me:w@rd@a.example/x")) == "https://a.example/x"


@pytest.mark.parametrize("location", ["/x\n", "\n/x", "/x\r", "\u2003/x", "/a b"])
def test_a_location_may_have_blanks_and_tabs_around_it_and_nothing_else(location):
    with pytest.raises(AddressError, match="a backslash, blank or control character is in it"):
        join_url("https://a.example/", location)
    assert join_url("https://a.example/", " \t/x\t ") == "https://a.example/x"


def test_a_location_whose_host_cannot_be_read_is_refused():
    with pytest.raises(AddressError, match="its host cannot be read"):
        join_url("https://a.example/", "//[::1/x")


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://me:word@a.example/v2/x?sig=secret#part", "https://a.example/v2/x"),
        ("https://A.example:443", "https://a.example"),
        ("https://a.example:8443/", "https://a.example:8443/"),
        ("https://a.example?token=word", "https://a.example"),
        ("a.example/'x'", "a.example/'x"),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(url, wanted):
    assert url_without_secrets(url) == wanted


def test_a_secret_in_the_path_of_an_address_is_not_shown():
    Secret("planted-in-path")
    assert url_without_secrets("https://a.example/planted-in-path/x") == f"https://a.example/{MASK}/x"


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://a.example/t", "https://a.example/t?service=r%26x&scope=a%3Ab"),
        ("https://a.example/t?x=1", "https://a.example/t?x=1&service=r%26x&scope=a%3Ab"),
    ],
)
def test_words_are_added_to_a_query(url, wanted):
    assert str(Address.parse(url).with_query([("service", "r&x"), ("scope", "a:b")])) == wanted


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("https://me:w@rd@a.example/x", "me:w@rd"),
        ("https://me@a.example", "me"),
        ("https://a.example/x@y", ""),
        ("no address@x", ""),
    ],
)
def test_user_and_password_stand_before_the_last_at_sign_of_an_authority(text, user):
    assert user_info(text) == user


# How near a host is

OCTETS = st.integers(0, 255)
FORMS = st.sampled_from(["{}", "0x{:x}", "0{:o}", "0X{:X}"])


@st.composite
def numbers(draw):
    """Return an IPv4 address, and the same in one of the forms that resolvers take."""
    octets = draw(st.sampled_from([(127, 0, 0, 1), (10, 0, 0, 9), (169, 254, 169, 254)]) | st.tuples(*[OCTETS] * 4))
    value, count = int.from_bytes(bytes(octets), "big"), draw(st.integers(1, 4))
    heads, tail = octets[: count - 1], value & (1 << 8 * (5 - count)) - 1
    text = ".".join(draw(FORMS).format(part) for part in (*heads, tail))
    return ipaddress.IPv4Address(value), text + draw(st.sampled_from(["", "."]))


@given(numbers())
def test_a_number_in_any_form_is_as_near_as_the_one_that_is_connected_to(pair):
    number, text = pair
    plain = text.rstrip(".")
    assert RESOLVER(plain, 80, socket.AF_INET, flags=socket.AI_NUMERICHOST)[0][4][0] == str(number)
    assert zone_of(text) == zone_of(str(number))
    assert is_loopback(f"{text}:5000") == (zone_of(text) is Zone.MACHINE)
    address = read(f"http://{text}/")
    assert address is None or address.zone == zone_of(str(number))


@pytest.mark.parametrize(
    ("host", "zone"),
    [
        *[(host, Zone.MACHINE) for host in ("localhost", "LOCALHOST.", "a.localhost", "127.9.9.9", "[::1]", "0.0.0.0")],
        *[(host, Zone.MACHINE) for host in ("[::ffff:127.0.0.1]", "[::]", "[::7f00:1]", "[64:ff9b::7f00:1]", "0")],
        *[(host, Zone.LINK) for host in ("169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "0xa9fea9fe")],
        *[(host, Zone.NETWORK) for host in ("10.1.2.3", "172.16.0.1", "192.168.1.1", "[fd00::1]", "100.64.0.1")],
        *[(host, Zone.NETWORK) for host in ("[::ffff:10.0.0.1]", "[2002:a00:1::]", "[fec0::1]", "224.0.0.1")],
        *[(host, Zone.NETWORK) for host in ("[64:ff9b::a00:1]", "[::10.0.0.1]", "[ff02::1]")],
        *[(host, Zone.WORLD) for host in ("[::1:7f00:1]", "[64:ff9b::808:808]", "[::8.8.8.8]", "[2002:808:808::1]")],
        *[(host, Zone.WORLD) for host in ("r.example", "8.8.8.8", "[2606:4700::1]", "localhost.example", "10.example")],
    ],
)
def test_how_near_a_host_is_is_seen_in_every_spelling(host, zone):
    assert zone_of(host) is zone
    assert Address.parse(f"http://{host}:5000/").zone is zone


def test_the_interface_behind_a_number_says_nothing_about_how_near_it_is():
    assert zone_of("fe80::1%eth0") is Zone.LINK
    assert zone_of("[::1%lo]") is Zone.MACHINE


HOSTS = {
    Zone.WORLD: "https://r.example/",
    Zone.NETWORK: "https://10.0.0.9/",
    Zone.LINK: "https://169.254.169.254/",
    Zone.MACHINE: "https://127.0.0.1/",
}


@pytest.mark.parametrize("base", HOSTS)
@pytest.mark.parametrize("there", HOSTS)
def test_a_server_may_name_a_host_of_its_own_network_or_of_the_world_only(base, there):
    allowed = there in {Zone.WORLD, base} or (base, there) == (Zone.MACHINE, Zone.NETWORK)
    with contextlib.nullcontext() if allowed else pytest.raises(AddressError, match="that is not safe"):
        check_redirect(Address.parse(HOSTS[base]), Address.parse(HOSTS[there]))


def test_a_registry_that_was_found_in_this_network_may_name_a_host_of_it():
    with pytest.raises(AddressError):
        check_redirect(Address.parse("https://r.corp.example/"), Address.parse(HOSTS[Zone.NETWORK]))
    check_redirect(Address.parse("https://r.corp.example/"), Address.parse(HOSTS[Zone.NETWORK]), zone=Zone.NETWORK)


@pytest.mark.parametrize(
    "spelling", ["http://s.example/", "HTTP://s.example/", "hTtP://r.example/", "http://r.example:443/"]
)
def test_no_server_leads_out_of_tls_in_any_spelling(spelling):
    here = Address.parse("HTTPS://r.example/")
    with pytest.raises(AddressError, match="without TLS"):
        check_redirect(here, here.join(spelling))


@pytest.mark.parametrize(
    ("here", "there", "method", "reason"),
    [
        ("https://r.example/a?x=1", "http://s.example/b?y=2", "GET", "without TLS"),
        ("https://r.example/a?x=1", "https://10.0.0.9/b?y=2", "GET", "on a private network"),
        ("https://r.example/a?x=1", "https://s.example/b?y=2", "DELETE", "and nothing is deleted at another host"),
    ],
)
def test_a_lead_that_is_not_safe_is_named_with_its_reason_and_without_its_query(here, there, method, reason):
    with pytest.raises(AddressError) as caught:
        check_redirect(Address.parse(here), Address.parse(there), method)
    leads = f"{here.partition('?')[0]} leads to {there.partition('?')[0]}"
    assert str(caught.value) == f"{leads}, {reason}: that is not safe"


def test_nothing_is_deleted_at_another_host():
    here = Address.parse("https://r.example/v2/")
    check_redirect(here, here.join("/v2/u1"), "DELETE")
    check_redirect(here, here.join("https://s.example/u1"), "PATCH")
    for elsewhere in ("https://s.example/u1", "https://r.example:8443/u1"):
        with pytest.raises(AddressError, match="nothing is deleted"):
            check_redirect(here, here.join(elsewhere), "DELETE")


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("R.Test:5000", ("r.test:5000", "r.test")),
        ("r.test", ("r.test",)),
        ("[::1]:5000", ("[::1]:5000", "[::1]")),
        ("[::1]", ("[::1]",)),
    ],
)
def test_a_host_is_declared_with_or_without_its_port(host, names):
    assert names_of_host(host) == names

"""Certificates, and hosts that are spoken to without TLS."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from buildpush.foundation.errors import SettingsError, UnreachableError
from buildpush.http import tls
from buildpush.http.client import Http
from buildpush.http.schemes import Schemes
from buildpush.http.tls import certificates_in
from buildpush.http.urls import Address
from tests.http.servers import OK, Client, in_turn, serving, serving_tls, status


@pytest.mark.sandbox
def test_a_host_without_tls_is_not_asked_again(client):
    with serving(OK) as server, pytest.raises(UnreachableError, match="does not speak TLS"):
        client.request("GET", server.url.replace("http:", "https:"))
    assert client.waits == []


def test_a_missing_certificate_file_is_named(tmp_path):
    with Http(ca_files=[tmp_path / "ca.pem"]) as client, pytest.raises(SettingsError, match=r"ca\.pem cannot be read"):
        client.request("GET", "https://registry.invalid/")


def test_plain_http_is_for_this_machine_and_declared_hosts():
    with Http(insecure_hosts=frozenset({"old.example:8081", "old2.example"})) as client:
        names = ["127.0.0.1:5000", "localhost", "[::1]:5", "old.example:8081", "old2.example:1", "old.example", "r.io"]
        assert [client.first_scheme(name) for name in names] == ["http"] * 5 + ["https"] * 2


@pytest.mark.programs
def test_a_private_authority_is_trusted_where_it_is_given(certificates):
    with serving_tls(certificates, "good") as url, Http(ca_files=[certificates / "ca.pem"]) as client:
        assert client.request("GET", url).body == b"body"


@pytest.mark.programs
@pytest.mark.parametrize(
    "name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HARNESS_CA_PATH", "SSL_CERT_DIR"]
)
def test_a_private_authority_is_trusted_by_each_of_the_usual_variables(certificates, tmp_path, name):
    (tmp_path / "ours.pem").write_bytes((certificates / "ca.pem").read_bytes())
    (tmp_path / "README").write_text("no certificate")
    value = f"/not/there:{tmp_path}" if name == "SSL_CERT_DIR" else str(tmp_path / "ours.pem")
    with serving_tls(certificates, "good") as url, Http(ca_files=certificates_in({name: value})) as client:
        assert client.request("GET", url).body == b"body"


@pytest.mark.programs
def test_an_authority_that_is_filed_by_its_hash_is_found(certificates, tmp_path):
    argv = ["openssl", "x509", "-noout", "-subject_hash", "-in", str(certificates / "ca.pem")]
    filed = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    (tmp_path / f"{filed}.0").write_bytes((certificates / "ca.pem").read_bytes())
    with serving_tls(certificates, "good") as url, Http(ca_files=[tmp_path]) as client:
        assert client.request("GET", url).body == b"body"


def test_of_a_directory_only_what_is_not_filed_by_its_hash_is_read_at_once_and_nothing_twice(tmp_path):
    for name in ("a.pem", "b.pem", "c.pem"):
        (tmp_path / name).write_text(name)
    (tmp_path / "0123abcd.0").symlink_to("a.pem")
    (tmp_path / "fedcba98.12").write_text("")
    asked = []
    context = SimpleNamespace(load_verify_locations=lambda file=None, capath=None: asked.append((file, capath)))
    read = set()
    for path in (tmp_path / "c.pem", tmp_path):
        tls._trust(context, path, read)
    assert asked == [(tmp_path / "c.pem", None), (None, tmp_path), (tmp_path / "b.pem", None)]


@pytest.mark.programs
def test_an_unknown_authority_is_refused_at_once_with_a_hint(certificates):
    with (
        serving_tls(certificates, "good") as url,
        Client() as client,
        pytest.raises(UnreachableError, match="authority that is not trusted") as caught,
    ):
        client.request("GET", url)
    assert "SSL_CERT_FILE" in caught.value.hint
    assert client.waits == []


@pytest.mark.programs
def test_an_expired_certificate_is_said_so(certificates):
    with (
        serving_tls(certificates, "old") as url,
        Client(ca_files=[certificates / "ca.pem"]) as client,
        pytest.raises(UnreachableError, match="expired"),
    ):
        client.request("GET", url)


@pytest.mark.programs
def test_the_certificate_of_another_host_is_said_so(certificates):
    with (
        serving_tls(certificates, "good") as url,
        Client(ca_files=[certificates / "ca.pem"]) as client,
        pytest.raises(UnreachableError, match="of another host"),
    ):
        client.request("GET", url.replace("127.0.0.1", "localhost"))


@pytest.mark.programs
def test_a_host_declared_insecure_that_speaks_tls_sees_credentials_in_tls_only(certificates):
    """Its address says http, as that of every host declared insecure does until it is known what it speaks."""
    with serving_tls(certificates, "old") as url, Http(insecure_hosts=frozenset({"127.0.0.1"})) as client:
        for _ in range(2):
            answer = client.request("GET", url.replace("https:", "http:"), authorization="Basic c2VjcmV0")
            assert (answer.status, answer.url) == (200, f"{url}/")


@pytest.mark.programs
def test_a_host_that_was_not_declared_insecure_is_never_spoken_to_otherwise(certificates):
    with (
        serving_tls(certificates, "old") as url,
        Http(insecure_hosts=frozenset({"other.example"})) as client,
        pytest.raises(UnreachableError),
    ):
        client.request("GET", url, authorization="Basic c2VjcmV0")


@pytest.mark.sandbox
def test_a_host_declared_insecure_without_tls_is_spoken_to_plainly_and_asked_once():
    client = Client(insecure_hosts=frozenset({"127.0.0.1"}))
    with client, serving(OK) as server:
        for _ in range(3):
            assert client.request("GET", server.url, authorization="Basic c2VjcmV0").status == 200

    assert [(one.command, one.headers.get("Authorization")) for one in server.seen] == [
        ("HEAD", None),
        *[("GET", "Basic c2VjcmV0")] * 3,
    ]
    assert client.waits == []


@pytest.mark.sandbox
def test_a_busy_host_declared_insecure_is_asked_again_how_it_is_spoken_to():
    """One connection that broke was taken for no answer at all, and TLS was then refused for good."""
    busy = in_turn(lambda request: request.reset(), lambda request: request.reset(), OK)
    with Client(insecure_hosts=frozenset({"127.0.0.1"})) as client, serving(busy) as server:
        assert client.request("GET", server.url, authorization="Basic c2VjcmV0").status == 200
    assert [one.command for one in server.seen] == ["HEAD"] * 3 + ["GET"]


@pytest.mark.sandbox
def test_what_answers_as_a_port_of_tls_does_is_not_spoken_to_plainly():
    with Client(insecure_hosts=frozenset({"127.0.0.1"})) as client, serving(status(400)) as server:
        with pytest.raises(UnreachableError):
            client.request("GET", server.url, authorization="Basic c2VjcmV0")
        assert not any(one.headers.get("Authorization") for one in server.seen)


@pytest.mark.sandbox
def test_a_host_whose_address_says_plain_is_asked_for_nothing_else():
    with Client(schemes={"127.0.0.1": "http"}) as client, serving(OK) as server:
        assert client.request("GET", server.url).status == 200
    assert [one.command for one in server.seen] == ["GET"]


@pytest.mark.programs
def test_a_host_declared_insecure_is_not_asked_for_its_certificate(certificates):
    with serving_tls(certificates, "old") as url, Http(insecure_hosts=frozenset({"127.0.0.1"})) as client:
        assert client.request("GET", url).status == 200


def test_certificates_that_are_none_are_named(tmp_path):
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")
    with Http(ca_files=[tmp_path / "ca.pem"]) as client, pytest.raises(SettingsError, match=r"ca\.pem cannot be read"):
        client.request("GET", "https://registry.invalid/")


@pytest.mark.sandbox
@pytest.mark.parametrize("number", [400, 502, 503, 504])
def test_a_gateway_that_answers_in_plain_does_not_make_a_host_plain(number):
    with Client(insecure_hosts=frozenset({"127.0.0.1"})) as client, serving(status(number)) as server:
        with pytest.raises(UnreachableError):
            client.request("GET", server.url, authorization="Basic c2VjcmV0")
        assert {one.command for one in server.seen} <= {"HEAD"}


def test_certificates_are_found_in_the_order_of_their_variables_and_once(tmp_path):
    ours, theirs = tmp_path / "a", tmp_path / "b"
    ours.mkdir()
    variables = {
        "SSL_CERT_FILE": "/x.pem",
        "REQUESTS_CA_BUNDLE": "/y.pem",
        "CURL_CA_BUNDLE": "/x.pem",
        "SSL_CERT_DIR": f":{ours}:{theirs}:",
        "OTHER": "/z.pem",
    }
    assert certificates_in(variables) == (Path("/x.pem"), Path("/y.pem"), ours)
    assert certificates_in({"SSL_CERT_FILE": ""}) == ()


@pytest.mark.sandbox
def test_a_host_is_declared_insecure_with_its_port_as_well():
    with serving(OK) as server:
        host = server.url.removeprefix("http://")
        with Client(insecure_hosts=frozenset({host.upper()})) as client:
            assert client.request("GET", server.url).status == 200
    assert [one.command for one in server.seen] == ["HEAD", "GET"]


@pytest.mark.parametrize(
    ("declared", "url", "has_tls", "wanted"),
    [
        ("r.io", "http://r.io/v2/", True, "https://r.io/v2/"),
        ("r.io", "http://r.io:8080/v2/", True, "https://r.io:8080/v2/"),
        ("r.io:80", "http://r.io/v2/", True, "https://r.io:80/v2/"),
        ("r.io", "http://r.io/v2/", False, "http://r.io/v2/"),
        ("r.io", "http://r.io/v2/", None, "https://r.io/v2/"),
        ("r.io", "https://r.io/v2/", False, "https://r.io/v2/"),
        ("r.io:81", "http://r.io/v2/", True, "http://r.io/v2/"),
    ],
)
def test_where_a_host_declared_insecure_is_spoken_to(monkeypatch, declared, url, has_tls, wanted):
    with Http(insecure_hosts=frozenset({declared})) as client:
        monkeypatch.setattr(Schemes, "_offers_tls", lambda *_: has_tls)
        assert str(client.connection_address(Address.parse(url))) == wanted


@pytest.mark.sandbox
def test_a_host_that_was_declared_insecure_and_not_spoken_to_is_known(box):
    name, _, port = box.host.rpartition(":")
    with Http(insecure_hosts=frozenset({box.host, "Elsewhere.test", name, f"127.0.0.2:{port}"})) as http:
        http.request("GET", f"{box.url}/v2/")
        assert http.unused_insecure_hosts == (f"127.0.0.2:{port}", "elsewhere.test")


@pytest.mark.programs
def test_this_machine_is_tried_with_tls_when_it_fails_without(certificates):
    ours = [certificates / "ca.pem"]
    with serving_tls(certificates, "good") as url, Client(ca_files=ours) as client:
        for _ in range(2):
            answer = client.request("GET", url.replace("https:", "http:"), authorization="Basic c2VjcmV0")
            assert (answer.status, answer.url) == (200, f"{url}/")
        assert client.waits == []


@pytest.mark.programs
def test_the_certificate_of_this_machine_is_verified_when_it_turns_out_to_have_tls(certificates):
    with serving_tls(certificates, "good") as url, Client() as client:
        with pytest.raises(UnreachableError, match="authority that is not trusted"):
            client.request("GET", url.replace("https:", "http:"))
        assert client.waits == []


@pytest.mark.programs
def test_this_machine_is_not_tried_with_tls_where_its_address_says_plain(certificates):
    written = {"127.0.0.1": "http"}
    with (
        serving_tls(certificates, "good") as url,
        Client(ca_files=[certificates / "ca.pem"], schemes=written) as client,
        pytest.raises(UnreachableError, match="broke"),
    ):
        client.request("GET", url.replace("https:", "http:"))


@pytest.mark.sandbox
def test_a_host_of_this_machine_that_answers_400_without_tls_keeps_its_answer():
    with Client() as client, serving(status(400)) as server:
        assert client.request("GET", server.url).status == 400
    assert [one.command for one in server.seen] == ["GET"]


def test_a_scheme_that_is_written_is_obeyed_on_this_machine():
    with Http(schemes={"localhost:8443": "https", "localhost:8081": "http"}) as client:
        names = ["localhost:8443", "localhost:8081", "localhost:5000"]
        assert [client.first_scheme(name) for name in names] == ["https", "http", "http"]

"""Where a registry keeps things elsewhere and we cannot reach that, it has told nothing: reading is not deciding."""

from __future__ import annotations

import json
import socket
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildpush.credentials.docker import Credential, Keychain
from buildpush.foundation.errors import AuthenticationError, PushError, RegistryError, UnreachableError
from buildpush.foundation.events import Note
from buildpush.foundation.secrets import Secret
from buildpush.http.client import Http
from buildpush.images.compression import digest_of as sha256_of
from buildpush.images.references import Repository
from buildpush.registry.client import Registry
from buildpush.registry.pull import pull
from buildpush.registry.push import name, push
from tests.hostile.quirks import Tokens, reading, sends_reads_to
from tests.hostile.registry import HostileRegistry, Reply, digest_of, fault
from tests.registry.conftest import Source

pytestmark = pytest.mark.sandbox

ONE, TWO = b"one " * 5000, b"two " * 5000
APP = "a/app"
REFUSED_BY_US = ("http://169.254.1.1/blob", "http://elsewhere.example\\@host/blob", "ftp://elsewhere.example/blob")
CLOSED = "closed"
STATUSES = (401, 403, 404, 429, 500, 503)
ENDS = (CLOSED, *REFUSED_BY_US, *STATUSES)


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return f"http://127.0.0.1:{one.getsockname()[1]}/blob"


def refusing(status: int):
    """Answer all with *status*; who says 401 wants a password for itself."""
    challenge = {"WWW-Authenticate": 'Basic realm="store"'} if status == 401 else {}
    return lambda _, __: replace(fault(status, "DENIED", "the store says no"), headers=challenge)


@pytest.fixture
def leads(serve):
    """Return a function that makes an address at which nothing is to be had."""

    def make(end) -> str:
        if end == CLOSED:
            return closed_port()
        return f"{serve(refusing(end)).url}/blob" if isinstance(end, int) else end

    return make


def notes(events) -> str:
    return "\n".join(event.text for event in events if isinstance(event, Note))


def at(client, server) -> tuple[Registry, Repository]:
    registry, repository = client(server)
    return registry, Repository(repository.host, APP)


def pushed_to(client, server, *layers: bytes, tag: str = "1"):
    registry, repository = at(client, server)
    return push(Source(*(layers or (ONE, TWO))).image(), [repository.tagged(tag)], registry, sink=registry.sink)


@pytest.mark.parametrize("end", ENDS)
def test_a_blob_whose_store_gives_no_answer_is_sent(serve, client, events, leads, end):
    server = serve()
    pushed_to(client, server)
    server.quirks.append(sends_reads_to(leads(end), what="/blobs/"))
    again = pushed_to(client, server)

    assert [layer.fate for layer in again.layers] == ["sent", "sent"]
    assert str(again.digest) in server.truth
    assert end == 404 or "does not say what" in notes(events) or "does not say whether" in notes(events)


def test_a_store_that_gives_no_answer_is_not_asked_for_each_blob(serve, client, leads):
    server = serve()
    layers = [b"%d" % number * 3000 for number in range(9)]
    pushed_to(client, server, *layers)
    server.quirks.append(sends_reads_to(leads(CLOSED), what="/blobs/"))
    asked = len(server.asked("HEAD", "/blobs/"))
    registry, repository = at(client, server)
    registry.workers = 1
    push(Source(*layers).image(), [repository.tagged("1")], registry)

    assert len(server.asked("HEAD", "/blobs/")) == asked + 1


def test_a_registry_without_head_that_sends_on_to_nowhere_is_sent_the_blobs(serve, client, leads):
    server = serve()
    pushed_to(client, server)
    server.quirks += [
        sends_reads_to(leads(CLOSED), what="/blobs/", method="GET"),
        lambda request, _: Reply(405) if request.method == "HEAD" and request.is_blob else None,
    ]
    assert [layer.fate for layer in pushed_to(client, server).layers] == ["sent", "sent"]


def test_a_registry_that_gives_no_answer_itself_is_an_error(serve, client):
    server = serve(lambda request, _: Reply(reset=True) if request.is_blob else None)
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1"):
        pushed_to(client, server)
    assert not server.manifests


@pytest.mark.parametrize("end", ENDS)
def test_a_manifest_that_was_confirmed_is_a_success_wherever_reading_it_leads(serve, client, events, leads, end):
    server = serve(sends_reads_to(leads(end), what="/manifests/"))
    pushed = pushed_to(client, server)

    assert str(pushed.digest) in server.truth
    assert "was confirmed as" in notes(events)


@pytest.mark.parametrize("end", [CLOSED, REFUSED_BY_US[0], 401, 500])
def test_a_further_name_is_given_wherever_reading_it_leads(serve, client, events, leads, end):
    server = serve()
    pushed = pushed_to(client, server)
    server.quirks.append(sends_reads_to(leads(end), what="/manifests/"))
    registry, repository = at(client, server)
    name(pushed.manifest, pushed.media_type, [repository.tagged("2")], registry, registry.sink)

    assert (APP, "2") in server.manifests
    assert "was confirmed as" in notes(events)


@pytest.mark.parametrize("end", [CLOSED, REFUSED_BY_US[0], 401, 500])
def test_of_a_tag_that_may_not_be_overwritten_the_registrys_refusal_is_told(serve, client, leads, end):
    def immutable(request, _):
        written = request.method == "PUT" and request.is_manifest
        return fault(409, "TAG_IMMUTABLE", "is immutable") if written else None

    server = serve()
    pushed_to(client, server)
    server.quirks += [sends_reads_to(leads(end), what="/manifests/"), immutable]
    with pytest.raises(RegistryError, match="is immutable") as caught:
        pushed_to(client, server, b"other")
    assert caught.value.status == 409


@pytest.mark.parametrize("end", [CLOSED, REFUSED_BY_US[0], 401, 403, 500])
def test_a_mount_that_is_sent_on_to_nowhere_is_no_obstacle(serve, client, leads, end):
    there = leads(end)
    server = serve(lambda request, _: Reply(307, {"Location": there}) if "mount" in request.query else None)
    pushed_to(client, server)
    registry, repository = at(client, server)
    names = [repository.tagged("1"), Repository(server.host, "a/other").tagged("1")]
    server.quirks.append(reading(404, what="/other/blobs/"))
    push(Source(ONE, TWO).image(), names, registry)

    assert any("mount" in request.query for request in server.requests)
    assert ("a/other", "1") in server.manifests


def test_an_upload_that_is_sent_on_to_nowhere_is_an_error(serve, client, leads):
    there = leads(CLOSED)
    server = serve(lambda request, _: Reply(307, {"Location": there}) if request.method == "POST" else None)
    with pytest.raises(UnreachableError):
        pushed_to(client, server)
    registry, repository = at(client, server)
    with pytest.raises(UnreachableError):
        registry.check_push(repository)


def test_a_password_that_a_store_wants_is_not_ours_to_give(serve, client, leads):
    """Nor is its refusal one of our token: the registry would be asked for a new one for nothing."""
    tokens = Tokens()
    server = serve(tokens)
    pushed = pushed_to(client, server)
    server.quirks.append(sends_reads_to(leads(401)))
    given_before = len(tokens.given)
    registry, repository = at(client, server)
    push(Source(ONE, TWO).image(), [repository.tagged("1")], registry)

    assert len(tokens.given) - given_before <= 2  # to pull and push, and to mount
    with pytest.raises(PushError) as caught:
        pull(repository.at(pushed.digest), registry)
    assert not isinstance(caught.value, AuthenticationError)


# What has a subject is listed after it was pushed


def with_subject(pushed) -> object:
    """Return the same image once more, as something that is said about *pushed*."""
    subject = {"mediaType": pushed.media_type, "digest": str(pushed.digest), "size": len(pushed.manifest)}
    manifest = json.dumps(json.loads(pushed.manifest) | {"subject": subject}).encode()
    image = Source(ONE).image()
    layers = tuple(
        replace(layer, digest=blob.digest, size=blob.size, media_type=blob.media_type, diff_id=blob.diff_id)
        for layer, blob in zip(image.layers, pushed.layers, strict=True)
    )
    return replace(
        image, config=pushed.config_document, layers=layers, manifest=manifest, manifest_type=pushed.media_type
    )


@pytest.mark.parametrize("end", [CLOSED, REFUSED_BY_US[0], 401, 403, 500])
def test_a_list_of_referrers_that_leads_nowhere_is_a_note(serve, client, events, leads, end):
    server = serve()
    about = pushed_to(client, server, ONE)
    there = leads(end)
    server.quirks.append(
        lambda request, _: (
            Reply(307, {"Location": there})
            if request.method == "GET" and "/manifests/sha256-" in request.path
            else None
        )
    )
    registry, repository = at(client, server)
    push(with_subject(about), [repository.tagged("sbom")], registry, sink=registry.sink)

    assert (APP, "sbom") in server.manifests
    assert "nothing was added" in notes(events)
    assert not server.asked("PUT", "/manifests/sha256-")


@pytest.mark.parametrize("status", [400, 401, 403, 500])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_list_that_cannot_be_written_does_not_take_back_what_was_confirmed(serve, client, events, method, status):
    server = serve()
    about = pushed_to(client, server, ONE)
    server.quirks.append(
        lambda request, _: (
            fault(status, "DENIED") if request.method == method and "/manifests/sha256-" in request.path else None
        )
    )
    registry, repository = at(client, server)
    pushed = push(with_subject(about), [repository.tagged("sbom")], registry, sink=registry.sink)

    assert str(pushed.digest) in server.truth
    assert "nothing was added" in notes(events)


# Any reads, anywhere


PLACES = st.sampled_from(("/blobs/", "/manifests/", "/manifests/sha256:", "/v2/a/app/", ""))
METHODS = st.sampled_from(("GET", "HEAD", ""))


@settings(max_examples=60)
@given(
    ways=st.lists(
        st.tuples(PLACES, st.sampled_from(("GET", "HEAD", "")), st.sampled_from(ENDS)), min_size=1, max_size=3
    ),
    before=st.booleans(),
)
def test_whatever_reading_leads_to_a_push_is_a_success_and_true(ways, before):
    """Here the registry takes everything itself."""
    with HostileRegistry() as server, HostileRegistry() as store, Http(sleep=lambda _: None) as http:
        store.quirks.append(lambda request, registry: refusing(int(request.path[1:]))(request, registry))
        registry = Registry(http, Keychain({server.host: Credential("robot", Secret("planted", "test"), "test")}))
        names = [Repository(server.host, APP).tagged("1")]
        if before:
            push(Source(ONE).image(), names, registry)
        for what, method, end in ways:
            there = f"{store.url}/{end}" if isinstance(end, int) else closed_port() if end == CLOSED else end
            server.quirks.append(sends_reads_to(there, what=what, method=method))
        pushed = push(Source(ONE).image(), names, registry)
        _, manifest = server.manifests[APP, "1"]

        assert str(pushed.digest) == digest_of(manifest) == str(sha256_of(manifest))
        assert not server.lacking(APP, manifest)
        assert not any("Authorization" in one.headers for one in store.requests)

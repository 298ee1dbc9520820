"""What a registry confirmed is a success, whatever it says afterwards; what it has not seen yet, it is sent again."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from urllib3 import HTTPHeaderDict

from buildpush.credentials.docker import Credential, Keychain
from buildpush.foundation.errors import AuthenticationError, CancelledError, DigestError, RegistryError
from buildpush.foundation.events import Note, Progress, Retry
from buildpush.foundation.secrets import Secret
from buildpush.http.client import Http
from buildpush.http.messages import Answer
from buildpush.http.urls import AddressError
from buildpush.images.compression import digest_of as sha256_of
from buildpush.images.model import INDEX_TYPES, MANIFEST_TYPES, Index, Platform
from buildpush.images.references import Repository
from buildpush.images.referrers import Referrer
from buildpush.registry import naming
from buildpush.registry.client import Registry
from buildpush.registry.pull import pull
from buildpush.registry.push import name, push
from buildpush.registry.receipt import receipt
from buildpush.registry.referrers import find_referrers
from tests.hostile.quirks import QUIRKS, Tokens, reading, times
from tests.hostile.registry import HostileRegistry, Reply, digest_of, fault
from tests.registry.conftest import Source

pytestmark = pytest.mark.sandbox

ONE, TWO = b"one " * 5000, b"two " * 5000
ELSE = digest_of(b"else")


def notes(events) -> list[str]:
    return [event.text for event in events if isinstance(event, Note)]


def pushed_to(server, client, *layers: bytes, tag: str = "1"):
    registry, repository = client(server)
    image = Source(*(layers or (ONE, TWO))).image()
    return push(image, [repository.tagged(tag)], registry, sink=registry.sink)


def stale(request, registry):
    """Show for every tag another image, and nothing for digests, as a replica that is behind."""
    if request.is_manifest and request.method in {"GET", "HEAD"}:
        return fault(404) if ":" in request.path.rpartition("/")[2] else Reply(200, {"Docker-Content-Digest": ELSE})
    return None


@pytest.mark.parametrize(
    "quirk",
    [*(reading(status) for status in (401, 403, 404, 429, 451, 500, 503)), stale],
    ids=["401", "403", "404", "429", "451", "500", "503", "stale"],
)
def test_what_may_not_be_read_after_it_was_confirmed_is_a_note(serve, client, events, waits, quirk):
    server = serve(quirk)
    pushed = pushed_to(server, client)

    assert str(pushed.digest) in server.truth
    assert any("was confirmed as" in text for text in notes(events))
    assert sum(waits) < 150


@pytest.mark.parametrize("broken", [Reply(reset=True), Reply(502), Reply(500)], ids=["reset", "502", "500"])
def test_a_manifest_that_was_taken_although_each_answer_to_it_was_lost_is_a_success(serve, client, events, broken):
    def lose(request, registry):
        return registry.answer(request) and broken if request.is_manifest and request.method == "PUT" else None

    server = serve(lose)
    pushed = pushed_to(server, client)

    assert digest_of(server.manifests["docker-local/app", "1"][1]) == str(pushed.digest)
    assert any("answer was lost" in text for text in notes(events))


LATE = {"404": lambda: times(2, reading(404)), "stale": lambda: times(2, stale), "403": lambda: times(1, reading(403))}


@pytest.mark.parametrize("late", LATE)
def test_what_is_shown_late_is_waited_for(serve, client, events, waits, late):
    server = serve(LATE[late]())
    pushed = pushed_to(server, client)

    assert pushed.digest == receipt(pushed.references[0], client(server)[0]).digest
    assert 0 < sum(waits) < 10
    assert not notes(events)
    told = [event for event in events if isinstance(event, Retry)]
    assert [event.what for event in told] == [str(pushed.references[0])] * len(waits)
    assert all(str(pushed.references[0]) in event.reason for event in told)
    assert [event.attempt for event in told] == list(range(1, len(told) + 1))


@pytest.mark.parametrize(("status", "seconds"), [(404, 10), (410, 1)])
def test_a_registry_that_never_shows_anything_is_waited_for_once_and_not_for_each_name(
    serve, client, waits, status, seconds
):
    server = serve(reading(status, what="/manifests/"))
    registry, repository = client(server)
    images = tuple(Source(data).image(platform=Platform("linux", f"a{at}")) for at, data in enumerate((ONE, TWO, b"3")))
    push(Index(images), [repository.tagged(str(tag)) for tag in range(4)], registry)

    assert len(server.manifests) == 4 + 4  # three images and their index, and four tags
    assert sum(waits) < seconds


def test_a_robot_that_may_only_deploy_can_push(serve, client, events):
    """Its token is good for pushing alone: each question costs a 401, and none is asked twice."""
    tokens = Tokens("push")
    server = serve(tokens)
    pushed = pushed_to(server, client)
    again = pushed_to(server, client)

    for one, two in zip(pushed.layers, again.layers, strict=True):  # shows which bytes differ, should they
        assert server.blobs[str(one.digest)] == server.blobs[str(two.digest)]
    assert pushed.manifest == again.manifest
    assert [layer.fate for layer in again.layers] == ["sent", "sent"]
    assert len(tokens.given) < 12
    assert any("does not say what it has" in text for text in notes(events))


def test_what_is_hidden_is_asked_for_once(serve, client):
    """Each such question costs a new token."""
    server = serve(Tokens("push"))
    registry, repository = client(server)
    registry.workers = 1
    push(Source(ONE, TWO, b"3").image(), [repository.tagged("1")], registry)

    assert len(server.asked("HEAD", "/blobs/")) == 2  # once more with a new token


def test_a_robot_that_may_only_deploy_passes_the_preflight(serve, client):
    registry, repository = client(serve(Tokens("push")))
    assert registry.check_push(repository).scheme == "bearer"


def test_blobs_that_may_not_be_looked_at_are_sent(serve, client, events):
    server = serve(reading(403, what="/blobs/"))
    pushed_to(server, client)
    again = pushed_to(server, client)

    assert [layer.fate for layer in again.layers] == ["sent", "sent"]
    assert sum("does not say whether it has" in text for text in notes(events)) == 2  # one for each push


def test_a_mount_that_was_confirmed_is_not_sent_because_it_is_shown_late(serve, client):
    server = serve(reading(404, what="/other/blobs/"))
    pushed_to(server, client)
    registry, repository = client(server)
    image = Source(ONE, TWO).image()
    names = [repository.tagged("1"), Repository(server.host, "docker-local/other").tagged("1")]
    before = server.received
    push(image, names, registry)

    assert [one.query.get("mount") is not None for one in server.asked("POST", "/other/")] == [True, True, False]
    assert server.received - before < 3000  # manifests and a configuration


def test_a_name_for_what_may_not_be_read_is_an_error_that_says_so(serve, client):
    """To call an image something else, its manifest is needed."""
    server = serve()
    pushed_to(server, client)
    server.quirks.append(reading(403))
    registry, repository = client(server)

    with pytest.raises(RegistryError, match="cannot be fetched: status 403") as caught:
        receipt(repository.tagged("1"), registry)
    assert "permission to read" in caught.value.hint


def test_a_further_tag_that_may_not_be_read_afterwards_is_a_note(serve, client, events):
    server = serve()
    pushed = pushed_to(server, client)
    server.quirks.append(reading(404))
    registry, repository = client(server)
    name(pushed.manifest, pushed.media_type, [repository.tagged("2")], registry, registry.sink)

    assert ("docker-local/app", "2") in server.manifests
    assert any("was confirmed as" in text for text in notes(events))


def test_a_page_that_answers_200_is_no_confirmation(serve, client):
    page = Reply(200, {"Content-Type": "text/html"}, b"<html>log in</html>")
    server = serve(lambda request, _: page if request.method == "PUT" and request.is_manifest else None)

    with pytest.raises(RegistryError, match="cannot be read: status 404"):
        pushed_to(server, client)


@pytest.mark.parametrize("status", [401, 403])
def test_tags_of_referrers_that_may_not_be_read_are_a_note(serve, client, events, status):
    """Artifactory says 403 of a tag that is not there, where a member of a virtual repository may not be read."""
    server = serve()
    registry, repository = client(server)
    image = Source(ONE).image()
    pushed = push(image, [repository.tagged("1")], registry)
    server.quirks += [reading(status, what="/manifests/sha256-"), reading(status, what="/referrers/")]
    manifest = Source(ONE).image(manifest=pushed.manifest, manifest_type=pushed.media_type)

    assert find_referrers(manifest, repository, registry) == ()
    assert len(notes(events)) == 1


def test_a_list_of_referrers_that_may_not_be_read_is_not_written_anew(serve, client, events):
    """What others entered there would be lost."""
    server = serve()
    registry, repository = client(server)
    about = push(Source(ONE).image(), [repository.tagged("1")], registry)
    subject = {"mediaType": about.media_type, "digest": str(about.digest), "size": len(about.manifest)}
    manifest = json.dumps(json.loads(about.manifest) | {"subject": subject}).encode()
    layers = tuple(
        layer.__class__(digest=blob.digest, size=blob.size, media_type=blob.media_type, diff_id=blob.diff_id)
        for layer, blob in zip(Source(ONE).image().layers, about.layers, strict=True)
    )
    image = (
        Source(ONE)
        .image()
        .__class__(about.config_document, layers, Source(ONE), manifest=manifest, manifest_type=about.media_type)
    )
    server.quirks.append(reading(403, what="/manifests/sha256-"))
    push(image, [repository.tagged("sbom")], registry, sink=registry.sink)

    assert ("docker-local/app", "sbom") in server.manifests
    assert any("nothing was added" in text for text in notes(events))
    assert not server.asked("PUT", "/manifests/sha256-")


SAYS = st.sampled_from((None, 401, 403, 404, 410, 451, 500, "stale", "empty"))


def saying(sequence, what: str):
    """Return a quirk that answers reading with these in turn, with the last of them for ever."""
    left = itertools.chain(sequence, itertools.repeat(sequence[-1]))

    def act(request, registry):
        if request.method not in {"GET", "HEAD"} or what not in request.path or request.is_upload:
            return None
        says = next(left)
        if says in {"stale", "empty"}:
            return Reply(200, {"Docker-Content-Digest": ELSE} if says == "stale" else {}, b"{}")
        return None if says is None else fault(says)

    return act


@settings(max_examples=60)
@given(blobs=st.lists(SAYS, min_size=1, max_size=5), manifests=st.lists(SAYS, min_size=1, max_size=5))
def test_whatever_reading_says_what_was_confirmed_is_a_success(blobs, manifests):
    """Here the registry takes everything, so a push must succeed, and be true."""
    with (
        HostileRegistry(saying(blobs, "/blobs/"), saying(manifests, "/manifests/")) as server,
        Http(sleep=lambda _: None) as http,
    ):
        registry = Registry(http, Keychain({server.host: Credential("robot", Secret("planted", "test"), "test")}))
        pushed = push(Source(ONE).image(), [Repository(server.host, "a/b").tagged("1")], registry)
        _, manifest = server.manifests["a/b", "1"]

        assert str(pushed.digest) == digest_of(manifest)
        assert not server.lacking("a/b", manifest)


# Patience


def losing(*which: int):
    """Return a quirk that forgets the blobs of these numbers, in the order of the manifest, before it looks at it."""
    left = [1]

    def act(request, registry):
        if request.method == "PUT" and request.is_manifest and left:
            left.clear()
            document = json.loads(request.body)
            blobs = [document["config"], *document["layers"]]
            for at in which:
                registry.blobs.pop(blobs[at]["digest"], None)

    return act


@pytest.mark.parametrize("code", ["MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"])
@pytest.mark.parametrize("status", [400, 404])
def test_a_manifest_that_is_refused_for_blobs_that_are_there_is_sent_again(serve, client, waits, code, status):
    server = serve(
        times(2, lambda request, _: fault(status, code) if request.method == "PUT" and request.is_manifest else None)
    )
    before = pushed_to(server, client)

    assert str(before.digest) in server.truth
    assert len(server.asked("POST")) == 3  # nothing was sent twice: it was all there
    assert 0 < sum(waits) < 5


@pytest.mark.parametrize("which", [(0,), (1,), (2,), (0, 1, 2)])
def test_blobs_that_are_gone_after_they_were_confirmed_are_sent_again(serve, client, events, which):
    server = serve(losing(*which))
    pushed = pushed_to(server, client)

    assert not server.lacking("docker-local/app", pushed.manifest)
    assert len(server.asked("POST")) == 3 + len(which)
    assert sum("is sent again" in text for text in notes(events)) == len(which)


def test_a_registry_that_never_finds_its_blobs_is_an_error_soon(serve, client, waits):
    never = fault(404, "MANIFEST_BLOB_UNKNOWN", "blob unknown")
    server = serve(lambda request, _: never if request.method == "PUT" and request.is_manifest else None)

    with pytest.raises(RegistryError, match="blob unknown"):
        pushed_to(server, client)
    assert len(server.asked("PUT", "/manifests/")) == 6
    assert sum(waits) < 20


def test_blobs_that_are_never_shown_are_sent_again_once(serve, client):
    never = fault(404, "MANIFEST_BLOB_UNKNOWN", "blob unknown")
    server = serve(lambda request, _: never if request.method == "PUT" and request.is_manifest else None)
    server.quirks.append(reading(404, what="/blobs/"))

    with pytest.raises(RegistryError, match="blob unknown"):
        pushed_to(server, client)
    assert len(server.asked("POST")) == 2 * 3


def test_an_image_of_an_index_that_is_gone_is_named_again(serve, client):
    def act(request, registry):
        if request.path.endswith("/manifests/1") and len(server.asked("PUT", "/manifests/1")) == 1:
            registry.manifests.clear()
            return
        return

    server = serve(act)
    registry, repository = client(server)
    images = tuple(Source(ONE).image(platform=Platform("linux", arch)) for arch in ("amd64", "arm64"))
    pushed = push(Index(images), [repository.tagged("1")], registry)

    assert not server.lacking("docker-local/app", pushed.manifest)


def uses(token_uses: int):
    """Return what ends a token after so many requests."""
    seen: dict[str, int] = {}

    def ends(request) -> bool:
        token = request.headers["Authorization"]
        seen[token] = seen.get(token, 0) + 1
        return seen[token] > token_uses

    return ends


@pytest.mark.parametrize("token_uses", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("forgetful", [True, False])
def test_a_token_that_ends_in_the_middle_is_replaced_also_where_nobody_says_so(serve, client, token_uses, forgetful):
    tokens = Tokens(ends=uses(token_uses), forgetful=forgetful)
    server = serve(tokens)
    registry, repository = client(server)
    registry.workers = 1  # several would use up each other's tokens
    pushed = push(Source(ONE, TWO, b"three " * 9000).image(), [repository.tagged("1")], registry)

    assert str(pushed.digest) in server.truth
    assert len(tokens.given) > 1


def test_a_registry_that_takes_no_token_is_an_error_soon(serve, client):
    tokens = Tokens("nothing", forgetful=True)
    server = serve(tokens)

    with pytest.raises(AuthenticationError, match="refuses the token"):
        pushed_to(server, client)
    assert len(tokens.given) <= 6


@pytest.mark.parametrize("sentence", [one for one in QUIRKS if not set(one.split()) & {"520", "103", "416,"}])
def test_each_quirk_alone_is_no_obstacle(serve, client, sentence):
    server = serve(QUIRKS[sentence]())
    assert str(pushed_to(server, client).digest) in server.truth


def test_what_a_tag_names_that_may_not_be_overwritten_is_asked_for_in_every_form(serve, client):
    """A registry that is asked for one form alone may convert the manifest, or say that there is none."""
    taken: list[str] = []

    def immutable(request, registry):
        if request.is_manifest and request.method == "PUT" and request.path.endswith("/1"):
            taken.append(request.path)
            return fault(409) if len(taken) > 1 else None
        return None

    server = serve(immutable)
    pushed_to(server, client)
    pushed_to(server, client)

    *_, last = server.asked("HEAD", "/manifests/1")
    first, *others = last.headers["Accept"].split(", ")
    assert first == "application/vnd.oci.image.manifest.v1+json"
    assert {*MANIFEST_TYPES, *INDEX_TYPES} == {first, *others}
    assert len(others) == len(set(others))


# What one answer says of a manifest

MANIFEST = b'{"schemaVersion": 2}'
OURS = sha256_of(MANIFEST)
NAME = Repository("r.io", "team/app").tagged("1")
SHA512 = f"sha512:{hashlib.sha512(MANIFEST).hexdigest()}"


def objection(status: int, says: str | None, body: bytes):
    headers = HTTPHeaderDict({} if says is None else {"docker-content-digest": says})
    return naming._objection(Answer(status, headers, body, "https://r.io/"), OURS, NAME, MANIFEST)


@pytest.mark.parametrize(
    ("says", "body"),
    [
        (str(OURS), b""),
        (str(OURS), MANIFEST),
        (None, MANIFEST),
        (SHA512, b""),
        ("md5:0123", b""),  # an algorithm that we do not know says nothing
        ("md5:0123", MANIFEST),
    ],
)
def test_an_answer_that_shows_the_manifest_is_one(says, body):
    assert objection(200, says, body) is None


@pytest.mark.parametrize(
    ("says", "body", "words", "hint"),
    [
        (ELSE, b"", f"r.io/team/app:1 names {ELSE}, but {OURS} was pushed", "a proxy in between changes"),
        (ELSE, MANIFEST, f"r.io/team/app:1 names {ELSE}, but {OURS} was pushed", "a proxy in between changes"),
        ("sha256:12", b"", f"r.io/team/app:1 names sha256:12, but {OURS} was pushed", "a proxy in between changes"),
        (f"sha512:{'0' * 128}", b"", f"names sha512:{'0' * 128}, but {OURS} was pushed", "a proxy in between changes"),
        (str(OURS), b"else", f"r.io/team/app:1 names {ELSE}, but {OURS} was pushed", "a proxy in between changes"),
        (None, b"else", f"r.io/team/app:1 names {ELSE}, but {OURS} was pushed", "a proxy in between changes"),
        (None, b"", f"r.io/team/app:1 is shown without content, but {OURS} was pushed", "a proxy or a login page may"),
    ],
)
def test_an_answer_that_shows_something_else_is_an_objection_that_names_both(says, body, words, hint):
    found = objection(200, says, body)

    assert isinstance(found, DigestError)
    assert words in str(found)
    assert found.hint.startswith(hint)


def test_an_answer_that_refuses_is_an_objection_of_its_own():
    found = objection(404, str(OURS), MANIFEST)

    assert isinstance(found, RegistryError)
    assert found.status == 404
    assert "r.io/team/app:1 cannot be read" in str(found)


# Refusals of a tag that stands already


def refused(status: int, code: str, shown):
    """Return a quirk that refuses the tag with *status*, and shows it as *shown*, if that is something."""

    def act(request, registry):
        if not request.path.endswith("/manifests/1"):
            return None
        return (
            fault(status, code, "may not be written") if request.method == "PUT" else shown and shown(request, registry)
        )

    return act


@pytest.mark.parametrize("status", [400, 403, 409, 412])
def test_a_tag_that_may_not_be_overwritten_and_names_the_same_is_a_success(serve, client, events, status):
    server = serve()
    before = pushed_to(server, client)
    server.quirks.append(refused(status, "DENIED", None))

    assert pushed_to(server, client).digest == before.digest
    assert any("already names the same image" in text for text in notes(events))


@pytest.mark.parametrize(
    ("status", "code", "shown"),
    [
        (422, "DENIED", None),
        (404, "NAME_UNKNOWN", None),
        (400, "MANIFEST_INVALID", None),
        (409, "DENIED", lambda request, registry: registry.answer(request).without("Docker-Content-Digest")),
        (409, "DENIED", lambda request, registry: dataclasses.replace(registry.answer(request), status=404)),
    ],
    ids=["another status", "another reason", "a bad manifest", "nobody says what it names", "not shown"],
)
def test_a_refusal_of_another_kind_stays_one_though_the_tag_names_the_same(serve, client, status, code, shown):
    server = serve()
    pushed_to(server, client)
    server.quirks.append(refused(status, code, shown))

    with pytest.raises(RegistryError) as caught:
        pushed_to(server, client)
    name = f"{server.host}/docker-local/app:1"
    assert str(caught.value) == f"{name} was not accepted: status {status}: {code} may not be written"


def test_a_tag_that_may_not_be_overwritten_and_names_another_image_is_an_error_that_names_both(serve, client):
    server = serve()
    before = pushed_to(server, client)
    server.quirks.append(refused(409, "DENIED", None))

    with pytest.raises(RegistryError, match=f"names {before.digest}, and may not name sha256:") as caught:
        pushed_to(server, client, b"another")
    assert (caught.value.status, caught.value.code) == (409, "DENIED")
    assert "choose another" in caught.value.hint


def test_a_registry_that_does_not_know_head_is_asked_for_the_same_form(serve, client):
    server = serve(
        lambda request, _: Reply(405) if request.method == "HEAD" and request.is_manifest else None,
    )
    pushed = pushed_to(server, client)

    assert [one.headers["Accept"] for one in server.asked("GET", "/manifests/")] == [pushed.media_type]


def test_a_manifest_that_was_confirmed_as_another_is_an_error_that_names_both(serve, client):
    server = serve(
        lambda request, _: (
            Reply(201, {"Docker-Content-Digest": ELSE}) if request.is_manifest and request.method == "PUT" else None
        )
    )
    with pytest.raises(DigestError, match=rf"docker-local/app:1 names {ELSE}, but sha256:\w+ was pushed"):
        pushed_to(server, client)


@pytest.mark.parametrize(
    "confirm",
    [
        lambda reply: reply.without("Docker-Content-Digest"),
        lambda reply: dataclasses.replace(reply, status=200),
        lambda reply: dataclasses.replace(reply, status=202),
    ],
    ids=["201 and no digest", "200 and the digest", "202 and the digest"],
)
def test_a_yes_that_is_201_or_names_the_digest_is_a_confirmation(serve, client, events, confirm):
    def act(request, registry):
        return confirm(registry.answer(request)) if request.is_manifest and request.method == "PUT" else None

    server = serve(act, reading(404))
    pushed = pushed_to(server, client)

    assert str(pushed.digest) in server.truth
    assert any("was confirmed as" in text for text in notes(events))


@pytest.mark.parametrize("which", [(0,), (1,), (0, 1)])
def test_blobs_of_a_copy_that_are_gone_after_they_were_confirmed_are_sent_again(serve, client, which):
    """Its manifest stays as it is, whatever is mended."""
    server = serve()
    pushed = pushed_to(server, client, ONE)
    registry, repository = client(server)
    image = pull(repository.tagged("1"), registry)
    other = serve(losing(*which))
    registry, repository = client(other)
    copied = push(image, [repository.tagged("1")], registry, compression="none")

    assert copied.digest == pushed.digest
    assert not other.lacking("docker-local/app", copied.manifest)
    assert len(other.asked("POST")) == 2 + len(which)


def test_what_is_said_of_an_image_is_told_by_its_number(serve, client, events):
    """And is there before a tag moves."""
    registry, there = client(serve())
    digest = push(Source(ONE).image(), [there.tagged("1")], registry).digest
    said = [
        pull(push(Source(data).image(), [there.tagged("x")], registry).references[0], registry) for data in (TWO, b"3")
    ]
    server = serve()
    registry, repository = client(server)
    referrers = [Referrer(image, digest, f"about-{at}") for at, image in enumerate(said)]
    push(Source(ONE).image(), [repository.tagged("2")], registry, referrers=referrers, sink=registry.sink)

    items = {event.item.partition(" (")[0] for event in events if isinstance(event, Progress)}
    assert items == {"layer 1/1", "referrer 1/2 layer 1/1", "referrer 2/2 layer 1/1"}
    named = [one.path.rpartition("/")[2] for one in server.asked("PUT", "/manifests/")]
    assert named == ["about-0", "about-1", "2"]


# The preflight


def test_the_preflight_says_what_it_found_and_leaves_nothing_behind(serve, client):
    server = serve()
    registry, repository = client(server)
    access = registry.check_push(repository)

    assert (access.repository, access.scheme, access.username) == (repository, "anonymous", None)
    assert len(server.asked("DELETE")) == 1
    assert not server.uploads


def test_the_preflight_asks_again_where_the_registry_is_busy(serve, client):
    server = serve(times(2, lambda request, _: Reply(503) if request.method == "POST" else None))
    registry, repository = client(server)

    assert registry.check_push(repository).repository == repository
    assert len(server.asked("POST")) == 3


def test_the_preflight_says_what_may_not_be_pushed_to(serve, client):
    server = serve(lambda request, _: fault(404, "NAME_UNKNOWN", "no such key") if request.method == "POST" else None)
    registry, repository = client(server)
    with pytest.raises(RegistryError) as caught:
        registry.check_push(repository)

    assert str(caught.value) == f"{repository} cannot be pushed to: status 404: NAME_UNKNOWN no such key"
    assert "repository key" in caught.value.hint


def test_each_host_that_layers_are_sent_to_is_told_once(serve, client, events):
    registry, repository = client(serve())
    for url in ("https://a.example/x", "https://b.example/y", "https://a.example/z"):
        registry._note_elsewhere("r.io", url)
    registry.hide(repository, "no right")
    registry.hide(Repository("r.io", "a/b"), "no right")

    assert notes(events) == [
        "r.io redirects uploads of layers to a.example, which gets no credentials",
        "r.io redirects uploads of layers to b.example, which gets no credentials",
        f"{repository} does not say what it has, so everything is sent: no right",
        "r.io/a/b does not say what it has, so everything is sent: no right",
    ]
    assert registry.is_hidden(repository)


def test_who_interrupts_a_push_is_told_which_tags_were_moved(serve, client, http):
    def interrupt(request, _):
        if request.method == "PUT" and request.path.endswith("/manifests/2"):
            http.cancel()

    server = serve(interrupt)
    registry, repository = client(server)
    with pytest.raises(CancelledError) as caught:
        push(Source(ONE).image(), [repository.tagged("1"), repository.tagged("2")], registry)

    assert caught.value.pushed == (str(repository.tagged("1")),)
    assert caught.value.__notes__ == [f"{repository.tagged('1')} is pushed"]


def test_who_interrupts_a_push_into_several_repositories_is_told_of_all(serve, client, http):
    def interrupt(request, _):
        if request.method == "PUT" and request.path.endswith("/other/manifests/2"):
            http.cancel()

    server = serve(interrupt)
    registry, repository = client(server)
    other = Repository(server.host, "docker-local/other")
    names = [repository.tagged("1"), other.tagged("1"), other.tagged("2")]
    with pytest.raises(CancelledError) as caught:
        push(Source(ONE).image(), names, registry)

    assert set(caught.value.pushed) == {str(names[0]), str(names[1])}
    assert len(caught.value.__notes__) == 2


@pytest.mark.parametrize("keeps", [True, False])
def test_a_list_of_referrers_is_kept_for_a_registry_that_keeps_none_and_for_no_other(serve, client, keeps):
    """One that enters a manifest itself says so, in whichever letters."""

    def act(request, registry):
        if not keeps or request.method != "PUT" or not request.is_manifest or b'"subject"' not in request.body:
            return None
        return registry.answer(request).having(oci_subject=digest_of(b"x"))

    registry, there = client(serve())
    about = push(Source(ONE).image(), [there.tagged("1")], registry)
    image = pull(there.tagged("1"), registry)
    subject = {"mediaType": about.media_type, "digest": str(about.digest), "size": len(about.manifest)}
    said = dataclasses.replace(image, manifest=json.dumps(json.loads(about.manifest) | {"subject": subject}).encode())
    server = serve(act)
    registry, repository = client(server)
    push(said, [repository.tagged("sbom")], registry, compression="none")

    assert len(server.asked("PUT", "/manifests/sha256-")) == (0 if keeps else 1)


def test_a_location_keeps_the_port_that_worked_and_nothing_is_deleted_elsewhere(client, serve):
    registry, repository = client(serve())
    port = repository.host.rpartition(":")[2]

    assert registry.address(repository, "http://127.0.0.1/v2/x") == f"http://127.0.0.1:{port}/v2/x"
    assert registry.address(repository, "https://127.0.0.1:1/v2/x") == f"http://127.0.0.1:{port}/v2/x"
    assert registry.address(repository, "https://store.example/x") == "https://store.example/x"
    with pytest.raises(AddressError, match="nothing is deleted at another host"):
        registry.address(repository, "https://store.example/x", "DELETE")

"""What is told and counted of each layer on its way, and what one repository teaches for the next."""

from __future__ import annotations

import gzip

import pytest

from buildpush.foundation.errors import DigestError
from buildpush.foundation.events import Progress, Traffic
from buildpush.images.compression import digest_of
from buildpush.images.model import OCI_LAYER, Layer
from buildpush.images.references import Repository
from buildpush.registry.client import Registry
from buildpush.registry.memory import Memory
from buildpush.registry.pull import pull
from buildpush.registry.push import push

pytestmark = pytest.mark.sandbox

FIRST, SECOND = b"one " * 2000, b"two " * 3000


@pytest.fixture
def other(box):
    return Repository(box.host, "docker-release/other")


def ends(events) -> dict[str, tuple]:
    """Return what was told last of each layer, and forget it."""
    last = {event.item: event for event in events if isinstance(event, Progress) and event.state != "sending"}
    return {item: (event.done, event.total, event.state) for item, event in last.items() if "layer" in item}


def traffic(events) -> Traffic:
    return [event for event in events if isinstance(event, Traffic)][-1]


def push_told(image, names, registry, events, **more):
    events.clear()
    return push(image, names, registry, sink=events.append, **more)


def test_the_end_of_each_layer_tells_its_size_and_what_became_of_it(box, registry, repository, other, source, events):
    pushed = push_told(source(FIRST, SECOND).image(), [repository.tagged("1")], registry, events)
    sizes = [layer.size for layer in pushed.layers]
    items = [f"layer {number}/2 (COPY {number - 1})" for number in (1, 2)]
    assert ends(events) == {item: (size, size, "sent") for item, size in zip(items, sizes, strict=True)}
    assert [layer.fate for layer in pushed.layers] == ["sent", "sent"]
    assert (traffic(events).mounted, traffic(events).skipped) == (0, 0)

    again = push_told(pull(repository.tagged("1"), registry), [repository.tagged("2")], registry, events)
    assert sorted(ends(events).values()) == sorted((size, size, "exists") for size in sizes)
    assert [(one.digest, one.size, one.media_type, one.diff_id, one.fate) for one in again.layers] == [
        (one.digest, one.size, one.media_type, one.diff_id, "exists") for one in pushed.layers
    ]
    config = len(pushed.config_document)
    assert (traffic(events).mounted, traffic(events).skipped) == (0, sum(sizes) + config)

    for layer in pushed.layers:  # Artifactory shows the blobs of all its repositories, once
        box.add_fault("HEAD", f"docker-release/other/blobs/{layer.digest}", status=404)
    moved = push_told(pull(repository.tagged("1"), registry), [other.tagged("1")], registry, events)
    assert sorted(ends(events).values()) == sorted((size, size, "mounted") for size in sizes)
    assert [(one.digest, one.size, one.media_type, one.diff_id, one.fate) for one in moved.layers] == [
        (one.digest, one.size, one.media_type, one.diff_id, "mounted") for one in pushed.layers
    ]
    # The config is not mounted, and a token for the other repository does not see that of this one.
    assert (traffic(events).mounted, traffic(events).skipped) == (sum(sizes), 0)


@pytest.mark.parametrize("checksums", [False, True])
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_how_far_a_layer_is_on_its_way_is_told_with_all_there_is(
    registry, repository, source, events, compression, checksums
):
    """Its plain bytes are counted, which are known beforehand; where its digest is known as well, nothing is hashed."""
    data = b"some " * 400_000
    made = source(data).image()
    layer = Layer("COPY 0", OCI_LAYER, digest_of(data) if compression == "none" else None, digest_of(data), len(data))
    image = made.__class__(made.config, (layer,), made.blobs)
    push_told(image, [repository.tagged("1")], registry, events, compression=compression, checksums=checksums)

    told = [one for one in events if isinstance(one, Progress) and one.state == "sending" and "layer" in one.item]
    assert {(one.item, one.total) for one in told} == {("layer 1/1 (COPY 0)", len(data))}
    assert [one.done for one in told] == sorted(one.done for one in told)
    assert told[-1].done == len(data)
    assert traffic(events).read == len(data)


def test_a_layer_is_read_once_for_all_repositories_of_a_push(box, registry, repository, other, source, events):
    image = source(FIRST)
    box.add_fault("HEAD", "docker-release/other/blobs", status=404)
    push_told(image.image(), [repository.tagged("1"), other.tagged("1")], registry, events)
    assert image.opened == [0]
    assert traffic(events).read == len(FIRST)
    assert traffic(events).mounted > 0


def test_a_small_layer_that_turns_out_to_be_there_is_not_sent(registry, repository, source, events):
    push_told(source(FIRST).image(), [repository.tagged("1")], registry, events)
    pushed = push_told(source(FIRST, SECOND).image(told=False), [repository.tagged("2")], registry, events)
    assert [layer.fate for layer in pushed.layers] == ["exists", "sent"]
    size = pushed.layers[0].size
    assert ends(events)["layer 1/2 (COPY 0)"] == (size, size, "exists")
    assert traffic(events).skipped == size


@pytest.mark.parametrize("checksums", [True, False])
def test_checksums_are_those_of_whoever_knows_them(box, http, keychain, repository, source, tmp_path, checksums):
    with Memory(tmp_path / "memory") as memory:
        registry = Registry(http, keychain, memory=memory)
        first = push(source(FIRST).image(), [repository.tagged("1")], registry, checksums=True)
        known = (first.layers[0].sha1, first.layers[0].md5)
        assert None not in known
        again = push(pull(repository.tagged("1"), registry), [repository.tagged("2")], registry, checksums=checksums)
        assert (again.layers[0].sha1, again.layers[0].md5) == (known if checksums else (None, None))


def test_checksums_that_only_the_registry_tells_are_told(box, registry, repository, other, source):
    first = push(source(FIRST).image(), [repository.tagged("1")], registry, checksums=True).layers[0]
    again = push(pull(repository.tagged("1"), registry), [repository.tagged("2")], registry, checksums=True).layers[0]
    box.add_fault("HEAD", f"docker-release/other/blobs/{first.digest}", status=404)
    moved = push(pull(repository.tagged("1"), registry), [other.tagged("1")], registry, checksums=True).layers[0]

    assert None not in (first.sha1, first.md5)
    assert (again.fate, again.sha1, again.md5) == ("exists", first.sha1, first.md5)
    assert (moved.fate, moved.sha1, moved.md5) == ("mounted", first.sha1, first.md5)


def test_a_plain_layer_whose_diff_id_is_known_is_asked_for_before_it_is_read(registry, repository, source):
    image = source(FIRST)
    push(image.image(), [repository.tagged("1")], registry, compression="none")
    again = push(image.image(), [repository.tagged("2")], registry, compression="none")

    assert image.opened == [0]
    assert again.layers[0].fate == "exists"


def test_a_plain_layer_with_another_diff_id_is_named(registry, repository, source):
    image = source(FIRST).image()
    wrong = Layer("COPY 0", OCI_LAYER, digest_of(SECOND), digest_of(FIRST), len(FIRST))
    with pytest.raises(DigestError, match=r"the diff ID of layer 1/1 \(COPY 0\)"):
        push(
            image.__class__(image.config, (wrong,), image.blobs),
            [repository.tagged("1")],
            registry,
            compression="none",
            checksums=False,
        )


def test_only_layers_that_call_their_compressed_bytes_plain_are_looked_into_before(registry, repository, source):
    packed = gzip.compress(FIRST)
    image = source(packed, SECOND)
    made = image.image()
    layers = (
        Layer("COPY 0", f"{OCI_LAYER}+gzip", digest_of(packed), digest_of(packed), len(packed)),
        made.layers[1],
    )
    with pytest.raises(DigestError, match=r"the diff ID of layer 1/2 \(COPY 0\) is the digest of its compressed bytes"):
        push(made.__class__(made.config, layers, made.blobs), [repository.tagged("1")], registry)
    assert image.opened == [0]

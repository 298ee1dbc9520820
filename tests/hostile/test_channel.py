"""What is said in one blob's upload, request by request: what is counted, what is timed, what an error says."""

from __future__ import annotations

import time

import pytest

from buildpush.foundation.errors import AuthenticationError, RegistryError
from buildpush.foundation.meter import Meter
from buildpush.http.messages import Answer
from buildpush.registry.channel import Channel
from tests.hostile.registry import Reply, fault

pytestmark = pytest.mark.sandbox


@pytest.fixture
def channel_to(client):
    """Return a function that makes a channel to a server, and its meter."""

    def make(server):
        registry, repository = client(server)
        meter = Meter()
        return Channel(registry, repository, "the layer", "", meter), meter

    return make


def test_only_what_was_given_to_the_network_before_is_counted_as_sent_again(serve, channel_to):
    channel, meter = channel_to(serve(lambda request, _: Reply(202) if request.body else None))
    channel.begin(None)
    counted = []
    for first, size in ((0, 10), (5, 10), (20, 5), (0, 3)):
        channel.transmit(lambda first=first, size=size: (first, [b"x" * size]), {"Content-Length": str(size)})
        counted.append((meter.traffic.sent, meter.traffic.again, channel.reached))

    assert counted == [(10, 0, 10), (20, 5, 15), (25, 5, 25), (28, 8, 25)]


def test_the_times_to_make_to_send_and_to_wait_for_a_part_are_told_apart(serve, channel_to, monkeypatch):
    def made_slowly():
        yield b"x"
        time.sleep(0.3)
        yield b"y"

    def sent_slowly(*_, body, **__):
        for _ in body:
            time.sleep(0.05)
        time.sleep(0.2)
        return Answer(202, {}, b"", "http://r.io/")

    channel, meter = channel_to(serve())
    channel.begin(None)
    monkeypatch.setattr(channel.registry, "request", sent_slowly)
    begun = time.perf_counter()
    channel.transmit(lambda: (0, made_slowly()), {"Content-Length": "2"})
    spent, seconds = time.perf_counter() - begun, meter.traffic.seconds

    assert seconds["send"] >= 0.1
    assert seconds["wait"] >= 0.2
    assert seconds["send"] + seconds["wait"] <= spent - 0.3


def test_who_may_not_begin_an_upload_is_named(serve, channel_to):
    channel, _ = channel_to(serve(lambda request, _: fault(403, "DENIED", "ask") if request.is_upload else None))
    with pytest.raises(AuthenticationError, match=r"does not let 'robot' \(from test\) push to docker-local/app: ask"):
        channel.begin(None)


def test_that_an_upload_cannot_be_begun_is_told_in_the_words_of_the_registry(serve, channel_to):
    channel, _ = channel_to(serve(lambda request, _: fault(405, "UNSUPPORTED", "no") if request.is_upload else None))
    words = "the layer cannot be sent to .*/docker-local/app: status 405: UNSUPPORTED no"
    with pytest.raises(RegistryError, match=words):
        channel.begin(None)


def test_an_upload_begins_with_an_empty_body_whose_length_is_told(serve, channel_to):
    server = serve()
    channel, _ = channel_to(server)
    channel.begin(None)
    assert [one.headers["Content-Length"] for one in server.asked("POST")] == ["0"]

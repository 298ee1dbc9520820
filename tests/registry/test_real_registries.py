"""Pushes to registries that others wrote: whole, over lines that break, and after ``kill -9``."""

import hashlib
import itertools
import json
import random
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from buildpush.foundation.errors import DigestError
from buildpush.foundation.events import Retry, Traffic
from buildpush.http.client import Http
from buildpush.images.model import OCI_MANIFEST
from buildpush.images.references import Repository
from buildpush.registry.client import Registry
from buildpush.registry.memory import Memory
from buildpush.registry.push import push
from buildpush.sandbox import Line
from buildpush.transfer.oci import write_layout

pytestmark = pytest.mark.engines

MEGABYTE = 1_000_000
LAYERS = (30, 20, 8, 2, 1, 1, 1, 1)  # megabytes
HEADERS = MEGABYTE  # of all requests of a push together, at most
UNDER_WAY = 64 * 1024 * 1024  # that a push may lose at once, at most
SECONDS = 120

_numbers = itertools.count()


class Shelf:
    """A repository as a client that knows nothing of ours sees it."""

    def __init__(self, host, path):
        self.host, self.path = host, path

    def ask(self, method, what):
        """Return status and body."""
        request = urllib.request.Request(f"http://{self.host}/v2/{self.path}/{what}", method=method)
        request.add_header("Accept", OCI_MANIFEST)
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def has(self, what):
        return self.ask("HEAD", what)[0] == 200

    def missing(self, blobs):
        return [blob for blob in blobs if not self.has(f"blobs/{blob['digest']}")]

    def check(self, digest):
        """Compare every byte with its digest, from the tag on."""
        status, manifest = self.ask("GET", "manifests/1")
        assert (status, _sha256(manifest)) == (200, str(digest))
        for blob in _blobs(manifest):
            status, data = self.ask("GET", f"blobs/{blob['digest']}")
            assert (status, len(data), _sha256(data)) == (200, blob["size"], blob["digest"])


def _sha256(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _blobs(manifest):
    document = json.loads(manifest)
    return [document["config"], *document["layers"]]


def size_of(receipt):
    return sum(blob.size for blob in [receipt.config, *receipt.layers])


@pytest.fixture(scope="module")
def layers():
    """Return bytes that nobody has seen and nothing compresses."""
    draw = random.Random()
    return [draw.randbytes(size * MEGABYTE) for size in LAYERS]


@pytest.fixture
def make(layers, source):
    """Return what makes an image that no registry has seen: crane's shares blobs between its repositories."""

    def make():
        mark = str(next(_numbers)).encode()
        return source(*(mark + data for data in layers)).image()

    return make


@pytest.fixture
def shelf(theirs):
    return Shelf(theirs, f"team/app{next(_numbers)}")


@pytest.fixture
def told():
    """Return what pushes told."""
    return []


@pytest.fixture
def traffic(told):
    return lambda: next(event for event in told if isinstance(event, Traffic))


@pytest.fixture
def push_to(shelf, told, tmp_path):
    """Return the function that pushes as a run does, but waits less after failures."""

    def push_to(host, image):
        told.clear()
        with (
            Http(sink=told.append, sleep=lambda seconds: time.sleep(min(seconds, 0.1))) as http,
            Memory(tmp_path / "memory.sqlite") as memory,
        ):
            registry = Registry(http, sink=told.append, memory=memory)
            name = Repository(host, shelf.path).tagged("1")
            return push(image, [name], registry, checksums=False, sink=told.append)

    return push_to


def test_a_push_arrives_whole_and_only_once(shelf, push_to, make, told, traffic):
    image = make()
    receipt = push_to(shelf.host, image)
    shelf.check(receipt.digest)
    assert (traffic().sent, traffic().again) == (size_of(receipt), 0)
    assert not [event for event in told if isinstance(event, Retry)]

    assert push_to(shelf.host, image).digest == receipt.digest
    assert (traffic().sent, traffic().skipped) == (0, size_of(receipt))


def test_a_blob_of_one_byte_arrives(shelf, push_to, source):
    shelf.check(push_to(shelf.host, source(b"1").image()).digest)
    with Http() as http:
        name = Repository(shelf.host, shelf.path).tagged("1")
        shelf.check(push(source(b"2").image(), [name], Registry(http), compression="none").digest)


def test_over_a_line_that_resets_a_push_ends_well_and_the_next_one_knows_how(shelf, push_to, make, told, traffic):
    with Line(shelf.host, reset_after=4 * MEGABYTE) as line:
        receipt = push_to(line.host, make())
        shelf.check(receipt.digest)
        assert line.hits
        assert traffic().again > 0
        assert traffic().sent - traffic().again == size_of(receipt)
        assert traffic().sent < 2 * size_of(receipt)
        assert all(event.reason for event in told if isinstance(event, Retry))

        receipt = push_to(line.host, make())
        shelf.check(receipt.digest)
        assert (traffic().sent, traffic().again) == (size_of(receipt), 0)


@pytest.mark.parametrize(("misfortune", "after"), [("reset_after", 9 * MEGABYTE), ("truncate_after", 600)])
def test_a_single_break_costs_no_more_than_what_was_under_way(misfortune, after, shelf, push_to, make):
    with Line(shelf.host, **{misfortune: after}, times=1) as line:
        receipt = push_to(line.host, make())

    shelf.check(receipt.digest)
    assert len(line.hits) == 1
    assert line.sent < size_of(receipt) + UNDER_WAY + HEADERS


def test_a_flipped_bit_moves_no_tag_unless_it_was_sent_anew(shelf, push_to, make):
    with Line(shelf.host, flip_at=2_500_000, times=1) as line:
        try:
            receipt = push_to(line.host, make())
        except DigestError:
            assert not shelf.has("manifests/1")
        else:
            shelf.check(receipt.digest)
    assert len(line.hits) == 1


class Command:
    """``buildpush push`` of a layout, as a process that can be killed."""

    def __init__(self, layout, reference, home):
        self._argv = [sys.executable, "-m", "buildpush", "push", f"oci:{layout}", str(reference)]
        self._home = home

    def start(self):
        with (self._home / "said").open("wb") as said:
            return subprocess.Popen(self._argv, cwd=self._home, stdout=said, stderr=subprocess.STDOUT)

    @property
    def said(self):
        return (self._home / "said").read_text()


def wait_for(condition):
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    pytest.fail("in vain")


@pytest.fixture
def layout(make, tmp_path):
    """Return the directory of an image, and its blobs."""
    directory = tmp_path / "layout"
    write_layout(make(), directory, [Repository("h.example", "app").tagged("1")])
    (named,) = json.loads((directory / "index.json").read_text())["manifests"]
    return directory, _blobs((directory / "blobs" / named["digest"].replace(":", "/")).read_bytes())


def test_after_kill_9_the_same_command_sends_only_what_was_not_confirmed(shelf, layout, home):
    directory, blobs = layout
    whole = sum(blob["size"] for blob in blobs)
    with Line(shelf.host, bytes_per_second=2 * MEGABYTE) as line:
        command = Command(directory, Repository(line.host, shelf.path).tagged("1"), home)
        with command.start() as process:
            wait_for(lambda: len(shelf.missing(blobs)) < len(blobs) or process.poll() is not None)
            process.kill()
        assert process.returncode == -signal.SIGKILL, command.said
        line.bytes_per_second = None  # what is still on its way may arrive
        time.sleep(1)
        assert not shelf.has("manifests/1")
        left, before = sum(blob["size"] for blob in shelf.missing(blobs)), line.sent
        with command.start() as again:
            assert again.wait(SECONDS) == 0, command.said

    assert 0 < left < whole
    assert line.sent - before < left + HEADERS
    shelf.check(json.loads((directory / "index.json").read_text())["manifests"][0]["digest"])

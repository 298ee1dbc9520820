"""Any images, any faults, any interruptions: a tag never names what is not there, and a push can be repeated."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from buildpush.credentials.docker import Credential, Keychain
from buildpush.foundation.errors import BuildPushError
from buildpush.http.client import Http
from buildpush.images.compression import digest_of
from buildpush.images.references import Repository
from buildpush.registry import layers as room
from buildpush.registry.client import Registry
from buildpush.registry.memory import Memory
from buildpush.registry.push import push
from buildpush.sandbox import Sandbox
from tests.registry.conftest import Source

pytestmark = pytest.mark.sandbox

GONE = json.dumps({"errors": [{"code": "BLOB_UPLOAD_UNKNOWN", "message": "gone"}]}).encode()
# A tag's refusal and a blob's are told apart by the path.
UPLOADS = "/blobs/uploads"
FAULTS = (
    {"close": True},
    {"lose_answer": True},
    {"status": 500},
    {"status": 503, "headers": {"Retry-After": "1"}},
    {"status": 429, "headers": {"Retry-After": "1"}},
    {"status": 404, "body": GONE},
    {"status": 416},
    {"status": 400},
    {"status": 403},
    {"after": 100_000},
    {"after": 700_000},
)


class Interruption(Exception):  # noqa: N818 - what Ctrl-C is to a push, seen from a test
    """Somebody ended the push."""


def random_bytes(seed: int, size: int) -> bytes:
    """Return bytes that do not compress, always the same for a seed."""
    block = digest_of(str(seed).encode()).hex.encode()
    out = bytearray()
    while len(out) < size:
        block = digest_of(block).hex.encode()
        out += bytes.fromhex(block.decode())
    return bytes(out[:size])


class Pushes(RuleBasedStateMachine):
    """One sandbox, one memory of earlier pushes, and whatever happens between them."""

    images = Bundle("images")

    @initialize()
    def begin(self) -> None:
        self.box = Sandbox().__enter__()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "memory.sqlite"
        self.keychain = Keychain({self.box.host: Credential(self.box.username, self.box.password, "test")})
        self.repository = Repository(self.box.host, "docker-local/app")
        self.pushed: dict[str, str] = {}

    def teardown(self) -> None:
        if hasattr(self, "box"):
            self.box.close()
            self.directory.cleanup()

    @rule(
        target=images,
        layers=st.lists(st.tuples(st.integers(0, 5), st.sampled_from((0, 10, 200_000, 1_500_000))), max_size=4),
    )
    def image(self, layers):
        return Source(*(random_bytes(seed, size) for seed, size in layers))

    @rule(
        method=st.sampled_from(("POST", "PATCH", "PUT", "GET")),
        fault=st.sampled_from(FAULTS),
        times=st.integers(1, 3),
    )
    def misbehave(self, method, fault, times):
        self.box.add_fault(method, UPLOADS, times=times, **fault)

    @rule(fault=st.sampled_from(FAULTS), method=st.sampled_from(("PUT", "HEAD")))
    def misbehave_about_tags(self, fault, method):
        if method == "PUT" or "after" not in fault:
            self.box.add_fault(method, "/manifests/", **fault)

    @rule(image=images, tag=st.sampled_from(("1", "2")), events=st.integers(1, 12))
    def interrupted_push(self, image, tag, events):
        left = [events]

        def sink(_event):
            left[0] -= 1
            if not left[0]:
                raise Interruption

        self._push(image, tag, sink)

    @rule(image=images, tag=st.sampled_from(("1", "2")))
    def push(self, image, tag):
        self._push(image, tag, lambda _event: None)

    @rule(image=images)
    def push_again_when_all_is_well(self, image):
        """What failed or was interrupted can be repeated, and what was confirmed does not travel again."""
        self.box.clear_faults()
        first = self._push(image, "1", lambda _event: None)
        before = len(self.box.requests)
        second = self._push(image, "1", lambda _event: None)

        assert first is not None
        assert second is not None
        assert first.digest == second.digest
        assert not [one for one in self.box.requests[before:] if one.method == "PATCH"]

    def _push(self, image, tag, sink):
        name = self.repository.tagged(tag)
        with Http(sleep=lambda _seconds: None) as http, Memory(self.path) as memory:
            registry = Registry(http, self.keychain, memory=memory)
            try:
                pushed = push(image.image(), [name], registry, sink=sink)
            except (BuildPushError, Interruption):
                return None
        self.pushed[tag] = str(pushed.digest)
        return pushed

    @invariant()
    def every_tag_names_an_image_that_is_whole(self):
        if not hasattr(self, "box"):
            return
        for tag in ("1", "2"):
            digest = self.box.digest("docker-local/app", tag)
            if digest is None:
                assert tag not in self.pushed
                continue
            manifest = json.loads(self.box.blob(digest))
            for blob in (manifest["config"], *manifest["layers"]):
                data = self.box.blob(blob["digest"])
                assert (str(digest_of(data)), len(data)) == (blob["digest"], blob["size"])

    @invariant()
    def the_sandbox_itself_is_well(self):
        assert not hasattr(self, "box") or not self.box.failures


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr(room, "_UNDER_WAY", 1024 * 1024)  # parts of 512 KiB


class TestPushes(Pushes.TestCase):
    """The machine as tests."""

    settings = settings(max_examples=20, stateful_step_count=10, deadline=None, suppress_health_check=list(HealthCheck))

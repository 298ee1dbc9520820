"""What the registry's tests share: images made of bytes, a client that does not wait, the sandbox's repository."""

from __future__ import annotations

import io
import json
import threading

import pytest

from buildpush.http import Http
from buildpush.images.compression import digest_of
from buildpush.images.model import OCI_LAYER, Image, Layer
from buildpush.images.references import Repository
from buildpush.registry.auth import Credential, Keychain
from buildpush.registry.client import Registry

CONFIG = {"os": "linux", "architecture": "amd64", "config": {"Cmd": ["/hello"]}, "rootfs": {"type": "layers"}}


class Source:
    """Layers in memory; knows how often each was opened."""

    def __init__(self, *layers: bytes):
        self.layers = layers
        self.opened: list[int] = []

    def __call__(self, wanted):
        for at in sorted(wanted):
            self.opened.append(at)
            yield at, io.BytesIO(self.layers[at])

    def image(self, *, told=True, media_type=OCI_LAYER, **more) -> Image:
        """Return the image; *told* says whether its source knows the diff IDs beforehand."""
        ids = [digest_of(data) for data in self.layers]
        rootfs = {"type": "layers", "diff_ids": [str(one) for one in ids] if told else []}
        config = json.dumps(CONFIG | {"rootfs": rootfs}).encode()
        layers = tuple(
            Layer(f"COPY {at}", media_type, diff_id=one if told else None, size=len(data))
            for at, (one, data) in enumerate(zip(ids, self.layers, strict=True))
        )
        return Image(config, layers, self, **more)


@pytest.fixture
def events():
    return []


@pytest.fixture
def waits():
    return []


@pytest.fixture
def http(waits, events):
    with Http(sleep=waits.append, sink=events.append) as one:
        yield one
    left = [
        thread for thread in threading.enumerate() if thread.name.startswith(("buildpush-send", "buildpush-compress"))
    ]
    assert not left, "a push leaves no thread behind"


@pytest.fixture
def keychain(box):
    return Keychain({box.host: Credential(box.username, box.password, "test")})


@pytest.fixture
def registry(box, http, keychain, events):
    return Registry(http, keychain, sink=events.append)


@pytest.fixture
def repository(box):
    return Repository(box.host, "docker-local/app")


@pytest.fixture
def source():
    return Source

"""What the registry's tests share: images made of bytes, a client that does not wait, the sandbox's repository.

And registries that others wrote, for the tests that ask for them.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import pytest

from buildpush.credentials.docker import Credential, Keychain
from buildpush.http.client import Http
from buildpush.images.compression import digest_of
from buildpush.images.model import OCI_LAYER, Image, Layer
from buildpush.images.references import Repository
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


# Debian's own configuration has a password and listens everywhere.
DOCKER_REGISTRY = """
version: 0.1
log: {{accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {directory}/data}}}}
http: {{addr: "127.0.0.1:0"}}
"""
LISTENS = re.compile(r"(?:listening on 127\.0\.0\.1:|serving on port )(\d+)")
SECONDS_TO_START = 30


def _docker_registry(directory: Path) -> list[str]:
    config = directory / "config.yml"
    config.write_text(DOCKER_REGISTRY.format(directory=directory))
    return ["docker-registry", "serve", str(config)]


def _crane(directory: Path) -> list[str]:
    return ["crane", "registry", "serve", "--address", "127.0.0.1:0", "--disk", str(directory)]


STARTS = {"docker-registry": _docker_registry, "crane": _crane}


@contextmanager
def serving(argv: list[str], log: Path):
    """Yield the address of a registry, as it prints it; end it by its own process."""
    with log.open("wb") as out, subprocess.Popen(argv, stdout=out, stderr=subprocess.STDOUT) as process:
        try:
            yield f"127.0.0.1:{_port(process, log)}"
        finally:
            process.terminate()


def _port(process, log: Path) -> str:
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end and process.poll() is None:
        if found := LISTENS.search(log.read_text()):
            return found[1]
        time.sleep(0.02)
    pytest.fail(f"{process.args[0]} does not listen:\n{log.read_text()}")


@pytest.fixture(scope="session")
def started(tmp_path_factory):
    """Return the function that gives the address of a registry by its name; each is started once."""
    with ExitStack() as stack:

        @cache
        def start(name: str) -> str:
            directory = tmp_path_factory.mktemp(name)
            return stack.enter_context(serving(STARTS[name](directory), directory / "log"))

        yield start


@pytest.fixture(params=STARTS)
def theirs(request, need, started) -> str:
    """Return the address of a registry that others wrote: each of them in turn."""
    need(request.param)
    return started(request.param)

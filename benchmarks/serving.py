"""The sandbox as a server: images pushed to it and pulled from it, beside docker-registry, by several clients at once.

The clients are threads of this process; bodies and digests are made before the clock runs.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from urllib.parse import urlsplit

from benchmarks.pushing.figures import Entry, Figures
from benchmarks.pushing.registries import KINDS, Target
from benchmarks.turns import Figure, in_turns

CLIENTS = (1, 4, 16)
SMALL_BLOBS, SMALL = 8, 4096
OURS, THEIRS = "sandbox", "docker-registry"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MEGABYTE = 1024 * 1024
BLOCK = 256 * 1024


@dataclass(frozen=True)
class Blob:
    digest: str
    start: bytes
    rest: bytes

    @property
    def size(self) -> int:
        return len(self.start) + len(self.rest)


@dataclass(frozen=True)
class Image:
    """One client's image: its blobs and its manifest, in a repository of its own."""

    repository: str
    blobs: tuple[Blob, ...]
    manifest: bytes


class Client:
    """One connection to a registry."""

    def __init__(self, target: Target) -> None:
        self.connection = http.client.HTTPConnection(target.host, timeout=120)
        found = json.loads(target.login.read_text(encoding="utf-8"))["auths"].get(target.host)
        self.headers = {"Authorization": f"Basic {found['auth']}"} if found else {}

    def send(self, method: str, path: str, status: int, body: Iterable[bytes] = (), **headers: str):
        size = sum(map(len, body))
        self.connection.request(method, path, body, {**self.headers, "Content-Length": str(size), **headers})
        answer = self.connection.getresponse()
        data = answer.read()
        if answer.status != status:
            message = f"{method} {path}: {answer.status} {data[:500]!r}"
            raise SystemExit(message)
        return answer

    def push(self, image: Image) -> None:
        for blob in image.blobs:
            begun = self.send("POST", f"/v2/{image.repository}/blobs/uploads/", 202)
            place = urlsplit(begun.headers["Location"])
            path = f"{place.path}?{place.query}" if place.query else place.path
            grown = self.send("PATCH", path, 202, [blob.start, blob.rest])
            place = urlsplit(grown.headers["Location"])
            query = f"{place.query}&" if place.query else ""
            self.send("PUT", f"{place.path}?{query}digest={blob.digest}", 201)
        kind = {"Content-Type": MANIFEST}
        self.send("PUT", f"/v2/{image.repository}/manifests/1", 201, [image.manifest], **kind)

    def pull(self, image: Image) -> None:
        self.send("GET", f"/v2/{image.repository}/manifests/1", 200, Accept=MANIFEST)
        for blob in image.blobs:
            self.connection.request("GET", f"/v2/{image.repository}/blobs/{blob.digest}", headers=self.headers)
            answer, size = self.connection.getresponse(), 0
            while read := len(answer.read(BLOCK)):
                size += read
            if size != blob.size:
                message = f"{blob.digest}: {size} bytes of {blob.size}"
                raise SystemExit(message)


def measure(kept: Figures, rounds: int, megabytes: int) -> None:
    """Add the seconds of both servers, and their ratio."""
    if shutil.which(THEIRS) is None:
        print(f"  left out: {THEIRS} is not here")
        return
    print(f"{megabytes} MB pushed and pulled by 1, 4 and 16 clients, in turns, median of {rounds} rounds")
    filling = os.urandom(megabytes * MEGABYTE)
    with ExitStack() as stack:
        targets = {name: stack.enter_context(KINDS[name]()) for name in (OURS, THEIRS)}
        for clients in CLIENTS:
            pushed: dict[str, list[Image]] = {}
            for verb, act in (("push", _push), ("pull", _pull)):
                acts = {name: act(target, clients, filling, pushed) for name, target in targets.items()}
                kept.add("serving", OURS, _entries(f"{verb}, {clients} at once", in_turns(acts, rounds)))


def _entries(what: str, figures: dict[str, Figure]) -> list[Entry]:
    ours, theirs = figures[OURS], figures[THEIRS]
    return [
        Entry(f"{OURS}: {what}", ours.median, spread=ours.spread, aim="not slower", kept=ours.ratio(theirs) <= 1),
        Entry(f"{THEIRS}: {what}", theirs.median, spread=theirs.spread, ratio=theirs.ratio(ours)),
    ]


def _push(target: Target, clients: int, filling: bytes, pushed: dict[str, list[Image]]) -> Callable[[int], float]:
    def act(number: int) -> float:
        images = [_image(target, f"{clients}-{number}-{one}", filling[one::clients]) for one in range(clients)]
        pushed[target.host] = images
        return _all_at_once(target, images, Client.push)

    return act


def _pull(target: Target, _clients: int, _filling: bytes, pushed: dict[str, list[Image]]) -> Callable[[int], float]:
    return lambda _number: _all_at_once(target, pushed[target.host], Client.pull)


def _all_at_once(target: Target, images: list[Image], act: Callable[[Client, Image], None]) -> float:
    def one(image: Image) -> None:
        client = Client(target)
        with closing(client.connection):
            act(client, image)

    with ThreadPoolExecutor(len(images)) as pool:
        begun = time.perf_counter()
        list(pool.map(one, images))
        return time.perf_counter() - begun


def _image(target: Target, name: str, filling: bytes) -> Image:
    parts = [_blob(filling), *(_blob(os.urandom(SMALL)) for _ in range(SMALL_BLOBS))]
    config, *layers = ({"mediaType": "text/plain", "digest": one.digest, "size": one.size} for one in reversed(parts))
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
    return Image(target.beside(name).path, tuple(parts), json.dumps(document).encode())


def _blob(rest: bytes) -> Blob:
    start = os.urandom(16)
    hashed = hashlib.sha256(start)
    hashed.update(rest)
    return Blob(f"sha256:{hashed.hexdigest()}", start, rest)

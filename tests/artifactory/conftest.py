"""Receipts to describe: small images whose every byte follows from a recipe."""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from buildpush.artifactory import Agent, Artifactory, BuildInfo, BuildRecord, VcsEntry, describe, publish
from buildpush.credentials.docker import Credential
from buildpush.foundation.events import Note
from buildpush.http.client import Http
from buildpush.http.retry import Retries
from buildpush.images.model import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Platform,
    PushedBlob,
    PushedImage,
    PushedIndex,
)
from buildpush.images.references import Digest, Reference


def compact(value) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def digest_of(content: bytes) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")


def blob(content: bytes, media_type: str) -> PushedBlob:
    sha1, md5 = hashlib.sha1(content).hexdigest(), hashlib.md5(content).hexdigest()
    return PushedBlob(digest_of(content), len(content), media_type, sha1, md5)


def descriptor(blob: PushedBlob):
    return {"mediaType": blob.media_type, "digest": str(blob.digest), "size": blob.size}


class Recipes:
    """Makes receipts; ``references`` are texts."""

    blob = staticmethod(blob)

    def image(self, layers, history, *references, architecture="amd64", key="docker-local") -> PushedImage:
        diff_ids = [str(digest_of(layer)) for layer in layers]
        rootfs = {"type": "layers", "diff_ids": diff_ids}
        config = compact({"architecture": architecture, "os": "linux", "rootfs": rootfs, "history": history})
        kept, pushed = blob(config, OCI_CONFIG), tuple(blob(layer, OCI_LAYER) for layer in layers)
        head = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(kept)}
        manifest = compact({**head, "layers": [descriptor(layer) for layer in pushed]})
        return PushedImage(
            manifest=manifest,
            media_type=OCI_MANIFEST,
            digest=digest_of(manifest),
            references=tuple(Reference.parse(text) for text in references),
            config=kept,
            config_document=config,
            layers=pushed,
            platform=Platform("linux", architecture),
            repository_key=key,
        )

    def hello(self, *references) -> PushedImage:
        """Return the image of golden/hello.json: three layers, five entries of history."""
        history = [
            {"created_by": "ADD rootfs.tar / # base"},
            {"created_by": 'ENTRYPOINT ["/init"]', "empty_layer": True},
            {"created_by": "COPY app /app"},
            {"created_by": "RUN /app/setup"},
            {"created_by": 'CMD ["serve"]', "empty_layer": True},
        ]
        layers = [f"buildpush-example layer {number}\n".encode() for number in (1, 2, 3)]
        return self.image(layers, history, *(references or ("acme.jfrog.io/docker-local/team/hello:1.0",)))

    def one_platform(self, architecture: str) -> PushedImage:
        history = [{"created_by": "ADD rootfs.tar /"}, {"created_by": "COPY app /app"}]
        layers = [b"buildpush-example shared layer\n", f"buildpush-example {architecture} layer\n".encode()]
        return self.image(layers, history, architecture=architecture)

    def index(self, images, *references, annotations=None) -> PushedIndex:
        entries = []
        for image in images:
            platform = {"architecture": image.platform.architecture, "os": image.platform.os}
            entry = {"mediaType": image.media_type, "digest": str(image.digest), "size": len(image.manifest)}
            notes = (annotations or {}).get(str(image.digest))
            entries.append({**entry, "platform": platform, **({"annotations": notes} if notes else {})})
        manifest = compact({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
        names = tuple(Reference.parse(text) for text in references)
        return PushedIndex(manifest, OCI_INDEX, digest_of(manifest), names, tuple(images), "docker-local")

    def multi(self, *references) -> PushedIndex:
        """Return the index of golden/multi.json: two platforms that share a layer."""
        images = [self.one_platform("amd64"), self.one_platform("arm64")]
        return self.index(images, *(references or ("acme.jfrog.io/docker-local/team/multi:2.0",)))

    def record(self, **changes) -> BuildRecord:
        """Return the record of golden/hello.json."""
        record = BuildRecord(
            name="hello",
            number="42",
            started=datetime(2026, 10, 1, 12, 0, 0, 123000, tzinfo=UTC),
            duration_ms=48210,
            environment={"STAGE": "release", "CI": "true"},
            artifactory_principal="ci-bot",
            url="https://ci.example.com/hello/42",
            vcs=(
                VcsEntry(
                    url="https://git.example.com/team/hello.git",
                    revision="3f0c6d0b1a8f4c5e9d7a2b6c8e1f0a9b7c5d3e21",
                    branch="main",
                    message="Bump base image",
                ),
            ),
            agent=Agent("jfrog-cli-go", "2.121.0"),
            build_agent=Agent("GENERIC", "2.121.0"),
        )
        return replace(record, **changes)


@pytest.fixture
def recipes() -> Recipes:
    return Recipes()


class Desk:
    """A client of the sandbox that pushes what recipes make, and notes what it is told."""

    def __init__(self, box, http, directory: Path, recipes) -> None:
        self.box, self.http, self.directory, self.recipes = box, http, directory, recipes
        self.events, self.waits = [], []
        self.credential = Credential(box.username, box.password, "connector sandbox")

    def client(self, credential: Credential | None = None) -> Artifactory:
        return Artifactory(self.box.artifactory_url, self.http, credential or self.credential, sink=self.events.append)

    def name(self, text: str) -> str:
        return f"{self.box.host}/{text}"

    def upload(self, pushed):
        """Send *pushed* and return it; an index after its images."""
        for image in getattr(pushed, "images", ()):
            self._upload_image(image, pushed.references[0].repository.path, (str(image.digest),))
        tags = tuple(str(reference.tag) for reference in pushed.references)
        self._upload_image(pushed, pushed.references[0].repository.path, tags)
        return pushed

    def _upload_image(self, image, path: str, names) -> None:
        for content in getattr(image, "contents", ()):
            digest = self.recipes.blob(content, "").digest
            self._send("POST", f"{path}/blobs/uploads/?digest={digest}", content, "application/octet-stream")
        for name in names:
            self._send("PUT", f"{path}/manifests/{name}", image.manifest, image.media_type)

    def _send(self, method: str, path: str, body: bytes, media_type: str) -> None:
        headers = {"Content-Type": media_type}
        url = f"{self.box.url}/v2/{path}"
        answer = self.http.request(
            method, url, headers=headers, body=body, authorization=self.credential.basic, repeatable=True
        )
        assert answer.ok, answer.text()

    def hello(self, *tags: str, record=None, **changes) -> BuildInfo:
        """Push the image of golden/hello.json and return its build-info."""
        references = [self.name(f"docker-local/team/hello:{tag}") for tag in tags or ("1.0",)]
        pushed = self.recipes.hello(*references)
        contents = [f"buildpush-example layer {number}\n".encode() for number in (1, 2, 3)]
        self.send_blobs(pushed, contents)
        self.upload(pushed)
        return describe(replace(pushed, **changes), record or self.recipes.record(), repository_key="docker-local")

    def send_blobs(self, pushed, contents) -> None:
        path = pushed.references[0].repository.path
        for content in (*contents, pushed.config_document):
            digest = self.recipes.blob(content, "").digest
            self._send("POST", f"{path}/blobs/uploads/?digest={digest}", content, "application/octet-stream")

    def publish(self, info: BuildInfo, credential: Credential | None = None, **more):
        return publish(
            info,
            self.client(credential),
            directory=self.directory / "pending",
            sink=self.events.append,
            sleep=self.waits.append,
            **more,
        )

    def refuse_searches(self, status: int = 403) -> None:
        """Let the sandbox refuse AQL from now on, as some editions do, and some servers for ordinary accounts."""
        self.box.add_fault("POST", "api/search/aql", status=status, times=None)

    def refuse_properties(self, part: str = "", **fault) -> None:
        """Let the sandbox answer *fault* to both requests that set properties at a path with *part*."""
        self.box.add_fault("PATCH", f"api/metadata.*{part}", **fault)
        self.box.add_fault("PUT", f"api/storage.*{part}", **fault)

    @property
    def notes(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Note)]

    def asked(self, method: str, part: str) -> list:
        return [request for request in self.box.requests if request.method == method and part in request.path]

    def saved(self, error: BaseException) -> Path:
        return Path(shlex.split(error.hint)[-1])


@pytest.fixture
def http():
    with Http(retries=Retries(attempts=2, base=0.01)) as http:
        yield http


@pytest.fixture
def desk(box, http, tmp_path, recipes):
    return Desk(box, http, tmp_path, recipes)

"""A plain client for the sandbox: HTTP and nothing that the package under test does for itself."""

from __future__ import annotations

import hashlib
import json

import pytest
import urllib3

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Client:
    """Sends requests with one account's credentials."""

    def __init__(self, box, username=None, password=None):
        self.box = box
        self.digest_of = digest_of
        password = (password or box.password).reveal()
        self.basic = urllib3.make_headers(basic_auth=f"{username or box.username}:{password}")["authorization"]
        self._pool = urllib3.PoolManager(retries=False)

    def close(self):
        self._pool.clear()

    def send(self, method, path, *, authorization="", headers=None, body=None):
        url = path if path.startswith("http") else f"{self.box.url}{path}"
        headers = {"Authorization": authorization or self.basic, **(headers or {})}
        if authorization is None:
            del headers["Authorization"]
        return self._pool.request(method, url, headers=headers, body=body, redirect=False)

    def push_blob(self, repository, data):
        digest = digest_of(data)
        answer = self.send("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", body=data)
        assert answer.status == 201, answer.data
        return {"digest": digest, "size": len(data)}

    def make_manifest(self, repository, *layers, labels=None, **config):
        """Push layers and config, and return the manifest that names them."""
        document = {"os": "linux", "architecture": "amd64", "config": {"Labels": labels or {}}, **config}
        return json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": {"mediaType": OCI_CONFIG, **self.push_blob(repository, json.dumps(document).encode())},
                "layers": [{"mediaType": OCI_LAYER, **self.push_blob(repository, layer)} for layer in layers],
            }
        ).encode()

    def put_manifest(self, repository, reference, manifest, media_type=OCI_MANIFEST):
        path = f"/v2/{repository}/manifests/{reference}"
        return self.send("PUT", path, body=manifest, headers={"Content-Type": media_type})

    def push(self, repository, reference, *layers, labels=None, **config):
        """Push a whole image and return its digest."""
        manifest = self.make_manifest(repository, *(layers or (b"layer",)), labels=labels, **config)
        answer = self.put_manifest(repository, reference or digest_of(manifest), manifest)
        assert answer.status == 201, answer.data
        return answer.headers["Docker-Content-Digest"]

    def make_index(self, *digests):
        """Return an index of images that are there."""
        children = [
            {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(self.box.blob(digest)), "platform": platform}
            for digest, platform in zip(
                digests, ({"os": "linux", "architecture": name} for name in ("amd64", "arm64", "s390x")), strict=False
            )
        ]
        return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}).encode()


@pytest.fixture
def connect():
    """Return a function that makes a client for a sandbox and one of its accounts."""
    made = []

    def connect(box, username=None, password=None):
        made.append(Client(box, username, password))
        return made[-1]

    yield connect
    for one in made:
        one.close()


@pytest.fixture
def client(box, connect):
    return connect(box)


@pytest.fixture
def client_of(box, connect):
    """Return a function that makes a client for another account of the sandbox."""
    return lambda account: connect(box, account.username, account.password)

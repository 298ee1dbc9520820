"""A step that builds in a git repository of its own and pushes to a sandbox, and what is beside its image then."""

from __future__ import annotations

import base64
import json
import subprocess
import urllib.request
from contextlib import contextmanager

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

import buildpush
from buildpush.credentials.docker import Credential, Keychain
from buildpush.http.client import Http
from buildpush.images.manifests import Descriptor
from buildpush.images.model import OCI_MANIFEST
from buildpush.images.references import Digest, Repository
from buildpush.images.referrers import list_tag
from buildpush.provenance.attachment import Content, _referrer
from buildpush.registry.client import Registry
from buildpush.registry.pull import pull
from buildpush.registry.push import push
from buildpush.sandbox import Sandbox

ORIGIN = "https://git.example.com/team/app.git"


class Job:
    """A directory that is built, a key, and a sandbox."""

    def __init__(self, directory, box: Sandbox) -> None:
        self.directory, self.box = directory, box
        self.repository = f"{box.host}/docker-local/team/app"
        (directory / "Dockerfile").write_text("FROM scratch\nCOPY file /file\n")
        (directory / "file").write_text("text")
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("remote", "add", "origin", ORIGIN)
        self.git("add", ".")
        self.git("-c", "user.name=a", "-c", "user.email=a@b.test", "commit", "--quiet", "--message=first")
        self.new_key()

    def new_key(self) -> None:
        """Write the files key.pem and key.pub, in place of those that are there."""
        key, directory = Ed25519PrivateKey.generate(), self.directory
        (directory / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (directory / "key.pub").write_bytes(public)

    def git(self, *words: str) -> str:
        command = ["git", *words]
        return subprocess.run(command, cwd=self.directory, check=True, capture_output=True, text=True).stdout.strip()

    def run(self, **settings):
        """Run the step; return its result."""
        env = {"PASSWORD": self.box.password.reveal(), "PLUGIN_USERNAME": self.box.username, **settings.pop("env", {})}
        env["PLUGIN_PASSWORD"] = env["PASSWORD"]
        usual = {"repo": self.repository, "tags": ["1"], "engine": "native"}
        return buildpush.run(cwd=self.directory, env=env, **(usual | settings))

    def verify(self, reference: str | None = None, **options):
        """Verify the image *reference*, by default that of the tag 1; without an answer there is an error."""
        env = {"PLUGIN_USERNAME": self.box.username, "PLUGIN_PASSWORD": self.box.password.reveal()}
        return buildpush.verify(reference or f"{self.repository}:1", cwd=self.directory, env=env, **options)

    def referrers(self, digest: str) -> list[dict]:
        """Return the manifests of the referrers of *digest*, through the registry's own list."""
        address = f"{self.box.url}/v2/docker-local/team/app/referrers/{digest}"
        login = base64.b64encode(f"{self.box.username}:{self.box.password.reveal()}".encode()).decode()
        request = urllib.request.Request(address, headers={"Authorization": f"Basic {login}"})
        with urllib.request.urlopen(request) as answer:
            names = [one["digest"] for one in json.load(answer)["manifests"]]
        return [self.manifest(name) for name in names]

    def attach(self, content: Content, digest: str) -> None:
        """Store *content* beside the image *digest*, as any who may push can."""
        subject = Descriptor(OCI_MANIFEST, Digest(digest), len(self.box.blob(digest)))
        referrer = _referrer(subject, content, {})
        with self.registry() as registry:
            push(referrer.image, [self.name.at(referrer.digest)], registry, checksums=False)

    def copy_attestations(self, source: str, target: str) -> None:
        """Make what is beside the image *source* the attestations of the image *target*."""
        for manifest in self.referrers(source):
            [layer] = manifest["layers"]
            self.attach(Content(layer["mediaType"], self.box.blob(layer["digest"]), {}), target)
        tags = [self.name.tagged(f"{list_tag(Digest(digest))}.att") for digest in (source, target)]
        with self.registry() as registry:
            push(pull(tags[0], registry, artifact=True), [tags[1]], registry, checksums=False)

    def copy_without_bundles(self, digest: str) -> Repository:
        """Copy the image *digest* and what cosign's tag for it names, and nothing else; return where they are then."""
        copy, tag = Repository(self.box.host, "docker-local/team/copy"), f"{list_tag(Digest(digest))}.att"
        with self.registry() as registry:
            push(pull(self.name.at(Digest(digest)), registry), [copy.tagged("1")], registry, checksums=False)
            push(pull(self.name.tagged(tag), registry, artifact=True), [copy.tagged(tag)], registry, checksums=False)
        return copy

    @property
    def name(self) -> Repository:
        return Repository(self.box.host, "docker-local/team/app")

    @contextmanager
    def registry(self):
        """Yield a client that may push."""
        login = Credential(self.box.username, self.box.password, "a test")
        http = Http()
        yield Registry(http, Keychain({self.box.host: login}))
        http.close()

    def manifest(self, name: str) -> dict:
        return json.loads(self.box.blob(self.box.digest("docker-local/team/app", name)))

    def fallback(self, digest: str) -> list[dict]:
        """Return the manifests in the list under the tag of registries that keep no lists."""
        listed = self.manifest(list_tag(Digest(digest)))["manifests"]
        return [self.manifest(one["digest"]) for one in listed]


@pytest.fixture
def job(tmp_path, box):
    directory = tmp_path / "job"
    directory.mkdir()
    return Job(directory, box)

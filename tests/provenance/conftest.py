"""A step that builds in a git repository of its own and pushes to a sandbox, and what is beside its image then."""

from __future__ import annotations

import base64
import json
import subprocess
import urllib.request

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

import buildpush
from buildpush.images.references import Digest
from buildpush.images.referrers import list_tag
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
        key = Ed25519PrivateKey.generate()
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

    def referrers(self, digest: str) -> list[dict]:
        """Return the manifests of the referrers of *digest*, through the registry's own list."""
        address = f"{self.box.url}/v2/docker-local/team/app/referrers/{digest}"
        login = base64.b64encode(f"{self.box.username}:{self.box.password.reveal()}".encode()).decode()
        request = urllib.request.Request(address, headers={"Authorization": f"Basic {login}"})
        with urllib.request.urlopen(request) as answer:
            names = [one["digest"] for one in json.load(answer)["manifests"]]
        return [self.manifest(name) for name in names]

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

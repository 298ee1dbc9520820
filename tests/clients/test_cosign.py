"""What we sign is accepted by the real cosign, of both versions, and refused where it should be; oras lists it."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from buildpush.images.references import Digest
from buildpush.images.referrers import list_tag
from buildpush.provenance.envelope import BUNDLE_TYPE
from tests.provenance.conftest import Job

pytestmark = pytest.mark.engines

# cosign 2 checks a bundle only with a root, which it otherwise fetches.
ROOT = {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}
ROOT |= {name: [] for name in ("tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities")}
# Version and form: as a referrer, or under cosign's tag.
FORMS = [("cosign2", "bundle"), ("cosign2", "tag"), ("cosign3", "bundle"), ("cosign3", "tag")]


class Cosign:
    """The real program, with a home of its own that is logged in."""

    def __init__(self, job: Job, home) -> None:
        self.job = job
        self.env = {"PATH": os.environ["PATH"], "HOME": str(home), "COSIGN_PASSWORD": "p4ss"}
        (home / "root.json").write_text(json.dumps(ROOT))
        login = {job.box.host: {"username": job.box.username, "password": job.box.password.reveal()}}
        (home / ".docker").mkdir()
        (home / ".docker" / "config.json").write_text(json.dumps({"auths": login}))
        self.root = home / "root.json"

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, cwd=self.job.directory, env=self.env, capture_output=True, text=True, timeout=120, check=False
        )

    def verify(self, program: str, form: str, digest: str, *, key: str = "key.pub", kind: str = "slsaprovenance1"):
        """Verify the image *digest*."""
        more = {
            ("cosign2", "bundle"): ["--new-bundle-format", f"--trusted-root={self.root}"],
            ("cosign3", "tag"): ["--new-bundle-format=false"],
        }.get((program, form), [])
        words = ["verify-attestation", f"--key={key}", "--insecure-ignore-tlog", "--allow-http-registry"]
        # cosign 2.6 looks at no tag where there are bundles, so the tag is tried where there are none.
        name = self.job.name if form == "bundle" else self.job.copy_without_bundles(digest)
        return self.call(program, *words, f"--type={kind}", *more, f"{name}@{digest}")


@pytest.fixture
def job(tmp_path, box):
    directory = tmp_path / "job"
    directory.mkdir()
    return Job(directory, box)


@pytest.fixture
def cosign(job, home):
    return Cosign(job, home)


def use_p256(job):
    key = ec.generate_private_key(ec.SECP256R1())
    (job.directory / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (job.directory / "key.pub").write_bytes(public)


def use_cosigns_own(job, cosign):
    made = cosign.call("cosign2", "generate-key-pair", "--output-key-prefix=key")
    assert made.returncode == 0, made.stderr
    (job.directory / "key.key").rename(job.directory / "key.pem")


@pytest.mark.parametrize(("program", "form"), FORMS)
@pytest.mark.parametrize("key", ["ed25519", "p-256", "cosign.key"])
def test_a_provenance_that_is_signed_here_is_accepted(need, job, cosign, program, form, key):
    need(program)
    secret = {}
    if key == "p-256":
        use_p256(job)
    if key == "cosign.key":
        need("cosign2")
        use_cosigns_own(job, cosign)
        secret = {"sign_password": "env:PASS", "env": {"PASS": "p4ss"}}
    pushed = job.run(provenance=True, sign_key="file:key.pem", cosign_tag=form == "tag", **secret)
    answer = cosign.verify(program, form, pushed.digest)
    assert answer.returncode == 0, answer.stderr
    assert "payload" in answer.stdout


@pytest.mark.parametrize(("program", "form"), FORMS)
def test_each_image_of_an_index_is_accepted_like_the_index(need, job, cosign, program, form):
    need(program)
    platforms = ["linux/amd64", "linux/arm64"]
    pushed = job.run(provenance=True, sign_key="file:key.pem", cosign_tag=form == "tag", platforms=platforms)
    for digest in (pushed.digest, *(str(image.digest) for image in pushed.images)):
        answer = cosign.verify(program, form, digest)
        assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize(("program", "form"), FORMS)
def test_another_key_and_another_type_are_refused(need, job, cosign, program, form):
    need(program)
    pushed = job.run(provenance=True, sign_key="file:key.pem", cosign_tag=True)
    assert cosign.verify(program, form, pushed.digest).returncode == 0
    assert cosign.verify(program, form, pushed.digest, kind="spdxjson").returncode != 0
    job.new_key()
    assert cosign.verify(program, form, pushed.digest).returncode != 0


@pytest.mark.parametrize(("program", "form"), FORMS)
def test_the_provenance_of_another_image_is_refused(need, job, cosign, program, form):
    """Its referrers and tag are copied to an image that was not signed, as whoever may push can do."""
    need(program)
    signed = job.run(provenance=True, sign_key="file:key.pem", cosign_tag=True)
    (job.directory / "file").write_text("another text")
    other = job.run(tags=["2"])
    job.copy_attestations(signed.digest, other.digest)
    assert cosign.verify(program, form, other.digest).returncode != 0


def test_oras_lists_it(need, job, cosign):
    need("oras")
    pushed = job.run(provenance=True, sign_key="file:key.pem")
    name = f"{job.repository}@{pushed.digest}"
    answer = cosign.call("oras", "discover", "--plain-http", "--format=json", name)
    assert answer.returncode == 0, answer.stderr
    assert [one["artifactType"] for one in json.loads(answer.stdout)["referrers"]] == [BUNDLE_TYPE]


@pytest.mark.parametrize("program", ["cosign2", "cosign3"])
def test_what_cosign_signs_is_verified_here(need, job, cosign, program):
    need(program, "cosign2")
    use_cosigns_own(job, cosign)
    pushed = job.run()
    (job.directory / "predicate.json").write_text(json.dumps({"buildDefinition": {}, "runDetails": {}}))
    more = {"cosign2": ["--tlog-upload=false"], "cosign3": ["--use-signing-config=false", "--tlog-upload=false"]}
    words = ["attest", "--key=key.pem", "--type=slsaprovenance1", "--predicate=predicate.json", "--yes"]
    name = f"{job.repository}@{pushed.digest}"
    answer = cosign.call(program, *words, *more[program], "--allow-http-registry", name)
    assert answer.returncode == 0, answer.stderr
    found = job.verify(name, keys=["key.pub"])
    assert found.ok, found.problems
    places = {one.place for one in found.attestations}
    assert places == {"cosign2": {f"{list_tag(Digest(pushed.digest))}.att"}, "cosign3": {"referrer"}}[program]

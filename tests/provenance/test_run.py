"""Provenance of a run: what is beside the image when the step has ended, and before any tag names it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from buildpush.foundation.errors import PushError, SecretError
from buildpush.images.references import Digest
from buildpush.images.referrers import list_tag
from buildpush.provenance.envelope import BUNDLE_TYPE, ENVELOPE_TYPE, Envelope
from buildpush.provenance.keys import Verifier
from buildpush.provenance.statement import PAYLOAD_TYPE, SLSA, Statement
from buildpush.sandbox import Sandbox
from tests.provenance.conftest import ORIGIN, Job

pytestmark = pytest.mark.programs


def document(job, manifest):
    [layer] = manifest["layers"]
    return job.box.blob(layer["digest"])


def statement_of(job, manifest):
    data = document(job, manifest)
    return Statement.parse(data if manifest["artifactType"] == PAYLOAD_TYPE else Envelope.parse(data).payload)


def test_a_provenance_says_from_what_and_by_what_the_image_was_built(job):
    result = job.run(provenance=True, build_args={"VERSION": "1.0"}, target=None)
    [manifest] = job.referrers(result.digest)
    assert manifest["subject"]["digest"] == result.digest
    assert manifest["annotations"]["in-toto.io/predicate-type"] == SLSA
    statement = statement_of(job, manifest)
    assert statement.predicate_type == SLSA
    assert statement.is_about(Digest(result.digest))
    definition = statement.predicate["buildDefinition"]
    assert definition["externalParameters"]["buildArgs"] == {"VERSION": "1.0"}
    assert definition["internalParameters"] == {
        "engine": "native",
        "dockerfileSha256": hashlib.sha256((job.directory / "Dockerfile").read_bytes()).hexdigest(),
    }
    commit = {"gitCommit": job.git("rev-parse", "HEAD")}
    assert definition["resolvedDependencies"] == [{"uri": f"git+{ORIGIN}@refs/heads/main", "digest": commit}]
    assert result.referrers == 1


def test_changes_that_are_not_committed_leave_out_the_commit_with_a_note(job):
    (job.directory / "file").write_text("other text")
    result = job.run(provenance=True)
    [manifest] = job.referrers(result.digest)
    [source] = statement_of(job, manifest).predicate["buildDefinition"]["resolvedDependencies"]
    assert source == {"uri": f"git+{ORIGIN}@refs/heads/main"}
    assert any("not committed" in note for note in result.notes)


def test_a_signed_provenance_is_a_bundle_that_the_public_key_verifies(job):
    result = job.run(provenance=True, sign_key="file:key.pem")
    [manifest] = job.referrers(result.digest)
    assert manifest["artifactType"] == BUNDLE_TYPE
    envelope = Envelope.parse(document(job, manifest))
    key = Verifier.load((job.directory / "key.pub").read_text())
    assert key.verifies(envelope.signatures[0], envelope.signed_bytes)
    assert any(key.fingerprint in one.reason for one in result.decisions)


def test_an_index_and_each_of_its_images_have_the_same_document(job):
    result = job.run(provenance=True, sign_key="file:key.pem", platforms=["linux/amd64", "linux/arm64"])
    digests = [result.digest, *(str(image.digest) for image in result.images)]
    found = [document(job, manifest) for digest in digests for manifest in job.referrers(digest)]
    assert len(digests) == len(found) == 3
    assert len(set(found)) == 1
    statement = Statement.parse(Envelope.parse(found[0]).payload)
    assert all(statement.is_about(Digest(digest)) for digest in digests)
    assert statement.predicate["buildDefinition"]["externalParameters"]["platform"] == "linux/amd64,linux/arm64"


def test_a_base_image_is_named_by_the_digest_that_was_pulled(job):
    base = job.run(tags=["base"])
    (job.directory / "Dockerfile").write_text(f"FROM {job.repository}:base\nCOPY file /other\n")
    result = job.run(provenance=True)
    [manifest] = job.referrers(result.digest)
    dependency = statement_of(job, manifest).predicate["buildDefinition"]["resolvedDependencies"][-1]
    assert dependency["digest"] == {"sha256": Digest(base.digest).hex}
    assert "team/app@base?platform=linux%2Famd64" in dependency["uri"]


def test_the_build_info_is_named_where_it_is_published(job):
    url = job.box.artifactory_url
    result = job.run(provenance=True, artifactory_url=url, build_name="app", build_number="7")
    [manifest] = job.referrers(result.digest)
    [product] = statement_of(job, manifest).predicate["runDetails"]["byproducts"]
    assert product["uri"] == f"{url}api/build/app/7".replace("artifactory//", "artifactory/")
    assert result.published


def test_cosigns_tag_keeps_what_it_had(job):
    usual = {"provenance": True, "sign_key": "file:key.pem", "cosign_tag": True, "reproducible": True}
    first = job.run(**usual, builder_id="https://one.test/")
    second = job.run(**usual, builder_id="https://two.test/")
    assert first.digest == second.digest
    manifest = job.manifest(f"{list_tag(Digest(first.digest))}.att")
    assert [one["mediaType"] for one in manifest["layers"]] == [ENVELOPE_TYPE] * 2
    statements = [Statement.parse(Envelope.parse(job.box.blob(one["digest"])).payload) for one in manifest["layers"]]
    builders = [one.predicate["runDetails"]["builder"]["id"] for one in statements]
    assert builders == ["https://one.test/", "https://two.test/"]


def test_a_registry_without_lists_gets_the_list_under_a_tag(tmp_path):
    with Sandbox(referrers=False) as box:
        (tmp_path / "job").mkdir()
        job = Job(tmp_path / "job", box)
        result = job.run(provenance=True)
        [manifest] = job.fallback(result.digest)
        assert statement_of(job, manifest).is_about(Digest(result.digest))


def test_a_registry_that_refuses_the_provenance_gets_no_tag(job):
    job.box.add_fault("PUT", "/manifests/sha256", status=400)
    with pytest.raises(PushError):
        job.run(provenance=True)
    assert job.box.digest("docker-local/team/app", "1") is None


def test_a_key_that_cannot_be_read_costs_no_build(job):
    with pytest.raises(SecretError, match="private key cannot be read") as caught:
        job.run(provenance=True, sign_key="file:key.pub")
    assert caught.value.hint
    assert not [one for one in job.box.requests if one.method in {"POST", "PUT", "PATCH"}]


def test_a_key_with_a_password_is_opened_by_its_reference(job):
    text = (job.directory / "key.pem").read_bytes()
    key = load_pem_private_key(text, None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"p4ss"))
    (job.directory / "locked.pem").write_bytes(locked)
    with pytest.raises(SecretError, match="its password is missing or wrong"):
        job.run(provenance=True, sign_key="file:locked.pem")
    result = job.run(provenance=True, sign_key="file:locked.pem", sign_password="env:PASS", env={"PASS": "p4ss"})
    assert result.referrers == 1


def test_the_key_is_in_nothing_that_is_written(job, home):
    result = job.run(provenance=True, sign_key="env:KEY", env={"KEY": (job.directory / "key.pem").read_text()})
    secret = (job.directory / "key.pem").read_text().splitlines()[1]
    assert secret not in json.dumps(result.as_json())
    written = [path.read_bytes() for path in Path(home).rglob("*") if path.is_file()]
    assert not any(secret.encode() in data for data in written)

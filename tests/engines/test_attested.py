"""What BuildKit itself attests in an index is pushed as it is, and neither changed nor doubled by our own documents."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile

import pytest

import buildpush

pytestmark = pytest.mark.engines

SLSA = "https://slsa.dev/provenance/"


@pytest.fixture(params=["", ",name=registry.test/app:1"], ids=["without a name", "with a name"])
def archive(request, far, tmp_path):
    """Return an OCI archive, with the provenance of BuildKit, which is about an image in it."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    argv = [
        "docker",
        "buildx",
        "build",
        "--builder=far",
        "--provenance=mode=max",
        f"--output=type=oci,dest={tmp_path}/a{request.param}",
    ]
    subprocess.run([*argv, tmp_path], env=far, check=True, capture_output=True)
    return tmp_path / "a"


def blobs(archive):
    """Return the index in the archive, and all blobs by their digests."""
    with tarfile.open(archive) as tar:
        files = {one.name: tar.extractfile(one).read() for one in tar if one.isfile()}
    found = {f"sha256:{hashlib.sha256(data).hexdigest()}": data for data in files.values()}
    [entry] = json.loads(files["index.json"])["manifests"]
    return entry["digest"], found


def push(box, directory, **settings):
    env = {"PLUGIN_USERNAME": box.username, "PLUGIN_PASSWORD": box.password.reveal()}
    usual = {"repo": f"{box.host}/docker-local/app", "tags": ["1"], "push_only": True, "source_tar_path": "a"}
    return buildpush.run(cwd=directory, env=env, **usual | settings)


@pytest.mark.parametrize("provenance", [False, True])
def test_the_index_with_buildkits_provenance_is_pushed_byte_for_byte(box, archive, provenance):
    digest, found = blobs(archive)
    pushed = push(box, archive.parent, provenance=provenance)
    assert pushed.digest == digest
    index = json.loads(found[digest])
    for entry in index["manifests"]:
        manifest = json.loads(found[entry["digest"]])
        names = [entry["digest"], *(one["digest"] for one in (manifest["config"], *manifest["layers"]))]
        assert [box.blob(name) == found[name] for name in names] == [True] * len(names)
    assert {entry["platform"]["architecture"] for entry in index["manifests"]} == {"amd64", "unknown"}
    assert bool([note for note in pushed.notes if "provenance" in note]) is provenance


@pytest.mark.parametrize("provenance", [False, True])
def test_verify_reads_it_once_and_it_is_not_ours(box, archive, provenance):
    pushed = push(box, archive.parent, provenance=provenance)
    env = {"PLUGIN_USERNAME": box.username, "PLUGIN_PASSWORD": box.password.reveal()}
    found = buildpush.verify(f"{box.host}/docker-local/app:1", cwd=archive.parent, env=env)
    assert found.ok, found.problems
    one = [attestation for attestation in found.attestations if attestation.place == "index"]
    assert [(a.kind.startswith(SLSA), a.signed_by) for a in one] == [(True, "not signed")]
    [image] = [image for image in pushed.images if image.platform.runs]
    assert one[0].subject == image.digest
    assert len({str(a.statement.document()) for a in found.attestations}) == 1

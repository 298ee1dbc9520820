"""Signed documents as JFrog Evidence: what is stored where, and what follows if it cannot be."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request

import pytest

from buildpush.foundation.errors import BuildInfoError, SettingsError
from buildpush.http.messages import LARGEST_ANSWER
from buildpush.pipeline import verification
from buildpush.provenance.envelope import Envelope
from buildpush.provenance.statement import SLSA, SPDX, Statement

pytestmark = pytest.mark.programs

KEYS = "artifactory/api/security/keys/trusted"


def send(box, method, path, document=None):
    login = base64.b64encode(f"{box.username}:{box.password.reveal()}".encode()).decode()
    body = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(f"{box.url}/{path}", body, {"Authorization": f"Basic {login}"}, method=method)
    with urllib.request.urlopen(request) as answer:
        return answer.read()


def evidence(box):
    """Return the statements and the names of keys in all evidence, by the sha256 of what they are about."""
    found = {}
    for path in box.files():
        if path.startswith(".evidence/"):
            data = send(box, "GET", f"artifactory/docker-local/{path}")
            key = json.loads(data)["signatures"][0]["keyid"]
            found.setdefault(path.split("/")[2], []).append((Statement.parse(Envelope.parse(data).payload), key))
    return found


def run(job, **settings):
    usual = {"provenance": True, "sign_key": "file:key.pem", "build_name": "app", "build_number": "7"}
    return job.run(**usual | {"artifactory_url": job.box.artifactory_url} | settings)


def decision(result):
    return [(one.choice, one.reason) for one in result.decisions if one.what == "JFrog Evidence"]


def test_a_signed_provenance_is_evidence_about_the_manifest_that_a_trusted_key_verifies(job):
    key = (job.directory / "key.pub").read_text()
    send(job.box, "POST", KEYS, {"alias": "release", "key": key})
    result = run(job, sign_key_alias="release", sbom="spdx")
    [(digest, stored)] = evidence(job.box).items()
    assert f"sha256:{digest}" == result.digest
    assert [(one.predicate_type, alias) for one, alias in stored] == [(SLSA, "release"), (SPDX, "release")]
    [(choice, reason)] = decision(result)
    assert choice == "2 stored"
    assert "its trusted keys have" in reason
    assert result.published


@pytest.mark.parametrize("repo", ["docker-local", "docker"])
@pytest.mark.parametrize("tags", [["1"], ["1", "latest"]])
def test_each_tag_and_each_image_of_an_index_has_its_evidence(job, repo, tags):
    platforms = ["linux/amd64", "linux/arm64"]
    result = run(job, repo=f"{job.box.host}/{repo}/team/app", tags=tags, platforms=platforms)
    digests = [result.digest, *(str(image.digest) for image in result.images)]
    found = evidence(job.box)
    assert {f"sha256:{one}" for one in found} == set(digests)
    assert [len(found[digest.removeprefix("sha256:")]) for digest in digests] == [len(tags), 1, 1]


def test_a_key_that_is_not_trusted_there_is_said(job):
    result = run(job)
    assert "none of its trusted keys has" in decision(result)[0][1]


@pytest.mark.parametrize(
    "settings", [{"evidence": "never"}, {"sign_key": None}, {"provenance": False}, {"publish_build_info": False}]
)
def test_nothing_is_stored_or_asked_where_no_evidence_is_wanted(job, settings):
    run(job, **settings)
    assert not [one for one in job.box.requests if "/evidence/" in one.path]


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (("GET", "/evidence/", {"status": 404}), "has no Evidence service"),
        (("GET", "/evidence/", {"status": 200, "body": b"<!doctype html><html><title>JFrog</title>"}), "has no Evid"),
        (("POST", "/evidence/", {"status": 403}), "answers 403"),
        (("GET", "/evidence/", {"status": 401}), "refuses"),
    ],
)
def test_a_server_without_evidence_is_a_note_and_an_error_only_if_it_is_required(job, fault, says):
    method, path, answer = fault
    job.box.add_fault(method, path, times=None, **answer)
    result = run(job)
    assert [note for note in result.notes if says in note and "not stored as JFrog Evidence" in note]
    assert result.published
    with pytest.raises(BuildInfoError, match=says) as caught:
        run(job, tags=["2"], build_number="8", evidence="always")
    assert caught.value.exit_code == 6
    assert caught.value.hint
    assert job.box.digest("docker-local/team/app", "2")
    assert {build["number"] for build in job.box.builds("app")} == {"7", "8"}


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_password_leads_to_an_access_token_and_a_refused_token_does_not(job, status):
    job.box.add_fault("POST", "/evidence/", times=None, status=status)
    advice = "JFrog Evidence takes only access tokens: set JF_ACCESS_TOKEN"
    assert [note for note in run(job).notes if advice in note]
    token = json.loads(send(job.box, "POST", "access/api/v1/tokens", {}))["access_token"]
    notes = run(job, tags=["2"], build_number="8", env={"JF_ACCESS_TOKEN": token}).notes
    assert [note for note in notes if "not stored as JFrog Evidence" in note]
    assert not [note for note in notes if advice in note]


def test_evidence_that_has_nowhere_to_go_is_refused_before_the_build(job):
    with pytest.raises(SettingsError, match="gets the build-info, and none gets it"):
        run(job, artifactory_url=None, evidence="always")
    assert not job.box.requests


def test_evidence_without_a_signature_has_a_note(job):
    result = job.run(provenance=True, evidence="always")
    assert [note for note in result.notes if "evidence has no effect without sign_key" in note]


@pytest.mark.parametrize("repo", ["docker-local", "docker"])
def test_verify_reads_the_evidence_and_checks_its_signature(job, repo):
    name = f"{job.box.host}/{repo}/team/app"
    run(job, repo=name)
    found = job.verify(f"{name}:1", keys=["key.pub"], artifactory_url=job.box.artifactory_url)
    assert found.ok, found.problems
    [one] = [one for one in found.attestations if one.place == "evidence"]
    assert (one.kind, one.verified, one.subject) == (SLSA, True, found.digest)
    job.new_key()
    other = job.verify(f"{name}:1", keys=["key.pub"], artifactory_url=job.box.artifactory_url)
    assert [one.signed_by for one in other.attestations if one.place == "evidence"] == ["signed by another key"]


def test_evidence_that_cannot_be_searched_is_unknown_and_not_absent(job):
    run(job)
    job.box.add_fault("POST", "/api/search/aql", times=None, status=403)
    found = job.verify(artifactory_url=job.box.artifactory_url)
    assert found.ok
    assert [text for text in found.unchecked if text.startswith("JFrog Evidence was not read")]


def test_evidence_that_may_not_be_read_is_unknown_and_not_absent(job):
    run(job)
    job.box.add_fault("GET", "/artifactory/docker-local/.evidence/", times=None, status=403)
    found = job.verify(artifactory_url=job.box.artifactory_url)
    assert found.ok
    [text] = [text for text in found.unchecked if ".evidence/" in text]
    assert text.endswith("answers 403")


def test_evidence_that_is_larger_than_any_is_a_problem_of_its_own(job):
    """Whoever may annotate an image could keep everybody from verifying it."""
    run(job)
    job.box.add_fault("GET", "/artifactory/docker-local/.evidence/", status=200, body=bytes(LARGEST_ANSWER + 1))
    found = job.verify(artifactory_url=job.box.artifactory_url)
    [text] = found.problems
    assert text.startswith("evidence docker-local/.evidence/")
    assert "is larger than" in text


def test_of_evidence_a_server_shows_only_that_about_the_image_is_read(job):
    run(job)
    rows = [{"repo": "docker-local", "path": f".evidence/a/{'0' * 64}", "name": "b.json"}]
    job.box.add_fault("POST", "/api/search/aql", status=200, body=json.dumps({"results": rows}).encode())
    found = job.verify(artifactory_url=job.box.artifactory_url)
    assert found.ok
    assert not [one for one in found.attestations if one.place == "evidence"]


def test_of_very_much_evidence_it_is_said_that_not_all_is_read(job, monkeypatch):
    run(job, tags=["1", "latest"])
    monkeypatch.setattr(verification, "_MOST", 1)
    found = job.verify(artifactory_url=job.box.artifactory_url)
    assert len([one for one in found.attestations if one.place == "evidence"]) == 1
    assert "1 of the 2 files of JFrog Evidence were not read" in found.unchecked

"""What ``verify`` says about an image, and about registries and documents that are damaged or hostile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from buildpush.foundation.errors import PushError, SettingsError
from buildpush.images.compression import digest_of
from buildpush.images.references import Digest
from buildpush.pipeline import attachments
from buildpush.provenance.attachment import Content
from buildpush.provenance.envelope import BUNDLE_TYPE, ENVELOPE_TYPE
from buildpush.provenance.statement import PAYLOAD_TYPE, SLSA, Statement, Subject

pytestmark = pytest.mark.programs

SIGNED = {"provenance": True, "sign_key": "file:key.pem"}


def signers(found):
    return {one.signed_by for one in found.attestations}


@pytest.mark.parametrize("platforms", [(), ("linux/amd64", "linux/arm64")])
@pytest.mark.parametrize("by_digest", [False, True])
def test_an_image_that_was_signed_here_is_in_order(job, platforms, by_digest):
    server = {"artifactory_url": job.box.artifactory_url}
    pushed = job.run(**SIGNED, **server, platforms=platforms, build_name="app", build_number="7", cosign_tag=True)
    name = f"{job.repository}@{pushed.digest}" if by_digest else None
    found = job.verify(name, keys=["key.pub"], **server)
    assert found.ok, found.problems
    assert str(found.digest) == pushed.digest
    assert {one.place for one in found.attestations} > {"referrer"}
    assert all(one.verified for one in found.attestations)
    assert {one.subject for one in found.attestations} == {found.digest, *(one.digest for one in pushed.images)}
    assert any("names every file of the image" in text for text in found.agreements)
    assert any("name the commit" in text for text in found.agreements)
    assert any("name the same start" in text for text in found.agreements)


def test_what_was_not_checked_is_said(job):
    job.run(**SIGNED)
    found = job.verify()
    assert found.ok
    assert signers(found) == {"signed, not checked"}
    assert [text.partition(":")[0] for text in found.unchecked] == [
        "the layers were not read",
        "no signature was checked",
        "the build-info was not read",
    ]


@pytest.mark.parametrize("more", [{"build": ("app", "7")}, {"artifactory_token": "env:TOKEN"}])
def test_a_comparison_that_was_asked_for_is_not_left_out(job, more):
    job.run()
    [name] = more
    with pytest.raises(SettingsError, match=f"{name}= is given, but no Artifactory"):
        job.verify(**more)


@pytest.mark.parametrize(("settings", "signed_by"), [({"provenance": True}, {"not signed"}), ({}, set())])
def test_an_image_without_a_signature_is_not_in_order_if_a_key_is_given(job, settings, signed_by):
    job.run(**settings)
    assert job.verify().ok
    found = job.verify(keys=["key.pub"])
    assert signers(found) == signed_by
    assert [text for text in found.problems if "is signed by a key that is given" in text]


@pytest.mark.parametrize("keys", ["key.pub", Path("key.pub"), ("key.pub",)])
def test_one_key_may_be_given_by_itself(job, keys):
    """A text was taken for a list of its letters, each of them a file."""
    job.run(**SIGNED)
    assert job.verify(keys=keys).ok


def test_a_signature_of_another_key_is_not_enough(job, tmp_path):
    job.run(**SIGNED)
    job.new_key()
    found = job.verify(keys=["key.pub"])
    assert not found.ok
    assert signers(found) == {"signed by another key"}


def test_a_build_info_of_another_image_is_wrong(job):
    server = {"artifactory_url": job.box.artifactory_url}
    job.run(**server, build_name="app", build_number="7")
    (job.directory / "file").write_text("other")
    job.run(**server, provenance=True, tags=["2"], build_name="app", build_number="8")
    found = job.verify(f"{job.repository}:2", **server, build=("app", "7"))
    assert [text.partition(" does not name ")[0] for text in found.problems][:1] == ["the build-info app 7"]
    assert job.verify(f"{job.repository}:2", **server).ok
    missing = job.verify(f"{job.repository}:2", **server, build=("app", "9"))
    assert missing.problems == (f"{job.box.host} has no build-info app 9",)


def test_a_file_that_is_no_key_is_refused_before_anything_is_asked(job):
    for name in ("key.pem", "nowhere"):
        with pytest.raises(SettingsError, match="the public key"):
            job.verify(keys=[name])
    assert not job.box.requests


def test_an_image_that_does_not_exist_is_an_error(job):
    with pytest.raises(PushError, match="cannot be fetched"):
        job.verify(f"{job.repository}:none")


OTHER = Statement((Subject("other", {"sha256": "0" * 64}),), SLSA, {}).document()
DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    ("kind", "data", "says"),
    [
        (PAYLOAD_TYPE, OTHER, "about another image"),
        (PAYLOAD_TYPE, DEEP, "nested too deeply"),
        (PAYLOAD_TYPE, b"[1]", "not a statement"),
        (BUNDLE_TYPE, b"\xff\xfe", "not a signed document"),
        (BUNDLE_TYPE, b'{"dsseEnvelope": {"payload": 7}}', "not a signed document"),
        (ENVELOPE_TYPE, b'{"payloadType": "application/vnd.in-toto+json", "payload": "", "signatures": []}', "not a"),
    ],
)
@pytest.mark.parametrize("keys", [(), ("key.pub",)])
def test_a_damaged_document_is_a_problem_and_no_traceback(job, kind, data, says, keys):
    pushed = job.run(**SIGNED)
    job.attach(Content(kind, data, {}), pushed.digest)
    found = job.verify(keys=keys)
    assert not found.ok
    assert any(says in text for text in found.problems)
    assert json.dumps(found.as_json())


def test_one_damaged_document_says_nothing_against_the_others(job):
    pushed = job.run(**SIGNED)
    job.attach(Content(PAYLOAD_TYPE, b"[1]", {}), pushed.digest)
    found = job.verify(keys=["key.pub"])
    assert sorted(text.rpartition(": ")[2] for name, text in found.rows() if name == "beside") == [
        "in order",
        "proves nothing",
    ]
    assert found.verdict == (
        "not in order: 1 of 2 documents beside the image proves nothing; "
        "the image and the others are in order, as far as it was checked"
    )
    assert "documents that are wrong" in found.hint
    document = found.as_json()
    assert sorted(one["ok"] for one in document["attestations"]) == [False, True]
    assert (document["ok"], document["verdict"]) == (False, found.verdict)


def test_what_is_wrong_with_the_image_itself_is_another_verdict(job):
    pushed = job.run(provenance=True)
    job.attach(Content(PAYLOAD_TYPE, b"[1]", {}), pushed.digest)
    found = job.verify(keys=["key.pub"])
    assert found.verdict == (
        "not in order: do not rely on the image, and 1 of 2 documents beside the image proves nothing"
    )
    assert found.hint == "do not use the image before you know why"


@pytest.mark.parametrize("keys", [(), ("key.pub",)])
def test_where_nothing_is_beside_an_image_the_command_that_brings_it_is_named(job, keys):
    job.run()
    found = job.verify(keys=keys)
    command = f"buildpush copy --referrers docker://SOURCE docker://{job.repository}:1"
    assert [text for text in found.unchecked if command in text]
    assert command in found.hint


def test_what_was_not_compared_names_the_option_for_it(job):
    job.run()
    assert [text for text in job.verify().unchecked if "--artifactory-url and --build NAME NUMBER" in text]
    found = job.verify(artifactory_url=job.box.artifactory_url)
    assert [text for text in found.unchecked if text.endswith("add --build NAME NUMBER")]


def test_a_document_that_is_too_large_is_not_read(job, monkeypatch):
    pushed = job.run()
    monkeypatch.setattr(attachments, "LARGEST", 1000)
    job.attach(Content(PAYLOAD_TYPE, b"x" * 1001, {}), pushed.digest)
    found = job.verify()
    assert any("larger than 1000 bytes" in text for text in found.problems)
    large = digest_of(b"x" * 1001)
    assert not [one for one in job.box.requests if one.method == "GET" and str(large) in one.path]


@pytest.mark.parametrize("predicate", [{"buildDefinition": 1}, {"runDetails": {"byproducts": [{"uri": [1]}]}}, {}])
def test_a_provenance_with_other_types_is_compared_as_if_it_said_nothing(job, predicate):
    pushed = job.run(artifactory_url=job.box.artifactory_url, build_name="app", build_number="7")
    statement = Statement((Subject("", {"sha256": Digest(pushed.digest).hex}),), SLSA, predicate)
    job.attach(Content(PAYLOAD_TYPE, statement.document(), {}), pushed.digest)
    found = job.verify(artifactory_url=job.box.artifactory_url)
    assert any("no provenance names one of this Artifactory" in text for text in found.unchecked)


def test_the_command_ends_with_8_where_something_is_wrong(job, home):
    job.run(provenance=True)
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    env |= {"PLUGIN_USERNAME": job.box.username, "PLUGIN_PASSWORD": job.box.password.reveal()}

    def verify(*words):
        command = [sys.executable, "-m", "buildpush", "verify", f"{job.repository}:1", *words]
        return subprocess.run(command, cwd=job.directory, env=env, capture_output=True, text=True, check=False)

    good, bad = verify(), verify("--key", "key.pub", "--json")
    assert (good.returncode, bad.returncode) == (0, 8)
    assert "verdict in order, as far as it was checked" in good.stdout
    document = json.loads(bad.stdout)
    assert document["ok"] is False
    assert document["error"]["family"] == "UnverifiedError"
    assert "is signed by a key that is given" in bad.stderr

"""A worked example whose bytes both versions of cosign accept; the key is made from a sentence, so they are stable."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from buildpush.dockerfile.request import BuildRequest
from buildpush.foundation.errors import PushError, SecretError, SettingsError
from buildpush.images.manifests import Descriptor
from buildpush.images.model import OCI_MANIFEST, Platform
from buildpush.images.references import Digest, Reference
from buildpush.provenance import slsa
from buildpush.provenance.attachment import signed, signed_referrer
from buildpush.provenance.envelope import Envelope
from buildpush.provenance.keys import Signer, Verifier
from buildpush.provenance.slsa import BaseImage, BuildRun, SourceRevision, provenance
from buildpush.provenance.statement import SLSA, Statement, subjects_of

GOLDEN = Path(__file__).parent / "golden"
IMAGE = Digest("sha256:c4ea8752c2804198e3c120c18f23ed63483ce10b60f581d6ab4436921354b86d")
AMD64 = Platform("linux", "amd64")


def golden(name):
    return (GOLDEN / name).read_bytes()


def pem(key, encryption=None):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()).decode()


@pytest.fixture(scope="module")
def signer():
    seed = hashlib.sha256(b"buildpush-example key\n").digest()
    return Signer.load(pem(Ed25519PrivateKey.from_private_bytes(seed)))


@pytest.fixture
def statement(tmp_path, monkeypatch):
    monkeypatch.setattr(slsa, "__version__", "0.1.0")
    (tmp_path / "Dockerfile").write_text("example")
    name = Reference.parse("acme.jfrog.io/docker-local/team/hello:1.0")
    base = Digest(f"sha256:{hashlib.sha256(b'buildpush-example base').hexdigest()}")
    request = BuildRequest(tmp_path, tmp_path / "Dockerfile", (name,), build_args={"VERSION": "1.0"})
    run = BuildRun(
        engine="native",
        platforms=(AMD64,),
        builder="https://ci.example.com/builders/buildpush",
        started=datetime(2026, 10, 1, 12, 0, 0, tzinfo=UTC),
        finished=datetime(2026, 10, 1, 12, 0, 48, tzinfo=UTC),
        source=SourceRevision(
            "https://git.example.com/team/hello.git", "3f0c6d0b1a8f4c5e9d7a2b6c8e1f0a9b7c5d3e21", "main"
        ),
        bases=(BaseImage(Reference.parse("acme.jfrog.io/docker-local/base:12"), AMD64, base),),
        url="https://ci.example.com/hello/42",
        build_info="https://acme.jfrog.io/artifactory/api/build/hello/42",
    )
    return Statement(subjects_of([name], IMAGE, AMD64), SLSA, provenance(request, run))


def test_the_statement_has_the_bytes_of_the_example(statement):
    assert statement.document() == golden("statement.json")


def test_envelope_and_bundle_have_the_bytes_of_the_example(statement, signer):
    envelope = signed(statement, signer)
    assert envelope.document() == golden("envelope.json")
    assert envelope.bundle(signer.verifier.der) == golden("bundle.json")


def test_the_referrer_has_the_bytes_of_the_example(statement, signer):
    subject = Descriptor(OCI_MANIFEST, IMAGE, 691)
    referrer = signed_referrer(subject, statement, signer, "2026-10-01T12:00:48Z")
    assert referrer.manifest == golden("referrer.json")
    [(_, reader)] = referrer.image.blobs([0])
    assert reader.read() == golden("bundle.json")


@pytest.mark.parametrize("name", ["envelope.json", "bundle.json"])
def test_what_was_signed_is_read_back_and_verified(name):
    envelope = Envelope.parse(golden(name))
    key = Verifier.load(golden("key.pub").decode())
    assert key.verifies(envelope.signatures[0], envelope.signed_bytes)
    assert Statement.parse(envelope.payload).is_about(IMAGE)


def test_a_signature_of_other_bytes_or_another_key_is_not_verified(signer):
    envelope = Envelope.parse(golden("envelope.json"))
    other = Signer.load(pem(ec.generate_private_key(ec.SECP256R1()))).verifier
    assert not signer.verifier.verifies(envelope.signatures[0], envelope.signed_bytes + b" ")
    assert not other.verifies(envelope.signatures[0], envelope.signed_bytes)
    assert not signer.verifier.verifies(b"", envelope.signed_bytes)


def test_a_key_of_p_256_signs_what_its_public_key_verifies():
    signer = Signer.load(pem(ec.generate_private_key(ec.SECP256R1())))
    assert signer.verifier.verifies(signer.sign(b"text"), b"text")


def test_an_encrypted_pem_needs_its_password(signer):
    text = pem(signer.key, BestAvailableEncryption(b"pass"))
    assert Signer.load(text, "pass").verifier.fingerprint == signer.verifier.fingerprint
    for password in (None, "other"):
        with pytest.raises(SecretError, match="password is missing or wrong"):
            Signer.load(text, password)


def test_a_signer_shows_its_public_key_alone(signer):
    assert repr(signer) == f"Signer({signer.verifier.fingerprint})"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not a key",
        pem(ec.generate_private_key(ec.SECP384R1())),
        "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----",
    ],
    ids=["nothing", "no key", "another curve", "damaged"],  # a name that each process makes anew divides no tests
)
def test_what_is_no_usable_key_is_refused_without_a_word_of_it(text):
    with pytest.raises(SecretError) as caught:
        Signer.load(text, "pass")
    assert caught.value.setting == "sign_key"
    assert not text or text[:60] not in str(caught.value)


def test_a_private_key_is_no_public_key(signer):
    with pytest.raises(SettingsError, match="not a public key"):
        Verifier.load(pem(signer.key))


DEEP = b"[" * 5000


SIGNED = {"payload": "", "payloadType": "a", "signatures": []}
NO_ENVELOPE = [SIGNED | {"payload": 1}, SIGNED | {"payloadType": 1}, SIGNED | {"signatures": 1}, {"dsseEnvelope": []}]
NO_ENVELOPE += [SIGNED | {"signatures": [{"sig": "?"}]}, SIGNED | {"signatures": ["?"]}, [], None, {}]


@pytest.mark.parametrize("data", [b"", DEEP, b"\xff", *(json.dumps(one).encode() for one in NO_ENVELOPE)])
def test_a_damaged_envelope_is_an_error(data):
    with pytest.raises(PushError, match="not a signed document"):
        Envelope.parse(data)


STATED = {"_type": "https://in-toto.io/Statement/v1", "subject": [], "predicateType": "a"}
NO_STATEMENT = [
    STATED | {"_type": "other"},
    STATED | {"_type": []},
    STATED | {"subject": {}},
    STATED | {"subject": [1]},
]
NO_STATEMENT += [STATED | {"predicateType": 1}, STATED | {"predicate": 1}, [], None, {}]
NO_STATEMENT += [STATED | {"subject": [{"digest": {"sha256": 1}}]}, STATED | {"subject": [{"digest": {}, "name": 1}]}]


@pytest.mark.parametrize("data", [b"", DEEP, b"\xff", *(json.dumps(one).encode() for one in NO_STATEMENT)])
def test_a_damaged_statement_is_an_error(data):
    with pytest.raises(PushError, match="not a statement"):
        Statement.parse(data)

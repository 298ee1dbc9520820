"""The Evidence service of the sandbox: what it keeps, what it refuses, and what it says of a signature."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.sandbox

PATH = "docker-local/app/1/manifest.json"
SUBJECT = f"/evidence/api/v1/subject/{PATH}"
KEYS = "/artifactory/api/security/keys/trusted"
TYPE = "application/vnd.in-toto+json"


def statement(digest, **changes):
    document = {"_type": "https://in-toto.io/Statement/v1", "subject": [{"digest": {"sha256": digest[7:]}}]}
    document |= {"predicateType": "https://slsa.dev/provenance/v1", "predicate": {}} | changes
    return json.dumps(document).encode()


def envelope(payload, sign=lambda _data: b"none", key=""):
    data = f"DSSEv1 {len(TYPE)} {TYPE} {len(payload)} ".encode() + payload
    signatures = [{"keyid": key, "sig": base64.b64encode(sign(data)).decode()}]
    return {"payloadType": TYPE, "payload": base64.b64encode(payload).decode(), "signatures": signatures}


def post(client, document, path=SUBJECT, **more):
    return client.send("POST", path, body=json.dumps(document).encode(), **more)


def pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


ED, EC = Ed25519PrivateKey.generate(), generate_private_key(SECP256R1())
SIGNERS = {"ed25519": (ED, ED.sign), "P-256": (EC, lambda data: EC.sign(data, ECDSA(SHA256())))}


@pytest.fixture
def digest(client):
    return client.push("docker-local/app", "1")


def test_evidence_is_a_file_of_the_repository(box, client, digest):
    sent = envelope(statement(digest))
    answer = post(client, sent)
    assert answer.status == 201
    told = answer.json()
    assert (told["repository"], told["path"], told["sha256"]) == ("docker-local", PATH.partition("/")[2], digest[7:])
    assert (told["predicate_slug"], told["created_by"]) == ("slsa-dev-provenance-v1", box.username)
    [path] = [path for path in box.files() if path.startswith(".evidence/")]
    assert path.split("/")[2] == digest[7:]
    assert told["uri"].endswith(path)
    assert client.send("GET", told["uri"]).json() == sent
    listed = client.send("GET", "/artifactory/api/storage/docker-local/.evidence?list&deep=1").json()["files"]
    assert [one["uri"] for one in listed] == [path.removeprefix(".evidence")]


@pytest.mark.parametrize("kind", SIGNERS)
@pytest.mark.parametrize("named", ["", "release", "other"])
def test_a_signature_is_verified_with_the_trusted_key_that_it_names(client, digest, kind, named):
    key, sign = SIGNERS[kind]
    sent = envelope(statement(digest), sign, named)
    assert post(client, sent).json()["verified"] is False
    assert client.send("POST", KEYS, body=json.dumps({"alias": "release", "key": pem(key)}).encode()).status == 201
    assert post(client, sent).json()["verified"] is (named != "other")
    changed = sent | {"payload": base64.b64encode(statement(digest, predicate={"a": 1})).decode()}
    assert post(client, changed).json()["verified"] is False


def test_a_bundle_holds_its_envelope(client, digest):
    assert post(client, {"dsseEnvelope": envelope(statement(digest))}).status == 201


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"dsseEnvelope": 7},
        envelope(b"[1]"),
        envelope(b"no JSON"),
        envelope(statement("sha256:" + "0" * 64)),
        envelope(statement("sha256:" + "0" * 64, _type=7)),
        envelope(statement("sha256:" + "0" * 64, subject={"digest": 1})),
        envelope(statement("sha256:" + "0" * 64, predicateType=None)),
    ],
)
def test_what_is_no_statement_about_the_file_is_refused_and_not_kept(box, client, digest, document):
    before = box.files()
    assert post(client, document).status == 400
    assert box.files() == before
    assert digest


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=5) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["payload", "payloadType", "signatures", "dsseEnvelope"]), inner)
        ),
        max_leaves=8,
    )
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_is_an_answer_and_no_failure(box, client, document):
    if not box.files():
        client.push("docker-local/app", "1")
    assert post(client, document).status == 400


def test_only_who_may_read_and_annotate_adds_evidence(box, client_of, client, digest):
    sent = envelope(statement(digest))
    statuses = {}
    for name, rights in (("one", ["read"]), ("two", ["annotate"]), ("three", ["read", "annotate"])):
        statuses[name] = post(client_of(box.add_account(name, rights)), sent).status
    assert statuses == {"one": 403, "two": 403, "three": 201}
    assert post(client, sent, SUBJECT.replace("manifest.json", "none")).status == 404
    virtual = post(client, sent, SUBJECT.replace("docker-local", "docker"))
    assert virtual.json()["repository"] == "docker-local"


def test_trusted_keys_are_an_administrators_and_keep_their_alias(box, client, client_of):
    body = json.dumps({"alias": "a", "key": pem(ED)}).encode()
    assert client_of(box.add_account("ci", ["read", "annotate"])).send("POST", KEYS, body=body).status == 403
    assert client.send("POST", KEYS, body=body).status == 201
    assert client.send("POST", KEYS, body=body).status == 409
    assert client.send("POST", KEYS, body=b'{"alias": "b", "key": "no key"}').status == 400
    assert client.send("GET", KEYS).json() == {"keys": [{"alias": "a", "key": pem(ED)}]}


def test_the_service_has_a_version(client):
    answer = client.send("GET", "/evidence/api/v1/system/version")
    assert answer.status == 200
    assert answer.data.decode().count(".") == 2

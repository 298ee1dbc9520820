"""The Evidence service beside Artifactory: signed statements about files, kept as files of their repository."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from buildpush.foundation.records import dataclass
from buildpush.sandbox import wire
from buildpush.sandbox.answers import VERSION, RequestRefusedError, forbidden
from buildpush.sandbox.bodies import field, read_json, read_object
from buildpush.sandbox.entries import FileEntry
from buildpush.sandbox.paths import item_path
from buildpush.sandbox.permissions import RIGHTS
from buildpush.sandbox.storage import find_file
from buildpush.sandbox.store import Store

SERVICE = "/evidence/api/v1"
SUBJECTS = f"{SERVICE}/subject/"
KEYS = f"{wire.BASE}/api/security/keys/trusted"
DIRECTORY = ".evidence"
LARGEST = 16 * 1024 * 1024
_STATEMENT = "https://in-toto.io/Statement/"
_PAYLOAD = "application/vnd.in-toto+json"


class EvidenceRoutes:
    """Handlers that keep evidence, and the keys that its signatures are checked with."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[web.RouteDef]:
        """Return every route; GET includes HEAD. Evidence is read as the file that it is."""
        handlers = (
            ("GET", f"{SERVICE}/system/version", self.version),
            ("POST", SUBJECTS + "{repo}/{path:.+}", self.create),
            ("GET", KEYS, self.keys),
            ("POST", KEYS, self.trust),
        )
        return [web.route(method, path, act) for method, path, act in handlers]

    async def version(self, _request: web.Request) -> web.Response:
        """Return the version of the service, as text."""
        return web.Response(text=VERSION)

    async def create(self, request: web.Request) -> web.Response:
        """Keep evidence about a file, and say whether a trusted key has signed it."""
        item = item_path(request, SUBJECTS)
        wire.require("read", str(item))
        subject = find_file(self._store, item)
        if subject is None:
            raise RequestRefusedError(404, "NOT_FOUND", f"The subject '{item}' does not exist.")
        who = wire.require("annotate", f"{subject.repo}/{subject.path}")
        body = await wire.read_all(request, LARGEST)
        evidence = read_evidence(body)
        if subject.checksums.sha256 not in evidence.subjects:
            message = f"The statement is not about '{item}', whose sha256 is {subject.checksums.sha256}."
            raise RequestRefusedError(400, "BAD_REQUEST", message)
        now = self._store.clock()
        path = _place(subject, evidence.slug, now)
        self._store.put(subject.repo, path, self._store.content.add(body), "application/json", who.username)
        document = {
            "repository": subject.repo,
            "path": subject.path,
            "name": subject.name,
            "uri": f"{wire.origin(request)}{wire.BASE}/{subject.repo}/{path}",
            "sha256": subject.checksums.sha256,
            "predicate_type": evidence.predicate_type,
            "predicate_slug": evidence.slug,
            "created_at": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "created_by": who.username,
            "verified": evidence.is_signed_by(self._trusted()),
        }
        return web.json_response(document, status=201)

    async def keys(self, _request: web.Request) -> web.Response:
        """List the trusted keys."""
        keys = [{"alias": alias, "key": key} for alias, key in sorted(self._trusted().items())]
        return web.json_response({"keys": keys})

    def _trusted(self) -> dict[str, str]:
        return {str(alias): str(key) for alias, key in self._store.rows("SELECT alias, key FROM trusted_keys")}

    async def trust(self, request: web.Request) -> web.Response:
        """Trust a public key under an alias; only an account with all rights everywhere may."""
        who = wire.caller()
        if not who.rights.issuperset(RIGHTS) or who.repositories is not None:
            raise forbidden(who.username, "administer", "trusted keys")
        document = read_object(await wire.read_all(request, LARGEST))
        alias, key = field(document, "alias", str, ""), field(document, "key", str, "")
        if not alias:
            raise RequestRefusedError(400, "BAD_REQUEST", "Name the key: 'alias' is missing.")
        if alias in self._trusted():
            raise RequestRefusedError(409, "CONFLICT", f"There is a trusted key '{alias}' already.")
        load_key(key)
        self._store.rows("INSERT INTO trusted_keys VALUES (?, ?)", alias, key)
        return web.json_response({"alias": alias, "key": key}, status=201)


@dataclass(frozen=True, slots=True)
class Evidence:
    """A statement in its envelope.

    Attributes:
        subjects: the sha256 of each file that it is about.
        signed: the bytes that are signed.
        key: alias of the key that is said to have signed; may be empty.
    """

    predicate_type: str
    subjects: frozenset[str]
    signed: bytes
    key: str
    signature: bytes

    @property
    def slug(self) -> str:
        """The predicate type in the name of a file."""
        return "-".join(re.findall(r"[a-z0-9]+", self.predicate_type.lower().partition("://")[2]))[-64:] or "evidence"

    def is_signed_by(self, keys: Mapping[str, str]) -> bool:
        """Return whether the key that it names, or if it names none any of *keys*, has signed it."""
        candidates = [key for alias, key in keys.items() if self.key in {"", alias}]
        return any(_verifies(key, self.signature, self.signed) for key in candidates)


def read_evidence(body: bytes) -> Evidence:
    """Return what a DSSE envelope, which may be in a Sigstore bundle, says about which files.

    Raises:
        RequestRefusedError: 400, it is not an envelope with one signature around a statement.
    """
    document = read_json(body)
    try:
        envelope = document.get("dsseEnvelope", document)
        kind, payload = envelope["payloadType"], base64.b64decode(envelope["payload"], validate=True)
        [signature] = envelope["signatures"]
        statement: Any = read_json(payload)
        if kind != _PAYLOAD or not statement["_type"].startswith(_STATEMENT):
            raise RequestRefusedError(400, "BAD_REQUEST", "The envelope does not hold a statement of in-toto.")
        subjects = frozenset(str(one["digest"]["sha256"]) for one in statement["subject"])
        signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(payload), payload)
        key, sig = signature.get("keyid") or "", base64.b64decode(signature["sig"], validate=True)
        return Evidence(_text(statement["predicateType"]), subjects, signed, _text(key), sig)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        message = "The body is not a DSSE envelope with one signature around a statement of in-toto."
        raise RequestRefusedError(400, "BAD_REQUEST", message) from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _place(subject: FileEntry, slug: str, now: float) -> str:
    """Return the path of evidence about *subject*, as JFrog makes it: of one file, and of one content of it."""
    file = hashlib.sha256(subject.path.encode()).hexdigest()
    return f"{DIRECTORY}/{file}/{subject.checksums.sha256}/{slug}-{round(now * 1000)}-{secrets.token_hex(4)}.json"


def load_key(text: str) -> Any:
    """Return a public key: ed25519 or elliptic, as PEM.

    Raises:
        RequestRefusedError: 400, it is another, or none; 501, the sandbox has no library to check signatures with.
    """
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError as error:
        message = "The sandbox checks signatures with the extra: pip install 'buildpush[sign]'."
        raise RequestRefusedError(501, "UNSUPPORTED", message) from error
    try:
        key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey | EllipticCurvePublicKey):
        raise RequestRefusedError(400, "BAD_REQUEST", "The key is not a public ed25519 or elliptic key as PEM.")
    return key


def _verifies(text: str, signature: bytes, data: bytes) -> bool:
    key = load_key(text)
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        key.verify(signature, data, *((ECDSA(SHA256()),) if isinstance(key, EllipticCurvePublicKey) else ()))
    except InvalidSignature:
        return False
    return True

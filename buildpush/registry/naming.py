"""Writes a manifest under a name, and reads it back; what was confirmed counts as pushed even if it cannot be read.

A registry may show late what it accepted (replicas, caches), or not at all (Xray while it scans, accounts that may only
deploy): we wait for a while, and report a note.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Final

from buildpush.foundation.errors import (
    AuthenticationError,
    DigestError,
    ElsewhereError,
    PushError,
    RegistryError,
    UnreachableError,
)
from buildpush.foundation.events import Note, Sink
from buildpush.http.messages import Answer
from buildpush.images.compression import digest_of
from buildpush.images.model import INDEX_TYPES, MANIFEST_TYPES
from buildpush.images.references import Digest, Reference, is_digest
from buildpush.registry.client import REPOSITORY_KEY_HEADER, Registry, refusal

_CREATED, _FORBIDDEN, _NOT_FOUND, _NOT_ALLOWED = 201, 403, 404, 405
_BROKEN: Final = 500  # and above: the server has failed, or a proxy in front of it
# What registries answer to an attempt to overwrite an immutable tag: Amazon's 400, Artifactory's 403 and 409,
# Harbor's 412.
_IMMUTABLE = frozenset({400, 403, 409, 412})
# A manifest names something that the registry does not have, or does not have yet.  Source: moby#36823.
_MISSING_BLOB_CODES: Final = frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN"})
# How often to try to read it back: for some seconds where it may be late, twice where a scan may block it.
_ATTEMPTS: Final = {_NOT_FOUND: 6, _FORBIDDEN: 2}


class Naming:
    """Writes the manifests of one push under their names.

    Args:
        registry: to ask.
        sink: gets a note about what could not be read back.

    Attributes:
        listed: digests of referrers that the registry itself lists.
    """

    def __init__(self, registry: Registry, sink: Sink) -> None:
        self._registry = registry
        self._sink = sink
        self._patient = True  # until a wait was in vain: the next ones would be as well
        self.listed: set[Digest] = set()

    def write(self, manifest: bytes, media_type: str, name: Reference, resend_lost: Callable[[], object]) -> str | None:
        """Write *manifest* under *name*; return Artifactory's repository key, if the answer has it.

        Args:
            manifest: its blobs have been confirmed.
            media_type: of the manifest.
            name: a tag, or the manifest's own digest.
            resend_lost: sends the blobs that the repository has lost; called after a second refusal because of them.

        Raises:
            RegistryError: the registry refuses.
            DigestError: the registry has something else.
            UnreachableError: there is no answer.
            AuthenticationError: the credentials are refused.
        """
        digest = digest_of(manifest)
        try:
            answer = self._send(manifest, media_type, name, resend_lost)
        except UnreachableError as error:
            if self._was_accepted(digest, media_type, name, error):
                return None
            raise
        if not answer.ok:
            if answer.status >= _BROKEN and self._was_accepted(
                digest, media_type, name, refusal(answer, "not accepted")
            ):
                return None
            return self._accept_same(answer, digest, media_type, name)
        _compare(answer, digest, name, manifest)
        if "OCI-Subject" in answer.headers:
            self.listed.add(digest)
        # A web page, or a proxy, may answer 200 to anything: only this header belongs to a registry.
        confirmed = answer.status == _CREATED or is_digest(answer.headers.get("Docker-Content-Digest", ""))
        return self._read_back(manifest, media_type, name, confirmed=confirmed) or _key(answer)

    def _send(self, manifest: bytes, media_type: str, name: Reference, resend_lost: Callable[[], object]) -> Answer:
        """Send the manifest; send it again where the registry does not see its blobs yet, or has lost one."""
        headers = {"Content-Type": media_type}
        for attempt in itertools.count(1):
            answer = self._registry.request(
                name.repository, "PUT", f"manifests/{name.target}", headers=headers, body=manifest
            )
            error = None if answer.ok else refusal(answer, f"{name} was not accepted")
            if error is None or error.code not in _MISSING_BLOB_CODES or attempt == self._registry.http.attempts:
                break
            if attempt > 1:
                resend_lost()
            self._registry.http.wait(f"the manifest of {name}", f"{error}, although all of it was confirmed", attempt)
        return answer

    def _was_accepted(self, digest: Digest, media_type: str, name: Reference, error: PushError) -> bool:
        """Return whether *name* names the manifest although there was an *error*: only the answer may be lost."""
        try:
            answer = self.find_name(media_type, name)
        except PushError:
            return False
        if answer is None or answer.headers.get("Docker-Content-Digest") != str(digest):
            return False
        self._sink(Note(f"{name} names {digest}, although the registry's answer was lost: {error}"))
        return True

    def find_name(self, media_type: str, name: Reference) -> Answer | None:
        """Return the registry's answer about *name*, or ``None`` if it names nothing, or we may not read it."""
        headers = {"Accept": ", ".join(dict.fromkeys((media_type, *sorted(MANIFEST_TYPES | INDEX_TYPES))))}
        try:
            answer = self._registry.request(name.repository, "HEAD", f"manifests/{name.target}", headers=headers)
        except (AuthenticationError, ElsewhereError):  # permission to write may come without permission to read
            return None
        return answer if answer.ok else None

    def _accept_same(self, answer: Answer, digest: Digest, media_type: str, name: Reference) -> str | None:
        """Accept a refusal if the name, which must not be overwritten, names the same image already.

        Raises:
            RegistryError: it names another image, or none.
        """
        error = refusal(answer, f"{name} was not accepted")
        about_tag = name.tag and answer.status in _IMMUTABLE and not (error.code or "").startswith("MANIFEST_")
        existing = self.find_name(media_type, name) if about_tag else None
        present = existing.headers.get("Docker-Content-Digest") if existing else None
        if existing is None or present is None:
            raise error
        if present != str(digest):
            message = f"{name} names {present}, and may not name {digest} instead: {error}"
            hint = "the registry does not let this tag be overwritten: choose another one"
            raise RegistryError(message, status=error.status, code=error.code, hint=hint)
        self._sink(Note(f"{name} already names the same image, and may not be written again"))
        return _key(existing)

    # Reading back what was confirmed

    def _read_back(self, manifest: bytes, media_type: str, name: Reference, *, confirmed: bool) -> str | None:
        try:
            return _key(self.wait_until_shown(manifest, media_type, name))
        except (PushError, AuthenticationError) as error:
            if not confirmed:
                raise
            self._patient = False
            message = f"{name} was confirmed as {digest_of(manifest)}, and could not be read afterwards: {error}"
            self._sink(Note(message))
            return None

    def wait_until_shown(self, manifest: bytes, media_type: str, name: Reference) -> Answer:
        """Return the answer that shows the manifest under its name, once there is one.

        Raises:
            RegistryError: the registry does not return it.
            DigestError: something else is shown.
        """
        digest = digest_of(manifest)
        for attempt in itertools.count(1):
            answer = self._ask(media_type, name)
            error = _objection(answer, digest, name, manifest)
            if error is None:
                break
            if answer.ok and self._is_there(manifest, media_type, name.repository.at(digest)):
                # Someone else may have pushed the same tag since; then ours exists under its digest.
                self._sink(Note(f"{name} was pushed as {digest}, and names another image now"))
                break
            # A tag that still names the previous image is as late as one that does not exist.
            if not self._patient or attempt >= _ATTEMPTS.get(_NOT_FOUND if answer.ok else answer.status, 1):
                raise error
            self._registry.http.wait(str(name), str(error), attempt)
        return answer

    def _ask(self, media_type: str, name: Reference) -> Answer:
        """Return the answer about a name; it has the manifest itself where no header has the digest."""
        headers, path = {"Accept": media_type}, f"manifests/{name.target}"
        answer = self._registry.request(name.repository, "HEAD", path, headers=headers)
        silent = answer.ok and not answer.headers.get("Docker-Content-Digest")  # as the specification allows
        if answer.status == _NOT_ALLOWED or silent:
            answer = self._registry.request(name.repository, "GET", path, headers=headers)
        return answer

    def _is_there(self, manifest: bytes, media_type: str, name: Reference) -> bool:
        return _objection(self._ask(media_type, name), digest_of(manifest), name, manifest) is None


def _key(answer: Answer) -> str | None:
    return answer.headers.get(REPOSITORY_KEY_HEADER)


def _objection(answer: Answer, digest: Digest, name: Reference, manifest: bytes) -> PushError | None:
    """Return what is wrong with an answer that should show the manifest."""
    if not answer.ok:
        return refusal(answer, f"{name} cannot be read")
    try:
        _compare(answer, digest, name, manifest)
        _compare_body(answer, digest, name)
    except DigestError as error:
        return error
    return None


_CHANGED_HINT: Final = "a proxy in between changes what it passes on, or someone pushed the same tag"


def _compare(answer: Answer, digest: Digest, name: Reference, manifest: bytes) -> None:
    """Compare the digest in the answer, by whichever algorithm, with what was sent."""
    present = answer.headers.get("Docker-Content-Digest", "")
    if not is_digest(present) and not present.startswith("sha256:"):  # an algorithm that we do not support
        return
    if present == str(digest_of(manifest, present.partition(":")[0])):
        return
    message = f"{name} names {present}, but {digest} was pushed"
    raise DigestError(message, hint=_CHANGED_HINT)


def _compare_body(answer: Answer, digest: Digest, name: Reference) -> None:
    if not answer.body and "Docker-Content-Digest" not in answer.headers:
        message = f"{name} is shown without content, but {digest} was pushed"
        raise DigestError(message, hint="a proxy or a login page may be in between")
    if answer.body and digest_of(answer.body) != digest:
        message = f"{name} names {digest_of(answer.body)}, but {digest} was pushed"
        raise DigestError(message, hint=_CHANGED_HINT)

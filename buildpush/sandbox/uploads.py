"""Unfinished uploads: their bytes survive a broken connection, and a restart on the same data."""

from __future__ import annotations

import asyncio
import re
import secrets
import uuid
from contextlib import suppress
from dataclasses import field
from itertools import takewhile
from typing import Literal

from aiohttp import web

from buildpush.foundation.records import dataclass
from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.content import Incoming
from buildpush.sandbox.layout import Target
from buildpush.sandbox.permissions import Caller
from buildpush.sandbox.store import DAY_SECONDS, Store

STATE = "_state"
SIGNATURE = "signature"
MOST_UPLOADS = 1000
# An upload that nobody continues ends after a day, or after a minute when there are very many.
IDLE_SECONDS = DAY_SECONDS
IDLE_SECONDS_OF_MANY = 60
_CONTENT_RANGE = re.compile(r"(?:bytes[ =])?(?P<first>\d{1,18})-(?P<last>\d{1,18})(?:/(?:\*|\d+))?\Z")


@dataclass(frozen=True, slots=True)
class UploadBehaviour:
    """How a registry handles uploads; the names are in :data:`BEHAVIOURS`.

    Attributes:
        reports_offset: whether GET of an upload gives the offset; if not, the answer is 400, and clients have to try.
        checks_range: whether a piece that does not begin where the last one ended is answered with 416.
        one_stream: whether only the first piece may lack Content-Range.
        state: whether the address contains the offset, and a request with an older offset ends the upload; so a piece
            that breaks in the middle ends its upload.
        relative: whether ``Location`` has no host.
        piece_status: status of the answer to a piece.
        largest_piece: most bytes of a piece with Content-Range, 416 for more; a piece without it has no limit.
        one_piece: whether every piece but the first is answered with 416.
        range: what ``Range`` covers: ``all`` that arrived, always the ``first`` piece, or only the last ``piece`` (in
            the answers to pieces).
    """

    reports_offset: bool = True
    checks_range: bool = True
    one_stream: bool = False
    state: bool = False
    relative: bool = False
    piece_status: int = 202
    largest_piece: int | None = None
    one_piece: bool = False
    range: Literal["all", "first", "piece"] = "all"


BEHAVIOURS = {
    "artifactory": UploadBehaviour(),
    # Source: distribution 2.8, registry/handlers/blobupload.go, ResumeBlobUpload.
    "docker-registry": UploadBehaviour(checks_range=False, state=True),
    # Source: go-containerregistry, pkg/registry/blobs.go.
    "crane": UploadBehaviour(reports_offset=False, one_stream=True, relative=True, piece_status=204),
    # As reported by users; we have not observed it ourselves.  Source: ocx-sh/ocx#237.
    "ghcr": UploadBehaviour(largest_piece=4 * 1024 * 1024),
    # Source: aws/containers-roadmap#2831, crashappsec/chalk#682.
    "ecr": UploadBehaviour(range="first"),
    # Source: regclient#961.
    "zot": UploadBehaviour(range="piece"),
    # Source: cloudflare/serverless-registry#20.
    "serverless": UploadBehaviour(one_piece=True),
}


@dataclass(slots=True)
class UploadSession:
    """One blob on its way into a repository.

    Attributes:
        signature: allows whoever has it to continue the upload without credentials.
        creator: who began it; ``None`` for an upload from before a restart.
        writing: the connection that is sending a piece now.
        short: whether the latest piece was shorter than the server requires; only the last piece may be.
        first: bytes of its first piece.
        used: when a request was last about it, in seconds since 1970.
    """

    identifier: str
    target: Target
    incoming: Incoming
    creator: Caller | None = None
    signature: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    writing: asyncio.BaseTransport | None = None
    short: bool = False
    first: int = 0
    used: float = 0.0

    def record_piece(self, before: int, least: int) -> None:
        """Record that a piece arrived after *before* bytes; *least* is the smallest size of a piece."""
        self.first = self.first or self.incoming.size
        self.short = self.incoming.size - before < least

    def range(self, about: str, piece: int | None = None) -> str:
        """Return ``Range`` for what arrived so far; it is the same for no bytes and for one byte.

        Args:
            about: see :attr:`UploadBehaviour.range`.
            piece: bytes of the piece that is being answered, if there is one.
        """
        size = self.first if about == "first" else self.incoming.size
        size = piece if about == "piece" and piece is not None else size
        return f"0-{max(size - 1, 0)}"

    @property
    def state(self) -> str:
        """The offset, in the form in which it is part of the address."""
        return f"{self.incoming.size:x}"

    async def take_over(self, request: web.Request) -> None:
        """Lock the upload; a connection that is still sending an earlier piece is broken: its client has given up."""
        if isinstance(self.writing, asyncio.Transport):
            self.writing.abort()
        await self.lock.acquire()
        self.writing = request.transport

    async def settle(self) -> None:
        """Wait until what a broken connection brought is written: it counts as arrived."""
        if isinstance(self.writing, asyncio.Transport) and self.writing.is_closing():
            async with self.lock:
                pass

    def unlock(self) -> None:
        """Unlock the upload for the next piece."""
        self.writing = None
        self.lock.release()


class Uploads:
    """All unfinished uploads.

    Args:
        store: keeps them across restarts.
        behaviour: how they are handled.
    """

    def __init__(self, store: Store, behaviour: UploadBehaviour) -> None:
        self._store = store
        self.behaviour = behaviour
        # The one that waits longest comes first.
        self._open: dict[str, UploadSession] = {}

    def begin(self, target: Target, caller: Caller) -> UploadSession:
        """Return a new upload, after ending those that were abandoned.

        Raises:
            RequestRefusedError: 429, there are too many.
        """
        self.forget(IDLE_SECONDS if len(self._open) < MOST_UPLOADS else IDLE_SECONDS_OF_MANY)
        if len(self._open) >= MOST_UPLOADS:
            headers = {"Retry-After": str(IDLE_SECONDS_OF_MANY)}
            raise RequestRefusedError(429, "TOOMANYREQUESTS", "there are too many unfinished uploads", headers=headers)
        identifier = uuid.uuid4().hex
        self._store.put_upload(identifier, target.name)
        return self._add(UploadSession(identifier, target, self._store.content.receive(identifier), caller))

    def _add(self, upload: UploadSession) -> UploadSession:
        """Make an upload the last of those that wait."""
        self._open.pop(upload.identifier, None)
        self._open[upload.identifier] = upload
        upload.used = self._store.clock()
        return upload

    def forget(self, seconds: float = IDLE_SECONDS) -> None:
        """End every upload that has waited for so many seconds."""
        before = self._store.clock() - seconds
        for upload in list(takewhile(lambda one: one.used < before, self._open.values())):
            if not upload.lock.locked():
                self.end(upload)

    def find(self, identifier: str, target: Target, state: str | None = None) -> UploadSession:
        """Return an upload that was begun for the same image.

        Args:
            identifier: from its address.
            target: the image in its address.
            state: from the query of its address.

        Raises:
            RequestRefusedError: 404, it does not exist, or has ended.
        """
        upload = self._open.get(identifier) or self._revive(identifier, target)
        if upload is None or upload.target.name != target.name:
            raise RequestRefusedError(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        if self.behaviour.state and state != upload.state:
            self.end(upload)
            raise RequestRefusedError(404, "BLOB_UPLOAD_INVALID", "blob upload invalid")
        return self._add(upload)

    def _revive(self, identifier: str, target: Target) -> UploadSession | None:
        """Return an upload from before the last restart."""
        if self._store.upload(identifier) != target.name:
            return None
        return UploadSession(identifier, target, self._store.content.receive(identifier))

    def find_creator(self, identifier: str, signature: str) -> Caller | None:
        """Return who began the upload, if the signature is right."""
        upload = self._open.get(identifier)
        is_valid = upload is not None and secrets.compare_digest(upload.signature.encode(), signature.encode())
        return upload.creator if upload and is_valid else None

    def signature(self, identifier: str) -> str:
        """Return the signature that allows anyone to continue an upload; empty if there is no such upload."""
        upload = self._open.get(identifier)
        return upload.signature if upload else ""

    def expire(self, identifier: str) -> None:
        """Make an upload expire."""
        if upload := self._open.get(identifier):
            self.end(upload)
        self._store.remove_upload(identifier)

    def end(self, upload: UploadSession) -> None:
        """Remove an upload, and its bytes unless they were kept."""
        self._open.pop(upload.identifier, None)
        upload.incoming.discard()
        with suppress(OSError):  # a full disk; what has no file is forgotten at the next start
            self._store.remove_upload(upload.identifier)

    def close(self) -> None:
        """Close all uploads; they can be continued after a restart."""
        for upload in self._open.values():
            upload.incoming.let_go()
        self._open.clear()

    # Rules for pieces

    def check(self, upload: UploadSession, content_range: str | None, length: int | None) -> None:
        """Check that a piece continues what arrived before.

        Args:
            upload: what arrived before.
            content_range: header of the piece, such as ``1024-2047``; without it, the piece continues the upload.
            length: its ``Content-Length``, if it has one.

        Raises:
            RequestRefusedError: 416, it begins at another offset, or is too large;
                400, its header cannot be parsed, contradicts the length, or is missing,
                or the piece before was too short.
        """
        if upload.short and length != 0:
            raise RequestRefusedError(400, "SIZE_INVALID", "the piece before this one was too short")
        if self.behaviour.one_piece and upload.incoming.size and length != 0:
            raise RequestRefusedError(416, "RANGE_INVALID", "there is a piece already")
        if content_range is None:
            if self.behaviour.one_stream and upload.incoming.size and length != 0:
                raise RequestRefusedError(
                    400, "BLOB_UPLOAD_INVALID", "Stream uploads after first write are not allowed"
                )
            return
        if length is not None and length > (self.behaviour.largest_piece or length):
            raise RequestRefusedError(416, "RANGE_INVALID", f"a piece has at most {self.behaviour.largest_piece} bytes")
        if self.behaviour.checks_range:
            _check_range(upload.incoming.size, content_range, length)


def _check_range(size: int, content_range: str, length: int | None) -> None:
    match = _CONTENT_RANGE.match(content_range)
    if not match or int(match["last"]) < int(match["first"]):
        raise RequestRefusedError(400, "BLOB_UPLOAD_INVALID", "the Content-Range cannot be read")
    first, last = int(match["first"]), int(match["last"])
    if first != size:
        message = f"the piece begins at {first}, but {size} bytes arrived so far"
        raise RequestRefusedError(416, "BLOB_UPLOAD_INVALID", message)
    if length is not None and length != last - first + 1:
        raise RequestRefusedError(400, "SIZE_INVALID", "Content-Range and Content-Length contradict each other")

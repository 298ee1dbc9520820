"""Uploads that are on their way: what arrived so far outlives a broken connection, not a restart."""

from __future__ import annotations

import asyncio
import re
import uuid
from dataclasses import dataclass, field

from buildpush.sandbox.answers import RefusedError
from buildpush.sandbox.content import Content, Incoming
from buildpush.sandbox.layout import Target

_CONTENT_RANGE = re.compile(r"(?:bytes[ =])?(?P<first>\d{1,18})-(?P<last>\d{1,18})(?:/(?:\*|\d+))?\Z")


@dataclass(slots=True)
class Upload:
    """One blob on its way into a repository."""

    identifier: str
    target: Target
    incoming: Incoming
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def range(self) -> str:
        """What arrived so far, as the registry writes it; nothing and one byte look the same there."""
        return f"0-{max(self.incoming.size - 1, 0)}"


class Uploads:
    """All uploads that are on their way."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._open: dict[str, Upload] = {}

    def begin(self, target: Target) -> Upload:
        """Return a new upload."""
        upload = Upload(uuid.uuid4().hex, target, self._content.receive())
        self._open[upload.identifier] = upload
        return upload

    def find(self, identifier: str, target: Target) -> Upload:
        """Return an upload that was begun for the same image.

        Raises:
            RefusedError: 404, there is none, or it has ended.
        """
        upload = self._open.get(identifier)
        if upload is None or upload.target.name != target.name:
            raise RefusedError(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        return upload

    def end(self, upload: Upload) -> None:
        """Forget an upload, and its bytes unless they were kept."""
        self._open.pop(upload.identifier, None)
        upload.incoming.discard()

    def close(self) -> None:
        """Forget them all."""
        for upload in list(self._open.values()):
            self.end(upload)


def check_range(upload: Upload, content_range: str | None, length: int | None) -> None:
    """Check that a piece continues what arrived before.

    Args:
        upload: what arrived before.
        content_range: header of the piece, such as ``1024-2047``; without it the piece simply goes on.
        length: its ``Content-Length``, where it has one.

    Raises:
        RefusedError: 416, it begins somewhere else; 400, the header cannot be read or contradicts the length.
    """
    if content_range is None:
        return
    match = _CONTENT_RANGE.match(content_range)
    if not match or int(match["last"]) < int(match["first"]):
        raise RefusedError(400, "BLOB_UPLOAD_INVALID", "the Content-Range cannot be read")
    first, last = int(match["first"]), int(match["last"])
    if first != upload.incoming.size:
        message = f"the piece begins at {first}, but {upload.incoming.size} bytes arrived so far"
        raise RefusedError(416, "BLOB_UPLOAD_INVALID", message)
    if length is not None and length != last - first + 1:
        raise RefusedError(400, "SIZE_INVALID", "Content-Range and Content-Length contradict each other")

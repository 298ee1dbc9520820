"""Stored files in answers: whole, or the range that is asked for; their tag is the SHA-1, as in Artifactory.

aiohttp's own answer has a tag made of the time of the file, takes only a time in ``If-Range``, and knows its status
too late for the journal.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.web_request import BaseRequest


class SentFile(web.FileResponse):
    """The content of a file, or a part of it.

    Attributes:
        path: of the content.
        part: positions of the bytes that are sent.
        tag: for the header ``ETag``.
    """

    def __init__(self, path: Path, size: int, part: range | None, tag: str, headers: Mapping[str, str]) -> None:
        self.path, self.part, self.tag = path, part or range(size), tag
        self._is_range = part is not None
        place = {"Content-Range": f"bytes {self.part.start}-{self.part.stop - 1}/{size}"} if self._is_range else {}
        super().__init__(path, status=206 if self._is_range else 200, headers={**headers, **place})

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Send the file: all conditions are decided, and only a range that applies is left."""
        asked = {"Range": f"bytes={self.part.start}-{self.part.stop - 1}"} if self._is_range else {}
        return await super().prepare(request.clone(headers=asked))

    def read(self) -> bytes:
        """Return the bytes that are sent."""
        with self.path.open("rb") as file:
            file.seek(self.part.start)
            return file.read(len(self.part))


def sent_file(
    request: web.Request, path: Path, tag: str = "", headers: Mapping[str, str] | None = None
) -> web.StreamResponse:
    """Return the answer to a request for the content at *path*.

    Source: RFC 9110, 13.2.2, without ``If-Match`` and ``If-Unmodified-Since``; one range at most.
    """
    size = path.stat().st_size
    if _is_known(request, path, tag):
        return web.Response(status=304, headers={"ETag": tag} if tag else {})
    if "Range" not in request.headers or not _has_same(request, path, tag):
        return SentFile(path, size, None, tag, headers or {})
    try:
        part = range(size)[request.http_range]
    except ValueError:
        part = range(0)
    if not part:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{size}"})
    return SentFile(path, size, part, tag, headers or {})


def _is_known(request: web.Request, path: Path, tag: str) -> bool:
    """Return whether the client has the file already."""
    if "If-None-Match" in request.headers:
        named = {one.strip().removeprefix("W/").strip('"') for one in request.headers["If-None-Match"].split(",")}
        return not named.isdisjoint({tag or "*", "*"})
    since = request.if_modified_since
    return since is not None and path.stat().st_mtime <= since.timestamp()


def _has_same(request: web.Request, path: Path, tag: str) -> bool:
    """Return whether the client may continue what it has of the file."""
    if "If-Range" not in request.headers:
        return True
    since = request.if_range
    is_as_old = since is not None and path.stat().st_mtime <= since.timestamp()
    return is_as_old or request.headers["If-Range"].strip('"') == tag

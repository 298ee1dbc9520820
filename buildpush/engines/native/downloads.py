"""Fetches what ADD names on the web: each address once, into a file that is removed after the build.

Source: Dockerfile reference, "ADD <url>"; names, modes and times as in BuildKit.
"""

# Flags of other programs in this module's texts: --checksum

from __future__ import annotations

import hashlib
import posixpath
from contextlib import ExitStack
from dataclasses import field
from functools import cached_property
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from buildpush.dockerfile.urls import has_valid_host, printable_url
from buildpush.engines import Tools
from buildpush.foundation.errors import BadNameError, BuildError
from buildpush.foundation.events import Log
from buildpush.foundation.locks import temporary
from buildpush.foundation.records import dataclass
from buildpush.foundation.text import quotation
from buildpush.http.urls import url_without_secrets
from buildpush.images.references import Digest
from buildpush.images.tar import Entry, OnDisk

_MODE: Final = 0o600
_DEFAULT_NAME: Final = "__unnamed__"


@dataclass(frozen=True)
class Downloads:
    """The files that one build fetches from the web; *stack* removes them when it is closed."""

    tools: Tools
    stack: ExitStack
    entries: dict[str, Entry] = field(default_factory=dict)

    @cached_property
    def _directory(self) -> Path:
        return self.stack.enter_context(temporary(self.tools.scratch))

    def file(self, url: str, checksum: str | None) -> Entry:
        """Download *url* into a file with the last part of the address as its name.

        Raises:
            BuildError: it cannot be fetched, or does not match *checksum*.
        """
        if not has_valid_host(url):
            message = f"{printable_url(url)} is not an address"
            raise BuildError(message, hint="check its host and port")
        expected = _digest(checksum) if checksum else None
        if url not in self.entries:
            self.tools.sink(Log(f"fetch {url_without_secrets(url)}"))
            self.entries[url] = self._fetch(url)
        entry = self.entries[url]
        if expected:
            _check(url, entry, expected)
        return entry

    def _fetch(self, url: str) -> Entry:
        path = self._directory / str(len(self.entries))
        modified = self.tools.fetch(url, path)
        status = path.stat()
        content = OnDisk(str(path), status.st_mtime_ns, status.st_ino, status.st_dev, status.st_ctime_ns)
        return Entry(name_of(url), "file", _MODE, modified=modified, size=status.st_size, content=content)


def name_of(url: str) -> str:
    """Return the name that a file from *url* gets where the destination is a directory."""
    name = posixpath.basename(unquote(urlsplit(url).path).rstrip("/"))
    return {"": _DEFAULT_NAME, ".": _DEFAULT_NAME, "..": "download"}.get(name, name)


def _digest(text: str) -> Digest:
    try:
        return Digest(text)
    except BadNameError as error:
        message = f"--checksum={quotation(text, 80)} is not a digest"
        raise BuildError(message, hint="write it as sha256: and 64 hexadecimal digits") from error


def _check(url: str, entry: Entry, expected: Digest) -> None:
    path = entry.content.path if isinstance(entry.content, OnDisk) else ""
    with Path(path).open("rb") as file:
        actual = f"{expected.algorithm}:{hashlib.file_digest(file, expected.algorithm).hexdigest()}"
    if actual != str(expected):
        message = f"{url_without_secrets(url)} has the digest {actual}, but --checksum says {expected}"
        raise BuildError(message, hint="the file has changed: inspect it, then change the checksum")

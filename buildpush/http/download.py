"""A download from the web into a local file."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final

from buildpush.foundation.errors import BuildError, UnreachableError
from buildpush.http.client import Http
from buildpush.http.messages import Answer, Stream
from buildpush.http.urls import Address, url_without_secrets

_BLOCK: Final = 1024 * 1024


def download(http: Http, url: str, path: Path, *, most: int) -> int:
    """Write what is at *url* into the file *path*; where the connection breaks, it starts over.

    Args:
        http: connections.
        url: as the user wrote it.
        path: of the file.
        most: bytes that it may have; one more is read, and it is not asked for again.

    Returns:
        When it was last changed, in seconds since 1970, as the server says; 0 where it does not say.

    Raises:
        UnreachableError: the connection breaks again and again; or *url* is not an address.
        BuildError: the server does not give the file, or it is larger.
    """
    address = str(Address.parse_lenient(url))
    for attempt in range(1, http.attempts + 1):
        with http.open("GET", address) as answer:  # which has its own retries
            if not isinstance(answer, Stream):
                raise _refused(answer, url)
            try:
                return _written(answer, path, url, most)
            except UnreachableError as error:
                if attempt == http.attempts:
                    raise
                reason = str(error)
        http.wait(url_without_secrets(url), reason, attempt)
    raise AssertionError  # the last attempt returns or raises


def _written(answer: Stream, path: Path, url: str, most: int) -> int:
    left = most
    with path.open("wb") as file:
        while block := answer.read(min(_BLOCK, left + 1)):
            left -= len(block)
            if left < 0:
                message = f"{url_without_secrets(url)} is larger than {most:,} bytes"
                raise BuildError(message, hint="if this is what you want, raise 'fetch_limit'", setting="fetch_limit")
            file.write(block)
    return _changed(answer.headers.get("Last-Modified", ""))


def _refused(answer: Answer, url: str) -> BuildError:
    message = f"{url_without_secrets(url)} cannot be fetched: status {answer.status}"
    return BuildError(message, hint="check the address; what is behind a login cannot be added from the web")


def _changed(text: str) -> int:
    try:
        return max(0, int(parsedate_to_datetime(text).timestamp()))
    except (ValueError, TypeError, OverflowError):
        return 0

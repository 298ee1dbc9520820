"""Downloads a file from the web."""

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
    """Write what is at *url* into the file *path*; if the connection breaks, start over.

    Args:
        http: connections.
        url: as the user wrote it.
        path: of the file.
        most: maximum bytes of the file; a larger one is not requested again.

    Returns:
        When it was last changed, in seconds since 1970, as the server says; 0 where it does not say.

    Raises:
        UnreachableError: the connection breaks again and again; or *url* is not an address.
        BuildError: the server does not send the file, or it is larger than *most*.
    """
    address = str(Address.parse_lenient(url))
    for attempt in range(1, http.attempts + 1):
        with http.open("GET", address) as answer:  # open() has its own retries
            if not isinstance(answer, Stream):
                raise _refusal(answer, url)
            try:
                return _write(answer, path, url, most)
            except UnreachableError as error:
                if attempt == http.attempts:
                    raise
                reason = str(error)
        http.wait(url_without_secrets(url), reason, attempt)
    raise AssertionError  # the last attempt returns or raises


def _write(answer: Stream, path: Path, url: str, most: int) -> int:
    remaining = most
    with path.open("wb") as file:
        while block := answer.read(min(_BLOCK, remaining + 1)):
            remaining -= len(block)
            if remaining < 0:
                message = f"{url_without_secrets(url)} is larger than {most:,} bytes"
                raise BuildError(message, hint="if this is what you want, raise 'fetch_limit'", setting="fetch_limit")
            file.write(block)
    return _time_of_change(answer.headers.get("Last-Modified", ""))


def _refusal(answer: Answer, url: str) -> BuildError:
    message = f"{url_without_secrets(url)} cannot be fetched: status {answer.status}"
    return BuildError(message, hint="check the address; a file that requires a login cannot be added from the web")


def _time_of_change(text: str) -> int:
    try:
        return max(0, int(parsedate_to_datetime(text).timestamp()))
    except (ValueError, TypeError, OverflowError):
        return 0

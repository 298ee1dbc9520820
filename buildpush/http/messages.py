"""Requests to a server, and its answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any

from buildpush.foundation import strict_json
from buildpush.foundation.errors import AuthenticationError, RegistryError
from buildpush.foundation.records import dataclass
from buildpush.http.failures import failure_of
from buildpush.http.urls import Address, url_without_secrets
from buildpush.http.words import error_in, is_page

if TYPE_CHECKING:
    import urllib3

Authorization = str | Callable[[], str | None] | None
Piece = bytes | memoryview
Body = bytes | Iterable[Piece] | None
LARGEST_ANSWER = 64 * 1024 * 1024
SECRET_HEADERS = frozenset({"x-jfrog-art-api"})  # credentials besides ``Authorization``


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's answer, whatever its status.

    Attributes:
        headers: looked up case-insensitively.
        url: the address that answered, after redirects.
        attempts: how often the request was sent.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    url: str
    attempts: int = 1

    @property
    def ok(self) -> bool:
        """Whether the status is one of 200 to 299."""
        return 200 <= self.status < 300  # noqa: PLR2004 - that is what 2xx means

    def json(self) -> Any:
        """Return the body read as JSON.

        Raises:
            RegistryError: it is something else, such as a proxy's login page.
        """
        try:
            return strict_json.parse(self.body)
        except ValueError as error:
            what = self.text() if is_page(self.body) else "something that is not JSON"
            message = f"{url_without_secrets(self.url)} answered with {what}"
            hint = "a proxy or a login page may be in between"
            raise RegistryError(message, status=self.status, hint=hint) from error

    def text(self) -> str:
        """Return the message in the body, as one line of at most 2048 characters: see :func:`error_in`."""
        return error_in(self.body)[1]


@dataclass(slots=True)
class HttpRequest:
    """One request, which may be sent several times."""

    method: str
    address: Address
    headers: dict[str, str]
    body: bytes | CountedBody | None
    authorization: Authorization
    repeatable: bool
    streams: bool = False
    most: int = LARGEST_ANSWER
    attempt: int = 0

    @property
    def what(self) -> str:
        """Method and address, for messages."""
        return f"{self.method} {url_without_secrets(str(self.address))}"


class CountedBody:
    """A streamed body that counts the bytes that were sent, and keeps an error of its source."""

    def __init__(self, source: Iterable[Piece], stop_if_cancelled: Callable[[], None]) -> None:
        self._source = source
        self._stop_if_cancelled = stop_if_cancelled
        self.sent = 0
        self.failure: BaseException | None = None

    def __iter__(self) -> Iterator[Piece]:
        try:
            for block in self._source:
                self._stop_if_cancelled()
                yield block
                self.sent += len(block)
        except GeneratorExit:
            raise
        except BaseException as error:
            self.failure = error
            raise


class Stream:
    """An answer whose body is read as it arrives, like a file."""

    def __init__(self, response: urllib3.BaseHTTPResponse, url: str, stop_if_cancelled: Callable[[], None]) -> None:
        self._stop_if_cancelled = stop_if_cancelled
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.url = url

    def read(self, size: int = -1) -> bytes:
        """Return up to *size* bytes, all of them if it is negative, none at the end.

        Raises:
            UnreachableError: the connection broke.
        """
        return self._read(lambda: self._response.read(None if size < 0 else size, decode_content=False))

    def _read(self, read: Callable[[], bytes]) -> bytes:
        import urllib3

        try:
            return read()
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            self._stop_if_cancelled()
            raise failure_of(error, self.url).error from error

    def read_some(self, most: int) -> bytes:
        """Return up to *most* bytes as soon as there are any, none at the end; errors are those of :meth:`read`."""
        return self._read(lambda: self._response.read1(most, decode_content=False))

    def readable(self) -> bool:
        """Return ``True``."""
        return True

    def close(self) -> None:
        """Close the connection; what was not read is dropped."""
        self._response.close()
        self._response.release_conn()


def is_redirect(answer: Answer) -> bool:
    """Return whether *answer* is a redirect."""
    return answer.status in {301, 302, 303, 307, 308} and "Location" in answer.headers


def check_login(headers: Mapping[str, str], address: Address) -> None:
    """Refuse a login that no header can have, such as a token that contains the end of a line.

    Raises:
        AuthenticationError: it has such characters.
    """
    logins = [value for name, value in headers.items() if name.lower() in {"authorization", *SECRET_HEADERS}]
    if not all(value.isprintable() and value.isascii() for value in logins):
        message = f"the token or password for {address.netloc} has characters that no token has"
        raise AuthenticationError(message, hint="check that it is copied whole, and nothing with it")

"""All requests of one blob's upload: begin, send, ask, end, give up. Nothing is decided here.

Bytes that were handed to the network are counted and timed, and the session is kept in the memory, so that a later run
finds it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple
from urllib.parse import quote

from buildpush.foundation.errors import AuthenticationError, UnreachableError
from buildpush.foundation.meter import Meter
from buildpush.foundation.regex import regex
from buildpush.http.failures import Interrupted
from buildpush.http.messages import Answer, Piece
from buildpush.images.references import Digest, Repository
from buildpush.registry.client import Registry, refusal
from buildpush.registry.profile import LARGEST_PART, UploadMethod, UploadProfile
from buildpush.registry.upload_state import UploadState
from buildpush.registry.verdict import RetryableError

_ACCEPTED, _FORBIDDEN = 202, 403
_REDIRECTS: Final = frozenset({307, 308})
_MOST_REDIRECTS: Final = 5
_RANGE = regex(r"(?:bytes[ =])?0-(?P<last>\d{1,18})\Z")


class Transmitted(NamedTuple):
    """An answer, and whether it came after all of the request had been sent."""

    answer: Answer
    complete: bool


class Channel:
    """The upload of one blob into one repository.

    Args:
        registry: to send to.
        repository: to send into.
        what: the blob in words, for messages.
        fingerprint: by which the memory finds its session again; empty where that is not wanted.
        meter: counts what was sent, and how long that took.

    Attributes:
        session: that the registry has begun, if there is one.
        reached: how far into the blob bytes were ever handed to the network.
    """

    def __init__(self, registry: Registry, repository: Repository, what: str, fingerprint: str, meter: Meter) -> None:
        self.registry = registry
        self.repository = repository
        self.what = what
        self.session: UploadState | None = None
        self.reached = 0
        self._fingerprint = fingerprint
        self._memory = registry.memory if fingerprint else None
        self._meter = meter

    @property
    def current(self) -> UploadState:
        """The session, where there is one."""
        if self.session is None:
            raise AssertionError
        return self.session

    @property
    def profile(self) -> UploadProfile:
        """How uploads to this host are best sent."""
        return self.registry.profile(self.repository.host)

    def learn(self, lesson: Callable[[UploadProfile], UploadProfile]) -> None:
        """Send uploads to this host in another way from now on."""
        self.registry.learn(self.repository.host, lesson)

    def chosen_way(self, wish: UploadMethod | None) -> UploadMethod:
        """Return the way to send a blob in a new session: the *wish*, else the host's."""
        way = wish or self.profile.way
        return "patch" if way == "parts" and self.profile.least > LARGEST_PART else way

    # The session, here and in the memory

    def begin(self, wish: UploadMethod | None) -> UploadState:
        """Begin a session, and return it."""
        answer = self.registry.request(self.repository, "POST", "blobs/uploads/", body=b"", repeatable=True)
        if answer.status == _FORBIDDEN:
            raise self.registry.forbidden(self.repository, answer)
        if answer.status != _ACCEPTED or "Location" not in answer.headers:
            raise refusal(answer, f"{self.what} cannot be sent to {self.repository}")
        self.registry.heed(answer, self.repository.host)
        location = self.registry.following(self.repository, answer, answer.headers["Location"])
        self.session = UploadState(location, self.chosen_way(wish))
        self.keep()  # some registries keep an incomplete part as well
        return self.session

    def enter(self, begun: str | None) -> None:
        """Resume the session of an earlier run, or the one that a mount has *begun*, if there is one."""
        way = self.chosen_way(None)
        wanted = self._memory and way == "parts" and not self.profile.late
        found = self._memory.take_session(self.repository, self._fingerprint) if self._memory and wanted else None
        if found and begun:
            self.registry.give_up(self.repository, begun)
        if found:
            self.session = UploadState.resume(found, way)
        elif begun:
            self.session = UploadState(begun, way)

    def keep(self) -> None:
        """Remember the session."""
        if self._memory and self.session:
            self._memory.keep_session(self.repository, self._fingerprint, self.session.location)

    def leave(self) -> None:
        """Leave a session that has not ended to later runs."""
        if self._memory and self.session:
            self._memory.leave_session(self.repository, self._fingerprint, self.session.location)

    def drop(self, *, give_up: bool = False) -> None:
        """Continue without the session; with *give_up*, ask the registry to cancel it as well."""
        session, self.session = self.session, None
        if session and give_up:
            self.registry.give_up(self.repository, session.location)
        if session and self._memory:
            self._memory.forget_session(self.repository, self._fingerprint, session.location)

    def follow(self, answer: Answer) -> None:
        """Keep the address at which the upload continues, which may change after each part."""
        if location := answer.headers.get("Location"):
            url = self.registry.following(self.repository, answer, location)
            self.session = self.current.moved(url)

    # Requests

    def ask(self) -> Answer:
        """Return the answer about the progress of the upload."""
        return self.registry.request(self.repository, "GET", self.current.location, repeatable=True)

    def asked_offset(self) -> int | None:
        """Return the progress of the upload according to the registry; not every registry answers."""
        try:
            answer = self.ask()
        except (UnreachableError, AuthenticationError):
            return None
        return offset_in(answer) if answer.ok else None

    def transmit(
        self,
        blocks: Callable[[], tuple[int, Iterable[Piece]]],
        headers: dict[str, str],
        digest: Digest | None = None,
    ) -> Transmitted:
        """Send *blocks* and return the answer; where the registry redirects us, send them there once more.

        Args:
            blocks: what to send, and the position of its first byte in the blob.
            headers: besides the type.
            digest: of the whole blob, where this request ends the upload as well.

        Raises:
            RetryableError: the connection broke.
            UnreachableError: there is no answer, or an address that must not be followed.
            AuthenticationError: the credentials are refused.
        """
        headers = {"Content-Type": "application/octet-stream", **headers}
        for _ in range(_MOST_REDIRECTS):
            method, url = ("PUT", self._address_of_end(digest)) if digest else ("PATCH", self.current.location)
            body = _TimedBody(*blocks())
            begun = time.perf_counter()
            try:
                answer = self.registry.request(self.repository, method, url, headers=headers, body=iter(body))
            except Interrupted as error:
                self._learn_of_cut(error.sent, fresh=headers.get("Connection") == "close")
                raise RetryableError(UnreachableError(str(error), hint=error.hint)) from error
            finally:
                self._count(body, time.perf_counter() - begun)
            if answer.status not in _REDIRECTS or "Location" not in answer.headers:
                break
            self.follow(answer)
        return Transmitted(answer, body.ended)

    def _learn_of_cut(self, sent: int, *, fresh: bool) -> None:
        self.learn(lambda profile: profile.after_cut(sent, fresh=fresh))

    def _count(self, body: _TimedBody, seconds: float) -> None:
        """Count what one request sent; bytes that were handed to the network before count as sent again."""
        end = body.first + body.size
        self._meter.count("sent", body.size)
        self._meter.count("again", max(0, min(end, self.reached) - body.first))
        self.reached = max(self.reached, end)
        self._meter.spend("send", body.seconds)
        self._meter.spend("wait", max(0.0, seconds - body.seconds - body.making))

    def end(self, digest: Digest) -> Answer:
        """End the upload; this is not repeated blindly, since it may have succeeded in spite of a failure."""
        url = self._address_of_end(digest)
        try:
            with self._meter.timing("wait"):
                return self.registry.request(self.repository, "PUT", url, body=b"", repeatable=False)
        except UnreachableError as error:
            raise RetryableError(error) from error

    def _address_of_end(self, digest: Digest) -> str:
        location = self.current.location
        return f"{location}{'&' if '?' in location else '?'}digest={quote(str(digest), safe='')}"


class _TimedBody:
    """Blocks on their way to the network: counts them, and measures sending apart from making them.

    Args:
        first: position of their first byte in the blob.
        blocks: to be sent.
    """

    def __init__(self, first: int, blocks: Iterable[Piece]) -> None:
        self._blocks = blocks
        self.first = first
        self.size = 0
        self.seconds = 0.0
        self.making = 0.0
        self.ended = False

    def __iter__(self) -> Iterator[Piece]:
        before = time.perf_counter()
        for block in self._blocks:
            begun = time.perf_counter()
            self.making += begun - before
            self.size += len(block)
            yield block
            before = time.perf_counter()
            self.seconds += before - begun
        self.ended = True


def offset_in(answer: Answer) -> int | None:
    """Return how many bytes the registry says it has, if it says so; ``0-0`` means none, as registries use it."""
    match = _RANGE.match(answer.headers.get("Range", "").strip())
    return None if match is None else int(match["last"]) + 1 if int(match["last"]) else 0

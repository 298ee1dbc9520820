"""The requests of one blob's upload: to begin, send, ask for progress, end and cancel. It makes no decisions.

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
from buildpush.http.failures import Interruption
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


class Transmission(NamedTuple):
    """An answer, and whether it came after all of the request had been sent."""

    answer: Answer
    complete: bool


class Channel:
    """The upload of one blob into one repository.

    Args:
        registry: to send to.
        repository: to send into.
        what: name of the blob in messages.
        fingerprint: by which the memory finds its session again; empty where it need not.
        meter: counts what was sent, and how long that took.

    Attributes:
        session: the upload session that the registry has begun, if any.
        reached: offset in the blob up to which bytes have been handed to the network.
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
        """The session, which must exist."""
        if self.session is None:
            raise AssertionError
        return self.session

    @property
    def profile(self) -> UploadProfile:
        """How uploads to this host are best sent."""
        return self.registry.profile(self.repository.host)

    def learn(self, lesson: Callable[[UploadProfile], UploadProfile]) -> None:
        """Change how uploads to this host are sent: *lesson* returns the new profile for the present one."""
        self.registry.learn(self.repository.host, lesson)

    def select_method(self, wish: UploadMethod | None) -> UploadMethod:
        """Return the method for a new session: *wish*, or the one that is best for the host."""
        method = wish or self.profile.way
        return "patch" if method == "parts" and self.profile.least > LARGEST_PART else method

    # The session, here and in the memory

    def begin(self, wish: UploadMethod | None) -> UploadState:
        """Begin a session, and return it."""
        answer = self.registry.request(self.repository, "POST", "blobs/uploads/", body=b"", repeatable=True)
        if answer.status == _FORBIDDEN:
            raise self.registry.forbidden(self.repository, answer)
        if answer.status != _ACCEPTED or "Location" not in answer.headers:
            raise refusal(answer, f"{self.what} cannot be sent to {self.repository}")
        self.registry.learn_part_size(answer, self.repository.host)
        location = self.registry.resolve_location(self.repository, answer, answer.headers["Location"])
        self.session = UploadState(location, self.select_method(wish))
        self.keep()  # before any part: some registries keep an incomplete part as well
        return self.session

    def resume(self, location: str | None) -> None:
        """Resume the session of an earlier run, or the one at *location*, which a mount has begun, if any."""
        method = self.select_method(None)
        can_resume = self._memory and method == "parts" and not self.profile.late
        earlier = self._memory.take_session(self.repository, self._fingerprint) if self._memory and can_resume else None
        if earlier and location:
            self.registry.give_up(self.repository, location)
        if earlier:
            self.session = UploadState.resume(earlier, method)
        elif location:
            self.session = UploadState(location, method)

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
        """Continue at the address in *answer*, which may change after each part."""
        if location := answer.headers.get("Location"):
            url = self.registry.resolve_location(self.repository, answer, location)
            self.session = self.current.at_location(url)

    # Requests

    def ask(self) -> Answer:
        """Return the answer about the progress of the upload."""
        return self.registry.request(self.repository, "GET", self.current.location, repeatable=True)

    def ask_offset(self) -> int | None:
        """Return how many bytes the registry says it has; ``None`` where it does not say."""
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
    ) -> Transmission:
        """Send *blocks* and return the answer; where the registry redirects us, send them there once more.

        Args:
            blocks: what to send, and the position of its first byte in the blob.
            headers: those besides ``Content-Type``.
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
            start = time.perf_counter()
            try:
                answer = self.registry.request(self.repository, method, url, headers=headers, body=iter(body))
            except Interruption as error:
                self._learn_of_cut(error.sent, fresh=headers.get("Connection") == "close")
                raise RetryableError(UnreachableError(str(error), hint=error.hint)) from error
            finally:
                self._count(body, time.perf_counter() - start)
            if answer.status not in _REDIRECTS or "Location" not in answer.headers:
                break
            self.follow(answer)
        return Transmission(answer, body.ended)

    def _learn_of_cut(self, sent: int, *, fresh: bool) -> None:
        self.learn(lambda profile: profile.after_cut(sent, fresh=fresh))

    def _count(self, body: _TimedBody, seconds: float) -> None:
        """Count what one request sent; bytes that an earlier request has sent count as sent again."""
        end = body.first + body.size
        self._meter.count("sent", body.size)
        self._meter.count("again", max(0, min(end, self.reached) - body.first))
        self.reached = max(self.reached, end)
        self._meter.spend("send", body.seconds)
        self._meter.spend("wait", max(0.0, seconds - body.seconds - body.making))

    def end(self, digest: Digest) -> Answer:
        """End the upload; not repeated here, since it may have succeeded although no answer came."""
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
    """Blocks on their way to the network: counts bytes, and measures the time to send apart from that to make them.

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
            start = time.perf_counter()
            self.making += start - before
            self.size += len(block)
            yield block
            before = time.perf_counter()
            self.seconds += before - start
        self.ended = True


def offset_in(answer: Answer) -> int | None:
    """Return how many bytes the registry says it has, or ``None``; ``0-0`` means none, as registries use it."""
    match = _RANGE.match(answer.headers.get("Range", "").strip())
    return None if match is None else int(match["last"]) + 1 if int(match["last"]) else 0

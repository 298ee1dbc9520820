"""Uploads one blob: in parts, or in one request where parts are refused; resumes after a break.

Source: OCI distribution-spec 1.1, "Pushing a blob in chunks". Registries differ: docker-registry forgets an upload
whose connection broke in the middle of a part, crane's does not say how much it has, Artifactory's behaviour is not
documented. GHCR accepts no part above 4 MiB, others no second one, ECR and zot report less of an upload than they have,
some proxies do not support PATCH. So what was refused is sent again in a way that requires less of the
registry, what worked is remembered, and parts are small as long as a host is unknown: a refusal costs little.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from buildpush.foundation.errors import DigestError, PushError, RegistryError, UnreachableError
from buildpush.foundation.events import Note, Retry
from buildpush.foundation.meter import Meter
from buildpush.http.messages import Answer, Piece
from buildpush.images.compression import BlobInfo
from buildpush.images.references import Digest, Repository
from buildpush.registry.blobs import find
from buildpush.registry.channel import Channel, Transmission, offset_in
from buildpush.registry.client import Registry, refusal
from buildpush.registry.parts import Parts
from buildpush.registry.profile import LARGEST_PART, UploadMethod
from buildpush.registry.upload_state import Doubt, UploadPlan, UploadState
from buildpush.registry.verdict import FINAL_CODES, TEMPORARY, WRONG_RANGE, RetryableError, judge

_CREATED = 201
_UNAUTHORIZED, _TOO_LARGE = 401, 413
# What registries that refuse parts answer; and those that do not support PATCH.
_NO_PARTS: Final = frozenset({400, 405, 411, 415, 501})
_NO_PATCH: Final = frozenset({405, 501})
_NO_STREAM: Final = frozenset({411, 415})


def send(
    registry: Registry,
    repository: Repository,
    parts: Parts,
    *,
    what: str,
    promised: Digest | None = None,
    location: str | None = None,
    most: int = LARGEST_PART,
    meter: Meter | None = None,
) -> BlobInfo:
    """Send a blob and return what the registry confirmed.

    Args:
        registry: to send to.
        repository: to send into.
        parts: the blob.
        what: name of the blob in messages.
        promised: the digest that the bytes must have, if that is known.
        location: address of an upload that the registry has begun already.
        most: maximum bytes of a part, which is held in memory.
        meter: counts what was sent, and how long that took.

    Raises:
        DigestError: the bytes that were read, or those that the registry has, have another digest.
        RegistryError: the registry refuses.
        UnreachableError: the connection broke too often without any progress.
        AuthenticationError: the credentials are refused.
    """
    is_one_part = parts.is_within(registry.profile(repository.host).most(most))
    # Sending one part costs no more than asking for its progress.
    fingerprint = parts.fingerprint() if registry.memory and not is_one_part else ""
    channel = Channel(registry, repository, what, fingerprint, meter or Meter())
    channel.resume(location)
    try:
        return _Upload(channel, parts, promised, most).run()
    finally:
        channel.leave()


class _Upload:
    """One call of :func:`send`."""

    def __init__(self, channel: Channel, parts: Parts, promised: Digest | None, most: int) -> None:
        self._channel = channel
        self._what = channel.what
        self._parts = parts
        self._promised = promised
        self._wanted = most
        self._plan = UploadPlan()
        self._is_one_part = parts.is_within(self._most)
        self._furthest = 0  # highest offset that the registry has confirmed
        self._failures: Counter[int] = Counter()  # by status, 0 for none, since the last progress

    def run(self) -> BlobInfo:
        while True:
            try:
                return self._try_once()
            except RetryableError as failure:
                if blob := self._find_arrived():
                    return blob
                self._prepare(failure)

    def _try_once(self) -> BlobInfo:
        session = self._channel.session or self._begin()
        if not session.known:
            session = self._ask_offset(session)
        if session.way == "parts":
            while size := self._next_size():
                self._send_part(size)
                self._channel.keep()
        elif session.way == "patch" and not self._is_complete(session):
            self._send_whole()
        return self._commit()

    def _is_complete(self, session: UploadState) -> bool:
        """Return whether the registry has confirmed everything."""
        return self._parts.ended and not self._parts.size and session.offset == self._parts.start

    @property
    def _most(self) -> int:
        """Preferred bytes of a part."""
        return self._channel.profile.most(self._wanted)

    @property
    def _is_alone(self) -> bool:
        """Whether the whole blob is one part, which is no different from one PATCH."""
        return self._parts.start == 0 and self._parts.is_within(self._most)

    def _next_size(self) -> int:
        """Return the bytes of the next part; none at the end."""
        if self._is_alone:
            return self._parts.next_part(self._most)
        known = self._parts.source.length or self._parts.end
        return self._parts.next_part(self._channel.profile.size(self._wanted, known))

    # Beginning, and resuming after a failure

    def _begin(self) -> UploadState:
        session = self._channel.begin(self._plan.way)
        self._parts.move_to(0)
        return session

    def _prepare(self, failure: RetryableError) -> None:
        """Prepare another try, or raise the error if there is none."""
        http, status = self._channel.registry.http, failure.answer.status if failure.answer else 0
        self._failures[status] += 1
        total = self._failures.total()
        is_last = self._failures[status] >= (failure.tries or http.attempts) or total >= 2 * http.attempts
        if is_last and not (failure.other_way and self._furthest == 0 and self._switch_way()):
            raise failure.error from failure
        if failure.lost:
            self._channel.drop()
        elif session := self._channel.session:
            self._channel.session = session.after_failure(certain=failure.certain)
        what = f"{self._what} to {self._channel.repository}"
        http.wait(what, f"{failure.error}{self._cost()}", self._failures.total(), failure.answer)

    def _switch_way(self, way: UploadMethod | None = None) -> bool:
        """Plan to send all of it again, in a way that requires less of the registry; return whether there is one."""
        present = self._channel.current.way
        less: UploadMethod = "patch" if present == "parts" and not self._is_alone else "put"
        plan = self._plan.switch_to(way or less, present)
        if plan is None:
            return False
        self._plan = plan
        self._channel.drop(give_up=True)
        self._failures.clear()
        return True

    def _cost(self) -> str:
        """Return a text about what has to be sent again, if the registry keeps nothing of it."""
        sent = self._channel.reached
        return f"; {sent:,} bytes are sent again" if self._channel.session is None and sent else ""

    def _ask_offset(self, session: UploadState) -> UploadState:
        """Ask the registry how much of the upload it has, and continue from that offset."""
        answer = self._channel.ask()
        if answer.status in TEMPORARY:
            raise RetryableError(
                refusal(answer, f"the registry does not say how much it has of {self._what}"), answer, tries=2
            )
        offset = offset_in(answer) if answer.ok else None
        if self._channel.profile.late and (offset is None or offset < session.offset):
            offset = session.offset
        if offset is None or (offset > self._channel.reached and not session.resumed):
            self._channel.drop()
            if cost := self._cost():
                reason = f"the registry has forgotten the upload{cost}"
                self._channel.registry.sink(Retry(self._what, reason, 0.0, self._failures.total()))
            return self._begin()
        self._channel.follow(answer)
        if session.resumed and offset and not self._channel.reached:
            self._channel.registry.sink(Note(f"{self._what} continues after {offset:,} bytes of an earlier run"))
        return self._continue_at(offset, Doubt.REPORTED)

    def _continue_at(self, offset: int, doubt: Doubt = Doubt.NONE) -> UploadState:
        """Continue at *offset*: what comes before need not be sent again."""
        self._channel.session = session = self._channel.current.at_offset(offset, doubt)
        self._parts.move_to(offset)
        if self._parts.start < offset:  # the registry has more than the blob: that upload is not ours
            error = DigestError(
                f"{self._what}: the registry says that it has {offset} bytes, but the blob has {self._parts.start}"
            )
            raise RetryableError(error, lost=True)
        self._channel.reached = max(self._channel.reached, offset)
        if offset > self._furthest:
            self._furthest = offset
            self._failures.clear()
        return session

    # Sending

    def _send_part(self, size: int) -> None:
        first = self._parts.start
        headers = {"Content-Length": str(size)}
        if not self._is_alone:  # every registry accepts a whole blob without it, and some refuse a large one with it
            headers["Content-Range"] = f"{first}-{first + size - 1}"
        if self._channel.profile.fresh:
            headers["Connection"] = "close"
        sent = self._channel.transmit(lambda: (first, self._parts.first(size)), headers)
        if not sent.answer.ok:
            raise self._judge_refusal(sent, size)
        self._channel.follow(sent.answer)
        if not sent.complete:  # it accepts more than it can have
            raise self._too_early(sent.answer)
        end, doubt = self._end_of(sent.answer, first, size)
        if end <= first:
            host = self._channel.repository.host
            error = PushError(f"{self._what}: {first + size} bytes were sent, and {host} has {end}")
            raise RetryableError(error, sent.answer, tries=3, other_way=self._may_dislike_parts)
        self._continue_at(end, doubt)
        profile = self._channel.profile
        if size > profile.taken or (first and not profile.takes_parts):
            self._channel.learn(lambda profile: profile.after_part(size, second=first > 0))

    def _end_of(self, answer: Answer, first: int, size: int) -> tuple[int, Doubt]:
        """Return how far the upload is after a part was accepted, and the doubt about that.

        ECR's ``Range`` stays at the end of the first part, zot's counts only the last part: then the registry is asked,
        once for each host, and unless it says otherwise, we assume that it has the part. The digest decides in the end.
        Source: aws/containers-roadmap#2831, regclient#961.
        """
        end, offset, late = first + size, offset_in(answer), self._channel.profile.late
        one_byte = offset == 0 and end == 1  # 0-0 means that as well
        if offset in {None, end} or one_byte:
            return end, Doubt.NONE
        reported = None if late else self._channel.ask_offset()
        alone = reported is None and offset == size
        reported = offset or 0 if reported is None else reported
        if reported == end or late or (first and (alone or not first < reported < end)):
            self._channel.learn(lambda profile: replace(profile, late=True))
            return end, Doubt.ASSUMED
        return min(reported, end), Doubt.NONE

    def _too_early(self, answer: Answer) -> RetryableError:
        message = f"{self._channel.repository.host} has answered before all of {self._what} was sent"
        return RetryableError(PushError(message), answer, tries=3)

    def _send_whole(self) -> None:
        """Send everything in one PATCH, as Docker does; after a break, start over."""
        length = self._parts.source.length
        try:
            sent = self._channel.transmit(self._everything, {} if length is None else {"Content-Length": str(length)})
            if not sent.complete:
                raise self._too_early(sent.answer)
            if not sent.answer.ok:
                raise self._judge_refusal(sent, self._parts.start)
        except RetryableError as failure:
            failure.lost = True
            raise
        self._channel.follow(sent.answer)
        self._continue_at(self._parts.start)

    def _everything(self) -> tuple[int, Iterable[Piece]]:
        """Return the whole blob, and 0, its first position; what is no longer in memory is made again."""
        self._parts.move_to(0)
        return 0, self._parts.rest()

    # What a refusal means

    def _judge_refusal(self, sent: Transmission, size: int) -> Exception:
        """Return the error, or the retry, for an answer that refuses a part of *size* bytes."""
        answer, repository = sent.answer, self._channel.repository
        error = refusal(answer, f"{self._what} was not accepted by {repository}")
        if answer.status == _UNAUTHORIZED:  # there is a new token now
            login_error = self._channel.registry.authorizer(repository.host).error(answer)
            return RetryableError(login_error, answer, tries=2, certain=sent.complete)
        if answer.status == _TOO_LARGE:  # for a proxy that limits the size of requests, parts become smaller
            if self._channel.profile.after_limit(size) is None:
                return error
            self._channel.learn(lambda profile: profile.after_limit(size) or profile)
            return RetryableError(error, answer)
        if error.code not in FINAL_CODES and (retry := self._another_way(error, answer, size)):
            return retry
        return judge(error, answer, progress=self._furthest > 0)

    def _another_way(self, error: RegistryError, answer: Answer, size: int) -> RetryableError | None:
        """Return a retry in another way, if the refusal may be about this one."""
        if answer.status in _NO_PATCH and not self._channel.profile.takes_parts and self._switch_way("put"):
            return RetryableError(error, answer)
        if answer.status == WRONG_RANGE and self._channel.current.way == "parts" and not self._is_alone:
            return self._retry_with_less(error, answer, size)
        parts_or_lengths = self._may_dislike_parts or answer.status in _NO_STREAM
        if answer.status in _NO_PARTS and parts_or_lengths and self._switch_way():
            return RetryableError(error, answer)
        return None

    def _retry_with_less(self, error: RegistryError, answer: Answer, size: int) -> RetryableError:
        """Return a retry, after a part was refused as if its offset were wrong, which it may be."""
        first = self._parts.start
        if self._resend_if_assumed():
            return RetryableError(error, answer)
        if first and self._channel.ask_offset() not in {first, None}:
            return RetryableError(error, answer, tries=3)
        plan = self._plan.with_smaller_parts()
        if plan and self._channel.profile.after_refusal(size):
            self._plan = plan
            self._channel.learn(lambda profile: profile.after_refusal(size) or profile)
            return RetryableError(error, answer, certain=first == 0)
        if self._may_dislike_parts and self._switch_way():
            return RetryableError(error, answer)
        return RetryableError(error, answer, tries=3, other_way=True)

    def _resend_if_assumed(self) -> bool:
        """Plan to send all in one request if we assumed more than the registry reported; return whether we did."""
        if self._channel.current.doubt is not Doubt.ASSUMED:
            return False
        self._channel.learn(lambda profile: replace(profile, late=False, takes_parts=False))
        return self._switch_way("patch")

    @property
    def _may_dislike_parts(self) -> bool:
        """Whether parts may be the reason for a refusal: some registries accept none, others only one."""
        return self._channel.current.way == "parts" and not self._is_alone and not self._channel.profile.takes_parts

    # The end

    def _commit(self) -> BlobInfo:
        way = self._channel.current.way
        if way == "put" and self._parts.result is None:  # the PUT that sends the blob must name its digest
            deque(self._everything()[1], 0)
        result = self._parts.result
        if result is None:  # a source at its end has a result
            raise AssertionError
        self._check(result)
        answer = self._put(result) if way == "put" else self._channel.end(result.digest)
        if not answer.ok:
            error = self._error_at_end(answer)
            if isinstance(error, RetryableError):
                error.lost = error.lost or way == "put"  # how much of it the registry has is unknown
            raise error
        if answer.status != _CREATED and "Docker-Content-Digest" not in answer.headers:
            raise self._error_without_digest(answer)
        self._compare(answer, result.digest)
        self._channel.drop()
        new, worked = self._plan.way, self._plan.way == "put" or not self._is_one_part
        if new and worked and self._channel.profile.way != new:
            self._channel.learn(lambda profile: profile.with_way(new))
        return result

    def _put(self, result: BlobInfo) -> Answer:
        """Send all of it with the end of the upload, for registries without PATCH."""
        try:
            sent = self._channel.transmit(self._everything, {"Content-Length": str(result.size)}, result.digest)
        except RetryableError as failure:
            failure.lost = True
            raise
        if sent.answer.status == _UNAUTHORIZED:
            raise self._judge_refusal(sent, result.size)
        return sent.answer

    def _check(self, result: BlobInfo) -> None:
        if self._promised is None or result.digest == self._promised:
            return
        self._channel.drop(give_up=True)
        message = f"{self._what} has the digest {result.digest}, but {self._promised} was expected"
        raise DigestError(message, hint="the source has changed or is damaged: build or fetch the image again")

    def _compare(self, answer: Answer, digest: Digest) -> None:
        present, host = answer.headers.get("Docker-Content-Digest", ""), self._channel.repository.host
        if present == str(digest) or not present.startswith(
            "sha256:"
        ):  # a digest by another algorithm cannot be compared
            return
        message = f"{self._what} was altered on its way: {digest} was sent, {host} has {present}"
        raise DigestError(message, hint="a proxy in between changes what it passes on")

    def _error_at_end(self, answer: Answer) -> Exception:
        error = refusal(answer, f"{self._what} was not confirmed by {self._channel.repository}")
        if error.code != "DIGEST_INVALID":
            return judge(error, answer, progress=self._furthest > 0)
        hint = "run again; if it happens again, the source is damaged, or a proxy in between changes what it passes on"
        altered = DigestError(f"{error} (the registry computed another digest)", hint=hint)
        # What another run sent may be different, or the offset was wrong: all of it is sent once more.
        doubt = self._channel.current.doubt
        self._resend_if_assumed()
        return RetryableError(altered, answer, lost=True) if doubt else altered

    def _error_without_digest(self, answer: Answer) -> RetryableError:
        """Return the retry for a success without a digest: a login page, for example, answers 200 to everything."""
        host = self._channel.repository.host
        message = f"{host} does not confirm {self._what}: status {answer.status}, and no digest"
        error = RegistryError(message, status=answer.status, hint="a proxy or a login page may be in between")
        return RetryableError(error, answer, tries=2)

    def _find_arrived(self) -> BlobInfo | None:
        """Return the blob if the registry has it in spite of a failure; ``None`` also where it does not answer."""
        result = self._parts.result
        if result is None or self._parts.size:
            return None
        try:
            blob = find(self._channel.registry, self._channel.repository, result.digest, result.size)
        except UnreachableError:
            return None
        if blob:
            self._check(result)
            self._channel.drop()
        return result if blob else None

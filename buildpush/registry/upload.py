"""One blob on its way: in parts, or in one go where parts are not taken; after a break from where the registry is.

Source: OCI distribution-spec 1.1, "Pushing a blob in chunks". Registries differ: docker-registry forgets an upload
whose connection broke in the middle of a part, crane's does not tell how far it came, Artifactory's way is not
documented. GHCR takes no part above 4 MiB, others no second one, ECR and zot tell of an upload less than they have,
some proxies know no PATCH. So what was refused is sent in a way that asks less, in small portions as long as a host is
unknown, and what worked is remembered: a refusal costs a fraction of the blob.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import quote

from buildpush.foundation.errors import AuthenticationError, DigestError, PushError, RegistryError, UnreachableError
from buildpush.foundation.events import Note, Retry
from buildpush.foundation.meter import Meter
from buildpush.http.client import Answer, Piece
from buildpush.http.failures import Interrupted
from buildpush.images.compression import Compressed
from buildpush.images.references import Digest, Repository
from buildpush.registry.blobs import find
from buildpush.registry.client import Registry, refusal
from buildpush.registry.habits import LARGEST_PART, Habit, Way
from buildpush.registry.parts import Parts

_BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 400, 401, 403, 404
_TOO_LARGE, _WRONG_RANGE, _TOO_MANY = 413, 416, 429
_CREATED, _ACCEPTED = 201, 202
_MOVED = frozenset({307, 308})
_MANY_MOVES = 5
# The registry had a bad moment, or a proxy before it: the upload goes on where the registry is.
_PASSING = frozenset({408, 425, 429, 499, 500, 502, 503, 504, 507, *range(520, 528)})
# What registries answer that do not take a blob in parts; and what says that PATCH itself is not known.
_NO_PARTS = frozenset({400, 405, 411, 415, 501})
_NO_PATCH = frozenset({405, 501})
_NO_STREAM = frozenset({411, 415})
_FINAL_CODES = frozenset({"NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNSUPPORTED", "DENIED"})
_RANGE = re.compile(r"(?:bytes[ =])?0-(?P<last>\d{1,18})\Z")


def send(
    registry: Registry,
    repository: Repository,
    parts: Parts,
    *,
    what: str,
    promised: Digest | None = None,
    begun: str | None = None,
    most: int = LARGEST_PART,
    meter: Meter | None = None,
) -> Compressed:
    """Send a blob and return what the registry confirmed.

    Args:
        registry: to send to.
        repository: to send into.
        parts: the blob.
        what: the blob in words, for messages.
        promised: the digest that the bytes must have, if that is known.
        begun: address of an upload that the registry began already.
        most: bytes of a part, which is held in memory.
        meter: told what was sent, and how long that took.

    Raises:
        DigestError: the bytes have another digest than was promised, here or there.
        RegistryError: the registry says no.
        UnreachableError: the line broke too often without getting any further.
        AuthenticationError: the credentials are refused.
    """
    return _Upload(_Task(registry, repository, what, promised, most, meter or Meter()), parts).run(begun)


@dataclass(frozen=True, slots=True)
class _Task:
    """What one call of :func:`send` is to do."""

    registry: Registry
    repository: Repository
    what: str
    promised: Digest | None
    most: int
    meter: Meter


class _AgainError(Exception):
    """Something failed that may go well the next time.

    Args:
        error: what to raise if it does not.
        answer: of the registry, if there was one.
        lost: whether the upload is known to be gone.
        tries: how often in a row, without getting any further, this is worth it.
        sure: whether it is known that the registry took nothing of what was sent.
        step: whether another way to send the blob is worth a try when the tries are used up.
    """

    def __init__(
        self,
        error: PushError | AuthenticationError,
        answer: Answer | None = None,
        *,
        lost: bool = False,
        tries: int | None = None,
        sure: bool = False,
        step: bool = False,
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.answer = answer
        self.lost = lost
        self.tries = tries
        self.sure = sure
        self.step = step


class _Upload:
    """One call of :func:`send`."""

    def __init__(self, task: _Task, parts: Parts) -> None:
        self._task = task
        self._registry, self._repository = task.registry, task.repository
        self._parts = parts
        self._mark = ""
        self._small = False  # whether all of it is one part
        self._wish: Way | None = None  # in which way to send it, after others were refused
        self._way: Way = "parts"  # of the present upload
        self._tried: set[Way] = set()  # after a refusal
        self._smaller = False  # whether smaller parts were tried
        self._all_handed = True  # whether an answer came after all that it is about
        self._location: str | None = None
        self._unsure = False  # whether the registry must be asked how far it is
        self._resumed = False  # whether bytes that this run has not sent are in the upload
        self._doubted = False  # whether it went on at an offset that the registry told, or that we believe
        self._believed = False  # whether the registry said less than it took
        self._handed = 0  # as far as bytes were ever given to the network
        self._has = 0  # as far as the present upload is, for all we know
        self._best = 0  # as far as the registry ever confirmed
        self._failures: Counter[int] = Counter()  # by status, 0 for none, since it last got any further

    def run(self, begun: str | None) -> Compressed:
        self._small = self._parts.is_within(self._most)
        self._mark = self._parts.mark()
        self._location = self._first_address(begun)
        try:
            while True:
                try:
                    return self._once()
                except _AgainError as again:
                    if found := self._arrived():
                        return found
                    self._prepare(again)
        finally:
            self._leave()

    def _once(self) -> Compressed:
        if self._location is None:
            self._begin()
        if self._unsure:
            self._find_out()
        if self._way == "parts":
            self._send_parts()
        elif self._way == "patch" and not self._complete:
            self._send_whole()
        return self._commit()

    @property
    def _complete(self) -> bool:
        """Whether the registry has confirmed all there is."""
        return self._parts.ended and not self._parts.size and self._best == self._parts.start

    @property
    def _habit(self) -> Habit:
        return self._registry.habit(self._repository.host)

    @property
    def _most(self) -> int:
        """Bytes of a part, where nothing speaks against it."""
        return max(min(self._habit.least, LARGEST_PART), min(self._task.most, self._habit.part))

    def _next_size(self) -> int:
        """Return the bytes of the next part; none at the end."""
        if self._alone:
            return self._parts.next_part(self._most)
        known = self._parts.source.length or self._parts.end
        return self._parts.next_part(self._habit.size(self._task.most, known))

    def _chosen_way(self) -> Way:
        way = self._wish or self._habit.way
        return "patch" if way == "parts" and self._habit.least > LARGEST_PART else way

    # Beginning, and going on after a failure

    def _first_address(self, begun: str | None) -> str | None:
        """Return where to go on: with what an earlier run has sent, or with the upload that a mount began."""
        self._way = self._chosen_way()
        found = self._remembered() if self._way == "parts" else None
        if found and begun:
            self._registry.give_up(self._repository, begun)
        return found or begun

    def _remembered(self) -> str | None:
        """Return the address of an upload of this blob that an earlier run began, and which may still be alive."""
        memory = self._registry.memory
        if memory is None or self._small or self._habit.late:  # one part costs no more than asking
            return None
        found = memory.take_session(self._repository, self._mark)
        self._unsure = self._resumed = found is not None
        return found

    def _leave(self) -> None:
        """Leave an upload that has not ended to later runs."""
        if self._registry.memory and self._location:
            self._registry.memory.leave_session(self._repository, self._mark, self._location)

    def _keep(self) -> None:
        if self._registry.memory and self._location and not self._small:
            self._registry.memory.keep_session(self._repository, self._mark, self._location)

    def _forget(self) -> None:
        if self._registry.memory and self._location:
            self._registry.memory.forget_session(self._repository, self._mark, self._location)

    def _begin(self) -> None:
        answer = self._registry.request(self._repository, "POST", "blobs/uploads/", body=b"", repeatable=True)
        if answer.status == _FORBIDDEN:
            raise self._registry.forbidden(self._repository, answer)
        if answer.status != _ACCEPTED or "Location" not in answer.headers:
            raise refusal(answer, f"{self._task.what} cannot be sent to {self._repository}")
        self._parts.move_to(0)
        self._unsure = self._resumed = self._doubted = self._believed = False
        self._has = 0
        self._registry.heed(answer, self._repository.host)
        self._way = self._chosen_way()
        self._went_to(answer)
        self._keep()  # some registries keep what they have of a part as well

    def _went_to(self, answer: Answer) -> None:
        """Take over the address at which the upload goes on, which may be another after each part."""
        location = answer.headers.get("Location")
        if location:
            self._location = self._registry.following(self._repository, answer, location)

    def _prepare(self, again: _AgainError) -> None:
        """Get ready for another try, or raise what stands in its way."""
        attempts, status = self._registry.http.attempts, again.answer.status if again.answer else 0
        self._failures[status] += 1
        if self._failures[status] >= (again.tries or attempts) or self._failures.total() >= 2 * attempts:
            self._last_resort(again)
        self._unsure = not again.sure
        if again.lost:
            self._lose()
        what = f"{self._task.what} to {self._repository}"
        self._registry.http.wait(what, f"{again.error}{self._cost()}", self._failures.total(), again.answer)

    def _last_resort(self, again: _AgainError) -> None:
        """Try another way where all tries of this one are used up, or raise what stands in its way."""
        if not (again.step and self._best == 0 and self._step_down()):
            raise again.error from again

    def _step_down(self, way: Way | None = None) -> bool:
        """Send all of it anew, in a way that asks less of the registry; return whether there is one left."""
        wish: Way = way or ("patch" if self._way == "parts" and not self._alone else "put")
        if wish in self._tried or self._way == "put":
            return False
        self._tried.add(wish)
        self._wish = wish
        self._registry.give_up(self._repository, self._location or "")
        self._lose()
        self._failures.clear()
        return True

    def _lose(self) -> None:
        self._forget()
        self._location = None

    def _cost(self) -> str:
        """Say what has to be sent again, where the registry keeps nothing of it."""
        return f"; {self._handed:,} bytes are sent again" if self._location is None and self._handed else ""

    def _find_out(self) -> None:
        """Ask the registry how much of the upload it has, and go on from there."""
        answer = self._registry.request(self._repository, "GET", self._location or "", repeatable=True)
        if answer.status in _PASSING:
            raise _AgainError(refusal(answer, f"nothing is known of {self._task.what}"), answer, tries=2)
        offset = self._told(answer)
        if offset is None or (offset > self._handed and not self._resumed):
            self._lose()
            if cost := self._cost():
                reason = f"the registry has forgotten the upload{cost}"
                self._registry.sink(Retry(self._task.what, reason, 0.0, self._failures.total()))
            self._begin()
            return
        self._went_to(answer)
        if self._resumed and offset and not self._handed:
            self._registry.sink(Note(f"{self._task.what} goes on behind {offset:,} bytes of an earlier run"))
        self._unsure, self._doubted = False, True
        self._confirmed(offset)

    def _told(self, answer: Answer) -> int | None:
        """Return how far the upload is, by what the registry tells and by what it took before."""
        offset = _offset(answer) if answer.ok else None
        if self._habit.late and (offset is None or offset < self._has):
            self._doubted = True
            return self._has
        return offset

    def _confirmed(self, offset: int) -> None:
        """Go on at *offset*: what lies before it need not be sent any more."""
        self._parts.move_to(offset)
        if self._parts.start < offset:  # the registry has more than there is: that upload is not ours
            error = DigestError(f"{self._task.what}: the registry has {offset} bytes of {self._parts.start}")
            raise _AgainError(error, lost=True)
        self._handed = max(self._handed, offset)
        self._has = offset
        if offset > self._best:
            self._best = offset
            self._failures.clear()

    # Sending

    def _send_parts(self) -> None:
        while size := self._next_size():
            self._send_part(size)
            self._keep()

    def _send_part(self, size: int) -> None:
        first = self._parts.start
        headers = {"Content-Length": str(size)}
        if not self._alone:  # all of it is taken without it anywhere, and in some registries nothing large with it
            headers["Content-Range"] = f"{first}-{first + size - 1}"
        if self._habit.fresh:
            headers["Connection"] = "close"
        answer = self._patched(lambda: self._parts.first(size), headers)
        if not answer.ok:
            raise self._refused(answer, size)
        self._went_to(answer)
        if not self._all_handed:  # whatever it says that it has, it cannot have seen
            raise self._too_early(answer)
        end = self._end_of(answer, first, size)
        if end <= first:
            message = f"{self._task.what}: {first + size} bytes were sent, and {self._repository.host} has {end}"
            raise _AgainError(PushError(message), answer, tries=3, step=self._may_dislike_parts)
        self._confirmed(end)
        if size > self._habit.taken or (first and not self._habit.takes_parts):
            self._registry.learn(self._repository.host, lambda habit: habit.after_part(size, second=first > 0))

    @property
    def _alone(self) -> bool:
        """Whether the whole blob is one part, which is no different from one PATCH."""
        return self._parts.start == 0 and self._parts.is_within(self._most)

    def _end_of(self, answer: Answer, first: int, size: int) -> int:
        """Return how far the upload is after a part was taken.

        ECR's ``Range`` stays behind the first part, zot's is of the part alone: then the registry is asked, once for
        each host, and where it says nothing better, that it took the part is believed. The digest tells in the end.
        Source: aws/containers-roadmap#2831, regclient#961.
        """
        end, offset = first + size, _offset(answer)
        one_byte = offset == 0 and end == 1  # of which registries say 0-0, too
        if offset in {None, end} or one_byte:
            return end
        told = None if self._habit.late else self._asked_offset()
        alone = told is None and offset == size
        told = offset or 0 if told is None else told
        if told == end or self._habit.late or (first and (alone or not first < told < end)):
            self._believed = self._doubted = True
            self._registry.learn(self._repository.host, lambda habit: replace(habit, late=True))
            return end
        return min(told, end)

    def _asked_offset(self) -> int | None:
        """Return what the registry says to the question how far the upload is; not every one answers."""
        try:
            answer = self._registry.request(self._repository, "GET", self._location or "", repeatable=True)
        except (UnreachableError, AuthenticationError):
            return None
        return _offset(answer) if answer.ok else None

    def _too_early(self, answer: Answer) -> _AgainError:
        message = f"{self._repository.host} has answered before all of {self._task.what} was sent"
        return _AgainError(PushError(message), answer, tries=3)

    def _send_whole(self) -> None:
        """Send everything in one PATCH, as Docker does; after a break it begins anew."""
        headers = {}
        if self._parts.source.length is not None:
            headers["Content-Length"] = str(self._parts.source.length)
        try:
            answer = self._patched(self._everything, headers)
            if not self._all_handed:
                raise self._too_early(answer)
            if not answer.ok:
                raise self._refused(answer, self._parts.start)
        except _AgainError as again:
            again.lost = True
            raise
        self._went_to(answer)
        self._confirmed(self._parts.start)

    def _everything(self) -> Iterator[Piece]:
        """Give the blob from its first byte on; what has left the memory is made anew."""
        self._parts.move_to(0)
        return self._parts.rest()

    def _patched(
        self, blocks: Callable[[], Iterable[Piece]], headers: dict[str, str], digest: Digest | None = None
    ) -> Answer:
        """Send *blocks* and return the answer; send them once more where the registry sends us on to.

        Args:
            blocks: gives what to send.
            headers: besides the type.
            digest: of all of it, where this is to be the end of the upload as well.
        """
        headers = {"Content-Type": "application/octet-stream", **headers}
        for _ in range(_MANY_MOVES):
            try:
                answer = self._timed(digest, headers, blocks())
            except Interrupted as error:
                self._broke_after(error.sent, fresh=headers.get("Connection") == "close")
                raise _AgainError(UnreachableError(str(error), hint=error.hint)) from error
            if answer.status not in _MOVED or "Location" not in answer.headers:
                break
            self._went_to(answer)
        return answer

    def _broke_after(self, sent: int, *, fresh: bool) -> None:
        self._registry.learn(self._repository.host, lambda habit: habit.after_cut(sent, fresh=fresh))

    def _timed(self, digest: Digest | None, headers: dict[str, str], blocks: Iterable[Piece]) -> Answer:
        method, url = ("PUT", self._address_of_end(digest)) if digest else ("PATCH", self._location or "")
        handing = _Handing(blocks, self._parts.start)
        begun = time.perf_counter()
        try:
            return self._registry.request(self._repository, method, url, headers=headers, body=iter(handing))
        finally:
            self._all_handed = handing.ended
            self._count(handing, time.perf_counter() - begun)

    def _count(self, handing: _Handing, seconds: float) -> None:
        """Tell the meter what one request has sent; what was handed over before is sent again."""
        end = handing.first + handing.size
        self._task.meter.count("sent", handing.size)
        self._task.meter.count("again", max(0, min(end, self._handed) - handing.first))
        self._handed = max(self._handed, end)
        self._task.meter.spend("send", handing.seconds)
        self._task.meter.spend("wait", max(0.0, seconds - handing.seconds - handing.making))

    def _refused(self, answer: Answer, size: int) -> Exception:
        """Return what to make of an answer that says no to a part of *size* bytes."""
        error = refusal(answer, f"{self._task.what} was not taken by {self._repository}")
        if answer.status == _UNAUTHORIZED:  # there is a new token by now
            refused = self._registry.login(self._repository.host).refused(answer)
            return _AgainError(refused, answer, tries=2, sure=self._all_handed)
        if answer.status == _TOO_LARGE:
            return self._too_large(error, answer, size)
        if error.code not in _FINAL_CODES and (found := self._another_way(error, answer, size)):
            return found
        return _judged(error, answer, begun=self._best > 0)

    def _another_way(self, error: RegistryError, answer: Answer, size: int) -> _AgainError | None:
        """Return what tries another way to send the blob, where the refusal may be of this one."""
        if answer.status in _NO_PATCH and not self._habit.takes_parts and self._step_down("put"):
            return _AgainError(error, answer)
        if answer.status == _WRONG_RANGE and self._way == "parts" and not self._alone:
            return self._less(error, answer, size)
        parts_or_lengths = self._may_dislike_parts or answer.status in _NO_STREAM
        if answer.status in _NO_PARTS and parts_or_lengths and self._step_down():
            return _AgainError(error, answer)
        return None

    def _less(self, error: RegistryError, answer: Answer, size: int) -> _AgainError:
        """Return what asks less after a part was refused as if it were at the wrong place, which it may be."""
        first = self._parts.start
        if self._believed and self._disbelieve():
            return _AgainError(error, answer)
        if first and self._asked_offset() not in {first, None}:
            return _AgainError(error, answer, tries=3)
        if not self._smaller and self._habit.after_refusal(size):
            self._smaller = True
            self._registry.learn(self._repository.host, lambda habit: habit.after_refusal(size) or habit)
            return _AgainError(error, answer, sure=first == 0)
        if self._may_dislike_parts and self._step_down():
            return _AgainError(error, answer)
        return _AgainError(error, answer, tries=3, step=True)

    def _disbelieve(self) -> bool:
        """Send all of it in one go: the registry was said to have more than it had."""
        self._registry.learn(self._repository.host, lambda habit: replace(habit, late=False, takes_parts=False))
        return self._step_down("patch")

    @property
    def _may_dislike_parts(self) -> bool:
        """Whether parts may be the reason of a refusal: some registries take none, others one only."""
        return self._way == "parts" and not self._alone and not self._habit.takes_parts

    def _too_large(self, error: RegistryError, answer: Answer, size: int) -> Exception:
        """Make parts smaller where a proxy limits what passes it."""
        if self._habit.after_limit(size) is None:
            return error
        self._registry.learn(self._repository.host, lambda habit: habit.after_limit(size) or habit)
        return _AgainError(error, answer)

    # The end

    def _commit(self) -> Compressed:
        result = self._parts.result if self._way != "put" else self._read_through()
        if result is None or self._location is None:  # a source that ended has a result
            raise AssertionError
        self._check(result)
        answer = self._put(result) if self._way == "put" else self._ended(result.digest)
        if not answer.ok:
            no = self._not_confirmed(answer)
            if isinstance(no, _AgainError):
                no.lost = no.lost or self._way == "put"  # nobody knows what it has of that
            raise no
        if answer.status != _CREATED and "Docker-Content-Digest" not in answer.headers:
            raise self._no_word(answer)
        self._compare(answer, result.digest)
        self._forget()
        if self._wish and (self._wish == "put" or not self._small) and self._habit.way != self._wish:
            self._registry.learn(self._repository.host, lambda habit: habit.by(self._wish or habit.way))
        return result

    def _ended(self, digest: Digest) -> Answer:
        try:
            with self._task.meter.timing("wait"):
                # Not repeated blindly: after a failure it may well have been done.
                url = self._address_of_end(digest)
                return self._registry.request(self._repository, "PUT", url, body=b"", repeatable=False)
        except UnreachableError as error:
            raise _AgainError(error) from error

    def _read_through(self) -> Compressed | None:
        """Return what the blob is before any of it is sent: the PUT that brings it must name its digest."""
        if self._parts.result is None:
            for _ in self._everything():
                pass
        return self._parts.result

    def _put(self, result: Compressed) -> Answer:
        """Send all of it with the end of the upload, for those who know no PATCH."""
        try:
            answer = self._patched(self._everything, {"Content-Length": str(result.size)}, result.digest)
        except _AgainError as again:
            again.lost = True
            raise
        if answer.status == _UNAUTHORIZED:
            raise self._refused(answer, result.size)
        return answer

    def _address_of_end(self, digest: Digest) -> str:
        mark = "&" if "?" in (self._location or "") else "?"
        return f"{self._location}{mark}digest={quote(str(digest), safe='')}"

    def _check(self, result: Compressed) -> None:
        if self._task.promised is None or result.digest == self._task.promised:
            return
        self._registry.give_up(self._repository, self._location or "")
        self._forget()
        message = f"{self._task.what} has the digest {result.digest}, but {self._task.promised} was promised"
        raise DigestError(message, hint="the source has changed or is damaged: build or fetch the image again")

    def _compare(self, answer: Answer, digest: Digest) -> None:
        says = answer.headers.get("Docker-Content-Digest", "")
        if says == str(digest) or not says.startswith("sha256:"):  # by another algorithm it says nothing
            return
        message = f"{self._task.what} was altered on its way: {digest} was sent, {self._repository.host} has {says}"
        raise DigestError(message, hint="a proxy in between changes what it passes on")

    def _not_confirmed(self, answer: Answer) -> Exception:
        error = refusal(answer, f"{self._task.what} was not confirmed by {self._repository}")
        if error.code != "DIGEST_INVALID":
            return _judged(error, answer, begun=self._best > 0)
        hint = "run again; if it stays so, the source is damaged, or a proxy in between changes what it passes on"
        altered = DigestError(f"{error} (the registry computed another digest)", hint=hint)
        if self._believed:
            self._disbelieve()
        # What another run had sent may be something else, or the offset was not true: all of it is sent once more.
        return _AgainError(altered, answer, lost=True) if self._resumed or self._doubted else altered

    def _no_word(self, answer: Answer) -> _AgainError:
        """Return what to make of a yes that names nothing: a login page, say, answers 200 to everything."""
        message = f"{self._repository.host} does not confirm {self._task.what}: status {answer.status}, and no digest"
        error = RegistryError(message, status=answer.status, hint="a proxy or a login page may stand in between")
        return _AgainError(error, answer, tries=2)

    def _arrived(self) -> Compressed | None:
        """Return the blob if it is there in spite of a failure; without an answer it is not."""
        result = self._parts.result
        if result is None or self._parts.size:
            return None
        try:
            there = find(self._registry, self._repository, result.digest, result.size)
        except UnreachableError:
            return None
        if there:
            self._check(result)
            self._forget()
        return result if there else None


def _judged(error: RegistryError, answer: Answer, *, begun: bool) -> Exception:
    """Return *error*, in a form that allows another try where that may go well.

    Args:
        error: what the answer says.
        answer: of the registry.
        begun: whether the registry has confirmed something of the upload.
    """
    if answer.status in _PASSING:
        return _AgainError(error, answer, sure=answer.status == _TOO_MANY)
    if error.code in _FINAL_CODES:
        return error
    if answer.status == _WRONG_RANGE:
        return _AgainError(error, answer, tries=3, step=True)
    if answer.status == _NOT_FOUND:
        return _AgainError(error, answer, lost=True)
    if answer.status == _BAD_REQUEST:
        # A proxy answers 400 when an upload stalls; when it says so twice it means it.
        return _AgainError(error, answer, lost=not begun, tries=2, step=True)
    return error


class _Handing:
    """Blocks on their way to the network: counts them, and tells the time to send them from that to make them.

    Args:
        blocks: to be sent.
        first: position of their first byte in the blob.
    """

    def __init__(self, blocks: Iterable[Piece], first: int) -> None:
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


def _offset(answer: Answer) -> int | None:
    """Return how many bytes the registry says it has, if it says so; ``0-0`` means none, as registries use it."""
    match = _RANGE.match(answer.headers.get("Range", "").strip())
    return None if match is None else int(match["last"]) + 1 if int(match["last"]) else 0

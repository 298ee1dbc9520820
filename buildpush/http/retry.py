"""How often and how long to wait: the table of statuses, and the number of retries."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from buildpush.foundation.interrupts import Lock
from buildpush.foundation.records import dataclass

if TYPE_CHECKING:
    import urllib3

# Minimum bytes of an answer within the time limit for silence, once it has begun: a byte now and then is too few, and
# any connection that can carry an image is faster.
LEAST: Final = 64 * 1024
_SHORTEST: Final = 0.001  # seconds: 0 would be no limit

_end: ContextVar[float] = ContextVar("end", default=math.inf)  # by the monotonic clock


@contextmanager
def time_budget(seconds: float) -> Iterator[None]:
    """Give up the requests that this thread sends in the block as soon as they cannot be answered within *seconds*."""
    token = _end.set(min(_end.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _end.reset(token)


def seconds_left() -> float:
    """Return what is left of the smallest time budget of this thread, at least 0; without one, infinity."""
    return max(0.0, _end.get() - time.monotonic())


@dataclass(frozen=True, slots=True)
class Retries:
    """How often to retry: wait *base* x 2^n seconds up to *cap*, or as long as the server asks, up to *longest*.

    A host that answered before and is now down is tried *restart* times more, for about a minute: as long as a registry
    takes to restart.
    """

    attempts: int = 6
    restart: int = 3
    base: float = 0.25
    cap: float = 30.0
    longest: float = 60.0

    def may_wait(self, attempt: int, headers: Mapping[str, str] | None = None) -> bool:
        """Return whether the wait after that many attempts ends before the time budget does."""
        return self.seconds(attempt, headers) < seconds_left()

    def seconds(self, attempt: int, headers: Mapping[str, str] | None = None) -> float:
        """Return how long to wait after that many attempts, the last of which had an answer with *headers*, if any."""
        wish = retry_after(headers or {})
        if wish:  # 0 is ignored: repeating a request at once is no help to a host
            return spread(min(wish, self.longest))
        step: float = min(self.base * 2 ** (attempt - 1), self.cap)
        return step * random.uniform(0.9, 1.1)  # noqa: S311 - as in spread


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for a connection, and for the next bytes to arrive or to be sent."""

    connect: float = 10.0
    silence: float = 120.0

    @property
    def now(self) -> urllib3.Timeout:
        """For a request that is sent now: no longer than its time budget."""
        import urllib3

        left = max(seconds_left(), _SHORTEST)
        return urllib3.Timeout(connect=min(self.connect, left), read=min(self.silence, left))


@dataclass(frozen=True, slots=True)
class RetryRule:
    """What to do about a status: *whole_host*: all requests to the host wait; *down*: the host is not available."""

    whole_host: bool = False
    down: bool = False


RULES: Final[Mapping[int, RetryRule]] = {
    408: RetryRule(),
    425: RetryRule(),
    429: RetryRule(whole_host=True),
    500: RetryRule(),
    502: RetryRule(down=True),
    503: RetryRule(down=True),
    504: RetryRule(down=True),
    507: RetryRule(),
    # Statuses of a CDN that does not reach the registry.  Source: Cloudflare, "Cloudflare 5xx errors".
    **dict.fromkeys(range(520, 528), RetryRule(down=True)),
}
# Seconds after it went down in which a host gets more retries; without a limit, many requests could take an hour.
LONGEST_RESTART: Final = 60.0


class Pauses:
    """The pauses that hosts have asked for, in which they get no requests; shared by all connections of a run."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._until: dict[str, float] = {}

    def begin(self, host: str, seconds: float) -> None:
        """Send *host* no requests for *seconds*, or until an earlier pause ends, if that is later."""
        with self._lock:
            self._until[host] = max(self._until.get(host, 0.0), self._clock() + seconds)

    def seconds(self, host: str) -> float:
        """Return how much longer the pause of *host* is; 0 or less if there is none."""
        with self._lock:
            return self._until.get(host, 0.0) - self._clock()


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that the server asks for, or ``None``.

    A date is read against the server's own ``Date``, so that neither clock needs to be correct.
    """
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        seconds = (parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("Date", ""))).total_seconds()
    except (ValueError, TypeError):
        return None
    return seconds if seconds > 0 else None


def spread(seconds: float) -> float:
    """Return a little more than *seconds*, so that not all threads that wait send their requests at once."""
    return seconds * random.uniform(1.0, 1.1)  # noqa: S311 - hides nothing

"""How often and how long to wait: the table of statuses, and the number of retries."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Final

from buildpush.foundation.records import dataclass

# Bytes that an answer that has begun must bring within the time limit for a silence: a byte now and then is too few,
# and every line that can carry an image at all is faster.
LEAST: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Retries:
    """How often to retry: wait *base* x 2^n seconds up to *cap*, or as long as the server asks, up to *longest*.

    A host that answered before and is now down is asked *restart* times more, for about a minute: as long as a registry
    takes to restart.
    """

    attempts: int = 6
    restart: int = 3
    base: float = 0.25
    cap: float = 30.0
    longest: float = 60.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for a connection, and for the next bytes to come or go."""

    connect: float = 10.0
    silence: float = 120.0


@dataclass(frozen=True, slots=True)
class RetryRule:
    """What to do about a status: *whole_host* makes all requests to that host wait; *down* says what is unavailable."""

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
# For this long after it went down, a host gets more retries than others: so many requests do not add up to an hour.
LONGEST_RESTART: Final = 60.0


class Pauses:
    """Until when each host is to be left alone, as it has asked; shared by all connections of a run."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}

    def begin(self, host: str, seconds: float) -> None:
        """Leave *host* alone for *seconds*, or for as long as it had asked before."""
        with self._lock:
            self._until[host] = max(self._until.get(host, 0.0), self._clock() + seconds)

    def seconds(self, host: str) -> float:
        """Return how much longer *host* is left alone; 0 or less for not at all."""
        with self._lock:
            return self._until.get(host, 0.0) - self._clock()


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that the server asks for, or ``None``.

    A date is read against the server's own ``Date``, so that neither clock needs to be right.
    """
    wish = headers.get("Retry-After", "").strip()
    if wish.isdecimal():
        return float(wish)
    try:
        seconds = (parsedate_to_datetime(wish) - parsedate_to_datetime(headers.get("Date", ""))).total_seconds()
    except (ValueError, TypeError):
        return None
    return seconds if seconds > 0 else None

"""How long a step or a command may take."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from buildpush.foundation.errors import BuildPushError, TimeOutError
from buildpush.foundation.interrupts import interrupt, is_main, start, take_back

LONGEST: Final = timedelta(days=3660)  # beyond it no timer of the system can be trusted

SECONDS: Final = {"w": 7 * 86_400, "d": 86_400, "h": 3600, "m": 60, "s": 1}


def duration_text(duration: timedelta) -> str:
    """Return a duration as it is written in a file, such as ``1h 30m``; parts of seconds are cut above one second."""
    rest = int(duration.total_seconds())
    parts = []
    for unit, length in SECONDS.items():
        number, rest = divmod(rest, length)
        parts += [f"{number}{unit}"] if number else []
    return " ".join(parts) or f"{duration.total_seconds():g}s"


@contextmanager
def time_limit(
    limit: timedelta | None,
    *,
    what: str = "the step",
    whole: timedelta | None = None,
) -> Iterator[None]:
    """End the block when it takes longer than *limit*; it cleans up as after an interrupt.

    Args:
        limit: ``None`` for as long as it takes.
        what: whose limit it is.
        whole: the limit as the user set it, if *limit* is what is left of it.

    Raises:
        TimeOutError: it took longer; it says what was done until then.
    """
    if limit is None:
        yield
        return
    watch = _Watch(limit.total_seconds()) if is_main() else _ThreadWatch(limit.total_seconds())
    try:
        with watch:
            yield
    except (KeyboardInterrupt, BuildPushError) as error:
        if not watch.reached:
            raise
        message = "; ".join(
            [
                f"{what} took longer than its timeout of {duration_text(whole or limit)}",
                *getattr(error, "__notes__", ()),
            ]
        )
        late = TimeOutError(message, hint="raise 'timeout'; what was confirmed is not sent again")
        late.pushed = getattr(error, "pushed", ())
        raise late from error


class _ThreadWatch:
    """Interrupts this thread, once, if its block takes longer than *seconds*."""

    def __init__(self, seconds: float) -> None:
        self.reached = False
        self._running = True
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> None:
        start(self._timer)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._running = False
        self._timer.cancel()
        self._timer.join()
        if self.reached:
            take_back()

    def _end(self) -> None:
        with self._lock:
            if self._running:
                self.reached = True
                interrupt(self._thread)


class _Watch:
    """Raises ``KeyboardInterrupt`` in the main thread, once, if its block takes longer than *seconds*."""

    def __init__(self, seconds: float) -> None:
        self.reached = False
        self._running = False
        # A signal of the system, because only that wakes a call that waits for a host; and not SIGINT, which a
        # shell makes its background jobs ignore.
        self._timer = threading.Timer(seconds, signal.pthread_kill, (threading.get_ident(), signal.SIGALRM))
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._before = signal.signal(signal.SIGALRM, self._stop)
        self._running = True
        start(self._timer)

    def __exit__(self, *_: object) -> None:
        self._running = False
        self._timer.cancel()
        self._timer.join()  # a signal on its way arrives before the old handler is restored
        signal.signal(signal.SIGALRM, self._before)

    def _stop(self, *_: object) -> None:
        if self._running:
            self.reached, self._running = True, False
            raise KeyboardInterrupt

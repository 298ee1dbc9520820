"""How long a step or a command may take."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from buildpush.foundation.errors import BuildPushError, TimeOutError
from buildpush.foundation.events import Note, Sink

LONGEST: Final = timedelta(days=3660)  # beyond it no timer of the system can be trusted


@contextmanager
def time_limit(
    limit: timedelta | None,
    sink: Sink,
    *,
    what: str = "the step",
    whole: timedelta | None = None,
    stop: Callable[[], object] | None = None,
) -> Iterator[None]:
    """End the block when it takes longer than *limit*; it cleans up as after an interrupt.

    Args:
        limit: ``None`` for as long as it takes.
        sink: gets a note where the limit cannot be enforced, which is outside the main thread.
        what: whose limit it is.
        whole: the limit as the user set it, if *limit* is what is left of it.
        stop: ends what the block waits for, from another thread; with it, the limit is enforced outside the main thread
            too.

    Raises:
        TimeOutError: it took longer; it says what was done until then.
    """
    if limit is None:
        yield
        return
    watch = _watch(limit.total_seconds(), stop)
    if watch is None:
        sink(Note("the setting 'timeout' has no effect here: only a run in the main thread can be ended"))
        yield
        return
    try:
        with watch:
            yield
    except (KeyboardInterrupt, BuildPushError) as error:
        if not watch.reached:
            raise
        message = "; ".join(
            [f"{what} took longer than its timeout of {whole or limit}", *getattr(error, "__notes__", ())]
        )
        late = TimeOutError(message, hint="raise 'timeout'; what was confirmed is not sent again")
        late.pushed = getattr(error, "pushed", ())
        raise late from error


def _watch(seconds: float, stop: Callable[[], object] | None) -> _Watch | _Stopwatch | None:
    if threading.current_thread() is threading.main_thread():
        return _Watch(seconds)
    return _Stopwatch(seconds, stop) if stop else None


class _Stopwatch:
    """Calls *stop*, once, if its block takes longer than *seconds*."""

    def __init__(self, seconds: float, stop: Callable[[], object]) -> None:
        self.reached = False
        self._stop = stop
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()

    def _end(self) -> None:
        self.reached = True
        self._stop()


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
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._running = False
        self._timer.cancel()
        self._timer.join()  # a signal on its way arrives before the old handler is restored
        signal.signal(signal.SIGALRM, self._before)

    def _stop(self, *_: object) -> None:
        if self._running:
            self.reached, self._running = True, False
            raise KeyboardInterrupt

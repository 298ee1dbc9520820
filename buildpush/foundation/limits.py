"""How long a step or a command may take."""

from __future__ import annotations

import heapq
import itertools
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import timedelta
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final, Self

from buildpush.foundation.errors import BuildPushError, TimeOutError, own_notes
from buildpush.foundation.interrupts import Lock, discard_interrupt, interrupt, is_main, start

LONGEST: Final = timedelta(days=3660)  # the system's timers are not reliable beyond it

SECONDS: Final = {"w": 7 * 86_400, "d": 86_400, "h": 3600, "m": 60, "s": 1}


def duration_text(duration: timedelta) -> str:
    """Return a duration as in a file, such as ``1h 30m``; fractions of a second are dropped above one second."""
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
    words: str = "",
    watch: Watch | None = None,
) -> Iterator[None]:
    """End the block when it takes longer than *limit*; it cleans up as after an interrupt.

    Args:
        limit: ``None`` for no limit.
        what: what is limited, for the message.
        words: about the limit, where it is not just its timeout, or only what is left of that.
        watch: counts the time; by default a new one.

    Raises:
        TimeOutError: it took longer; the message says what was done until then.
    """
    if limit is None:
        yield
        return
    end = _Limit(limit.total_seconds())
    try:
        with nullcontext(watch) if watch else Watch() as clock, closing(end):
            clock.add(end)
            yield
    except (KeyboardInterrupt, BuildPushError, RuntimeError) as error:  # the last of a Condition that was interrupted
        if not end.reached:
            raise
        message = f"{what} took longer than {words or f'its timeout of {duration_text(limit)}'}"
        raise _late(message, error) from _from_block(error)


def _from_block(error: BaseException) -> BaseException:
    """Return *error* without the frame of its caller in its traceback.

    From Python 3.12 on, a cycle through that frame would keep all that the block held.
    """
    trace = error.__traceback__
    return error.with_traceback(trace.tb_next if trace else None)


def _late(message: str, error: BaseException) -> TimeOutError:
    """Return the error of a block that *error* has ended; it says what was done until then."""
    late = TimeOutError(
        "; ".join([message, *own_notes(error)]),
        hint="give it a longer 'timeout'; what was confirmed is not sent again",
    )
    late.pushed = getattr(error, "pushed", ())
    return late


class Watch:
    """A thread that interrupts others when their time is over, as long as the ``with`` block lasts.

    A signal wakes the main thread from whatever call of the system it waits in, unless the program that calls us uses
    that signal itself.
    """

    def __init__(self) -> None:
        self._added: SimpleQueue[_Limit | None] = SimpleQueue()  # which an interrupt never leaves locked
        self._thread = threading.Thread(target=self._work, name="buildpush-watch", daemon=True)
        self._has_alarm = False

    def __enter__(self) -> Self:
        self._has_alarm = _is_alarm_free()
        if self._has_alarm:
            signal.signal(signal.SIGALRM, _notice)
        start(self._thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._added.put(None)
        self._thread.join()  # a signal on its way arrives before the alarm is as it was
        if self._has_alarm and signal.getsignal(signal.SIGALRM) is _notice:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def add(self, end: _Limit) -> None:
        """Interrupt the thread of *end* then, unless that is closed before."""
        self._added.put(end)

    def _work(self) -> None:
        number = itertools.count()
        ends: list[tuple[float, int, _Limit]] = []
        while True:
            try:
                end = self._added.get(timeout=max(0.0, ends[0][0] - time.monotonic()) if ends else None)
            except Empty:
                heapq.heappop(ends)[2].reach(wakes=self._has_alarm)
                continue
            if end is None:
                return
            heapq.heappush(ends, (end.at, next(number), end))


def _is_alarm_free() -> bool:
    """Return whether this is the main thread, and nothing else in this process uses the alarm signal."""
    return (
        is_main()
        and hasattr(signal, "SIGALRM")  # Windows does not have it
        and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
        and not any(signal.getitimer(signal.ITIMER_REAL))
    )


def _notice(*_: object) -> None:
    """Receive the interrupt that the watch has raised in this thread: as any function does where it begins."""


class _Limit:
    """When the block of this thread ends at the latest; then the thread is interrupted, once."""

    def __init__(self, seconds: float) -> None:
        self.at = time.monotonic() + seconds
        self.reached = False
        self._running = True
        self._thread = threading.get_ident()
        self._lock = Lock()

    def close(self) -> None:
        """The block is over: from now on there is no interrupt."""
        with self._lock:
            self._running = False
        if self.reached:
            discard_interrupt()

    def reach(self, *, wakes: bool = False) -> None:
        """Interrupt the thread if its block is not over; the signal *wakes* the main thread."""
        with self._lock:
            if not self._running:
                return
            self.reached = True
            if wakes and self._thread == threading.main_thread().ident:
                interrupt(self._thread, partial(signal.pthread_kill, self._thread, signal.SIGALRM))
            else:
                interrupt(self._thread)

"""How long a step may take."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from buildpush.errors import BuildPushError, TimeOutError
from buildpush.events import Note, Sink


@contextmanager
def limited(limit: timedelta | None, sink: Sink) -> Iterator[None]:
    """End the block when it takes longer than *limit*, with the clean-up of an interrupt.

    Args:
        limit: ``None`` for as long as it takes.
        sink: told where it cannot be kept, which is outside the main thread.

    Raises:
        TimeOutError: it took longer.
    """
    if limit is None:
        yield
        return
    if threading.current_thread() is not threading.main_thread():
        sink(Note("the setting 'timeout' has no effect here: only a run in the main thread can be ended"))
        yield
        return
    watch = _Watch(limit.total_seconds())
    try:
        with watch:
            yield
    except (KeyboardInterrupt, BuildPushError) as error:
        if not watch.reached:
            raise
        message = f"the step took longer than its timeout of {limit}"
        raise TimeOutError(message, hint="raise 'timeout'; what was confirmed is not sent again") from error


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
        self._timer.join()  # a signal on its way arrives before the old handler is back
        signal.signal(signal.SIGALRM, self._before)

    def _stop(self, *_: object) -> None:
        if self._running:
            self.reached, self._running = True, False
            raise KeyboardInterrupt

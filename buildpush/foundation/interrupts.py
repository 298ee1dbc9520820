"""Interrupts for threads other than the main one, which Ctrl-C interrupts."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

# A thread that waits longer in one call of the system would not notice its interrupt until then.
SLICE_SECONDS: Final = 0.2

# Until it runs, a new thread counts as the one that starts it (Python 3.11), and would get the interrupt of that: it
# would die of it, and be waited for without end.  Who starts one holds this, and so does who interrupts one.
starting: Final = threading.Lock()

_stops: list[tuple[int, Callable[[], object]]] = []  # with the thread of each
_lock = threading.Lock()


@contextmanager
def stoppable(stop: Callable[[], object]) -> Iterator[None]:
    """Have *stop* called when this thread is interrupted in the block: it ends what the thread waits for."""
    me = threading.get_ident()
    entry = me, stop
    try:
        with _lock:
            _stops.append(entry)
        yield
    finally:
        with _lock:
            if entry in _stops:
                _stops.remove(entry)


def start(thread: threading.Thread) -> None:
    """Start *thread*, and let no thread be interrupted meanwhile."""
    with starting:
        thread.start()


def interrupt(thread: int, *wake: Callable[[], object]) -> None:
    """Raise ``KeyboardInterrupt`` in *thread* as soon as it runs again, and end what it waits for, also by *wake*."""
    import ctypes  # imported here, since few runs have more than one thread to interrupt

    with _untraced():
        with starting, _lock:  # one that is added later is added by a thread that has its interrupt
            stops = [stop for one, stop in _stops if one == thread]
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt))
        for stop in (*stops, *wake):
            stop()


@contextmanager
def _untraced() -> Iterator[None]:
    """Run the block without tracing, by a debugger or by coverage.

    While one thread has not received its interrupt, no other traced thread continues (Python 3.11): it could not end
    what the first one waits for.
    """
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)


def take_back() -> None:
    """Take back an interrupt that this thread has not received yet: it is raised here, and ends here.

    It is not cleared instead: Python 3.11 would keep its flag for a pending interrupt, which costs time for good, and a
    traced thread would never continue.
    """
    with suppress(KeyboardInterrupt):
        for _ in range(2):  # it is raised where a loop begins again
            pass


def pause(seconds: float) -> None:
    """Wait some seconds; an interrupt of this thread ends it."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, SLICE_SECONDS))


def is_main() -> bool:
    """Return whether this is the main thread, which a signal wakes from any call of the system."""
    return threading.current_thread() is threading.main_thread()

"""Interrupts of threads other than the main one; Ctrl-C itself interrupts only the main thread."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

# A thread notices its interrupt only between system calls, so none of them may wait longer than this.
SLICE_SECONDS: Final = 0.2


class Lock:
    """A lock that an interrupt does not leave taken, and for which no thread waits without hearing of its interrupt.

    From Python 3.14 on, ``with`` leaves Python's own lock taken if the interrupt comes as soon as it is (gh-148874):
    and a thread that waits for a lock of this module receives its interrupt just then. While a thread has not received
    its interrupt, no other traced thread continues (Python 3.11), as the one that has this lock.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # noqa: TID251 - this makes it safe; it knows whether this thread has it

    def __enter__(self) -> None:
        try:
            while not (self._lock.acquire(False) or self._lock.acquire(True, SLICE_SECONDS)):
                pass
        except BaseException:
            with suppress(RuntimeError):  # the interrupt came before this thread had the lock
                self._lock.release()
            raise

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def call_if_free(self, act: Callable[[], object]) -> None:
        """Call *act* with this lock, unless another thread has it."""
        try:
            if self._lock.acquire(False):
                act()
        finally:
            with suppress(RuntimeError):  # this thread does not have it
                self._lock.release()


# Until it runs, a new thread has the identity of the thread that starts it (Python 3.11). It could receive that
# thread's interrupt and end, and the other would wait for it for ever. Whoever starts or interrupts a thread holds
# this lock.
start_lock: Final = Lock()

_stops: list[tuple[int, Callable[[], object]]] = []  # with the thread of each
_lock: Final = Lock()


@contextmanager
def stoppable(stop: Callable[[], object]) -> Iterator[None]:
    """Call *stop*, which ends what this thread waits for, if the thread is interrupted in the block."""
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
    """Start *thread*; no thread can be interrupted meanwhile."""
    with start_lock:
        thread.start()


def interrupt(thread: int, *wake: Callable[[], object]) -> None:
    """Raise ``KeyboardInterrupt`` in *thread* as soon as it runs again, and call *wake* and what ends its wait."""
    import ctypes  # imported here, since few runs have more than one thread to interrupt

    with _untraced():
        with start_lock, _lock:  # the thread has its interrupt before it can add another stop
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


def discard_interrupt() -> None:
    """Discard an interrupt that this thread has not received yet, by raising and catching it here.

    Python 3.11 cannot clear it: the flag for a pending interrupt would stay set, which slows the thread down for ever,
    and a traced thread would never continue.
    """
    with suppress(KeyboardInterrupt):
        for _ in range(2):  # Python raises it where a loop begins again
            pass


def pause(seconds: float) -> None:
    """Wait some seconds; an interrupt of this thread ends it."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, SLICE_SECONDS))


def is_main() -> bool:
    """Return whether this is the main thread, which a signal wakes from any system call."""
    return threading.current_thread() is threading.main_thread()

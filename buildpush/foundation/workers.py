"""A pool of threads that stays usable when the thread that uses it is interrupted."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from buildpush.foundation.interrupts import start_lock

P = ParamSpec("P")
T = TypeVar("T")


class Workers(ThreadPoolExecutor):
    """Python's pool, in which no thread can be interrupted while another one is being started."""

    def submit(self, act: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call *act* in a thread of the pool, which may be a new one."""
        with start_lock:
            return super().submit(act, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads; one that is interrupted while it waits for them has told them to end all the same."""
        try:
            super().shutdown(wait, cancel_futures=cancel_futures)
        except BaseException:
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            raise

"""A pool of threads that an interrupt of the thread that uses it leaves usable."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from buildpush.foundation.interrupts import starting

P = ParamSpec("P")
T = TypeVar("T")


class Workers(ThreadPoolExecutor):
    """Python's pool, which starts its threads as work comes."""

    def submit(self, act: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a thread call *act*; it may be a new one."""
        with starting:
            return super().submit(act, *args, **kwargs)

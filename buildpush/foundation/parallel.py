"""Does the same with several things at the same time, in threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

WORKERS: Final = 4

T = TypeVar("T")
R = TypeVar("R")


def in_parallel(act: Callable[[T], R], things: Sequence[T], workers: int = WORKERS) -> list[R]:
    """Return the result of *act* for each of *things*, in order; after an error no more are begun, and it is raised."""
    if workers == 1 or len(things) == 1:
        return [act(thing) for thing in things]
    from buildpush.foundation.workers import Workers

    pool = Workers(workers, thread_name_prefix="artifactory")
    waits = True
    try:
        return list(pool.map(act, things))
    except KeyboardInterrupt:
        waits = False  # the owner of the connections ends the requests that are running
        raise
    finally:
        pool.shutdown(wait=waits, cancel_futures=True)

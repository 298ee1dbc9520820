"""How a run of many steps gives back the memory of those that have ended."""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

_ARENA_MAX: Final = -8  # of mallopt(3), in glibc's malloc.h
_BY_ITSELF: Final = (700, 10, 10)


def collect_garbage_often() -> None:
    """Have Python look for garbage as it does by itself, if it was told to do so seldom, as the command line does.

    That suits one step, most of whose objects live until its end. Of thousands it would keep 100 kB each: connections
    and such refer to each other, and go only with the garbage, of which each step leaves few objects and many bytes.
    """
    if gc.isenabled() and gc.get_threshold()[0] > _BY_ITSELF[0]:
        gc.set_threshold(*_BY_ITSELF)


def share_memory_among_threads(env: Mapping[str, str]) -> None:
    """Let threads that are started from now on take memory from where this one does.

    glibc has places of their own for them, eight for each core. What a step frees in one is of no use to the others,
    so that a run of thousands of steps, 64 at once, kept 130 kB of each. What the user has set in *env* stays;
    other C libraries have no such places.
    """
    if sys.platform == "win32" or "MALLOC_ARENA_MAX" in env or "GLIBC_TUNABLES" in env:
        return
    import ctypes  # imported here, since few runs have many threads

    with suppress(AttributeError, OSError):  # another C library, or one that is part of a static Python
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)

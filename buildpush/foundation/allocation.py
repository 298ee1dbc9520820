"""How the C library hands out memory to threads."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final

_ARENA_MAX: Final = -8  # of mallopt(3), in glibc's malloc.h


def share_memory_among_threads(env: Mapping[str, str]) -> None:
    """Let threads that are started from now on take memory from where this one does.

    glibc has places of their own for them, eight for each core. What a step frees in one is of no use to the others,
    so that a run of thousands of steps, a hundred at once, kept 130 kB of each. What the user has set in *env* stays;
    other C libraries have no such places.
    """
    if sys.platform == "win32" or "MALLOC_ARENA_MAX" in env or "GLIBC_TUNABLES" in env:
        return
    import ctypes  # imported here, since few runs have many threads

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_ARENA_MAX, 1)

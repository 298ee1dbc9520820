"""How many processors this process may use: those of the machine, its affinity, and the limit of its container."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")


def cores(groups: Path = _GROUPS) -> int:
    """Return how many processors this process may use, at least 1.

    Args:
        groups: where the control groups are.  Source: cgroups(7); a container sees its own as the root.
    """
    most = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = _limit(groups)
    return most if limit is None else max(1, min(most, math.ceil(limit)))


def _limit(groups: Path) -> float | None:
    """Return the processor time that the container may use each second; ``None`` for no limit."""
    with suppress(OSError, ValueError):  # the second version of control groups
        quota, period = (groups / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = ((groups / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return int(quota) / int(period) if int(quota) > 0 else None
    return None

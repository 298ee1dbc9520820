"""Finds and unmounts what is mounted below a directory, and removes directories without removing what is mounted there.

Source: proc(5), mountinfo, the fifth field; umount(2).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from buildpush.foundation.regex import regex

_MOUNTS: Final = "/proc/self/mountinfo"
_ESCAPED: Final = regex(r"\\([0-7]{3})")
_DETACH, _NO_FOLLOW = 2, 8  # flags of umount2


def below(directory: Path) -> list[Path]:
    """Return the mount points at and below *directory*, the innermost first; none on systems that do not list them."""
    try:
        lines = Path(_MOUNTS).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
    root = os.path.realpath(directory)
    points = (_ESCAPED.sub(lambda match: chr(int(match[1], 8)), line.split(" ")[4]) for line in lines)
    return [Path(point) for point in sorted(points, reverse=True) if point == root or point.startswith(f"{root}/")]


def unmount(directory: Path) -> None:
    """Unmount what is mounted at and below *directory*, as far as we may; programs that use it are not disturbed."""
    points = below(directory)
    if not points:
        return
    import ctypes

    system = ctypes.CDLL(None, use_errno=True)
    for point in points:
        system.umount2(os.fsencode(point), _DETACH | _NO_FOLLOW)


def remove(directory: Path) -> bool:
    """Unmount what is mounted in *directory*, remove it, and return whether nothing of it is left.

    While something is mounted there, nothing is removed: it may be someone's own files.
    """
    unmount(directory)
    if below(directory):
        return False
    shutil.rmtree(directory, ignore_errors=True)
    return not directory.exists()

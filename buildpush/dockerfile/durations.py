"""Reads durations and counts as Go does, and writes durations as Go does.

Source: Go, package time, ``ParseDuration`` and ``Duration.String``; package strconv, ``ParseInt``.
"""

from __future__ import annotations

import re

from buildpush.foundation.regex import regex

_PART = regex(r"(?=\.?[0-9])([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)")
_ALL = regex(rf"(?:{_PART.pattern})+\Z")
_UNITS: dict[str, int] = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9}
_UNITS |= {"m": 60 * 10**9, "h": 3600 * 10**9}
_LONGEST = 2**63 - 1
_INTEGER = regex(r"[+-]?[0-9]{1,18}\Z")


def read_integer(text: str) -> int | None:
    """Return a whole number of at most 18 digits; ``None`` where *text* is something else."""
    return int(text) if _INTEGER.match(text) else None


def read_duration(text: str) -> int | None:
    """Return the nanoseconds of a duration such as ``1m30s``; ``None`` if *text* is not one, or too long for Go."""
    negative, unsigned = text.startswith("-"), re.sub(r"\A[+-]", "", text)
    if unsigned == "0":
        return 0
    # The whole text is matched first: otherwise, a text of digits only would be scanned again from each digit.
    parts = _PART.findall(unsigned) if _ALL.match(unsigned) else []
    total = sum(_nanoseconds(whole, decimals, unit) for whole, decimals, unit in parts)
    if not parts or total > _LONGEST:
        return None
    return -total if negative else total


def _nanoseconds(whole: str, decimals: str, unit: str) -> int:
    """Return nanoseconds; a fraction of one is dropped."""
    digits = decimals[:20]
    return int((whole[:40] + digits) or 0) * _UNITS[unit] // int(f"1{'0' * len(digits)}")


def format_duration(nanoseconds: int) -> str:
    """Return *nanoseconds*, 0 or at least a millisecond, in the form ``1m30s``."""
    if 0 < nanoseconds < _UNITS["s"]:
        return _decimal(nanoseconds, "ms")
    hours, rest = divmod(nanoseconds, _UNITS["h"])
    minutes, rest = divmod(rest, _UNITS["m"])
    prefix = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return prefix + _decimal(rest, "s")


def _decimal(nanoseconds: int, unit: str) -> str:
    whole, part = divmod(nanoseconds, _UNITS[unit])
    digits = f"{whole}.{part:0{len(str(_UNITS[unit])) - 1}}".rstrip("0").rstrip(".")
    return digits + unit

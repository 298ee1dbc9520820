"""The word that was probably meant, and the refusal of an unknown word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NoReturn

from buildpush.foundation import spelling
from buildpush.foundation.errors import SourceError

_MANY: Final = 60


def nearest(word: str, words: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the one of *words* that *word* was probably meant to be, letter case aside."""
    by_lower = {known.lower(): known for known in words}
    near = spelling.nearest(word.lower(), by_lower, most=1, cutoff=cutoff)
    return by_lower[near[0]] if near else None


def reject(
    what: str, word: str, words: Iterable[str], where: str, *, former: Mapping[str, str] | None = None
) -> NoReturn:
    """Refuse an unknown key or name, and name the nearest one that exists.

    Args:
        what: what it is, for messages, such as ``key``.
        word: as it is written.
        words: those that exist.
        where: its place.
        former: today's name by each name of an earlier version.

    Raises:
        SourceError: always.
    """
    message = f"unknown {what} {word!r}"
    if former and word in former:
        raise SourceError(message, where=where, hint=spelling.now_called(former[word]))
    words = sorted(set(words))
    near = nearest(word, words)
    hint = f"did you mean {near!r}?" if near else f"write one of {', '.join(words)}" if words else "leave it out"
    if not near and len(words) > _MANY:
        hint = f"none of the {len(words)} known names is similar; buildpush explain lists the settings"
    raise SourceError(message, where=where, hint=hint)


def relative_hint(cwd: Path) -> str:
    """Return the hint of an error about a path in the settings."""
    return f"relative paths start at the working directory {cwd}"

"""Suggestions for unknown words."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], *, most: int = 3, cutoff: float = 0.6) -> list[str]:
    """Return the words of *known* that resemble *word*, the most similar first."""
    from difflib import get_close_matches

    return get_close_matches(word, list(known), n=most, cutoff=cutoff)


def did_you_mean(word: str, known: Iterable[str], *, most: int = 3, cutoff: float = 0.6) -> str | None:
    """Return a hint with the most similar words, or ``None`` if no word is similar."""
    near = nearest(word, known, most=most, cutoff=cutoff)
    return f"did you mean {' or '.join(near)}?" if near else None


def now_called(name: str) -> str:
    """Return the hint for a word of an earlier version, whose name is *name* now."""
    return f"it is called {name} now"

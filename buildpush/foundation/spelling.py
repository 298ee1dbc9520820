"""What an unknown word was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], *, most: int = 3, cutoff: float = 0.6) -> list[str]:
    """Return those of *known* that *word* may have been meant to be, the nearest first."""
    from difflib import get_close_matches

    return get_close_matches(word, list(known), n=most, cutoff=cutoff)


def did_you_mean(word: str, known: Iterable[str], *, most: int = 3, cutoff: float = 0.6) -> str | None:
    """Return the hint that asks for the nearest words, ``None`` where none is near."""
    near = nearest(word, known, most=most, cutoff=cutoff)
    return f"did you mean {' or '.join(near)}?" if near else None

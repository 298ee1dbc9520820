"""The word that was probably meant, and the refusal of a word that nothing knows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import NoReturn

from buildpush.foundation.errors import SourceError


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the one of *words* that *word* was probably meant to be, letter case aside."""
    by_lower = {known.lower(): known for known in words}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def reject(what: str, word: str, words: Iterable[str], where: str) -> NoReturn:
    """Refuse an unknown key or name, and name the nearest one that exists.

    Raises:
        SourceError: always.
    """
    words = list(words)
    near = nearest(word, words)
    hint = f"did you mean {near!r}?" if near else f"known are {', '.join(sorted(words))}"
    message = f"unknown {what} {word!r}"
    raise SourceError(message, where=where, hint=hint)

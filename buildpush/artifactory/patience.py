"""Repeats requests: a written file may appear late, and a request that failed may have been carried out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, TypeVar

from buildpush.artifactory.client import RefusedError
from buildpush.foundation.errors import BuildInfoError, UnreachableError

# A file that was just pushed may take a moment to appear: 16 s in total.
PATIENCE: Final = (0.25, 0.75, 1.0, 2.0, 4.0, 8.0)
# Between attempts to write the same document, in addition to the retries of every request.
WRITE_DELAYS: Final = (1.0, 4.0)
# Statuses that another attempt does not change: no permission, no such address.
_FINAL_STATUSES: Final = frozenset({403, 404})

Sleep = Callable[[float], None]
T = TypeVar("T")
R = TypeVar("R")


def send_until_stored(send: Callable[[], R], is_there: Callable[[], bool], sleep: Sleep) -> R | bool:
    """Call *send* and return its result; if it fails, check whether the data arrived, and send it again if not.

    Some servers answer 400 or 409 although they store the data, and an answer may be lost.

    Returns:
        What *send* returns, or ``True`` if it failed but the data arrived.

    Raises:
        RefusedError, UnreachableError: the last failure, after three.
    """
    for seconds in (*WRITE_DELAYS, None):
        try:
            return send()
        except (RefusedError, UnreachableError) as error:
            if isinstance(error, RefusedError) and error.status in _FINAL_STATUSES:
                raise
            with suppress(BuildInfoError, UnreachableError):
                if is_there():
                    return True
            if seconds is None:
                raise
        sleep(seconds)
    raise AssertionError


def ask_until(
    ask: Callable[[Sequence[T]], Sequence[R]],
    things: Sequence[T],
    sleep: Sleep,
    enough: Callable[[R], bool] = bool,
    waits: Sequence[float] = PATIENCE,
) -> list[R]:
    """Return the results of *ask* for *things*, in order; it is asked again for those that are not *enough*."""
    answers = list(ask(things))
    for seconds in waits:
        late = [place for place, answer in enumerate(answers) if not enough(answer)]
        if not late:
            break
        sleep(seconds)
        for place, answer in zip(late, ask([things[place] for place in late]), strict=True):
            answers[place] = answer
    return answers

"""A registry that restarts: one that answered before is asked again for more than a minute, at every step."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from buildpush.errors import UnreachableError
from buildpush.http import Answer, Http
from buildpush.http.urls import shown

# What load balancers answer for a server that is not there; an error of its own (500) does not go away by waiting.
_DOWN: Final = frozenset({502, 503, 504, *range(520, 528)})
# A request alone takes some 8 seconds; between the rounds it is 8, 16, 30 and 30 more.
_ROUNDS: Final = 5
_LONGEST_SECONDS: Final = 75.0


def outlast(http: Http, url: str, ask: Callable[[], Answer]) -> Answer:
    """Return the answer of *ask*, which is called again while the host at *url* is down.

    A host that never answered is more likely misspelled than down.

    Args:
        http: repeats a request for some seconds by itself.
        url: that is asked.
        ask: sends a request that may be sent twice.

    Raises:
        UnreachableError: there is no answer.
    """
    begun = time.monotonic()
    for attempt in range(1, _ROUNDS):
        if not http.has_heard(url) or time.monotonic() - begun > _LONGEST_SECONDS:
            break
        answer, reason = None, ""
        try:
            answer = ask()
            if answer.status not in _DOWN:
                return answer
            reason = f"status {answer.status}"
        except UnreachableError as error:
            reason = str(error)
        http.wait(shown(url), f"it seems to restart: {reason}", http.attempts + attempt - 1, answer)
    return ask()

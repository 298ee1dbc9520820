"""The table of parallel branches: each with its state, its time and the image that it has pushed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from buildpush.display.words import seconds_words
from buildpush.foundation.events import BranchState, Event, FromBranch, StepState
from buildpush.foundation.text import one_line

HEADINGS = ("branch", "state", "time", "image")
_UNDER_WAY: frozenset[StepState] = frozenset({"waiting", "running"})


def branch_of(event: Event) -> tuple[str, Event]:
    """Return the branch in which an event happens, empty for none, and the event itself."""
    return (one_line(event.branch), event.event) if isinstance(event, FromBranch) else ("", event)


class BranchTable:
    """The branches that run at the same time, in the order of their first events."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._states: dict[str, BranchState] = {}
        self._start_times: dict[str, float] = {}

    def add(self, branch: str, event: Event) -> bool:
        """Store *event* if it is a state of *branch*, and return whether it is."""
        if not isinstance(event, BranchState):
            return False
        self._states[branch] = event
        self._start_times[branch] = self._clock()
        return True

    def clear(self) -> None:
        """Forget all branches."""
        self._states.clear()

    @property
    def is_over(self) -> bool:
        """Whether no branch is running."""
        return not any(one.state in _UNDER_WAY for one in self._states.values())

    def rows(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield the name, state, time and image of each branch."""
        for branch, one in tuple(self._states.items()):
            running = one.state == "running"
            seconds = self._clock() - self._start_times[branch] if running else one.seconds
            spent = seconds_words(seconds) if running or seconds else ""
            yield branch, one.state, spent, one_line(one.image)

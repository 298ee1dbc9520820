"""The table of parallel branches: each with its state, its time and the image that it has pushed; and their counts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from buildpush.display.words import seconds_words
from buildpush.foundation.events import BranchState, Event, Finished, FromBranch, Started, StepState
from buildpush.foundation.text import one_line

HEADINGS = ("branch", "state", "time", "image")
# With more branches than that, only those that run or have failed have a row, and no more of them.
MOST_ROWS: Final = 20
_UNDER_WAY: Final[frozenset[StepState]] = frozenset({"waiting", "running"})
_BAD: Final[frozenset[StepState]] = frozenset({"failed", "interrupted"})
# What a branch that runs is doing, by the phase that it is in.
_DOING: Final = {"wait": "waiting", "build": "building", "push": "pushing", "publish": "publishing"}
_ENDS: Final = ("done", "ignored", "skipped", *sorted(_BAD))
_ORDER: Final = tuple(dict.fromkeys(("waiting", "running", *_DOING.values(), *_ENDS)))
_SECONDS_OF_MINUTE: Final = 60


def branch_of(event: Event) -> tuple[str, Event]:
    """Return the branch in which an event happens, empty for none, and the event itself."""
    return (one_line(event.branch), event.event) if isinstance(event, FromBranch) else ("", event)


class BranchTable:
    """The branches that run at the same time, in the order of their first events.

    A thread may read it while another one adds to it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._states: dict[str, BranchState] = {}
        self._start_times: dict[str, float] = {}
        self._phases: dict[str, list[str]] = {}
        self._open: set[str] = set()
        self._outer: set[str] = set()  # branches with others inside them, which are counted instead
        self._began: float | None = None

    def add(self, branch: str, event: Event) -> bool:
        """Store *event* if it is a state or phase of *branch*, and return whether it is."""
        if isinstance(event, Started | Finished):
            return self._add_phase(branch, event)
        if not isinstance(event, BranchState):
            return False
        now = self._clock()
        self._start_times[branch] = now
        self._states[branch] = event
        if self._began is None and event.state == "running":
            self._began = now
        (self._open.add if event.state in _UNDER_WAY else self._open.discard)(branch)
        if (outer := branch.rpartition("/")[0]) in self._states:
            self._outer.add(outer)
        return True

    def _add_phase(self, branch: str, event: Started | Finished) -> bool:
        """Store which phase of *branch* begins or ends: they are nested, and one that is begun again has failed."""
        if branch not in self._open:
            return False
        phases = self._phases.setdefault(branch, [])
        if event.phase in phases:
            del phases[phases.index(event.phase) :]
        if isinstance(event, Started):
            phases.append(event.phase)
        return True

    def clear(self) -> None:
        """Forget all branches."""
        for known in (self._states, self._phases, self._open, self._outer):  # not the times: a thread may read them
            known.clear()
        self._began = None

    @property
    def is_over(self) -> bool:
        """Whether no branch is running."""
        return not self._open

    @property
    def are_many(self) -> bool:
        """Whether there are more branches than the table shows."""
        return len(self._states) > MOST_ROWS

    def rows(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield the name, state, time and image of each branch; of many, only of those that have failed or run."""
        states = tuple(self._states.copy().items())
        if len(states) > MOST_ROWS:
            failed = [(name, one) for name, one in states if one.state in _BAD]
            running = [(name, one) for name, one in states if one.state == "running"]
            half = MOST_ROWS // 2  # neither kind keeps the other from being seen
            shown = [*failed[:half], *running, *failed[half:]]
            states = tuple(shown[:MOST_ROWS])
        else:
            shown = list(states)
        for branch, one in states:
            runs = one.state == "running"
            seconds = self._clock() - self._start_times[branch] if runs else one.seconds
            spent = seconds_words(seconds) if runs or seconds else ""
            yield branch, self._word(branch, one), spent, one_line(one.image)
        if more := len(shown) - len(states):
            yield f"and {more:,} more", "", "", ""

    def counts(self) -> str:
        """Return how many are in which state, how fast they end, and when all will have; empty for a single branch."""
        states = tuple((name, one) for name, one in self._states.copy().items() if name not in self._outer)
        if len(states) < 2:  # noqa: PLR2004 - of one, its row says everything
            return ""
        found = Counter(self._word(name, one) for name, one in states)
        words = ", ".join(f"{found[word]:,} {word}" for word in _ORDER if found[word])
        return f"{len(states):,} branches: {words}{self._pace([one for _, one in states])}"

    def _pace(self, states: list[BranchState]) -> str:
        ended = sum(one.state not in _UNDER_WAY and one.state != "skipped" for one in states)
        left = sum(one.state in _UNDER_WAY for one in states)
        seconds = self._clock() - self._began if self._began is not None else 0.0
        if not ended or seconds <= 0:
            return ""
        if not left:
            return f", in {seconds_words(seconds)}"
        rate = ended / seconds
        return f"; {rate * _SECONDS_OF_MINUTE:,.3g} per minute, about {seconds_words(left / rate)} left"

    def _word(self, branch: str, one: BranchState) -> str:
        if one.state == "running":
            doing = (_DOING[phase] for phase in reversed(self._phases.get(branch, ())) if phase in _DOING)
            return next(doing, one.state)
        return "done" if one.state == "succeeded" else one.state

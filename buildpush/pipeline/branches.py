"""What runs at the same time: the branches of a ``parallel`` and the iterations of a loop, each in a thread.

Each branch has its own context and results; the results are joined in the order of the file.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from buildpush.foundation.allocation import collect_garbage_often, share_memory_among_threads
from buildpush.foundation.cores import cores
from buildpush.foundation.errors import own_notes
from buildpush.foundation.events import BranchState, Prompt, Sink, StepState, ignore
from buildpush.foundation.interrupts import Lock, discard_interrupt, interrupt, start, stoppable
from buildpush.foundation.records import dataclass
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.failures import AskPerson
from buildpush.pipeline.outcomes import Outcome
from buildpush.pipeline.steps import Branch, Walk

if TYPE_CHECKING:
    from buildpush.expressions.facts import AskInput

MOST: Final = 64  # threads, whatever maxConcurrency says
_FEWEST: Final = 2
_MANY: Final = 100  # branches, whose garbage counts
# No lock of Python's own is used here, nor a Condition or Event: an interrupt may leave them locked.
_POLL_SECONDS: Final = 0.01


@dataclass(frozen=True, slots=True)
class Branches:
    """Runs branches at the same time.

    Attributes:
        context: of the run, or of the branch that they are in.
        walk: gives the walk of a branch with its context.
    """

    context: RunContext
    walk: Callable[[RunContext], Walk]

    def __call__(self, branches: Sequence[Branch], most: int | None) -> None:
        """Run *branches*, at most *most* at the same time; as many as there are cores if that is not given."""
        share_memory_among_threads(self.context.env)
        if len(branches) > _MANY:
            collect_garbage_often()
        contexts = [self.context.branch(name) for name in _names(branches)]
        for context in contexts:
            context.log(BranchState("waiting"))
        pairs = sorted(zip(branches, contexts, strict=True), key=lambda pair: not pair[0].is_first)
        acts = [partial(self._run, *pair) for pair in pairs]
        try:
            run_together(acts, min(most or max(_FEWEST, cores()), MOST))
        finally:
            for context in contexts:
                self.context.results.extend(context.results)

    def _run(self, branch: Branch, context: RunContext) -> None:
        begun, state = time.monotonic(), _INTERRUPTED
        context.log(BranchState("running"))
        try:
            with context, stoppable(context.cancel):
                state = _state(branch.run(self.walk(context)))
        finally:
            images = dict.fromkeys(name for result in context.results for name in result.references[:1])
            context.log(BranchState(state, time.monotonic() - begun, ", ".join(images)))


_INTERRUPTED: Final[StepState] = "interrupted"


def _names(branches: Iterable[Branch]) -> list[str]:
    """Return the names of *branches*; of several with the same name, the second and later ones get a number."""
    names: dict[str, None] = {}
    for branch in branches:
        number = 1
        name = branch.name
        while name in names:
            number += 1
            name = f"{branch.name} {number}"
        names[name] = None
    return list(names)


def _state(outcomes: Iterable[Outcome]) -> StepState:
    statuses = {outcome.status for outcome in outcomes}
    return next((status for status in ("failed", "ignored", "succeeded") if status in statuses), "skipped")


class Turns:
    """Lets one step at a time ask a person; *sink* gets an event when one is asked."""

    def __init__(self, sink: Sink = ignore) -> None:
        self._lock = Lock()
        self._holder: object = None  # whose turn it is
        self._sink = sink

    def person(self, ask: AskPerson | None) -> AskPerson | None:
        """Return a function that calls *ask* when it is its turn; the wait for it counts towards the time limit."""

        def ask_in_turn(question: str, answers: Sequence[str], limit: timedelta) -> str | None:
            end = time.monotonic() + limit.total_seconds()
            with self._turn(end) as is_ours:
                left = timedelta(seconds=max(0.0, end - time.monotonic()))
                return ask(question, answers, left) if ask and is_ours else None

        return ask_in_turn if ask else None

    def input(self, ask: AskInput | None) -> AskInput | None:
        """Return a function that calls *ask* when it is its turn."""

        def ask_in_turn(field: str, limits: str) -> str | None:
            with self._turn():
                return ask(field, limits) if ask else None

        return ask_in_turn if ask else None

    @contextmanager
    def _turn(self, end: float = float("inf")) -> Iterator[bool]:
        """Wait until *end* for a turn, and yield whether it came."""
        me = object()  # not the thread: what an interrupt has left behind may be ended by any
        try:
            if is_ours := self._take(me, end):
                self._sink(Prompt(begins=True))
            yield is_ours
        finally:  # an interrupt may come after the turn was taken, and before this is returned
            if self._holder is me:
                try:
                    self._sink(Prompt(begins=False))
                finally:
                    self._holder = None

    def _take(self, me: object, end: float) -> bool:
        while True:
            with self._lock:
                if self._holder is None:
                    self._holder = me
                    return True
            if time.monotonic() >= end:
                return False
            time.sleep(_POLL_SECONDS)


def run_together(acts: Sequence[Callable[[], object]], most: int) -> None:
    """Call all of *acts*, at most *most* at the same time, each in a thread.

    Where one raises, or this thread is interrupted, the others are interrupted; when this returns, no thread is left.
    """
    group = _ThreadGroup(list(acts))
    threads = [
        threading.Thread(target=group.work, name=f"buildpush-branch-{number}", daemon=True)
        for number in range(min(most, len(acts)))
    ]
    try:
        for thread in threads:
            start(thread)
        group.join(threads)
    except BaseException as error:
        group.end()
        group.join(threads)
        for note in group.notes():
            error.add_note(note)
        raise
    if group.errors:
        raise group.errors[0]


@dataclass(frozen=True, slots=True, eq=False)
class _ThreadGroup:
    """Functions that wait for a thread, and the threads that run one, each with whether it was interrupted."""

    waiting: list[Callable[[], object]]
    busy: dict[int, bool] = field(default_factory=dict)
    errors: list[BaseException] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def work(self) -> None:
        """Run one function after the other, as long as there are any."""
        goes_on = True
        while goes_on:
            try:
                try:
                    if goes_on := (act := self._next()) is not None:
                        act()
                finally:
                    self._leave()
            except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that waits
                self.errors.append(error)
                self.end()

    def join(self, threads: Iterable[threading.Thread]) -> None:
        """Wait until all functions and threads have ended.

        An interrupted ``Thread.join`` takes a running thread for an ended one (Python 3.11, gh-89437): so it comes
        last.
        """
        while self.waiting or self.busy:
            time.sleep(_POLL_SECONDS)
        for thread in threads:
            if thread.ident is not None:  # it was started
                thread.join()

    def end(self) -> None:
        """Begin no further function, and interrupt those that are running."""
        with self.lock:
            self.waiting.clear()
            others = [thread for thread, is_interrupted in self.busy.items() if not is_interrupted]
            for thread in others:
                self.busy[thread] = True
                interrupt(thread)

    def notes(self) -> tuple[str, ...]:
        """Return the notes of the functions that were interrupted, such as the tags that are pushed."""
        return tuple(note for error in self.errors for note in own_notes(error))

    def _next(self) -> Callable[[], object] | None:
        with self.lock:
            if not self.waiting:
                return None
            self.busy[threading.get_ident()] = False
            return self.waiting.pop(0)

    def _leave(self) -> None:
        me = threading.get_ident()
        with self.lock:
            is_interrupted = self.busy.pop(me, False)
        if is_interrupted:
            discard_interrupt()

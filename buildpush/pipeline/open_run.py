"""A run that waits before each section of its file until the caller asks for it: a notebook has a cell for each.

It is one run, in its own thread: conditions, loops and time limits around the steps apply as in any other run.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from queue import SimpleQueue
from typing import Final, NoReturn, Self

from buildpush.display.notebook import show
from buildpush.foundation.errors import BuildPushError, SettingsError, own_notes
from buildpush.foundation.events import Event, Sink
from buildpush.foundation.interrupts import interrupt, stoppable
from buildpush.foundation.spelling import did_you_mean
from buildpush.pipeline.arguments import check_text
from buildpush.pipeline.cell_record import record_in_cell
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.keywords import with_keywords
from buildpush.pipeline.results import PipelineResult, RunResult
from buildpush.pipeline.sections import Section, sections_of
from buildpush.settings.tree import Element, Loaded

_POLL_SECONDS: Final = 0.01
_AGAIN: Final = "to run the file again, restart the kernel, or end this run with its close()"
_AFTER_STOP: Final = "the run has ended; to go on, begin it again with open_run(..., resume=True)"
_runs: dict[Path, OpenRun] = {}
_ending: dict[Path, OpenRun] = {}  # runs that are being closed; an interrupt may have stopped that

BeforeElement = Callable[[Element], object]


class OpenRun:
    """A run under way: each call of :meth:`step` runs the next step; :func:`buildpush.open_run` begins it.

    The time limits of stages and groups run between the steps as well. In a ``with`` block, its end ends the run.
    """

    def __init__(
        self,
        loaded: Loaded,
        context: RunContext,
        run: Callable[[RunContext, BeforeElement], object],
        display: Callable[..., AbstractContextManager[Sink]],
    ) -> None:
        self._file = (context.cwd / (loaded.file or "")).resolve()
        self._gate = _Gate(sections_of(loaded.tree), context.results)
        self._display = display
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._next = 0
        self._now, self._recorded = context.now, 0
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, args=(run, context), name="buildpush-run", daemon=True)
        self._begin()

    @property
    def steps(self) -> tuple[str, ...]:
        """Names for :meth:`step`, in their order: each is a step, a loop, or steps that run at the same time."""
        return tuple(section.name for section in self._gate.sections)

    @with_keywords
    def step(self, name: str) -> PipelineResult:
        """Run the next step, which has that *name*, and return its result: one receipt for each iteration.

        If the step fails and the run ends, steps that are run after a failure are run by the same call.

        Raises:
            SettingsError: it is not the next one, or the run is over; nothing is done.
            BuildPushError: the step failed, and with it the run; its ``results`` are all receipts.
            KeyboardInterrupt: the cell or program was interrupted; the run has ended, and cleaned up after itself.
        """
        check_text("name", name)
        at = self._position(name)
        if not (self._is_under_way or self._gate.has_failed):
            _refuse_ended(name)
        self._next = at + 1
        if self._is_under_way:
            self._continue(at)
            self._raise_failure()
        return PipelineResult(self._gate.results_of(at))

    @with_keywords
    def result(self) -> PipelineResult:
        """Return the receipts of the whole run.

        Raises:
            SettingsError: a step has not been run yet, or the run was closed before it.
        """
        if self._next < len(self.steps) and not self._gate.has_failed:
            name = self.steps[self._next]
            if not self._is_under_way:
                _refuse_ended(name)
            _refuse(
                f"the step {name!r} has not been run yet", f"continue with step({name!r}), or end the run with close()"
            )
        return PipelineResult(tuple(self._gate.results))

    def close(self) -> None:
        """End the run: what is under way is interrupted, and what has not begun is not run."""
        if self._is_under_way and self._thread.ident and _ending.get(self._file) is not self:
            interrupt(self._thread.ident)  # twice if Ctrl-C comes here, which is better than never
            _ending[self._file] = self
        while self._is_under_way:  # an interrupted join would take the thread for ended (Python 3.11, gh-89437)
            time.sleep(_POLL_SECONDS)
        for runs in (_runs, _ending):
            if runs.get(self._file) is self:
                del runs[self._file]
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _is_under_way(self) -> bool:
        return self._thread.is_alive()

    def _begin(self) -> None:
        """Check the whole file, and go to the first section."""
        if before := _ending.get(self._file):
            before.close()
        if self._file in _runs:
            _refuse(f"a run of {self._file.name} has begun here already", f"continue with its steps; {_AGAIN}")
        _runs[self._file] = self
        atexit.register(self.close)
        try:
            self._thread.start()
            self._continue(-1)
            self._raise_failure()
        except BaseException:
            self.close()
            raise

    def _position(self, name: str) -> int:
        """Return the place of a section, which must be the next one."""
        if name not in self.steps:
            names = did_you_mean(name, self.steps, most=1) or f"its steps are {', '.join(self.steps)}"
            _refuse(
                f"{self._file.name} has no step {name!r}", f"{names}; if the file has changed, write its notebook again"
            )
        at = self.steps.index(name)
        if at < self._next:
            _refuse(f"the step {name!r} has been run already in this run", _AGAIN)
        if at > self._next:
            before = self.steps[self._next]
            hint = f"run {before!r} first; a notebook that has no cell for it is older than the file: write it again"
            _refuse(f"the step {before!r} comes before {name!r}, and has not been run yet", hint)
        return at

    def _continue(self, until: int) -> None:
        """Continue the run to the end of a section, and show what happens."""
        began = self._now()
        with self._display(then=_AFTER_STOP) as sink:
            try:
                self._gate.open(until)
                while self._is_under_way and not self._gate.is_waiting:
                    self._show(sink)
                    time.sleep(_POLL_SECONDS)
            except BaseException as error:
                self.close()
                for note in own_notes(self._error) if self._error else ():
                    error.add_note(note)
                raise
            finally:
                self._show(sink)
                new = self._gate.results[self._recorded :]
                self._recorded += len(new)
                record_in_cell(new, began)

    def _show(self, sink: Sink) -> None:
        while not self._events.empty():
            sink(self._events.get())

    def _raise_failure(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            if self._gate.results:
                show(PipelineResult(tuple(self._gate.results)))
            # The frames of the thread do not help the reader of a cell, unless the bug is ours.
            raise error.with_traceback(None) if isinstance(error, BuildPushError) else error

    def _work(self, run: Callable[[RunContext, BeforeElement], object], context: RunContext) -> None:
        try:
            with stoppable(context.cancel):
                run(context.with_sink(self._events.put), self._gate)
            self._gate.end()
        except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that waits
            self._error = error
            self._gate.end()


def check_sections(loaded: Loaded, expected: Sequence[str]) -> None:
    """Refuse a file with other sections than those *expected*, if any are, before anything is run.

    Raises:
        SettingsError: they differ.
    """
    if isinstance(expected, str):
        message = f"expected is text, {expected!r}, and not a list of names"
        raise SettingsError(message, hint="write a list of names")
    found = tuple(section.name for section in sections_of(loaded.tree))
    if not expected or tuple(expected) == found:
        return
    more = [f"the step {name!r}, which is not expected" for name in found if name not in expected]
    less = [f"no step {name!r}" for name in expected if name not in found]
    differences = ", ".join([*more, *less]) or f"its steps in another order: {', '.join(found)}"
    _refuse(f"{loaded.file} has {differences}", "write a notebook that is older than the file again")


def _refuse_ended(name: str) -> NoReturn:
    hint = "begin another one: restart the kernel and run all cells, or call open_run() again"
    _refuse(f"the run has ended before the step {name!r}", hint)


def _refuse(message: str, hint: str) -> NoReturn:
    raise SettingsError(message, hint=hint)


class _Gate:
    """Opens one section after the other to a walk, and all once a step has failed; keeps the results of each."""

    def __init__(self, sections: Sequence[Section], results: list[RunResult]) -> None:
        self.sections, self.results = sections, results
        self._waits_for = -1
        self._places = {id(section.element): at for at, section in enumerate(sections)}
        self._until = -1
        self._here: int | None = None
        self._before: tuple[RunResult, ...] = ()
        self._found: dict[int, tuple[RunResult, ...]] = {}

    @property
    def is_waiting(self) -> bool:
        """Whether the walk waits before a section that is not open."""
        return self._waits_for > self._until

    @property
    def has_failed(self) -> bool:
        """Whether a step has failed, and its failure is not ignored."""
        return any(result.failed for result in self.results)

    def results_of(self, at: int) -> tuple[RunResult, ...]:
        """Return the receipts of a section; none if the run ended before it."""
        return self._found.get(at, ())

    def open(self, until: int) -> None:
        """Open the section at *until* and those before it."""
        self._until = until

    def __call__(self, element: Element) -> None:
        """Wait before *element* if it is a section that is not open yet; called by the walk."""
        at = self._places.get(id(element))
        if at is None:
            return
        self.end()
        if at > self._until and not self.has_failed:
            self._waits_for = at
            while self.is_waiting:
                time.sleep(_POLL_SECONDS)
        self._here, self._before = at, tuple(self.results)

    def end(self) -> None:
        """Keep the receipts of the section that has ended."""
        if self._here is not None:
            known = {id(result) for result in self._before}
            self._found[self._here] = tuple(result for result in self.results if id(result) not in known)
        self._here = None

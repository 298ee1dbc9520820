"""The run of a file: what its steps share, the walk through them, and the record of the run.

:mod:`buildpush.pipeline.step` has the sequence of a single step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from buildpush.foundation.errors import BuildPushError, StrictError
from buildpush.foundation.events import Decision, Note
from buildpush.foundation.limits import Watch
from buildpush.pipeline.ahead import check_ahead, refuse_push
from buildpush.pipeline.attempts import Attempts
from buildpush.pipeline.branches import Branches, Turns
from buildpush.pipeline.conditions import StatusSoFar
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.kept import KeptImages
from buildpush.pipeline.logins import Logins
from buildpush.pipeline.outcomes import Outcome
from buildpush.pipeline.outputs import check_room, parse_output
from buildpush.pipeline.recall import recall
from buildpush.pipeline.record import Resumed, RunRecord
from buildpush.pipeline.results import RunResult
from buildpush.pipeline.run_builds import RunBuilds
from buildpush.pipeline.sending import leave_builds, send_builds
from buildpush.pipeline.step import RunRequest, run_step
from buildpush.pipeline.step_values import StepPath, StepValues
from buildpush.pipeline.steps import Walk, attempt, raise_failure
from buildpush.pipeline.summary import Summary, begin_record, find_earlier, find_failed
from buildpush.settings.tree import Element, Loaded, Step


def run_steps(
    loaded: Loaded,
    context: RunContext,
    *,
    push: bool = True,
    output: str | None = None,
    strict: bool = False,
    record: Path | None = None,
    resume: Path | bool = False,
    before: Callable[[Element], object] = lambda _element: None,
) -> tuple[RunResult, ...]:
    """Run every step of *loaded* in its order and return their results.

    A step whose condition is not met has the result skipped, with the reason; the first failure is raised at the end.

    Args:
        loaded: the steps.
        context: of the run; its ``results`` get each result as soon as there is one, however the run ends.
        push: as for :class:`RunRequest`.
        output: where an image that is only built is written to, as for a copy.
        strict: as for :class:`RunRequest`.
        record: file that the record of the run is written to, besides the state directory.
        resume: whether to resume the last run of the file, or the record of the run to resume.
        before: as for :class:`Walk`.
    """
    location = parse_output(output) if output else None
    if not push:
        refuse_push(loaded)
    earlier = find_earlier(resume, loaded, context)
    watch = Watch()
    context = replace(_shared(context, loaded, earlier), watch=watch)
    with watch, context:
        context.state.sweep(context.log)
        context.vault.remember()  # before anything is printed that may hold a secret
        _announce(loaded, context, strict=strict)
        count = check_ahead(loaded, context, push=push, earlier=earlier)
        if location:
            check_room(location, count)
        context.clusters.resumes = earlier is not None
        options = RunRequest(push, location, strict, earlier)
        failed_before = find_failed(earlier, loaded, context)
        run_record = begin_record(loaded, context, record) if push else None
        walk = replace(_walk(context, options, run_record, several=count > 1, failed=failed_before), before=before)
        try:
            outcomes, unsent = _walk_and_send(walk, loaded, context)
        finally:
            if run_record:
                run_record.flush()
        failed = unsent or any(one.status == "failed" for one in outcomes)
        if run_record:
            run_record.end("FAILED" if failed else "SUCCEEDED", context.now())
        if not failed:  # or it may be resumed again
            context.clusters.sweep(context.log)
        _raise_failure(outcomes, unsent, context)
    return tuple(context.results)


def _walk_and_send(
    walk: Walk, loaded: Loaded, context: RunContext
) -> tuple[tuple[Outcome, ...], BuildPushError | None]:
    """Return the outcomes, and the error if a build that several steps publish cannot be sent."""
    try:
        outcomes = tuple(walk.over(loaded.tree))
    except BaseException:
        leave_builds(context)
        raise
    return outcomes, send_builds(context)


def _raise_failure(outcomes: tuple[Outcome, ...], unsent: BuildPushError | None, context: RunContext) -> None:
    """Raise the first failure; the others are notes."""
    if unsent and any(one.status == "failed" for one in outcomes):
        context.log(Note(f"{unsent}; {unsent.hint}"))
    raise_failure(outcomes, context.results, context.log)
    if unsent:
        unsent.results = tuple(context.results)
        raise unsent


def _shared(context: RunContext, loaded: Loaded, earlier: Resumed | None) -> RunContext:
    """Return *context* with what the steps of *loaded* share in one run."""
    turns = Turns(context.log)
    return replace(
        context,
        notes=loaded.notes,
        kept_images=KeptImages.of(loaded.steps),
        logins=Logins(),
        builds=RunBuilds(earlier.builds() if earlier else {}),
        values=StepValues(loaded.tree),
        known=earlier.facts if earlier else {},
        ask=turns.person(context.ask),
        ask_input=turns.input(context.ask_input),
    )


def _walk(
    context: RunContext,
    options: RunRequest,
    record: RunRecord | None,
    *,
    several: bool,
    failed: frozenset[StepPath],
) -> Walk:
    """Return the walk that runs steps in *context*."""
    summary = Summary(context, record, several=several)
    run = partial(run_step, context=context, options=options)
    attempts = Attempts(
        lambda step, deadline: attempt(step, partial(run, deadline=deadline), context.results),
        context.facts,
        context.log,
        context.wait,
        context.ask,
        now=context.now,
        drop=partial(_drop_result, context=context),
    )

    def act(step: Step, progress: StatusSoFar) -> Outcome:
        place = (*step.around, step.identifier)
        is_first = not any(progress.passes)  # a group that is run again is run as a whole
        if options.resumed and is_first and (result := options.resumed.result(step, place, context.facts)):
            recall(step, result, context)
            return Outcome(step, "succeeded", result)
        return summary.around(partial(attempts, step, progress), step, place)

    return Walk(
        act,
        context.facts,
        partial(_skip, context=context),
        values=context.values or StepValues(),
        run_branches=Branches(context, partial(_walk, options=options, record=record, several=several, failed=failed)),
        done=summary,
        drop=partial(_drop_result, context=context),
        pause=context.wait,
        failed=failed,
    )


def _skip(step: Step, reason: str, context: RunContext) -> None:
    """Report that *step* is not run, and why."""
    context.log.begin(context.notes)
    context.log(Decision(f"step {step.name or step.identifier}", "skipped", reason))


def _drop_result(outcome: Outcome, context: RunContext) -> None:
    """Remove the receipt of an attempt that is repeated: the next attempt leaves its own."""
    if outcome.result in context.results:
        context.results.remove(outcome.result)


def _announce(loaded: Loaded, context: RunContext, *, strict: bool) -> None:
    """Report the steps of the file that are not run and the settings without effect, before anything happens."""
    for text in (*(f"not run: {other}" for other in loaded.others), *loaded.notes):
        context.log(Note(text))
    if strict and loaded.notes:
        raise StrictError(loaded.notes[0], hint="fix it, or run without --strict")

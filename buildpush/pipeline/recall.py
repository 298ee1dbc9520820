"""Restores what a step of the resumed run, which is not run again, leaves to later steps."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

from buildpush.foundation.errors import BuildPushError
from buildpush.foundation.events import Note
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.receipts import Delivery
from buildpush.pipeline.resolve import resolve_step
from buildpush.pipeline.results import RunResult
from buildpush.pipeline.runlog import RunLog
from buildpush.settings.tree import Step


def recall(step: Step, result: RunResult, context: RunContext) -> None:
    """Give later steps the logins of *step*, and write its receipt files again from *result*."""
    name = step.name or step.identifier
    dry = replace(context, dry=True, log=RunLog())  # the logins are shared with the run
    try:
        with dry, ExitStack() as stack:
            order = resolve_step(step, dry, stack=stack)
    except BuildPushError as error:
        context.log(Note(f"the step {name} is not run again, and later steps do not have its logins: {error}"))
        return
    try:
        if order.push and (delivery := Delivery.of_record(result.earlier or {})):
            for note in context.receipts.write(order.receipts, delivery.with_registry(order.settings)):
                context.log(Note(note))
    except BuildPushError as error:
        context.log(Note(f"the step {name} is not run again, and its receipt files are not written: {error}"))

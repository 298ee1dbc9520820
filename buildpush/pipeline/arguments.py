"""Checks the arguments of public functions: Python does not check types, and messages name what is accepted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from inspect import Parameter, signature
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from buildpush.foundation.errors import SettingsError
from buildpush.foundation.records import dataclass
from buildpush.foundation.spelling import did_you_mean
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.keywords import with_keywords

if TYPE_CHECKING:
    from buildpush.foundation.events import Sink
    from buildpush.pipeline.files import TransferOptions
    from buildpush.pipeline.options import CopyOptions
    from buildpush.settings.sources import CompanionFiles
    from buildpush.settings.tree import Loaded

OptionalPath = str | Path | None
# A text is a Sequence of texts as well, and would be taken for a list of letters.
TextList = list[str] | tuple[str, ...]
Paths = str | Path | Sequence[str | Path]
_DEFAULTS = {
    "project": "",
    "strict": False,
    "resume": False,
    "allow_nondistributable_artifacts": False,
    "insecure": False,
    "insecure_registry": (),
    "referrers": False,
    "inputs": (),
    "expected": (),
    "flat": False,
    "recursive": True,
    "exclusions": (),
    "props": (),
    "threads": 4,
    "dry_run": False,
    "keys": (),
}
_AFTER_STOP: Final = "to go on, run the cell again: what is there is not sent again"
_P = ParamSpec("_P")
_R = TypeVar("_R")


def takes(options: type) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Return a decorator that puts *options* into the signature of a function, which then refuses other keywords."""

    def take(act: Callable[_P, _R]) -> Callable[_P, _R]:
        *positional, _ = signature(act).parameters.values()
        keywords = [
            Parameter(name, Parameter.KEYWORD_ONLY, default=_DEFAULTS.get(name), annotation=kind.__forward_arg__)
            for name, kind in sorted(options.__annotations__.items())
        ]
        texts = [parameter.name for parameter in positional if parameter.annotation == "str"]
        full = signature(act).replace(parameters=[*positional, *keywords])

        @wraps(act)
        def checked(*arguments: _P.args, **given: _P.kwargs) -> _R:
            _check_keywords(act.__name__, given, full.parameters)
            for name, value in full.bind(*arguments, **given).arguments.items():
                if name in texts:
                    check_text(name, *value if isinstance(value, tuple) else (value,))
            return act(*arguments, **given)

        checked.__signature__ = full  # type: ignore[attr-defined]
        return with_keywords(checked)

    return take


def _check_keywords(call: str, given: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for name in given:
        if name not in known:
            near = did_you_mean(name, known, most=1)
            message = f"{call}() got an unexpected keyword argument {name!r}" + (f": {near}" if near else "")
            raise TypeError(message)


def check_text(name: str, *values: object) -> None:
    """Refuse *values* of the argument *name* that are not text."""
    for value in values:
        if not isinstance(value, str):
            message = f"{name} is of the type {type(value).__name__}, and takes text"
            raise SettingsError(message, hint="write it in quotation marks, as on the command line")


def path_of(argument: str, value: OptionalPath) -> Path | None:
    """Return *value* as a path; ``None`` stays ``None``.

    Raises:
        SettingsError: it is of another type, or not a path.
    """
    if value is None:
        return None
    if not isinstance(value, str | PathLike):
        message = f"{argument} is of the type {type(value).__name__}, and takes a path"
        raise SettingsError(message, hint="give one file or directory, as text or as a Path")
    if "\0" in str(value):
        message = f"{argument} has a NUL character, which no path has"
        raise SettingsError(message, hint="check where the path comes from")
    return Path(value)


def _texts(argument: str, values: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """Return *values* unchanged; anything but names with texts is refused."""
    if values is not None and not isinstance(values, Mapping):
        message = f"{argument} is of the type {type(values).__name__}, and takes names with their texts"
        raise SettingsError(message, hint=f'write {argument}={{"NAME": "text"}}')
    for name, value in (values or {}).items():
        check_text(f"{argument}[{name!r}]", name, value)
    return values


def context_of(
    *,
    env: Mapping[str, str] | None = None,
    cwd: OptionalPath = None,
    connectors: OptionalPath = None,
    secrets: OptionalPath = None,
    variables: Mapping[str, str] | None = None,
) -> RunContext:
    """Return the run context for the arguments of a call; their types are checked."""
    return RunContext.default(
        env=_texts("env", env),
        cwd=path_of("cwd", cwd),
        connectors=path_of("connectors", connectors),
        secrets=path_of("secrets", secrets),
        variables=_texts("variables", variables),
    )


@contextmanager
def call_context(sink: Sink | None, **around: Any) -> Iterator[RunContext]:
    """Yield the context of a call; without a *sink*, the cell of a notebook shows what happens."""
    context = context_of(**around)
    began = context.now()
    with call_display(sink, context.env) as display:
        try:
            yield context.with_sink(display)
        finally:
            if context.results:
                from buildpush.pipeline.cell_record import record_in_cell  # imported here: a plan has no results

                record_in_cell(context.results, began)


@contextmanager
def call_display(sink: Sink | None, env: Mapping[str, str], then: str = _AFTER_STOP) -> Iterator[Sink]:
    """Yield *sink*; without one, a sink that shows events in the cell of a notebook, or ignores them elsewhere.

    An interrupt is shown in a notebook as what has been done, and *then*, which says how to go on.
    """
    from buildpush.display.notebook import open_display, shorten
    from buildpush.foundation.events import ignore

    display = None if sink else open_display(sys.stdout, env)
    try:
        yield sink or display or ignore
    except KeyboardInterrupt as interrupt:
        shorten(interrupt, display.stands() if display else "", then)
        raise
    finally:
        if display:
            display.close()


@contextmanager
def copy_call(options: Mapping[str, Any]) -> Iterator[tuple[CopyOptions, RunContext]]:
    """Yield the options of the copy in *options*, and a context made from the others."""
    from buildpush.pipeline.options import CopyOptions

    with _call(options, "env", "cwd", "connectors", "secrets") as (own, context):
        yield CopyOptions(**own), context


@contextmanager
def transfer_call(options: Mapping[str, Any]) -> Iterator[tuple[TransferOptions, RunContext]]:
    """Yield the options of the upload or download in *options*, and a context made from the others."""
    from buildpush.pipeline.files import TransferOptions
    from buildpush.pipeline.saved import ServerFlags

    with _call(options, "env", "cwd") as (own, context):
        server = ServerFlags.taken_from(own)
        yield TransferOptions(**own, server=server), context


@contextmanager
def _call(options: Mapping[str, Any], *around: str) -> Iterator[tuple[dict[str, Any], RunContext]]:
    """Yield *options* without those *around* the call, and a context made from these."""
    with call_context(options.get("sink"), **{name: options.get(name) for name in around}) as context:
        yield {name: value for name, value in options.items() if name not in {"sink", *around}}, context


@dataclass(frozen=True, slots=True)
class Choice:
    """Which steps of a file are run, and the files that complete it."""

    step: str | None
    stage: str | None
    templates: OptionalPath
    inputs: Paths

    def companions(self) -> CompanionFiles:
        """Return the templates and input sets; the types of all arguments are checked.

        Raises:
            SettingsError: an argument has another type.
        """
        from buildpush.settings.sources import CompanionFiles

        for name, value in (("step", self.step), ("stage", self.stage)):
            check_text(name, *(() if value is None else (value,)))
        several = isinstance(self.inputs, Sequence) and not isinstance(self.inputs, str)
        paths: Sequence[Any] = self.inputs if several else [self.inputs]  # type: ignore[assignment]  # as Python sees it
        inputs = [path_of("inputs", one) for one in paths]
        return CompanionFiles(path_of("templates", self.templates), tuple(one for one in inputs if one is not None))


def choice_of(options: Mapping[str, Any]) -> Choice:
    """Return the choice that the keywords of a call make."""
    return Choice(options.get("step"), options.get("stage"), options.get("templates"), options.get("inputs") or ())


def read_steps(file: OptionalPath, settings: Mapping[str, Any], context: RunContext, choice: Choice) -> Loaded:
    """Return the chosen steps of *file*, with the settings that are given as keywords."""
    from buildpush.settings.sources import read

    path, companions = path_of("file", file), choice.companions()
    return read(
        path,
        env=context.env,
        flags={},
        keywords=settings,
        cwd=context.cwd,
        step=choice.step,
        stage=choice.stage,
        companions=companions,
    )


def all_steps(file: OptionalPath, settings: Mapping[str, Any], context: RunContext, choice: Choice) -> Loaded:
    """Return the chosen steps of *file*, with notes about variables, secrets and connectors that nothing uses."""
    from buildpush.settings.lookups import with_lookup_notes

    loaded = read_steps(file, settings, context, choice)
    return with_lookup_notes(loaded, context.variables, context.secrets_directory, context.connectors_file)


def one_step(file: OptionalPath, settings: Mapping[str, Any], context: RunContext, choice: Choice) -> Loaded:
    """Return the only step of *file*, or the one that *choice* names; it must not be in a loop."""
    from buildpush.pipeline.loops import is_in_loop

    loaded = all_steps(file, settings, context, choice)
    if len(loaded.steps) != 1:
        names = ", ".join(step.identifier for step in loaded.steps)
        message = f"the file has {len(loaded.steps)} steps, and this call takes one"
        raise SettingsError(message, hint=f"add step= with one of {names}, or use run_pipeline or check_pipeline")
    if is_in_loop(loaded.tree):
        message = (
            f"{loaded.steps[0].about} has a strategy, which may run it several times, and this call runs a step once"
        )
        raise SettingsError(message, hint="use run_pipeline or check_pipeline")
    return loaded

"""What importers and notebooks call: a step file, keywords, or both in, or an image that is there; a result out.

Each function loads what it needs: who only pushes waits neither for the settings nor for the engines.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from inspect import Parameter, signature
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypedDict, TypeVar, Unpack

from buildpush.foundation.errors import SettingsError
from buildpush.foundation.records import dataclass
from buildpush.foundation.spelling import did_you_mean
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.keywords import with_keywords

if TYPE_CHECKING:
    from datetime import timedelta

    from buildpush.foundation.events import Sink
    from buildpush.foundation.secrets import Secret
    from buildpush.pipeline.options import CopyOptions
    from buildpush.pipeline.plan import Plan, SkippedStep
    from buildpush.pipeline.results import PipelineResult, RunResult
    from buildpush.settings.contents import Entry
    from buildpush.settings.sources import Beside
    from buildpush.settings.tree import Loaded

OptionalPath = str | Path | None
Paths = str | Path | Sequence[str | Path]
_DEFAULTS = {
    "strict": False,
    "resume": False,
    "allow_nondistributable_artifacts": False,
    "insecure": (),
    "referrers": False,
    "inputs": (),
}
_P = ParamSpec("_P")
_R = TypeVar("_R")


class HostOptions(TypedDict, total=False):
    """How registries are reached, and who hears about it: keywords of :func:`tag`, described at :func:`push`."""

    connectors: OptionalPath
    connector_ref: str | None
    secrets: OptionalPath
    username: str | None
    password: Secret | str | None
    insecure: Sequence[str]
    timeout: timedelta | str | None
    env: Mapping[str, str] | None
    cwd: OptionalPath
    sink: Sink | None


class IndexOptions(HostOptions, total=False):
    """Keywords of :func:`merge`."""

    media_types: str | None
    allow_nondistributable_artifacts: bool


class ImageOptions(IndexOptions, total=False):
    """Keywords of :func:`push` and :func:`copy`."""

    compression: str | None
    platform: str | None
    referrers: bool


class PipelineOptions(TypedDict, total=False):
    """Keywords of :func:`check_pipeline`, described at :func:`run_pipeline`."""

    connectors: OptionalPath
    secrets: OptionalPath
    variables: Mapping[str, str] | None
    env: Mapping[str, str] | None
    cwd: OptionalPath
    stage: str | None
    step: str | None
    templates: OptionalPath
    inputs: Paths


class RunOptions(PipelineOptions, total=False):
    """Keywords of :func:`run_pipeline`."""

    record: OptionalPath
    resume: str | Path | bool
    strict: bool
    sink: Sink | None


@with_keywords
def load(
    file: OptionalPath = None,
    *,
    env: Mapping[str, str] | None = None,
    cwd: OptionalPath = None,
    step: str | None = None,
    stage: str | None = None,
    templates: OptionalPath = None,
    inputs: Paths = (),
    **settings: Any,
) -> Loaded:
    """Return the steps of *file* with all their settings, and where each was set.

    Args:
        file: a step file or pipeline; without one, the keywords make a step.
        env: variables to read instead of the process's own.
        cwd: directory that relative paths start from; the process's own if not given.
        step: identifier of the only step that is wanted.
        stage: identifier of the only stage that is wanted.
        templates: directory with the files of templates that *file* names.
        inputs: an input set or an overlay, or several, of which the last counts.
        settings: settings by their Python names; they beat variables, and those the file.

    Raises:
        SettingsError: something cannot be read or is set twice; the message says where.
    """
    choice = _Choice(step, stage, templates, inputs)
    return _read(file, settings, _context_of(env=env, cwd=cwd), choice)


@with_keywords
def run(
    file: OptionalPath = None,
    *,
    connectors: OptionalPath = None,
    secrets: OptionalPath = None,
    variables: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: OptionalPath = None,
    step: str | None = None,
    stage: str | None = None,
    templates: OptionalPath = None,
    inputs: Paths = (),
    strict: bool = False,
    sink: Sink | None = None,
    **settings: Any,
) -> RunResult:
    """Build, push and publish one step, and return what the registry and Artifactory confirmed.

    Args:
        file: a step file or pipeline with one step to run; without one, the keywords make a step.
        connectors: file of connectors and secret references.
        secrets: directory with one file per secret.
        variables: what expressions may ask for.
        env: variables to read instead of the process's own.
        cwd: directory that relative paths start from; the process's own if not given.
        step: identifier of the only step that is wanted.
        stage: identifier of the only stage that is wanted.
        templates: directory with the files of templates that *file* names.
        inputs: an input set or an overlay, or several, of which the last counts.
        strict: fail where a note would be given.
        sink: called with every event; without it, a notebook's cell shows them, and elsewhere nothing does.
        settings: settings by their Python names; they beat variables, and those the file.

    Raises:
        BuildPushError: the first thing that failed.
        KeyboardInterrupt: the cell or program was interrupted; the run has cleaned up after itself.
    """
    from buildpush.pipeline.step import run_steps

    with _context(sink, env=env, cwd=cwd, connectors=connectors, secrets=secrets, variables=variables) as context:
        return run_steps(
            _one_step(file, settings, context, _Choice(step, stage, templates, inputs)), context, strict=strict
        )[0]


@with_keywords
def build(
    file: OptionalPath = None,
    *,
    output: str | None = None,
    connectors: OptionalPath = None,
    secrets: OptionalPath = None,
    variables: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: OptionalPath = None,
    step: str | None = None,
    stage: str | None = None,
    templates: OptionalPath = None,
    inputs: Paths = (),
    sink: Sink | None = None,
    **settings: Any,
) -> RunResult:
    """Build one step without a push, into *output* (any destination of :func:`copy`) if it is given.

    Arguments and errors are those of :func:`run`.
    """
    from buildpush.pipeline.step import run_steps

    with _context(sink, env=env, cwd=cwd, connectors=connectors, secrets=secrets, variables=variables) as context:
        return run_steps(
            _one_step(file, settings, context, _Choice(step, stage, templates, inputs)),
            context,
            push=False,
            output=output,
        )[0]


def _takes(options: type) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Let people see each of *options* in the signature of a function, which refuses others as Python does."""

    def take(act: Callable[_P, _R]) -> Callable[_P, _R]:
        *positional, _ = signature(act).parameters.values()
        keywords = [
            Parameter(name, Parameter.KEYWORD_ONLY, default=_DEFAULTS.get(name), annotation=kind.__forward_arg__)
            for name, kind in sorted(options.__annotations__.items())
        ]
        texts = [parameter.name for parameter in positional if parameter.annotation == "str"]
        shown = signature(act).replace(parameters=[*positional, *keywords])

        @wraps(act)
        def checked(*arguments: _P.args, **given: _P.kwargs) -> _R:
            _check_keywords(act.__name__, given, shown.parameters)
            for name, value in shown.bind(*arguments, **given).arguments.items():
                if name in texts:
                    _check_text(name, *value if isinstance(value, tuple) else (value,))
            return act(*arguments, **given)

        checked.__signature__ = shown  # type: ignore[attr-defined]
        return with_keywords(checked)

    return take


def _check_keywords(call: str, given: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for name in given:
        if name not in known:
            near = did_you_mean(name, known, most=1)
            message = f"{call}() got an unexpected keyword argument {name!r}" + (f": {near}" if near else "")
            raise TypeError(message)


def _check_text(name: str, *values: object) -> None:
    for value in values:
        if not isinstance(value, str):
            message = f"{name} is of the type {type(value).__name__}, and takes text"
            raise SettingsError(message, hint="write it in quotation marks, as on the command line")


@contextmanager
def _copying(options: Mapping[str, Any]) -> Iterator[tuple[CopyOptions, RunContext]]:
    """Give what *options* say about an image, and the context in which they say it."""
    from buildpush.pipeline.options import CopyOptions

    around = {name: options.get(name) for name in ("env", "cwd", "connectors", "secrets")}
    with _context(options.get("sink"), **around) as context:
        yield CopyOptions(**{name: options[name] for name in options if name not in {"sink", *around}}), context


@_takes(ImageOptions)
def push(source: str, *references: str, **options: Unpack[ImageOptions]) -> RunResult:
    """Push the image or index at *source*, and let every one of *references* name it.

    What came with a manifest arrives byte for byte, unless *compression* or *media_types* changes it.

    Args:
        source: such as ``docker-daemon:app:1``; see :func:`copy`.
        references: ``HOST/REPOSITORY:TAG``; all tags of a repository come from one upload.
        compression: ``gzip``, ``zstd`` or ``none``, for layers that are not compressed yet.
        media_types: ``oci`` or ``docker``, of the manifest.
        platform: ``OS/ARCHITECTURE`` of the only image of an index that is wanted.
        referrers: whether signatures, SBOMs and attestations of the image go with it.
        allow_nondistributable_artifacts: whether layers go along that are otherwise fetched from their vendor, such as
            those of Windows; without it the manifest only names them.
        connectors: file of connectors; each counts for its own host.
        connector_ref: the only connector to use.
        secrets: directory with one file per secret.
        username: at the registry that is written to.
        password: a ``Secret``, or where it is: ``env:NAME``, ``file:PATH``.
        insecure: hosts whose certificate is not verified, and that are reached by plain HTTP where they have no TLS.
        timeout: after which the call is aborted, such as ``10m``.
        env: variables to read instead of the process's own.
        cwd: directory that relative paths start from.
        sink: called with every event; without it, a notebook's cell shows them, and elsewhere nothing does.

    Raises:
        TimeOutError: *timeout* was reached; the message says which references stand.
        BuildPushError: the first thing that failed; the message says which references stand.
        KeyboardInterrupt: the cell or program was interrupted.
    """
    from buildpush.pipeline import images

    with _copying(options) as (how, context):
        return images.push(source, references, how, context)


@_takes(ImageOptions)
def copy(source: str, destination: str, **options: Unpack[ImageOptions]) -> RunResult:
    """Copy the image or index at *source* to *destination*.

    Both are one of ``docker://HOST/REPOSITORY:TAG``, ``docker-daemon:IMAGE``, ``docker-archive:FILE[:REFERENCE]``,
    ``oci:DIRECTORY[:TAG]`` and ``oci-archive:FILE[:TAG]``.
    The other arguments and the errors are those of :func:`push`.
    """
    from buildpush.pipeline import images

    with _copying(options) as (how, context):
        return images.copy(source, destination, how, context)


@_takes(IndexOptions)
def merge(reference: str, *sources: str, **options: Unpack[IndexOptions]) -> RunResult:
    """Make one index of the images at *sources*, one for each platform, and let *reference* name it.

    *sources* are written as for :func:`copy`; *media_types* are ``oci`` or ``docker``, of the index.
    The other arguments and the errors are those of :func:`push`.
    """
    from buildpush.pipeline import images

    with _copying(options) as (how, context):
        return images.merge(reference, sources, how, context)


@_takes(HostOptions)
def tag(reference: str, *tags: str, **options: Unpack[HostOptions]) -> RunResult:
    """Give the image or index that *reference* names more *tags* in its repository; no blob moves.

    The other arguments and the errors are those of :func:`push`.
    """
    from buildpush.pipeline import images

    with _copying(options) as (how, context):
        return images.tag(reference, tags, how, context)


@with_keywords
def check(
    file: OptionalPath = None,
    *,
    connectors: OptionalPath = None,
    secrets: OptionalPath = None,
    variables: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: OptionalPath = None,
    step: str | None = None,
    stage: str | None = None,
    templates: OptionalPath = None,
    inputs: Paths = (),
    **settings: Any,
) -> Plan | SkippedStep:
    """Return what :func:`run` would do with the same arguments; nothing is done and no host is asked.

    Arguments and errors are those of :func:`run`.
    """
    from dataclasses import replace

    from buildpush.foundation.events import ignore
    from buildpush.pipeline.plan import plan_steps

    with _context(ignore, env=env, cwd=cwd, connectors=connectors, secrets=secrets, variables=variables) as context:
        loaded = _one_step(file, settings, context, _Choice(step, stage, templates, inputs))
        (planned,) = plan_steps(loaded, context)
        return replace(planned, notes=(*loaded.notes, *planned.notes))


@_takes(RunOptions)
def run_pipeline(file: OptionalPath, **options: Unpack[RunOptions]) -> PipelineResult:
    """Run all steps of *file* as its conditions and loops say, and return what became of each.

    Args:
        file: a pipeline file, or anything else that :func:`load` reads.
        connectors: file of connectors and secret references.
        secrets: directory with one file per secret.
        variables: what expressions may ask for.
        env: variables to read instead of the process's own.
        cwd: directory that relative paths start from; the process's own if not given.
        stage: identifier of the only stage that is run.
        step: identifier of the only step that is run, as often as its loop says.
        templates: directory with the files of templates that *file* names.
        inputs: an input set or an overlay, or several, of which the last counts.
        strict: fail where a note would be given.
        record: file for the record of the run: every step, attempt, decision and reason, in JSON; it is kept in the
            state directory as well.
        resume: run again what did not succeed in the last run of *file*, or in the one whose record is named.
        sink: called with every event; without it, a notebook's cell shows them, and elsewhere nothing does.

    Raises:
        BuildPushError: the first thing that failed; its ``results`` are the receipts until then.
        KeyboardInterrupt: the cell or program was interrupted; the run has cleaned up after itself.
    """
    from buildpush.pipeline.results import PipelineResult
    from buildpush.pipeline.step import run_steps

    with _context(options.get("sink"), **_around(options)) as context:
        loaded = _all_steps(file, {}, context, _choice(options))
        resume = options.get("resume", False)
        strict, record = options.get("strict", False), _path("record", options.get("record"))
        resume = resume if isinstance(resume, bool) else _path("resume", resume) or False
        return PipelineResult(run_steps(loaded, context, strict=strict, record=record, resume=resume))


@_takes(PipelineOptions)
def check_pipeline(file: OptionalPath, **options: Unpack[PipelineOptions]) -> tuple[Plan | SkippedStep, ...]:
    """Return what :func:`run_pipeline` would do with the same arguments if every step goes well, step by step.

    Arguments and errors are those of :func:`run_pipeline`.
    """
    from dataclasses import replace

    from buildpush.foundation.events import ignore
    from buildpush.pipeline.plan import plan_steps

    with _context(ignore, **_around(options)) as context:
        loaded = _all_steps(file, {}, context, _choice(options))
        return tuple(replace(one, notes=(*loaded.notes, *one.notes)) for one in plan_steps(loaded, context))


@with_keywords
def list_pipeline(
    file: str | Path,
    *,
    cwd: OptionalPath = None,
    stage: str | None = None,
    step: str | None = None,
    templates: OptionalPath = None,
    inputs: Paths = (),
) -> tuple[Entry, ...]:
    """Return every stage, group and step of *file*, of any kind, and whether it is run here; no setting is read.

    Args:
        file: a pipeline file, or anything else that :func:`load` reads.
        cwd: directory that relative paths start from; the process's own if not given.
        stage: identifier of the only stage that is run.
        step: identifier of the only step that is run.
        templates: directory with the files of templates that *file* names.
        inputs: an input set or an overlay, or several, of which the last counts.

    Raises:
        SettingsError: the file cannot be read, or has no such stage or step.
    """
    from buildpush.settings.contents import entries
    from buildpush.settings.selection import select
    from buildpush.settings.sources import file_tree

    beside = _Choice(step, stage, templates, inputs).beside()
    path = _path("file", file) or Path()
    return tuple(entries(select(file_tree(path, _path("cwd", cwd) or Path(), beside, []), path, stage, step)))


def _around(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of *options* that make the context."""
    return {name: options.get(name) for name in ("connectors", "secrets", "variables", "env", "cwd")}


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which steps of a file are run, and the files that complete it."""

    step: str | None
    stage: str | None
    templates: OptionalPath
    inputs: Paths

    def beside(self) -> Beside:
        """Return what completes the file; all that a caller gives is checked.

        Raises:
            SettingsError: something is of another type.
        """
        from buildpush.settings.sources import Beside

        for name, value in (("step", self.step), ("stage", self.stage)):
            _check_text(name, *(() if value is None else (value,)))
        several = isinstance(self.inputs, Sequence) and not isinstance(self.inputs, str)
        paths: Sequence[Any] = self.inputs if several else [self.inputs]  # type: ignore[assignment]  # as Python sees it
        inputs = [_path("inputs", one) for one in paths]
        return Beside(_path("templates", self.templates), tuple(one for one in inputs if one is not None))


def _choice(options: Mapping[str, Any]) -> _Choice:
    return _Choice(options.get("step"), options.get("stage"), options.get("templates"), options.get("inputs") or ())


def _read(file: OptionalPath, settings: Mapping[str, Any], context: RunContext, choice: _Choice) -> Loaded:
    from buildpush.settings.sources import read

    path, beside = _path("file", file), choice.beside()
    return read(
        path,
        env=context.env,
        flags={},
        keywords=settings,
        cwd=context.cwd,
        step=choice.step,
        stage=choice.stage,
        beside=beside,
    )


def _all_steps(file: OptionalPath, settings: Mapping[str, Any], context: RunContext, choice: _Choice) -> Loaded:
    from buildpush.settings.lookups import with_lookup_notes

    loaded = _read(file, settings, context, choice)
    return with_lookup_notes(loaded, context.variables, context.secrets_directory, context.connectors_file)


def _one_step(file: OptionalPath, settings: Mapping[str, Any], context: RunContext, choice: _Choice) -> Loaded:
    """Return the only step of *file*, or the one that is asked for, which must not stand in a loop."""
    from buildpush.pipeline.loops import is_in_loop

    loaded = _all_steps(file, settings, context, choice)
    if len(loaded.steps) != 1:
        names = ", ".join(step.identifier for step in loaded.steps)
        message = f"the file has {len(loaded.steps)} steps, and this call takes one"
        raise SettingsError(message, hint=f"add step= with one of {names}, or use run_pipeline or check_pipeline")
    if is_in_loop(loaded.tree):
        message = f"{loaded.steps[0].about} is run by a strategy, as often as it says, and this call takes one run"
        raise SettingsError(message, hint="use run_pipeline or check_pipeline")
    return loaded


def _path(argument: str, value: OptionalPath) -> Path | None:
    if value is None:
        return None
    if not isinstance(value, str | PathLike):
        message = f"{argument} is of the type {type(value).__name__}, and takes a path"
        raise SettingsError(message, hint="give one file or directory, as text or as a Path")
    if "\0" in str(value):
        message = f"{argument} has a NUL character, which no path has"
        raise SettingsError(message, hint="look at where the path comes from")
    return Path(value)


def _texts(argument: str, values: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """Return *values* as they are, if they are names and texts."""
    if values is not None and not isinstance(values, Mapping):
        message = f"{argument} is of the type {type(values).__name__}, and takes names with their texts"
        raise SettingsError(message, hint=f'write {argument}={{"NAME": "text"}}')
    for name, value in (values or {}).items():
        _check_text(f"{argument}[{name!r}]", name, value)
    return values


def _context_of(
    *,
    env: Mapping[str, str] | None = None,
    cwd: OptionalPath = None,
    connectors: OptionalPath = None,
    secrets: OptionalPath = None,
    variables: Mapping[str, str] | None = None,
) -> RunContext:
    """Return the context that the arguments of a call make, checked: Python does not look at their types."""
    return RunContext.default(
        env=_texts("env", env),
        cwd=_path("cwd", cwd),
        connectors=_path("connectors", connectors),
        secrets=_path("secrets", secrets),
        variables=_texts("variables", variables),
    )


@contextmanager
def _context(sink: Sink | None, **around: Any) -> Iterator[RunContext]:
    """Give the context of a call; without a *sink*, the cell of a notebook shows what happens."""
    from buildpush.display.notebook import open_display
    from buildpush.foundation.events import ignore

    context = _context_of(**around)
    display = None if sink else open_display(sys.stdout, context.env)
    try:
        yield context.with_sink(sink or display or ignore)
    finally:
        if display:
            display.close()

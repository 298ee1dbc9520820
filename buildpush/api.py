"""The public functions: they take a step file, keywords, or both, or an existing image, and return a result.

Each function loads only what it needs: a push waits neither for the settings nor for the engines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from buildpush.display.tables import Listing
from buildpush.pipeline.arguments import (
    Choice,
    OptionalPath,
    Paths,
    all_steps,
    call_context,
    call_display,
    choice_of,
    context_of,
    copy_call,
    one_step,
    path_of,
    read_steps,
    takes,
    transfer_call,
)
from buildpush.pipeline.call_options import (
    BuildsOptions,
    DownloadOptions,
    HostOptions,
    ImageOptions,
    IndexOptions,
    OpenRunOptions,
    PipelineOptions,
    RunOptions,
    UploadOptions,
    VerifyOptions,
)
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.keywords import keywords_of, with_keywords

if TYPE_CHECKING:
    from buildpush.foundation.events import Sink
    from buildpush.pipeline.builds import Builds
    from buildpush.pipeline.open_run import OpenRun
    from buildpush.pipeline.plan import Plan, SkippedStep
    from buildpush.pipeline.results import PipelineResult, RunResult
    from buildpush.pipeline.verification import Verification
    from buildpush.settings.contents import ContentsEntry
    from buildpush.settings.step_keywords import StepSettings
    from buildpush.settings.tree import Element, Loaded


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
    **settings: Unpack[StepSettings],
) -> Loaded:
    """Return the steps of *file* with all their settings, and where each was set.

    Args:
        file: a step file or pipeline; without one, the keywords make a step.
        env: variables to read instead of the process's own.
        cwd: directory that relative paths start from; the process's own if not given.
        step: identifier of the only step to take.
        stage: identifier of the only stage to take.
        templates: directory with the files of templates that *file* names.
        inputs: an input set or an overlay, or several, of which the last counts.
        settings: settings by their Python names; they override variables, which override the file.

    Raises:
        SettingsError: the file cannot be read, or a setting is set twice; the message says where.
    """
    choice = Choice(step, stage, templates, inputs)
    return read_steps(file, settings, context_of(env=env, cwd=cwd), choice)


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
    **settings: Unpack[StepSettings],
) -> RunResult:
    """Build, push and publish one step, and return what the registry and Artifactory confirmed.

    Args:
        file: a step file or pipeline with one step to run; without one, the keywords make a step.
        connectors: file of connectors and secret references.
        secrets: directory with one file per secret.
        variables: values for expressions, by name.
        env: variables to read instead of the process's own.
        cwd: directory that relative paths start from; the process's own if not given.
        step: identifier of the only step to take.
        stage: identifier of the only stage to take.
        templates: directory with the files of templates that *file* names.
        inputs: an input set or an overlay, or several, of which the last counts.
        strict: fail instead of giving a note.
        sink: called with every event; without it, a notebook's cell shows them, and elsewhere nothing does.
        settings: settings by their Python names; they override variables, which override the file.

    Raises:
        BuildPushError: the first thing that failed.
        KeyboardInterrupt: the cell or program was interrupted; the run has cleaned up after itself.
    """
    from buildpush.pipeline.run import run_steps

    with call_context(sink, env=env, cwd=cwd, connectors=connectors, secrets=secrets, variables=variables) as context:
        return run_steps(
            one_step(file, settings, context, Choice(step, stage, templates, inputs)), context, strict=strict
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
    **settings: Unpack[StepSettings],
) -> RunResult:
    """Build one step without a push, into *output* (any destination of :func:`copy`) if it is given.

    Arguments and errors are those of :func:`run`.
    """
    from buildpush.pipeline.run import run_steps

    with call_context(sink, env=env, cwd=cwd, connectors=connectors, secrets=secrets, variables=variables) as context:
        return run_steps(
            one_step(file, settings, context, Choice(step, stage, templates, inputs)),
            context,
            push=False,
            output=output,
        )[0]


@takes(ImageOptions)
def push(source: str, *references: str, **options: Unpack[ImageOptions]) -> RunResult:
    """Push the image or index at *source* under every one of *references*.

    An image that has a manifest arrives byte for byte, unless *compression* or *media_types* changes it.

    Args:
        source: such as ``docker-daemon:app:1``; see :func:`copy`.
        references: ``HOST/REPOSITORY:TAG``; all tags of a repository come from one upload.
        compression: ``gzip``, ``zstd`` or ``none``, for layers that are not compressed yet.
        media_types: ``oci`` or ``docker``, of the manifest.
        platform: ``OS/ARCHITECTURE`` of the only image of an index to push.
        referrers: whether signatures, SBOMs and attestations of the image go with it.
        allow_nondistributable_artifacts: whether layers that are usually fetched from their vendor are pushed as well,
            such as those of Windows; without it, the manifest only names them.
        connectors: file of connectors; each is used for its own host.
        connector_ref: the only connector to use.
        secrets: directory with one file per secret.
        username: for the registry that is written to.
        password: a ``Secret``, or a reference to it: ``env:NAME``, ``file:PATH``.
        insecure: whether the registry that is written to may have any certificate, or no TLS.
        insecure_registry: other hosts for which that holds.
        timeout: after which the call is aborted, such as ``10m``.
        env: variables to read instead of the process's own.
        cwd: directory that relative paths start from.
        sink: called with every event; without it, a notebook's cell shows them, and elsewhere nothing does.

    Raises:
        TimeOutError: *timeout* was reached; the message says which references are pushed.
        BuildPushError: the first thing that failed; the message says which references are pushed.
        KeyboardInterrupt: the cell or program was interrupted.
    """
    from buildpush.pipeline import images

    with copy_call(options) as (how, context):
        return images.push(source, references, how, context)


@takes(ImageOptions)
def copy(source: str, destination: str, **options: Unpack[ImageOptions]) -> RunResult:
    """Copy the image or index at *source* to *destination*.

    Both are one of ``docker://HOST/REPOSITORY:TAG``, ``docker-daemon:IMAGE``, ``docker-archive:FILE[:REFERENCE]``,
    ``oci:DIRECTORY[:TAG]`` and ``oci-archive:FILE[:TAG]``.
    The other arguments and the errors are those of :func:`push`.
    """
    from buildpush.pipeline import images

    with copy_call(options) as (how, context):
        return images.copy(source, destination, how, context)


@takes(IndexOptions)
def merge(reference: str, *sources: str, **options: Unpack[IndexOptions]) -> RunResult:
    """Make one index of the images at *sources*, one for each platform, and push it as *reference*.

    *sources* are written as for :func:`copy`; *media_types* are ``oci`` or ``docker``, of the index.
    The other arguments and the errors are those of :func:`push`.
    """
    from buildpush.pipeline import images

    with copy_call(options) as (how, context):
        return images.merge(reference, sources, how, context)


@takes(VerifyOptions)
def verify(reference: str, **options: Unpack[VerifyOptions]) -> Verification:
    """Return what is beside the image that *reference* names, by whom it is signed, and whether all of it agrees.

    Args:
        reference: ``HOST/REPOSITORY:TAG`` or ``HOST/REPOSITORY@DIGEST``, of an image or an index.
        keys: a file with public keys as PEM, or several; at least one document must be signed by one of them.
        artifactory_url: address of the Artifactory with the build-info; ``JF_URL`` by default.
        artifactory_token: its token, as a ``Secret`` or a reference.
        build: name and number of its build; without it, those that the provenance names.

    Returns:
        Its ``ok`` says whether nothing is wrong, and ``unchecked`` what was not looked at.

    Raises:
        BuildPushError: the image, or the build-info, cannot be read.
    """
    from buildpush.pipeline import images
    from buildpush.pipeline.saved import ServerFlags

    keys, build = options.pop("keys", ()), options.pop("build", None)
    url, token = options.pop("artifactory_url", None), options.pop("artifactory_token", None)
    server = ServerFlags(artifactory_url=url, artifactory_token=token)
    with copy_call(options) as (how, context):
        return images.verify(reference, how, context, keys=keys, server=server, build=build)


@takes(HostOptions)
def tag(reference: str, *tags: str, **options: Unpack[HostOptions]) -> RunResult:
    """Give the image or index that *reference* names more *tags* in its repository; no blob moves.

    The other arguments and the errors are those of :func:`push`.
    """
    from buildpush.pipeline import images

    with copy_call(options) as (how, context):
        return images.tag(reference, tags, how, context)


@takes(UploadOptions)
def upload(pattern: str, target: str, **options: Unpack[UploadOptions]) -> RunResult:
    """Upload the files that *pattern* matches to *target*; what Artifactory has already is not sent again.

    The other arguments are those of :func:`push`.

    Args:
        pattern: of paths: ``*`` is any text, also of several directories; ``**/`` any number of directories; ``?`` one
            character; a part in parentheses is a placeholder if *target* names its number, such as ``{1}``.
        target: ``REPOSITORY/PATH``; one that ends in a slash is a directory.
        flat: whether files lose their directories there.
        recursive: whether directories below are searched.
        exclusions: patterns of files that are left out.
        props: properties of every file, such as ``stage=test;team=web,api``.
        threads: how many files are on their way at the same time, up to 32.
        dry_run: whether nothing is sent, and only the files and their targets are returned.
        artifactory_url, artifactory_token: without them, ``JF_URL`` and its login; a ``Secret`` or a reference.
        username, password: if there is no token.
        insecure, pem_file_path: whether, and by which certificates, the server is trusted.

    Raises:
        BuildPushError: the first thing that failed; its ``results`` say which files are uploaded.
    """
    from buildpush.pipeline import files

    with transfer_call(options) as (how, context):
        return files.upload(pattern, target, how, context)


@takes(DownloadOptions)
def download(pattern: str, target: str = "", **options: Unpack[DownloadOptions]) -> RunResult:
    """Download the files of Artifactory that *pattern* matches into *target*, each whole and checked, or not at all.

    *pattern* begins with a repository; *target* is a directory if it ends in a slash or is one, else a file's name.
    The other arguments and the errors are those of :func:`upload`.
    """
    from buildpush.pipeline import files

    with transfer_call(options) as (how, context):
        return files.download(pattern, target, how, context)


@takes(BuildsOptions)
@contextmanager
def open_builds(artifactory_url: str | None = None, **options: Unpack[BuildsOptions]) -> Iterator[Builds]:
    """Yield the builds of an Artifactory, by default of that which ``JF_URL`` names, to list, compare and promote them.

    *project* is the key of the JFrog project that they belong to. The other arguments are those of :func:`upload`.

    Raises:
        SettingsError: no Artifactory is given, a reference leads nowhere, or certificates cannot be read.
        BuildPushError: the block raised it.
    """
    from buildpush.pipeline import builds
    from buildpush.pipeline.saved import ServerFlags

    around = {name: options.get(name) for name in ("env", "cwd")}
    flags = ServerFlags.taken_from({"artifactory_url": artifactory_url, **options})
    with (
        keywords_of(open_builds),
        call_context(options.get("sink"), **around) as context,
        builds.open_builds(context, flags, options.get("project", "")) as found,
    ):
        yield found


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
    **settings: Unpack[StepSettings],
) -> Plan | SkippedStep:
    """Return what :func:`run` would do with the same arguments; nothing is done and no host is asked.

    Arguments and errors are those of :func:`run`.
    """
    from dataclasses import replace

    from buildpush.foundation.events import ignore
    from buildpush.pipeline.planning import plan_steps

    with call_context(ignore, env=env, cwd=cwd, connectors=connectors, secrets=secrets, variables=variables) as context:
        loaded = one_step(file, settings, context, Choice(step, stage, templates, inputs))
        (planned,) = plan_steps(loaded, context)
        return replace(planned, notes=(*loaded.notes, *planned.notes))


@takes(RunOptions)
def run_pipeline(file: OptionalPath, **options: Unpack[RunOptions]) -> PipelineResult:
    """Run all steps of *file* as its conditions and loops say, and return their receipts.

    Args:
        file: a pipeline file, or anything else that :func:`load` reads.
        connectors: file of connectors and secret references.
        secrets: directory with one file per secret.
        variables: values for expressions, by name.
        env: variables to read instead of the process's own.
        cwd: directory that relative paths start from; the process's own if not given.
        stage: identifier of the only stage that is run.
        step: identifier of the only step that is run, as often as its loop says.
        templates: directory with the files of templates that *file* names.
        inputs: an input set or an overlay, or several, of which the last counts.
        strict: fail instead of giving a note.
        record: file for the record of the run: every step, attempt, decision and reason, in JSON; it is kept in the
            state directory as well.
        resume: run again what did not succeed in the last run of *file*, or in the one whose record is named.
        sink: called with every event; without it, a notebook's cell shows them, and elsewhere nothing does.

    Raises:
        BuildPushError: the first thing that failed; its ``results`` are the receipts until then.
        KeyboardInterrupt: the cell or program was interrupted; the run has cleaned up after itself.
    """
    from buildpush.pipeline.results import PipelineResult

    with call_context(options.get("sink"), **_around(options)) as context:
        return PipelineResult(_run_steps(all_steps(file, {}, context, choice_of(options)), options, context))


@takes(OpenRunOptions)
def open_run(file: OptionalPath, **options: Unpack[OpenRunOptions]) -> OpenRun:
    """Begin a run of *file* that continues with each call of its ``step``, such as in the cells of a notebook.

    The whole file is checked, and nothing is run yet.
    Other arguments and errors are those of :func:`run_pipeline`.

    Args:
        file: as there.
        expected: names of all steps that the caller runs, in their order; if given, *file* must have just these.

    Raises:
        SettingsError: *file* has other steps, or an earlier run of it is not closed.
    """
    from buildpush.pipeline.open_run import OpenRun, check_sections

    context = context_of(**_around(options))
    loaded = all_steps(file, {}, context, choice_of(options))
    check_sections(loaded, options.get("expected", ()))
    run = with_keywords(partial(_run_steps, loaded, options), like=run_pipeline)
    return OpenRun(loaded, context, run, partial(call_display, options.get("sink"), context.env))


@takes(PipelineOptions)
def check_pipeline(file: OptionalPath, **options: Unpack[PipelineOptions]) -> tuple[Plan | SkippedStep, ...]:
    """Return what :func:`run_pipeline` would do with the same arguments if every step goes well, step by step.

    Arguments and errors are those of :func:`run_pipeline`.
    """
    from dataclasses import replace

    from buildpush.foundation.events import ignore
    from buildpush.pipeline.planning import plan_steps

    with call_context(ignore, **_around(options)) as context:
        loaded = all_steps(file, {}, context, choice_of(options))
        return Listing(replace(one, notes=(*loaded.notes, *one.notes)) for one in plan_steps(loaded, context))


@with_keywords
def list_pipeline(
    file: str | Path,
    *,
    cwd: OptionalPath = None,
    stage: str | None = None,
    step: str | None = None,
    templates: OptionalPath = None,
    inputs: Paths = (),
) -> tuple[ContentsEntry, ...]:
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

    companions = Choice(step, stage, templates, inputs).companions()
    path = path_of("file", file) or Path()
    return Listing(entries(select(file_tree(path, path_of("cwd", cwd) or Path(), companions, []), path, stage, step)))


def _run_steps(
    loaded: Loaded,
    options: RunOptions,
    context: RunContext,
    before: Callable[[Element], object] = lambda _element: None,
) -> tuple[RunResult, ...]:
    """Run all steps of a file as *options* say; *before* gets each element before its condition is evaluated."""
    from buildpush.pipeline.run import run_steps

    resume = options.get("resume", False)
    strict, record = options.get("strict", False), path_of("record", options.get("record"))
    resume = resume if isinstance(resume, bool) else path_of("resume", resume) or False
    return run_steps(loaded, context, strict=strict, record=record, resume=resume, before=before)


def _around(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the *options* that the context is made from."""
    return {name: options.get(name) for name in ("connectors", "secrets", "variables", "env", "cwd")}

"""The build-info of one step: on disk from before its push until Artifactory has it.

A run that is killed in between leaves a file, which the next run of the same build finishes, or the command
``build-info publish``: from what the registry holds by then.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from buildpush.expressions.facts import Git, Vcs, vcs
from buildpush.foundation.errors import (
    AuthenticationError,
    BuildInfoError,
    BuildPushError,
    CancelledError,
    NotPushedError,
    PushError,
    SettingsError,
    TimeOutError,
    UnreachableError,
)
from buildpush.foundation.events import Decision, Note, Sink
from buildpush.foundation.state import NoStateError
from buildpush.images.model import PushedImage, PushedIndex
from buildpush.images.references import Digest
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.finishing import collection_flags, finish, finish_command
from buildpush.pipeline.issues import find_issues
from buildpush.pipeline.run_builds import CollectedBuild, RunBuild
from buildpush.registry.client import Registry

if TYPE_CHECKING:
    from datetime import datetime
    from types import TracebackType
    from typing import Self

    from buildpush.artifactory import Artifactory, BuildInfo, BuildRecord, Published, VcsEntry
    from buildpush.artifactory.existing import IfExists
    from buildpush.artifactory.pending import Pending
    from buildpush.artifactory.transfers import TransferredFile
    from buildpush.pipeline.evidence import Statements
    from buildpush.provenance.attestations import Attestations
    from buildpush.settings.resolved import ResolvedStep

Pushed = PushedImage | PushedIndex

# How many files of earlier runs one run looks at.
_AT_ONCE: Final = 10


class Publication:
    """The build-info of one step, from before its push until it is published, or waits for the end of the run.

    Args:
        server: the Artifactory that gets it.
        registry: the registry that is pushed to.
        context: of the run; files are kept in its state directory.
        record: returns what is not in the receipt, as it is at the time of the call.
        build: of the run, with what other steps have pushed.
        step: identifies the step in the run.
        trust: options by which the command that finishes a build-info trusts the server as the step does.
        exists: what follows if there are runs of the same number.
    """

    def __init__(
        self,
        server: Artifactory,
        registry: Registry,
        context: RunContext,
        record: Callable[[], BuildRecord],
        *,
        build: RunBuild,
        step: object = None,
        trust: Sequence[str] = (),
        exists: IfExists = "add",
    ) -> None:
        self._server = server
        self._trust = trust
        self._registry = registry
        self._context = context
        self._sink = context.log
        self._record = record
        self._build = build
        self._step = step
        self._exists = exists
        self._is_confirmed = False

    @property
    def address(self) -> str:
        """The address that the build-info will have in Artifactory's REST API."""
        from buildpush.artifactory.addresses import query_of, segments

        record = self._record()
        return f"{self._server.url}api/build/{segments(record.name, record.number)}{query_of(project=record.project)}"

    def send_evidence(self, statements: Statements, pushed: Pushed, wanted: Attestations) -> None:
        """Store what is said about *pushed* as evidence; errors are those of :func:`.evidence.send_evidence`."""
        from buildpush.pipeline.evidence import send_evidence

        send_evidence(statements, pushed, self._record(), wanted, self._server, sink=self._sink)

    def announce(self, receipt: Pushed, base: Collection[Digest] = ()) -> None:
        """Write down what is about to be pushed; if that is not possible, the push continues, with a note.

        What earlier runs of the same build left is finished first: this push may replace their tags.
        """
        self._finish_earlier()
        try:
            self._put(receipt, base, pushed=False)
            self._build.keep(self._context.state.pending)
        except NoStateError:
            return  # a note has reported it
        except (OSError, BuildPushError) as error:
            if isinstance(error, CancelledError | TimeOutError):
                raise
            self._sink(Note(f"the build-info is not kept on this machine during the push: {error}"))

    def _put(self, receipt: Pushed, base: Collection[Digest], *, pushed: bool) -> BuildInfo:
        from buildpush.artifactory import expected_build_info

        info = expected_build_info(receipt, self._record(), self._server, base)
        return self._whole(info, pushed=pushed)

    def _whole(self, info: BuildInfo, *, pushed: bool = True) -> BuildInfo:
        """Return the document of the run with *info* in it."""
        from buildpush.artifactory.pending import Pending

        return self._build.put(self._step, Pending(info, self._server.url, pushed=pushed))

    def publish(self, pushed: Pushed, base: Collection[Digest] = ()) -> Published | None:
        """Publish the build-info of what was pushed; errors are those of :func:`buildpush.artifactory.publish`.

        If other steps publish the same build, it waits for the end of the run, at the address that is returned. If a
        directory collects it, it is added there, and ``None`` is returned.
        """
        return self._publish(self._put(pushed, base, pushed=True), pushed)

    def publish_files(self, files: Sequence[TransferredFile]) -> Published | None:
        """Publish the build-info of uploaded files, as :meth:`publish` does that of an image."""
        from buildpush.artifactory.buildinfo import build_info_of
        from buildpush.artifactory.uploads import generic_module

        record = self._record()
        return self._publish(self._whole(build_info_of(record, [generic_module(record.module or record.name, files)])))

    def _publish(self, info: BuildInfo, pushed: Pushed | None = None) -> Published | None:
        from buildpush.artifactory import Published, publish

        self._is_confirmed = True
        if isinstance(self._build, CollectedBuild):
            self._collect(self._build)
            return None
        with suppress(OSError, SettingsError):  # what was written there before is enough to continue from
            self._build.keep(self._context.state.pending)
        if self._build.is_deferred:
            self._sink(Decision("build-info", "sent at the end of the run", "several steps publish it"))
            return Published(self._server.build_page(info), info.name, info.number, info.started, info.project)
        finish = finish_command(self._server, self._trust)
        try:
            published = publish(
                info,
                self._server,
                directory=self._context.pending,
                pushed=pushed,
                sink=self._sink,
                finish=finish,
                exists=self._exists,
            )
        finally:
            self._build.close()  # it is removed on success, and otherwise left for the next run
        self._build.close(remove=True)
        return published

    def _collect(self, build: CollectedBuild) -> None:
        """Add what was pushed to the collection, and print the command that publishes it.

        Raises:
            BuildInfoError: it cannot be written.
        """
        directory = build.collection.path.parent
        try:
            build.keep(directory)
        except (OSError, SettingsError) as error:
            message = f"the image is pushed, but its build-info cannot be written to {directory}: {error}"
            raise BuildInfoError(message, setting="build_dir") from error
        command = shlex.join(
            [*finish_command(self._server, self._trust), *collection_flags(build.collection.key, [directory])]
        )
        reason = f"build_dir is set; to publish it, run {command}"
        self._sink(Decision("build-info", f"collected in {directory}", reason))

    def _finish_earlier(self) -> None:
        for path, pending in self._unfinished(self._record()):
            info = pending.info
            name = f"the build-info {info.name} {info.number} of an earlier run"
            try:
                published = finish(pending, self._server, self._registry, directory=path.parent, sink=self._sink)
            except NotPushedError as error:
                self._sink(Note(f"{name} is discarded: {error}"))
            except (CancelledError, TimeOutError):
                raise
            except BuildPushError as error:
                command = shlex.join([*finish_command(self._server, self._trust), str(path)])
                self._sink(Note(f"{name} is not published yet: {error}; to publish it, run {command}"))
                continue
            else:
                self._sink(Note(f"{name} is published: {published.url}"))
            path.unlink(missing_ok=True)

    def _unfinished(self, record: BuildRecord) -> Iterator[tuple[Path, Pending]]:
        from buildpush.artifactory.pending import left_behind

        try:
            directory = self._context.state.pending
        except SettingsError:
            return
        same = (
            (path, pending)
            for path, pending in left_behind(directory)
            if pending.server == self._server.url
            and (pending.info.name, pending.info.project) == (record.name, record.project)
        )
        yield from islice(same, _AT_ONCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._build.is_deferred:
            self._build.close()
        if isinstance(error, PushError | AuthenticationError) and not (self._is_confirmed or _may_be_named(error)):
            self._build.drop(self._step)
        elif error is not None and not self._build.is_deferred and not isinstance(error, BuildInfoError):
            self._note_command()  # the message of a BuildInfoError names it

    def _note_command(self) -> None:
        if path := self._build.path:
            command = shlex.join([*finish_command(self._server, self._trust), str(path)])
            self._sink(Note(f"if the registry has the image, this command publishes its build-info: {command}"))


def recorder(
    order: ResolvedStep, context: RunContext, started: datetime, server: Artifactory
) -> Callable[[], BuildRecord]:
    """Return a function that returns the record of a build that began at *started*, with its duration so far."""
    from buildpush.artifactory.jf_form import in_ci_for_jf

    @cache  # since git and the server are asked
    def facts() -> BuildRecord:
        git = git_of(order, context)
        issues = find_issues(order.issues, order.build, started, git=git, server=server, sink=context.log)
        return replace(build_record(order, context, started), issues=issues)

    def record() -> BuildRecord:
        if order.build.compat == "jf" and not in_ci_for_jf(context.env):
            return facts()
        duration = context.now() - started
        return replace(facts(), duration_ms=max(1, round(duration.total_seconds() * 1000)))

    return record


def build_record(order: ResolvedStep, context: RunContext, started: datetime) -> BuildRecord:
    """Return the record of a build: its name and number, its revision, and the program that ran it."""
    from buildpush.artifactory import BuildRecord, allowed_environment

    env, build = context.env, order.build
    return BuildRecord(
        name=build.name,
        number=build.number,
        started=started,
        url=build.url,
        project=build.project,
        module=build.module,
        compat=build.compat,
        vcs=vcs_entries(git_of(order, context), order.revision, context.log),
        environment=allowed_environment(env, getattr(order.settings, "env_include", ())),
        principal=context.ci.actor,
    )


def vcs_entries(git: Git, ci_values: Mapping[str, str] | None, sink: Sink) -> tuple[VcsEntry, ...]:
    """Return where sources come from, for a build-info; *sink* gets a note if git does not say it."""
    from buildpush.artifactory import VcsEntry

    source = vcs(git, ci_values)
    if git.refusal:
        known = "only the revision of the CI system" if source else "no revision"
        sink(Note(f"the build-info has {known}: {git.refusal}"))
    return (VcsEntry(source.url, source.revision, source.branch, source.message),) if source else ()


def revision_of(order: ResolvedStep, context: RunContext) -> Vcs | None:
    """Return where the sources of a step come from; ``None`` if nothing is known."""
    return vcs(git_of(order, context), order.revision)


def git_of(order: ResolvedStep, context: RunContext) -> Git:
    """Return the git repository that the sources of a step come from: that of its context, wherever it is run."""
    git = context.facts.git
    where = order.git_directory or (order.request.context if order.request else git.directory)
    return git.at(where)


def _may_be_named(error: PushError | AuthenticationError) -> bool:
    """Return whether the push that failed with *error* may have named the image anyway."""
    return bool(error.pushed) or isinstance(error, UnreachableError)

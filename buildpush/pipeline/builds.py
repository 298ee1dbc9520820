"""The builds of one Artifactory: listed, compared, promoted, deleted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from types import MappingProxyType

from buildpush.artifactory import Artifactory, BuildInfo
from buildpush.artifactory.answers import NamedBuild, PublishedRun
from buildpush.artifactory.difference import BuildDifference, difference
from buildpush.artifactory.document import started_from
from buildpush.artifactory.promotion import Promoted, Promotion, promote
from buildpush.artifactory.retention import Retention, delete, discard
from buildpush.display.tables import Listing
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.events import Note, Sink
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.left_behind import count_beside, left_behind, promoted_images
from buildpush.pipeline.saved import ServerFlags, open_registry, open_server
from buildpush.registry.client import Registry


class Builds:
    """The builds of one Artifactory, or of one of its projects; made by :func:`buildpush.open_builds`."""

    def __init__(
        self, client: Artifactory, registry: Registry, now: Callable[[], datetime], sink: Sink, project: str = ""
    ) -> None:
        self._client = client
        self._registry = registry
        self._now = now
        self._sink = sink
        self._project = project

    def list(self) -> tuple[NamedBuild, ...]:
        """Return all builds that the credential may see; each has a name and the start of its last run."""
        return Listing(self._client.builds(project=self._project))

    def runs(self, name: str) -> tuple[PublishedRun, ...]:
        """Return the runs of build *name*, newest first; several may have one number."""
        return Listing(self._client.runs(name, project=self._project))

    def show(self, name: str, number: str, started: str = "") -> BuildInfo:
        """Return the run that began at *started*, an ISO time, or else the newest of that number.

        Raises:
            SettingsError: there is none.
            BuildInfoError: the server refuses, or answers with something else.
        """
        moment = started_from(started) if started else None
        if started and moment is None:
            message = f"{started!r} is not a time such as 2026-10-01T12:00:00.123+0000"
            raise SettingsError(message, hint="buildpush build-info list NAME shows when each run started")
        info = self._client.get_build(name, number, moment, project=self._project)
        if info is None:
            message = (
                f"{self._client.host} does not have the build {name} {number}{f' of {started}' if started else ''}"
            )
            hint = "check name, number and project; buildpush build-info list shows which builds are there"
            raise SettingsError(message, hint=hint, setting="build_name")
        return info

    def diff(self, name: str, number: str, other: str = "", *, other_name: str = "") -> BuildDifference:
        """Return what the later of two runs has that the earlier one has not, and the reverse.

        Args:
            name: of the build.
            number: of one run.
            other: number of the other run; by default the one that was published before.
            other_name: of the other run's build, if it is another.

        Raises:
            SettingsError: one of the runs does not exist.
            BuildInfoError: the server refuses, or answers with something else.
        """
        one = self.show(name, number)
        if other_name and not other:
            message = f"the other run, of {other_name}, has no number"
            raise SettingsError(message, hint="give its number")
        two = self.show(other_name or name, other) if other else self._before(one)
        return difference(*sorted((two, one), key=lambda info: info.started))

    def _before(self, new: BuildInfo) -> BuildInfo:
        """Return the run that was started before *new*."""
        starts = ((started_from(run.started), run) for run in self.runs(new.name))
        before = [(started, run) for started, run in starts if started and started < new.started]
        if not before:
            message = f"{new.name} {new.number} is the first run of its build"
            raise SettingsError(message, hint="give the number of the run to compare it with")
        _, run = max(before, key=lambda pair: pair[0])
        return self.show(new.name, run.number, run.started)

    def promote(
        self,
        name: str,
        number: str,
        target: str = "",
        *,
        status: str = "",
        comment: str = "",
        source: str = "",
        move: bool = False,
        dependencies: bool = False,
        dry_run: bool = False,
        properties: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    ) -> Promoted:
        """Copy or move the files of the newest run of *number* to the repository *target*, and check that they arrived.

        What is beside an image, such as its provenance, is no file of the build: a note names the command that takes
        it along.
        The keywords are the attributes of :class:`~buildpush.artifactory.promotion.Promotion`.

        Raises:
            SettingsError: there is nothing to do, or no such run.
            BuildInfoError: the server refuses, or some of the files did not arrive.
            CancelledError: it was interrupted.
            TimeOutError: its time is over.
        """
        promotion = Promotion(
            target=target,
            status=status,
            comment=comment,
            source=source,
            move=move,
            dependencies=dependencies,
            dry_run=dry_run,
            properties=properties,
        )
        info = self._client.get_build(name, number, project=self._project) if target else None
        images = promoted_images(info, promotion, self._client.host) if info else ()
        # Before, since an image that was moved is not there to be asked about.
        counts = [(image, count_beside(image, self._registry)) for image in images]
        promoted = promote(self._client, name, number, promotion, project=self._project, sink=self._sink)
        for text in filter(None, (left_behind(image, beside, promotion) for image, beside in counts)):
            self._sink(Note(text))
        return promoted

    def discard(
        self,
        name: str,
        *,
        count: int | None = None,
        days: int | None = None,
        keep: Collection[str] = (),
        artifacts: bool = False,
        later: bool = False,
    ) -> tuple[PublishedRun, ...]:
        """Delete old runs of build *name*, and return those that are gone.

        Args:
            name: of the build.
            count: the newest so many stay.
            days: those that are older are deleted.
            keep: numbers of runs that stay.
            artifacts: whether their files are deleted as well.
            later: whether the server may delete them after its answer.

        Raises:
            SettingsError: neither *count* nor *days* is given, or there is no such build.
            BuildInfoError: the server refuses, or keeps runs that were not promoted.
        """
        rule = Retention(count=count, days=days, keep=tuple(keep), artifacts=artifacts)
        now, project, sink = self._now(), self._project, self._sink
        return Listing(discard(self._client, name, rule, now=now, later=later, project=project, sink=sink))

    def delete(self, name: str, *numbers: str, artifacts: bool = False) -> tuple[PublishedRun, ...]:
        """Delete every run of build *name* that has one of *numbers*, and return those that are gone.

        Raises:
            SettingsError: one of the numbers does not exist; then nothing is deleted.
            BuildInfoError: the server refuses, or some of the runs are still there.
        """
        return Listing(delete(self._client, name, numbers, artifacts=artifacts, project=self._project))


@contextmanager
def open_builds(context: RunContext, flags: ServerFlags, project: str = "") -> Iterator[Builds]:
    """Yield the builds of the Artifactory that *flags* name; an interrupt ends the request that is running."""
    with context:
        client, http = open_server(context, flags)
        yield Builds(client, open_registry(client, http, context), context.now, context.log, project)

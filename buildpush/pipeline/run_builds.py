"""The builds of a run: one document with one start each, however many of its steps take part.

A build that several steps publish is sent once, at the end of the run, also if one of them has failed. To send it after
each step would replace it each time, which needs the permission to delete; accounts of CI systems often lack it. Until
then it is in a file of the state directory, which is written before each push.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from buildpush.foundation.interrupts import Lock

if TYPE_CHECKING:
    from buildpush.artifactory import BuildInfo
    from buildpush.artifactory.collection import Collection
    from buildpush.artifactory.pending import Claim, Pending
    from buildpush.settings.resolved import ResolvedStep


class ServerBuild(NamedTuple):
    """What identifies a build in a run.

    Attributes:
        server: address of its Artifactory.
        directory: that collects its modules instead; ``None`` for none.
    """

    server: str
    project: str
    name: str
    number: str
    directory: Path | None = None


def build_of(order: ResolvedStep) -> ServerBuild | None:
    """Return the build that a step publishes, ``None`` for none."""
    build, server = order.build, order.artifactory
    if server is None or not build.publish:
        return None
    return ServerBuild(server.url, build.project, build.name, build.number, build.directory)


class RunBuild:
    """One build of a run, and what its steps have pushed so far; several threads may use it.

    Attributes:
        started: the start that all its steps have.
        is_deferred: whether it is sent at the end of the run, since several steps publish it.
        order: of its first step.
        earlier: what the run that is resumed had; a module that is pushed again takes the place of the one there.
        is_published: whether Artifactory has that.
    """

    def __init__(self, started: datetime, *, is_deferred: bool = False, order: ResolvedStep | None = None) -> None:
        self.started, self.is_deferred, self.order = started, is_deferred, order
        self.earlier: Pending | None = None
        self.is_published = False
        self._parts: dict[object, Pending] = {}
        self._claim: Claim | None = None
        self._lock = Lock()

    @property
    def pending(self) -> Pending | None:
        """What was pushed so far, as one document; ``None`` for nothing."""
        from buildpush.artifactory.pending import merged

        with self._lock:
            parts = tuple(self._parts.values())
        if self.earlier:
            ids = {module.id for one in parts for module in one.info.modules}
            rest = tuple(module for module in self.earlier.info.modules if module.id not in ids)
            parts = (replace(self.earlier, info=replace(self.earlier.info, modules=rest)), *parts)
        return merged(parts) if parts else None

    @property
    def unsent(self) -> Pending | None:
        """The same document; ``None`` if Artifactory has it, or there is nothing."""
        return None if self.is_published and not self._parts else self.pending

    @property
    def renamed(self) -> list[tuple[str, str]]:
        """The ids of modules that differ in the document, since several images have them, each with the new one."""
        from buildpush.artifactory.merging import renamed

        whole = self.pending
        return renamed([one.info for one in self._parts.values()], whole.info) if whole else []

    @property
    def path(self) -> Path | None:
        """The file that has it, ``None`` for none."""
        return self._claim.path if self._claim else None

    def put(self, step: object, part: Pending) -> BuildInfo:
        """Put what *step* pushes in place of what an earlier attempt of it did, and return the whole document."""
        with self._lock:
            self._parts[step] = part
            whole = self.pending
        return whole.info if whole else part.info

    def keep(self, directory: Path) -> None:
        """Write the document into *directory*; no other run touches the file until :meth:`close`.

        Raises:
            OSError: it cannot be written.
        """
        from buildpush.artifactory.pending import Claim

        with self._lock:
            self._claim = self._claim or Claim(directory)
            if whole := self.unsent:
                self._claim.write(whole)

    def drop(self, step: object) -> None:
        """Remove what *step* was to push."""
        with self._lock:
            self._parts.pop(step, None)
            unsent = self.unsent
            if self._claim and self._claim.path and unsent:
                with suppress(OSError):
                    self.keep(self._claim.path.parent)
        if not unsent:
            self.close(remove=True)

    def close(self, *, remove: bool = False) -> None:
        """Leave the file to other runs, or *remove* it because nothing is pending any more."""
        with self._lock:
            if self._claim:
                self._claim.close()
            if self._claim and remove:
                self._claim.remove()


class CollectedBuild(RunBuild):
    """One build of a run whose modules are added to a directory, and published by a command."""

    def __init__(self, collection: Collection) -> None:
        super().__init__(collection.started)
        self.collection = collection
        self._files: dict[object, Path] = {}

    def keep(self, directory: Path) -> None:
        """Add what is new to the collection, in place of what a step had there before."""
        del directory
        with self._lock:
            for step, part in self._parts.items():
                file = self.collection.add(part.info, server=part.server, pushed=part.pushed)
                if (old := self._files.get(step)) not in {None, file}:
                    self.collection.remove([old])
                self._files[step] = file

    def drop(self, step: object) -> None:
        """Remove what *step* was to push."""
        with self._lock:
            self._parts.pop(step, None)
            if file := self._files.pop(step, None):
                self.collection.remove([file])


class RunBuilds:
    """The builds of one run.

    Args:
        earlier: the starts of the builds of the run that is resumed, by name and number.
    """

    def __init__(self, earlier: Mapping[tuple[str, str], datetime] = MappingProxyType({})) -> None:
        self.earlier = earlier
        self.resuming = Lock()  # held while what the earlier run had of a build is read
        self._builds: dict[ServerBuild, RunBuild] = {}
        self._common: frozenset[ServerBuild] | None = frozenset()  # that several steps publish; None: perhaps all
        self._lock = Lock()

    def expect(self, orders: Iterable[ResolvedStep | None]) -> None:
        """Find out which builds several steps will publish; a step whose order is not known yet may publish any."""
        orders = tuple(orders)
        count = Counter(build_of(order) for order in orders if order)
        common = frozenset(build for build, steps in count.items() if build and steps > 1)
        self._common = None if None in orders else common

    def of(self, order: ResolvedStep, started: datetime) -> RunBuild:
        """Return the build that the step of *order* publishes; *started* is its start if no earlier step has one."""
        key = build_of(order)
        with self._lock:
            if key is None or key not in self._builds:
                build = self._new(order, started)
                if key:
                    self._builds[key] = build
                return build
            return self._builds[key]

    def _new(self, order: ResolvedStep, started: datetime) -> RunBuild:
        key, build = build_of(order), order.build
        if build.directory:
            from buildpush.artifactory.collection import BuildKey, Collection

            key_of_build = BuildKey(build.name, build.number, build.project)
            return CollectedBuild(Collection.open(build.directory, key_of_build, started))
        return RunBuild(started, is_deferred=self._common is None or key in self._common, order=order)

    def resumes(self, order: ResolvedStep) -> datetime | None:
        """Return when the build of *order* began, if the run that is resumed has it and this one does not know it."""
        key, started = build_of(order), self.earlier.get((order.build.name, order.build.number))
        with self._lock:
            return None if key is None or key in self._builds or key.directory else started

    def resume(self, order: ResolvedStep, build: RunBuild) -> None:
        """Let the steps that publish what *order* does go on with *build*."""
        key = build_of(order)
        assert key  # noqa: S101 - the order publishes
        with self._lock:
            self._builds[key] = build

    def take_deferred(self) -> tuple[RunBuild, ...]:
        """Return the builds that wait for the end of the run; they do so no longer."""
        with self._lock:
            waiting = tuple(build for build in self._builds.values() if build.is_deferred and build.unsent)
            self._builds.clear()
        return waiting

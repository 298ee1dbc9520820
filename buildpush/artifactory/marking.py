"""Sets the properties that link files to their build, on our files only."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from buildpush.artifactory.client import Artifactory
from buildpush.artifactory.directories import Finding, ImageFiles, Presence, groups_of
from buildpush.artifactory.document import Artifact, BuildInfo
from buildpush.artifactory.lookup import find_files
from buildpush.artifactory.patience import PATIENCE, Sleep, ask_until, send_until_stored
from buildpush.foundation.parallel import in_parallel
from buildpush.foundation.records import dataclass


@dataclass(frozen=True, slots=True)
class AnnotationResult:
    """The result of setting the properties.

    Attributes:
        findings: one for every directory of the build-info, in its order.
        bare: our files that have no properties, because the server does not have the file, or does not accept any.
    """

    findings: tuple[Finding, ...]
    bare: tuple[Artifact, ...] = ()


@dataclass(frozen=True, slots=True)
class _Target:
    """What one request sets the properties of: a directory with all that is in it, or one file.

    Attributes:
        files: those of ours that get them.
    """

    path: str
    files: tuple[Artifact, ...]
    recursive: bool = False

    @property
    def repository(self) -> str:
        return self.files[0].repository


def properties_of(info: BuildInfo) -> dict[str, str]:
    """Return the three properties that every file of *info* gets."""
    return {"build.name": info.name, "build.number": info.number, "build.timestamp": str(info.timestamp)}


def annotate(
    info: BuildInfo, client: Artifactory, *, sleep: Sleep, waits: Sequence[float] = PATIENCE
) -> AnnotationResult:
    """Set the properties on every file of *info* that is still ours.

    Whether a directory is ours is decided by the checksum of its manifest. That is read right before properties are
    set, and again afterwards: if the tag has moved meanwhile, our properties are removed. A directory that has our
    files and no others gets them by one request.

    Raises:
        BuildInfoError: the account may not annotate, or the server answers with something unexpected.
    """
    properties = properties_of(info)
    findings = ask_until(partial(find_files, client=client), groups_of(info.artifacts), sleep, _is_enough, waits)
    ours = tuple({one.actual.place: one for one in findings if one.actual}.values())
    targets = [target for finding in ours for target in _targets(finding)]
    put = partial(in_parallel, partial(_put, client=client, properties=properties, sleep=sleep))
    are_set = ask_until(put, targets, sleep, waits=waits)
    bare = [file for one in ours for file in one.absent]
    bare += [file for target, is_set in zip(targets, are_set, strict=True) if not is_set for file in target.files]
    lost = _lost([one.actual for one in ours if one.actual], client, properties)
    return AnnotationResult(tuple(_after(one, lost) for one in findings), tuple(bare))


def _is_enough(finding: Finding) -> bool:
    """Return whether a directory need not be looked up again: all was found, or we may not see it."""
    return bool(finding.actual and not finding.absent) or finding.presence is Presence.UNKNOWN


def _targets(finding: Finding) -> Iterator[_Target]:
    directory = finding.actual
    if directory is None:
        return
    absent = [file.path for file in finding.absent]
    files = tuple(file for file in directory.files if file.path not in absent)
    if finding.whole:
        yield _Target(directory.path, files, recursive=True)
    else:
        yield from (_Target(file.path, (file,)) for file in files)


def _after(finding: Finding, lost: Mapping[str, Presence]) -> Finding:
    """Return *finding* without its directory, if that is among the *lost* ones."""
    if finding.actual is None or finding.actual.place not in lost:
        return finding
    return replace(finding, presence=lost[finding.actual.place], actual=None)


def _put(target: _Target, *, client: Artifactory, properties: Mapping[str, str], sleep: Sleep) -> bool:
    """Set the properties of *target*; return ``False`` if it does not exist."""
    return send_until_stored(
        lambda: client.set_properties(target.repository, target.path, properties, recursive=target.recursive),
        lambda: all(_has_properties(file.repository, file.path, client, properties) for file in target.files),
        sleep,
    )


def _has_properties(repository: str, path: str, client: Artifactory, properties: Mapping[str, str]) -> bool:
    current = client.properties(repository, path)
    return all(current.get(name) == (value,) for name, value in properties.items())


def _lost(directories: Sequence[ImageFiles], client: Artifactory, properties: Mapping[str, str]) -> dict[str, Presence]:
    """Remove our properties from directories that are not ours any more; return what is there now, by place."""
    movable = [directory for directory in directories if not directory.is_named_by_digest]
    now = [one.presence for one in find_files(movable, client)]
    lost = [pair for pair in zip(movable, now, strict=True) if pair[1] in {Presence.THEIRS, Presence.NOTHING}]
    for directory, _ in lost:
        for path in _paths_in(directory, client):
            if _has_properties(directory.repository, path, client, properties):
                client.remove_properties(directory.repository, path, tuple(properties))
    return {directory.place: presence for directory, presence in lost}


def _paths_in(directory: ImageFiles, client: Artifactory) -> Collection[str]:
    """Return the paths that may have our properties: of a directory, of our files in it, and of those there now."""
    listed = client.files_below(directory.repository, directory.path) or ()
    return dict.fromkeys([directory.path, *(f.path for f in directory.files), *(f.path for f in listed)])

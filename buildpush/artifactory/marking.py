"""Sets the properties that link files to their build, on our files only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from buildpush.artifactory.client import Artifactory
from buildpush.artifactory.directories import (
    Finding,
    ImageFiles,
    Presence,
    find_files,
    groups_of,
    is_named_by_digest,
    presence_of,
)
from buildpush.artifactory.document import Artifact, BuildInfo
from buildpush.artifactory.patience import PATIENCE, Sleep, ask_until, in_parallel, send_until_stored
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


def properties_of(info: BuildInfo) -> dict[str, str]:
    """Return the three properties that every file of *info* gets."""
    return {"build.name": info.name, "build.number": info.number, "build.timestamp": str(info.timestamp)}


def annotate(
    info: BuildInfo, client: Artifactory, *, sleep: Sleep, waits: Sequence[float] = PATIENCE
) -> AnnotationResult:
    """Set the properties on every file of *info* that is still ours.

    Whether a directory is ours is decided by the checksum of its manifest. That is read right before its properties are
    set, and again after those of its blobs are: if the tag has moved meanwhile, our properties are removed.

    Raises:
        BuildInfoError: the account may not annotate, or the server answers with something unexpected.
    """
    properties = properties_of(info)
    put = partial(_put, client=client, properties=properties, sleep=sleep)
    claims = ask_until(partial(_claim, client=client, put=put), groups_of(info.artifacts), sleep, _is_enough, waits)
    ours = tuple({one.actual.place: one.actual for one, _ in claims if one.actual}.values())
    blobs = [blob for directory in ours for blob in directory.others]
    has_properties = ask_until(put, blobs, sleep, waits=waits)
    bare = [one.actual.head for one, is_set in claims if one.actual and not is_set]
    bare += [blob for blob, is_set in zip(blobs, has_properties, strict=True) if not is_set]
    lost = _lost(ours, client, properties)
    return AnnotationResult(tuple(_after(one, lost) for one, _ in claims), tuple(bare))


def _after(finding: Finding, lost: Mapping[str, Presence]) -> Finding:
    """Return *finding* without its directory, if that is among the *lost* ones."""
    if finding.actual is None or finding.actual.place not in lost:
        return finding
    return replace(finding, presence=lost[finding.actual.place], actual=None)


def _is_enough(claim: tuple[Finding, bool]) -> bool:
    """Return whether a claim need not be repeated: the properties are set, or we may not see the files."""
    finding, is_set = claim
    return is_set or (finding.presence is Presence.UNKNOWN and finding.actual is None)


def _claim(directory: ImageFiles, *, client: Artifactory, put: Callable[[Artifact], bool]) -> tuple[Finding, bool]:
    """Find our files and set the properties of their head at once; return whether they are set."""
    finding = find_files(directory, client)
    return finding, bool(finding.actual and put(finding.actual.head))


def _put(file: Artifact, *, client: Artifactory, properties: Mapping[str, str], sleep: Sleep) -> bool:
    """Set the properties of one file; return ``False`` if it does not exist."""
    return send_until_stored(
        lambda: client.set_properties(file.repository, file.path, properties),
        lambda: _has_properties(file, client, properties),
        sleep,
    )


def _has_properties(file: Artifact, client: Artifactory, properties: Mapping[str, str]) -> bool:
    current = client.properties(file.repository, file.path)
    return all(current.get(name) == (value,) for name, value in properties.items())


def _lost(directories: Sequence[ImageFiles], client: Artifactory, properties: Mapping[str, str]) -> dict[str, Presence]:
    """Remove our properties from directories that are not ours any more; return what is there now, by place."""
    movable = [directory for directory in directories if not is_named_by_digest(directory)]
    now = in_parallel(lambda directory: presence_of(directory.head, client), movable)
    lost = [pair for pair in zip(movable, now, strict=True) if pair[1] in {Presence.THEIRS, Presence.NOTHING}]
    for directory, _ in lost:
        for file in directory.files:
            if _has_properties(file, client, properties):
                client.remove_properties(file.repository, file.path, tuple(properties))
    return {directory.place: presence for directory, presence in lost}

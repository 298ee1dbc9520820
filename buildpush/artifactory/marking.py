"""The properties that tie files to their build: set where our files are, and never on someone else's."""

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
from buildpush.artifactory.patience import PATIENCE, Sleep, ask_until, in_parallel, send_until_there
from buildpush.foundation.records import dataclass


@dataclass(frozen=True, slots=True)
class AnnotationResult:
    """The result of setting the properties.

    Attributes:
        findings: of every directory of the build-info, in its order.
        bare: our files without them, because the server does not have the file, or accepts none there.
    """

    findings: tuple[Finding, ...]
    bare: tuple[Artifact, ...] = ()


def properties_of(info: BuildInfo) -> dict[str, str]:
    """Return the three properties of every file of *info*."""
    return {"build.name": info.name, "build.number": info.number, "build.timestamp": str(info.timestamp)}


def annotate(
    info: BuildInfo, client: Artifactory, *, sleep: Sleep, waits: Sequence[float] = PATIENCE
) -> AnnotationResult:
    """Set the properties on every file of *info* that is where ours is.

    The checksum of its manifest decides whose a directory is. It is read right before its property is set, and again
    after those of the blobs beside it: if the name moved meanwhile, our properties are removed.

    Raises:
        BuildInfoError: the account may not annotate, or the server does not answer as it should.
    """
    properties = properties_of(info)
    put = partial(_put, client=client, properties=properties, sleep=sleep)
    seen = ask_until(partial(_claim, client=client, put=put), groups_of(info.artifacts), sleep, _is_enough, waits)
    ours = tuple({one.found.place: one.found for one, _ in seen if one.found}.values())
    blobs = [blob for directory in ours for blob in directory.others]
    there = ask_until(put, blobs, sleep, waits=waits)
    bare = [one.found.head for one, has in seen if one.found and not has]
    bare += [blob for blob, has in zip(blobs, there, strict=True) if not has]
    lost = _lost(ours, client, properties)
    return AnnotationResult(tuple(_after(one, lost) for one, _ in seen), tuple(bare))


def _after(seen: Finding, lost: Mapping[str, Presence]) -> Finding:
    """Return *seen* without the directory that was found, if it is among the *lost* ones."""
    if seen.found is None or seen.found.place not in lost:
        return seen
    return replace(seen, presence=lost[seen.found.place], found=None)


def _is_enough(claim: tuple[Finding, bool]) -> bool:
    """Return whether a claim need not be tried again: it has its property, or we may not see it."""
    seen, has = claim
    return has or (seen.presence is Presence.UNSEEN and seen.found is None)


def _claim(directory: ImageFiles, *, client: Artifactory, put: Callable[[Artifact], bool]) -> tuple[Finding, bool]:
    """Find our files, and set the property of their head at once; return whether it has it."""
    seen = find_files(directory, client)
    return seen, bool(seen.found and put(seen.found.head))


def _put(file: Artifact, *, client: Artifactory, properties: Mapping[str, str], sleep: Sleep) -> bool:
    """Set the properties of one file; ``False`` where it does not exist."""
    return send_until_there(
        lambda: client.set_properties(file.repository, file.path, properties),
        lambda: _has(file, client, properties),
        sleep,
    )


def _has(file: Artifact, client: Artifactory, properties: Mapping[str, str]) -> bool:
    there = client.properties(file.repository, file.path)
    return all(there.get(name) == (value,) for name, value in properties.items())


def _lost(directories: Sequence[ImageFiles], client: Artifactory, properties: Mapping[str, str]) -> dict[str, Presence]:
    """Return what is now where directories became someone else's, by place; our properties are removed there."""
    movable = [directory for directory in directories if not is_named_by_digest(directory)]
    now = in_parallel(lambda directory: presence_of(directory.head, client), movable)
    lost = [pair for pair in zip(movable, now, strict=True) if pair[1] in {Presence.THEIRS, Presence.NOTHING}]
    for directory, _ in lost:
        for file in directory.files:
            if _has(file, client, properties):
                client.remove_properties(file.repository, file.path, tuple(properties))
    return {directory.place: presence for directory, presence in lost}

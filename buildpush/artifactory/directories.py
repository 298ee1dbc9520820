"""Finds where in Artifactory the files of a build-info are now, by their contents, since tags move.

A manifest and its blobs are in one directory, that of a tag or of a digest. The directory is ours as long as its
manifest is; whoever pushes the same tag replaces the manifest, and blobs that both images share stay there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from enum import Enum
from typing import Final

from buildpush.artifactory.answers import FileFacts
from buildpush.artifactory.client import Artifactory, RefusedError
from buildpush.artifactory.document import Artifact, BuildInfo, Module
from buildpush.foundation.records import dataclass

_MANIFESTS: Final = frozenset({"manifest.json", "list.manifest.json"})
_FORBIDDEN: Final = 403
# The forms in which versions of Artifactory write the directory of a digest.
_DIGEST_DIRECTORIES: Final = ("sha256:", "sha256__")


class Presence(Enum):
    """What is at the path of one of our files."""

    OURS = "ours"
    THEIRS = "another file"
    NOTHING = "nothing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """Files in one directory, which move together.

    Attributes:
        head: the manifest, whose checksum decides whose directory it is; for a file that is not of an image, that file.
        others: the blobs beside it.
    """

    head: Artifact
    others: tuple[Artifact, ...] = ()

    @property
    def repository(self) -> str:
        """Key of the repository."""
        return self.head.repository

    @property
    def path(self) -> str:
        """Path of the directory inside the repository."""
        return _parent(self.head.path)

    @property
    def place(self) -> str:
        """Repository and path of the head."""
        return f"{self.repository}/{self.head.path}"

    @property
    def files(self) -> tuple[Artifact, ...]:
        """All files, the head first."""
        return (self.head, *self.others)

    def at(self, path: str) -> ImageFiles:
        """Return the same files in another directory of the repository."""
        moved = tuple(replace(file, path=f"{path}/{_name(file.path)}") for file in self.files)
        return ImageFiles(moved[0], moved[1:])


@dataclass(frozen=True, slots=True)
class Finding:
    """What is at a directory now, and where our files are.

    Attributes:
        expected: the files as the build-info has them.
        presence: what is at their path now.
        actual: the files where they are: *expected* itself, in another directory, or ``None`` if they were not found.
    """

    expected: ImageFiles
    presence: Presence
    actual: ImageFiles | None = None


def groups_of(artifacts: Iterable[Artifact]) -> tuple[ImageFiles, ...]:
    """Return the *artifacts* that have a path, by directory, each file once."""
    groups: dict[tuple[str, str], dict[str, Artifact]] = {}
    for file in artifacts:
        if file.repository and file.path:
            groups.setdefault((file.repository, _parent(file.path)), {}).setdefault(file.path, file)
    return tuple(directory for group in groups.values() for directory in _directories(tuple(group.values())))


def _directories(files: tuple[Artifact, ...]) -> Iterator[ImageFiles]:
    heads = [file for file in files if _name(file.path) in _MANIFESTS]
    if len(heads) == 1:
        yield ImageFiles(heads[0], tuple(file for file in files if file is not heads[0]))
    else:  # not an image: each file is looked up by itself
        yield from map(ImageFiles, files)


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def find_files(directory: ImageFiles, client: Artifactory) -> Finding:
    """Return what is at *directory* now; if it is not ours, look for our files in other directories of the image."""
    presence = presence_of(directory.head, client)
    if presence is Presence.OURS or (presence is Presence.UNKNOWN and is_named_by_digest(directory)):
        return Finding(directory, presence, directory)
    return Finding(directory, presence, None if presence is Presence.UNKNOWN else _elsewhere(directory, client))


def presence_of(file: Artifact, client: Artifactory) -> Presence:
    """Return what is at the path of *file*; that is unknown if *file* has no checksum."""
    if not (file.sha256 or file.sha1 or file.md5):
        return Presence.UNKNOWN
    try:
        facts = client.file(file.repository, file.path)
    except RefusedError as error:
        if error.status != _FORBIDDEN:
            raise
        return Presence.UNKNOWN
    if facts is None:
        return Presence.NOTHING
    return Presence.OURS if is_same(file, facts) else Presence.THEIRS


def is_same(file: Artifact, facts: FileFacts) -> bool:
    """Return whether *facts* are those of *file*, by the strongest checksum that both have."""
    pairs = ((file.sha256, facts.sha256), (file.sha1, facts.sha1), (file.md5, facts.md5))
    pair = next(((ours, theirs) for ours, theirs in pairs if ours and theirs), ("", "?"))
    return pair[0].lower() == pair[1].lower()


def is_named_by_digest(directory: ImageFiles) -> bool:
    """Return whether the directory is that of our manifest's digest, where nothing else can ever be."""
    name = _name(directory.path)
    return bool(directory.head.sha256) and name in {f"{start}{directory.head.sha256}" for start in _DIGEST_DIRECTORIES}


def _elsewhere(directory: ImageFiles, client: Artifactory) -> ImageFiles | None:
    """Return our files in another directory of the same image, preferably that of the digest."""
    image = _parent(directory.path)
    if not image or _name(directory.head.path) not in _MANIFESTS:
        return None
    listed = client.files_below(directory.repository, image)
    if listed is None:
        return _by_digest(directory, image, client)
    name = _name(directory.head.path)
    paths = [one.path for one in listed if _name(one.path) == name and is_same(directory.head, one.facts)]
    near = [path for path in paths if _parent(_parent(path)) == image]  # deeper ones belong to another image
    candidates = sorted(map(directory.at, map(_parent, near)), key=lambda one: (not is_named_by_digest(one), one.path))
    return candidates[0] if candidates else None


def _by_digest(directory: ImageFiles, image: str, client: Artifactory) -> ImageFiles | None:
    places = (directory.at(f"{image}/{start}{directory.head.sha256}") for start in _DIGEST_DIRECTORIES)
    return next((one for one in places if presence_of(one.head, client) is Presence.OURS), None)


def with_actual_paths(info: BuildInfo, findings: Iterable[Finding]) -> BuildInfo:
    """Return *info* with the paths where its files are now.

    A file that was not found keeps its name and checksums, but not its path: a promotion would take whatever is there.
    """
    all_findings = tuple(findings)
    # Artifactory does not promote a file that is listed twice: each directory is used for one of our files.
    occupied = {
        (finding.expected.repository, finding.expected.path)
        for finding in all_findings
        if finding.actual is finding.expected
    }
    moves: dict[tuple[str, str], Artifact] = {}
    for finding in all_findings:
        if finding.presence is Presence.UNKNOWN or finding.actual is finding.expected:
            continue
        actual = (
            finding.actual
            if finding.actual and (finding.actual.repository, finding.actual.path) not in occupied
            else None
        )
        occupied |= {(actual.repository, actual.path)} if actual else set()
        moves |= _moves(finding.expected, actual)
    return replace(info, modules=tuple(_with_moves(module, moves) for module in info.modules))


def _moves(expected: ImageFiles, actual: ImageFiles | None) -> Mapping[tuple[str, str], Artifact]:
    files = actual.files if actual else [replace(file, path="", repository="") for file in expected.files]
    return {(old.repository, old.path): new for old, new in zip(expected.files, files, strict=True)}


def _with_moves(module: Module, moves: Mapping[tuple[str, str], Artifact]) -> Module:
    pairs = ((file, moves.get((file.repository, file.path), file)) for file in module.artifacts)
    artifacts = tuple(replace(file, path=new.path, repository=new.repository) for file, new in pairs)
    return replace(module, artifacts=artifacts)

"""The files of a build-info as Artifactory keeps them, by directory, and where they turn out to be.

A manifest and its blobs are in one directory, that of a tag or of a digest. The directory is ours as long as its
manifest is; whoever pushes the same tag replaces the manifest, and blobs that both images share stay there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from enum import Enum
from typing import Final, TypeVar

from buildpush.artifactory.answers import FileFacts
from buildpush.artifactory.document import MANIFESTS, Artifact, BuildInfo, Dependency, Module
from buildpush.foundation.records import dataclass

# The forms in which versions of Artifactory write the directory of a digest.
DIGEST_DIRECTORIES: Final = ("sha256:", "sha256__")


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
        return parent_of(self.head.path)

    @property
    def place(self) -> str:
        """Repository and path of the head."""
        return f"{self.repository}/{self.head.path}"

    @property
    def is_image(self) -> bool:
        """Whether the head is a manifest."""
        return name_of(self.head.path) in MANIFESTS

    @property
    def is_named_by_digest(self) -> bool:
        """Whether the directory is that of our manifest's digest, where nothing else can ever be."""
        names = {f"{start}{self.head.sha256}" for start in DIGEST_DIRECTORIES}
        return bool(self.head.sha256) and name_of(self.path) in names

    @property
    def files(self) -> tuple[Artifact, ...]:
        """All files, the head first."""
        return (self.head, *self.others)

    def at(self, repository: str, path: str) -> ImageFiles:
        """Return the same files in another directory; an empty one is the top of the repository."""
        below = f"{path}/" if path else ""
        moved = tuple(replace(f, repository=repository, path=below + name_of(f.path)) for f in self.files)
        return ImageFiles(moved[0], moved[1:])


@dataclass(frozen=True, slots=True)
class Finding:
    """What is at a directory now, and where our files are.

    Attributes:
        expected: the files as the build-info has them.
        presence: what is at their path now.
        actual: the files where they are, with all checksums that the server gives; ``None`` if they were not found.
        absent: those of *actual* that the server does not have beside their manifest.
        whole: whether *actual* was seen to be all that is in its directory and below.
    """

    expected: ImageFiles
    presence: Presence
    actual: ImageFiles | None = None
    absent: tuple[Artifact, ...] = ()
    whole: bool = False

    @property
    def stays(self) -> bool:
        """Whether the files are where the build-info has them."""
        return self.actual is not None and self.actual.place == self.expected.place


def groups_of(artifacts: Iterable[Artifact]) -> tuple[ImageFiles, ...]:
    """Return the *artifacts* that have a path, by directory, each file once."""
    groups: dict[tuple[str, str], dict[str, Artifact]] = {}
    for file in artifacts:
        if file.repository and file.path:
            groups.setdefault((file.repository, parent_of(file.path)), {}).setdefault(file.path, file)
    return tuple(directory for group in groups.values() for directory in _directories(tuple(group.values())))


def _directories(files: tuple[Artifact, ...]) -> Iterator[ImageFiles]:
    heads = [file for file in files if name_of(file.path) in MANIFESTS]
    if len(heads) == 1:
        yield ImageFiles(heads[0], tuple(file for file in files if file is not heads[0]))
    else:  # not an image: each file is looked up by itself
        yield from map(ImageFiles, files)


def parent_of(path: str) -> str:
    """Return the directory of *path*; empty at the top of a repository."""
    return path.rpartition("/")[0]


def name_of(path: str) -> str:
    """Return the last part of *path*."""
    return path.rpartition("/")[2]


def is_same(file: Artifact | FileFacts, facts: FileFacts) -> bool:
    """Return whether *facts* are those of *file*, by the strongest checksum that both have."""
    pairs = ((file.sha256, facts.sha256), (file.sha1, facts.sha1), (file.md5, facts.md5))
    pair = next(((ours, theirs) for ours, theirs in pairs if ours and theirs), ("", "?"))
    return pair[0].lower() == pair[1].lower()


def with_actual_paths(info: BuildInfo, findings: Iterable[Finding]) -> BuildInfo:
    """Return *info* with the paths where its files are now, and with all checksums that were found with them.

    A file that was not found keeps its name and checksums, but not its path: a promotion would take whatever is there.
    """
    all_findings = tuple(findings)
    # Artifactory does not promote a file that is listed twice: each directory is used for one of our files.
    occupied = {finding.expected.place for finding in all_findings if finding.stays}
    moves: dict[tuple[str, str], Artifact] = {}
    for finding in all_findings:
        if finding.presence is Presence.UNKNOWN and not finding.actual:
            continue
        actual = finding.actual if finding.stays else None
        if finding.actual and finding.actual.place not in occupied:
            actual = finding.actual
            occupied.add(actual.place)
        moves |= _moves(finding.expected, actual)
    modules = tuple(_with_moves(module, moves) for module in info.modules)
    checksums = {file.sha256: file for file in moves.values() if file.sha256 and file.sha1 and file.md5}
    return replace(info, modules=tuple(with_checksums(module, checksums) for module in modules))


def _moves(expected: ImageFiles, actual: ImageFiles | None) -> Mapping[tuple[str, str], Artifact]:
    files = actual.files if actual else [replace(file, path="", repository="") for file in expected.files]
    return {(old.repository, old.path): new for old, new in zip(expected.files, files, strict=True)}


def _with_moves(module: Module, moves: Mapping[tuple[str, str], Artifact]) -> Module:
    pairs = ((file, moves.get((file.repository, file.path), file)) for file in module.artifacts)
    artifacts = tuple(replace(file, path=new.path, repository=new.repository) for file, new in pairs)
    return replace(module, artifacts=artifacts)


_File = TypeVar("_File", Artifact, Dependency)


def with_checksums(module: Module, known: Mapping[str, Artifact | FileFacts]) -> Module:
    """Return *module* with the sha1 and md5 of each file whose sha256 is a key of *known*."""

    def whole(file: _File) -> _File:
        facts = known.get(file.sha256)
        return replace(file, sha1=file.sha1 or facts.sha1, md5=file.md5 or facts.md5) if facts else file

    artifacts, dependencies = tuple(map(whole, module.artifacts)), tuple(map(whole, module.dependencies))
    return replace(module, artifacts=artifacts, dependencies=dependencies)

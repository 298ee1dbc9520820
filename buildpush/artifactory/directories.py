"""Where in Artifactory the files of a build-info are now: found by their contents, since names move.

A manifest and the blobs beside it are in one directory, that of a tag or of a digest. It is ours as long as the
manifest in it is; whoever pushes the same tag replaces the manifest, and blobs that both share stay there.
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
    """What is at the path where our file should be."""

    OURS = "ours"
    THEIRS = "another file"
    NOTHING = "nothing"
    UNSEEN = "unknown"


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """Files in one directory, which are moved together.

    Attributes:
        head: the manifest, whose checksum decides whose directory it is; for a file without one, that file.
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
        """Inside the repository."""
        return _parent(self.head.path)

    @property
    def place(self) -> str:
        """Repository and path of the head, for messages."""
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
    """What was found at a directory.

    Attributes:
        wanted: as the build-info has it.
        presence: what is there.
        found: where our files are: *wanted* itself, another directory, or ``None``.
    """

    wanted: ImageFiles
    presence: Presence
    found: ImageFiles | None = None


def groups_of(artifacts: Iterable[Artifact]) -> tuple[ImageFiles, ...]:
    """Return the directories of all *artifacts* that have a path, each once."""
    groups: dict[tuple[str, str], dict[str, Artifact]] = {}
    for file in artifacts:
        if file.repository and file.path:
            groups.setdefault((file.repository, _parent(file.path)), {}).setdefault(file.path, file)
    return tuple(directory for group in groups.values() for directory in _directories(tuple(group.values())))


def _directories(files: tuple[Artifact, ...]) -> Iterator[ImageFiles]:
    heads = [file for file in files if _name(file.path) in _MANIFESTS]
    if len(heads) == 1:
        yield ImageFiles(heads[0], tuple(file for file in files if file is not heads[0]))
    else:  # not of an image: each file is looked up by itself
        yield from map(ImageFiles, files)


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def find_files(directory: ImageFiles, client: Artifactory) -> Finding:
    """Return what is at *directory* now; where it is not ours, look in the image's other directories."""
    presence = presence_of(directory.head, client)
    if presence is Presence.OURS or (presence is Presence.UNSEEN and is_named_by_digest(directory)):
        return Finding(directory, presence, directory)
    return Finding(directory, presence, None if presence is Presence.UNSEEN else _elsewhere(directory, client))


def presence_of(file: Artifact, client: Artifactory) -> Presence:
    """Return what is at the path of *file*; the owner of a file without a checksum is unknown."""
    if not (file.sha256 or file.sha1 or file.md5):
        return Presence.UNSEEN
    try:
        facts = client.file(file.repository, file.path)
    except RefusedError as error:
        if error.status != _FORBIDDEN:
            raise
        return Presence.UNSEEN
    if facts is None:
        return Presence.NOTHING
    return Presence.OURS if is_same(file, facts) else Presence.THEIRS


def is_same(file: Artifact, facts: FileFacts) -> bool:
    """Return whether *facts* are those of *file*: the strongest checksum that both have decides."""
    pairs = ((file.sha256, facts.sha256), (file.sha1, facts.sha1), (file.md5, facts.md5))
    known = next(((ours, theirs) for ours, theirs in pairs if ours and theirs), ("", "?"))
    return known[0].lower() == known[1].lower()


def is_named_by_digest(directory: ImageFiles) -> bool:
    """Return whether the directory is that of our manifest's digest: nothing else can ever be there."""
    name = _name(directory.path)
    return bool(directory.head.sha256) and name in {f"{start}{directory.head.sha256}" for start in _DIGEST_DIRECTORIES}


def _elsewhere(directory: ImageFiles, client: Artifactory) -> ImageFiles | None:
    """Return another directory of the same image that has our manifest, preferably that of its digest."""
    image = _parent(directory.path)
    if not image or _name(directory.head.path) not in _MANIFESTS:
        return None
    listed = client.files_below(directory.repository, image)
    if listed is None:
        return _by_digest(directory, image, client)
    name = _name(directory.head.path)
    paths = [one.path for one in listed if _name(one.path) == name and is_same(directory.head, one.facts)]
    near = [path for path in paths if _parent(_parent(path)) == image]  # deeper ones belong to another image
    found = sorted(map(directory.at, map(_parent, near)), key=lambda one: (not is_named_by_digest(one), one.path))
    return found[0] if found else None


def _by_digest(directory: ImageFiles, image: str, client: Artifactory) -> ImageFiles | None:
    places = (directory.at(f"{image}/{start}{directory.head.sha256}") for start in _DIGEST_DIRECTORIES)
    return next((one for one in places if presence_of(one.head, client) is Presence.OURS), None)


def with_found_paths(info: BuildInfo, findings: Iterable[Finding]) -> BuildInfo:
    """Return *info* with the paths at which its files are.

    A file that is not found keeps its name and checksums but loses its path: what is there is not ours, or may be
    replaced, and a promotion takes what it finds at a path.
    """
    every = tuple(findings)
    # Artifactory does not promote a file that is listed twice: each directory is used for one of our files.
    occupied = {(seen.wanted.repository, seen.wanted.path) for seen in every if seen.found is seen.wanted}
    now: dict[tuple[str, str], Artifact] = {}
    for seen in every:
        if seen.presence is Presence.UNSEEN or seen.found is seen.wanted:
            continue
        found = seen.found if seen.found and (seen.found.repository, seen.found.path) not in occupied else None
        occupied |= {(found.repository, found.path)} if found else set()
        now |= _moves(seen.wanted, found)
    return replace(info, modules=tuple(_moved(module, now) for module in info.modules))


def _moves(wanted: ImageFiles, found: ImageFiles | None) -> Mapping[tuple[str, str], Artifact]:
    files = found.files if found else [replace(file, path="", repository="") for file in wanted.files]
    return {(old.repository, old.path): new for old, new in zip(wanted.files, files, strict=True)}


def _moved(module: Module, now: Mapping[tuple[str, str], Artifact]) -> Module:
    found = ((file, now.get((file.repository, file.path), file)) for file in module.artifacts)
    artifacts = tuple(replace(file, path=new.path, repository=new.repository) for file, new in found)
    return replace(module, artifacts=artifacts)

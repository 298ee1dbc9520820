"""Finds where in Artifactory the files of a build-info are now, by their contents, since names move.

One search confirms all that is where it should be; a second one finds the rest, wherever it is: under a tag instead of
a digest, in another member of a virtual repository, in the cache of a remote one, in the repository that it was
promoted to, below the path that a proxy leaves out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Final

from buildpush.artifactory.answers import StoredFile
from buildpush.artifactory.aql import Criteria, inside
from buildpush.artifactory.client import Artifactory, RefusedError
from buildpush.artifactory.directories import (
    DIGEST_DIRECTORIES,
    Finding,
    ImageFiles,
    Presence,
    is_same,
    name_of,
    parent_of,
)
from buildpush.artifactory.document import Artifact
from buildpush.foundation.parallel import in_parallel

_FORBIDDEN: Final = 403
_MARKER: Final = ".marker"


def find_files(directories: Sequence[ImageFiles], client: Artifactory) -> list[Finding]:
    """Return what is at each of *directories* now; files that are not there are looked for by their checksums.

    Where the server does not search for this account, it is asked for each path, then for the list of the image's
    files, then for the directory of the digest.

    Raises:
        BuildInfoError: an answer cannot be read, or the server refuses for a reason that is not a missing permission.
    """
    found: dict[int, Finding] = {}
    for key in dict.fromkeys(one.repository for one in directories):
        places = [place for place, one in enumerate(directories) if one.repository == key]
        stored = client.search(_alternatives(directories[place] for place in places))
        if stored is None:
            return in_parallel(partial(_by_path, client=client), directories)
        found |= {place: one for place in places if (one := _confirmed(directories[place], stored, client))}
    rest = [place for place in range(len(directories)) if place not in found]
    found |= dict(zip(rest, _by_checksum([directories[place] for place in rest], client), strict=True))
    return [found[place] for place in range(len(directories))]


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


# ---- by search


def _alternatives(directories: Iterator[ImageFiles]) -> list[Criteria]:
    """Return what all files of the *directories* have, each once."""
    places = {(one.repository, one.path if one.is_image else one.head.path): one for one in directories}
    each = (inside(*place) if one.is_image else (_exact(one.head),) for place, one in places.items())
    return list(chain.from_iterable(each))


def _exact(file: Artifact) -> Criteria:
    directory, _, name = file.path.rpartition("/")
    return {"repo": file.repository, "path": directory or ".", "name": name}


def _confirmed(expected: ImageFiles, stored: Sequence[StoredFile], client: Artifactory) -> Finding | None:
    """Return our files if they are at the expected path; a virtual repository shows the files of all its members."""
    keys = {one.repository for one in stored if one.path == expected.head.path and is_same(expected.head, one.facts)}
    if not keys:
        return None
    facts = client.repository(expected.repository) if len(keys) > 1 else None
    likely = (expected.repository, *(facts.physical if facts else ()), *sorted(keys))
    key = next(key for key in likely if key in keys)
    return _at(expected, Presence.OURS, key, expected.path, stored)


def _at(expected: ImageFiles, presence: Presence, key: str, path: str, stored: Sequence[StoredFile]) -> Finding:
    """Return the finding that our files are in a directory, of which *stored* has all files."""
    inside_it = [one for one in stored if one.repository == key and one.path.startswith(f"{path}/" if path else "")]
    beside = {one.facts.sha256: one for one in inside_it if one.directory == path}
    names = {one.path for one in inside_it}
    files, absent = [], []
    for file in expected.at(key, path).files:
        one = beside.get(file.sha256) or next((row for row in beside.values() if is_same(file, row.facts)), None)
        files.append(_merged(file, one) if one else file)
        # The cache of a remote repository has a marker in place of a blob that nobody has fetched through it.
        absent += [] if one or f"{file.path}{_MARKER}" in names else [file]
    actual = ImageFiles(files[0], tuple(files[1:]))
    whole = expected.is_image and {one.path for one in inside_it} <= {file.path for file in files}
    return Finding(expected, presence, actual, tuple(absent), whole)


def _merged(file: Artifact, stored: StoredFile) -> Artifact:
    return replace(file, path=stored.path, sha1=file.sha1 or stored.facts.sha1, md5=file.md5 or stored.facts.md5)


def _by_checksum(directories: Sequence[ImageFiles], client: Artifactory) -> list[Finding]:
    """Find what is not where it was expected; that a search does not show it does not mean that it is not there."""
    presences = in_parallel(lambda directory: presence_of(directory.head, client), directories)
    lost = [one for one, presence in zip(directories, presences, strict=True) if _is_gone(presence)]
    heads = sorted({(name_of(one.head.path), one.head.sha256) for one in lost if one.is_image and one.head.sha256})
    found = client.search({"name": name, "sha256": sha256} for name, sha256 in heads) or ()
    best = {one.place: place for one in lost if (place := _nearest(one, found))}
    stored = client.search(chain.from_iterable(inside(*place) for place in dict.fromkeys(best.values()))) or ()
    return [
        _at(one, presence, *best[one.place], stored)
        if one.place in best and any(f.directory == best[one.place][1] for f in stored)
        else _unmoved(one, presence)
        for one, presence in zip(directories, presences, strict=True)
    ]


def _is_gone(presence: Presence) -> bool:
    return presence in {Presence.THEIRS, Presence.NOTHING}


def _unmoved(expected: ImageFiles, presence: Presence) -> Finding:
    """Return the finding of files that are nowhere else: at their path, if they are there, or nothing else can be."""
    is_there = presence is Presence.OURS or (presence is Presence.UNKNOWN and expected.is_named_by_digest)
    return Finding(expected, presence, expected if is_there else None)


def _nearest(expected: ImageFiles, heads: Sequence[StoredFile]) -> tuple[str, str] | None:
    """Return repository and path of the best directory with our manifest, of the image or of one that ends like it."""
    image = parent_of(expected.path)
    name = name_of(expected.head.path)
    found = (one for one in heads if name_of(one.path) == name and is_same(expected.head, one.facts))
    places = {(one.repository, one.directory) for one in found}
    near = [place for place in places if image and _is_same_image(image, parent_of(place[1]))]

    def distance(place: tuple[str, str]) -> tuple[object, ...]:
        key, path = place
        by_digest = expected.at(key, path).is_named_by_digest
        return parent_of(path) != image, key != expected.repository, path != expected.path, not by_digest, key, path

    return min(near, key=distance, default=None)


def _is_same_image(one: str, other: str) -> bool:
    """Return whether two paths may be one image: a proxy, or Docker Hub's ``library``, adds a beginning."""
    return f"/{one}".endswith(f"/{other}") or f"/{other}".endswith(f"/{one}")


# ---- by path, where the server does not search


def _by_path(directory: ImageFiles, client: Artifactory) -> Finding:
    """Return what is at *directory*; if it is not ours, look in other directories of the image."""
    facts = client.repository(directory.repository)
    candidates = [directory.at(key, directory.path) for key in (facts.physical if facts else ())] or [directory]
    presences = [presence_of(candidate.head, client) for candidate in candidates]
    if Presence.OURS in presences:
        return Finding(directory, Presence.OURS, candidates[presences.index(Presence.OURS)])
    presence, likely = presences[0], candidates[0]
    if _is_gone(presence):
        return Finding(directory, presence, _listed(likely, client))
    return replace(_unmoved(likely, presence), expected=directory)


def _listed(directory: ImageFiles, client: Artifactory) -> ImageFiles | None:
    """Return our files in another directory of the same image, preferably that of the digest."""
    image = parent_of(directory.path)
    if not image or not directory.is_image:
        return None
    listed = client.files_below(directory.repository, image)
    if listed is None:
        names = (f"{start}{directory.head.sha256}" for start in DIGEST_DIRECTORIES)
        digests = (directory.at(directory.repository, f"{image}/{name}") for name in names)
        return next((one for one in digests if presence_of(one.head, client) is Presence.OURS), None)
    near = [one for one in listed if parent_of(one.directory) == image]  # deeper ones belong to another image
    place = _nearest(directory, near)
    return directory.at(*place) if place else None

"""Which files of this machine an upload is about, and where each goes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from buildpush.artifactory.patterns import FilePattern, FoundFile, excludes, target_of
from buildpush.artifactory.transfers import FileOptions, refuse_collisions
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.events import Note, Sink
from buildpush.foundation.records import dataclass


@dataclass(frozen=True, slots=True)
class UploadItem:
    """A file of this machine, and where it goes.

    Attributes:
        name: its path as the pattern gives it, for messages.
    """

    source: Path
    name: str
    repository: str
    path: str

    @property
    def place(self) -> str:
        """Repository and path."""
        return f"{self.repository}/{self.path}"


def find_uploads(
    pattern: str, target: str, directory: Path, options: FileOptions, *, sink: Sink
) -> tuple[UploadItem, ...]:
    """Return the files that *pattern* matches, and where each goes, in the order of their names.

    Args:
        pattern: see :class:`FilePattern`; one that ends in a slash is for all files below a directory.
        target: repository and path; one that ends in a slash is a directory, and so is a repository alone.
        directory: where relative paths start from.
        options: which of the files.
        sink: gets a note if *target* looks like a directory and is not.

    Raises:
        SettingsError: there is no such file, or two of them would get one name.
    """
    target = _checked_target(target)
    parsed = FilePattern.parse(_normal(pattern), target)
    names = sorted(_matches(parsed, directory, options), key=lambda found: found.path)
    if not names:
        raise _nothing(parsed, directory, options)
    items = tuple(_item(found, target, directory, flat=options.flat) for found in names)
    hint = "keep their directories (without flat), or use placeholders such as {1}"
    hint = hint if target.endswith("/") else f"end the target with /: {target}/"
    refuse_collisions(((item.name, item.place) for item in items), hint)
    last = target.rpartition("/")[2]
    if last and len(items) == 1 and Path(last).suffix != items[0].source.suffix and "{" not in last:
        sink(Note(f"{items[0].name} becomes the file {items[0].place}; end the target with / for a directory"))
    return items


def _normal(pattern: str) -> str:
    if not pattern.strip():
        message = "the pattern of files is empty"
        raise SettingsError(message, hint="name a file, or write a pattern such as 'dist/*.whl'")
    pattern = re.sub("/{2,}", "/", pattern).removeprefix("./")
    return f"{pattern}*" if pattern.endswith("/") else pattern or "*"


def _checked_target(target: str) -> str:
    parts = target.strip("/").split("/")
    if not parts[0] or ".." in parts or "{" in parts[0]:
        message = f"{target!r} does not name a repository of Artifactory"
        raise SettingsError(message, hint="write REPOSITORY/PATH, such as generic-local/app/1.0/")
    if not target.isprintable():
        message = f"the target {target!r} has an invisible character"
        raise SettingsError(message, hint="write it on one line, without control characters")
    return target if "/" in target.strip("/") or target.endswith("/") else f"{target}/"


def _matches(pattern: FilePattern, directory: Path, options: FileOptions) -> Iterator[FoundFile]:
    if not pattern.is_open:
        names: Iterable[str] = [pattern.start] if (directory / pattern.start).is_file() else []
    else:
        names = _walk(directory, pattern.directory, recursive=options.recursive)
    for name in names:
        found = pattern.match(name)
        if found and not excludes(options.exclusions, name):
            yield found


def _walk(directory: Path, start: str, *, recursive: bool) -> Iterator[str]:
    """Yield every file below *start*; a link to a directory is followed, unless it leads into one above itself."""
    waiting = [(start, frozenset[tuple[int, int]]())]
    while waiting:
        name, above = waiting.pop()
        try:
            place = (directory / name).stat()
            entries = list(os.scandir(directory / name))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            message = f"the directory {name or directory} cannot be read: {error.strerror}"
            raise SettingsError(message, hint="check its permissions, or exclude it") from error
        key = (place.st_dev, place.st_ino)
        if key in above:
            continue
        prefix = name if name in {"", "/"} else f"{name}/"
        for entry in entries:
            if not entry.is_dir():
                yield f"{prefix}{entry.name}"
            elif recursive:
                waiting.append((f"{prefix}{entry.name}", above | {key}))


def _item(found: FoundFile, target: str, directory: Path, *, flat: bool) -> UploadItem:
    source = directory / found.path
    reason = "" if source.is_file() else "is a link to nothing" if source.is_symlink() else "is no regular file"
    if not found.path.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in found.path):
        reason = "has a name that is not UTF-8"
    if reason:
        message = f"{found.path!r} {reason}"
        raise SettingsError(message, hint="exclude it, or give it another name")
    repository, _, path = target_of(found, target, flat=flat).partition("/")
    return UploadItem(source, found.path, repository, path)


def _nothing(pattern: FilePattern, directory: Path, options: FileOptions) -> SettingsError:
    if not pattern.is_open and (directory / pattern.start).is_dir():
        message = f"{pattern.text} is a directory"
        return SettingsError(message, hint=f"for the files in it, write {pattern.text}/")
    message = f"no file matches {pattern.text!r} in {directory}"
    more = "; some may be excluded" if options.exclusions else ""
    if "(" in pattern.text and not pattern.numbers:
        more += "; parentheses belong to the name if the target has no {1}"
    return SettingsError(message, hint=f"check the pattern, and the directory that it starts from{more}")

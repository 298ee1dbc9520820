"""The build context as a tree of entries: read straight from disk, links never followed out of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import NoReturn

from buildpush.dockerfile.dockerignore import Ignore
from buildpush.dockerfile.missing import near
from buildpush.dockerfile.patterns import DirectoryState
from buildpush.dockerfile.wildcards import deepest, matcher, split_at_wildcard
from buildpush.foundation.errors import ContextError
from buildpush.images.tar import Entry, EntryKind, OnDisk, in_order

MOST_LINKS = 40
_DEVICES: Mapping[int, EntryKind] = {stat.S_IFCHR: "char", stat.S_IFBLK: "block"}


class Context:
    """A directory whose files COPY and ADD may use.

    Args:
        root: absolute.
        ignore: what is left out.
        created: time of every file, in seconds since 1970, or ``None`` for the files' own times.
        note: called with what is left out of a directory, and of a file.
    """

    def __init__(
        self, root: Path, ignore: Ignore, created: int | None = None, note: Callable[[str], object] = str
    ) -> None:
        self.root = os.fspath(root)
        self.ignore = ignore
        self.created = created
        self.note = note

    def find(self, source: str) -> list[tuple[str, str]]:
        """Return what *source* of a COPY names, in order: each one's own name, and its path with links resolved.

        Args:
            source: as written, variables replaced; may hold wildcards, and then may match nothing.

        Raises:
            ContextError: nothing has that name, or it is outside the context.
        """
        parts = [part for part in _inside(source).split("/") if part]
        plain, patterns = split_at_wildcard(parts)
        if patterns:
            directory = self._there(source, "/".join(plain))
            if directory and not self._is_directory(directory):
                self._not_there(source, directory)
            fits = matcher("/".join(patterns))  # no link below the directory is followed
            matches = self._search(f"{directory}/".lstrip("/"), "", fits, deepest(patterns))
            found = [(match.rpartition("/")[2], self._there(match, match)) for match in matches]
            return [(name, path) for name, path in found if not self._is_socket(path)]
        return [(parts[-1] if parts else "", self._there(source, "/".join(parts)))]

    def _there(self, source: str, path: str) -> str:
        """Return *path* with links resolved, which must exist and not be left out."""
        found = self.follow(path)
        if found and self._stat(found) is None:
            self._not_there(source, found)
        if found and self._is_left_out(found):
            self._hidden(source, found)
        return found

    def _is_left_out(self, path: str) -> bool:
        return self.ignore.hides(path) and not self._keeps_below(path)

    def _search(self, directory: str, path: str, fits: Callable[[str], bool], depth: int) -> Iterator[str]:
        """Yield what matches below *directory*, which ends in a slash, in the order of a walk."""
        for name in self._names(f"{directory}{path}"):
            inner = f"{path}/{name}".lstrip("/")
            whole = directory + inner
            if not fits(inner):
                if depth > 1 and self._is_directory(whole):
                    yield from self._search(directory, inner, fits, depth - 1)
            elif not self._is_left_out(whole):
                yield whole

    def _names(self, directory: str) -> list[str]:
        try:
            with os.scandir(self._real(directory)) as listing:
                return in_order(item.name for item in listing)
        except (OSError, ValueError):
            return []

    def _is_directory(self, path: str) -> bool:
        found = self._stat(path)
        return found is not None and stat.S_ISDIR(found.st_mode)

    def _is_socket(self, path: str) -> bool:
        found = self._stat(path)
        if found is None or not stat.S_ISSOCK(found.st_mode):
            return False
        self.note(f"{path} is a socket, which an image cannot contain: it is left out")
        return True

    def follow(self, path: str) -> str:
        """Return *path* with every link in it resolved.

        The context is the root for its links: none leads out of it.

        Raises:
            ContextError: links form a cycle, or one is left out of the context.
        """
        rest = path.split("/")[::-1] if path else []
        done: list[str] = []
        links = 0
        while rest:
            part = rest.pop()
            if part == "..":
                self._leaves(path, "/".join(done))
                del done[-1:]
                continue
            here = "/".join([*done, part])
            target = self._link(here)
            if target is None:
                done.append(part)
                continue
            links += 1
            self._passes(path, here, links)
            done = [] if target.startswith("/") else done
            rest += [step for step in target.split("/")[::-1] if step not in {"", "."}]
        return "/".join(done)

    def _leaves(self, path: str, directory: str) -> None:
        """Refuse a link that goes up through a directory that does not exist or is left out."""
        if directory and not self._is_directory(directory):
            self._not_there(path, directory)
        if directory and self._is_left_out(directory):
            self._hidden(path, directory)

    def _passes(self, path: str, link: str, links: int) -> None:
        if links > MOST_LINKS:
            message = f"{path} leads through a cycle of links in the context"
            raise ContextError(message, hint="copy what it points to", setting="context")
        if self.ignore.hides(link):
            self._hidden(path, link)

    def _link(self, path: str) -> str | None:
        try:
            return os.readlink(self._real(path))  # noqa: PTH115 - a Path would normalise it
        except (OSError, ValueError):
            return None

    def entry(self, path: str) -> Entry:
        """Return the entry at *path*; a link as itself.

        Raises:
            ContextError: it has disappeared, or is a socket.
        """
        found = self._stat(path)
        if found is None:
            message = f"{path or self.root} has disappeared"
            raise ContextError(message, setting="context")
        return self._entry(path, path, found)

    def hard_links(self, _path: str, entries: Sequence[Entry]) -> dict[str, object]:
        """Return an identity for each path of a file with several names; one file has one identity."""
        seen = ((entry.path, entry.content) for entry in entries)
        files = [(path, content) for path, content in seen if type(content) is OnDisk and content.names > 1]
        inodes = {content.inode for _, content in files}
        return {path: (content.device, content.inode) for path, content in files} if len(inodes) < len(files) else {}

    def below(self, path: str, target: str = "") -> list[Entry]:
        """Return everything below the directory *path* that is not left out, directories before what is in them.

        Args:
            path: in the context.
            target: the name of *path* in the entries.
        """
        found: list[Entry] = []
        self._scan(path, target, self.ignore.patterns.state(path), found)
        return found

    def _scan(self, path: str, target: str, known: DirectoryState, found: list[Entry]) -> None:
        """Add what is below *path*, of which the patterns are *known*."""
        inside, below = f"{path}/" if path else "", f"{target}/" if target else ""
        patterns, named = self.ignore.patterns, self.ignore.patterns.named
        for item in self._listed(path):
            inner = inside + item.name
            if item.is_dir(follow_symlinks=False):
                self._directory(inner, below + item.name, item, patterns.below(known, inner), found)
            elif not (patterns.takes(known, inner) if named(inner) else known.chosen):
                status = item.stat(follow_symlinks=False)
                if stat.S_ISSOCK(status.st_mode):
                    self.note(f"{inner} is a socket, which an image cannot contain: it is left out")
                else:
                    found.append(self._entry(inner, below + item.name, status))

    def _listed(self, path: str) -> list[os.DirEntry[str]]:
        """Return what is in the directory *path*, sorted by the bytes of names."""
        try:
            with os.scandir(self._real(path)) as listing:
                found = list(listing)
        except OSError as error:
            message = f"{path or self.root} cannot be read: {error.strerror}"
            raise ContextError(message, setting="context") from error
        plain = all(item.name.isascii() for item in found)
        return sorted(found, key=_name if plain else _encoded_name)

    def _directory(
        self, path: str, target: str, item: os.DirEntry[str], known: DirectoryState, found: list[Entry]
    ) -> None:
        if known.closed:
            return
        position = len(found)
        found.append(self._entry(path, target, item.stat(follow_symlinks=False)))
        self._scan(path, target, known, found)
        if known.chosen and len(found) == position + 1:
            found.pop()

    def _keeps_below(self, path: str) -> bool:
        """Return whether an exception keeps something in the hidden directory *path*."""
        return self._is_directory(path) and not self.ignore.patterns.state(path).closed and bool(self.below(path))

    def _entry(self, path: str, target: str, found: os.stat_result) -> Entry:
        """Return the entry at *path*, with the name *target*."""
        mode = found.st_mode
        when = found.st_mtime_ns
        modified = when // 1_000_000_000 if self.created is None else self.created
        if stat.S_ISREG(mode):
            real = self._real(path)
            if mode & 0o111:
                self._note_capability(path, real)
            seen = OnDisk(real, when, found.st_ino, found.st_dev, found.st_ctime_ns, found.st_nlink)
            return Entry(target, "file", mode & 0o7777, 0, 0, modified, found.st_size, "", b"", seen)
        if stat.S_ISDIR(mode):
            return Entry(target, "directory", mode & 0o7777, modified=modified)
        if stat.S_ISLNK(mode):
            return Entry(target, "link", 0o777, modified=modified, target=self._link(path) or "")
        if stat.S_ISSOCK(mode):
            message = f"{path} is a socket, which an image cannot contain"
            raise ContextError(message, hint=f"remove it, or list it in {self.ignore.path}", setting="context")
        kind: EntryKind = _DEVICES.get(stat.S_IFMT(mode), "fifo")
        device = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}" if kind != "fifo" else ""
        return Entry(target, kind, mode & 0o7777, modified=modified, target=device)

    def _note_capability(self, path: str, real: str) -> None:
        """Note the capabilities of a program, which are dropped: no builder takes them from a context."""
        with suppress(OSError, AttributeError):  # where there is none, or this system does not have them
            os.getxattr(real, "security.capability", follow_symlinks=False)
            self.note(f"{path} has capabilities (security.capability), which are not taken from a context")

    def _stat(self, path: str) -> os.stat_result | None:
        try:
            return os.lstat(self._real(path))
        except (OSError, ValueError):
            return None

    def _real(self, path: str) -> str:
        return f"{self.root}/{path}" if path else self.root

    def _hidden(self, source: str, path: str) -> NoReturn:
        pattern = self.ignore.by(path)
        message = f"{source} is in the context, but {self.ignore.path} hides it"
        hint = f"{pattern.where}, {pattern.text!r}, matches it; add a line !{path} below" if pattern else None
        if pattern and pattern.where is None:
            message, hint = f"{source} is the archive that this build writes", "write the archive elsewhere"
        raise ContextError(message, hint=hint, setting="context")

    def _not_there(self, source: str, path: str) -> NoReturn:
        hint = near(Path(self.root), path, self.ignore) or f"sources are relative to the context {self.root}"
        message = f"{source} is not in the context"
        raise ContextError(message, hint=hint, setting="context")


_name = attrgetter("name")


def _encoded_name(item: os.DirEntry[str]) -> bytes:
    return os.fsencode(item.name)


def _inside(path: str) -> str:
    """Return *path* without dots, cut off at the root: for BuildKit, ``../x`` and ``/x`` are ``x``."""
    done: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del done[-1:]
        elif part not in {"", "."}:
            done.append(part)
    return "/".join(done)

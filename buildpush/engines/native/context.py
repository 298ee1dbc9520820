"""The build context as a tree of entries: read straight from disk, links never followed out of it."""

from __future__ import annotations

import os
import stat
import sys
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
        ignore: patterns of what is left out.
        created: time of every file, in seconds since 1970, or ``None`` for the files' own times.
        note: called with a sentence about what an image cannot contain.
    """

    def __init__(
        self, root: Path, ignore: Ignore, created: int | None = None, note: Callable[[str], object] = str
    ) -> None:
        self.root = os.fspath(root)
        self.ignore = ignore
        self.created = created
        self.note = note

    def find(self, source: str) -> list[tuple[str, str]]:
        """Return what *source* of a COPY names, in order: the name of each, and its path with links resolved.

        Args:
            source: as written, variables replaced; may contain wildcards, and then may match nothing.

        Raises:
            ContextError: nothing has that name, or it is left out of the context.
        """
        parts = [part for part in _inside(source).split("/") if part]
        plain, patterns = split_at_wildcard(parts)
        if patterns:
            directory = self._resolve(source, "/".join(plain))
            if directory and not self._is_directory(directory):
                self._refuse_missing(source, directory)
            fits_patterns = matcher("/".join(patterns))  # no link below the directory is followed
            matches = self._search(f"{directory}/".lstrip("/"), "", fits_patterns, deepest(patterns))
            paths = [(match.rpartition("/")[2], self._resolve(match, match)) for match in matches]
            return [(name, path) for name, path in paths if not self._is_socket(path)]
        return [(parts[-1] if parts else "", self._resolve(source, "/".join(parts)))]

    def _resolve(self, source: str, path: str) -> str:
        """Return *path* with links resolved, which must exist and not be left out."""
        resolved = self.follow(path)
        if resolved and self._stat(resolved) is None:
            self._refuse_missing(source, resolved)
        if resolved and self._is_left_out(resolved):
            self._refuse_hidden(source, resolved)
        return resolved

    def _is_left_out(self, path: str) -> bool:
        return self.ignore.hides(path) and not self._keeps_below(path)

    def _search(self, directory: str, path: str, fits: Callable[[str], bool], depth: int) -> Iterator[str]:
        """Yield what matches below *directory*, which ends in a slash, in the order of a walk."""
        for name in self._names(f"{directory}{path}"):
            inner = f"{path}/{name}".lstrip("/")
            full_path = directory + inner
            if not fits(inner):
                if depth > 1 and self._is_directory(full_path):
                    yield from self._search(directory, inner, fits, depth - 1)
            elif not self._is_left_out(full_path):
                yield full_path

    def _names(self, directory: str) -> list[str]:
        try:
            with os.scandir(self._real(directory)) as listing:
                return in_order(item.name for item in listing)
        except (OSError, ValueError):
            return []

    def _is_directory(self, path: str) -> bool:
        status = self._stat(path)
        return status is not None and stat.S_ISDIR(status.st_mode)

    def _is_socket(self, path: str) -> bool:
        status = self._stat(path)
        if status is None or not stat.S_ISSOCK(status.st_mode):
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
                self._check_parent(path, "/".join(done))
                del done[-1:]
                continue
            current = "/".join([*done, part])
            target = self._link(current)
            if target is None:
                done.append(part)
                continue
            links += 1
            self._check_link(path, current, links)
            done = [] if target.startswith("/") else done
            rest += [step for step in target.split("/")[::-1] if step not in {"", "."}]
        return "/".join(done)

    def _check_parent(self, path: str, directory: str) -> None:
        """Refuse a link with ``..`` after a directory that does not exist or is left out."""
        if directory and not self._is_directory(directory):
            self._refuse_missing(path, directory)
        if directory and self._is_left_out(directory):
            self._refuse_hidden(path, directory)

    def _check_link(self, path: str, link: str, links: int) -> None:
        if links > MOST_LINKS:
            message = f"{path} leads through a cycle of links in the context"
            raise ContextError(message, hint="copy what it points to", setting="context")
        if self.ignore.hides(link):
            self._refuse_hidden(path, link)

    def _link(self, path: str) -> str | None:
        try:
            return os.readlink(self._real(path))  # noqa: PTH115 - a Path would normalise it
        except (OSError, ValueError):
            return None

    def entry(self, path: str) -> Entry:
        """Return the entry at *path*, which may be a link.

        Raises:
            ContextError: it has disappeared, or is a socket.
        """
        status = self._stat(path)
        if status is None:
            message = f"{path or self.root} has disappeared"
            raise ContextError(message, setting="context")
        return self._entry(path, path, status)

    def hard_links(self, _path: str, entries: Sequence[Entry]) -> dict[str, object]:
        """Return an identity for each path of a file with several names; names of one file share it."""
        contents = ((entry.path, entry.content) for entry in entries)
        files = [(path, content) for path, content in contents if type(content) is OnDisk and content.names > 1]
        inodes = {content.inode for _, content in files}
        return {path: (content.device, content.inode) for path, content in files} if len(inodes) < len(files) else {}

    def below(self, path: str, target: str = "") -> list[Entry]:
        """Return everything below the directory *path* that is not left out, directories before what is in them.

        Args:
            path: in the context.
            target: the name that replaces *path* in the entries.
        """
        entries: list[Entry] = []
        self._scan(path, target, self.ignore.patterns.state(path), entries)
        return entries

    def _scan(self, path: str, target: str, state: DirectoryState, entries: list[Entry]) -> None:
        """Add what is below *path* to *entries*; *state* is what the patterns say of *path*."""
        inside, below = f"{path}/" if path else "", f"{target}/" if target else ""
        patterns, may_match = self.ignore.patterns, self.ignore.patterns.may_match
        for item in self._list(path):
            inner = inside + item.name
            if item.is_dir(follow_symlinks=False):
                self._directory(inner, below + item.name, item, patterns.below(state, inner), entries)
            elif not (patterns.select(state, inner) if may_match(inner) else state.selected):
                status = item.stat(follow_symlinks=False)
                if stat.S_ISSOCK(status.st_mode):
                    self.note(f"{inner} is a socket, which an image cannot contain: it is left out")
                else:
                    entries.append(self._entry(inner, below + item.name, status))

    def _list(self, path: str) -> list[os.DirEntry[str]]:
        """Return what is in the directory *path*, sorted by the bytes of names."""
        try:
            with os.scandir(self._real(path)) as listing:
                items = list(listing)
        except OSError as error:
            message = f"{path or self.root} cannot be read: {error.strerror}"
            raise ContextError(message, setting="context") from error
        is_ascii = all(item.name.isascii() for item in items)
        return sorted(items, key=_name if is_ascii else _encoded_name)

    def _directory(
        self, path: str, target: str, item: os.DirEntry[str], state: DirectoryState, entries: list[Entry]
    ) -> None:
        if state.closed:
            return
        position = len(entries)
        entries.append(self._entry(path, target, item.stat(follow_symlinks=False)))
        self._scan(path, target, state, entries)
        if state.selected and len(entries) == position + 1:
            entries.pop()

    def _keeps_below(self, path: str) -> bool:
        """Return whether an exception, a pattern with ``!``, keeps something in the hidden directory *path*."""
        return self._is_directory(path) and not self.ignore.patterns.state(path).closed and bool(self.below(path))

    def _entry(self, path: str, target: str, status: os.stat_result) -> Entry:
        """Return the entry at *path*, with the name *target*."""
        mode = status.st_mode
        changed = status.st_mtime_ns
        modified = changed // 1_000_000_000 if self.created is None else self.created
        if stat.S_ISREG(mode):
            real = self._real(path)
            if mode & 0o111:
                self._note_capability(path, real)
            content = OnDisk(real, changed, status.st_ino, status.st_dev, status.st_ctime_ns, status.st_nlink)
            return Entry(target, "file", mode & 0o7777, 0, 0, modified, status.st_size, "", b"", content)
        if stat.S_ISDIR(mode):
            return Entry(target, "directory", mode & 0o7777, modified=modified)
        if stat.S_ISLNK(mode):
            return Entry(target, "link", 0o777, modified=modified, target=self._link(path) or "")
        if stat.S_ISSOCK(mode):
            message = f"{path} is a socket, which an image cannot contain"
            raise ContextError(message, hint=f"remove it, or list it in {self.ignore.path}", setting="context")
        kind: EntryKind = _DEVICES.get(stat.S_IFMT(mode), "fifo")
        device = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}" if kind != "fifo" else ""
        return Entry(target, kind, mode & 0o7777, modified=modified, target=device)

    def _note_capability(self, path: str, real: str) -> None:
        """Note the capabilities of a program, which are dropped: no builder copies them from a context."""
        if sys.platform != "linux":
            return
        with suppress(OSError):  # it has none
            os.getxattr(real, "security.capability", follow_symlinks=False)
            self.note(f"{path} has capabilities (security.capability), which COPY and ADD do not copy from a context")

    def _stat(self, path: str) -> os.stat_result | None:
        try:
            return os.lstat(self._real(path))
        except (OSError, ValueError):
            return None

    def _real(self, path: str) -> str:
        return f"{self.root}/{path}" if path else self.root

    def _refuse_hidden(self, source: str, path: str) -> NoReturn:
        pattern = self.ignore.find_pattern(path)
        message = f"{source} is in the context, but {self.ignore.path} hides it"
        hint = f"{pattern.where}, {pattern.text!r}, matches it; add a line !{path} below" if pattern else None
        if pattern and pattern.where is None:
            message, hint = f"{source} is the archive that this build writes", "write the archive elsewhere"
        raise ContextError(message, hint=hint, setting="context")

    def _refuse_missing(self, source: str, path: str) -> NoReturn:
        hint = near(Path(self.root), path, self.ignore) or f"sources are relative to the context {self.root}"
        message = f"{source} is not in the context"
        raise ContextError(message, hint=hint, setting="context")


_name = attrgetter("name")


def _encoded_name(item: os.DirEntry[str]) -> bytes:
    return os.fsencode(item.name)


def _inside(path: str) -> str:
    """Return *path* without ``.`` and ``..``, none of which leads out: for BuildKit, ``../x`` and ``/x`` are ``x``."""
    done: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del done[-1:]
        elif part not in {"", "."}:
            done.append(part)
    return "/".join(done)

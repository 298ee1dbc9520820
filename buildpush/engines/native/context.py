"""The build context as a tree of entries: read straight from disk, links never followed out of it."""

from __future__ import annotations

import difflib
import os
import re
import stat
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import NoReturn

from buildpush.errors import ContextError
from buildpush.images.dockerignore import Ignore
from buildpush.images.patterns import State
from buildpush.images.tar import Entry, OnDisk, in_order, is_special
from buildpush.images.wildcards import split_at_wildcard, wildcard_expression

MOST_LINKS = 40
_SPECIAL = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


class Context:
    """A folder whose files COPY and ADD may use.

    Args:
        root: absolute.
        ignore: what is left out.
        created: seconds since 1970 to give every file, or ``None`` for the files' own times.
    """

    def __init__(self, root: Path, ignore: Ignore, created: int | None = None) -> None:
        self.root = os.fspath(root)
        self.ignore = ignore
        self.created = created

    def find(self, source: str) -> list[tuple[str, str]]:
        """Return what *source* of a COPY names, in order: each one's own name, and its path with links resolved.

        Args:
            source: as written, variables replaced; may hold wildcards, and then may match nothing.

        Raises:
            ContextError: nothing of that name is there, or it lies outside the context.
        """
        parts = [part for part in _inside(source).split("/") if part]
        plain, patterns = split_at_wildcard(parts)
        if patterns:
            matches = self._matches("/".join(plain), patterns)
            return [(match.rpartition("/")[2], self.follow(match)) for match in matches]
        path = self.follow("/".join(parts))
        if path and self._stat(path) is None:
            self._not_there(source, path)
        if path and self.ignore.hides(path) and not self._keeps_below(path):
            self._hidden(source, path)
        return [(parts[-1] if parts else "", path)]

    def _matches(self, folder: str, patterns: list[str]) -> list[str]:
        """Return the paths below *folder* whose parts match *patterns*, one part each."""
        try:
            wanted = re.compile(wildcard_expression(patterns[0]), re.DOTALL)
        except (ValueError, re.error) as error:
            message = f"malformed pattern {patterns[0]!r} in a source"
            raise ContextError(message, hint="escape a bracket that means itself: [[]", setting="context") from error
        found = [f"{folder}/{name}".lstrip("/") for name in self._names(folder) if wanted.match(name)]
        if len(patterns) > 1:
            return [match for path in found for match in self._matches(path, patterns[1:])]
        return [path for path in found if not self.ignore.hides(path) or self._keeps_below(path)]

    def _names(self, folder: str) -> list[str]:
        try:
            with os.scandir(self._real(self.follow(folder))) as listing:
                return in_order(item.name for item in listing)
        except (OSError, ValueError):
            return []

    def follow(self, path: str) -> str:
        """Return *path* with every link in it resolved.

        Raises:
            ContextError: a link leads out of the context, or in a circle.
        """
        rest = path.split("/")[::-1] if path else []
        done: list[str] = []
        links = 0
        while rest:
            part = rest.pop()
            if part == "..":
                if not done:
                    self._leaves(path)
                done.pop()
                continue
            here = "/".join([*done, part])
            target = self._link(here)
            if target is None:
                done.append(part)
                continue
            links += 1
            if target.startswith("/") or links > MOST_LINKS:
                self._leaves(path, here)
            rest += [step for step in target.split("/")[::-1] if step not in {"", "."}]
        return "/".join(done)

    def _link(self, path: str) -> str | None:
        try:
            return os.fspath(Path(self._real(path)).readlink())
        except (OSError, ValueError):
            return None

    def entry(self, path: str) -> Entry:
        """Return what *path* is; a link as itself.

        Raises:
            ContextError: it is gone, or a device, FIFO or socket.
        """
        found = self._stat(path)
        if found is None:
            message = f"{path or self.root} is gone"
            raise ContextError(message, setting="context")
        return self._entry(path, path, found)

    def hard_links(self, _path: str, entries: Sequence[Entry]) -> dict[str, object]:
        """Return for the paths of files with several names the same thing where they are one file."""
        files = [(path, content) for path, *_, content in entries if type(content) is OnDisk and content.names > 1]
        inodes = {content.inode for _, content in files}
        return {path: (content.device, content.inode) for path, content in files} if len(inodes) < len(files) else {}

    def below(self, path: str, target: str = "") -> list[Entry]:
        """Return everything below the folder *path* that is not left out, folders before what is in them.

        Args:
            path: in the context.
            target: what *path* is called in the entries.
        """
        found: list[Entry] = []
        self._scan(path, target, self.ignore.patterns.state(path), found)
        return found

    def _scan(self, path: str, target: str, known: State, found: list[Entry]) -> None:
        """Add what is below *path*, of which the patterns are *known*."""
        inside, below = f"{path}/" if path else "", f"{target}/" if target else ""
        patterns, named = self.ignore.patterns, self.ignore.patterns.named
        for item in self._listed(path):
            inner = inside + item.name
            if item.is_dir(follow_symlinks=False):
                self._folder(inner, below + item.name, item, patterns.below(known, inner), found)
            elif not (patterns.takes(known, inner) if named(inner) else known.chosen):
                found.append(self._entry(inner, below + item.name, item.stat(follow_symlinks=False)))

    def _listed(self, path: str) -> list[os.DirEntry[str]]:
        """Return what is in the folder *path*, sorted by the bytes of names."""
        try:
            with os.scandir(self._real(path)) as listing:
                found = list(listing)
        except OSError as error:
            message = f"{path or self.root} cannot be read: {error.strerror}"
            raise ContextError(message, setting="context") from error
        plain = all(item.name.isascii() for item in found)
        return sorted(found, key=_name if plain else _encoded_name)

    def _folder(self, path: str, target: str, item: os.DirEntry[str], known: State, found: list[Entry]) -> None:
        if known.closed:
            return
        place = len(found)
        found.append(self._entry(path, target, item.stat(follow_symlinks=False)))
        self._scan(path, target, known, found)
        if known.chosen and len(found) == place + 1:
            found.pop()

    def _keeps_below(self, path: str) -> bool:
        """Return whether something in the hidden folder *path* is kept all the same."""
        found = self._stat(path)
        is_folder = found is not None and stat.S_ISDIR(found.st_mode)
        return is_folder and not self.ignore.patterns.state(path).closed and bool(self.below(path))

    def _entry(self, path: str, target: str, found: os.stat_result) -> Entry:
        """Return what *path* is, called *target*."""
        mode = found.st_mode
        when = found.st_mtime_ns
        modified = when // 1_000_000_000 if self.created is None else self.created
        if stat.S_ISREG(mode):
            real = self._real(path)
            seen = OnDisk(real, when, found.st_ino, found.st_dev, found.st_ctime_ns, found.st_nlink)
            return Entry(target, "file", mode & 0o7777, 0, 0, modified, found.st_size, "", seen)
        if stat.S_ISDIR(mode):
            return Entry(target, "folder", mode & 0o7777, modified=modified)
        if is_special(mode):
            message = (
                f"{path} is {_SPECIAL.get(stat.S_IFMT(mode), 'no file')}, which an image cannot take from a context"
            )
            raise ContextError(message, hint=f"remove it, or list it in {self.ignore.path}", setting="context")
        return Entry(target, "link", 0o777, modified=modified, target=self._link(path) or "")

    def _stat(self, path: str) -> os.stat_result | None:
        try:
            return os.lstat(self._real(path))
        except (OSError, ValueError):
            return None

    def _real(self, path: str) -> str:
        return f"{self.root}/{path}" if path else self.root

    def _leaves(self, path: str, link: str = "") -> NoReturn:
        message = (
            f"{path} leads out of the context through the link {link}" if link else f"{path} is not in the context"
        )
        raise ContextError(message, hint="copy what it points to into the context", setting="context")

    def _hidden(self, source: str, path: str) -> NoReturn:
        pattern = self.ignore.by(path)
        message = f"{source} is in the context, but {self.ignore.path} hides it"
        hint = f"{pattern.where}, {pattern.text!r}, matches it; add a line !{path} below" if pattern else None
        if pattern and pattern.where is None:
            message, hint = f"{source} is what this build writes", "write the archive elsewhere"
        raise ContextError(message, hint=hint, setting="context")

    def _not_there(self, source: str, path: str) -> NoReturn:
        folder, _, name = path.rpartition("/")
        near = difflib.get_close_matches(name, self._names(folder), n=3)
        places = f" in {folder}" if folder else ""
        hint = f"near it{places}: {', '.join(near)}" if near else f"sources are relative to the context {self.root}"
        message = f"{source} is not in the context"
        raise ContextError(message, hint=hint, setting="context")


_name = attrgetter("name")


def _encoded_name(item: os.DirEntry[str]) -> bytes:
    return os.fsencode(item.name)


def _inside(path: str) -> str:
    """Return *path* without dots, cut off at the root: BuildKit takes ``../x`` and ``/x`` for ``x``."""
    done: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del done[-1:]
        elif part not in {"", "."}:
            done.append(part)
    return "/".join(done)

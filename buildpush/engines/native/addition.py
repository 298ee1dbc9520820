"""A layer while it is made: what a COPY, ADD or WORKDIR adds to the existing files.

Source: what BuildKit does; each rule was observed there.
"""

# Flags of other programs in this module's texts: --parents

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from buildpush.dockerfile.patterns import Patterns
from buildpush.dockerfile.wildcards import has_wildcard
from buildpush.engines.native.files import Files, rooted, unpack_entries
from buildpush.engines.native.modes import Mode, apply_mode
from buildpush.engines.native.selection import ALL, Selection, with_parents
from buildpush.foundation.errors import BuildError, ContextError
from buildpush.foundation.records import dataclass
from buildpush.images.tar import Entry, in_order
from buildpush.images.tar_members import Archive

NEW_DIRECTORY = 0o755


class Tree(Protocol):
    """Where COPY takes files from: the context, a stage, an image."""

    def find(self, source: str) -> list[tuple[str, str]]:
        """Return names and paths of what *source* matches."""
        ...

    def entry(self, path: str) -> Entry:
        """Return the entry at *path*."""
        ...

    def hard_links(self, path: str, entries: Sequence[Entry]) -> dict[str, object]:
        """Return an identity for each of *entries* below *path* that has several names; one file has one identity."""
        ...

    def below(self, path: str, target: str = "") -> Iterable[Entry]:
        """Yield what is below a directory, with *target* as the directory's own name."""
        ...


@dataclass(frozen=True, slots=True)
class FileAttributes:
    """The values of ``--chown`` and ``--chmod``; ``None`` keeps those of the files."""

    owner: tuple[int, int] | None = None
    mode: Mode | None = None
    created: int | None = None

    def of(self, entry: Entry, path: str) -> Entry:
        """Return *entry* at *path* with these attributes; no time is later than ``created``."""
        uid, gid = self.owner or (entry.uid, entry.gid)
        mode = entry.mode
        if self.mode is not None and entry.kind != "link":
            mode = apply_mode(mode, self.mode, is_directory=entry.kind == "directory")
        modified = entry.modified if self.created is None else min(entry.modified, self.created)
        if (path, uid, gid, mode, modified) == (entry.path, entry.uid, entry.gid, entry.mode, entry.modified):
            return entry
        return Entry(path, entry.kind, mode, uid, gid, modified, *entry[6:])


class Addition:
    """Collects the entries of a layer, and adds each to *files* at once.

    Args:
        files: of the image so far; changed in place.
        attributes: of everything that is added.
    """

    def __init__(self, files: Files, attributes: FileAttributes | None = None) -> None:
        self.files = files
        self.attributes = attributes or FileAttributes()
        self._added: dict[str, Entry] = {}
        self._implied: set[str] = set()
        self._links: dict[str, object] = {}
        self._directories: set[str] = set()  # which the layer must contain, because something in them was added

    def copy(self, tree: Tree, name: str, path: str, destination: str, *, into: bool, chosen: Selection = ALL) -> None:
        """Copy one of the results of :meth:`Tree.find`.

        Args:
            tree: to copy from.
            name: its own name.
            path: where it is in *tree*.
            destination: absolute path in the image.
            into: whether the destination is a directory even if it does not exist yet.
            chosen: what of a directory is copied.

        Raises:
            BuildError: a file would have to become a directory, or the other way round.
        """
        entry = tree.entry(path)
        if entry.kind == "directory":
            self._copy_directory(tree, path, entry, self.files.resolve(destination), chosen)
        else:
            self.put_file(entry, name, destination, into=into)

    def copy_with_parents(self, tree: Tree, source: str, destination: str, without: Patterns) -> None:
        """Copy what *source* names in *tree* with its parent directories; the destination is a directory.

        Raises:
            ContextError: the source does not exist.
            BuildError: a file would have to become a directory, or the other way round.
        """
        directory, chosen = with_parents(source, without)
        for _, path in tree.find(directory):
            if path != rooted(directory) and not has_wildcard(source):
                message = f"{source} leads through a link, which --parents does not follow"
                raise ContextError(message, hint="name the directory that the link leads to", setting="context")
            self._copy_directory(tree, path, tree.entry(path), self.files.resolve(destination), chosen)

    def _landing(self, name: str, destination: str, *, into: bool) -> str:
        """Return where a file called *name* lands, links at the destination followed."""
        target = self.files.resolve(destination)
        there = self.files.get(target)
        if into or (there and there.kind == "directory"):
            self.directory(target)
            return f"{target}/{name}".lstrip("/")  # a link with that name is replaced
        self.directory(target.rpartition("/")[0])
        return target

    def _copy_directory(self, tree: Tree, path: str, directory: Entry, target: str, chosen: Selection) -> None:
        fresh = self.files.is_free(target)
        self.directory(target, modified=directory.modified)
        found = list(tree.below(path, target))
        links = tree.hard_links(path, found)
        entries, above = chosen.of(found, target)
        if self.attributes != FileAttributes():  # with many files, this is where the time goes
            entries = [self.attributes.of(entry, entry.path) for entry in entries]
        if fresh:
            added = {entry.path: entry for entry in entries}
            self.files.entries |= added
            self._added |= added
            self._directories.add(target)
        else:
            modes = {entry.path: entry.mode for entry in found if entry.path in above}
            for entry in entries:
                self._place(self._on_the_way(entry, modes))
        self._link({entry.path: links[entry.path] for entry in entries if entry.path in links} if links else {})

    def _on_the_way(self, entry: Entry, modes: Mapping[str, int]) -> Entry:
        """Return *entry*; an existing directory that is only a parent takes just its source's mode."""
        there = self.files.get(entry.path) if entry.path in modes else None
        return there._replace(mode=modes[entry.path]) if there and there.kind == "directory" else entry

    def _link(self, links: Mapping[str, object]) -> None:
        """Make hard links of those paths with the same identity in *links*."""
        fresh: dict[object, object] = {}  # copied twice, they are two files
        for path, link in links.items():
            self._links[path] = self.files.links[path] = fresh.setdefault(link, object())

    def file(self, name: str, text: bytes, destination: str, *, into: bool, modified: int) -> None:
        """Write a file that has no source: a heredoc."""
        entry = Entry(name, "file", 0o644, modified=modified, size=len(text), content=text)
        self.put_file(entry, name, destination, into=into)

    def put_file(self, entry: Entry, name: str, destination: str, *, into: bool) -> None:
        """Add a file with the name *name*."""
        self._place(self.attributes.of(entry, self._landing(name, destination, into=into)))

    def unpack(self, archive: Archive, destination: str) -> set[str]:
        """Unpack a tar below *destination*; nothing is written outside it.

        Returns:
            The names of the extended attributes that images do not have, and that are dropped.
        """
        target = self.files.resolve(destination)
        attributes = replace(self.attributes, mode=None)
        implied = replace(attributes, owner=None)
        self.directory(target, attributes=attributes)
        seen = Files()
        landed: dict[str, str] = {}
        dropped: set[str] = set()
        for entry in unpack_entries(archive, seen, dropped):
            parent, _, name = rooted(entry.path).rpartition("/")
            directory = self.files.resolve(f"{target}/{parent}")
            self.directory(directory, attributes=implied)
            path = f"{directory}/{name}".lstrip("/")
            landed[entry.path] = path
            # As tar does: an entry replaces one of another type.
            self._put(attributes.of(entry, path))
        self._link({landed[name]: link for name, link in seen.links.items()})
        return dropped - {"security.capability"}

    def directory(self, path: str, *, modified: int | None = None, attributes: FileAttributes | None = None) -> None:
        """Make the directory *path*, whose links are resolved, and its parents, where they do not exist yet.

        Raises:
            BuildError: something else is there.
        """
        there = self.files.get(path)
        if there and there.kind == "directory":
            return
        if there:
            message = f"/{path} is not a directory in the image, so nothing can be copied into it"
            raise BuildError(message)
        above = path.rpartition("/")[0]
        self.directory(above, attributes=attributes)
        self._put(self._new_directory(path, self.files.get(above), modified or 0, attributes or self.attributes))
        if modified is None:
            self._implied.add(path)

    def _new_directory(self, path: str, above: Entry | None, modified: int, attributes: FileAttributes) -> Entry:
        mode = attributes.mode & 0o777 if isinstance(attributes.mode, int) else NEW_DIRECTORY
        uid, gid = attributes.owner or (0, 0)
        if above and above.mode & 0o2000:  # as mkdir does below a set-group-id directory
            mode |= 0o2000
            gid = gid if attributes.owner else above.gid
        entry = Entry(path, "directory", mode, uid, gid, modified)
        return FileAttributes(created=attributes.created).of(entry, path)

    def _place(self, entry: Entry) -> None:
        there = self.files.get(entry.path)
        if there and (entry.kind == "directory") != (there.kind == "directory"):
            message = f"/{entry.path} is a {there.kind} in the image and a {entry.kind} in what is copied"
            raise BuildError(message, hint="choose another destination")
        self._put(entry)

    def _put(self, entry: Entry) -> None:
        if not entry.path:
            return
        there = self._added.get(entry.path)
        if there and there.kind == "directory" and entry.kind != "directory":
            inside = f"{entry.path}/"
            self._added = {path: other for path, other in self._added.items() if not path.startswith(inside)}
            self._directories = {path for path in self._directories if not f"{path}/".startswith(inside)}
        self.files.put(entry)
        self._links.pop(entry.path, None)
        self._added[entry.path] = entry
        self._directories.add(entry.path.rpartition("/")[0])
        self._implied.discard(entry.path)

    def entries(self) -> tuple[Entry, ...]:
        """Return the layer: what was added and the directories above it, sorted by path."""
        self._date_implied()
        whole = dict(self._added)
        for directory in self._directories:
            above = directory
            while above and above not in whole:
                whole[above] = self.files.get(above) or Entry(above, "directory", NEW_DIRECTORY)
                above = above.rpartition("/")[0]
        if not self._links:
            return tuple(whole[path] for path in in_order(whole))
        firsts: dict[object, str] = {}
        return tuple(self._linked(whole[path], firsts) for path in in_order(whole))

    def _date_implied(self) -> None:
        """Give directories that no instruction wrote the newest time of what was added, for equal layers."""
        if not self._implied:
            return
        newest = max((entry.modified for path, entry in self._added.items() if path not in self._implied), default=0)
        for path in self._implied & self._added.keys():
            self._put(self._added[path]._replace(modified=newest))

    def _linked(self, entry: Entry, firsts: dict[object, str]) -> Entry:
        link = self._links.get(entry.path)
        if link is None or entry.kind != "file":
            return entry
        first = firsts.setdefault(link, entry.path)
        # With its capability, which programs remove when they set the owner of the new name.
        return entry if first == entry.path else entry._replace(kind="hard", target=first, size=0, content=b"")

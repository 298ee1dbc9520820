"""Collects the entries of a layer: what a COPY, ADD or WORKDIR adds to the existing files.

Source: the behaviour of BuildKit; each rule was observed there.
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
        """Return an identity for each of *entries* that has several names; all names of a file share it."""
        ...

    def below(self, path: str, target: str = "") -> Iterable[Entry]:
        """Yield what is below the directory *path*, with *target* as the name of that directory."""
        ...


@dataclass(frozen=True, slots=True)
class FileAttributes:
    """The values of ``--chown`` and ``--chmod``; ``None`` keeps what the files have."""

    owner: tuple[int, int] | None = None
    mode: Mode | None = None
    created: int | None = None

    def apply_to(self, entry: Entry, path: str) -> Entry:
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
        self._directories: set[str] = set()  # the layer must contain them, since something in them was added

    def copy(
        self, tree: Tree, name: str, path: str, destination: str, *, into: bool, selection: Selection = ALL
    ) -> None:
        """Copy one of the results of :meth:`Tree.find`.

        Args:
            tree: to copy from.
            name: its own name.
            path: where it is in *tree*.
            destination: absolute path in the image.
            into: whether the destination is a directory even if it does not exist yet.
            selection: which files of a directory are copied.

        Raises:
            BuildError: a file would have to become a directory, or the other way round.
        """
        entry = tree.entry(path)
        if entry.kind == "directory":
            self._copy_directory(tree, path, entry, self.files.resolve(destination), selection)
        else:
            self.put_file(entry, name, destination, into=into)

    def copy_with_parents(self, tree: Tree, source: str, destination: str, without: Patterns) -> None:
        """Copy what *source* names in *tree* with its parent directories; the destination is a directory.

        Raises:
            ContextError: the source does not exist.
            BuildError: a file would have to become a directory, or the other way round.
        """
        directory, selection = with_parents(source, without)
        for _, path in tree.find(directory):
            if path != rooted(directory) and not has_wildcard(source):
                message = f"{source} leads through a link, which --parents does not follow"
                raise ContextError(message, hint="name the directory that the link leads to", setting="context")
            self._copy_directory(tree, path, tree.entry(path), self.files.resolve(destination), selection)

    def _target(self, name: str, destination: str, *, into: bool) -> str:
        """Return the path of a file called *name* at *destination*, where links are followed."""
        target = self.files.resolve(destination)
        existing = self.files.get(target)
        if into or (existing and existing.kind == "directory"):
            self.directory(target)
            return f"{target}/{name}".lstrip("/")  # a link with that name is replaced
        self.directory(target.rpartition("/")[0])
        return target

    def _copy_directory(self, tree: Tree, path: str, directory: Entry, target: str, selection: Selection) -> None:
        is_new = self.files.is_free(target)
        self.directory(target, modified=directory.modified)
        contents = list(tree.below(path, target))
        links = tree.hard_links(path, contents)
        entries, above = selection.select(contents, target)
        if self.attributes != FileAttributes():  # with many files, this is where the time goes
            entries = [self.attributes.apply_to(entry, entry.path) for entry in entries]
        if is_new:
            added = {entry.path: entry for entry in entries}
            self.files.entries |= added
            self._added |= added
            self._directories.add(target)
        else:
            modes = {entry.path: entry.mode for entry in contents if entry.path in above}
            for entry in entries:
                self._place(self._keep_existing(entry, modes))
        self._link({entry.path: links[entry.path] for entry in entries if entry.path in links} if links else {})

    def _keep_existing(self, entry: Entry, modes: Mapping[str, int]) -> Entry:
        """Return *entry*; where it is only a parent of what is copied, an existing directory just with its mode."""
        existing = self.files.get(entry.path) if entry.path in modes else None
        return existing._replace(mode=modes[entry.path]) if existing and existing.kind == "directory" else entry

    def _link(self, links: Mapping[str, object]) -> None:
        """Make hard links of the paths that have the same identity in *links*."""
        identities: dict[object, object] = {}  # new ones: a second copy is not linked to the first
        for path, link in links.items():
            self._links[path] = self.files.links[path] = identities.setdefault(link, object())

    def file(self, name: str, text: bytes, destination: str, *, into: bool, modified: int) -> None:
        """Add a file that has no source: a heredoc."""
        entry = Entry(name, "file", 0o644, modified=modified, size=len(text), content=text)
        self.put_file(entry, name, destination, into=into)

    def put_file(self, entry: Entry, name: str, destination: str, *, into: bool) -> None:
        """Add a file; *name* is used where the destination is a directory."""
        self._place(self.attributes.apply_to(entry, self._target(name, destination, into=into)))

    def unpack(self, archive: Archive, destination: str) -> set[str]:
        """Unpack a tar below *destination*; nothing is written outside it.

        Returns:
            The names of the extended attributes that images cannot contain, and that are dropped.
        """
        target = self.files.resolve(destination)
        attributes = replace(self.attributes, mode=None)
        implied = replace(attributes, owner=None)
        self.directory(target, attributes=attributes)
        unpacked = Files()
        targets: dict[str, str] = {}
        dropped: set[str] = set()
        for entry in unpack_entries(archive, unpacked, dropped):
            parent, _, name = rooted(entry.path).rpartition("/")
            directory = self.files.resolve(f"{target}/{parent}")
            self.directory(directory, attributes=implied)
            path = f"{directory}/{name}".lstrip("/")
            targets[entry.path] = path
            # As tar does: an entry replaces one of another type.
            self._put(attributes.apply_to(entry, path))
        self._link({targets[name]: link for name, link in unpacked.links.items()})
        return dropped - {"security.capability"}

    def directory(self, path: str, *, modified: int | None = None, attributes: FileAttributes | None = None) -> None:
        """Make the directory *path*, whose links are resolved, and its parents, where they do not exist yet.

        Raises:
            BuildError: *path* or a parent exists and is not a directory.
        """
        existing = self.files.get(path)
        if existing and existing.kind == "directory":
            return
        if existing:
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
        return FileAttributes(created=attributes.created).apply_to(entry, path)

    def _place(self, entry: Entry) -> None:
        existing = self.files.get(entry.path)
        if existing and (entry.kind == "directory") != (existing.kind == "directory"):
            message = f"/{entry.path} is a {existing.kind} in the image and a {entry.kind} in what is copied"
            raise BuildError(message, hint="choose another destination")
        self._put(entry)

    def _put(self, entry: Entry) -> None:
        if not entry.path:
            return
        previous = self._added.get(entry.path)
        if previous and previous.kind == "directory" and entry.kind != "directory":
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
        self._set_times_of_implied()
        whole = dict(self._added)
        for directory in self._directories:
            above = directory
            while above and above not in whole:
                whole[above] = self.files.get(above) or Entry(above, "directory", NEW_DIRECTORY)
                above = above.rpartition("/")[0]
        if not self._links:
            return tuple(whole[path] for path in in_order(whole))
        firsts: dict[object, str] = {}
        return tuple(self._hard_link(whole[path], firsts) for path in in_order(whole))

    def _set_times_of_implied(self) -> None:
        """Give directories that were made only as parents the newest time in the layer, so that builds are equal."""
        if not self._implied:
            return
        newest = max((entry.modified for path, entry in self._added.items() if path not in self._implied), default=0)
        for path in self._implied & self._added.keys():
            self._put(self._added[path]._replace(modified=newest))

    def _hard_link(self, entry: Entry, firsts: dict[object, str]) -> Entry:
        link = self._links.get(entry.path)
        if link is None or entry.kind != "file":
            return entry
        first = firsts.setdefault(link, entry.path)
        # It keeps its capability: programs that unpack it remove that when they set the owner of the second name.
        return entry if first == entry.path else entry._replace(kind="hard", target=first, size=0, content=b"")

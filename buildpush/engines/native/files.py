"""The files of an image after its layers: what COPY writes to, and what --from reads."""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NoReturn

from buildpush.dockerfile.wildcards import deepest, matcher, split_at_wildcard
from buildpush.foundation.errors import BuildError, ContextError
from buildpush.images.tar import CAPABILITY, Entry, EntryContent, EntryKind, InTar, in_order
from buildpush.images.tar_members import Archive, read_members

MOST_LINKS: Final = 255
LARGEST_TEXT: Final = 1024 * 1024
ROOT: Final = Entry("", "directory")

_SPECIAL: Final[Mapping[bytes, EntryKind]] = {
    tarfile.FIFOTYPE: "fifo",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
}
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_XATTR = "SCHILY.xattr."


class Files:
    """The entries of an image by path; a hard link is an entry with the bytes of its file.

    Args:
        entries: not copied, but changed in place.
        links: an identity for each path of a file with several names, which share it; changed in place.
    """

    def __init__(self, entries: dict[str, Entry] | None = None, links: dict[str, object] | None = None) -> None:
        self.entries = entries if entries is not None else {}
        self.links = links if links is not None else {}

    def copy(self) -> Files:
        """Return a copy that can be changed independently."""
        return Files(dict(self.entries), dict(self.links))

    def get(self, path: str) -> Entry | None:
        """Return the entry at *path*, which may be a link; the root always exists."""
        return self.entries.get(path) or (None if path else ROOT)

    def is_free(self, path: str) -> bool:
        """Return whether neither *path* nor anything below it exists."""
        inside = f"{path}/" if path else ""
        return path not in self.entries and not any(name.startswith(inside) for name in self.entries)

    def put(self, entry: Entry) -> None:
        """Add *entry*, replacing what was there; a directory keeps what is in it."""
        existing = self.entries.get(entry.path)
        if existing and existing.kind == "directory" and entry.kind != "directory":
            self.remove(entry.path)
        self.links.pop(entry.path, None)
        self.entries[entry.path] = entry

    def put_all(self, files: Files, entries: Iterable[Entry]) -> None:
        """Add a layer of *entries*, which are already in *files*, with hard links as files."""
        for entry in entries:
            self.put(files.get(entry.path) or entry)
        self.links |= files.links

    def remove(self, path: str, *, itself: bool = True) -> None:
        """Remove what is below *path*, and *path* itself by default."""
        inside = f"{path}/" if path else ""
        for name in [name for name in self.entries if name.startswith(inside)]:
            self._forget(name)
        if itself:
            self._forget(path)

    def _forget(self, path: str) -> None:
        self.entries.pop(path, None)
        self.links.pop(path, None)

    def apply(self, archive: Archive) -> None:
        """Apply the layer *archive*, including its deletions.

        Raises:
            BuildError: it is not a tar.
        """
        with read_members(archive) as members:
            for ordinal, member, _ in members:
                self._apply(archive, ordinal, member)

    def _apply(self, archive: Archive, ordinal: int, member: tarfile.TarInfo) -> None:
        path = rooted(member.name)
        directory, _, name = path.rpartition("/")
        if name == _OPAQUE:
            self.remove(directory, itself=False)
        elif name.startswith(_WHITEOUT):
            self.remove(f"{directory}/{name[len(_WHITEOUT) :]}".lstrip("/"))
        elif member.islnk():
            self.link(member, path)
        elif entry := entry_of(archive, ordinal, member, path):
            self.put(entry)

    def link(self, member: tarfile.TarInfo, path: str) -> list[Entry]:
        """Give a file one more name, *path*, from a tar's *member*; all its names get the member's attributes.

        Returns:
            The file's entries, one for each name; nothing where there is no such file.
        """
        name = rooted(member.linkname)
        file = self.get(name)
        if file is None or file.kind != "file" or not path:
            return []
        link = self.links.setdefault(name, object())
        names = [path, *(known for known, other in self.links.items() if other is link and known != path)]
        mode, modified = member.mode & 0o7777, int(member.mtime)
        file = file._replace(mode=mode, uid=member.uid, gid=member.gid, modified=modified)
        entries = [file._replace(path=one) for one in names]
        for entry in entries:
            self.put(entry)
            self.links[entry.path] = link
        return entries

    def resolve(self, path: str, *, last: bool = True) -> str:
        """Return *path* with links resolved as in a running container; parts that do not exist stay unchanged.

        Args:
            path: absolute or relative to the root.
            last: whether the last part is followed too.

        Raises:
            BuildError: links form a cycle.
        """
        rest = [part for part in path.split("/")[::-1] if part not in {"", "."}]
        done: list[str] = []
        links = 0
        while rest:
            part = rest.pop()
            if part == "..":
                del done[-1:]
                continue
            entry = self.entries.get("/".join([*done, part]))
            if entry is None or entry.kind != "link" or not (rest or last):
                done.append(part)
                continue
            links += 1
            if links > MOST_LINKS:
                message = f"/{path.lstrip('/')} leads through a cycle of links"
                raise BuildError(message)
            done = [] if entry.target.startswith("/") else done
            rest += [step for step in entry.target.split("/")[::-1] if step not in {"", "."}]
        return "/".join(done)

    # For COPY --from: the same methods as those of a context.

    def find(self, source: str) -> list[tuple[str, str]]:
        """Return what *source* names: the name of each, and its path with links resolved.

        Raises:
            ContextError: it names nothing, and has no wildcard.
        """
        parts = [part for part in rooted(source).split("/") if part]
        plain, patterns = split_at_wildcard(parts)
        if patterns:
            matches = self._matches(self._require("/".join(plain)), patterns)
            return [(match.rpartition("/")[2], self._require(match)) for match in matches]
        return [(parts[-1] if parts else "", self._require("/".join(parts)))]

    def _require(self, path: str) -> str:
        resolved = self.resolve(path)
        if self.get(resolved) is None:
            message = f"/{path} is not in the image that is copied from"
            raise ContextError(message)
        return resolved

    def _matches(self, directory: str, patterns: list[str]) -> list[str]:
        """Return what is below *directory* and matches, in the order of a walk, without what is below a match."""
        inside = f"{directory}/" if directory else ""
        fits_patterns = matcher("/".join(patterns))
        start, depth = len(inside), deepest(patterns)
        below = (path for path in self.entries if path.startswith(inside) and path.count("/", start) < depth)
        matches: list[str] = []
        for path in sorted(filter(lambda path: fits_patterns(path[start:]), below), key=_walk_order):
            if not (matches and path.startswith(f"{matches[-1]}/")):
                matches.append(path)
        return matches

    def entry(self, path: str) -> Entry:
        """Return the entry at *path*."""
        return self.get(path) or ROOT

    def hard_links(self, path: str, entries: Sequence[Entry]) -> dict[str, object]:
        """Return an identity for each of *entries* that has several names; all names of a file share it."""
        inside = f"{path}/" if path else ""
        links = [self.links.get(name) for name in in_order(name for name in self.entries if name.startswith(inside))]
        return {entry.path: link for entry, link in zip(entries, links, strict=True) if link} if self.links else {}

    def below(self, path: str, target: str = "") -> Iterator[Entry]:
        """Yield everything below *path*, with *target* as its name, directories before what is in them."""
        inside, below = f"{path}/" if path else "", f"{target}/" if target else ""
        for name in in_order(name for name in self.entries if name.startswith(inside)):
            yield self.entries[name]._replace(path=below + name[len(inside) :])

    def text(self, path: str) -> str | None:
        """Return the text of the file *path*, up to 1 MiB, or ``None`` where there is none."""
        entry = self.get(self.resolve(path))
        if entry is None or entry.kind != "file" or entry.size > LARGEST_TEXT:
            return None
        return _bytes(entry).decode(errors="replace")

    def identity(self, user: str, file: str) -> tuple[int, int] | None:
        """Return user and group number of the line for *user* in ``/etc/passwd`` or ``/etc/group``."""
        for line in (self.text(file) or "").splitlines():
            fields = line.split(":")
            if fields[0] == user and len(fields) > 3 and fields[2].isdecimal():  # noqa: PLR2004 - name:x:number:more
                return int(fields[2]), int(fields[3]) if fields[3].isdecimal() else 0
        return None


def _walk_order(path: str) -> list[bytes]:
    return path.encode("utf-8", "surrogateescape").split(b"/")


def _bytes(entry: Entry) -> bytes:
    if isinstance(entry.content, bytes):
        return entry.content
    if isinstance(entry.content, InTar):
        with read_members(entry.content.archive) as members:
            reader = next(reader for ordinal, _, reader in members if ordinal == entry.content.ordinal)()
            return reader.read(entry.size) if reader else b""
    with open(entry.content.path, "rb") as file:  # noqa: PTH123 - the path may contain any bytes
        return file.read(entry.size)


def _kind(member: tarfile.TarInfo) -> EntryKind | None:
    if member.isreg():
        return "file"
    if member.isdir():
        return "directory"
    if member.issym():
        return "link"
    return _SPECIAL.get(member.type)


def rooted(path: str) -> str:
    """Return *path* relative to the root, without dots; ``..`` never leads above the root."""
    return posixpath.normpath(f"/{path}").lstrip("/")


def entry_of(archive: Archive, ordinal: int, member: tarfile.TarInfo, path: str) -> Entry | None:
    """Return the entry of a tar's *member*, at *path*; ``None`` for hard links and the root."""
    kind = _kind(member)
    if not path or kind is None:
        return None
    content: EntryContent = InTar(archive, ordinal) if kind == "file" else b""
    size = member.size if kind == "file" else 0
    target = member.linkname if kind == "link" else ""
    target = f"{member.devmajor}:{member.devminor}" if kind in {"char", "block"} else target
    mode = 0o777 if kind == "link" else member.mode & 0o7777
    capability = member.pax_headers.get(CAPABILITY, "").encode("utf-8", "surrogateescape") if kind == "file" else b""
    return Entry(path, kind, mode, member.uid, member.gid, int(member.mtime), size, target, capability, content)


def unpack_entries(archive: Archive, files: Files, dropped: set[str]) -> Iterator[Entry]:
    """Yield the entries of the tar *archive* in its order, and add them to *files*; a file again for each further name.

    As in BuildKit, extended attributes are dropped; their names are added to *dropped*.

    Raises:
        BuildError: it is not a tar, or contains a hard link to something that it does not contain.
    """
    with read_members(archive) as members:
        for ordinal, member, _ in members:
            path = rooted(member.name)
            dropped.update(key[len(_XATTR) :] for key in member.pax_headers if key.startswith(_XATTR))
            if member.islnk():
                yield from files.link(member, path) or _refuse(archive, path, "a hard link to a file that is not in it")
            elif entry := entry_of(archive, ordinal, member, path):
                files.put(entry)
                yield entry


def _refuse(archive: Archive, path: str, what: str) -> NoReturn:
    message = f"{archive.about} contains {path}, {what}"
    raise BuildError(message, hint="use engine: docker, or leave it out of the archive")

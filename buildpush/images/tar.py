"""Layers as tar streams, written fast and reproducibly from files, bytes and other tars.

Source: POSIX ustar and pax; pax records only where ustar is not enough.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from struct import Struct
from typing import BinaryIO, Literal, NamedTuple
from zlib import adler32

from buildpush.foundation.errors import BuildError, ContextError
from buildpush.foundation.records import dataclass
from buildpush.images.blocks import BLOCK
from buildpush.images.tar_members import Archive, read_members

# Increased when equal entries give other bytes than before: diff IDs that were remembered are wrong then.
FORMAT = 1
_RECORD = 512
# After the target: magic, version, no names of user and group, device 0:0.
_MAGIC_AND_DEVICE = b"ustar\x0000" + bytes(64) + b"0000000\x000000000\0"
# The part of a header's checksum that never changes; the eight bytes of the checksum count as blanks.
_SUM_OF_REST = sum(_MAGIC_AND_DEVICE) + 8 * ord(" ")
_KINDS = {"file": b"0", "hard": b"1", "link": b"2", "char": b"3", "block": b"4", "directory": b"5", "fifo": b"6"}
_DEVICES = frozenset({"char", "block"})
_CHECKSUM, _DEVICE = 148, 329
# The pax record that GNU tar, Go and Docker use for capabilities.
CAPABILITY = "SCHILY.xattr.security.capability"
# Name, mode and owner, size and time, checksum, kind, target, a constant part, prefix; each padded with zeros.
_HEADER = Struct("100s24s24s8s1s100s88s167s")
_ZEROS = bytes(_RECORD)
_NAME = 100
_PREFIX = 155
_HIGHEST_ID = 0o7777777
_LARGEST = 0o77777777777

EntryKind = Literal["file", "directory", "link", "hard", "char", "block", "fifo"]
_Numbers = tuple[int, int, int, int, int]


# Named tuples, since a layer has many files with one each, and they are made three times faster.


class OnDisk(NamedTuple):
    """The bytes of a local file, which must not have changed since it was listed.

    Attributes:
        modified: when its bytes last changed, in nanoseconds since 1970.
        changed: when anything about it last changed, which no program can set.
        names: how many hard links it has.
    """

    path: str
    modified: int
    inode: int
    device: int = 0
    changed: int = 0
    names: int = 1


@dataclass(frozen=True, slots=True)
class InTar:
    """The bytes of the member number *ordinal*, from 0, of a tar."""

    archive: Archive
    ordinal: int


EntryContent = OnDisk | InTar | bytes


class Entry(NamedTuple):
    """A file, directory, link or device in a layer.

    Attributes:
        path: without a slash at either end; bytes that are not UTF-8 as surrogate escapes.
        mode: permission bits, with set-id and sticky bits.
        modified: seconds since 1970.
        target: where a link points; of a hard link, the path of an entry that comes before it; of a device, its two
            numbers, as in ``1:3``.
        capability: privileges of a program beyond those of its user: the extended attribute ``security.capability``.
        content: bytes of a file.
    """

    path: str
    kind: EntryKind
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    modified: int = 0
    size: int = 0
    target: str = ""
    capability: bytes = b""
    content: EntryContent = b""


def header(entry: Entry) -> bytes:
    """Return the tar header of *entry*, after a pax header where ustar is not enough."""
    path, kind, mode, uid, gid, modified, size, target, capability, _ = entry
    whole = f"{path}/" if kind == "directory" else path
    numbers = (mode & 0o7777, uid, gid, size if kind == "file" else 0, modified)
    if not target and not capability and _is_plain(whole, uid, gid, size, modified):
        return _ustar(whole.encode(), numbers, _KINDS[kind])
    if kind in _DEVICES:
        return _with_device(_long_header(_encoded(whole), numbers, _KINDS[kind], b""), target)
    return _long_header(_encoded(whole), numbers, _KINDS[kind], _encoded(target), capability)


def _with_device(head: bytes, device: str) -> bytes:
    """Return the header *head* with the two numbers of a device in it, and a new checksum."""
    numbers = b"%07o\0%07o\0" % tuple(int(number) for number in device.split(":"))
    before, last = head[:-_RECORD], head[-_RECORD:]
    last = last[:_DEVICE] + numbers + last[_DEVICE + len(numbers) :]
    rest = last[:_CHECKSUM] + b" " * 8 + last[_CHECKSUM + 8 :]
    return before + last[:_CHECKSUM] + b"%06o\0 " % sum(rest) + last[_CHECKSUM + 8 :]


def _encoded(path: str) -> bytes:
    # Independent of the locale: the same names give the same bytes on every machine.
    return path.encode("utf-8", "surrogateescape")


def size_of(entries: Iterable[Entry]) -> int:
    """Return how many bytes :func:`write` yields."""
    return sum(map(_size_of, entries)) + 2 * _RECORD


def _size_of(entry: Entry) -> int:
    path, kind, _, uid, gid, modified, size, target, capability, _ = entry
    plain = not target and not capability and len(path) < _NAME and _is_plain(path, uid, gid, size, modified)
    return (_RECORD if plain else len(header(entry))) + (size + -size % _RECORD if size and kind != "hard" else 0)


def _is_plain(path: str, uid: int, gid: int, size: int, modified: int) -> bool:
    """Return whether a ustar header without a prefix can hold these values."""
    return (
        len(path) <= _NAME
        and path.isascii()
        and 0 <= uid <= _HIGHEST_ID
        and 0 <= gid <= _HIGHEST_ID
        and size <= _LARGEST
        and 0 <= modified <= _LARGEST
    )


def _long_header(path: bytes, numbers: _Numbers, kind: bytes, target: bytes, capability: bytes = b"") -> bytes:
    records: list[tuple[bytes, bytes]] = []
    mode, uid, gid, size, modified = numbers
    name, prefix = _split(path)
    if not name:
        records.append((b"path", path))
        name = path[:_NAME]
    if len(target) > _NAME or not target.isascii():
        records.append((b"linkpath", target))
    for key, number, highest in (
        (b"size", size, _LARGEST),
        (b"uid", uid, _HIGHEST_ID),
        (b"gid", gid, _HIGHEST_ID),
        (b"mtime", modified, _LARGEST),
    ):
        if not 0 <= number <= highest:
            records.append((key, str(number).encode()))
    if capability:
        records.append((CAPABILITY.encode(), capability))
    fitting = (mode, _or_0(uid, _HIGHEST_ID), _or_0(gid, _HIGHEST_ID), _or_0(size), _or_0(modified))
    plain = _ustar(name, fitting, kind, target[:_NAME], prefix)
    return _pax(path, records) + plain if records else plain


def _or_0(number: int, highest: int = _LARGEST) -> int:
    return number if 0 <= number <= highest else 0


def _split(path: bytes) -> tuple[bytes, bytes]:
    """Return name and prefix as ustar takes them; an empty name where they do not fit."""
    if not path.isascii():
        return b"", b""
    if len(path) <= _NAME:
        return path, b""
    slash = path.find(b"/", len(path) - _NAME - 1, _PREFIX + 1)
    if slash <= 0 or slash + 1 == len(path):
        return b"", b""
    return path[slash + 1 :], path[:slash]


def _ustar(name: bytes, numbers: _Numbers, kind: bytes, target: bytes = b"", prefix: bytes = b"") -> bytes:
    mode, uid, gid, size, modified = numbers
    access, rest = _access(mode, uid, gid), b"%011o\0%011o\0" % (size, modified)
    # The lower half of Adler-32 is the sum of so few bytes, plus one; it is much faster than sum().
    varying = adler32(b"".join((name, access, rest, kind, target, prefix))) - 1 & 0xFFFF
    check = b"%06o\0 " % (_SUM_OF_REST + varying)
    return _HEADER.pack(name, access, rest, check, kind, target, _MAGIC_AND_DEVICE, prefix)


@lru_cache(64)
def _access(mode: int, uid: int, gid: int) -> bytes:
    return b"%07o\0%07o\0%07o\0" % (mode, uid, gid)


def _pax(path: bytes, records: Sequence[tuple[bytes, bytes]]) -> bytes:
    body = b"".join(_record(key, value) for key, value in records)
    short = b"PaxHeaders.0/" + path.rstrip(b"/").rpartition(b"/")[2].decode("ascii", "replace").encode(
        "ascii", "replace"
    )
    return _ustar(short[:_NAME], (0o644, 0, 0, len(body), 0), b"x") + body + bytes(-len(body) % _RECORD)


def _record(key: bytes, value: bytes) -> bytes:
    """Return ``LENGTH KEY=VALUE``, where the length counts its own digits."""
    rest = b" %s=%s\n" % (key, value)
    length = len(rest)
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return b"%d%s" % (length, rest)


def write(entries: Iterable[Entry]) -> Iterator[bytes]:
    """Yield the tar of *entries* in blocks of 1 MiB, the last one shorter.

    Files whose bytes come from another tar follow the others, in that tar's order; hard links come last.
    Only one block is held in memory.

    Raises:
        ContextError: a local file has changed since it was listed, or cannot be read.
        BuildError: a tar that has the bytes of files has changed.
    """
    ready: list[Entry] = []
    by_archive: dict[Archive, dict[int, list[Entry]]] = {}
    hard_links: list[Entry] = []
    for entry in entries:
        if entry.kind == "hard":
            hard_links.append(entry)
        elif isinstance(entry.content, InTar):
            by_archive.setdefault(entry.content.archive, {}).setdefault(entry.content.ordinal, []).append(entry)
        else:
            ready.append(entry)
    block = _BlockBuffer()
    for entry in ready:
        head = header(entry)
        if block.has_room(len(head) + entry.size):
            block.add_entry(head, entry)
        else:
            yield from block.put(head)
            if entry.size:
                yield from _copy_file(entry, block)
    for archive, wanted in by_archive.items():
        yield from _copy_members(archive, wanted, block)
    for entry in hard_links:
        yield from block.put(header(entry))
    yield from block.put(bytes(2 * _RECORD))
    yield block.rest()


class _BlockBuffer:
    """A block that fills up, and is passed on when it is full."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(BLOCK))
        self.used = 0

    def has_room(self, size: int) -> bool:
        """Return whether *size* bytes and padding fit without filling it."""
        return self.used + size + _RECORD <= BLOCK

    def add_entry(self, head: bytes, entry: Entry) -> None:
        """Add an entry that fits; most do, so most of the time is spent here."""
        begin = self.used + len(head)
        end = begin + entry.size
        self.view[self.used : begin] = head
        content = entry.content
        if isinstance(content, OnDisk):
            _read_into(self.view[begin:end], content)
        elif isinstance(content, bytes):
            self.view[begin:end] = content
        self.used = end + -end % _RECORD
        self.view[end : self.used] = _ZEROS[: self.used - end]

    def put(self, content: bytes | memoryview) -> Iterator[bytes]:
        end = self.used + len(content)
        if end < BLOCK:
            self.view[self.used : end] = content
            self.used = end
            return
        rest = memoryview(content)
        while rest:
            part = rest[: BLOCK - self.used]
            self.view[self.used : self.used + len(part)] = part
            rest = rest[len(part) :]
            yield from self.advance(len(part))

    def advance(self, count: int) -> Iterator[bytes]:
        """Count *count* bytes that were written directly into the view."""
        self.used += count
        if self.used == BLOCK:
            yield bytes(self.view)
            self.used = 0

    def pad(self, size: int) -> Iterator[bytes]:
        return self.put(bytes(-size % _RECORD))

    def rest(self) -> bytes:
        return bytes(self.view[: self.used])


def _copy_file(entry: Entry, block: _BlockBuffer) -> Iterator[bytes]:
    """Write the bytes of a file after its header."""
    content = entry.content
    if isinstance(content, bytes):
        yield from block.put(content)
    elif isinstance(content, OnDisk):
        yield from _from_disk(entry.size, content, block)
    yield from block.pad(entry.size)


def _read_into(view: memoryview, file: OnDisk) -> None:
    descriptor = _open_file(file)
    try:
        size = len(view)
        while view:
            view = view[_read(descriptor, view, file) :]
        _check_unchanged(os.fstat(descriptor), size, file)
    finally:
        os.close(descriptor)


def _from_disk(size: int, file: OnDisk, block: _BlockBuffer) -> Iterator[bytes]:
    descriptor = _open_file(file)
    try:
        missing = size
        while missing:
            count = _read(descriptor, block.view[block.used : block.used + missing], file)
            missing -= count
            yield from block.advance(count)
        _check_unchanged(os.fstat(descriptor), size, file)
    finally:
        os.close(descriptor)


def _open_file(file: OnDisk) -> int:
    try:
        return os.open(file.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        message = f"{file.path} cannot be read: {error.strerror}"
        raise ContextError(message, setting="context") from error


def _read(descriptor: int, view: memoryview, file: OnDisk) -> int:
    count = os.readv(descriptor, [view])
    if not count:
        raise _changed_error(file.path)
    return count


def _check_unchanged(now: os.stat_result, size: int, file: OnDisk) -> None:
    """Refuse a file that changed before or while it was read, which changes its time; called after it was read."""
    if (now.st_size, now.st_mtime_ns, now.st_ino) != (size, file.modified, file.inode):
        raise _changed_error(file.path)


def _changed_error(path: str) -> ContextError:
    hint = "nothing was tagged; run again when nothing writes to the context, or list the file in .dockerignore"
    return ContextError(f"{path} changed while it was read", hint=hint, setting="context")


def _copy_members(archive: Archive, wanted: dict[int, list[Entry]], block: _BlockBuffer) -> Iterator[bytes]:
    """Copy members of another tar into the stream; a member that is needed twice is read in a second pass."""
    while wanted:
        remaining = set(wanted)
        with read_members(archive) as members:
            for ordinal, member, reader in members:
                if ordinal in remaining:
                    yield from _copy_member(archive, wanted[ordinal].pop(), member, reader, block)
                    remaining.discard(ordinal)
                if not remaining:
                    break
        if remaining:
            raise _broken_archive(archive)
        wanted = {ordinal: entries for ordinal, entries in wanted.items() if entries}


def _copy_member(
    archive: Archive, entry: Entry, member: tarfile.TarInfo, reader: Callable[[], BinaryIO | None], block: _BlockBuffer
) -> Iterator[bytes]:
    if member.size != entry.size:
        raise _broken_archive(archive)
    yield from block.put(header(entry))
    source = reader()
    missing = entry.size
    while missing and source:
        chunk = source.read(min(missing, BLOCK))
        if not chunk:
            raise _broken_archive(archive)
        missing -= len(chunk)
        yield from block.put(chunk)
    yield from block.pad(entry.size)


def _broken_archive(archive: Archive) -> BuildError:
    message = f"{archive.about} has changed since it was first read"
    return BuildError(message, hint="nothing was tagged; run again")


def in_order(paths: Iterable[str]) -> list[str]:
    """Return *paths* sorted by their bytes."""
    names = list(paths)
    return sorted(names) if all(map(str.isascii, names)) else sorted(names, key=_encoded)

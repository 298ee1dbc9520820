"""Reads images from the overlay2 store of a Docker daemon on this machine; nothing is ever written there.

A layer's files are in a directory, and the rest of its tar is kept beside it: together they give the same tar, byte for
byte. The reader of the layer checks that, as for every source.
Source: moby, layer/filestore.go; vbatts/tar-split, tar/asm/assemble.go and tar/storage/entry.go.
"""

from __future__ import annotations

import json
import os
from binascii import a2b_base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from buildpush.foundation.errors import BadNameError, PushError
from buildpush.foundation.records import dataclass
from buildpush.images.blocks import BLOCK
from buildpush.images.compression import digest_of
from buildpush.images.decompression import decompressed, unreadable
from buildpush.images.manifests import diff_ids
from buildpush.images.references import Digest
from buildpush.images.spans import LARGEST_DOCUMENT

DRIVER = "overlay2"
# With this option, a layer's directory may have files whose bytes are in the layer below.
_METACOPY = ["Using metacopy", "true"]
_SEGMENT = 2


class StoreError(PushError):
    """The store does not have the image, or may not be read."""


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """A layer as the store keeps it.

    Attributes:
        split: the tar-split file, which is the tar without the bytes of its files.
        files: directory with its files.
    """

    split: Path
    files: Path

    def blocks(self) -> Iterator[bytes]:
        """Yield its tar in blocks of 1 MiB, the last one shorter; several iterations may run at once.

        Raises:
            StoreError: a file is missing, has another size, or may not be read.
        """
        block = _BlockBuilder()
        with _store_errors(self.split), self.split.open("rb") as packed, closing(_LayerFiles(self.files)) as tree:
            for line in decompressed(packed):
                entry = json.loads(line)  # not strict: a file of the daemon, line by line
                if entry["type"] == _SEGMENT:
                    yield from block.put(a2b_base64(entry["payload"] or ""))
                elif size := entry.get("size"):
                    yield from _copy(tree.open(_name(entry)), size, block)
        yield block.take()


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image as the store keeps it: its configuration, and its layers, base layer first."""

    config: bytes
    layers: tuple[StoredLayer, ...]


def store_of(info: Mapping[str, Any]) -> Path | None:
    """Return the directory of the store of the daemon that *info* describes, if it can be read on this machine."""
    if info.get("Driver") != DRIVER or _METACOPY in (info.get("DriverStatus") or []):
        return None
    root = Path(str(info.get("DockerRootDir") or ""))
    try:
        return root if root.is_absolute() and root.is_dir() else None
    except OSError:  # in a directory that we may not open
        return None


def find(root: Path, identity: Digest, layers: Sequence[Digest]) -> StoredImage:
    """Return an image of the store in the directory *root*; all but the bytes of its files has been checked.

    Args:
        root: as the daemon names it; on this machine, it may belong to another daemon.
        identity: image ID, which is the digest of the configuration.
        layers: diff IDs, as the daemon says.

    Raises:
        StoreError: it does not exist, is a different image, or may not be read.
    """
    with _store_errors(root):
        config = _document(root / "image" / DRIVER / "imagedb/content/sha256" / identity.hex)
        if digest_of(config) != identity or diff_ids(config) != tuple(layers):
            message = f"{root} has a different image under the ID {identity}"
            raise StoreError(message)
        return StoredImage(config, tuple(_layers(root, layers)))


def _layers(root: Path, wanted: Sequence[Digest]) -> Iterator[StoredLayer]:
    chain = ""
    for diff_id in wanted:
        # Source: OCI image-spec 1.1, "Layer ChainID".
        chain = digest_of(f"{chain} {diff_id}".encode()).hex if chain else diff_id.hex
        yield _layer(root, root / "image" / DRIVER / "layerdb/sha256" / chain, diff_id)
        chain = f"sha256:{chain}"


def _layer(root: Path, metadata: Path, diff_id: Digest) -> StoredLayer:
    layer = StoredLayer(metadata / "tar-split.json.gz", root / DRIVER / _cache_id(metadata) / "diff")
    if _document(metadata / "diff") != str(diff_id).encode():
        message = f"{metadata} is not the layer {diff_id}"
        raise StoreError(message)
    for path, flags in ((layer.split, os.O_RDONLY), (layer.files, os.O_RDONLY | os.O_DIRECTORY)):
        os.close(os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC))
    return layer


def _cache_id(metadata: Path) -> str:
    name = _document(metadata / "cache-id").decode()
    if not name.replace("-", "").isalnum():
        message = f"{metadata} has no directory of files"
        raise StoreError(message)
    return name


def _document(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST_DOCUMENT)


@contextmanager
def _store_errors(path: Path) -> Iterator[None]:
    """Turn any error of the store into a StoreError."""
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        message = f"{os.fsdecode(error.filename or path)}: {error.strerror or error}"
        raise StoreError(message) from error
    except _parse_errors() as error:
        message = f"{path} cannot be parsed: {error}"
        raise StoreError(message) from error


def _parse_errors() -> tuple[type[Exception], ...]:
    return (*unreadable(), LookupError, TypeError, BadNameError, PushError)


def _name(entry: Mapping[str, Any]) -> bytes:
    raw = entry.get("name_raw")  # only of a name that is not UTF-8
    return a2b_base64(raw) if raw else str(entry["name"]).encode()


class _LayerFiles:
    """The files below a directory, by their names in a tar; no name and no link leads out of it.

    The directories on the way to the last file stay open: a tar has the files of a directory one after the other.
    """

    def __init__(self, root: Path) -> None:
        self._parent = b""
        self._names: list[bytes] = []
        self._directories = [_open_directory(root)]

    def open(self, path: bytes) -> int:
        """Return a descriptor of a file, which the caller closes."""
        parent, _, name = path.rpartition(b"/")
        if parent != self._parent:
            self._enter(parent)
        # Without blocking, in case the file has become a pipe.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(name, flags, dir_fd=self._directories[-1])

    def _enter(self, parent: bytes) -> None:
        names = [name for name in parent.split(b"/") if name not in {b"", b"."}]
        if b".." in names:
            message = f"{os.fsdecode(parent)} leads out of the layer"
            raise StoreError(message)
        while self._names != names[: len(self._names)]:
            self._names.pop()
            os.close(self._directories.pop())
        for name in names[len(self._names) :]:
            self._directories.append(_open_directory(name, self._directories[-1]))
            self._names.append(name)
        self._parent = parent

    def close(self) -> None:
        """Close all directories."""
        while self._directories:
            os.close(self._directories.pop())


def _open_directory(path: Path | bytes, parent: int | None = None) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)


class _BlockBuilder:
    """Collects bytes into blocks."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.room = BLOCK

    def put(self, piece: bytes) -> Iterator[bytes]:
        """Add the next bytes; yield the blocks that are full now."""
        while len(piece) >= self.room:
            head, piece = piece[: self.room], piece[self.room :]
            self._pieces.append(head)
            yield self.take()
        self._pieces.append(piece)
        self.room -= len(piece)

    def take(self) -> bytes:
        """Return the bytes of the block, and begin the next one."""
        whole = b"".join(self._pieces)  # a single piece is not copied
        self._pieces, self.room = [], BLOCK
        return whole


def _copy(file: int, size: int, block: _BlockBuilder) -> Iterator[bytes]:
    """Add the first *size* bytes of a file to the block, and close the file."""
    try:
        while size:
            piece = os.read(file, min(size, block.room))
            if not piece:
                message = "a file of the layer was truncated"
                raise StoreError(message)
            size -= len(piece)
            yield from block.put(piece)
    finally:
        os.close(file)

"""Creates the files that images are written to, and the members of a tar."""

from __future__ import annotations

import errno
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from buildpush.foundation.errors import BuildError
from buildpush.foundation.files import replacement, unwritable

_RECORD: Final = 512
END: Final = bytes(2 * _RECORD)


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE, mode: int = 0o644) -> bytes:
    """Return a header whose length depends on the name only; equal images of one user give equal archives.

    The owner is the current user: skopeo unpacks an OCI archive, and an ordinary user may not make files of root.
    """
    entry = tarfile.TarInfo(name)  # time 0
    entry.size, entry.type, entry.mode = size, kind, mode
    if hasattr(os, "getuid"):
        entry.uid, entry.gid = os.getuid(), os.getgid()
    return entry.tobuf(tarfile.GNU_FORMAT)


def padding(size: int) -> bytes:
    """Return the padding of a member of *size* bytes to a whole record."""
    return bytes(-size % _RECORD)


def member(name: str, data: bytes) -> bytes:
    """Return a small file as a member of a tar."""
    return header(name, len(data)) + data + padding(len(data))


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """Yield a new file that replaces *path*, or the file that a link there names, if all goes well.

    Raises:
        BuildError: it cannot be written, such as on a full disk.
    """
    path = Path(os.path.realpath(path))
    if reason := unwritable(path):
        message = f"{path} {reason}"
        raise BuildError(message, hint="name a file in a directory that exists")
    with writing(path), replacement(path, mode=0o644) as file:
        yield file


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an error of the system while a file is written into one that names the file."""
    try:
        yield
    except OSError as error:
        hint = "free some space, or write elsewhere" if error.errno in {errno.ENOSPC, errno.EDQUOT} else None
        message = f"{path} cannot be written: {error.strerror or error}"
        raise BuildError(message, hint=hint) from error

"""What was pushed before: the digest that a known layer gets when it is compressed in a known way.

It makes things faster and is never needed: what cannot be read or written is as good as not there. Nothing is believed
that the registry does not confirm.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from buildpush.images.compression import Compressed
from buildpush.images.references import Digest

# Raised with every change of the table: an older file is begun anew, since nothing in it is precious.
_VERSION = 1
_TABLE = """
CREATE TABLE IF NOT EXISTS layers (
    diff_id TEXT NOT NULL,
    made_by TEXT NOT NULL,
    plain_size INTEGER NOT NULL,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    sha1 TEXT,
    md5 TEXT,
    PRIMARY KEY (diff_id, made_by)
) WITHOUT ROWID
"""
_FIND = "SELECT diff_id, plain_size, digest, size, sha1, md5 FROM layers WHERE diff_id = ? AND made_by = ?"
_FIND_BLOB = "SELECT diff_id, plain_size, digest, size, sha1, md5 FROM layers WHERE digest = ? AND md5 IS NOT NULL"
_KEEP = """
INSERT INTO layers VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET plain_size = excluded.plain_size, digest = excluded.digest, size = excluded.size,
    sha1 = COALESCE(excluded.sha1, sha1), md5 = COALESCE(excluded.md5, md5)
"""


class Memory:
    """A file of remembered layers, shared by threads and by processes; close it, or use it in a ``with``.

    Args:
        path: made when it is not there; readable by its owner only.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._database = _open(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Forget nothing, and let go of the file."""
        with self._lock:
            if self._database:
                self._database.close()
            self._database = None

    def find(self, diff_id: Digest, made_by: str) -> Compressed | None:
        """Return what the layer was when it was compressed by *made_by*: library, version and level."""
        return self._first(_FIND, str(diff_id), made_by)

    def find_blob(self, digest: Digest) -> Compressed | None:
        """Return what is known of a compressed layer whose sha1 and md5 were computed."""
        return self._first(_FIND_BLOB, str(digest))

    def keep(self, layer: Compressed, made_by: str) -> None:
        """Remember what a layer became; checksums that are known already stay known."""
        row = (str(layer.diff_id), made_by, layer.plain_size, str(layer.digest), layer.size, layer.sha1, layer.md5)
        with self._lock, contextlib.suppress(sqlite3.Error):
            if self._database:
                self._database.execute(_KEEP, row)

    def _first(self, question: str, *words: str) -> Compressed | None:
        with self._lock, contextlib.suppress(sqlite3.Error):
            if self._database and (row := self._database.execute(question, words).fetchone()):
                diff_id, plain_size, digest, size, sha1, md5 = row
                return Compressed(Digest(diff_id), plain_size, Digest(digest), size, sha1, md5)
        return None


def _open(path: Path) -> sqlite3.Connection | None:
    """Return the database, begun anew if it is damaged or of another version; ``None`` if it cannot be had."""
    for _ in range(2):
        database = None
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            database = sqlite3.connect(path, timeout=2, isolation_level=None, check_same_thread=False)
            if database.execute("PRAGMA user_version").fetchone()[0] in {0, _VERSION}:
                database.execute("PRAGMA synchronous = OFF")
                database.execute(_TABLE)
                database.execute(f"PRAGMA user_version = {_VERSION}")
                return database
        except sqlite3.OperationalError:  # locked, or the disk is full: not a reason to throw it away
            _close(database)
            return None
        except sqlite3.DatabaseError:
            pass
        except OSError:
            return None
        _close(database)
        with contextlib.suppress(OSError):
            path.unlink()
    return None


def _close(database: sqlite3.Connection | None) -> None:
    if database:
        database.close()

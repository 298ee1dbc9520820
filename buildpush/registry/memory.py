"""What was pushed before: what known layers became, where blobs lie, uploads that have not ended, habits of hosts.

It makes things faster and is never needed: what cannot be read or written is as good as not there. Nothing is believed
that the registry does not confirm. So it does not grow for ever: once a day the oldest of it is forgotten.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from buildpush.foundation import strict_json
from buildpush.foundation.state import is_at_work, process_mark
from buildpush.images.compression import Compressed, digest_of
from buildpush.images.references import Digest, Repository
from buildpush.registry.profile import UploadProfile

# Raised with every change of the table: an older file is begun anew, since nothing in it is precious.
_VERSION = 6
_TABLES = """
CREATE TABLE IF NOT EXISTS layers (
    diff_id TEXT NOT NULL,
    made_by TEXT NOT NULL,
    plain_size INTEGER NOT NULL,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    sha1 TEXT,
    md5 TEXT,
    kept INTEGER NOT NULL,
    PRIMARY KEY (diff_id, made_by)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS homes (
    host TEXT NOT NULL,
    digest TEXT NOT NULL,
    path TEXT NOT NULL,
    kept INTEGER NOT NULL,
    PRIMARY KEY (host, digest)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sessions (
    host TEXT NOT NULL,
    path TEXT NOT NULL,
    mark TEXT NOT NULL,
    location TEXT NOT NULL,
    owner TEXT NOT NULL,
    kept INTEGER NOT NULL,
    PRIMARY KEY (host, path, mark)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS habits (
    host TEXT PRIMARY KEY,
    habit TEXT NOT NULL,
    kept INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS documents (
    digest TEXT PRIMARY KEY,
    content BLOB NOT NULL,
    kept INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scans (
    seen TEXT PRIMARY KEY,
    diff_id TEXT NOT NULL,
    kept INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS prunings (
    one INTEGER PRIMARY KEY,
    day INTEGER NOT NULL
);
DELETE FROM sessions WHERE kept < CAST(strftime('%s', 'now') AS INTEGER) - 172800;
DELETE FROM habits WHERE kept < CAST(strftime('%s', 'now') AS INTEGER) - 86400;
"""
_LARGEST_DOCUMENT = 1024 * 1024
_DOCUMENTS = 32 * 1024 * 1024
# Rows of a table at most, after a pruning: about 12 MB of layers, and less of the others.
_MANY = 40_000
_BEGIN_PRUNING = """
INSERT INTO prunings VALUES (1, CAST(strftime('%s', 'now') AS INTEGER) / 86400)
ON CONFLICT DO UPDATE SET day = excluded.day WHERE day <> excluded.day
"""
_PRUNE_OLD = (
    "DELETE FROM layers WHERE kept < CAST(strftime('%s', 'now') AS INTEGER) - 7776000",
    "DELETE FROM homes WHERE kept < CAST(strftime('%s', 'now') AS INTEGER) - 7776000",
    "DELETE FROM documents WHERE kept < CAST(strftime('%s', 'now') AS INTEGER) - 7776000",
    "DELETE FROM scans WHERE kept < CAST(strftime('%s', 'now') AS INTEGER) - 7776000",
)
_PRUNE_MANY = (
    """DELETE FROM layers WHERE (diff_id, made_by) IN
        (SELECT diff_id, made_by FROM layers ORDER BY kept DESC LIMIT -1 OFFSET ?)""",
    "DELETE FROM homes WHERE (host, digest) IN (SELECT host, digest FROM homes ORDER BY kept DESC LIMIT -1 OFFSET ?)",
    "DELETE FROM scans WHERE seen IN (SELECT seen FROM scans ORDER BY kept DESC LIMIT -1 OFFSET ?)",
)
_PRUNE_LARGE = """
DELETE FROM documents WHERE digest IN (SELECT digest FROM (
    SELECT digest, SUM(LENGTH(content)) OVER (ORDER BY kept DESC, digest) AS so_far FROM documents
) WHERE so_far > ?)
"""
_FIND = "SELECT diff_id, plain_size, digest, size, sha1, md5 FROM layers WHERE diff_id = ? AND made_by = ?"
_FIND_BLOB = "SELECT diff_id, plain_size, digest, size, sha1, md5 FROM layers WHERE digest = ? AND md5 IS NOT NULL"
_PROVES = "SELECT 1 FROM layers WHERE diff_id = ? AND digest = ?"
_KEEP = """
INSERT INTO layers VALUES (?, ?, ?, ?, ?, ?, ?, CAST(strftime('%s', 'now') AS INTEGER))
ON CONFLICT DO UPDATE SET plain_size = excluded.plain_size, digest = excluded.digest, size = excluded.size,
    kept = excluded.kept, sha1 = COALESCE(excluded.sha1, sha1), md5 = COALESCE(excluded.md5, md5)
"""
_KEEP_HOME = """
INSERT INTO homes VALUES (?, ?, ?, CAST(strftime('%s', 'now') AS INTEGER))
ON CONFLICT DO UPDATE SET path = excluded.path, kept = excluded.kept
    WHERE path <> excluded.path OR kept < excluded.kept - 86400
"""
_FIND_HOME = "SELECT path FROM homes WHERE host = ? AND digest = ?"
_KEEP_SESSION = """
INSERT INTO sessions VALUES (?, ?, ?, ?, ?, CAST(strftime('%s', 'now') AS INTEGER))
ON CONFLICT DO UPDATE SET location = excluded.location, owner = excluded.owner, kept = excluded.kept
"""
_FIND_SESSION = "SELECT location, owner FROM sessions WHERE host = ? AND path = ? AND mark = ?"
_LEAVE_SESSION = "UPDATE sessions SET owner = '' WHERE host = ? AND path = ? AND mark = ? AND location = ?"
_TAKE_SESSION = "UPDATE sessions SET owner = ? WHERE host = ? AND path = ? AND mark = ? AND owner = ?"
_FORGET_SESSION = "DELETE FROM sessions WHERE host = ? AND path = ? AND mark = ? AND location = ?"
_KEEP_HABIT = "INSERT OR REPLACE INTO habits VALUES (?, ?, CAST(strftime('%s', 'now') AS INTEGER))"
_FIND_HABIT = "SELECT habit FROM habits WHERE host = ?"
_KEEP_DOCUMENT = """
INSERT INTO documents VALUES (?, ?, CAST(strftime('%s', 'now') AS INTEGER))
ON CONFLICT DO UPDATE SET kept = excluded.kept
"""
_KEEP_DIFF_ID = "INSERT OR REPLACE INTO scans VALUES (?, ?, CAST(strftime('%s', 'now') AS INTEGER))"


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

    def proves(self, diff_id: Digest, digest: Digest) -> bool:
        """Return whether the layer *digest* was seen to hold what has this diff ID, since we made it or unpacked it."""
        return self._ask(_PROVES, str(diff_id), str(digest)) is not None

    def keep(self, layer: Compressed, made_by: str) -> None:
        """Remember what a layer became; checksums that are known already stay known."""
        row = (str(layer.diff_id), made_by, layer.plain_size, str(layer.digest), layer.size, layer.sha1, layer.md5)
        self._write(_KEEP, *row)

    def find_home(self, host: str, digest: Digest) -> Repository | None:
        """Return the repository of *host* that had the blob when it was last heard of."""
        row = self._ask(_FIND_HOME, host, str(digest))
        return Repository(host, row[0]) if row else None

    def keep_home(self, repository: Repository, digest: Digest) -> None:
        """Remember that *repository* has the blob."""
        self._write(_KEEP_HOME, repository.host, str(digest), repository.path)

    def take_session(self, repository: Repository, mark: str) -> str | None:
        """Return the address of an upload that an earlier run began and nobody goes on with; it is ours from now on.

        Args:
            repository: that it was begun in.
            mark: tells its blob from others.
        """
        row = self._ask(_FIND_SESSION, repository.host, repository.path, mark)
        if row is None or is_at_work(row[1]):
            return None
        taken = self._write(_TAKE_SESSION, process_mark(), repository.host, repository.path, mark, row[1])
        return str(row[0]) if taken == 1 else None

    def keep_session(self, repository: Repository, mark: str, location: str) -> None:
        """Remember at which address an upload of this process goes on."""
        self._write(_KEEP_SESSION, repository.host, repository.path, mark, location, process_mark())

    def leave_session(self, repository: Repository, mark: str, location: str) -> None:
        """Let others, or a later push of this process, go on with an upload."""
        self._write(_LEAVE_SESSION, repository.host, repository.path, mark, location)

    def forget_session(self, repository: Repository, mark: str, location: str) -> None:
        """Forget an upload that has ended."""
        self._write(_FORGET_SESSION, repository.host, repository.path, mark, location)

    def find_profile(self, host: str) -> UploadProfile | None:
        """Return how uploads to *host* were best sent within the last day."""
        row = self._ask(_FIND_HABIT, host)
        with contextlib.suppress(ValueError, TypeError):  # of another version of this program
            return UploadProfile(**strict_json.parse(row[0])) if row else None
        return None

    def keep_profile(self, host: str, habit: UploadProfile) -> None:
        """Remember how uploads to *host* are best sent."""
        self._write(_KEEP_HABIT, host, json.dumps(asdict(habit)))

    def find_diff_id(self, seen: str) -> Digest | None:
        """Return what a layer was when its files looked as *seen* and were read, within the last 90 days."""
        row = self._ask("SELECT diff_id FROM scans WHERE seen = ?", seen)
        return Digest(row[0]) if row else None

    def keep_diff_id(self, seen: str, diff_id: Digest) -> None:
        """Remember what a layer was whose files look as *seen*."""
        self._write(_KEEP_DIFF_ID, seen, str(diff_id))

    def find_document(self, digest: Digest) -> bytes | None:
        """Return a configuration or manifest that was kept, if it is still what its digest promises."""
        row = self._ask("SELECT content FROM documents WHERE digest = ?", str(digest))
        return row[0] if row and digest_of(row[0]) == digest else None

    def keep_document(self, content: bytes) -> None:
        """Remember a configuration or manifest that its source tells only at a price."""
        if len(content) <= _LARGEST_DOCUMENT:
            self._write(_KEEP_DOCUMENT, str(digest_of(content)), content)

    def _first(self, question: str, *words: str) -> Compressed | None:
        row = self._ask(question, *words)
        if row is None:
            return None
        diff_id, plain_size, digest, size, sha1, md5 = row
        return Compressed(Digest(diff_id), plain_size, Digest(digest), size, sha1, md5)

    def _ask(self, question: str, *words: str) -> tuple[Any, ...] | None:
        with self._lock, contextlib.suppress(sqlite3.Error):
            if self._database:
                row: tuple[Any, ...] | None = self._database.execute(question, words).fetchone()
                return row
        return None

    def _write(self, order: str, *words: str | int | bytes | None) -> int:
        """Return how many rows were changed; none where that is not possible."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            if self._database:
                return self._database.execute(order, words).rowcount
        return 0


def _open(path: Path) -> sqlite3.Connection | None:
    """Return the database, begun anew if it is damaged or of another version; ``None`` if it cannot be had."""
    for _ in range(2):
        database = None
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            database = sqlite3.connect(path, timeout=2, isolation_level=None, check_same_thread=False)
            if database.execute("PRAGMA user_version").fetchone()[0] in {0, _VERSION}:
                database.execute("PRAGMA synchronous = OFF")
                database.executescript(_TABLES)
                database.execute(f"PRAGMA user_version = {_VERSION}")
                _prune(database)
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


def _prune(database: sqlite3.Connection) -> None:
    """Forget, once a day, what was not kept for 90 days, and the oldest of what is too much.

    The first process of a day does it; what it does not get to, because another one writes, is left for tomorrow.
    """
    with contextlib.suppress(sqlite3.Error):
        if database.execute(_BEGIN_PRUNING).rowcount != 1:
            return
        for order in _PRUNE_OLD:
            database.execute(order)
        for order in _PRUNE_MANY:
            database.execute(order, (_MANY,))
        database.execute(_PRUNE_LARGE, (_DOCUMENTS,))


def _close(database: sqlite3.Connection | None) -> None:
    if database:
        database.close()

"""What earlier pushes found out: the results of compressed layers, where blobs are, uploads, profiles of hosts.

It makes pushes faster but is never required: what cannot be read or written is ignored, and what it says of a registry
counts only once the registry confirms it. Each fact is a row of one table, and its kind says how long it is valid.
Once a day, facts that are too old or too many are deleted.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

from buildpush.foundation import strict_json
from buildpush.foundation.interrupts import Lock
from buildpush.foundation.state import is_process_running, process_identity
from buildpush.images.compression import BlobInfo, digest_of
from buildpush.images.references import Digest, Repository
from buildpush.registry.profile import UploadProfile

# Raised with every change of the table or its values: an older file is replaced, since nothing in it is essential.
_VERSION: Final = 7
_FactKind = Literal["layer", "blob", "home", "session", "profile", "document", "scan"]
_FactValue = str | bytes
# Days for which a fact is valid after it was last stored.
_DAYS: Final[dict[_FactKind, int]] = {
    "layer": 90,  # diff ID and how it was compressed: the digest
    "blob": 90,  # digest: diff ID, sizes and checksums
    "home": 90,  # host and digest: path of a repository that has it
    "session": 2,  # repository and fingerprint: address of the upload, and the process that continues it
    "profile": 1,  # host: how uploads to it are best sent
    "document": 90,  # digest: its bytes
    "scan": 90,  # state of the files: the diff ID
}
_LARGEST_DOCUMENT: Final = 1024 * 1024
_DOCUMENTS: Final = 32 * 1024 * 1024
# Maximum number of facts of a kind after a pruning, except documents: about 12 MB of layers with their blobs.
_MANY: Final = 40_000
_TABLE = "facts (kind TEXT, key TEXT, value, kept INTEGER, PRIMARY KEY (kind, key)) WITHOUT ROWID"
_TABLE_SQL = "SELECT sql FROM sqlite_master WHERE name = 'facts'"
_FIND = "SELECT value FROM facts WHERE kind = ? AND key = ? AND kept >= strftime('%s', 'now') - 86400 * ?"
# An unchanged fact is written again only after a day, to renew it.
_KEEP = """
INSERT INTO facts VALUES (?, ?, ?, strftime('%s', 'now') + 0)
    ON CONFLICT DO UPDATE SET value = excluded.value, kept = excluded.kept
    WHERE value <> excluded.value OR kept < excluded.kept - 86400
"""
_REPLACE = "UPDATE facts SET value = ? WHERE kind = 'session' AND key = ? AND value = ?"
_FORGET = "DELETE FROM facts WHERE kind = 'session' AND key = ? AND value = ?"
_BEGIN_PRUNING = """
INSERT INTO facts VALUES ('pruning', '', strftime('%s', 'now') / 86400, 0)
    ON CONFLICT DO UPDATE SET value = excluded.value WHERE value <> excluded.value
"""
_PRUNE_OLD = "DELETE FROM facts WHERE kind = ? AND kept < strftime('%s', 'now') - 86400 * ?"
_PRUNE_MANY = """
DELETE FROM facts WHERE (kind, key) IN (SELECT kind, key FROM (
    SELECT kind, key, ROW_NUMBER() OVER (PARTITION BY kind ORDER BY kept DESC) AS place FROM facts
) WHERE kind <> 'document' AND place > ?)
"""
_PRUNE_LARGE = """
DELETE FROM facts WHERE kind = 'document' AND key IN (SELECT key FROM (
    SELECT key, SUM(LENGTH(value)) OVER (ORDER BY kept DESC, key) AS so_far FROM facts WHERE kind = 'document'
) WHERE so_far > ?)
"""


class Memory:
    """A file of facts, shared by threads and by processes; close it, or use it in a ``with``.

    Args:
        path: created if it does not exist; readable by its owner only.

    Attributes:
        was_damaged: whether it was replaced because it could not be read.
    """

    def __init__(self, path: Path) -> None:
        self._lock = Lock()
        self._database, self.was_damaged = _open(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._database:
                self._database.close()
            self._database = None

    def find(self, diff_id: Digest, compressor: str) -> BlobInfo | None:
        """Return the result of compressing the layer by *compressor*, which names library, version and level."""
        digest = self._find("layer", f"{diff_id} {compressor}")
        return self._blob(digest) if digest else None

    def find_blob(self, digest: Digest) -> BlobInfo | None:
        """Return what is known of a blob, if its sha1 and md5 are among that."""
        blob = self._blob(str(digest))
        return blob if blob and blob.md5 else None

    def proves(self, diff_id: Digest, digest: Digest) -> bool:
        """Return whether the layer *digest* is known to have this diff ID, since we made it or decompressed it."""
        blob = self._blob(str(digest))
        return blob is not None and blob.diff_id == diff_id

    def keep(self, layer: BlobInfo, compressor: str) -> None:
        """Remember the result of a layer; checksums that are known already are kept."""
        if not layer.md5 and (known := self.find_blob(layer.digest)):
            layer = replace(layer, sha1=known.sha1, md5=known.md5)
        facts = [str(layer.diff_id), layer.plain_size, layer.size, layer.sha1, layer.md5]
        self._keep("blob", str(layer.digest), json.dumps(facts))
        self._keep("layer", f"{layer.diff_id} {compressor}", str(layer.digest))

    def find_home(self, host: str, digest: Digest) -> Repository | None:
        """Return the repository of *host* that was last known to have the blob."""
        path = self._find("home", f"{host} {digest}")
        return Repository(host, path) if path else None

    def keep_home(self, repository: Repository, digest: Digest) -> None:
        """Remember that *repository* has the blob."""
        self._keep("home", f"{repository.host} {digest}", repository.path)

    def take_session(self, repository: Repository, fingerprint: str) -> str | None:
        """Return the address of an upload that an earlier run began and no process continues, and claim it.

        Args:
            repository: where the upload was begun.
            fingerprint: identifies its blob.
        """
        key = f"{repository} {fingerprint}"
        value = self._find("session", key)
        location, owner = strict_json.parse(value) if value else ("", "")
        if value is None or is_process_running(owner):
            return None
        return str(location) if self._write(_REPLACE, _session(location, process_identity()), key, value) == 1 else None

    def keep_session(self, repository: Repository, fingerprint: str, location: str) -> None:
        """Remember at which address an upload of this process continues."""
        self._keep("session", f"{repository} {fingerprint}", _session(location, process_identity()))

    def leave_session(self, repository: Repository, fingerprint: str, location: str) -> None:
        """Let others, or a later push of this process, continue our upload."""
        current, released = _session(location, process_identity()), _session(location, "")
        self._write(_REPLACE, released, f"{repository} {fingerprint}", current)

    def forget_session(self, repository: Repository, fingerprint: str, location: str) -> None:
        """Forget our upload that has ended."""
        self._write(_FORGET, f"{repository} {fingerprint}", _session(location, process_identity()))

    def find_profile(self, host: str) -> UploadProfile | None:
        """Return how uploads to *host* were best sent within the last day."""
        text = self._find("profile", host)
        with contextlib.suppress(ValueError, TypeError):  # of another version of this program
            return UploadProfile(**strict_json.parse(text)) if text else None
        return None

    def keep_profile(self, host: str, profile: UploadProfile) -> None:
        """Remember how uploads to *host* are best sent."""
        self._keep("profile", host, json.dumps(asdict(profile)))

    def find_diff_id(self, state: str) -> Digest | None:
        """Return the diff ID of a layer whose files were in the same *state* when they were last read."""
        text = self._find("scan", state)
        return Digest(text) if text else None

    def keep_diff_id(self, state: str, diff_id: Digest) -> None:
        """Remember the diff ID of a layer whose files are in this *state*."""
        self._keep("scan", state, str(diff_id))

    def find_document(self, digest: Digest) -> bytes | None:
        """Return a stored configuration or manifest, if it still matches its digest."""
        content: bytes | None = self._find("document", str(digest))
        return content if content and digest_of(content) == digest else None

    def keep_document(self, content: bytes) -> None:
        """Remember a configuration or manifest that is expensive to get from its source."""
        if len(content) <= _LARGEST_DOCUMENT:
            self._keep("document", str(digest_of(content)), content)

    def _blob(self, digest: str) -> BlobInfo | None:
        text = self._find("blob", digest)
        if text is None:
            return None
        diff_id, plain_size, size, sha1, md5 = strict_json.parse(text)
        return BlobInfo(Digest(diff_id), plain_size, Digest(digest), size, sha1, md5)

    def _find(self, kind: _FactKind, key: str) -> Any:
        """Return what was stored as *kind* under *key*, as text or bytes, or ``None``."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            if self._database and (row := self._database.execute(_FIND, (kind, key, _DAYS[kind])).fetchone()):
                return row[0]
        return None

    def _keep(self, kind: _FactKind, key: str, value: _FactValue) -> None:
        self._write(_KEEP, kind, key, value)

    def _write(self, statement: str, *values: _FactValue) -> int:
        """Change the table, and return how many rows were changed; 0 where the file cannot be used."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            if self._database:
                return self._database.execute(statement, values).rowcount
        return 0


def _session(location: str, owner: str) -> str:
    return json.dumps([location, owner])


def _open(path: Path) -> tuple[sqlite3.Connection | None, bool]:
    """Return the database, replaced if it is damaged or of another version, and whether it was damaged.

    It is ``None`` where it cannot be opened.
    """
    was_damaged = False
    for _ in range(2):
        database = None
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            database = sqlite3.connect(path, timeout=2, isolation_level=None, check_same_thread=False)
            if database.execute("PRAGMA user_version").fetchone()[0] in {0, _VERSION}:
                _set_up(database)
                return database, was_damaged
        except sqlite3.OperationalError:  # locked, or the disk is full: not a reason to delete it
            _close(database)
            return None, was_damaged
        except sqlite3.DatabaseError:
            was_damaged = True
        except OSError:
            return None, was_damaged
        _close(database)
        with contextlib.suppress(OSError):
            path.unlink()
    return None, was_damaged


def _set_up(database: sqlite3.Connection) -> None:
    """Create the table if it does not exist, and delete what is too old.

    Raises:
        sqlite3.DatabaseError: a different table has its name, and would refuse every fact.
    """
    database.execute("PRAGMA synchronous = OFF")
    database.execute(f"CREATE TABLE IF NOT EXISTS {_TABLE}")
    if database.execute(_TABLE_SQL).fetchone()[0].strip() != f"CREATE TABLE {_TABLE}":
        raise sqlite3.DatabaseError
    database.execute(f"PRAGMA user_version = {_VERSION}")
    _prune(database)


def _prune(database: sqlite3.Connection) -> None:
    """Delete, once a day, facts that are too old, and the oldest of those that are too many.

    The first process of a day does it; if another process is writing, the rest is left for the next day.
    """
    with contextlib.suppress(sqlite3.Error):
        if database.execute(_BEGIN_PRUNING).rowcount != 1:
            return
        database.executemany(_PRUNE_OLD, _DAYS.items())
        database.execute(_PRUNE_MANY, (_MANY,))
        database.execute(_PRUNE_LARGE, (_DOCUMENTS,))


def _close(database: sqlite3.Connection | None) -> None:
    if database:
        database.close()

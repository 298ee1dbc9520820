"""What was pushed before: what known layers became, where blobs lie, uploads that have not ended, hosts' profiles.

It makes things faster and is never needed: what cannot be read or written is as good as not there. Nothing is believed
that the registry does not confirm. All of it is facts in one table, each of a kind, which says how long it is good for.
So it does not grow for ever: once a day what is too old or too much is forgotten.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

from buildpush.foundation import strict_json
from buildpush.foundation.state import is_at_work, process_mark
from buildpush.images.compression import Compressed, digest_of
from buildpush.images.references import Digest, Repository
from buildpush.registry.profile import UploadProfile

# Raised with every change of the table or its values: an older file is replaced, since nothing in it is precious.
_VERSION: Final = 7
_FactKind = Literal["layer", "blob", "home", "session", "profile", "document", "scan"]
_FactValue = str | bytes
# Days for which a fact is good after it was kept last.
_DAYS: Final[dict[_FactKind, int]] = {
    "layer": 90,  # diff ID and how it was compressed: the digest
    "blob": 90,  # digest: all that was seen of it
    "home": 90,  # host and digest: path of a repository that has it
    "session": 2,  # repository and fingerprint: where the upload goes on, and whose it is
    "profile": 1,  # host
    "document": 90,  # digest: its bytes
    "scan": 90,  # how the files looked: the diff ID
}
_LARGEST_DOCUMENT: Final = 1024 * 1024
_DOCUMENTS: Final = 32 * 1024 * 1024
# Facts of a kind at most, after a pruning, documents aside: about 12 MB of layers with their blobs, and less of others.
_MANY: Final = 40_000
_TABLE = "facts (kind TEXT, key TEXT, value, kept INTEGER, PRIMARY KEY (kind, key)) WITHOUT ROWID"
_SHAPE = "SELECT sql FROM sqlite_master WHERE name = 'facts'"
_FIND = "SELECT value FROM facts WHERE kind = ? AND key = ? AND kept >= strftime('%s', 'now') - 86400 * ?"
# What is the same is written again only after a day, so that it stays young.
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
        path: made when it is not there; readable by its owner only.

    Attributes:
        was_damaged: whether it was replaced because it could not be read.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._database, self.was_damaged = _open(path)

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
        digest = self._find("layer", f"{diff_id} {made_by}")
        return self._blob(digest) if digest else None

    def find_blob(self, digest: Digest) -> Compressed | None:
        """Return what is known of a compressed layer whose sha1 and md5 were computed."""
        found = self._blob(str(digest))
        return found if found and found.md5 else None

    def proves(self, diff_id: Digest, digest: Digest) -> bool:
        """Return whether the layer *digest* was seen to hold what has this diff ID, since we made it or unpacked it."""
        found = self._blob(str(digest))
        return found is not None and found.diff_id == diff_id

    def keep(self, layer: Compressed, made_by: str) -> None:
        """Remember what a layer became; checksums that are known already stay known."""
        if not layer.md5 and (known := self.find_blob(layer.digest)):
            layer = replace(layer, sha1=known.sha1, md5=known.md5)
        facts = [str(layer.diff_id), layer.plain_size, layer.size, layer.sha1, layer.md5]
        self._keep("blob", str(layer.digest), json.dumps(facts))
        self._keep("layer", f"{layer.diff_id} {made_by}", str(layer.digest))

    def find_home(self, host: str, digest: Digest) -> Repository | None:
        """Return the repository of *host* that had the blob when it was last heard of."""
        path = self._find("home", f"{host} {digest}")
        return Repository(host, path) if path else None

    def keep_home(self, repository: Repository, digest: Digest) -> None:
        """Remember that *repository* has the blob."""
        self._keep("home", f"{repository.host} {digest}", repository.path)

    def take_session(self, repository: Repository, fingerprint: str) -> str | None:
        """Return the address of an upload that an earlier run began and no process continues; it is ours from now on.

        Args:
            repository: that it was begun in.
            fingerprint: tells its blob from others.
        """
        key = f"{repository} {fingerprint}"
        value = self._find("session", key)
        location, owner = strict_json.parse(value) if value else ("", "")
        if value is None or is_at_work(owner):
            return None
        return str(location) if self._write(_REPLACE, _session(location, process_mark()), key, value) == 1 else None

    def keep_session(self, repository: Repository, fingerprint: str, location: str) -> None:
        """Remember at which address an upload of this process goes on."""
        self._keep("session", f"{repository} {fingerprint}", _session(location, process_mark()))

    def leave_session(self, repository: Repository, fingerprint: str, location: str) -> None:
        """Let others, or a later push of this process, go on with our upload."""
        ours, nobodys = _session(location, process_mark()), _session(location, "")
        self._write(_REPLACE, nobodys, f"{repository} {fingerprint}", ours)

    def forget_session(self, repository: Repository, fingerprint: str, location: str) -> None:
        """Forget our upload that has ended."""
        self._write(_FORGET, f"{repository} {fingerprint}", _session(location, process_mark()))

    def find_profile(self, host: str) -> UploadProfile | None:
        """Return how uploads to *host* were best sent within the last day."""
        text = self._find("profile", host)
        with contextlib.suppress(ValueError, TypeError):  # of another version of this program
            return UploadProfile(**strict_json.parse(text)) if text else None
        return None

    def keep_profile(self, host: str, profile: UploadProfile) -> None:
        """Remember how uploads to *host* are best sent."""
        self._keep("profile", host, json.dumps(asdict(profile)))

    def find_diff_id(self, seen: str) -> Digest | None:
        """Return what a layer was when its files looked as *seen* and were read, within the last 90 days."""
        text = self._find("scan", seen)
        return Digest(text) if text else None

    def keep_diff_id(self, seen: str, diff_id: Digest) -> None:
        """Remember what a layer was whose files look as *seen*."""
        self._keep("scan", seen, str(diff_id))

    def find_document(self, digest: Digest) -> bytes | None:
        """Return a configuration or manifest that was kept, if it is still what its digest promises."""
        content: bytes | None = self._find("document", str(digest))
        return content if content and digest_of(content) == digest else None

    def keep_document(self, content: bytes) -> None:
        """Remember a configuration or manifest that its source tells only at a price."""
        if len(content) <= _LARGEST_DOCUMENT:
            self._keep("document", str(digest_of(content)), content)

    def _blob(self, digest: str) -> Compressed | None:
        text = self._find("blob", digest)
        if text is None:
            return None
        diff_id, plain_size, size, sha1, md5 = strict_json.parse(text)
        return Compressed(Digest(diff_id), plain_size, Digest(digest), size, sha1, md5)

    def _find(self, kind: _FactKind, key: str) -> Any:
        """Return what was kept as *kind* under *key*, text or bytes as it was, or ``None``."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            if self._database and (row := self._database.execute(_FIND, (kind, key, _DAYS[kind])).fetchone()):
                return row[0]
        return None

    def _keep(self, kind: _FactKind, key: str, value: _FactValue) -> None:
        self._write(_KEEP, kind, key, value)

    def _write(self, order: str, *words: _FactValue) -> int:
        """Return how many rows were changed; none where that is not possible."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            if self._database:
                return self._database.execute(order, words).rowcount
        return 0


def _session(location: str, owner: str) -> str:
    return json.dumps([location, owner])


def _open(path: Path) -> tuple[sqlite3.Connection | None, bool]:
    """Return the database, replaced if it is damaged or of another version, and whether it was damaged.

    There is none where it cannot be opened.
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
        except sqlite3.OperationalError:  # locked, or the disk is full: not a reason to throw it away
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
    """Make the table where there is none, and forget what is too old.

    Raises:
        sqlite3.DatabaseError: there is another table of its name, which would refuse every fact for ever.
    """
    database.execute("PRAGMA synchronous = OFF")
    database.execute(f"CREATE TABLE IF NOT EXISTS {_TABLE}")
    if database.execute(_SHAPE).fetchone()[0].strip() != f"CREATE TABLE {_TABLE}":
        raise sqlite3.DatabaseError
    database.execute(f"PRAGMA user_version = {_VERSION}")
    _prune(database)


def _prune(database: sqlite3.Connection) -> None:
    """Forget, once a day, what was kept too long ago, and the oldest of what is too much.

    The first process of a day does it; what it does not get to, because another one writes, is left for tomorrow.
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

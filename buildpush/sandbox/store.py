"""The sandbox's data: an index in SQLite, which survives a restart, of contents that are stored by checksum.

A file has a repository key, a path and properties, as in Artifactory; several files may have the same content.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from buildpush.foundation.errors import SettingsError
from buildpush.foundation.records import dataclass
from buildpush.sandbox import derived
from buildpush.sandbox.content import Checksums, ContentStore

Row = TypeVar("Row")

BUILD_INFO = "artifactory-build-info"

SCHEMA = """
CREATE TABLE IF NOT EXISTS repositories (
  key TEXT PRIMARY KEY, rclass TEXT NOT NULL, package_type TEXT NOT NULL, members TEXT NOT NULL, deploy_to TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
  repo TEXT NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL, sha1 TEXT NOT NULL, md5 TEXT NOT NULL,
  size INTEGER NOT NULL, media_type TEXT NOT NULL, created REAL NOT NULL, modified REAL NOT NULL,
  created_by TEXT NOT NULL, PRIMARY KEY (repo, path)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS files_by_content ON files (sha256);
CREATE TABLE IF NOT EXISTS digests (digest TEXT PRIMARY KEY, sha256 TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS subjects (
  subject TEXT NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (subject, sha256)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS properties (
  repo TEXT NOT NULL, path TEXT NOT NULL, key TEXT NOT NULL, listed TEXT NOT NULL, PRIMARY KEY (repo, path, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS builds (
  repo TEXT NOT NULL, name TEXT NOT NULL, number TEXT NOT NULL, started_ms INTEGER NOT NULL,
  document TEXT NOT NULL, PRIMARY KEY (repo, name, number, started_ms)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uploads (identifier TEXT PRIMARY KEY, name TEXT NOT NULL, begun REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accounts (username TEXT PRIMARY KEY, rights TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS limits (
  username TEXT NOT NULL, repo TEXT NOT NULL, PRIMARY KEY (username, repo)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS credentials (
  hash TEXT PRIMARY KEY, username TEXT NOT NULL, kind TEXT NOT NULL, made REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tokens (
  identifier TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, refresh_hash TEXT UNIQUE, reference_hash TEXT UNIQUE,
  username TEXT NOT NULL, scope TEXT NOT NULL, issued REAL NOT NULL, expires REAL
) WITHOUT ROWID;
"""

FILE_COLUMNS = "repo, path, sha256, sha1, md5, size, media_type, created, modified, created_by"


@dataclass(frozen=True, slots=True)
class RepositoryEntry:
    """A repository: a ``local`` one has files, and a ``virtual`` one shows those of its members."""

    key: str
    rclass: str = "local"
    package_type: str = "docker"
    members: tuple[str, ...] = ()
    deploy_to: str | None = None

    @property
    def physical(self) -> tuple[str, ...]:
        """Keys of the repositories that have the files, in the order in which they are searched."""
        return self.members or (self.key,)


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file: its path and its checksums; times are seconds since 1970."""

    repo: str
    path: str
    checksums: Checksums
    media_type: str
    created: float
    modified: float
    created_by: str

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def directory(self) -> str:
        """The path without its last part."""
        return self.path.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class BuildEntry:
    """One published run of a build; *document* is the build-info as stored."""

    repo: str
    name: str
    number: str
    started_ms: int
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TokenEntry:
    """An access token: hashes of it, of its refresh token and of its reference token; times in seconds since 1970."""

    identifier: str
    hashed: str
    refresh_hash: str | None
    reference_hash: str | None
    username: str
    scope: str
    issued: float
    expires: float | None


STANDARD_REPOSITORIES = (
    RepositoryEntry("docker-local"),
    RepositoryEntry("docker-release"),
    RepositoryEntry("docker", "virtual", members=("docker-local", "docker-release"), deploy_to="docker-local"),
    RepositoryEntry(BUILD_INFO, package_type="buildinfo"),
)


class Store:
    """Files, properties, builds and accounts below one data directory; may be used from several threads.

    Args:
        directory: for all data; made if it is missing.
        clock: returns seconds since 1970.
        lasting: whether the data must survive a power cut; a temporary sandbox is faster without.

    Raises:
        SettingsError: the directory cannot be used, or another sandbox uses it.
    """

    def __init__(self, directory: Path, clock: Callable[[], float], *, lasting: bool = True) -> None:
        self.clock = clock
        self._lock = threading.RLock()
        try:
            self.content = ContentStore(directory, lasting=lasting)
            self._index = _open_index(directory / "index.sqlite", lasting=lasting)
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise unusable(directory, error) from error

    def _prepare(self) -> None:
        """Make the tables; the first write also locks the directory."""
        try:
            self._index.executescript(SCHEMA + derived.SCHEMA)
            self._fill()
            with self.change():
                for repository in STANDARD_REPOSITORIES:
                    self.add_repository(repository)
        except BaseException:
            self._index.close()
            raise

    def _fill(self) -> None:
        """Fill the derived tables of a directory that is older than they are."""
        ((version,),) = self._rows("PRAGMA user_version")
        if version >= derived.VERSION:
            return
        with self.change():
            self._rows(derived.FILL_PROPERTIES)
            for build in self.builds():
                self.put_build(build)
            self._rows(f"PRAGMA user_version = {derived.VERSION}")

    def sweep(self, before: float, stale: Sequence[FileEntry] = ()) -> None:
        """Delete *stale* files, contents that no file has any more, and uploads that ended or began before *before*.

        Bytes go first: there may be no room to write that they are gone.
        """
        paths = {(entry.repo, entry.path) for entry in stale}
        rows = self._rows("SELECT repo, path, sha256 FROM files")
        contents = {sha256 for repo, path, sha256 in rows if (repo, path) not in paths}
        arriving = {row[0] for row in self._rows("SELECT identifier FROM uploads WHERE begun >= ?", before)}
        self.content.sweep(contents, arriving)
        with self.change():
            self.remove(stale)
            self._rows("DELETE FROM uploads WHERE begun < ?", before)
            for table in ("digests", "subjects"):
                self._rows(f"DELETE FROM {table} WHERE sha256 NOT IN (SELECT sha256 FROM files)")  # noqa: S608 - constants

    def close(self) -> None:
        """Close the database and unlock the directory."""
        with self._lock:
            self._index.close()

    @contextmanager
    def change(self) -> Iterator[None]:
        """Apply all changes in the block, or none of them."""
        with self._lock:
            if self._index.in_transaction:
                yield
                return
            self._index.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._rows("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._index.execute("ROLLBACK")
                raise

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a query.

        Raises:
            OSError: the disk is full; as with other files, so that there is one answer.
        """
        try:
            with self._lock:
                return self._index.execute(query, values).fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise

    def select(self, query: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        """Return the rows that a SELECT finds; see aql.py, which writes them."""
        return self._rows(query, *values)

    # Repositories

    def add_repository(self, repository: RepositoryEntry) -> None:
        """Add a repository; an existing one is not changed."""
        row = (repository.key, repository.rclass, repository.package_type)
        more = (json.dumps(repository.members), repository.deploy_to)
        self._rows("INSERT OR IGNORE INTO repositories VALUES (?, ?, ?, ?, ?)", *row, *more)

    def repositories(self) -> list[RepositoryEntry]:
        """Return all repositories, sorted by key."""
        return [
            RepositoryEntry(key, rclass, package_type, tuple(json.loads(members)), deploy_to)
            for key, rclass, package_type, members, deploy_to in self._rows("SELECT * FROM repositories ORDER BY key")
        ]

    def repository(self, key: str) -> RepositoryEntry | None:
        """Return the repository with this key."""
        return next((repository for repository in self.repositories() if repository.key == key), None)

    # Files

    def put(self, repo: str, path: str, checksums: Checksums, media_type: str, username: str) -> None:
        """Store a file with an existing content; a file at that path is replaced, and loses its properties."""
        now = self.clock()
        before = self.file(repo, path)
        created = before.created if before else now
        sums = (checksums.sha256, checksums.sha1, checksums.md5, checksums.size)
        row = (repo, path, *sums, media_type, created, now, username)
        with self.change():
            self._rows("DELETE FROM properties WHERE repo = ? AND path = ?", repo, path)
            self._rows(f"INSERT OR REPLACE INTO files ({FILE_COLUMNS}) VALUES ({', '.join('?' * 10)})", *row)  # noqa: S608 - constants

    def file(self, repo: str, path: str) -> FileEntry | None:
        """Return the file at a path."""
        return _first(self._files("repo = ? AND path = ?", repo, path))

    def files(self, repo: str, directory: str = "") -> list[FileEntry]:
        """Return every file below a directory, at any depth, sorted by path."""
        return self._files("repo = ? AND path > ? AND path < ?", repo, *_below(directory))

    def holding(self, names: Sequence[str], repo: str, directory: str = "") -> list[str]:
        """Return the directories, at any depth below one, that have a file with one of these names."""
        where = f"{derived.NAME} IN ({', '.join('?' * len(names))}) AND repo = ? AND path > ? AND path < ?"
        query = f"SELECT DISTINCT {derived.PARENT} FROM files WHERE {where}"  # noqa: S608 - constants
        rows = self._rows(query, *names, repo, *_below(directory))
        return [parent.rstrip("/") for (parent,) in rows]

    def copies(self, sha256: str, repo: str, directory: str) -> list[FileEntry]:
        """Return every file with this content below a directory."""
        return self._files("sha256 = ? AND repo = ? AND path > ? AND path < ?", sha256, repo, *_below(directory))

    def copies_anywhere(self, sha256: str) -> Iterator[FileEntry]:
        """Yield every file with this content; there may be thousands, of which the first is mostly enough."""
        with self._lock:
            query = f"SELECT {FILE_COLUMNS} FROM files WHERE sha256 = ? ORDER BY repo, path"  # noqa: S608 - constants
            yield from map(_file, self._index.execute(query, (sha256,)))

    def _files(self, where: str, *values: object) -> list[FileEntry]:
        query = f"SELECT {FILE_COLUMNS} FROM files WHERE {where} ORDER BY repo, path"  # noqa: S608 - constants
        return [_file(row) for row in self._rows(query, *values)]

    # What is known about contents, whatever files have them

    def put_digest(self, digest: str, sha256: str) -> None:
        """Remember another digest of a content, by another algorithm."""
        self._rows("INSERT OR IGNORE INTO digests VALUES (?, ?)", digest, sha256)

    def sha256(self, digest: str) -> str:
        """Return the SHA-256 of the content with this other digest, or an empty string."""
        row = _first(self._rows("SELECT sha256 FROM digests WHERE digest = ?", digest))
        return str(row[0]) if row else ""

    def put_subject(self, subject: str, sha256: str) -> None:
        """Remember that a manifest refers to the digest *subject*."""
        self._rows("INSERT OR IGNORE INTO subjects VALUES (?, ?)", subject, sha256)

    def subject_of(self, subject: str) -> list[str]:
        """Return the SHA-256 of every manifest that refers to the digest *subject*, sorted."""
        return [row[0] for row in self._rows("SELECT sha256 FROM subjects WHERE subject = ? ORDER BY sha256", subject)]

    def remove(self, entries: Sequence[FileEntry]) -> None:
        """Remove files, with their properties; see :meth:`sweep` for their contents."""
        with self.change():
            for entry in entries:
                for table in ("files", "properties"):
                    self._rows(f"DELETE FROM {table} WHERE repo = ? AND path = ?", entry.repo, entry.path)  # noqa: S608 - constants

    # Properties

    def properties(self, repo: str, path: str) -> dict[str, list[str]]:
        """Return the properties of a file: key to values, sorted by key."""
        rows = self._rows("SELECT key, listed FROM properties WHERE repo = ? AND path = ? ORDER BY key", repo, path)
        return {key: json.loads(values) for key, values in rows}

    def set_properties(self, repo: str, path: str, changes: Mapping[str, Sequence[str] | None]) -> None:
        """Replace the values of the given keys; ``None`` removes a key."""
        with self.change():
            for key, values in changes.items():
                self._rows("DELETE FROM properties WHERE repo = ? AND path = ? AND key = ?", repo, path, key)
                if values is not None:
                    row = (repo, path, key, json.dumps(list(values)))
                    self._rows("INSERT INTO properties VALUES (?, ?, ?, ?)", *row)

    # Uploads

    def put_upload(self, identifier: str, name: str) -> None:
        """Remember that an upload was begun for the image *name*."""
        self._rows("INSERT INTO uploads VALUES (?, ?, ?)", identifier, name, self.clock())

    def upload(self, identifier: str) -> str | None:
        """Return the image that an unfinished upload is for, or ``None``."""
        row = _first(self._rows("SELECT name FROM uploads WHERE identifier = ?", identifier))
        return str(row[0]) if row else None

    def remove_upload(self, identifier: str) -> None:
        """Forget an upload."""
        self._rows("DELETE FROM uploads WHERE identifier = ?", identifier)

    # Builds

    def put_build(self, build: BuildEntry) -> None:
        """Store a run; one with the same name, number, start and repository is replaced."""
        row = (build.repo, build.name, build.number, build.started_ms, json.dumps(build.document))
        files = [(*row[:4], *file) for file in derived.build_files(build.document)]
        with self.change():
            self._rows("INSERT OR REPLACE INTO builds VALUES (?, ?, ?, ?, ?)", *row)
            self._index.executemany(derived.INSERT_FILE, files)

    def builds(self, name: str | None = None, number: str | None = None, repo: str | None = None) -> list[BuildEntry]:
        """Return the runs that match what is given, newest first."""
        rows = self._rows(
            "SELECT repo, name, number, started_ms, document FROM builds WHERE (? IS NULL OR name = ?)"
            " AND (? IS NULL OR number = ?) AND (? IS NULL OR repo = ?) ORDER BY started_ms DESC, name, number DESC",
            *(name, name, number, number, repo, repo),
        )
        return [BuildEntry(row[0], row[1], row[2], row[3], json.loads(row[4])) for row in rows]

    # Accounts: see accounts.py

    def put_account(self, username: str, rights: str, repositories: Collection[str] | None = None) -> None:
        """Make an account, or change its rights and the repositories that it is limited to."""
        with self.change():
            self._rows("INSERT OR REPLACE INTO accounts VALUES (?, ?)", username, rights)
            self._rows("DELETE FROM limits WHERE username = ?", username)
            for repo in repositories or ():
                self._rows("INSERT OR IGNORE INTO limits VALUES (?, ?)", username, repo)

    def limits(self, username: str) -> frozenset[str]:
        """Return the keys of the repositories that an account is limited to; none for no limit."""
        return frozenset(row[0] for row in self._rows("SELECT repo FROM limits WHERE username = ?", username))

    def rights(self, username: str) -> str | None:
        """Return the rights of an account, as passed to :meth:`put_account`, or ``None``."""
        row = _first(self._rows("SELECT rights FROM accounts WHERE username = ?", username))
        return str(row[0]) if row else None

    def put_credential(self, hashed: str, username: str, kind: str) -> None:
        """Remember the hash of a password or token."""
        self._rows("INSERT OR REPLACE INTO credentials VALUES (?, ?, ?, ?)", hashed, username, kind, self.clock())

    def credential(self, hashed: str) -> tuple[str, str] | None:
        """Return the user name and the kind of the password or token with this hash, or ``None``."""
        row = _first(self._rows("SELECT username, kind FROM credentials WHERE hash = ?", hashed))
        return (row[0], row[1]) if row else None

    def put_token(self, token: TokenEntry) -> None:
        """Remember an access token."""
        row = (token.identifier, token.hashed, token.refresh_hash, token.reference_hash, token.username, token.scope)
        self._rows("INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *row, token.issued, token.expires)

    def token(self, hashed: str) -> TokenEntry | None:
        """Return the access token whose hash, or whose reference token's hash, is this."""
        return _first(self._tokens("hash = ?1 OR reference_hash = ?1", hashed))

    def refreshable_token(self, refresh_hash: str) -> TokenEntry | None:
        """Return the access token whose refresh token has this hash."""
        return _first(self._tokens("refresh_hash = ?", refresh_hash))

    def tokens(self, username: str) -> list[TokenEntry]:
        """Return the access tokens of an account, oldest first."""
        return self._tokens("username = ? ORDER BY issued, identifier", username)

    def _tokens(self, where: str, value: str) -> list[TokenEntry]:
        return [TokenEntry(*row) for row in self._rows(f"SELECT * FROM tokens WHERE {where}", value)]  # noqa: S608 - constants

    def remove_token(self, identifier: str) -> None:
        """Forget an access token."""
        self._rows("DELETE FROM tokens WHERE identifier = ?", identifier)


def _file(row: Sequence[Any]) -> FileEntry:
    return FileEntry(row[0], row[1], Checksums(*row[2:6]), *row[6:])


def _below(directory: str) -> tuple[str, str]:
    """Return the bounds of the paths below a directory: "0" follows "/" in ASCII."""
    return (f"{directory}/", f"{directory}0") if directory else ("", "\U0010ffff")


def _first(rows: list[Row]) -> Row | None:
    return rows[0] if rows else None


def _open_index(path: Path, *, lasting: bool) -> sqlite3.Connection:
    # SQLite gives its other files the mode of this one.
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    os.fchmod(descriptor, 0o600)
    os.close(descriptor)
    index = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0.2)
    try:
        # Exclusive: a second sandbox on the same directory is refused instead of mixing the data.
        index.execute("PRAGMA locking_mode = EXCLUSIVE")
        index.execute("PRAGMA journal_mode = WAL")
        index.execute("PRAGMA foreign_keys = ON")
        index.execute(f"PRAGMA synchronous = {'FULL' if lasting else 'OFF'}")
    except sqlite3.Error:
        index.close()
        raise
    return index


def unusable(directory: Path, error: Exception) -> SettingsError:
    """Return the error of a data directory that cannot be read or written."""
    if "locked" in str(error):
        message = f"another sandbox uses the data directory {directory}"
        return SettingsError(message, hint="stop it, or name another directory with --data")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    message = f"the sandbox cannot use the data directory {directory}: {reason}"
    return SettingsError(message, hint="name a directory that you may write to with --data")

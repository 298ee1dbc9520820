"""The sandbox's data: an index in SQLite, which survives a restart, of contents that are stored by checksum.

A file has a repository key, a path and properties, as in Artifactory; several files may have the same content.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from buildpush.sandbox import derived
from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.content import Checksums, ContentStore, unusable
from buildpush.sandbox.derived import PARENT
from buildpush.sandbox.entries import (
    STANDARD_REPOSITORIES,
    BuildEntry,
    DirectoryEntry,
    FileEntry,
    RepositoryEntry,
)
from buildpush.sandbox.tables import DIRECTORY_COLUMNS, FILE_COLUMNS, SCHEMA

Row = TypeVar("Row")

DAY_SECONDS = 24 * 3600


class Store:
    """Files, properties and builds below one data directory; may be used from several threads.

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
            if self.rows("SELECT 1 FROM sqlite_schema WHERE name = 'uploads'"):
                self._free(before=self.clock() - DAY_SECONDS)  # first: the disk may be full
            self._add_columns()
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
        ((version,),) = self.rows("PRAGMA user_version")
        if version >= derived.VERSION:
            return
        with self.change():
            self.rows(derived.FILL_PROPERTIES)
            for build in self.builds():
                self.put_build(build)
            self.rows(f"PRAGMA user_version = {derived.VERSION}")

    def _add_columns(self) -> None:
        """Bring the tables of a directory that an earlier version has made up to date."""
        columns = {row[1] for row in self.rows("PRAGMA table_info(repositories)")}
        for column in ("url", "description") if columns and "url" not in columns else ():
            self.rows(f"ALTER TABLE repositories ADD COLUMN {column} TEXT NOT NULL DEFAULT ''")
        columns = {row[1] for row in self.rows("PRAGMA table_info(files)")}
        if not columns or "modified_by" in columns:
            return
        self.rows("ALTER TABLE files ADD COLUMN modified_by TEXT NOT NULL DEFAULT ''")
        self.rows("ALTER TABLE properties ADD COLUMN changed REAL NOT NULL DEFAULT 0")
        self._index.executescript(SCHEMA + derived.SCHEMA)
        with self.change():
            self.rows("UPDATE files SET modified_by = created_by")
            for repo, path, username in self.rows("SELECT repo, path, created_by FROM files"):
                self.make_directory(repo, path.rpartition("/")[0], username)

    def sweep(self, before: float, stale: Sequence[FileEntry] = ()) -> None:
        """Delete *stale* files, contents that no file has any more, and uploads that ended or began before *before*.

        Bytes go first: there may be no room to write that they are gone.
        """
        self._free(before, stale)
        with self.change():
            self.remove(stale)
            self.rows("DELETE FROM uploads WHERE begun < ?", before)
            for table in ("digests", "subjects"):
                self.rows(f"DELETE FROM {table} WHERE sha256 NOT IN (SELECT sha256 FROM files)")  # noqa: S608 - constants

    def _free(self, before: float, stale: Sequence[FileEntry] = ()) -> None:
        paths = {(entry.repo, entry.path) for entry in stale}
        rows = self.rows("SELECT repo, path, sha256 FROM files")
        contents = {sha256 for repo, path, sha256 in rows if (repo, path) not in paths}
        arriving = {row[0] for row in self.rows("SELECT identifier FROM uploads WHERE begun >= ?", before)}
        self.content.sweep(contents, arriving)

    def close(self) -> None:
        """Close the database and unlock the directory."""
        with self._lock:
            self._index.close()

    @contextmanager
    def change(self, *, lasting: bool = True) -> Iterator[None]:
        """Apply all changes in the block, or none of them: after an error, or if they are not *lasting*."""
        with self._lock:
            if self._index.in_transaction:
                yield
                return
            self._index.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.rows("COMMIT" if lasting else "ROLLBACK")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._index.execute("ROLLBACK")
                raise

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a query, and return its rows.

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

    # Repositories

    def add_repository(self, repository: RepositoryEntry) -> None:
        """Add a repository; an existing one is not changed."""
        if self.repository(repository.key) is None:
            self.put_repository(repository)

    def put_repository(self, repository: RepositoryEntry) -> None:
        """Add a repository, or change an existing one."""
        row = (repository.key, repository.rclass, repository.package_type, json.dumps(repository.members))
        more = (repository.deploy_to, repository.url, repository.description)
        self.rows("INSERT OR REPLACE INTO repositories VALUES (?, ?, ?, ?, ?, ?, ?)", *row, *more)

    def remove_repository(self, key: str) -> None:
        """Remove a repository with all that is in it; virtual ones no longer have it as a member."""
        with self.change():
            for table in ("files", "directories", "properties"):
                self.rows(f"DELETE FROM {table} WHERE repo = ?", key)  # noqa: S608 - constants
            self.rows("DELETE FROM repositories WHERE key = ?", key)
            for one in self.repositories():
                if key in one.members:
                    members = tuple(member for member in one.members if member != key)
                    deploy_to = None if one.deploy_to == key else one.deploy_to
                    self.put_repository(replace(one, members=members, deploy_to=deploy_to))

    def repositories(self) -> list[RepositoryEntry]:
        """Return all repositories, sorted by key."""
        rows = self.rows("SELECT * FROM repositories ORDER BY key")
        entries = {row[0]: _repository(row) for row in rows}
        for entry in entries.values():
            if entry.rclass == "virtual":
                members = [entries[key].physical for key in entry.members if key in entries]
                entries[entry.key] = replace(entry, behind=tuple(chain.from_iterable(members)))
        return list(entries.values())

    def repository(self, key: str) -> RepositoryEntry | None:
        """Return the repository with this key."""
        entry = _first([_repository(row) for row in self.rows("SELECT * FROM repositories WHERE key = ?", key)])
        if entry is None or entry.rclass != "virtual":
            return entry
        return next(repository for repository in self.repositories() if repository.key == key)

    # Files

    def put(self, repo: str, path: str, checksums: Checksums, media_type: str, username: str) -> None:
        """Store a file with an existing content; a file at that path is replaced, and loses its properties.

        Raises:
            RequestRefusedError: 409, there is a directory at that path, or it leads through a file.
        """
        self.put_entry(self.new_entry(repo, path, checksums, media_type, username))

    def new_entry(self, repo: str, path: str, checksums: Checksums, media_type: str, username: str) -> FileEntry:
        """Return the entry of a file that is stored now; one that takes the place of another is as old as that."""
        now = self.clock()
        before = self.file(repo, path)
        created, created_by = (before.created, before.created_by) if before else (now, username)
        return FileEntry(repo, path, checksums, media_type, created, now, created_by, username)

    def put_entry(self, entry: FileEntry) -> None:
        """Store a file as it is described; else as :meth:`put`."""
        sums = entry.checksums
        times = (entry.created, entry.modified, entry.created_by, entry.modified_by)
        row = (entry.repo, entry.path, sums.sha256, sums.sha1, sums.md5, sums.size, entry.media_type, *times)
        with self.change():
            if self.directory(entry.repo, entry.path):
                raise RequestRefusedError(409, "CONFLICT", f"'{entry.repo}:{entry.path}' is a directory.")
            self.make_directory(entry.repo, entry.directory, entry.modified_by)
            self.rows("DELETE FROM properties WHERE repo = ? AND path = ?", entry.repo, entry.path)
            self.rows(f"INSERT OR REPLACE INTO files ({FILE_COLUMNS}) VALUES ({', '.join('?' * 11)})", *row)  # noqa: S608 - constants

    def file(self, repo: str, path: str) -> FileEntry | None:
        """Return the file at a path."""
        return _first(self._files("repo = ? AND path = ?", repo, path))

    def files(self, repo: str, directory: str = "") -> list[FileEntry]:
        """Return every file below a directory, at any depth, sorted by path."""
        return self._files("repo = ? AND path > ? AND path < ?", repo, *_below(directory))

    def holding(self, names: Sequence[str], repo: str, directory: str = "") -> list[str]:
        """Return the directories, at any depth below one, that have a file with one of these names."""
        where = f"{derived.NAME} IN ({', '.join('?' * len(names))}) AND repo = ? AND path > ? AND path < ?"
        query = f"SELECT DISTINCT {PARENT} FROM files WHERE {where}"  # noqa: S608 - constants
        rows = self.rows(query, *names, repo, *_below(directory))
        return [parent.rstrip("/") for (parent,) in rows]

    def files_in(self, repo: str, directory: str) -> list[FileEntry]:
        """Return the files directly in a directory, sorted by path."""
        return self._files(f"repo = ? AND {PARENT} = ?", repo, directory and f"{directory}/")

    def files_with(self, checksums: Mapping[str, str]) -> list[FileEntry]:
        """Return every file that has these checksums, by kind: sha256, sha1, md5."""
        return self._files(" AND ".join(f"{kind} = ?" for kind in checksums), *checksums.values())

    def copies(self, sha256: str, repo: str, directory: str) -> list[FileEntry]:
        """Return every file with this content below a directory."""
        return self._files("sha256 = ? AND repo = ? AND path > ? AND path < ?", sha256, repo, *_below(directory))

    def files_by_sha1(self, sha1: str) -> list[FileEntry]:
        """Return every file whose content has this SHA-1."""
        return self._files("sha1 = ?", sha1)

    def copies_anywhere(self, sha256: str) -> Iterator[FileEntry]:
        """Yield every file with this content; there may be thousands, of which the first is mostly enough."""
        with self._lock:
            query = f"SELECT {FILE_COLUMNS} FROM files WHERE sha256 = ? ORDER BY repo, path"  # noqa: S608 - constants
            yield from map(_file, self._index.execute(query, (sha256,)))

    def find(self, where: str, values: Sequence[object]) -> list[FileEntry]:
        """Return the files for which a condition in SQL is true; see searches.py."""
        return self._files(where, *values)

    def _files(self, where: str, *values: object) -> list[FileEntry]:
        query = f"SELECT {FILE_COLUMNS} FROM files WHERE {where} ORDER BY repo, path"  # noqa: S608 - constants
        return [_file(row) for row in self.rows(query, *values)]

    # What is known about contents, whatever files have them

    def put_digest(self, digest: str, sha256: str) -> None:
        """Remember another digest of a content, by another algorithm."""
        self.rows("INSERT OR IGNORE INTO digests VALUES (?, ?)", digest, sha256)

    def sha256(self, digest: str) -> str:
        """Return the SHA-256 of the content with this other digest, or an empty string."""
        row = _first(self.rows("SELECT sha256 FROM digests WHERE digest = ?", digest))
        return str(row[0]) if row else ""

    def put_subject(self, subject: str, sha256: str) -> None:
        """Remember that a manifest refers to the digest *subject*."""
        self.rows("INSERT OR IGNORE INTO subjects VALUES (?, ?)", subject, sha256)

    def subject_of(self, subject: str) -> list[str]:
        """Return the SHA-256 of every manifest that refers to the digest *subject*, sorted."""
        return [row[0] for row in self.rows("SELECT sha256 FROM subjects WHERE subject = ? ORDER BY sha256", subject)]

    def remove(self, entries: Sequence[FileEntry]) -> None:
        """Remove files, with their properties; see :meth:`sweep` for their contents."""
        with self.change():
            for entry in entries:
                for table in ("files", "properties"):
                    self.rows(f"DELETE FROM {table} WHERE repo = ? AND path = ?", entry.repo, entry.path)  # noqa: S608 - constants

    # Directories

    def make_directory(self, repo: str, path: str, username: str) -> None:
        """Make a directory and those above it; existing ones are not changed, and ``""`` always exists.

        Raises:
            RequestRefusedError: 409, one of them is a file.
        """
        now, missing = self.clock(), []
        with self.change():
            while path and not self.directory(repo, path):
                if self.file(repo, path):
                    raise RequestRefusedError(409, "CONFLICT", f"'{repo}:{path}' is a file.")
                missing.append((repo, path, now, now, username, username))
                path = path.rpartition("/")[0]
            self._index.executemany("INSERT INTO directories VALUES (?, ?, ?, ?, ?, ?)", missing)

    def directory(self, repo: str, path: str) -> DirectoryEntry | None:
        """Return the directory at a path."""
        return _first(self._directories("repo = ? AND path = ?", repo, path))

    def directories(self, repo: str, directory: str = "") -> list[DirectoryEntry]:
        """Return every directory below a directory, at any depth, sorted by path."""
        return self._directories("repo = ? AND path > ? AND path < ?", repo, *_below(directory))

    def directories_in(self, repo: str, directory: str) -> list[DirectoryEntry]:
        """Return the directories directly in a directory, sorted by path."""
        return self._directories(f"repo = ? AND {PARENT} = ?", repo, directory and f"{directory}/")

    def _directories(self, where: str, *values: object) -> list[DirectoryEntry]:
        rows = self.rows(f"SELECT {DIRECTORY_COLUMNS} FROM directories WHERE {where} ORDER BY repo, path", *values)  # noqa: S608 - constants
        return [DirectoryEntry(*row) for row in rows]

    def remove_directory(self, repo: str, path: str) -> None:
        """Remove a directory with everything below it; see :meth:`sweep` for the contents of its files."""
        with self.change():
            for table in ("files", "directories", "properties"):
                where = "repo = ? AND (path = ? OR (path > ? AND path < ?))"
                self.rows(f"DELETE FROM {table} WHERE {where}", repo, path, *_below(path))  # noqa: S608 - constants

    def prune(self, repo: str, path: str) -> None:
        """Remove a directory that is empty, then the one above it if that has become empty, and so on."""
        with self.change():
            while path and not (self.files_in(repo, path) or self.directories_in(repo, path)):
                self.remove_directory(repo, path)
                path = path.rpartition("/")[0]

    # Properties

    def properties(self, repo: str, path: str) -> dict[str, list[str]]:
        """Return the properties of a file or directory: key to values, sorted by key."""
        rows = self.rows("SELECT key, listed FROM properties WHERE repo = ? AND path = ? ORDER BY key", repo, path)
        return {key: json.loads(values) for key, values in rows}

    def set_properties(self, repo: str, path: str, changes: Mapping[str, Sequence[str] | None]) -> None:
        """Replace the values of the given keys; ``None`` removes a key."""
        with self.change():
            for key, values in changes.items():
                self.rows("DELETE FROM properties WHERE repo = ? AND path = ? AND key = ?", repo, path, key)
                if values is not None:
                    row = (repo, path, key, json.dumps(list(values)), self.clock())
                    self.rows("INSERT INTO properties VALUES (?, ?, ?, ?, ?)", *row)

    def properties_changed(self, repo: str, path: str) -> float | None:
        """Return when a property of a file or directory was last set, or ``None`` if it has none."""
        row = _first(self.rows("SELECT max(changed) FROM properties WHERE repo = ? AND path = ?", repo, path))
        return row[0] if row else None

    # Uploads

    def put_upload(self, identifier: str, name: str) -> None:
        """Remember that an upload was begun for the image *name*."""
        self.rows("INSERT INTO uploads VALUES (?, ?, ?)", identifier, name, self.clock())

    def upload(self, identifier: str) -> str | None:
        """Return the image that an unfinished upload is for, or ``None``."""
        row = _first(self.rows("SELECT name FROM uploads WHERE identifier = ?", identifier))
        return str(row[0]) if row else None

    def remove_upload(self, identifier: str) -> None:
        """Forget an upload."""
        self.rows("DELETE FROM uploads WHERE identifier = ?", identifier)

    # Builds

    def put_build(self, build: BuildEntry) -> None:
        """Store a run; one with the same name, number, start and repository is replaced."""
        row = (build.repo, build.name, build.number, build.started_ms, json.dumps(build.document))
        files = [(*row[:4], *file) for file in derived.build_files(build.document)]
        with self.change():
            self.rows("INSERT OR REPLACE INTO builds VALUES (?, ?, ?, ?, ?)", *row)
            self._index.executemany(derived.INSERT_FILE, files)

    def remove_build(self, build: BuildEntry) -> None:
        """Remove a run; see :mod:`buildpush.sandbox.builds` for its document among the files."""
        key = (build.repo, build.name, build.number, build.started_ms)
        self.rows("DELETE FROM builds WHERE repo = ? AND name = ? AND number = ? AND started_ms = ?", *key)

    def builds(self, name: str | None = None, number: str | None = None, repo: str | None = None) -> list[BuildEntry]:
        """Return the runs that match what is given, newest first."""
        given = {"name": name, "number": number, "repo": repo}
        values = {column: value for column, value in given.items() if value is not None}
        where = " AND ".join(f"{column} = ?" for column in values) or "1"
        order = "ORDER BY started_ms DESC, name, number DESC"
        query = f"SELECT repo, name, number, started_ms, document FROM builds WHERE {where} {order}"  # noqa: S608 - constants
        rows = self.rows(query, *values.values())
        return [BuildEntry(row[0], row[1], row[2], row[3], json.loads(row[4])) for row in rows]

    def build_names(self, repo: str) -> list[tuple[str, int]]:
        """Return the names of the builds in a repository with the start of their newest run, newest first."""
        return self.rows("SELECT name, max(started_ms) FROM builds WHERE repo = ? GROUP BY name ORDER BY 2 DESC", repo)

    def build_runs(self, repo: str, name: str) -> list[tuple[str, int]]:
        """Return number and start of the runs of a build, newest first, without their documents."""
        query = "SELECT number, started_ms FROM builds WHERE repo = ? AND name = ? ORDER BY started_ms DESC"
        return self.rows(query, repo, name)


def _repository(row: Sequence[Any]) -> RepositoryEntry:
    key, rclass, package_type, members, *more = row
    return RepositoryEntry(key, rclass, package_type, tuple(json.loads(members)), *more)


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

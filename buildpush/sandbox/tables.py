"""The tables of the index; those that follow from them are in derived.py."""

from buildpush.sandbox.derived import PARENT

SCHEMA = f"""
CREATE TABLE IF NOT EXISTS repositories (
  key TEXT PRIMARY KEY, rclass TEXT NOT NULL, package_type TEXT NOT NULL, members TEXT NOT NULL, deploy_to TEXT,
  url TEXT NOT NULL DEFAULT '', description TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
  repo TEXT NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL, sha1 TEXT NOT NULL, md5 TEXT NOT NULL,
  size INTEGER NOT NULL, media_type TEXT NOT NULL, created REAL NOT NULL, modified REAL NOT NULL,
  created_by TEXT NOT NULL, modified_by TEXT NOT NULL, PRIMARY KEY (repo, path)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS files_by_content ON files (sha256);
CREATE TABLE IF NOT EXISTS digests (digest TEXT PRIMARY KEY, sha256 TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS subjects (
  subject TEXT NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (subject, sha256)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS directories (
  repo TEXT NOT NULL, path TEXT NOT NULL, created REAL NOT NULL, modified REAL NOT NULL, created_by TEXT NOT NULL,
  modified_by TEXT NOT NULL, PRIMARY KEY (repo, path)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS directories_by_directory ON directories (repo, {PARENT});
CREATE TABLE IF NOT EXISTS properties (
  repo TEXT NOT NULL, path TEXT NOT NULL, key TEXT NOT NULL, listed TEXT NOT NULL,
  changed REAL NOT NULL DEFAULT 0, PRIMARY KEY (repo, path, key)
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
CREATE TABLE IF NOT EXISTS trusted_keys (alias TEXT PRIMARY KEY, key TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tokens (
  identifier TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, refresh_hash TEXT UNIQUE, reference_hash TEXT UNIQUE,
  username TEXT NOT NULL, scope TEXT NOT NULL, issued REAL NOT NULL, expires REAL
) WITHOUT ROWID;
"""

FILE_COLUMNS = "repo, path, sha256, sha1, md5, size, media_type, created, modified, created_by, modified_by"
DIRECTORY_COLUMNS = "repo, path, created, modified, created_by, modified_by"

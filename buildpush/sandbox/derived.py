"""Tables that follow from the others, so that a search reads an index and not every document.

``property_values`` has each value of a property, and SQLite itself keeps it as ``properties`` is.
``build_files`` has what the modules of the builds name; a file belongs to a build by its checksum, as in Artifactory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# The directory of a path, with a slash at its end, and its last part, as SQL; indexes are made of them.
PARENT = "rtrim(path, replace(path, '/', ''))"
NAME = f"substr(path, length({PARENT}) + 1)"
# Raised when older data directories lack rows of these tables.
VERSION = 1
# The statistics, of a large sandbox, make SQLite use the best index: without, it takes all of a repository for few.
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS property_values (
  key TEXT NOT NULL, value TEXT NOT NULL, repo TEXT NOT NULL, path TEXT NOT NULL,
  PRIMARY KEY (key, value, repo, path)
) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS property_set AFTER INSERT ON properties BEGIN
  INSERT OR IGNORE INTO property_values SELECT NEW.key, value, NEW.repo, NEW.path FROM json_each(NEW.listed);
END;
CREATE TRIGGER IF NOT EXISTS property_removed AFTER DELETE ON properties BEGIN
  DELETE FROM property_values WHERE repo = OLD.repo AND path = OLD.path AND key = OLD.key
    AND value IN (SELECT value FROM json_each(OLD.listed));
END;
CREATE TABLE IF NOT EXISTS build_files (
  repo TEXT NOT NULL, build TEXT NOT NULL, number TEXT NOT NULL, started_ms INTEGER NOT NULL, kind TEXT NOT NULL,
  module TEXT NOT NULL, name TEXT, type TEXT, sha1 TEXT, md5 TEXT,
  FOREIGN KEY (repo, build, number, started_ms) REFERENCES builds (repo, name, number, started_ms)
    ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS build_files_by_build ON build_files (repo, build, number, started_ms);
CREATE INDEX IF NOT EXISTS build_files_by_sha1 ON build_files (sha1);
CREATE INDEX IF NOT EXISTS builds_by_name ON builds (name, number);
CREATE INDEX IF NOT EXISTS builds_by_start ON builds (repo, name, started_ms);
CREATE INDEX IF NOT EXISTS files_by_sha1 ON files (sha1);
CREATE INDEX IF NOT EXISTS files_by_directory ON files (repo, {PARENT});
CREATE INDEX IF NOT EXISTS files_by_name ON files ({NAME});
CREATE INDEX IF NOT EXISTS files_by_creation ON files (repo, created);
CREATE INDEX IF NOT EXISTS files_by_change ON files (repo, modified);
ANALYZE repositories;
DELETE FROM sqlite_stat1;
INSERT INTO sqlite_stat1 VALUES
  ('files', 'files', '1000000 100000 1'),
  ('files', 'files_by_content', '1000000 3'),
  ('files', 'files_by_sha1', '1000000 3'),
  ('files', 'files_by_directory', '1000000 100000 10'),
  ('files', 'files_by_name', '1000000 100'),
  ('files', 'files_by_creation', '1000000 100000 10'),
  ('files', 'files_by_change', '1000000 100000 10'),
  ('properties', 'properties', '2000000 200000 2 1'),
  ('property_values', 'property_values', '2000000 200000 100 100 1'),
  ('builds', 'builds', '10000 10000 100 1 1'),
  ('builds', 'builds_by_name', '10000 100 1'),
  ('builds', 'builds_by_start', '10000 10000 100 1'),
  ('build_files', 'build_files_by_build', '100000 100000 1000 10 10'),
  ('build_files', 'build_files_by_sha1', '100000 3');
ANALYZE sqlite_schema;
"""  # noqa: S608 - constants
INSERT_FILE = "INSERT INTO build_files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
FILL_PROPERTIES = (
    "INSERT OR IGNORE INTO property_values"
    " SELECT p.key, listed.value, p.repo, p.path FROM properties AS p, json_each(p.listed) AS listed"
)
# Where a module lists its files, and what their name is called there.
_LISTS = (("artifact", "artifacts", "name"), ("dependency", "dependencies", "id"))


def build_files(document: Mapping[str, Any]) -> Iterator[tuple[str | None, ...]]:
    """Yield kind, module, name, type, SHA-1 and MD5 of each module, artifact and dependency in a build-info."""
    for module in document.get("modules") or ():
        identifier = _text(str(module["id"]))
        yield "module", identifier, None, None, None, None
        for kind, key, name in _LISTS:
            files = module.get(key)
            for file in files if isinstance(files, list) else ():
                if isinstance(file, dict):
                    yield kind, identifier, *(_text(file.get(one)) for one in (name, "type", "sha1", "md5"))


def _text(value: object) -> str | None:
    """Return a text that can be stored, or ``None``: JSON may contain a lone surrogate, but UTF-8 cannot."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else None

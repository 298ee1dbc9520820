"""Build-info on the server's side: parsed, stored by its start time, and looked up."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.entries import BUILD_INFO, BuildEntry
from buildpush.sandbox.store import Store

LARGEST = 64 * 1024 * 1024
JSON_TYPE = "application/json"

# Java's yyyy-MM-dd'T'HH:mm:ss.SSSZ; the offset may have a colon or be Z.
_STARTED = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{3})(Z|[+-]\d\d:?\d\d)\Z")


def read_started(text: str) -> int:
    """Parse a build's ``started`` into milliseconds since 1970.

    Raises:
        ValueError: it has another form.
    """
    match = _STARTED.match(text)
    if not match:
        message = f"{text!r} is not a time such as 2026-10-01T12:00:00.123+0000"
        raise ValueError(message)
    offset = "+0000" if match[3] == "Z" else match[3].replace(":", "")
    moment = datetime.strptime(f"{match[1]}{offset}", "%Y-%m-%dT%H:%M:%S%z")
    return round(moment.timestamp()) * 1000 + int(match[2])


def write_started(milliseconds: int) -> str:
    """Return the time in UTC, in the form of lists of builds."""
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}+0000"


def build_repository(store: Store, project: str | None, repo: str | None) -> str:
    """Return the key of the repository that stores a project's builds.

    Raises:
        RequestRefusedError: 400, there is no such repository.
    """
    key = repo or (f"{project}-build-info" if project else BUILD_INFO)
    repository = store.repository(key)
    if repository is None or repository.package_type != "buildinfo":
        raise RequestRefusedError(400, "BAD_REQUEST", f"Build info repository '{key}' does not exist")
    return key


def keep_build(store: Store, repo: str, body: bytes, username: str) -> str:
    """Store a build-info document with the user who sent it, and return the SHA-256 of what was stored.

    Raises:
        RequestRefusedError: 400, the document cannot be used.
    """
    entry = _read(repo, body, username)
    checksums = store.content.add(json.dumps(entry.document, indent=2).encode())
    with store.change():
        store.put_build(entry)
        store.put(repo, document_path(entry), checksums, JSON_TYPE, username)
    return checksums.sha256


def document_path(build: BuildEntry) -> str:
    """Return the path of a document in its repository."""
    return f"{quote(build.name, safe='')}/{quote(build.number, safe='')}-{build.started_ms}.json"


def _read(repo: str, body: bytes, username: str) -> BuildEntry:
    try:
        document = json.loads(body)
        name, number, started = (_text(document, key) for key in ("name", "number", "started"))
        _check_modules(document)
        return BuildEntry(repo, name, number, read_started(started), {**document, "artifactoryPrincipal": username})
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise RequestRefusedError(400, "BAD_REQUEST", f"Could not insert build: {error}") from error


def _text(document: Any, key: str) -> str:
    if not isinstance(document, dict):
        message = "the document is not a JSON object"
        raise TypeError(message)
    value = document.get(key)
    if not isinstance(value, str) or not value.strip():
        message = f"{key!r} is missing or not a text"
        raise ValueError(message)
    value.encode()  # a lone surrogate can neither be stored nor shown; UnicodeEncodeError is a ValueError
    return value


def _check_modules(document: Mapping[str, Any]) -> None:
    modules = document.get("modules")
    if modules is None:
        return
    if not isinstance(modules, list) or not all(isinstance(module, dict) and module.get("id") for module in modules):
        message = "'modules' is not a list of objects with an 'id'"
        raise ValueError(message)


def find_build(store: Store, name: str, number: str, *, repo: str, started: str | None = None) -> BuildEntry:
    """Return the newest run with this number, or the one that began at *started*.

    Raises:
        RequestRefusedError: 404, there is none; 400, *started* is not a time.
    """
    runs = store.builds(name, number, repo)
    if started:
        milliseconds = _milliseconds(started)
        runs = [build for build in runs if build.started_ms == milliseconds]
    if not runs:
        raise RequestRefusedError(
            404, "NOT_FOUND", f"No build was found for build name: {name}, build number: {number}"
        )
    return runs[0]


def _milliseconds(started: str) -> int:
    try:
        # An unescaped + arrives as a blank.
        return read_started(started.replace(" ", "+"))
    except ValueError as error:
        raise RequestRefusedError(400, "BAD_REQUEST", str(error)) from error

"""Build-info on the server's side: parsed, stored by its start time, and looked up."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from buildpush.sandbox.answers import RequestRefusedError, forbidden
from buildpush.sandbox.build_artifacts import BuildFiles
from buildpush.sandbox.content import Checksums
from buildpush.sandbox.entries import BUILD_INFO, BuildEntry
from buildpush.sandbox.permissions import Caller
from buildpush.sandbox.store import Store

LARGEST = 64 * 1024 * 1024
JSON_TYPE = "application/json"

# Characters of a name or number that are written differently in the path of its document.
_ENCODED = {character: f"%{ord(character):02X}" for character in "/\\|*?:;%"} | {"'": "%22"}
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


def is_started(text: str) -> bool:
    """Return whether a text is a time as in a build's ``started``."""
    try:
        read_started(text)
    except ValueError:
        return False
    return True


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


def keep_build(store: Store, build: BuildEntry, who: Caller) -> str:
    """Store a run, and return the SHA-256 of what was stored; one with the same number and start is replaced.

    Raises:
        RequestRefusedError: 403, the account may not replace a run.
    """
    runs = store.builds(build.name, build.number, build.repo)
    if any(run.started_ms == build.started_ms for run in runs) and not who.may("delete", build.repo):
        raise forbidden(who.username, "delete", f"{build.repo}/{document_path(build)}")
    return write_build(store, build, who.username).sha256


def write_build(store: Store, build: BuildEntry, username: str) -> Checksums:
    """Store a run, and its document as a file of its repository, where searches find it."""
    checksums = store.content.add(json.dumps(build.document, indent=2).encode())
    with store.change():
        store.put_build(build)
        store.put(build.repo, document_path(build), checksums, JSON_TYPE, username)
    return checksums


def rename_runs(store: Store, runs: Iterable[BuildEntry], name: str, who: Caller) -> None:
    """Give runs another name, and the files that the account may annotate this property.

    Raises:
        RequestRefusedError: 400, there is such a run already.
    """
    with store.change():
        for run in runs:
            renamed = replace(run, name=name, document={**run.document, "name": name})
            if any(one.started_ms == run.started_ms for one in store.builds(name, run.number, run.repo)):
                raise RequestRefusedError(400, "BAD_REQUEST", f"There is a build '{name}' #{run.number} already")
            files = BuildFiles(store, run, who)
            for entry in files.artifacts().entries:
                if files.marked(entry) and who.may("annotate", entry.repo):
                    store.set_properties(entry.repo, entry.path, {"build.name": [name]})
            remove_build(store, run)
            write_build(store, renamed, who.username)


def remove_build(store: Store, build: BuildEntry) -> None:
    """Remove a run and its document."""
    entry = store.file(build.repo, document_path(build))
    with store.change():
        store.remove_build(build)
        store.remove([entry] if entry else [])


def document_path(build: BuildEntry) -> str:
    """Return the path of a document in its repository, encoded as the clients of JFrog look for it."""
    return f"{_encoded(build.name)}/{_encoded(build.number)}-{build.started_ms}.json"


def _encoded(text: str) -> str:
    encoded = "".join(_ENCODED.get(character, " " if character.isspace() else character) for character in text)
    return encoded.replace("%2F ", "%2F%20").replace(" %2F", "%20%2F")


def read_build(repo: str, body: bytes, username: str) -> BuildEntry:
    """Return the run in a build-info document, with the user who sent it.

    Raises:
        RequestRefusedError: 400, the document cannot be used.
    """
    try:
        document = json.loads(body)
        name, number, started = (_text(document, key) for key in ("name", "number", "started"))
        check_modules([] if document.get("modules") is None else document["modules"])
        return BuildEntry(repo, name, number, read_started(started), {**document, "artifactoryPrincipal": username})
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise RequestRefusedError(400, "BAD_REQUEST", f"Could not insert build: {error}") from error


def _text(document: Any, key: str) -> str:
    if not isinstance(document, dict):
        message = "the document is not a JSON object"
        raise TypeError(message)
    value = document.get(key)
    if not isinstance(value, str) or not value.strip() or value.startswith("."):
        message = f"{key!r} is missing, not a text, or begins with a dot"
        raise ValueError(message)
    value.encode()  # a lone surrogate can neither be stored nor shown; UnicodeEncodeError is a ValueError
    return value


def check_modules(modules: Any) -> None:
    """Check that *modules* can be those of a build.

    Raises:
        ValueError: they cannot.
    """
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
        moment = milliseconds(started)
        runs = [build for build in runs if build.started_ms == moment]
    if not runs:
        raise RequestRefusedError(
            404, "NOT_FOUND", f"No build was found for build name: {name}, build number: {number}"
        )
    return runs[0]


def milliseconds(started: str) -> int:
    """Return a time of a request in milliseconds since 1970.

    Raises:
        RequestRefusedError: 400, it is not one.
    """
    try:
        # An unescaped + arrives as a blank.
        return read_started(started.replace(" ", "+"))
    except ValueError as error:
        raise RequestRefusedError(400, "BAD_REQUEST", str(error)) from error

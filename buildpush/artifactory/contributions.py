"""What can be added to a collection: build-info documents, other collections, and what ``jf`` has collected.

``jf`` keeps a directory per build below ``$JFROG_CLI_TEMP_DIR/jfrog-USER/builds``. Its ``partials`` are parts of
documents, and the files beside them are whole documents without name and number.
Source: jfrog/build-info-go, build/build.go and entities/buildinfo.go; seen with jf 2.78.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from buildpush.artifactory.collection import BuildKey, collections_in, read
from buildpush.artifactory.document import ENVIRONMENT_PREFIX, BuildInfo, started_from, started_text
from buildpush.artifactory.environment import allowed_environment
from buildpush.artifactory.pending import Pending, beside
from buildpush.artifactory.reading import load_json
from buildpush.foundation.errors import SettingsError, SourceError

_PARTIALS: Final = "partials"
_KEYS: Final = {"Artifacts": "artifacts", "Dependencies": "dependencies", "Type": "type"}


def contributions(path: Path, key: BuildKey, started: datetime) -> Iterator[Pending]:
    """Yield what *path* has of the build *key*: a file with a build-info, or a directory of ours or of ``jf``.

    Args:
        path: of the file or directory.
        key: of the build; a document without name and number gets them.
        started: of a document that has none.

    Raises:
        SourceError: there is no build-info in it, or it cannot be read.
        SettingsError: it has another build.
    """
    if not path.is_dir():
        yield _in_file(path, key, started)
        return
    ours = list(collections_in(path))
    if collected := read(one for one in ours if one.key == key):
        yield collected.pending
    elif ours:
        message = f"{path} has nothing of the build {key}"
        others = ", ".join(str(one.key) for one in ours)
        raise SettingsError(message, hint=f"it has {others}", setting="build_name")
    else:
        yield from _of_jf(path, key, started)


def _in_file(path: Path, key: BuildKey, started: datetime) -> Pending:
    document, pushed, server = beside(load_json(path))
    if not isinstance(document, dict):
        message = "this is not a build-info"
        raise SourceError(message, where=str(path), hint="name a file with the JSON of a build-info")
    for name, ours in (("name", key.name), ("number", key.number)):
        if document.get(name) not in {None, "", ours}:
            message = f"{path} is of the build {document.get('name')} {document.get('number')}, not {key}"
            raise SettingsError(message, hint="name its build, or another file", setting=f"build_{name}")
    return Pending(_info(document, path, key, started), server, pushed)


def _info(document: Mapping[str, Any], path: Path, key: BuildKey, started: datetime) -> BuildInfo:
    missing = {"name": key.name, "number": key.number, "started": started_text(started)}
    try:
        return BuildInfo.parse(
            {**document, **{name: value for name, value in missing.items() if not document.get(name)}}
        )
    except SourceError as error:
        message = f"this is not a build-info: {error}"
        raise SourceError(message, where=str(path)) from error


# ---- jf


def _of_jf(path: Path, key: BuildKey, started: datetime) -> Iterator[Pending]:
    """Yield what ``jf`` has collected of a build in *path*: the directory of the build, or that of all builds."""
    name = hashlib.sha256(f"{key.name}_{key.number}_{key.project}".encode()).hexdigest()
    directory = path / name if (path / name).is_dir() else path
    partials = [file for file in sorted((directory / _PARTIALS).glob("*")) if file.name != "details"]
    documents = sorted(file for file in directory.glob("temp*") if file.is_file())
    if not (partials or documents):
        message = f"{path} has nothing of the build {key}, neither of buildpush nor of jf"
        raise SourceError(message, hint="name the directory of --build-dir, or 'builds' in the temporary one of jf")
    began = _began(directory / _PARTIALS / "details") or started
    for file in partials:
        yield Pending(_info(_document_of(_object(file), key), file, key, began))
    for file in documents:
        yield Pending(_info(_object(file), file, key, began))


def _began(details: Path) -> datetime | None:
    return started_from(str(_object(details).get("Timestamp"))) if details.exists() else None


def _object(file: Path) -> Mapping[str, Any]:
    document = load_json(file)
    if not isinstance(document, dict):
        message = "this is no part of a build-info of jf"
        raise SourceError(message, where=str(file))
    return document


def _document_of(partial: Mapping[str, Any], key: BuildKey) -> dict[str, Any]:
    """Return the document that a partial is; of the environment, which ``jf`` keeps whole, only what may be shown."""
    module = {ours: partial[theirs] for theirs, ours in _KEYS.items() if partial.get(theirs)}
    module |= {name: partial[name] for name in ("sha1", "md5", "sha256") if partial.get(name)}  # of a whole build
    document: dict[str, Any] = {name: partial[name] for name in ("vcs", "issues") if partial.get(name)}
    if partial.get("Issues"):
        document["issues"] = partial["Issues"]
    if module:
        document["modules"] = [{"id": partial.get("ModuleId") or key.name, **module}]
    if isinstance(env := partial.get("Env"), dict):
        document["properties"] = _environment(env)
    return document


def _environment(env: Mapping[str, object]) -> dict[str, str]:
    variables = {str(name).removeprefix(ENVIRONMENT_PREFIX): str(value) for name, value in env.items()}
    return {f"{ENVIRONMENT_PREFIX}{name}": value for name, value in allowed_environment(variables, "*").items()}

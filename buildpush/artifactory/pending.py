"""Build-infos that are not published yet, one file each: written before the push, removed once Artifactory has it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

from buildpush.artifactory.document import BuildInfo
from buildpush.artifactory.reading import load_json
from buildpush.foundation.errors import SourceError
from buildpush.foundation.locks import locked, private_directory
from buildpush.foundation.records import dataclass
from buildpush.foundation.state import write_held, write_private

_LONGEST: Final = 100  # characters of the name that people recognise
_BEGUN: Final = "begun"


@dataclass(frozen=True, slots=True)
class Pending:
    """A build-info that waits to be published.

    Attributes:
        server: address of the Artifactory that it is for, or ``""`` where it is not known.
        pushed: whether the registry confirmed the push; otherwise its outcome is unknown.
    """

    info: BuildInfo
    server: str = ""
    pushed: bool = True

    def document(self) -> dict[str, Any]:
        """Return it as JSON types: in Artifactory's wrapper, with our own keys beside it."""
        beside = {"push": "confirmed" if self.pushed else _BEGUN, "server": self.server}
        return {"buildInfo": self.info.document(), "buildpush": beside}


def save(pending: Pending, directory: Path) -> Path:
    """Write *pending* into *directory*, for its owner only, whole or not at all, and return the file.

    The same run always has the same file.

    Raises:
        OSError: it cannot be written.
        SettingsError: others could replace the directory.
    """
    if not directory.is_dir():
        private_directory(directory)
    path = directory / file_name(pending.info)
    write_private(path, _text(pending))
    return path


def load(path: Path) -> Pending:
    """Return what was saved in *path*; for a bare build-info, the push is assumed to be confirmed.

    Raises:
        SourceError: the file cannot be read, or is not a build-info.
    """
    info, document = BuildInfo.load(path), load_json(path)
    beside = document.get("buildpush")
    fields: Mapping[str, Any] = beside if isinstance(beside, Mapping) else {}
    return Pending(info, str(fields.get("server") or ""), fields.get("push") != _BEGUN)


class Claim:
    """The file of a running run, locked until the run ends, so that others see that it is running.

    Args:
        directory: private; it must exist.
    """

    def __init__(self, directory: Path) -> None:
        self.path: Path | None = None
        self._directory = directory
        self._held: int | None = None

    def write(self, pending: Pending) -> Path:
        """Write *pending* over what was there.

        Raises:
            OSError: it cannot be written; what was there stays.
        """
        path = self._directory / file_name(pending.info)
        held = write_held(path, _text(pending))
        self.close()
        self.path, self._held = path, held
        return path

    def remove(self) -> None:
        """Remove the file: nothing is pending any more."""
        if self.path:
            self.path.unlink(missing_ok=True)
        self.path = None

    def close(self) -> None:
        """Close the file, and keep it."""
        held, self._held = self._held, None
        if held is not None:
            os.close(held)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def left_behind(directory: Path) -> Iterator[tuple[Path, Pending]]:
    """Yield what unfinished runs left, ordered by name; each is locked while it is looked at."""
    for path in sorted(directory.glob("*.json")):
        try:
            with locked(path, wait=False) as free:
                if free:
                    yield path, load(path)
        except (OSError, SourceError):
            continue  # removed meanwhile, or not written by us


def file_name(info: BuildInfo) -> str:
    """Return the name of the file of a run, readable and unique."""
    words = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{info.project or 'default'}-{info.name}-{info.number}")[:_LONGEST]
    whole = hashlib.sha256(json.dumps([info.project, info.name, info.number]).encode()).hexdigest()
    return f"{words.lstrip('.')}-{info.timestamp}-{whole[:8]}.json"


def _text(pending: Pending) -> str:
    return json.dumps(pending.document(), indent=2) + "\n"

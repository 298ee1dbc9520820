"""Build-infos that are not published yet, one file each: written before the push, removed once they are published."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from buildpush.artifactory.document import BuildInfo
from buildpush.artifactory.merging import merge
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
        server: address of the Artifactory that it is for, or ``""`` if unknown.
        pushed: whether the registry confirmed the push; otherwise its outcome is unknown.
    """

    info: BuildInfo
    server: str = ""
    pushed: bool = True

    def document(self) -> dict[str, Any]:
        """Return it as JSON types: in Artifactory's wrapper, beside which are our own keys."""
        our_keys = {"push": "confirmed" if self.pushed else _BEGUN, "server": self.server}
        return {"buildInfo": self.info.document(), "buildpush": our_keys}


def save(pending: Pending, directory: Path) -> Path:
    """Write *pending* into *directory*, for its owner only, whole or not at all, and return its path.

    It is the same path each time for the same run.

    Raises:
        OSError: it cannot be written.
        SettingsError: others could replace the directory.
    """
    if not directory.is_dir():
        private_directory(directory)
    path = directory / file_name(pending.info)
    write_private(path, _text(pending))
    return path


def merged(parts: Sequence[Pending]) -> Pending:
    """Return *parts*, all of one build, as one; its server is unknown unless all that name one name the same."""
    servers = {one.server for one in parts if one.server}
    server = servers.pop() if len(servers) == 1 else ""
    return Pending(merge([one.info for one in parts]), server, all(one.pushed for one in parts))


def load(path: Path) -> Pending:
    """Return the build-info saved in *path*; for a bare one, the push is assumed to be confirmed.

    Raises:
        SourceError: the file cannot be read, or is not a build-info.
    """
    info = BuildInfo.load(path)
    _, pushed, server = beside(load_json(path))
    return Pending(info, server, pushed)


def beside(document: Any) -> tuple[Any, bool, str]:
    """Return the build-info in *document*, which may be in a wrapper, whether its push is confirmed, and its server."""
    wrapper: Mapping[str, Any] = document if isinstance(document, Mapping) else {}
    ours = wrapper.get("buildpush")
    fields: Mapping[str, Any] = ours if isinstance(ours, Mapping) else {}
    inner = wrapper["buildInfo"] if isinstance(wrapper.get("buildInfo"), Mapping) else document
    return inner, fields.get("push") != _BEGUN, str(fields.get("server") or "")


class Claim:
    """The pending build-info of a run, in a file that is locked until the run ends, so that others leave it alone.

    Args:
        directory: a private directory, which must exist.
    """

    def __init__(self, directory: Path) -> None:
        self.path: Path | None = None
        self._directory = directory
        self._held: int | None = None

    def write(self, pending: Pending) -> Path:
        """Write *pending*, in place of an earlier one.

        Raises:
            OSError: it cannot be written; the earlier one stays.
        """
        path = self._directory / file_name(pending.info)
        held = write_held(path, _text(pending))
        self.close()
        self.path, self._held = path, held
        return path

    def remove(self) -> None:
        """Remove the file, since nothing is pending any more."""
        if self.path:
            self.path.unlink(missing_ok=True)
        self.path = None

    def close(self) -> None:
        """Unlock the file, and keep it."""
        held, self._held = self._held, None
        if held is not None:
            os.close(held)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def left_behind(directory: Path) -> Iterator[tuple[Path, Pending]]:
    """Yield the files and build-infos of runs that did not finish, by file name; each is locked while it is yielded."""
    for path in sorted(directory.glob("*.json")):
        try:
            with locked(path, wait=False) as free:
                if free:
                    yield path, load(path)
        except (OSError, SourceError):
            continue  # removed meanwhile, or not one of our files


def file_name(info: BuildInfo) -> str:
    """Return a readable and unique file name for a run."""
    words = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{info.project or 'default'}-{info.name}-{info.number}")[:_LONGEST]
    whole = hashlib.sha256(json.dumps([info.project, info.name, info.number]).encode()).hexdigest()
    return f"{words.lstrip('.')}-{info.timestamp}-{whole[:8]}.json"


def _text(pending: Pending) -> str:
    return json.dumps(pending.document(), indent=2) + "\n"

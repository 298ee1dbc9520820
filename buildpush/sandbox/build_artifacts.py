"""The files that a build names: found by path and repository, else by its properties, and always by checksum."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from buildpush.foundation.records import dataclass
from buildpush.sandbox.entries import BuildEntry, FileEntry
from buildpush.sandbox.permissions import Caller
from buildpush.sandbox.store import Store

_CHECKSUMS = ("sha1", "md5", "sha256")
FindFiles = Callable[[Mapping[str, Any]], list[FileEntry]]


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """Files of a build, each once, and the names of those that were not found."""

    entries: tuple[FileEntry, ...]
    missing: tuple[str, ...]


class BuildFiles:
    """Finds the files of a run.

    Args:
        store: has the files.
        run: names them.
        who: may read them; other files are not found.
        repositories: keys of those to look in; ``None`` for all.
    """

    def __init__(self, store: Store, run: BuildEntry, who: Caller, repositories: Collection[str] | None = None) -> None:
        self._store = store
        self._run = run
        self._who = who
        self._repositories = repositories

    def artifacts(self) -> FoundFiles:
        """Return what the build made."""
        return _collected(_named(self._run, "artifacts"), self._artifact)

    def dependencies(self, scopes: Collection[str] = ()) -> FoundFiles:
        """Return what the build used, in any of these scopes; without any, in all."""
        named = _named(self._run, "dependencies")
        used = (one for one in named if not scopes or set(scopes).intersection(_texts(one.get("scopes"))))
        return _collected(used, self._dependency)

    def marked(self, entry: FileEntry, *, exactly: bool = False) -> bool:
        """Return whether a file has the properties of the build's name and number, and if *exactly*, of this run."""
        properties = self._store.properties(entry.repo, entry.path)
        expected = {"build.name": self._run.name, "build.number": self._run.number}
        run = {"build.timestamp": str(self._run.started_ms)} if exactly else {}
        return all(value in properties.get(key, ()) for key, value in (expected | run).items())

    def _artifact(self, artifact: Mapping[str, Any]) -> list[FileEntry]:
        repo, path = artifact.get("originalDeploymentRepo"), artifact.get("path")
        at_path = self._store.file(str(repo), str(path)) if repo and path else None
        if at_path and self._fits(at_path, artifact):
            return [at_path]
        marked = [entry for entry in self._same_content(artifact) if self.marked(entry)]
        return [entry for entry in marked if entry.path == path] or marked

    def _dependency(self, dependency: Mapping[str, Any]) -> list[FileEntry]:
        return self._same_content(dependency)[:1]

    def _same_content(self, named: Mapping[str, Any]) -> list[FileEntry]:
        return [entry for entry in self._store.files_by_sha1(str(named.get("sha1"))) if self._fits(entry, named)]

    def _fits(self, entry: FileEntry, named: Mapping[str, Any]) -> bool:
        """Return whether a file has the checksums that the build names, and is where it is looked for."""
        given = {key: named[key] for key in _CHECKSUMS if named.get(key)}
        is_inside = self._repositories is None or entry.repo in self._repositories
        same = bool(given) and all(getattr(entry.checksums, key) == value for key, value in given.items())
        return same and is_inside and self._who.may("read", entry.repo)


def _named(run: BuildEntry, key: str) -> Iterator[Mapping[str, Any]]:
    for module in run.document.get("modules") or ():
        listed = module.get(key)
        yield from (one for one in (listed if isinstance(listed, list) else ()) if isinstance(one, dict))


def _collected(named: Iterator[Mapping[str, Any]], find: FindFiles) -> FoundFiles:
    found: dict[tuple[str, str], FileEntry] = {}
    missing = []
    for one in named:
        entries = find(one)
        found.update({(entry.repo, entry.path): entry for entry in entries})
        missing += [] if entries else [str(one.get("path") or one.get("name") or one.get("id"))]
    return FoundFiles(tuple(found.values()), tuple(missing))


def _texts(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []

"""What differs between two runs: images, layers, base, environment, sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final, NamedTuple

from buildpush.artifactory.document import MANIFESTS, Artifact, BuildInfo, Module, started_text
from buildpush.display.tables import Table, shows_itself
from buildpush.foundation.records import dataclass
from buildpush.foundation.text import one_line

_SHOWN: Final = 19  # characters of a digest: sha256: and twelve


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs.

    Attributes:
        part: ``module``, ``manifest``, ``config``, ``layer``, ``file``, ``base``, ``property``, ``environment``,
            ``source`` or ``issue``.
        name: of the file, the variable, or the repository of the sources; key of the issue.
        old: what the earlier run has there: digest, value, revision or summary; ``""`` for nothing, as in *new*.
        module: id of the module in the later run, or in the earlier one, if it is gone; ``""`` outside modules.
    """

    part: str
    name: str
    old: str = ""
    new: str = ""
    module: str = ""

    @property
    def kind(self) -> str:
        """``added``, ``removed`` or ``changed``."""
        return "changed" if self.old and self.new else "added" if self.new else "removed"


@shows_itself
@dataclass(frozen=True, slots=True)
class BuildDifference:
    """The difference between two runs; it shows itself in a terminal and a notebook.

    Attributes:
        old, new: name, number and start of the runs.
        same: how many files both have.
    """

    old: str
    new: str
    changes: tuple[Change, ...]
    same: int

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        changes = [{"kind": change.kind, **asdict(change)} for change in self.changes]
        return {"old": self.old, "new": self.new, "sameFiles": self.same, "changes": changes}

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """Return the kind, part, module, name, and value of each change as text."""
        return [
            (one.kind, one.part, one_line(one.module), _name(one.name), _value(one.old, one.new))
            for one in self.changes
        ]

    def __str__(self) -> str:
        head = f"from {one_line(self.old)}\nto   {one_line(self.new)}"
        lines = ("  ".join((_SIGNS[row[0]], f"{row[1]:<11}", *filter(None, row[2:]))) for row in self.rows())
        return "\n".join((head, *lines, f"{self.same} files are the same"))

    def tables(self) -> Iterator[Table]:
        """Yield what a notebook shows."""
        caption = f"from {self.old} to {self.new}; {self.same} files are the same"
        yield Table(self.rows() or [("none", "", "", "", "")], ("change", "part", "module", "name", "value"), caption)


_SIGNS: Final = {"added": "+", "removed": "-", "changed": "~"}


def difference(old: BuildInfo, new: BuildInfo) -> BuildDifference:
    """Return what differs between the runs *old* and *new*, which may be of two builds.

    Modules belong together that have the same id or, where a tag is part of it, the same id before the tag.
    """
    pairs = list(_pairs(old.modules, new.modules))
    changes = [change for pair in pairs for change in _of_modules(*pair)]
    changes += _of_values("environment", old.environment, new.environment)
    changes += _of_values("source", {v.url: v.revision for v in old.vcs}, {v.url: v.revision for v in new.vcs})
    changes += _of_values("issue", _issues(old), _issues(new))
    kept = {file.sha256 for file in old.artifacts} & {file.sha256 for file in new.artifacts} - {""}
    return BuildDifference(_title(old), _title(new), tuple(changes), len(kept))


def _issues(info: BuildInfo) -> dict[str, str]:
    """Return the summary of each issue by its key; a key without a summary stands for itself."""
    return {issue.key: issue.summary or issue.key for issue in info.issues.affected}


def _title(info: BuildInfo) -> str:
    return f"{info.name} {info.number} ({started_text(info.started)})"


def _pairs(old: Iterable[Module], new: Iterable[Module]) -> Iterator[tuple[Module | None, Module | None]]:
    """Yield the modules that belong together; ``None`` stands for one that a run does not have."""
    waiting = {module.id: module for module in old}
    fresh = list(new)
    exact = {module.id: waiting.pop(module.id) for module in fresh if module.id in waiting}
    for module in fresh:
        yield exact.get(module.id) or _take(waiting, module.id.rpartition(":")[0]), module
    for module in waiting.values():
        yield module, None


def _take(waiting: dict[str, Module], stem: str) -> Module | None:
    """Remove and return the only module whose id is *stem* and a tag."""
    found = [key for key in waiting if stem and key.rpartition(":")[0] == stem]
    return waiting.pop(found[0]) if len(found) == 1 else None


class _File(NamedTuple):
    """A file by what it is for: two of the same part and name are versions of one."""

    part: str
    name: str
    sha256: str


def _files(module: Module) -> list[_File]:
    base = [_File("base", dependency.id, dependency.sha256) for dependency in module.dependencies]
    of_base = {file.sha256 for file in base}  # an image lists the layers of its base in both ways
    own = [_file(module, file) for file in module.artifacts if file.sha256 not in of_base]
    return own + base


def _file(module: Module, file: Artifact) -> _File:
    if module.type != "docker":
        return _File("file", file.path or file.name, file.sha256)
    if file.name in MANIFESTS:
        return _File("manifest", file.name, file.sha256)
    if file.sha256 and file.sha256 == module.properties.get("docker.image.id", "").removeprefix("sha256:"):
        return _File("config", "", file.sha256)
    return _File("layer", file.name, file.sha256)


def _of_modules(old: Module | None, new: Module | None) -> Iterator[Change]:
    module = new or old
    if module is None:
        return
    if old is None or new is None:
        yield Change("module", module.id, old.id if old else "", new.id if new else "", module.id)
        return
    before, after = ({(file.part, file.name): file.sha256 for file in _files(one)} for one in (old, new))
    for part, name in sorted(before.keys() | after.keys(), key=lambda key: (_PARTS.index(key[0]), key[1])):
        sums = (before.get((part, name), ""), after.get((part, name), ""))
        if sums[0] != sums[1]:
            digests = [f"sha256:{text}" if text else "" for text in sums]
            yield Change(part, name, digests[0], digests[1], module.id)
    ours = {"docker.image.id"}
    kept = ({key: value for key, value in one.properties.items() if key not in ours} for one in (old, new))
    yield from _of_values("property", *kept, module=module.id)


_PARTS: Final = ("manifest", "config", "layer", "file", "base")


def _of_values(part: str, old: Mapping[str, str], new: Mapping[str, str], *, module: str = "") -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name, ""), new.get(name, "")
        if before != after:
            yield Change(part, name, before, after, module)


def _value(old: str, new: str) -> str:
    words = [one_line(text[:_SHOWN] if text.startswith("sha256:") else text) for text in (old, new) if text]
    return " -> ".join(words)


def _name(text: str) -> str:
    """Return the name of a file; a layer is named by its digest, whose beginning is enough."""
    return one_line(text)[: _SHOWN + 1] if text.startswith("sha256__") else one_line(text)

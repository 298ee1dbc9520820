"""What somebody can see of a command line: printed, sent, written, built, waited for; and how settings are said."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from buildpush.cli import run_command
from buildpush.settings.declare import Setting, settings_of, variable_name
from buildpush.settings.stepkinds import BUILD, StepKind

_CHANGING = re.compile(
    r"\d+\.\d+ ?s\b|\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-][\d:]+)?|uploads/[0-9a-f]{32}|(?<![0-9a-f])\d{13}\b|(?<=%3D)\d{13}"
    r"|once, at|\d+ times?, last at|\d{8}T\d{6}\.\d{6}"
)
_TIMES = frozenset({"seconds", "traffic", "durationMillis", "started"})
_SAID = "settings"  # that a plan repeats what was said shows no effect


@dataclass(frozen=True)
class Seen:
    """What somebody can see of one call.

    Attributes:
        code: exit code.
        told: lines of stderr.
        document: what stdout says.
        wire: requests that the server got.
        files: digests of the files that are there afterwards.
        builds: build-infos.
        doors: what reached the doors to engines, connections and limits.
    """

    code: int
    told: tuple[str, ...]
    document: Any
    wire: tuple[str, ...]
    files: Mapping[str, str]
    builds: Any
    doors: tuple[str, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """Notes and errors, wherever they stand."""
        steps = self.document.get("steps", []) if isinstance(self.document, dict) else []
        return (*self.told, *(note for step in steps for note in step.get("notes", [])))

    def names(self, *names: str) -> bool:
        """Return whether a note or an error has one of *names*."""
        words = re.compile("|".join(rf"\b{name}\b" for name in names))
        return any(words.search(line) for line in self.lines)


@dataclass
class Stage:
    """Where commands are run.

    Attributes:
        directory: the working directory.
        box: the server.
        capsys: of pytest.
        web: address of a server that is no registry and no Artifactory.
    """

    directory: Path
    box: Any
    capsys: Any
    web: str
    doors: list[str] = field(default_factory=list)

    def filled(self, value: Any) -> Any:
        """Return *value* with the addresses of this stage."""
        if isinstance(value, Mapping):
            return {key: self.filled(one) for key, one in value.items()}
        if isinstance(value, str):
            return value.format(
                host=self.box.host, user=self.box.username, web=self.web, port=self.box.host.rpartition(":")[2]
            )
        return [self.filled(one) for one in value] if isinstance(value, list) else value

    def see(self, words: Sequence[str]) -> Seen:
        """Run one command line, and return what can be seen of it."""
        self.box._journal._requests.clear()  # to read all requests again and again takes long
        builds, self.doors = len(self.box.builds()), []
        self.capsys.readouterr()
        code = run_command(self.filled(list(words)))
        shown = self.capsys.readouterr()
        wire = tuple(sorted({self._plain(f"{one} {one.username}") for one in self.box.requests}))
        return Seen(
            code,
            tuple(self._plain(line) for line in shown.err.splitlines() if _counts(line)),
            self._document(shown.out),
            wire,
            self._files(),
            self._builds(builds),
            tuple(sorted(set(self.doors))),
        )

    def _plain(self, text: str) -> str:
        return _CHANGING.sub("*", text.replace(self.box.host, "HOST"))

    def _document(self, text: str) -> Any:
        try:
            return _without_times(json.loads(self._plain(text)))
        except ValueError:
            return self._plain(text)

    def _files(self) -> dict[str, str]:
        found = {}
        for path in sorted((self.directory / "out").rglob("*")):
            if path.is_file():
                found[str(path.relative_to(self.directory))] = hashlib.sha256(path.read_bytes()).hexdigest()
                path.unlink()
        return found

    def _builds(self, before: int) -> Any:
        """Return the build-infos that were published just now."""
        new = self.box.builds()[: len(self.box.builds()) - before]
        return json.loads(self._plain(json.dumps([_without_times(one) for one in new], default=str)))


def spelled(kind: StepKind, values: Mapping[str, Any], directory: Path, *, in_file: bool) -> list[str]:
    """Return the words that say *values*: flags where there are some, else a file, or also one that says nothing."""
    settings = {one.name: one for one in settings_of(kind.model)}
    by_flag = {name for name in values if kind is BUILD and settings[name].flags}
    words = [word for name in sorted(by_flag) for word in _flags(settings[name], values[name])]
    if not in_file:
        return words
    return [
        _file(kind, [(settings[name], value) for name, value in values.items() if name not in by_flag], directory),
        *words,
    ]


def _flags(setting: Setting, value: Any) -> list[str]:
    if value is None:
        return []
    if setting.kind == "switch" and value in (True, False):
        return [setting.flags[0] if value else str(setting.negative_flag)]
    return [f"{setting.flags[0]}={text}" for text in _entries(value)]


def _entries(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{key}={text}" for key, text in value.items()]
    return [str(one) for one in value] if isinstance(value, (list, tuple)) else [str(value)]


def _file(kind: StepKind, values: Sequence[tuple[Setting, Any]], directory: Path) -> str:
    """Write a step file; JSON is YAML."""
    places: dict[str, dict[str, Any]] = {"step": {}, "spec": {}, "env": {}, "settings": {}}
    for setting, value in values:
        key = variable_name(setting.name) if setting.place == "env" else setting.key
        places[setting.place][key] = ",".join(_entries(value)) if setting.place == "env" else _text(value)
    spec = places["spec"]
    if kind.image:
        spec |= {"image": kind.image, "settings": places["settings"]}
    if places["env"]:
        spec["envVariables"] = places["env"]
    path = directory / "step.yml"
    path.write_text(json.dumps({"step": {"type": kind.type, **places["step"], "spec": spec}}), encoding="utf-8")
    return path.name


def _text(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _text(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_text(one) for one in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


def _counts(line: str) -> bool:
    """Return whether a line of stderr tells more than how far something is."""
    return line.startswith(("note", "error", "hint", "not run")) or line.partition("s  ")[2].startswith("note: ")


def _without_times(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_times(one) for key, one in value.items() if key not in _TIMES | {_SAID}}
    return [_without_times(one) for one in value] if isinstance(value, (list, tuple)) else value

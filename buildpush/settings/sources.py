"""Where settings come from: step files, project files, variables, flags, Python; and the only door to YAML.

Flags beat Python keywords beat our variables beat the step file (its ``envVariables`` above the rest) beat the
project file beat other tools' variables beat the defaults.
"""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from buildpush.errors import SourceError
from buildpush.settings.declare import Setting, camel_case, settings_of
from buildpush.settings.decode import shown_as
from buildpush.settings.encoders import to_flags, to_python, to_variables, to_yaml
from buildpush.settings.keywords import check_names, check_used, python_layer
from buildpush.settings.layers import Layer, merge
from buildpush.settings.model import BUILD_STEP, STEP_KINDS, BuildAndPush, PublishBuildInfo
from buildpush.settings.stepfile import Found, find_steps, nearest, refuse_rulers, reject, step_layers
from buildpush.settings.toml import parse_project_toml
from buildpush.settings.typed import typed
from buildpush.settings.variables import ambient_layer, known_variables, unknown_variables, variable_layer
from buildpush.settings.written import Loaded, Node, Origin, Raw, Written, WrittenStep

__all__ = [
    "Loaded",
    "Node",
    "Origin",
    "Raw",
    "Written",
    "WrittenStep",
    "parse_yaml",
    "read",
    "read_yaml",
    "to_flags",
    "to_python",
    "to_variables",
    "to_yaml",
    "typed",
]

LARGEST_FILE = 1 << 20
DEEPEST = 64
PIPE_SECONDS = 60.0
MOST_ALIASES = 100
MOST_NODES = 100_000
_CORE_TAGS = tuple(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq"))
_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})


StepModel = type[BuildAndPush | PublishBuildInfo]


@dataclass(frozen=True, slots=True)
class _Said:
    """What is said outside the step file."""

    env: Mapping[str, str]
    flags: Mapping[str, Any]
    keywords: Mapping[str, Any]
    project: Node | None


def read(
    file: Path | None,
    *,
    env: Mapping[str, str],
    flags: Mapping[str, Any],
    keywords: Mapping[str, Any],
    cwd: Path,
    step: str | None,
) -> Loaded:
    """Return the steps to run with their settings as written, each with who said it.

    Args:
        file: the step file, relative to *cwd*; ``None`` makes one build step of everything else.
        env: the process's environment.
        flags: by Python name, values as click gives them; ``None`` and ``()`` say nothing.
        keywords: by Python name; ``None`` says nothing.
        cwd: where the search for the project file begins; it ends at the root of the repository.
        step: identifier or name of the only step to run.

    Raises:
        SourceError: something cannot be read, an unknown key or name, one setting said twice, no step to run.
        SecretError: a secret stands in a file, flag or keyword as plain text.
        UnsupportedError: a step stands under a condition or loop and was not chosen by *step*.
    """
    project_path, project = find_project(cwd)
    check_names(flags, "flag")
    check_names(keywords, "setting")
    if file is None and step is not None:
        message = f"the step {step!r} is one of a file, and no file is named"
        raise SourceError(message, where="--step", hint="name the file that holds it")
    said = _Said(env, flags, keywords, project)
    notes = [_unknown_note(name) for name in unknown_variables(env)]
    if file is None:
        steps: list[WrittenStep] = [_step_without_file(said, notes)]
        others: list[str] = []
    else:
        chosen, rest = _choose(find_steps(read_yaml(cwd / file, str(file))), file, step)
        steps = [_written_step(found, said, notes, chosen_by_name=step is not None) for found in chosen]
        others = [found.about for found in rest]
    check_used(flags, keywords, steps)
    return Loaded(tuple(steps), tuple(others), tuple(dict.fromkeys(notes)), file, project_path)


def find_project(cwd: Path) -> tuple[Path | None, Node | None]:
    """Return the nearest ``buildpush.yaml`` or ``pyproject.toml`` with ``[tool.buildpush]``, and what it says.

    The search goes up to the folder that holds ``.git``; outside a repository only *cwd* is looked at.

    Raises:
        SourceError: a folder has both, or one cannot be read.
    """
    folders = [cwd, *cwd.parents]
    root = next((position for position, folder in enumerate(folders) if (folder / ".git").exists()), 0)
    for folder in folders[: root + 1]:
        found = [(path, node) for path in _project_files(folder) if (node := _read_project(path, cwd))]
        if len(found) > 1:
            message = f"{found[0][0].name} and {found[1][0].name} both hold settings"
            raise SourceError(message, where=str(folder), hint="keep one of them")
        if found:
            return found[0]
    return None, None


def _project_files(folder: Path) -> list[Path]:
    paths = [folder / "buildpush.yaml", folder / "pyproject.toml"]
    return [path for path in paths if path.is_file()]


def _read_project(path: Path, cwd: Path) -> Node | None:
    name = os.path.relpath(path, cwd)
    if path.suffix == ".toml":
        return parse_project_toml(read_text(path, name), name)
    return read_yaml(path, name)


def _choose(found: list[Found], file: Path, step: str | None) -> tuple[list[Found], list[Found]]:
    """Return the steps to run, and the others."""
    known = [one for one in found if one.model]
    if not known:
        raise _no_step(found, file)
    if step is None:
        return known, [one for one in found if not one.model]
    chosen = [one for one in known if step in {one.identifier, one.name}]
    if not chosen:
        reject("step", step, [one.identifier for one in known], str(file))
    if len(chosen) > 1:
        message = f"two steps are called {step!r}, here and in {chosen[1].node.where}"
        raise SourceError(message, where=chosen[0].node.where, hint="give each its own identifier")
    return chosen, [one for one in found if one is not chosen[0]]


def _no_step(found: list[Found], file: Path) -> SourceError:
    message = "there is no step in it that buildpush runs"
    hint = f"it runs {BUILD_STEP}"
    if found:
        message += f", only {', '.join(one.about for one in found)}"
        if any(nearest(one.kind, STEP_KINDS) for one in found):
            hint = f"did you mean type: {BUILD_STEP}?"
    return SourceError(message, where=str(file), hint=hint)


def _written_step(found: Found, said: _Said, notes: list[str], *, chosen_by_name: bool) -> WrittenStep:
    if not chosen_by_name:
        refuse_rulers(found)
    variables, settings, about = step_layers(found)
    notes += found.around.notes
    notes += about
    written = _merged(found.model or BuildAndPush, said, [variables, settings], notes)
    return WrittenStep(found.identifier, found.name, found.kind, written, found.node.where, found.facts)


def _step_without_file(said: _Said, notes: list[str]) -> WrittenStep:
    settings = _merged(BuildAndPush, said, [], notes)
    return WrittenStep("build_and_push", "Build and push", BUILD_STEP, settings, "flags and variables")


def _merged(model: StepModel, said: _Said, file: list[Layer], notes: list[str]) -> Mapping[str, Written]:
    layers = [
        python_layer(model, said.flags, "flag"),
        python_layer(model, said.keywords, "keyword"),
        variable_layer(model, said.env, notes),
        *file,
        _project_layer(model, said.project),
        ambient_layer(model, said.env),
    ]
    return merge(layers, frozenset(setting.name for setting in settings_of(model)))


def _project_layer(model: StepModel, project: Node | None) -> Layer:
    layer = Layer()
    if project is None or project.value is None:
        return layer
    if not isinstance(project.value, Mapping):
        message = "a project file is a map of settings"
        raise SourceError(message, where=project.where, hint="write KEY: VALUE lines")
    known = {key for kind in STEP_KINDS.values() for key in _project_keys(kind)}
    for key in project.value:
        if key not in known:
            reject("key", key, known, project.where_key(key))
    for key, setting in _project_keys(model).items():
        if (node := project.at(key)) and node.value is not None:
            raw = node.raw()
            origin = Origin("project", project.where_key(key), shown_as(setting, raw), parts=dict(node.places()))
            layer.add(setting, raw, origin)
    return layer


def _project_keys(model: StepModel) -> dict[str, Setting]:
    return {
        camel_case(setting.name): setting
        for setting in settings_of(model)
        if setting.name != "env_variables" and (setting.place != "step" or setting.name == "timeout")
    }


def _unknown_note(name: str) -> str:
    near = nearest(name, known_variables(*STEP_KINDS.values()))
    return f"{name} has no effect: buildpush knows no such variable" + (f" (did you mean {near}?)" if near else "")


def read_yaml(path: Path, name: str | None = None) -> Node:
    """Return the document in the file at *path*; *name* stands for it in messages.

    Raises:
        SourceError: it cannot be read, is larger than 1 MiB, or is not plain YAML; with line and column.
    """
    return parse_yaml(read_text(path, name), name or str(path))


def read_text(path: Path, name: str | None = None) -> str:
    """Return the text of a settings file.

    Raises:
        SourceError: it is missing, unreadable, larger than 1 MiB or not UTF-8.
    """
    name = name or str(path)
    try:
        with _opened(path, name) as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        message = f"it cannot be read: {error.strerror}"
        raise SourceError(message, where=name, hint=_missing_hint(path)) from None
    if len(data) > LARGEST_FILE:
        message = "it is larger than 1 MiB"
        raise SourceError(message, where=name, hint="is this a step file?")
    return _decoded(data, name)


def _opened(path: Path, name: str) -> BinaryIO:
    """Return the file to read; a pipe, as of ``<(command)``, must begin to speak within a minute."""
    if not stat.S_ISFIFO(path.stat().st_mode):
        return path.open("rb")
    # Opened so, a pipe does not wait for somebody who writes into it.
    file = open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")  # noqa: PTH123, SIM115 - the caller closes it
    if select.select([file], [], [], PIPE_SECONDS)[0]:
        os.set_blocking(file.fileno(), True)
        return file
    file.close()
    message = f"it is a pipe, and nobody has written into it for {PIPE_SECONDS:g} seconds"
    raise SourceError(message, where=name, hint="name a file, or start what writes into it")


def parse_yaml(text: str, name: str) -> Node:
    """Return the document that *text* holds, without giving types to its scalars.

    Raises:
        SourceError: a syntax error, several documents, a duplicate key, a custom tag, too many aliases, or
            too deep; with line and column.
    """
    import ruamel.yaml.error as failures
    from ruamel.yaml import YAML

    try:
        return _Composer(YAML(typ="safe", pure=True).parse(text), name).document()
    except failures.MarkedYAMLError as error:
        raise _syntax_error(error, name) from None
    except (OverflowError, ValueError):  # from an escape such as "\\UFFFFFFFF"
        message = "an escape in it names no character"
        raise SourceError(message, where=name, hint="look for backslashes between double quotes") from None
    except failures.YAMLError as error:
        position = getattr(error, "position", 0)
        message = f"the character {text[position : position + 1]!r} is not allowed"
        raise SourceError(message, where=f"{name}:{_place(text, position)}", hint="write it as an escape") from None


def _missing_hint(path: Path) -> str:
    if path.is_dir():
        return "name the step file in this folder"
    return "check the path; it is relative to the folder you are in" if not path.exists() else "check its permissions"


def _decoded(data: bytes, name: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        message = "it is not UTF-8 text"
        raise SourceError(message, where=f"{name}:{line}:{column}", hint="save it as UTF-8") from None
    if "\0" in text:
        message = "it holds a NUL character"
        raise SourceError(message, where=f"{name}:{_place(text, text.index(chr(0)))}", hint="is this a text file?")
    return text


def _place(text: str, position: int) -> str:
    return f"{text.count(chr(10), 0, position) + 1}:{position - (text.rfind(chr(10), 0, position) + 1) + 1}"


def _syntax_error(error: Any, name: str) -> SourceError:
    mark = error.problem_mark or error.context_mark
    where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
    problem = error.problem or error.context or "this is not YAML"
    return SourceError(f"{problem}", where=where, hint=_syntax_hint(problem))


def _syntax_hint(problem: str) -> str:
    if "'\\t'" in problem:
        return "indent with blanks: YAML allows no tabs there"
    if "cannot start any token" in problem or "mapping values are not allowed" in problem:
        return "put the value in quotes"
    return "check indentation and quotes at this place, or one line above"


class _Composer:
    """Builds nodes from parser events, counting what could grow without bound."""

    def __init__(self, events: Iterator[Any], name: str) -> None:
        self.events = events
        self.name = name
        self.aliases = 0
        self.anchors: dict[str, Node | None] = {}

    def document(self) -> Node:
        """Return the only document."""
        node: Node | None = None
        for event in self.events:
            kind = type(event).__name__
            if kind in {"StreamStartEvent", "StreamEndEvent", "DocumentEndEvent", "CommentEvent"}:
                continue
            if kind != "DocumentStartEvent":
                node = self.node(event, 1)
            elif node is not None:
                self.fail(event, "a second document begins here", "keep one document per file")
        if node is None:
            message = "it is empty"
            raise SourceError(message, where=self.name, hint="write a step into it")
        return node

    def node(self, event: Any, depth: int) -> Node:
        kind = type(event).__name__
        if kind == "AliasEvent":
            return self.alias(event)
        if depth > DEEPEST:
            self.fail(event, f"this is nested deeper than {DEEPEST}", "is this a step file?")
        if event.tag and event.tag not in _CORE_TAGS:
            self.fail(event, "a tag has no meaning here", "leave out the word that begins with !")
        if event.anchor:
            self.anchors[event.anchor] = None
        compose = {"ScalarEvent": self.scalar, "SequenceStartEvent": self.sequence}.get(kind, self.mapping)
        node = compose(event, depth)
        if node.size > MOST_NODES:
            self.fail(event, "its aliases stand for too much", "write it out, or leave it out")
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def alias(self, event: Any) -> Node:
        self.aliases += 1
        if self.aliases > MOST_ALIASES:
            self.fail(event, f"there are more than {MOST_ALIASES} aliases", "write the values out")
        if event.anchor not in self.anchors:
            self.fail(event, f"there is no anchor &{event.anchor} above", f"define it, or quote '*{event.anchor}'")
        node = self.anchors[event.anchor]
        if node is None:
            self.fail(event, f"&{event.anchor} contains itself", "write it out")
        return node

    def scalar(self, event: Any, _depth: int) -> Node:
        plain = event.style is None and event.implicit[0]
        value = None if plain and event.value in _NOTHING else event.value
        return Node(value, self.name, event.start_mark.line + 1, event.start_mark.column + 1)

    def sequence(self, start: Any, depth: int) -> Node:
        items = []
        while type(event := next(self.events)).__name__ != "SequenceEndEvent":
            items.append(self.node(event, depth + 1))
        size = 1 + sum(item.size for item in items)
        return Node(tuple(items), self.name, start.start_mark.line + 1, start.start_mark.column + 1, size=size)

    def mapping(self, start: Any, depth: int) -> Node:
        entries: dict[str, Node] = {}
        keys: dict[str, tuple[int, int]] = {}
        merged: list[Node] = []
        while type(event := next(self.events)).__name__ != "MappingEndEvent":
            key = self.key(event)
            value = self.node(next(self.events), depth + 1)
            if key == "<<" and event.style is None:
                merged += self.merged(value)
                continue
            if key in entries:
                line = keys[key][0]
                self.fail(event, f"the key {key!r} stands here a second time", f"the first is in line {line}")
            entries[key] = value
            keys[key] = (event.start_mark.line + 1, event.start_mark.column + 1)
        for base in merged:
            keys = {**base.keys, **keys}
            entries = {**base.entries, **entries}
        size = 1 + sum(entry.size for entry in entries.values())
        line, column = start.start_mark.line + 1, start.start_mark.column + 1
        return Node(entries, self.name, line, column, keys, size)

    def key(self, event: Any) -> str:
        if type(event).__name__ != "ScalarEvent":
            self.fail(event, "a key must be text", "put it in quotes")
        if event.tag and event.tag not in _CORE_TAGS:
            self.fail(event, "a tag has no meaning here", "leave out the word that begins with !")
        return str(event.value)

    def merged(self, value: Node) -> list[Node]:
        bases = list(value.items) or [value]
        for base in bases:
            if not isinstance(base.value, Mapping):
                message = "<< takes a map, or a list of maps"
                raise SourceError(message, where=base.where, hint="name an anchor of a map: <<: *name")
        return bases

    def fail(self, event: Any, message: str, hint: str) -> NoReturn:
        mark = event.start_mark
        raise SourceError(message, where=f"{self.name}:{mark.line + 1}:{mark.column + 1}", hint=hint)

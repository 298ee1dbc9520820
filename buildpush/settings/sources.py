"""Where settings come from: step files, project files, variables, flags, Python; and the only door to YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from buildpush.errors import SourceError
from buildpush.settings.written import Loaded, Node, Origin, Raw, Written, WrittenStep

__all__ = ["Loaded", "Node", "Origin", "Raw", "Written", "WrittenStep", "parse_yaml", "read_yaml"]

LARGEST_FILE = 1 << 20
DEEPEST = 64
MOST_ALIASES = 100
MOST_NODES = 100_000
_CORE_TAGS = tuple(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq"))
_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})


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
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        message = f"it cannot be read: {error.strerror}"
        raise SourceError(message, where=name, hint=_missing_hint(path)) from None
    if len(data) > LARGEST_FILE:
        message = "it is larger than 1 MiB"
        raise SourceError(message, where=name, hint="is this a step file?")
    return _decoded(data, name)


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

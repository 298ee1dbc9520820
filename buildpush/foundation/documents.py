"""YAML files as trees of text, each value with its file and line; no other module imports ruamel.yaml."""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from io import StringIO
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TypeAlias, TypeVar

from buildpush.foundation.errors import SourceError
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.foundation.secrets import Secret

LARGEST_FILE = 1 << 20
DEEPEST = 64
PIPE_SECONDS = 60.0
MOST_ALIASES = 100
MOST_NODES = 100_000
_CORE_TAGS = tuple(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq"))
_SKIPPED_EVENTS = frozenset({"StreamStartEvent", "StreamEndEvent", "DocumentEndEvent", "CommentEvent"})
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
# Text that every YAML reader reads as text, even without quotes.
_PLAIN = regex(r"(?:[A-Za-z_/]|\./)[A-Za-z0-9_./-]*(?::[A-Za-z0-9_./-]+)*\Z")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})

_T = TypeVar("_T")


def read_yaml(path: Path, name: str | None = None) -> Node:
    """Return the document in the file at *path*; messages call it *name*.

    Raises:
        SourceError: it cannot be read, is larger than 1 MiB, or is not plain YAML; with line and column.
    """
    return parse_yaml(read_text(path, name), name or str(path))


def read_plain(path: Path, name: str) -> Any:
    """Return the document at *path* as plain types: numbers, switches and ``None`` as kubectl reads them.

    That is YAML 1.1, without dates: 0440 is an octal number. It is for documents of others; settings are text until
    their declaration reads them. Errors are those of :func:`read_yaml`.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import SafeConstructor

    class Constructor(SafeConstructor):
        """Leaves dates as they are written."""

    Constructor.add_constructor("tag:yaml.org,2002:timestamp", SafeConstructor.construct_yaml_str)
    text = read_text(path, name)
    parse_yaml(text, name)  # which refuses what is too large or too deep, and says where
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor, yaml.version = Constructor, (1, 1)
    return yaml.load(text)


def read_documents(path: Path, name: str) -> tuple[Node, ...]:
    """Return the documents in the file at *path*, one or several; errors are those of :func:`read_yaml`."""
    return _parsed(read_text(path, name), name, _Composer.documents)


def read_text(path: Path, name: str | None = None) -> str:
    """Return the text of a settings file.

    Raises:
        SourceError: it is missing, unreadable, larger than 1 MiB or not UTF-8.
    """
    name = name or str(path)
    try:
        with _open(path, name) as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        message = f"it cannot be read: {error.strerror}"
        raise SourceError(message, where=name, hint=_missing_hint(path)) from None
    if len(data) > LARGEST_FILE:
        message = "it is larger than 1 MiB"
        raise SourceError(message, where=name, hint="check that it is the right file")
    return _decoded(data, name)


def _open(path: Path, name: str) -> BinaryIO:
    """Return the file to read; a pipe, as of ``<(command)``, must give its first bytes within a minute."""
    if not stat.S_ISFIFO(path.stat().st_mode):
        return path.open("rb")
    # Opened without blocking, a pipe does not wait for a writer.
    file = open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")  # noqa: PTH123, SIM115 - the caller closes it
    if select.select([file], [], [], PIPE_SECONDS)[0]:
        os.set_blocking(file.fileno(), True)
        return file
    file.close()
    message = f"it is a pipe, and nothing was written to it for {PIPE_SECONDS:g} seconds"
    raise SourceError(message, where=name, hint="name a file, or start the program that writes to the pipe")


def parse_yaml(text: str, name: str) -> Node:
    """Return the document in *text*, with every scalar as text.

    Raises:
        SourceError: a syntax error, several documents, a duplicate key, a custom tag, too many aliases, or too
            deep a nesting; with line and column.
    """
    return _parsed(text, name, _Composer.document)


def structure_of(value: Raw, name: str) -> Raw:
    """Return the list or map that a text contains as JSON, or as YAML in brackets; any other value unchanged.

    Raises:
        SourceError: the text begins like one, but cannot be parsed; the message contains *name*.
    """
    if not isinstance(value, str) or value.strip()[:1] not in {"[", "{"}:
        return value
    structure = parse_yaml(value, name).raw()
    return value if isinstance(structure, str) else structure


def _parsed(text: str, name: str, compose: Callable[[_Composer], _T]) -> _T:
    import ruamel.yaml.error as failures
    from ruamel.yaml import YAML

    try:
        return compose(_Composer(YAML(typ="safe", pure=True).parse(text), name))
    except failures.MarkedYAMLError as error:
        raise _syntax_error(error, name) from None
    except (OverflowError, ValueError):  # from an escape such as "\\UFFFFFFFF"
        message = "an escape sequence in it is not a valid character"
        raise SourceError(message, where=name, hint="check the backslashes between double quotes") from None
    except failures.YAMLError as error:
        position = getattr(error, "position", 0)
        message = f"the character {text[position : position + 1]!r} is not allowed"
        raise SourceError(message, where=f"{name}:{_place(text, position)}", hint="write it as an escape") from None


def write_yaml(document: Mapping[str, Any]) -> str:
    """Return *document*, of maps, lists and text, as YAML that every reader understands in the same way."""
    from ruamel.yaml import YAML
    from ruamel.yaml.representer import SafeRepresenter

    class Representer(SafeRepresenter):
        """Writes text between double quotes where a reader could take it for another type."""

    def represent(representer: Any, text: str) -> Any:
        is_plain = _PLAIN.match(text) and text.lower() not in _WORDS
        return representer.represent_scalar("tag:yaml.org,2002:str", text, style=None if is_plain else '"')

    Representer.add_representer(str, represent)
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer, yaml.default_flow_style = Representer, False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 1 << 30
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()


def _missing_hint(path: Path) -> str:
    if os.path.isdir(path):  # noqa: PTH112 - those of Path raise for a name that is too long
        return "name a file in this directory"
    return (
        "check its permissions"
        if os.path.exists(path)  # noqa: PTH110
        else "check the path; it is relative to the directory you are in"
    )


def _decoded(data: bytes, name: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        message = "it is not UTF-8 text"
        raise SourceError(message, where=f"{name}:{line}:{column}", hint="save it as UTF-8") from None
    if "\0" in text:
        message = "it contains a NUL character"
        raise SourceError(
            message, where=f"{name}:{_place(text, text.index(chr(0)))}", hint="save it as text, or name another file"
        )
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
        return "indent with spaces: YAML does not allow tabs there"
    if "cannot start any token" in problem or "mapping values are not allowed" in problem:
        return "put the value in quotes"
    return "check indentation and quotes at this place, or one line above"


class _Composer:
    """Builds nodes from parser events, with a limit for everything that could grow without bound."""

    def __init__(self, events: Iterator[Any], name: str) -> None:
        self.events = events
        self.name = name
        self.aliases = 0
        self.anchors: dict[str, Node | None] = {}

    def document(self) -> Node:
        """Return the only document."""
        node: Node | None = None
        for start, document in self.parts():
            if node is not None:
                self.fail(start, "a second document begins here", "keep one document per file")
            node = document
        return node or self.empty()

    def documents(self) -> tuple[Node, ...]:
        """Return all documents, without empty ones if there are others."""
        nodes = tuple(node for _, node in self.parts())
        return tuple(node for node in nodes if node.value is not None) or nodes or (self.empty(),)

    def parts(self) -> Iterator[tuple[Any, Node]]:
        """Yield the first event of each document, and the document."""
        start: Any = None
        for event in self.events:
            kind = type(event).__name__
            if kind == "DocumentStartEvent":
                start = event
                self.anchors.clear()
            elif kind not in _SKIPPED_EVENTS:
                yield start, self.node(event, 1)

    def empty(self) -> NoReturn:
        message = "it is empty"
        raise SourceError(message, where=self.name, hint="write its content, or name another file")

    def node(self, event: Any, depth: int) -> Node:
        kind = type(event).__name__
        if kind == "AliasEvent":
            return self.alias(event)
        if depth > DEEPEST:
            self.fail(event, f"this is nested deeper than {DEEPEST}", "check that it is the right file")
        if event.tag and event.tag not in _CORE_TAGS:
            self.fail(event, "a tag has no meaning here", "remove the word that begins with !")
        if event.anchor:
            self.anchors[event.anchor] = None
        compose = {"ScalarEvent": self.scalar, "SequenceStartEvent": self.sequence}.get(kind, self.mapping)
        node = compose(event, depth)
        if node.size > MOST_NODES:
            self.fail(event, "its aliases expand to too many values", "use fewer aliases, or write the values out")
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
            self.fail(event, f"&{event.anchor} contains itself", f"remove '*{event.anchor}' from it")
        return node

    def scalar(self, event: Any, _depth: int) -> Node:
        plain = event.style is None and event.implicit[0]
        value = None if plain and event.value in _NULLS else event.value
        return Node(value, self.name, event.start_mark.line + 1, event.start_mark.column + 1)

    def sequence(self, start: Any, depth: int) -> Node:
        items = []
        while type(event := next(self.events)).__name__ != "SequenceEndEvent":
            items.append(self.node(event, depth + 1))
        size = 1 + sum(item.size for item in items)
        return Node(tuple(items), self.name, start.start_mark.line + 1, start.start_mark.column + 1, size=size)

    def mapping(self, start: Any, depth: int) -> Node:
        entries: dict[str, Node] = {}
        keys: dict[str, str] = {}
        merged: list[Node] = []
        while type(event := next(self.events)).__name__ != "MappingEndEvent":
            key = self.key(event)
            value = self.node(next(self.events), depth + 1)
            if key == "<<" and event.style is None:
                merged += self.merged(value)
                continue
            if key in entries:
                line = keys[key].rsplit(":", 2)[1]
                self.fail(event, f"the key {key!r} appears here a second time", f"the first is in line {line}")
            entries[key] = value
            keys[key] = f"{self.name}:{event.start_mark.line + 1}:{event.start_mark.column + 1}"
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
            self.fail(event, "a tag has no meaning here", "remove the word that begins with !")
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


Raw: TypeAlias = "str | Secret | list[Raw] | dict[str, Raw]"
Trail: TypeAlias = "tuple[str | int, ...]"


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a YAML or TOML document, and where it is written; scalars keep their source text.

    Attributes:
        value: text, the items of a list, or the entries of a map; ``None`` for nothing, ``~`` and ``null``.
        file: its path as the user wrote it.
        line: counts from 1, as does ``column``.
        keys: for a map, the place of every key, which may be in another file.
        size: number of nodes after its aliases are expanded, itself included.
    """

    value: str | tuple[Node, ...] | Mapping[str, Node] | None
    file: str
    line: int
    column: int
    keys: Mapping[str, str] = field(default_factory=dict)
    size: int = 1

    @property
    def where(self) -> str:
        """Where it is written, such as ``step.yml:7:3``."""
        return f"{self.file}:{self.line}:{self.column}"

    def where_key(self, key: str) -> str:
        """Return the place of a key of this map."""
        return self.keys[key]

    @property
    def entries(self) -> Mapping[str, Node]:
        """The entries of a map; empty for anything else."""
        return self.value if isinstance(self.value, Mapping) else {}

    @property
    def items(self) -> tuple[Node, ...]:
        """The items of a list; empty for anything else."""
        return self.value if isinstance(self.value, tuple) else ()

    @property
    def text(self) -> str:
        """The text of a scalar; empty for anything else."""
        return self.value if isinstance(self.value, str) else ""

    def at(self, *keys: str) -> Node | None:
        """Return the node that *keys* lead to through maps, or ``None``."""
        node: Node | None = self
        for key in keys:
            node = node.entries.get(key) if node else None
        return node

    def raw(self) -> Raw:
        """Return it as text, lists and dicts; null becomes the empty text."""
        if isinstance(self.value, Mapping):
            return {key: node.raw() for key, node in self.value.items()}
        if isinstance(self.value, tuple):
            return [node.raw() for node in self.value]
        return self.value or ""

    def places(self) -> Iterator[tuple[Trail, str]]:
        """Yield the path and place of every value inside this one."""
        inner: list[tuple[str | int, Node, str]] = []
        inner += [(key, node, self.where_key(key)) for key, node in self.entries.items()]
        inner += [(position, node, node.where) for position, node in enumerate(self.items)]
        for step, node, where in inner:
            yield (step,), where
            yield from (((step, *path), place) for path, place in node.places())

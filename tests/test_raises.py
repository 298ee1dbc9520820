"""``Raises:`` of the public API says what is raised: compared with a static look at every call that may be made.

A call is followed where its name leads to one function of the package, or its method is that of one class alone; what
a ``try`` around it catches is not counted. So this sees too little rather than too much.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import io
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Event, Thread

import pytest

import buildpush
from buildpush.foundation import errors

ROOT = Path(buildpush.__file__).parent
TREE = {name: one for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, Exception)}
MODULES = {
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): ast.parse(path.read_text())
    for path in ROOT.rglob("*.py")
    if not path.is_relative_to(ROOT / "sandbox")
}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def _functions() -> Iterator[tuple[str, Function]]:
    """Yield every function and method with its full name."""
    for module, tree in MODULES.items():
        for node in tree.body:
            if isinstance(node, Function):
                yield f"{module}.{node.name}", node
            elif isinstance(node, ast.ClassDef):
                yield from ((f"{module}.{node.name}.{one.name}", one) for one in node.body if isinstance(one, Function))


FUNCTIONS = dict(_functions())
METHODS: dict[str, list[str]] = {}
for full in FUNCTIONS:
    if full.rpartition(".")[0] not in MODULES:
        METHODS.setdefault(full.rpartition(".")[2], []).append(full)


# What a method of this name is asked of is more often one of Python's own.
STANDARD = {
    name
    for one in (str, bytes, dict, list, set, tuple, io.BytesIO, re.compile(""), re.match("", ""), Path, Thread, Event)
    for name in dir(one)
}


@cache
def names_in(module: str) -> dict[str, str]:
    """Return what the names of a module stand for, those that its functions import among them."""
    found = {full.rpartition(".")[2]: full for full in FUNCTIONS if full.rpartition(".")[0] == module}
    found |= {node.name: f"{module}.{node.name}" for node in MODULES[module].body if isinstance(node, ast.ClassDef)}
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


class Look:
    """What one function may raise, by the names of the classes in the tree of errors."""

    def __init__(self, full: str) -> None:
        self.owner = full.rpartition(".")[0]
        self.module = next(name for name in (self.owner, self.owner.rpartition(".")[0]) if name in MODULES)
        self.names = names_in(self.module)
        assigned = (node for node in ast.walk(FUNCTIONS[full]) if isinstance(node, ast.Assign))
        self.made = {_name(node.targets[0]): _name(getattr(node.value, "func", None)) for node in assigned}

    def block(self, nodes: list[ast.AST]) -> set[str]:
        return set().union(*(self.node(node) for node in nodes))

    def node(self, node: ast.AST) -> set[str]:
        if isinstance(node, ast.Try):
            return self.attempt(node)
        found = self.block(list(ast.iter_child_nodes(node)))
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call | ast.Name):
            found |= self.raised(node.exc)
        if isinstance(node, ast.Call):
            found |= set().union(*(raised(full) for full in self.targets(node.func)))
        return found

    def raised(self, node: ast.expr) -> set[str]:
        """Return what ``raise`` raises: a class, or what a function says that it returns."""
        if isinstance(node, ast.Name):
            made = {node.id} | {self.made.get(node.id, "")}
            return made & TREE.keys()
        if isinstance(node.func, ast.Name) and node.func.id in TREE:
            return {node.func.id}
        makers = (FUNCTIONS[full].returns for full in self.targets(node.func))
        return {maker.id for maker in makers if isinstance(maker, ast.Name)} & TREE.keys()

    def attempt(self, node: ast.Try) -> set[str]:
        caught = {name for handler in node.handlers for name in self.classes(handler.type)}
        inside = {name for name in self.block(node.body) if not any(issubclass(TREE[name], one) for one in caught)}
        again = [handler for handler in node.handlers if any(_is_bare(one) for one in ast.walk(handler))]
        inside |= {name for handler in again for one in self.classes(handler.type) for name in _named(one)}
        return inside | self.block([*node.handlers, *node.orelse, *node.finalbody])

    def classes(self, node: ast.expr | None) -> list[type]:
        names = [] if node is None else [one.id for one in ast.walk(node) if isinstance(one, ast.Name)]
        return [TREE.get(name) or getattr(builtins, name, ZeroDivisionError) for name in names]

    def targets(self, node: ast.expr) -> list[str]:
        """Return the functions that a call leads to."""
        if isinstance(node, ast.Name):
            return self.of(self.names.get(node.id, ""))
        if not isinstance(node, ast.Attribute):
            return []
        if isinstance(node.value, ast.Name):
            base = {"self": self.owner, "cls": self.owner}.get(node.value.id) or self.names.get(node.value.id, "")
            if found := self.of(f"{base}.{node.attr}"):
                return found
        alone = METHODS.get(node.attr, [])
        return alone if len(alone) == 1 and node.attr not in STANDARD else []

    def of(self, full: str) -> list[str]:
        return [one for one in (full, f"{full}.__init__", f"{full}.__post_init__") if one in FUNCTIONS]


def _name(node: ast.AST | None) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _is_bare(node: ast.AST) -> bool:
    return isinstance(node, ast.Raise) and (node.exc is None or isinstance(node.exc, ast.Name))


def _named(one: type) -> set[str]:
    return {name for name, known in TREE.items() if known is one}


UNDER_WAY: set[str] = set()


@cache
def raised(full: str) -> frozenset[str]:
    """Return what a function may raise, itself or through its calls."""
    if full in UNDER_WAY:
        return frozenset()
    UNDER_WAY.add(full)
    try:
        return frozenset(Look(full).block(FUNCTIONS[full].body))
    finally:
        UNDER_WAY.discard(full)


def _public() -> Iterator[str]:
    """Yield the full names of what docs/api.md lists."""
    page = (Path(__file__).parents[1] / "docs" / "api.md").read_text()
    for kind, name, options in re.findall(r"\.\. auto(module|class):: (\S+?)(?:\(\))?\n((?:   :.*\n)*)", page):
        module = import_module(name if kind == "module" else name.rpartition(".")[0])
        wanted = re.search(r":members:(.*)", options)
        listed = [one.strip() for one in wanted[1].split(",") if one.strip()] if wanted else []
        own = [one for one, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
        for one in [name.rpartition(".")[2]] if kind == "class" else listed or own:
            yield from _documented(getattr(module, one))


def _documented(one: object) -> Iterator[str]:
    home = f"{getattr(one, '__module__', '')}.{getattr(one, '__qualname__', '')}"
    if inspect.isfunction(one):
        yield home
    elif inspect.isclass(one) and one.__module__.startswith("buildpush."):
        yield from (f"{home}.{name}" for name in vars(one) if not name.startswith("_"))


PUBLIC = sorted({name for name in _public() if name in FUNCTIONS and not name.rpartition(".")[2].startswith("_")})


def documented(full: str) -> set[str]:
    """Return the errors of our tree that the docstring lists; one that refers to another function has its errors."""
    text = ast.get_docstring(FUNCTIONS[full]) or ""
    if same := re.search(r"errors\s+(?:are|is) those of :func:`(\w+)`", text):
        return documented(f"{full.rpartition('.')[0]}.{same[1]}")
    section = text.partition("Raises:\n")[2].partition("\n\n")[0]
    return {name for name in re.findall(r"^ {4}(\w+):", section, re.MULTILINE) if name in TREE}


@pytest.mark.parametrize("full", PUBLIC)
def test_what_is_raised_is_documented(full):
    listed = documented(full)
    missing = {name for name in raised(full) if not any(issubclass(TREE[name], TREE[one]) for one in listed)}
    assert not missing


@pytest.mark.parametrize("full", [name for name in PUBLIC if documented(name)])
def test_what_is_documented_is_raised(full):
    found = raised(full)
    unknown = {name for name in documented(full) if not any(issubclass(TREE[one], TREE[name]) for one in found)}
    assert not unknown

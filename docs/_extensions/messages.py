"""Every message that an error of ours may have, read from the code: its words, and what to do about it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

import buildpush
from buildpush.foundation import errors
from buildpush.reference.rendering import Rendering, literals

CODE = Path(buildpush.__file__).parent
GAP = "…"
# What to do where a message has no hint of its own, by the family of the error.
REMEDIES = {
    "BuildPushError": "see what the message says about this machine, such as a full disk, and run it again",
    "SettingsError": "correct what the message names; buildpush explain NAME says what a setting takes",
    "SourceError": "correct the file, variable or line that the message begins with",
    "ExpressionError": "buildpush explain '<+EXPRESSION>' FILE shows its value part by part",
    "SecretError": "write a reference, such as env:NAME or file:PATH, to a secret that is there",
    "BadNameError": "write it as HOST/REPOSITORY:TAG, in lower case up to the tag",
    "UnsupportedError": "leave the setting out, or choose an engine that honours it",
    "EngineMissingError": "install or start the engine, or choose another one; buildpush doctor says which can be used",
    "BuildError": "correct the instruction that the message names, or try another engine",
    "ClusterError": "see what the message says about the cluster; kubernetes.md lists what can go wrong there",
    "DockerfileError": "correct the line of the Dockerfile that the message begins with",
    "ContextError": "see whether the file is in the context, and whether .dockerignore leaves it out",
    "PushError": "run it again; what was confirmed is not sent again",
    "UnreachableError": "check name, proxy and certificates of the host: buildpush doctor asks it",
    "ElsewhereError": "check that this machine may reach the host that the registry names",
    "RegistryError": "see what the registry says, and whether the repository exists and accepts this account",
    "DigestError": "push or build it again; if it stays, something on the way or at the source changes bytes",
    "NotPushedError": "push the image again",
    "AuthenticationError": "give a user and a token that may do this; buildpush check says where the login comes from",
    "BuildInfoError": "publish again with the command that is printed; nothing is built or pushed again",
    "StrictError": "do what the note says, or leave out --strict",
    "UnverifiedError": "do not use the image; build or sign it again",
    "TimeOutError": "give it more time, or see which phase takes it",
    "CancelledError": "run the same command again: it goes on from what was confirmed",
}


@dataclass(frozen=True, order=True)
class Message:
    """The words of an error, with … where a value stands, and the hint beside them, empty if it has none."""

    text: str
    hint: str
    family: str


def messages(code: Path = CODE) -> tuple[Message, ...]:
    """Return every message that is written where an error is made, sorted by its words."""
    modules = [path for path in sorted(code.rglob("*.py")) if "sandbox" not in path.parts]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in modules]
    families = _families(trees)
    shared = dict(pair for tree in trees for pair in _constants(tree).items())
    written = (one for tree in trees for one in _in_module(tree, families, shared | _constants(tree)))
    found = {one for one in written if any(map(str.isalpha, one.text))}
    return tuple(sorted(found, key=lambda one: (one.text.lstrip(f"{GAP} '").lower(), one)))


def _families(trees: Iterable[ast.Module]) -> dict[str, str]:
    """Return the public error by the name of each error in the code: its own, or that which it is a kind of."""
    families = {name: name for name in REMEDIES} | {"BadValueError": "SettingsError"}  # raised as one later
    classes = (node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef) and node.bases)
    bases = {node.name: ast.unparse(node.bases[0]) for node in classes}
    for _ in bases:  # a base may come after its kinds
        found = {name: families[base] for name, base in bases.items() if base in families and name not in families}
        if not found:
            break
        families |= found
    return families


def _constants(tree: ast.Module) -> dict[str, ast.expr]:
    """Return the values that a module gives names to, outside functions."""
    assigned = [node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign) and node.value]
    return {
        ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target): node.value for node in assigned
    }


def _in_module(tree: ast.Module, families: Mapping[str, str], constants: Mapping[str, ast.expr]) -> Iterator[Message]:
    for function in _functions(tree):
        inside = list(ast.walk(function))
        assigned = [node for node in inside if isinstance(node, ast.Assign)]
        for call in inside:
            if isinstance(call, ast.Call) and call.args and (family := families.get(_name(call.func))):
                place = _Place(assigned, call.lineno, call.col_offset - len("raise "), constants)
                yield from _of(call, place, family)


def _functions(body: ast.Module | ast.ClassDef) -> Iterator[ast.AST]:
    """Yield the functions and methods of a module; those inside them are parts of them."""
    for node in body.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node)


def _name(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else ""


@dataclass(frozen=True)
class _Place:
    """Where a text is used: what its function assigns, on which line it is, and how far its statement is indented."""

    assignments: Sequence[ast.Assign]
    line: int
    indent: int
    constants: Mapping[str, ast.expr]

    def at(self, node: ast.stmt) -> _Place:
        """Return the place of another statement in the same function."""
        return _Place(self.assignments, node.lineno, node.col_offset, self.constants)

    def assigned(self, name: str) -> Iterator[ast.Assign]:
        """Yield what may have been assigned to *name* last: back to the last that no condition guards."""
        above = [each for each in self.assignments if each.lineno < self.line and _name(each.targets[0]) == name]
        for each in sorted(above, key=lambda each: -each.lineno):
            yield each
            if each.col_offset <= self.indent:
                return


def _of(call: ast.Call, place: _Place, family: str) -> Iterator[Message]:
    given = next((keyword.value for keyword in call.keywords if keyword.arg == "hint"), None)
    hint = " / ".join(dict.fromkeys(_texts(given, place)))
    for text in _texts(call.args[0], place):
        yield Message(text, hint, family)


def _texts(node: ast.expr | None, place: _Place) -> Iterator[str]:
    """Yield the texts that an expression may be."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(str(one.value) if isinstance(one, ast.Constant) else GAP for one in parts)
        case ast.IfExp(body=one, orelse=other):
            yield from (*_texts(one, place), *_texts(other, place))
        case ast.BoolOp(values=values):
            yield from (text for one in values for text in _texts(one, place))
        case ast.BinOp(left=left, right=right):
            ends = [*_texts(right, place)] or [GAP]
            yield from (begin + end for begin in [*_texts(left, place)] or [GAP] for end in ends)
        case ast.Name(id=name):
            found = [text for each in place.assigned(name) for text in _texts(each.value, place.at(each))]
            yield from found or _texts(place.constants.get(name), place)
        case ast.Call(func=ast.Name(id="did_you_mean")):
            yield f"did you mean {GAP}?"


class MessagesDirective(Rendering):
    """``{messages} families``: the kinds of errors; ``{messages}``: all messages."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        for path in (Path(__file__), *CODE.rglob("*.py")):
            self.env.note_dependency(str(path))
        return [self._families() if self.arguments else self._messages()]

    def _families(self) -> nodes.table:
        rows = [
            [literals([name]), _words(str(vars(errors)[name].exit_code)), _words(_first(name)), _words(remedy)]
            for name, remedy in REMEDIES.items()
        ]
        return self.table(["Error", "Exit code", "Cause", "What to do"], rows, "families")

    def _messages(self) -> nodes.table:
        rows = [
            [_words(one.text), _words(one.hint or REMEDIES[one.family]), literals([one.family])] for one in messages()
        ]
        return self.table(["Message", "What to do", "Error"], rows, "messages")


def _first(name: str) -> str:
    """Return the first sentence of what an error means."""
    if name == "BuildPushError":  # of which the others are kinds
        return "Something unexpected"
    return str(vars(errors)[name].__doc__).partition("\n")[0].partition(";")[0].replace("``", "").rstrip(".")


def _words(text: str) -> nodes.paragraph:
    """Return text whose dashes and quotes stay as they are typed."""
    return nodes.paragraph("", "", nodes.literal(text, text, classes=["words"]))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("messages", MessagesDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

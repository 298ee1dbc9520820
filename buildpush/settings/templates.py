"""Templates: what ``templateRef`` and ``template: uses:`` name, found in a directory and put in their place.

Source: Harness, "Use a template", "Template inputs" and, for ``uses`` and ``with``, "Templates" of Harness 3.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Final

from buildpush.foundation.documents import LARGEST_FILE, Node, read_yaml
from buildpush.foundation.errors import SourceError
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.settings.fill import fill
from buildpush.settings.forms import OF_OURS, input_of, map_of
from buildpush.settings.words import reject

DEEPEST: Final = 16  # templates in templates
_TYPES: Final = {"pipeline": "Pipeline", "stage": "Stage", "stepGroup": "StepGroup", "step": "Step"}
_NEWER: Final = ("pipeline", "stage", "group", "step")  # what a template of the newer form holds
_SCOPES: Final = ("account", "org")
_CONTENTS: Final = ("spec", "stages", "steps")  # what only one of template and reference may have
_INPUTS: Final = regex(r"\$\{\{\s*inputs\.([\w-]+)\s*\}\}|<\+inputs\.([\w-]+)>")
_AT_THE_TOP: Final = regex(rb"^template:", re.MULTILINE)
_TEMPLATES_HINT: Final = "name the directory of its file with --templates"


@dataclass(frozen=True, slots=True)
class _Reference:
    """A reference to a template: its identifier, and one of its versions.

    Attributes:
        is_usual: whether it is a step that names its template directly, like those of Harness' own library.
        is_newer: whether it is written as ``uses``, with the version after the name.
    """

    text: str
    version: str
    where: str
    is_usual: bool = False
    is_newer: bool = False

    @property
    def identifier(self) -> str:
        scope, _, rest = self.text.partition(".")
        return rest if scope in _SCOPES and rest else self.text

    @property
    def scope(self) -> str:
        scope, _, rest = self.text.partition(".")
        return scope if scope in _SCOPES and rest else "project"

    def __str__(self) -> str:
        return f"the template {self.text}" + (f", version {self.version}" if self.version else "")


@dataclass(frozen=True, slots=True)
class _Template:
    """A template in its file; *newer* is the kind of its content, if it is of the newer form."""

    node: Node
    identifier: str
    version: str
    newer: str = ""

    @property
    def scope(self) -> str:
        if "projectIdentifier" in self.node.entries:
            return "project"
        return "org" if "orgIdentifier" in self.node.entries else "account"

    @property
    def is_stable(self) -> bool:
        stable = self.node.at("stableTemplate")
        return stable is not None and stable.text == "true"


@dataclass(frozen=True, slots=True)
class Templates:
    """The templates in the files of a directory, read on first use.

    Attributes:
        directory: with templates, one a file; ``None`` for none.
        name: of the directory, for messages.
        notes: sentences about what was not found.
        used: the templates that were used.
    """

    directory: Path | None = None
    name: str = ""
    notes: list[str] = field(default_factory=list)
    used: list[str] = field(default_factory=list)

    def expand(self, document: Node) -> Node:
        """Return *document* with its references replaced by the templates that exist.

        Raises:
            SourceError: the directory or a file of it cannot be read, a template does not fit, or contains itself.
        """
        if self.directory is not None and not self.directory.is_dir():
            message = "this is not a directory"
            raise SourceError(message, where=self.name, hint="name the directory that holds the files of templates")
        expanded = self._expanded("", document, ())
        if self.directory is not None and not self.used:
            self.notes.append(f"templates has no effect: no template is used of those in {self.name}")
        return expanded

    def _expanded(self, key: str, node: Node, path: tuple[str, ...]) -> Node:
        if node.items:
            return replace(node, value=tuple(self._expanded("", item, path) for item in node.items))
        reference = _reference(key, node)
        if reference:
            _refuse_content(node, reference)
        if reference and (template := self._find(reference)):
            whole = f"{template.identifier} {template.version} {template.node.file}"
            if whole in path or len(path) >= DEEPEST:
                message = f"{reference} contains itself" if whole in path else "templates are nested too deeply"
                raise SourceError(message, where=reference.where, hint="remove one of the references")
            content = _newer(node, template) if template.newer else _older(key, node, template, reference)
            return self._expanded(key, content, (*path, whole))
        if not node.entries:
            return node
        return replace(node, value={name: self._expanded(name, entry, path) for name, entry in node.entries.items()})

    def _find(self, reference: _Reference) -> _Template | None:
        """Return the template that *reference* names; if there is none, add a note."""
        known = [one for one in self._read(reference.identifier) if one.identifier == reference.identifier]
        matches = [one for one in known if one.version == reference.version] if reference.version else _stable(known)
        matches = [one for one in matches if one.scope == reference.scope] or matches
        if len(matches) == 1:
            self.used.append(reference.text)
            return matches[0]
        if matches:
            raise _several(reference, matches)
        if reference.is_usual and not known:
            return None
        if known and reference.version:
            versions = ", ".join(sorted(one.version for one in known))
            self._note(f"{reference.where}: {reference} is not in {self.name}, which has {versions}")
        elif self.directory is None:
            self._note(f"{reference.where}: {reference} was not found: {_TEMPLATES_HINT}")
        else:
            self._note(f"{reference.where}: {reference} is not in {self.name}")
        return None

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _read(self, identifier: str) -> Iterator[_Template]:
        """Yield the templates of the files that contain *identifier*."""
        for path in sorted(self.directory.rglob("*.y*ml")) if self.directory else ():
            if not path.is_file() or path.stat().st_size > LARGEST_FILE:
                continue
            text = path.read_bytes()
            if _AT_THE_TOP.search(text) and (identifier.encode() in text or path.stem.startswith(identifier)):
                name = str(Path(self.name) / path.relative_to(self.directory or path))
                if (node := read_yaml(path, name).at("template")) and node.entries:
                    yield _template(node, path.stem)


def _template(node: Node, stem: str) -> _Template:
    """Return the template in *node*; one of the newer form without a name has the name of its file."""
    newer = next((key for key in _NEWER if key in node.entries), "") if "spec" not in node.entries else ""
    name, _, version = stem.partition("@")
    texts = {key: entry.text for key, entry in node.entries.items()}
    identifier = texts.get("identifier") or texts.get("id") or name
    return _Template(node, identifier, texts.get("versionLabel") or texts.get("version") or version, newer)


def _stable(known: list[_Template]) -> list[_Template]:
    """Return the default version: the one that is marked as such, or the only one."""
    return [one for one in known if one.is_stable] or known


def _several(reference: _Reference, matches: list[_Template]) -> SourceError:
    if len({one.version for one in matches}) == 1:
        places = " and ".join(one.node.where for one in matches)
        message = f"{reference} is there more than once: in {places}"
        return SourceError(message, where=reference.where, hint="keep one of them in the directory")
    versions = " and ".join(f"{one.version or 'one without a version'} ({one.node.where})" for one in matches)
    message = f"{reference} has several versions, and no file says which is the stable one: {versions}"
    version = next(one.version for one in matches if one.version)
    choice = f"@{version} after its name" if reference.is_newer else f'versionLabel: "{version}" beside templateRef'
    hint = f"choose one, such as by {choice}, or write stableTemplate: true into the file of the stable one"
    return SourceError(message, where=reference.where, hint=hint)


def _reference(key: str, node: Node) -> _Reference | None:
    """Return the reference in *node*: ``template: templateRef:``, ``template: uses:``, or ``uses`` of a step."""
    template = node.at("template")
    if template and (name := template.at("templateRef")) and name.text:
        version = template.at("versionLabel")
        return _Reference(name.text, version.text if version else "", name.where)
    is_step = key in {"", "step"} and "type" not in node.entries
    uses = node.at("template", "uses") or (node.at("uses") if is_step else None)
    if uses and uses.text and not OF_OURS.match(uses.text):
        text, _, version_text = uses.text.partition("@")
        return _Reference(text, version_text, uses.where, is_usual="template" not in node.entries, is_newer=True)
    return None


def _refuse_content(node: Node, reference: _Reference) -> None:
    """Refuse content in *node* beside its template: only one of the two would be run."""
    if "template" not in node.entries:
        return
    for key in _CONTENTS:
        if key in node.entries:
            message = f"{key} is written beside {reference}, which has its own"
            hint = "leave one of them out; values for its inputs go below templateInputs, or below with"
            raise SourceError(message, where=node.where_key(key), hint=hint)


# ---- the older form


def _older(key: str, node: Node, template: _Template, reference: _Reference) -> Node:
    """Return *node* with the content of *template*; entries of *node* beside the reference take precedence."""
    kind, spec = template.node.at("type"), template.node.at("spec")
    if spec is None or kind is None or kind.text != _TYPES.get(key, kind.text):
        holds = kind.text if kind and spec else "nothing"
        message = f"{reference} holds {holds}, and a {key or 'part'} is expected here"
        raise SourceError(
            message, where=reference.where, hint=f"name another template, or change the type in {template.node.where}"
        )
    inputs = node.entries["template"].at("templateInputs")
    filled = fill(spec, inputs, str(reference)) if inputs else spec
    own = {name: entry for name, entry in node.entries.items() if name != "template"}
    return _merged(filled, replace(node, value=own))


def _merged(node: Node, over: Node) -> Node:
    """Return a map in place of *over* with the entries of both, each with its place; *over* takes precedence."""
    return replace(over, value={**node.entries, **over.entries}, keys={**node.keys, **over.keys})


# ---- the newer form


def _newer(node: Node, template: _Template) -> Node:
    """Return *node* with the content of *template* and the values of its ``inputs``."""
    given = node.at("template", "with") or node.at("with")
    values = _values(template.node.at("inputs"), given)
    content = _with_values(template.node.entries[template.newer], values)
    if template.newer == "group":
        content = map_of(node, {"group": content})
    own = {name: entry for name, entry in node.entries.items() if name not in {"template", "uses", "with"}}
    return _merged(content, replace(node, value=own))


def _values(declared: Node | None, given: Node | None) -> Mapping[str, Node]:
    """Return the value of each input: what is given, or its default."""
    inputs = declared.entries if declared else {}
    for name in given.entries if given else ():
        if name not in inputs:
            reject("input", name, inputs, given.where_key(name) if given else "")
        if given and (value := given.entries[name]).text and "${{" not in value.text:
            fill(replace(inputs[name], value=input_of(inputs[name])), value, "the template")
    defaults = {name: entry.entries["default"] for name, entry in inputs.items() if "default" in entry.entries}
    values = defaults | dict(given.entries if given else {})
    for name, entry in inputs.items():
        if name not in values and (required := entry.at("required")) and required.text == "true":
            where = given.where if given else entry.where
            message = f"the input {name!r} of the template has no value"
            raise SourceError(message, where=where, hint=f"write {name} below with")
    return values


def _with_values(node: Node, values: Mapping[str, Node]) -> Node:
    if node.items:
        return replace(node, value=tuple(_with_values(item, values) for item in node.items))
    if node.entries:
        return replace(node, value={key: _with_values(entry, values) for key, entry in node.entries.items()})
    whole = _INPUTS.fullmatch(node.text)
    if whole and (whole[1] or whole[2]) in values:
        return values[whole[1] or whole[2]]
    text = _INPUTS.sub(lambda match: _text(values, match[1] or match[2], match[0]), node.text)
    return replace(node, value=text) if text != node.text else node


def _text(values: Mapping[str, Node], name: str, written: str) -> str:
    return values[name].text if name in values else written

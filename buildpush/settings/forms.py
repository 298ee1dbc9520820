"""The other forms of files: the newer one of Harness (``uses``, ``with``), and a template's own file.

Each is converted into the form that :mod:`buildpush.settings.tree` reads; every value keeps its place.
Source of the newer form: Harness documentation, "CI Steps Reference" of Harness 3.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from buildpush.foundation.documents import Node
from buildpush.foundation.regex import regex
from buildpush.settings.stepkinds import BUILD
from buildpush.settings.words import reject

_INPUTS: Final = {
    "connector": "connectorRef",
    "repo": "repo",
    "tags": "tags",
    "caching": "caching",
    "dockerfile": "dockerfile",
    "context": "context",
    "target": "target",
    "buildargs": "buildArgs",
    "labels": "labels",
    "cacherepo": "remoteCacheRepo",
    "baseimageconnector": "baseImageConnectorRefs",
    "envvars": "envVariables",
}
OF_OURS: Final = regex(r"buildAndPushToDocker(?:@1(?:\.[0-9]+)*)?\Z")
# Steps of the newer form that are no templates: the key says what they do.
_OTHERS: Final = ("run", "run-test", "action", "approval", "background", "barrier", "queue", "wait", "agent")
_CONTAINERS: Final = frozenset(
    {"pipeline", "stages", "stage", "steps", "step", "parallel", "stepGroup", "rollbackSteps", "spec", "execution"}
)
_HOLD_STEPS: Final = _CONTAINERS | {"group", "template"}
_KEYS: Final = {"id": "identifier", "group": "stepGroup"}
_OF_MACHINES: Final = ("platform", "runtime", "clone", "cache", "volumes")
_BRACES: Final = regex(r"\$\{\{\s*(.*?)\s*\}\}")
_TEMPLATES: Final = {"Pipeline": "pipeline", "Stage": "stage", "StepGroup": "stepGroup", "Step": "step"}


def older_form(document: Node) -> Node:
    """Return *document* in the form that a tree is read from; one in that form is returned as it is.

    Raises:
        SourceError: a step of the newer form has an input that it does not know.
    """
    document = _template(document)
    if "execution" in document.entries and "stage" not in document.entries:
        return map_of(document, {"stage": map_of(document, {"spec": document})})
    if not _holds_uses(document):
        return document
    spec = document.at("spec")
    if spec and "kind" in document.entries:
        document = map_of(document, {"pipeline": spec})
    return _converted(_without_braces(document))


def map_of(node: Node, entries: Mapping[str, Node], names: Mapping[str, str] | None = None) -> Node:
    """Return a map in place of *node*, with the places of the keys in *node*, also if *names* renamed them."""
    written = {new: old for old, new in (names or {}).items()}
    keys = {key: node.keys.get(key, node.keys.get(written.get(key, key), node.where)) for key in entries}
    return replace(node, value=dict(entries), keys=keys)


# ---- a template's own file


def _template(document: Node) -> Node:
    """Return the content of a template, with its name, as if it were in a file of its own."""
    template = document.at("template")
    kind, spec = (template.at("type"), template.at("spec")) if template else (None, None)
    if template is None or kind is None or spec is None or kind.text not in _TEMPLATES:
        return document
    about = {key: template.entries[key] for key in ("name", "identifier") if key in template.entries}
    return map_of(document, {_TEMPLATES[kind.text]: map_of(spec, {**about, **spec.entries})})


# ---- the newer form


def _holds_uses(node: Node) -> bool:
    """Return whether *node* has a step of the newer form; in the older one, the type Action has ``uses``, too."""
    if "type" in node.entries and "spec" in node.entries and "execution" not in node.entries["spec"].entries:
        return False
    inner = (entry for key, entry in node.entries.items() if key in _HOLD_STEPS)
    return "uses" in node.entries or any(map(_holds_uses, (*inner, *node.items)))


def _without_braces(node: Node) -> Node:
    """Return *node* with the newer spelling of expressions as the older one: ``${{ x }}`` as ``<+x>``."""
    if isinstance(node.value, str):
        return replace(node, value=_BRACES.sub(r"<+\1>", node.value).replace("<+inputs.", "<+pipeline.variables."))
    if node.items:
        return replace(node, value=tuple(map(_without_braces, node.items)))
    return replace(node, value={key: _without_braces(entry) for key, entry in node.entries.items()} or node.value)


def _converted(node: Node) -> Node:
    """Return a node that holds steps, or a list of them, in the older form."""
    if node.items:
        return replace(node, value=tuple(map(_converted, node.items)))
    if uses := node.at("uses") or node.at("template", "uses"):
        return _step(node, uses)
    if "type" not in node.entries and (other := next((key for key in _OTHERS if key in node.entries), None)):
        return _other(node, other)
    group = node.at("group")
    if group and "stages" in group.entries and not node.entries.keys() - {"name", "id", "group"}:
        return _converted(map_of(group, {"stages": group.entries["stages"]}))
    node = _with_contents(node)
    is_stage = "steps" in node.entries and {"name", "identifier"} & node.entries.keys()
    return map_of(node, {"stage": _stage(node)}) if is_stage else node


def _with_contents(node: Node) -> Node:
    """Return a map with its content in the older form."""
    entries = {_KEYS.get(key, key): entry for key, entry in node.entries.items()}
    entries = {key: _content(key, entry) if key in _CONTAINERS else entry for key, entry in entries.items()}
    return map_of(node, _with_variables(entries), _KEYS)


def _content(key: str, node: Node) -> Node:
    """Return the content at *key*: a stage or group of that name, or something to be recognised."""
    if key == "spec" and "execution" not in node.entries:
        return node
    if key not in {"stage", "stepGroup"} or "steps" not in node.entries:
        return _converted(node)
    node = _with_contents(node)
    return _stage(node) if key == "stage" else map_of(node, _with_condition(node, dict(node.entries)))


def _stage(node: Node) -> Node:
    steps = map_of(node, {"steps": node.entries["steps"]})
    spec = {"execution": steps} | {key: node.entries[key] for key in _OF_MACHINES if key in node.entries}
    rest = {key: entry for key, entry in node.entries.items() if key not in {"steps", *_OF_MACHINES}}
    return map_of(node, _with_condition(node, rest) | {"spec": map_of(node, spec)})


def _step(node: Node, uses: Node) -> Node:
    """Return a step by its template: ours with its inputs as settings; any other is not run here."""
    inner = node.entries.get("template", node)
    rest = {
        _KEYS.get(key, key): entry for key, entry in node.entries.items() if key not in {"uses", "with", "template"}
    }
    rest = _with_condition(node, rest)
    is_ours = OF_OURS.match(uses.text)
    kind = replace(uses, value=BUILD.type if is_ours else uses.text)
    spec = {"spec": _inputs(inner.at("with") or map_of(inner, {}))} if is_ours else {}
    return map_of(node, {"step": map_of(node, {"type": kind, **rest, **spec}, _KEYS)})


def _inputs(node: Node) -> Node:
    """Return the inputs of a step as its settings; layers are cached unless the step turns that off."""
    for key in node.entries:
        if key not in _INPUTS:
            reject("input", key, _INPUTS, node.where_key(key))
    entries = {_INPUTS[key]: entry for key, entry in node.entries.items()}
    return map_of(node, {"caching": replace(node, value="true"), **entries}, _INPUTS)


def _other(node: Node, key: str) -> Node:
    about = {_KEYS.get(name, name): node.entries[name] for name in ("name", "id") if name in node.entries}
    return map_of(node, {"step": map_of(node, {"type": replace(node, value=key), **about}, _KEYS)})


def _with_condition(node: Node, entries: dict[str, Node]) -> dict[str, Node]:
    """Return *entries* with ``if`` as the older ``when``."""
    condition = entries.pop("if", None)
    return (
        entries
        if condition is None
        else entries | {"when": map_of(node, {"condition": condition}, {"if": "condition"})}
    )


def _with_variables(entries: dict[str, Node]) -> dict[str, Node]:
    """Return *entries* with ``inputs`` and ``env`` as variables."""
    found: list[Node] = []
    for key in ("inputs", "env"):
        node = entries.pop(key, None)
        found += [_variable(name, entry) for name, entry in (node.entries if node else {}).items()]
    if not found:
        return entries
    return entries | {"variables": replace(found[0], value=tuple(found), keys={})}


def _variable(name: str, node: Node) -> Node:
    """Return a variable with a value, or an input, which may have a default."""
    words = {"name": replace(node, value=name, keys={})}
    if isinstance(node.value, str):
        return map_of(node, words | {"value": node})
    default = {"default": node.entries["default"]} if "default" in node.entries else {}
    if (kind := node.at("type")) and kind.text == "secret":
        words["type"] = replace(kind, value="Secret")
    return map_of(node, words | default | {"value": replace(node, value="<+input>", keys={})})

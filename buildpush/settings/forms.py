"""The other forms of files: the newer one of Harness (``uses``, ``with``), and a template's own file.

Each is converted into the form that :mod:`buildpush.settings.tree` reads; every value keeps its place.
Sources of the newer form: Harness documentation, "CI Steps Reference" and "Stages & Stage Groups" of Harness 3.0.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from buildpush.foundation.documents import Node
from buildpush.foundation.errors import SourceError
from buildpush.foundation.regex import regex
from buildpush.settings.conditions import StatusKey
from buildpush.settings.failures import NEWER
from buildpush.settings.loops import NEWER as NEWER_LOOP
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
# Steps of the newer form that are not templates: the key says what they do.
_OTHERS: Final = (
    *("run", "run-test", "action", "approval", "background", "barrier", "queue", "wait", "agent"),
    *("clone", "policy", "change-advisor", "chain", "dynamic"),
)
# What may name a template: harness/harness-schema, ``v1/pipeline/common/unified-template.yaml``.
_REFERENCES: Final = ("template", "action", "deploy", "build", "test", "chaos", "idp", "iacm", "sto")
_CONTAINERS: Final = frozenset(
    {"pipeline", "stages", "stage", "steps", "step", "parallel", "stepGroup", "rollbackSteps", "spec", "execution"}
)
_HOLD_STEPS: Final = _CONTAINERS | {"group", *_REFERENCES}
_OF_GROUPS: Final = ("id", "name", "desc", "stages")
_KEYS: Final = {"id": "identifier", "group": "stepGroup", "desc": "description", "rollback": "rollbackSteps"}
_CONTROL: Final = {"if": "when", NEWER: "failureStrategies"}
_STATUSES: Final = {"always": "All", "failure": "Failure", "success": "Success"}
_FUNCTION: Final = regex(r"(?s)\s*(<\+)?\s*(always|failure|success)\(\)(?:\s*&&\s*(?=\S)|(?=[\s>]*\Z))(.*)\Z")
_OF_STATE: Final = regex(r"(?<![\w.\"'])(?:always|failure|success|cancelled)\(\)")
_EXECUTION: Final = ("steps", "rollbackSteps")
_OF_MACHINES: Final = ("platform", "runtime", "clone", "cache", "volumes")
_BRACES: Final = regex(r"\$\{\{\s*(.*?)\s*\}\}")
_OLDER_NAMES: Final = {"inputs.": "pipeline.variables.", "for.": "strategy."}
_NAMES: Final = regex(r"(?<![\w.])(?:inputs|for)\.")
_TEMPLATES: Final = {"Pipeline": "pipeline", "Stage": "stage", "StepGroup": "stepGroup", "Step": "step"}


def older_form(document: Node) -> Node:
    """Return *document* in the form that a tree is read from; one in that form is returned as it is.

    Raises:
        SourceError: a step of the newer form has an unknown input.
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
    """Return a map in place of *node*; keys keep their places, even if *names* (old to new) renames them."""
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
    return "uses" in node.entries or _is_other(node) or any(map(_holds_uses, (*inner, *node.items)))


def _is_other(node: Node) -> bool:
    """Return whether *node* is a step of the newer form that names no template: its kind is a key of it."""
    return "type" not in node.entries and any(key in node.entries for key in _OTHERS)


def without_braces(text: str) -> str:
    """Return *text* with expressions of the newer form, ``${{ x }}``, as those of the older one, ``<+x>``."""
    return _BRACES.sub(lambda found: f"<+{_with_older_names(found[1])}>", text)


def _without_braces(node: Node) -> Node:
    """Return *node* with the newer spelling of expressions as the older one: ``${{ x }}`` as ``<+x>``."""
    if isinstance(node.value, str):
        return replace(node, value=without_braces(node.value))
    if node.items:
        return replace(node, value=tuple(map(_without_braces, node.items)))
    return replace(node, value={key: _without_braces(entry) for key, entry in node.entries.items()} or node.value)


def _with_older_names(expression: str) -> str:
    return _NAMES.sub(lambda found: _OLDER_NAMES[found[0]], expression)


def _converted(node: Node) -> Node:
    """Return a node that holds steps, or a list of them, in the older form."""
    if node.items:
        return replace(node, value=tuple(map(_converted, node.items)))
    if reference := _reference(node):
        return _step(node, reference)
    is_alone = not node.entries.keys() & {"type", "steps", "stages"}
    if is_alone and (other := next((key for key in _OTHERS if key in node.entries), None)):
        return _other(node, other)
    group = node.at("group")
    if group and "stages" in group.entries and not node.entries.keys() - {"name", "id", "desc", "group"}:
        for key in group.entries:
            if key not in _OF_GROUPS:
                reject("key", key, _OF_GROUPS, group.where_key(key))
        return _converted(map_of(group, {"stages": group.entries["stages"]}))
    node = _with_contents(node)
    is_stage = "steps" in node.entries and {"name", "identifier"} & node.entries.keys()
    return map_of(node, {"stage": _stage(node)}) if is_stage else node


def _reference(node: Node) -> Node | None:
    """Return the map in *node* that names a template: itself, or what is below ``template``, ``build`` and the like."""
    if "uses" in node.entries:
        return node
    found = next((node.entries[key] for key in _REFERENCES if "uses" in (node.at(key) or node).entries), None)
    is_other = found and found is node.at("action") and not OF_OURS.match(found.entries["uses"].text)
    return None if is_other else found


def _with_contents(node: Node) -> Node:
    """Return a map with its content in the older form."""
    entries = {_KEYS.get(key, key): entry for key, entry in node.entries.items()}
    entries = {key: _content(key, entry) if key in _CONTAINERS else entry for key, entry in entries.items()}
    return map_of(node, _with_variables(entries), _KEYS)


def _content(key: str, node: Node) -> Node:
    """Return the content at *key* in the older form: a stage, a group, or what holds steps."""
    if key == "spec" and "execution" not in node.entries:
        return node
    if key == "pipeline" and "if" in node.entries:
        node = map_of(node, {**node.entries, "if": _condition(node.entries["if"], "pipelineStatus")})
    if key not in {"stage", "stepGroup"} or "steps" not in node.entries:
        return _converted(node)
    node = _with_contents(node)
    return _stage(node) if key == "stage" else map_of(node, _with_control(node, dict(node.entries)), _CONTROL)


def _stage(node: Node) -> Node:
    steps = map_of(node, {key: node.entries[key] for key in _EXECUTION if key in node.entries})
    spec = {"execution": steps} | {key: node.entries[key] for key in _OF_MACHINES if key in node.entries}
    if labels := node.at("runtime", "kubernetes", "node-selector"):
        inner = map_of(labels, {"spec": map_of(labels, {"nodeSelector": labels})})
        spec["infrastructure"] = inner
    rest = {key: entry for key, entry in node.entries.items() if key not in {*_EXECUTION, *_OF_MACHINES}}
    return map_of(node, _with_control(node, rest, "pipelineStatus") | {"spec": map_of(node, spec)}, _CONTROL)


def _step(node: Node, reference: Node) -> Node:
    """Return a step by its template: ours with its inputs as settings; any other is not run here."""
    uses, given = reference.entries["uses"], reference.at("with") or map_of(reference, {})
    rest = {
        _KEYS.get(key, key): entry
        for key, entry in node.entries.items()
        if key not in {"uses", "with", "env"} and entry is not reference
    }
    rest = _with_control(node, rest)
    is_ours = OF_OURS.match(uses.text)
    kind = replace(uses, value=BUILD.type if is_ours else uses.text)
    spec = {"spec": _inputs(_with_env(given, node.at("env")))} if is_ours else {}
    return map_of(node, {"step": map_of(node, {"type": kind, **rest, **spec}, _KEYS | _CONTROL)})


def _with_env(given: Node, env: Node | None) -> Node:
    """Return the inputs *given* to a step with the variables in its ``env``; those in ``envvars`` override them."""
    if env is None or not env.value:
        return given
    own = given.at("envvars")
    if not env.entries or (own and own.text):
        message = "env and envvars of a step must both be maps of variables"
        raise SourceError(message, where=env.where, hint="write all of them below envvars")
    inner = map_of(env, {**env.entries, **(own.entries if own else {})})
    if own:
        inner = replace(inner, keys={**env.keys, **own.keys})
    return replace(given, value={**given.entries, "envvars": inner}, keys={**given.keys, "envvars": env.where})


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


def _with_control(node: Node, entries: dict[str, Node], status: StatusKey = "stageStatus") -> dict[str, Node]:
    """Return *entries* with ``if``, ``strategy`` and ``on-failure`` in the older form."""
    if "on_failure" in entries:  # some pages of Harness 3.0 write it so, and its schema does not know it
        reject("key", "on_failure", [NEWER], node.where_key("on_failure"))
    read: Mapping[str, Callable[[Node], Node]]
    read = {"if": partial(_condition, status=status), "strategy": _loop, NEWER: partial(_failures, node)}
    return {_CONTROL.get(key, key): read[key](entry) if key in read else entry for key, entry in entries.items()}


def _condition(node: Node, status: StatusKey) -> Node:
    """Return what an ``if`` says: the function that it begins with is the status, and the rest a condition."""
    match = _FUNCTION.match(node.text)
    if _OF_STATE.search(match[3] if match else node.text):
        message = "if may use always(), failure() or success() only at its beginning, and only one of them"
        raise SourceError(message, where=node.where, hint="write a condition behind it: failure() && CONDITION")
    if match is None:
        return map_of(node, {"condition": node})
    before, name, after = match.groups(default="")
    rest = {"condition": replace(node, value=before + after)} if after.strip("> ") else {}
    return map_of(node, {status: replace(node, value=_STATUSES[name]), **rest})


def _failures(around: Node, node: Node) -> Node:
    return replace(node, value={NEWER: node}, keys={NEWER: around.where_key(NEWER)})


def _loop(node: Node) -> Node:
    """Return a ``strategy``, marked as one of the newer form; an expression in its place is marked as well."""
    if node.text:
        return map_of(node, {NEWER_LOOP: node})
    mark = {NEWER_LOOP: replace(node, value="true", keys={})}
    return map_of(node, {**node.entries, **mark}) if node.entries else node


def _with_variables(entries: dict[str, Node]) -> dict[str, Node]:
    """Return *entries* with ``inputs`` and ``env`` as variables."""
    variables: list[Node] = []
    for key in ("inputs", "env", "variables"):
        if (node := entries.get(key)) and not (node.items or node.text):
            del entries[key]
            variables += [_variable(name, entry) for name, entry in node.entries.items()]
    if not variables:
        return entries
    return entries | {"variables": replace(variables[0], value=tuple(variables), keys={})}


def _variable(name: str, node: Node) -> Node:
    """Return a variable with a value, or with an input that may have a default."""
    words = {"name": replace(node, value=name, keys={})}
    if isinstance(node.value, str):
        return map_of(node, words | {"value": node})
    default = {"default": as_text(node.entries["default"])} if "default" in node.entries else {}
    if (kind := node.at("type")) and kind.text == "secret":
        words["type"] = replace(kind, value="Secret")
    own = node.at("value")
    value = as_text(own) if own and own.value else replace(node, value=input_of(node), keys={})
    return map_of(node, words | default | {"value": value})


def input_of(node: Node) -> str:
    """Return the ``<+input>`` of the older form with the limits that an input of the newer form has.

    Source: harness/harness-schema, ``v1/pipeline/common/variable.yaml``: ``enum``, ``options`` in its place,
    ``pattern`` and ``execution_input``. An ``enum`` of lists or maps is no limit: it would be compared as text.
    Harness 3.0, "Inputs and variables", has ``validation`` with ``regex`` in place of ``pattern``.

    Raises:
        SourceError: a limit that no value is compared with here.
    """
    parts, kind = ["<+input>"], node.at("type")
    validation = node.at("validation")
    for key, where in validation.keys.items() if validation else ():
        if key not in {"regex", "message"}:
            message = f"{key} of an input is not supported: no value would be compared with it"
            raise SourceError(message, where=where, hint="write pattern or enum, or leave it out")
    choices = node.at("enum") or node.at("options")
    texts = [one.text for one in choices.items] if choices and all(one.text for one in choices.items) else []
    if texts and not (kind and kind.text in {"array", "object", "secret"}):
        parts.append(f"allowedValues({','.join(map(_choice, texts))})")
    if (pattern := node.at("pattern") or node.at("validation", "regex")) and pattern.text:
        parts.append(f"regex({pattern.text})")
    if (at_run_time := node.at("execution_input")) and at_run_time.text.lower() == "true":
        parts.append("executionInput()")
    return ".".join(parts)


def _choice(text: str) -> str:
    """Return one of the allowed values, in quotes where a comma would end it."""
    quote = "'" if '"' in text else '"'
    return f"{quote}{text}{quote}" if "," in text or text != text.strip() else text


def as_text(node: Node) -> Node:
    """Return the value of an input, with lists and maps as JSON, as in a flag."""
    if isinstance(node.value, str) or node.value is None:
        return node
    return replace(node, value=json.dumps(node.raw(), ensure_ascii=False), keys={})

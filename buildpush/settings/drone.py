"""The file of a Drone server: each of its pipelines as a stage, its steps as steps that run plugins.

Source: Drone, "Docker pipelines": steps, settings, conditions, triggers, ``from_secret`` and substitution.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from buildpush.foundation.documents import Node
from buildpush.foundation.errors import SourceError
from buildpush.foundation.regex import regex
from buildpush.settings.forms import map_of
from buildpush.settings.plugin_variables import PLUGIN_VARIABLES
from buildpush.settings.stepkinds import STEP_KINDS, models
from buildpush.settings.tree import identifier_from
from buildpush.settings.variables import known_variables
from buildpush.settings.words import reject

_KINDS: Final = frozenset({"pipeline", "secret", "signature", "cron", "template"})
_OF_PIPELINE: Final = ("kind", "type", "name", "steps", "platform", "trigger", "environment", "depends_on")
_NOT_USED_HERE: Final = (  # of the machine and the containers
    "clone",
    "services",
    "volumes",
    "workspace",
    "node",
    "node_selector",
    "concurrency",
    "image_pull_secrets",
    "metadata",
    "resources",
    "tolerations",
    "service_account_name",
    "host_aliases",
    "pool",
    "dns_config",
)
_OF_STEP: Final = ("name", "image", "settings", "environment", "when", "failure", "depends_on", "commands")
_OF_CONTAINER: Final = (
    "pull",
    "privileged",
    "volumes",
    "user",
    "detach",
    "entrypoint",
    "command",
    "resources",
    "network_mode",
    "extra_hosts",
    "dns",
    "shell",
    "working_dir",
)
# The expression for each variable of Drone; any other variable is read from the environment.
_NAMES: Final[Mapping[str, str]] = {
    "DRONE_COMMIT": "codebase.commitSha",
    "DRONE_COMMIT_SHA": "codebase.commitSha",
    "DRONE_COMMIT_BRANCH": "codebase.branch",
    "DRONE_BRANCH": "codebase.branch",
    "DRONE_COMMIT_REF": "codebase.commitRef",
    "DRONE_COMMIT_MESSAGE": "codebase.commitMessage",
    "DRONE_COMMIT_AUTHOR": "codebase.gitUser",
    "DRONE_SOURCE_BRANCH": "(codebase.sourceBranch ?? codebase.branch)",
    "DRONE_TARGET_BRANCH": "(codebase.targetBranch ?? codebase.branch)",
    "DRONE_PULL_REQUEST": "codebase.prNumber",
    "DRONE_TAG": "codebase.tag",
    "DRONE_BUILD_NUMBER": "pipeline.sequenceId",
    "DRONE_BUILD_LINK": "pipeline.executionUrl",
}
_SUBJECTS: Final = {
    "branch": "codebase.branch",
    "event": "(env.DRONE_BUILD_EVENT ?? codebase.build.type)",
    "ref": "codebase.commitRef",
    "repo": "env.DRONE_REPO",
    "instance": "env.DRONE_SYSTEM_HOST",
    "cron": '(env.DRONE_CRON ?? "")',
    "target": '(env.DRONE_DEPLOY_TO ?? "")',
    "action": '(env.DRONE_BUILD_ACTION ?? "")',
}
_EVENTS: Final = {"push": "branch", "pull_request": "PR"}  # what is built, where no variable names the event
_GLOB_PART: Final = regex(r"\*\*|[*?]|\[\^?[^][\\/]+\]|.", re.DOTALL)
_SUBSTITUTION: Final = regex(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)([^}]*)\}")
_PART: Final = regex(r":(\d+)(?::(\d+))?\Z")
_REPLACEMENT: Final = regex(r"(//?)((?:[^/\\]|\\.)+)/((?:[^/\\]|\\.)*)\Z")
_ENDS: Final = regex(r"(##?|%%?)([^*?\[\]]+)\Z")
_DEFAULT: Final = regex(r":?[-=](.*)\Z")


def is_drone(documents: tuple[Node, ...]) -> bool:
    """Return whether *documents* are the file of a Drone server."""
    kinds = [document.at("kind") for document in documents]
    return any(
        kind is not None and kind.text in _KINDS and not {"spec", "pipeline", "template"} & document.entries.keys()
        for kind, document in zip(kinds, documents, strict=True)
    )


def from_drone(documents: tuple[Node, ...], notes: list[str]) -> Node:
    """Return the stages for the pipelines in *documents*; *notes* get a sentence for each key without effect.

    Raises:
        SourceError: a key, a condition or a substitution that Drone does not have, or that has no counterpart.
    """
    stages = []
    for document in documents:
        kind = document.at("kind")
        if kind and kind.text == "pipeline":
            stages.append(map_of(document, {"stage": _stage(document, notes)}))
        else:
            words = f"a document of the kind {kind.text}" if kind else "a document without a kind"
            notes.append(f"{document.where}: {words} has no effect here")
    first = documents[0]
    return map_of(first, {"stages": replace(first, value=tuple(stages), keys={})})


def _stage(node: Node, notes: list[str]) -> Node:
    _check_keys(node, _OF_PIPELINE, _NOT_USED_HERE, notes)
    name, steps = node.at("name"), node.at("steps")
    status = "Success" if node.at("depends_on") else "All"  # those that wait for no other run whatever fails
    execution = map_of(node, {"steps": _steps(node, steps, notes)})
    spec = {"execution": execution} | ({"platform": _platform(node)} if node.at("platform") else {})
    text = name.text if name else "default"
    entries = {
        "name": _text(name or node, text),
        "identifier": _text(name or node, identifier_from(text)),
        "when": _condition(node, node.at("trigger"), "pipelineStatus", status),
        "spec": map_of(node, spec),
    }
    if environment := node.at("environment"):
        entries["variables"] = replace(environment, value=tuple(_variables(environment)), keys={})
    return map_of(node, entries, {"when": "trigger", "variables": "environment", "spec": "steps"})


def _platform(node: Node) -> Node:
    platform = node.entries["platform"]
    words = {key: entry for key, entry in platform.entries.items() if key in {"os", "arch"}}
    return map_of(platform, words)


def _variables(environment: Node) -> Iterator[Node]:
    for name, value in environment.entries.items():
        words = {"name": _text(value, name), "type": _text(value, "String"), "value": _value(value)}
        yield replace(environment, value=words, keys=dict.fromkeys(words, environment.where_key(name)))


def _steps(node: Node, steps: Node | None, notes: list[str]) -> Node:
    if steps is None or not steps.items:
        message = "this pipeline does not have steps"
        raise SourceError(message, where=node.where, hint="write steps, a list")
    names: list[str] = []
    nodes = []
    for step in steps.items:
        for other in _words(step.at("depends_on")):
            if other not in names:
                message = f"depends_on names {other!r}, which is not above this step"
                raise SourceError(
                    message,
                    where=step.where_key("depends_on"),
                    hint="move it above: steps run in the order of the file",
                )
        names.append(_name_of(step))
        nodes.append(_step(step, notes))
    return replace(steps, value=tuple(nodes))


def _name_of(step: Node) -> str:
    name = step.at("name")
    return name.text if name else ""


def _step(node: Node, notes: list[str]) -> Node:
    """Return a step as one that runs a plugin; any other step is named by its image and is not run here."""
    image = node.at("image")
    name = _name_of(node)
    about = {"name": _text(node, name), "identifier": _text(node, identifier_from(name))} if name else {}
    spec = map_of(node, {key: entry for key, entry in node.entries.items() if key in {"image", "settings"}})
    plugin = map_of(node, {"type": _text(image or node, "Plugin"), **about, "spec": spec})
    if node.at("commands") or not any(kind.recognizes(plugin) for kind in STEP_KINDS.values()):
        words = image.text if image else "commands"
        return map_of(node, {"step": map_of(node, {"type": _text(image or node, words), **about})})
    _check_keys(node, _OF_STEP, _OF_CONTAINER, notes)
    settings = {
        **spec.entries,
        **({"settings": _value(spec.entries["settings"])} if "settings" in spec.entries else {}),
    }
    if environment := node.at("environment"):
        settings["envVariables"] = _environment(environment, spec, notes)
    more = {"when": _condition(node, node.at("when"), "stageStatus", _status(node))}
    if (failure := node.at("failure")) and failure.value:
        if failure.text not in _FAILURES:
            reject("word for failure", failure.text, _FAILURES, failure.where)
        if failure.text == "ignore":
            more["failureStrategies"] = _ignore_strategy(failure)
    spec = map_of(node, settings, {"envVariables": "environment"})
    step = {**plugin.entries, "spec": spec, **more}
    return map_of(node, {"step": map_of(node, step, {"spec": "image", "failureStrategies": "failure"})})


def _environment(environment: Node, spec: Node, notes: list[str]) -> Node:
    """Return the variables of a step that its plugin acts on, or that are build arguments or secrets."""
    plugin_settings = spec.at("settings") or spec
    names = {word.rpartition("=")[2] for key in _NAME_LISTS for word in _words(plugin_settings.at(key))}
    known = {*known_variables(*models()), *PLUGIN_VARIABLES, *names}
    variables = {
        name: _value(entry) for name, entry in environment.entries.items() if name in known or "PLUGIN_" in name
    }
    unused = [name for name in environment.entries if name not in variables]
    words = "is for the plugin's container, which does not exist here"
    notes.extend(f"{environment.where_key(name)}: {name} {words}" for name in unused)
    return map_of(environment, variables)


_FAILURES: Final = ("ignore", "always", "fail", "fast", "fail-fast")  # all but the first end the run here
_NAME_LISTS: Final = ("build_args_from_env", "secrets_from_env")


def _ignore_strategy(failure: Node) -> Node:
    """Return the failure strategy that lets a run continue."""
    errors = replace(failure, value=(_text(failure, "AllErrors"),), keys={})
    action = map_of(failure, {"type": _text(failure, "Ignore")})
    strategy = map_of(failure, {"onFailure": map_of(failure, {"errors": errors, "action": action})})
    return replace(failure, value=(strategy,), keys={})


def _check_keys(node: Node, known: Iterable[str], around: Iterable[str], notes: list[str]) -> None:
    for key, entry in node.entries.items():
        if key in around:
            if entry.value:
                notes.append(f"{node.where_key(key)}: {key} has no effect here")
        elif key not in known:
            reject("key", key, [*known, *around], node.where_key(key))


# ---- conditions


def _status(node: Node) -> str:
    words = set(_words(node.at("when", "status")))
    if words == {"failure"}:
        return "Failure"
    return "All" if "failure" in words else "Success"


def _condition(node: Node, when: Node | None, key: str, status: str) -> Node:
    """Return ``when`` of a step or ``trigger`` of a pipeline as status and condition."""
    node, entries = when or node, when.entries if when else {}
    parts = [_criterion(name, entry, node.where_key(name)) for name, entry in entries.items()]
    text = " && ".join(part for part in parts if part)
    values = {key: _text(node, status)} | ({"condition": _text(node, f"<+{text}>")} if text else {})
    return map_of(node, values, {"condition": next(iter(entries), "")})


def _criterion(name: str, entry: Node, where: str) -> str:
    """Return the expression that is true if one condition is met."""
    if name == "status":
        return ""
    if name not in _SUBJECTS:
        reject("condition", name, [*_SUBJECTS, "status"], where)
    subject = _SUBJECTS[name]
    if not entry.entries:  # an empty list is no condition
        return _any_of(subject, words) if (words := _words(entry)) else ""
    parts = [_any_of(subject, words)] if (words := _words(entry.at("include"))) else []
    parts += [f"!{_any_of(subject, words)}"] if (words := _words(entry.at("exclude"))) else []
    return " && ".join(parts)


def _any_of(subject: str, words: Iterable[str]) -> str:
    """Return the expression that is true if *subject* fits one of *words*, each a text or a pattern."""
    alternatives = [one for word in words for one in (word, _EVENTS.get(word, "")) if one]
    return "(" + " || ".join(_comparison(subject, word) for word in alternatives) + ")"


def _comparison(subject: str, word: str) -> str:
    """Return the expression that is true if *subject* fits *word*; patterns have ``*``, ``?`` and ``[a-z]``."""
    if not set("*?[") & set(word):
        return f"{subject} == {_quoted(word)}"
    pattern = f"^{_GLOB_PART.sub(_as_regex, word)}$"
    return f"{subject} =~ {_quoted(pattern)}"


def _as_regex(match: re.Match[str]) -> str:
    is_class = len(match[0]) > 1
    return {"**": ".*", "*": "[^/]*", "?": "[^/]"}.get(match[0]) or (match[0] if is_class else re.escape(match[0]))


def _words(node: Node | None) -> tuple[str, ...]:
    """Return the texts of a list, or of a single text."""
    if node is None:
        return ()
    return tuple(item.text for item in node.items) or tuple(word for word in (node.text,) if word)


# ---- values


def _value(node: Node) -> Node:
    """Return a value with its secrets and substitutions as expressions."""
    if node.items:
        return replace(node, value=tuple(map(_value, node.items)))
    if (secret := node.at("from_secret")) and secret.text:
        return _text(secret, f"<+secrets.getValue({_quoted(secret.text)})>")
    if node.entries:
        return replace(node, value={key: _value(entry) for key, entry in node.entries.items()})
    return replace(node, value=_SUBSTITUTION.sub(_substitute(node), node.text)) if "$" in node.text else node


def _substitute(node: Node) -> Callable[[re.Match[str]], str]:
    """Return a function that puts an expression in place of a substitution in *node*."""

    def substitute(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        name = _NAMES.get(match[1], f"env.{match[1]}")
        return f"<+{name}{_operation(match[2], match[0], node)}>"

    return substitute


def _operation(text: str, whole: str, node: Node) -> str:
    """Return the method of an expression that does the same as an operation on a variable."""
    if text in {"", ",,", "^^"}:
        return {"": "", ",,": ".toLowerCase()", "^^": ".toUpperCase()"}[text]
    if match := _PART.match(text):
        end = f", {int(match[1]) + int(match[2])}" if match[2] else ""
        return f".substring({match[1]}{end})"
    if match := _REPLACEMENT.match(text):
        old, new = (_quoted(re.sub(r"\\(.)", r"\1", part)) for part in (match[2], match[3]))
        return f".replace({old}, {new})" if match[1] == "//" else f".replaceFirst({_pattern(match[2])}, {new})"
    if match := _ENDS.match(text):
        return f".replaceFirst({_pattern(match[2], match[1])}, {_quoted('')})"
    if match := _DEFAULT.match(text):
        return f" ?? {_quoted(match[1])}"
    message = f"the substitution {whole} is not supported here"
    raise SourceError(message, where=node.where, hint="write an expression in its place, such as <+codebase.branch>")


def _pattern(text: str, end: str = "") -> str:
    escaped = re.escape(re.sub(r"\\(.)", r"\1", text))
    escaped = f"^{escaped}" if end.startswith("#") else f"{escaped}$" if end else escaped
    return _quoted(escaped)


def _quoted(text: str) -> str:
    """Return *text* as a string literal of an expression, with special characters escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("<+", "\\<+")
    return f'"{escaped}"'


def _text(node: Node, text: str) -> Node:
    return replace(node, value=text, keys={})

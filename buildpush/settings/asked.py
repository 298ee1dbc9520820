"""The names that the expressions and inputs of a file use, wherever they are.

Nothing is evaluated, so a name in a condition, or in a step that is not run, counts as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import Final

from buildpush.expressions.builtin import BUILT_IN, parts_of
from buildpush.expressions.facts import VARIABLE_ROOTS, flags_of
from buildpush.foundation.documents import Raw
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.foundation.spelling import did_you_mean
from buildpush.settings.declare import camel_case, settings_of
from buildpush.settings.loops import NEWER
from buildpush.settings.tree import Loaded, Parallel, Parent, Step, leaves

_INPUT: Final = regex(r"<\+\s*input\s*>")
_HEAD: Final = regex(r"[A-Za-z_$][\w$]*")
_KEY: Final = regex(
    r"""\s*\??\.\s*get\(\s*(["'])(?P<got>[^"']*)\1\s*\)"""
    r"""|\s*\??\.\s*(["'])(?P<dotted>[^"']*)\3|\s*\[\s*(["'])(?P<quoted>[^"']*)\5\s*\]"""
    r"""|\s*\??\.\s*(?P<plain>[\w$]+)"""
)
_COMPUTED: Final = regex(r"\s*\??\.\s*(?:get\(|<\+|`)|\s*\[")
# A condition is an expression even without <+ and >.
_EXPRESSIONS: Final = frozenset({"condition", "when", "if"})
# buildpush itself uses these: for the name and the number of the build, and for auto_tag and auto_label.
_OF_BUILDS: Final = ("pipeline.name", "pipeline.sequenceId")
_OF_SETTINGS: Final = {
    "auto_tag": ("codebase.commitRef",),
    "auto_label": ("codebase.repoUrl", "codebase.commitSha"),
}
_MOST_NAMES: Final = 8


@dataclass(frozen=True, slots=True)
class UsedNames:
    """The names that a file uses.

    Attributes:
        names: those that a value can be given for; some values have several names.
        prefixes: beginnings of paths whose rest is computed.
    """

    names: AbstractSet[str]
    prefixes: AbstractSet[tuple[str, ...]]

    def has(self, name: str) -> bool:
        """Return whether a value for *name* can have an effect."""
        if name in self.names:
            return True
        return any(
            name.startswith(f"{'.'.join(path)}.") or (path in VARIABLE_ROOTS and "." not in name)
            for path in self.prefixes
        )


def check_variables(loaded: Loaded, variables: Iterable[str], more: str = "") -> None:
    """Refuse a variable that nothing uses.

    Args:
        loaded: the file, and what flags and variables set.
        variables: names of values for expressions.
        more: another text with expressions.

    Raises:
        SettingsError: there is one; the hint has similar names.
    """
    if not variables:
        return
    used = used_names(loaded, more)
    for name in variables:
        if not used.has(name):
            message = f"nothing uses the variable {name!r}"
            raise SettingsError(message, hint=_hint(name, used.names))


def _hint(name: str, names: AbstractSet[str]) -> str:
    worth = {
        one for one in names if one in BUILT_IN or any(f"{'.'.join(root)}.{one}" in names for root in VARIABLE_ROOTS)
    }
    if near := did_you_mean(name, {*worth, *(one for one in names if "." in one)}):
        return near
    listed = sorted(worth - set(BUILT_IN))[:_MOST_NAMES]
    return f"give one of {', '.join(listed)}" if listed else "leave it out, or write <+pipeline.variables.NAME>"


def used_names(loaded: Loaded, more: str = "") -> UsedNames:
    """Return the names that *loaded* uses, and those in *more*, another text with expressions."""
    names, prefixes = set(_OF_BUILDS), set[tuple[str, ...]]()
    for path, is_whole in (*_paths(more), *(found for text in _texts(loaded) for found in _paths(text))):
        for length in range(min(2, len(path)), len(path) + 1):
            names.update(flags_of(path[:length]))
        if is_whole:
            prefixes.add(path)
    for step in loaded.steps:
        names.update(name for setting, those in _OF_SETTINGS.items() if setting in step.settings for name in those)
    names.update(_inputs(loaded))
    for name in names & set(BUILT_IN):
        names |= parts_of(name)
    return UsedNames(names, prefixes)


def _paths(text: str) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Yield each path in *text* that may be a name, and whether its rest is computed."""
    at = 0
    while head := _HEAD.search(text, at):
        keys, at = [head[0]], head.end()
        while key := _KEY.match(text, at):
            keys.append(key["got"] or key["dotted"] or key["quoted"] or key["plain"] or "")
            at = key.end()
        yield tuple(keys), _COMPUTED.match(text, at) is not None


# ---- texts


def _texts(loaded: Loaded) -> Iterator[str]:
    """Yield every text with expressions, from where the first of them begins."""
    for key, text in _all_texts(loaded):
        if key in _EXPRESSIONS:
            yield text
        elif "<+" in text:
            yield text[text.index("<+") :]


def _all_texts(loaded: Loaded) -> Iterator[tuple[str, str]]:
    seen = set[int]()
    for step, path in leaves(loaded.tree):
        for written in (*step.settings.values(), *step.environment.values()):
            yield from ((keys[-1] if keys else "", text) for keys, text in _parts(written.value))
        yield from (("", text) for text in step.facts.values())
        outermost = next((branch for branch in path if not isinstance(branch, Parallel)), step)
        node = outermost.node if isinstance(outermost, Step) else outermost.header.node
        if node and id(node) not in seen:
            seen.add(id(node))
            yield from ((keys[-1] if keys else "", text) for keys, text in _parts(node.raw()))


def _parts(value: Raw, keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield every text in *value*, names of maps too, with the keys that lead to it."""
    if isinstance(value, str):
        yield keys, value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield keys, key
            yield from _parts(part, (*keys, key))
    elif isinstance(value, list):
        for part in value:
            yield from _parts(part, keys)


# ---- inputs


def _inputs(loaded: Loaded) -> Iterator[str]:
    """Yield the names under which inputs take values."""
    for step, path in leaves(loaded.tree):
        yield from _of_settings(step)
        for name, text in step.facts.items():
            if _INPUT.search(text):
                yield from flags_of(tuple(name.split(".")))
        for name, written in step.environment.items():
            if any(_INPUT.search(text) for _, text in _parts(written.value)):
                yield name
        if not step.runs and step.node:  # its settings are not known, so any key may be the name
            yield from _of_any(step.node.raw())
        for branch in path:
            yield from _around(branch)


def _of_settings(step: Step) -> Iterator[str]:
    keys = {setting.name: setting.key for setting in settings_of(step.model)}
    for name, written in step.settings.items():
        for inner, text in _parts(written.value, (keys.get(name, name),)):
            if _INPUT.search(text):
                yield from (_asked_as(inner), *(["condition"] if inner[-1] in _EXPRESSIONS else []))


def _around(branch: Parent) -> Iterator[str]:
    if isinstance(branch, Parallel):
        return
    header = branch.header
    for variable in header.variables:
        name = variable.at("name")
        if name and any(_INPUT.search(text) for _, text in _parts(variable.raw())):
            yield name.text
    for key, node in (
        ("when", header.when),
        ("strategy", header.strategy),
        ("failureStrategies", header.failure_strategies),
        ("timeout", header.timeout),
    ):
        for inner, text in _parts(node.raw(), (key,)) if node else ():
            if _INPUT.search(text):
                yield from (key, _asked_as(inner), *(["condition"] if inner[-1] in _EXPRESSIONS else []))


def _asked_as(keys: tuple[str, ...]) -> str:
    """Return the name of the input at *keys*, without the key that marks a loop of the newer form."""
    return ".".join(key for key in keys if key != NEWER)


def _of_any(value: Raw) -> Iterator[str]:
    """Yield every name that an input in *value* may have: its last keys; for a variable, its setting's key."""
    for keys, text in _parts(value):
        if _INPUT.search(text):
            yield from (".".join(keys[begin:]) for begin in range(len(keys)))
            yield from (camel_case(key.removeprefix("PLUGIN_").lower()) for key in keys if key.startswith("PLUGIN_"))

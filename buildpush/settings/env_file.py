"""Reads a file of variables as Harness' plugins do; every other source overrides its settings.

Source: godotenv (``parser.go``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, NoReturn

from buildpush.credentials.vault import is_expression, is_reference
from buildpush.foundation.documents import Raw, read_text
from buildpush.foundation.errors import SourceError
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.foundation.secrets import MASK, Secret
from buildpush.settings.declare import Setting
from buildpush.settings.decode import format_setting, format_value
from buildpush.settings.layers import SettingsLayer
from buildpush.settings.own_names import with_own_names
from buildpush.settings.plugin_variables import PLUGIN_VARIABLES
from buildpush.settings.step_facts import OF_STEPS
from buildpush.settings.stepkinds import StepKind, models
from buildpush.settings.variables import known_variables, settings_by
from buildpush.settings.verdicts import note_of
from buildpush.settings.written import Origin, OriginKind, WrittenValue

SETTING: Final = "env_file"
_NAME: Final = regex(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.]*)[ \t]*[=:]")
_BLANK: Final = regex(r"\s*(?:#[^\n]*)?(?:\n|\Z)")
_SINGLE: Final = regex(r"[ \t]*'((?:\\'|[^'])*)'")
_DOUBLE: Final = regex(r'[ \t]*"((?:\\.|[^"\\])*)"', re.DOTALL)
_PLAIN: Final = regex(r"((?:(?![ \t]+#)[^\n])*)(?=\s|\Z)")
_ESCAPED: Final = regex(r"\\([^$])", re.DOTALL)
_VARIABLE: Final = regex(r"\\\$|\$\{([A-Z0-9_]+)\}|\$([A-Z0-9_]+)")
_CONTROLS: Final = {"n": "\n", "r": "\r"}
_NAMING: Final = ("env_docker_secrets", "build_args_from_env", "buildx_options")
_WORD: Final = regex(r"[A-Za-z_][A-Za-z0-9_.]*")


@dataclass(frozen=True, slots=True)
class EnvFile:
    """The variables that a file gives to a step.

    Attributes:
        layer: the settings that its variables set.
        environment: the variables that set nothing.
    """

    layer: SettingsLayer
    environment: Mapping[str, WrittenValue]

    def notes(self, settings: Mapping[str, WrittenValue]) -> Iterator[str]:
        """Yield a note for each variable that sets nothing and that none of *settings* uses."""
        texts = (format_value(settings[name].value) for name in _NAMING if name in settings)
        used = {word for text in texts for word in _WORD.findall(text)}
        for name in sorted(self.environment.keys() - used - OF_STEPS):
            where = self.environment[name].origin.where
            yield f"{where}: {name} has no effect: it sets nothing, and no build secret or build argument uses it"


NO_ENV_FILE: Final = EnvFile(SettingsLayer(), {})


def env_file(kind: StepKind, file: WrittenValue, cwd: Path, notes: list[str]) -> EnvFile:
    """Return the variables for a step of *kind* from the file that *file* gives.

    Its variables, passwords too, are as near as what names the file.

    Raises:
        SourceError: it cannot be read, a line is not a variable, or a variable that begins with PLUGIN_ is unknown.
        UnsupportedError: a variable is refused.
    """
    path = file.origin.text  # for a variable around the step, the value is an expression that refers to it
    if "<+" in path:
        message = "the file of variables is read before expressions have a value"
        raise SourceError(
            message, where=file.origin.where, setting=SETTING, hint="write its path without an expression"
        )
    variables, written_names = with_own_names(kind.image, variables_in(read_text(cwd / path, path), path, notes), notes)
    own, known = known_variables(kind.model), known_variables(*models())
    others: dict[str, WrittenValue] = {}
    origin_kind: OriginKind = "variable" if file.origin.kind in {"flag", "keyword"} else file.origin.kind
    for name, (text, where) in variables.items():
        if name in known:
            notes += [] if name in own else [f"{where}: {name} has no effect: a step that builds does not read it"]
        elif name not in OF_STEPS and (name in PLUGIN_VARIABLES or name.startswith("PLUGIN_")):
            notes.append(note_of("variable", name, text, where, known))
        else:
            others[name] = WrittenValue(text, Origin(origin_kind, where, MASK, name))
    layer, texts = SettingsLayer(), {name: text for name, (text, _) in variables.items()}
    for setting, name, raw in settings_by(kind.model, texts, notes, ambient=True):
        layer.add(setting, *_value(setting, raw, Origin(origin_kind, variables[name][1], "", written_names[name])))
    return EnvFile(layer, others)


def _value(setting: Setting, raw: Raw, origin: Origin) -> tuple[Raw, Origin]:
    """Return value and origin; the text of a secret is the secret itself unless it is a reference to one."""
    if setting.secret and isinstance(raw, str) and not is_reference(raw) and not is_expression(raw):
        return Secret(raw, source=origin.where), replace(origin, text=MASK)
    return raw, replace(origin, text=format_setting(setting, raw))


def variables_in(text: str, name: str, notes: list[str]) -> dict[str, tuple[str, str]]:
    """Return the variables in *text*, each with its text and its place in the file *name*.

    Raises:
        SourceError: a line is not one of a variable; no message holds a value.
    """
    variables: dict[str, tuple[str, str]] = {}
    text, at = text.replace("\r\n", "\n"), 0
    while at < len(text):
        if blank := _BLANK.match(text, at):
            at = blank.end()
            continue
        at += len(text[at:]) - len(text[at:].lstrip())
        where = f"{name}:{text.count(chr(10), 0, at) + 1}"
        head = _NAME.match(text, at)
        if head is None:
            _fail("this line does not set a variable", where, "write NAME=VALUE, or # before a comment")
        value, at = _read(text, head.end(), where, {key: one for key, (one, _) in variables.items()})
        if head[1] in variables:
            notes.append(f"{variables[head[1]][1]}: {head[1]} has no effect: {where} sets it again")
        variables[head[1]] = value, where
    return variables


def _read(text: str, at: int, where: str, earlier: Mapping[str, str]) -> tuple[str, int]:
    """Return the value that begins at *at*, and where the next line begins."""
    rest = text[at:].lstrip(" \t")
    if not rest.startswith(("'", '"')):
        match = _PLAIN.match(text, at)
        value = _expand(match[1].strip(), where, earlier) if match else ""
    elif match := (_SINGLE if rest[0] == "'" else _DOUBLE).match(text, at):
        value = match[1] if rest[0] == "'" else _expand(_unescaped(match[1]), where, earlier)
    else:
        _fail("a quotation mark is not closed", where, "close it, or use the other kind of quotation mark")
    end = _BLANK.match(text, match.end() if match else at)
    if end is None:
        _fail("there is text after the closing quotation mark", where, "write # before a comment")
    return value, end.end()


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: _CONTROLS.get(match[1], match[1]), text)


def _expand(text: str, where: str, earlier: Mapping[str, str]) -> str:
    """Return *text* with the values of earlier variables that it refers to."""

    def fill(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name and name not in earlier:
            _fail("a $ refers to a variable that no line above sets", where, "write \\$, or the value in single quotes")
        return earlier[name] if name else "$"

    return _VARIABLE.sub(fill, text)


def _fail(message: str, where: str, hint: str) -> NoReturn:
    raise SourceError(message, where=where, hint=hint, setting=SETTING)

"""The parameters of a notebook: what its cell declares, and which values are accepted."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from buildpush.foundation.errors import SecretError, SettingsError
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import known_in, remember
from buildpush.foundation.spelling import did_you_mean

_SECRET_NAME = re.compile(r"passw|token|secret|credential|(?:^|_)(?:key|keys|apikey|pwd|auth)(?:_|$)", re.IGNORECASE)
_REFERENCE = re.compile(r"(?:env:[A-Za-z_]\w*|file:\S.*|secret:[\w.-]+|<\+secrets\.getValue\(.*\)>)\Z")
# Forms of common secrets: web tokens, JFrog's own tokens and keys, private keys, passwords in addresses.
_SECRET_VALUE = re.compile(
    r"eyJ[\w-]{8,}\.[\w-]{8,}|cmVmdGtu\w{20,}|AKCp\w{20,}|gh[pousr]_\w{20,}|-----BEGIN [A-Z ]*PRIVATE KEY|://[^/\s:@]+:[^/\s@]+@"
)
_HINT = "give a reference to it instead: env:NAME or file:PATH"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One line of the cell tagged ``parameters``: ``tags: str = "1.0"  # tag of the image``."""

    name: str
    type: str
    default: str
    help: str


def parameters_of(notebook: Path) -> tuple[Parameter, ...]:
    """Return the parameters that the notebook's tagged cell declares.

    Raises:
        SettingsError: the file is not a notebook.
    """
    from papermill import inspect_notebook

    try:
        entries = inspect_notebook(str(notebook))
    except (OSError, ValueError, KeyError, AttributeError) as error:
        message = f"{notebook} cannot be read as a notebook: {error}"
        raise SettingsError(message) from error
    return tuple(
        Parameter(name, _type_of(entry["inferred_type_name"], entry["default"]), entry["default"], entry["help"])
        for name, entry in entries.items()
    )


def checked_values(notebook: Path, values: Mapping[str, Any], env: Mapping[str, str]) -> dict[str, Any]:
    """Return *values* with the notebook's types; secrets that they refer to are registered.

    Raises:
        SettingsError: the notebook has no such parameter, or not of that type.
        SecretError: a value is a secret itself.
    """
    declared = {parameter.name: parameter for parameter in parameters_of(notebook)}
    for name in values:
        if name not in declared:
            hint = did_you_mean(name, declared, most=1) or f"its parameters are {', '.join(declared)}"
            message = f"{notebook.name} has no parameter {name!r}"
            raise SettingsError(message, hint=hint)
    for name, value in values.items():
        for text in _texts(value):
            _refuse_secret(name, text)
            _follow(text, env)
    return {name: _typed(declared[name], value) for name, value in values.items()}


def _type_of(annotation: str, default: str) -> str:
    if annotation not in {"None", ""}:
        return str(annotation)
    try:
        return type(ast.literal_eval(default)).__name__
    except (ValueError, SyntaxError):
        return ""


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a value."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield str(key)
            yield from _texts(part)
    elif isinstance(value, (list, tuple, set)):
        for part in value:
            yield from _texts(part)
    else:
        yield str(value)


def _refuse_secret(name: str, text: str) -> None:
    if not text or _REFERENCE.match(text):
        return
    # The value stays out of the message: it may well be the secret.
    if _SECRET_NAME.search(name) or _SECRET_VALUE.search(text) or known_in(text):
        message = f"parameter {name!r} looks like a secret, and a notebook keeps its parameters"
        raise SecretError(message, hint=_HINT)


def _follow(text: str, env: Mapping[str, str]) -> None:
    """Register the secret that a reference leads to, so that it is searched for."""
    kind, _, rest = text.partition(":")
    if kind == "env" and env.get(rest):
        remember(env[rest])
    elif kind == "file" and Path(rest).is_file():
        remember(Path(rest).read_text(encoding="utf-8", errors="replace").rstrip("\r\n"))


_READERS = {"int": int, "float": float}


def _typed(parameter: Parameter, value: Any) -> Any:
    """Return *value* as the parameter's type: ``1.10`` stays text if the type is text."""
    if parameter.type == "str":
        return str(value)
    if not isinstance(value, str) or parameter.type == "":
        return value
    try:
        if parameter.type == "bool":
            return {"true": True, "false": False}[value.lower()]
        return _READERS.get(parameter.type, ast.literal_eval)(value)
    except (ValueError, SyntaxError, KeyError):
        message = f"parameter {parameter.name!r} takes {parameter.type}, not {value!r}"
        raise SettingsError(message, hint=f"give a value like its default, {parameter.default}") from None

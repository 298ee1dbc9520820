"""Errors for callers in Python: flags, and keys of a file, become keywords."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from inspect import Parameter, Signature, signature
from re import Match
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from buildpush.foundation.errors import BuildPushError
from buildpush.foundation.regex import regex

if TYPE_CHECKING:
    from buildpush.settings.declare import Setting

# A text in quotation marks is a quotation, and what follows the name of a program is a line for a shell.
_WORD = regex(
    r"""(?P<other>(?<!\w)'[^']*'|"[^"]*"|\b(?:buildah|buildpush|cosign|crane|docker|git|podman|skopeo) [^;,]*)"""
    r"""|(?<![\w-])(?P<flag>--[a-z][a-z-]*)(?: (?P<value>[\w.-]+=VALUE|[a-z]+:[A-Z]+|https?://\S+))?"""
    r"""|\b(?P<key>[a-z]+[A-Z][A-Za-z]*)\b"""
)
_P = ParamSpec("_P")
_R = TypeVar("_R")


def with_keywords(act: Callable[_P, _R], like: Callable[..., object] | None = None) -> Callable[_P, _R]:
    """Return *act* with errors that name its keywords, or those of *like*, instead of flags of the command line."""
    parameters = signature(like or act).parameters

    @wraps(act)
    def call(*arguments: _P.args, **given: _P.kwargs) -> _R:
        try:
            return act(*arguments, **given)
        except BuildPushError as error:
            _translate(error, parameters)
            raise

    if "settings" in parameters and _is_in_ipython():
        call.__signature__ = _with_settings(signature(act))  # type: ignore[attr-defined]
    return call


@contextmanager
def keywords_of(act: Callable[..., object]) -> Iterator[None]:
    """Have the errors of a block name the keywords of *act*, a context manager, which :func:`with_keywords` is not."""
    try:
        yield
    except BuildPushError as error:
        _translate(error, signature(act).parameters)
        raise


def _is_in_ipython() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None


def _with_settings(whole: Signature) -> Signature:
    """Return a signature with each setting, which IPython completes and shows; elsewhere it would only be long."""
    from buildpush.settings.step_keywords import StepSettings

    *before, _ = whole.parameters.values()
    settings = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=hint.__forward_arg__)
        for name, hint in StepSettings.__annotations__.items()
    ]
    return whole.replace(parameters=[*before, *settings])


def _translate(error: BuildPushError, parameters: Collection[str]) -> None:
    from buildpush.credentials.vault import REFERENCE_HINT

    keywords = _of_call(parameters)
    error.where = error.where and _translated(error.where, keywords)
    if error.where and error.where.endswith("="):  # the caller's own words, and not those of a file
        keywords = _of_keys() | keywords
        if error.hint == REFERENCE_HINT:
            error.hint = f"give it as {error.where}buildpush.Secret(...), or {REFERENCE_HINT}"
    error.args = tuple(_translated(text, keywords) if isinstance(text, str) else text for text in error.args)
    if error.hint:
        error.hint = _translated(error.hint, keywords)


def _translated(text: str, keywords: Mapping[str, str]) -> str:
    return _WORD.sub(lambda match: _keyword(match, keywords), text)


def _keyword(match: Match[str], keywords: Mapping[str, str]) -> str:
    """Return the keyword for a flag, with its value as Python writes it; any other text unchanged."""
    keyword, value = keywords.get(match["flag"] or match["key"]), match["value"]
    if keyword is None or not value:
        return keyword or match[0]
    if keyword == "variables=":
        name, _, text = value.partition("=")
        return f'variables={{"{name}": "{text}"}}'
    return f'{keyword}"{value}"'


def _of_call(parameters: Collection[str]) -> dict[str, str]:
    """Return the keyword for each flag; one that is given several times may have the name of one."""
    own = {f"--{name.replace('_', '-')}": f"{name}=" for name in parameters}
    own |= {flag.removesuffix("s"): keyword for flag, keyword in own.items()}
    if "variables" in parameters:
        own["--var"] = "variables="
    return (_of_settings() if "settings" in parameters else {}) | own


def _of_keys() -> dict[str, str]:
    """Return the keyword for each key of a step file that is spelled differently."""
    return {setting.key: setting.name for setting in _settings() if setting.key != setting.name}


def _settings() -> list[Setting]:
    from buildpush.settings.declare import settings_of
    from buildpush.settings.stepkinds import models

    return [setting for model in models() for setting in settings_of(model)]


def _of_settings() -> dict[str, str]:
    settings = _settings()
    switches = {setting.negative_flag: f"{setting.name}=False" for setting in settings if setting.negative_flag}
    return switches | {flag: f"{setting.name}=" for setting in settings for flag in setting.flags}

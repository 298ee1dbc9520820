"""Errors for callers in Python: flags become keywords."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter, Signature, signature
from re import Match
from typing import ParamSpec, TypeVar

from buildpush.foundation.errors import BuildPushError
from buildpush.foundation.regex import regex

# A text in quotation marks is a quotation, and what follows the name of a program is a line for a shell.
_FLAG = regex(
    r"""(?P<other>(?<!\w)'[^']*'|"[^"]*"|\b(?:buildah|buildpush|cosign|crane|docker|git|podman|skopeo) [^;,]*)"""
    r"""|(?<![\w-])(?P<flag>--[a-z][a-z-]*)(?: (?P<value>[\w.-]+=VALUE|[a-z]+:[A-Z]+|https?://\S+))?"""
)
_P = ParamSpec("_P")
_R = TypeVar("_R")


def with_keywords(act: Callable[_P, _R], like: Callable[..., object] | None = None) -> Callable[_P, _R]:
    """Return *act* with errors that name its keywords, or those of *like*, instead of flags of the command line."""
    parameters = signature(like or act).parameters
    keywords = {f"--{name.replace('_', '-')}": f"{name}=" for name in parameters}
    if "variables" in parameters:
        keywords["--var"] = "variables="

    @wraps(act)
    def call(*arguments: _P.args, **given: _P.kwargs) -> _R:
        try:
            return act(*arguments, **given)
        except BuildPushError as error:
            _translate(error, (_of_settings() if "settings" in parameters else {}) | keywords)
            raise

    if "settings" in parameters and _is_in_ipython():
        call.__signature__ = _with_settings(signature(act))  # type: ignore[attr-defined]
    return call


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


def _translate(error: BuildPushError, keywords: Mapping[str, str]) -> None:
    def translated(text: str) -> str:
        return _FLAG.sub(lambda match: _keyword(match, keywords), text)

    error.args = tuple(translated(text) if isinstance(text, str) else text for text in error.args)
    error.where = error.where and translated(error.where)
    if error.hint:
        error.hint = translated(error.hint)


def _keyword(match: Match[str], keywords: Mapping[str, str]) -> str:
    """Return the keyword for a flag, with its value as Python writes it; any other text unchanged."""
    keyword, value = keywords.get(match["flag"]), match["value"]
    if keyword is None or not value:
        return keyword or match[0]
    if keyword == "variables=":
        name, _, text = value.partition("=")
        return f'variables={{"{name}": "{text}"}}'
    return f'{keyword}"{value}"'


def _of_settings() -> dict[str, str]:
    from buildpush.settings.declare import settings_of
    from buildpush.settings.stepkinds import models

    settings = [setting for model in models() for setting in settings_of(model)]
    switches = {setting.negative_flag: f"{setting.name}=False" for setting in settings if setting.negative_flag}
    return switches | {flag: f"{setting.name}=" for setting in settings for flag in setting.flags}

"""The error that ended a notebook, from its kernel: a user's error keeps its message, hint and exit code."""

from __future__ import annotations

import sys
from typing import Any

from buildpush.foundation.errors import BuildPushError, SettingsError
from buildpush.foundation.text import with_margin

# Some classes of the tree take more arguments; those just below its root have all the exit codes.
_KINDS: tuple[type[BuildPushError], ...] = (BuildPushError, *BuildPushError.__subclasses__())


def last_error() -> dict[str, Any] | None:
    """Return the error that ended this process's last cell, as plain types; ``None`` if it is not a user's error."""
    error = getattr(sys, "last_value", None)
    if isinstance(error, BuildPushError):
        texts = {"message": str(error), "hint": error.hint, "setting": error.setting}
        return {name: with_margin(text) if text else None for name, text in texts.items()} | {
            "exit_code": error.exit_code
        }
    if isinstance(error, OSError) and error.filename:
        message = with_margin(f"{error.filename} cannot be used: {error.strerror}")
        return {"message": message, "hint": None, "setting": None, "exit_code": SettingsError.exit_code}
    return None


def error_from(description: dict[str, Any]) -> BuildPushError:
    """Return the error that :func:`last_error` described."""
    kind = next((kind for kind in _KINDS if kind.exit_code == description["exit_code"]), BuildPushError)
    return kind(description["message"] or "", hint=description["hint"], setting=description["setting"])

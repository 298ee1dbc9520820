"""Which environment variables a build-info may contain: those on a list, and never a secret.

Everybody who may read the build sees them, so the list says what is included, and not what is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from buildpush.foundation.forms import holds_token, names_secret
from buildpush.foundation.secrets import redact


def allowed_environment(env: Mapping[str, str], patterns: Iterable[str]) -> dict[str, str]:
    """Return the variables of *env* that a build-info may contain, sorted by name.

    Their names must match one of *patterns* (``*`` matches anything; case matters).
    A variable whose name suggests a secret is left out even if a pattern with ``*`` matches; it is included if its name
    is on the list as it is. A value that looks like a secret is always left out.
    In every value, known secrets and the user part of URLs are masked.
    """
    names = tuple(patterns)
    values = {name: redact(env[name]) for name in sorted(env) if _is_listed(name, names)}
    return {name: value for name, value in values.items() if not _is_left_out(name, value, names)}


def excluded_variables(env: Mapping[str, str], patterns: Iterable[str]) -> tuple[str, ...]:
    """Return the names of variables that match *patterns* but are left out, since they may contain secrets."""
    names = tuple(patterns)
    allowed = allowed_environment(env, names)
    return tuple(name for name in sorted(env) if _is_listed(name, names) and name not in allowed)


def _is_listed(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns) or name in patterns


def _is_left_out(name: str, value: str, patterns: tuple[str, ...]) -> bool:
    return holds_token(value) or (names_secret(name) and name not in patterns)

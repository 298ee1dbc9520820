"""Which environment variables a build-info may show: those on a list, and never a secret.

Artifactory shows them to everybody who may read the build, so the list says what is included, not what is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from buildpush.foundation.forms import holds_token, names_secret
from buildpush.foundation.secrets import redact


def allowed_environment(env: Mapping[str, str], patterns: Iterable[str]) -> dict[str, str]:
    """Return the variables of *env* that a build-info may show, sorted by name.

    A name must fit one of *patterns* (``*`` matches anything; case matters).
    A name that usually holds a secret is left out, even where a pattern with ``*`` fits; written out in full it is
    included, because it was asked for explicitly. A value that has the form of a secret is always left out.
    In every value, known secrets and the user part of URLs are masked.
    """
    wanted = tuple(patterns)
    values = {name: redact(env[name]) for name in sorted(env) if _asked_for(name, wanted)}
    return {name: value for name, value in values.items() if not _is_left_out(name, value, wanted)}


def left_out(env: Mapping[str, str], patterns: Iterable[str]) -> tuple[str, ...]:
    """Return the names of variables that fit *patterns* and are left out, since they may hold secrets."""
    wanted = tuple(patterns)
    allowed = allowed_environment(env, wanted)
    return tuple(name for name in sorted(env) if _asked_for(name, wanted) and name not in allowed)


def _asked_for(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns) or name in patterns


def _is_left_out(name: str, value: str, patterns: tuple[str, ...]) -> bool:
    return holds_token(value) or (names_secret(name) and name not in patterns)

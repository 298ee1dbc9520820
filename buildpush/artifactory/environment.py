"""Which environment variables a build-info may show: those on a list, and never a secret.

Artifactory shows them to everybody who may read the build, so the list says what goes in, not what stays out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from buildpush.secrets import redact

_SECRET_PART = re.compile(r"PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|CREDENTIAL|PRIVATE", re.IGNORECASE)
# As whole parts only: MONKEY and AUTHOR are no secrets.
_SECRET_WORDS = frozenset({"KEY", "APIKEY", "AUTH", "PASS", "PSW", "PWD", "PAT", "JWT", "COOKIE", "NETRC"})


def names_a_secret(name: str) -> bool:
    """Return whether a variable called *name* usually holds a secret."""
    return bool(_SECRET_PART.search(name)) or bool(_SECRET_WORDS & set(name.upper().split("_")))


def allowed_environment(env: Mapping[str, str], patterns: Iterable[str]) -> dict[str, str]:
    """Return the variables of *env* that a build-info may show, sorted by name.

    A name must fit one of *patterns* (``*`` stands for anything, case counts).
    A name that usually holds a secret is left out, even where a pattern with ``*`` fits; written out in full it is
    taken, because somebody asked for exactly this one.
    In every value, known secrets and the user part of URLs are stars.
    """
    wanted = tuple(patterns)
    return {name: redact(env[name]) for name in sorted(env) if _allowed(name, wanted)}


def _allowed(name: str, patterns: tuple[str, ...]) -> bool:
    if name in patterns:
        return True
    return not names_a_secret(name) and any(fnmatchcase(name, pattern) for pattern in patterns)

"""The proxies of the environment, which the containers of RUN see as well.

Source: drone-docker (``docker.go``, ``addProxyBuildArgs``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from buildpush.foundation.secrets import remember_user_info

_NAMES: Final = ("http_proxy", "https_proxy", "no_proxy")


def _spellings(name: str) -> tuple[str, str, str]:
    return name, name.upper(), f"HARNESS_{name.upper()}"


PROXIES: Final = frozenset(spelling for name in _NAMES for spelling in _spellings(name))


def proxies_of(env: Mapping[str, str], arguments: Collection[str]) -> dict[str, str]:
    """Return each proxy variable of *env* in lower and upper case, except those among the build *arguments*."""
    variables: dict[str, str] = {}
    for name in _NAMES:
        value = next((env[key] for key in _spellings(name) if env.get(key)), "")
        remember_user_info(value)
        variables |= {key: value for key in (name, name.upper()) if value and key not in arguments}
    return variables

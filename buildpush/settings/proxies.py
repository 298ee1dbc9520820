"""The proxies of the environment, which the containers of RUN see as well.

Source: drone-docker (``docker.go``, ``addProxyBuildArgs``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from buildpush.foundation.secrets import remember_user_info

_NAMES: Final = ("http_proxy", "https_proxy", "no_proxy")


def proxies_of(env: Mapping[str, str], arguments: Collection[str]) -> dict[str, str]:
    """Return each proxy variable of *env* in lower and upper case, except those among the build *arguments*."""
    found: dict[str, str] = {}
    for name in _NAMES:
        spellings = (name, name.upper())
        value = next((env[key] for key in (*spellings, f"HARNESS_{name.upper()}") if env.get(key)), "")
        remember_user_info(value)
        found |= {key: value for key in spellings if value and key not in arguments}
    return found

"""Which variables of our environment are passed to the programs that we start: what they need, and no other secrets.

Every process of the same user can read a program's environment, builds may print it, and credentials reach programs in
private files anyway. We start two kinds of programs: those that build or inspect, and those that log in somewhere by
their own means, with variables that the user has set for them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from buildpush.foundation.forms import looks_secret, names_secret
from buildpush.foundation.regex import regex
from buildpush.foundation.secrets import is_known

VariableFilter = Callable[[str, str], bool]

# Variables of buildpush, of Harness's plugins and of jf: no program that we start reads them. DOCKER_AUTH_CONFIG would
# take precedence over the private file of logins, and has the logins of every host.
# Source: docker/cli, "DOCKER_AUTH_CONFIG".
_EXCLUDED: Final = regex(r"(?:PLUGIN|BUILDPUSH|JF|JFROG)_.*|DOCKER_AUTH_CONFIG")
# What engines cannot work without, although it may contain a secret: the address of a daemon, proxies, an SSH agent,
# caches in S3, Azure, Google Cloud and GitHub Actions, and the helpers that log in to the registries of clouds.
_ENGINE_VARIABLES: Final = regex(
    r"(?:DOCKER|BUILDX|BUILDKIT|BUILDAH|CONTAINERS?|STORAGE|AWS|AZURE|GOOGLE|CLOUDSDK|ACTIONS)_.*"
    r"|(?:HTTPS?|ALL|NO|FTP)_PROXY|SSH_AUTH_SOCK|REGISTRY_AUTH_FILE",
    re.IGNORECASE,
)
# Git's configuration in variables: a count and that many pairs, useless one by one. Programs that build do not need it.
_PAIRS_OF_GIT: Final = regex(r"GIT_CONFIG_(?:COUNT|KEY_\d+|VALUE_\d+|PARAMETERS)")


def for_engines(name: str, value: str) -> bool:
    """Return whether programs that build or inspect get the variable *name*."""
    if _EXCLUDED.fullmatch(name) or _PAIRS_OF_GIT.fullmatch(name):
        return False
    if _ENGINE_VARIABLES.fullmatch(name):
        return True
    return not (is_known(value) or names_secret(name) or looks_secret(value))


def for_logins(name: str, value: str) -> bool:
    """Return whether programs that log in by their own means, such as credential helpers and git, get the variable."""
    del value
    return not _EXCLUDED.fullmatch(name)

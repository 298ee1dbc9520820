"""Which variables of our environment reach the programs that we start: those that they need, and no other secret.

Every process of the same user can read a program's environment, builds may print it, and credentials reach programs in
private files anyway. Two kinds of programs are started: those that build or look at things, and those that log in
somewhere by their own means, with whatever the user has given them for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from buildpush.foundation.forms import looks_secret, names_secret
from buildpush.foundation.regex import regex
from buildpush.foundation.secrets import is_known

Passes = Callable[[str, str], bool]

# Ours, those of Harness's plugins and of jf: no program that we start reads them. DOCKER_AUTH_CONFIG would come before
# the private file of logins, and holds those of every host. Source: docker/cli, "DOCKER_AUTH_CONFIG".
_WITHHELD: Final = regex(r"(?:PLUGIN|BUILDPUSH|JF|JFROG)_.*|DOCKER_AUTH_CONFIG")
# What engines cannot do without, though a secret may be in it: the address of a daemon, proxies, an SSH agent,
# caches in S3, Azure, Google Cloud and GitHub Actions, and the helpers that log in to the registries of clouds.
_ENGINE_VARIABLES: Final = regex(
    r"(?:DOCKER|BUILDX|BUILDKIT|BUILDAH|CONTAINERS?|STORAGE|AWS|AZURE|GOOGLE|CLOUDSDK|ACTIONS)_.*"
    r"|(?:HTTPS?|ALL|NO|FTP)_PROXY|SSH_AUTH_SOCK|REGISTRY_AUTH_FILE",
    re.IGNORECASE,
)
# They come as a number and as many pairs, which mean nothing alone; git itself is not one of the programs that build.
_PAIRS_OF_GIT: Final = regex(r"GIT_CONFIG_(?:COUNT|KEY_\d+|VALUE_\d+|PARAMETERS)")


def for_engines(name: str, value: str) -> bool:
    """Return whether a program that builds, or only looks at things, may know the variable *name*."""
    if _WITHHELD.fullmatch(name) or _PAIRS_OF_GIT.fullmatch(name):
        return False
    if _ENGINE_VARIABLES.fullmatch(name):
        return True
    return not (is_known(value) or names_secret(name) or looks_secret(value))


def for_logins(name: str, value: str) -> bool:
    """Return whether a program that logs in by its own means, a credential helper or git, may know the variable."""
    del value
    return not _WITHHELD.fullmatch(name)

"""What ADD and a context may name besides files: repositories of git, and files of the web.

Source: Dockerfile reference, "ADD"; docker buildx build, "Build context"; which of both it is, as BuildKit sees it.
"""

from __future__ import annotations

import re

_WEB = re.compile(r"https?://", re.IGNORECASE)
_GIT = re.compile(r"git@|git://|ssh://|https?://[^?#]+\.git(?:[?#].*)?\Z", re.IGNORECASE)


def is_web(address: str) -> bool:
    """Return whether *address* is a file of the web."""
    return bool(_WEB.match(address)) and not is_git(address)


def is_git(address: str) -> bool:
    """Return whether *address* is a repository of git."""
    return bool(_GIT.match(address))

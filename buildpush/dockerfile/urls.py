"""What ADD and a context may name besides files: repositories of git, and files of the web.

Source: Dockerfile reference, "ADD"; docker buildx build, "Build context"; which of both it is, as BuildKit sees it.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from buildpush.foundation.forms import clean_address
from buildpush.foundation.regex import regex

_WEB = regex(r"https?://", re.IGNORECASE)
_GIT = regex(r"git@|git://|ssh://|https?://[^?#]+\.git(?:[?#].*)?\Z", re.IGNORECASE)


def is_web(address: str) -> bool:
    """Return whether *address* is a file of the web."""
    return bool(_WEB.match(address)) and not is_git(address)


def is_git(address: str) -> bool:
    """Return whether *address* is a repository of git."""
    return bool(_GIT.match(address))


def is_legible(address: str) -> bool:
    """Return whether host and port of *address* can be read; nothing else is said of what it leads to."""
    try:
        parts = urlsplit(address)
        return parts.port != 0 and bool(parts.hostname or not parts.scheme)
    except ValueError:
        return False


def safe_url(address: str) -> str:
    """Return *address* as it may be printed: without user and query, which may be secrets; a branch of git stays.

    A file of this machine stays as it is.
    """
    return clean_address(address) if is_web(address) or is_git(address) else address

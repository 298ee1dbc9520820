"""Recognises the addresses that ADD and a context may name: git repositories, and files on the web.

Source: Dockerfile reference, "ADD"; docker buildx build, "Build context"; BuildKit's rules decide which of the two it
    is.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from buildpush.foundation.forms import clean_address
from buildpush.foundation.regex import regex

_WEB = regex(r"https?://", re.IGNORECASE)
_GIT = regex(r"git@|git://|ssh://|https?://[^?#]+\.git(?:[?#].*)?\Z", re.IGNORECASE)


def is_web(address: str) -> bool:
    """Return whether *address* is a file on the web."""
    return bool(_WEB.match(address)) and not is_git(address)


def is_git(address: str) -> bool:
    """Return whether *address* is a git repository."""
    return bool(_GIT.match(address))


def has_valid_host(address: str) -> bool:
    """Return whether host and port of *address* can be parsed; nothing else is checked."""
    try:
        parts = urlsplit(address)
        return parts.port != 0 and bool(parts.hostname or not parts.scheme)
    except ValueError:
        return False


def printable_url(address: str) -> str:
    """Return *address* as it may be printed: without user and query, which may be secrets; a git branch stays.

    A local file stays unchanged.
    """
    return clean_address(address) if is_web(address) or is_git(address) else address

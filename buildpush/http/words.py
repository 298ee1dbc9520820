"""Reads the code and the reason of an error in the body of an answer, in whichever form a server writes them.

Sources: distribution-spec, "Error Codes" (``errors[].code, message, detail``); JFrog REST API (``errors[].status,
message``, and its registry, which has the reason only in ``detail``); RFC 6749, 5.2 (``error, error_description``);
Docker Hub's token server (``details``); the Docker daemon (``message``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from buildpush.foundation import strict_json
from buildpush.foundation.regex import regex
from buildpush.foundation.secrets import without_partial_secret, without_parts
from buildpush.foundation.text import LONGEST_QUOTE, decoded, quotation, safe, without_tags

_MOST_READ: Final = 256 * 1024
_MOST_ERRORS: Final = 5
_PAGE = regex(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|title|h1|center)\b",
    re.IGNORECASE | re.DOTALL,
)
_TITLE = regex(r"<(title|h1)\b[^>]*>(.*?)</\1\s*>", re.IGNORECASE | re.DOTALL)
_WORDS: Final = ("error_description", "message", "details", "reason", "error")


def error_in(body: bytes) -> tuple[str | None, str]:
    """Return the code that *body* names, or ``None``, and its reason: one line of at most 2048 characters, or empty.

    A page of HTML, which comes from a proxy or a login page in between, is described. Secrets are hidden, and what is
    left of them where the server has cut them.
    """
    code, reason = _code_and_reason(body)
    return code and without_parts(code), without_parts(reason)


def _code_and_reason(body: bytes) -> tuple[str | None, str]:
    text = decoded(body) if len(body) <= _MOST_READ else without_partial_secret(decoded(body[:_MOST_READ], whole=False))
    if _PAGE.match(text):
        # A part of a secret may look like a tag, and without it the rest is not recognized any more; nor is a secret
        # with controls in it, before they are removed.
        return None, quotation(_page_words(safe(text)))
    try:
        document = strict_json.parse(body)
    except ValueError:
        return None, quotation(text)
    return _code(document), quotation("; ".join(dict.fromkeys(_reasons(document))))


def is_page(body: bytes) -> bool:
    """Return whether *body* is a page of HTML."""
    return _PAGE.match(decoded(body[:_MOST_READ])) is not None


def _page_words(page: str) -> str:
    titles = (quotation(without_tags(match[2]), 200) for match in _TITLE.finditer(page))
    if title := next(filter(None, titles), ""):
        return f'a web page, titled "{title}"'
    words = quotation(without_tags(page, between=" "), 200)
    return f'a web page: "{words}"' if words else "a web page without text"


def _errors(document: Any) -> list[Any]:
    errors = document.get("errors") if isinstance(document, dict) else None
    return errors[:_MOST_ERRORS] if isinstance(errors, list) and errors else [document]


def _code(document: Any) -> str | None:
    first = _errors(document)[0]
    code = first.get("code") if isinstance(first, dict) else None
    return (quotation(str(code), 64) or None) if isinstance(code, str | int) else None


def _reasons(document: Any) -> Iterator[str]:
    """Yield the reason of each error in *document*, with its detail in parentheses."""
    for error in _errors(document):
        if not isinstance(error, dict):
            yield _words(error)
            continue
        reason, detail = _reason(error), _words(error.get("detail"))
        if reason or detail:
            yield f"{reason} ({detail})" if reason and detail not in {"", reason} else reason or detail
        elif "code" not in error:
            yield _words(error)


def _reason(error: dict[str, Any]) -> str:
    return next((words for key in _WORDS if (words := _words(error.get(key)))), "")


def _words(value: Any) -> str:
    """Return a text unchanged, and anything else as JSON; texts in it are made safe before JSON escapes them."""
    if value in (None, [], {}):
        return ""
    if isinstance(value, str):
        return quotation(value)
    return quotation(json.dumps(_safe(value), ensure_ascii=False)[: 8 * LONGEST_QUOTE])


def _safe(value: Any) -> Any:
    if isinstance(value, dict):
        return {quotation(str(name)): _safe(entry) for name, entry in list(value.items())[:100]}
    if isinstance(value, list):
        return [_safe(entry) for entry in value[:100]]
    return quotation(value) if isinstance(value, str) else value

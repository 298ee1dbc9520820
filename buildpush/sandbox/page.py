"""What every page for people has: its protection, readable sizes and times, and stars instead of secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from buildpush.foundation.secrets import MASK
from buildpush.sandbox.html import Markup, element, facts, page

# Pages load nothing and run nothing, whatever is in a label or a build name.
PROTECTION = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:"}
_SECRET_KEY = re.compile(r"passw|secret|token|psw|pwd|apikey|api_key|credential|private|auth(?!or)", re.IGNORECASE)


def answer(title: str, *content: object) -> web.Response:
    """Return a complete page as an answer."""
    # Documents may contain a lone surrogate, which UTF-8 cannot encode.
    body = page(title, *content).encode(errors="replace")
    return web.Response(body=body, content_type="text/html", charset="utf-8", headers=PROTECTION)


def size(number: int) -> str:
    """Return a number of bytes in a readable decimal unit; the number and the unit stay on one line."""
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:  # noqa: PLR2004 - the next unit
            return f"{value:.0f}\N{NO-BREAK SPACE}{unit}" if unit == "B" else f"{value:.1f}\N{NO-BREAK SPACE}{unit}"
        value /= 1000
    return f"{value:.1f}\N{NO-BREAK SPACE}TB"


def moment(seconds: float) -> str:
    """Return a time in UTC, to the second, that stays on one line."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d\N{NO-BREAK SPACE}%H:%M:%S\N{NO-BREAK SPACE}UTC}"


def short(value: object) -> str:
    """Return the beginning of a checksum."""
    text = str(value or "")
    return f"{text[:12]}…" if text else ""


def hidden_where_secret(values: Mapping[str, str], empty: str) -> Markup:
    """Return a list of names and values, or the sentence *empty*; the values of secrets are stars."""
    if not values:
        return element("p", empty, class_="empty")
    return facts([(key, value_unless_secret(key, value)) for key, value in sorted(values.items())])


def value_unless_secret(key: str, value: str) -> str:
    """Return *value*, or stars if its name is that of a secret."""
    return MASK if _SECRET_KEY.search(key) else value


def dicts(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects in a list that was read from JSON; nothing, if it is none."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def texts(value: Any) -> dict[str, str]:
    """Return the values of an object that was read from JSON as texts; nothing, if it is none."""
    return {str(key): str(text) for key, text in value.items()} if isinstance(value, dict) else {}

"""The only place that knows how to hide a secret.

A :class:`Secret` shows stars in every form of text, and whoever makes one registers its value, so that
:func:`redact` finds it in any text that is about to leave the program.
"""

from __future__ import annotations

import base64
import json
import threading
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import quote, quote_plus, unquote

from buildpush.forms import passwords_in, without_user_info

MASK = "********"
# Shorter values would blacken ordinary words; they are masked in their Secret only.
SHORTEST = 4
# A line of a longer secret, a key or a file of logins: programs print line by line.
_SHORTEST_LINE = 8

_lock = threading.Lock()
_forms: tuple[str, ...] = ()  # the shortest first


def _spellings(value: str) -> list[str]:
    """Return the forms in which *value* may turn up in headers, URLs and JSON."""
    raw = value.encode()
    lines = [line.strip() for line in value.splitlines()] if "\n" in value.strip() else []
    return [
        *(line for line in lines if len(line) >= _SHORTEST_LINE),
        value,
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
        quote(value, safe=""),
        quote_plus(value),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        value.strip(),
    ]


def remember(value: str) -> None:
    """Make :func:`redact` hide *value* from now on, in this process."""
    global _forms  # noqa: PLW0603  replaced as a whole, so that readers need no lock
    forms = {form for form in _spellings(value) if len(form) >= SHORTEST}
    with _lock:
        if not forms <= set(_forms):
            _forms = tuple(sorted({*_forms, *forms}, key=len))


def remember_user_info(text: str) -> None:
    """Make :func:`redact` hide the passwords of the URLs in *text*, wherever else they turn up."""
    for password in passwords_in(text):
        remember(password)
        remember(unquote(password))


def redact(text: str) -> str:
    """Return *text* with every secret known to this process, and the user part of every URL, replaced by stars.

    The account on a server of SSH, such as ``git``, stays.

    Known forms are the value itself, base64, percent-encoded and JSON-escaped.
    A value that was cut or hashed is not recognised; of one of several lines, each line from eight characters is.
    """
    return without_user_info(_without_known(text), MASK)


def redacted(value: Any) -> Any:
    """Return *value*, made of plain JSON types, with :func:`redact` done to every text in it, names included."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {redact(name): redacted(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(entry) for entry in value]
    return value


def known_in(text: str) -> bool:
    """Return whether *text* holds a secret known to this process."""
    return _without_known(text) != text


def is_known(text: str) -> bool:
    """Return whether *text* as a whole is a secret known to this process."""
    return text in _forms


def _without_known(text: str) -> str:
    # Longer forms first; a build prints many lines, and most are shorter than any secret.
    forms = _forms
    for form in reversed(forms[: bisect_right(forms, len(text), key=len)]):
        if form in text:
            text = text.replace(form, MASK)
    return text


class Secret:
    """A value that is shown as stars wherever it is printed.

    Args:
        value: the secret text itself.
        source: where it came from, for messages: ``env:TOKEN``, ``file:/run/token``, ``connector jfrog``.
    """

    __slots__ = ("_value", "source")

    def __init__(self, value: str, source: str = "given") -> None:
        remember(value)
        self._value = value
        self.source = source

    def reveal(self) -> str:
        """Return the value; call it only where bytes leave for the host that the secret belongs to."""
        return self._value

    def basic(self, username: str) -> str:
        """Return *username* and this password as Basic authentication writes them: hidden from now on as well.

        Source: RFC 7617, 2.
        """
        pair = base64.b64encode(f"{username}:{self._value}".encode()).decode()
        remember(pair)
        return pair

    def __repr__(self) -> str:
        return f"Secret({MASK!r}, source={self.source!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __reduce__(self) -> NoReturn:
        message = "a Secret cannot be pickled"
        raise TypeError(message)

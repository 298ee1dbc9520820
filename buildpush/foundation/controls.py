"""Control characters and invisible characters: which they are, and text without them.

Source: ECMA-48 (control sequences and strings), ISO 2022 (escape sequences), Unicode 16, Default_Ignorable_Code_Point
and Bidi_Control.
"""

from __future__ import annotations

import re
from typing import Final

from buildpush.foundation.regex import regex

# Complete sequences only: of an incomplete one, just the control character is removed. A class in front of this tail
# matches the first character, and the tail looks behind for it, so that text without controls is scanned quickly.
_TAIL: Final = (
    r"(?:(?<=\x1b)\[|(?<=\x9b))[0-?]*[ -/]*(?:[@-~]|\Z)"
    r"|(?:(?<=\x1b)[\]PX^_]|(?<=[\x90\x98\x9d-\x9f]))[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"
    r"|(?<=\x1b)[ -/]+[0-~]"
    r"|(?<=\x1b)[78=>cDEHM]"
)
SEQUENCE_TAIL: Final = f"(?:{_TAIL})"
# The inside of a character class: all controls but tab and line feed, and characters that a screen does not show.
INVISIBLE: Final = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
_SEQUENCE = regex(rf"[\x1b\x90\x98\x9b\x9d-\x9f]{SEQUENCE_TAIL}")
# Removing a sequence may join the text around it to a new one. Deeper nesting can only be an attack: what is left then
# is treated as text, and its control characters are removed.
_MOST_PASSES: Final = 16
_INVISIBLE = regex(f"[{INVISIBLE}]+")
# Controls that neither begin nor end a sequence or a line: terminals ignore them in the middle of a sequence.
_IGNORED_CONTROLS = regex(f"(?![\x07\x0b-\x0d\x1b-\x1e\x85\x90\x98\x9b-\x9f\u2028\u2029])[{INVISIBLE}]")
# What str.splitlines() treats as the end of a line, as some terminals and log viewers do.
_LINE_END = regex("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_SURROGATE = regex("[\ud800-\udfff]")


def without_controls(text: str) -> str:
    """Return *text* as a reader sees it: lines end with line feeds, and the only other control characters are tabs.

    A lone surrogate, which file names may contain, becomes U+FFFD.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _IGNORED_CONTROLS.sub("", text)
    for _ in range(_MOST_PASSES):
        before, text = text, _SEQUENCE.sub("", text)
        if text == before:
            break
    return _SURROGATE.sub("\ufffd", _INVISIBLE.sub("", _LINE_END.sub("\n", text)))


def escaped(text: str) -> str:
    """Return *text*, a JSON document, with its control characters escaped as in JSON."""
    return _ESCAPED.sub(_escape, text)


_ESCAPED = regex(f"[{INVISIBLE}\ud800-\udfff]")


def _escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))

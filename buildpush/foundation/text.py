"""Text from elsewhere made safe to show: from servers, engines, programs, notebooks, and names in files and manifests.

It is decoded, freed of control characters, redacted and shortened, and its further lines get a margin, so that they do
not look like ours. Nothing else is done to it before it is shown.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from typing import Final

from buildpush.foundation.controls import without_controls
from buildpush.foundation.regex import regex
from buildpush.foundation.secrets import redact, without_partial_secret

LONGEST_LINE: Final = 16 * 1024
# More of a long line is read than is shown, so that a secret at the place where it is cut is still recognised.
LONGEST_READ: Final = 4 * LONGEST_LINE
LONGEST_QUOTE: Final = 2048
# Begins every line of a text but its first, so that no line looks like ours, or like a command to a CI system.
MARGIN: Final = "  | "
_ENTITY = regex(r"&[#\w\n]{1,40};")
# HTML that shows nothing.
_INVISIBLE_HTML = regex(r"<(script|style|head)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)", re.IGNORECASE | re.DOTALL)
_TAG = regex(r"<[!/?a-zA-Z][^>]*>")
# Azure Pipelines, TeamCity and GitHub read these anywhere in a line.
# Source: azure-pipelines-agent, Command.cs; actions/runner, ActionCommand.cs; TeamCity, "Service Messages".
_COMMAND = regex(r"##(?=(?:vso|teamcity)?\[)", re.IGNORECASE)


def decoded(data: bytes, *, whole: bool = True) -> str:
    """Return *data* as text; what is not UTF-8 becomes U+FFFD, except a character cut at the end if not *whole*."""
    return codecs.getincrementaldecoder("utf-8")("replace").decode(data, final=whole)


def safe(text: str) -> str:
    """Return foreign *text* of one or more lines without controls, secrets and commands to CI systems."""
    # Redacted before, since a control sequence may swallow a part of the secret behind it; and after, since removing
    # controls may join the pieces of a secret.
    hidden = redact(text)
    plain = without_controls(hidden)
    cleaned = plain if plain is hidden else redact(plain)
    return _COMMAND.sub("## ", cleaned) if "##" in cleaned else cleaned


def one_line(text: str, most: int = LONGEST_LINE) -> str:
    """Return foreign *text* as one line of at most *most* characters; ends of lines become blanks."""
    cleaned = safe(text)
    return shortened(" ".join(cleaned.split("\n")) if "\n" in cleaned else cleaned, most)


def quotation(text: str, most: int = LONGEST_QUOTE) -> str:
    """Return foreign *text* as a part of a sentence: one line, single blanks, at most *most* characters."""
    return shortened(" ".join(safe(text).split()), most)


def with_margin(text: str) -> str:
    """Return *text*, parts of which may be foreign, with a margin before every line but the first."""
    cleaned = safe(text)
    if "\n" not in cleaned:
        return shortened(cleaned, LONGEST_LINE)
    first, *others = (shortened(part.rstrip(), LONGEST_LINE) for part in cleaned.rstrip("\n").split("\n"))
    return "\n".join([first, *(f"{MARGIN}{other.removeprefix(MARGIN)}" for other in others if other)])


def without_tags(page: str, between: str = "") -> str:
    """Return what a reader sees of a piece of HTML, with *between* for each tag; the result is not safe to show yet."""
    from html import unescape  # imported only here, since it loads thousands of names

    # First, since a control character or a line feed inside an entity would change its meaning.
    whole = _ENTITY.sub(lambda match: match[0].replace("\n", ""), without_controls(page))
    return unescape(_TAG.sub(between, _INVISIBLE_HTML.sub("", whole)))


def shortened(text: str, most: int) -> str:
    """Return at most *most* characters of a text that is already safe; an ellipsis says that there was more."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def lines_of(text: str, *, whole: bool = True) -> Iterator[str]:
    """Yield the lines of one foreign line: what would overwrite itself on a terminal is put on separate lines.

    Args:
        text: without its line feed.
        whole: whether it is the complete line; if not, it may end within a secret.
    """
    cleaned = safe(text if whole else f"{without_partial_secret(text)}…")
    yield from (shortened(part, LONGEST_LINE) for part in cleaned.strip("\n").split("\n"))


class Lines:
    """Foreign text that arrives in pieces and is passed on line by line; a line that is too long is cut.

    Args:
        show: called with each line, safe to show and without its end.
    """

    def __init__(self, show: Callable[[str], object]) -> None:
        self._show = show
        self._rest = ""
        self._is_skipping = False

    def write(self, text: str) -> None:
        """Take the next piece."""
        *ended, self._rest = (self._rest + text).split("\n")
        for one in ended:
            self._end(one)
        if len(self._rest) > LONGEST_READ:
            self._emit(self._rest[:LONGEST_READ], whole=False)
            self._rest, self._is_skipping = "", True

    def flush(self) -> None:
        """Do nothing: an incomplete line waits for its end."""

    def close(self) -> None:
        """Pass on the rest as the last line."""
        if self._rest:
            self._end(self._rest)
        self._rest = ""

    def _end(self, text: str) -> None:
        self._emit(text, whole=True)
        self._is_skipping = False

    def _emit(self, text: str, *, whole: bool) -> None:
        if not self._is_skipping:
            for part in lines_of(text, whole=whole):
                self._show(part)

"""The only entrance for text that others wrote: servers, engines, programs, notebooks, names in files and manifests.

Whatever comes in is decoded, freed of controls, redacted, cut, and kept from beginning a line of its own, in this
order; afterwards it is only shown.
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
# Of a line that is too long, more is read than is shown: a secret that is cut there is still recognised.
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
    # Before, as a control in front of a secret may swallow a part of it; and after, as removing controls joins pieces.
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
    """Return what a reader sees of a piece of HTML, which is not safe yet, with *between* for each tag."""
    from html import unescape  # it loads thousands of names

    # First, as a control in the middle of an entity changes its meaning; so would an entity of a line feed.
    whole = _ENTITY.sub(lambda match: match[0].replace("\n", ""), without_controls(page))
    return unescape(_TAG.sub(between, _INVISIBLE_HTML.sub("", whole)))


def shortened(text: str, most: int) -> str:
    """Return at most *most* characters of a text that is already safe; an ellipsis says that there was more."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def lines_of(text: str, *, whole: bool = True) -> Iterator[str]:
    """Yield the lines of one foreign line: what overwrites itself on a terminal is put on separate lines.

    Args:
        text: without its line feed.
        whole: whether it is all of the line; else its end may be a part of a secret.
    """
    cleaned = safe(text if whole else f"{without_partial_secret(text)}…")
    yield from (shortened(part, LONGEST_LINE) for part in cleaned.strip("\n").split("\n"))


class Lines:
    """Foreign text that arrives in pieces, passed on line by line; a line that is too long is cut.

    Args:
        show: gets each line, safe and without its end.
    """

    def __init__(self, show: Callable[[str], object]) -> None:
        self._show = show
        self._rest = ""
        self._skips = False

    def write(self, text: str) -> None:
        """Take the next piece."""
        *ended, self._rest = (self._rest + text).split("\n")
        for one in ended:
            self._end(one)
        if len(self._rest) > LONGEST_READ:
            self._tell(self._rest[:LONGEST_READ], whole=False)
            self._rest, self._skips = "", True

    def flush(self) -> None:
        """Do nothing: only the incomplete line is kept, until its end arrives."""

    def close(self) -> None:
        """Take what is left as the last line."""
        if self._rest:
            self._end(self._rest)
        self._rest = ""

    def _end(self, text: str) -> None:
        self._tell(text, whole=True)
        self._skips = False

    def _tell(self, text: str, *, whole: bool) -> None:
        if not self._skips:
            for part in lines_of(text, whole=whole):
                self._show(part)

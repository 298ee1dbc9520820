"""Searches a log of any size: it is read in pieces, and of a line that is too long, only the beginning."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO, Final

from buildpush.advice.row import Advice
from buildpush.advice.table import ROWS
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.foundation.text import LONGEST_READ, lines_of, shortened

_PIECE: Final = 1024 * 1024
_LONGEST_SHOWN: Final = 400
# Programs show parts of their messages in colours.
_COLOUR: Final = regex(r"\x1b\[[0-?]*[ -/]*[@-~]")
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class MatchedLine:
    """A row, and the first line of a log that it is about.

    Attributes:
        number: of the line, from 1.
        line: its text, without controls and secrets, cut to a readable length.
    """

    advice: Advice
    number: int
    line: str


def findings(log: BinaryIO) -> list[MatchedLine]:
    """Return every row that *log* has a line for, in the order of those lines."""
    matches: list[MatchedLine] = []
    remaining, number = list(ROWS), 1
    for text in _pieces(log):
        lower = (_COLOUR.sub("", text) if "\x1b" in text else text).lower()
        likely = [row for row in remaining if row.may_be_in(lower)]
        new = list(_search(text, lower, likely)) if likely else []
        matches += [MatchedLine(row, number + offset, _printable_line(line)) for row, offset, line in new]
        remaining = [row for row in remaining if all(one is not row for one, *_ in new)]
        number += text.count("\n")
    return matches


def _search(text: str, lower: str, rows: list[Advice]) -> Iterator[tuple[Advice, int, str]]:
    """Yield each of *rows* that explains a line, with the number of lines before it, and the line."""
    for offset, line in enumerate(lower.split("\n")):
        for row in [row for row in rows if row.fits(line)]:
            rows.remove(row)
            yield row, offset, text.split("\n", offset + 1)[offset]
        if not rows:
            return


def _printable_line(line: str) -> str:
    parts = lines_of(line[:LONGEST_READ].rstrip("\r"), whole=len(line) <= LONGEST_READ)
    return shortened(" ".join(part.strip() for part in parts), _LONGEST_SHOWN)


def _pieces(log: BinaryIO) -> Iterator[str]:
    """Yield a log as text, in pieces that end with lines; the rest of a line that is too long is left out."""
    rest, skips, decoder = "", False, None
    while data := log.read(_PIECE):
        decoder = decoder or _decoder(data)
        text = decoder.decode(data)
        if skips:
            _, end, text = text.partition("\n")
            skips, text = not end, end + text
        whole, end, rest = (rest + text).rpartition("\n")
        if len(rest) > LONGEST_READ:
            whole, end, rest, skips = whole + end + rest[: LONGEST_READ + 1], "", "", True
        if whole or end:
            yield whole + end
    if rest:
        yield rest


def _decoder(data: bytes) -> codecs.IncrementalDecoder:
    """Return the decoder of a log that begins with *data*: PowerShell writes UTF-16."""
    name = "utf-16" if data.startswith(_UTF_16) else "utf-8-sig"
    return codecs.getincrementaldecoder(name)("replace")

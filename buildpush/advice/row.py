"""One row of advice: a message, its cause, and what to do about it."""

from __future__ import annotations

from typing import Final

from buildpush.foundation.records import dataclass

_GAP: Final = "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What a message of some program means.

    Attributes:
        name: of the row, unique.
        symptom: what users see, as a title.
        programs: those that print it, by their usual names.
        examples: the message as the programs print it.
        marks: pieces of lower-case text, one of which such a line contains; … means any text in between.
            Empty if nothing is printed.
        cause: why it appears, a part of a sentence.
        fix: what to do, a part of a sentence.
        type: of the error in failure strategies; empty where it is not a failure.
        fails: whether it may be the reason why a run failed; otherwise it only explains a result.
    """

    name: str
    symptom: str
    programs: str
    examples: tuple[str, ...]
    marks: tuple[str, ...]
    cause: str
    fix: str
    type: str = ""
    fails: bool = True

    @property
    def anchor(self) -> str:
        """Its anchor on the troubleshooting page, and its name in ``buildpush explain``."""
        return f"advice-{self.name}"

    @property
    def hint(self) -> str:
        """Cause and remedy, for an error."""
        return f"{self.cause}: {self.fix}"

    def fits(self, lower: str) -> bool:
        """Return whether a line, in lower case and without controls, is the message."""
        return any(_contains_in_order(mark, lower) for mark in self.marks)

    def may_be_in(self, lower: str) -> bool:
        """Return whether a text of several lines has the beginning of a mark somewhere: a quick first test."""
        return any(mark.partition(_GAP)[0] in lower for mark in self.marks)


def _contains_in_order(mark: str, lower: str) -> bool:
    """Return whether the pieces of *mark* are in the line, in their order: each is searched once."""
    at = 0
    for piece in mark.split(_GAP):
        at = lower.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return True

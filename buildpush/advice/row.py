"""One row of advice: a message, why it comes, and what to do about it."""

from __future__ import annotations

from typing import Final

from buildpush.foundation.records import dataclass

_BETWEEN: Final = "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What a message of some program means.

    Attributes:
        name: of the row, unique.
        symptom: what people see, as a title.
        programs: those that print it, as people call them.
        examples: the message as the programs print it.
        marks: pieces of lower-case text, of which such a line has one; … stands for what may be in between.
            None where nothing is printed.
        cause: why it comes, a part of a sentence.
        fix: what to do, a part of a sentence.
        type: of the error in failure strategies; empty where it is no failure.
        fails: whether a run that prints it may have failed of it; else it only explains a result.
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
        """Its place on the page of troubleshooting, and its name in ``buildpush explain``."""
        return f"advice-{self.name}"

    @property
    def hint(self) -> str:
        """Cause and remedy, for an error."""
        return f"{self.cause}: {self.fix}"

    def fits(self, lower: str) -> bool:
        """Return whether a line, in lower case and without controls, is the message."""
        return any(_stands(mark, lower) for mark in self.marks)

    def may_be_in(self, lower: str) -> bool:
        """Return whether a longer text has the beginning of a mark somewhere, which is quickly said."""
        return any(mark.partition(_BETWEEN)[0] in lower for mark in self.marks)


def _stands(mark: str, lower: str) -> bool:
    """Return whether the pieces of *mark* stand in the line in their order: each is looked for once."""
    at = 0
    for piece in mark.split(_BETWEEN):
        at = lower.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return True

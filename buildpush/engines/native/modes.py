"""Modes as in ``--chmod``: octal digits, or letters that change the mode that a file has.

Source: chmod(1), POSIX, "Extended description"; BuildKit's implementation.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Final

from buildpush.dockerfile.instructions import MODE_CLAUSE, OCTAL_MODE
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex

_ACTION: Final = regex(r"([-+=])([rwxXstugo]*)")
_WHO: Final = {"u": 0o4700, "g": 0o2070, "o": 0o007, "a": 0o6777}
_STICKY: Final = 0o1000
_PERMISSIONS: Final = {"r": 0o444, "w": 0o222, "x": 0o111, "s": 0o6000, "t": 0o1000}
_SHIFTS: Final = {"u": 6, "g": 3, "o": 0}


@dataclass(frozen=True, slots=True)
class Action:
    """One change of a mode; ``u``, ``g`` or ``o`` as *letters* copies the permissions of that class."""

    who: int
    sign: str
    letters: str

    def apply_to(self, mode: int, *, executable: bool) -> int:
        """Return *mode* after this change; *executable* says whether ``X`` sets the execute bit."""
        copies = self.letters in _SHIFTS
        value = self._value(mode, executable=executable) & self.who
        if self.sign == "+":
            return mode | value
        others = ~(self.who & (0o777 if copies else 0o6777))
        return mode & ~value if self.sign == "-" else mode & others | value

    def _value(self, mode: int, *, executable: bool) -> int:
        if self.letters in _SHIFTS:
            return (mode >> _SHIFTS[self.letters] & 7) * 0o111
        return reduce(or_, (_PERMISSIONS.get(letter, 0o111 if executable else 0) for letter in self.letters), 0)


Mode = int | tuple[Action, ...]


def read_mode(text: str) -> Mode | None:
    """Parse *text*: a mode, or changes of one; ``None`` where it is neither."""
    if OCTAL_MODE.match(text):
        return int(text, 8)
    clauses = [MODE_CLAUSE.match(clause) for clause in text.split(",")]
    if not all(clauses):
        return None
    return tuple(
        Action(_mask(clause[1], letters), sign, letters)
        for clause in clauses
        if clause
        for sign, letters in _ACTION.findall(clause[2])
    )


def _mask(classes: str, letters: str) -> int:
    """Return the bits that a clause may change; with ``t`` and without a user class, the sticky bit alone."""
    if not classes and "t" in letters:
        return _STICKY
    sticky = _STICKY if "t" in letters and classes.strip("o") else 0
    return reduce(or_, (_WHO[letter] for letter in classes or "a"), sticky)


def apply_mode(mode: int, change: Mode, *, is_directory: bool) -> int:
    """Return *mode* after *change*; X applies to directories, and to files that were executable before."""
    if isinstance(change, int):
        return change
    executable = is_directory or bool(mode & 0o111)
    return reduce(lambda before, action: action.apply_to(before, executable=executable), change, mode)

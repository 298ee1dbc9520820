"""What happens, as plain records; whoever works is handed one sink and calls it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Started:
    """A phase begins: ``resolve``, ``preflight``, ``build``, ``push``, ``publish``."""

    phase: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """A phase ended well after *seconds*."""

    phase: str
    seconds: float
    about: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """*done* of *total* bytes of one *item* (a layer or the config) have gone through; *total* may be unknown."""

    item: str
    done: int
    total: int | None = None
    state: str = "sending"  # sending, sent, mounted, exists, pulling


@dataclass(frozen=True, slots=True)
class Retry:
    """*what* failed because of *reason* and is tried again after *seconds*; *attempt* counts from 1."""

    what: str
    reason: str
    seconds: float
    attempt: int


@dataclass(frozen=True, slots=True)
class Decision:
    """buildpush chose *choice* for *what*, because of *reason*."""

    what: str
    choice: str
    reason: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something the user should know and that is no error, such as a hint that was not honoured."""

    text: str


@dataclass(frozen=True, slots=True)
class Log:
    """One line that an engine printed, without its line end."""

    line: str


Event = Started | Finished | Progress | Retry | Decision | Note | Log
Sink = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """Show nothing: the sink of library calls that were given none."""

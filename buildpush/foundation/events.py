"""The events of a run, as plain records; code that does work gets one sink, and calls it with each event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Final, Literal

from buildpush.foundation.records import dataclass


@dataclass(frozen=True, slots=True)
class Started:
    """A phase begins: ``resolve``, ``preflight``, ``build``, ``push``, ``publish``."""

    phase: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """A phase succeeded after *seconds*."""

    phase: str
    seconds: float
    about: str = ""


# States of a layer that is on its way, or will be; all others are final.
UNDER_WAY: Final = frozenset({"waiting", "sending", "writing", "receiving"})


@dataclass(frozen=True, slots=True)
class Progress:
    """*done* of *total* bytes of one *item* (a layer or a file) are transferred; *total* may be unknown."""

    item: str
    done: int
    total: int | None = None
    state: str = "sending"  # one of UNDER_WAY, or final: sent, written, mounted, exists


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
    """Something that the user should know but that is not an error, such as a key without effect."""

    text: str


@dataclass(frozen=True, slots=True)
class Log:
    """One line that an engine printed, without its line end."""

    line: str


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a push moved in total, reported once at its end.

    Attributes:
        read: bytes of layers that were read from their source.
        sent: bytes of blobs that were handed to the network, including those that were sent again.
        again: bytes in ``sent`` that repeat an attempt that failed.
        mounted: bytes of blobs that the registry copied from another of its repositories.
        skipped: bytes of blobs that the repository already had.
        seconds: time of all threads together, by activity: ``read``, ``compress``, ``hash``, ``wait``, ``send``.
    """

    read: int = 0
    sent: int = 0
    again: int = 0
    mounted: int = 0
    skipped: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)


StepState = Literal["waiting", "running", "succeeded", "ignored", "failed", "skipped", "interrupted"]


@dataclass(frozen=True, slots=True)
class BranchState:
    """The state of a branch: steps that run at the same time as others.

    Attributes:
        seconds: how long it ran; 0 before its end.
        image: the image that it has pushed.
    """

    state: StepState
    seconds: float = 0.0
    image: str = ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question to the user begins, or has been answered; in between, a display must not redraw."""

    begins: bool


@dataclass(frozen=True, slots=True)
class FromBranch:
    """*event* happens in the branch of that name; a branch inside another one is named ``OUTER/INNER``."""

    branch: str
    event: Event


#: What a call reports while it is under way.
Event = Started | Finished | Progress | Retry | Decision | Note | Log | Traffic | BranchState | Prompt | FromBranch
#: A function that is called with each event, by one thread at a time; the call waits for it.
Sink = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """Do nothing: the sink of library calls that give none."""

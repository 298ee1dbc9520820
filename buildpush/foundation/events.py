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
    """A phase ended well after *seconds*."""

    phase: str
    seconds: float
    about: str = ""


# States of a layer that is on its way; all others are final.
UNDER_WAY: Final = frozenset({"sending", "writing", "pulling"})


@dataclass(frozen=True, slots=True)
class Progress:
    """*done* of *total* bytes of one *item* (a layer or the config) have gone through; *total* may be unknown."""

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
    """Something that the user should know but that is not an error, such as a hint that was not honoured."""

    text: str


@dataclass(frozen=True, slots=True)
class Log:
    """One line that an engine printed, without its line end."""

    line: str


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a push moved in all, reported once at its end.

    Attributes:
        read: bytes of layers that were read from their source.
        sent: bytes of blobs that were handed to the network, those sent again included.
        again: those of ``sent`` that had been sent before, in vain.
        mounted: bytes of blobs that the registry took over from another of its repositories.
        skipped: bytes of blobs that the repository had already.
        seconds: of all threads together, by work: ``read``, ``compress``, ``hash``, ``wait``, ``send``.
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
        seconds: since it began, at its end.
        image: what it has pushed.
    """

    state: StepState
    seconds: float = 0.0
    image: str = ""


@dataclass(frozen=True, slots=True)
class Asking:
    """A person is being asked, or not any more: meanwhile nothing may move on the screen."""

    begins: bool


@dataclass(frozen=True, slots=True)
class FromBranch:
    """*event* happens in the branch of that name; one in another branch has both names, with a slash between them."""

    branch: str
    event: Event


Event = Started | Finished | Progress | Retry | Decision | Note | Log | Traffic | BranchState | Asking | FromBranch
Sink = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """Show nothing: the sink of library calls without one."""

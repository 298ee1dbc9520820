"""The sentence for each event, the same in every display."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from buildpush.foundation.events import (
    UNDER_WAY,
    BranchState,
    Decision,
    Event,
    Finished,
    FromBranch,
    Log,
    Note,
    Progress,
    Prompt,
    Retry,
    Started,
    Traffic,
)
from buildpush.foundation.regex import regex
from buildpush.foundation.text import one_line, with_margin

_VARYING = regex(r"[0-9a-f]{8,}(?:-[0-9a-f]+)*|[0-9]+")
_RETRIES_SHOWN = 3
_MILESTONES = frozenset(digit * 10**power for power in range(9) for digit in (1, 2, 5))
_KILO = 1000
# What became of a layer or file, where the name of the state is not the word for it.
FATES: Final = {"exists": "already there"}
_OneLineEvent = Started | Finished | Progress | Retry | Decision | Note | Log | Traffic


def bytes_words(count: int) -> str:
    """Return *count* bytes in words, such as ``12.3 MB`` (decimal units, as registries print them)."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < _KILO:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= _KILO
    return f"{size:.2f} GB"


def seconds_words(seconds: float) -> str:
    """Return a duration in words, such as ``0.4 s`` or ``2 min 5 s``."""
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)} min {rest:.0f} s" if minutes else f"{rest:.1f} s"


def traffic_words(traffic: Traffic) -> str:
    """Return what was transferred, and what did not have to be, such as ``1.00 GB read, 512.0 MB sent``."""
    again = f" ({bytes_words(traffic.again)} of it again)" if traffic.again else ""
    words = [f"{bytes_words(traffic.read)} read", f"{bytes_words(traffic.sent)} sent{again}"]
    words += [f"{bytes_words(traffic.mounted)} mounted"] if traffic.mounted else []
    words += [f"{bytes_words(traffic.skipped)} already there"] if traffic.skipped else []
    return ", ".join(words)


def branch_words(state: BranchState) -> str:
    """Return how a branch ended, and its image; the empty text for one that waits or runs."""
    if state.state in {"waiting", "running"}:
        return ""
    words = state.state if state.state == "skipped" else f"{state.state} in {seconds_words(state.seconds)}"
    return f"{words}: {state.image}" if state.image else words


def colours_wanted(env: Mapping[str, str]) -> bool | None:
    """Return whether colours are printed; ``None`` leaves it to whether the stream is a terminal.

    Sources: no-color.org, force-color.org, bixense.com/clicolors.
    """
    if env.get("NO_COLOR") or env.get("TERM") == "dumb":
        return False
    is_forced = any(env.get(name, "0") not in {"", "0", "false"} for name in ("FORCE_COLOR", "CLICOLOR_FORCE"))
    return True if is_forced else None


class Sentences:
    """The sentences for events; the end of a layer is reported once, and a retry that repeats only now and then.

    Each line about an event of a branch begins with the branch's name.
    """

    def __init__(self) -> None:
        self._branches: dict[str, Sentences] = {}
        self._printed: set[tuple[str, str]] = set()
        self._retries: Counter[str] = Counter()

    def of(self, event: Event) -> str:
        """Return the text for *event*, safe to show; empty for no line; lines after the first have a margin."""
        if isinstance(event, FromBranch):
            return self._of_branch(event)
        if isinstance(event, Prompt):
            return ""
        return with_margin(branch_words(event) if isinstance(event, BranchState) else self._line(event))

    def _line(self, event: _OneLineEvent) -> str:
        line = ""
        match event:
            case Started(phase, about):
                line = f"{phase}: {about}" if about else phase
            case Finished(phase, seconds, about):
                line = f"{phase}: done in {seconds_words(seconds)}" + (f", {about}" if about else "")
            case Retry():
                line = self._retry(event)
            case Decision(what, choice, reason):
                line = f"{what}: {choice}, because {reason}"
            case Note(text):
                line = f"note: {text}"
            case Log(text):
                line = f"| {text}"
            case Progress(item, done, _, state):
                line = self._end_of(item, done, state)
            case Traffic():
                line = f"moved: {traffic_words(event)}"
        return line

    def _of_branch(self, event: FromBranch) -> str:
        text = self._branches.setdefault(event.branch, Sentences()).of(event.event)
        return "\n".join(f"[{one_line(event.branch)}] {line}" for line in text.split("\n")) if text else ""

    def _retry(self, event: Retry) -> str:
        line = f"retry {event.attempt} of {event.what} in {seconds_words(event.seconds)}: {event.reason}"
        # Retries that differ only in counts of bytes, IDs of uploads and attempts are the same.
        kind = _VARYING.sub("#", f"{event.what}: {event.reason}")
        self._retries[kind] += 1
        count = self._retries[kind]
        if count <= _RETRIES_SHOWN:
            return line
        return f"{line} ({count} times so far)" if count in _MILESTONES else ""

    def _end_of(self, item: str, done: int, state: str) -> str:
        if state in UNDER_WAY or (item, state) in self._printed:
            return ""
        self._printed.add((item, state))
        words = FATES | {"mounted": "mounted from another repository"}
        return f"{item}: {words.get(state, f'{state}, {bytes_words(done)}')}"

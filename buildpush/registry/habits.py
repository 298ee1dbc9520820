"""What is learnt of a host while blobs are sent to it: how large a part its line bears, and how it likes uploads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

MEBI: Final = 1024 * 1024
# Larger parts are no faster, smaller ones are (4 MiB by 15 %); memory holds one for each layer that is under way.
LARGEST_PART: Final = 16 * MEBI
SMALLEST_PART: Final = 64 * 1024
# What passes a proxy that limits the size of a request to its usual default.  Source: nginx, client_max_body_size.
_USUAL_LIMIT: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Habit:
    """How uploads to one host are sent.

    Attributes:
        part: bytes of a part at most.
        fresh: whether each part travels on a connection of its own, because connections do not last.
        whole: whether a blob is sent in one PATCH, because the registry does not take parts.
        takes_parts: whether a second part was ever taken; then a refusal has other reasons.
    """

    part: int = LARGEST_PART
    fresh: bool = False
    whole: bool = False
    takes_parts: bool = False

    def after_cut(self, sent: int, *, fresh: bool) -> Habit:
        """Return what to do after a connection broke that had taken *sent* bytes of a part.

        Where it was a *fresh* one, parts become much smaller than what it bore; else it may have carried others
        before, and the next part gets a connection of its own first. A host that takes nothing at all says nothing.
        """
        if sent == 0:
            return self
        if not (fresh and self.fresh):
            return replace(self, fresh=True, whole=False)
        if sent < SMALLEST_PART:  # the size was not what broke it
            return replace(self, whole=False)
        return replace(self, part=max(SMALLEST_PART, min(self.part, sent // 4)), whole=False)

    def after_second_part(self) -> Habit:
        """Return what to do where parts are known to be taken."""
        return replace(self, takes_parts=True)

    def in_one_go(self) -> Habit:
        """Return what to do where parts are not taken."""
        return replace(self, whole=True)

    def after_limit(self, refused: int) -> Habit | None:
        """Return what to do after a part of *refused* bytes was too large, or ``None`` where nothing helps."""
        if refused <= SMALLEST_PART:
            return None
        smaller = _USUAL_LIMIT if refused > _USUAL_LIMIT else refused // 2
        return replace(self, part=max(SMALLEST_PART, min(self.part, smaller)), whole=False)

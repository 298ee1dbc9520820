"""What is learnt of a host while blobs are sent to it: how large a part its line bears, and how it takes uploads."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal

from buildpush.foundation.records import dataclass

MEBI: Final = 1024 * 1024
# Larger parts are no faster, smaller ones are (4 MiB by 15 %); memory holds one for each layer that is under way.
LARGEST_PART: Final = 16 * MEBI
SMALLEST_PART: Final = 64 * 1024
# What passes a proxy that limits the size of a request to its usual default.  Source: nginx, client_max_body_size.
_USUAL_LIMIT: Final = 1_000_000

# In parts; in one PATCH, as Docker does; in the PUT that ends the upload, for those who know no PATCH. Each asks less.
UploadMethod = Literal["parts", "patch", "put"]


@dataclass(frozen=True, slots=True)
class UploadProfile:
    """How uploads to one host are sent.

    Attributes:
        part: bytes of a part at most.
        fresh: whether each part travels on a connection of its own, because connections do not last.
        way: how a blob is sent.
        taken: bytes of the largest part that was ever taken.
        takes_parts: whether a second part was ever taken; then a refusal has other reasons.
        least: bytes of a part at least, but for the last, as the registry wishes.
        late: whether it says less than it has of an upload; then a part that it took is believed to be there.
    """

    part: int = LARGEST_PART
    fresh: bool = False
    way: UploadMethod = "parts"
    taken: int = 0
    takes_parts: bool = False
    least: int = 1
    late: bool = False

    def after_cut(self, sent: int, *, fresh: bool) -> UploadProfile:
        """Return what to do after a connection broke that had taken *sent* bytes of a part.

        Where it was a *fresh* one, parts become much smaller than what it bore; else it may have carried others
        before, and the next part gets a connection of its own first. A host that takes nothing at all says nothing.
        """
        if sent == 0:
            return self
        way: UploadMethod = "put" if self.way == "put" else "parts"
        if not (fresh and self.fresh):
            return replace(self, fresh=True, way=way)
        if sent < SMALLEST_PART:  # the size was not what broke it
            return replace(self, way=way)
        return replace(self, part=max(SMALLEST_PART, min(self.part, sent // 4)), way=way)

    def after_part(self, size: int, *, second: bool) -> UploadProfile:
        """Return what to do after a part of *size* bytes was taken, a *second* one or one behind that."""
        return replace(self, taken=max(self.taken, size), takes_parts=self.takes_parts or second)

    def after_refusal(self, size: int) -> UploadProfile | None:
        """Return what to do after a part of *size* bytes was refused, or ``None`` where its size is not the reason.

        Some take no part above a size of their own.  Source: ocx-sh/ocx#237, about GHCR and 4 MiB.
        """
        return None if size <= self.taken else replace(self, part=self.taken or max(1, size // 4))

    def by(self, way: UploadMethod) -> UploadProfile:
        """Return what to do where blobs arrive in this way alone."""
        return replace(self, way=way)

    def after_limit(self, refused: int) -> UploadProfile | None:
        """Return what to do after a part of *refused* bytes was too large, or ``None`` where nothing helps."""
        if refused <= SMALLEST_PART:
            return None
        smaller = _USUAL_LIMIT if refused > _USUAL_LIMIT else refused // 2
        way: UploadMethod = "put" if self.way == "put" else "parts"
        return replace(self, part=max(SMALLEST_PART, min(self.part, smaller)), way=way)

    def most(self, wanted: int) -> int:
        """Return how many bytes a part may have, where *wanted* are wished for and nothing speaks against it."""
        return max(min(self.least, LARGEST_PART), min(wanted, self.part))

    def size(self, most: int, known: int) -> int:
        """Return how many bytes the next part may have, so that little is lost if the host does not like it.

        Args:
            most: that we wish to send.
            known: bytes that the blob has at least.
        """
        most = self.most(most)
        if most <= self.taken:
            return most
        # Until a second part was taken there may be none; from then on only the size may be refused.
        bold = known * 3 // 8 if self.takes_parts else self.taken or known // 8
        return min(most, max(bold, self.taken, self.least, 1))

"""What is learnt about a host while blobs are sent to it: how large a part may be, and how it accepts uploads."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal

from buildpush.foundation.records import dataclass

MEBI: Final = 1024 * 1024
# Larger parts are no faster, smaller ones are (4 MiB by 15 %); memory holds one for each layer in flight.
LARGEST_PART: Final = 16 * MEBI
SMALLEST_PART: Final = 64 * 1024
# What passes a proxy that limits the size of a request to its default.  Source: nginx, client_max_body_size.
_USUAL_LIMIT: Final = 1_000_000

# In parts; in one PATCH, as Docker does; in the PUT that ends the upload, for those without PATCH. Each requires less.
UploadMethod = Literal["parts", "patch", "put"]


@dataclass(frozen=True, slots=True)
class UploadProfile:
    """How uploads to one host are sent.

    Attributes:
        part: bytes of a part at most.
        fresh: whether each part is sent on a connection of its own, because connections do not last.
        way: how a blob is sent.
        taken: bytes of the largest part that was ever accepted.
        takes_parts: whether a second part was ever accepted; then a refusal has other reasons.
        least: minimum bytes of a part except the last, as the registry requires.
        late: whether it reports less of an upload than it has; then an accepted part is assumed to be there.
    """

    part: int = LARGEST_PART
    fresh: bool = False
    way: UploadMethod = "parts"
    taken: int = 0
    takes_parts: bool = False
    least: int = 1
    late: bool = False

    def after_cut(self, sent: int, *, fresh: bool) -> UploadProfile:
        """Return the profile after a connection broke that had taken *sent* bytes of a part.

        Where it was a *fresh* one, parts become much smaller than what it carried; else it may have carried others
        before, and first the next part gets a connection of its own. Nothing is learnt from a host that takes nothing
        at all.
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
        """Return the profile after a part of *size* bytes was taken, a *second* one or one behind that."""
        return replace(self, taken=max(self.taken, size), takes_parts=self.takes_parts or second)

    def after_refusal(self, size: int) -> UploadProfile | None:
        """Return the profile after a part of *size* bytes was refused, or ``None`` where its size is not the reason.

        Some accept no part above a size of their own.  Source: ocx-sh/ocx#237, about GHCR and 4 MiB.
        """
        return None if size <= self.taken else replace(self, part=self.taken or max(1, size // 4))

    def by(self, way: UploadMethod) -> UploadProfile:
        """Return the profile where blobs are accepted only in this way."""
        return replace(self, way=way)

    def after_limit(self, refused: int) -> UploadProfile | None:
        """Return the profile after a part of *refused* bytes was too large, or ``None`` where nothing helps."""
        if refused <= SMALLEST_PART:
            return None
        smaller = _USUAL_LIMIT if refused > _USUAL_LIMIT else refused // 2
        way: UploadMethod = "put" if self.way == "put" else "parts"
        return replace(self, part=max(SMALLEST_PART, min(self.part, smaller)), way=way)

    def most(self, wanted: int) -> int:
        """Return how many bytes a part may have: *wanted*, or fewer if the host accepts less."""
        return max(min(self.least, LARGEST_PART), min(wanted, self.part))

    def size(self, most: int, known: int) -> int:
        """Return how many bytes the next part may have, so that little is lost if the host refuses it.

        Args:
            most: that we would send.
            known: minimum size of the blob, in bytes.
        """
        most = self.most(most)
        if most <= self.taken:
            return most
        # Until a second part was accepted, parts may be refused; from then on only their size may be.
        bold = known * 3 // 8 if self.takes_parts else self.taken or known // 8
        return min(most, max(bold, self.taken, self.least, 1))

"""What is learnt about a host while blobs are sent to it: how large a part may be, and how it accepts uploads."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal

from buildpush.foundation.records import dataclass

MEBI: Final = 1024 * 1024
# Larger parts are not faster, smaller ones are slower (4 MiB by 15 %). One for each layer in flight is in memory.
LARGEST_PART: Final = 16 * MEBI
SMALLEST_PART: Final = 64 * 1024
# Bytes that pass a proxy with the default limit for a request.  Source: nginx, client_max_body_size.
_USUAL_LIMIT: Final = 1_000_000

# In parts; in one PATCH, as Docker does; or in the PUT that ends the upload, for registries without PATCH. Each
# requires less of the registry than the one before.
UploadMethod = Literal["parts", "patch", "put"]


@dataclass(frozen=True, slots=True)
class UploadProfile:
    """How uploads to one host are sent.

    Attributes:
        part: maximum bytes of a part.
        fresh: whether each part gets a new connection, because connections do not last.
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
        """Return the profile after a connection broke that had carried *sent* bytes of a part.

        If it was a *fresh* one, parts become much smaller than what it carried. Otherwise it may have carried earlier
        requests, and first the next part gets a new connection. If it carried nothing at all, nothing changes.
        """
        if sent == 0:
            return self
        way: UploadMethod = "put" if self.way == "put" else "parts"
        if not (fresh and self.fresh):
            return replace(self, fresh=True, way=way)
        if sent < SMALLEST_PART:  # the size was not the cause
            return replace(self, way=way)
        return replace(self, part=max(SMALLEST_PART, min(self.part, sent // 4)), way=way)

    def after_part(self, size: int, *, second: bool) -> UploadProfile:
        """Return the profile after a part of *size* bytes was accepted; *second* says that it was not the first."""
        return replace(self, taken=max(self.taken, size), takes_parts=self.takes_parts or second)

    def after_refusal(self, size: int) -> UploadProfile | None:
        """Return the profile after a part of *size* bytes was refused, or ``None`` where its size is not the reason.

        Some registries accept no part above a certain size.  Source: ocx-sh/ocx#237, about GHCR and 4 MiB.
        """
        return None if size <= self.taken else replace(self, part=self.taken or max(1, size // 4))

    def with_way(self, way: UploadMethod) -> UploadProfile:
        """Return the profile with *way*, since blobs are accepted only in it."""
        return replace(self, way=way)

    def after_limit(self, refused: int) -> UploadProfile | None:
        """Return the profile after a part of *refused* bytes was too large; ``None`` if parts cannot be smaller."""
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
            most: maximum bytes that we would send.
            known: bytes that the blob has at least.
        """
        most = self.most(most)
        if most <= self.taken:
            return most
        # Until a second part was accepted, parts may be refused; from then on only their size may be.
        trial = known * 3 // 8 if self.takes_parts else self.taken or known // 8
        return min(most, max(trial, self.taken, self.least, 1))

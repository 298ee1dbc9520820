"""The state of one blob's upload: the registry's session, and the plan after refusals. Nothing is sent here.

A session is new, or resumed from an earlier run; after a failure its offset is unknown until the registry is
asked. The plan belongs to the blob, and outlives a session.
"""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum

from buildpush.foundation.records import dataclass
from buildpush.registry.profile import UploadMethod


class Doubt(IntEnum):
    """How sure we are that the registry has the bytes up to the session's offset."""

    NONE = 0  # it confirmed the end of each part of this session
    REPORTED = 1  # we continued at an offset that it gave after a failure
    ASSUMED = 2  # it said less, and we assumed that it has everything it accepted


@dataclass(frozen=True, slots=True)
class UploadState:
    """One upload that the registry has begun.

    Attributes:
        location: address at which it continues.
        way: how the blob is sent in it.
        offset: how many bytes it has, as far as we know.
        known: whether that is certain; else the registry must be asked first.
        resumed: whether an earlier run began it, so that it may have more than this one has sent.
        doubt: about the offset; it never decreases.
    """

    location: str
    way: UploadMethod
    offset: int = 0
    known: bool = True
    resumed: bool = False
    doubt: Doubt = Doubt.NONE

    @classmethod
    def resume(cls, location: str, way: UploadMethod) -> UploadState:
        """Return a session that an earlier run began."""
        return cls(location, way, known=False, resumed=True)

    def at_location(self, location: str) -> UploadState:
        """Return this session with the next address that the registry gave."""
        return replace(self, location=location)

    def after_failure(self, *, certain: bool) -> UploadState:
        """Return this session after a failure; *certain* says that the registry took nothing of the request."""
        return replace(self, known=certain)

    def at_offset(self, offset: int, doubt: Doubt = Doubt.NONE) -> UploadState:
        """Return this session at a known *offset*, with the larger of this doubt and the present one."""
        return replace(self, offset=offset, known=True, doubt=max(self.doubt, doubt))


@dataclass(frozen=True, slots=True)
class UploadPlan:
    """What refusals have changed in how a blob is sent: each change is made only once.

    Attributes:
        ways: ways that were switched to, the present one last; empty as long as the host's profile decides.
        smaller_parts: whether smaller parts were tried.
    """

    ways: tuple[UploadMethod, ...] = ()
    smaller_parts: bool = False

    @property
    def way(self) -> UploadMethod | None:
        """The way that was switched to last."""
        return self.ways[-1] if self.ways else None

    def switch_to(self, way: UploadMethod, present: UploadMethod) -> UploadPlan | None:
        """Return the plan with *way*, which requires less than the *present* one; ``None`` if that was tried."""
        return None if present == "put" or way in self.ways else replace(self, ways=(*self.ways, way))

    def with_smaller_parts(self) -> UploadPlan | None:
        """Return the plan to send smaller parts, or ``None`` if that was tried."""
        return None if self.smaller_parts else replace(self, smaller_parts=True)

"""The state of one blob's upload: the session that the registry keeps, and the plan after refusals. Nothing acts here.

A session is begun here or resumed from an earlier run; after a failure its offset is unknown until the registry was
asked. The plan is the blob's, and outlives a session.
"""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum

from buildpush.foundation.records import dataclass
from buildpush.registry.profile import UploadMethod


class Doubt(IntEnum):
    """How far the registry may have something else than the bytes up to the session's offset."""

    NONE = 0  # it confirmed the end of each part of this session
    TOLD = 1  # we went on at an offset that it told after a failure
    ASSUMED = 2  # it said less, and we assumed that it has all that it took


@dataclass(frozen=True, slots=True)
class UploadState:
    """One upload that the registry has begun.

    Attributes:
        location: address at which it goes on.
        way: how the blob is sent in it.
        offset: how many bytes it has, as far as we know.
        known: whether that is so; else the registry is to be asked first.
        resumed: whether an earlier run began it, so that it may have more than this one has sent.
        doubt: about the offset; it never becomes less.
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

    def moved(self, location: str) -> UploadState:
        """Return it at the next address that the registry gave."""
        return replace(self, location=location)

    def failed(self, *, certain: bool) -> UploadState:
        """Return it after a failure; *certain* says that the registry took nothing of the request."""
        return replace(self, known=certain)

    def at(self, offset: int, doubt: Doubt = Doubt.NONE) -> UploadState:
        """Return it at an *offset* that is known, with all the doubt so far and this."""
        return replace(self, offset=offset, known=True, doubt=max(self.doubt, doubt))


@dataclass(frozen=True, slots=True)
class UploadPlan:
    """What refusals have changed in how a blob is sent: each change is made once.

    Attributes:
        ways: that were turned to, the present one last; none as long as it is sent as the host's profile says.
        smaller_parts: whether smaller parts were tried.
    """

    ways: tuple[UploadMethod, ...] = ()
    smaller_parts: bool = False

    @property
    def way(self) -> UploadMethod | None:
        """The way that was turned to last."""
        return self.ways[-1] if self.ways else None

    def turned_to(self, way: UploadMethod, present: UploadMethod) -> UploadPlan | None:
        """Return the plan to send the blob in a *way* that asks less than the *present* one, if it was not tried."""
        return None if present == "put" or way in self.ways else replace(self, ways=(*self.ways, way))

    def with_smaller_parts(self) -> UploadPlan | None:
        """Return the plan to send smaller parts, ``None`` where that was tried."""
        return None if self.smaller_parts else replace(self, smaller_parts=True)

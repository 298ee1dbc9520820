"""Bodies on their way to the disk: written and hashed in threads, while the next bytes arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from buildpush.sandbox.content import Checksums, ContentStore, Incoming

# A thread costs about 0.1 ms; for fewer bytes than this, hashing without one is cheaper.
WORTH_A_THREAD = 128 * 1024
MOST_WAITING = 1024 * 1024


async def take_in(incoming: Incoming, pieces: AsyncIterator[bytes]) -> None:
    """Append a body to *incoming*; when it breaks off, what arrived is there.

    Raises:
        ConnectionError: the body ended too early, or *incoming* was closed meanwhile.
        OSError: the disk is full or broken; what is in the file is unknown.
    """
    intake = _Intake(incoming)
    try:
        async for piece in pieces:
            await intake.add(piece)
    except BaseException:
        with suppress(OSError):  # what went wrong first is what counts
            await intake.finish()
        raise
    await intake.finish()


async def keep(content: ContentStore, incoming: Incoming) -> Checksums:
    """Keep what arrived, in a thread where that has to wait for the disk."""
    return await asyncio.to_thread(content.keep, incoming) if content.lasting else content.keep(incoming)


class _Intake:
    """Takes pieces faster than they are hashed, but keeps no more than :data:`MOST_WAITING` bytes of them."""

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming
        self._waiting: list[bytes] = []
        self._size = 0
        self._taken = asyncio.Event()
        self._work: asyncio.Task[None] | None = None

    async def add(self, piece: bytes) -> None:
        self._waiting.append(piece)
        self._size += len(piece)
        if self._work is None or (self._work.done() and not self._work.exception()):
            self._work = asyncio.create_task(self._take_all())
        while self._size >= MOST_WAITING and not self._work.done():
            self._taken.clear()
            await self._taken.wait()
        if self._work.done():
            await self._work  # raises what went wrong

    async def finish(self) -> None:
        """Wait until everything is written and hashed."""
        if self._work:
            await self._work

    async def _take_all(self) -> None:
        try:
            while self._waiting:
                pieces, self._waiting = self._waiting, []
                size, self._size = self._size, 0
                self._taken.set()
                await self._take(pieces, size)
        finally:
            self._taken.set()

    async def _take(self, pieces: list[bytes], size: int) -> None:
        if size < WORTH_A_THREAD:
            for act in self._incoming.acts:
                act(pieces)
        else:
            await asyncio.gather(*(asyncio.to_thread(act, pieces) for act in self._incoming.acts))

"""Threads that work ahead of their reader in bounded memory; and work that any thread may do, but only in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import suppress
from itertools import starmap
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

from buildpush.foundation.interrupts import Lock, start
from buildpush.foundation.workers import Workers

Item = TypeVar("Item")


# Blocks of 1 MiB in flight at once, over all layers: as much as the threads work on while a part is sent. Twice as many
# made a push on two cores no faster, and took 13 MB more memory.
_FOR_EACH_THREAD: Final = 4
# Together with what is compressed and hashed these stay well below 64 MiB, however many threads there are.
_MOST: Final = 16
# What each layer may have in flight, however many layers there are: one to work on, one to be taken.
_LEAST: Final = 2
# Seconds that a reader has to end when no more of it is needed.
_PATIENCE: Final = 5.0
# How many blocks the work in order may fall behind.
_LARGEST_LAG: Final = 4


class Pool:
    """Threads, and memory for what they work on; shared by many streams. Close it, or use it in a ``with``.

    Args:
        threads: how many blocks are worked on at once.
        room: how many blocks of all streams are in memory at once, four for each thread if not given; each stream may
            have two in any case.
    """

    def __init__(self, threads: int, room: int | None = None) -> None:
        self._threads = Workers(threads, "buildpush-compress")
        self._room = _Room(room or min(_MOST, _FOR_EACH_THREAD * threads))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the threads; work that has not begun is dropped."""
        self._threads.shutdown(cancel_futures=True)

    def stream(self, act: Callable[[int, bytes], Item], source: Iterator[bytes]) -> _BlockStream[Item]:
        """Return the executor of :func:`work_ahead`."""
        return _BlockStream(self._threads, self._room, act, source)


def work_ahead(
    pool: Pool | None, act: Callable[[int, bytes], Item], source: Iterator[bytes]
) -> Generator[Item, None, None]:
    """Yield ``act(number, block)`` for each block of *source* in order, numbered from 0.

    With a pool, *source* is read in another thread, which continues while nothing is taken from it until the room is
    full; errors of *source* and of *act* are raised where their block would have come. Without a pool, all is done in
    this thread.
    """
    if pool is None:
        yield from starmap(act, enumerate(source))
        return
    stream = pool.stream(act, source)
    try:
        yield from stream
    finally:
        stream.close()


class _Room:
    """Counts blocks: no more than *most* at once, in equal shares; but each stream may have a few in any case."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[object, int] = {}
        self._changed = threading.Condition()

    def enter(self, stream: object) -> None:
        with self._changed:
            self._held[stream] = 0

    def leave(self, stream: object) -> None:
        with self._changed:
            self._held.pop(stream, None)
            self._changed.notify_all()

    def take(self, stream: object) -> bool:
        """Wait until *stream* may have one more block; return false if it has left."""
        with self._changed:
            self._changed.wait_for(lambda: stream not in self._held or self._has_room(self._held[stream]))
            if stream not in self._held:
                return False
            self._held[stream] += 1
            return True

    def give(self, stream: object) -> None:
        with self._changed:
            if stream in self._held:
                self._held[stream] -= 1
                self._changed.notify_all()

    def _has_room(self, held: int) -> bool:
        if held < _LEAST:
            return True
        return sum(self._held.values()) < self._most and held < self._most // len(self._held)


class _BlockStream(Generic[Item]):
    """The blocks of one source on their way through the threads."""

    def __init__(
        self, threads: Workers, room: _Room, act: Callable[[int, bytes], Item], source: Iterator[bytes]
    ) -> None:
        self._threads = threads
        self._room = room
        self._act = act
        self._source = source
        self._futures: SimpleQueue[Future[Item] | None] = SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="buildpush-read", daemon=True)

    def __iter__(self) -> Iterator[Item]:
        self._room.enter(self)
        start(self._reader)
        while (future := self._futures.get()) is not None:
            value = future.result()
            self._room.give(self)
            yield value

    def close(self) -> None:
        """Stop the reader, and wait for it: afterwards its source may be closed.

        It does not wait long for a source that is silent: Ctrl-C would seem to do nothing.
        """
        self._room.leave(self)
        if self._reader.is_alive():
            self._reader.join(_PATIENCE)
        with suppress(Empty):
            while True:
                if future := self._futures.get_nowait():
                    future.cancel()

    def _read(self) -> None:
        number = 0
        try:
            while self._room.take(self):
                block = next(self._source, None)
                if block is None:
                    break
                self._futures.put(self._threads.submit(self._act, number, block))
                number += 1
            self._futures.put(None)
        except BaseException as error:  # noqa: BLE001 - it is raised again where the block would have come
            failed: Future[Item] = Future()
            failed.set_exception(error)
            self._futures.put(failed)


class InOrder:
    """Gives numbered blocks to *act* one after the other, in whichever thread is free.

    Args:
        act: never called by two threads at once.
    """

    def __init__(self, act: Callable[[bytes], None]) -> None:
        self._act = act
        self._ready: dict[int, bytes] = {}
        self._next = 0
        self._lock = Lock()

    def put(self, number: int, block: bytes) -> None:
        """Hand in the block *number*, before or after others."""
        self._ready[number] = block

    def help(self) -> None:
        """Work on the blocks whose turn has come, unless another thread does."""
        if self._next in self._ready:
            self._lock.call_if_free(self._do)

    def catch_up(self, number: int) -> None:
        """Make sure that the work is not far behind block *number*; it and all before it were handed in."""
        if number - self._next >= _LARGEST_LAG:
            self.finish()

    def finish(self) -> None:
        """Work on all blocks that were handed in."""
        with self._lock:
            self._do()

    def _do(self) -> None:
        while (block := self._ready.pop(self._next, None)) is not None:
            self._act(block)
            self._next += 1

"""The functions of :mod:`buildpush` as coroutines, for services: each call runs in a thread of its own.

A call that is cancelled is interrupted as by Ctrl-C: it aborts what is under way and cleans up, and only then the
cancellation goes on. Events reach a *sink* in the event loop, so it needs no lock.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from functools import partial, wraps
from typing import Any, Generic, ParamSpec, TypeVar, cast

from buildpush import api
from buildpush.foundation.interrupts import Lock, discard_interrupt, interrupt, start
from buildpush.pipeline import notebook_record

_P = ParamSpec("_P")
_R = TypeVar("_R")


async def call(act: Callable[_P, _R], /, *arguments: _P.args, **keywords: _P.kwargs) -> _R:
    """Return what *act* returns, which runs in a thread: such as a method of the builds of ``buildpush.open_builds``.

    Raises:
        CancelledError: the call was cancelled, and has cleaned up; its notes are those of the interrupted call, such as
            the tags that are pushed. It is raised as well where *act* had succeeded by then.
    """
    loop = asyncio.get_running_loop()
    if sink := keywords.get("sink"):
        keywords["sink"] = partial(loop.call_soon_threadsafe, cast("Any", sink))
    ended = asyncio.Event()
    work = _Work(partial(act, *arguments, **keywords), partial(loop.call_soon_threadsafe, ended.set))
    work.begin()
    try:
        await ended.wait()
    except asyncio.CancelledError as error:
        await _stop(work, ended)
        work.join()
        for note in getattr(work.error, "__notes__", ()):
            error.add_note(note)
        raise
    work.join()
    return work.result()


async def _stop(work: _Work[Any], ended: asyncio.Event) -> None:
    """Interrupt *work*, and wait for its end; another cancellation interrupts it again, as a second Ctrl-C does."""
    while not ended.is_set():
        work.interrupt()
        try:
            await ended.wait()
        except asyncio.CancelledError:
            continue


class _Work(Generic[_R]):
    """A function in a thread that can be interrupted; *tell* is called when it has ended."""

    def __init__(self, act: Callable[[], _R], tell: Callable[[], object]) -> None:
        self.error: BaseException | None = None
        self._act, self._tell = act, tell
        self._lock = Lock()
        self._is_running, self._was_interrupted = True, False
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="buildpush-call", daemon=True)

    def begin(self) -> None:
        start(self._thread)

    def join(self) -> None:
        """Wait for the last moment of the thread, once it has told that the function has ended."""
        self._thread.join()

    def interrupt(self) -> None:
        """Raise ``KeyboardInterrupt`` in the function, unless it has ended."""
        with self._lock:
            if self._is_running and self._thread.ident:
                self._was_interrupted = True
                interrupt(self._thread.ident)

    def result(self) -> _R:
        """Return what the function returned, or raise what it raised."""
        if self.error is not None:
            raise self.error
        return self._result

    def _run(self) -> None:
        try:
            try:
                self._result = self._act()
            finally:
                self._end()
        except BaseException as error:  # noqa: BLE001 - it is raised again where the call is awaited
            self.error = error
        finally:
            self._tell()

    def _end(self) -> None:
        with self._lock:
            self._is_running = False
        if self._was_interrupted:
            discard_interrupt()


def _coroutine(act: Callable[_P, _R]) -> Callable[_P, Coroutine[Any, Any, _R]]:
    """Return a coroutine function with the signature and the description of *act*."""

    @wraps(act)
    async def in_thread(*arguments: _P.args, **keywords: _P.kwargs) -> _R:
        return await call(act, *arguments, **keywords)

    return in_thread


load = _coroutine(api.load)
check = _coroutine(api.check)
run = _coroutine(api.run)
build = _coroutine(api.build)
push = _coroutine(api.push)
copy = _coroutine(api.copy)
merge = _coroutine(api.merge)
tag = _coroutine(api.tag)
verify = _coroutine(api.verify)
record = _coroutine(notebook_record.record)
upload = _coroutine(api.upload)
download = _coroutine(api.download)
list_pipeline = _coroutine(api.list_pipeline)
check_pipeline = _coroutine(api.check_pipeline)
run_pipeline = _coroutine(api.run_pipeline)
open_run = _coroutine(api.open_run)

"""The functions as coroutines: the event loop goes on, and a cancelled call has cleaned up when it ends."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

import buildpush
from buildpush import aio
from buildpush.foundation.errors import SettingsError
from buildpush.places import Here
from tests.sites import Site

FUNCTIONS = [name for name in buildpush.__all__ if inspect.isfunction(getattr(buildpush, name))]


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "buildpush-call"]


async def until(is_so):
    while not is_so():  # noqa: ASYNC110 - what is waited for is no event of this loop
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("name", sorted({*FUNCTIONS} - {"open_builds", "practice"}))
def test_every_function_is_a_coroutine_with_the_same_signature(name):
    act = getattr(aio, name)
    assert inspect.iscoroutinefunction(act)
    twin = getattr(buildpush, name)
    assert inspect.signature(act) == inspect.signature(twin)
    assert act.__doc__ == twin.__doc__


def test_the_event_loop_goes_on_while_a_call_runs():
    async def main():
        came = threading.Event()
        other = asyncio.create_task(aio.call(came.wait, 60))
        await asyncio.sleep(0)
        came.set()
        return await other

    assert asyncio.run(main())


def test_an_error_is_raised_where_the_call_is_awaited_with_its_hint():
    with pytest.raises(SettingsError, match="takes a path") as caught:
        asyncio.run(aio.load(5))
    assert caught.value.hint


def test_events_reach_the_sink_in_the_event_loop_before_the_result():
    seen = []

    def act(sink):
        for number in range(3):
            sink((number, threading.get_ident()))
        return threading.get_ident()

    async def main():
        worker = await aio.call(act, sink=lambda event: seen.append((*event, threading.get_ident())))
        assert [number for number, _, _ in seen] == [0, 1, 2]
        return worker

    worker = asyncio.run(main())
    assert {(there, here) for _, there, here in seen} == {(worker, threading.get_ident())}


def sleeps(begun, ended, *, stays=0):
    """Sleep until interrupted, and again as often as *stays* says."""
    try:
        begun.set()
        while True:
            time.sleep(0.01)
    except KeyboardInterrupt as error:
        ended.append("interrupted")
        if stays:
            sleeps(begun, ended, stays=stays - 1)
        error.add_note("one tag is pushed")
        raise


@pytest.mark.parametrize("often", [1, 3])
def test_a_call_that_is_cancelled_has_cleaned_up_when_it_ends(often):
    begun, ended = threading.Event(), []

    async def main():
        task = asyncio.create_task(aio.call(sleeps, begun, ended, stays=often - 1))
        for _ in range(often):
            await asyncio.to_thread(begun.wait, 60)
            begun.clear()
            task.cancel()
            await asyncio.sleep(0.05)
        await task

    with pytest.raises(asyncio.CancelledError) as caught:
        asyncio.run(main())
    assert ended == ["interrupted"] * often
    assert "one tag is pushed" in caught.value.__notes__


def test_a_time_limit_of_asyncio_ends_a_call():
    ended = []

    async def main():
        async with asyncio.timeout(0.2):
            await aio.call(sleeps, threading.Event(), ended)

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert ended == ["interrupted"]


def test_a_call_that_is_cancelled_as_it_ends_leaves_no_interrupt_behind():
    async def main():
        for pause in range(50):
            task = asyncio.create_task(aio.call(time.sleep, 0.001))
            await asyncio.sleep(0.0001 * pause)
            task.cancel()
            await asyncio.wait([task])
        return "done"

    assert asyncio.run(main()) == "done"


def test_a_call_has_the_context_of_its_task():
    import contextvars

    name = contextvars.ContextVar("name", default="")

    async def main():
        name.set("job 7")
        return await aio.call(name.get)

    assert asyncio.run(main()) == "job 7"


@pytest.mark.programs
def test_a_cancelled_call_ends_the_programs_that_it_started(tmp_path):
    code = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(600)"

    async def main():
        task = asyncio.create_task(aio.call(Here(dict(os.environ)).run, [sys.executable, "-c", code], cwd=tmp_path))
        await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.fixture
def site(tmp_path, box, monkeypatch):
    return Site(tmp_path, box, monkeypatch)


@pytest.mark.sandbox
def test_several_runs_are_under_way_at_the_same_time(site):
    repo, names = f"{site.box.host}/docker-local/app", ["1", "2", "3"]

    async def main():
        return await asyncio.gather(*(aio.run(repo=repo, tags=[name], engine="native") for name in names))

    results = asyncio.run(main())
    assert [result.references for result in results] == [(f"{repo}:{name}",) for name in names]
    assert site.tags == names


@pytest.mark.sandbox
def test_a_push_that_is_cancelled_moves_no_tag(site):
    site.box.add_fault("PUT", "/v2/docker-local/app/manifests/", delay=30, times=99)
    events = []

    async def main():
        task = asyncio.create_task(aio.run(repo=f"{site.box.host}/docker-local/app", tags=["1"], sink=events.append))
        await until(lambda: any(request.method == "PUT" for request in site.box.requests))  # of a blob
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert site.tags == []
    assert events


CTRL_C = """
import asyncio
from buildpush import aio
def waits():
    import time
    print("begun", flush=True)
    try:
        time.sleep(0.01)
        while True: time.sleep(0.01)
    finally:
        print("cleaned up", flush=True)
asyncio.run(aio.call(waits))
"""


@pytest.mark.programs
def test_ctrl_c_lets_a_call_clean_up():
    with subprocess.Popen(
        [sys.executable, "-c", CTRL_C], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert out == "cleaned up\n"
    assert err.rstrip().endswith("KeyboardInterrupt")

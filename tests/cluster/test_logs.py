"""The log of a container: each line once, over streams that break."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from buildpush.cluster.logs import LogStream
from tests.cluster.api_server import (
    answer,
    api,
    eventually,
    query,
    said,
    stream,
)
from tests.http.servers import in_turn, serving

pytestmark = pytest.mark.sandbox


def line(second, text, fraction=0):
    return f"2026-11-28T09:00:{second:02}.{fraction:09}Z {text}\n"


def logs(*handles):
    """Serve a log whose stream is as *handles* say, in turn; return the lines, and what was asked for."""
    with serving(in_turn(*handles)) as server, api(server) as cluster:
        log = LogStream(cluster, "p", "build")
        eventually(lambda: len(server.seen) >= len(handles))
        log.end()
        eventually(lambda: log.is_over)
        return log.take(), [query(seen).get("sinceTime") for seen in server.seen]


@pytest.fixture
def _quick(monkeypatch):
    monkeypatch.setattr("buildpush.cluster.logs._PAUSE_SECONDS", 0.01)


@pytest.mark.usefixtures("_quick")
def test_a_log_arrives_line_by_line():
    assert logs(stream(line(1, "one"), line(2, "two")), stream())[0] == ["one", "two"]


@pytest.mark.usefixtures("_quick")
def test_a_log_that_breaks_goes_on_without_loss_or_doubling():
    """The server cuts at whole seconds, so lines come again; also those of the same time, and half of one."""
    whole = [line(1, "a"), line(1, "b", 5), line(1, "b", 5), line(1, "b", 5), line(2, "c"), line(3, "d")]
    lines, since = logs(
        stream(*whole[:3], whole[3][:20], whole=False),
        stream(*whole[:3], whole=False),  # nothing new at all
        stream(*whole[:5], whole[5][:-2], whole=False),
        stream(*whole[4:]),
        stream(whole[5]),
    )
    assert lines == ["a", "b", "b", "b", "c", "d"]
    assert since[:4] == [
        None,
        ["2026-11-28T09:00:01.000000005Z"],
        ["2026-11-28T09:00:01.000000005Z"],
        ["2026-11-28T09:00:02.000000000Z"],
    ]


@pytest.mark.usefixtures("_quick")
def test_the_same_text_at_another_time_is_another_line():
    assert logs(stream(line(1, "a"), whole=False), stream(line(1, "a"), line(1, "a", 1)), stream())[0] == ["a", "a"]


@pytest.mark.usefixtures("_quick")
def test_a_last_line_without_an_end_is_shown():
    text = line(1, "one") + line(2, "no end")[:-1]
    assert logs(stream(text), stream(line(2, "no end")[:-1]))[0] == ["one", "no end"]


@pytest.mark.usefixtures("_quick")
def test_half_a_line_is_shown_once_it_is_whole():
    """A server that goes away may end its stream as if it were over."""
    assert logs(stream(line(1, "whole")[:-3]), stream(line(1, "whole")), stream())[0] == ["whole"]


@pytest.mark.usefixtures("_quick")
def test_a_log_that_is_not_there_yet_is_asked_for_again():
    early = answer(400, said("container is waiting to start", 400, "BadRequest"))
    assert logs(early, early, stream(line(1, "one")), stream())[0] == ["one"]


@pytest.mark.usefixtures("_quick")
def test_a_log_that_is_gone_ends():
    gone = answer(404, said("pods p not found", 404, "NotFound"))
    assert logs(stream(line(1, "one"), whole=False), gone)[0] == ["one"]


def test_a_quiet_container_is_asked_less_and_less(monkeypatch):
    """After its end, its pod stays for some seconds, and each stream ends at once."""
    monkeypatch.setattr("buildpush.cluster.logs._PAUSE_SECONDS", 0.1)
    with serving(stream()) as server, api(server) as cluster:
        log = LogStream(cluster, "p", "build")
        threading.Event().wait(0.6)
        log.end()
        eventually(lambda: log.is_over)
    assert len(server.seen) <= 5


def test_the_end_of_a_container_ends_a_pause_at_once(monkeypatch):
    pauses = []

    class Ending(threading.Event):
        def wait(self, timeout=None):
            pauses.append(timeout)
            return super().wait(timeout)

    monkeypatch.setattr("buildpush.cluster.logs.threading", SimpleNamespace(Event=Ending, Thread=threading.Thread))
    monkeypatch.setattr("buildpush.cluster.logs._PAUSE_SECONDS", 60)
    with (
        serving(in_turn(stream(line(1, "one")), stream(line(1, "one"), line(2, "two")))) as server,
        api(server) as cluster,
    ):
        log = LogStream(cluster, "p", "build")
        eventually(lambda: pauses)  # an end that comes while the stream lasts needs no second one
        log.end()
        eventually(lambda: log.is_over)
        assert log.take() == ["one", "two"]


@pytest.mark.usefixtures("_quick")
def test_bytes_that_are_no_text_do_not_end_a_log():
    assert logs(stream(line(1, "a").encode() + b"2026-11-28T09:00:02Z \xff\n"), stream())[0] == ["a", "\\xff"]

"""Downloads: whole, limited, begun anew."""

from __future__ import annotations

import io
import itertools
import socket

import pytest

from buildpush.foundation.errors import BuildError, UnreachableError
from buildpush.http import download as fetching
from buildpush.http.download import download
from buildpush.http.retry import LEAST
from buildpush.http.wires import PacedReader, TooSlowError
from tests.http.servers import OK, in_turn, serving, short, status


@pytest.mark.sandbox
def test_a_download_that_breaks_begins_anew(client, tmp_path):
    dated = status(200, Last_Modified="Wed, 21 Oct 2015 07:28:00 GMT")
    with serving(in_turn(short, dated)) as server:
        assert download(client, server.url, tmp_path / "file", most=9_000_000) == 1_445_412_480
    assert (tmp_path / "file").read_bytes() == b"body"
    assert len(client.waits) == 1


@pytest.mark.sandbox
def test_a_download_has_a_limit_that_a_setting_moves(client, tmp_path):
    with serving(OK) as server:
        with pytest.raises(BuildError, match="is larger than 3 bytes") as caught:
            download(client, server.url, tmp_path / "file", most=3)
        download(client, server.url, tmp_path / "file", most=4)
    assert "fetch_limit" in caught.value.hint
    assert not client.waits


@pytest.mark.sandbox
def test_a_download_that_is_refused_tells_no_password(client, tmp_path):
    with serving(status(403)) as server, pytest.raises(BuildError, match="status 403") as caught:
        download(client, server.url.replace("//", "//me:planted@"), tmp_path / "file", most=9)
    assert "planted" not in str(caught.value)
    assert not (tmp_path / "file").exists()


@pytest.mark.sandbox
def test_a_download_that_breaks_each_time_is_given_up_after_six_attempts(client, tmp_path):
    with serving(short) as server, pytest.raises(UnreachableError, match="broke"):
        download(client, f"{server.url}/a?token=planted", tmp_path / "file", most=99)

    assert len(server.seen) == 6
    assert [event.what for event in client.events] == [f"{server.url}/a"] * 5
    assert [event.attempt for event in client.events] == [1, 2, 3, 4, 5]
    assert all("broke" in event.reason for event in client.events)


@pytest.mark.sandbox
@pytest.mark.parametrize("size", [0, 1, 1024 * 1024, 2 * 1024 * 1024 + 1])
def test_a_download_of_any_size_is_whole_where_it_is_allowed(client, tmp_path, size):
    data = bytes(range(251)) * (size // 251 + 1)
    with serving(lambda request: request.answer(200, data[:size])) as server:
        assert download(client, server.url, tmp_path / "file", most=size) == 0
        assert (tmp_path / "file").read_bytes() == data[:size]
        if size:
            with pytest.raises(BuildError) as caught:
                download(client, server.url, tmp_path / "other", most=size - 1)
            assert str(caught.value) == f"{server.url} is larger than {size - 1:,} bytes"
            assert (tmp_path / "other").stat().st_size <= size - 1
            assert caught.value.setting == "fetch_limit"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Thu, 01 Jan 1970 00:00:05 GMT", 5),
        ("Wed, 31 Dec 1969 23:59:59 GMT", 0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("yesterday", 0),
        ("", 0),
        ("Thu, 01 Jan 99999 00:00:00 GMT", 0),
    ],
)
def test_when_a_file_was_last_changed_is_read_where_it_is_a_time(text, seconds):
    assert fetching._time_of_change(text) == seconds


@pytest.mark.sandbox
def test_a_download_that_is_refused_says_the_status_and_what_to_do(client, tmp_path):
    with serving(status(404)) as server, pytest.raises(BuildError) as caught:
        download(client, f"{server.url}/a", tmp_path / "file", most=9)

    assert str(caught.value) == f"{server.url}/a cannot be fetched: status 404"
    assert caught.value.hint == "check the address; a file that requires a login cannot be added from the web"
    assert client.waits == []


def test_a_paced_file_is_the_file_behind_it():
    with socket.socket() as sock:
        raw = sock.makefile("rb", buffering=0)
        paced = PacedReader(raw, 10)
        assert paced.readable()
        assert paced.fileno() == sock.fileno()
        paced.close()
        assert raw.closed
        assert paced.closed


def test_a_paced_file_counts_what_waits_and_what_came_from_the_second_wait_on():
    """Between the least number of bytes and the next there is time for a silence once more."""

    class Slow(io.RawIOBase):
        def __init__(self, *sizes):
            self.sizes = iter(sizes)

        def readinto(self, buffer):
            size = next(self.sizes)
            buffer[:size] = bytes(size)
            return size

    def paced(*sizes, step=10.0):
        ticks = itertools.count(0, step)
        return PacedReader(Slow(*sizes), 20.0, lambda: next(ticks))

    def read(file, times):
        for _ in range(times):
            file.readinto(bytearray(LEAST))

    read(paced(1, 1, 1), 3)  # the first wait is not counted, and two are as long as may be waited
    with pytest.raises(TooSlowError, match="only 4 bytes came in 30 s"):
        read(paced(1, 1, 1, 1), 4)
    read(paced(1, LEAST - 1, 1, 1), 4)
    with pytest.raises(TooSlowError, match="only 3 bytes came in 30 s"):
        read(paced(1, LEAST - 1, 1, 1, 1), 5)
    read(paced(1, 1, 1, 0), 4)  # the end is no slow answer

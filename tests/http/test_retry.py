"""What is sent again, how often, and after how long a wait."""

from __future__ import annotations

import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from buildpush.foundation.errors import UnreachableError
from buildpush.foundation.events import Retry
from buildpush.http import retry
from buildpush.http.failures import Interruption
from buildpush.http.retry import Retries
from buildpush.http.urls import origin
from tests.http.servers import OK, Client, Handler, in_turn, serving, status


@pytest.mark.sandbox
@pytest.mark.parametrize("number", [408, 429, 500, 502, 503, 504, *range(520, 528)])
def test_a_passing_failure_is_asked_again(client, number):
    with serving(in_turn(status(number), status(number), OK)) as server:
        answer = client.request("GET", server.url)

    assert (answer.status, answer.attempts) == (200, 3)
    assert client.waits[0] == pytest.approx(0.25, rel=0.11)
    # A 429 makes the whole host wait, here again, for what is left and up to a tenth more.
    assert 0.45 <= client.waits[-1] <= 0.5 * 1.1 * 1.1
    assert [event.reason for event in client.events if isinstance(event, Retry)] == [f"status {number}"] * 2


@pytest.mark.sandbox
def test_a_lasting_failure_is_answered_after_six_attempts(client):
    with serving(status(502)) as server:
        answer = client.request("PUT", server.url, body=b"x")

    assert (answer.status, answer.attempts, len(server.seen)) == (502, 6, 6)


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("wish", "least", "most"), [("3", 3, 3.3), ("900", 60, 66), ("soon", 0.2, 0.3), ("0", 0.2, 0.3)]
)
def test_the_servers_wish_is_followed_within_limits(client, wish, least, most):
    with serving(in_turn(status(503, Retry_After=wish), OK)) as server:
        client.request("GET", server.url)

    assert least <= client.waits[0] <= most


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("date", "least", "most"),
    [("Mon, 01 Jan 2001 00:00:07 GMT", 7, 7.7), ("Sun, 31 Dec 2000 23:59:00 GMT", 0.2, 0.3)],
)
def test_a_date_to_retry_at_is_read_by_the_servers_own_clock(client, date, least, most):
    def handle(request):
        request.send_response_only(503)
        request.send_header("Date", "Mon, 01 Jan 2001 00:00:00 GMT")
        request.send_header("Retry-After", date)
        request.send_header("Content-Length", "0")
        request.end_headers()

    with serving(in_turn(handle, OK)) as server:
        client.request("GET", server.url)

    assert least <= client.waits[0] <= most


@pytest.mark.sandbox
def test_everybody_waits_for_a_host_that_said_too_many_and_not_to_the_same_moment():
    client = Client(clock=lambda: 100.0)
    with client, serving(in_turn(status(429, Retry_After="3"), OK, OK)) as server:
        client.request("GET", server.url)
        waited = len(client.waits)
        client.request("GET", server.url)
        client.request("GET", server.url)

    first, second = client.waits[waited:]
    assert all(3 <= seconds <= 3 * 1.1**2 for seconds in (first, second))
    assert first != second


@pytest.mark.sandbox
def test_when_many_wait_for_a_silent_host_one_of_them_says_so():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        client = Client(clock=lambda: 100.0)
        client._hosts_that_answered.add(origin(url))
        client._hosts_reached.add(origin(url))

        together = threading.Barrier(4)  # else one quick thread may ask for all of them

        def ask(_number):
            together.wait()
            with pytest.raises(UnreachableError):
                client.request("GET", url)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(ask, range(4)))

    assert len(client.events) < 4 * 8
    assert len(client.waits) == 4 * 8


@pytest.mark.sandbox
def test_a_post_is_not_sent_twice_unless_the_caller_allows_it(client):
    with serving(in_turn(status(503), OK)) as server:
        assert client.request("POST", server.url, body=b"x").status == 503
    with serving(in_turn(status(503), OK)) as server:
        assert client.request("POST", server.url, body=b"x", repeatable=True).status == 200


@pytest.mark.sandbox
def test_a_reset_is_asked_again(client):
    with serving(in_turn(OK, Handler.reset, OK)) as server:
        client.request("GET", server.url)
        assert client.request("GET", server.url).status == 200

    assert len(client.waits) == 1


@pytest.mark.sandbox
def test_a_host_that_never_answered_is_given_up_soon(client):
    with serving(OK) as server:
        pass
    with pytest.raises(
        UnreachableError, match=r"no connection to 127.0.0.1:\d+: Connection refused \(tried 2 times"
    ) as caught:
        client.request("GET", server.url)
    assert "check host and port" in caught.value.hint


@pytest.mark.sandbox
def test_a_host_that_answered_before_is_waited_for_as_long_as_a_restart_takes():
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    with Client(sleep=sleep, clock=lambda: now[0]) as client:
        with serving(OK) as server:
            client.request("GET", server.url, headers={"Connection": "close"})
        with pytest.raises(UnreachableError, match="tried 9 times"):
            client.request("GET", server.url)
        assert 55 < now[0] < 75
        for _ in range(10):  # and not for each request anew
            with pytest.raises(UnreachableError, match="tried 6 times"):
                client.request("GET", server.url)
        assert now[0] < 75 + 10 * 9


@pytest.mark.sandbox
@pytest.mark.parametrize(("number", "attempts"), [(502, 9), (503, 9), (522, 9), (500, 6), (429, 6)])
def test_a_gateway_that_says_that_the_host_is_down_is_asked_as_long(client, number, attempts):
    with serving(in_turn(OK, status(number))) as server:
        client.request("GET", server.url)
        assert client.request("GET", server.url).attempts == attempts


@pytest.mark.sandbox
def test_a_host_that_is_back_may_go_down_again():
    now = [0.0]
    steps = [OK, *[status(503)] * 8, OK, *[status(503)] * 8, OK]
    with (
        Client(sleep=lambda seconds: now.__setitem__(0, now[0] + seconds), clock=lambda: now[0]) as client,
        serving(in_turn(*steps)) as server,
    ):
        assert [client.request("GET", server.url).status for _ in range(3)] == [200, 200, 200]
    assert now[0] > 100


@pytest.mark.sandbox
def test_what_is_tried_once_does_not_say_how_often(client):
    with serving(Handler.reset) as server, pytest.raises(UnreachableError, match=r"reset by peer\Z"):
        client.request("POST", server.url)
    assert client.waits == []


@pytest.mark.sandbox
def test_a_request_that_never_left_is_sent_again_though_it_may_be_sent_once(client):
    with serving(OK) as server:
        pass
    with pytest.raises(UnreachableError, match="tried 2 times"):
        client.request("POST", server.url, body=b"x")
    with pytest.raises(Interruption, match="Connection refused") as caught:
        client.request("PUT", server.url, body=iter([b"x"]))
    assert caught.value.sent == 0
    assert len(client.waits) == 1


@pytest.mark.sandbox
def test_a_wait_for_a_silent_host_is_told_with_its_reason(client):
    with serving(in_turn(OK, Handler.reset, OK)) as server:
        client.request("GET", f"{server.url}/")
        client.request("GET", f"{server.url}/a?token=planted")

    [told] = client.events
    assert told.what == f"GET {server.url}/a"
    assert told.reason.startswith(f"the connection to {server.url.removeprefix('http://')} broke: ")
    assert (told.seconds, told.attempt) == (client.waits[0], 1)


@pytest.mark.sandbox
@pytest.mark.parametrize(("attempts", "asked"), [(1, 1), (2, 3), (3, 5), (6, 9)])
def test_a_host_that_is_down_is_asked_no_more_often_than_the_settings_say(attempts, asked):
    with Client(retries=Retries(attempts)) as client, serving(in_turn(OK, status(503))) as server:
        client.request("GET", server.url)
        assert client.request("GET", server.url).attempts == asked


def test_a_date_a_second_away_is_a_second():
    headers = {"Retry-After": "Mon, 01 Jan 2001 00:00:01 GMT", "Date": "Mon, 01 Jan 2001 00:00:00 GMT"}
    assert retry.retry_after(headers) == 1
    assert retry.retry_after({**headers, "Date": headers["Retry-After"]}) is None


@pytest.mark.sandbox
def test_two_hosts_that_are_silent_are_both_told():
    with serving(OK) as one, serving(OK) as other:
        urls = [f"{server.url}/" for server in (one, other)]
    with Client(clock=lambda: 100.0) as client:
        together = threading.Barrier(2)

        def ask(url):
            together.wait()
            with pytest.raises(UnreachableError):
                client.request("GET", url)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(ask, urls))

    assert {event.what for event in client.events} == {f"GET {url}" for url in urls}


def test_the_page_names_the_statuses_that_are_tried_again():
    page = (Path(__file__).parents[2] / "docs" / "push.md").read_text(encoding="utf-8")
    named = page.partition("After a status of ")[2].partition(" the request is repeated")[0]
    spans = [list(map(int, part.split(" to "))) for part in re.split(", | or ", named)]
    assert {status for span in spans for status in range(span[0], span[-1] + 1)} == retry.RULES.keys()

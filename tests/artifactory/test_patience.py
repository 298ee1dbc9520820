"""What is sent until it is there: how often, after which answers, and what counts as there."""

from __future__ import annotations

import threading

import pytest

from buildpush.artifactory.client import RefusedError
from buildpush.artifactory.patience import PATIENCE, WRITE_DELAYS, ask_until, send_until_stored
from buildpush.foundation.errors import AuthenticationError, BuildInfoError, UnreachableError
from buildpush.foundation.parallel import WORKERS, in_parallel


def refused(status: int) -> RefusedError:
    return RefusedError(f"answers {status}", status=status)


LOST = UnreachableError("no answer")


class Server:
    """Answers with what it is given, one after the other; an error is raised."""

    def __init__(self, *answers) -> None:
        self.answers, self.asked = list(answers), 0

    def __call__(self):
        self.asked += 1
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def test_what_is_taken_at_once_is_not_looked_for():
    look, waits = Server(), []
    assert send_until_stored(Server("taken"), look, waits.append) == "taken"
    assert (look.asked, waits) == (0, [])


@pytest.mark.parametrize("error", [refused(400), refused(409), refused(500), LOST])
def test_what_failed_and_is_there_all_the_same_counts_and_is_not_sent_again(error):
    send, waits = Server(error), []
    assert send_until_stored(send, Server(True), waits.append) is True
    assert (send.asked, waits) == (1, [])


@pytest.mark.parametrize("look", [False, BuildInfoError("unreadable"), refused(403), LOST])
def test_what_failed_and_cannot_be_seen_is_sent_again_a_while_later(look):
    send, waits = Server(refused(409), LOST, "taken"), []
    assert send_until_stored(send, Server(look, look), waits.append) == "taken"
    assert waits == list(WRITE_DELAYS)


@pytest.mark.parametrize("status", [403, 404])
def test_what_another_attempt_does_not_change_is_told_at_once(status):
    send, look, waits = Server(refused(status)), Server(), []
    with pytest.raises(RefusedError, match=str(status)):
        send_until_stored(send, look, waits.append)
    assert (send.asked, look.asked, waits) == (1, 0, [])


def test_the_last_of_three_failures_is_told_after_a_last_look():
    send, look, waits = Server(refused(500), refused(409), LOST), Server(False, False, False), []
    with pytest.raises(UnreachableError, match="no answer"):
        send_until_stored(send, look, waits.append)
    assert (look.asked, waits) == (3, list(WRITE_DELAYS))


def test_what_is_seen_after_the_last_failure_counts():
    assert send_until_stored(Server(LOST, LOST, LOST), Server(False, False, True), lambda _: None) is True


@pytest.mark.parametrize("error", [AuthenticationError("who?"), KeyboardInterrupt()])
def test_other_failures_pass_at_once(error):
    send, look = Server(error), Server()
    with pytest.raises(type(error)):
        send_until_stored(send, look, lambda _: None)
    assert (send.asked, look.asked) == (1, 0)


def test_a_failure_of_another_kind_while_looking_passes():
    with pytest.raises(AuthenticationError):
        send_until_stored(Server(LOST), Server(AuthenticationError("who?")), lambda _: None)


def test_only_what_is_late_is_asked_for_again_and_answers_stay_in_order():
    asked, waits = [], []

    def ask(things):
        asked.extend(things)
        return [thing if asked.count(thing) > thing else 0 for thing in things]

    assert ask_until(ask, [1, 3, 2], waits.append) == [1, 3, 2]
    assert {thing: asked.count(thing) for thing in (1, 2, 3)} == {1: 2, 2: 3, 3: 4}
    assert waits == list(PATIENCE[:3])


def test_patience_ends_with_the_last_answers():
    waits = []
    assert ask_until(lambda things: things, [0, 5], waits.append, enough=bool, waits=(1.0, 2.0)) == [0, 5]
    assert waits == [1.0, 2.0]


def test_nothing_to_ask_needs_no_wait():
    waits = []
    assert ask_until(lambda thing: thing, [], waits.append) == []
    assert waits == []


def test_one_thing_is_done_in_the_callers_own_thread():
    assert in_parallel(lambda _: threading.current_thread(), ["one"]) == [threading.current_thread()]


def test_four_are_done_at_once_and_no_more():
    together, lock, now, most = threading.Barrier(WORKERS), threading.Lock(), [], []

    def act(thing):
        with lock:
            now.append(thing)
            most.append(len(now))
        threading.Event().wait(0.1)  # whoever may come is here by then
        together.wait(20)
        with lock:
            now.remove(thing)
        return thing, threading.current_thread().name

    done = in_parallel(act, list(range(2 * WORKERS)))
    assert [thing for thing, _ in done] == list(range(2 * WORKERS))
    assert max(most) == WORKERS
    assert all(name.startswith("artifactory") for _, name in done)


def test_the_first_error_ends_what_has_not_begun():
    begun = []

    def act(thing):
        begun.append(thing)
        if thing == 0:
            raise LOST
        threading.Event().wait(0.05)

    with pytest.raises(UnreachableError):
        in_parallel(act, list(range(200)))
    assert len(begun) < 200


def test_an_error_waits_for_what_is_under_way():
    begun, ended, together = [], [], threading.Barrier(2)

    def act(thing):
        begun.append(thing)
        together.wait(20)
        if thing == 0:
            raise LOST
        threading.Event().wait(0.1)
        ended.append(thing)

    with pytest.raises(UnreachableError):
        in_parallel(act, [0, 1])
    assert ended == [1]


def test_ctrl_c_waits_for_nothing():
    ended, together, go_on = [], threading.Barrier(2), threading.Event()

    def act(thing):
        together.wait(20)
        if thing == 0:
            raise KeyboardInterrupt
        go_on.wait(5)
        ended.append(thing)

    with pytest.raises(KeyboardInterrupt):
        in_parallel(act, [0, 1])
    assert ended == []
    go_on.set()

"""Steps that run at the same time, as people run them, on a sandbox."""

from __future__ import annotations

import gc
import json
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace

import pytest

import buildpush
from buildpush.expressions.facts import Counter, Facts
from buildpush.foundation.errors import StrictError, TimeOutError
from buildpush.foundation.events import BranchState, FromBranch, Note, Prompt
from buildpush.foundation.interrupts import Lock, interrupt, start
from buildpush.foundation.limits import time_limit
from buildpush.foundation.state import State
from buildpush.foundation.workers import Workers
from buildpush.http import client
from buildpush.pipeline import branches
from buildpush.pipeline.branches import Turns, run_together
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.runlog import RunLog
from buildpush.pipeline.steps import Branch
from tests.sites import Site


def threads_of_branches():
    return [one for one in threading.enumerate() if one.name.startswith("buildpush-branch")]


def meet(here, number):
    """Wait until *number* threads are here; a Barrier might be left locked by what is interrupted in it."""
    here.append(threading.get_ident())
    while len(here) < number:
        time.sleep(0.001)


# ---- threads


def test_acts_run_at_the_same_time_and_no_more_than_they_may():
    running, most, lock, together = set(), [], threading.Lock(), threading.Barrier(3)

    def act(number):
        with lock:
            running.add(number)
            most.append(len(running))
        together.wait(60)
        with lock:
            running.discard(number)

    run_together([lambda number=number: act(number) for number in range(12)], 3)
    assert max(most) == 3
    assert len(most) == 12
    assert not threads_of_branches()


@pytest.mark.parametrize(("asked", "most"), [(1, 1), (5, 5), (branches.MOST, branches.MOST), (1000, branches.MOST)])
def test_as_many_branches_run_at_the_same_time_as_the_loop_says_up_to_a_bound(tmp_path, asked, most):
    """Whatever the number of cores is."""
    context = RunContext.default(env={}, cwd=tmp_path)
    running, seen, lock, together = set(), [], threading.Lock(), threading.Barrier(most)

    def run(number):
        with lock:
            running.add(number)
            seen.append(len(running))
        together.wait(60)
        with lock:
            running.discard(number)
        return []

    many = [Branch(f"a_{number}", lambda _walk, number=number: run(number)) for number in range(2 * most)]
    with context:
        branches.Branches(context, lambda _context: None)(many, asked)
    assert max(seen) == most
    assert len(seen) == 2 * most


def test_an_error_of_one_act_ends_the_others_and_is_raised():
    ended, here = [], []

    def waits():
        try:
            meet(here, 3)
            for _ in range(100):
                time.sleep(0.1)
        except KeyboardInterrupt:
            ended.append("interrupted")
            raise

    def fails():
        meet(here, 3)
        message = "no"
        raise ValueError(message)

    with pytest.raises(ValueError, match="no"):
        run_together([waits, fails, waits, waits], 3)
    assert ended == ["interrupted"] * 2
    assert not threads_of_branches()


def test_acts_in_threads_of_acts_are_ended_with_them():
    ended, here = [], []

    def waits():
        try:
            meet(here, 3)
            for _ in range(100):
                time.sleep(0.1)
        finally:
            ended.append("ended")

    def fails():
        meet(here, 3)
        message = "no"
        raise ValueError(message)

    with pytest.raises(ValueError, match="no"):
        run_together([lambda: run_together([waits, waits], 2), fails], 2)
    assert ended == ["ended"] * 2
    assert not threads_of_branches()


def test_an_act_that_ends_as_it_is_interrupted_leaves_nothing_locked(monkeypatch):
    """The interrupt came while the act waited for a lock, and that was never let go of."""

    def slowly(thread):
        time.sleep(0.005)
        interrupt(thread)
        time.sleep(0.005)

    monkeypatch.setattr(branches, "interrupt", slowly)
    ended = []

    def fails(here):
        meet(here, 3)
        message = "no"
        raise ValueError(message)

    def runs():
        for _ in range(20):
            meets = partial(meet, here := [], 3)
            with suppress(ValueError):
                run_together([meets, partial(fails, here), meets], 3)
            ended.append("ended")

    thread = threading.Thread(target=runs, daemon=True)
    thread.start()
    thread.join(60)
    assert len(ended) == 20


# ---- what they share


def test_steps_at_the_same_time_have_the_same_number(tmp_path):
    class Slow(Counter):
        def take(self, *names):
            time.sleep(0.02)
            return super().take(*names)

    facts = Facts({}, SimpleNamespace(root="r"), Slow(tmp_path), 0.0, None, inputs={"pipeline.name": "p"})
    numbers = []
    run_together([lambda: numbers.append(facts.lookup(("pipeline", "sequenceId")))] * 6, 6)
    assert len(set(map(str, numbers))) == 1


def test_no_two_builds_of_a_run_have_the_same_start(tmp_path):
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    context = replace(RunContext.default(env={}, cwd=tmp_path), now=lambda: moment)
    starts = []
    with context:
        run_together([lambda: starts.append(context.branch("a").start())] * 8, 8)
    assert sorted(starts) == [moment + timedelta(milliseconds=number) for number in range(8)]


def test_a_branch_has_connections_results_and_a_log_of_its_own_and_shares_what_is_asked_once(tmp_path):
    heard = []
    context = replace(
        RunContext.default(env={}, cwd=tmp_path), state=State(tmp_path / "state", tmp_path), log=RunLog(heard.append)
    )
    with context:
        one, two = context.branch("one"), context.branch("two")
        names = ("pipeline", "executionId")
        assert one.facts.lookup(names) == two.facts.lookup(names) == context.facts.lookup(names)
        assert one.memory is two.memory is context.memory
        assert one.kept_images is context.kept_images
        with one, two:
            assert one.http() is not two.http()
            one.cancel()
            two.http().stop_if_cancelled()
            one.log(Note("a"))
            one.branch("inner").log(Note("b"))
        assert context.memory is not None
    assert not two.log.notes
    assert not context.log.notes
    assert heard == [FromBranch("one", Note("a")), FromBranch("one/inner", Note("b"))]


# ---- whole files

STEP = """\
- step:
    type: BuildAndPushDockerRegistry
    name: {name}
    identifier: {name}
    {more}
    spec: {{repo: {host}/docker-local/app, tags: ["{tag}"], dockerfile: {file}, buildArgs: {{N: "{tag}"}}}}
"""


class BranchedSite(Site):
    """A site whose steps may have a Dockerfile and lines of their own."""

    dockerfile = "FROM scratch\nARG N\nCOPY a /a\nLABEL n=$N\n"

    def __init__(self, directory, box, monkeypatch):
        super().__init__(directory, box, monkeypatch)
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")

    def step(self, name, more="", *, tag=None, file="Dockerfile"):
        return STEP.format(name=name, host=self.box.host, tag=tag or name, more=more, file=file)

    def parallel(self, *steps):
        inner = "".join(f"    {line}\n" for step in steps for line in step.splitlines())
        return f"- parallel:\n{inner}"


@pytest.fixture
def site(tmp_path, box, monkeypatch):
    return BranchedSite(tmp_path, box, monkeypatch)


MATRIX = "strategy: {matrix: {a: [x, y, z], n: ['1', '2', '3', '4'], maxConcurrency: 4}}"
TAG = "<+matrix.a><+matrix.n>"


@pytest.mark.programs
def test_a_matrix_of_twelve_pushes_all_its_tags_four_at_once_twice_the_same(site):
    site.write(site.step("push", MATRIX, tag=TAG))
    heard = []
    once = buildpush.run_pipeline("p.yml", sink=heard.append)
    twice = buildpush.run_pipeline("p.yml")
    tags = [f"{a}{n}" for a in "xyz" for n in "1234"]

    assert site.tags == tags
    assert [step.references[0].rpartition(":")[2] for step in once.steps] == tags
    assert [step.step for step in once.steps] == [f"push_{a}_{n}" for a in range(3) for n in range(4)]
    assert [step.digest for step in once.steps] == [step.digest for step in twice.steps]
    assert all(
        site.box.digest("docker-local/app", tag) == str(step.digest) for tag, step in zip(tags, once.steps, strict=True)
    )
    states = [
        (event.branch, event.event.state) for event in heard if isinstance(getattr(event, "event", 0), BranchState)
    ]
    running = most = 0
    for _, state in states:
        running += {"running": 1, "succeeded": -1}.get(state, 0)
        most = max(most, running)
    assert most == 4
    assert len({step.digest for step in once.steps}) == 12
    assert len([state for _, state in states if state == "succeeded"]) == 12
    assert not threads_of_branches()


@pytest.mark.programs
def test_what_is_in_parallel_runs_at_the_same_time_with_a_prefix_for_each_branch(site, capsys):
    site.write(site.step("first"), site.parallel(site.step("api"), site.step("web")), site.step("last"))
    assert site.run() == 0
    said = capsys.readouterr()
    assert site.tags == ["api", "first", "last", "web"]
    lines = [line.split("s  ", 1)[1] for line in said.err.splitlines() if "s  " in line]
    assert "push: done" in next(line for line in lines if line.startswith("[api] push: done"))
    assert any(line.startswith("[web] succeeded in ") for line in lines)
    assert all(line.startswith(("[api] ", "[web] ")) for line in lines if "app:api" in line or "app:web" in line)
    assert not any(line.startswith("[") for line in lines if "app:first" in line or "app:last" in line)
    assert (
        said.out.index("app:first") < said.out.index("app:api") < said.out.index("app:web") < said.out.index("app:last")
    )


@pytest.mark.programs
def test_a_name_without_a_value_is_a_note_of_the_branch_that_asks_and_refused_by_strict(site):
    asks = "envVariables: {PLUGIN_BUILD_NAME: <+codebase.tag>}, buildArgs:"
    site.write(site.parallel(site.step("one").replace("buildArgs:", asks), site.step("two")))
    steps = buildpush.run_pipeline("p.yml").steps
    assert [sum("empty text" in note for note in step.notes) for step in steps] == [1, 0]
    site.write(site.parallel(site.step("three").replace("buildArgs:", asks), site.step("four")))
    with pytest.raises(StrictError, match="empty text"):
        buildpush.run_pipeline("p.yml", strict=True)
    assert site.tags == ["four", "one", "two"]


@pytest.mark.programs
def test_a_failure_lets_the_others_finish_and_ends_the_stage_afterwards(site, capsys):
    site.write(
        site.parallel(site.step("bad", file="Missing"), site.step("good"), site.step("better")), site.step("after")
    )
    assert site.run() == 2
    assert site.tags == ["better", "good"]
    assert "[bad] failed in " in capsys.readouterr().err


@pytest.mark.programs
def test_branches_leave_a_host_alone_that_asked_one_of_them_to_wait(site, monkeypatch):
    waits, usual = [], client.Http

    def http(**more):
        waits.append([])
        return usual(sleep=waits[-1].append, **more)

    monkeypatch.setattr(client, "Http", http)
    site.write(site.step("s", "strategy: {matrix: {n: ['1', '2', '3'], maxConcurrency: 3}}", tag="<+matrix.n>"))
    site.box.add_fault("GET", "^/v2/$", status=429, headers={"Retry-After": "55"}, times=1)
    assert site.run() == 0
    assert len([one for one in waits if any(seconds > 20 for seconds in one)]) == 3


@pytest.mark.programs
def test_each_iteration_has_its_own_failure_strategy(site):
    strategy = "{onFailure: {errors: [AllErrors], action: {type: Ignore}}}"
    loop = f"strategy: {{matrix: {{f: [Dockerfile, Missing], maxConcurrency: 2}}}}\n    failureStrategies: [{strategy}]"
    site.write(site.step("push", loop, tag="<+matrix.f>", file="<+matrix.f>"), site.step("after"))
    found = buildpush.run_pipeline("p.yml")
    assert [bool(step.ignored) for step in found.steps] == [False, True, False]
    assert site.tags == ["Dockerfile", "after"]


def test_a_person_is_asked_by_one_branch_at_a_time_within_the_time_of_each():
    at_once, most, lock = set(), [], threading.Lock()

    def ask(question, answers, limit):
        with lock:
            at_once.add(question)
            most.append(len(at_once))
        time.sleep(0.1)
        with lock:
            at_once.discard(question)
        return answers[0]

    given, heard = {}, []
    turns = Turns(heard.append).person(ask)

    def asks(name, seconds):
        given[name] = turns(name, ("retry",), timedelta(seconds=seconds))

    run_together([lambda name=name: asks(name, 60) for name in "abc"], 3)
    assert given == dict.fromkeys("abc", "retry")
    assert max(most) == 1
    assert heard == [Prompt(begins=True), Prompt(begins=False)] * 3


def test_who_waits_too_long_for_their_turn_has_no_answer():
    first, too_late, given = threading.Event(), threading.Event(), {}

    def ask(_question, answers, _limit):
        first.set()
        too_late.wait(60)
        return answers[0]

    turns = Turns().person(ask)

    def asks(name, seconds):
        if name == "late":
            first.wait()
        given[name] = turns(name, ("retry",), timedelta(seconds=seconds))
        too_late.set()

    run_together([lambda: asks("first", 60), lambda: asks("late", 0.1)], 2)
    assert given == {"first": "retry", "late": None}


@pytest.fixture
def untraced():
    """Have threads followed by nobody: coverage is so slow that an interrupt meets what it never meets in a run.

    This thread too: while another has not received its interrupt, a traced thread waits for that (Python 3.11), and
    would keep what the other one waits for.
    """
    tracers = threading.gettrace(), sys.gettrace()
    threading.settrace(None)
    sys.settrace(None)
    yield
    threading.settrace(tracers[0])
    sys.settrace(tracers[1])


@pytest.mark.usefixtures("untraced")
def test_a_turn_ends_when_its_step_is_interrupted_while_it_begins():
    """What was interrupted as its turn came kept it for ever, and nobody else was asked."""
    turns = Turns().person(lambda _question, _answers, _limit: time.sleep(0.0005))

    def asks():
        for number in range(300):
            # An interrupt: the limit is reached just where the block begins or ends.
            with suppress(TimeOutError, KeyboardInterrupt), time_limit(timedelta(milliseconds=1 + number % 3)):
                for _ in range(2):
                    turns("", ("retry",), timedelta(seconds=60))

    threads = [threading.Thread(target=asks, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def test_a_turn_that_an_interrupt_has_left_behind_is_ended_by_any_thread():
    """Where the interrupt comes between two steps of a with, only the garbage collector ends the turn."""
    turns = Turns()
    left = turns._turn()
    taker = threading.Thread(target=left.__enter__)
    taker.start()
    taker.join()
    del left
    gc.collect()
    with turns._turn(time.monotonic()) as is_ours:
        assert is_ours


@pytest.mark.programs
def test_a_timeout_of_the_stage_ends_all_branches_and_moves_no_tag(site):
    site.box.add_fault("PATCH", "/v2/docker-local/app/blobs/uploads/", delay=30, times=99)
    site.box.add_fault("PUT", "/v2/docker-local/app/blobs/uploads/", delay=30, times=99)
    inner = site.parallel(site.step("api"), site.step("web"))
    lines = "".join(f"        {line}\n" for line in inner.splitlines())
    site.write(f"stage:\n  identifier: s\n  timeout: 10s\n  spec:\n    execution:\n      steps:\n{lines}")
    begun = time.monotonic()
    with pytest.raises(TimeOutError, match=r"the stage 's' took longer than its timeout of 10s"):
        buildpush.run_pipeline("p.yml")
    assert time.monotonic() - begun < 25
    assert site.tags == []
    assert not threads_of_branches()


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("how", ["thread", "pool"])
def test_an_interrupt_does_not_reach_a_thread_that_is_just_being_started(how):
    """It died of it before it had begun, and who had started it waited for that without end."""

    def starts(begun):
        with suppress(KeyboardInterrupt):
            begun.append(threading.get_ident())
            for _ in range(100_000):
                if how == "thread":
                    start(threading.Thread(target=int, daemon=True))
                else:
                    Workers(1).submit(int)

    for number in range(150):
        begun = []
        thread = threading.Thread(target=starts, args=(begun,), daemon=True)
        thread.start()
        while not begun:
            time.sleep(0.0001)
        time.sleep(0.0002 * (number % 7))
        interrupt(begun[0])
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.usefixtures("untraced")
def test_a_thread_that_is_interrupted_while_it_waits_for_a_lock_does_not_keep_it():
    """From Python 3.14 on it did, and no thread could be started or interrupted any more."""
    lock = Lock()

    def wait():
        with suppress(KeyboardInterrupt), lock:
            time.sleep(10)

    thread = threading.Thread(target=wait, daemon=True)
    with lock:
        thread.start()
        time.sleep(0.1)  # until it waits
        interrupt(thread.ident)
    thread.join(5)
    assert not thread.is_alive()
    assert lock._lock.acquire(timeout=0)


@pytest.mark.usefixtures("untraced")  # by coverage: it traces here itself
def test_a_traced_thread_lets_go_of_a_lock_while_one_that_waits_for_it_is_interrupted():
    """Until that had received its interrupt, this one did not continue: both stood still, on Python 3.11 alone."""
    lock, ended = Lock(), []

    def traced(act):
        sys.settrace(trace := lambda *_: trace)
        with suppress(KeyboardInterrupt):
            act()
        sys.settrace(None)
        ended.append("ended")

    def wait():
        with lock:
            pass

    def holds():
        waits = threading.Thread(target=traced, args=(wait,), daemon=True)
        with lock:
            waits.start()
            time.sleep(0.1)  # until it waits
            interrupt(waits.ident)
        waits.join(5)

    thread = threading.Thread(target=traced, args=(holds,), daemon=True)
    thread.start()
    thread.join(10)
    assert ended == ["ended"] * 2


@pytest.mark.programs
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_all_branches_and_reports_what_is_pushed(site, number):
    site.box.add_fault("PUT", "/v2/docker-local/app/manifests/slow", delay=30, times=99)
    site.write(site.parallel(site.step("slow"), site.step("quick"), site.step("slow2", tag="slow-too")))
    site.box.add_fault("PUT", "/v2/docker-local/app/manifests/slow-too", delay=30, times=99)
    words = [sys.executable, "-m", "buildpush", "run", "p.yml"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        before = []
        for line in iter(process.stderr.readline, ""):
            before.append(line)
            if "[quick] succeeded in " in line:
                break
        process.send_signal(number)
        out, err = process.stdout.read(), "".join(before) + process.stderr.read()
    assert process.returncode == (130 if number is signal.SIGINT else 143)
    assert site.tags == ["quick"]
    assert "app:quick" in out
    assert "Traceback" not in err
    assert "[slow] interrupted in " in err


@pytest.mark.programs
def test_each_iteration_has_its_number_and_their_count_in_its_environment(site):
    arguments = "envVariables: {PLUGIN_BUILD_ARGS_FROM_ENV: HARNESS_NODE_INDEX}"
    tag = "<+env.HARNESS_NODE_INDEX>-of-<+env.HARNESS_NODE_TOTAL>-<+env.HARNESS_STEP_INDEX>"
    text = site.step("push", "strategy: {parallelism: 3}", tag=tag, file="Numbered")
    site.write(text.replace(f'buildArgs: {{N: "{tag}"}}', arguments))
    (site.directory / "Numbered").write_text("FROM scratch\nARG HARNESS_NODE_INDEX\nLABEL at=$HARNESS_NODE_INDEX\n")
    found = buildpush.run_pipeline("p.yml")
    assert site.tags == ["0-of-3-0", "1-of-3-1", "2-of-3-2"]
    labels = [json.loads(step.pushed.config_document)["config"]["Labels"]["at"] for step in found.steps]
    assert labels == ["0", "1", "2"]


@pytest.mark.programs
def test_the_number_in_the_inner_loop_is_the_nearest_and_the_stage_keeps_its_own(site):
    tag = "<+env.HARNESS_STAGE_INDEX>-<+env.HARNESS_NODE_INDEX>"
    inner = site.step("push", "strategy: {parallelism: 2}", tag=tag)
    lines = "".join(f"        {line}\n" for line in inner.splitlines())
    stage = "stage:\n  identifier: s\n  strategy: {parallelism: 2}\n  spec:\n    execution:\n      steps:\n"
    site.write(stage + lines)
    found = buildpush.run_pipeline("p.yml")
    assert site.tags == ["0-0", "0-1", "1-0", "1-1"]
    assert [step.references[0].rpartition(":")[2] for step in found.steps] == site.tags

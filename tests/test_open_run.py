"""A run that continues step by step, as the cells of a notebook do: it is one run, and nothing is done twice."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time

import pytest

import buildpush
from buildpush.foundation.errors import BuildPushError, SettingsError
from buildpush.foundation.events import Note, Started
from buildpush.foundation.interrupts import interrupt
from buildpush.pipeline import open_run
from buildpush.pipeline.sections import sections_of
from tests.connectors import connector, connectors

PIPELINE = """
pipeline:
  identifier: services
  stages:
    - stage:
        identifier: build
        type: CI
        spec:
          execution:
            steps:
              - step: {type: Run, name: Tests, identifier: tests, spec: {command: make}}
              - step:
                  type: BuildAndPushDockerRegistry
                  name: Services
                  identifier: services
                  strategy: {matrix: {service: [web, auth]}}
                  spec: {connectorRef: jfrog, repo: docker-local/<+matrix.service>, tags: ["1"]}
              - stepGroup:
                  identifier: group
                  steps:
                    - step:
                        type: BuildAndPushDockerRegistry
                        name: One
                        identifier: one
                        failureStrategies: [STRATEGY]
                        spec: {connectorRef: jfrog, repo: REPOSITORY/one, tags: ["1"]}
              - parallel:
                  - step:
                      type: BuildAndPushDockerRegistry
                      name: Left
                      identifier: left
                      spec: {connectorRef: jfrog, repo: docker-local/left, tags: ["1"]}
                  - step:
                      type: BuildAndPushDockerRegistry
                      name: Right
                      identifier: right
                      spec: {connectorRef: jfrog, repo: docker-local/right, tags: ["1"]}
    - stage:
        identifier: release
        type: CI
        when: {pipelineStatus: All}
        spec:
          execution:
            steps:
              - step:
                  type: BuildAndPushDockerRegistry
                  name: Again
                  identifier: one
                  when: {stageStatus: Success, condition: "false"}
                  spec: {connectorRef: jfrog, repo: docker-local/again, tags: ["1"]}
              - step:
                  type: BuildAndPushDockerRegistry
                  name: Always
                  identifier: always
                  when: {stageStatus: All}
                  spec: {connectorRef: jfrog, repo: docker-local/always, tags: ["1"]}
"""
NAMES = ("services", "build.group.one", "left, right", "release.one", "always")
IGNORE = "{onFailure: {errors: [AllErrors], action: {type: Ignore}}}"


def write(place, repository="docker-local", strategy="", text=PIPELINE):
    text = text.replace("REPOSITORY", repository).replace("STRATEGY", strategy)
    settings = '{PLUGIN_ENGINE: native, PLUGIN_PUBLISH_BUILD_INFO: "false"}'
    text = text.replace('tags: ["1"]', f'tags: ["1"], envVariables: {settings}')
    (place / "pipeline.yml").write_text(text, encoding="utf-8")


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY a /\n", encoding="utf-8")
    (tmp_path / "a").write_text("a", encoding="utf-8")
    text = connectors(connector("https://registry.example", "robot", "env:PASSWORD"))
    (tmp_path / "connectors.yml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PASSWORD", "a-planted-password")
    write(tmp_path)
    return tmp_path


@pytest.fixture
def opened(place):
    """Return a function that begins a run, which is closed in the end."""
    runs = []

    def begin(**options):
        runs.append(buildpush.open_run("pipeline.yml", **{"connectors": "connectors.yml"} | options))
        return runs[-1]

    yield begin
    for run in runs:
        run.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "buildpush-run"]


def pushes(box):
    """Return the repository of each manifest that was pushed, in order."""
    return [
        one.path.split("/manifests/")[0].rpartition("/")[2]
        for one in box.requests
        if one.method == "PUT" and "/manifests/" in one.path and one.status == 201
    ]


def test_the_sections_of_a_file_are_its_steps_its_loops_and_what_is_parallel(place):
    sections = sections_of(buildpush.load("pipeline.yml").tree)
    assert tuple(section.name for section in sections) == NAMES
    assert [step.identifier for step in sections[2].steps] == ["left", "right"]


@pytest.mark.sandbox
def test_each_step_is_run_by_its_own_call_and_nothing_before(opened, served):
    run = opened()
    assert run.steps == NAMES
    assert pushes(served) == []
    assert [one.step for one in run.step("services")] == ["Services_0", "Services_1"]
    assert len(pushes(served)) == 2
    assert run.step("build.group.one")[0].digest == served.digest("docker-local/one", "1")
    assert [one.step for one in run.step("left, right")] == ["Left", "Right"]
    (skipped,) = run.step("release.one")
    assert "its condition" in skipped.skipped
    with pytest.raises(SettingsError, match="the step 'always' has not been run yet"):
        run.result()
    run.step("always")
    assert [one.step for one in run.result()] == [
        "Services_0",
        "Services_1",
        "One",
        "Left",
        "Right",
        "Again",
        "Always",
    ]


@pytest.mark.parametrize(
    ("expected", "says"),
    [
        (NAMES[1:], "pipeline.yml has the step 'services', which is not expected"),
        ((*NAMES, "more"), "pipeline.yml has no step 'more'"),
        (NAMES[::-1], "pipeline.yml has its steps in another order: services, build.group.one"),
        ("services", "expected is text"),
    ],
)
def test_other_steps_than_expected_are_an_error_before_anything_is_run(opened, expected, says):
    with pytest.raises(SettingsError, match=says) as caught:
        opened(expected=expected)
    assert caught.value.hint


@pytest.mark.sandbox
def test_the_steps_that_are_expected_are_run(opened, served):
    assert opened(expected=list(NAMES)).steps == NAMES


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("services", "has been run already in this run"),
        ("always", "'build.group.one' comes before 'always', and has not been run yet"),
        ("sevrices", "has no step 'sevrices'"),
    ],
)
def test_a_step_twice_or_out_of_order_is_an_error_and_nothing_is_pushed(opened, served, name, says):
    run = opened()
    run.step("services")
    with pytest.raises(SettingsError, match=says) as caught:
        run.step(name)
    assert caught.value.hint
    assert len(pushes(served)) == 2


@pytest.mark.sandbox
def test_a_run_that_is_begun_is_not_begun_again_until_it_is_closed(opened, served):
    run = opened()
    run.step("services")
    with pytest.raises(SettingsError, match=r"a run of pipeline\.yml has begun here already"):
        buildpush.open_run("pipeline.yml", connectors="connectors.yml")
    run.close()
    with pytest.raises(SettingsError, match=r"the run has ended before the step 'build\.group\.one'"):
        run.step("build.group.one")
    with pytest.raises(SettingsError, match="the run has ended before"):
        run.result()
    with opened() as other:
        other.step("services")
    with pytest.raises(SettingsError, match="the run has ended before"):
        other.result()


@pytest.mark.sandbox
def test_a_failure_that_ends_the_run_is_raised_by_its_step_and_what_follows_it_is_run(opened, served, place):
    write(place, "no-such-key")
    record = place / "record.json"
    run = opened(record=record)
    run.step("services")
    with pytest.raises(BuildPushError, match="no-such-key") as caught:
        run.step("build.group.one")
    assert any(note.startswith("hint: ") for note in caught.value.__notes__)
    assert [one.step for one in caught.value.results if not (one.skipped or one.failed)] == [
        "Services_0",
        "Services_1",
        "Always",
    ]
    assert json.loads(record.read_text(encoding="utf-8"))["state"] == "FAILED"
    assert all(one.skipped for one in run.step("left, right"))
    run.step("release.one")
    assert run.step("always")[0].digest
    assert len(run.result()) == 7


@pytest.mark.sandbox
def test_a_failure_that_is_ignored_is_in_the_receipt_of_its_step_and_the_run_goes_on(opened, served, place):
    write(place, "no-such-key", IGNORE)
    run = opened()
    run.step("services")
    (ignored,) = run.step("build.group.one")
    assert "no-such-key" in ignored.ignored
    assert run.step("left, right")[0].digest


def test_a_mistake_in_any_step_shows_when_the_run_begins(opened, place):
    write(place, text=PIPELINE.replace("docker-local/always", "docker-local/ALWAYS"))
    with pytest.raises(SettingsError, match="ALWAYS") as caught:
        opened()
    assert caught.value.__notes__
    with pytest.raises(SettingsError, match="ALWAYS"):  # the first run is over
        opened()


@pytest.mark.sandbox
def test_events_come_in_the_thread_of_the_caller_and_while_its_call_lasts(opened, served):
    seen = []
    run = opened(sink=lambda event: seen.append((threading.current_thread(), event)))
    assert not [event for _, event in seen if isinstance(event, Started)]
    run.step("services")
    count = len(seen)
    assert count
    time.sleep(0.1)
    assert len(seen) == count
    assert {thread for thread, _ in seen} == {threading.main_thread()}


INTERRUPTED = """
import signal, threading, time, buildpush
from buildpush.foundation.events import Finished, FromBranch
def interrupt(event):
    if isinstance(event, FromBranch) and isinstance(event.event, Finished) and event.event.phase == "push":
        signal.raise_signal(signal.SIGINT)
run = buildpush.open_run("pipeline.yml", connectors="connectors.yml", record="record.json", sink=interrupt)
for name in ("services", "build.group.one"):
    try:
        run.step(name)
    except BaseException as error:
        print(type(error).__name__, error)
end = time.monotonic() + 20  # threads that compress end by themselves where waiting for them was interrupted
while (names := [one.name for one in threading.enumerate() if "buildpush" in one.name]) and time.monotonic() < end:
    time.sleep(0.05)
print(names)
"""


@pytest.mark.programs
def test_an_interrupt_ends_the_run_and_no_step_of_it_is_run_later(served, place):
    words = [sys.executable, "-c", INTERRUPTED]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == [
        "KeyboardInterrupt ",
        "SettingsError the run has ended before the step 'build.group.one'",
        "[]",
    ]
    assert set(pushes(served)) <= {"web", "auth"}
    assert json.loads((place / "record.json").read_text(encoding="utf-8"))["state"] == "RUNNING"


def test_a_run_whose_end_was_interrupted_as_well_is_begun_again(opened, monkeypatch):
    """People press Ctrl-C twice, and a run that is interrupted while it begins leaves nothing to call close() on."""
    run, pause = opened(), time.sleep

    def press_again(seconds):
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        pause(seconds)

    def interrupt_later(*thread):  # the run has not ended yet when Ctrl-C is pressed again
        threading.Timer(0.3, interrupt, thread).start()

    with monkeypatch.context() as patch:
        patch.setattr(open_run, "interrupt", interrupt_later)
        patch.setattr(time, "sleep", press_again)
        with pytest.raises(KeyboardInterrupt):
            run.close()
    assert opened().steps == NAMES


def test_a_run_can_be_ended_where_an_interrupt_came_as_its_end_began(opened, monkeypatch):
    run = opened()

    def interrupted(_thread):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(open_run, "interrupt", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run.close()
    ends = threading.Thread(target=run.close, daemon=True)
    ends.start()
    ends.join(30)
    assert not ends.is_alive()


def test_a_run_that_is_closed_twice_ends_no_other_one(opened):
    first = opened()
    first.close()
    second = opened()
    first.close()
    with pytest.raises(SettingsError, match="has begun here already"):
        opened()
    assert second.steps == NAMES


@pytest.mark.sandbox
def test_a_group_that_is_run_again_is_run_again_by_the_call_of_the_step_that_failed(opened, served, place):
    text = PIPELINE.replace(
        "identifier: group\n",
        "identifier: group\n                  failureStrategies: [{onFailure: {errors: [AllErrors], action: "
        "{type: RetryStepGroup, spec: {retryCount: 1}}}}]\n",
    ).replace("failureStrategies: [STRATEGY]\n", "\n")
    before = """\
                    - step:
                        type: BuildAndPushDockerRegistry
                        name: Zero
                        identifier: zero
                        spec: {connectorRef: jfrog, repo: docker-local/zero, tags: ["1"]}
"""
    text = text.replace(
        "                  steps:\n                    - step:",
        f"                  steps:\n{before}                    - step:",
    )
    write(place, "no-such-key", text=text)
    notes = []
    run = opened(sink=lambda event: notes.append(str(event)) if isinstance(event, Note) else None)
    run.step("services")
    run.step("zero")
    with pytest.raises(BuildPushError, match="no-such-key") as caught:
        run.step("build.group.one")
    assert [one.step for one in caught.value.results][2:4] == ["Zero", "One"]
    assert pushes(served).count("zero") == 2


@pytest.mark.sandbox
def test_a_run_that_is_resumed_does_not_push_again_what_was_pushed(opened, served, place):
    write(place, "no-such-key")
    run = opened()
    run.step("services")
    with pytest.raises(BuildPushError, match="no-such-key"):
        run.step("build.group.one")
    run.close()
    write(place)
    run = opened(resume=True)
    assert all(one.earlier for one in run.step("services"))
    assert run.step("build.group.one")[0].digest
    assert sorted(pushes(served)) == ["always", "auth", "one", "web"]

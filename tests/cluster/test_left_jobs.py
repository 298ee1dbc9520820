"""Jobs that earlier runs have left: a resumed run goes on with them, others sweep them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from buildpush.cluster.api import JOBS
from buildpush.cluster.jobs import JobResult
from buildpush.cluster.manifest import (
    OURS,
    REQUEST_LABEL,
    RUN_LABEL,
    JobOptions,
)
from buildpush.foundation.state import process_identity
from tests.cluster.fake_cluster import (
    BUILDS,
    FAILED,
    RECEIVES,
    SPEC,
    broken,
    leave,
    left,
)

BUILT_BEFORE = replace(SPEC, request="abc")


def test_a_resumed_run_goes_on_with_the_newest_job_of_its_request(world):
    world.cluster.resumes = True
    asked = leave(world, left("a"), left("b", created="2026-11-28T09:00:02Z"))
    assert world.run(BUILT_BEFORE) == JobResult(0, "sha256:d")
    assert world.made == ["adopt for 4711 1", "log", "delete 1"]  # or another run of this machine would sweep it
    assert world.lines == ["one", "two"]
    assert world.notes() == ["the Job b, which an earlier run has left, goes on"]
    assert asked[0] == (JOBS, {"labelSelector": f"{REQUEST_LABEL}=abc"})
    assert (JOBS, {"labelSelector": f"{RUN_LABEL}=run-1"}) in asked  # watched by the label of the run that made it


def test_ctrl_c_as_a_job_goes_on_deletes_it(world):
    def interrupt(_):
        raise KeyboardInterrupt

    world.cluster.resumes = True
    leave(world, left("a"))
    with pytest.raises(KeyboardInterrupt):
        world.cluster.run(BUILT_BEFORE, JobOptions(), world.payload, show=print, sink=interrupt)
    assert world.made == ["adopt for 4711 1", "delete 0"]


@pytest.mark.parametrize(
    ("state", "pod"), [(FAILED, BUILDS), ({}, RECEIVES), ({}, None)], ids=["failed", "without context", "without pod"]
)
def test_a_job_that_cannot_go_on_is_not_waited_for(world, state, pod):
    leave(world, left("a", state), pod=pod)
    assert world.cluster._find("abc") is None


def test_a_job_whose_run_is_still_at_work_is_left_to_it(world):
    leave(world, left("a", process=process_identity()))
    assert world.cluster._find("abc") is None


def test_a_resumed_run_without_a_job_to_go_on_with_makes_one(world):
    world.cluster.resumes = True
    assert world.run(BUILT_BEFORE).status == 0
    assert world.made[0] == "create jobs"


def test_without_resume_no_job_is_looked_for(world):
    asked = leave(world, left("a"), pod=None)
    world.api.names.clear()
    world.run(BUILT_BEFORE)
    assert (JOBS, {"labelSelector": f"{REQUEST_LABEL}=abc"}) not in asked
    assert world.made[0] == "create jobs"


def test_jobs_of_killed_runs_of_this_machine_are_swept(world):
    leave(world, left("dead", process="999999999 1"), left("alive", process=process_identity()), left("unknown"))
    world.cluster.sweep(world.events.append)
    assert world.made == ["delete 0"]
    assert world.notes() == ["the Job dead, which a killed run has left in the cluster, is deleted"]


def test_a_job_that_cannot_be_swept_is_a_note(world):
    leave(world, left("dead", process="999999999 1"))
    world.api.after("delete 0", broken)
    world.cluster.sweep(world.events.append)
    assert world.notes() == [
        "the Job dead, which a killed run has left in the cluster, is still there: the stream broke"
    ]


def test_jobs_of_other_machines_are_left_to_the_cluster(world):
    asked = leave(world, left("there", process="999999999 1", machine="other"))
    world.cluster.sweep()
    assert world.made == []
    assert asked == [(JOBS, {"labelSelector": OURS})]


@pytest.mark.parametrize(("age", "suspend", "acts"), [(2, True, ["delete 0"]), (2, False, []), (0, True, [])])
def test_a_job_that_was_never_started_is_deleted_by_any_machine_once_it_is_old(world, age, suspend, acts):
    created = (datetime.now(UTC) - timedelta(hours=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
    job = left("half", process="999999999 1", machine="other", created=created)
    leave(world, {**job, "spec": {"suspend": suspend}})
    world.cluster.sweep()
    assert world.made == acts

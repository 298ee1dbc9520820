"""Iterations that failed in an earlier run begin first in the next one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import buildpush
from buildpush.foundation.errors import BuildPushError
from buildpush.foundation.events import BranchState
from buildpush.pipeline.clusters import Clusters
from tests.sites import Site

pytestmark = pytest.mark.programs

STEP = """\
- step:
    type: BuildAndPushDockerRegistry
    name: push
    identifier: push
    {strategy}
    spec: {{repo: {host}/docker-local/app, tags: [<+matrix.n>], dockerfile: "file<+matrix.n>", context: .}}
"""
STAGE = """\
pipeline:
  identifier: p
  stages:
    - stage:
        identifier: images
        type: CI
        {strategy}
        spec:
          execution:
            steps:
              - step:
                  type: BuildAndPushDockerRegistry
                  identifier: push
                  spec:
                    repo: {host}/docker-local/app
                    tags: [<+matrix.n>]
                    dockerfile: file<+matrix.n>
                    context: .
"""


class FailedSite(Site):
    """A site with a matrix of six, of which the fifth has no Dockerfile at first."""

    def begin(self, text=STEP, most=2):
        strategy = f"strategy: {{matrix: {{n: ['1', '2', '3', '4', '5', '6'], maxConcurrency: {most}}}}}"
        self.write(text.format(strategy=strategy, host=self.box.host))
        for number in "12346":
            self.give(number)
        heard = []
        with pytest.raises(BuildPushError):
            buildpush.run_pipeline("p.yml", sink=heard.append)
        return self.begun(heard)

    def give(self, number):
        Path(f"file{number}").write_text("FROM scratch\nCOPY a /a\n")

    def again(self, **how):
        heard = []
        result = buildpush.run_pipeline("p.yml", sink=heard.append, **how)
        return self.begun(heard), [step.references[0][-1] for step in result.steps]

    def begun(self, heard):
        states = [(one.branch, one.event) for one in heard if isinstance(getattr(one, "event", None), BranchState)]
        return [branch[-1] for branch, event in states if event.state == "running"]


@pytest.fixture
def site(tmp_path, box, monkeypatch):
    return FailedSite(tmp_path, box, monkeypatch)


@pytest.mark.parametrize("text", [STEP, STAGE], ids=["step", "stage"])
@pytest.mark.parametrize("resume", [False, True])
def test_what_failed_before_begins_first_and_results_keep_their_order(site, text, resume):
    assert "4" not in site.begin(text)[:2]
    site.give("5")
    begun, tags = site.again(resume=resume)
    assert "4" in begun[:2]
    assert sorted(begun) == list("012345")
    assert tags == list("123456")


def test_after_a_run_that_succeeded_the_order_is_that_of_the_file(site):
    site.begin()
    site.give("5")
    site.again()
    begun, _ = site.again()
    assert "4" not in begun[:2]


def test_what_an_earlier_run_left_in_clusters_is_kept_until_a_run_succeeds(site, monkeypatch):
    """Until then it may be resumed, and go on with that."""
    swept = []
    monkeypatch.setattr(Clusters, "sweep", lambda clusters, _sink: swept.append(clusters.resumes))
    site.begin()
    assert swept == []
    site.give("5")
    site.again(resume=True)
    assert swept == [True]


def test_what_runs_one_by_one_keeps_its_order(site):
    site.begin(most=1)
    site.give("5")
    _, tags = site.again()
    assert tags == list("123456")


def test_a_record_that_cannot_be_read_changes_nothing(site):
    site.begin()
    site.give("5")
    (record,) = Path(os.environ["XDG_STATE_HOME"], "buildpush/runs").glob("*.json")
    record.write_text(record.read_text().replace('"version": ', '"version": 9'))
    begun, _ = site.again()
    assert "4" not in begun[:2]

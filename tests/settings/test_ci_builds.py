"""The name and number of a build where nothing sets them: no two jobs of a CI system have the same."""

from __future__ import annotations

import pytest

from buildpush.credentials.jfrog import default_build_name, default_build_number
from buildpush.expressions.ci import ci_build
from buildpush.expressions.ci_systems import CI_SYSTEMS
from buildpush.expressions.facts import Counter, Facts, Git
from buildpush.images.references import Reference
from buildpush.places import Recorded

# Variables as each system sets them, then name and job, number and attempt.
JOBS = {
    "Harness": ({"HARNESS_BUILD_ID": "7", "HARNESS_PIPELINE_ID": "shop"}, "shop", "", "7", ""),
    "GitHub Actions": (
        {
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": "acme/app",
            "GITHUB_WORKFLOW": "ci",
            "GITHUB_JOB": "build",
            "GITHUB_RUN_NUMBER": "12",
            "GITHUB_RUN_ATTEMPT": "2",
        },
        *("acme/app/ci", "build", "12", "2"),
    ),
    "GitLab CI": (
        {"GITLAB_CI": "true", "CI_PROJECT_PATH": "acme/app", "CI_JOB_NAME": "build 1/2", "CI_PIPELINE_IID": "3"},
        *("acme/app", "build 1/2", "3", ""),
    ),
    "Jenkins": (
        {"JENKINS_URL": "https://j", "JOB_NAME": "acme/app/main", "BUILD_NUMBER": "4"},
        *("acme/app/main", "", "4", ""),
    ),
    "Drone": (
        {"DRONE": "true", "DRONE_REPO": "acme/app", "DRONE_STAGE_NAME": "default", "DRONE_BUILD_NUMBER": "5"},
        *("acme/app", "default", "5", ""),
    ),
    "Azure Pipelines": (
        {
            "TF_BUILD": "True",
            "SYSTEM_TEAMPROJECT": "acme",
            "BUILD_DEFINITIONNAME": "app",
            "SYSTEM_JOBNAME": "build",
            "BUILD_BUILDID": "6",
            "SYSTEM_JOBATTEMPT": "1",
        },
        *("acme/app", "build", "6", ""),
    ),
    "CircleCI": (
        {
            "CIRCLECI": "true",
            "CIRCLE_PROJECT_USERNAME": "acme",
            "CIRCLE_PROJECT_REPONAME": "app",
            "CIRCLE_JOB": "build",
            "CIRCLE_BUILD_NUM": "8",
        },
        *("acme/app", "build", "8", ""),
    ),
    "Bitbucket Pipelines": (
        {"BITBUCKET_BUILD_NUMBER": "9", "BITBUCKET_REPO_FULL_NAME": "acme/app"},
        *("acme/app", "", "9", ""),
    ),
}
IMAGE = Reference.parse("acme.jfrog.io/docker-local/site:1").repository


def facts(env, directory, **more) -> Facts:
    return Facts(env, Git(Recorded({}), directory), Counter(directory / "counters"), 0.0, lambda _: None, **more)


def test_every_system_says_what_it_runs():
    assert JOBS.keys() == {system.name for system in CI_SYSTEMS}


@pytest.mark.parametrize("system", JOBS)
def test_a_build_has_the_name_of_its_job_and_the_number_of_its_run(system, tmp_path):
    env, name, job, number, attempt = JOBS[system]
    known = ci_build(env)
    assert (known.name, known.job, known.number, known.attempt) == (name, job, number, attempt)
    here = facts(env, tmp_path)
    whole = "/".join(filter(None, (name, job)))
    assert default_build_name(here, IMAGE)[0] == whole
    assert default_build_name(here, IMAGE, for_all_jobs=True)[0] == name
    assert default_build_number(here) == (".".join(filter(None, (number, attempt))), system)


def test_the_pipeline_in_the_file_and_the_image_have_their_names_as_well(tmp_path):
    env = JOBS["GitHub Actions"][0]
    named = facts(env, tmp_path, written={"pipeline.name": "Shop"})
    assert default_build_name(named, IMAGE) == ("Shop", "the pipeline's name")
    assert default_build_name(facts({}, tmp_path), IMAGE) == ("site", "the image's name")


def test_a_number_that_is_given_has_no_attempt(tmp_path):
    here = facts(JOBS["GitHub Actions"][0], tmp_path, inputs={"pipeline.sequenceId": "99"})
    assert default_build_number(here)[0] == "99"


def test_a_resumed_run_keeps_the_attempt_of_the_earlier_one(tmp_path):
    env = JOBS["GitHub Actions"][0]
    first = facts({**env, "GITHUB_RUN_ATTEMPT": "1"}, tmp_path)
    assert default_build_number(first)[0] == "12"
    known = first.used_values(("pipeline.sequenceId", "build.attempt"))
    assert default_build_number(facts(env, tmp_path).with_earlier_values(known))[0] == "12"

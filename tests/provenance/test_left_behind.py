"""What a promotion leaves behind: it is said, with the command that takes it along."""

from __future__ import annotations

import json
import shlex

import pytest

import buildpush
from buildpush.artifactory import describe
from buildpush.artifactory.document import Artifact
from buildpush.artifactory.promotion import Promotion
from buildpush.cli import run_command
from buildpush.images.references import Reference, Repository
from buildpush.pipeline.left_behind import _repository_in, left_behind, promoted_images
from tests.artifactory.conftest import Recipes

pytestmark = pytest.mark.programs  # git is asked for the revision

HEAD = Artifact("manifest.json", "team/app/1/manifest.json", "docker-local", "1" * 64)


@pytest.fixture
def promoted(job, monkeypatch):
    """Return a function that runs the step, promotes its build to docker-release, and returns the notes."""
    password = job.box.password.reveal()
    monkeypatch.setenv("PASSWORD", password)
    login = {"username": job.box.username, "password": password}
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {job.box.host: login}}))

    def promote(*, how=(), **settings) -> list[str]:
        job.run(artifactory_url=job.box.artifactory_url, build_name="app", build_number="7", **settings)
        notes = []
        with buildpush.open_builds(
            job.box.artifactory_url,
            username=job.box.username,
            password="env:PASSWORD",
            sink=lambda event: notes.append(getattr(event, "text", "")),
        ) as builds:
            builds.promote("app", "7", "docker-release", **dict(how))
        return [note for note in notes if "copy --referrers" in note]

    return promote


@pytest.mark.parametrize("platforms", [(), ("linux/amd64", "linux/arm64")])
@pytest.mark.parametrize("move", [False, True])
def test_the_command_in_the_note_takes_the_provenance_along(job, promoted, move, platforms):
    [note] = promoted(how={"move": move}, provenance=True, platforms=platforms)
    assert f"{len(platforms) + 1} document" in note
    there = f"{job.box.host}/docker-release/team/app:1"
    assert not job.verify(there).attestations
    for line in note.rpartition("run ")[2].split(" && "):
        assert run_command(shlex.split(line)[1:]) == 0
    found = job.verify(there)
    assert len(found.attestations) == len(platforms) + 1
    assert all(one.is_provenance for one in found.attestations)


def test_a_dry_run_says_what_would_stay(job, promoted):
    [note] = promoted(how={"dry_run": True, "move": True}, provenance=True)
    assert "would stay" in note
    assert " && " not in note


def test_an_image_with_nothing_beside_it_leaves_nothing_behind(promoted):
    assert promoted() == []


def test_a_status_alone_leaves_nothing_behind(job, promoted):
    assert promoted(provenance=True) != []
    with buildpush.open_builds(job.box.artifactory_url, username=job.box.username, password="env:PASSWORD") as builds:
        before = len(job.box.requests)
        builds.promote("app", "7", status="released")
    assert not any("/v2/" in request.path for request in job.box.requests[before:])


def test_where_it_is_not_known_what_is_beside_an_image_the_command_is_named(job, promoted):
    job.box.add_fault("GET", r"/referrers/", status=500, times=None)
    [note] = promoted(provenance=True)
    assert note.startswith("if there is a provenance, signature or SBOM beside ")


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("acme.jfrog.io/docker-local/team/app:1", "acme.jfrog.io/release/team/app"),
        ("acme.jfrog.io/docker/team/app:1", "acme.jfrog.io/release/team/app"),
        ("docker-local.acme.io:443/team/app:1", "release.acme.io:443/team/app"),
        ("acme-docker-local.jfrog.io/team/app:1", "acme-release.jfrog.io/team/app"),
        ("docker.acme.io/team/app:1", "acme.jfrog.io/release/team/app"),
        ("acme.io:6001/team/app:1", "acme.jfrog.io/release/team/app"),
    ],
)
def test_an_image_has_a_name_in_the_target_in_every_form_of_names(name, target):
    repository = Reference.parse(name).repository
    assert _repository_in("release", repository, HEAD, "acme.jfrog.io") == Repository.parse(target)


def test_an_image_of_several_tags_is_named_once():
    recipes = Recipes()
    names = [f"acme.jfrog.io/docker-local/app:{tag}" for tag in ("1", "latest")]
    info = describe(recipes.hello(*names), recipes.record(), repository_key="docker-local")
    [image] = promoted_images(info, Promotion(target="release"), "acme.jfrog.io")
    note = left_behind(image, 1, Promotion(target="release"))
    assert note.endswith(f"copy --referrers docker://{image.source} docker://acme.jfrog.io/release/app:1")
    assert promoted_images(info, Promotion(target="release", source="other"), "acme.jfrog.io") == ()

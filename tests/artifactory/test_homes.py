"""Where Artifactory keeps what was pushed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from buildpush.artifactory import Home
from buildpush.artifactory.publishing import expected_build_info
from buildpush.foundation.errors import BuildInfoError, CancelledError
from buildpush.foundation.events import Decision
from buildpush.images.references import Repository

pytestmark = pytest.mark.sandbox


@pytest.mark.parametrize(
    ("path", "told", "home"),
    [
        ("docker-local/team/app", "docker-local", Home("docker-local", "docker-local/")),
        ("docker-local/team/app", None, Home("docker-local", "docker-local/")),
        ("docker/team/app", "docker", Home("docker-local", "docker/")),
        ("docker/team/app", "docker-local", Home("docker-local", "docker/")),
        ("team/app", "docker-release", Home("docker-release", "")),
        ("app", "docker", Home("docker-local", "")),
    ],
)
def test_the_physical_repository_is_found(desk, path, told, home):
    assert desk.client().locate(Repository(desk.box.host, path), told) == home


def test_a_virtual_repository_is_resolved_aloud(desk):
    desk.client().locate(Repository(desk.box.host, "docker/app"))
    assert [event.choice for event in desk.events if isinstance(event, Decision)] == ["docker-local"]


def test_that_a_virtual_repository_is_resolved_is_said_once(desk):
    client = desk.client()
    for path in ("docker/app", "docker/other"):
        client.locate(Repository(desk.box.host, path))
    assert len([event for event in desk.events if isinstance(event, Decision)]) == 1


def test_a_repository_in_the_hosts_name_is_found(desk):
    assert desk.client().locate(Repository("acme-docker-local.jfrog.io", "app")) == Home("docker-local", "")


def test_a_repository_that_is_not_there_is_an_error(desk):
    with pytest.raises(BuildInfoError, match="has no repository"):
        desk.client().locate(Repository(desk.box.host, "elsewhere/app"))


def test_a_virtual_repository_that_keeps_nothing_is_an_error(desk):
    body = b'{"key": "docker", "rclass": "virtual", "packageType": "docker"}'
    desk.box.add_fault("GET", "api/repositories", status=200, body=body)
    with pytest.raises(BuildInfoError, match="does not say where it stores what is pushed") as caught:
        desk.client().locate(Repository(desk.box.host, "docker/app"))
    assert "local repository" in caught.value.hint


def test_a_list_of_repositories_says_kinds_in_its_own_words(desk):
    desk.box.add_fault("GET", "api/repositories", status=200, body=b'{"type": "LOCAL", "packageType": "OCI"}')
    facts = desk.client().repository("oci-local")
    assert (facts.kind, facts.package_type) == ("local", "oci")


def test_what_the_registry_told_is_believed_where_nothing_may_be_looked_at(desk):
    desk.box.add_fault("GET", "api/repositories", status=403, times=9)
    assert desk.client().locate(Repository(desk.box.host, "docker-local/app"), "docker-local") == Home(
        "docker-local", "docker-local/"
    )


@pytest.mark.parametrize(
    ("status", "place"), [(None, ("docker-local", "team/app/1/")), (503, ("docker", "team/app/1/"))]
)
def test_before_a_push_what_nobody_says_is_supposed(desk, recipes, status, place):
    """Where the server says it, a virtual repository is not taken for the one that keeps the files."""
    pushed = recipes.hello(desk.name("docker/team/app:1"))
    if status:
        desk.box.add_fault("GET", "api/repositories", status=status, times=None)
    base = {pushed.layers[0].digest}
    info = expected_build_info(replace(pushed, repository_key=None), recipes.record(), desk.client(), base)
    assert (info.artifacts[0].repository, info.artifacts[0].path) == (place[0], f"{place[1]}manifest.json")
    assert [one.sha256 for one in info.modules[0].dependencies] == [digest.hex for digest in base]
    assert (info.name, info.number) == ("hello", "42")


def test_before_a_push_the_key_that_the_registry_named_is_taken(desk, recipes):
    pushed = replace(recipes.hello(desk.name("team/app:1")), repository_key="docker-local")
    desk.box.add_fault("GET", "api/repositories", status=503, times=None)
    info = expected_build_info(pushed, recipes.record(), desk.client())
    assert (info.artifacts[0].repository, info.artifacts[0].path) == ("docker-local", "team/app/1/manifest.json")


def test_a_cancelled_question_before_a_push_ends_it(desk, recipes, http):
    http.cancel()
    with pytest.raises(CancelledError):
        expected_build_info(recipes.hello(), recipes.record(), desk.client())

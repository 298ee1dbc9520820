"""A document that is sent again, read back, and compared with what was sent."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from buildpush.artifactory import describe
from buildpush.artifactory.patience import PATIENCE, WRITE_DELAYS
from buildpush.artifactory.publishing import first_difference
from buildpush.foundation.errors import BuildInfoError

pytestmark = pytest.mark.sandbox


def test_a_lost_answer_is_no_second_run(desk):
    info = desk.hello()
    desk.box.add_fault("PUT", "api/build$", lose_answer=True)
    desk.publish(info)
    assert len(desk.box.builds("hello")) == 1


def test_a_refusal_of_what_is_there_all_the_same_is_no_failure(desk):
    """Some servers answer 400 at random to documents that they keep."""
    info = desk.hello()
    desk.publish(info)
    desk.box.add_fault("PUT", "api/build$", status=400)
    desk.publish(info)


@pytest.mark.parametrize("status", [400, 409, 500, 503])
@pytest.mark.parametrize("part", ["api/build$", "api/metadata"])
def test_what_is_refused_for_a_moment_is_sent_again(desk, status, part):
    """Artifactory answers 400 at random, 409 to what comes at the same time, 5xx while it starts."""
    info = desk.hello()
    desk.box.add_fault("*", part, status=status, times=2)
    desk.publish(info)
    assert len(desk.box.builds("hello")) == 1
    assert desk.box.properties("docker-local", info.artifacts[0].path)["build.number"] == ["42"]
    assert set(desk.waits) <= set(WRITE_DELAYS)  # some were repeated by the request itself


def test_a_property_whose_answer_is_lost_is_there_once(desk):
    info = desk.hello()
    desk.box.add_fault("PATCH", "api/metadata", lose_answer=True, times=4)
    desk.publish(info)
    for artifact in info.artifacts:
        assert desk.box.properties("docker-local", artifact.path)["build.name"] == ["hello"]
    assert desk.waits == []  # it was looked for before it would have been sent again


@pytest.mark.parametrize(("method", "part"), [("PUT", "api/build"), ("PATCH", "api/metadata")])
def test_what_is_refused_for_good_is_sent_three_times_and_no_more(desk, method, part):
    info = desk.hello()
    desk.box.add_fault(method, part, status=409, times=None)
    with pytest.raises(BuildInfoError):
        desk.publish(info)
    sent = [request.path for request in desk.asked(method, part)]
    assert max(map(sent.count, sent)) == 1 + len(WRITE_DELAYS)


def test_a_conflict_with_another_document_of_the_same_run_does_not_pass_for_success(desk):
    info = desk.hello()
    desk.publish(replace(info, modules=()))
    desk.box.add_fault("PUT", "api/build$", status=409, times=None)
    with pytest.raises(BuildInfoError, match="409"):
        desk.publish(info)


def test_a_refusal_of_what_is_not_there_is_a_failure(desk):
    body = b'{"errors": [{"message": "Could not insert build"}]}'
    desk.box.add_fault("PUT", "api/build$", status=400, body=body, times=None)
    with pytest.raises(BuildInfoError, match="Could not insert build"):
        desk.publish(desk.hello())


def test_a_server_that_keeps_something_else_is_found_out(desk):
    info = desk.hello()
    other = replace(info, modules=())
    body = json.dumps({"uri": "", "buildInfo": other.document()}).encode()
    desk.box.add_fault("GET", "api/build/hello/42", status=200, body=body)
    with pytest.raises(BuildInfoError, match=r"module hello:1\.0 is missing"):
        desk.publish(info)


def test_a_server_that_answers_with_another_kind_of_document_is_found_out(desk):
    body = b'{"uri": "", "buildInfo": {"name": 1}}'
    desk.box.add_fault("GET", "api/build/hello/42", status=200, body=body)
    with pytest.raises(BuildInfoError, match="does not answer as expected: name should be a text"):
        desk.publish(desk.hello())


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("api/repositories", b'{"rclass": 1}'),
        ("api/repositories", b"[]"),
        ("api/storage", b'{"checksums": []}'),
        ("api/build", b'{"buildsNumbers": {}}'),
    ],
)
def test_every_answer_is_read_with_care(desk, path, body):
    desk.box.add_fault("GET", path, status=200, body=body, times=9)
    client = desk.client()
    with pytest.raises(BuildInfoError):
        {
            "api/repositories": lambda: client.repository("docker-local"),
            "api/storage": lambda: client.file("docker-local", "a"),
            "api/build": lambda: client.runs("hello"),
        }[path]()


def test_without_a_start_the_newest_run_is_read(desk):
    info = desk.hello()
    desk.publish(info)
    desk.publish(replace(info, started=info.started + timedelta(hours=1)))
    assert desk.client().get_build("hello", "42").started == info.started + timedelta(hours=1)
    assert desk.client().get_build("hello", "42", info.started).started == info.started
    assert desk.client().get_build("hello", "43") is None


def test_a_server_that_forgets_is_found_out(desk):
    desk.box.add_fault("GET", "api/build/hello/42", status=404, times=99)
    with pytest.raises(BuildInfoError, match="accepted the build-info but does not have it"):
        desk.publish(desk.hello())
    assert desk.waits == list(PATIENCE)


def test_a_server_that_is_late_is_waited_for(desk):
    info = desk.hello()
    desk.box.add_fault("GET", "api/build/hello/42", status=404, times=2)
    desk.refuse_searches()
    desk.refuse_properties("manifest.json", status=404, times=2)
    desk.publish(info)
    assert desk.waits == [*PATIENCE[:2], *PATIENCE[:2]]


def test_a_run_of_a_project_is_read_back_from_that_project(desk):
    info = desk.hello(record=desk.recipes.record(project="web"))
    desk.box.add_fault("PUT", "api/build$", status=204)
    body = json.dumps({"buildInfo": info.document()}).encode()
    desk.box.add_fault("GET", "api/build/hello/42", status=200, body=body)
    desk.publish(info)
    asked = desk.asked("GET", "api/build/hello/42")
    assert [request.query["project"] for request in asked] == ["web"]


def test_a_module_with_other_files_is_a_difference(recipes):
    info = describe(recipes.hello(), recipes.record(), repository_key="docker-local")
    [module] = info.modules
    assert first_difference(info.modules, (replace(module, artifacts=module.artifacts[1:]),))
    assert first_difference(info.modules, (module, replace(module, id="more")))
    assert first_difference(info.modules, info.modules) is None

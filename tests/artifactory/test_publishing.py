"""A build-info on its way to a sandbox Artifactory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from buildpush.artifactory import Artifactory, BuildInfo, describe
from buildpush.foundation.errors import BuildInfoError

pytestmark = pytest.mark.sandbox


def test_a_published_build_info_is_what_was_described(desk):
    info = desk.hello()
    published = desk.publish(info)
    [stored] = desk.box.builds("hello")
    assert BuildInfo.parse(stored).modules == info.modules
    assert (published.name, published.number, published.started) == ("hello", "42", info.started)


def test_the_link_leads_to_the_run_in_the_interface(desk):
    ui = f"{desk.box.url}/ui/builds/hello/42/1790856000123/published?buildRepo=artifactory-build-info"
    assert desk.publish(desk.hello()).url == ui


def test_every_file_names_its_build(desk):
    info = desk.hello("1.0", "latest")
    desk.publish(info)
    assert len(info.artifacts) == 10
    for artifact in info.artifacts:
        properties = desk.box.properties("docker-local", artifact.path)
        assert properties["build.name"] == ["hello"]
        assert properties["build.number"] == ["42"]
        assert properties["build.timestamp"] == ["1790856000123"]


def test_an_image_that_is_where_it_was_pushed_to_takes_five_requests(desk):
    """One search before the properties are set, by one request, and one after: whose the manifest is may change."""
    desk.publish(desk.hello(config=replace(desk.recipes.hello().config, sha1=None, md5=None)))
    below = f"{desk.box.artifactory_url.removeprefix(desk.box.url)}api/"
    requests = [(one.method, one.path.removeprefix(below)) for one in desk.box.requests if below in one.path]
    assert requests == [
        ("POST", "search/aql"),
        ("PATCH", "metadata/docker-local/team/hello/1.0"),
        ("POST", "search/aql"),
        ("PUT", "build"),
        ("GET", "build/hello/42"),
    ]


PAGE = b"<!doctype html><title>Sign in</title>"


NO_PATCH = [{"status": status, "body": body} for status in (404, 405, 501) for body in (b"", PAGE)]


@pytest.mark.parametrize("answer", [*NO_PATCH, {"status": 200, "body": PAGE}], ids=str)
def test_properties_are_put_where_something_does_not_know_the_method_of_the_newer_request(desk, answer):
    """Also a proxy in between, which may say so by a page, and by any status."""
    desk.box.add_fault("PATCH", "api/metadata", **answer, times=None)
    info = desk.hello()
    desk.publish(info)
    assert [desk.box.properties("docker-local", one.path)["build.name"] for one in info.artifacts] == [["hello"]] * 5
    assert desk.waits == []


@pytest.mark.parametrize(("method", "path"), [("PUT", "api/storage"), ("PUT", "api/build")])
def test_a_page_in_place_of_the_answer_to_a_change_is_no_success(desk, method, path):
    desk.box.add_fault("PATCH", "api/metadata", status=501, times=None)
    desk.box.add_fault(method, path, status=200, body=PAGE, times=None)
    with pytest.raises(BuildInfoError, match='answered with a web page, titled "Sign in"'):
        desk.publish(desk.hello())


@pytest.mark.parametrize("status", [200, 400, 403, 404, 405, 408, 413, 429, 500, 501, 503, 504])
def test_a_page_in_place_of_a_search_is_no_search(desk, status):
    desk.box.add_fault("POST", "api/search/aql", status=status, body=PAGE, times=None)
    info = desk.hello()
    desk.publish(info)
    assert [desk.box.properties("docker-local", one.path)["build.name"] for one in info.artifacts] == [["hello"]] * 5


def test_without_a_search_only_manifests_are_looked_at_where_the_receipt_says_all(desk):
    desk.refuse_searches()
    desk.publish(desk.hello())
    assert [request.path.rpartition("/")[2] for request in desk.asked("GET", "api/storage")] == ["manifest.json"] * 2


def test_exactly_the_missing_checksums_are_asked_for(desk, recipes):
    pushed = recipes.hello()
    config = replace(pushed.config, sha1=None, md5=None)
    info = desk.hello("1.0", "latest", config=config)
    desk.refuse_searches()
    published = desk.publish(info)
    [request] = [one for one in desk.asked("GET", "api/storage") if "manifest.json" not in one.path]
    assert request.path.endswith(f"/team/hello/1.0/sha256__{config.digest.hex}")
    [stored] = desk.box.builds(published.name)
    sums = {(a["sha1"], a["md5"]) for m in stored["modules"] for a in m["artifacts"] if config.digest.hex in a["name"]}
    assert sums == {(pushed.config.sha1, pushed.config.md5)}


def test_an_index_is_published_with_its_platforms(desk, recipes):
    pushed = recipes.multi(desk.name("docker-local/team/multi:2.0"))
    for image in pushed.images:
        own = f"buildpush-example {image.platform.architecture} layer\n".encode()
        desk.send_blobs(replace(image, references=pushed.references), [b"buildpush-example shared layer\n", own])
    desk.upload(pushed)
    info = describe(pushed, recipes.record(name="multi"), repository_key="docker-local")
    desk.publish(info)
    [stored] = desk.box.builds("multi")
    assert [module["id"] for module in stored["modules"]] == [
        "multi:2.0",
        "linux/amd64/multi:2.0",
        "linux/arm64/multi:2.0",
    ]


@pytest.mark.parametrize("name", ["team/app :: main", "100 % ünïcode", "a=b,c;d|e\\f", "x?y#z&w", "<b>"])
def test_a_build_may_be_called_nearly_anything(desk, name):
    info = desk.hello(record=desk.recipes.record(name=name, number=f"7/{name}"))
    desk.publish(info)
    [stored] = desk.box.builds(name)
    assert stored["number"] == f"7/{name}"
    properties = desk.box.properties("docker-local", info.artifacts[0].path)
    assert properties["build.name"] == [name]
    assert properties["build.number"] == [f"7/{name}"]


def test_the_same_run_replaces_itself(desk):
    info = desk.hello()
    desk.publish(info)
    desk.publish(info)
    assert len(desk.box.builds("hello")) == 1


def test_a_version_that_cannot_be_had_does_not_undo_a_publication(desk, monkeypatch):
    """Only the address of the page for people depends on it."""

    def refused(_client):
        message = "answers 403"
        raise BuildInfoError(message)

    monkeypatch.setattr(Artifactory, "version", refused)
    published = desk.publish(desk.hello())
    assert published.url.startswith(f"{desk.box.url}/ui/builds/hello/42/")
    assert [build["number"] for build in desk.box.builds("hello")] == ["42"]


def test_an_address_that_is_not_artifactorys_is_questioned(desk):
    desk.box.add_fault("PUT", "api/build$", status=404)
    with pytest.raises(BuildInfoError, match=r"check that .*/artifactory/ is the address of Artifactory"):
        desk.publish(desk.hello())


def test_the_version_is_asked_for_where_no_answer_told_it(desk):
    assert desk.client().version().startswith("7.")


def test_a_version_that_an_answer_told_is_not_asked_for(desk):
    desk.publish(desk.hello())
    assert desk.asked("GET", "api/system/version") == []


def test_a_project_travels_in_the_address(desk):
    desk.box.add_fault("PUT", "api/build$", status=403)
    with pytest.raises(BuildInfoError) as caught:
        desk.publish(desk.hello(record=desk.recipes.record(project="web")))
    assert BuildInfo.load(desk.saved(caught.value)).project == "web"
    page = desk.client().build_page(BuildInfo.load(desk.saved(caught.value)))
    assert page.endswith("/published?buildRepo=web-build-info&projectKey=web")

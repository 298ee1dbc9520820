"""A build-info on its way to a sandbox Artifactory, and what happens when it does not arrive."""

from __future__ import annotations

import json
import shlex
import stat
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from buildpush.artifactory import Artifactory, BuildInfo, Home, check_publish, describe, publish
from buildpush.artifactory.patience import PATIENCE, WRITE_DELAYS
from buildpush.artifactory.publishing import expected_build_info, first_difference
from buildpush.credentials.docker import Credential
from buildpush.foundation.errors import (
    AuthenticationError,
    BuildInfoError,
    CancelledError,
    SettingsError,
    UnreachableError,
)
from buildpush.foundation.events import Decision, Note
from buildpush.foundation.parallel import in_parallel
from buildpush.foundation.secrets import Secret
from buildpush.images.references import Repository

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


# ---- before the build


@pytest.mark.parametrize(("name", "number", "setting"), [(".x", "42", "build_name"), ("x", ".42", "build_number")])
def test_a_name_or_number_that_is_refused_is_named_by_its_setting(desk, name, number, setting):
    with pytest.raises(SettingsError) as caught:
        check_publish(desk.client(), name, number)
    assert caught.value.setting == setting
    assert desk.box.requests == []


def test_a_wrong_password_is_found_before_the_build(desk):
    login = Credential("developer", Secret("not-the-password"), "PLUGIN_PASSWORD")
    with pytest.raises(AuthenticationError) as caught:
        check_publish(desk.client(login), "hello", "42")
    assert desk.box.host in str(caught.value)
    assert "PLUGIN_PASSWORD" in str(caught.value)
    assert "not-the-password" not in str(caught.value)


def test_a_wrong_token_is_found_before_the_build(desk):
    login = Credential("", Secret("not-the-token"), "JF_ACCESS_TOKEN", "access")
    with pytest.raises(AuthenticationError) as caught:
        check_publish(desk.client(login), "hello", "42")
    assert str(caught.value).startswith(f"{desk.box.host} refuses the token for Artifactory (from JF_ACCESS_TOKEN): ")


def test_no_credentials_are_found_before_the_build(desk):
    with pytest.raises(AuthenticationError, match="none were given") as caught:
        check_publish(Artifactory(desk.box.artifactory_url, desk.http), "hello", "42")
    assert "JF_ACCESS_TOKEN" in caught.value.hint
    assert "expired" not in caught.value.hint


@pytest.mark.parametrize("kind", ["password", "token"])
def test_good_credentials_of_either_kind_pass_the_check(desk, kind):
    token = Credential("", desk.box.token, "test", "access")
    check_publish(desk.client(token if kind == "token" else None), "hello", "42", sink=desk.events.append)
    assert desk.events == []


def test_a_number_that_was_published_before_is_noted(desk):
    desk.publish(desk.hello())
    check_publish(desk.client(), "hello", "42", sink=desk.events.append)
    [note] = [event for event in desk.events if isinstance(event, Note)]
    assert "hello 42 was published before" in note.text


def test_how_often_a_number_was_published_and_when_it_was_last_is_told(desk):
    info = desk.hello()
    desk.publish(info)
    check_publish(desk.client(), "hello", "42", sink=desk.events.append)
    assert "published before (once, at 2026-10-01T12:00:00.123+0000); this" in desk.notes[-1]
    desk.publish(replace(info, started=info.started + timedelta(hours=1)))
    check_publish(desk.client(), "hello", "42", sink=desk.events.append)
    assert "published before (2 times, last at 2026-10-01T13:00:00.123+0000); this" in desk.notes[-1]


def test_what_was_kept_for_a_virtual_repository_is_published_in_the_one_behind_it(desk):
    """Where the file was written, nobody could be asked; a virtual repository takes no properties."""
    info = desk.hello()
    [module] = info.modules
    kept = replace(module, artifacts=tuple(replace(one, repository="docker") for one in module.artifacts))
    desk.publish(replace(info, modules=(kept,)), fresh=False)
    [stored] = desk.box.builds("hello")
    assert BuildInfo.parse(stored).modules == info.modules
    assert desk.box.properties("docker-local", info.artifacts[0].path)["build.number"] == ["42"]


def test_another_number_of_a_known_build_is_no_news(desk):
    desk.publish(desk.hello())
    check_publish(desk.client(), "hello", "43", sink=desk.events.append)
    assert desk.events == []


def test_a_page_of_a_proxy_is_not_taken_for_an_answer(desk):
    desk.box.add_fault("GET", "api/build", status=200, body=b"<html>please log in</html>")
    with pytest.raises(SettingsError, match="not a JSON object") as caught:
        check_publish(desk.client(), "hello", "42")
    assert "proxy" in caught.value.hint


@pytest.mark.parametrize(("status", "kind"), [(400, SettingsError), (501, UnreachableError)])
def test_what_fails_before_the_build_does_not_say_that_the_image_is_pushed(desk, status, kind):
    """The exit code 6 means: the image is there, and only its build-info is missing."""
    desk.box.add_fault("GET", "api/build", status=status, body=b"no")
    with pytest.raises(kind) as caught:
        check_publish(desk.client(), "hello", "42")
    assert caught.value.exit_code != BuildInfoError.exit_code


def test_an_account_that_may_not_read_builds_may_publish_all_the_same(desk):
    """Reading is not deciding: robots that only deploy are usual."""
    desk.box.add_fault("GET", "api/build", status=403, body=b"no", times=None)
    check_publish(desk.client(), "hello", "42", sink=desk.events.append)
    assert len(desk.notes) == 1
    desk.publish(desk.hello())
    assert "could not be read back and compared" in desk.notes[1]
    assert len(desk.box.builds("hello")) == 1


# ---- where the files are


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


# ---- when it does not arrive


def test_a_refused_build_info_is_saved_and_can_be_finished(desk):
    info = desk.hello()
    desk.box.add_fault("PUT", "api/build$", status=403, body=b'{"errors": [{"message": "no right to deploy"}]}')
    with pytest.raises(BuildInfoError, match="no right to deploy") as caught:
        desk.publish(info)
    assert caught.value.exit_code == 6
    assert "the image is pushed" in str(caught.value)
    assert caught.value.hint.startswith("buildpush build-info publish ")
    path = desk.saved(caught.value)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    desk.publish(BuildInfo.load(path))
    assert len(desk.box.builds("hello")) == 1


def test_the_command_that_finishes_can_be_said_by_the_caller(desk):
    desk.box.add_fault("PUT", "api/build$", status=403)
    with pytest.raises(BuildInfoError) as caught:
        desk.publish(desk.hello(), finish=("buildpush", "build-info", "publish", "--connectors", "my file.yml"))
    assert caught.value.hint.startswith("buildpush build-info publish --connectors 'my file.yml' ")


def test_wrong_credentials_after_a_good_push_are_a_build_info_that_can_be_finished(desk):
    with pytest.raises(BuildInfoError, match="refuses the user name or password") as caught:
        desk.publish(desk.hello(), Credential("developer", Secret("changed-meanwhile"), "connector jfrog"))
    assert caught.value.exit_code == 6
    assert desk.saved(caught.value).exists()


def test_a_server_that_is_gone_is_a_build_info_that_can_be_finished(desk, http):
    info = desk.hello()
    desk.box.add_fault("*", "api/", close=True, times=99)
    with pytest.raises(BuildInfoError) as caught:
        desk.publish(info)
    assert desk.saved(caught.value).exists()


def publish_push(desk, pushed, info=None):
    return publish(
        info or expected_build_info(pushed, desk.recipes.record(), desk.client()),
        desk.client(),
        directory=desk.directory / "pending",
        pushed=pushed,
        sink=desk.events.append,
        sleep=desk.waits.append,
    )


def test_a_push_through_a_virtual_repository_names_the_physical_one(desk, recipes):
    desk.hello()
    pushed = recipes.hello(desk.name("docker/team/hello:1.0"))
    publish_push(desk, replace(pushed, repository_key="docker"))
    [stored] = desk.box.builds("hello")
    [module] = stored["modules"]
    assert {artifact["originalDeploymentRepo"] for artifact in module["artifacts"]} == {"docker-local"}
    assert module["artifacts"][0]["path"] == "team/hello/1.0/manifest.json"


def test_a_server_that_is_gone_before_it_was_asked_where_the_image_is_loses_nothing(desk):
    desk.hello()
    pushed = desk.recipes.hello(desk.name("docker-local/team/hello:1.0"))
    desk.box.add_fault("*", "api/repositories", close=True, times=99)
    with pytest.raises(BuildInfoError, match="the image is pushed") as caught:
        publish_push(desk, pushed)
    desk.box.clear_faults()
    desk.publish(BuildInfo.load(desk.saved(caught.value)))
    assert len(desk.box.builds("hello")) == 1


def test_a_cancelled_question_where_the_image_is_loses_nothing(desk, http):
    pushed = desk.recipes.hello(desk.name("docker-local/team/hello:1.0"))
    info = expected_build_info(pushed, desk.recipes.record(), desk.client())
    http.cancel()
    with pytest.raises(CancelledError):
        publish_push(desk, pushed, info)
    assert [event for event in desk.events if isinstance(event, Note)]


def test_ctrl_c_while_asking_where_the_image_is_loses_nothing(desk, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    pushed = desk.recipes.hello(desk.name("docker-local/team/hello:1.0"))
    info = expected_build_info(pushed, desk.recipes.record(), desk.client())
    monkeypatch.setattr(Artifactory, "locate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        publish_push(desk, pushed, info)
    [note] = desk.events
    saved = BuildInfo.load(Path(shlex.split(note.text)[-1]))
    assert saved.artifacts[0].path == "team/hello/1.0/manifest.json"


def test_a_version_that_cannot_be_had_does_not_undo_a_publication(desk, monkeypatch):
    """Only the address of the page for people depends on it."""

    def refused(_client):
        message = "answers 403"
        raise BuildInfoError(message)

    monkeypatch.setattr(Artifactory, "version", refused)
    published = desk.publish(desk.hello())
    assert published.url.startswith(f"{desk.box.url}/ui/builds/hello/42/")
    assert [build["number"] for build in desk.box.builds("hello")] == ["42"]


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


def test_an_address_that_is_not_artifactorys_is_questioned(desk):
    desk.box.add_fault("PUT", "api/build$", status=404)
    with pytest.raises(BuildInfoError, match=r"check that .*/artifactory/ is the address of Artifactory"):
        desk.publish(desk.hello())


def test_the_version_is_asked_for_where_no_answer_told_it(desk):
    assert desk.client().version().startswith("7.")


def test_a_version_that_an_answer_told_is_not_asked_for(desk):
    desk.publish(desk.hello())
    assert desk.asked("GET", "api/system/version") == []


def test_a_list_of_files_has_their_places_in_the_repository_and_their_checksums(desk):
    info = desk.hello()
    listed = desk.client().files_below("docker-local", "team/hello")
    sums = {one.path: (one.facts.sha1, one.facts.sha256) for one in listed}
    assert sums == {one.path: (one.sha1, one.sha256) for one in info.artifacts}


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


def test_files_that_are_not_there_are_named(desk, recipes):
    info = describe(
        recipes.hello(desk.name("docker-local/team/never:1")), recipes.record(), repository_key="docker-local"
    )
    with pytest.raises(BuildInfoError, match=r"does not have docker-local/team/never/1/manifest\.json"):
        desk.publish(info)


def pushed_index(desk):
    pushed = desk.recipes.multi(desk.name("docker-local/team/multi:2.0"))
    for image in pushed.images:
        own = f"buildpush-example {image.platform.architecture} layer\n".encode()
        desk.send_blobs(replace(image, references=pushed.references), [b"buildpush-example shared layer\n", own])
    return desk.upload(pushed)


def delete(desk, path: str) -> None:
    url = f"{desk.box.artifactory_url}docker-local/{path}"
    assert desk.http.request("DELETE", url, authorization=desk.credential.basic).ok


def test_a_platform_that_is_missing_is_a_failure(desk, recipes):
    pushed = pushed_index(desk)
    info = describe(pushed, recipes.record(), repository_key="docker-local")
    delete(desk, f"team/multi/{pushed.images[1].digest}")
    with pytest.raises(BuildInfoError, match=rf"does not have .*{pushed.images[1].digest.hex}/manifest\.json"):
        desk.publish(info)
    assert desk.waits == list(PATIENCE)
    assert desk.box.builds("hello") == []


def test_a_layer_that_is_missing_is_a_failure(desk):
    info = desk.hello()
    delete(desk, info.artifacts[3].path)
    with pytest.raises(BuildInfoError, match=rf"does not have .*{info.artifacts[3].sha256}"):
        desk.publish(info)
    assert desk.box.builds("hello") == []


def test_checksums_of_another_file_in_the_place_of_ours_are_not_taken(desk, recipes):
    config = replace(recipes.hello().config, sha1=None, md5=None)
    info = desk.hello("1.0", config=config)
    desk.refuse_searches()
    body = b'{"checksums": {"sha1": "1", "md5": "2", "sha256": "3"}}'
    desk.box.add_fault("GET", "api/storage.*sha256__", status=200, body=body)
    desk.publish(info)
    [stored] = desk.box.builds("hello")
    [file] = [a for m in stored["modules"] for a in m["artifacts"] if config.digest.hex in a["name"]]
    assert "sha1" not in file
    assert "has no sha1 and md5" in desk.notes[0]


def test_checksums_that_we_may_not_look_at_stay_empty(desk, recipes):
    config = replace(recipes.hello().config, sha1=None, md5=None)
    info = desk.hello("1.0", config=config)
    desk.refuse_searches()
    desk.box.add_fault("GET", "api/storage.*sha256__", status=403)
    desk.publish(info)
    assert "has no sha1 and md5" in desk.notes[0]
    assert len(desk.box.builds("hello")) == 1


def test_a_refusal_to_tell_checksums_that_is_no_question_of_rights_is_an_error(desk, recipes):
    config = replace(recipes.hello().config, sha1=None, md5=None)
    info = desk.hello("1.0", config=config)
    desk.refuse_searches()
    desk.box.add_fault("GET", "api/storage.*sha256__", status=400, body=b"no such sum")
    with pytest.raises(BuildInfoError, match=r"400.*no such sum"):
        desk.publish(info)
    assert desk.box.builds("hello") == []


@pytest.mark.parametrize(("tags", "more"), [(3, ""), (4, " ...")])
def test_of_what_could_not_be_looked_up_three_places_are_named(desk, tags, more):
    info = desk.hello(*(f"1.{number}" for number in range(tags)))
    desk.refuse_searches()
    desk.box.add_fault("GET", "api/storage", status=403, times=None)
    desk.publish(info)
    places = ", ".join(f"docker-local/team/hello/1.{number}/manifest.json" for number in range(3))
    assert f"does not show {places}{more} to " in desk.notes[0]


def test_files_that_take_no_properties_are_counted_and_three_of_them_named(desk):
    info = desk.hello()
    desk.refuse_searches()
    desk.refuse_properties("sha256__", status=404, times=None)
    desk.publish(info)
    blobs = [f"docker-local/{one.path}" for one in info.artifacts if "sha256__" in one.path]
    places = ", ".join(blobs[:3])
    assert desk.notes == [f"{desk.box.host} does not find 4 of the files, so they get no properties: {places}"]


def test_a_manifest_that_takes_no_properties_is_named_as_well(desk):
    info = desk.hello("1.0", "1.1")
    desk.refuse_searches()
    desk.refuse_properties("/1.1/manifest", status=404, times=None)
    desk.publish(info)
    place = "docker-local/team/hello/1.1/manifest.json"
    assert desk.notes == [f"{desk.box.host} does not find 1 of the files, so they get no properties: {place}"]


def test_an_account_that_may_not_annotate_is_told_so(desk):
    info = desk.hello()
    account = desk.box.add_account("reader", ["read"])
    with pytest.raises(BuildInfoError, match="Annotate") as caught:
        desk.publish(info, Credential("reader", account.password, "JF_PASSWORD"))
    assert "JF_PASSWORD" in str(caught.value)


def test_a_cancelled_publication_is_saved_and_stays_cancelled(desk, http):
    info = desk.hello()
    http.cancel()
    with pytest.raises(CancelledError):
        desk.publish(info)
    [note] = [event for event in desk.events if isinstance(event, Note)]
    assert "buildpush build-info publish" in note.text
    assert Path(shlex.split(note.text)[-1]).exists()


def test_ctrl_c_does_not_wait_and_loses_nothing(desk):
    info = desk.hello()

    def interrupt(_seconds):
        raise KeyboardInterrupt

    desk.refuse_properties(status=404)
    with pytest.raises(KeyboardInterrupt):
        publish(info, desk.client(), directory=desk.directory, sink=desk.events.append, sleep=interrupt)
    [note] = [event for event in desk.events if isinstance(event, Note)]
    assert BuildInfo.load(Path(shlex.split(note.text)[-1])) == info


def test_ctrl_c_among_several_requests_comes_through():
    def interrupted(number):
        if number == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_parallel(interrupted, [0, 1, 2])


def test_where_nothing_can_be_saved_the_error_says_that_too(desk):
    (desk.directory / "pending").write_text("a file, no folder", encoding="utf-8")
    desk.box.add_fault("PUT", "api/build$", status=403)
    with pytest.raises(BuildInfoError) as caught:
        desk.publish(desk.hello())
    assert "it cannot be saved either" in caught.value.hint


def test_a_directory_in_which_others_may_replace_what_is_saved_is_named_in_the_hint(desk):
    shared = desk.directory / "shared"
    shared.mkdir(mode=0o777)
    shared.chmod(0o777)
    desk.box.add_fault("PUT", "api/build$", status=403)
    with pytest.raises(BuildInfoError) as caught:
        publish(desk.hello(), desk.client(), directory=shared / "pending")
    assert f"it cannot be saved either, in {shared / 'pending'}: " in caught.value.hint
    assert str(shared) in caught.value.hint.partition(": ")[2]


def test_a_servers_echo_of_a_secret_is_hidden(desk):
    Secret("planted-and-echoed")
    desk.box.add_fault("PUT", "api/build$", status=400, body=b"bad planted-and-echoed", times=None)
    with pytest.raises(BuildInfoError) as caught:
        desk.publish(desk.hello())
    assert "planted-and-echoed" not in str(caught.value)


def test_a_project_travels_in_the_address(desk):
    desk.box.add_fault("PUT", "api/build$", status=403)
    with pytest.raises(BuildInfoError) as caught:
        desk.publish(desk.hello(record=desk.recipes.record(project="web")))
    assert BuildInfo.load(desk.saved(caught.value)).project == "web"
    page = desk.client().build_page(BuildInfo.load(desk.saved(caught.value)))
    assert page.endswith("/published?buildRepo=web-build-info&projectKey=web")


def test_a_run_of_a_project_is_read_back_from_that_project(desk):
    info = desk.hello(record=desk.recipes.record(project="web"))
    desk.box.add_fault("PUT", "api/build$", status=204)
    body = json.dumps({"buildInfo": info.document()}).encode()
    desk.box.add_fault("GET", "api/build/hello/42", status=200, body=body)
    desk.publish(info)
    asked = desk.asked("GET", "api/build/hello/42")
    assert [request.query["project"] for request in asked] == ["web"]


@pytest.mark.parametrize("path", ["../../api/system/configuration", "a//b", "./a"])
def test_a_saved_path_cannot_lead_out_of_the_repository(desk, path):
    info = desk.hello()
    [module] = info.modules
    bad = replace(module.artifacts[0], path=path, sha1="")
    with pytest.raises(BuildInfoError, match="is not a path in a repository"):
        desk.publish(replace(info, modules=(replace(module, artifacts=(bad,)),)))
    assert desk.box.builds("hello") == []


def test_a_saved_document_with_an_impossible_name_is_refused_before_anything_is_sent(desk):
    info = replace(desk.hello(), name="..")
    with pytest.raises(SettingsError, match="begins with a dot"):
        desk.publish(info)
    assert not [request for request in desk.box.requests if "/artifactory/" in request.path]


def test_no_planted_secret_is_published_or_saved(desk):
    for planted in (desk.box.password.reveal(), desk.box.token.reveal()):
        record = desk.recipes.record(environment={"BUILD_NOTE": planted}, url=f"https://u:{planted}@ci.example.com")
        info = desk.hello(record=record)
        desk.publish(info)
        desk.box.add_fault("PUT", "api/build$", status=403)
        with pytest.raises(BuildInfoError) as caught:
            desk.publish(info)
        assert planted not in json.dumps(desk.box.builds())
        assert planted not in desk.saved(caught.value).read_text(encoding="utf-8")


def test_a_module_with_other_files_is_a_difference(recipes):
    info = describe(recipes.hello(), recipes.record(), repository_key="docker-local")
    [module] = info.modules
    assert first_difference(info.modules, (replace(module, artifacts=module.artifacts[1:]),))
    assert first_difference(info.modules, (module, replace(module, id="more")))
    assert first_difference(info.modules, info.modules) is None

"""Builds: replaced, compared, changed, promoted, discarded and deleted."""

import json
import urllib.parse

import pytest

from buildpush.sandbox import Sandbox

pytestmark = pytest.mark.sandbox

API = "/artifactory/api/build"
NAMES = ["hello", "team/web app", "a:b;c%d"]
STARTED = "2026-10-{:02d}T12:00:00.123+0000"
MILLISECONDS = 1790856000123
APP = "docker-local/app"


def quoted(*parts):
    return "".join("/" + urllib.parse.quote(part, safe="") for part in parts)


def publish(client, number="1", day=1, name="hello", query="", **more):
    document = {"name": name, "number": number, "started": STARTED.format(day), "modules": [{"id": "app:1"}], **more}
    answer = client.send("PUT", f"{API}{query}", body=json.dumps(document).encode())
    assert answer.status == 204, answer.data
    return document


def post(client, path, body):
    return client.send("POST", f"{API}{path}", body=json.dumps(body).encode())


def message(answer):
    (error,) = answer.json()["errors"]
    assert error["status"] == answer.status
    return error["message"]


def numbers(box, name="hello"):
    return [build["number"] for build in box.builds(name)]


def artifacts_of(box, *paths, repo="docker-local", located=True):
    """Return artifacts for files, as JFrog's client writes them."""
    entries = [box._store.file(repo, path) for path in paths]
    place = {"originalDeploymentRepo": repo} if located else {}
    return [
        {
            "name": entry.name,
            "sha1": entry.checksums.sha1,
            "sha256": entry.checksums.sha256,
            "md5": entry.checksums.md5,
            **place,
            **({"path": entry.path} if located else {}),
        }
        for entry in entries
    ]


def mark(client, path, number="1", milliseconds=MILLISECONDS):
    properties = f"build.name=hello;build.number={number};build.timestamp={milliseconds}"
    answer = client.send("PUT", f"/artifactory/api/storage/{path}?properties={properties}")
    assert answer.status == 204


@pytest.fixture
def image(client, box):
    """Push an image, publish a build that names its files, and return their paths."""
    client.push(APP, "1", b"first", b"second")
    mark(client, f"{APP}/1")
    paths = [path for path in box.files() if path.startswith("app/1/")]
    publish(client, modules=[{"id": "app:1", "artifacts": artifacts_of(box, *paths)}])
    return paths


# Published


def test_replacing_a_run_needs_the_right_to_delete(client, client_of, box):
    publish(client)
    robot = client_of(box.add_account("robot", ["read", "publish"]))
    document = {"name": "hello", "number": "1", "started": STARTED.format(1)}
    assert robot.send("PUT", API, body=json.dumps(document).encode()).status == 403
    assert publish(robot, day=2)
    assert len(box.builds("hello")) == 2


@pytest.mark.parametrize("changes", [{"name": ".hello"}, {"number": ".1"}])
def test_a_name_that_begins_with_a_dot_is_refused(client, changes):
    document = {"name": "hello", "number": "1", "started": STARTED.format(1), **changes}
    answer = client.send("PUT", API, body=json.dumps(document).encode())
    assert (answer.status, message(answer).startswith("Could not insert build")) == (400, True)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("hello", "hello/1"),
        ("team/web app", "team%2Fweb app/1"),
        ("team / app", "team%20%2F%20app/1"),
        ("a:b;c%d*?|", "a%3Ab%3Bc%25d%2A%3F%7C/1"),
    ],
)
def test_a_document_lies_where_the_clients_of_jfrog_look_for_it(client, box, name, path):
    publish(client, name=name)
    assert box.files("artifactory-build-info") == [f"{path}-{MILLISECONDS}.json"]


# Compared


def test_two_runs_are_compared(client):
    def module(*artifacts):
        return [{"id": "app:1", "artifacts": [{"name": name, "sha1": sha1} for name, sha1 in artifacts]}]

    publish(client, modules=module(("same", "1"), ("changed", "1"), ("gone", "1")), properties={"a": "1", "b": "1"})
    publish(client, "2", 2, modules=module(("same", "1"), ("changed", "2"), ("new", "1")), properties={"a": "2"})
    document = client.send("GET", f"{API}/hello/2?diff=1").json()
    names = {key: [one["name"] for one in listed] for key, listed in document["artifacts"].items()}
    assert names == {"updated": ["changed"], "unchanged": ["same"], "removed": ["gone"], "new": ["new"]}
    assert document["properties"]["updated"] == [{"key": "a", "value": "2"}]
    assert document["properties"]["removed"] == [{"key": "b", "value": "1"}]
    assert client.send("GET", f"{API}/hello/2?diff=7").status == 404


# Appended and renamed


@pytest.mark.parametrize("name", NAMES)
def test_modules_are_appended_without_merging(client, box, name):
    publish(client, name=name)
    assert post(client, f"/append{quoted(name, '1')}", [{"id": "app:1"}, {"id": "other"}]).status == 204
    assert [module["id"] for module in box.builds(name)[0]["modules"]] == ["app:1", "app:1", "other"]
    (document,) = box.files("artifactory-build-info")
    entry = box._store.file("artifactory-build-info", document)
    assert json.loads(box.blob(entry.checksums.digest)) == box.builds(name)[0]


@pytest.mark.parametrize("body", [{}, [{}], ["x"], 1])
def test_what_is_no_list_of_modules_is_not_appended(client, body):
    publish(client)
    assert post(client, "/append/hello/1", body).status == 400


def test_nothing_is_appended_to_a_build_that_is_not_there(client):
    answer = post(client, "/append/hello/1", [{"id": "app:1"}])
    assert (answer.status, message(answer)) == (404, "The build hello:1 is not found")


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_build_is_renamed_with_the_properties_of_its_files(client, box, image, name):
    answer = client.send("POST", f"{API}/rename/hello?to={quoted(name)[1:]}")
    assert (answer.status, name in answer.data.decode()) == (200, True)
    assert (box.builds("hello"), box.builds(name)[0]["name"]) == ([], name)
    assert box.properties("docker-local", image[0])["build.name"] == [name]
    assert len(box.files("artifactory-build-info")) == 1


def test_a_build_is_not_renamed_to_nothing_nor_over_another(client, box):
    publish(client)
    publish(client, name="other")
    assert client.send("POST", f"{API}/rename/hello").status == 400
    assert client.send("POST", f"{API}/rename/hello?to=other").status == 400
    assert client.send("POST", f"{API}/rename/nothing?to=other").status == 404
    assert (numbers(box), numbers(box, "other")) == (["1"], ["1"])


# Deleted


@pytest.mark.parametrize("name", NAMES)
def test_one_run_is_deleted_for_each_time_its_number_is_listed(client, box, name):
    for day in (1, 2, 3):
        publish(client, day=day, name=name)
    answer = post(client, "/delete", {"buildName": name, "buildNumbers": ["1", "1"]})
    deleted = f"The following builds have been deleted successfully: '{name}#1', '{name}#1'."
    assert (answer.status, answer.data.decode().strip()) == (200, deleted)
    assert [build["started"] for build in box.builds(name)] == [STARTED.format(1)]
    assert len(box.files("artifactory-build-info")) == 1


def test_runs_are_deleted_by_a_query(client, box):
    for number in ("1", "2", "3"):
        publish(client, number)
    answer = client.send("DELETE", f"{API}/hello?buildNumbers=1,3,7")
    assert answer.status == 200
    assert "'hello#1', 'hello#3'." in answer.data.decode()
    assert "'hello#7'" in answer.data.decode().partition("Warning")[2]
    assert numbers(box) == ["2"]


@pytest.mark.parametrize("way", ["query", "body"])
def test_all_runs_are_deleted(client, box, way):
    publish(client)
    publish(client, "2", 2)
    if way == "query":
        answer = client.send("DELETE", f"{API}/hello?deleteAll=1")
    else:
        answer = post(client, "/delete", {"buildName": "hello", "deleteAll": True})
    assert (answer.status, "All 'hello' builds" in answer.data.decode()) == (200, True)
    assert (numbers(box), box.files("artifactory-build-info")) == ([], [])


def test_what_is_not_there_is_not_deleted(client):
    assert client.send("DELETE", f"{API}/hello?buildNumbers=1").status == 404
    publish(client)
    assert client.send("DELETE", f"{API}/hello?buildNumbers=7").status == 404
    assert client.send("DELETE", f"{API}/hello").status == 400
    assert post(client, "/delete", {}).status == 404
    assert post(client, "/delete", {"buildName": 7}).status == 400
    assert post(client, "/delete", []).status == 400


def test_deleting_needs_the_right_to(client, client_of, box):
    publish(client)
    robot = client_of(box.add_account("robot", ["read", "publish", "deploy"]))
    assert robot.send("DELETE", f"{API}/hello?buildNumbers=1").status == 403
    assert post(robot, "/delete", {"buildName": "hello", "buildNumbers": ["1"]}).status == 403
    assert post(robot, "/retention/hello", {"count": 1}).status == 403


@pytest.mark.parametrize("artifacts", [0, 1])
def test_the_files_of_a_run_are_deleted_on_request(client, box, image, artifacts):
    client.push("docker-local/other", "1", b"first")
    assert client.send("DELETE", f"{API}/hello?buildNumbers=1&artifacts={artifacts}").status == 200
    left = [path for path in box.files() if path in image]
    assert left == ([] if artifacts else image)
    assert [path for path in box.files() if path.startswith("other/1/")]


def test_files_of_another_run_of_the_number_stay(client, box, image):
    publish(client, day=2, modules=box.builds("hello")[0]["modules"])
    assert client.send("DELETE", f"{API}/hello?buildNumbers=1&artifacts=1").status == 200
    assert box.builds("hello")[0]["started"] == STARTED.format(1)
    assert set(image) <= set(box.files())


# Discarded by a rule


def discard(client, **rule):
    return post(client, "/retention/hello?async=true", rule)


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ({"count": 2}, ["5", "4"]),
        ({"count": "2"}, ["5", "4"]),
        ({"count": -1}, ["5", "4", "3", "2", "1"]),
        ({"minimumBuildDate": STARTED.format(3)}, ["5", "4", "3"]),
        ({"minimumBuildDate": MILLISECONDS + 3 * 86_400_000}, ["5", "4"]),
        ({"minimumBuildDate": STARTED.format(3), "count": 1}, ["5"]),
        ({"count": 1, "buildNumbersNotToBeDiscarded": ["5", "2"]}, ["5", "4", "2"]),
    ],
)
def test_a_rule_says_which_runs_are_kept(client, box, rule, left):
    for day in range(1, 6):
        publish(client, str(day), day)
    answer = discard(client, **rule)
    assert (answer.status, answer.data) == (204, b"")
    assert numbers(box) == left


def test_runs_with_a_status_are_kept_and_do_not_count(client, box):
    for day in range(1, 5):
        publish(client, str(day), day)
    for number in ("1", "4"):
        assert post(client, f"/promote/hello/{number}", {"status": "released"}).status == 200
    assert discard(client, count=1).status == 204
    assert numbers(box) == ["4", "3", "1"]


@pytest.mark.parametrize("rule", [{}, {"count": 0}, {"count": "0"}, {"count": -2}, {"count": "many"}])
def test_a_rule_without_a_positive_count_is_refused(client, box, rule):
    publish(client)
    answer = discard(client, **rule)
    assert (answer.status, message(answer)) == (400, "Max count retention needs to be a positive number")
    assert numbers(box) == ["1"]


def test_a_rule_that_cannot_be_read_is_refused(client, box):
    publish(client)
    assert discard(client, minimumBuildDate="yesterday").status == 400
    assert discard(client, count=1, buildNumbersNotToBeDiscarded="5").status == 400
    assert client.send("POST", f"{API}/retention/hello", body=b"{").status == 400
    assert numbers(box) == ["1"]


def test_the_rule_in_a_document_holds_when_it_is_published(client, box):
    for day in range(1, 4):
        publish(client, str(day), day)
    publish(client, "4", 4, buildRetention={"count": 2, "buildNumbersNotToBeDiscarded": ["1"]})
    assert numbers(box) == ["4", "3", "1"]
    publish(client, "5", 5, buildRetention={"count": -1})
    assert numbers(box) == ["5", "4", "3", "1"]


@pytest.mark.parametrize("rule", [{"count": 0}, {"count": 1, "minimumBuildDate": "yesterday"}, [1]])
def test_a_document_with_a_rule_that_cannot_be_used_is_refused_whole(client, box, rule):
    document = {"name": "hello", "number": "1", "started": STARTED.format(1), "buildRetention": rule}
    assert client.send("PUT", API, body=json.dumps(document).encode()).status == 400
    assert numbers(box) == []


def test_a_document_with_a_rule_needs_the_right_to_delete(client_of, box):
    robot = client_of(box.add_account("robot", ["read", "deploy", "annotate", "publish"]))
    document = {"name": "hello", "number": "1", "started": STARTED.format(1), "buildRetention": {"count": 1}}
    assert robot.send("PUT", API, body=json.dumps(document).encode()).status == 403
    assert numbers(box) == []


# Promoted


def promote(client, number="1", **order):
    return post(client, f"/promote/hello/{number}", order)


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("target", ["docker-release", "generic"])
def test_the_files_of_a_build_are_copied_or_moved_to_their_paths(client, box, image, copy, target):
    from buildpush.sandbox.entries import RepositoryEntry

    box._store.add_repository(RepositoryEntry("generic", package_type="generic"))
    answer = promote(client, targetRepo=target, copy=copy, status="released", properties={"stage": ["prod", "eu"]})
    assert (answer.status, answer.json()) == (200, {"messages": []})
    assert set(image) <= set(box.files(target))
    assert bool(set(image) & set(box.files())) == copy
    properties = box.properties(target, image[0])
    assert (properties["stage"], properties["build.name"]) == (["prod", "eu"], ["hello"])


def test_a_promoted_image_is_pulled_from_its_new_repository(client, box, image):
    digest = box.digest(APP, "1")
    promote(client, targetRepo="docker-release", status="released")
    assert client.send("GET", "/v2/docker-release/app/manifests/1").headers["Docker-Content-Digest"] == digest
    assert client.send("GET", f"/v2/{APP}/manifests/1").status == 404
    assert client.send("GET", "/v2/docker/app/manifests/1").status == 200


def test_a_promotion_is_in_the_history_of_its_run(client, box):
    publish(client)
    promote(client, status="tested", comment="ok", ciUser="jenkins", timestamp="2026-10-05T12:00:00.000+0200")
    promote(client, status="released", targetRepo="docker-release")
    first, second = client.send("GET", f"{API}/hello/1").json()["buildInfo"]["statuses"]
    assert first == {
        "status": "tested",
        "comment": "ok",
        "timestamp": "2026-10-05T12:00:00.000+0200",
        "timestampDate": 1791194400000,
        "user": box.username,
        "ciUser": "jenkins",
    }
    assert (second["repository"], second["status"]) == ("docker-release", "released")
    assert not {"comment", "ciUser"} & second.keys()


def test_without_a_target_only_the_status_is_set(client, box, image):
    answer = promote(client, status="tested")
    (said,) = answer.json()["messages"]
    assert (said["level"], "Skipping build item relocation" in said["message"]) == ("INFO", True)
    assert set(image) <= set(box.files())


def test_without_a_status_only_the_files_move(client, box, image):
    promote(client, targetRepo="docker-release")
    assert set(image) <= set(box.files("docker-release"))
    assert "statuses" not in box.builds("hello")[0]


def test_a_dry_run_changes_nothing(client, box, image):
    before = box.builds("hello"), box.files(), box.files("docker-release")
    assert promote(client, targetRepo="docker-release", status="released", dryRun=True).status == 200
    assert (box.builds("hello"), box.files(), box.files("docker-release")) == before


@pytest.mark.parametrize("fault", ["gone", "other content"])
@pytest.mark.parametrize("fail_fast", [True, False])
def test_files_that_are_missing_end_a_promotion_or_are_warnings(client, box, image, fault, fail_fast):
    if fault == "gone":
        box._store.remove([box._store.file("docker-local", image[0])])
    else:
        other = box._store.content.add(b"other")
        box._store.put("docker-local", image[0], other, "text/plain", "somebody")
    answer = promote(client, targetRepo="docker-release", status="released", failFast=fail_fast)
    if fail_fast:
        expected = "Unable to find artifacts of build 'hello' #1 from any repo: aborting promotion."
        assert (answer.status, message(answer)) == (400, expected)
        assert box.files("docker-release") == []
    else:
        (said,) = answer.json()["messages"]
        assert (answer.status, said["level"], image[0] in said["message"]) == (200, "WARNING", True)
        assert set(box.files("docker-release")) == set(image[1:])


def test_files_without_a_place_are_found_by_their_properties(client, box):
    client.push(APP, "1", b"first")
    client.push("docker-local/other", "1", b"first")
    mark(client, f"{APP}/1")
    paths = [path for path in box.files() if path.startswith("app/1/")]
    publish(client, modules=[{"id": "app:1", "artifacts": artifacts_of(box, *paths, located=False)}])
    assert promote(client, targetRepo="docker-release").status == 200
    assert set(box.files("docker-release")) == set(paths)


def test_a_build_is_promoted_again_from_where_it_was_promoted_to(client, box, image):
    from buildpush.sandbox.entries import RepositoryEntry

    box._store.add_repository(RepositoryEntry("docker-prod"))
    assert promote(client, targetRepo="docker-release", status="tested").status == 200
    assert promote(client, targetRepo="docker-prod", sourceRepo="docker-release", status="released").status == 200
    assert set(image) <= set(box.files("docker-prod"))
    assert not set(image) & set(box.files("docker-release"))


def test_only_the_source_repository_is_searched(client, box, image):
    answer = promote(client, targetRepo="docker-release", sourceRepo="docker-release")
    assert answer.status == 400
    assert "from docker-release repo" in message(answer)
    assert promote(client, targetRepo="docker-release", sourceRepo="docker", copy=True).status == 200


def test_dependencies_go_along_on_request(client, box):
    client.push("docker-local/base", "1", b"base")
    layer = next(path for path in box.files() if client.digest_of(b"base")[7:] in path)
    (dependency,) = artifacts_of(box, layer)
    publish(client, modules=[{"id": "app:1", "dependencies": [{**dependency, "id": "base", "scopes": ["run"]}]}])
    assert promote(client, targetRepo="docker-release", copy=True).status == 200
    assert promote(client, targetRepo="docker-release", copy=True, dependencies=True, scopes=["test"]).status == 200
    assert box.files("docker-release") == []
    assert promote(client, targetRepo="docker-release", copy=True, dependencies=True, scopes=["run"]).status == 200
    assert box.files("docker-release") == [layer]


def test_a_virtual_target_stands_for_where_it_deploys(client, box, image):
    client.push("docker-release/app", "2")
    publish(
        client,
        "2",
        2,
        modules=[{"id": "a", "artifacts": artifacts_of(box, "app/2/manifest.json", repo="docker-release")}],
    )
    assert promote(client, "2", targetRepo="docker").status == 200
    assert "app/2/manifest.json" in box.files("docker-local")


@pytest.mark.parametrize("target", ["nowhere", "artifactory-build-info"])
def test_a_target_that_takes_no_files_is_not_found(client, box, image, target):
    answer = promote(client, targetRepo=target)
    assert (answer.status, message(answer)) == (404, f"Cannot find target repository by the key '{target}'")


def test_a_build_that_is_not_there_is_not_promoted(client):
    answer = promote(client, status="released")
    text = "Cannot find builds by the name 'hello' and the number '1' and buildRepo 'artifactory-build-info'."
    assert (answer.status, message(answer)) == (404, text)


def test_a_timestamp_that_is_no_time_is_refused_with_a_message(client, box):
    publish(client)
    answer = promote(client, status="released", timestamp="yesterday")
    assert (answer.status, answer.json()["messages"][0]["level"]) == (400, "ERROR")
    assert "statuses" not in box.builds("hello")[0]


@pytest.mark.parametrize("order", [{"status": 7}, {"copy": "yes"}, {"properties": {"a": "b"}}, {"scopes": "run"}, []])
def test_an_order_that_cannot_be_read_is_refused(client, order):
    publish(client)
    assert post(client, "/promote/hello/1", order).status == 400


@pytest.mark.parametrize(
    ("rights", "order", "expected"),
    [
        (["read", "publish", "deploy"], {"copy": True}, 200),
        (["read", "publish", "deploy"], {"copy": False}, 403),
        (["read", "publish", "deploy", "delete"], {"copy": False}, 200),
        (["read", "publish", "deploy"], {"copy": True, "properties": {"a": ["b"]}}, 403),
        (["read", "publish"], {"copy": True}, 403),
        (["read", "deploy", "delete"], {"copy": True}, 403),
    ],
)
def test_a_promotion_needs_the_rights_for_what_it_does(client, client_of, box, image, rights, order, expected):
    robot = client_of(box.add_account("robot", rights))
    before = box.files(), box.files("docker-release")
    assert promote(robot, targetRepo="docker-release", status="released", **order).status == expected
    assert ((box.files(), box.files("docker-release")) == before) == (expected == 403)
    assert ("statuses" in box.builds("hello")[0]) == (expected == 200)


def test_another_file_in_the_target_is_not_overwritten_without_the_right(client, client_of, box, image):
    client.push("docker-release/app", "1", b"another")
    robot = client_of(box.add_account("robot", ["read", "publish", "deploy"]))
    digest = box.digest("docker-release/app", "1")
    assert promote(robot, targetRepo="docker-release", copy=True).status == 403
    assert box.digest("docker-release/app", "1") == digest


def test_a_promotion_does_not_replace_an_immutable_tag(connect):
    with Sandbox(immutable=["docker-release"]) as box:
        client = connect(box)
        first = client.push("docker-release/app", "1", b"another")
        client.push(APP, "1", b"first")
        paths = [path for path in box.files() if path.startswith("app/1/")]
        publish(client, modules=[{"id": "app:1", "artifacts": artifacts_of(box, *paths)}])
        assert promote(client, targetRepo="docker-release", status="released").status == 409
        assert box.digest("docker-release/app", "1") == first
        assert (box.files().count(paths[0]), "statuses" in box.builds("hello")[0]) == (1, False)

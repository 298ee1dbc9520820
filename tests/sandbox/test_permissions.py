"""No door opens further than the account, its repositories and the token's scope allow."""

import base64
import json
import re
import urllib.parse

import pytest
import urllib3

pytestmark = pytest.mark.sandbox

API = "/artifactory/api"
APP, HIDDEN = "docker-local/app", "docker-release/hidden"
SECRET = "classified"
METHODS = ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE")
QUERIES = (
    *("name=*&repos=docker-release", "sha256=HEX", "from=0", "pattern=docker-release:hidden/*/*", "p=1&about=*"),
    *("", "properties=a=b", "list&deep=1", "deleteAll=1", "to=/docker-local/stolen", "mount=DIGEST&from=x"),
)
BODIES = (
    b"",
    b'items.find({"repo":{"$match":"*"}}).include("*","property")',
    b'builds.find({"name":{"$match":"*"}}).include("*")',
    b"username=reader&scope=member-of-groups:*&grant_type=client_credentials",
    b"grant_type=refresh_token&refresh_token=x&access_token=x",
    b"grant_type=password&username=reader&password=wrong&scope=repository:docker-release/hidden:pull&service=x",
    json.dumps(
        {
            "props": {"a": "b"},
            "buildName": "hidden",
            "name": "hidden",
            "number": "2",
            "started": "2026-10-01T12:00:00.123+0000",
            "buildNumbers": ["1"],
            "deleteAll": True,
            "count": 1,
            "minimumBuildDate": "2036-10-01T12:00:00.123+0000",
            "targetRepo": "docker-local",
            "dockerRepository": "hidden",
            "tag": "1",
            "status": "released",
            "username": "developer",
        }
    ).encode(),
    b'[{"id": "hidden:2"}]',
)


@pytest.fixture
def filled(box, client):
    """Push an image and publish a build that nobody but the developer should see or change."""
    client.push(APP, "1", b"public")
    digest = client.push(HIDDEN, "1", SECRET.encode(), labels={"about": SECRET})
    build = {"name": "hidden", "number": "1", "started": "2026-10-01T12:00:00.123+0000", "properties": {"a": SECRET}}
    client.send("PUT", f"{API}/build", body=json.dumps(build).encode())
    upload = client.send("POST", f"/v2/{HIDDEN}/blobs/uploads/").headers["Location"].rpartition("/")[2]
    manifest = json.loads(box.blob(digest))
    return {"digest": manifest["layers"][0]["digest"], "upload": upload, "manifest": digest}


def requests_to_every_route(box, filled):
    """Yield a method, an address and a body for every route of the application, with each query and each body."""
    values = {
        "name": HIDDEN,
        "key": "docker-release",
        "repo": "docker-release",
        "path": "hidden/1/manifest.json",
        "reference": "1",
        "number": "1",
        "image": "hidden",
        "tag": "1",
        "started": "1790856000123",
        "digest": filled["digest"],
        "upload": filled["upload"],
        "rest": "x",
        "src": "docker-release",
    }
    for route in box._server._application.router.routes():
        canonical = route.resource.canonical
        if canonical.startswith("/store/"):
            continue  # addresses with a signature, which only the sandbox makes
        # Here the name is that of a build, or of an image without the repository key.
        given = values | ({"name": "hidden"} if "/build" in canonical or "{key}" in canonical else {})
        given |= {} if "{repo}" in canonical or "{key}" in canonical else {"path": f"{HIDDEN}/1/manifest.json"}
        path = re.sub(r"\{(\w+)\}", lambda match, given=given: given.get(match[1], "hidden"), canonical)
        for method in METHODS if route.method == "*" else (route.method,):
            addresses = [
                f"{path}?{query.replace('DIGEST', filled['digest']).replace('HEX', filled['digest'][7:])}"
                for query in QUERIES
            ]
            yield from ((method, address, BODIES[0]) for address in addresses)
            if method in {"PUT", "POST", "PATCH"}:
                yield from ((method, addresses[0], body) for body in BODIES[1:])


def walk(box, filled, authorization):
    """Send every request with these credentials, and return the addresses whose answers show what is hidden."""
    seen = set()
    headers = {"Host": "sandbox.example.com"} | ({"Authorization": authorization} if authorization else {})
    with urllib3.PoolManager(retries=False) as pool:
        for method, address, body in requests_to_every_route(box, filled):
            answer = pool.request(method, f"{box.url}{address}", headers=headers, body=body, redirect=False)
            assert answer.status != 500, (method, address, body, box.failures)
            if any(word.encode() in answer.data for word in (SECRET, filled["digest"][7:], filled["manifest"][7:])):
                seen.add(address.partition("?")[0])
    return seen


def everything(box):
    """Return all that the store has but the credentials."""
    tables = ("repositories", "files", "properties", "builds", "uploads", "accounts", "limits")
    return {table: box._store.rows(f"SELECT * FROM {table}") for table in tables}


def credentials(box):
    return [box._store.rows(f"SELECT * FROM {table}") for table in ("credentials", "tokens")]


def basic(username, password):
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def registry_token(client, *scopes, **more):
    query = urllib.parse.urlencode([("scope", scope) for scope in scopes])
    return "Bearer " + client.send("GET", f"/v2/token?{query}", **more).json()["token"]


def expired(box):
    now = box._store.clock
    box._store.clock = lambda: now() - 2 * 3600
    token = box._accounts.registry_token(box._accounts.identify(f"Bearer {box.token.reveal()}"), [])
    box._store.clock = now
    return f"Bearer {token}"


STRANGERS = {
    "nobody": lambda _box, _client: "",
    "a wrong password": lambda box, _client: basic(box.username, "wrong"),
    "a wrong token": lambda _box, _client: "Bearer wrong",
    "an expired token": lambda box, _client: expired(box),
    "a token of another repository": lambda _box, client: registry_token(client, f"repository:{APP}:pull"),
}


@pytest.mark.parametrize("who", STRANGERS)
def test_no_route_shows_or_changes_anything_for(who, box, client, filled):
    authorization = STRANGERS[who](box, client)
    before, known = everything(box), credentials(box)
    assert walk(box, filled, authorization) == set()
    assert everything(box) == before
    assert credentials(box) == known


def test_no_route_changes_anything_for_an_account_that_may_only_read(box, filled):
    reader = box.add_account("reader", ["read"])
    before = everything(box)
    assert walk(box, filled, basic("reader", reader.password.reveal())) >= {
        f"/v2/{HIDDEN}/manifests/1",
        f"/artifactory/{HIDDEN}/1/manifest.json",
        f"{API}/storage/{HIDDEN}/1/manifest.json",
        f"{API}/search/aql",
        f"{API}/search/checksum",
        f"{API}/build/hidden/1",
    }
    assert everything(box) == before


def test_no_route_shows_or_changes_what_is_outside_the_repositories_of_an_account(box, filled):
    local = box.add_account("local", repositories=["docker-local"])
    before = everything(box)
    assert walk(box, filled, basic("local", local.password.reveal())) == set()
    changed = {table for table, rows in everything(box).items() if rows != before[table]}
    assert not [row for row in everything(box)["files"] if row not in before["files"] and row[0] != "docker-local"]
    assert not changed - {"files", "properties", "uploads"}


def test_the_walk_sees_and_changes_everything_with_all_rights(box, client, filled):
    """Otherwise the tests above would show nothing."""
    before = everything(box)
    assert walk(box, filled, client.basic) >= {f"/v2/{HIDDEN}/blobs/{filled['digest']}", f"/v2/{HIDDEN}/manifests/1"}
    changed = {table for table, rows in everything(box).items() if rows != before[table]}
    assert changed >= {"files", "properties", "builds", "uploads"}


# Scopes of a registry token


def test_a_pull_token_opens_neither_rest_nor_pages(client, box):
    client.push(APP, "1")
    token = registry_token(client, f"repository:{APP}:pull")
    for method, path in (
        ("PUT", f"{API}/storage/{APP}/1/manifest.json?properties=a=b"),
        ("POST", f"{API}/security/token"),
        ("GET", f"/artifactory/{APP}/1/manifest.json"),
        ("GET", "/ui/"),
    ):
        assert client.send(method, path, authorization=token).status == 403
    assert "a" not in box.properties("docker-local", "app/1/manifest.json")


def test_a_pull_token_reads_no_blob_of_another_image(client, box):
    client.push(APP, "1", b"public")
    client.push(HIDDEN, "1", SECRET.encode())
    token = registry_token(client, f"repository:{APP}:pull")
    path = f"/v2/{APP}/blobs/{client.digest_of(SECRET.encode())}"
    assert client.send("GET", path, authorization=token).status == 404
    assert client.send("GET", path).status == 200
    assert client.send("GET", f"/v2/{APP}/blobs/{client.digest_of(b'public')}", authorization=token).data == b"public"


def test_a_push_token_cannot_take_the_blob_of_another_image(client):
    manifest = client.make_manifest(HIDDEN, SECRET.encode())
    token = registry_token(client, f"repository:{APP}:pull,push")
    digest = client.digest_of(SECRET.encode())
    mount = client.send("POST", f"/v2/{APP}/blobs/uploads/?mount={digest}&from={HIDDEN}", authorization=token)
    assert mount.status == 202
    answer = client.send("PUT", f"/v2/{APP}/manifests/1", authorization=token, body=manifest)
    assert (answer.status, answer.json()["errors"][0]["code"]) == (400, "MANIFEST_BLOB_UNKNOWN")


def test_with_a_scope_for_both_images_a_blob_is_mounted(client):
    client.push(HIDDEN, "1", SECRET.encode())
    token = registry_token(client, f"repository:{APP}:pull,push", f"repository:{HIDDEN}:pull")
    path = f"/v2/{APP}/blobs/uploads/?mount={client.digest_of(SECRET.encode())}&from={HIDDEN}"
    assert client.send("POST", path, authorization=token).status == 201


@pytest.mark.parametrize("separate", [True, False])
def test_two_scopes_of_one_repository_are_merged(client, separate):
    scopes = [f"repository:{APP}:push", f"repository:{APP}:pull"]
    token = registry_token(client, *(scopes if separate else [" ".join(scopes)]))
    assert client.send("POST", f"/v2/{APP}/blobs/uploads/", authorization=token).status == 202
    assert client.send("GET", f"/v2/{APP}/tags/list", authorization=token).status == 404


def test_a_scope_of_a_virtual_repository_is_for_its_members(client):
    client.push(APP, "1", b"public")
    token = registry_token(client, "repository:docker/app:pull,push")
    for path in ("manifests/1", f"blobs/{client.digest_of(b'public')}"):
        assert client.send("GET", f"/v2/docker/app/{path}", authorization=token).status == 200
    assert client.send("GET", "/v2/docker/other/tags/list", authorization=token).status == 401


def test_a_scope_without_the_key_is_for_the_repository_in_the_address(client):
    client.push(APP, "1")
    answer = client.send("GET", f"{API}/docker/docker-local/v2/token?scope=repository:app:pull")
    token = f"Bearer {answer.json()['token']}"
    assert client.send("GET", f"{API}/docker/docker-local/v2/app/manifests/1", authorization=token).status == 200
    assert client.send("GET", f"{API}/docker/docker-release/v2/app/tags/list", authorization=token).status == 401


def test_the_catalog_lists_what_the_scope_covers(client):
    client.push(APP, "1")
    client.push(HIDDEN, "1")
    token = registry_token(client, f"repository:{APP}:pull")
    assert client.send("GET", "/v2/_catalog", authorization=token).json()["repositories"] == [APP]


# Accounts that are limited to repositories


def test_a_limited_account_sees_a_virtual_repository_without_the_other_members(client, client_of, box):
    client.push(APP, "1")
    client.push("docker-release/app", "2")
    limited = client_of(box.add_account("limited", repositories=["docker-release"]))
    assert limited.send("GET", "/v2/docker/app/tags/list").json()["tags"] == ["2"]
    assert limited.send("GET", "/artifactory/docker/app/1/manifest.json").status == 404
    assert limited.send("GET", "/artifactory/docker/app/2/manifest.json").status == 200
    assert limited.send("POST", "/v2/docker/app/blobs/uploads/").status == 403
    assert {one["key"] for one in limited.send("GET", f"{API}/repositories").json()} == {"docker", "docker-release"}

"""Who comes in: passwords, tokens, scopes, rights."""

import base64
import json
import urllib.parse

import pytest

from buildpush.foundation.secrets import MASK
from buildpush.sandbox import Sandbox

pytestmark = pytest.mark.sandbox

APP = "docker-local/app"


def get_token(client, *scopes, **more):
    query = urllib.parse.urlencode([("service", client.box.host), *(("scope", scope) for scope in scopes)])
    return client.send("GET", f"/v2/token?{query}", **more)


def bearer(answer):
    return f"Bearer {answer.json()['token']}"


def test_a_stranger_is_told_where_tokens_are(client, box):
    answer = client.send("GET", "/v2/", authorization=None)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == f'Bearer realm="{box.url}/v2/token",service="{box.host}"'
    assert answer.json()["errors"][0]["code"] == "UNAUTHORIZED"


def test_behind_a_proxy_the_token_address_is_the_proxys(client):
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "acme.example.com"}
    answer = client.send("GET", "/v2/", authorization=None, headers=headers)
    assert 'realm="https://acme.example.com/v2/token"' in answer.headers["WWW-Authenticate"]


def test_a_password_gets_a_token_and_the_token_gets_in(client):
    answer = get_token(client, f"repository:{APP}:pull,push")
    assert (answer.status, answer.json()["expires_in"]) == (200, 3600)
    push = client.send("POST", f"/v2/{APP}/blobs/uploads/", authorization=bearer(answer))
    assert push.status == 202


def test_an_access_token_is_as_good_as_the_password(client, box):
    token = box.token.reveal()
    basic = "Basic " + base64.b64encode(f"{box.username}:{token}".encode()).decode()
    assert client.send("GET", "/v2/", authorization=basic).status == 200
    assert client.send("GET", "/v2/", authorization=f"Bearer {token}").status == 200
    assert client.send("GET", "/v2/", headers={"X-JFrog-Art-Api": token}, authorization=basic).status == 200


def test_an_access_token_says_whose_it_is_in_three_parts(box):
    """Clients of JFrog decode it with the plain base64 alphabet, without padding."""
    _head, payload, _signature = box.token.reveal().split(".")
    assert not set(payload) & {"-", "_", "="}
    claims = json.loads(base64.b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["sub"].endswith(f"/users/{box.username}")
    assert claims["exp"] > claims["iat"]


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic " + base64.b64encode(b"developer:wrong").decode(),
        "Basic " + base64.b64encode(b"nobody:wrong").decode(),
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:x").decode(),
        "Basic not base64",
        "Basic",
        "Bearer wrong",
        "Bearer a.b.c",
        "Bearer",
        "Digest x",
    ],
)
def test_wrong_credentials_stay_outside(client, authorization):
    for path in ("/v2/", "/v2/token", "/artifactory/api/system/version", "/ui/"):
        answer = client.send("GET", path, authorization=authorization)
        assert answer.status == 401


def test_the_password_of_one_account_does_not_open_another(client, box):
    other = box.add_account("other")
    basic = "Basic " + base64.b64encode(f"{box.username}:{other.password.reveal()}".encode()).decode()
    assert client.send("GET", "/v2/", authorization=basic).status == 401


def test_a_token_is_good_only_for_its_scope(client):
    token = bearer(get_token(client, f"repository:{APP}:pull"))
    answer = client.send("POST", f"/v2/{APP}/blobs/uploads/", authorization=token)
    assert answer.status == 401
    assert f'scope="repository:{APP}:pull,push",error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
    assert client.send("GET", "/v2/docker-local/other/tags/list", authorization=token).status == 401


def test_a_token_without_a_scope_is_good_for_everything(client):
    token = bearer(get_token(client))
    assert client.send("POST", f"/v2/{APP}/blobs/uploads/", authorization=token).status == 202


def test_several_scopes_may_be_asked_for_at_once(client):
    token = bearer(get_token(client, f"repository:{APP}:pull,push", "repository:docker-release/app:pull"))
    assert client.send("POST", f"/v2/{APP}/blobs/uploads/", authorization=token).status == 202
    assert client.send("GET", "/v2/docker-release/app/tags/list", authorization=token).status == 404


def test_a_token_ends_after_an_hour():
    now = [1_000_000.0]
    with Sandbox(clock=lambda: now[0]) as box:
        from_password = box._accounts.identify(f"Bearer {box.token.reveal()}")
        token = box._accounts.registry_token(from_password, [])
        assert box._accounts.identify(f"Bearer {token}").username == box.username
        now[0] += 3601
        with pytest.raises(Exception, match="Bad credentials"):
            box._accounts.identify(f"Bearer {token}")


def test_an_account_without_the_right_may_not_push(client_of, box):
    reader = client_of(box.add_account("reader", ["read"]))
    answer = reader.send("POST", f"/v2/{APP}/blobs/uploads/")
    assert answer.status == 403
    assert "reader" in answer.json()["errors"][0]["message"]
    token = bearer(get_token(reader, f"repository:{APP}:pull,push"))
    assert reader.send("POST", f"/v2/{APP}/blobs/uploads/", authorization=token).status == 401


def test_an_account_that_may_only_read_reads(client, client_of, box):
    client.push(APP, "1")
    reader = client_of(box.add_account("reader", ["read"]))
    assert reader.send("GET", f"/v2/{APP}/manifests/1").status == 200
    assert reader.send("DELETE", f"/v2/{APP}/manifests/1").status == 403


def test_a_further_access_token_can_be_made(client):
    answer = client.send("POST", "/artifactory/api/security/token", body=b"username=developer&scope=member-of-groups:*")
    assert (answer.status, answer.json()["token_type"]) == (200, "Bearer")
    assert client.send("GET", "/v2/", authorization=f"Bearer {answer.json()['access_token']}").status == 200


def test_the_encrypted_password_is_one_that_works(client, box):
    answer = client.send("GET", "/artifactory/api/security/encryptedPassword")
    assert answer.data.decode() == box.password.reveal()


def test_no_secret_is_on_disk_or_in_the_journal(tmp_path):
    import urllib3

    with Sandbox(tmp_path / "data") as box, urllib3.PoolManager() as pool:
        secrets = [box.password.reveal(), box.token.reveal()]
        headers = urllib3.make_headers(basic_auth=f"{box.username}:{secrets[0]}")
        for secret in secrets:
            address = f"{box.url}/v2/{secret}/tags/list?password={secret}&scope={secret}"
            pool.request("GET", address, headers={**headers, "User-Agent": secret})
        journal = "".join(f"{request} {request!r}" for request in box.requests)
        assert MASK in journal
        stored = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
        for secret in secrets:
            assert secret not in journal
            assert secret.encode() not in stored

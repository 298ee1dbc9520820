"""Who comes in: passwords, tokens, scopes, rights."""

import base64
import json
import urllib.parse

import pytest

from buildpush.foundation.errors import SettingsError
from buildpush.foundation.secrets import MASK, Secret
from buildpush.sandbox import OidcProvider, Sandbox, jwt

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


# Access tokens

SECURITY, ACCESS, OIDC = "/artifactory/api/security/token", "/access/api/v1/tokens", "/access/api/v1/oidc/token"


def make(client, path=SECURITY, authorization="", **fields):
    if path == SECURITY:
        return client.send("POST", path, body=urllib.parse.urlencode(fields).encode(), authorization=authorization)
    return client.send("POST", path, body=json.dumps(fields).encode(), authorization=authorization)


def status(client, token):
    return client.send("GET", "/artifactory/api/system/version", authorization=f"Bearer {token}").status


@pytest.mark.parametrize(
    ("path", "seconds", "scope"),
    [(SECURITY, 3600, "member-of-groups:*"), (ACCESS, 31536000, "applied-permissions/user")],
)
def test_an_access_token_has_its_lifetime_and_scope(client, path, seconds, scope):
    document = make(client, path).json()
    assert (document["expires_in"], document["scope"], document["token_type"]) == (seconds, scope, "Bearer")
    assert "refresh_token" not in document
    assert status(client, document["access_token"]) == 200
    assert make(client, path, expires_in=60, scope="api:*").json()["expires_in"] == 60


@pytest.mark.parametrize("path", [SECURITY, ACCESS])
def test_an_access_token_ends_when_it_says(path, connect):
    now = [1_000_000.0]
    with Sandbox(clock=lambda: now[0]) as box:
        client = connect(box)
        token, endless = (make(client, path, expires_in=seconds).json()["access_token"] for seconds in (60, 0))
        now[0] += 61
        assert (status(client, token), status(client, endless)) == (401, 200)


@pytest.mark.parametrize("path", [SECURITY, ACCESS])
def test_a_refresh_token_renews_once_and_ends_the_old_token(client, path):
    first = make(client, path, refreshable=True if path == ACCESS else "true", expires_in=60).json()
    fields = {key: first[key] for key in ("refresh_token", "access_token")}
    # As the clients of JFrog do: one sends no credentials, the other the old token.
    authorization = None if path == SECURITY else f"Bearer {first['access_token']}"
    second = make(client, path, authorization, grant_type="refresh_token", **fields)
    assert (second.status, second.json()["expires_in"]) == (200, 60)
    assert (status(client, first["access_token"]), status(client, second.json()["access_token"])) == (401, 200)
    assert make(client, path, authorization, grant_type="refresh_token", **fields).status == 401
    assert second.json()["refresh_token"] != first["refresh_token"]


def test_an_expired_token_is_renewed(connect):
    now = [1_000_000.0]
    with Sandbox(clock=lambda: now[0]) as box:
        client = connect(box)
        first = make(client, refreshable="true", expires_in=60).json()
        now[0] += 3600
        fields = {key: first[key] for key in ("refresh_token", "access_token")}
        second = make(client, authorization=f"Bearer {first['access_token']}", grant_type="refresh_token", **fields)
        assert status(client, second.json()["access_token"]) == 200


def test_an_expired_token_is_forgotten_and_one_that_can_be_renewed_a_month_later(connect):
    now = [1_000_000.0]
    with Sandbox(clock=lambda: now[0]) as box:
        client = connect(box)
        before = len(client.send("GET", SECURITY).json()["tokens"])
        for more in ({}, {"refreshable": "true"}):
            make(client, expires_in=60, **more)
        for seconds, left in ((61, 1), (29 * 24 * 3600, 1), (2 * 24 * 3600, 0)):
            now[0] += seconds
            make(client, expires_in=1)
            assert len(client.send("GET", SECURITY).json()["tokens"]) == before + left + 1
            now[0] += 2


def test_a_refresh_token_of_another_token_renews_nothing(client):
    first, other = (make(client, refreshable="true").json() for _ in range(2))
    fields = {"refresh_token": first["refresh_token"], "access_token": other["access_token"]}
    assert make(client, grant_type="refresh_token", **fields).status == 400
    assert status(client, first["access_token"]) == status(client, other["access_token"]) == 200


def test_an_access_token_is_revoked_by_itself_or_by_its_identifier(client, client_of, box):
    first, second, third = (make(client).json() for _ in range(3))
    other = client_of(box.add_account("other"))
    assert other.send("DELETE", f"{ACCESS}/{first['token_id']}").status == 404
    body = urllib.parse.urlencode({"token": first["access_token"]}).encode()
    assert client.send("POST", f"{SECURITY}/revoke", body=body).status == 200
    assert client.send("POST", f"{SECURITY}/revoke", body=f"token_id={second['token_id']}".encode()).status == 200
    assert client.send("DELETE", f"{ACCESS}/{third['token_id']}").status == 200
    assert [status(client, one["access_token"]) for one in (first, second, third)] == [401] * 3
    assert client.send("POST", f"{SECURITY}/revoke", body=body).status == 404


def test_access_tokens_are_listed_without_the_tokens(client):
    made = make(client, refreshable="true").json()
    answer = client.send("GET", SECURITY)
    (listed,) = [one for one in answer.json()["tokens"] if one["token_id"] == made["token_id"]]
    assert listed["subject"].endswith("/users/developer")
    assert (listed["refreshable"], listed["expiry"] - listed["issued_at"]) == (True, 3600)
    assert made["access_token"] not in answer.data.decode()


def test_a_reference_token_is_as_good_as_its_token(client):
    document = make(client, ACCESS, include_reference_token=True).json()
    assert len(document["reference_token"]) < 64
    assert status(client, document["reference_token"]) == 200


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"username": "somebody"}, 403),
        ({"scope": "artifact:docker-local:r"}, 400),
        ({"expires_in": "soon"}, 400),
        ({"expires_in": "-1"}, 400),
        ({"expires_in": "9" * 300}, 400),
        ({"grant_type": "authorization_code"}, 400),
        ({"grant_type": "refresh_token"}, 401),
        ({"grant_type": "refresh_token", "refresh_token": "unknown"}, 401),
    ],
)
def test_what_cannot_be_made_is_refused(client, fields, expected):
    for path in (SECURITY, ACCESS):
        assert make(client, path, **fields).status == expected


@pytest.mark.parametrize("body", [b"[", b"[1]", b"{", b'{"a": ' + b"[" * 50_000, b"\xff", b'"x"'])
def test_a_body_that_is_no_form_is_refused(client, body):
    assert client.send("POST", ACCESS, body=body).status in {200, 400}
    assert client.send("POST", OIDC, body=body).status == 400


def test_a_stranger_makes_no_token(client):
    for path in (SECURITY, ACCESS, "/v2/token"):
        assert client.send("POST", path, body=b"grant_type=password", authorization=None).status == 401
    assert client.send("GET", "/v2/token", authorization=None).status == 401


def test_a_registry_token_makes_no_token(client):
    token = bearer(get_token(client, f"repository:{APP}:pull"))
    assert get_token(client, f"repository:{APP}:pull,push", authorization=token).status == 403
    assert make(client, authorization=token).status == 403


@pytest.mark.parametrize("username", ["a~b?c>d", "~~~~~~", "x\x7f\x7f\x7f"])
def test_claims_are_the_same_in_every_base64_alphabet(username):
    token = jwt.sign({"sub": username}, b"key")
    assert not set(token.split(".")[1]) & {"-", "_", "="}
    assert jwt.verified(token, b"key") == {"sub": username}
    assert jwt.verified(token, b"other") is None


# Registry tokens as in OAuth 2


def form(client, path="/v2/token", **fields):
    body = urllib.parse.urlencode(fields).encode()
    return client.send("POST", path, body=body, authorization=None)


def test_a_form_with_a_password_gets_a_registry_token(client, box):
    login = {"username": box.username, "password": box.password.reveal()}
    answer = form(client, grant_type="password", scope=f"repository:{APP}:pull", service=box.host, **login)
    assert answer.json()["expires_in"] == 3600
    assert "refresh_token" not in answer.json()
    assert client.send("GET", f"/v2/{APP}/tags/list", authorization=bearer(answer)).status == 404
    assert client.send("POST", f"/v2/{APP}/blobs/uploads/", authorization=bearer(answer)).status == 401
    assert form(client, grant_type="password", username=box.username, password="wrong").status == 401
    assert form(client, grant_type="other").status == 400


@pytest.mark.parametrize("way", ["form", "query"])
def test_a_client_that_asks_for_it_gets_a_refresh_token_for_the_registry(client, box, way):
    if way == "form":
        login = {"username": box.username, "password": box.password.reveal()}
        answer = form(client, grant_type="password", access_type="offline", **login)
    else:
        answer = client.send("GET", "/v2/token?offline_token=true")
    refresh = answer.json()["refresh_token"]
    for _ in range(2):
        again = form(client, grant_type="refresh_token", refresh_token=refresh, scope=f"repository:{APP}:pull,push")
        assert client.send("POST", f"/v2/{APP}/blobs/uploads/", authorization=bearer(again)).status == 202
    assert form(client, grant_type="refresh_token", refresh_token="unknown").status == 401
    assert status(client, refresh) == 401


def test_older_versions_have_a_token_address_and_a_scope_for_each_repository(connect):
    with Sandbox(challenge="repository") as box:
        client = connect(box)
        challenge = client.send("GET", f"/v2/{APP}/tags/list", authorization=None).headers["WWW-Authenticate"]
        realm = f"{box.url}/artifactory/api/docker/docker-local/v2/token"
        assert challenge == f'Bearer realm="{realm}",service="{box.host}",scope="repository:app:pull,push"'
        token = bearer(client.send("GET", f"{realm}?scope=repository:app:pull,push"))
        assert client.send("POST", f"/v2/{APP}/blobs/uploads/", authorization=token).status == 202
        ping = client.send("GET", "/v2/", authorization=None).headers["WWW-Authenticate"]
        assert ping == f'Bearer realm="{box.url}/v2/token",service="{box.host}"'


def test_an_unknown_challenge_is_refused():
    with pytest.raises(SettingsError, match="challenge"):
        Sandbox(challenge="none")


# OIDC

KEY = "shared with the provider"
CLAIMS = {"iss": "https://ci.example.com", "aud": "jfrog", "repository": "acme/app", "exp": 2e9}


@pytest.fixture
def exchange(connect):
    """Return a function that exchanges a token with some claims, and the client that sends it."""
    provider = OidcProvider(CLAIMS["iss"], Secret(KEY), audience="jfrog", claims={"repository": "acme/*"}, seconds=600)
    with Sandbox(oidc={"ci": provider}, clock=lambda: 1.9e9) as box:
        client = connect(box)

        def exchange(key=KEY, name="ci", **changes):
            fields = {"provider_name": name, "subject_token": jwt.sign({**CLAIMS, **changes}, key.encode())}
            grant = "urn:ietf:params:oauth:grant-type:token-exchange"
            return client.send(
                "POST", OIDC, body=json.dumps({**fields, "grant_type": grant}).encode(), authorization=None
            )

        exchange.client = client
        yield exchange


def test_a_token_of_a_trusted_provider_is_exchanged(exchange):
    document = exchange(aud=["other", "jfrog"]).json()
    assert (document["username"], document["expires_in"]) == ("developer", 600)
    assert document["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert status(exchange.client, document["access_token"]) == 200


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"key": "another key"}, 401),
        ({"iss": "https://other.example.com"}, 401),
        ({"aud": "other"}, 401),
        ({"exp": 1.8e9}, 401),
        ({"exp": "never"}, 401),
        ({"nbf": 1.95e9}, 401),
        ({"repository": "other/app"}, 403),
        ({"name": "unknown"}, 400),
    ],
)
def test_a_token_that_does_not_fit_the_provider_is_refused(exchange, changes, expected):
    assert exchange(**changes).status == expected


def test_a_token_without_a_signature_is_refused(exchange):
    head = jwt.sign(CLAIMS, b"x").split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    body = json.dumps({"provider_name": "ci", "subject_token": f"{unsigned}.{head[1]}."}).encode()
    assert exchange.client.send("POST", OIDC, body=body, authorization=None).status == 401

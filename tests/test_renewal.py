"""Access tokens by OIDC exchange and by refresh token: one for a server, and another one when it has expired."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import buildpush
from buildpush.credentials.renewal import AccessToken, Renewal, shared_renewal
from buildpush.foundation.errors import AuthenticationError, SettingsError
from buildpush.foundation.secrets import Secret
from buildpush.sandbox import Sandbox, jwt
from buildpush.sandbox.oidc import OidcProvider
from tests.hostile.registry import HostileRegistry, Reply
from tests.hostile.storage import Storage, problem

KEY = "a key shared with the provider"


def id_token(**changes):
    claims = {"iss": "https://ci.example.com", "aud": "jfrog", "exp": time.time() + 600, **changes}
    return jwt.sign(claims, KEY.encode())


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    """Let each test have tokens of its own, and wait for nothing."""
    shared_renewal.cache_clear()
    monkeypatch.setattr("buildpush.http.retry.Retries.seconds", lambda *_: 0.0)
    monkeypatch.setattr("buildpush.credentials.renewal._YOUNGEST", 0.0)


@pytest.fixture
def oidc_box():
    provider = OidcProvider("https://ci.example.com", Secret(KEY), audience="jfrog")
    with Sandbox(oidc={"ci": provider}) as box:
        yield box
        assert not box.failures


def exchanges(server):
    return [one for one in server.requests if one.path.endswith(("oidc/token", "access/api/v1/tokens"))]


def work(tmp_path, env, count=8, **more):
    (tmp_path / "d").mkdir(exist_ok=True)
    for at in range(count):
        (tmp_path / f"d/{at}").write_bytes(bytes([at]) * 20_000)
    return buildpush.upload("d/", "generic-local/", env=env, cwd=tmp_path, **more)


# ---- where the provider's token comes from


@pytest.mark.sandbox
@pytest.mark.parametrize("source", ["variable", "file"])
def test_a_token_of_a_provider_is_exchanged_once_for_all_requests(oidc_box, tmp_path, source):
    env = {"JF_URL": oidc_box.url, "BUILDPUSH_OIDC_PROVIDER": "ci"}
    if source == "file":
        (tmp_path / "token").write_text(f"{id_token()}\n")
        env["BUILDPUSH_OIDC_TOKEN_FILE"] = str(tmp_path / "token")
    else:
        env["JFROG_CLI_OIDC_EXCHANGE_TOKEN_ID"] = id_token()
    result = work(tmp_path, env)
    assert len(result.files) == 8
    assert len(exchanges(oidc_box)) == 1
    buildpush.download("generic-local/d/*", "back/", env=env, cwd=tmp_path)  # the same process, the same token
    assert len(exchanges(oidc_box)) == 1


@pytest.mark.sandbox
def test_github_is_asked_for_the_token_of_the_job(oidc_box, tmp_path):
    secret = "the-secret-of-the-job"
    with HostileRegistry(
        lambda *_: Reply(200, {"Content-Type": "application/json"}, json.dumps({"value": id_token()}).encode())
    ) as github:
        env = {
            "JF_URL": oidc_box.url,
            "BUILDPUSH_OIDC_PROVIDER": "ci",
            "BUILDPUSH_OIDC_AUDIENCE": "jfrog",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{github.url}/token?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": secret,
        }
        assert work(tmp_path, env).files
    (asked,) = github.requests
    assert asked.target == "/token?api-version=2.0&audience=jfrog"
    assert asked.headers["Authorization"] == f"Bearer {secret}"


@pytest.mark.sandbox
@pytest.mark.programs
def test_registry_and_rest_have_one_identity_and_one_token(oidc_box, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    env = {
        "JF_URL": oidc_box.url,
        "BUILDPUSH_OIDC_PROVIDER": "ci",
        "JFROG_CLI_OIDC_EXCHANGE_TOKEN_ID": id_token(),
    }
    repo = f"{oidc_box.host}/docker-local/app"
    buildpush.run(repo=repo, tags=["1"], engine="native", publish_build_info=True, env=env, cwd=tmp_path)
    assert len(exchanges(oidc_box)) == 1
    assert len(oidc_box.builds()) == 1


@pytest.mark.sandbox
@pytest.mark.programs
def test_a_plan_exchanges_nothing(oidc_box, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    env = {"JF_URL": oidc_box.url, "BUILDPUSH_OIDC_PROVIDER": "ci", "JFROG_CLI_OIDC_EXCHANGE_TOKEN_ID": id_token()}
    plan = buildpush.check(
        repo=f"{oidc_box.host}/docker-local/app",
        tags=["1"],
        engine="native",
        publish_build_info=True,
        env=env,
        cwd=tmp_path,
    )
    assert "a token, from the OIDC exchange of BUILDPUSH_OIDC_PROVIDER" in str(plan)
    assert oidc_box.requests == []


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("more", "error", "says"),
    [
        ({}, SettingsError, "there is no token to exchange"),
        ({"JFROG_CLI_OIDC_EXCHANGE_TOKEN_ID": id_token(aud="other")}, AuthenticationError, "refuses the OIDC exchange"),
        ({"BUILDPUSH_OIDC_TOKEN_FILE": "/none/there"}, SettingsError, "cannot be read"),
        (
            {"ACTIONS_ID_TOKEN_REQUEST_URL": "http://github.example/", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "s-e-c-r-e-t"},
            SettingsError,
            "without TLS",
        ),
    ],
)
def test_an_exchange_that_cannot_be_made_says_why(oidc_box, tmp_path, more, error, says):
    with pytest.raises(error) as caught:
        work(tmp_path, {"JF_URL": oidc_box.url, "BUILDPUSH_OIDC_PROVIDER": "ci", **more})
    assert says in str(caught.value)
    assert not [value for value in more.values() if value in f"{caught.value}" and "token" in value]


# ---- tokens that expire


class Tokens:
    """A quirk of :class:`Storage`: a token is good for a number of requests, and renewed in either way."""

    def __init__(self, uses: int) -> None:
        self.uses, self.left, self.made, self.lock = uses, 0, 0, threading.Lock()
        self.refreshes: list[str] = []
        self.old_endpoint_only = False

    def __call__(self, request, _registry):
        with self.lock:
            if request.path in {
                "/access/api/v1/oidc/token",
                "/access/api/v1/tokens",
                "/artifactory/api/security/token",
            }:
                return self._issue(request)
            is_good = request.headers.get("Authorization") == f"Bearer token-number-{self.made}" and self.left > 0
            self.left -= 1
            return None if is_good else problem(401, "Token has expired")

    def _issue(self, request):
        if self.old_endpoint_only and "access/" in request.path:
            return problem(403, "not yours")
        if b"refresh_token" in request.body:
            self.refreshes.append(request.body.decode())
        self.made, self.left = self.made + 1, self.uses
        document = {"access_token": f"token-number-{self.made}", "refresh_token": f"refresh-number-{self.made}"}
        return Reply(200, {"Content-Type": "application/json"}, json.dumps(document).encode())


@pytest.fixture
def server():
    """Yield a function that starts a server whose tokens are good for a number of requests."""
    servers = []

    def serve(uses):
        tokens, storage = Tokens(uses), Storage()
        servers.append(HostileRegistry(tokens, storage).__enter__())
        return servers[-1], tokens, storage

    yield serve
    for one in servers:
        one.__exit__(None, None, None)


@pytest.mark.sandbox
@pytest.mark.parametrize(("threads", "life", "most"), [(1, 7, 5), (4, 13, 4)])
def test_a_token_that_expires_during_an_upload_is_replaced(server, tmp_path, threads, life, most):
    """A thread that is slow must not find its new token used up by the others: so with four, each lives longer."""
    host, tokens, storage = server(life)
    env = {"JF_URL": host.url, "BUILDPUSH_OIDC_PROVIDER": "ci", "JFROG_CLI_OIDC_EXCHANGE_TOKEN_ID": "an-id-token"}
    result = work(tmp_path, env, threads=threads)  # two requests for each of 8 files
    assert len(result.files) == len(storage.files) == 8
    assert 16 // life < tokens.made <= most


@pytest.mark.sandbox
def test_a_token_that_expires_during_downloads_is_replaced(server, tmp_path):
    host, tokens, storage = server(3)
    storage.files |= {f"generic-local/d/{at}": bytes([at]) * 1000 for at in range(8)}
    env = {"JF_URL": host.url, "BUILDPUSH_OIDC_PROVIDER": "ci", "JFROG_CLI_OIDC_EXCHANGE_TOKEN_ID": "an-id-token"}
    assert len(buildpush.download("generic-local/d/*", env=env, cwd=tmp_path, threads=1).files) == 8
    assert tokens.made == 4


@pytest.mark.sandbox
@pytest.mark.parametrize("old", [False, True])
def test_a_refresh_token_renews_the_access_token_and_is_used_once(server, tmp_path, old):
    host, tokens, storage = server(7)
    tokens.old_endpoint_only = old
    env = {"JF_URL": host.url, "JF_ACCESS_TOKEN": "token-that-expired", "JF_REFRESH_TOKEN": "refresh-number-0"}
    assert len(work(tmp_path, env, threads=1).files) == len(storage.files) == 8
    used = [
        text.partition("refresh_token=")[2].rpartition("refresh_token=")[2].partition("&")[0]
        for text in tokens.refreshes
    ]
    assert used == [f"refresh-number-{at}" for at in range(len(used))]


@pytest.mark.sandbox
def test_a_server_that_refuses_every_token_is_asked_for_one_more_and_no_token_is_shown(server, tmp_path):
    host, tokens, _ = server(0)
    env = {"JF_URL": host.url, "BUILDPUSH_OIDC_PROVIDER": "ci", "JFROG_CLI_OIDC_EXCHANGE_TOKEN_ID": "an-id-token"}
    with pytest.raises(AuthenticationError) as caught:
        work(tmp_path, env, count=1)
    assert caught.value.exit_code == 5
    assert tokens.made <= 3
    assert "token-number" not in f"{caught.value} {caught.value.hint}"


LIES = {
    "no object": b"[]",
    "no token": b'{"token": "x"}',
    "a number": b'{"access_token": 5}',
    "an object": b'{"access_token": {"a": "planted-secret"}}',
    "the end of a line": b'{"access_token": "planted-secret\\r\\nX: y"}',
    "a letter that no header can have": b'{"access_token": "planted-secret\\u20ac"}',
    "half a letter": b'{"access_token": "planted-secret\\ud800"}',
    "a lifetime without end": b'{"access_token": "planted-secret", "expires_in": 1e999}',
    "a lifetime of 400 digits": b'{"access_token": "planted-secret", "expires_in": 1' + b"0" * 400 + b"}",
    "a page": b"<html><title>planted-secret</title>",
    "not a text": b"\xff\xfe",
    "too deep": b'{"access_token": ' + b"[" * 10_000,
}


@pytest.mark.sandbox
@pytest.mark.parametrize("lie", LIES)
def test_an_exchange_that_answers_with_something_else_is_refused_once_with_its_reason(tmp_path, lie):
    def answer(request, _registry):
        return Reply(200, {"Content-Type": "application/json"}, LIES[lie]) if "oidc" in request.path else None

    with HostileRegistry(answer, Storage()) as host:
        env = {"JF_URL": host.url, "BUILDPUSH_OIDC_PROVIDER": "ci", "JFROG_CLI_OIDC_EXCHANGE_TOKEN_ID": "an-id-token"}
        with pytest.raises(AuthenticationError, match=r"gives no access token|answered with"):
            work(tmp_path, env, count=1)
        assert len(host.requests) == 1


@pytest.mark.sandbox
def test_a_token_that_cannot_be_renewed_is_refused_once(server, tmp_path):
    host, _, _ = server(0)
    with pytest.raises(AuthenticationError):
        work(tmp_path, {"JF_URL": host.url, "JF_ACCESS_TOKEN": "a-token-that-expired"}, count=1)
    assert len(host.requests) == 1


@pytest.mark.sandbox
def test_a_token_that_expires_during_a_push_is_replaced(tmp_path):
    tokens = Tokens(12)  # more than may be under way at once: a new token that is refused is not replaced again

    def login(request, registry):
        found = tokens(request, registry)
        if found is not None and found.status == 401:
            return Reply(401, {"WWW-Authenticate": f'Bearer realm="{registry.url}/v2/token",service="x"'}, b"{}")
        return found

    (tmp_path / "Dockerfile").write_text("FROM scratch\n" + "".join(f"COPY f{at} /\n" for at in range(6)))
    for at in range(6):
        (tmp_path / f"f{at}").write_bytes(bytes([at]) * 5000)
    with HostileRegistry(login) as registry:
        env = {
            "JF_URL": registry.url,
            "BUILDPUSH_OIDC_PROVIDER": "ci",
            "JFROG_CLI_OIDC_EXCHANGE_TOKEN_ID": "an-id-token",
        }
        repo = f"{registry.host}/docker-local/app"
        result = buildpush.run(repo=repo, tags=["1"], engine="native", publish_build_info=False, env=env, cwd=tmp_path)
        assert ("docker-local/app", "1") in registry.manifests
    assert result.digest
    assert tokens.made >= 3


# ---- the renewal alone


class Issuer:
    def __init__(self, seconds=100.0):
        self.seconds, self.made = seconds, 0

    def __call__(self, _http, _expired):
        self.made += 1
        return AccessToken(Secret(f"issued-{self.made}"), self.seconds)


def test_a_token_is_renewed_before_its_end():
    now, issuer = [0.0], Issuer(100)
    renewal = Renewal(issuer, clock=lambda: now[0])
    assert renewal.current(None).reveal() == "issued-1"
    now[0] = 45.0
    assert renewal.current(None).reveal() == "issued-1"
    now[0] = 55.0  # half of such a short life
    assert renewal.current(None).reveal() == "issued-2"


def test_a_token_that_was_just_made_is_not_renewed(monkeypatch):
    monkeypatch.setattr("buildpush.credentials.renewal._YOUNGEST", 5.0)
    now, issuer = [0.0], Issuer()
    renewal = Renewal(issuer, clock=lambda: now[0])
    token = renewal.current(None)
    assert not renewal.renew(None, token)
    now[0] = 10.0
    assert renewal.renew(None, token)
    assert renewal.renew(None, token)  # another thread was faster
    assert issuer.made == 2


def test_threads_that_are_refused_together_get_one_new_token():
    issuer = Issuer()
    renewal = Renewal(issuer)
    token = renewal.current(None)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: renewal.renew(None, token), range(50)))
    assert issuer.made == 2

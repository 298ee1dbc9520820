"""How long is waited: for an answer, for a server that restarts, at each step of a push."""

from __future__ import annotations

import socket

import pytest

from buildpush.credentials.docker import Credential, Keychain
from buildpush.foundation.errors import UnreachableError
from buildpush.foundation.secrets import Secret
from buildpush.http.client import Http
from buildpush.images.references import Repository
from buildpush.registry.client import Registry
from buildpush.registry.push import push
from tests.hostile.quirks import Restart, Tokens, reading, times
from tests.hostile.registry import Reply
from tests.registry.conftest import Source

pytestmark = pytest.mark.sandbox


def test_a_registry_may_think_for_two_minutes_and_not_for_ever(serve, monkeypatch):
    """The commit of a large layer takes a store of objects that long; a dead line must not hold a CI job."""
    waited = []
    settimeout = socket.socket.settimeout

    def noted(self, seconds):
        waited.append(seconds)
        settimeout(self, seconds)

    monkeypatch.setattr(socket.socket, "settimeout", noted)
    server = serve()
    with Http() as http:
        assert http.request("GET", f"{server.url}/v2/").ok
        waited.clear()
        assert http.request("GET", f"{server.url}/v2/").ok  # on the same connection

    assert {seconds for seconds in waited if seconds is not None} == {120.0}


STEPS = {
    "asking for a blob": lambda request: request.method == "HEAD" and request.is_blob,
    "beginning an upload": lambda request: request.method == "POST" and "mount" not in request.query,
    "mounting": lambda request: "mount" in request.query,
    "sending": lambda request: request.method == "PATCH",
    "ending an upload": lambda request: request.method == "PUT" and request.is_upload,
    "naming": lambda request: request.method == "PUT" and request.is_manifest,
    "naming with a second tag": lambda request: request.method == "PUT" and request.path.endswith("/manifests/2"),
    "looking at a name": lambda request: request.method == "HEAD" and request.is_manifest,
}
DOWN = {
    "resets": Reply(reset=True),
    "502": Reply(502),
    "503": Reply(503),
    "503, later": Reply(503, {"Retry-After": "8"}),
    "520": Reply(520),
    "527": Reply(527),
}


@pytest.mark.parametrize("down", DOWN)
@pytest.mark.parametrize("step", STEPS)
def test_a_restart_of_a_minute_is_waited_for_at_every_step(serve, step, down):
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    server = serve(Restart(STEPS[step], lambda: now[0], 50.0, DOWN[down]), reading(404, what="/other/blobs/"))
    repositories = [Repository(server.host, path) for path in ("docker-local/app", "docker-local/other")]
    names = [repository.tagged(tag) for repository in repositories for tag in ("1", "2")]
    with Http(sleep=sleep, clock=lambda: now[0]) as http:
        registry = Registry(http, Keychain(), workers=1)
        pushed = push(Source(b"layer " * 5000).image(), names, registry)

    assert set(server.manifests) >= {(name.repository.path, name.target) for name in names}
    assert not server.lacking("docker-local/app", pushed.manifest)
    assert 50 <= now[0] < 400


@pytest.mark.parametrize("down", DOWN)
def test_a_restart_is_waited_for_where_a_token_is_fetched_as_well(serve, down):
    """Tokens end in the middle of a push."""
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    tokens = Tokens(ends=lambda request: request.method == "PUT" and len(tokens.given) == 1)
    restart = Restart(lambda request: request.path == "/token" and bool(tokens.given), lambda: now[0], 50.0, DOWN[down])
    server = serve(restart, tokens)
    with Http(sleep=sleep, clock=lambda: now[0]) as http:
        registry = Registry(http, Keychain({server.host: Credential("robot", Secret("planted", "test"), "test")}))
        push(Source(b"layer " * 5000).image(), [Repository(server.host, "a/b").tagged("1")], registry)

    assert ("a/b", "1") in server.manifests
    assert 50 <= now[0] < 400


@pytest.mark.parametrize("step", STEPS)
def test_an_internal_error_is_got_over_once_at_every_step(serve, http, step):
    server = serve(times(1, lambda request, _: Reply(500) if STEPS[step](request) else None))
    server.quirks.append(reading(404, what="/other/blobs/"))
    names = [Repository(server.host, f"a/{path}").tagged(tag) for path in ("b", "other") for tag in ("1", "2")]
    push(Source(b"layer " * 5000).image(), names, Registry(http, Keychain()))

    assert set(server.manifests) >= {(name.repository.path, name.target) for name in names}


@pytest.mark.parametrize("of_tokens", [True, False])
def test_a_host_that_never_answered_is_not_waited_for(serve, http, waits, of_tokens):
    """It is more likely misspelled than down."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{nobody.getsockname()[1]}"
        challenge = {"WWW-Authenticate": f'Bearer realm="http://{host}/token"'}
        server = serve(lambda *_: Reply(401, challenge))
        with pytest.raises(UnreachableError):
            Registry(http, Keychain()).check_push(Repository(server.host if of_tokens else host, "a/b"))
    assert sum(waits) < 2

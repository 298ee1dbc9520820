"""A registry that restarts in the middle of a push is waited for, at whatever step it goes down."""

from __future__ import annotations

import pytest

from buildpush.credentials.docker import Credential, Keychain
from buildpush.foundation.errors import PushError
from buildpush.foundation.secrets import Secret
from buildpush.http.client import Http
from buildpush.images.references import Repository
from buildpush.registry.client import Registry
from buildpush.registry.push import push
from tests.hostile.quirks import Restart, Tokens
from tests.hostile.registry import Reply
from tests.registry.conftest import Source

pytestmark = pytest.mark.sandbox

STEPS = {
    "a token": lambda request: request.path == "/token",
    "the preflight": lambda request: request.method == "POST",
    "a look for a blob": lambda request: request.method == "HEAD" and request.is_blob,
    "the end of the preflight": lambda request: request.method == "DELETE",
    "a layer": lambda request: request.method == "PATCH",
    "the end of a layer": lambda request: request.method == "PUT" and request.is_upload,
    "the manifest": lambda request: request.method == "PUT" and request.is_manifest,
    "a look at the manifest": lambda request: request.method in {"GET", "HEAD"} and request.is_manifest,
}
DOWN = {"resets": Reply(reset=True), "502": Reply(502), "503": Reply(503), "521": Reply(521)}


class Time:
    """Seconds that pass by waiting only."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def pushed(server, time: Time):
    with Http(sleep=time.sleep, clock=time) as http:
        registry = Registry(http, Keychain({server.host: Credential("robot", Secret("planted-word", "test"), "test")}))
        registry.workers = 1
        repository = Repository(server.host, "docker-local/app")
        registry.check_push(repository)
        return push(Source(b"one" * 1000).image(), [repository.tagged("1")], registry)


@pytest.mark.parametrize("reply", DOWN)
@pytest.mark.parametrize("step", STEPS)
def test_a_registry_that_is_away_for_most_of_a_minute_is_waited_for(serve, step, reply):
    time = Time()
    restart = Restart(STEPS[step], time, 55.0, DOWN[reply])
    server = serve(restart, Tokens())
    image = pushed(server, time)

    assert str(image.digest) in server.truth
    assert restart.until is None or time.now < 300


@pytest.mark.parametrize("reply", DOWN)
@pytest.mark.parametrize("step", ["a token", "the preflight", "a layer", "the end of a layer", "the manifest"])
def test_a_registry_that_stays_away_is_given_up_within_minutes(serve, step, reply):
    time = Time()
    server = serve(Restart(STEPS[step], time, 1e9, DOWN[reply]), Tokens())
    with pytest.raises(PushError):
        pushed(server, time)
    assert time.now < 600

"""Quirks by name: what a registry or a proxy before it does otherwise than the specification, each a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from tests.hostile.registry import HostileRegistry, Quirk, Reply, Request, fault

QUIRKS: dict[str, Callable[[], Quirk]] = {}


def quirk(sentence: str) -> Callable[[Callable[[], Quirk]], Callable[[], Quirk]]:
    """Enter a maker of quirks under a sentence that says what it does; each call makes a fresh one."""

    def enter(make: Callable[[], Quirk]) -> Callable[[], Quirk]:
        QUIRKS[sentence] = make
        return make

    return enter


def times(count: int, act: Quirk) -> Quirk:
    """Return a quirk that does what *act* does, but the first *count* times only."""
    left = [count]

    def few(request: Request, registry: HostileRegistry) -> Reply | None:
        with registry.lock:
            found = act(request, registry) if left[0] else None
            left[0] -= found is not None
        return found

    return few


@quirk("each answer has an interim one before it: 103 Early Hints and 102 Processing")
def interim() -> Quirk:
    return lambda request, registry: replace(registry.answer(request), interim=(103, 102))


@quirk("a gateway answers 520 to the first manifest")
def gateway_520() -> Quirk:
    return times(1, lambda request, _: Reply(520) if request.is_manifest and request.method == "PUT" else None)


@quirk("a manifest that was taken may not be read: 403, as Xray does while it scans")
def reading_forbidden() -> Quirk:
    def act(request: Request, _: HostileRegistry) -> Reply | None:
        if request.is_manifest and request.method in {"GET", "HEAD"}:
            return fault(403, "DENIED", "not permitted", "Xray has blocked the download")
        return None

    return act


@quirk("a manifest that was taken is not there for a while: 404 twice")
def reading_lags() -> Quirk:
    def act(request: Request, _: HostileRegistry) -> Reply | None:
        return fault(404, "MANIFEST_UNKNOWN") if request.is_manifest and request.method in {"GET", "HEAD"} else None

    return times(2, act)


@quirk("the first manifest is refused although its blobs were confirmed")
def manifest_blob_unknown() -> Quirk:
    def act(request: Request, _: HostileRegistry) -> Reply | None:
        if request.is_manifest and request.method == "PUT":
            return fault(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry")
        return None

    return times(1, act)


@quirk("parts are refused with 416, one PATCH without Content-Range is taken")
def parts_416() -> Quirk:
    def act(request: Request, _: HostileRegistry) -> Reply | None:
        return Reply(416) if request.method == "PATCH" and request.part else None

    return act


# Tokens


class Tokens:
    """A quirk: what needs a token gets one from this registry itself.

    Args:
        rights: what the account may do; a token is good for no more.
        seconds: what is said of how long a token lasts; any JSON.
        ends: ends a token: asked for each request that brings one, before it is answered.
        forgetful: whether a refusal does not say what is wanted, but for the first.

    Attributes:
        given: the tokens, in their order.
    """

    def __init__(
        self,
        rights: str = "pull,push",
        *,
        seconds: object = 300,
        ends: Callable[[Request], bool] = lambda _: False,
        forgetful: bool = False,
    ) -> None:
        self.rights = set(rights.split(","))
        self.seconds = seconds
        self.ends = ends
        self.forgetful = forgetful
        self.given: list[str] = []
        self.ended: set[str] = set()

    def __call__(self, request: Request, registry: HostileRegistry) -> Reply | None:
        if request.path == "/token":
            self.given.append(f"planted-token-{len(self.given) + 1}")
            return Reply(body=json.dumps({"token": self.given[-1], "expires_in": self.seconds}).encode())
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token in self.given and self.ends(request):
            self.ended.add(token)
        known = token in self.given and token not in self.ended
        needs = "pull" if request.method in {"GET", "HEAD"} and not request.is_upload else "push"
        if known and (request.path == "/v2/" or needs in self.rights):
            return None
        challenge = f'Bearer realm="{registry.url}/token",service="{registry.host}"'
        headers = {} if self.forgetful and self.given else {"WWW-Authenticate": challenge}
        return Reply(401, headers)


def reading(status: int, *, method: str = "", what: str = "/manifests/") -> Quirk:
    """Return the quirk that reading *what* is answered with *status*."""

    def act(request: Request, _: HostileRegistry) -> Reply | None:
        wanted = {method} if method else {"GET", "HEAD"}
        if request.method in wanted and what in request.path and not request.is_upload:
            return fault(status, "DENIED" if status in {401, 403} else "UNKNOWN", "not for you")
        return None

    return act


# Restarts


class Restart:
    """A quirk: from the first request that *begins* says so, nothing is answered for *seconds* of the test's clock.

    Args:
        begins: whether a request is the one at which the server goes down.
        clock: seconds.
        seconds: until it is up again.
        reply: what answers meanwhile: a reset, or what a load balancer says.
    """

    def __init__(
        self, begins: Callable[[Request], bool], clock: Callable[[], float], seconds: float, reply: Reply
    ) -> None:
        self.begins, self.clock, self.seconds, self.reply = begins, clock, seconds, reply
        self.until: float | None = None

    def __call__(self, request: Request, _: HostileRegistry) -> Reply | None:
        if self.until is None and self.begins(request):
            self.until = self.clock() + self.seconds
        return self.reply if self.until is not None and self.clock() < self.until else None

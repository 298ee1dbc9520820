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


# Uploads


def _last(registry: HostileRegistry, request: Request) -> str:
    return request.path.rpartition("/")[2]


def limited_parts(largest: int) -> Quirk:
    """Return the quirk of GHCR: no part (a PATCH with Content-Range) has more than *largest* bytes.

    Source: ocx-sh/ocx#237.
    """

    def act(request: Request, _: HostileRegistry) -> Reply | None:
        part = request.part if request.method == "PATCH" else None
        return Reply(416) if part and part[1] - part[0] >= largest else None

    return act


@quirk("a second PATCH is always refused with 416, as by serverless registries")
def one_patch() -> Quirk:
    def act(request: Request, registry: HostileRegistry) -> Reply | None:
        held = registry.uploads.get(_last(registry, request))
        return Reply(416) if request.method == "PATCH" and held else None

    return act


def stale_range(progress: int | None) -> Quirk:
    """Return the quirk of ECR: the ``Range`` of PATCH answers stays behind the first part.

    Args:
        progress: status of the answer to GET; ``None`` for the same stale answer, 204 for a true one.

    Source: aws/containers-roadmap#2831, crashappsec/chalk#682.
    """
    first: dict[str, str] = {}

    def act(request: Request, registry: HostileRegistry) -> Reply | None:
        upload = _last(registry, request)
        if request.method == "PATCH":
            reply = registry.answer(request)
            return (
                reply.having(Range=first.setdefault(upload, reply.headers["Range"])) if reply.status == 202 else reply
            )
        if request.method == "GET" and request.is_upload and progress != 204:
            stale = registry.answer(request).having(Range=first.get(upload, "0-0"))
            return stale if progress is None else Reply(progress)
        return None

    return act


@quirk("Range names the part alone, as in zot")
def range_of_the_part() -> Quirk:
    """Source: regclient#961."""

    def act(request: Request, registry: HostileRegistry) -> Reply | None:
        if request.method != "PATCH":
            return None
        size, reply = len(request.body), registry.answer(request)
        return reply.having(Range=f"0-{size - 1}") if reply.status == 202 else reply

    return act


@quirk("PATCH is not known: 405, as by proxies")
def no_patch() -> Quirk:
    return lambda request, _: Reply(405) if request.method == "PATCH" else None


def least_parts(least: int) -> Quirk:
    """Return the quirk of a registry that wants *least* bytes of each part but the last, and says so when it begins."""
    ended: set[str] = set()

    def act(request: Request, registry: HostileRegistry) -> Reply | None:
        upload = _last(registry, request)
        if request.method == "POST":
            reply = registry.answer(request)
            return reply.having(OCI_Chunk_Min_Length=str(least)) if reply.status == 202 else reply
        if request.method == "PATCH":
            if upload in ended:
                return fault(400, "SIZE_INVALID", "the part before this one was too short")
            ended.update({upload} if len(request.body) < least else ())
        return None

    return act


@quirk("each Location is relative to the request")
def relative_location() -> Quirk:
    def act(request: Request, registry: HostileRegistry) -> Reply | None:
        if not request.is_upload:
            return None
        reply = registry.answer(request)
        location = reply.headers.get("Location", "")
        return reply.having(Location=location.rpartition("/")[2]) if reply.status == 202 else reply

    return act


@quirk("there is no Location after a part")
def no_location() -> Quirk:
    def act(request: Request, registry: HostileRegistry) -> Reply | None:
        return registry.answer(request).without("Location") if request.method == "PATCH" else None

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


# Redirects


def sends_reads_to(there: str, *, what: str = "", method: str = "") -> Quirk:
    """Return the quirk that reading what is there is redirected to *there*, as to a store of blobs; 404 else."""

    def act(request: Request, registry: HostileRegistry) -> Reply | None:
        reads = request.method == method if method else request.method in {"GET", "HEAD"}
        if not reads or what not in request.path or request.is_upload or not request.path.startswith("/v2/a"):
            return None
        found = registry.answer(request)
        return Reply(307, {"Location": there}) if found.status == 200 else found

    return act

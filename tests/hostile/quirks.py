"""Quirks by name: what a registry or a proxy before it does otherwise than the specification, each a sentence."""

from __future__ import annotations

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

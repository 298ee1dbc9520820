"""What a registry takes at most: blobs that are ready, one PATCH each, two at once, by the plainest client there is."""

from __future__ import annotations

import hashlib
import http.client
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.pushing.registries import Target

PIECE = 1024 * 1024
AT_ONCE = 2


def measure(target: Target, blobs: Sequence[Path]) -> float:
    """Send files as blobs and return the seconds; nothing is computed in that time."""
    digests = [_digest(blob) for blob in blobs]
    begun = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda blob, digest: _send(target, blob, digest), blobs, digests))
    return time.perf_counter() - begun


def _digest(blob: Path) -> str:
    with blob.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _send(target: Target, blob: Path, digest: str) -> None:
    line = http.client.HTTPConnection(target.host, blocksize=PIECE)
    head = _authorization(target)
    place = _answered(line, "POST", f"/v2/{target.path}/blobs/uploads/", head)
    with blob.open("rb") as file:
        size = {"Content-Length": str(blob.stat().st_size), "Content-Type": "application/octet-stream"}
        place = _answered(line, "PATCH", place, head | size, file)
    mark = "&" if "?" in place else "?"
    _answered(line, "PUT", f"{place}{mark}digest={digest}", head | {"Content-Length": "0"})
    line.close()


def _authorization(target: Target) -> dict[str, str]:
    auths = json.loads(target.login.read_text(encoding="utf-8"))["auths"]
    return {"Authorization": f"Basic {auths[target.host]['auth']}"} if auths else {}


def _answered(line: http.client.HTTPConnection, method: str, place: str, head: dict[str, str], body=None) -> str:
    """Return where to go on."""
    line.request(method, place, body=body, headers=head)
    answer = line.getresponse()
    words = answer.read()
    if answer.status not in {201, 202, 204}:
        message = f"{method} {place}: {answer.status} {words[:500]!r}"
        raise SystemExit(message)
    parts = urlsplit(answer.headers.get("Location", place))
    return f"{parts.path}?{parts.query}" if parts.query else parts.path

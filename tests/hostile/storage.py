"""Files of an Artifactory, as a quirk of the hostile registry: PUT, GET with ranges, lists, checksums."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from tests.hostile.registry import HostileRegistry, Reply, Request

BASE = "/artifactory/"


def checksums(data: bytes) -> dict[str, str]:
    return {name: hashlib.new(name, data).hexdigest() for name in ("sha1", "md5", "sha256")}


@dataclass
class Storage:
    """Answers what is below ``/artifactory/``, after its own quirks.

    Attributes:
        files: by repository and path.
        properties: of each file: the text behind its path.
        quirks: asked first, with the request.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    quirks: list[Callable[[Request], Reply | None]] = field(default_factory=list)

    def __call__(self, request: Request, registry: HostileRegistry) -> Reply | None:
        if not request.path.startswith(BASE):
            return None
        for quirk in self.quirks:
            if found := quirk(request):
                return found
        with registry.lock:
            return self.answer(request)

    def answer(self, request: Request) -> Reply:
        name, semicolon, matrix = request.path.removeprefix(BASE).partition(";")
        name = unquote(name)
        if name.startswith("api/storage/"):
            return self._describe(name.removeprefix("api/storage/"), request)
        if request.method == "PUT":
            return self._put(name, semicolon + matrix, request)
        if name not in self.files:
            return problem(404, "File not found.")
        return self._get(name, request)

    def _put(self, name: str, matrix: str, request: Request) -> Reply:
        wanted = request.headers.get("X-Checksum-Sha256", "")
        data = request.body
        if request.headers.get("X-Checksum-Deploy") == "true":
            known = [one for one in self.files.values() if checksums(one)["sha256"] == wanted]
            if not known:
                return problem(404, "Checksum deploy failed. No existing file with that checksum.")
            data = known[0]
        if checksums(data)["sha256"] != wanted:
            return problem(409, "Checksum error")
        self.files[name], self.properties[name] = data, matrix
        return self.confirm(name)

    def confirm(self, name: str) -> Reply:
        repository, _, path = name.partition("/")
        data = self.files[name]
        document = {"repo": repository, "path": f"/{path}", "size": str(len(data)), "checksums": checksums(data)}
        return Reply(201, {"Content-Type": "application/json"}, json.dumps(document).encode())

    def _get(self, name: str, request: Request) -> Reply:
        data = self.files[name]
        sums = {f"X-Checksum-{key.capitalize()}": value for key, value in checksums(data).items()}
        start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if not start:
            return Reply(200, sums, data)
        return Reply(206, {**sums, "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}, data[start:])

    def _describe(self, name: str, request: Request) -> Reply:
        if "list" in request.target.partition("?")[2]:
            below = {one: data for one, data in self.files.items() if one.startswith(f"{name}/")}
            files = [
                {
                    "uri": one.removeprefix(name),
                    "size": len(data),
                    "sha1": checksums(data)["sha1"],
                    "sha2": checksums(data)["sha256"],
                    "folder": False,
                }
                for one, data in below.items()
            ]
            return Reply(200, {"Content-Type": "application/json"}, json.dumps({"files": files}).encode())
        return replace(self.confirm(name), status=200) if name in self.files else problem(404, "Unable to find item")


def problem(status: int, message: str) -> Reply:
    document = {"errors": [{"status": status, "message": message}]}
    return Reply(status, {"Content-Type": "application/json"}, json.dumps(document).encode())

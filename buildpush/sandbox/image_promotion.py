"""Docker promotion: an image is moved or copied to another repository, under the same tag or another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from aiohttp import web

from buildpush.sandbox import wire
from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.bodies import field, flag, read_object
from buildpush.sandbox.deploying import Deployer
from buildpush.sandbox.entries import FileEntry
from buildpush.sandbox.manifests import INDEX, SINGLE, read_manifest
from buildpush.sandbox.paths import read_path
from buildpush.sandbox.relocation import RelocationOrder, RelocationRoutes
from buildpush.sandbox.store import Store
from buildpush.sandbox.wire import BASE

_FIELDS = ("targetRepo", "dockerRepository", "targetDockerRepository", "tag", "targetTag")


class ImagePromotionRoutes:
    """The handler of ``api/docker/KEY/v2/promote``."""

    def __init__(self, store: Store, deployer: Deployer, relocation: RelocationRoutes) -> None:
        self._store = store
        self._deployer = deployer
        self._relocation = relocation

    def routes(self) -> list[web.RouteDef]:
        """Return every route; it is before those of the registry."""
        return [web.post(f"{BASE}/api/docker/{{key}}/v2/promote", self.promote)]

    async def promote(self, request: web.Request) -> web.Response:
        """Move an image, or copy it, as asked for; all of its tags, or one."""
        try:
            document = read_object(await wire.read_all(request))
            self._carry_out(self._order(request.match_info["key"], document))
        except RequestRefusedError as refused:
            refused.as_rest = True
            raise
        return web.Response(text="Promotion ended successfully")

    def _order(self, key: str, document: Mapping[str, Any]) -> RelocationOrder:
        named = _texts(document)
        source, target = (self._deployer.repository(one) for one in (key, named["targetRepo"]))
        tag, image = named["tag"], named["dockerRepository"]
        to = named["targetDockerRepository"] or image
        if tag:
            image, to = f"{image}/{tag}", f"{to}/{named['targetTag'] or tag}"
        path, place = (read_path(f"{repo}/{one}").path for repo, one in ((source, image), (target, to)))
        if (source, path) == (target, place):
            _refuse("the source of the promotion is its target")
        moves = not flag(document, "copy")
        for right in ("read", "delete") if moves else ("read",):
            wire.require(right, f"{source}/{path}")
        if not self._store.directory(source, path):
            raise RequestRefusedError(404, "NOT_FOUND", f"Unable to find docker image '{source}:{path}'.")
        return RelocationOrder(source, path, target, place, moves)

    def _carry_out(self, order: RelocationOrder) -> None:
        with self._store.change():
            children = self._copy_children(order)
            before = self._store.files_in(order.target, order.to)
            names = {entry.name for entry in self._store.files_in(order.source, order.path)}
            replaced = [entry for entry in before if entry.name not in names]
            if replaced:
                wire.require("delete", f"{order.target}/{order.to}")
            self._relocation.carry_out(order, fail_fast=True)
            self._store.remove(replaced)
            self._rename(order)
            if order.moves:
                self._remove(children)

    def _copy_children(self, order: RelocationOrder) -> list[RelocationOrder]:
        """Copy the images of an index, which have directories of their own, and return what was copied."""
        index = self._store.file(order.source, f"{order.path}/{INDEX}")
        image, target = (path.rpartition("/")[0] for path in (order.path, order.to))
        if index is None or (order.source, image) == (order.target, target):
            return []
        names = [name for child in self._children(index) for name in (child, child.replace(":", "__"))]
        copies = [
            RelocationOrder(order.source, f"{image}/{name}", order.target, f"{target}/{name}", moves=False)
            for name in names
            if self._store.directory(order.source, f"{image}/{name}")
        ]
        for copy in copies:
            self._relocation.carry_out(copy, fail_fast=True)
        return copies

    def _children(self, index: FileEntry) -> list[str]:
        manifest = read_manifest(self._store.content.path(index.checksums.sha256).read_bytes(), index.media_type)
        return [str(child.digest) for child in manifest.children]

    def _remove(self, copies: Sequence[RelocationOrder]) -> None:
        """Remove the images of an index that was moved, except those that other indexes of the image name."""
        for copy in copies:
            image, _, name = copy.path.rpartition("/")
            others = self._store.holding((INDEX,), copy.source, image)
            indexes = filter(None, (self._store.file(copy.source, f"{one}/{INDEX}") for one in others))
            if not any(name.replace("__", ":") in self._children(index) for index in indexes):
                self._store.remove_directory(copy.source, copy.path)

    def _rename(self, order: RelocationOrder) -> None:
        """Give manifests the properties of their new names."""
        for entry in self._store.files(order.target, order.to):
            if entry.name in {INDEX, SINGLE}:
                image, _, tag = entry.directory.rpartition("/")
                names = {"docker.repoName": [image], "docker.manifest": [tag]}
                self._store.set_properties(entry.repo, entry.path, names)


def _texts(document: Mapping[str, Any]) -> dict[str, str]:
    named = {name: field(document, name, str, "") for name in _FIELDS}
    for name in ("targetRepo", "dockerRepository"):
        if not named[name]:
            _refuse(f"{name} is missing")
    return named


def _refuse(message: str) -> NoReturn:
    raise RequestRefusedError(400, "BAD_REQUEST", message)

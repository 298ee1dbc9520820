"""Pages for people at ``/ui/``: repositories and images; they change nothing, and show no secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from aiohttp import web

from buildpush.images.references import Digest
from buildpush.sandbox import layout
from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.build_pages import BuildPages, build_address, run_table
from buildpush.sandbox.deploying import IMAGE_TYPES
from buildpush.sandbox.entries import BUILD_INFO, FileEntry, RepositoryEntry
from buildpush.sandbox.file_pages import FilePages
from buildpush.sandbox.html import Markup, code, element, facts, joined, link, table
from buildpush.sandbox.layout import Target
from buildpush.sandbox.manifests import INDEX, StoredManifest, read_manifest
from buildpush.sandbox.page import answer, hidden_where_secret, moment, size
from buildpush.sandbox.store import Store

_LATEST = 5


class Pages:
    """Handlers for the pages."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[web.RouteDef]:
        """Return every route; GET includes HEAD."""
        handlers = (
            ("/", _to_start),
            ("/ui", _to_start),
            ("/ui/", self.start),
            ("/ui/repositories{_:/?}", self.repositories),
            ("/ui/repositories/{key}", self.repository),
            ("/ui/images/{key}/{image:.+}/{tag}", self.image),
        )
        others = (*BuildPages(self._store).routes(), *FilePages(self._store).routes())
        return [*(web.get(path, act) for path, act in handlers), *others]

    async def start(self, request: web.Request) -> web.Response:
        """Show how to log in, what is stored, and the latest builds."""
        host = request.host
        commands = (
            f"docker login {host}\ndocker tag app:1 {host}/docker-local/app:1\ndocker push {host}/docker-local/app:1"
        )
        return answer(
            "Start",
            element("h1", "An Artifactory to practise on"),
            element("p", "User name and password were shown when the sandbox started.", class_="lead"),
            element("pre", commands),
            element("h2", "Repositories"),
            self._repository_table(),
            element("h2", "Latest builds"),
            run_table(self._store.builds()[:_LATEST]),
        )

    # Repositories and images

    async def repositories(self, _request: web.Request) -> web.Response:
        """List the repositories."""
        return answer("Repositories", element("h1", "Repositories"), self._repository_table())

    def _repository_table(self) -> Markup:
        rows = [self._repository_row(one) for one in self._store.repositories()]
        return table(("Key", "Kind", "Type", "Images", "Stored", ""), rows, "None.")

    def _repository_row(self, repository: RepositoryEntry) -> tuple[object, ...]:
        files = [file for key in repository.physical for file in self._store.files(key)]
        contents = {file.checksums.sha256: file.checksums.size for file in files}
        kind = f"virtual: {', '.join(repository.members)}" if repository.rclass == "virtual" else repository.rclass
        tree = f"/ui/files/{quote(repository.key)}/"
        of_images = repository.package_type in IMAGE_TYPES
        address = f"/ui/repositories/{quote(repository.key)}" if of_images else tree
        images = len(self._tags(repository)) if of_images else ""
        stored = size(sum(contents.values()))
        return link(address, repository.key), kind, repository.package_type, images, stored, link(tree, "files")

    def _tags(self, repository: RepositoryEntry) -> dict[str, list[str]]:
        """Return the tags of each image in a repository, by the image's path."""
        tags: dict[str, list[str]] = {}
        for image, tag in sorted({pair for key in repository.physical for pair in layout.images(self._store, key)}):
            tags.setdefault(image, []).append(tag)
        return tags

    async def repository(self, request: web.Request) -> web.Response:
        """List the images of a repository with their tags."""
        repository = self._repository(request)
        rows: list[tuple[object, ...]] = [
            (image, joined(*(_tag_link(repository.key, image, tag) for tag in tags)))
            for image, tags in self._tags(repository).items()
        ]
        return answer(
            repository.key,
            element("h1", repository.key),
            element("p", f"{repository.rclass} repository for images, also ", _tree(repository, ""), class_="lead"),
            table(("Image", "Tags"), rows, "Nothing has been pushed here yet."),
        )

    def _repository(self, request: web.Request) -> RepositoryEntry:
        repository = self._store.repository(request.match_info["key"])
        if repository is None:
            raise RequestRefusedError(404, "NOT_FOUND", f"There is no repository {request.match_info['key']}.")
        return repository

    async def image(self, request: web.Request) -> web.Response:
        """Show one tag: digest, layers or platforms, properties."""
        repository = self._repository(request)
        image, tag = request.match_info["image"], request.match_info["tag"]
        target = Target(f"{repository.key}/{image}", repository, image)
        entry = next(iter(layout.find_manifests(self._store, target, tag)), None)
        if entry is None:
            raise RequestRefusedError(404, "NOT_FOUND", f"There is no {image}:{tag} in {repository.key}.")
        manifest = read_manifest(self._content(entry.checksums.sha256), entry.media_type)
        separator = "@" if ":" in tag else ":"
        name = f"{request.host}/{target.name}{separator}{tag}"
        return answer(
            f"{image}:{tag}",
            element("h1", f"{image}{separator}{tag}"),
            element(
                "p",
                "in ",
                link(f"/ui/repositories/{quote(repository.key)}", repository.key),
                ", also ",
                _tree(repository, entry.directory),
                class_="lead",
            ),
            element("pre", f"docker pull {name}"),
            element("h2", "Image"),
            element("div", self._image_facts(entry, manifest), class_="card"),
            self._platforms(target, manifest) if entry.name == INDEX else self._layers(manifest),
            element("h2", "Referrers"),
            self._referrers(target, entry),
            element("h2", "Properties"),
            element("div", self._properties(entry), class_="card"),
        )

    def _content(self, sha256: str) -> bytes:
        return self._store.content.path(sha256).read_bytes()

    def _image_facts(self, entry: FileEntry, manifest: StoredManifest) -> Markup:
        config = self._config(manifest)
        platform = "/".join(str(config[key]) for key in ("os", "architecture", "variant") if config.get(key))
        total = sum(part.size for part in manifest.blobs)
        return facts(
            [
                ("Digest", code(entry.checksums.digest)),
                ("Media type", code(entry.media_type)),
                ("Platform", platform),
                ("Size", size(total) if total else None),
                ("Pushed", f"{moment(entry.modified)} by {entry.created_by}"),
                ("Config", code(manifest.config.digest) if manifest.config else None),
                ("Build", self._build_link(entry)),
            ]
        )

    def _config(self, manifest: StoredManifest) -> Mapping[str, Any]:
        with suppress(OSError, ValueError, RecursionError):
            document = json.loads(self._content(manifest.config.digest.hex)) if manifest.config else {}
            return document if isinstance(document, dict) else {}
        return {}

    def _build_link(self, entry: FileEntry) -> Markup | None:
        """Return a link to the build that the file's properties name."""
        properties = self._store.properties(entry.repo, entry.path)
        keys = ("build.name", "build.number", "build.timestamp")
        name, number, started = ((properties.get(key) or [""])[0] for key in keys)
        if not (name and number and started):
            return None
        return link(build_address(name, number, started, BUILD_INFO), f"{name} #{number}")

    def _layers(self, manifest: StoredManifest) -> Markup:
        history = [step for step in self._config(manifest).get("history") or [] if isinstance(step, dict)]
        made_by = [str(step.get("created_by", "")) for step in history if not step.get("empty_layer")]
        made_by += [""] * len(manifest.layers)
        rows: list[tuple[object, ...]] = [
            (position, size(layer.size), made, code(layer.digest))
            for position, (layer, made) in enumerate(zip(manifest.layers, made_by, strict=False), start=1)
        ]
        return joined(element("h2", "Layers"), table(("Layer", "Size", "Made by", "Digest"), rows, "It has no layers."))

    def _platforms(self, target: Target, manifest: StoredManifest) -> Markup:
        rows: list[tuple[object, ...]] = [
            (child.platform or "unknown", code(_image_link(target, child.digest)), size(child.size))
            for child in manifest.children
        ]
        head = ("Platform", "Digest", "Manifest")
        return joined(element("h2", "Platforms"), table(head, rows, "The index is empty."))

    def _referrers(self, target: Target, entry: FileEntry) -> Markup:
        """Return what refers to the manifest: signatures, SBOMs, provenance."""
        found = layout.referrers(self._store, target, Digest(entry.checksums.digest))
        rows: list[tuple[object, ...]] = [
            (one.get("artifactType") or one["mediaType"], code(_image_link(target, one["digest"])), size(one["size"]))
            for one in found
        ]
        return table(("Type", "Digest", "Manifest"), rows, "Nothing refers to it.")

    def _properties(self, entry: FileEntry) -> Markup:
        properties = self._store.properties(entry.repo, entry.path)
        return hidden_where_secret({key: ", ".join(values) for key, values in properties.items()}, "None.")


def error_page(refused: RequestRefusedError, headers: Mapping[str, str]) -> web.Response:
    """Return the page that people see instead of an error document."""
    back = element("p", link("/ui/", "Back to the start"))
    error = answer("Not here", element("h1", refused.message), back)
    error.set_status(refused.status)
    error.headers.update(headers)
    return error


async def _to_start(_request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "/ui/"})


def _tag_link(key: str, image: str, tag: str) -> Markup:
    return element("a", tag, href=f"/ui/images/{quote(key)}/{quote(image)}/{quote(tag)}", class_="tag")


def _image_link(target: Target, digest: object) -> Markup:
    address = f"/ui/images/{quote(target.repository.key)}/{quote(target.image)}/{quote(str(digest))}"
    return link(address, digest)


def _tree(repository: RepositoryEntry, directory: str) -> Markup:
    return link(f"/ui/files/{quote(repository.key)}/{quote(directory)}", "as files")

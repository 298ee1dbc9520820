"""Pages for people at ``/ui/``: repositories, images and builds; they change nothing, and show no secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from aiohttp import web

from buildpush.foundation.secrets import MASK
from buildpush.sandbox import layout
from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.entries import BUILD_INFO, BuildEntry, FileEntry, RepositoryEntry
from buildpush.sandbox.html import Markup, code, element, facts, joined, link, page, table
from buildpush.sandbox.layout import Target
from buildpush.sandbox.manifests import INDEX, ContentDescriptor, StoredManifest, read_manifest
from buildpush.sandbox.store import Store

# Pages load nothing and run nothing, whatever is in a label or a build name.
PROTECTION = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:"}
_SECRET_KEY = re.compile(r"passw|secret|token|psw|pwd|apikey|api_key|credential|private|auth(?!or)", re.IGNORECASE)
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
            ("/ui/repositories/", self.repositories),
            ("/ui/repositories/{key}", self.repository),
            ("/ui/images/{key}/{image:.+}/{tag}", self.image),
            ("/ui/builds/", self.builds),
            ("/ui/builds/{name}", self.runs),
            ("/ui/builds/{name}/{number}/{started}/published", self.build),
        )
        return [web.get(path, act) for path, act in handlers]

    async def start(self, request: web.Request) -> web.Response:
        """Show how to log in, what is stored, and the latest builds."""
        host = request.host
        commands = (
            f"docker login {host}\ndocker tag app:1 {host}/docker-local/app:1\ndocker push {host}/docker-local/app:1"
        )
        return _answer(
            "Start",
            element("h1", "An Artifactory to practise on"),
            element("p", "User name and password were shown when the sandbox started.", class_="lead"),
            element("pre", commands),
            element("h2", "Repositories"),
            self._repository_table(),
            element("h2", "Latest builds"),
            _run_table(self._store.builds()[:_LATEST]),
        )

    # Repositories and images

    async def repositories(self, _request: web.Request) -> web.Response:
        """List the repositories."""
        return _answer("Repositories", element("h1", "Repositories"), self._repository_table())

    def _repository_table(self) -> Markup:
        repositories = [repository for repository in self._store.repositories() if repository.package_type == "docker"]
        return table(("Key", "Kind", "Images", "Stored"), [self._repository_row(one) for one in repositories], "None.")

    def _repository_row(self, repository: RepositoryEntry) -> tuple[object, ...]:
        files = [file for key in repository.physical for file in self._store.files(key)]
        contents = {file.checksums.sha256: file.checksums.size for file in files}
        kind = f"virtual: {', '.join(repository.members)}" if repository.members else repository.rclass
        address = f"/ui/repositories/{quote(repository.key)}"
        return link(address, repository.key), kind, len(self._tags(repository)), size(sum(contents.values()))

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
        return _answer(
            repository.key,
            element("h1", repository.key),
            element("p", f"{repository.rclass} repository for images", class_="lead"),
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
        return _answer(
            f"{image}:{tag}",
            element("h1", f"{image}{separator}{tag}"),
            element("p", "in ", link(f"/ui/repositories/{quote(repository.key)}", repository.key), class_="lead"),
            element("pre", f"docker pull {name}"),
            element("h2", "Image"),
            element("div", self._image_facts(entry, manifest), class_="card"),
            self._platforms(target, manifest) if entry.name == INDEX else self._layers(manifest),
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
            (child.platform or "unknown", code(_child_link(target, child)), size(child.size))
            for child in manifest.children
        ]
        head = ("Platform", "Digest", "Manifest")
        return joined(element("h2", "Platforms"), table(head, rows, "The index is empty."))

    def _properties(self, entry: FileEntry) -> Markup:
        properties = self._store.properties(entry.repo, entry.path)
        return _hidden_where_secret({key: ", ".join(values) for key, values in properties.items()}, "None.")

    # Builds

    async def builds(self, _request: web.Request) -> web.Response:
        """List the newest run of every build."""
        newest: dict[str, BuildEntry] = {}
        for build in self._store.builds():
            newest.setdefault(build.name, build)
        return _answer("Builds", element("h1", "Builds"), _run_table(list(newest.values())))

    async def runs(self, request: web.Request) -> web.Response:
        """List all runs of a build."""
        name = request.match_info["name"]
        builds = self._store.builds(name)
        if not builds:
            raise RequestRefusedError(404, "NOT_FOUND", f"There is no build {name}.")
        return _answer(name, element("h1", name), _run_table(builds))

    async def build(self, request: web.Request) -> web.Response:
        """Show one run: its facts, sources, modules and environment."""
        name, number = request.match_info["name"], request.match_info["number"]
        repo = request.query.get("buildRepo", BUILD_INFO)
        runs = [
            build
            for build in self._store.builds(name, number, repo)
            if str(build.started_ms) == request.match_info["started"]
        ]
        if not runs:
            raise RequestRefusedError(404, "NOT_FOUND", f"There is no build {name} #{number} of that time in {repo}.")
        document = runs[0].document
        return _answer(
            f"{name} #{number}",
            element("h1", f"{name} #{number}"),
            element("p", link(f"/ui/builds/{quote(name, safe='')}", "all runs"), class_="lead"),
            element("div", _build_facts(runs[0]), class_="card"),
            _sources(_dicts(document.get("vcs"))),
            element("h2", "Modules"),
            joined(*(_module(module) for module in _dicts(document.get("modules")))),
            element("h2", "Environment"),
            element(
                "div", _hidden_where_secret(_texts(document.get("properties")), "None was recorded."), class_="card"
            ),
            element("details", element("summary", "Build-info document"), element("pre", _document_json(document))),
        )


def error_page(refused: RequestRefusedError, headers: Mapping[str, str]) -> web.Response:
    """Return the page that people see instead of an error document."""
    back = element("p", link("/ui/", "Back to the start"))
    answer = _answer("Not here", element("h1", refused.message), back)
    answer.set_status(refused.status)
    answer.headers.update(headers)
    return answer


def build_address(name: str, number: str, started: object, repo: str) -> str:
    """Return the address of a run's page, as JFrog's own clients print it."""
    path = f"{quote(name, safe='')}/{quote(number, safe='')}/{quote(str(started))}/published"
    return f"/ui/builds/{path}?buildRepo={quote(repo)}"


def size(number: int) -> str:
    """Return a number of bytes in a readable decimal unit; the number and the unit stay on one line."""
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:  # noqa: PLR2004 - the next unit
            return f"{value:.0f}\N{NO-BREAK SPACE}{unit}" if unit == "B" else f"{value:.1f}\N{NO-BREAK SPACE}{unit}"
        value /= 1000
    return f"{value:.1f}\N{NO-BREAK SPACE}TB"


def moment(seconds: float) -> str:
    """Return a time in UTC, to the second."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


async def _to_start(_request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "/ui/"})


def _answer(title: str, *content: object) -> web.Response:
    # Documents may contain a lone surrogate, which UTF-8 cannot encode.
    body = page(title, *content).encode(errors="replace")
    return web.Response(body=body, content_type="text/html", charset="utf-8", headers=PROTECTION)


def _tag_link(key: str, image: str, tag: str) -> Markup:
    return element("a", tag, href=f"/ui/images/{quote(key)}/{quote(image)}/{quote(tag)}", class_="tag")


def _child_link(target: Target, child: ContentDescriptor) -> Markup:
    address = f"/ui/images/{quote(target.repository.key)}/{quote(target.image)}/{quote(str(child.digest))}"
    return link(address, child.digest)


def _run_table(builds: list[BuildEntry]) -> Markup:
    rows: list[tuple[object, ...]] = [
        (
            link(f"/ui/builds/{quote(build.name, safe='')}", build.name),
            link(build_address(build.name, build.number, build.started_ms, build.repo), f"#{build.number}"),
            moment(build.started_ms / 1000),
            len(_dicts(build.document.get("modules"))),
        )
        for build in builds
    ]
    return table(("Build", "Run", "Started", "Modules"), rows, "No build has been published yet.")


def _build_facts(build: BuildEntry) -> Markup:
    document = build.document
    agents = [_texts(document.get(key)) for key in ("agent", "buildAgent")]
    agent, build_agent = (f"{found.get('name', '')} {found.get('version', '')}".strip() for found in agents)
    duration = document.get("durationMillis")
    address = str(document.get("url") or "")
    return facts(
        [
            ("Started", document.get("started")),
            ("Took", f"{duration / 1000:.1f} s" if isinstance(duration, int) and duration else None),
            ("Published by", document.get("artifactoryPrincipal")),
            ("Principal", document.get("principal")),
            ("Build page", link(address, address) if address else None),
            ("Agent", agent),
            ("Build agent", build_agent),
        ]
    )


def _sources(listed: list[Mapping[str, Any]]) -> Markup | None:
    if not listed:
        return None
    names = {"Repository": "url", "Revision": "revision", "Branch": "branch", "Message": "message"}
    cards = [facts([(name, str(one.get(key) or "")) for name, key in names.items()]) for one in listed]
    return joined(element("h2", "Source"), *(element("div", card, class_="card") for card in cards))


def _module(module: Mapping[str, Any]) -> Markup:
    artifacts, dependencies = _dicts(module.get("artifacts")), _dicts(module.get("dependencies"))
    rows: list[tuple[object, ...]] = [
        (_artifact_link(one), code(_short(one.get("sha256"))), one.get("path", "")) for one in artifacts
    ]
    base: list[tuple[object, ...]] = [(code(one.get("id", "")), code(_short(one.get("sha1")))) for one in dependencies]
    return element(
        "section",
        element("h3", module.get("id", "")),
        _hidden_where_secret(_texts(module.get("properties")), "No properties."),
        element("h3", f"Artifacts ({len(artifacts)})"),
        table(("Name", "SHA-256", "Path"), rows, "None."),
        element("h3", f"Dependencies ({len(dependencies)})") if dependencies else None,
        table(("Id", "SHA-1"), base, "") if dependencies else None,
        class_="card",
    )


def _artifact_link(artifact: Mapping[str, Any]) -> Markup:
    """Return the artifact's name; that of a manifest is a link to the page of its image."""
    name, path = str(artifact.get("name", "")), str(artifact.get("path", ""))
    key = str(artifact.get("originalDeploymentRepo") or "")
    if not key or not name.endswith("manifest.json"):
        return code(name)
    return link(f"/ui/images/{quote(key)}/{quote(path.rpartition('/')[0])}", code(name))


def _short(value: object) -> str:
    text = str(value or "")
    return f"{text[:12]}…" if text else ""


def _hidden_where_secret(values: Mapping[str, str], empty: str) -> Markup:
    if not values:
        return element("p", empty, class_="empty")
    return facts([(key, _value_unless_secret(key, value)) for key, value in sorted(values.items())])


def _value_unless_secret(key: str, value: str) -> str:
    return MASK if _SECRET_KEY.search(key) else value


def _document_json(document: Mapping[str, Any]) -> str:
    properties = {key: _value_unless_secret(key, value) for key, value in _texts(document.get("properties")).items()}
    return json.dumps({**document, "properties": properties}, indent=2, ensure_ascii=False)


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _texts(value: Any) -> dict[str, str]:
    return {str(key): str(text) for key, text in value.items()} if isinstance(value, dict) else {}

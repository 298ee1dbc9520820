"""Pages of builds: their runs, and of a run what it made, from what, its promotions, and what changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from aiohttp import web

from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.entries import BUILD_INFO, BuildEntry
from buildpush.sandbox.html import Markup, code, element, facts, joined, link, table
from buildpush.sandbox.page import answer, dicts, hidden_where_secret, moment, short, texts, value_unless_secret
from buildpush.sandbox.store import Store


class BuildPages:
    """Handlers for the pages of builds."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[web.RouteDef]:
        """Return every route; GET includes HEAD."""
        handlers = (
            ("/ui/builds{_:/?}", self.builds),
            ("/ui/builds/{name}", self.runs),
            ("/ui/builds/{name}/{number}/{started}/published", self.build),
        )
        return [web.get(path, act) for path, act in handlers]

    async def builds(self, _request: web.Request) -> web.Response:
        """List the newest run of every build."""
        newest: dict[str, BuildEntry] = {}
        for build in self._store.builds():
            newest.setdefault(build.name, build)
        return answer("Builds", element("h1", "Builds"), run_table(list(newest.values())))

    async def runs(self, request: web.Request) -> web.Response:
        """List all runs of a build."""
        name = request.match_info["name"]
        builds = self._store.builds(name)
        if not builds:
            raise RequestRefusedError(404, "NOT_FOUND", f"There is no build {name}.")
        return answer(name, element("h1", name), run_table(builds))

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
        return answer(
            f"{name} #{number}",
            element("h1", f"{name} #{number}"),
            element("p", link(f"/ui/builds/{quote(name, safe='')}", "all runs"), class_="lead"),
            element("div", _build_facts(runs[0]), class_="card"),
            _sources(dicts(document.get("vcs"))),
            *_issues(document),
            element("h2", "Modules"),
            joined(*(_module(module) for module in dicts(document.get("modules")))),
            element("h2", "Environment"),
            element("div", hidden_where_secret(texts(document.get("properties")), "None was recorded."), class_="card"),
            element("h2", "Promotions"),
            _promotions(dicts(document.get("statuses"))),
            *self._changes(runs[0]),
            element("details", element("summary", "Build-info document"), element("pre", _document_json(document))),
        )

    def _changes(self, build: BuildEntry) -> tuple[Markup, ...]:
        """Return what differs from the run before; nothing, if this is the first."""
        earlier = [run for run in self._store.builds(build.name, repo=build.repo) if run.started_ms < build.started_ms]
        if not earlier:
            return ()
        before = max(earlier, key=lambda run: run.started_ms)
        address = build_address(before.name, before.number, before.started_ms, before.repo)
        head = element("h2", "Changes since ", link(address, f"#{before.number}"))
        return head, _difference(before.document, build.document)


def build_address(name: str, number: str, started: object, repo: str) -> str:
    """Return the address of a run's page, as JFrog's own clients print it."""
    path = f"{quote(name, safe='')}/{quote(number, safe='')}/{quote(str(started))}/published"
    return f"/ui/builds/{path}?buildRepo={quote(repo)}"


def run_table(builds: list[BuildEntry]) -> Markup:
    """Return a table of runs, each with a link to its page."""
    rows: list[tuple[object, ...]] = [
        (
            link(f"/ui/builds/{quote(build.name, safe='')}", build.name),
            link(build_address(build.name, build.number, build.started_ms, build.repo), f"#{build.number}"),
            moment(build.started_ms / 1000),
            len(dicts(build.document.get("modules"))),
        )
        for build in builds
    ]
    return table(("Build", "Run", "Started", "Modules"), rows, "No build has been published yet.")


def _build_facts(build: BuildEntry) -> Markup:
    document = build.document
    agents = [texts(document.get(key)) for key in ("agent", "buildAgent")]
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


def _issues(document: Mapping[str, Any]) -> tuple[Markup, ...]:
    """Return the issues that the commits of the run are about; nothing, if it has none."""
    listed = _listed_issues(document)
    if not listed:
        return ()
    rows: list[tuple[object, ...]] = [
        (
            link(str(one.get("url") or ""), str(one.get("key") or "")),
            str(one.get("summary") or ""),
            "an earlier one" if one.get("aggregated") is True else "this one",
        )
        for one in listed
    ]
    return element("h2", "Issues"), table(("Key", "Summary", "Run"), rows, "")


def _listed_issues(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    issues = document.get("issues")
    return dicts(issues.get("affectedIssues")) if isinstance(issues, Mapping) else []


def _module(module: Mapping[str, Any]) -> Markup:
    artifacts, dependencies = dicts(module.get("artifacts")), dicts(module.get("dependencies"))
    rows: list[tuple[object, ...]] = [
        (_artifact_link(one), code(short(one.get("sha256"))), one.get("path", "")) for one in artifacts
    ]
    base: list[tuple[object, ...]] = [(code(one.get("id", "")), code(short(one.get("sha1")))) for one in dependencies]
    return element(
        "section",
        element("h3", module.get("id", "")),
        hidden_where_secret(texts(module.get("properties")), "No properties."),
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


def _document_json(document: Mapping[str, Any]) -> str:
    properties = {key: value_unless_secret(key, value) for key, value in texts(document.get("properties")).items()}
    return json.dumps({**document, "properties": properties}, indent=2, ensure_ascii=False)


def _promotions(statuses: list[Mapping[str, Any]]) -> Markup:
    keys = ("timestamp", "status", "repository", "user", "ciUser", "comment")
    rows: list[tuple[object, ...]] = [tuple(str(one.get(key) or "") for key in keys) for one in statuses]
    head = ("Time", "Status", "Repository", "User", "CI user", "Comment")
    return table(head, rows, "It was not promoted.")


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> Markup:
    """Return a table of everything that only one of two runs has, or that both have with other values."""
    before, after = _facts_of(old), _facts_of(new)
    changed = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    rows: list[tuple[object, ...]] = [
        (
            key[1],
            key[2],
            code(key[3]),
            *(code(short(found.get(key)) if key[0] else found.get(key, "")) for found in (before, after)),
        )
        for key in changed
    ]
    return table(("What", "Module", "Name", "Before", "Now"), rows, "Nothing.")


_Key = tuple[bool, str, str, str]


def _facts_of(document: Mapping[str, Any]) -> dict[_Key, str]:
    """Return what can differ, by whether it is a checksum, what it is, its module without a tag, and its name."""
    found: dict[_Key, str] = {}
    for module in dicts(document.get("modules")):
        stem = str(module.get("id", "")).partition(":")[0]
        for part, key, name in (("base", "dependencies", "id"), ("file", "artifacts", "name")):
            for file in dicts(module.get(key)):
                found[True, part, stem, str(file.get(name, ""))] = str(file.get("sha256") or file.get("sha1") or "")
    properties = texts(document.get("properties"))
    found |= {(False, "environment", "", name): value_unless_secret(name, text) for name, text in properties.items()}
    sources = dicts(document.get("vcs"))
    issues = {
        str(one.get("key") or ""): str(one.get("summary") or one.get("key") or "") for one in _listed_issues(document)
    }
    found |= {(False, "issue", "", key): summary for key, summary in issues.items()}
    return found | {(False, "source", "", str(one.get("url", ""))): str(one.get("revision", "")) for one in sources}

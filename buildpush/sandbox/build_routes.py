"""Artifactory's REST interface for builds, below ``/artifactory/api/build``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from aiohttp import web

from buildpush.sandbox import builds, wire
from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.bodies import field, flag, read_json, read_object, texts
from buildpush.sandbox.build_diff import difference
from buildpush.sandbox.deploying import Deployer
from buildpush.sandbox.entries import BuildEntry
from buildpush.sandbox.promotion import BuildPromotion, message, read_order
from buildpush.sandbox.retention import RetentionRule, delete_runs, named_runs, read_rule
from buildpush.sandbox.store import Store
from buildpush.sandbox.wire import BASE

_TRUE = {"1", "true"}


class BuildRoutes:
    """Handlers that publish, show, change, promote and delete builds."""

    def __init__(self, store: Store, deployer: Deployer) -> None:
        self._store = store
        self._deployer = deployer

    def routes(self) -> list[web.RouteDef]:
        """Return every route; GET includes HEAD. A name may be that of an action, where the method is another."""
        handlers = (
            ("PUT", "", self.publish),
            ("GET", "", self.names),
            ("POST", "/delete", self.delete),
            ("POST", "/append/{name}/{number}", self.append),
            ("POST", "/rename/{name}", self.rename),
            ("POST", "/retention/{name}", self.discard),
            ("POST", "/promote/{name}/{number}", self.promote),
            ("GET", "/{name}", self.numbers),
            ("DELETE", "/{name}", self.delete_by_query),
            ("GET", "/{name}/{number}", self.show),
        )
        return [web.route(method, f"{BASE}/api/build{path}", act) for method, path, act in handlers]

    def _repository(self, request: web.Request, *rights: str, **named: str) -> str:
        """Return the key of the repository of the builds, in which the caller must have these rights.

        Args:
            request: names the project or the repository in its query.
            rights: see :data:`buildpush.sandbox.permissions.RIGHTS`.
            named: ``project`` and ``buildRepo`` of its body, before those of the query.
        """
        project, repo = (named.get(key) or request.query.get(key) for key in ("project", "buildRepo"))
        key = builds.build_repository(self._store, project, repo)
        for right in rights:
            wire.require(right, key)
        return key

    def _run(self, request: web.Request, repo: str) -> BuildEntry:
        name, number = request.match_info["name"], request.match_info["number"]
        return builds.find_build(self._store, name, number, repo=repo, started=request.query.get("started"))

    # Published and shown

    async def publish(self, request: web.Request) -> web.Response:
        """Publish a build, and delete the runs that the rule in its document does not keep."""
        repo, who = self._repository(request, "publish"), wire.caller()
        run = builds.read_build(repo, await wire.read_all(request, builds.LARGEST), who.username)
        rule = field(run.document, "buildRetention", dict, {})
        with self._store.change():
            sha256 = builds.keep_build(self._store, run, who)
            if rule:
                wire.require("delete", repo)
                self._discard(run.name, repo, read_rule(rule))
        return web.Response(status=204, headers={"X-Checksum-Sha256": sha256})

    async def names(self, request: web.Request) -> web.Response:
        """List the names of all builds."""
        latest = self._store.build_names(self._repository(request, "read"))
        if not latest:
            raise RequestRefusedError(404, "NOT_FOUND", "No builds were found")
        listed = [
            {"uri": f"/{quote(name, safe='')}", "lastStarted": builds.write_started(moment)} for name, moment in latest
        ]
        return web.json_response({"uri": _address(request), "builds": listed})

    async def numbers(self, request: web.Request) -> web.Response:
        """List the runs of one build, newest first."""
        name = request.match_info["name"]
        runs = self._store.build_runs(self._repository(request, "read"), name)
        if not runs:
            raise _unknown(name)
        listed = [
            {"uri": f"/{quote(number, safe='')}", "started": builds.write_started(moment)} for number, moment in runs
        ]
        return web.json_response({"uri": _address(request, name), "buildsNumbers": listed})

    async def show(self, request: web.Request) -> web.Response:
        """Show one run as it was stored, or with ``diff`` its difference to an older one."""
        repo = self._repository(request, "read")
        run = self._run(request, repo)
        if older := request.query.get("diff"):
            return web.json_response(difference(run, builds.find_build(self._store, run.name, older, repo=repo)))
        return web.json_response({"uri": _address(request, run.name, run.number), "buildInfo": run.document})

    def _runs(self, name: str, repo: str) -> list[BuildEntry]:
        """Return the runs of a build, newest first.

        Raises:
            RequestRefusedError: 404, there is none.
        """
        runs = self._store.builds(name, repo=repo)
        if not runs:
            raise _unknown(name)
        return runs

    # Changed and promoted

    async def append(self, request: web.Request) -> web.Response:
        """Append modules to a run; those with the same id are not merged."""
        repo = self._repository(request, "publish")
        modules = read_json(await wire.read_all(request, builds.LARGEST))
        try:
            builds.check_modules(modules)
            run = self._run(request, repo)
        except ValueError as error:
            raise RequestRefusedError(400, "BAD_REQUEST", f"Could not append modules: {error}") from error
        except RequestRefusedError as refused:
            if refused.status == web.HTTPNotFound.status_code:
                refused.message = "The build {name}:{number} is not found".format_map(request.match_info)
            raise
        document = {**run.document, "modules": [*(run.document.get("modules") or ()), *modules]}
        builds.write_build(self._store, replace(run, document=document), wire.caller().username)
        return web.Response(status=204)

    async def rename(self, request: web.Request) -> web.Response:
        """Rename a build: all its runs, and the properties of their files."""
        repo = self._repository(request, "publish", "delete")
        name, new = request.match_info["name"], request.query.get("to", "")
        if not new.strip() or new.startswith("."):
            raise RequestRefusedError(400, "BAD_REQUEST", "Name the build: ?to=NAME, which does not begin with a dot")
        builds.rename_runs(self._store, self._runs(name, repo), new, wire.caller())
        return web.Response(text=f"Build renaming of '{name}' to '{new}' was successfully started.\n")

    async def promote(self, request: web.Request) -> web.Response:
        """Promote the newest run of a number."""
        repo = self._repository(request, "read", "publish")
        order = read_order(read_object(await wire.read_all(request)))
        if order.timestamp and not builds.is_started(order.timestamp):
            text = f"Unable to parse the timestamp '{order.timestamp}'."
            return web.json_response({"messages": [message("ERROR", text)]}, status=400)
        name, number = request.match_info["name"], request.match_info["number"]
        runs = self._store.builds(name, number, repo)
        if not runs:
            text = f"Cannot find builds by the name '{name}' and the number '{number}' and buildRepo '{repo}'."
            raise RequestRefusedError(404, "NOT_FOUND", text)
        messages = BuildPromotion(self._store, self._deployer, runs[0], order, wire.caller()).apply()
        return web.json_response({"messages": messages})

    # Deleted

    async def discard(self, request: web.Request) -> web.Response:
        """Delete the runs that a rule does not keep; with ``async`` too, they are gone with the answer."""
        repo = self._repository(request, "delete")
        rule = read_rule(read_object(await wire.read_all(request)))
        self._discard(request.match_info["name"], repo, rule)
        return web.Response(status=204)

    def _discard(self, name: str, repo: str, rule: RetentionRule) -> None:
        runs = rule.discarded(self._runs(name, repo))
        delete_runs(self._store, runs, wire.caller(), artifacts=rule.artifacts)

    async def delete(self, request: web.Request) -> web.Response:
        """Delete runs that the body names."""
        body = read_object(await wire.read_all(request))
        named = {key: field(body, key, str, "") for key in ("project", "buildRepo")}
        repo = self._repository(request, "delete", **named)
        artifacts, everything = (flag(body, key) for key in ("deleteArtifacts", "deleteAll"))
        numbers = None if everything else texts(body, "buildNumbers")
        return self._delete(repo, field(body, "buildName", str, ""), numbers, artifacts=artifacts)

    async def delete_by_query(self, request: web.Request) -> web.Response:
        """Delete runs that the query names."""
        repo = self._repository(request, "delete")
        artifacts, everything = (request.query.get(key, "").lower() in _TRUE for key in ("artifacts", "deleteAll"))
        listed = request.query.get("buildNumbers", "")
        numbers = None if everything else [number for number in listed.split(",") if number]
        return self._delete(repo, request.match_info["name"], numbers, artifacts=artifacts)

    def _delete(self, repo: str, name: str, numbers: Iterable[str] | None, *, artifacts: bool) -> web.Response:
        """Delete one run for each listed number, or all if *numbers* is ``None``."""
        runs = self._runs(name, repo)
        chosen, missing = (runs, []) if numbers is None else named_runs(runs, numbers)
        if not chosen:
            text = f"No build was found for build name: {name}, build numbers: {', '.join(missing) or 'none is named'}"
            raise RequestRefusedError(404 if missing else 400, "NOT_FOUND", text)
        delete_runs(self._store, chosen, wire.caller(), artifacts=artifacts)
        if numbers is None:
            return web.Response(text=f"All '{name}' builds have been deleted successfully.\n")
        deleted = ", ".join(f"'{name}#{run.number}'" for run in chosen)
        text = f"The following builds have been deleted successfully: {deleted}.\n"
        absent = ", ".join(f"'{name}#{number}'" for number in missing)
        return web.Response(
            text=text + (f"Warning: the following builds were not found: {absent}.\n" if absent else "")
        )


def _unknown(name: str) -> RequestRefusedError:
    return RequestRefusedError(404, "NOT_FOUND", f"No build was found for build name: {name}")


def _address(request: web.Request, *parts: str) -> Any:
    path = "".join(f"/{quote(part, safe='')}" for part in parts)
    return f"{wire.origin(request)}{BASE}/api/build{path}"

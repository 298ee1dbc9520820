"""Repositories at ``/artifactory/api/repositories``: listed, described, made, changed and removed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NoReturn
from urllib.parse import urlsplit

from aiohttp import web

from buildpush.sandbox import wire
from buildpush.sandbox.answers import RequestRefusedError, forbidden
from buildpush.sandbox.bodies import read_object
from buildpush.sandbox.deploying import IMAGE_TYPES, LOCAL
from buildpush.sandbox.entries import RepositoryEntry
from buildpush.sandbox.remotes import login
from buildpush.sandbox.store import Store
from buildpush.sandbox.upstream import Login
from buildpush.sandbox.wire import BASE

CLASSES = ("local", "remote", "virtual", "federated")
PACKAGE_TYPES = (*IMAGE_TYPES, "generic")
_PATH = f"{BASE}/api/repositories"
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class RepositoryRoutes:
    """Handlers for what is known about repositories."""

    def __init__(self, store: Store, logins: dict[str, Login]) -> None:
        self._store = store
        self._logins = logins

    def routes(self) -> list[web.RouteDef]:
        """Return every route; GET includes HEAD."""
        handlers = (("GET", self.show), ("PUT", self.make), ("POST", self.change), ("DELETE", self.remove))
        of_one = [web.route(method, f"{_PATH}/{{repo}}", act) for method, act in handlers]
        return [web.get(_PATH, self.show_all), *of_one]

    async def show_all(self, request: web.Request) -> web.Response:
        """List the repositories that the caller may use, of one class and package type if asked for."""
        who, query = wire.caller(), request.query
        rclass, package_type = query.get("type", "").lower(), query.get("packageType", "").lower()
        listed = [
            {**_show(request, one, "type"), "type": one.rclass.upper()}
            for one in self._store.repositories()
            if who.sees(one.key) and one.rclass in {rclass or one.rclass} - {"cache"}
            if one.package_type == (package_type or one.package_type)
        ]
        return web.json_response(listed)

    async def show(self, request: web.Request) -> web.Response:
        """Describe one repository; an unknown key is a "Bad Request", as in Artifactory."""
        repository = self._store.repository(request.match_info["repo"])
        if repository is None or not wire.caller().sees(repository.key) or repository.rclass == "cache":
            raise RequestRefusedError(400, "BAD_REQUEST", "Bad Request")
        return web.json_response(_show(request, repository, "rclass"))

    async def make(self, request: web.Request) -> web.Response:
        """Make a repository, and the cache of a remote one."""
        key, document = await self._configuration(request)
        if key.lower() in {one.key.lower() for one in self._store.repositories()}:
            _refuse(f"Case insensitive repository key '{key}' already exists")
        rclass, package_type = document.get("rclass"), document.get("packageType", "generic")
        if rclass not in CLASSES:
            _refuse(f"rclass must be one of {', '.join(CLASSES)}")
        if package_type not in PACKAGE_TYPES:
            _refuse(f"packageType must be one of {', '.join(PACKAGE_TYPES)}")
        add_repository(self._store, self._configured(RepositoryEntry(key, rclass, package_type), document))
        return web.Response(text=f"Successfully created repository '{key}' \n")

    async def change(self, request: web.Request) -> web.Response:
        """Change what may be changed of a repository; its class and package type may not."""
        key, document = await self._configuration(request)
        repository = self._existing(key)
        for name, value in (("rclass", repository.rclass), ("packageType", repository.package_type)):
            if document.get(name, value) != value:
                _refuse(f"{name} of a repository cannot be changed")
        self._store.put_repository(self._configured(repository, document))
        return web.Response(text=f"Repository {key} update successfully.\n")

    async def remove(self, request: web.Request) -> web.Response:
        """Remove a repository with everything in it, and the cache of a remote one."""
        repository = self._existing(_administered(request))
        with self._store.change():
            for key in (repository.key, *(repository.members if repository.rclass == "remote" else ())):
                self._store.remove_repository(key)
        return web.Response(text=f"Repository {repository.key} and all its content have been removed successfully.\n")

    def _existing(self, key: str) -> RepositoryEntry:
        repository = self._store.repository(key)
        if repository is None or repository.rclass not in CLASSES or repository.package_type not in PACKAGE_TYPES:
            raise RequestRefusedError(404, "NOT_FOUND", f"Repository '{key}' not found")
        return repository

    async def _configuration(self, request: web.Request) -> tuple[str, Mapping[str, Any]]:
        key = _administered(request)
        document = read_object(await wire.read_all(request))
        if document.get("key", key) != key or not _KEY.fullmatch(key):
            _refuse(f"'{key}' is no key, or not that of the configuration")
        return key, document

    def _configured(self, before: RepositoryEntry, document: Mapping[str, Any]) -> RepositoryEntry:
        """Return a repository with what the configuration says of its description, members and address."""
        repository = replace(before, description=_text(document, "description", before.description))
        if before.rclass == "remote":
            repository = replace(repository, url=server_address(_text(document, "url", before.url)))
            if username := _text(document, "username", ""):
                self._logins[before.key] = login(username, _text(document, "password", ""))
        if before.rclass == "virtual":
            listed = document.get("repositories", list(before.members))
            deploy_to = _text(document, "defaultDeploymentRepo", before.deploy_to or "") or None
            repository = replace(repository, members=self._members(before, listed), deploy_to=deploy_to)
            if deploy_to and not any(one.key == deploy_to and one.rclass in LOCAL for one in self._of(repository)):
                _refuse(f"'{deploy_to}' is no local repository of '{before.key}'")
        return repository

    def _members(self, repository: RepositoryEntry, listed: object) -> tuple[str, ...]:
        possible = {
            one.key
            for one in self._store.repositories()
            if one.package_type == repository.package_type and one.rclass in {*LOCAL, "remote"}
        }
        if not isinstance(listed, list) or not all(isinstance(key, str) and key in possible for key in listed):
            _refuse(f"repositories must be keys of local and remote {repository.package_type} repositories")
        return tuple(dict.fromkeys(listed))

    def _of(self, repository: RepositoryEntry) -> list[RepositoryEntry]:
        return [one for one in self._store.repositories() if one.key in repository.members]


def add_repository(store: Store, repository: RepositoryEntry) -> None:
    """Add a repository, and the cache of a remote one."""
    with store.change():
        if repository.rclass == "remote":
            cache = f"{repository.key}-cache"
            store.add_repository(RepositoryEntry(cache, "cache", repository.package_type))
            repository = replace(repository, members=(cache,))
        store.put_repository(repository)


def add_remote(store: Store, key: str, url: str) -> None:
    """Add a remote repository for images, or give an existing one another address.

    Raises:
        RequestRefusedError: 400, the key or the address cannot be used.
    """
    before = store.repository(key)
    if not _KEY.fullmatch(key) or (before and before.rclass != "remote"):
        _refuse(f"'{key}' is no key, or that of another repository")
    add_repository(store, replace(before or RepositoryEntry(key, "remote"), url=server_address(url)))


def _administered(request: web.Request) -> str:
    """Return the key in the path; the caller must have all rights everywhere."""
    key, who = request.match_info["repo"], wire.caller()
    if not who.is_admin:
        raise forbidden(who.username, "administer", key)
    return key


def _text(document: Mapping[str, Any], name: str, default: str) -> str:
    value = document.get(name, default)
    if not isinstance(value, str):
        _refuse(f"{name} must be a text")
    return value


def server_address(url: str) -> str:
    """Return the address of a remote repository's server.

    Raises:
        RequestRefusedError: 400, it is none, or has a user or password in it.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        _refuse("url is not an address")
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        _refuse("url must be http:// or https:// without user and password")
    return url.rstrip("/")


def _refuse(message: str) -> NoReturn:
    raise RequestRefusedError(400, "BAD_REQUEST", message)


def _show(request: web.Request, repository: RepositoryEntry, kind: str) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if repository.rclass == "virtual":
        more = {"repositories": list(repository.members), "defaultDeploymentRepo": repository.deploy_to}
    return {
        "key": repository.key,
        kind: repository.rclass,
        "packageType": repository.package_type,
        "url": repository.url or f"{wire.origin(request)}{BASE}/{repository.key}",
        "description": repository.description,
        **more,
    }

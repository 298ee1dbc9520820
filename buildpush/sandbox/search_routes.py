"""Artifactory's searches, below ``/artifactory/api/search``."""

from __future__ import annotations

import asyncio

from aiohttp import web

from buildpush.sandbox import aql, wire
from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.aql_grammar import LONGEST
from buildpush.sandbox.store import Store
from buildpush.sandbox.wire import BASE

# A character is at most four bytes; a longer text is answered as too long, and a much longer one is not read.
LARGEST_QUERY = 64 * LONGEST


class SearchRoutes:
    """Handlers that look for files and builds."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[web.RouteDef]:
        """Return every route."""
        return [web.post(f"{BASE}/api/search/aql", self.aql)]

    async def aql(self, request: web.Request) -> web.Response:
        """Answer a query in the Artifactory Query Language."""
        body = await wire.read_all(request, LARGEST_QUERY)
        try:
            text = body.decode() or request.query.get("query", "")
        except UnicodeDecodeError as error:
            raise RequestRefusedError(400, "BAD_REQUEST", "the query is not UTF-8") from error
        if not text.strip():
            raise RequestRefusedError(400, "BAD_REQUEST", "Bad Request")
        document = await asyncio.to_thread(aql.answer, self._store, text, wire.caller())
        return web.json_response(document)

"""Requests of remote repositories to the servers behind them; no redirect gets credentials."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp import ClientResponse, ClientSession, ClientTimeout, encode_basic_auth

from buildpush.foundation.secrets import Secret

# How long a server may take to connect, and between two pieces of an answer.
_TIMEOUT = ClientTimeout(total=None, connect=10, sock_read=60)
_MOST_REDIRECTS = 3
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
Login = tuple[str, Secret]
Get = Callable[..., Awaitable[ClientResponse]]
# What it means that a server cannot be used now.
UNREACHABLE = (aiohttp.ClientError, TimeoutError, ConnectionError, ValueError)


@asynccontextmanager
async def fetch(url: str, login: Login | None, accept: str = "*/*") -> AsyncIterator[ClientResponse]:
    """Yield the answer to a GET, by a registry token if the server asks for one.

    Raises:
        aiohttp.ClientError, OSError: there is no answer.
        ValueError: the server redirects to what is no address of the web, or without end.
    """
    async with ClientSession(timeout=_TIMEOUT, auto_decompress=False) as session:
        with ExitStack() as opened:
            get = partial(_get, session, opened)
            headers = {"Accept": accept, "Accept-Encoding": "identity", **_basic(login)}
            answer = await get(url, headers=headers)
            challenge = answer.headers.get("WWW-Authenticate", "")
            if answer.status == 401 and challenge.lower().startswith("bearer "):  # noqa: PLR2004 - Unauthorized
                headers["Authorization"] = f"Bearer {await _token(get, url, challenge, login)}"
                answer = await get(url, headers=headers)
            yield await _follow(get, url, answer)


async def _get(session: ClientSession, opened: ExitStack, url: str, **more: Any) -> ClientResponse:
    """Return the answer, which *opened* closes, whether it was read or not."""
    answer = await session.get(url, allow_redirects=False, **more)
    opened.callback(answer.close)
    return answer


async def _follow(get: Get, url: str, answer: ClientResponse) -> ClientResponse:
    for _ in range(_MOST_REDIRECTS):
        if answer.status not in {301, 302, 303, 307, 308}:
            return answer
        url = urljoin(url, answer.headers.get("Location", ""))
        if urlsplit(url).scheme not in {"http", "https"}:
            break
        answer = await get(url, headers={"Accept-Encoding": "identity"})
    message = "the server redirects without end, or to what is no address of the web"
    raise ValueError(message)


async def _token(get: Get, url: str, challenge: str, login: Login | None) -> str:
    """Return a registry token; the login goes to the server itself, and to no other that it names."""
    words = dict(_CHALLENGE.findall(challenge))
    realm = urljoin(url, words.pop("realm", ""))
    if urlsplit(realm).scheme not in {"http", "https"}:
        message = "the realm of the server's tokens is no address of the web"
        raise ValueError(message)
    is_own = urlsplit(realm)[:2] == urlsplit(url)[:2]
    headers = _basic(login) if is_own else {}
    answer = await get(realm, params=words, headers=headers)
    document: Mapping[str, Any] = await answer.json(content_type=None)
    return str(document.get("token") or document.get("access_token") or "")


def _basic(login: Login | None) -> dict[str, str]:
    return {"Authorization": encode_basic_auth(login[0], login[1].reveal(), "utf-8")} if login else {}

"""The web server around the handlers: access, the record of requests, faults, and the answers to errors."""

from __future__ import annotations

import asyncio
import errno
import hmac
import ipaddress
import logging
import secrets
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from ssl import SSLContext
from urllib.parse import urlencode

from aiohttp import web
from yarl import URL

from buildpush.sandbox import wire
from buildpush.sandbox.accounts import Accounts
from buildpush.sandbox.answers import REVISION, VERSION, RequestRefusedError, forbidden
from buildpush.sandbox.blobs import BlobRoutes
from buildpush.sandbox.build_routes import BuildRoutes
from buildpush.sandbox.content import hash_file
from buildpush.sandbox.deploying import Deployer
from buildpush.sandbox.evidence import EvidenceRoutes
from buildpush.sandbox.faults import Fault, Faults
from buildpush.sandbox.files import FileRoutes
from buildpush.sandbox.image_promotion import ImagePromotionRoutes
from buildpush.sandbox.image_requests import ImageRequests, RegistryRules
from buildpush.sandbox.journal import Journal
from buildpush.sandbox.oidc import OidcProvider
from buildpush.sandbox.pages import Pages, error_page
from buildpush.sandbox.permissions import Caller
from buildpush.sandbox.registry import RegistryRoutes
from buildpush.sandbox.relocation import RelocationRoutes
from buildpush.sandbox.remotes import Remotes
from buildpush.sandbox.repositories import RepositoryRoutes
from buildpush.sandbox.rest import RestRoutes
from buildpush.sandbox.search_routes import SearchRoutes
from buildpush.sandbox.sent_file import SentFile, sent_file
from buildpush.sandbox.storage import StorageRoutes
from buildpush.sandbox.store import Store
from buildpush.sandbox.token_routes import TokenRoutes, asks_itself
from buildpush.sandbox.uploads import SIGNATURE
from buildpush.sandbox.upstream import Login

RequestHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PUBLIC = ("/", "/ui", "/artifactory/api/system/ping")
PAGES = "/ui/"
STORE = "/store/"
# Clients may be slow to read or send their last bytes; the server waits no longer than this for them when it stops.
SECONDS_TO_STOP = 0.3
SECONDS_BETWEEN_SWEEPS = 600
READ_AHEAD = 256 * 1024


class Server:
    """An aiohttp application in a separate thread.

    Args:
        listening: a socket that listens already.
        store: not closed by the server.
        tls: for connections by TLS; plain ones are then not answered.
    """

    def __init__(
        self,
        listening: socket.socket,
        store: Store,
        accounts: Accounts,
        faults: Faults,
        journal: Journal,
        *,
        rules: RegistryRules,
        providers: Mapping[str, OidcProvider],
        logins: dict[str, Login],
        tls: SSLContext | None = None,
    ) -> None:
        self._socket = listening
        self._tls = tls
        self._store = store
        self._accounts = accounts
        self._faults = faults
        self._journal = journal
        remotes = Remotes(store, logins)
        self._requests = ImageRequests(store, rules)
        blobs = BlobRoutes(store, remotes, rules, self._requests)
        self._uploads = blobs.uploads
        # The last of these match what the others do not.
        deployer = Deployer(store, rules.immutable)
        relocation = RelocationRoutes(store, deployer)
        groups = (
            RegistryRoutes(store, remotes, rules, self._requests),
            blobs,
            BuildRoutes(store, deployer),
            TokenRoutes(accounts, providers),
            SearchRoutes(store),
            StorageRoutes(store),
            RepositoryRoutes(store, logins),
            relocation,
            ImagePromotionRoutes(store, deployer, relocation),
            EvidenceRoutes(store),
            RestRoutes(store),
            Pages(store),
            FileRoutes(store, deployer, remotes),
        )
        self._routes = [route for group in groups for route in group.routes()]
        self._store_key = secrets.token_bytes(32)
        self._application = self._make_application()
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="buildpush-sandbox", daemon=True)

    def start(self) -> None:
        """Start the thread, and return when requests are answered."""
        self._thread.start()
        self._ready.result()

    def stop(self) -> None:
        """Stop the thread, and return when every connection is closed."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        # It also cancels the rest of requests whose clients have disconnected.
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._answer())

    async def _answer(self) -> None:
        """Answer requests until :meth:`stop`; :meth:`start` raises an error that occurs before the first answer."""
        runner = web.AppRunner(
            self._application,
            access_log=None,
            # aiohttp would log tracebacks for requests that are not HTTP, such as docker's try with TLS.
            logger=_silent_logger(),
            auto_decompress=False,
            read_bufsize=READ_AHEAD,
            shutdown_timeout=SECONDS_TO_STOP,
        )
        try:
            await self._open(runner)
            await self._wait()
        finally:
            await runner.cleanup()
            await self._loop.shutdown_default_executor()
            self._uploads.close()

    async def _wait(self) -> None:
        """Wait for :meth:`stop`, and look for abandoned uploads now and then."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), SECONDS_BETWEEN_SWEEPS)
                return
            self._uploads.forget()

    async def _open(self, runner: web.AppRunner) -> None:
        try:
            await runner.setup()
            await web.SockSite(runner, self._socket, ssl_context=self._tls).start()
        except BaseException as error:
            self._ready.set_exception(error)
            raise
        self._ready.set_result(None)

    def _make_application(self) -> web.Application:
        application = web.Application(middlewares=[self._record, self._explain, self._misbehave, self._admit])
        application.on_response_prepare.append(_add_headers)
        application.add_routes([*self._routes, web.get(STORE + "{digest}", self._from_store)])
        return application

    # Middlewares, outermost first

    @web.middleware
    async def _record(self, request: web.Request, handler: RequestHandler) -> web.StreamResponse:
        """Record each request and its answer."""
        state = wire.RequestState()
        wire.current.set(state)
        start = time.monotonic()
        status = sent = 0
        try:
            answer = await handler(request)
            gone = request.transport is None or request.transport.is_closing()
            status, sent = (0, 0) if gone else (answer.status, _size(request, answer))
            return answer
        finally:
            self._journal.write(request, state, status, time.monotonic() - start, sent)

    @web.middleware
    async def _explain(self, request: web.Request, handler: RequestHandler) -> web.StreamResponse:
        """Turn every error into a document that the clients of the requested path understand."""
        try:
            return await handler(request)
        except RequestRefusedError as refused:
            return self._refusal(request, refused)
        except web.HTTPRedirection:
            raise
        except web.HTTPException as error:
            code = "UNSUPPORTED" if error.status == web.HTTPMethodNotAllowed.status_code else "NOT_FOUND"
            return self._refusal(
                request, RequestRefusedError(error.status, code, f"{request.method} {request.path}: {error.reason}")
            )
        except ConnectionError:
            return web.Response(status=400)  # not sent: the client has disconnected
        except OSError as error:
            status = 507 if error.errno in {errno.ENOSPC, errno.EDQUOT} else 500
            return self._refusal(
                request, RequestRefusedError(status, "UNKNOWN", f"the sandbox's disk says: {error.strerror}")
            )
        except Exception as error:  # noqa: BLE001 - the entry point: an error in the sandbox must not look like a broken line
            self._journal.failures.append(error)
            return self._refusal(
                request, RequestRefusedError(500, "UNKNOWN", f"the sandbox failed: {type(error).__name__}")
            )

    def _refusal(self, request: web.Request, refused: RequestRefusedError) -> web.Response:
        registry = _is_registry(request) and not refused.as_rest
        headers = dict(refused.headers)
        if refused.status == web.HTTPUnauthorized.status_code:
            basic = 'Basic realm="Artifactory Realm"'
            headers.setdefault("WWW-Authenticate", self._requests.challenge(request) if registry else basic)
        if request.path.startswith(PAGES):
            return error_page(refused, headers)
        body = refused.registry_document() if registry else refused.rest_document()
        return web.Response(status=refused.status, body=body, headers=headers, content_type="application/json")

    @web.middleware
    async def _misbehave(self, request: web.Request, handler: RequestHandler) -> web.StreamResponse:
        fault = self._faults.take(request.method, request.path, request.query_string, request.content_length)
        if fault is None:
            return await handler(request)
        wire.current.get().fault = fault
        await asyncio.sleep(fault.delay)
        if fault.close:
            wire.break_connection(request)
        self._expire(request, fault)
        answer = await self._answer_to(request, handler, fault)
        await self._falsify(request, answer, fault)
        return answer if fault.status is not None else await _spoil(request, answer, fault)

    def _expire(self, request: web.Request, fault: Fault) -> None:
        if fault.expire == "token":
            self._accounts.withdraw(request.headers.get("Authorization"))
        if fault.expire == "upload":
            self._uploads.expire(_last_part(request.path))

    async def _answer_to(self, request: web.Request, handler: RequestHandler, fault: Fault) -> web.StreamResponse:
        if fault.status is not None:
            headers = {"Location": request.path_qs} if fault.elsewhere else {}
            return web.Response(status=fault.status, headers=headers, body=fault.body)
        if fault.store and _is_of_blob(request):
            return web.Response(status=307, headers={"Location": self._store_address(request)})
        if fault.largest is not None and (request.content_length or 0) > fault.largest:
            raise wire.too_large(fault.largest)
        return await self._explain(request, handler)

    # The store behind a CDN

    def _store_address(self, request: web.Request) -> str:
        """Return the address of a blob in the store, at another name of this machine, which gets no credentials."""
        digest = _last_part(request.path)
        query = urlencode({SIGNATURE: self._store_signature(digest)})
        return f"{request.scheme}://{_other_name(request.host)}{STORE}{digest}?{query}"

    def _store_signature(self, digest: str) -> str:
        return hmac.new(self._store_key, digest.encode(), "sha256").hexdigest()

    async def _from_store(self, request: web.Request) -> web.StreamResponse:
        """Send a blob to anyone who has its address and sends no other credentials, as object stores do."""
        digest = request.match_info["digest"]
        if not hmac.compare_digest(request.query.get(SIGNATURE, ""), self._store_signature(digest)):
            return web.Response(status=403, text="SignatureDoesNotMatch")
        if "Authorization" in request.headers and _other_name(request.host) != request.host:
            return web.Response(status=400, text="Only one auth mechanism allowed")
        path = self._store.content.path(digest.partition(":")[2])
        return sent_file(request, path) if path.exists() else web.Response(status=404, text="NoSuchKey")

    async def _falsify(self, request: web.Request, answer: web.StreamResponse, fault: Fault) -> None:
        headers = answer.headers
        digest = headers.get("Docker-Content-Digest", "")
        if fault.sha512 and digest.startswith("sha256:"):
            content = self._store.content.path(digest.partition(":")[2])
            headers["Docker-Content-Digest"] = f"sha512:{await asyncio.to_thread(hash_file, content, 'sha512')}"
        if fault.offset and "Range" in headers:
            headers["Range"] = f"0-{max(int(headers['Range'].partition('-')[2]) + fault.offset, 0)}"
        if fault.elsewhere and "Location" in headers:
            headers["Location"] = self._elsewhere(request, headers["Location"], fault.elsewhere)
        headers.update(fault.more_headers(self._store.clock()))

    def _elsewhere(self, request: web.Request, location: str, host: str) -> str:
        """Return the same address on another host; that of an upload is valid without credentials."""
        url = URL(wire.origin(request)).join(URL(location))
        signature = self._uploads.signature(_last_part(url.path))
        url = url.update_query({SIGNATURE: signature}) if signature else url
        return f"http://{host}{url.raw_path_qs}"

    @web.middleware
    async def _admit(self, request: web.Request, handler: RequestHandler) -> web.StreamResponse:
        """Admit known callers, and others only to public paths and, from this machine, to the pages."""
        if request.path.startswith(STORE) or asks_itself(request):
            return await handler(request)
        who = self._accounts.identify(request.headers.get("Authorization"), request.headers.get("X-JFrog-Art-Api"))
        if who is None and SIGNATURE in request.query:
            who = self._uploads.find_creator(_last_part(request.path), request.query[SIGNATURE])
        wire.current.get().caller = who
        if who and not _opens(who, request):
            raise forbidden(who.username, "read", request.path)
        if who is None and not _is_open(request):
            message = "authentication required" if _is_registry(request) else "Authentication is required"
            raise RequestRefusedError(401, "UNAUTHORIZED", message)
        return await handler(request)


def _is_of_blob(request: web.Request) -> bool:
    return request.method == "GET" and "/blobs/sha256:" in request.path


def _other_name(host: str) -> str:
    """Return another name of this machine, with the port, if *host* is one; else *host*."""
    name, _, port = host.rpartition(":")
    other = {"127.0.0.1": "localhost", "[::1]": "localhost", "localhost": "127.0.0.1"}.get(name)
    return f"{other}:{port}" if other else host


def _size(request: web.Request, answer: web.StreamResponse) -> int:
    """Return the bytes of an answer's body, which is not sent yet."""
    if request.method == "HEAD":
        return 0
    return len(answer.part) if isinstance(answer, SentFile) else answer.content_length or 0


def _last_part(path: str) -> str:
    return path.rpartition("/")[2]


async def _spoil(request: web.Request, answer: web.StreamResponse, fault: Fault) -> web.StreamResponse:
    """Drop an answer, or send only its beginning, as *fault* says."""
    if fault.lose_answer:
        wire.break_connection(request)
    if fault.after is None or request.method != "GET":
        return answer
    body = await _body(answer)
    broken = web.StreamResponse(status=answer.status, headers=answer.headers)
    broken.content_length = len(body)
    await broken.prepare(request)
    await broken.write(body[: fault.after])
    wire.break_connection(request)
    return broken


async def _body(answer: web.StreamResponse) -> bytes:
    if isinstance(answer, SentFile):
        return await asyncio.to_thread(answer.read)
    body = answer.body if isinstance(answer, web.Response) else b""
    return body if isinstance(body, bytes) else b""


def _is_registry(request: web.Request) -> bool:
    path = request.path
    # Docker promotion has an address of the registry, and is a call of REST.
    return path.startswith(("/v2", "/artifactory/api/docker/")) and not path.endswith("/v2/promote")


def _opens(who: Caller, request: web.Request) -> bool:
    """Return whether the caller's credentials are for this kind of address.

    A registry token is for the registry, and the pages, which show everything, are for accounts that may read it.
    """
    if request.path.startswith(PAGES):
        return who.repositories is None and "read" in who.rights and not who.registry_only
    return _is_registry(request) or not who.registry_only


def _is_open(request: web.Request) -> bool:
    return request.path in PUBLIC or (request.path.startswith(PAGES) and _is_local(request))


def _is_local(request: web.Request) -> bool:
    """Return whether the request comes from this machine and is for a name of this machine.

    The name matters, because another site could point its own name here and read the pages through a browser.
    """
    name = request.url.host or ""
    return _is_loopback(request.remote or "") and (name == "localhost" or _is_loopback(name))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


async def _add_headers(request: web.Request, answer: web.StreamResponse) -> None:
    answer.headers["X-JFrog-Version"] = f"Artifactory/{VERSION} {REVISION}"
    answer.headers["X-Artifactory-Id"] = "buildpush-sandbox"
    answer.headers["X-Artifactory-Node-Id"] = "buildpush-sandbox-0"
    answer.headers["Server"] = f"Artifactory/{VERSION}"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    if isinstance(answer, SentFile) and answer.tag:
        answer.headers["ETag"] = answer.tag
    if _is_registry(request):
        answer.headers["Docker-Distribution-Api-Version"] = "registry/2.0"


def _silent_logger() -> logging.Logger:
    logger = logging.getLogger("buildpush.sandbox")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    return logger


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on *host* and *port*; 0 takes a free port.

    Raises:
        OSError: the port is in use, or the host is not an address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
    except BaseException:
        listening.close()
        raise
    return listening

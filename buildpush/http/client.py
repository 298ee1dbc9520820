"""Requests to a host: one pool of connections; requests are repeated only where that is safe.

A body that is a stream is sent once, and :class:`~buildpush.http.failures.Interruption` says how much was sent.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from buildpush import __version__
from buildpush.foundation.errors import (
    BuildPushError,
    CancelledError,
    ElsewhereError,
    RegistryError,
    UnreachableError,
)
from buildpush.foundation.events import Retry, Sink, ignore
from buildpush.foundation.interrupts import Lock
from buildpush.foundation.text import one_line
from buildpush.http.failures import PROXY_LOGIN, Interruption, NoAnswer, failure_of, proxy_login_failure
from buildpush.http.messages import (
    LARGEST_ANSWER,
    SECRET_HEADERS,
    Answer,
    Authorization,
    Body,
    CountedBody,
    HttpRequest,
    Stream,
    check_login,
    is_redirect,
)
from buildpush.http.proxies import Proxies, proxy_headers
from buildpush.http.retry import LONGEST_RESTART, RULES, Pauses, Retries, Timeouts, seconds_left, spread
from buildpush.http.schemes import HTTP_PORT, REQUIRES_TLS, Schemes
from buildpush.http.tls import tls_context
from buildpush.http.urls import EVERY_HOST, Address, Zone, check_redirect, names_of_host, origin, zone_of

if TYPE_CHECKING:
    import ssl

    import urllib3

MANY_REDIRECTS = 5
_INTERRUPTED = "interrupted"


class Http:
    """Connections to hosts, shared by threads; close it, or use it in a ``with``.

    Args:
        ca_files: certificates to trust besides the system's; of a directory, those of all its files.
        proxies: variables such as ``HTTPS_PROXY`` and ``NO_PROXY``.
        insecure_hosts: reached with TLS and any certificate, or without TLS where they do not offer it.
        schemes: by host, the scheme that its address is written with; it is obeyed.
        authorities: by host, or for ``EVERY_HOST``, PEM text of certificates that are trusted there as well.
        identity: a file with a certificate and its key, by which servers know us.
        retries: how often and how long to try.
        sink: gets an event for every wait.
        sleep: waits that many seconds; by default, :meth:`cancel` ends the wait.
        timeouts: time limits.
        pauses: of hosts, shared with other connections; its own if not given.
    """

    def __init__(
        self,
        *,
        ca_files: Sequence[Path] = (),
        proxies: Mapping[str, str] | None = None,
        insecure_hosts: frozenset[str] = frozenset(),
        schemes: Mapping[str, str] | None = None,
        authorities: Mapping[str, str] | None = None,
        identity: Path | None = None,
        retries: Retries | None = None,
        sink: Sink = ignore,
        sleep: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        timeouts: Timeouts | None = None,
        pauses: Pauses | None = None,
    ) -> None:
        self._schemes = Schemes(schemes or {}, insecure_hosts, self._ask)
        self._ca_files, self._identity = tuple(ca_files), identity
        self._authorities = {host.lower(): text for host, text in (authorities or {}).items()}
        self._proxies = Proxies(proxies or {})
        self._retries = retries or Retries()
        self._sink = sink
        self._cancelled = threading.Event()
        self._sleep = sleep or self._cancelled.wait
        self._clock = clock
        self._timeouts = timeouts or Timeouts()
        self._pauses = pauses or Pauses(clock)
        self._lock = Lock()
        self._managers: dict[tuple[str, str | None, bool, str], urllib3.PoolManager] = {}
        self._wires: weakref.WeakSet[Any] = weakref.WeakSet()
        self._hosts_that_answered: set[str] = set()  # with a status that is not retried
        self._hosts_reached: set[str] = set()  # with any status
        self._down_since: dict[str, float] = {}  # by host, of those that had answered before
        self._trusted: set[str] = set()  # hosts with their port, declared insecure, that were connected to
        self._zones: dict[str, Zone] = {}  # by host, of those that were connected to
        self._silences: dict[str, tuple[int, float]] = {}  # by host: which thread reported its silence, and until when

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every idle connection."""
        with self._lock:
            managers = list(self._managers.values())
            self._managers.clear()
        for manager in managers:
            manager.clear()

    def cancel(self) -> None:
        """End every request under way, in all threads, with a :class:`CancelledError`, and refuse those to come."""
        self._cancelled.set()
        with self._lock:
            wires = list(self._wires)
        for wire in wires:
            sock = wire.sock  # once: its own thread may be closing it
            # TLS within a proxy's TLS wraps the socket. The method is that of a plain socket: that of a TLS socket
            # would remove the encryption first.
            with contextlib.suppress(OSError, TypeError):
                socket.socket.shutdown(getattr(sock, "socket", sock), socket.SHUT_RDWR)

    def resume(self) -> None:
        """Allow requests again after :meth:`cancel`, once those that were ended have returned."""
        self._cancelled.clear()

    def stop_if_cancelled(self) -> None:
        """Raise a :class:`CancelledError` after :meth:`cancel`."""
        if self._cancelled.is_set():
            raise CancelledError(_INTERRUPTED)

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        authorization: Authorization = None,
        repeatable: bool | None = None,
        redirect: bool = True,
        most: int = LARGEST_ANSWER,
    ) -> Answer:
        """Return the server's answer, whatever its status, after as many retries as the table allows.

        Args:
            method: in capitals.
            url: with http or https, and no user in it.
            headers: besides those that every request has.
            body: bytes, or an iterable of bytes, which is sent once and never again.
            authorization: the header's value, or a function called at each attempt; another origin never gets it.
            repeatable: whether it may be sent twice; by default everything but a POST, and never a stream.
            redirect: whether to follow redirects of a request that is not a stream.
            most: maximum bytes of a body where the status is one of success; a larger one is not requested again.

        Raises:
            UnreachableError: no answer came; it has a hint.
            RegistryError: the answer is larger than *most*.
            Interruption: the connection broke while a stream was being sent.
            CancelledError: :meth:`cancel` was called.
        """
        content = body if body is None or isinstance(body, bytes) else CountedBody(body, self.stop_if_cancelled)
        again = method != "POST" if repeatable is None else repeatable
        request = HttpRequest(
            method,
            self.connection_address(Address.parse(url)),
            dict(headers or {}),
            content,
            authorization,
            repeatable=again and not isinstance(content, CountedBody),
            most=most,
        )
        return cast("Answer", self._follow(request, MANY_REDIRECTS if redirect else 0))

    @contextlib.contextmanager
    def open(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        authorization: Authorization = None,
    ) -> Iterator[Stream | Answer]:
        """Yield the answer as a :class:`Stream` where its status is 2xx, else as an :class:`Answer`."""
        headers_sent = {"Accept-Encoding": "identity", **(headers or {})}
        request = HttpRequest(
            method,
            self.connection_address(Address.parse(url)),
            headers_sent,
            None,
            authorization,
            repeatable=True,
            streams=True,
        )
        answer = self._follow(request, MANY_REDIRECTS)
        try:
            yield answer
        finally:
            if isinstance(answer, Stream):
                answer.close()

    def wait(self, what: str, reason: str, attempt: int, answer: Answer | None = None) -> None:
        """Wait before *what* is tried again, as long as the table says after that many attempts, and report it."""
        seconds = self._retries.seconds(attempt, answer.headers if answer else {})
        self._sink(Retry(one_line(what), one_line(reason), seconds, attempt))
        rule = RULES.get(answer.status) if answer else None
        if answer and rule and rule.whole_host:
            self._pauses.begin(origin(answer.url), seconds)
        self._sleep(seconds)
        self.stop_if_cancelled()

    def _wait_for_silent(self, request: HttpRequest, failure: NoAnswer, host: str) -> None:
        """Wait before a host gets the request again; of several threads that wait for it, one reports that."""
        seconds, own_thread, now = self._retries.seconds(request.attempt), threading.get_ident(), self._clock()
        with self._lock:
            thread, until = self._silences.get(host, (own_thread, now))
            reports = thread == own_thread or until <= now
            if reports:
                self._silences[host] = (own_thread, now + seconds)
        if reports:
            self._sink(Retry(one_line(request.what), one_line(str(failure.error)), seconds, request.attempt))
        self._sleep(seconds)
        self.stop_if_cancelled()

    @property
    def attempts(self) -> int:
        """How often a request is tried."""
        return self._retries.attempts

    def _follow(self, request: HttpRequest, most: int) -> Answer | Stream:
        """Send *request* and, unless it is a stream, follow up to *most* redirects."""
        answer = self._send_until_answered(request)
        first = request.address.origin
        for _ in range(most):
            if isinstance(answer, Stream) or isinstance(request.body, CountedBody) or not is_redirect(answer):
                break
            request = self._redirect(request, answer)
            try:
                answer = self._send_until_answered(request)
            except UnreachableError as error:
                if request.address.origin == first:
                    raise
                raise ElsewhereError(str(error), hint=error.hint) from error
        return answer

    def _send_until_answered(self, request: HttpRequest) -> Answer | Stream:
        """Send *request* until there is an answer that the retry table accepts."""
        for attempt in itertools.count(1):
            request.attempt, host = attempt, request.address.origin
            self._wait_for(host)
            try:
                answer = self._send_by_scheme(request)
            except NoAnswer as failure:
                host = request.address.origin
                if not self._may_repeat(request, failure, host):
                    raise _final_error(request, failure) from failure.__cause__
                self._wait_for_silent(request, failure, host)
                continue
            host = request.address.origin
            self._hosts_reached.add(host)
            if isinstance(answer, Stream) or not self._is_repeated(request, answer, host):
                self._hosts_that_answered.add(host)
                return answer
            self.wait(request.what, f"status {answer.status}", attempt, answer)
        raise AssertionError  # the last attempt returns or raises

    def _wait_for(self, host: str) -> None:
        self.stop_if_cancelled()
        seconds = self._pauses.seconds(host)
        if max(seconds, 0) >= seconds_left():
            message = f"{host} does not answer in time"
            raise UnreachableError(message)
        if seconds > 0:
            self._sleep(spread(seconds))
            self.stop_if_cancelled()

    def _may_repeat(self, request: HttpRequest, failure: NoAnswer, host: str) -> bool:
        # A host that never answered is more likely misspelled than down: fail soon.
        most = self._most(host) if host in self._hosts_reached else min(2, self._retries.attempts)
        untouched = not failure.reached and not isinstance(request.body, CountedBody)
        again = not failure.final and request.attempt < most and (request.repeatable or untouched)
        return again and self._retries.may_wait(request.attempt)

    def _is_repeated(self, request: HttpRequest, answer: Answer, host: str) -> bool:
        rule = RULES.get(answer.status)
        if rule is None or not rule.down:
            self._down_since.pop(host, None)
        most = self._most(host) if rule and rule.down else self._retries.attempts
        again = rule is not None and request.repeatable and request.attempt < most
        return again and self._retries.may_wait(request.attempt, answer.headers)

    def _most(self, host: str) -> int:
        """Return how often to try a *host* that is down: more often if it answered before, as it may be restarting."""
        attempts = self._retries.attempts
        if host not in self._hosts_that_answered:
            return attempts
        since = self._down_since.setdefault(host, self._clock())
        restarts = self._clock() - since < LONGEST_RESTART
        return attempts + min(self._retries.restart, attempts - 1) if restarts else attempts

    def _send_by_scheme(self, request: HttpRequest) -> Answer | Stream:
        """Send *request*; with TLS if a host whose scheme is a guess fails without."""
        try:
            answer = self._send(request)
        except NoAnswer as failure:
            if not (failure.plain and self._turns_to_tls(request, reached=failure.reached)):
                raise
        else:
            if answer.status != REQUIRES_TLS or not self._turns_to_tls(request, reached=True):
                return answer
        return self._send(request)

    def _turns_to_tls(self, request: HttpRequest, *, reached: bool) -> bool:
        """Return whether the host of *request* has TLS, and change its address to that."""
        address = request.address
        if address.origin in self._hosts_reached or isinstance(request.body, CountedBody):
            return False
        if not reached and address.port != HTTP_PORT:  # nobody listens, so TLS would be no better
            return False
        turned = self._schemes.turned(address)
        request.address = turned or address
        return turned is not None

    def _send(self, request: HttpRequest) -> Answer | Stream:
        import urllib3

        manager, url = self._manager(request.address), str(request.address)
        headers = {"User-Agent": f"buildpush/{__version__}", **request.headers}
        value = request.authorization() if callable(request.authorization) else request.authorization
        if value:
            headers["Authorization"] = value
        check_login(headers, request.address)
        try:
            response = manager.urlopen(
                request.method,
                url,
                body=request.body,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
                timeout=self._timeouts.now,
            )
            return self._read_answer(request, response)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            self.stop_if_cancelled()
            if isinstance(request.body, CountedBody) and request.body.failure:
                raise request.body.failure from None
            raise failure_of(error, url, self._proxies.find(url)) from error

    def _read_answer(self, request: HttpRequest, response: urllib3.BaseHTTPResponse) -> Answer | Stream:
        if response.status == PROXY_LOGIN:
            response.close()
            raise proxy_login_failure(self._proxies.find(str(request.address)))
        if request.streams and response.status < 300:  # noqa: PLR2004 - 2xx
            return Stream(response, str(request.address), self.stop_if_cancelled)
        most = request.most if response.status < 300 else LARGEST_ANSWER  # noqa: PLR2004 - 2xx
        body = response.read(most + 1, decode_content=True)
        if len(body) > most:
            response.close()
            message = f"{request.what}: the answer is larger than {most} bytes"
            raise RegistryError(message, status=response.status)
        response.drain_conn()
        response.release_conn()
        return Answer(response.status, response.headers, body, str(request.address), request.attempt)

    def _redirect(self, request: HttpRequest, answer: Answer) -> HttpRequest:
        """Return the request that follows a redirect; another origin gets no credentials."""
        target = self.connection_address(request.address.join(answer.headers["Location"]))
        read = answer.status == 303 or (answer.status in {301, 302} and request.method == "POST")  # noqa: PLR2004
        method = "GET" if read else request.method
        self.check_redirect(request.address, target, method)
        return HttpRequest(
            method,
            target,
            request.headers
            if target.origin == request.address.origin
            else {name: value for name, value in request.headers.items() if name.lower() not in SECRET_HEADERS},
            None if read else request.body,
            request.authorization if target.origin == request.address.origin else None,
            request.repeatable,
            request.streams,
            request.most,
        )

    def check_redirect(self, before: Address, target: Address, method: str = "GET") -> None:
        """Check that a server at *before* may make us send *method* to *target*.

        Once *before* was connected to, its IP address counts: a name may belong to a host in a private network.

        Raises:
            AddressError: it may not.
        """
        check_redirect(before, target, method, self._zones.get(before.host.strip("[]").rstrip(".")))

    def connection_address(self, address: Address) -> Address:
        """Return *address* with the scheme that will be used; see :class:`~buildpush.http.schemes.Schemes`."""
        return self._schemes.connection_address(address)

    def _ask(self, address: Address) -> Answer:
        """Ask for nothing but an answer, without credentials."""
        request = HttpRequest("HEAD", replace(address, path="/", query=None), {}, None, None, repeatable=False)
        return cast("Answer", self._send(request))

    def _manager(self, address: Address) -> urllib3.PoolManager:
        host = f"{address.host}:{address.port}"
        insecure = self.is_insecure(host)
        key = (address.scheme, self._proxies.find(str(address)), insecure, self.authority_of(host))
        with self._lock:
            if insecure:
                self._trusted.add(host.lower())
            if key not in self._managers:
                self._managers[key] = self._new_manager(*key)
            return self._managers[key]

    def is_insecure(self, host: str) -> bool:
        """Return whether *host*, with or without its port, was declared insecure."""
        return self._schemes.is_insecure(host)

    def first_scheme(self, host: str) -> str:
        """Return what *host* is first tried with, ``http`` or ``https``."""
        return self._schemes.first(host, has_authority=self.names_authority_of(host))

    def authority_of(self, host: str) -> str:
        """Return the certificates that are trusted at *host*, with or without its port, as PEM text; empty for none."""
        names = (*names_of_host(host), EVERY_HOST)
        return next((self._authorities[name] for name in names if self._authorities.get(name)), "")

    def names_authority_of(self, host: str) -> bool:
        """Return whether certificates are set for *host* in particular, which therefore has TLS."""
        return any(self._authorities.get(name) for name in names_of_host(host))

    @property
    def unused_insecure_hosts(self) -> tuple[str, ...]:
        """Hosts that were declared insecure and never connected to, sorted."""
        used = {name for host in self._trusted for name in names_of_host(host)}
        return tuple(sorted(self._schemes.insecure - used))

    def proxy_for(self, url: str) -> str | None:
        """Return the address of the proxy through which *url* is reached, user and password included, if any."""
        return self._proxies.find(url)

    def tls_for(self, url: str) -> ssl.SSLContext | None:
        """Return what a connection of another protocol to *url* trusts; ``None`` where it has no TLS."""
        address = self.connection_address(Address.parse(url))
        host = f"{address.host}:{address.port}"
        if address.scheme != "https":
            return None
        return tls_context(self._ca_files, self.is_insecure(host), self.authority_of(host), self._identity)

    def _new_manager(self, scheme: str, proxy: str | None, insecure: bool, authority: str) -> urllib3.PoolManager:
        import urllib3

        from buildpush.http.wires import pools

        more: dict[str, Any] = {"maxsize": 16}
        if scheme == "https":
            more["ssl_context"] = tls_context(self._ca_files, insecure, authority, self._identity)
        if proxy is None:
            manager = urllib3.PoolManager(**more)
        else:
            manager = urllib3.ProxyManager(proxy, proxy_headers=proxy_headers(proxy), **more)
        manager.pool_classes_by_scheme = pools(self._add_wire, self._timeouts.silence)
        return manager

    def _add_wire(self, wire: Any) -> None:
        with self._lock:
            self._wires.add(wire)
            if wire.proxy is None and wire.sock is not None:
                with contextlib.suppress(OSError):  # the connection may have ended already
                    self._zones[wire.host] = zone_of(wire.sock.getpeername()[0])
        self.stop_if_cancelled()


def _final_error(request: HttpRequest, failure: NoAnswer) -> BuildPushError:
    error = failure.error
    if isinstance(request.body, CountedBody) and not failure.final:
        return Interruption(str(error), sent=request.body.sent, hint=error.hint)
    times = f" (tried {request.attempt} times)" if request.attempt > 1 else ""
    return UnreachableError(f"{error}{times}", hint=error.hint)

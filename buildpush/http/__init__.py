"""Requests to other machines: one pool per host, one retry table, one TLS and proxy story; the only urllib3.

It repeats what can be repeated safely, and tells where it cannot: a body that is a stream is sent once, and
:class:`Interrupted` says how far it came.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import re
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, cast

from buildpush import __version__, strict_json
from buildpush.errors import (
    BuildPushError,
    CancelledError,
    ElsewhereError,
    RegistryError,
    SettingsError,
    UnreachableError,
)
from buildpush.events import Retry, Sink, ignore
from buildpush.http.proxies import Proxies, login
from buildpush.http.urls import Address, Zone, check_lead, is_loopback, origin, shown, zone_of
from buildpush.http.words import is_page, said_in
from buildpush.text import one_line

if TYPE_CHECKING:
    import urllib3

Authorization = str | Callable[[], str | None] | None
Piece = bytes | memoryview
Body = bytes | Iterable[Piece] | None

MANY_REDIRECTS = 5
LARGEST_ANSWER = 64 * 1024 * 1024
# Bytes that an answer must bring in the seconds of a silence, once it has begun: nobody is kept by a byte now and then,
# and every line over which an image can travel at all is faster.
LEAST: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said, whatever its status.

    Attributes:
        headers: found in any case of letters.
        url: the address that answered, after redirects.
        attempts: how often it was asked.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    url: str
    attempts: int = 1

    @property
    def ok(self) -> bool:
        """Whether the status is one of 200 to 299."""
        return 200 <= self.status < 300  # noqa: PLR2004 - that is what 2xx means

    def json(self) -> Any:
        """Return the body read as JSON.

        Raises:
            RegistryError: it is something else, such as a proxy's login page.
        """
        try:
            return strict_json.parse(self.body)
        except ValueError as error:
            what = self.text() if is_page(self.body) else "something that is not JSON"
            message = f"{shown(self.url)} answered with {what}"
            hint = "a proxy or a login page may stand in between"
            raise RegistryError(message, status=self.status, hint=hint) from error

    def text(self) -> str:
        """Return what the body says, as one line of at most 2048 characters: see :func:`said_in`."""
        return said_in(self.body)[1]


class Interrupted(UnreachableError):  # noqa: N818 - a word of the design; it is a state to go on from
    """The connection broke while a stream was being sent; *sent* bytes had been handed over by then."""

    def __init__(self, message: str, *, sent: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Retries:
    """How stubborn to be: wait *base* x 2^n seconds up to *cap*, or what the server wishes, up to *longest*.

    A host that answered before and is down is asked *restart* times more, which makes about a minute of waiting: as
    long as a registry takes to start again.
    """

    attempts: int = 6
    restart: int = 3
    base: float = 0.25
    cap: float = 30.0
    longest: float = 60.0


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds to wait for a connection, and for the next bytes to come or go."""

    connect: float = 10.0
    silence: float = 120.0


@dataclass(frozen=True, slots=True)
class _Rule:
    """What to do about a status: *whole_host* makes everybody who talks to that host wait; *down* says who is away."""

    whole_host: bool = False
    down: bool = False


_TABLE: Final[Mapping[int, _Rule]] = {
    408: _Rule(),
    425: _Rule(),
    429: _Rule(whole_host=True),
    500: _Rule(),
    502: _Rule(down=True),
    503: _Rule(down=True),
    504: _Rule(down=True),
    507: _Rule(),
    # Of a CDN that does not reach the registry.  Source: Cloudflare, "Cloudflare 5xx errors".
    **dict.fromkeys(range(520, 528), _Rule(down=True)),
}
_PROXY_LOGIN: Final = 407
# For so long after it went down a host is asked more often than others: many requests do not add up to an hour.
_LONGEST_RESTART: Final = 60.0


@dataclass(slots=True)
class _Order:
    """One request, as often as it takes."""

    method: str
    address: Address
    headers: dict[str, str]
    body: bytes | _Counted | None
    authorization: Authorization
    repeatable: bool
    streams: bool = False
    most: int = LARGEST_ANSWER
    attempt: int = 0

    @property
    def what(self) -> str:
        return f"{self.method} {shown(str(self.address))}"


class _Broken(Exception):  # noqa: N818 - never leaves this module
    """No answer came; *final* says that asking again would not help, *reached* that bytes may have arrived.

    *plain* says that a host without TLS would have done the same.
    """

    def __init__(self, error: UnreachableError, *, final: bool, reached: bool, plain: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.final = final
        self.reached = reached
        self.plain = plain


class _Counted:
    """A streamed body that counts what it handed over, and keeps the error of its source apart from the network's."""

    def __init__(self, source: Iterable[Piece], go_on: Callable[[], None]) -> None:
        self._source = source
        self._go_on = go_on
        self.sent = 0
        self.failure: BaseException | None = None

    def __iter__(self) -> Iterator[Piece]:
        try:
            for block in self._source:
                self._go_on()
                yield block
                self.sent += len(block)
        except GeneratorExit:
            raise
        except BaseException as error:
            self.failure = error
            raise


_INTERRUPTED = "interrupted"


class Stream:
    """An answer whose body is read as it comes: readable like a file."""

    def __init__(self, http: Http, response: urllib3.BaseHTTPResponse, url: str) -> None:
        self._http = http
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.url = url

    def read(self, size: int = -1) -> bytes:
        """Return up to *size* bytes, all of them if it is negative, none at the end.

        Raises:
            UnreachableError: the connection broke.
        """
        import urllib3

        try:
            return self._response.read(None if size < 0 else size, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            self._http.stop_if_cancelled()
            raise _explain(error, self.url).error from error

    def readable(self) -> bool:
        """Return ``True``."""
        return True

    def close(self) -> None:
        """Give the connection up; what was not read is not wanted."""
        self._response.close()
        self._response.release_conn()


class Http:
    """Connections to hosts, shared by threads; close it, or use it in a ``with``.

    Args:
        ca_files: certificates to trust besides the system's; of a directory, those of all its files.
        proxies: variables such as ``HTTPS_PROXY`` and ``NO_PROXY``.
        insecure_hosts: spoken to with TLS and no look at the certificate, or without TLS where they speak none.
        plain_hosts: spoken to without TLS, because their address says so.
        retries: how stubborn to be.
        sink: told about every wait.
        sleep: waits seconds; one that :meth:`cancel` ends early if not given.
        patience: time limits.
    """

    def __init__(
        self,
        *,
        ca_files: Sequence[Path] = (),
        proxies: Mapping[str, str] | None = None,
        insecure_hosts: frozenset[str] = frozenset(),
        plain_hosts: frozenset[str] = frozenset(),
        retries: Retries | None = None,
        sink: Sink = ignore,
        sleep: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        patience: Patience | None = None,
    ) -> None:
        self.plain_hosts = frozenset(map(str.lower, plain_hosts))
        self.insecure_hosts = frozenset(map(str.lower, insecure_hosts)) - self.plain_hosts
        self._ca_files = tuple(ca_files)
        self._proxies = Proxies(proxies or {})
        self._retries = retries or Retries()
        self._sink = sink
        self._cancelled = threading.Event()
        self._sleep = sleep or self._cancelled.wait
        self._clock = clock
        self._patience = patience or Patience()
        self._lock = threading.Lock()
        self._managers: dict[tuple[str, str | None, bool], urllib3.PoolManager] = {}
        self._wires: weakref.WeakSet[Any] = weakref.WeakSet()
        self._answered: set[str] = set()  # something that was let stand
        self._talked: set[str] = set()  # anything at all
        self._down_since: dict[str, float] = {}  # by host, of those that had answered before
        self._plain: dict[str, bool] = {}  # by host with port, of those declared insecure
        self._trusted: set[str] = set()  # hosts with their port, declared insecure, that were spoken to
        self._settling = threading.Lock()
        self._zones: dict[str, Zone] = {}  # by host, of those that were connected to
        self._paused_until: dict[str, float] = {}
        self._told: dict[str, tuple[int, float]] = {}  # by host: which thread told that it is silent, and until when

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
            # TLS within a proxy's TLS wraps the socket; and the plain socket's own method, because that of a TLS
            # socket would take the encryption off first.
            with contextlib.suppress(OSError, TypeError):
                socket.socket.shutdown(getattr(sock, "socket", sock), socket.SHUT_RDWR)

    def resume(self) -> None:
        """Allow requests again after :meth:`cancel`, once nobody waits for those that were ended."""
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
        """Return the server's answer, whatever its status, after what the retry table allows.

        Args:
            method: in capitals.
            url: with http or https, and no user in it.
            headers: besides those that every request has.
            body: bytes, or an iterable of bytes, which is sent once and never again.
            authorization: the header's value, or a function asked at each attempt; another origin never sees it.
            repeatable: whether it may be sent twice; by default everything but a POST, and never a stream.
            redirect: whether to follow redirects of a request that is no stream.
            most: bytes that a body may have, where the status is one of success; one more is read, and not again.

        Raises:
            UnreachableError: no answer came; it has a hint.
            RegistryError: the answer is larger.
            Interrupted: the connection broke while a stream was being sent.
            CancelledError: :meth:`cancel` was called.
        """
        content = body if body is None or isinstance(body, bytes) else _Counted(body, self.stop_if_cancelled)
        again = method != "POST" if repeatable is None else repeatable
        order = _Order(
            method,
            self.settled(Address.parse(url)),
            dict(headers or {}),
            content,
            authorization,
            repeatable=again and not isinstance(content, _Counted),
            most=most,
        )
        return cast("Answer", self._follow(order, MANY_REDIRECTS if redirect else 0))

    @contextlib.contextmanager
    def open(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        authorization: Authorization = None,
    ) -> Iterator[Stream | Answer]:
        """Give the answer as a :class:`Stream` where its status is 2xx, else as an :class:`Answer`."""
        asked = {"Accept-Encoding": "identity", **(headers or {})}
        order = _Order(
            method, self.settled(Address.parse(url)), asked, None, authorization, repeatable=True, streams=True
        )
        answer = self._follow(order, MANY_REDIRECTS)
        try:
            yield answer
        finally:
            if isinstance(answer, Stream):
                answer.close()

    def wait(self, what: str, reason: str, attempt: int, answer: Answer | None = None) -> None:
        """Wait before *what* is tried again, as long as the table says after that many attempts; tell the sink."""
        seconds = self._seconds(attempt, answer)
        self._sink(Retry(one_line(what), one_line(reason), seconds, attempt))
        rule = _TABLE.get(answer.status) if answer else None
        if answer and rule and rule.whole_host:
            with self._lock:
                host = origin(answer.url)
                self._paused_until[host] = max(self._paused_until.get(host, 0.0), self._clock() + seconds)
        self._sleep(seconds)
        self.stop_if_cancelled()

    def _wait_for_silent(self, order: _Order, broken: _Broken, host: str) -> None:
        """Wait before a host is asked again; when many wait for it, one of them says so."""
        seconds, me, now = self._seconds(order.attempt, None), threading.get_ident(), self._clock()
        with self._lock:
            who, until = self._told.get(host, (me, now))
            tells = who == me or until <= now
            if tells:
                self._told[host] = (me, now + seconds)
        if tells:
            self._sink(Retry(one_line(order.what), one_line(str(broken.error)), seconds, order.attempt))
        self._sleep(seconds)
        self.stop_if_cancelled()

    @property
    def attempts(self) -> int:
        """How often anything is tried."""
        return self._retries.attempts

    def _follow(self, order: _Order, most: int) -> Answer | Stream:
        """Send *order* and, unless it is a stream, follow up to *most* redirects."""
        first = order.address.origin
        answer = self._persist(order)
        for _ in range(most):
            if isinstance(answer, Stream) or isinstance(order.body, _Counted) or not leads_on(answer):
                break
            order = self._redirected(order, answer)
            try:
                answer = self._persist(order)
            except UnreachableError as error:
                if order.address.origin == first:
                    raise
                raise ElsewhereError(str(error), hint=error.hint) from error
        return answer

    def _persist(self, order: _Order) -> Answer | Stream:
        """Send *order* until there is an answer that the retry table lets stand."""
        host = order.address.origin
        for attempt in itertools.count(1):
            order.attempt = attempt
            self._wait_for(host)
            try:
                answer = self._send(order)
            except _Broken as broken:
                if not self._worth_repeating(order, broken, host):
                    raise _final(order, broken) from broken.__cause__
                self._wait_for_silent(order, broken, host)
                continue
            self._talked.add(host)
            if isinstance(answer, Stream) or not self._asks_again(order, answer, host):
                self._answered.add(host)
                return answer
            self.wait(order.what, f"status {answer.status}", attempt, answer)
        raise AssertionError  # the last attempt returns or raises

    def _wait_for(self, host: str) -> None:
        self.stop_if_cancelled()
        with self._lock:
            seconds = self._paused_until.get(host, 0.0) - self._clock()
        if seconds > 0:
            self._sleep(seconds)
            self.stop_if_cancelled()

    def _worth_repeating(self, order: _Order, broken: _Broken, host: str) -> bool:
        # A host that never answered is more likely misspelled than down: say so soon.
        most = self._most(host) if host in self._talked else min(2, self._retries.attempts)
        untouched = not broken.reached and not isinstance(order.body, _Counted)
        return not broken.final and order.attempt < most and (order.repeatable or untouched)

    def _asks_again(self, order: _Order, answer: Answer, host: str) -> bool:
        rule = _TABLE.get(answer.status)
        if rule is None or not rule.down:
            self._down_since.pop(host, None)
        most = self._most(host) if rule and rule.down else self._retries.attempts
        return rule is not None and order.repeatable and order.attempt < most

    def _most(self, host: str) -> int:
        """Return how often *host* is asked, which is down; one that answered before may be starting again."""
        attempts = self._retries.attempts
        if host not in self._answered:
            return attempts
        since = self._down_since.setdefault(host, self._clock())
        restarts = self._clock() - since < _LONGEST_RESTART
        return attempts + min(self._retries.restart, attempts - 1) if restarts else attempts

    def _seconds(self, attempt: int, answer: Answer | None) -> float:
        step: float = min(self._retries.base * 2 ** (attempt - 1), self._retries.cap)
        wish = _retry_after(answer.headers) if answer else None
        if wish:  # 0 says nothing: at once, and so all the time, is no way to spare a host
            return min(wish, self._retries.longest) * random.uniform(1.0, 1.1)  # noqa: S311 - spreads, hides nothing
        return step * random.uniform(0.9, 1.1)  # noqa: S311 - as above

    def _send(self, order: _Order) -> Answer | Stream:
        import urllib3

        manager, url = self._manager(order.address), str(order.address)
        headers = {"User-Agent": f"buildpush/{__version__}", **order.headers}
        value = order.authorization() if callable(order.authorization) else order.authorization
        if value:
            headers["Authorization"] = value
        try:
            response = manager.urlopen(
                order.method,
                url,
                body=order.body,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
            )
            return self._received(order, response)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            self.stop_if_cancelled()
            if isinstance(order.body, _Counted) and order.body.failure:
                raise order.body.failure from None
            raise _explain(error, url, self._proxies.find(url)) from error

    def _received(self, order: _Order, response: urllib3.BaseHTTPResponse) -> Answer | Stream:
        if response.status == _PROXY_LOGIN:
            response.close()
            raise _proxy_wants_login(self._proxies.find(str(order.address)))
        if order.streams and response.status < 300:  # noqa: PLR2004 - 2xx
            return Stream(self, response, str(order.address))
        most = order.most if response.status < 300 else LARGEST_ANSWER  # noqa: PLR2004 - 2xx
        body = response.read(most + 1, decode_content=True)
        if len(body) > most:
            response.close()
            message = f"{order.what}: the answer is larger than {most} bytes"
            raise RegistryError(message, status=response.status)
        response.drain_conn()
        response.release_conn()
        return Answer(response.status, response.headers, body, str(order.address), order.attempt)

    def _redirected(self, order: _Order, answer: Answer) -> _Order:
        """Return the order that an answer sends on; another origin sees no credentials."""
        there = self.settled(order.address.joined(answer.headers["Location"]))
        read = answer.status == 303 or (answer.status in {301, 302} and order.method == "POST")  # noqa: PLR2004
        method = "GET" if read else order.method
        self.check_lead(order.address, there, method)
        return _Order(
            method,
            there,
            order.headers,
            None if read else order.body,
            order.authorization if there.origin == order.address.origin else None,
            order.repeatable,
            order.streams,
            order.most,
        )

    def check_lead(self, before: Address, there: Address, method: str = "GET") -> None:
        """Check that a server at *before* may make us send *method* to *there*.

        How near a server is, is known of one that was spoken to: a name may be that of a host in this network.

        Raises:
            AddressError: it may not.
        """
        check_lead(before, there, method, self._zones.get(before.host.strip("[]").rstrip(".")))

    def settled(self, address: Address) -> Address:
        """Return *address* as it is going to be connected to.

        A host that was declared insecure is spoken to with TLS where it can, whatever its certificate; else plainly.
        Which it is, is found out once, by a request that shows nothing of ours.
        """
        host = f"{address.host}:{address.port}"
        if address.scheme == "https" or not {host, address.host} & self.insecure_hosts:
            return address
        secure = replace(address, scheme="https", port=443 if address.port == 80 else address.port)  # noqa: PLR2004
        if host in self.insecure_hosts:
            secure = replace(secure, port=address.port)
        with self._settling:
            plain = self._plain.get(host)
            if plain is None and (plain := self._is_plain(address, secure)) is not None:
                self._plain[host] = plain
        return address if plain else secure

    def _is_plain(self, address: Address, secure: Address) -> bool | None:
        """Return whether a host speaks no TLS; ``None`` where nobody knows, since it gives no answer."""
        try:
            self._send(_Order("HEAD", replace(secure, path="/", query=None), {}, None, None, repeatable=False))
        except _Broken as broken:
            if not broken.plain:
                return None
        else:
            return False
        try:
            answer = self._send(
                _Order("HEAD", replace(address, path="/", query=None), {}, None, None, repeatable=False)
            )
        except _Broken:
            return None
        # 400 is what servers answer, in plain, to what should have been TLS.
        return True if answer.status not in {400, 502, 503, 504} else None

    def _manager(self, address: Address) -> urllib3.PoolManager:
        host = f"{address.host}:{address.port}"
        blind = self.trusts_blindly(host)
        key = (address.scheme, self._proxies.find(str(address)), blind)
        with self._lock:
            if blind:
                self._trusted.add(host.lower())
            if key not in self._managers:
                self._managers[key] = self._new_manager(*key)
            return self._managers[key]

    def trusts_blindly(self, host: str) -> bool:
        """Return whether *host*, with or without its port, was declared insecure."""
        host = host.lower()
        return bool({host, host.rpartition(":")[0]} & (self.insecure_hosts | self.plain_hosts))

    @property
    def never_trusted(self) -> tuple[str, ...]:
        """Hosts that were declared insecure and never spoken to, sorted."""
        met = {name for host in self._trusted for name in (host, host.rpartition(":")[0])}
        return tuple(sorted(self.insecure_hosts - met))

    def proxy_for(self, url: str) -> str | None:
        """Return the address of the proxy through which *url* is reached, user and password included, if any."""
        return self._proxies.find(url)

    def _new_manager(self, scheme: str, proxy: str | None, insecure: bool) -> urllib3.PoolManager:
        import urllib3

        from buildpush.http.wires import pools

        more: dict[str, Any] = {
            "maxsize": 16,
            "timeout": urllib3.Timeout(connect=self._patience.connect, read=self._patience.silence),
        }
        if scheme == "https":
            more["ssl_context"] = _tls(self._ca_files, insecure)
        if proxy is None:
            manager = urllib3.PoolManager(**more)
        else:
            manager = urllib3.ProxyManager(proxy, proxy_headers=_proxy_headers(proxy), **more)
        manager.pool_classes_by_scheme = pools(self._wired, self._patience.silence)
        return manager

    def _wired(self, wire: Any) -> None:
        with self._lock:
            self._wires.add(wire)
            if wire.proxy is None and wire.sock is not None:
                with contextlib.suppress(OSError):  # it may have ended again
                    self._zones[wire.host] = zone_of(wire.sock.getpeername()[0])
        self.stop_if_cancelled()


def scheme_for(host: str, http: Http) -> str:
    """Return ``http`` for this machine and for hosts declared insecure, else ``https``."""
    return "http" if http.trusts_blindly(host) or is_loopback(host) else "https"


def _tls(ca_files: Sequence[Path], insecure: bool) -> ssl.SSLContext:
    import urllib3

    if insecure:
        # urllib3 would warn at each connection; who declared the host insecure knows.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        blind.check_hostname = False
        blind.verify_mode = ssl.CERT_NONE
        return blind
    import truststore

    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    read: set[tuple[int, int] | None] = set()
    for path in ca_files:
        try:
            _trust(context, path, read)
        except OSError as error:  # a broken certificate is an OSError too
            message = f"the certificates in {path} cannot be read: {error.strerror or error}"
            hint = "SSL_CERT_FILE, REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE name files of PEM certificates"
            raise SettingsError(message, hint=hint) from error
    return context


# Source: SSL_CTX_load_verify_locations(3), CApath.
_FILED = re.compile(r"[0-9a-f]{8}\.[0-9]+\Z")


def _trust(context: ssl.SSLContext, path: Path, read: set[tuple[int, int] | None]) -> None:
    """Let *context* trust a file or a folder of certificates, but for files that it has *read* already."""
    if not path.is_dir():
        context.load_verify_locations(path)
        read.add(_identity(path))
        return
    context.load_verify_locations(capath=path)  # what is filed by its hash is looked up when it is needed
    entries = sorted(path.iterdir())
    read |= {_identity(entry) for entry in entries if _FILED.match(entry.name)}
    for file in entries:
        if _identity(file) not in read:
            with contextlib.suppress(OSError):  # other files may lie there, as for Go and OpenSSL
                context.load_verify_locations(file)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what is the same for all names of a file, or ``None`` where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def certificates_in(variables: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files and directories of certificates that variables name; directories that are not there are not.

    Source: OpenSSL (``SSL_CERT_FILE``, ``SSL_CERT_DIR``, a list), requests (``REQUESTS_CA_BUNDLE``), curl.
    """
    names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    files = [Path(variables[name]) for name in names if variables.get(name)]
    folders = [Path(one) for one in variables.get("SSL_CERT_DIR", "").split(os.pathsep) if one]
    return tuple(dict.fromkeys([*files, *(one for one in folders if one.is_dir())]))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that the server asks for, or ``None``.

    A date is read against the server's own ``Date``, so that neither clock needs to be right.
    """
    wish = headers.get("Retry-After", "").strip()
    if wish.isdecimal():
        return float(wish)
    try:
        seconds = (parsedate_to_datetime(wish) - parsedate_to_datetime(headers.get("Date", ""))).total_seconds()
    except (ValueError, TypeError):
        return None
    return seconds if seconds > 0 else None


def leads_on(answer: Answer) -> bool:
    """Return whether *answer* is a redirect."""
    return answer.status in {301, 302, 303, 307, 308} and "Location" in answer.headers


def _proxy_headers(proxy: str) -> dict[str, str]:
    import urllib3

    user = login(proxy)
    return dict(urllib3.make_headers(proxy_basic_auth=user)) if user else {}


def _explain(error: Exception, url: str, proxy: str | None = None) -> _Broken:
    """Say in a sentence why no answer came, and what to do."""
    import urllib3.exceptions as e

    host = Address.parse(url).netloc
    if isinstance(error, e.ProxyError):
        return _explain_proxy(error, host, proxy)
    if isinstance(error, e.SSLError):
        return _explain_tls(error, host)
    if isinstance(error, e.NameResolutionError):
        return _broken(f"the host {host} is not known", "check its spelling, DNS and VPN")
    if isinstance(error, (e.NewConnectionError, e.ConnectTimeoutError)):
        return _broken(
            f"no connection to {host}: {_reason(error)}",
            "check host and port, and that it runs; or a proxy",
            plain=True,
        )
    if isinstance(error, e.ReadTimeoutError | TimeoutError):
        return _explain_silence(error, host)
    final = isinstance(error, e.LocationParseError)
    return _broken(
        f"the connection to {host} broke: {_reason(error)}", None, final=final, reached=True, plain=not final
    )


def _explain_proxy(error: Exception, host: str, proxy: str | None) -> _Broken:
    if " 407 " in f"{_reason(error)} ":
        return _proxy_wants_login(proxy)
    message = f"the proxy {shown(proxy or '')} does not lead to {host}: {_reason(error)}"
    return _broken(message, "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY", plain=True)


def _proxy_wants_login(proxy: str | None) -> _Broken:
    """Say that a proxy refuses us (407), and not the registry."""
    who = f"the proxy {shown(proxy)}" if proxy else "a proxy in between"
    if proxy and login(proxy):
        return _broken(
            f"{who} refuses its user and password (407)", "check them in HTTPS_PROXY or HTTP_PROXY", final=True
        )
    # Written as an address, it would be taken for somebody's password, and hidden.
    hint = "write USER:PASSWORD@ before the host in HTTPS_PROXY and HTTP_PROXY, or name the host in NO_PROXY"
    return _broken(f"{who} wants a user and password (407)", hint, final=True)


def _explain_silence(error: Exception, host: str) -> _Broken:
    from buildpush.http.wires import TooSlowError

    if isinstance(slow := error.__cause__, TooSlowError):
        return _broken(f"{host} answers too slowly: {slow}", "it may be overloaded, or the line bad", reached=True)
    return _broken(f"{host} went silent", "it may be overloaded; or a proxy holds the answer back", reached=True)


def _explain_tls(error: Exception, host: str) -> _Broken:
    reason = _reason(error)
    for mark, says, hint in _TLS_FAULTS:
        if mark in str(error):
            return _broken(f"{host} {says}", hint, final=True, plain=says == _NO_TLS)
    plain = "EOF" in str(error) or "reset" in str(error)
    return _broken(f"no secure connection to {host}: {reason}", "a proxy may break it open", reached=True, plain=plain)


_INSECURE_HINT = (
    "only if the host is your own: set insecure, or let the connector's dockerRegistryUrl begin with http://"
)
_NO_TLS: Final = "does not speak TLS"
_TLS_FAULTS: Final = (
    ("certificate has expired", "shows an expired certificate", "renew it, or set this machine's clock right"),
    ("not yet valid", "shows a certificate that is not valid yet", "set this machine's clock right"),
    ("Hostname mismatch", "shows the certificate of another host", "use the name that the certificate names"),
    ("IP address mismatch", "shows the certificate of another host", "use the name that the certificate names"),
    (
        "certificate verify failed",
        "shows a certificate that nobody trusted here has signed",
        f"set SSL_CERT_FILE to a file with your company's certificates; {_INSECURE_HINT}",
    ),
    ("WRONG_VERSION_NUMBER", _NO_TLS, _INSECURE_HINT),
    ("record layer failure", _NO_TLS, _INSECURE_HINT),
)


def _broken(
    message: str, hint: str | None, *, final: bool = False, reached: bool = False, plain: bool = False
) -> _Broken:
    return _Broken(UnreachableError(message, hint=hint), final=final, reached=reached, plain=plain)


def _reason(error: BaseException) -> str:
    """Return the innermost cause in the system's own words."""
    while True:
        inner = next((one for one in (*error.args[::-1], error.__cause__) if isinstance(one, BaseException)), None)
        if inner is None or inner is error:
            break
        error = inner
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    # urllib3 puts the object before the colon: "<Wire object at 0x…>: Failed to establish …".
    return text.partition(">: ")[2] or text


def _final(order: _Order, broken: _Broken) -> BuildPushError:
    error = broken.error
    if isinstance(order.body, _Counted) and not broken.final:
        return Interrupted(str(error), sent=order.body.sent, hint=error.hint)
    times = f" (tried {order.attempt} times)" if order.attempt > 1 else ""
    return UnreachableError(f"{error}{times}", hint=error.hint)

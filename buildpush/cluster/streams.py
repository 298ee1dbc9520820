"""Sends bytes to a command that runs in a container, such as the context of a build, by a WebSocket.

Source: kubernetes.io/docs/reference/using-api/api-concepts, and k8s.io/apimachinery/pkg/util/remotecommand: in
``v5.channel.k8s.io``, a message is one byte for the channel, then data; two bytes, 255 and a channel, close it.
"""

from __future__ import annotations

import contextlib
import logging
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import field
from itertools import chain
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from buildpush.foundation import strict_json
from buildpush.foundation.errors import AuthenticationError, ClusterError, SettingsError, UnreachableError
from buildpush.foundation.interrupts import start
from buildpush.foundation.records import dataclass
from buildpush.foundation.text import one_line

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

_PROTOCOL: Final = "v5.channel.k8s.io"
_STDIN, _STDOUT, _STDERR, _STATUS = 0, 1, 2, 3
_CLOSE_STDIN: Final = bytes((255, _STDIN))
_MOST_OUTPUT: Final = 64 * 1024
_OPEN_SECONDS: Final = 30.0
_UNAUTHORIZED, _FORBIDDEN, _SERVER_ERROR = 401, 403, 500


class LoginRefusedError(AuthenticationError):
    """The cluster does not know us, or no longer: the token has expired."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How a command in a container is reached.

    Attributes:
        server: address of the API, with ``https`` or ``http``.
        path: of the pod, below the server.
        header: the value of ``Authorization``, if any.
        tls: for ``https``.
        proxy: address of the proxy, if any.
    """

    server: str
    path: str
    header: str | None = field(repr=False)
    tls: ssl.SSLContext | None
    proxy: str | None = field(repr=False)


def require_library() -> None:
    """Check that the library of streams is there, before anything is made in a cluster.

    Raises:
        SettingsError: it is not installed, or too old.
    """
    try:
        import websockets.proxy  # noqa: F401 - since version 15
    except ImportError as error:
        message = "a build in a cluster needs the package websockets, version 15 or newer"
        raise SettingsError(message, hint='pip install "buildpush[kubernetes]"', setting="place") from error


def execute(
    endpoint: Endpoint,
    container: str,
    argv: Sequence[str],
    stdin: Iterable[bytes],
    opened: Callable[[Callable[[], None]], object] = lambda _end: None,
) -> tuple[int, str]:
    """Run *argv* in *container* with *stdin*, and return its exit status and the end of what it printed.

    Args:
        endpoint: the pod.
        container: one that runs.
        argv: program and arguments.
        stdin: blocks of bytes; only one is in memory at a time.
        opened: called with a function that ends the stream, which any thread may call.

    Raises:
        UnreachableError: the stream broke; so did one that ended without a status, as when the server goes away.
        AuthenticationError: this account may not.
        ClusterError: the container cannot run it.
    """
    from websockets.exceptions import ConnectionClosed

    with _connected(endpoint, container, argv) as socket:
        opened(socket.close_socket)
        output = _Output()
        reader = threading.Thread(target=output.read, args=(socket,), daemon=True)
        start(reader)
        for message in chain((bytes((_STDIN,)) + block for block in stdin), (_CLOSE_STDIN,)):
            try:
                socket.send(message)
            except (ConnectionClosed, OSError):  # what it said before counts, if it said anything
                break
        reader.join()
    return output.result(container)


@contextlib.contextmanager
def _connected(endpoint: Endpoint, container: str, argv: Sequence[str]) -> Iterator[ClientConnection]:
    from websockets.exceptions import InvalidStatus, NegotiationError, WebSocketException
    from websockets.sync.client import connect
    from websockets.typing import Subprotocol

    wanted = {"container": container, "stdin": "true", "stdout": "true", "stderr": "true", "command": list(argv)}
    address = f"ws{endpoint.server.removeprefix('http')}/{endpoint.path}/exec?{urlencode(wanted, doseq=True)}"
    with contextlib.ExitStack() as stack:
        try:
            socket = stack.enter_context(
                connect(
                    address,
                    ssl=endpoint.tls,
                    subprotocols=[Subprotocol(_PROTOCOL)],
                    additional_headers={"Authorization": endpoint.header} if endpoint.header else {},
                    compression=None,
                    proxy=endpoint.proxy,
                    open_timeout=_OPEN_SECONDS,
                    ping_interval=None,  # the server answers only once it has read what was sent before
                    close_timeout=1.0,
                    user_agent_header="buildpush",
                    logger=_logger(),
                )
            )
        except InvalidStatus as error:
            raise _refusal(error.response.status_code, bytes(error.response.body or b"")) from error
        except NegotiationError as error:
            raise _other_protocol() from error
        except (WebSocketException, OSError) as error:
            message = f"the cluster opens no stream to the container {container}: {one_line(str(error))}"
            raise UnreachableError(message) from error
        if socket.subprotocol != _PROTOCOL:  # with an older one, the command never sees the end of what is sent
            raise _other_protocol()
        yield socket


def _logger() -> logging.Logger:
    """Return where the library says what it does: nobody hears it, unless a program of the user's own asks for it.

    Without a handler, Python prints an error with its traceback. What it is about ends the stream, and is told by us.
    """
    logger = logging.getLogger("buildpush.cluster")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    return logger


def _other_protocol() -> ClusterError:
    message = f"the cluster does not speak {_PROTOCOL}, which came with Kubernetes 1.30"
    return ClusterError(message, hint="build in a newer cluster, or on this machine")


def _refusal(status: int, body: bytes) -> AuthenticationError | ClusterError | UnreachableError:
    try:
        reason = one_line(str(strict_json.parse(body)["message"]))
    except (ValueError, KeyError, TypeError):
        reason = f"status {status}"
    message = f"the cluster refuses a stream to the pod: {reason}"
    if status == _UNAUTHORIZED:
        return LoginRefusedError(
            message, hint="log in to the cluster again, as you do for kubectl", setting="kube_context"
        )
    if status == _FORBIDDEN:
        hint = "grant get and create on pods/exec, as examples/kubernetes/role.yaml does"
        return AuthenticationError(message, hint=hint, setting="kube_context")
    return UnreachableError(message) if status >= _SERVER_ERROR else ClusterError(message)


class _Output:
    """What a command prints, and the status that the server sends at its end."""

    def __init__(self) -> None:
        self._text = bytearray()
        self._status = b""

    def read(self, socket: ClientConnection) -> None:
        """Read until the server closes the stream, or it breaks."""
        from websockets.exceptions import ConnectionClosed

        with contextlib.suppress(ConnectionClosed, OSError):
            for message in socket:
                data = message.encode() if isinstance(message, str) else message
                if data[:1] == bytes((_STATUS,)):
                    self._status = data[1:]
                elif data[:1] in {bytes((_STDOUT,)), bytes((_STDERR,))}:
                    self._text += data[1:]
                    del self._text[:-_MOST_OUTPUT]

    def result(self, container: str) -> tuple[int, str]:
        text = self._text.decode("utf-8", "backslashreplace")
        try:
            document = strict_json.parse(self._status)
            if document["status"] == "Success":
                return 0, text
            causes = (document.get("details") or {}).get("causes") or ()
            status = next((int(cause["message"]) for cause in causes if cause.get("reason") == "ExitCode"), None)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            message = f"the stream to the container {container} broke"
            raise UnreachableError(message) from error
        if status is None:
            message = f"the container {container} cannot take it: {one_line(str(document.get('message')))}"
            raise ClusterError(message)
        return status, text

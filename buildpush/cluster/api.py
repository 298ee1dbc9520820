"""The API of a cluster, as far as Jobs need it: plain documents go in and come out.

Source: kubernetes.io/docs/reference/using-api/api-concepts; what each status means was seen with Kubernetes 1.34.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlencode

from buildpush.cluster.kubeconfig import Access, ClusterUser
from buildpush.cluster.login import ClusterLogin, identity_file
from buildpush.cluster.manifest import Document
from buildpush.foundation import strict_json
from buildpush.foundation.errors import AuthenticationError, CancelledError, ClusterError, UnreachableError
from buildpush.foundation.events import Sink, ignore
from buildpush.foundation.interrupts import Lock
from buildpush.foundation.records import dataclass
from buildpush.foundation.text import one_line
from buildpush.http.client import Http
from buildpush.http.messages import Answer, Stream
from buildpush.http.retry import Retries, Timeouts
from buildpush.http.urls import is_loopback
from buildpush.places import Place

JOBS: Final = "apis/batch/v1/namespaces/{namespace}/jobs"
PODS: Final = "api/v1/namespaces/{namespace}/pods"
SECRETS: Final = "api/v1/namespaces/{namespace}/secrets"
EVENTS: Final = "api/v1/namespaces/{namespace}/events"
_REVIEWS: Final = "apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_MANAGER: Final = "buildpush"
_BLOCK: Final = 64 * 1024
_LONGEST_LINE: Final = 16 * 1024 * 1024
# The server ends a watch after this time, so that a connection which has silently broken is noticed.
_WATCH_SECONDS: Final = 240
_SILENCE: Final = 300.0  # of a stream; a quiet build prints nothing for longer, and is then asked for again
# A control plane of one machine is away for a minute when it is upgraded.
_RETRIES: Final = Retries(attempts=8, restart=6, cap=15.0)
_SETTLING_SECONDS: Final = 2.0
ROLE_HINT: Final = "give this account the rights in examples/kubernetes/role.yaml"
# What a 403 says that comes from a rule about what may be created, and not from the rights of the account.
_POLICIES: Final = ("exceeded quota", "violates PodSecurity", "admission webhook", "denied the request")
_CONFLICTS: Final = 6  # how often a change is tried while others change the same, such as what a quota counts
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _CONFLICT, _GONE = 401, 403, 404, 409, 410
_AWAY: Final = frozenset({502, 503, 504})  # what a load balancer answers for a server that is away


class ExpiredError(Exception):
    """The version that a watch should begin at is no longer kept: everything has to be listed again."""


class Api:
    """The API server of one cluster, in one namespace; threads share it. Close it, or use it in a ``with``.

    Args:
        access: where it is, and who we are.
        place: where a program that logs in runs.
        env: whose proxies are used, unless *access* names one.
        ca_files: certificates to trust besides those that *access* names.
        sink: gets an event for every wait.
        retries: how often and how long to try.
    """

    def __init__(
        self,
        access: Access,
        place: Place,
        env: Mapping[str, str],
        *,
        ca_files: tuple[Path, ...] = (),
        sink: Sink = ignore,
        retries: Retries = _RETRIES,
    ) -> None:
        self.access = access
        self.namespace = access.namespace
        self._login = ClusterLogin(access, place)
        self._stack = ExitStack()
        host = access.server.partition("://")[2].partition("/")[0]
        proxies = {"https_proxy": access.proxy, "http_proxy": access.proxy} if access.proxy else env
        self._options: dict[str, Any] = {
            "ca_files": ca_files,
            "proxies": proxies,
            "insecure_hosts": frozenset({host} if access.insecure else ()),
            "schemes": {host: access.server.partition("://")[0]},
            "authorities": {host: access.authority} if access.authority else {},
            "retries": retries,
            "sink": sink,
        }
        self._lock = Lock()
        self._open: _Connections | None = None
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; streams under way end, and further requests are refused."""
        with self._lock:
            self._is_closed = True
            if self._open:
                self._open.short.cancel()
                self._open.streams.cancel()
        self._stack.close()

    @property
    def is_on_this_machine(self) -> bool:
        """Whether the server has an address of this machine, as that of kind, and is spoken to with TLS."""
        scheme, _, rest = self.access.server.partition("://")
        return scheme == "https" and is_loopback(rest.partition("/")[0]) and not self.access.proxy

    # ---- documents

    def create(self, path: str, document: Document) -> Document:
        """Create what *document* describes, and return it as the server keeps it.

        It may have been created by an attempt whose answer was lost: names are new for each build, so it is ours then.

        Raises:
            AuthenticationError: this account may not.
            ClusterError: the server refuses the document.
            UnreachableError: no answer came.
        """
        query = {"fieldManager": _MANAGER, "fieldValidation": "Strict"}
        answer = self._ask("POST", path, query, document, repeatable=True)
        if answer.status == _CONFLICT and answer.attempts > 1:
            # Nobody has to have the right to read Secrets.
            found = document if path == SECRETS else self.find(path, document["metadata"]["name"])
            if found:
                return found
        return self._document(answer, f"create the {document['kind']} {document['metadata']['name']}")

    def patch(self, path: str, name: str, change: Document) -> Document:
        """Change the object *name* by a merge of *change*, and return it; errors as for :meth:`create`."""
        query = {"fieldManager": _MANAGER, "fieldValidation": "Strict"}
        answer = self._ask("PATCH", f"{path}/{name}", query, change, kind="application/merge-patch+json")
        return self._document(answer, f"change {name}")

    def delete(self, path: str, name: str) -> None:
        """Delete the object *name*, and what it owns; one that is gone already is no error.

        Raises:
            AuthenticationError: this account may not.
            UnreachableError: no answer came.
        """
        # Without a policy, the pods of a Job would stay and run on.
        answer = self._ask("DELETE", f"{path}/{name}", {"propagationPolicy": "Background"})
        if answer.status != _NOT_FOUND:
            self._document(answer, f"delete {name}")

    def find(self, path: str, name: str) -> Document | None:
        """Return the object *name*, or ``None``; it needs only the right to list."""
        return next(iter(self.list(path, {"fieldSelector": f"metadata.name={name}"})[0]), None)

    def list(self, path: str, query: Mapping[str, str]) -> tuple[list[Document], str]:
        """Return all objects that *query* selects, and the version of the list; errors as for :meth:`create`."""
        answer = self._ask("GET", path, query)
        document = self._document(answer, f"list {path.rpartition('/')[2]}")
        return document.get("items") or [], (document.get("metadata") or {}).get("resourceVersion", "")

    def allows(self, verb: str, resource: str, *, group: str = "", subresource: str = "") -> bool:
        """Return whether this account may *verb* the *resource* in the namespace; anybody may ask."""
        attributes = {"namespace": self.namespace, "verb": verb, "resource": resource, "group": group}
        if subresource:
            attributes["subresource"] = subresource
        document = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        answer = self._ask("POST", _REVIEWS, {}, document, repeatable=True)
        review = self._document(answer, "ask for rights").get("status")
        return isinstance(review, dict) and review.get("allowed") is True

    # ---- streams

    def watch(self, path: str, query: Mapping[str, str], version: str) -> Iterator[tuple[str, Document]]:
        """Yield each change after *version*: ADDED, MODIFIED, DELETED or BOOKMARK, and the object.

        It ends when the server ends it, after some minutes.

        Raises:
            ExpiredError: that version is no longer kept.
            UnreachableError: the stream broke.
        """
        every = {
            **query,
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        for line in self._lines(path, every, "watch"):
            yield _change(line)

    def log(self, pod: str, container: str, since: str = "") -> Iterator[tuple[str, str]]:
        """Yield the time and the text of each line that *container* prints, until it ends.

        A text has the end of its line, unless the stream ended before that.

        Args:
            pod: name of the pod.
            container: whose output is read.
            since: a time that a line had; lines of the same second come again.

        Raises:
            UnreachableError: the stream broke.
            ClusterError: there is no log yet, or no longer.
        """
        query = {"container": container, "follow": "true", "timestamps": "true"}
        if since:
            query["sinceTime"] = since
        for line in self._lines(f"{PODS}/{pod}/log", query, "read the log"):
            time, _, text = line.decode("utf-8", "backslashreplace").partition(" ")
            yield time, text

    def execute(
        self,
        pod: str,
        container: str,
        argv: Sequence[str],
        stdin: Iterable[bytes],
        opened: Callable[[Callable[[], None]], object] = lambda _end: None,
    ) -> tuple[int, str]:
        """Run *argv* in *container* of *pod* with *stdin*; see :func:`buildpush.cluster.streams.execute`."""
        from buildpush.cluster.streams import Endpoint, LoginRefusedError, execute

        path = f"{PODS.format(namespace=self.namespace)}/{pod}"

        def attempt() -> tuple[int, str]:
            http = self._connections().short
            proxy, tls = http.proxy_for(self.access.server), http.tls_for(self.access.server)
            endpoint = Endpoint(self.access.server, path, self._login.header(), tls, proxy)
            return execute(endpoint, container, argv, stdin, opened)

        header, user = self._login.header(), self._login.user
        try:
            return attempt()
        except LoginRefusedError:  # nothing was sent yet
            if not self._login.renew(header, user):
                raise
            return attempt()

    def _lines(self, path: str, query: Mapping[str, str], what: str) -> Iterator[bytes]:
        for is_last in (False, True):
            refused, user = self._login.header(), self._login.user
            streams = self._connections().streams
            with streams.open("GET", self._url(path, query), authorization=self._login.header) as stream:
                if isinstance(stream, Stream):
                    yield from _split(stream)
                    return
                if stream.status == _GONE and "watch" in query:
                    raise ExpiredError
                if stream.status != _UNAUTHORIZED or is_last or not self._login.renew(refused, user):
                    raise self._failure(stream, what)

    # ---- requests

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        document: Document | None = None,
        *,
        kind: str = "application/json",
        repeatable: bool | None = None,
    ) -> Answer:
        body = None if document is None else json.dumps(document, separators=(",", ":")).encode()
        headers = {"Accept": "application/json", **({"Content-Type": kind} if body else {})}
        again = method != "POST" if repeatable is None else repeatable
        may_renew, was_away = True, False
        for attempt in range(1, _CONFLICTS + 1):
            refused, user = self._login.header(), self._login.user
            http, url = self._connections().short, self._url(path, query)
            answer = http.request(
                method, url, headers=headers, body=body, authorization=self._login.header, repeatable=again
            )
            was_away = was_away or answer.attempts > 1
            if answer.status == _UNAUTHORIZED and may_renew:
                may_renew = False
                if not self._login.renew(refused, user):
                    break
            elif _is_conflict(answer) and attempt < _CONFLICTS:
                http.wait(f"{method} {path.rpartition('/')[2]}", "others change the same", attempt)
            elif answer.status == _FORBIDDEN and was_away and attempt < _CONFLICTS:
                time.sleep(_SETTLING_SECONDS)  # a server that has just started does not know the roles yet
            else:
                break
        return answer

    def _connections(self) -> _Connections:
        """Return the connections of the user as it is now: a plugin may have printed another certificate."""
        user = self._login.user
        with self._lock:
            if self._is_closed:
                message = "the connections to the cluster are closed"
                raise CancelledError(message)
            if self._open is None or self._open.certificate != user.certificate:
                self._open = self._connect(user)
            return self._open

    def _connect(self, user: ClusterUser) -> _Connections:
        identity = self._stack.enter_context(identity_file(user))

        def connect(silence: float) -> Http:
            timeouts = Timeouts(silence=silence)
            return self._stack.enter_context(Http(**self._options, identity=identity, timeouts=timeouts))

        return _Connections(user.certificate, connect(30.0), connect(_SILENCE))

    def _url(self, path: str, query: Mapping[str, str]) -> str:
        tail = f"?{urlencode(query, doseq=True)}" if query else ""
        return f"{self.access.server}/{path.format(namespace=self.namespace)}{tail}"

    def _document(self, answer: Answer, what: str) -> Document:
        if not answer.ok:
            raise self._failure(answer, what)
        document = answer.json()
        return document if isinstance(document, dict) else {}

    def _failure(self, answer: Answer, what: str) -> AuthenticationError | ClusterError | UnreachableError:
        """Return the error for an answer that is not one of success."""
        reason = _message_in(answer) or f"status {answer.status}"
        if answer.status == _UNAUTHORIZED:
            message = f"the cluster does not know us ({self.access.source}): {reason}"
            hint = "log in to the cluster again, as you do for kubectl"
            return AuthenticationError(message, hint=hint, setting="kube_context")
        if answer.status in _AWAY:
            message = f"the API of the cluster is away, and could not {what}: {reason}"
            return UnreachableError(message)
        message = f"the cluster refuses to {what}: {reason}"
        if answer.status == _FORBIDDEN and not _is_policy(reason):
            return AuthenticationError(message, hint=ROLE_HINT, setting="kube_context")
        return ClusterError(message, hint=_hint_for(answer.status, reason, self.namespace), setting="place")


@dataclass(frozen=True, slots=True)
class _Connections:
    """Those of a user with one *certificate*: for *short* requests, and for *streams*."""

    certificate: str
    short: Http
    streams: Http


def _split(stream: Stream) -> Iterator[bytes]:
    """Yield the lines of *stream* with their ends, as they arrive; the last one may be half, and has no end then."""
    rest = b""
    while block := stream.read_some(_BLOCK):
        *lines, rest = (rest + block).split(b"\n")
        yield from (line + b"\n" for line in lines)
        if len(rest) > _LONGEST_LINE:
            message = f"the cluster sent a line of more than {_LONGEST_LINE} bytes"
            raise UnreachableError(message)
    if rest:
        yield rest


def _change(line: bytes) -> tuple[str, Document]:
    """Return the kind of a change, and the object; errors are those of :meth:`Api.watch`."""
    try:
        change = strict_json.parse(line)
        kind, document = change["type"], change["object"]
        is_gone = kind == "ERROR" and document.get("code") == _GONE
        is_whole = kind == "ERROR" or isinstance(document["metadata"]["resourceVersion"], str)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = "the cluster's watch sent something that is no change"
        raise UnreachableError(message) from error
    if is_gone:
        raise ExpiredError
    if kind == "ERROR" or not is_whole:
        message = f"the cluster's watch ended: {one_line(str(document.get('message')))}"
        raise UnreachableError(message)
    return kind, document


def _is_conflict(answer: Answer) -> bool:
    """Return whether others have changed the same meanwhile, such as what a quota counts; one may try again."""
    return answer.status == _CONFLICT and b'"AlreadyExists"' not in answer.body


def _message_in(answer: Answer) -> str:
    """Return what the server says, without the name of the object before it."""
    try:
        document = strict_json.parse(answer.body)
        text = document.get("message")
    except (ValueError, AttributeError):
        return answer.text()
    return one_line(text) if isinstance(text, str) else ""


def _is_policy(reason: str) -> bool:
    """Return whether a 403 comes from a rule about what may be created, and not from the rights of the account."""
    return any(words in reason for words in _POLICIES)


def _hint_for(status: int, reason: str, namespace: str) -> str | None:
    if "exceeded quota" in reason:
        return f"the namespace {namespace} is full: wait until its Jobs end, lower maxConcurrency, or raise the quota"
    if "unknown field" in reason or "strict decoding" in reason:
        return "correct job_template: the field is no field of a Job"
    if status == _NOT_FOUND:
        return f"check that the namespace {namespace} exists"
    if _is_policy(reason):
        return "a policy of the cluster forbids it: change the step as it says, or ask who runs the cluster"
    return None

"""The client of registries: addresses, permissions, and the meaning of refusals."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from buildpush.credentials.docker import Keychain
from buildpush.foundation.errors import AuthenticationError, BuildPushError, RegistryError
from buildpush.foundation.events import Note, Sink, ignore
from buildpush.foundation.interrupts import Lock
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.http.client import Http
from buildpush.http.messages import LARGEST_ANSWER, Answer, Body, Stream, is_redirect
from buildpush.http.urls import Address, AddressError, join_url, origin, url_without_secrets
from buildpush.http.words import error_in, is_page
from buildpush.images.references import DOCKER_HUB, Repository
from buildpush.registry.auth import Authorizer
from buildpush.registry.profile import UploadProfile

if TYPE_CHECKING:
    from buildpush.registry.memory import Memory

HUB_HOST = "registry-1.docker.io"
REPOSITORY_KEY_HEADER = "X-Artifactory-Docker-Registry"

_LEAST = regex(r"[0-9]{1,18}\Z")
_ACCEPTED = 202
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_LARGE, _TOO_MANY, _SERVER_ERROR = 401, 403, 404, 413, 429, 500


@dataclass(frozen=True, slots=True)
class PushAccess:
    """The permission to push, as the preflight found it.

    Attributes:
        username: ``None`` where the registry needs no login.
        source: where the credential came from.
        scheme: ``basic``, ``bearer`` or ``anonymous``.
    """

    repository: Repository
    scheme: str
    username: str | None = None
    source: str | None = None


class Registry:
    """A client for any registry, with one keychain; shared by threads.

    Args:
        http: connections; closed by their creator.
        keychain: finds credentials by host.
        sink: gets the events.
        memory: of earlier pushes.
        workers: how many blobs are sent at once.
    """

    def __init__(
        self,
        http: Http,
        keychain: Keychain | None = None,
        *,
        sink: Sink = ignore,
        memory: Memory | None = None,
        workers: int = 4,
    ) -> None:
        self.http = http
        self.sink = sink
        self.memory = memory
        self.workers = workers
        self._keychain = keychain or Keychain()
        self._authorizers: dict[str, Authorizer] = {}
        self._profiles: dict[str, UploadProfile] = {}
        self._hidden: set[Repository] = set()  # where it is useless to ask what exists
        self._noted: set[object] = set()  # kinds of notes that were reported once
        self._lock = Lock()

    def base(self, host: str) -> str:
        """Return the address of the registry at *host*, without a slash at the end."""
        return f"{self.http.first_scheme(host)}://{HUB_HOST if host == DOCKER_HUB else host}"

    def authorizer(self, host: str) -> Authorizer:
        """Return the authorization for the registry at *host*."""
        with self._lock:
            if host not in self._authorizers:
                self._authorizers[host] = Authorizer(self.http, host, self.base(host), self._keychain)
            return self._authorizers[host]

    def profile(self, host: str) -> UploadProfile:
        """Return how uploads to *host* are best sent, as learnt by this push or an earlier one."""
        with self._lock:
            if host not in self._profiles:
                self._profiles[host] = (self.memory.find_profile(host) if self.memory else None) or UploadProfile()
            return self._profiles[host]

    def learn(self, host: str, lesson: Callable[[UploadProfile], UploadProfile]) -> None:
        """Change how uploads to *host* are sent: *lesson* returns the new profile for the present one."""
        before = self.profile(host)
        with self._lock:
            profile = self._profiles[host] = lesson(self._profiles[host])
            if profile != before and self.memory:
                self.memory.keep_profile(host, profile)
        if profile.fresh and not before.fresh:
            self.http.close()  # idle connections have been used before

    def learn_part_size(self, answer: Answer, host: str) -> None:
        """Learn the minimum size of a part (``OCI-Chunk-Min-Length``) from the *answer* that began an upload."""
        wish = answer.headers.get("OCI-Chunk-Min-Length", "")
        if _LEAST.match(wish) and int(wish) != self.profile(host).least:
            self.learn(host, lambda profile: replace(profile, least=max(1, int(wish))))

    def is_hidden(self, repository: Repository) -> bool:
        """Return whether we cannot find out what *repository* contains; we may push there anyway."""
        return repository in self._hidden

    def hide(self, repository: Repository, reason: str) -> None:
        """Stop asking what *repository* contains, and note why: each such request would cost a new token."""
        with self._lock:
            self._hidden.add(repository)
        self.note_once(repository, f"{repository} does not say what it has, so everything is sent: {reason}")

    def note_once(self, kind: object, text: str) -> None:
        """Report *text* as a note, unless there was one of this *kind* before."""
        with self._lock:
            already = kind in self._noted
            self._noted.add(kind)
        if not already:
            self.sink(Note(text))

    def request(
        self,
        repository: Repository,
        method: str,
        path: str,
        *,
        actions: str = "pull,push",
        also: str = "",
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        repeatable: bool | None = None,
        most: int = LARGEST_ANSWER,
    ) -> Answer:
        """Send a request about *repository*, and return the answer, whatever its status.

        That is 401 only where a stream must be sent again, or where another host, to which the registry led, requires
        a login: that is not about our credentials.

        Args:
            repository: the request goes to its host.
            method: in capitals.
            path: after the repository's name (``blobs/sha256:…``), or a ``Location`` that the registry gave.
            actions: for the token.
            also: one more scope for the token.
            headers: of the request.
            body: bytes, or a stream, which is sent once.
            repeatable: see :meth:`buildpush.http.client.Http.request`.
            most: likewise.

        Raises:
            AuthenticationError: the credentials are refused, even with a new token.
            UnreachableError: there is no answer, or a ``Location`` that must not be followed.
        """
        url = self.address(repository, path, method)
        authorizer = self.authorizer(repository.host)
        scope = " ".join(filter(None, (f"repository:{repository.path}:{actions}", also)))
        is_own = origin(url) == origin(self.base(repository.host))
        if not is_own and body is not None:
            self._note_elsewhere(repository.host, url)
        for may_repeat in (True, False):
            header = authorizer.header(scope) if is_own else None
            answer = self.http.request(
                method, url, headers=headers, body=body, authorization=header, repeatable=repeatable, most=most
            )
            if answer.status != _UNAUTHORIZED or (is_own and self.is_from_another_host(repository, answer)):
                return answer
            if not is_own or not may_repeat or not authorizer.renew(answer, scope, header):
                break
            if body is not None and not isinstance(body, bytes):
                return answer  # the caller starts over, with the new token
        raise authorizer.error(answer)

    @contextlib.contextmanager
    def open(
        self, repository: Repository, path: str, *, headers: Mapping[str, str] | None = None
    ) -> Iterator[Stream | Answer]:
        """Yield a blob as a stream, or the answer that refuses it; 401 raises :class:`AuthenticationError`."""
        url = self.address(repository, path)
        authorizer = self.authorizer(repository.host)
        scope = f"repository:{repository.path}:pull"
        used = authorizer.header(scope) if origin(url) == origin(self.base(repository.host)) else None
        with self.http.open("GET", url, headers=headers, authorization=used) as first:
            login_refusal = self._refusal_of_login(repository, first)
            if login_refusal is None or not authorizer.renew(login_refusal, scope, used):
                yield first
                return
        with self.http.open("GET", url, headers=headers, authorization=authorizer.header(scope)) as second:
            if login_refusal := self._refusal_of_login(repository, second):
                raise authorizer.error(login_refusal)
            yield second

    def is_from_another_host(self, repository: Repository, answer: Answer) -> bool:
        """Return whether the answer comes from another host, to which the registry led."""
        return origin(answer.url) != self.http.connection_address(Address.parse(self.base(repository.host))).origin

    def _refusal_of_login(self, repository: Repository, answer: Answer | Stream) -> Answer | None:
        """Return an answer that requires another login, if it is from the registry itself."""
        if (
            isinstance(answer, Stream)
            or answer.status != _UNAUTHORIZED
            or self.is_from_another_host(repository, answer)
        ):
            return None
        return answer

    def address(self, repository: Repository, path: str, method: str = "GET") -> str:
        """Return the full address of *path*, which may be a ``Location`` in any of the forms that registries use.

        A registry behind a proxy often knows neither the scheme nor the port of its external address: where only these
        differ, those that worked so far are kept.

        Raises:
            AddressError: it is not an address, or *method* may not be sent there.
        """
        base = Address.parse(f"{self.base(repository.host)}/v2/{repository.path}/")
        target = base.join(path)
        if target.host == base.host:
            return str(replace(target, scheme=base.scheme, port=base.port))
        self.http.check_redirect(base, target, method)
        return str(target)

    def resolve_location(self, repository: Repository, answer: Answer, location: str) -> str:
        """Return the full address of a *location* in an *answer*, which is relative to the address that answered.

        Raises:
            AddressError: it is not an address, or may not be followed.
        """
        base = Address.parse(answer.url)
        url = self.address(repository, str(base.join(location)))
        self.http.check_redirect(base, self.http.connection_address(Address.parse(url)))
        return url

    def _note_elsewhere(self, host: str, url: str) -> None:
        target = Address.parse(url).netloc
        text = f"{host} redirects uploads of layers to {target}, which gets no credentials"
        self.note_once(("elsewhere", host, target), text)

    def check_push(self, repository: Repository) -> PushAccess:
        """Check, before anything is built, whether *repository* may be pushed to.

        Raises:
            AuthenticationError: the credentials are refused, or do not give the permission.
            RegistryError: there is no such repository, or the registry refuses for another reason.
            UnreachableError: there is no answer.
        """
        answer = self.request(repository, "POST", "blobs/uploads/", body=b"", repeatable=True)
        if answer.status == _FORBIDDEN:
            raise self.forbidden(repository, answer)
        if not answer.ok:
            raise refusal(answer, f"{repository} cannot be pushed to")
        if answer.status != _ACCEPTED or "Location" not in answer.headers:
            message = (
                f"{repository.host} does not answer like a registry: status {answer.status} to the start of an upload"
            )
            hint = "check the host: a proxy or a web page answers there"
            raise RegistryError(message, status=answer.status, hint=hint, setting="repo")
        self.give_up(repository, answer.headers["Location"])
        authorizer = self.authorizer(repository.host)
        credential = authorizer.credential if authorizer.scheme != "anonymous" else None
        return PushAccess(
            repository,
            authorizer.scheme,
            credential.username if credential else None,
            credential.source if credential else None,
        )

    def give_up(self, repository: Repository, location: str) -> None:
        """Ask the registry to cancel an upload; it does not matter whether it does."""
        with contextlib.suppress(BuildPushError):
            self.request(repository, "DELETE", location, repeatable=False)

    def forbidden(self, repository: Repository, answer: Answer) -> AuthenticationError:
        """Return the error for a known user without the permission."""
        authorizer = self.authorizer(repository.host)
        credential = authorizer.credential
        user = f"{credential.username!r} (from {credential.source})" if credential else "an anonymous user"
        code, reason = read_refusal(answer)
        message = f"{repository.host} does not let {user} push to {repository.path}: {reason or code or 'status 403'}"
        key = repository.path.partition("/")[0]
        hint = f"in Artifactory the user needs the permission Deploy/Cache on the repository {key!r}"
        return AuthenticationError(message, hint=hint, setting="connector_ref")


def read_refusal(answer: Answer) -> tuple[str | None, str]:
    """Return the code of a refusal, and its reason in one line."""
    code, reason = error_in(answer.body)
    if is_page(answer.body):
        return None, f"answered with {reason}"
    if is_redirect(answer):
        target = answer.headers["Location"]
        with contextlib.suppress(AddressError):
            target = join_url(answer.url, target)
        return code, f"it redirects to {url_without_secrets(target)}"
    return code, reason


_PAGE_HINT = "a proxy or a login page answers in place of the registry: check host and proxy"
_HINTS: Mapping[int | str, str] = {
    "NAME_UNKNOWN": "the first part of the path is Artifactory's repository key: check it and its spelling",
    "MANIFEST_UNKNOWN": "check repository and tag",
    "TOOMANYREQUESTS": "the registry limits the rate of requests: log in, or wait",
    _FORBIDDEN: "the user may not have a permission, or the tag may not be overwritten",
    _NOT_FOUND: "check host and repository; some hosts require the repository key as the first part of the path",
    _TOO_MANY: "the registry limits the rate of requests: log in, or wait",
    _TOO_LARGE: "a proxy in between limits the size of requests; ask for its limit to be raised",
}


_SERVER_HINT = "the server, or a proxy in front of it, has failed: look at its log, or try again later"
_READING_HINT = "the user may not have the permission to read, or a scan such as Xray's blocks it for a while"


def refusal(answer: Answer, what: str, *, reading: bool = False) -> RegistryError:
    """Return the error for a refusal: what was requested, what the registry said, and what to do.

    Args:
        answer: of the registry.
        what: what failed, such as ``r.io/a:1 cannot be fetched``.
        reading: whether the request was one to read.
    """
    code, reason = read_refusal(answer)
    words = " ".join(filter(None, (code, reason))) or "no reason given"
    times = f" after {answer.attempts} attempts" if answer.attempts > 1 else ""
    hint = _PAGE_HINT if is_page(answer.body) else _HINTS.get(code or "") or _HINTS.get(answer.status)
    hint = _SERVER_HINT if hint is None and answer.status >= _SERVER_ERROR else hint
    hint = _READING_HINT if reading and hint == _HINTS[_FORBIDDEN] else hint
    return RegistryError(f"{what}: status {answer.status}{times}: {words}", status=answer.status, code=code, hint=hint)

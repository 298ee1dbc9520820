"""The sandbox for Python code, which starts and stops it with ``with``, and can ask it what happened."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any

from buildpush.foundation.errors import SettingsError
from buildpush.foundation.locks import temporary
from buildpush.foundation.secrets import Secret
from buildpush.images.references import Digest
from buildpush.sandbox import layout
from buildpush.sandbox.accounts import Accounts, NewAccount
from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.content import unusable
from buildpush.sandbox.faults import Fault, Faults
from buildpush.sandbox.journal import Journal, Request
from buildpush.sandbox.line import Line
from buildpush.sandbox.oidc import OidcProvider
from buildpush.sandbox.permissions import RIGHTS
from buildpush.sandbox.store import DAY_SECONDS, Store
from buildpush.sandbox.written import make_fault, named_faults

if TYPE_CHECKING:
    from ssl import SSLContext
    from types import ModuleType, TracebackType
    from typing import Self

USERNAME = "developer"
REPOSITORY = "docker-local"
# What each of them does is in uploads.py, which needs aiohttp.
UPLOADS = ("artifactory", "docker-registry", "crane", "ghcr", "ecr", "zot", "serverless")
CHALLENGES = ("platform", "repository")
SECONDS_BETWEEN_CHECKS = 0.25


class Sandbox:
    """An Artifactory to practise on; it runs in this process inside a ``with`` block.

    Args:
        data: directory for its data, which is kept; by default a temporary one, which is removed at the end.
        port: to listen on; 0 for a free one.
        host: address to listen on; only on loopback, the pages need no login.
        clock: returns seconds since 1970.
        uploads: the server whose handling of uploads is imitated: ``artifactory``, ``docker-registry``, ``crane``,
            ``ghcr``, ``ecr``, ``zot`` or ``serverless``.
        least_piece: bytes that every piece of an upload but the last must have (``OCI-Chunk-Min-Length``).
        immutable: keys of repositories in which an existing tag cannot be moved; 409 for another digest.
        referrers: whether it lists what refers to a manifest; if not, it answers 404, like registries older than
            distribution-spec 1.1.
        challenge: who makes registry tokens, as answers without credentials say: the ``platform``, or the
            ``repository``, with the scope, as in older versions.
        oidc: identity providers whose tokens are exchanged for access tokens, by name.
        remotes: addresses of registries, by the key of the remote repository that fetches images from there.
        logins: user and password at these registries, by key; they are not stored.
        tls: whether it speaks TLS, by the certificate of a private authority; see ``authority``.

    Raises:
        SettingsError: *uploads*, *challenge* or *immutable* has an unknown value; or TLS lacks its library.
    """

    def __init__(
        self,
        data: Path | None = None,
        port: int = 0,
        host: str = "127.0.0.1",
        clock: Callable[[], float] = time.time,
        *,
        uploads: str = "artifactory",
        least_piece: int = 0,
        immutable: Collection[str] = (),
        referrers: bool = True,
        challenge: str = "platform",
        oidc: Mapping[str, OidcProvider] | None = None,
        remotes: Mapping[str, str] | None = None,
        logins: Mapping[str, tuple[str, Secret]] | None = None,
        tls: bool = False,
    ) -> None:
        for word, value, values in (("uploads like", uploads, UPLOADS), ("a challenge of the", challenge, CHALLENGES)):
            if value not in values:
                message = f"the sandbox cannot handle {word} {value!r}"
                raise SettingsError(message, hint=f"possible values: {', '.join(values)}")
        self._rules: dict[str, Any] = {
            "uploads": uploads,
            "least_piece": least_piece,
            "immutable": frozenset(immutable),
            "referrers": referrers,
            "challenge": challenge,
        }
        self._providers = dict(oidc or {})
        self._remotes = dict(remotes or {})
        self._logins = dict(logins or {})
        self._has_tls = tls
        self._authority: Path | None = None
        self._data = data
        self._address = (host, port)
        self._clock = clock
        self._faults = Faults()
        self._journal = Journal()
        self._stops: list[Callable[[], object]] = []

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        server = _load_server()
        listening = _listen(server.listen, *self._address)
        self._stops.append(listening.close)
        self._host = f"{_bracketed(self._address[0])}:{listening.getsockname()[1]}"
        directory = self._directory()
        self._store = Store(directory, self._clock, lasting=self._data is not None)
        self._stops.append(self._store.close)
        self._add_remotes()
        self._check_immutable()
        self._accounts = Accounts(self._store)
        try:
            layout.sweep(self._store, before=self._clock() - DAY_SECONDS)
            self._account = self._accounts.make(USERNAME)
        except OSError as error:
            raise unusable(directory, error) from error
        rules = server.RegistryRules(**self._rules)
        parts = (self._store, self._accounts, self._faults, self._journal)
        tls = self._make_certificate(directory) if self._has_tls else None
        running = server.Server(listening, *parts, rules=rules, providers=self._providers, logins=self._logins, tls=tls)
        self._stops.append(running.stop)
        running.start()
        self._server = running

    def _make_certificate(self, directory: Path) -> SSLContext:
        from buildpush.sandbox.certificates import AUTHORITY, make_certificate

        self._authority = directory / AUTHORITY
        return make_certificate(directory, self._address[0])

    def _add_remotes(self) -> None:
        from buildpush.sandbox.repositories import add_remote

        for key, url in self._remotes.items():
            try:
                add_remote(self._store, key, url)
            except RequestRefusedError as error:
                message = f"the sandbox cannot have the remote repository {key!r} for {url!r}: {error.message}"
                raise SettingsError(message, hint="write KEY=URL, such as hub=https://registry-1.docker.io") from error

    def _check_immutable(self) -> None:
        keys = [repository.key for repository in self._store.repositories()]
        for key in self._rules["immutable"]:
            if key not in keys:
                message = f"the sandbox has no repository {key!r} to make immutable"
                raise SettingsError(message, hint=f"name one of: {', '.join(keys)}")

    def _directory(self) -> Path:
        if self._data is not None:
            return self._data
        stack = ExitStack()
        self._stops.append(stack.close)
        return stack.enter_context(temporary(what="sandbox-", tidy=False))

    def close(self) -> None:
        """Stop the server and release everything; a second call does nothing."""
        while self._stops:
            self._stops.pop()()

    # Address and login

    @property
    def host(self) -> str:
        """Host and port, as in image references."""
        return self._host

    @property
    def url(self) -> str:
        """Address of the whole platform, without a slash at the end."""
        return f"{'https' if self._has_tls else 'http'}://{self._host}"

    @property
    def authority(self) -> Path | None:
        """File with the certificate to trust, for ``SSL_CERT_FILE``; ``None`` without TLS."""
        return self._authority

    @property
    def artifactory_url(self) -> str:
        """Address of Artifactory on the platform."""
        return f"{self.url}/artifactory/"

    @property
    def repository(self) -> str:
        """Key of the repository to push to."""
        return REPOSITORY

    @property
    def username(self) -> str:
        """User name of the account that has all rights."""
        return self._account.username

    @property
    def password(self) -> Secret:
        """Password of that account, made at this start; those of earlier starts on the same data stay valid."""
        return self._account.password

    @property
    def token(self) -> Secret:
        """Access token of the same account."""
        return self._account.token

    def add_account(
        self, username: str, rights: Sequence[str] = RIGHTS, repositories: Collection[str] | None = None
    ) -> NewAccount:
        """Make another account.

        Args:
            username: of the account.
            rights: any of read, deploy, annotate, delete and publish.
            repositories: keys of those that it is limited to, such as ``docker-local`` and, for builds,
                ``artifactory-build-info``; without them, it has its rights in all.
        """
        return self._accounts.make(username, rights, repositories)

    # What happened

    @property
    def requests(self) -> list[Request]:
        """Every request so far, oldest first, without secrets."""
        return self._journal.read()

    def follow(self) -> Queue[Request]:
        """Return a queue of the requests from now on, without secrets; it loses those that nobody takes in time."""
        return self._journal.follow()

    @property
    def failures(self) -> list[Exception]:
        """Errors of the sandbox itself; each was answered with status 500."""
        return self._journal.failures

    def has_blob(self, digest: Digest | str) -> bool:
        """Return whether any repository has a blob or manifest with this digest."""
        return layout.find_blob(self._store, Digest(str(digest))) is not None

    def blob(self, digest: Digest | str) -> bytes:
        """Return the bytes of a blob or manifest.

        Raises:
            KeyError: it does not exist.
        """
        entry = layout.find_blob(self._store, Digest(str(digest)))
        if entry is None:
            raise KeyError(str(digest))
        return self._store.content.path(entry.checksums.sha256).read_bytes()

    def digest(self, repository: str, reference: str) -> str | None:
        """Return the digest that a tag names now, or ``None``: ``digest("docker-local/app", "1")``."""
        from buildpush.sandbox.image_requests import find_target

        manifests = layout.find_manifests(self._store, find_target(self._store, repository), reference)
        return manifests[0].checksums.digest if manifests else None

    def tags(self, repository: str) -> list[str]:
        """Return the tags of an image such as ``docker-local/app``, sorted."""
        from buildpush.sandbox.image_requests import find_target

        return layout.tags(self._store, find_target(self._store, repository))

    def files(self, key: str = REPOSITORY) -> list[str]:
        """Return the paths of all files in a repository, sorted."""
        return [entry.path for entry in self._store.files(key)]

    def properties(self, key: str, path: str) -> dict[str, list[str]]:
        """Return the properties of a file."""
        return self._store.properties(key, path)

    def builds(self, name: str | None = None) -> list[Mapping[str, Any]]:
        """Return the build-info documents as stored, newest first."""
        return [build.document for build in self._store.builds(name)]

    # Faults

    def add_fault(self, method: str | Fault, path: str = "", **what: Any) -> None:
        """Make the next requests fail that have this method (``*``: any) and a path that matches *path*.

        Args:
            method: such as ``PATCH``; or, as the only argument, a fault, or the name of a set of faults, such as
                ``xray``.
            path: regular expression.
            what: how they fail, and how many of them: attributes of :class:`buildpush.sandbox.faults.Fault`.

        Raises:
            SettingsError: one of these is invalid.
        """
        if isinstance(method, Fault):
            self._faults.add(method)
        elif path or what:
            self._faults.add(make_fault(method, path, **what))
        else:
            for fault in named_faults(method):
                self._faults.add(fault)

    def add_line(self, **settings: Any) -> Line:
        """Return a line to this sandbox, which is closed together with it; *settings* as for :class:`Line`."""
        line = Line(self.host, **settings).__enter__()
        self._stops.append(line.close)
        return line

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._faults.clear()


def serve(
    port: int,
    data: Path | None,
    *,
    host: str = "127.0.0.1",
    announce: Callable[[Sandbox], None] = lambda _box: None,
    show: Callable[[Request], None] | None = None,
    stop: threading.Event | None = None,
    **rules: Any,
) -> None:
    """Run a sandbox until Ctrl-C, or until *stop* is set.

    Args:
        port: to listen on; 0 for a free one.
        data: directory for its data, or ``None`` for a temporary one.
        host: address to listen on.
        announce: called when it is ready, to show its address and credentials.
        show: called in this thread for every request, once it is answered.
        stop: stops it when set by another thread.
        rules: as for :class:`Sandbox`: ``uploads``, ``least_piece``, ``immutable``, ``referrers``, ``challenge``,
            ``remotes``, ``tls``.

    Raises:
        SettingsError: the port, the host, the directory or a rule cannot be used.
    """
    with Sandbox(data, port, host, **rules) as box:
        announce(box)
        requests = box.follow() if show else Queue()
        stop = stop or threading.Event()
        # Not one long wait: another thread may receive Ctrl-C, which this one notices only when it wakes up.
        while not stop.is_set():
            with suppress(Empty):
                request = requests.get(timeout=SECONDS_BETWEEN_CHECKS)
                if show:
                    show(request)


def _load_server() -> ModuleType:
    try:
        from buildpush.sandbox import server
    except ModuleNotFoundError as error:
        if error.name != "aiohttp":
            raise
        message = "the sandbox needs the library aiohttp"
        raise SettingsError(message, hint="install it with: pip install 'buildpush[sandbox]'") from error
    return server


def _listen(listen: Callable[[str, int], Any], host: str, port: int) -> Any:
    try:
        return listen(host, port)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        message = f"the sandbox cannot listen on {_bracketed(host)}:{port}: {reason}"
        other = port + 1 if 0 < port < 65535 else 8082  # noqa: PLR2004 - the highest port
        hint = f"name another port, such as --port {other}, or --port 0 for any free one"
        raise SettingsError(message, hint=hint) from error


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host

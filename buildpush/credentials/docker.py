"""Credentials of registries, from Docker's configuration files and credential helpers."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from buildpush.foundation import strict_json
from buildpush.foundation.errors import (
    EngineMissingError,
    SourceError,
    TimeOutError,
)
from buildpush.foundation.interrupts import Lock
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.foundation.secrets import Secret
from buildpush.images.references import DOCKER_HUB

if TYPE_CHECKING:
    from buildpush.credentials.renewal import Renewal
    from buildpush.http.client import Http
    from buildpush.places import Place

HUB_NAMES = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})
HUB_KEY = "https://index.docker.io/v1/"
HELPER_SECONDS = 30.0
# User name by which credential helpers say that the secret is an identity token.  Source: docker-credential-helpers.
TOKEN_USER = "<token>"  # noqa: S105 - a marker, not a password
_API_KEY_START = "AKCp8"
_API_KEY_LENGTH = 73
_JWT_PARTS = 3
_HELPER_NAME = regex(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")

CredentialKind = Literal["password", "identity", "access", "key"]


@dataclass(frozen=True, slots=True)
class Credential:
    """A user and a password, or a token, for one host, and where they come from.

    Attributes:
        username: may be empty where *password* is a token.
        source: for messages: ``connector jfrog``, ``PLUGIN_PASSWORD``, ``~/.docker/config.json``.
        kind: of *password*; an ``identity`` token serves only to request other tokens, an ``access`` token is one of
            Artifactory's, a ``key`` one of its old API keys.
        renewal: gives the access token, and another one when it has expired; *password* is then not used itself.
    """

    username: str
    password: Secret
    source: str
    kind: CredentialKind = "password"
    renewal: Renewal | None = None

    def fresh(self, http: Http) -> Credential:
        """Return this credential with the token that is valid now, which may have to be requested."""
        return replace(self, password=self.renewal.current(http)) if self.renewal else self

    def renew(self, http: Http) -> bool:
        """Return whether there is another token in place of this one, which its server refuses."""
        return self.renewal is not None and self.renewal.renew(http, self.password)

    @property
    def basic(self) -> str:
        """Value of an ``Authorization`` header with user name and password."""
        return f"Basic {self.password.basic(self.user)}"

    @property
    def user(self) -> str:
        """Name to log in with; for an access token without one, the user that the token itself names.

        Artifactory accepts such a token in place of the password of its user.
        """
        is_unnamed = self.kind == "access" and not self.username
        return _user_in(self.password.reveal()) if is_unnamed else self.username

    @property
    def bearer(self) -> str | None:
        """Value of an ``Authorization`` header with the access token as it is; ``None`` for other kinds.

        Artifactory's REST interface and its registries both accept it; old API keys are sent in other ways.
        """
        if self.kind != "access" or self.is_api_key:
            return None
        return f"Bearer {self.password.reveal()}"

    @property
    def is_api_key(self) -> bool:
        """Whether it is one of the old API keys; a token is one by the rule of jfrog-client-go."""
        token = self.password.reveal()
        return self.kind == "key" or (
            self.kind == "access" and token.startswith(_API_KEY_START) and len(token) >= _API_KEY_LENGTH
        )


def _user_in(token: str) -> str:
    """Return the user that an access token of Artifactory names, or nothing: ``sub`` ends in ``/users/NAME``."""
    parts = token.split(".")
    if len(parts) != _JWT_PARTS:
        return ""
    try:
        claims = strict_json.parse(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)).decode())
    except ValueError:
        return ""
    subject = claims.get("sub") if isinstance(claims, dict) else None
    user = subject.rpartition("/users/")[2] if isinstance(subject, str) else ""
    return user if user.isprintable() and ":" not in user else ""


class Keychain:
    """Finds the credentials of a host in the usual places.

    In this order: *given* ones, ``DOCKER_AUTH_CONFIG``, Docker's ``config.json`` with its helpers and its store,
    podman's ``auth.json``, and *last* ones. It never writes to any of them.

    Args:
        given: credentials by host, as in references.
        last: credentials by host, used if no other source has one.
        env: the environment.
        home: the user's home.
        place: returns the place that runs credential helpers; without it, helpers are not asked.
    """

    def __init__(
        self,
        given: Mapping[str, Credential] | None = None,
        *,
        last: Mapping[str, Credential] | None = None,
        env: Mapping[str, str] | None = None,
        home: Path | None = None,
        place: Callable[[], Place] | None = None,
    ) -> None:
        self._given = {_host_of(host): credential for host, credential in (given or {}).items()}
        self._last = last or {}
        self._env = env or {}
        self._home = home
        self._place = place
        self._found: dict[str, Credential | None] = {}
        self._lock = Lock()
        self.notes: list[str] = []

    def find(self, host: str) -> Credential | None:
        """Return the credential for *host*, or ``None``.

        Raises:
            SourceError: a file or variable with credentials cannot be read.
        """
        name = _host_of(host)
        with self._lock:
            if name not in self._found:
                self._found[name] = self._given.get(name) or next(self._search(name), self._last.get(name))
            return self._found[name]

    def _search(self, host: str) -> Iterator[Credential]:
        if text := self._env.get("DOCKER_AUTH_CONFIG"):
            yield from _in_auths(_document(text, "DOCKER_AUTH_CONFIG"), host, "DOCKER_AUTH_CONFIG")
        for path in self._docker_files():
            document = _document(_text(path), str(path))
            yield from self._from_helpers(document, host, path)
            yield from _in_auths(document, host, str(path))
        for path in self._podman_files():
            yield from _in_auths(_document(_text(path), str(path)), host, str(path))

    def _docker_files(self) -> Iterator[Path]:
        if base := self._env.get("DOCKER_CONFIG"):
            yield Path(base, "config.json")
        elif self._home:
            yield self._home / ".docker" / "config.json"

    def _podman_files(self) -> Iterator[Path]:
        if path := self._env.get("REGISTRY_AUTH_FILE"):
            yield Path(path)
        if base := self._env.get("XDG_RUNTIME_DIR"):
            yield Path(base, "containers", "auth.json")
        if base := self._env.get("XDG_CONFIG_HOME"):
            yield Path(base, "containers", "auth.json")
        elif self._home:
            yield self._home / ".config" / "containers" / "auth.json"

    def _from_helpers(self, document: Mapping[str, Any], host: str, path: Path) -> Iterator[Credential]:
        helpers = document.get("credHelpers")
        host_helper = next((name for key, name in _items(helpers) if _host_of(key) == host), None)
        for name in (host_helper, document.get("credsStore")):
            if isinstance(name, str) and name:
                yield from self._ask_helper(name, host, path)

    def _ask_helper(self, name: str, host: str, path: Path) -> Iterator[Credential]:
        program = f"docker-credential-{name}"
        if not _HELPER_NAME.match(name):
            message = f"{name!r} is not the name of a credential helper"
            raise SourceError(message, where=str(path))
        if self._place is None:
            return
        key = HUB_KEY if host == DOCKER_HUB else host
        try:
            ran = self._place().run([program, "get"], stdin=key.encode(), timeout=HELPER_SECONDS)
        except (EngineMissingError, TimeOutError) as error:
            self.notes.append(f"{error} (named in {path})")
            return
        if not ran.status:  # otherwise it has no credential
            yield from _from_helper(ran.stdout, f"credential helper {program}")


def _from_helper(text: str, source: str) -> Iterator[Credential]:
    document = _document(text, source)
    username, secret = str(document.get("Username", "")), str(document.get("Secret", ""))
    if secret:
        yield Credential(username, Secret(secret, source), source, "identity" if username == TOKEN_USER else "password")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return "{}"
    except (OSError, UnicodeDecodeError) as error:
        message = "the file with credentials cannot be read"
        raise SourceError(message, where=str(path), hint="check its permissions, and that it is text") from error


def _document(text: str, where: str) -> Mapping[str, Any]:
    try:
        document = strict_json.parse(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        # The message does not quote the text or name a cause: both may contain half a password.
        message = "the credentials are not a JSON object"
        raise SourceError(message, where=where) from None
    return document


def _in_auths(document: Mapping[str, Any], host: str, source: str) -> Iterator[Credential]:
    for key, entry in _items(document.get("auths")):
        if _host_of(key) == host and not _is_for_part(key) and isinstance(entry, dict):
            yield from _from_entry(entry, source)


def _from_entry(entry: Mapping[str, Any], source: str) -> Iterator[Credential]:
    username, password = str(entry.get("username", "")), str(entry.get("password", ""))
    if entry.get("auth"):
        username, password = _decode(str(entry["auth"]), source)
    if entry.get("identitytoken"):
        yield Credential(username, Secret(str(entry["identitytoken"]), source), source, "identity")
    elif password:
        yield Credential(username, Secret(password, source), source)


def _decode(text: str, source: str) -> tuple[str, str]:
    try:
        username, colon, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        colon = ""
    if not colon:
        message = "an entry of 'auths' is not the base64 of USER:PASSWORD"
        raise SourceError(message, where=source, hint="log in again; that replaces the entry") from None
    return username, password.strip("\0")


def credentials_in(text: str, source: str) -> dict[str, Credential]:
    """Return the logins in the text of a ``config.json`` by host.

    Raises:
        SourceError: the text is not a ``config.json``, has no login, or names a credential helper, which is not asked.
    """
    document = _document(text, source)
    if any(document.get(key) for key in ("credHelpers", "credsStore")):
        message = "the configuration of Docker names a credential helper, but only its 'auths' are read"
        raise SourceError(message, where=source, hint="set DOCKER_CONFIG to its directory; then helpers are asked")
    hosts = dict.fromkeys(_host_of(key) for key, _ in _items(document.get("auths")))
    logins = {host: login for host in hosts for login in list(_in_auths(document, host, source))[:1]}
    if not logins:
        message = "the configuration of Docker has no login"
        raise SourceError(message, where=source, hint="write an entry for each host into its 'auths'")
    return logins


def _items(value: Any) -> list[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


def _is_for_part(key: str) -> bool:
    """Return whether *key* is only for some repositories of a host, as podman allows."""
    path = (key.partition("://")[2] or key).partition("/")[2].strip("/")
    return path not in {"", "v1", "v2"}


def _host_of(key: str) -> str:
    """Return the host in a key such as ``https://index.docker.io/v1/``."""
    host = key.partition("://")[2] or key
    host = host.partition("/")[0]
    return DOCKER_HUB if host in HUB_NAMES else host

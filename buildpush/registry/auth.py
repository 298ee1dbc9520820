"""Authentication at a registry: without credentials, with a password, or with a token obtained for it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from itertools import zip_longest
from urllib.parse import urlencode

from buildpush.credentials.docker import TOKEN_USER, Credential, Keychain
from buildpush.foundation.errors import AuthenticationError, RegistryError
from buildpush.foundation.interrupts import Lock
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.foundation.secrets import Secret, remember
from buildpush.foundation.text import shortened
from buildpush.http.client import Http
from buildpush.http.messages import Answer
from buildpush.http.urls import Address, AddressError, url_without_secrets
from buildpush.images.references import DOCKER_HUB

# Token servers on another host than their registry that are known to belong to it.
_KNOWN_REALMS = {
    DOCKER_HUB: "auth.docker.io",
    **{f"rg.{region}.scw.cloud": "api.scaleway.com" for region in ("fr-par", "nl-ams", "pl-waw")},
}
# Domains under which unrelated people have hosts.
_SHARED_DOMAINS = frozenset(
    {"amazonaws.com", "amazonaws.com.cn", "azurecr.io", "azurecr.cn", "azurecr.us", "azurewebsites.net"}
    | {"github.io", "gitlab.io", "herokuapp.com"}
    | {"run.app", "cloudfront.net", "googleusercontent.com", "ngrok.io", "ngrok.app", "fly.dev", "vercel.app"}
)
# A server of JFrog named NAME has NAME.jfrog.io, and NAME-KEY.jfrog.io for each of its repositories.
_JFROG = ".jfrog.io"
# Domains of a private network, which cannot be registered: all hosts there have the same owner.  Source: RFC 6762,
# appendix G; ICANN, "Reservation of .internal".
_PRIVATE_DOMAINS = frozenset({"corp", "home", "internal", "intranet", "lan", "local", "private"})
_SECOND_LEVEL = frozenset({"ac", "co", "com", "edu", "go", "gob", "gov", "ne", "net", "or", "org"})
_TOKEN_SECONDS = 60  # where the token server does not say.  Source: distribution-spec, "Token Authentication".
_SAFETY_SECONDS = 30
_UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a registry requires: *scheme* is ``basic`` or ``bearer``; the rest says where tokens are issued."""

    scheme: str
    realm: str = ""
    service: str = ""
    scope: str = ""


_SCHEME = regex(r"(?:^|,)\s*(basic|bearer)\s+(?=[a-z]+\s*=)", re.IGNORECASE)
_WORD = regex(r'(?<![a-z_])([a-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))', re.IGNORECASE)


def read_challenge(header: str) -> Challenge | None:
    """Parse ``WWW-Authenticate``; a token is preferred to a password. ``None`` means that we support neither.

    Source: RFC 9110, 11.6.1; distribution-spec, "Token Authentication Specification".
    """
    starts = list(_SCHEME.finditer(header))
    challenges = [
        _challenge(match[1].lower(), header[match.end() : after.start() if after else len(header)])
        for match, after in zip_longest(starts, starts[1:])
    ]
    supported = [challenge for challenge in challenges if challenge.scheme == "basic" or challenge.realm]
    return next(
        (challenge for challenge in supported if challenge.scheme == "bearer"), supported[0] if supported else None
    )


def _challenge(scheme: str, text: str) -> Challenge:
    words = {match[1].lower(): match[2] if match[2] is not None else match[3] for match in _WORD.finditer(text)}
    return Challenge(scheme, words.get("realm", ""), words.get("service", ""), words.get("scope", ""))


def may_get_credentials(realm: str, host: str, base: str) -> bool:
    """Return whether credentials of *host* may be sent to the token server at *realm*.

    Args:
        realm: address from the challenge, which anyone may have written.
        host: registry, as in references.
        base: address at which the registry is reached.
    """
    try:
        server, registry = Address.parse(realm), Address.parse(base)
    except AddressError:
        return False
    if server.scheme == "http" and registry.scheme != "http":
        return False
    if server.host == registry.host or _KNOWN_REALMS.get(host) == server.host:
        return True
    return _have_same_owner(server.host.rstrip("."), registry.host.rstrip("."))


def _have_same_owner(one: str, other: str) -> bool:
    """Return whether a token server named *one* has the same owner as the registry named *other*."""
    if one == other or one.endswith(f".{other}") or other.endswith(f".{one}"):
        return "." in one and "." in other
    if one.endswith(_JFROG) and other.endswith(_JFROG):
        return other.startswith(f"{one.removesuffix(_JFROG)}-")
    domain = _domain(one)
    return domain == _domain(other) and domain is not None and domain not in _SHARED_DOMAINS


def _domain(host: str) -> str | None:
    """Return the registered part of a name, as far as it is clear without the list of public suffixes."""
    labels = host.split(".")
    if len(labels) > 1 and labels[-1] in _PRIVATE_DOMAINS:
        return labels[-1]
    country = len(labels) > 1 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL  # noqa: PLR2004 - ISO 3166
    count = 3 if country else 2
    return ".".join(labels[-count:]) if len(labels) > count - 1 and not labels[-1].isdecimal() else None


@dataclass(slots=True)
class _Token:
    text: str
    until: float


class Authorizer:
    """The authorization for one registry: needed for each request, fetched once, and renewed under a lock.

    Args:
        http: sends the requests.
        host: as in references.
        base: address of the registry.
        keychain: finds the credential, if there is one.
        clock: monotonic seconds; the lifetime of tokens does not depend on the time of day.
    """

    def __init__(
        self, http: Http, host: str, base: str, keychain: Keychain, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.host = host
        self._http = http
        self._base = base
        self._keychain = keychain
        self._clock = clock
        self._lock = Lock()
        self._challenge_known = False
        self._challenge: Challenge | None = None
        self._bearer_refused = False
        self._tokens: dict[str, _Token] = {}

    @property
    def credential(self) -> Credential | None:
        """The keychain's credential for this host, with a token that is valid now."""
        found = self._keychain.find(self.host)
        return found.fresh(self._http) if found else None

    @property
    def scheme(self) -> str:
        """``basic``, ``bearer``, or ``anonymous`` where nothing is required."""
        challenge = self._ask_challenge()
        return challenge.scheme if challenge else "anonymous"

    def header(self, scope: str) -> str | None:
        """Return the value of ``Authorization`` for *scope*, such as ``repository:docker-local/app:pull,push``."""
        challenge = self._ask_challenge()
        if challenge is None:
            return None
        if bearer := self._bearer:
            return bearer
        if challenge.scheme == "basic":
            return self.credential.basic if self.credential else None
        with self._lock:
            token = self._tokens.get(scope)
            if token is None or token.until < self._clock():
                token = self._tokens[scope] = self._fetch(challenge, scope)
            return f"Bearer {token.text}" if token.text else None

    @property
    def _bearer(self) -> str | None:
        """Artifactory's access token itself, which its registry accepts without a further token.

        Where another registry in front of it does not, the token is sent as the password of its user.
        """
        credential = None if self._bearer_refused else self.credential
        return credential.bearer if credential else None

    def renew(self, answer: Answer, scope: str, used: str | None) -> bool:
        """Learn from a refusal (401) of the header *used*; return whether to try again.

        Some registries do not repeat the challenge in the middle of a push; then the earlier one still holds.
        Source: buildx#324.
        """
        if self._renew_token(used):
            return True
        challenge = read_challenge(answer.headers.get("WWW-Authenticate", "")) or (self._challenge if used else None)
        if challenge is None:
            return False
        with self._lock:
            self._bearer_refused |= used is not None and used == self._bearer
            if challenge.scheme == "bearer":
                token = self._tokens.get(scope)
                if token is not None and f"Bearer {token.text}" != used:
                    return True  # another thread was faster
                self._tokens[scope] = self._fetch(challenge, merge_scopes(challenge.scope, scope))
            self._challenge = Challenge(challenge.scheme, challenge.realm, challenge.service)
            return self.header(scope) != used

    def _renew_token(self, used: str | None) -> bool:
        """Replace the access token in the header *used*; return ``False`` for one that was just made, or cannot be."""
        found = None if self._bearer_refused else self._keychain.find(self.host)
        if used is None or found is None or found.renewal is None:
            return False
        return found.renewal.renew(self._http, Secret(used.removeprefix("Bearer "), found.source))

    def error(self, answer: Answer) -> AuthenticationError:
        """Return the error for a refusal: it names host, user and source of the credential."""
        credential = self.credential
        details = _describe_answer(answer)
        if credential is None:
            message = f"{self.host} requires credentials, and none were found{details}"
            hint = (
                "name a connector, give username and password, or set PLUGIN_USERNAME and PLUGIN_PASSWORD; "
                f"or run: docker login {self.host}"
            )
            return AuthenticationError(message, hint="; ".join([hint, *self._keychain.notes]), setting="connector_ref")
        message = f"{self.host} {self._describe_refusal(credential, answer)}{details}"
        return AuthenticationError(message, hint=self._hint(), setting="connector_ref")

    def _describe_refusal(self, credential: Credential, answer: Answer) -> str:
        """Return what is refused: the password, or the permission of a known user."""
        named = credential.username not in {"", TOKEN_USER}
        user = f" of {credential.username!r}" if named else ""
        if self._foreign_server():
            source = f"(from {credential.source})"
            return f"requires a token of another server, which does not get the credentials{user} {source}"
        if answer.status == 403:  # noqa: PLR2004 - forbidden
            return f"accepts the credentials{user} (from {credential.source}), but they do not give this permission"
        challenge = self._challenge
        if challenge and challenge.scheme == "bearer" and not answer.url.startswith(challenge.realm):
            return f"refuses the token that was made for the credentials{user} (from {credential.source})"
        if not named or credential.kind == "identity":
            return f"refuses the token{user} (from {credential.source})"
        return f"refuses the user name or password{user} (from {credential.source})"

    def _hint(self) -> str:
        if foreign := self._foreign_server():
            return f"the token server {foreign} does not belong to {self.host}: no credentials were sent to it"
        return "check user name and password or token, whether it has expired, and that it is for this host"

    def _foreign_server(self) -> str:
        """Return the address of a token server that must not get our credentials, or an empty text."""
        challenge = self._challenge
        realm = (
            challenge.realm if challenge and challenge.scheme == "bearer" else ""
        )  # that of basic authentication is only a name
        return url_without_secrets(realm) if realm and not may_get_credentials(realm, self.host, self._base) else ""

    def _ask_challenge(self) -> Challenge | None:
        with self._lock:
            if not self._challenge_known:
                answer = self._http.request("GET", f"{self._base}/v2/")
                if answer.status == 401:  # noqa: PLR2004 - unauthorised
                    self._challenge = read_challenge(answer.headers.get("WWW-Authenticate", ""))
                elif not answer.ok and self.credential:
                    # Not every registry answers here; most of those that do not accept a password.
                    self._challenge = Challenge("basic")
                self._challenge_known = True
            return self._challenge

    def _fetch(self, challenge: Challenge, scope: str) -> _Token:
        trusted = may_get_credentials(challenge.realm, self.host, self._base)
        credential = self.credential if trusted else None
        answer = self._ask(challenge, scope, credential)
        if answer.status in {401, 403}:
            raise self.error(answer)
        if not answer.ok:
            what = f"{url_without_secrets(challenge.realm)} does not issue a token for {self.host}"
            message = f"{what}: status {answer.status} {answer.text()}"
            raise RegistryError(message, status=answer.status)
        return self._read_token(answer)

    def _token_server(self, realm: str) -> Address:
        """Return the address of the token server that the registry names.

        Raises:
            RegistryError: it is not an address, or one to which the registry may not send us.
        """
        try:
            address = Address.parse(realm)
            self._http.check_redirect(Address.parse(self._base), address)
        except AddressError as error:
            message = f"{self.host} names a token server that cannot be used: {error}"
            hint = "check the external address in the registry's configuration"
            raise RegistryError(message, status=_UNAUTHORIZED, hint=hint) from error
        return address

    def _ask(self, challenge: Challenge, scope: str, credential: Credential | None) -> Answer:
        server = self._token_server(challenge.realm)
        fields = {"service": challenge.service, "scope": scope}
        if credential and credential.kind == "identity":
            form = {**fields, "grant_type": "refresh_token", "client_id": "buildpush"}
            body = urlencode({**form, "refresh_token": credential.password.reveal()}).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            # Redirects are not followed: the body is a credential.
            return self._http.request("POST", str(server), headers=headers, body=body, repeatable=True, redirect=False)
        query = [("client_id", "buildpush"), ("service", challenge.service)]
        query += [("scope", part) for part in scope.split()]
        url = str(server.with_query((name, value) for name, value in query if value))
        return self._http.request("GET", url, authorization=credential.basic if credential else None)

    def _read_token(self, answer: Answer) -> _Token:
        document = answer.json()
        text = document.get("token") or document.get("access_token") if isinstance(document, dict) else None
        if not isinstance(text, str) or not text.isprintable():
            message = f"{url_without_secrets(answer.url)} answered without a token"
            hint = "the registry says that its tokens come from there: check the host, and any proxy in front of it"
            raise RegistryError(message, status=answer.status, hint=hint)
        remember(text)
        seconds = document.get("expires_in")
        lifetime = seconds if type(seconds) in {int, float} and seconds > 0 else _TOKEN_SECONDS
        return _Token(text, self._clock() + max(lifetime - _SAFETY_SECONDS, lifetime / 2))


def merge_scopes(requested: str, needed: str) -> str:
    """Return the scope that the registry *requested*, and what else is *needed* in the same repositories.

    The answer to a HEAD requests only ``pull``, and a registry may have another name for a repository than we have.
    """
    repositories = {one.rpartition(":")[0] for one in requested.split()}
    rest = [one for one in needed.split() if not requested or one.rpartition(":")[0] in repositories]
    return " ".join(dict.fromkeys([*requested.split(), *rest]))


def _describe_answer(answer: Answer) -> str:
    text = shortened(answer.text(), 200)
    return f" (status {answer.status}: {text})" if text else f" (status {answer.status})"

"""Access tokens that are fetched when they are needed, and again when they have expired.

A token comes from an OIDC exchange, or from a refresh token. One :class:`Renewal` is shared by all clients of a server,
so that REST and registry have one identity, and one token.
Sources: JFrog REST API, "Exchange OIDC Token" and "Refresh Token"; GitHub, "OpenID Connect reference".
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from buildpush.foundation.errors import AuthenticationError, RegistryError, SettingsError
from buildpush.foundation.interrupts import Lock
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import Secret
from buildpush.foundation.text import quotation
from buildpush.http.client import Http
from buildpush.http.messages import Answer
from buildpush.http.urls import Address, AddressError, is_loopback

_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_ID_TOKEN: Final = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 - the name of a type
# A token that was just made is refused for another reason than its age.
_YOUNGEST: Final = 5.0
# It is renewed this long before its end, so that a request that is under way does not outlive it.
_MARGIN: Final = 60.0
_SMALL: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token, as its server issued it.

    Attributes:
        seconds: its lifetime; 0 if it is not known.
        refresh: the token that renews it once, or ``None``.
    """

    access: Secret
    seconds: float = 0.0
    refresh: Secret | None = None


Issue = Callable[[Http, AccessToken | None], AccessToken]


class Renewal:
    """The present token of a server, shared by threads.

    Args:
        issue: requests a token; its second argument is the one that has expired, if there was one.
        first: the token that was given, if there is one.
        clock: monotonic seconds.
    """

    def __init__(
        self, issue: Issue, first: AccessToken | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._issue, self._token, self._clock = issue, first, clock
        self._since = clock() if first is None else float("-inf")
        self._until = clock() + first.seconds if first and first.seconds else float("inf")
        self._lock = Lock()

    def current(self, http: Http) -> Secret:
        """Return the token; one that has expired, or soon will, is renewed first.

        Raises:
            AuthenticationError: no token is issued.
        """
        with self._lock:
            if self._token is None or self._clock() > self._until:
                self._fetch(http)
            return self._token.access  # type: ignore[union-attr]  # just fetched

    def renew(self, http: Http, used: Secret) -> bool:
        """Replace the token *used*, which a server refuses; return whether there is another one now.

        Raises:
            AuthenticationError: no token is issued.
        """
        with self._lock:
            if self._token and self._token.access != used:
                return True  # another thread was faster
            if self._clock() - self._since < _YOUNGEST:
                return False
            self._fetch(http)
            return True

    def _fetch(self, http: Http) -> None:
        self._token = self._issue(http, self._token)
        self._since = self._clock()
        lifetime = self._token.seconds
        self._until = self._since + max(lifetime - _MARGIN, lifetime / 2) if lifetime else float("inf")


@dataclass(frozen=True, slots=True)
class OidcExchange:
    """Exchanges the token of a CI system, or of another identity provider, for an access token.

    Attributes:
        platform: address of the JFrog platform, which ends in a slash.
        provider: name of the OIDC integration in JFrog.
        project: key of the JFrog project, or ``""``.
        audience: of GitHub's token, or ``""``.
        token: the provider's token, where it is given as it is.
        file: has the token; it is read each time.
        request: address and token with which GitHub gives a new one each time.
    """

    platform: str
    provider: str
    project: str = ""
    audience: str = ""
    token: Secret | None = None
    file: str = ""
    request: tuple[str, Secret] | None = None

    def __call__(self, http: Http, _: AccessToken | None) -> AccessToken:
        """Return an access token.

        Raises:
            AuthenticationError: the exchange is refused, or GitHub gives no token.
            SettingsError: the file cannot be read.
        """
        fields = {
            "grant_type": _EXCHANGE,
            "subject_token_type": _ID_TOKEN,
            "subject_token": self._subject(http).reveal(),
            "provider_name": self.provider,
            "project_key": self.project,
        }
        body = json.dumps({name: value for name, value in fields.items() if value}).encode()
        url = f"{self.platform}access/api/v1/oidc/token"
        headers = {"Content-Type": "application/json"}
        answer = http.request("POST", url, headers=headers, body=body, repeatable=True, redirect=False, most=_SMALL)
        return _issued(answer, f"the OIDC exchange of the provider {self.provider!r}")

    def _subject(self, http: Http) -> Secret:
        if self.file:
            try:
                return Secret(Path(self.file).read_text(encoding="utf-8").strip(), self.file)
            except (OSError, UnicodeDecodeError) as error:
                message = f"the file {self.file} with the token of the identity provider cannot be read"
                raise SettingsError(message, where="BUILDPUSH_OIDC_TOKEN_FILE") from error
        if self.token or not self.request:
            return self.token or Secret("")
        return self._of_github(http, *self.request)

    def _of_github(self, http: Http, address: str, token: Secret) -> Secret:
        _check_private(address, "ACTIONS_ID_TOKEN_REQUEST_URL")
        url = f"{address}&audience={quote(self.audience, safe='')}" if self.audience else address
        answer = http.request("GET", url, authorization=f"Bearer {token.reveal()}", redirect=False, most=_SMALL)
        value = _document(answer, "GitHub's request for a token").get("value")
        if not isinstance(value, str) or not value:
            message = "GitHub gives no token for the job"
            raise AuthenticationError(message, hint="give the job the permission id-token: write")
        return Secret(value, "ACTIONS_ID_TOKEN_REQUEST_URL")


@dataclass(frozen=True, slots=True)
class TokenRefresh:
    """Renews an access token by its refresh token.

    Attributes:
        platform: address of the JFrog platform, which ends in a slash.
    """

    platform: str

    def __call__(self, http: Http, expired: AccessToken | None) -> AccessToken:
        """Return an access token in place of the *expired* one.

        Raises:
            AuthenticationError: it is not renewed.
        """
        if expired is None or expired.refresh is None:
            message = "the access token has expired, and its server gave no refresh token"
            raise AuthenticationError(message, hint="log in again, or use a token that lasts longer")
        form = {"grant_type": "refresh_token", "refresh_token": expired.refresh.reveal()}
        pair = {**form, "access_token": expired.access.reveal()}
        # The older endpoint takes the pair itself as the login, also after the token has expired.
        for path, fields in (("access/api/v1/tokens", form), ("artifactory/api/security/token", pair)):
            answer = http.request(
                "POST",
                f"{self.platform}{path}",
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                body=urlencode(fields).encode(),
                authorization=f"Bearer {expired.access.reveal()}",
                repeatable=False,  # a refresh token works once
                redirect=False,
                most=_SMALL,
            )
            if answer.ok:
                break
        issued = _issued(answer, "the refresh token")
        return replace(issued, refresh=issued.refresh or expired.refresh)


def _issued(answer: Answer, what: str) -> AccessToken:
    document = _document(answer, what)
    access, refresh, seconds = (document.get(name) for name in ("access_token", "refresh_token", "expires_in"))
    if not isinstance(access, str) or not access or not (access.isascii() and access.isprintable()):
        message = f"{what} gives no access token"
        raise AuthenticationError(message, hint="check that JF_URL is the address of the platform")
    lifetime = float(seconds) if isinstance(seconds, int | float) and seconds > 0 else 0.0
    return AccessToken(Secret(access, what), lifetime, Secret(refresh, what) if isinstance(refresh, str) else None)


def _document(answer: Answer, what: str) -> Mapping[str, Any]:
    host = Address.parse(answer.url).netloc
    if not answer.ok:
        message = f"{host} refuses {what} (status {answer.status}: {quotation(answer.text(), 200)})"
        hint = "check the OIDC integration and its identity mappings in JFrog, or whether the token is still valid"
        raise AuthenticationError(message, hint=hint)
    try:
        document = answer.json()
    except RegistryError as error:
        raise AuthenticationError(str(error), hint=error.hint) from error
    return document if isinstance(document, Mapping) else {}


def _check_private(url: str, where: str) -> None:
    """Refuse to send a credential without TLS, but to this machine."""
    try:
        address = Address.parse(url)
    except AddressError as error:
        message = "this is not an address"
        raise SettingsError(message, where=where) from error
    if address.scheme != "https" and not is_loopback(address.host):
        message = f"no token is requested from {address.netloc} without TLS"
        raise SettingsError(message, where=where)


@lru_cache(maxsize=16)
def shared_renewal(issue: OidcExchange | TokenRefresh, first: AccessToken | None = None) -> Renewal:
    """Return the renewal of a token; the same for the same source, so that several steps have one token."""
    return Renewal(issue, first)

"""The settings of plugin steps that talk to an Artifactory: its address, the login there, and whom to trust."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

from buildpush.credentials.docker import Credential, CredentialKind
from buildpush.credentials.jfrog import ArtifactoryTarget, ambient_credentials
from buildpush.credentials.pairing import BoundCredential, host_of, how_to_set, login_pair, written_schemes
from buildpush.credentials.vault import is_certificate
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import Secret
from buildpush.settings.authorities import authority_in, checked_authority, with_every_host
from buildpush.settings.declare import Setting, setting, setting_named
from buildpush.settings.fields import REQUIRED
from buildpush.settings.kinds import AddressText, CertificateText, FileText, SecretText, Switch, Text
from buildpush.settings.resolved import ResolveContext
from buildpush.settings.step_settings import CommonSettings, ca_path_setting

_CONTENTS: Final = "pem_file_contents"
_FILE: Final = "pem_file_path"
_TRUST: Final = ("insecure", _CONTENTS, _FILE)
# Settings about TLS, which commands have as flags as well.
OF_TRUST: Final = (*_TRUST, "ca_path")
plugin_setting = partial(setting, group="Build-info", honoured_by="publish", place="settings")


class ServerSettings(CommonSettings):
    """Settings of every plugin step that talks to an Artifactory."""

    url: AddressText = plugin_setting(
        "Address of Artifactory; anything after `/artifactory` is left out.",
        default=REQUIRED,
        example="https://acme.jfrog.io/artifactory/",
        ambient=("JF_URL",),
    )
    access_token: SecretText | None = plugin_setting(
        "Reference to the access token for Artifactory.",
        example="env:ARTIFACTORY_TOKEN",
        ambient=("JF_ACCESS_TOKEN",),
    )
    username: Text | None = plugin_setting(
        "User for Artifactory, with `password`, `api_key` or `access_token`.",
        example="ci-bot",
    )
    password: SecretText | None = plugin_setting(
        "Reference to the password of {setting}`username`.",
        example="env:ARTIFACTORY_PASSWORD",
    )
    api_key: SecretText | None = plugin_setting(
        "Reference to an API key; with {setting}`username` it is sent in place of a password, else in its own header.",
        example="env:ARTIFACTORY_API_KEY",
    )
    insecure: Switch = plugin_setting(
        "Whether the host of `url` may have any certificate, or no TLS; it is tried with TLS first.",
        "Harness' plugin declares it and does not use it.",
        default=False,
        example=True,
    )
    pem_file_contents: CertificateText | None = plugin_setting(
        "Certificates of an authority to trust at the host of `url`, or a reference to them.",
        "They are trusted besides those of the system and of `SSL_CERT_FILE`, and at no other host. "
        "Harness' plugin declares it and does not use it.",
        example="env:ACME_CA",
    )
    pem_file_path: FileText | None = plugin_setting(
        "File of certificates, with the same meaning as `pem_file_contents`.",
        "Harness' plugin declares it and does not use it; the plugin that uploads files writes the contents to it.",
        example="certificates/acme.pem",
    )
    ca_path: FileText | None = ca_path_setting("Build-info")
    log_level: Text | None = setting(
        "How much the `jf` program inside Harness' plugin logs; nothing here runs it.",
        group="Build-info",
        example="DEBUG",
        honoured_by="",
        place="settings",
        harmless=True,
    )


@dataclass(frozen=True, slots=True)
class Trust:
    """Which hosts are written with which scheme or may have any certificate, and which certificates are trusted."""

    schemes: Mapping[str, str]
    insecure: frozenset[str]
    authorities: Mapping[str, str]
    notes: tuple[str, ...]


def trust_at(url: str, settings: ServerSettings, ctx: ResolveContext) -> Trust:
    """Return what the settings about TLS mean for the Artifactory at *url*.

    Raises:
        SettingsError: certificates cannot be read.
        SecretError: a secret reference leads nowhere.
    """
    host, has_tls = frozenset({host_of(url)}), not url.startswith("http://")
    text = _authority(settings, ctx)
    return Trust(
        schemes=written_schemes([url]),
        insecure=host if settings.insecure and has_tls else frozenset(),
        authorities=with_every_host(dict.fromkeys(host, text) if text else {}, settings.ca_path, ctx),
        notes=tuple(_unused_trust(settings, url, ctx)),
    )


def unused_logins(settings: ServerSettings, artifactory: ArtifactoryTarget, ctx: ResolveContext) -> Iterator[str]:
    """Yield a note for each credential that has no effect because another one comes first."""
    used, has_token = artifactory.credential, settings.access_token is not None
    if used and used.kind == "password" and has_token and not ctx.ambient("access_token", "JF_ACCESS_TOKEN"):
        yield f"{ctx.source_of('access_token')}: access_token has no effect: {used.source} comes first"
    if settings.password is not None and settings.api_key is not None:
        yield f"{ctx.source_of('api_key')}: api_key has no effect: password comes first"


def _unused_trust(settings: ServerSettings, url: str, ctx: ResolveContext) -> Iterator[str]:
    """Yield a note for each setting about TLS that has no effect."""
    given = [name for name in _TRUST if getattr(settings, name)]
    if url.startswith("http://"):
        yield from (f"{ctx.source_of(name)}: {name} has no effect: url has no TLS" for name in given)
    elif settings.insecure:
        yield from (
            f"{ctx.source_of(name)}: {name} has no effect: insecure trusts any certificate" for name in given[1:]
        )
    elif len(given) > 1:
        yield f"{ctx.source_of(_FILE)}: {_FILE} has no effect: {_CONTENTS} comes first, and is not written there"


def _authority(settings: ServerSettings, ctx: ResolveContext) -> str:
    """Return the certificates to trust, as PEM text; empty if none are given.

    Raises:
        SettingsError: they cannot be read.
        SecretError: the reference leads nowhere.
    """
    if settings.pem_file_contents is not None:
        return checked_authority(_contents(settings.pem_file_contents, ctx), _CONTENTS, ctx)
    return authority_in(settings.pem_file_path, _FILE, ctx) if settings.pem_file_path is not None else ""


def _contents(value: Secret | str, ctx: ResolveContext) -> str:
    if isinstance(value, str) and is_certificate(value):
        return value
    return ctx.secret(_CONTENTS, value).reveal()


def login_ways(settings: ServerSettings, ctx: ResolveContext) -> list[BoundCredential]:
    """Return the ways to log in, the preferred one first: user and password, a token, JFrog's variables."""
    url, user = setting_named(type(settings), "url"), settings.username or ""
    return [
        *_password_ways(settings, ctx),
        *token_credentials(settings.access_token, "access_token", url, ctx, username=user),
    ]


def token_credentials(
    token: Secret | str | None, name: str, url: Setting, ctx: ResolveContext, *, username: str = ""
) -> list[BoundCredential]:
    """Return the ways to log in to Artifactory: the token, of *username* if that is known, then JFrog's variables."""
    ambient = ctx.ambient(name, "JF_ACCESS_TOKEN")
    own = [] if token is None or ambient else [own_credential(name, token, url, ctx, username=username, kind="access")]
    return [*own, *ambient_credentials(ctx.env, token=ambient)]


def own_credential(
    name: str,
    value: Secret | str,
    url: Setting,
    ctx: ResolveContext,
    *,
    username: str = "",
    kind: CredentialKind = "password",
) -> BoundCredential:
    """Return a credential that the setting *name* gives for the Artifactory that the setting *url* names."""
    by = ctx.nearness(name)
    source = ctx.source_of(name)
    return BoundCredential(
        source,
        lambda: Credential(username, ctx.secret(name, value), source, kind),
        by,
        lambda host: how_to_set(url, by, f"https://{host}"),
    )


def _password_ways(settings: ServerSettings, ctx: ResolveContext) -> list[BoundCredential]:
    """Return user and password, or user and API key, which the plugin step prefers to a token."""
    name = "password" if settings.password is not None else "api_key"
    value = settings.password if settings.password is not None else settings.api_key
    if settings.username and value is None and settings.access_token is not None:
        return []  # the user of the token
    if settings.api_key is not None and not settings.username and settings.password is None:
        return [own_credential(name, settings.api_key, setting_named(type(settings), "url"), ctx, kind="key")]
    pair = login_pair(settings.username, value, ctx.where, name=name, hint="set both, or use access_token")
    return [own_credential(name, pair[1], setting_named(type(settings), "url"), ctx, username=pair[0])] if pair else []

"""Build-info outside a run: publishes a saved one, or shows a published one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self, cast

from buildpush.artifactory import Artifactory, Published
from buildpush.artifactory.existing import IfExists
from buildpush.artifactory.pending import load
from buildpush.credentials.docker import Credential, CredentialKind
from buildpush.credentials.jfrog import ArtifactoryTarget, ambient_credentials, artifactory_address, target_at
from buildpush.credentials.pairing import BoundCredential, NamedHost, Nearness, host_of
from buildpush.credentials.vault import Vault
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.events import Note
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import Secret
from buildpush.http.client import Http
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.credentials import choose_connectors, follow_flag
from buildpush.pipeline.finishing import finish
from buildpush.pipeline.tools import open_artifactory
from buildpush.registry.client import Registry
from buildpush.settings.resolved import ResolveContext
from buildpush.settings.server_settings import OF_TRUST, ServerSettings, Trust, trust_at
from buildpush.settings.written import WrittenValue

NONE_GIVEN: Final[Mapping[str, Credential]] = MappingProxyType({})
_NO_BUILD: Final = {"docker_image": "none", "build_name": "none", "build_number": "none"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFlags:
    """The options about an Artifactory; without an address ``JF_URL`` is used.

    Attributes:
        trust: settings about TLS of the step that publishes build-info.
    """

    artifactory_url: str | None = None
    artifactory_token: Secret | str | None = None
    username: str | None = None
    password: Secret | str | None = None
    trust: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def taken_from(cls, options: dict[str, Any]) -> Self:
        """Remove the options about an Artifactory from *options*, and return them."""
        login = {one.name: options.pop(one.name) for one in fields(cls) if one.name in options}
        trust = {str(name): options.pop(name, None) for name in OF_TRUST}
        return cls(**login, trust={name: value for name, value in trust.items() if value is not None})


def publish_saved(file: Path, context: RunContext, flags: ServerFlags, *, exists: IfExists = "add") -> Published:
    """Publish the build-info in *file*, which a run saved when Artifactory did not take it, or before it was killed."""
    pending = load(file)
    with context:
        server, http = open_server(context, flags)
        registry = open_registry(server, http, context)
        published = finish(pending, server, registry, directory=context.pending, sink=context.log, exists=exists)
    if file.absolute().parent == context.pending:  # only a file that buildpush saved is removed, not one of the user's
        file.unlink(missing_ok=True)
    return published


def open_registry(server: Artifactory, http: Http, context: RunContext) -> Registry:
    """Return the registry of *server*: its credential is valid there, since both are one server."""
    who = server.credential
    given = {server.host: who} if who and (who.user or who.bearer) else {}
    return Registry(http, context.keychain(given), sink=context.log)


def open_server(
    context: RunContext, flags: ServerFlags, given: Mapping[str, Credential] = NONE_GIVEN
) -> tuple[Artifactory, Http]:
    """Return the Artifactory that *flags*, or else ``JF_URL``, name, and the connections to it.

    Credentials that are *given*, by host, are those of the registry, which count where *flags* have none.

    Raises:
        SettingsError: none is named, or the credential may not be sent there.
    """
    url, env = flags.artifactory_url, context.env
    address = url or env.get("JF_URL")
    if not address:
        message = "no Artifactory given"
        raise SettingsError(message, hint="add --artifactory-url, or set JF_URL", setting="artifactory_url")
    where = artifactory_address(address)
    by = Nearness.FLAG if url else Nearness.VARIABLE
    vault = context.vault if context.connectors_file or context.secrets_directory else Vault(env, context.cwd)
    vault.remember()
    host = NamedHost(host_of(where), by, "--artifactory-url" if url else "JF_URL")
    target = target_at(where, host, _candidates(vault, flags, _by_connector(host.host, vault, context)))
    trust = _trust(where, flags.trust, vault, context)
    unused = () if given else _unused_lookups(target, context, flags)  # which may have had an effect on the registry
    if url and "/artifactory" not in url:
        context.log(Note(f"{url} is the address of the platform, so {where} is used"))
    for note in (*target.notes, *_unused_flags(target, flags), *unused, *trust.notes):
        context.log(Note(note))
    http = context.http(trust.schemes, trust.insecure, trust.authorities)
    return open_artifactory(target, http, context.keychain(given), context.log), http


def _trust(url: str, flags: Mapping[str, Any], vault: Vault, context: RunContext) -> Trust:
    """Return what *flags* say of TLS at *url*; they mean the same as in a step that publishes build-info."""
    settings, written = _trust_settings(url, flags) if flags else (ServerSettings.construct({"url": url}), {})
    return trust_at(url, settings, ResolveContext(context.cwd, context.facts, vault, context.connectors, written))


def _trust_settings(url: str, flags: Mapping[str, Any]) -> tuple[ServerSettings, Mapping[str, WrittenValue]]:
    # Imported here, since few commands have such flags, and this loads the settings of every kind of step.
    from buildpush.settings.keywords import python_layer
    from buildpush.settings.publish_step import PublishBuildInfo
    from buildpush.settings.stepkinds import STEP_KINDS
    from buildpush.settings.tree import Step
    from buildpush.settings.validate import validate

    layer = python_layer(PublishBuildInfo, flags, "flag")
    written = {name: WrittenValue(*found) for name, found in layer.values.items()}
    step = Step("", "", "", written, "", STEP_KINDS["publish"])
    values = {"url": url, **_NO_BUILD, **{name: one.value for name, one in written.items()}}
    return cast("ServerSettings", validate(step, values)), written


def _unused_flags(target: ArtifactoryTarget, flags: ServerFlags) -> Iterator[str]:
    """Yield a note for each flag without effect, because another credential comes first."""
    used, username = target.credential, flags.username
    if username and (flags.artifactory_token or not used or used.username != username):
        yield f"--username has no effect: {f'{used.source} is used' if used else 'no password is given'}"
    if flags.password and flags.artifactory_token and used:
        yield f"--password has no effect: {used.source} is used"


def _by_connector(host: str, vault: Vault, context: RunContext) -> BoundCredential | None:
    """Return the login of the connector for *host*, if the file of connectors has one."""
    if context.connectors_file is None:
        return None
    connector = choose_connectors(None, context.connectors, [host]).get(host)
    if connector is None or connector.password is None:
        return None
    source = f"connector {connector.identifier}"
    return BoundCredential(source, lambda: connector.credential(vault), frozenset({host}), str)


def _unused_lookups(target: ArtifactoryTarget, context: RunContext, flags: ServerFlags) -> Iterator[str]:
    """Yield a note for each place of credentials without effect."""
    used = target.credential.source if target.credential else ""
    if context.connectors_file and not used.startswith("connector "):
        yield f"connectors has no effect: {context.connectors_file} has no login for {host_of(target.url)} that is used"
    elif not context.connectors_file and context.secrets_directory and "secret" not in str(flags.password):
        yield f"secrets has no effect: no secret of {context.secrets_directory} is used"


def _candidates(vault: Vault, flags: ServerFlags, connector: BoundCredential | None) -> Iterator[BoundCredential]:
    """Yield the credentials: of the flags, else of the connector, else JFrog's variables, for their own host only."""
    env = dict(vault.env) | ({"JF_USER": flags.username} if flags.username else {})
    if flags.artifactory_token:
        yield _by_flag("--artifactory-token", flags.artifactory_token, vault, kind="access")
    if flags.password:
        yield _by_flag("--password", flags.password, vault, username=env.get("JF_USER", ""))
    if connector:
        yield connector
    yield from ambient_credentials(env)


def _by_flag(
    flag: str, text: Secret | str, vault: Vault, *, username: str = "", kind: CredentialKind = "password"
) -> BoundCredential:
    scheme = "http" if vault.env.get("JF_URL", "").lower().startswith("http:") else "https"
    hint = f"if it is for that host, add --artifactory-url {scheme}://{{}}".format
    return BoundCredential(
        flag, lambda: Credential(username, follow_flag(flag, text, vault), flag, kind), Nearness.FLAG, hint
    )

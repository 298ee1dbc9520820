"""Build-info outside a run: one that was saved is published, a published one is shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from buildpush.artifactory import Artifactory, Published
from buildpush.artifactory.pending import load
from buildpush.credentials.docker import Credential, CredentialKind
from buildpush.credentials.jfrog import ArtifactoryTarget, ambient_credentials, artifactory_address, target_at
from buildpush.credentials.pairing import BoundCredential, NamedHost, Nearness, host_of
from buildpush.credentials.vault import REFERENCE_HINT, Vault, is_expression, is_reference
from buildpush.foundation.errors import SecretError, SettingsError
from buildpush.foundation.events import Note
from buildpush.foundation.secrets import Secret
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.publication import finish
from buildpush.pipeline.tools import open_artifactory
from buildpush.registry.client import Registry


def publish_saved(
    file: Path,
    context: RunContext,
    *,
    artifactory_url: str | None = None,
    artifactory_token: str | None = None,
    username: str | None = None,
    password: str | None = None,
) -> Published:
    """Publish the build-info in *file*, which a run saved when Artifactory did not take it, or before it was killed."""
    pending = load(file)
    with context:
        server = _server(context, artifactory_url, token=artifactory_token, username=username, password=password)
        registry = Registry(context.http(), context.keychain(_credentials(server)), sink=context.log)
        published = finish(pending, server, registry, folder=context.pending, sink=context.log)
    if file.absolute().parent == context.pending:  # it waited for this; a file of the user's stays
        file.unlink(missing_ok=True)
    return published


def _credentials(server: Artifactory) -> dict[str, Credential]:
    """Return who we are for the registry of the same host: both are one server."""
    found = server.credential
    return {server.host: found} if found and found.username and found.kind != "access" else {}


def show_build(
    name: str,
    number: str,
    project: str,
    context: RunContext,
    *,
    artifactory_url: str | None = None,
    artifactory_token: str | None = None,
    username: str | None = None,
    password: str | None = None,
) -> dict[str, Any]:
    """Return the document of the newest run of a build."""
    with context:
        server = _server(context, artifactory_url, token=artifactory_token, username=username, password=password)
        info = server.get_build(name, number, project=project)
        if info is None:
            message = f"{server.host} has no build {name} {number}"
            raise SettingsError(message, hint="look at name, number and project", setting="build_name")
        return info.document()


def _server(
    context: RunContext,
    url: str | None,
    *,
    token: str | None,
    username: str | None,
    password: str | None,
) -> Artifactory:
    env = context.env
    address = url or env.get("JF_URL")
    if not address:
        message = "nobody says where Artifactory is"
        raise SettingsError(message, hint="add --artifactory-url, or set JF_URL", setting="artifactory_url")
    where = artifactory_address(address)
    by = Nearness.FLAG if url else Nearness.VARIABLE
    vault = Vault(env, context.cwd)
    vault.remember()
    ways = _ways(vault, token=token, username=username, password=password)
    target = target_at(where, NamedHost(host_of(where), by, "--artifactory-url" if url else "JF_URL"), ways)
    for note in (*target.notes, *_in_vain(target, token=token, username=username, password=password)):
        context.log(Note(note))
    return open_artifactory(target, context.http(), context.keychain({}), context.log)


def _in_vain(
    target: ArtifactoryTarget, *, token: str | None, username: str | None, password: str | None
) -> Iterator[str]:
    """Yield which flags have no effect, because another credential comes first."""
    credential = target.credential
    vain = ["--username"] if username and (token or not credential or credential.username != username) else []
    vain += ["--password"] if password and token else []
    source = credential.source if credential else "nobody gives a password, and nobody"
    for flag in vain:
        yield f"{flag} has no effect: {source} says who we are"


def _ways(vault: Vault, *, token: str | None, username: str | None, password: str | None) -> Iterator[BoundCredential]:
    """Yield how to be somebody: as the flags say, else as JFrog's variables say, and these for their host only."""
    env = dict(vault.env) | ({"JF_USER": username} if username else {})
    if token:
        yield _by_flag("--artifactory-token", token, vault, kind="access")
    if password:
        yield _by_flag("--password", password, vault, username=env.get("JF_USER", ""))
    yield from ambient_credentials(env)


def _by_flag(
    flag: str, text: str, vault: Vault, *, username: str = "", kind: CredentialKind = "password"
) -> BoundCredential:
    hint = "if it is for that host, name it beside: --artifactory-url https://{}".format
    return BoundCredential(
        flag, lambda: Credential(username, _followed(vault, text, flag), flag, kind), Nearness.FLAG, hint
    )


def _followed(vault: Vault, text: str, flag: str) -> Secret:
    """Return the secret that a flag leads to; a bare word may well be the secret itself, and is not looked up."""
    if not is_reference(text) and not is_expression(text):
        message = "a secret stands here as plain text"
        raise SecretError(message, where=flag, hint=REFERENCE_HINT)
    return vault.reference(text, flag)

"""Build-info outside a run: one that was saved is published, a published one is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from buildpush.artifactory import Artifactory, BuildInfo, Published, publish
from buildpush.connection import keychain_of, open_artifactory, open_http
from buildpush.errors import SettingsError
from buildpush.http import Http
from buildpush.secrets import Secret
from buildpush.session import Session
from buildpush.settings.targets import ArtifactoryTarget, artifactory_address
from buildpush.settings.vault import Vault


def publish_saved(
    file: Path,
    session: Session,
    *,
    artifactory_url: str | None = None,
    artifactory_token: str | None = None,
    username: str | None = None,
    password: str | None = None,
) -> Published:
    """Publish the build-info in *file*, which a run saved when Artifactory did not take it.

    Raises:
        SettingsError: the file cannot be read as a build-info, or nobody says where Artifactory is.
        BuildInfoError: Artifactory does not take it now either.
        AuthenticationError: the credentials are refused.
    """
    info = BuildInfo.load(file)
    with open_http(session, session.sink) as http:
        server = _server(session, http, artifactory_url, token=artifactory_token, username=username, password=password)
        return publish(info, server, folder=session.state.pending, sink=session.sink)


def show_build(
    name: str,
    number: str,
    project: str,
    session: Session,
    *,
    artifactory_url: str | None = None,
    artifactory_token: str | None = None,
    username: str | None = None,
    password: str | None = None,
) -> dict[str, Any]:
    """Return the document of the newest run of a build.

    Raises:
        SettingsError: nobody says where Artifactory is, or it has no such build.
        BuildInfoError: it does not answer as it should.
    """
    with open_http(session, session.sink) as http:
        server = _server(session, http, artifactory_url, token=artifactory_token, username=username, password=password)
        info = server.get_build(name, number, project=project)
        if info is None:
            message = f"{server.host} has no build {name} {number}"
            raise SettingsError(message, hint="look at name, number and project", setting="build_name")
        return info.document()


def _server(
    session: Session,
    http: Http,
    url: str | None,
    *,
    token: str | None,
    username: str | None,
    password: str | None,
) -> Artifactory:
    env = session.env
    address = url or env.get("JF_URL")
    if not address:
        message = "nobody says where Artifactory is"
        raise SettingsError(message, hint="add --artifactory-url, or set JF_URL", setting="artifactory_url")
    vault = Vault(env, session.cwd)
    target = ArtifactoryTarget(
        artifactory_address(address),
        token=_secret(vault, token, "JF_ACCESS_TOKEN", "--artifactory-token"),
        username=username or env.get("JF_USER", ""),
        password=_secret(vault, password, "JF_PASSWORD", "--password"),
        source="the command line" if token or password else "JF_* variables",
    )
    return open_artifactory(target, http, keychain_of({}, session), session.sink)


def _secret(vault: Vault, reference: str | None, variable: str, flag: str) -> Secret | None:
    """Return the secret that a flag refers to, else that of a variable, else nothing."""
    if reference:
        return vault.reference(reference, flag)
    return vault.reference(f"env:{variable}") if vault.env.get(variable) else None

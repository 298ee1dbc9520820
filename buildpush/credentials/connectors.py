"""Connectors: the address of a registry, and the user and secret for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from urllib.parse import urlsplit

from buildpush.credentials.docker import Credential
from buildpush.credentials.pairing import HUB_HOSTS, registry_host
from buildpush.credentials.vault import SecretReference, Vault
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.records import dataclass
from buildpush.foundation.spelling import did_you_mean
from buildpush.images.references import DOCKER_HUB, Repository, names_host


def repository_at(address: str, repo: str) -> Repository:
    """Return the repository that *repo*, written without a host, stands for in the registry at *address*.

    If the address ends with a repository key, *repo* is in that.
    """
    host = registry_host(address)
    if host == DOCKER_HUB:
        return Repository.parse(repo)
    path = (address.partition("://")[2] or address).partition("/")[2].strip("/")
    for prefix in ("artifactory/api/docker/", "api/docker/"):
        path = path.removeprefix(prefix)
    path = path.removesuffix("/v2").removesuffix("/v1")
    key = "" if path in ("v1", "v2", "artifactory", "artifactory/api/docker") else path
    return Repository(host, repo if not key or repo.startswith(f"{key}/") else f"{key}/{repo}")


@dataclass(frozen=True, slots=True)
class Connector:
    """A registry, as the connectors file describes it.

    Attributes:
        url: with its scheme, without a slash at its end.
        where: where it is in the connectors file.
        username: the user, or the reference of the secret that contains it.
        password: the reference of the secret; ``None`` for an anonymous connector.
        scope: ``account``, ``org``, or empty for a project's.
        notes: sentences about keys that have no effect.
    """

    identifier: str
    url: str
    where: str
    username: str | SecretReference = ""
    password: SecretReference | None = None
    scope: str = ""
    notes: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        """Host with port, as in image names; Docker Hub's many names are ``docker.io``."""
        host = urlsplit(self.url).netloc.lower()
        return DOCKER_HUB if host in HUB_HOSTS else host

    @property
    def plain_http(self) -> bool:
        """Whether its address begins with ``http://``."""
        return self.url.startswith("http://")

    def serves(self, host: str) -> bool:
        """Return whether *host* is that of the connector, or a subdomain of it.

        Reverse proxies can use a subdomain for each repository key: ``docker-local.acme.example.com/app``.
        """
        return host.lower() == self.host or host.lower().endswith(f".{self.host}")

    def credential(self, vault: Vault) -> Credential:
        """Return the credential for this connector's hosts.

        Raises:
            SettingsError: the connector is anonymous.
            SecretError: the reference of the password or of the user leads nowhere.
        """
        if self.password is None:
            message = f"the connector {self.identifier!r} is anonymous, but a push needs a user"
            hint = "set auth.type to UsernamePassword, with username and passwordRef"
            raise SettingsError(message, hint=hint, setting="connector_ref", where=self.where)
        password = vault.resolve(self.password)
        name = self.username if isinstance(self.username, str) else vault.resolve(self.username).reveal()
        return Credential(name, password, f"connector {self.identifier}")

    def repository(self, repo: str) -> Repository:
        """Return the repository that *repo* stands for with this connector.

        A *repo* without a host is at the connector's host; one with a host must be at a host that it serves.

        Raises:
            SettingsError: *repo* names another host, for which these credentials are not meant.
        """
        if not names_host(repo):
            return repository_at(self.url, repo)
        parsed = Repository.parse(repo)
        if not self.serves(parsed.host):
            message = f"repo is at {parsed.host}, but the connector {self.identifier!r} is for {self.host}"
            hint = f"write repo: {self.host}/..., or give the connector the address https://{parsed.host}"
            raise SettingsError(message, hint=hint, setting="repo", where=self.where)
        return parsed


@dataclass(frozen=True, slots=True)
class Connectors:
    """All connectors of a file, and the references of the secrets that it lists."""

    file: Path | None = None
    entries: tuple[Connector, ...] = ()
    references: Mapping[str, SecretReference] = field(default_factory=dict)

    def find(self, reference: str) -> Connector:
        """Return the connector that *reference* names: ``jfrog``, ``org.jfrog``, ``account.jfrog``.

        The scope matters only where several connectors have the same identifier.

        Raises:
            SettingsError: there is no such connector, or several; the hint names similar ones.
        """
        scope, dot, identifier = reference.partition(".")
        if not dot or scope not in ("org", "account"):
            scope, identifier = "", reference
        named = [connector for connector in self.entries if connector.identifier == identifier]
        exact = [connector for connector in named if connector.scope == scope]
        if len(matches := exact or named) == 1:
            return matches[0]
        if matches:
            message = f"several connectors are called {identifier!r}: {', '.join(entry.where for entry in matches)}"
            hint = f"write org.{identifier} or account.{identifier}"
            raise SettingsError(message, hint=hint, setting="connector_ref")
        known = [connector.identifier for connector in self.entries]
        place = f" in {self.file}" if self.file else ": no connectors file is given"
        message = f"there is no connector {reference!r}{place}"
        listed = f"the file has {', '.join(known) or 'none'}" if self.file else "name a file with --connectors"
        raise SettingsError(message, hint=did_you_mean(identifier, known) or listed, setting="connector_ref")

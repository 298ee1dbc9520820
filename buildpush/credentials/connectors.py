"""Connectors: which registry, which user, which secret; in the YAML that Harness exports, in a file of its own.

::

    connectors:
      - connector:
          identifier: jfrog
          type: DockerRegistry
          spec:
            dockerRegistryUrl: https://acme.jfrog.io
            providerType: Other
            auth:
              type: UsernamePassword
              spec: {username: ci-bot, passwordRef: account.jfrog_token}
    secrets:
      account.jfrog_token: env:JFROG_TOKEN

Source: Harness documentation, "Docker connector settings reference"; the key ``secrets`` is ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from difflib import get_close_matches
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from buildpush.credentials.docker import Credential
from buildpush.credentials.vault import Reference, Vault, is_identifier, is_location, points_to_secret
from buildpush.foundation.documents import Node, read_yaml
from buildpush.foundation.errors import BadNameError, SecretError, SettingsError, SourceError
from buildpush.foundation.records import dataclass
from buildpush.images.references import DOCKER_HUB, Repository, check_host

PROVIDERS: Final = ("DockerHub", "Harbor", "Quay", "Other")
_DOCKER_HUB_HOSTS: Final = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "hub.docker.com"})
_ELSEWHERE: Final = frozenset({"delegateSelectors", "executeOnDelegate", "proxy"})
_AT_TOP: Final = frozenset({"connector", "connectors", "secrets"})
_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "the connector": frozenset(
        {"type", "name", "identifier", "description", "orgIdentifier", "projectIdentifier", "tags", "spec"}
        | {"accountIdentifier"}
    ),
    "spec": frozenset({"dockerRegistryUrl", "providerType", "auth", "ignoreTestConnection"} | _ELSEWHERE),
    "auth": frozenset({"type", "spec"}),
    "auth.spec": frozenset({"username", "usernameRef", "passwordRef"}),
}


@dataclass(frozen=True, slots=True)
class Auth:
    """User and password of a connector, secrets still as references.

    Attributes:
        anonymous: without both.
        username: text, or empty where ``username_reference`` says where it is.
        username_where: place of that reference.
        password_where: place of the password's.
    """

    anonymous: bool = False
    username: str = ""
    username_reference: str = ""
    password_reference: str = ""
    username_where: str = ""
    password_where: str = ""


@dataclass(frozen=True, slots=True)
class Connector:
    """One registry as the connectors file knows it.

    Attributes:
        url: with scheme, without a slash at its end.
        where: place in the connectors file.
        folder: what relative paths of its secrets count from.
        scope: ``account``, ``org``, or empty for a project's.
        notes: sentences about what has no effect.
    """

    identifier: str
    url: str
    where: str
    folder: Path
    scope: str = ""
    auth: Auth = Auth()
    notes: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        """Host with port, as it stands in image names; Docker Hub's many names are ``docker.io``."""
        host = urlsplit(self.url).netloc.lower()
        return DOCKER_HUB if host in _DOCKER_HUB_HOSTS else host

    @property
    def plain_http(self) -> bool:
        """Whether its address says ``http://``."""
        return self.url.startswith("http://")

    @property
    def prefix(self) -> str:
        """Repository key that its address ends in, or nothing."""
        path = urlsplit(self.url).path.strip("/")
        for known in ("artifactory/api/docker/", "api/docker/"):
            path = path.removeprefix(known)
        path = path.removesuffix("/v2").removesuffix("/v1")
        return "" if path in ("v1", "v2", "artifactory", "artifactory/api/docker") else path

    def credential(self, vault: Vault) -> Credential:
        """Return who we are at this connector's hosts.

        Raises:
            SettingsError: it is anonymous.
            SecretError: the password's or the user's reference leads nowhere.
        """
        if self.auth.anonymous:
            message = f"the connector {self.identifier!r} is anonymous, and a push needs a user"
            hint = "set auth.type to UsernamePassword, with username and passwordRef"
            raise SettingsError(message, hint=hint, setting="connector_ref", where=self.where)
        source = f"connector {self.identifier}"
        password = vault.reference(self.auth.password_reference, self.auth.password_where, self.folder)
        if not self.auth.username_reference:
            return Credential(self.auth.username, password, source)
        user = vault.reference(self.auth.username_reference, self.auth.username_where, self.folder)
        return Credential(user.reveal(), password, source)


@dataclass(frozen=True, slots=True)
class Connectors:
    """All connectors of a file, and the secrets it says the places of."""

    file: Path | None = None
    entries: tuple[Connector, ...] = ()
    references: Mapping[str, Reference] = field(default_factory=dict)

    def find(self, reference: str) -> Connector:
        """Return the connector that *reference* names: ``jfrog``, ``org.jfrog``, ``account.jfrog``.

        The scope in front counts only where several connectors have the same identifier.

        Raises:
            SettingsError: there is none, or it is not clear which; the hint names near ones.
        """
        scope, identifier = _scoped(reference)
        named = [connector for connector in self.entries if connector.identifier == identifier]
        exact = [connector for connector in named if connector.scope == scope]
        if len(found := exact or named) == 1:
            return found[0]
        if found:
            message = f"several connectors are called {identifier!r}: {', '.join(entry.where for entry in found)}"
            hint = f"write org.{identifier} or account.{identifier}"
            raise SettingsError(message, hint=hint, setting="connector_ref")
        raise self._missing(reference, identifier)

    def _missing(self, reference: str, identifier: str) -> SettingsError:
        known = [connector.identifier for connector in self.entries]
        near = get_close_matches(identifier, known, n=3)
        hint = "name a file with --connectors" if self.file is None else f"it has {', '.join(known) or 'none'}"
        hint = f"did you mean {' or '.join(near)}?" if near else hint
        place = f" in {self.file}" if self.file else ": no connectors file is given"
        message = f"there is no connector {reference!r}{place}"
        return SettingsError(message, hint=hint, setting="connector_ref")


def read_connectors(path: Path, name: str | None = None) -> Connectors:
    """Return the connectors and secret references of a file; *name* stands for it in messages.

    Raises:
        SourceError: it cannot be read, or has a key or value that means nothing.
        SecretError: a password stands there as plain text.
    """
    root = read_yaml(path, name)
    folder = path.absolute().parent
    entries = tuple(_connector(node, folder, is_root=node is root) for node in _connector_nodes(root))
    _check_unique(entries)
    return Connectors(path, entries, _references(root, folder))


def _connector_nodes(root: Node) -> tuple[Node, ...]:
    """Return the connectors: the document itself, its items, or what stands under ``connectors``."""
    if root.items:
        return root.items
    unknown = [key for key in root.entries if key not in _AT_TOP]
    if unknown or not root.entries:
        where = root.where_key(unknown[0]) if unknown else root.where
        message = f"{unknown[0]!r} means nothing here" if unknown else "here is no connector"
        raise SourceError(message, where=where, hint="a connectors file has connector, connectors and secrets")
    listed = root.entries.get("connectors")
    if listed and listed.value is not None and not isinstance(listed.value, tuple):
        message = "connectors is a list"
        raise SourceError(message, where=listed.where, hint="begin each connector with a dash")
    alone = (root,) if "connector" in root.entries else ()
    return alone + (listed.items if listed else ())


def _connector(node: Node, folder: Path, *, is_root: bool) -> Connector:
    entry = node.entries.get("connector", node)
    known = _AT_TOP if is_root else {"connector"}
    if beside := [key for key in node.entries if entry is not node and key not in known]:
        message = f"{beside[0]!r} means nothing beside connector"
        raise SourceError(message, where=node.where_key(beside[0]), hint="look at the indentation")
    _check_keys(entry, "the connector")
    kind = _text(entry, "type")
    if kind.text != "DockerRegistry":
        message = f"a connector of type {kind.text!r} is not one for images"
        raise SourceError(message, where=kind.where, hint="the step needs type: DockerRegistry")
    spec = _entry(entry, "spec")
    _check_keys(spec, "spec")
    identifier = _text(entry, "identifier")
    if not is_identifier(identifier.text):
        message = f"{identifier.text!r} is not an identifier"
        raise SourceError(message, where=identifier.where, hint="use letters, digits and underscores")
    url = _text(spec, "dockerRegistryUrl")
    _check_provider(spec)
    return Connector(
        identifier=identifier.text,
        url=_address(url),
        where=identifier.where,
        folder=folder,
        scope=_scope(entry),
        auth=_auth(_entry(spec, "auth")),
        notes=tuple(_notes(spec)),
    )


def _notes(spec: Node) -> Iterator[str]:
    """Yield a sentence for each key that says where Harness would run; ``false`` is what it exports by default."""
    for key, node in spec.entries.items():
        if key in _ELSEWHERE and (node.items or node.text not in ("", "false")):
            yield f"{spec.where_key(key)}: {key} has no effect here"


def _scope(entry: Node) -> str:
    if entry.entries.get("projectIdentifier"):
        return ""
    return "org" if entry.entries.get("orgIdentifier") else "account"


def _check_provider(spec: Node) -> None:
    """Refuse a provider that Harness does not have; which one it is makes no difference here."""
    node = spec.entries.get("providerType")
    if node and node.value is not None and node.text not in PROVIDERS:
        message = f"{node.text!r} is no provider"
        raise SourceError(message, where=node.where, hint=f"one of {', '.join(PROVIDERS)}; for JFrog it is Other")


def _auth(node: Node) -> Auth:
    _check_keys(node, "auth")
    kind = _text(node, "type")
    if kind.text == "Anonymous":
        if given := node.entries.get("spec"):
            for key in given.entries:
                message = f"auth.spec: {key} has no effect, because the type is Anonymous"
                raise SourceError(message, where=given.where_key(key), hint="write type: UsernamePassword")
        return Auth(anonymous=True)
    if kind.text != "UsernamePassword":
        message = f"{kind.text!r} is no way to authenticate"
        raise SourceError(message, where=kind.where, hint="UsernamePassword, or Anonymous for base images")
    spec = _entry(node, "spec")
    _refuse_password(spec)
    _check_keys(spec, "auth.spec")
    password = _reference(spec, "passwordRef")
    if "usernameRef" not in spec.entries:
        user = _text(spec, "username").text
        return Auth(username=user, password_reference=password.text, password_where=password.where)
    if "username" in spec.entries:
        message = "username and usernameRef both say the user"
        raise SourceError(message, where=spec.where_key("username"), hint="leave one of them out")
    name = _reference(spec, "usernameRef")
    return Auth(
        username_reference=name.text,
        username_where=name.where,
        password_reference=password.text,
        password_where=password.where,
    )


def _refuse_password(spec: Node) -> None:
    for key in ("password", "token", "secret"):
        if key in spec.entries:
            message = f"{key}: a secret stands here as plain text"
            hint = "write passwordRef: ID, and say under secrets: where it is, such as ID: env:NAME"
            raise SecretError(message, where=spec.where_key(key), hint=hint)


def _reference(spec: Node, key: str) -> Node:
    node = _text(spec, key)
    if not points_to_secret(node.text):
        # The text stays out of the message: it may well be the secret.
        message = f"{key}: this is not the identifier of a secret"
        raise SecretError(message, where=node.where, hint="write ID, env:NAME or file:PATH, never the secret itself")
    return node


def _references(root: Node, folder: Path) -> Mapping[str, Reference]:
    node = root.entries.get("secrets")
    if node and node.value is not None and not isinstance(node.value, Mapping):
        message = "secrets is a map"
        raise SourceError(message, where=node.where, hint="write ID: env:NAME or ID: file:PATH")
    found: dict[str, Reference] = {}
    for identifier, entry in (node.entries if node else {}).items():
        if not is_identifier(identifier):
            message = f"{identifier!r} is not the identifier of a secret"
            raise SourceError(message, where=entry.where, hint="use letters, digits, _ and $, and org. in front")
        if not is_location(entry.text):
            message = f"the secret {identifier} stands here as plain text"
            raise SecretError(message, where=entry.where, hint="write where it is: env:NAME or file:PATH")
        found[identifier] = Reference(entry.text, entry.where, folder)
    return found


def _check_keys(node: Node, what: str) -> None:
    if not isinstance(node.value, Mapping):
        message = f"{what} is a map"
        raise SourceError(message, where=node.where, hint="look at the indentation")
    for key in node.entries:
        if key not in _KEYS[what]:
            near = get_close_matches(key, _KEYS[what], n=1)
            message = f"{what} has no key {key!r}"
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(_KEYS[what]))}"
            raise SourceError(message, where=node.where_key(key), hint=hint)


def _entry(node: Node, key: str) -> Node:
    found = node.entries.get(key)
    if found is None:
        message = f"the connector needs {key}"
        raise SourceError(message, where=node.where)
    return found


def _text(node: Node, key: str) -> Node:
    found = _entry(node, key)
    if not found.text.strip():
        message = f"{key} needs a text"
        raise SourceError(message, where=found.where)
    return found


def _address(node: Node) -> str:
    text = node.text.strip()
    url = text if "://" in text else f"https://{text}"
    if "@" in url.partition("://")[2].partition("/")[0]:
        message = "dockerRegistryUrl: user and password do not belong into the address"
        raise SecretError(message, where=node.where, hint="write them as auth.spec.username and passwordRef")
    if not _is_registry(url):
        message = f"{text!r} is no address of a registry"
        raise SourceError(message, where=node.where, hint="write https://HOST, such as https://acme.jfrog.io")
    return url.rstrip("/")


def _is_registry(url: str) -> bool:
    try:
        parts = urlsplit(url)
        check_host(parts.netloc)
    except (ValueError, BadNameError):
        return False
    return parts.scheme in ("https", "http") and not parts.query and not parts.fragment


def _check_unique(entries: tuple[Connector, ...]) -> None:
    seen: dict[tuple[str, str], Connector] = {}
    for entry in entries:
        other = seen.setdefault((entry.scope, entry.identifier), entry)
        if other is not entry:
            message = f"the connector {entry.identifier!r} stands here a second time"
            raise SourceError(message, where=entry.where, hint=f"the first is at {other.where}")


def _scoped(reference: str) -> tuple[str, str]:
    scope, dot, identifier = reference.partition(".")
    return (scope, identifier) if dot and scope in ("org", "account") else ("", reference)


# ---- addresses of JFrog registries


def repository_at(connector: Connector, repo: str) -> Repository:
    """Return the repository that *repo* means where *connector* is used.

    A *repo* without host lies at the connector's host. One with a host must be the connector's, or a subdomain
    of it, which is how a reverse proxy names repository keys (``docker-local.acme.example.com/app``).

    Raises:
        SettingsError: *repo* names another host, whose credentials these are not.
    """
    parsed = Repository.parse(repo)
    if parsed.host != DOCKER_HUB or repo.startswith(f"{DOCKER_HUB}/"):
        _check_fits(connector, parsed)
        return parsed
    if connector.host == DOCKER_HUB:
        return parsed
    prefix = connector.prefix
    inside = repo if not prefix or repo.startswith(f"{prefix}/") else f"{prefix}/{repo}"
    return Repository(connector.host, inside)


def _check_fits(connector: Connector, repository: Repository) -> None:
    host = repository.host.lower()
    if host == connector.host or host.endswith(f".{connector.host}"):
        return
    message = f"repo is at {repository.host}, and the connector {connector.identifier!r} is for {connector.host}"
    hint = f"write repo: {connector.host}/..., or give the connector the address https://{repository.host}"
    raise SettingsError(message, hint=hint, setting="repo", where=connector.where)


@dataclass(frozen=True, slots=True)
class Shape:
    """How a JFrog server hides the repository key in an image name, as far as the name tells.

    Attributes:
        kind: ``path`` (HOST/KEY/IMAGE), ``subdomain`` (KEY.HOST/IMAGE) or ``port`` (HOST:PORT/IMAGE).
        key: repository key; empty where only the server knows it.
        artifactory: addresses at which Artifactory may be, likeliest first; all of hosts that the push credential
            is meant for.
    """

    kind: str
    key: str
    artifactory: tuple[str, ...]


def shape_of(repository: Repository, connector: Connector | None = None, *, plain_http: bool = False) -> Shape:
    """Return the shape of *repository*'s name; the *connector* tells a subdomain from a host."""
    host, key = repository.host.lower(), repository.path.partition("/")[0]
    scheme = "http" if plain_http or (connector and connector.plain_http) else "https"
    server = _server_of(host, connector)
    if server != host:
        return Shape("subdomain", host.removesuffix(f".{server}"), _addresses(scheme, server, host))
    name, colon, _ = host.rpartition(":")
    without_port = (name,) if colon and "]" not in host.rpartition(":")[2] else ()
    if "/" in repository.path:
        return Shape("path", key, _addresses(scheme, host, *without_port))
    return Shape("port" if colon else "unknown", "", _addresses(scheme, host, *without_port))


def _server_of(host: str, connector: Connector | None) -> str:
    """Return *host* without a repository key in front of it."""
    if connector and host.endswith(f".{connector.host}"):
        return connector.host
    # On JFrog's own domain the first label of four is the key; elsewhere nobody can tell.
    labels = host.split(".")
    if host.endswith(".jfrog.io") and len(labels) == len(("key", "acme", "jfrog", "io")):
        return ".".join(labels[1:])
    return host


def _addresses(scheme: str, *hosts: str) -> tuple[str, ...]:
    return tuple(f"{scheme}://{host}/artifactory/" for host in hosts)

"""The connectors file: connectors in the YAML that Harness exports, and where their secrets are.

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
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import urlsplit

from buildpush.credentials.connectors import Connector, Connectors
from buildpush.credentials.vault import SecretReference, is_identifier, is_location, points_to_secret
from buildpush.foundation.documents import Node, read_yaml
from buildpush.foundation.errors import BadNameError, SecretError, SettingsError, SourceError
from buildpush.foundation.spelling import did_you_mean
from buildpush.images.references import check_host

PROVIDERS: Final = ("DockerHub", "Harbor", "Quay", "Other")
# By the type of a connector, the key of its address.
_ADDRESSES: Final = {"DockerRegistry": "dockerRegistryUrl", "Artifactory": "artifactoryServerUrl"}
_DELEGATE_KEYS: Final = frozenset({"delegateSelectors", "executeOnDelegate", "proxy"})
_TOP_KEYS: Final = frozenset({"connector", "connectors", "secrets"})
_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "the connector": frozenset(
        {"type", "name", "identifier", "description", "orgIdentifier", "projectIdentifier", "tags", "spec"}
        | {"accountIdentifier"}
    ),
    "DockerRegistry": frozenset({"dockerRegistryUrl", "providerType", "auth", "ignoreTestConnection"} | _DELEGATE_KEYS),
    "Artifactory": frozenset({"artifactoryServerUrl", "auth", "ignoreTestConnection"} | _DELEGATE_KEYS),
    "auth": frozenset({"type", "spec"}),
    "auth.spec": frozenset({"username", "usernameRef", "passwordRef"}),
}


def read_connectors(path: Path, name: str | None = None) -> Connectors:
    """Return the connectors and secret references of a file; messages call it *name*.

    Raises:
        SourceError: it cannot be read, or has an unknown key or value.
        SecretError: it contains a password as plain text.
    """
    root = read_yaml(path, name)
    directory = path.absolute().parent
    entries = tuple(_connector(node, directory, is_root=node is root) for node in _connector_nodes(root))
    _check_unique(entries)
    return Connectors(path, entries, _references(root, directory))


def _connector_nodes(root: Node) -> tuple[Node, ...]:
    """Return the connectors: the document itself, its items, or what is under ``connectors``."""
    if root.items:
        return root.items
    hint = "a connectors file has the keys connector, connectors and secrets"
    for key in root.entries:
        if key not in _TOP_KEYS:
            _fail(f"unknown key {key!r}", root.where_key(key), hint)
    if not root.entries:
        _fail("there is no connector here", root.where, hint)
    listed = root.entries.get("connectors")
    if listed and listed.value is not None and not isinstance(listed.value, tuple):
        _fail("connectors must be a list", listed.where, "begin each connector with a dash")
    single = (root,) if "connector" in root.entries else ()
    return single + (listed.items if listed else ())


def _connector(node: Node, directory: Path, *, is_root: bool) -> Connector:
    entry = node.entries.get("connector", node)
    for key in node.entries if entry is not node else ():
        if key not in (_TOP_KEYS if is_root else {"connector"}):
            _fail(f"unknown key {key!r} beside connector", node.where_key(key), "check the indentation")
    _check_keys(entry, "the connector")
    kind = _text(entry, "type")
    if kind.text not in _ADDRESSES:
        hint = "use a connector of type DockerRegistry, or Artifactory for uploads"
        _fail(f"a connector of type {kind.text!r} is not for images", kind.where, hint)
    spec = _entry(entry, "spec")
    _check_keys(spec, "spec", kind.text)
    identifier = _text(entry, "identifier")
    if not is_identifier(identifier.text):
        _fail(f"{identifier.text!r} is not an identifier", identifier.where, "use letters, digits and underscores")
    url = _text(spec, _ADDRESSES[kind.text])
    _check_provider(spec)
    address = _address(url, _ADDRESSES[kind.text])
    username, password = _login(_entry(spec, "auth"), directory)
    scope = "org" if entry.entries.get("orgIdentifier") else "account"
    return Connector(
        identifier=identifier.text,
        url=address,
        where=identifier.where,
        username=username,
        password=password,
        scope="" if entry.entries.get("projectIdentifier") else scope,
        notes=tuple(_notes(spec)),
    )


def _notes(spec: Node) -> Iterator[str]:
    """Yield a note for each key that says where Harness would run; ``false`` is what Harness exports by default."""
    for key, node in spec.entries.items():
        if key in _DELEGATE_KEYS and (node.items or node.text not in ("", "false")):
            yield f"{spec.where_key(key)}: {key} has no effect here"


def _check_provider(spec: Node) -> None:
    """Refuse a provider that Harness does not have; otherwise the provider makes no difference here."""
    node = spec.entries.get("providerType")
    if node and node.value is not None and node.text not in PROVIDERS:
        hint = f"write one of {', '.join(PROVIDERS)}; for JFrog, it is Other"
        _fail(f"unknown provider type {node.text!r}", node.where, hint)


def _login(node: Node, directory: Path) -> tuple[str | SecretReference, SecretReference | None]:
    """Return user and password; an anonymous connector has no password."""
    _check_keys(node, "auth")
    kind = _text(node, "type")
    if kind.text == "Anonymous":
        unused = node.entries.get("spec")
        for key in unused.entries if unused else ():
            message = f"auth.spec: {key} has no effect, because the type is Anonymous"
            _fail(message, node.entries["spec"].where_key(key), "remove it, or write type: UsernamePassword")
        return "", None
    if kind.text != "UsernamePassword":
        hint = "write UsernamePassword, or Anonymous for base images"
        _fail(f"unknown authentication type {kind.text!r}", kind.where, hint)
    spec = _entry(node, "spec")
    for key in ("password", "token", "secret"):
        if key in spec.entries:
            hint = "write passwordRef: ID, and say under secrets: where it is, such as ID: env:NAME"
            _fail(f"{key}: the secret is given as plain text", spec.where_key(key), hint, SecretError)
    _check_keys(spec, "auth.spec")
    password = _reference(spec, "passwordRef", directory)
    if "usernameRef" not in spec.entries:
        return _text(spec, "username").text, password
    if "username" in spec.entries:
        _fail("username and usernameRef are both given", spec.where_key("username"), "leave one of them out")
    return _reference(spec, "usernameRef", directory), password


def _reference(spec: Node, key: str, directory: Path) -> SecretReference:
    node = _text(spec, key)
    if not points_to_secret(node.text):
        # The message does not quote the text, since it may well be the secret.
        hint = "write ID, env:NAME or file:PATH, never the secret itself"
        _fail(f"{key}: this is not the identifier of a secret", node.where, hint, SecretError)
    return SecretReference(node.text, node.where, directory)


def _references(root: Node, directory: Path) -> Mapping[str, SecretReference]:
    node = root.entries.get("secrets")
    if node and node.value is not None and not isinstance(node.value, Mapping):
        _fail("secrets must be a map", node.where, "write ID: env:NAME or ID: file:PATH")
    references: dict[str, SecretReference] = {}
    for identifier, entry in (node.entries if node else {}).items():
        if not is_identifier(identifier):
            hint = "use letters, digits, _ and $, with org. or account. in front for a secret of that scope"
            _fail(f"{identifier!r} is not the identifier of a secret", entry.where, hint)
        if not is_location(entry.text):
            hint = "write where it is: env:NAME or file:PATH"
            _fail(f"the secret {identifier} is given as plain text", entry.where, hint, SecretError)
        references[identifier] = SecretReference(entry.text, entry.where, directory)
    return references


def _check_keys(node: Node, what: str, kind: str = "") -> None:
    known = _KEYS[kind or what]
    if not isinstance(node.value, Mapping):
        _fail(f"{what} must be a map", node.where, "check the indentation")
    for key in node.entries:
        if key not in known:
            hint = did_you_mean(key, known, most=1) or f"its keys are {', '.join(sorted(known))}"
            _fail(f"{what} has no key {key!r}", node.where_key(key), hint)


def _entry(node: Node, key: str) -> Node:
    if key not in node.entries:
        _fail(f"the connector needs {key}", node.where)
    return node.entries[key]


def _text(node: Node, key: str) -> Node:
    value = _entry(node, key)
    if not value.text.strip():
        _fail(f"{key} must be a text that is not empty", value.where)
    return value


def _address(node: Node, key: str) -> str:
    text = node.text.strip()
    url = text if "://" in text else f"https://{text}"
    if "@" in url.partition("://")[2].partition("/")[0]:
        hint = "write them as auth.spec.username and passwordRef"
        _fail(f"{key}: an address must not have a user and password", node.where, hint, SecretError)
    if not _is_registry(url):
        hint = "write https://HOST, such as https://acme.jfrog.io"
        _fail(f"{text!r} is not the address of a registry", node.where, hint)
    return url.rstrip("/")


def _is_registry(url: str) -> bool:
    try:
        parts = urlsplit(url)
        check_host(parts.netloc)
    except (ValueError, BadNameError):
        return False
    return parts.scheme in ("https", "http") and not parts.query and not parts.fragment


def _check_unique(entries: tuple[Connector, ...]) -> None:
    first_entries: dict[tuple[str, str], Connector] = {}
    for entry in entries:
        other = first_entries.setdefault((entry.scope, entry.identifier), entry)
        if other is not entry:
            _fail(
                f"there is a second connector {entry.identifier!r}",
                entry.where,
                f"rename it; the first is at {other.where}",
            )


def _fail(message: str, where: str, hint: str | None = None, error: type[SettingsError] = SourceError) -> NoReturn:
    raise error(message, where=where, hint=hint)

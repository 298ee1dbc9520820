"""Where the cluster is, and who we are there: as kubectl finds it, from files, or from the pod that we run in.

Source: kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig; client-go, tools/clientcmd.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Final, cast

from buildpush.foundation.documents import Node, read_yaml
from buildpush.foundation.errors import SecretError, SettingsError, SourceError
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import Secret
from buildpush.http.tls import authority_fault
from buildpush.http.urls import Address, AddressError

# Where a pod finds the account that it runs as.
ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_HINT: Final = "set KUBECONFIG, or kube_context to one of: {}"
DEFAULT_NAMESPACE: Final = "default"
_SWITCHED_ON: Final = frozenset({"true", "yes", "on", "y"})
# What changes who we are, or whom we trust, and is not supported: to ignore it would be wrong.
_UNSUPPORTED: Final = ("tls-server-name", "as", "as-uid", "as-groups", "as-user-extra", "auth-provider")


@dataclass(frozen=True, slots=True)
class ExecPlugin:
    """A program that prints a credential, such as those of the clouds.

    Attributes:
        argv: program and arguments.
        env: variables in addition to ours.
        api: version of its answer, such as ``client.authentication.k8s.io/v1``.
        hint: how to install it, as the file says.
        gives_cluster: whether it is told about the cluster.
    """

    argv: tuple[str, ...] = field(repr=False)
    env: Mapping[str, str] = field(repr=False)
    api: str
    hint: str = ""
    gives_cluster: bool = False


@dataclass(frozen=True, slots=True)
class ClusterUser:
    """Who we are at a cluster; without any attribute, nobody.

    Attributes:
        token: a bearer token.
        token_file: a file that holds it, which is read again when the server refuses the token.
        certificate: of the client, in PEM.
        key: its private key, in PEM.
        plugin: prints a token or a certificate.
        basic: user and password, joined by a colon.
    """

    token: Secret | None = None
    token_file: Path | None = None
    certificate: str = ""
    key: Secret | None = None
    plugin: ExecPlugin | None = None
    basic: Secret | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """A cluster, a namespace in it, and who we are there.

    Attributes:
        server: address of its API, without a slash at its end.
        namespace: where Jobs are made.
        authority: certificates that it is verified with, in PEM; the system's if empty.
        insecure: whether its certificate is not verified.
        proxy: address of the proxy through which it is reached, if the file names one.
        source: what named it, for people.
    """

    server: str
    namespace: str
    authority: str = ""
    insecure: bool = False
    proxy: str = field(default="", repr=False)
    user: ClusterUser = field(default_factory=ClusterUser)
    source: str = ""


def find_access(
    env: Mapping[str, str], home: Path | None, *, context: str = "", namespace: str = "", account: Path = ACCOUNT
) -> Access:
    """Return the cluster that kubectl would use.

    Args:
        env: ``KUBECONFIG`` names files, the first of which that has an entry counts; in a pod,
            ``KUBERNETES_SERVICE_HOST`` names the cluster that it runs in.
        home: whose ``.kube/config`` is read where ``KUBECONFIG`` is not set.
        context: name of a context; the current one by default.
        namespace: where Jobs are made; that of the context by default.
        account: directory with the account of the pod that we run in.

    Raises:
        SettingsError: there is no cluster, no such context, or a file of it cannot be read.
    """
    entries = _Entries(_files(env, home))
    if not entries.files:
        if context or not env.get("KUBERNETES_SERVICE_HOST"):
            message = f"there is no kubeconfig that has the context {context}" if context else "no cluster is known"
            hint = "set KUBECONFIG to the file that names your cluster, or write it to ~/.kube/config"
            raise SettingsError(message, hint=hint, setting="kube_context")
        return _own_cluster(env, namespace, account)
    return entries.access(context, namespace)


def has_own_cluster(env: Mapping[str, str], home: Path | None, account: Path = ACCOUNT) -> bool:
    """Return whether :func:`find_access` finds the cluster of the pod that we run in, by the pod's account."""
    if not env.get("KUBERNETES_SERVICE_HOST") or env.get("KUBECONFIG") or not os.path.exists(account / "token"):  # noqa: PTH110
        return False
    return not _files(env, home)


def _files(env: Mapping[str, str], home: Path | None) -> list[Path]:
    named = [Path(one) for one in env.get("KUBECONFIG", "").split(os.pathsep) if one]
    if not named and home:
        named = [home / ".kube" / "config"]
    found = [path.absolute() for path in named if os.path.exists(path)]  # noqa: PTH110 - it never raises
    if env.get("KUBECONFIG") and not found:
        message = f"KUBECONFIG names no file that exists: {env['KUBECONFIG']}"
        raise SettingsError(message, hint="correct it, or unset it", setting="kube_context", where="KUBECONFIG")
    return found


def _own_cluster(env: Mapping[str, str], namespace: str, account: Path) -> Access:
    """Return the cluster of the pod that we run in."""
    host, port = env["KUBERNETES_SERVICE_HOST"], env.get("KUBERNETES_SERVICE_PORT", "443")
    try:
        authority = (account / "ca.crt").read_text(encoding="ascii")
        own = (account / "namespace").read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        message = f"this pod has no service account: {account} cannot be read"
        hint = "set automountServiceAccountToken: true in the pod, or KUBECONFIG"
        raise SettingsError(message, hint=hint, setting="kube_context") from error
    address = f"[{host}]" if ":" in host else host
    user = ClusterUser(token_file=account / "token")
    return Access(f"https://{address}:{port}", namespace or own, authority, user=user, source="the pod's account")


class _Entries:
    """The entries of several files; the first that names something counts."""

    def __init__(self, paths: list[Path]) -> None:
        self.files = paths
        self._documents = [(path, read_yaml(path)) for path in paths]

    def access(self, context: str, namespace: str) -> Access:
        name = context or self._current()
        path, chosen = self._named("contexts", "context", name)
        cluster_name = _text(chosen, "cluster")
        at, cluster = self._named("clusters", "cluster", cluster_name)
        _refuse_unsupported(cluster)
        server, user = _server(cluster, cluster_name), _text(chosen, "user")
        return Access(
            server,
            namespace or _text(chosen, "namespace") or DEFAULT_NAMESPACE,
            _authority(cluster, at),
            _is_on(cluster, "insecure-skip-tls-verify"),
            _text(cluster, "proxy-url"),
            # As for kubectl, a server without TLS gets no credentials.
            self._user(user) if user and server.startswith("https:") else ClusterUser(),
            f"{path}, context {name}",
        )

    def _current(self) -> str:
        for _, document in self._documents:
            if name := _text(document, "current-context"):
                return name
        names = ", ".join(self._names("contexts")) or "none is there"
        message = "no file of KUBECONFIG has a current context"
        raise SettingsError(message, hint=_HINT.format(names), setting="kube_context")

    def _names(self, kind: str) -> Iterator[str]:
        for _, document in self._documents:
            for entry in _items(document, kind):
                yield _text(entry, "name")

    def _named(self, kind: str, key: str, name: str) -> tuple[Path, Node]:
        for path, document in self._documents:
            for entry in _items(document, kind):
                if _text(entry, "name") == name and (value := entry.at(key)):
                    return path, value
        message = f"there is no {key} {name!r} in {', '.join(map(str, self.files))}"
        names = ", ".join(self._names("contexts")) or "none is there"
        raise SettingsError(message, hint=_HINT.format(names), setting="kube_context")

    def _user(self, name: str) -> ClusterUser:
        path, user = self._named("users", "user", name)
        _refuse_unsupported(user)
        token, file = _text(user, "token"), _text(user, "tokenFile")
        key, basic = _pem(user, "client-key", path), _text(user, "username")
        return ClusterUser(
            token=Secret(token, "kubeconfig") if token and not file else None,
            token_file=path.parent / file if file else None,
            certificate=_pem(user, "client-certificate", path),
            key=Secret(key, "kubeconfig") if key else None,
            plugin=_plugin(user.at("exec"), path),
            basic=Secret(f"{basic}:{_text(user, 'password')}", "kubeconfig") if basic else None,
        )


def _server(cluster: Node, name: str) -> str:
    try:
        return str(Address.parse(_text(cluster, "server"))).rstrip("/")
    except AddressError as error:
        message = f"the server of the cluster {name} is no address"
        hint = "write it as https://HOST:PORT, without a user"
        raise SourceError(message, hint=hint, where=(cluster.at("server") or cluster).where) from error


def _refuse_unsupported(node: Node) -> None:
    for key in _UNSUPPORTED:
        if node.at(key):
            message = f"{key} is not supported"
            hint = "remove it, or let the user log in by exec, a token or a certificate"
            raise SourceError(message, hint=hint, where=node.where_key(key))


def _plugin(node: Node | None, path: Path) -> ExecPlugin | None:
    if node is None:
        return None
    command = _text(node, "command")
    if "/" in command:  # relative to the file; a name alone is looked for in PATH
        command = str(path.parent / command)
    argv = (command, *(item.text for item in _items(node, "args")))
    env = {_text(pair, "name"): _text(pair, "value") for pair in _items(node, "env")}
    if not command or any("=" in name or not name for name in env) or "\0" in "".join((*argv, *env, *env.values())):
        message = "this is no command that can be run"
        raise SourceError(message, hint="name a program by command, and variables by env", where=node.where)
    is_told = _is_on(node, "provideClusterInfo")
    return ExecPlugin(argv, env, _text(node, "apiVersion"), _text(node, "installHint"), is_told)


def _items(node: Node, key: str) -> tuple[Node, ...]:
    value = node.at(key)
    return value.items if value else ()


def _text(node: Node, key: str) -> str:
    value = node.at(key)
    return value.text if value else ""


def _is_on(node: Node, key: str) -> bool:
    return _text(node, key).lower() in _SWITCHED_ON


def _authority(cluster: Node, path: Path) -> str:
    """Return the certificates that the cluster is verified with."""
    text = _pem(cluster, "certificate-authority", path)
    if text and (fault := authority_fault(text)):
        message = f"certificate-authority {fault}"
        raise SourceError(message, hint="copy the kubeconfig again, whole", where=cluster.where)
    return text


def _pem(node: Node, key: str, path: Path) -> str:
    """Return what *key* names, in PEM: the data beside it, or a file relative to the kubeconfig."""
    if data := _text(node, f"{key}-data"):
        try:
            return base64.b64decode("".join(data.split()), validate=True).decode("ascii")
        except ValueError as error:
            message = f"{key}-data is not PEM in base64"
            where = cast("Node", node.at(f"{key}-data")).where
            raise SecretError(message, hint="copy the kubeconfig again, whole", where=where) from error
    if not (file := _text(node, key)):
        return ""
    try:
        return (path.parent / file).read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        message = f"{key} names {file}, which cannot be read"
        hint = "check the path: it is relative to the kubeconfig"
        raise SourceError(message, hint=hint, where=cast("Node", node.at(key)).where) from error

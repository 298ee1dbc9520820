"""Programs that print a credential for a cluster, such as those of the clouds.

Source: kubernetes.io/docs/reference/access-authn-authz/authentication, "client-go credential plugins".
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from buildpush.cluster.kubeconfig import Access, ClusterUser, ExecPlugin
from buildpush.foundation import strict_json
from buildpush.foundation.errors import AuthenticationError, EngineMissingError, TimeOutError
from buildpush.foundation.secrets import Secret
from buildpush.places import Place

_VERSIONS: Final = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_LIMIT_SECONDS: Final = 60.0
_INFO: Final = "KUBERNETES_EXEC_INFO"
_BY_HAND: Final = "run it by hand, or log in as it says"


def credential_of(plugin: ExecPlugin, access: Access, place: Place) -> ClusterUser:
    """Return what *plugin* prints when *place* runs it: a token, or a certificate with its key.

    Raises:
        AuthenticationError: it is not there, fails, or prints something else.
    """
    if plugin.api not in _VERSIONS:
        message = f"the login program {plugin.argv[0]} answers in {plugin.api or 'no version'}"
        raise AuthenticationError(message, hint=f"let the kubeconfig ask for {_VERSIONS[0]}", setting="kube_context")
    env = {**plugin.env, _INFO: json.dumps(_request(plugin, access))}
    try:
        ran = place.run(plugin.argv, env=env, timeout=_LIMIT_SECONDS)
    except EngineMissingError as error:
        hint = plugin.hint or "install it, or put its directory into PATH"
        message = f"the kubeconfig logs in by a program that is not here: {error}"
        raise AuthenticationError(message, hint=hint, setting="kube_context") from error
    except TimeOutError as error:
        message = f"the login program {plugin.argv[0]} does not end: {error}"
        raise AuthenticationError(message, hint=_BY_HAND, setting="kube_context") from error
    if ran.status:
        last = next(reversed(ran.stderr.strip().splitlines()), "it printed no reason")
        message = f"the login program {plugin.argv[0]} ended with status {ran.status}: {last}"
        raise AuthenticationError(message, hint=_BY_HAND, setting="kube_context")
    return _user(ran.stdout, plugin)


def _request(plugin: ExecPlugin, access: Access) -> dict[str, Any]:
    spec: dict[str, Any] = {"interactive": False}
    if plugin.gives_cluster:
        spec["cluster"] = {"server": access.server, "insecure-skip-tls-verify": access.insecure}
        if access.authority:
            spec["cluster"]["certificate-authority-data"] = base64.b64encode(access.authority.encode()).decode()
        if access.proxy:
            spec["cluster"]["proxy-url"] = access.proxy
    return {"apiVersion": plugin.api, "kind": "ExecCredential", "spec": spec}


def _user(text: str, plugin: ExecPlugin) -> ClusterUser:
    try:
        status = strict_json.parse(text)["status"]
        found = [status.get(key) or "" for key in ("token", "clientCertificateData", "clientKeyData")]
    except (ValueError, KeyError, TypeError, AttributeError):
        found = ["", "", ""]
    if not any(found[:2]) or not all(isinstance(one, str) for one in found):
        message = f"the login program {plugin.argv[0]} printed no credential"
        raise AuthenticationError(message, hint=_BY_HAND, setting="kube_context")
    (token, certificate, key), source = found, plugin.argv[0]
    return ClusterUser(
        token=Secret(token, source) if token else None,
        certificate=certificate,
        key=Secret(key, source) if key else None,
        plugin=plugin,
    )

"""One table of logins for a run: the credential that a step has for a host is available to later steps."""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING

from buildpush.credentials.docker import Credential
from buildpush.foundation.records import dataclass

if TYPE_CHECKING:
    from buildpush.settings.resolved import ResolvedStep


@dataclass(frozen=True, slots=True, eq=False)
class Logins:
    """The credentials of a run so far, by host; the first one for a host stays.

    A credential is sent only to the host that it was given for.
    """

    by_host: dict[str, Credential] = field(default_factory=dict)

    def share(self, order: ResolvedStep) -> ResolvedStep:
        """Return *order* with earlier steps' credentials for hosts that it has none for; remember its own."""
        others = {host: one for host, one in self.by_host.copy().items() if host not in order.credentials}
        for host, one in {**_of_artifactory(order), **order.credentials}.items():
            if host not in order.unshared:
                self.by_host.setdefault(host, one)
        used = {name: others[host].source for name, host in _needed_hosts(order) if host in others}
        return replace(order, credentials=others | {**order.credentials}, sources={**order.sources, **used})


def _of_artifactory(order: ResolvedStep) -> dict[str, Credential]:
    """Return the step's own credential for Artifactory, if it has one: the registry is at the same host."""
    target = order.artifactory
    if target is None or target.credential is None or target.binding is None or target.binding.ambient:
        return {}
    return target.for_registry(target.host)


def _needed_hosts(order: ResolvedStep) -> list[tuple[str, str]]:
    """Return the hosts that need a credential, by their names among the sources of a plan."""
    hosts = [("credentials", order.references[0].repository.host)] if order.references else []
    target = order.artifactory
    return [*hosts, ("artifactory credentials", target.host)] if target and target.credential is None else hosts

"""What this account may do in a namespace, of what builds in Jobs need; ``examples/kubernetes/role.yaml`` grants it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from buildpush.cluster.api import Api
from buildpush.foundation.records import dataclass


@dataclass(frozen=True, slots=True)
class Right:
    """A right: *verb* on *resource* of the API *group*, or on a part of it."""

    verb: str
    resource: str
    group: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        name = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return f"{self.verb} {name}{f'.{self.group}' if self.group else ''}"


RIGHTS: Final = (
    *(Right(verb, "jobs", "batch") for verb in ("create", "patch", "list", "watch", "delete")),
    *(Right(verb, "pods") for verb in ("list", "watch")),
    Right("get", "pods", subresource="log"),
    # A WebSocket is a GET; newer servers ask for create as well.
    *(Right(verb, "pods", subresource="exec") for verb in ("get", "create")),
    Right("create", "secrets"),
    Right("list", "events"),
)


def missing(api: Api) -> Iterator[Right]:
    """Yield the rights that this account does not have; each is one request, which everybody may make.

    Raises:
        AuthenticationError: the cluster does not know the account.
        UnreachableError: there is no answer.
    """
    for right in RIGHTS:
        if not api.allows(right.verb, right.resource, group=right.group, subresource=right.subresource):
            yield right

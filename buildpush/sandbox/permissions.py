"""Who may do what where: the rights of an account, the repositories it is limited to, and the scopes of its token."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from buildpush.foundation.records import dataclass
from buildpush.sandbox.entries import RepositoryEntry

# What an account may do with files; with builds: read, publish, and delete.
RIGHTS = ("read", "deploy", "annotate", "delete", "publish")
# The right that each action in the scope of a registry token needs.
ACTION_RIGHTS = {"pull": "read", "push": "deploy", "delete": "delete"}


def image_of(path: str) -> str:
    """Return the image that a file is of, two levels above it: ``IMAGE/TAG/FILE``."""
    return path.rpartition("/")[0].rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request.

    Attributes:
        rights: of the account.
        repositories: keys of those that the account is limited to, and of virtual ones with such a member;
            ``None`` for no limit.
        scopes: the actions that a registry token is limited to, by repository key and image, such as
            ``docker-local/app``; ``None`` for no limit. A virtual repository stands here beside its members.
        registry_only: whether the token is one of the registry, which opens nothing else.
    """

    username: str
    rights: frozenset[str]
    repositories: Collection[str] | None = None
    scopes: Mapping[str, frozenset[str]] | None = None
    registry_only: bool = False

    @property
    def is_admin(self) -> bool:
        """Whether the caller may do everything everywhere."""
        return self.rights.issuperset(RIGHTS) and self.repositories is None and self.scopes is None

    def sees(self, repo: str) -> bool:
        """Return whether the account may know that there is a repository *repo*."""
        return self.repositories is None or repo in self.repositories

    def may(self, right: str, repo: str) -> bool:
        """Return whether the account has this right in the repository *repo*."""
        return right in self.rights and self.sees(repo)

    def readable(self, repository: RepositoryEntry | None) -> tuple[str, ...]:
        """Return the keys of the repositories behind *repository* whose files the account may read."""
        return tuple(key for key in (repository.physical if repository else ()) if self.may("read", key))

    def covers(self, action: str, repo: str, image: str) -> bool:
        """Return whether the token's scope allows *action* (pull, push, delete) on an image."""
        return self.scopes is None or action in self.scopes.get(f"{repo}/{image}", frozenset())

    def may_read_file(self, repo: str, path: str) -> bool:
        """Return whether the account, and the token's scope, let the caller read the file of an image."""
        return self.may("read", repo) and self.covers("pull", repo, image_of(path))

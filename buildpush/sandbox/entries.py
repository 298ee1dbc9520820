"""What the index has: repositories, their files and directories, builds and tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from buildpush.foundation.records import dataclass
from buildpush.sandbox.content import Checksums

BUILD_INFO = "artifactory-build-info"


@dataclass(frozen=True, slots=True)
class RepositoryEntry:
    """A repository.

    Attributes:
        rclass: ``local`` or ``federated`` with files of its own, ``virtual`` with those of its members, ``remote`` with
            those of a server at *url*, or ``cache``, which has what a remote one has fetched.
        members: of a virtual repository, in the order in which they are searched; of a remote one, its cache.
        deploy_to: key of the member that has what is deployed to a virtual repository.
        behind: keys of the repositories that have the files, where these are not the members.
    """

    key: str
    rclass: str = "local"
    package_type: str = "docker"
    members: tuple[str, ...] = ()
    deploy_to: str | None = None
    url: str = ""
    description: str = ""
    behind: tuple[str, ...] = ()

    @property
    def physical(self) -> tuple[str, ...]:
        """Keys of the repositories that have the files, in the order in which they are searched."""
        return self.behind or self.members or (self.key,)


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file: its path and its checksums; times are seconds since 1970."""

    repo: str
    path: str
    checksums: Checksums
    media_type: str
    created: float
    modified: float
    created_by: str
    modified_by: str

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def directory(self) -> str:
        """The path without its last part."""
        return self.path.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """One directory, which may be empty; times are seconds since 1970."""

    repo: str
    path: str
    created: float
    modified: float
    created_by: str
    modified_by: str

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class BuildEntry:
    """One published run of a build; *document* is the build-info as stored."""

    repo: str
    name: str
    number: str
    started_ms: int
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TokenEntry:
    """An access token: hashes of it, of its refresh token and of its reference token; times in seconds since 1970."""

    identifier: str
    hashed: str
    refresh_hash: str | None
    reference_hash: str | None
    username: str
    scope: str
    issued: float
    expires: float | None


STANDARD_REPOSITORIES = (
    RepositoryEntry("docker-local"),
    RepositoryEntry("docker-release"),
    RepositoryEntry("docker", "virtual", members=("docker-local", "docker-release"), deploy_to="docker-local"),
    RepositoryEntry("generic-local", package_type="generic"),
    RepositoryEntry(BUILD_INFO, package_type="buildinfo"),
)

"""What uploads and downloads of files have in common: options, receipts, checksums, refusals."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

from buildpush.artifactory.answers import FileFacts, message_of
from buildpush.artifactory.authorization import login_hint
from buildpush.artifactory.client import Artifactory, RefusedError
from buildpush.foundation.errors import AuthenticationError, BuildInfoError, PushError, RegistryError, SettingsError
from buildpush.foundation.records import dataclass
from buildpush.foundation.workers import Workers
from buildpush.http.messages import Answer

TransferFate = Literal["sent", "exists", "received", "unchanged", "planned"]

ALGORITHMS: Final = ("sha256", "sha1", "md5")
BLOCK: Final = 1024 * 1024
THREADS: Final = 4
REFUSED: Final = frozenset({401, 403})
_HINTS: Final = {
    403: "the account needs the permissions Read, and for uploads Deploy, in that repository",
    404: "check that the repository and the file exist",
    409: "check the repository's rules, and whether it takes uploads",
}


@dataclass(frozen=True, slots=True)
class FileOptions:
    """Which files, and how.

    Attributes:
        flat: whether files lose their directories below a target that ends in a slash.
        recursive: whether directories below that of the pattern are searched.
        exclusions: patterns of files that are left out.
        threads: how many files are on their way at the same time.
    """

    flat: bool = False
    recursive: bool = True
    exclusions: tuple[str, ...] = ()
    threads: int = THREADS


@dataclass(frozen=True, slots=True)
class TransferredFile:
    """A file that Artifactory has confirmed, or that was downloaded and checked; or that would be.

    Attributes:
        name: its path on this machine.
        fate: ``sent``; ``exists``: Artifactory had the bytes, and none were sent; ``received``; ``unchanged``: the file
            was here already; ``planned``: nothing was done.
    """

    name: str
    repository: str
    path: str
    size: int
    facts: FileFacts
    fate: TransferFate

    @property
    def place(self) -> str:
        """Repository and path."""
        return f"{self.repository}/{self.path}"

    def as_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON types."""
        checksums = {name: getattr(self.facts, name) for name in ALGORITHMS}
        return {"file": self.name, "path": self.place, "size": self.size, **checksums, "fate": self.fate}


class FileChecksums:
    """The checksums and the size of bytes that come in blocks."""

    def __init__(self) -> None:
        self._hashes = [hashlib.new(name, usedforsecurity=False) for name in ALGORITHMS]
        self.size = 0

    def update(self, block: bytes, apply: Callable[..., Iterable[None]] = map) -> None:
        """Add the next block; *apply* may be that of a pool of threads."""
        self.size += len(block)
        for _ in apply(lambda one: one.update(block), self._hashes):
            pass

    @property
    def facts(self) -> FileFacts:
        """The checksums so far."""
        sha256, sha1, md5 = (one.hexdigest() for one in self._hashes)
        return FileFacts(sha1, md5, sha256)


def blocks_of(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file."""
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK):
            yield block


def checksums_of(path: Path) -> FileChecksums:
    """Return the checksums of a file; a large one has a thread for each, since MD5 takes longer than the others."""
    found = FileChecksums()
    with Workers(len(ALGORITHMS)) as pool:  # without a thread until the first block that needs them
        apply = pool.map if path.stat().st_size > BLOCK else map
        for block in blocks_of(path):
            found.update(block, apply)
    return found


@contextmanager
def reading() -> Iterator[None]:
    """Give a refusal to read what Artifactory has the class, and so the exit code, of a transfer."""
    try:
        yield
    except RefusedError as error:
        if error.status in REFUSED:
            raise AuthenticationError(str(error), hint=error.hint, setting=error.setting) from error
        raise RegistryError(str(error), status=error.status, hint=error.hint) from error
    except BuildInfoError as error:
        raise PushError(str(error), hint=error.hint) from error


def refusal(answer: Answer, what: str, server: Artifactory) -> AuthenticationError | RegistryError:
    """Return the error for an *answer* that refuses *what*, an upload or a download."""
    words, hint = message_of(answer.body), _HINTS.get(answer.status)
    if answer.status in REFUSED:
        who, hint = server.credential, hint or login_hint(server.credential)
        whose = f"the credentials from {who.source}" if who else "a request without credentials"
        message = f"{server.host} refuses {whose} for the {what}: {words}"
        return AuthenticationError(message, hint=hint, setting="artifactory_url")
    message = f"{server.host} answers {answer.status} to the {what}: {words}"
    return RegistryError(message, status=answer.status, hint=hint)


def refuse_collisions(
    goals: Iterable[tuple[str, str]], hint: str, is_one: Callable[[str, str], bool] | None = None
) -> None:
    """Refuse files of which two would get one name.

    Args:
        goals: each file, and its name there.
        hint: what to do instead.
        is_one: whether two names that differ by case are one there; they never are without it.

    Raises:
        SettingsError: two would.
    """
    exact: dict[str, str] = {}
    folded: dict[str, str] = {}
    for file, name in goals:
        other, near = exact.setdefault(name, file), folded.setdefault(name.casefold(), name)
        if near != name and is_one and is_one(near, name):
            other = exact[near]
        if other != file:
            message = f"{other} and {file} would both become {name}"
            raise SettingsError(message, hint=hint)

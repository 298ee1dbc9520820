"""Names of images: host, repository, tag and digest; their grammar is checked once.

Source: OCI distribution-spec 1.1 ("Pulling manifests"), and distribution/reference for what counts as a host.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from buildpush.foundation.errors import BadNameError
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex

DOCKER_HUB = "docker.io"
_OLD_HUB = "index.docker.io"

_PATH_PART = regex(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*\Z")
_TAG = regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_DIGEST = regex(r"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})\Z")
# Source: OCI image-spec 1.1, "Digests".
_OTHER_DIGEST = regex(r"([a-z0-9]+(?:[+._-][a-z0-9]+)*):[a-zA-Z0-9=_-]+\Z")
_HOST_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = regex(rf"(?:{_HOST_LABEL}(?:\.{_HOST_LABEL})*|\[[0-9A-Fa-f:]+\])(?::(?P<port>[0-9]{{1,5}}))?\Z")
_LONGEST_REPOSITORY = 255
_HIGHEST_PORT = 65535


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """The hash of some bytes, with its algorithm, such as ``sha256:9f86…``."""

    text: str

    def __post_init__(self) -> None:
        if not _DIGEST.match(self.text):
            message = f"{self.text[:160]!r} is not a digest"
            if (other := _OTHER_DIGEST.match(self.text)) and other[1] not in {"sha256", "sha512"}:
                message = f"{self.text[:160]!r} is not a digest that can be used: {other[1]} is not supported"
            raise BadNameError(message, hint="write sha256: and 64 lower-case hex digits")

    @property
    def algorithm(self) -> str:
        """``sha256`` or ``sha512``."""
        return self.text.partition(":")[0]

    @property
    def hex(self) -> str:
        """The digits after the colon."""
        return self.text.partition(":")[2]

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, order=True)
class Tag:
    """A name for a manifest inside a repository, such as ``1.4.2``."""

    text: str

    def __post_init__(self) -> None:
        if not _TAG.match(self.text):
            message = f"{self.text!r} is not a tag"
            hint = (
                "a tag has up to 128 letters, digits, underscores, dots and dashes, and begins with a letter, "
                'a digit or an underscore; a branch name becomes one with <+codebase.branch.replace("/", "-")>'
            )
            raise BadNameError(message, hint=hint, setting="tags")

    def __str__(self) -> str:
        return self.text


def is_digest(text: str) -> bool:
    """Return whether *text* is a digest."""
    return bool(_DIGEST.match(text))


def check_host(host: str) -> str:
    """Return *host* if it is a host name or address with an optional port.

    Raises:
        BadNameError: it is not.
    """
    match = _HOST.match(host)
    if not match or int(match["port"] or 0) > _HIGHEST_PORT:
        message = f"{host!r} is not a registry host"
        raise BadNameError(message, hint="write HOST or HOST:PORT, without https://", setting="repo")
    return host


@dataclass(frozen=True, slots=True, order=True)
class Repository:
    """Registry host and path, such as ``acme.jfrog.io`` and ``docker-local/team/api``."""

    host: str
    path: str

    def __post_init__(self) -> None:
        check_host(self.host)
        if not self.path or len(self.path) > _LONGEST_REPOSITORY:
            message = f"a repository path has 1 to {_LONGEST_REPOSITORY} characters, and this one has {len(self.path)}"
            raise BadNameError(message, setting="repo")
        for part in self.path.split("/"):
            _check_part(part, self.path)

    @classmethod
    def parse(cls, text: str) -> Repository:
        """Parse *text* as a repository; without a host it is on Docker Hub.

        Raises:
            BadNameError: *text* breaks the grammar, or has a tag or digest.
        """
        if "://" in text:
            message = f"{text!r} is an address, not a repository"
            raise BadNameError(message, hint="leave out the part up to ://", setting="repo")
        if "@" in text and not text.rpartition("@")[2].startswith(("sha256:", "sha512:")):
            # What comes before the @ stays out of the message: it may be a password.
            rest = "@" + text.rpartition("@")[2]
            message = f"the part before {rest!r} is a user or password, which a repository does not have"
            raise BadNameError(message, hint="set 'username' and 'password', or use a connector", setting="repo")
        host, _, path = text.partition("/")
        if not names_host(text):
            host, path = DOCKER_HUB, text
        if host in {DOCKER_HUB, _OLD_HUB}:  # as Docker: docker.io/alpine is docker.io/library/alpine
            host, path = DOCKER_HUB, path if "/" in path or not path else f"library/{path}"
        return cls(host, path)

    def tagged(self, tag: Tag | str) -> Reference:
        """Return the reference of *tag* in this repository.

        Raises:
            BadNameError: *tag* is text that breaks the grammar.
        """
        return Reference(self, tag=tag if isinstance(tag, Tag) else Tag(tag))

    def at(self, digest: Digest) -> Reference:
        """Return the reference of *digest* in this repository."""
        return Reference(self, digest=digest)

    @property
    def name(self) -> str:
        """Last part of the path: the image's short name."""
        return self.path.rpartition("/")[2]

    def __str__(self) -> str:
        return f"{self.host}/{self.path}"


@dataclass(frozen=True, slots=True)
class Reference:
    """A repository with a tag, a digest, or both (the digest counts)."""

    repository: Repository
    tag: Tag | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Parse *text* as a reference; without tag and digest the tag is ``latest``.

        Raises:
            BadNameError: *text* breaks the grammar.
        """
        rest, at, hexes = text.partition("@")
        digest = Digest(hexes) if at else None
        head, colon, tag = rest.rpartition(":")
        if not colon or "/" in tag:
            head, tag = rest, ""
        elif not tag:
            message = f"{text!r} ends in a colon without a tag"
            raise BadNameError(message)
        tag = tag or ("" if at else "latest")
        return cls(Repository.parse(head), Tag(tag) if tag else None, digest)

    @property
    def target(self) -> str:
        """The last part of its manifest's URL: the digest if there is one, else the tag."""
        return str(self.digest or self.tag or "latest")

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"


def names_host(text: str) -> bool:
    """Return whether the repository or image *text* begins with a host; otherwise, it is on Docker Hub."""
    host, slash, _ = text.partition("/")
    return bool(slash) and _looks_like_host(host)


def reference_at(host: str, text: str) -> Reference:
    """Return the image that *text* names; without a host it is at *host*.

    Raises:
        BadNameError: *text* is not the name of an image.
    """
    reference = Reference.parse(text)
    return reference if names_host(text) else Reference.parse(f"{host}/{text}")


def _looks_like_host(text: str) -> bool:
    return text == "localhost" or any(mark in text for mark in ".:[") or text.lower() != text


def _check_part(part: str, path: str) -> None:
    if _PATH_PART.match(part):
        return
    message = f"{path!r} is not a repository path: {part!r} breaks the grammar"
    lower = part.lower()
    hint = "use lower-case letters, digits, and single . _ - between them"
    if lower != part and _PATH_PART.match(lower):
        hint = f"repository paths are lower case: {path.lower()!r}, in an expression .toLowerCase()"
    elif ":" in part:
        hint = "tags go into the setting 'tags', not into 'repo'"
    raise BadNameError(message, hint=hint, setting="repo")


def references_in_mirrors(reference: Reference, mirrors: Iterable[str]) -> tuple[Reference, ...]:
    """Return the references to try, in order, when *mirrors*, ``HOST`` or ``HOST/PATH``, replace Docker Hub.

    Raises:
        BadNameError: one of *mirrors* breaks the grammar.
    """
    path = reference.repository.path
    if reference.repository.host != DOCKER_HUB:
        return (reference,)
    places = [(host, f"{part}/{path}".lstrip("/")) for host, _, part in (mirror.partition("/") for mirror in mirrors)]
    return tuple(replace(reference, repository=Repository(*place)) for place in places) or (reference,)

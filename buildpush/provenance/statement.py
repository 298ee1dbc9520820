"""Statements of in-toto: which images something is said about, and what.

Source: in-toto Attestation Framework, "Statement" v1, and v0.1, which cosign and older BuildKit write.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs, quote, unquote, urlsplit

from buildpush.foundation import strict_json
from buildpush.foundation.errors import BadNameError, PushError
from buildpush.foundation.records import dataclass
from buildpush.images.model import Platform
from buildpush.images.references import Digest, Reference, Repository

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
SLSA: Final = "https://slsa.dev/provenance/v1"
SPDX: Final = "https://spdx.dev/Document"
CYCLONEDX: Final = "https://cyclonedx.org/bom"

Kind = TypeVar("Kind")

_TYPES: Final = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a statement is about: a name, which is for people, and digests by algorithm."""

    name: str
    digests: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement about one or more images.

    Attributes:
        predicate_type: says what kind of document *predicate* is, such as :data:`SLSA`.
    """

    subjects: tuple[Subject, ...]
    predicate_type: str
    predicate: Mapping[str, Any]

    def document(self) -> bytes:
        """Return its JSON: equal statements give equal bytes."""
        subjects = [{"name": one.name, "digest": dict(one.digests)} for one in self.subjects]
        document = {"_type": _TYPES[0], "subject": subjects, "predicateType": self.predicate_type}
        return compact(document | {"predicate": dict(self.predicate)})

    def is_about(self, digest: Digest) -> bool:
        """Return whether one of the subjects has *digest*."""
        return any(one.digests.get(digest.algorithm) == digest.hex for one in self.subjects)

    @classmethod
    def parse(cls, data: bytes) -> Statement:
        """Return the statement in *data*.

        Raises:
            PushError: it is not one.
        """
        try:
            document = strict_json.parse(data)
            _known_type(document["_type"])
            subjects = tuple(_subject(one) for one in typed(document["subject"], list))
            return cls(subjects, typed(document["predicateType"], str), typed(document.get("predicate") or {}, dict))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            message = f"this is not a statement of in-toto: {reason(error)}"
            raise PushError(message) from error


def compact(document: object) -> bytes:
    """Return JSON without blanks, in the order of *document*."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "backslashreplace")


def reason(error: Exception) -> str:
    """Return why a document could not be read, in words."""
    return f"it has no {error}" if isinstance(error, LookupError) else str(error)


def package_url(reference: Reference, platform: Platform | None = None) -> str:
    """Return the purl of an image, as BuildKit writes it.

    Source: package-url/purl-spec, type ``docker``.
    """
    repository = reference.repository
    version = quote(str(reference.tag or reference.digest or "latest"), safe="")
    qualifiers = {"platform": quote(str(platform), safe="") if platform else "", "repository_url": repository.host}
    query = "&".join(f"{name}={value}" for name, value in qualifiers.items() if value)
    return f"pkg:docker/{repository.path}@{version}?{query}"


def image_in_package_url(url: str, digest: Digest) -> Reference:
    """Return the image with *digest* that a purl names: as :func:`package_url` writes it, or with the host in its name.

    Raises:
        BadNameError: it names no image.
    """
    parts = urlsplit(url)
    kind, _, rest = parts.path.partition("/")
    host = parse_qs(parts.query).get("repository_url", [""])[0]
    if (parts.scheme, kind) != ("pkg", "docker"):
        message = "this is not the purl of an image"
        raise BadNameError(message)
    name = unquote(rest.partition("@")[0])
    return Repository.parse(f"{host}/{name}" if host else name).at(digest)


def subjects_of(
    references: Sequence[Reference], digest: Digest, platform: Platform | None = None
) -> tuple[Subject, ...]:
    """Return the subjects for an image with these names."""
    return tuple(Subject(package_url(name, platform), {digest.algorithm: digest.hex}) for name in references)


def typed(value: Any, kind: type[Kind]) -> Kind:
    """Return *value* if it is of this kind, as it should be in JSON.

    Raises:
        TypeError: it is not.
    """
    if type(value) is not kind:
        message = f"{str(value)[:40]!r} is not what should be there"
        raise TypeError(message)
    return value


def _known_type(text: Any) -> None:
    if text not in _TYPES:
        message = f"its type is {str(text)[:80]!r}"
        raise ValueError(message)


def _subject(value: Any) -> Subject:
    digests = {name: typed(text, str) for name, text in typed(value["digest"], dict).items()}
    return Subject(typed(value.get("name") or "", str), digests)

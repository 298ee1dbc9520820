"""What describes an image, and is stored beside it: signatures, SBOMs, attestations.

Source: OCI distribution-spec 1.1, "Listing Referrers" and "Referrers Tag Schema"; cosign's tags are older than both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from buildpush.foundation import strict_json
from buildpush.foundation.errors import BadNameError, PushError
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.images.compression import digest_of
from buildpush.images.model import OCI_INDEX, Image, Index, Platform
from buildpush.images.references import Digest

# The platform of artifacts, which cannot run; their configuration may be anything, so it is not read.
NO_PLATFORM: Final = Platform("unknown", "unknown")
_COSIGN: Final = (".sig", ".att", ".sbom")
_REFERRERS_TAG: Final = regex(rf"sha\d+-[0-9a-f]{{64}}({'|'.join(map(re.escape, _COSIGN))})?\Z")
_DEEPEST: Final = 8


@dataclass(frozen=True, slots=True)
class Referrer:
    """A manifest that refers to an image, or to another referrer.

    Attributes:
        image: an artifact in the form of an image, with its own manifest, which is never changed.
        subject: digest of what it refers to.
        tag: the tag under which cosign looks for it; ``None`` where its manifest names the subject.
    """

    image: Image | Index
    subject: Digest
    tag: str | None = None

    @property
    def manifest(self) -> bytes:
        """Bytes of its manifest."""
        return self.image.manifest or b""

    @property
    def digest(self) -> Digest:
        """Digest of its manifest."""
        return digest_of(self.manifest)

    def descriptor(self) -> dict[str, Any]:
        """Return its descriptor in a list of referrers."""
        document = strict_json.parse(self.manifest)
        kind = document.get("artifactType") or (document.get("config") or {}).get("mediaType")
        descriptor = {"mediaType": self.image.manifest_type, "digest": str(self.digest), "size": len(self.manifest)}
        more = {"artifactType": kind, "annotations": document.get("annotations")}
        return descriptor | {key: value for key, value in more.items() if value}


def list_tag(subject: Digest) -> str:
    """Return the tag of the list of referrers, in registries that do not list referrers themselves."""
    return f"{subject.algorithm}-{subject.hex[:64]}"


def cosign_tags(subject: Digest) -> tuple[str, ...]:
    """Return the tags under which cosign looks for signatures and attestations of *subject*."""
    return tuple(f"{list_tag(subject)}{kind}" for kind in _COSIGN)


def is_referrer_tag(tag: str) -> bool:
    """Return whether *tag* has the form of those of :func:`list_tag` and :func:`cosign_tags`."""
    return bool(_REFERRERS_TAG.match(tag))


def subject_of(manifest: bytes) -> Digest | None:
    """Return the digest of the subject of *manifest*, or ``None`` where it has none."""
    with suppress(ValueError, LookupError, TypeError, BadNameError):
        return Digest(str(strict_json.parse(manifest)["subject"]["digest"]))
    return None


def extend_list(entries: Sequence[Mapping[str, Any]], referrers: Iterable[Referrer]) -> bytes | None:
    """Return the list of referrers with *entries* and, after these, *referrers*; ``None`` if none of these is new."""
    existing = {one.get("digest") for one in entries}
    new = {str(one.digest): one.descriptor() for one in referrers if str(one.digest) not in existing}
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*entries, *new.values()]}
    return json.dumps(document, separators=(",", ":")).encode() if new else None


def gather(target: Image | Index, find: Callable[[Digest], Iterable[Referrer]]) -> tuple[Referrer, ...]:
    """Return all referrers of *target*, of each image in it, and of those referrers in turn.

    Args:
        target: with the manifest that it came with.
        find: returns the referrers of one digest.

    Raises:
        PushError: a list names one that has another subject, or referrers of referrers nest too deep.
    """
    parts: tuple[Image | Index, ...] = (target, *target.images) if isinstance(target, Index) else (target,)
    visited: set[Digest] = set()
    subjects = {digest_of(part.manifest): None for part in parts if part.manifest}
    referrers: dict[tuple[Digest, str | None], Referrer] = {}
    for _ in range(_DEEPEST):
        new = {
            (referrer.digest, referrer.tag): referrer
            for subject in subjects
            for referrer in map(_check_subject, find(subject))
        }
        visited |= subjects.keys()
        subjects = {digest: None for digest, _ in new if digest not in visited}
        referrers = new | referrers
        if not subjects:
            return tuple(referrers.values())
    message = f"referrers of referrers go deeper than {_DEEPEST}"
    raise PushError(message, hint="leave out --referrers, and copy those that matter by their digests")


def _check_subject(referrer: Referrer) -> Referrer:
    if referrer.tag is None and subject_of(referrer.manifest) != referrer.subject:
        message = f"{referrer.digest} is listed as a referrer of {referrer.subject}, but does not refer to it"
        raise PushError(message, hint="the list is damaged; leave out --referrers to copy the image alone")
    return referrer

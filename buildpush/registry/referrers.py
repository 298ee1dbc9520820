"""Referrers in a registry: listed by the registry itself, by a tag where it keeps no lists, or under cosign's tags.

Source: OCI distribution-spec 1.1, "Listing Referrers", "Referrers Tag Schema", "Pushing Manifests with Subject".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from buildpush.foundation import strict_json
from buildpush.foundation.errors import AuthenticationError, PushError, RegistryError
from buildpush.foundation.regex import regex
from buildpush.http.messages import Answer
from buildpush.http.urls import origin
from buildpush.images.manifests import read_manifest
from buildpush.images.model import INDEX_TYPES, OCI_INDEX, Image, Index
from buildpush.images.references import Digest, Reference, Repository, Tag
from buildpush.images.referrers import Referrer, cosign_tags, gather, list_tag
from buildpush.registry.client import Registry, refusal
from buildpush.registry.pull import pull

_NOT_FOUND = 404
# What Artifactory answers for a tag that does not exist, in a virtual repository of which the user may not read every
# member; others answer 401.  Source: cosign#2973, go-containerregistry#1691.
_HIDDEN_STATUSES = frozenset({401, 403})
# What registries without this endpoint answer; go-containerregistry falls back to the tag for the same statuses.
_NO_LISTS = frozenset({400, _NOT_FOUND, 405, 406})
_MOST_PAGES = 100
_NEXT = regex(r'<([^<>]+)>\s*;[^,<]*\brel="?next\b')


def find_referrers(target: Image | Index, repository: Repository, registry: Registry) -> tuple[Referrer, ...]:
    """Return the referrers of *target* in *repository*, at any depth; layers are read when needed.

    Raises:
        RegistryError: one is listed but missing, or may not be read.
        PushError: a list is damaged.
        UnreachableError: there is no answer.
        AuthenticationError: the credentials are refused.
    """

    def find(subject: Digest) -> Iterator[Referrer]:
        for digest in find_digests(subject, repository, registry):
            yield Referrer(pull(repository.at(digest), registry, artifact=True), subject)
        for tag in cosign_tags(subject):
            if artifact := _pull_tag(repository.tagged(Tag(tag)), registry):
                yield Referrer(artifact, subject, tag)

    return gather(target, find)


def read_list(name: Reference, registry: Registry) -> list[dict[str, Any]] | None:
    """Return the descriptors in the list of a tag; none if the tag does not exist, ``None`` if we may not read it.

    Raises:
        PushError: it is not a list, or cannot be fetched.
    """
    answer = _request_list(name.repository, f"manifests/{name.target}", registry)
    if answer is None:
        return None
    return [] if answer.status == _NOT_FOUND else _read(answer, f"the list of referrers {name}")


def _request_list(repository: Repository, path: str, registry: Registry) -> Answer | None:
    """Return the answer about a list, or ``None`` where we may not read it, nor learn whether it exists."""
    try:
        answer = registry.request(repository, "GET", path, actions="pull", headers={"Accept": OCI_INDEX})
    except AuthenticationError:
        return None
    return None if answer.status in _HIDDEN_STATUSES else answer


def find_digests(subject: Digest, repository: Repository, registry: Registry) -> list[Digest]:
    """Return the digests of the manifests that refer to *subject*."""
    what = f"the list of referrers of {repository.at(subject)}"
    entries: list[dict[str, Any]] = []
    path = f"referrers/{subject}"
    for number in range(_MOST_PAGES):
        answer = _request_list(repository, path, registry)
        if answer is None or (number == 0 and _keeps_no_lists(answer)):
            return _digests_by_tag(repository.tagged(Tag(list_tag(subject))), registry)
        entries += _read(answer, what)
        next_path = _next(answer, what, repository, registry)
        if next_path is None:
            return [Digest(one["digest"]) for one in entries]
        path = next_path
    message = f"{what} does not end: {_MOST_PAGES} pages were read"
    raise PushError(message, hint="leave out --referrers, and copy those that matter by their digests")


def _digests_by_tag(name: Reference, registry: Registry) -> list[Digest]:
    entries = read_list(name, registry)
    if entries is None:
        _note_hidden(name, registry)
    return [Digest(one["digest"]) for one in entries or ()]


def _note_hidden(name: Reference, registry: Registry) -> None:
    text = (
        f"{name} may not be read, which some registries answer for what does not exist: if it exists, it was not copied"
    )
    registry.note_once(("referrers", name.repository), text)


def _next(answer: Answer, what: str, repository: Repository, registry: Registry) -> str | None:
    """Return the address of the next page, which must be at the same registry."""
    link = _NEXT.search(answer.headers.get("Link", ""))
    if link is None:
        return None
    url = registry.resolve_location(repository, answer, link[1])
    if origin(url) != origin(registry.base(repository.host)):
        message = f"{what} continues at another host, which is not allowed"
        raise PushError(message, hint="a proxy in between changes what it passes on")
    return url


def _keeps_no_lists(answer: Answer) -> bool:
    """Return whether this registry does not support the lists yet, or a web page answers in its place."""
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
    return answer.status in _NO_LISTS or (answer.ok and kind != OCI_INDEX)


def _read(answer: Answer, what: str) -> list[dict[str, Any]]:
    if not answer.ok:
        raise refusal(answer, f"{what} cannot be fetched")
    if read_manifest(answer.body, answer.headers.get("Content-Type", "")).media_type not in INDEX_TYPES:
        message = f"{what} is an image, not a list"
        raise PushError(message)
    return list(strict_json.parse(answer.body)["manifests"])


def _pull_tag(name: Reference, registry: Registry) -> Image | Index | None:
    try:
        return pull(name, registry, artifact=True)
    except AuthenticationError:
        _note_hidden(name, registry)
    except RegistryError as error:
        if error.status in _HIDDEN_STATUSES:
            _note_hidden(name, registry)
        elif error.status != _NOT_FOUND:
            raise
    return None

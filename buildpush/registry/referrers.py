"""Referrers in a registry: listed by the registry itself, by a tag where it keeps no lists, or under cosign's tags.

Source: OCI distribution-spec 1.1, "Listing Referrers", "Referrers Tag Schema", "Pushing Manifests with Subject".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from buildpush.errors import PushError, RegistryError
from buildpush.http import Answer, joined
from buildpush.images.manifests import read_manifest
from buildpush.images.model import INDEX_TYPES, OCI_INDEX, Image, Index
from buildpush.images.references import Digest, Reference, Repository, Tag
from buildpush.images.referrers import Referrer, cosign_tags, gather, list_tag
from buildpush.registry.client import Registry, refusal
from buildpush.registry.pull import pull

_NOT_FOUND = 404
# What registries answer that know no such address; go-containerregistry asks for the tag after the same ones.
_NO_LISTS = frozenset({400, _NOT_FOUND, 405, 406})
_MOST_PAGES = 100
_NEXT = re.compile(r'<([^>]+)>\s*;[^,]*\brel="?next\b')


def find_referrers(target: Image | Index, repository: Repository, registry: Registry) -> tuple[Referrer, ...]:
    """Return what *repository* has about *target*, at any depth; layers are read when they are wanted.

    Raises:
        RegistryError: one is listed and not there, or may not be read.
        PushError: a list is damaged.
        UnreachableError: there is no answer.
        AuthenticationError: the credentials are refused.
    """

    def find(subject: Digest) -> Iterator[Referrer]:
        for digest in _listed(subject, repository, registry):
            yield Referrer(pull(repository.at(digest), registry, artifact=True), subject)
        for tag in cosign_tags(subject):
            if found := _tagged(repository.tagged(Tag(tag)), registry):
                yield Referrer(found, subject, tag)

    return gather(target, find)


def read_list(name: Reference, registry: Registry) -> list[dict[str, Any]]:
    """Return the descriptors in the list that has a tag; none where there is no such tag.

    Raises:
        PushError: it is no list, or cannot be had.
    """
    headers = {"Accept": OCI_INDEX}
    answer = registry.request(name.repository, "GET", f"manifests/{name.target}", actions="pull", headers=headers)
    return [] if answer.status == _NOT_FOUND else _read(answer, f"the list of referrers {name}")


def _listed(subject: Digest, repository: Repository, registry: Registry) -> list[Digest]:
    """Return the digests that refer to *subject*."""
    what = f"the list of referrers of {repository.at(subject)}"
    found: list[dict[str, Any]] = []
    path = f"referrers/{subject}"
    for number in range(_MOST_PAGES):
        answer = registry.request(repository, "GET", path, actions="pull", headers={"Accept": OCI_INDEX})
        if number == 0 and _keeps_no_lists(answer):
            return [Digest(one["digest"]) for one in read_list(repository.tagged(Tag(list_tag(subject))), registry)]
        found += _read(answer, what)
        following = _next(answer, what)
        if following is None:
            return [Digest(one["digest"]) for one in found]
        path = following
    message = f"{what} has no end: {_MOST_PAGES} pages were read"
    raise PushError(message, hint="leave out --referrers, and copy those that matter by their digests")


def _next(answer: Answer, what: str) -> str | None:
    """Return the address of the next page, which a registry cannot have elsewhere."""
    following = _NEXT.search(answer.headers.get("Link", ""))
    if following is None:
        return None
    url = joined(answer.url, following[1])
    if urlsplit(url).hostname != urlsplit(answer.url).hostname:
        message = f"{what} goes on at another host, which it must not"
        raise PushError(message, hint="a proxy in between changes what it passes on")
    return url


def _keeps_no_lists(answer: Answer) -> bool:
    """Return whether this registry is older than the lists, or a page for people answers in its place."""
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
    return answer.status in _NO_LISTS or (answer.ok and kind != OCI_INDEX)


def _read(answer: Answer, what: str) -> list[dict[str, Any]]:
    if not answer.ok:
        raise refusal(answer, f"{what} cannot be had")
    if read_manifest(answer.body, answer.headers.get("Content-Type", "")).media_type not in INDEX_TYPES:
        message = f"{what} is an image, and no list"
        raise PushError(message)
    return list(json.loads(answer.body)["manifests"])


def _tagged(name: Reference, registry: Registry) -> Image | Index | None:
    try:
        return pull(name, registry, artifact=True)
    except RegistryError as error:
        if error.status == _NOT_FOUND:
            return None
        raise

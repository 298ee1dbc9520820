"""The text of queries in Artifactory's query language (AQL), made from untrusted names.

Source: JFrog documentation, "Artifactory Query Language".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

Criteria = Mapping[str, Any]

LONGEST: Final = 6000  # characters; JFrog's cloud refuses longer queries
# An account that is not an administrator must ask for the first three.
_INCLUDED: Final = ("repo", "path", "name", "actual_sha1", "actual_md5", "sha256")
_END: Final = f"]}}).include({json.dumps(_INCLUDED)[1:-1]})"
_BEGIN: Final = 'items.find({"type":"file","$or":['


def inside(repository: str, directory: str) -> tuple[Criteria, Criteria]:
    """Return what the files in *directory* and below it have; a wildcard in its name may add others."""
    return {"repo": repository, "path": directory}, {"repo": repository, "path": {"$match": f"{directory}/*"}}


def file_queries(alternatives: Iterable[Criteria]) -> Iterator[str]:
    """Yield queries for all files that have one of the *alternatives*: as few as the limit of their length allows."""
    texts: list[str] = []
    space = LONGEST - len(_BEGIN) - len(_END)
    for alternative in alternatives:
        # Without $and, the keys of an object inside $or are alternatives themselves.
        text = json.dumps({"$and": [alternative]}, separators=(",", ":"), ensure_ascii=False)
        if texts and sum(map(len, texts)) + len(texts) + len(text) > space:
            yield _query(texts)
            texts = []
        texts.append(text)
    if texts:
        yield _query(texts)


def _query(texts: Iterable[str]) -> str:
    return f"{_BEGIN}{','.join(texts)}{_END}"

"""What can be asked for in the Artifactory Query Language: domains with their fields, and how one leads to another.

A field such as ``artifact.module.build.name`` goes from an item over three links to a field of a build.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

from buildpush.foundation.records import dataclass
from buildpush.sandbox.derived import NAME, PARENT

_PATH = f"CASE instr(path, '/') WHEN 0 THEN '.' ELSE substr({PARENT}, 1, length({PARENT}) - 1) END"
_DEPTH = "length(path) - length(replace(path, '/', '')) + 1"


def _items(kind: str, table: str, size: str, sums: str) -> str:
    place = f"repo, path AS whole, {PARENT} AS parent, {_PATH} AS path, {NAME} AS name, {_DEPTH} AS depth"
    who = "created, modified, created_by, modified_by"
    return f"SELECT {place}, '{kind}' AS type, {size}, {sums}, {who} FROM {table}"  # noqa: S608 - constants


FILES = _items("file", "files", "size", "sha256, sha1, md5")
_NO_SUMS = "NULL AS sha256, NULL AS sha1, NULL AS md5"
DIRECTORIES = _items("folder", "directories", "0 AS size", _NO_SUMS)


class FieldKind(Enum):
    """What the values of a field are, and so how they are compared and answered."""

    TEXT = auto()
    NUMBER = auto()
    TIME = auto()
    REPOSITORY = auto()
    DIRECTORY = auto()
    TYPE = auto()


@dataclass(frozen=True, slots=True)
class QueryField:
    """A field: the kind of its values, and the expression that has them; a time is seconds since 1970."""

    kind: FieldKind
    column: str


@dataclass(frozen=True, slots=True)
class Link:
    """A way from a row to rows of another domain: a condition on the first, around one on the others."""

    condition: str
    domain: str


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain.

    Attributes:
        fields: in the order in which ``*`` answers them.
        links: by the word that leads there.
        properties: the link to the properties, which ``@key`` means.
        relation: what is searched by a query in this domain.
        usual: the fields that are answered if a query does not say which.
        shuffle: what rows without a sort are sorted by: no order that a client could take for one.
        prefix: of the fields in an answer.
    """

    fields: Mapping[str, QueryField]
    links: Mapping[str, Link]
    properties: str = ""
    relation: str = ""
    usual: tuple[str, ...] = ()
    shuffle: str = ""
    prefix: str = ""


def _fields(kind: FieldKind, *names: str, **renamed: str) -> dict[str, QueryField]:
    return {name: QueryField(kind, column) for name, column in ({name: name for name in names} | renamed).items()}


_RUN_OF_FILE = "(repo, build, number, started_ms) IN (SELECT repo, name, number, started_ms FROM builds WHERE {})"
_FILE_OF_RUN = "(repo, name, number, started_ms) IN (SELECT repo, build, number, started_ms FROM build_files WHERE {})"
_STARTED = "started_ms / 1000.0"
_FILES_OF_BUILD = "sha1 IN (SELECT sha1 FROM build_files WHERE kind = '{kind}' AND ({{}}))"
_FILE_FIELDS = _fields(FieldKind.TEXT, "name", "type", "sha1", "md5")
_FILE_LINKS = {"module": Link("({})", "module"), "item": Link("sha1 IN (SELECT sha1 FROM item WHERE {})", "items")}

DOMAINS: Mapping[str, Domain] = {
    "items": Domain(
        {
            **_fields(FieldKind.REPOSITORY, "repo"),
            **_fields(FieldKind.DIRECTORY, "path"),
            **_fields(FieldKind.TEXT, "name"),
            **_fields(FieldKind.TYPE, "type"),
            **_fields(FieldKind.NUMBER, "size", "depth"),
            **_fields(FieldKind.TIME, "created", "modified", updated="modified"),
            **_fields(FieldKind.TEXT, "created_by", "modified_by", original_md5="md5", actual_md5="md5"),
            **_fields(FieldKind.TEXT, "sha256", original_sha1="sha1", actual_sha1="sha1"),
        },
        {
            "artifact": Link(_FILES_OF_BUILD.format(kind="artifact"), "artifact"),
            "dependency": Link(_FILES_OF_BUILD.format(kind="dependency"), "dependency"),
        },
        "(repo, whole) IN (SELECT repo, path FROM property_values WHERE {})",
        "item",
        ("repo", "path", "name", "type", "size", "created", "created_by", "modified", "modified_by", "updated"),
        "md5",
    ),
    "builds": Domain(
        {
            **_fields(FieldKind.TEXT, "name", "number", "repo", url="json_extract(document, '$.url')"),
            # A run is published when it has ended, seconds after what it calls its start.
            **_fields(FieldKind.TIME, started=_STARTED, created=_STARTED, modified=_STARTED),
            **_fields(FieldKind.TEXT, created_by="json_extract(document, '$.artifactoryPrincipal')"),
        },
        {"module": Link(_FILE_OF_RUN, "module")},
        "EXISTS (SELECT 1 FROM json_each(document, '$.properties') WHERE {})",
        "builds",
        ("name", "number", "repo", "url", "started", "created", "created_by", "modified"),
        "started_ms % 997",
        "build.",
    ),
    "module": Domain(
        _fields(FieldKind.TEXT, name="module"),
        {
            "artifact": Link("(kind = 'artifact' AND {})", "artifact"),
            "dependency": Link("(kind = 'dependency' AND {})", "dependency"),
            "build": Link(_RUN_OF_FILE, "builds"),
        },
    ),
    "artifact": Domain(_FILE_FIELDS, _FILE_LINKS),
    "dependency": Domain(_FILE_FIELDS, _FILE_LINKS),
}
PROPERTY = Domain(_fields(FieldKind.TEXT, "key", "value"), {})

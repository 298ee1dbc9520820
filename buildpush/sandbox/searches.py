"""Searches that are older than the query language: conditions for files, made of the parameters of a request."""

from __future__ import annotations

from collections.abc import Mapping

from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.aql_where import Clause, joined, matching
from buildpush.sandbox.derived import NAME
from buildpush.sandbox.entries import BuildEntry, FileEntry
from buildpush.sandbox.permissions import Caller
from buildpush.sandbox.store import Store

CHECKSUMS = ("sha256", "sha1", "md5")
# The columns of the times that can be searched for; downloads are not counted, so nothing was downloaded.
DATE_FIELDS = {"created": "created", "lastModified": "modified", "lastDownloaded": None, "remote_last_downloaded": None}


def find_files(store: Store, caller: Caller, condition: Clause, keys: str | None = None) -> list[FileEntry]:
    """Return the files that meet a condition and that the caller may read.

    Args:
        store: what is searched.
        caller: who asks.
        condition: on the columns of a file.
        keys: of the repositories that are searched, separated by commas; those of virtual ones stand for their members.
    """
    found = store.find(condition.text, condition.values)
    repositories = [store.repository(key.strip()) for key in (keys or "").split(",")]
    physical = {key for repository in repositories if repository for key in repository.physical}
    return [one for one in found if (not keys or one.repo in physical) and caller.may_read_file(one.repo, one.path)]


def by_name(query: Mapping[str, str]) -> Clause:
    """Return the condition for a part of the name, in any case: ``name``."""
    part = _required(query, "name")
    # The path first: to take the name from it costs more than to look into it.
    return Clause(f"instr(lower(path), lower(?)) AND instr(lower({NAME}), lower(?))", (part, part))


def by_properties(query: Mapping[str, str]) -> Clause:
    """Return the condition for properties: ``KEY=VALUE,VALUE``, one of which a file has; without, it has the key."""
    clauses = []
    for key, values in query.items():
        if key == "repos":
            continue
        listed = joined([matching("value", value) for value in values.split(",") if value], "OR")
        test = joined([Clause("key = ?", (key,)), listed], "AND")
        clauses.append(test.inside("(repo, path) IN (SELECT repo, path FROM property_values WHERE {})"))
    if not clauses:
        raise RequestRefusedError(400, "BAD_REQUEST", "Name at least one property: KEY=VALUE")
    return joined(clauses, "AND")


def by_checksum(query: Mapping[str, str]) -> Clause:
    """Return the condition for checksums: ``sha256``, ``sha1``, ``md5``."""
    given = [Clause(f"{name} = ?", (query[name].lower(),)) for name in CHECKSUMS if query.get(name)]
    if not given:
        raise RequestRefusedError(400, "BAD_REQUEST", f"Name at least one of {', '.join(CHECKSUMS)}")
    return joined(given, "AND")


def by_pattern(pattern: str) -> Clause:
    """Return the condition for ``KEY:PATH``, where ``*`` and ``?`` stand for anything but a slash."""
    _key, colon, path = pattern.partition(":")
    if not colon or "**" in path:
        raise RequestRefusedError(400, "BAD_REQUEST", f"'{pattern}' is not KEY:PATH, in which '**' is not supported")
    # As many slashes as in the pattern: so none of them is where a wildcard is.
    slashes = Clause("length(path) - length(replace(path, '/', '')) = ?", (path.count("/"),))
    return joined([matching("path", path), slashes], "AND")


def by_dates(span: tuple[float, float], fields: list[str]) -> Clause:
    """Return the condition that one of the times is after the first, and not after the second, in seconds."""
    columns = [column for column in (DATE_FIELDS[field] for field in fields) if column]
    return joined([Clause(f"{column} > ? AND {column} <= ?", span) for column in columns] or [Clause("0")], "OR")


def date_span(query: Mapping[str, str], now: float) -> tuple[float, float]:
    """Return ``from`` and ``to``, which are milliseconds since 1970, in seconds; ``to`` is now if it is not given.

    Raises:
        RequestRefusedError: 400, ``from`` is missing, or one of them is not a number.
    """
    if not query.get("from"):
        raise RequestRefusedError(400, "BAD_REQUEST", "'from' parameter cannot be empty!")
    try:
        return int(query["from"]) / 1000, int(query["to"]) / 1000 if query.get("to") else now
    except (ValueError, OverflowError) as error:
        raise RequestRefusedError(400, "BAD_REQUEST", "'from' and 'to' are milliseconds since 1970") from error


def date_fields(query: Mapping[str, str]) -> list[str]:
    """Return the times that are searched for: ``dateFields``, separated by commas.

    Raises:
        RequestRefusedError: 400, one of them has an unknown name.
    """
    fields = [field.strip() for field in query.get("dateFields", "created").split(",")]
    for field in fields:
        if field not in DATE_FIELDS:
            known = ", ".join(DATE_FIELDS)
            message = f"Date field name '{field}' unknown!, possible values are: [{known}]"
            raise RequestRefusedError(400, "BAD_REQUEST", message)
    return fields


def of_build(run: BuildEntry, *, marked: bool) -> Clause:
    """Return the condition for the artifacts of a run, by checksum; *marked*: those that also have its properties."""
    identity = (run.repo, run.name, run.number, run.started_ms)
    listed = Clause(
        "sha1 IN (SELECT sha1 FROM build_files WHERE kind = 'artifact'"
        " AND repo = ? AND build = ? AND number = ? AND started_ms = ?)",
        identity,
    )
    properties = {"build.name": run.name.replace(",", "*"), "build.number": run.number.replace(",", "*")}
    return joined([listed, by_properties(properties)], "AND") if marked else listed


def _required(query: Mapping[str, str], name: str) -> str:
    if not query.get(name):
        raise RequestRefusedError(400, "BAD_REQUEST", f"The parameter '{name}' is missing")
    return query[name]

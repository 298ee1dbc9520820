"""The answer to a query in the Artifactory Query Language: which rows, in which order, with which fields."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from buildpush.foundation.records import dataclass
from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.aql_domains import DIRECTORIES, DOMAINS, FILES, Domain, FieldKind
from buildpush.sandbox.aql_grammar import Criterion, Group, Query, read_query, syntax_error
from buildpush.sandbox.aql_where import Clause, Translator
from buildpush.sandbox.permissions import Caller
from buildpush.sandbox.storage import write_time
from buildpush.sandbox.store import Store

# What a user who is no administrator must ask for, because each row is shown only to those who may read it.
_PLACE = {"items": ("repo", "path", "name"), "builds": ("name", "number", "repo")}
# Every value is a parameter; the rest comes from aql_domains.py.
_STATEMENT = (
    "WITH member(key, repo) AS (SELECT v.key, m.value FROM json_each(?) AS v, json_each(v.value) AS m)"
    ", item AS NOT MATERIALIZED ({items}) SELECT {select} FROM {relation} WHERE {where}"
    " ORDER BY {order} LIMIT ? OFFSET ?"
)
_LISTED = {
    "items": "(SELECT json_group_object(p.key, json(p.listed)) FROM properties AS p WHERE p.repo = item.repo"
    " AND p.path = item.whole{})",
    "builds": "(SELECT json_group_object(p.key, json_array(p.value)) FROM json_each(document, '$.properties') AS p"
    " WHERE 1{})",
}


@dataclass(frozen=True, slots=True)
class _Shown:
    """What of a row is answered.

    Attributes:
        fields: names of fields.
        properties: keys of properties, or ``None`` for no properties; ``*`` is all.
    """

    fields: tuple[str, ...]
    properties: frozenset[str] | None


def answer(store: Store, text: str, caller: Caller) -> dict[str, Any]:
    """Return the document that answers a query.

    Raises:
        RequestRefusedError: 400, it is not a query, or asks for what there is not.
    """
    query = read_query(text)
    domain = DOMAINS[query.domain]
    shown = _shown(query, domain, text)
    if problem := _problem(query, shown, caller):
        raise RequestRefusedError(400, "BAD_REQUEST", problem)
    statement = _statement(store, query, domain, shown, text)
    results = list(_results(store.rows(statement.text, *statement.values), domain, shown, caller))
    ends = {"start_pos": query.offset, "end_pos": query.offset + len(results), "total": len(results)}
    limit = {} if query.limit is None else {"limit": query.limit}
    return {"results": results, "range": ends | limit}


def _shown(query: Query, domain: Domain, text: str) -> _Shown:
    fields: dict[str, None] = {}
    keys: set[str] = set()
    for name in query.include:
        if name == "*":
            fields |= dict.fromkeys(domain.fields)
        elif name in domain.fields:
            fields[name] = None
        elif name.startswith("@"):
            keys.add(name[1:])
        elif name in {"property", "property.*", "property.key", "property.value"}:
            keys.add("*")
        else:
            raise syntax_error(text, name)
    return _Shown(tuple(fields or domain.usual), frozenset(keys) if keys else None)


def _problem(query: Query, shown: _Shown, caller: Caller) -> str | None:
    """Return why Artifactory refuses a query, in its words."""
    place, fields, sort = _PLACE[query.domain], set(shown.fields), set(query.sort)
    keys = [one for one in query.where.members if isinstance(one, Criterion) and one.field == "repo"]
    one_key = len(keys) == 1 and keys[0].operator == "$eq"
    checks = (
        (
            not caller.is_admin and not fields.issuperset(place),
            f"For permissions reasons AQL demands the following fields: {', '.join(place[:-1])} and {place[-1]}.",
        ),
        (
            len(sort) < len(query.sort),
            "Duplicate fields, all the fields in the sort section should be unique.",
        ),
        (
            not sort <= fields,
            "Only the result fields are allowed to use in the sort section.",
        ),
        (
            query.transitive and query.domain != "items",
            "Only the items domain can be used with the transitive property",
        ),
        (
            query.transitive and query.offset,
            "When including the transitive property, offset is not supported by AQL",
        ),
        (
            query.transitive and not one_key,
            "When including the transitive property, the repo property has to be specified with the $eq operator",
        ),
    )
    return next((message for is_wrong, message in checks if is_wrong), None)


def _statement(store: Store, query: Query, domain: Domain, shown: _Shown, text: str) -> Clause:
    """Return the whole SELECT: the fields, then repository and path, then the properties."""
    members = {one.key: one.physical for one in store.repositories() if one.physical != (one.key,)}
    where = Translator(text, store.clock(), members).where(domain, query.where)
    columns = [domain.fields[name].column for name in shown.fields]
    # Rows are unique by themselves, unless what makes them so is not among the fields.
    unique = query.distinct and shown.properties is None and not set(_PLACE[query.domain]) <= set(shown.fields)
    place = [] if unique else ["repo", "whole" if query.domain == "items" else "name"]
    listed, keys = _listed(query.domain, shown)
    # Without sort the order is not specified: by checksum, it is none that a client could depend on.
    order = [f"{domain.fields[name].column}{' DESC' if query.descending else ''}" for name in query.sort]
    select = ", ".join([*columns, *place, *listed])
    statement = _STATEMENT.format(
        items=_items(query.where),
        select=f"DISTINCT {select}" if unique else select,
        relation=domain.relation,
        where=where.text,
        order=", ".join(order) or domain.shuffle,
    )
    limit = -1 if query.limit is None else query.limit
    return Clause(statement, (json.dumps(members), *keys, *where.values, limit, query.offset))


def _listed(domain: str, shown: _Shown) -> tuple[list[str], tuple[str, ...]]:
    """Return the column with the properties, if they are asked for, and the values of its parameters."""
    if shown.properties is None:
        return [], ()
    keys = () if "*" in shown.properties else tuple(sorted(shown.properties))
    chosen = f" AND p.key IN ({', '.join('?' * len(keys))})" if keys else ""
    return [_LISTED[domain].format(chosen)], keys


def _items(where: Group) -> str:
    """Return what is searched: files, and directories if a condition is about the type, unless it is that of files."""
    # Alone, the table of files is searched by its indexes, each alternative of a condition by itself.
    is_of_files = where.operator == "$and" and Criterion("type", "$eq", "file") in where.members
    return f"{FILES} UNION ALL {DIRECTORIES}" if "type" in _fields(where) and not is_of_files else FILES


def _fields(group: Group) -> Iterator[str]:
    for member in group.members:
        if isinstance(member, Group):
            yield from _fields(member)
        else:
            yield member.field


def _results(
    rows: Sequence[tuple[Any, ...]], domain: Domain, shown: _Shown, caller: Caller
) -> Iterator[dict[str, Any]]:
    kinds = [domain.fields[name].kind for name in shown.fields]
    names = [f"{domain.prefix}{name}" for name in shown.fields]
    for row in rows:
        values = row[: len(names)]
        if not caller.is_admin and not caller.may_read_file(*row[len(names) : len(names) + 2]):
            continue
        document = {
            name: write_time(value) if kind is FieldKind.TIME else value
            for name, kind, value in zip(names, kinds, values, strict=True)
            if value is not None
        }
        listed = [] if shown.properties is None else _properties(json.loads(row[-1]))
        yield document | ({"properties": listed} if listed else {})


def _properties(listed: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, values in listed.items() for value in values]

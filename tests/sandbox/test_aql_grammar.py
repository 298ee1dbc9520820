"""The grammar of AQL, and its meaning: any text is answered or refused, and SQL finds what a plain evaluation finds."""

import json
import operator
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from buildpush.sandbox import aql
from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.aql_grammar import OPERATORS, Criterion, Group, Query, read_query
from buildpush.sandbox.content import Checksums
from buildpush.sandbox.entries import RepositoryEntry
from buildpush.sandbox.permissions import RIGHTS, Caller
from buildpush.sandbox.store import Store

ADMIN = Caller("admin", frozenset(RIGHTS))
COMPARISONS = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$match", "$nmatch")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


def groups(criteria, operators=("$and", "$or", "$msp")):
    return st.recursive(
        criteria, lambda inner: st.builds(Group, st.sampled_from(operators), _members(inner)), max_leaves=6
    )


def _members(inner):
    return st.lists(inner, min_size=1, max_size=3).map(tuple)


criteria = st.builds(
    Criterion, texts.filter(lambda name: not name.startswith("$")), st.sampled_from(OPERATORS), st.none() | texts
)
queries = st.builds(
    Query,
    st.sampled_from(["items", "builds"]),
    st.lists(groups(criteria), max_size=3).map(lambda members: Group("$and", tuple(members))),
    st.lists(texts, max_size=2).map(tuple),
    st.booleans(),
    st.just(value=False),
    st.just(()),
    st.integers(0, 10**17),
    st.none() | st.integers(0, 10**17),
    st.booleans(),
) | st.builds(Query, st.just("items"), st.just(Group("$and", ())), descending=st.booleans(), sort=_members(texts))


def written(query):
    """Return the text of a query."""
    calls = [f".include({', '.join(map(json.dumps, query.include))})"] if query.include else []
    calls += [".transitive()"] if query.transitive else []
    direction = "$desc" if query.descending else "$asc"
    calls += [f'.sort({{"{direction}" : {json.dumps(query.sort)}}})'] if query.sort else []
    calls += [f".offset({query.offset})"] if query.offset else []
    calls += [f".limit( {query.limit} )"] if query.limit is not None else []
    calls += [] if query.distinct else ["\n.distinct(false)"]
    return f"{query.domain}.find({_object(query.where.members)}){''.join(calls)}"


def _object(members):
    return "{%s}" % ",\n".join(map(_member, members))  # noqa: UP031 - braces


def _member(member):
    if isinstance(member, Group):
        objects = ", ".join(_object([one]) for one in member.members)
        return f'"{member.operator}": [{objects}]'
    return f'{json.dumps(member.field)} : {{"{member.operator}":{json.dumps(member.value)}}}'


def flat(member):
    """Return the same with no ``$and`` directly in an ``$and``, as it is read."""
    if isinstance(member, Criterion):
        return member
    members = [flat(one) for one in member.members]
    if member.operator != "$and":
        return Group(member.operator, tuple(members))
    inner = [one.members if isinstance(one, Group) and one.operator == "$and" else (one,) for one in members]
    return Group("$and", tuple(one for many in inner for one in many))


@given(queries)
def test_a_query_that_is_written_is_read_again_as_it_was(query):
    again = read_query(written(query))
    assert flat(again.where) == flat(query.where)
    rest = {name: getattr(query, name) for name in Query.__slots__ if name != "where"}
    assert {name: getattr(again, name) for name in rest} == rest


# Meaning


PLACES = ("a", "b.zip", "d/a", "d/b.zip", "d/e/a", "d/e/[x]", "_/a")
VALUES = ("x", "y", "xy", "*")
rows = st.dictionaries(
    st.tuples(st.sampled_from(["r1", "r2"]), st.sampled_from(PLACES)),
    st.tuples(
        st.integers(0, 3),
        st.dictionaries(st.sampled_from("kl"), st.lists(st.sampled_from(VALUES), min_size=1, max_size=2, unique=True)),
    ),
    max_size=8,
)
words = st.sampled_from(
    ["", "a", "x", "d", "r1", "r2", ".", "d/e", "*", "?", "*.zip", "d*", "d/*", "[x]", "?*", "both"]
)
fields = st.builds(Criterion, st.sampled_from(["repo", "path", "name"]), st.sampled_from(COMPARISONS), words)
numbers = st.builds(
    Criterion, st.sampled_from(["size", "depth"]), st.sampled_from(COMPARISONS[:6]), st.integers(0, 3).map(str)
)
properties = st.builds(
    Criterion,
    st.sampled_from(["@k", "@l", "@*", "property.key", "property.value"]),
    st.sampled_from(COMPARISONS),
    words,
)
single = st.builds(Group, st.just("$msp"), _members(properties))
conditions = groups(fields | numbers | properties | single, ("$and", "$or"))


def is_true(member, row):
    if isinstance(member, Group):
        return is_group_true(member, row)
    value = row.get(member.field)
    if isinstance(value, int):
        return COMPARE[member.operator](value, int(member.value))
    if member.field != "repo" and value is not None:
        return COMPARE[member.operator](value, member.value)
    if member.operator in OPPOSITES:
        return not is_true(Criterion(member.field, OPPOSITES[member.operator], member.value), row)
    if member.field == "repo":  # "both" is virtual, and has the two others as members
        return any(COMPARE[member.operator](key, member.value) for key in (value, "both"))
    return any(of_property(member, pair) for pair in row["properties"])


def is_group_true(group, row):
    if group.operator == "$msp":
        return any(all(of_property(one, pair) for one in group.members) for pair in row["properties"])
    return (any if group.operator == "$or" else all)(is_true(one, row) for one in group.members)


def of_property(criterion, pair):
    if criterion.field in {"property.key", "property.value"}:
        return COMPARE[criterion.operator](pair[criterion.field == "property.value"], criterion.value)
    key = criterion.field[1:]
    if key not in {"*", pair[0]}:
        return False
    if key != "*" and (criterion.operator, criterion.value) == ("$eq", "*"):
        return True
    return COMPARE[criterion.operator](pair[1], criterion.value)


def matches(text, pattern):
    regex = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(regex, text) is not None


COMPARE = {
    "$eq": operator.eq,
    "$ne": operator.ne,
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
    "$match": matches,
    "$nmatch": lambda text, pattern: not matches(text, pattern),
}
OPPOSITES = {"$ne": "$eq", "$nmatch": "$match"}


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("aql"), lambda: 1.0, lasting=False)
    for key, members in (("r1", ()), ("r2", ()), ("both", ("r1", "r2"))):
        store.add_repository(RepositoryEntry(key, "virtual" if members else "local", members=members))
    yield store
    store.close()


@given(files=rows, condition=conditions)
@example(files={("r1", "d/a"): (0, {})}, condition=Criterion("path", "$match", "d*"))
@example(files={("r1", "a"): (0, {})}, condition=Criterion("path", "$match", "?"))
def test_sql_finds_what_a_plain_evaluation_finds(empty, files, condition):
    empty.remove([file for key in ("r1", "r2") for file in empty.files(key)])
    expected = set()
    for (repo, path), (size, values) in files.items():
        empty.put(repo, path, Checksums("0", "0", "0", size), "", "ann")
        empty.set_properties(repo, path, values)
        directory, _, name = path.rpartition("/")
        pairs = [(key, value) for key, many in values.items() for value in many]
        row = {
            "repo": repo,
            "path": directory or ".",
            "name": name,
            "size": size,
            "depth": path.count("/") + 1,
            "properties": pairs,
        }
        if is_true(condition, row):
            expected.add((repo, row["path"], name))
    text = written(Query("items", Group("$and", (condition,))))
    found = aql.answer(empty, text, ADMIN)["results"]
    assert {(row["repo"], row["path"], row["name"]) for row in found} == expected


# Anything


WORDS = ["items", "builds", ".find(", ")", "{", "}", "[", "]", ":", ",", '"$or"', '"$msp"', '"$match"', '"$last"', " "]
WORDS += ['"$desc"', '"repo"', '"path"', '"type"', '"any"', '"@k"', '"created"', '"size"', '"7"', '"2026-01"', '"*"']
WORDS += ['"artifact.module.build.name"', '"module.artifact.item.@k"', "null", ".include(", ".sort(", ".limit(1)"]


@given(st.text() | st.lists(st.sampled_from(WORDS), max_size=30).map("".join))
@example("items.find(" + '{"$or":[' * 600)
@example("items.find(" + '{"$and":[{"$or":[' * 350)
@example('items.find({"size":"' + "9" * 5000 + '"})')
@example('items.find({"created":{"$last":"999999999y"}})')
@example('items.find({"created":"0001-01-01T00:00+23:59"})')
@example('builds.find({"number":{"$gt":null}})')
@example('items.find({"a\\u0000b":"\\u0000"})')
@example('items.find({"name":{"$match":"' + "*a" * 2900 + '"}})')
def test_any_text_is_answered_or_refused(empty, text):
    assert status(empty, text) in {200, 400}


def status(store, text):
    try:
        aql.answer(store, text, ADMIN)
    except RequestRefusedError as refused:
        return refused.status
    return 200


@given(conditions | criteria, st.sampled_from(["items", "builds"]), st.sampled_from(["", '.include("*","property")']))
def test_any_query_is_answered_or_refused(empty, condition, domain, calls):
    assert status(empty, written(Query(domain, Group("$and", (condition,)))) + calls) in {200, 400}

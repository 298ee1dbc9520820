"""Conditions of the Artifactory Query Language as SQL; every value of a query is a parameter."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from buildpush.foundation.records import dataclass
from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.aql_domains import DOMAINS, PROPERTY, Domain, FieldKind, QueryField
from buildpush.sandbox.aql_grammar import DIGITS, Criterion, Group, syntax_error

_COMPARISONS = {"$eq": "=", "$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<=", "$match": "GLOB"}
# "Not" is the opposite, so that a file without a property has another value than any.
_OPPOSITES = {"$ne": "$eq", "$nmatch": "$match"}
_RELATIVE = {"$before": "<", "$last": ">"}
_MEMBERS = "repo IN (SELECT member.repo FROM member WHERE {})"
_DIRECTORIES = "parent IN (SELECT path || '/' FROM directories WHERE {})"
_TEXTS = {FieldKind.TEXT, FieldKind.REPOSITORY, FieldKind.DIRECTORY}
# Truncated as datetime.isoformat does, which shows them: a time is equal to what was answered.
_MILLISECONDS = "CAST(round({} * 1000000) AS INTEGER) / 1000"
_PERIOD = re.compile(r"([0-9]{1,9})([a-z]+)\Z")
_DAY = 24 * 3600 * 1000
# A month and a year are the usual round numbers of days.
_UNITS = {
    **dict.fromkeys(("mills", "millis", "ms"), 1),
    **dict.fromkeys(("seconds", "s"), 1000),
    "minutes": 60 * 1000,
    **dict.fromkeys(("days", "d"), _DAY),
    **dict.fromkeys(("weeks", "w"), 7 * _DAY),
    **dict.fromkeys(("months", "mo"), 30 * _DAY),
    **dict.fromkeys(("years", "y"), 365 * _DAY),
}
_NUMBER = re.compile(rf"-?[0-9]{{1,{DIGITS}}}\Z")
_DATE = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2}(T[0-9].*)?)?)?\Z")
Leaf = Callable[[Domain, Criterion], "Clause"]


@dataclass(frozen=True, slots=True)
class Clause:
    """A condition in SQL, and the values of its parameters."""

    text: str
    values: tuple[object, ...] = ()

    def inside(self, frame: str) -> Clause:
        """Return the condition with *frame* around it."""
        return Clause(frame.format(self.text), self.values)


def joined(clauses: Iterable[Clause], operator: str) -> Clause:
    """Return what is true if all (``AND``) or one (``OR``) of the conditions is; nothing to meet is true."""
    clauses = list(clauses)
    text = f" {operator} ".join(f"({clause.text})" for clause in clauses)
    return Clause(text or "1", tuple(value for clause in clauses for value in clause.values))


@dataclass(frozen=True, slots=True)
class Translator:
    """Translates the conditions of one query.

    Attributes:
        query: the text, for messages.
        now: seconds since 1970.
        members: keys of the repositories that have the files of each virtual one.
    """

    query: str
    now: float
    members: Mapping[str, tuple[str, ...]]

    def where(self, domain: Domain, group: Group) -> Clause:
        """Return the condition for rows of *domain*.

        Raises:
            RequestRefusedError: 400, the domain has no such field, or its values no such comparison.
        """
        if group.operator == "$msp":
            return self._group(PROPERTY, group, self._property).inside(domain.properties or "0")
        return self._group(domain, group, self._condition)

    def _group(self, domain: Domain, group: Group, leaf: Leaf) -> Clause:
        clauses = []
        linked: dict[str, list[Criterion]] = {}
        for member in group.members:
            if isinstance(member, Group):
                inner = member.operator == "$msp" or leaf == self._condition
                clauses.append(self.where(domain, member) if inner else self._group(domain, member, leaf))
            elif group.operator != "$or" and _first(member) in domain.links:
                linked.setdefault(_first(member), []).append(_rest(member))
            else:
                clauses.append(leaf(domain, member))
        clauses += [self._link(domain, link, conditions) for link, conditions in linked.items()]
        return joined(clauses, "OR" if group.operator == "$or" else "AND")

    def _link(self, domain: Domain, link: str, conditions: Iterable[Criterion]) -> Clause:
        """Return the condition that one linked row meets all *conditions*: name and number of the same build."""
        target = domain.links[link]
        return self.where(DOMAINS[target.domain], Group("$and", tuple(conditions))).inside(target.condition)

    def _condition(self, domain: Domain, condition: Criterion) -> Clause:
        first = _first(condition)
        if first in domain.links:
            return self._link(domain, first, [_rest(condition)])
        if not domain.properties or not (first == "property" or first.startswith("@")):
            return self._comparison(domain, condition)
        if condition.operator in _OPPOSITES:
            return self._condition(domain, _opposite(condition)).inside("NOT ifnull({}, 0)")
        return self._property(PROPERTY, condition).inside(domain.properties)

    def _property(self, _domain: Domain, condition: Criterion) -> Clause:
        """Return the condition for one value of a property."""
        name = condition.field.removeprefix("property.")
        if not name.startswith("@"):
            return self._comparison(PROPERTY, Criterion(name, condition.operator, condition.value))
        key = name[1:]
        clauses = [] if key == "*" else [Clause("key = ?", (key,))]
        if key == "*" or (condition.operator, condition.value) != ("$eq", "*"):
            clauses.append(self._comparison(PROPERTY, Criterion("value", condition.operator, condition.value)))
        return joined(clauses, "AND")

    def _comparison(self, domain: Domain, condition: Criterion) -> Clause:
        field = domain.fields.get(condition.field)
        if field is None:
            raise syntax_error(self.query, condition.field)
        if condition.operator in _OPPOSITES:
            return self._comparison(domain, _opposite(condition)).inside("NOT ifnull({}, 0)")
        if condition.value is None and condition.operator == "$eq":
            return Clause(f"{field.column} IS NULL")
        if condition.value is None:
            raise RequestRefusedError(
                400, "BAD_REQUEST", f"'{condition.operator}' of '{condition.field}' needs a value"
            )
        return self._test(field, condition.operator, condition.value)

    def _test(self, field: QueryField, operator: str, value: str) -> Clause:
        if operator == "$match" and field.kind in _TEXTS and not _is_wild(value):
            operator = "$eq"
        if operator in _RELATIVE:
            if field.kind is not FieldKind.TIME:
                raise RequestRefusedError(400, "BAD_REQUEST", f"'{operator}' is only for times")
            return Clause(f"{field.column} {_RELATIVE[operator]} ?", (self.now - _period(value) / 1000,))
        if field.kind is FieldKind.REPOSITORY:
            return self._repository(operator, value)
        if field.kind is FieldKind.TYPE and value == "any":
            return Clause("1")
        if field.kind is FieldKind.DIRECTORY:
            return _directory(operator, value)
        return _compared(field.column, field.kind, operator, value)

    def _repository(self, operator: str, value: str) -> Clause:
        """Return the condition for a key; one of a virtual repository is for its members."""
        keys = (value, *self.members.get(value, ()))
        if operator == "$eq":
            return Clause(f"repo IN ({', '.join('?' * len(keys))})", keys)
        test = _compared("repo", FieldKind.TEXT, operator, value)
        return joined([test, _compared("key", FieldKind.TEXT, operator, value).inside(_MEMBERS)], "OR")


def matching(column: str, pattern: str) -> Clause:
    """Return the condition for a pattern, in which ``*`` and ``?`` are wild."""
    return _compared(column, FieldKind.TEXT, "$match" if _is_wild(pattern) else "$eq", pattern)


def _is_wild(pattern: str) -> bool:
    """Return whether *pattern* stands for more than itself; if not, there may be an index for it."""
    return bool(set(pattern) & set("*?"))


def _directory(operator: str, value: str) -> Clause:
    """Return the condition for the directory of a file; there are fewer directories than files, and an index."""
    if operator == "$eq":
        return Clause("parent = ?", ("" if value == "." else f"{value}/",))
    if operator != "$match":
        return _compared("path", FieldKind.TEXT, operator, value)
    if not value.strip("*"):
        return Clause("1")
    test = _compared("path", FieldKind.TEXT, operator, value).inside(_DIRECTORIES)
    is_of_root = value.strip("*") in {".", "?"}
    return joined([test, Clause("parent = ''")], "OR") if is_of_root else test


def _compared(column: str, kind: FieldKind, operator: str, value: str) -> Clause:
    if kind is FieldKind.TIME:
        column = _MILLISECONDS.format(column)
    return Clause(f"{column} {_COMPARISONS[operator]} ?", (_operand(kind, operator, value),))


def _first(condition: Criterion) -> str:
    return condition.field.partition(".")[0]


def _rest(condition: Criterion) -> Criterion:
    return Criterion(condition.field.partition(".")[2], condition.operator, condition.value)


def _opposite(condition: Criterion) -> Criterion:
    return Criterion(condition.field, _OPPOSITES[condition.operator], condition.value)


def _period(text: str) -> int:
    match = _PERIOD.match(text)
    if not match or match[2] not in _UNITS:
        raise RequestRefusedError(400, "BAD_REQUEST", f"Invalid relative date format for: {text}")
    return int(match[1]) * _UNITS[match[2]]


def _operand(kind: FieldKind, operator: str, value: str) -> object:
    """Return the value of a parameter."""
    if kind in {FieldKind.NUMBER, FieldKind.TIME} and operator == "$match":
        raise RequestRefusedError(400, "BAD_REQUEST", "'$match' and '$nmatch' are only for texts")
    if kind is FieldKind.NUMBER:
        if not _NUMBER.match(value):
            raise RequestRefusedError(400, "BAD_REQUEST", f"'{value}' is not a number")
        return int(value)
    if kind is FieldKind.TIME:
        return _milliseconds(value)
    return value.replace("[", "[[]") if operator == "$match" else value


def _milliseconds(text: str) -> int:
    """Return a date, which may end after the year, month or day, or a time, in milliseconds since 1970."""
    match = _DATE.match(text)
    try:
        if not match:
            raise ValueError  # noqa: TRY301 - reported below, like every invalid time
        moment = datetime.fromisoformat(text if match[2] else (f"{text}-01" if match[1] else f"{text}-01-01"))
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise RequestRefusedError(
            400, "BAD_REQUEST", f"'{text}' is not a time such as 2026-10-01T12:00:00.000Z"
        ) from error

"""The grammar of the Artifactory Query Language: a text becomes a frozen :class:`Query`, or is refused.

::

    query  = ("items" | "builds") ".find(" [ object {"," object} ] ")" {"." call}
    call   = "include(" string {"," string} ")" | "transitive()" | "sort({" direction ":[" string {"," string} "]})"
           | "offset(" number ")" | "limit(" number ")" | "distinct(" ("true" | "false") ")"
    object = "{" [ member {"," member} ] "}"
    member = ("$and" | "$or" | "$msp") ":[" object {"," object} "]" | field ":" ( scalar | "{" operator ":" scalar "}" )

Blanks and line breaks may be anywhere; calls come once, in this order.
A key may occur several times in an object, so an object is no JSON object.
"""

from __future__ import annotations

import json
import re

from buildpush.foundation.records import dataclass
from buildpush.sandbox.answers import RequestRefusedError

# The length is Artifactory's limit on JFrog's own servers; the depth is ours, no client comes near it.
LONGEST = 6000
DEEPEST = 40
DOMAINS = ("items", "builds")
OPERATORS = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$match", "$nmatch", "$before", "$last")
GROUPS = ("$and", "$or", "$msp")
CALLS = ("include", "transitive", "sort", "offset", "limit", "distinct")
DIGITS = 18

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9]+(?:\.[0-9]+)?|[A-Za-z]+|[{}\[\]():,.]', re.DOTALL)
_BLANK = re.compile(r"\s*")


@dataclass(frozen=True, slots=True)
class Criterion:
    """A field is compared with a value; ``None`` is null."""

    field: str
    operator: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Group:
    """Conditions of which all (``$and``), one (``$or``), or all in a single property (``$msp``) must be true."""

    operator: str
    members: tuple[Criterion | Group, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A query: what must be true of a row, and which fields of which rows are answered."""

    domain: str
    where: Group
    include: tuple[str, ...] = ()
    transitive: bool = False
    descending: bool = False
    sort: tuple[str, ...] = ()
    offset: int = 0
    limit: int | None = None
    distinct: bool = True


def read_query(text: str) -> Query:
    """Return the query in *text*.

    Raises:
        RequestRefusedError: 400, it is too long, or not a query.
    """
    if len(text) > LONGEST:
        message = f"AQL query is too long; please reduce the query length to less than {LONGEST} chars"
        raise RequestRefusedError(400, "BAD_REQUEST", message)
    reader = _Reader(text)
    query = reader.query()
    reader.end()
    return query


def syntax_error(text: str, rest: str) -> RequestRefusedError:
    """Return the answer to a text that is not a query from *rest* on."""
    message = f"Failed to parse query: {text}, it looks like there is syntax error near the following sub-query: {rest}"
    return RequestRefusedError(400, "BAD_REQUEST", message)


class _Reader:
    """Reads the tokens of a query from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._depth = 0
        self._token = ""
        self._step()

    def _step(self) -> None:
        self._position = _BLANK.match(self._text, self._position + len(self._token)).end()  # type: ignore[union-attr]
        match = _TOKEN.match(self._text, self._position)
        if match is None and self._position < len(self._text):
            raise self._error()
        self._token = match[0] if match else ""

    def _error(self) -> RequestRefusedError:
        return syntax_error(self._text, self._text[self._position :])

    def _take(self, *tokens: str) -> str:
        """Return the next token, which must be one of *tokens*, and go on."""
        if self._token not in tokens:
            raise self._error()
        taken = self._token
        self._step()
        return taken

    def _skip(self, token: str) -> bool:
        """Go on if *token* is next; return whether it was."""
        if self._token != token:
            return False
        self._step()
        return True

    def end(self) -> None:
        """Refuse anything that follows."""
        if self._token:
            raise self._error()

    def query(self) -> Query:
        domain = self._take(*DOMAINS)
        self._take(".")
        self._take("find")
        where = self._find()
        calls: dict[str, object] = {}
        following = list(CALLS)
        while self._skip("."):
            call = self._take(*following)
            del following[: following.index(call) + 1]
            calls |= getattr(self, f"_{call}")()
        return Query(domain, where, **calls)  # type: ignore[arg-type]

    def _find(self) -> Group:
        self._take("(")
        members = self._objects("$and") if self._token.startswith("{") else []
        self._take(")")
        return Group("$and", tuple(members))

    def _include(self) -> dict[str, object]:
        self._take("(")
        fields = self._strings()
        self._take(")")
        return {"include": fields}

    def _transitive(self) -> dict[str, object]:
        self._take("(")
        self._take(")")
        return {"transitive": True}

    def _sort(self) -> dict[str, object]:
        self._take("(")
        self._take("{")
        direction = self._take('"$asc"', '"$desc"')
        self._take(":")
        self._take("[")
        fields = self._strings()
        for token in "]})":
            self._take(token)
        return {"sort": fields, "descending": direction == '"$desc"'}

    def _offset(self) -> dict[str, object]:
        return {"offset": self._number()}

    def _limit(self) -> dict[str, object]:
        return {"limit": self._number()}

    def _distinct(self) -> dict[str, object]:
        self._take("(")
        distinct = self._take("true", "false") == "true"
        self._take(")")
        return {"distinct": distinct}

    def _number(self) -> int:
        self._take("(")
        if not self._token.isdigit() or len(self._token) > DIGITS:
            raise self._error()
        number = int(self._take(self._token))
        self._take(")")
        return number

    def _strings(self) -> tuple[str, ...]:
        strings = [self._string()]
        while self._skip(","):
            strings.append(self._string())
        return tuple(strings)

    def _string(self) -> str:
        if not self._token.startswith('"'):
            raise self._error()
        try:
            text: str = json.loads(self._token, strict=False)
            text.encode()  # a lone surrogate cannot be compared with anything that is stored
        except ValueError as error:
            raise self._error() from error
        self._step()
        return text

    def _objects(self, operator: str) -> list[Criterion | Group]:
        """Return the members of all objects in a list: what joins the objects joins their members, too."""
        members = self._object()
        while self._skip(","):
            members += self._object()
        return members if operator != "$and" else _flat(members)

    def _object(self) -> list[Criterion | Group]:
        self._depth += 1
        self._take("{")
        members: list[Criterion | Group] = []
        while not self._skip("}"):
            if members:
                self._take(",")
            members.append(self._member())
        self._depth -= 1
        return members

    def _member(self) -> Criterion | Group:
        if self._depth > DEEPEST:
            raise self._error()
        key = self._string()
        self._take(":")
        if key in GROUPS:
            self._take("[")
            members = self._objects(key)
            self._take("]")
            return Group(key, tuple(members))
        if not self._skip("{"):
            return Criterion(key, "$eq", self._scalar())
        operator = self._take(*(f'"{operator}"' for operator in OPERATORS)).strip('"')
        self._take(":")
        condition = Criterion(key, operator, self._scalar())
        self._take("}")
        return condition

    def _scalar(self) -> str | None:
        """Return a value as text: clients write numbers with quotes and without."""
        if self._token.startswith('"'):
            return self._string()
        if self._skip("null"):
            return None
        if self._token in {"true", "false"} or self._token[:1] in set("-0123456789"):
            return self._take(self._token)
        raise self._error()


def _flat(members: list[Criterion | Group]) -> list[Criterion | Group]:
    """Return the members with those of inner ``$and`` groups in their place."""
    flat: list[Criterion | Group] = []
    for member in members:
        if isinstance(member, Group) and member.operator == "$and":
            flat += member.members
        else:
            flat.append(member)
    return flat

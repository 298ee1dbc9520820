"""What expressions may call: on a value, the methods of Java's ``String`` and collections; and functions.

Lengths and positions count characters (code points); Java counts a character beyond U+FFFF as two.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn

from buildpush.expressions import patterns
from buildpush.expressions.tree import LONGEST, AbsentError, Value, fail
from buildpush.foundation.regex import regex
from buildpush.foundation.secrets import Secret
from buildpush.foundation.spelling import did_you_mean

Arguments = Sequence[Value]
Method = Callable[[Any, Arguments], Value]

_JSON_STEP: Final = regex(r"""\.?([^.\[\]"']+)|\[(-?\d+)\]|\.?\[?"([^"]*)"\]?|\.?\[?'([^']*)'\]?|\*""")
# What Java's trim removes: everything up to U+0020, the blank, including control characters.
_TRIM_CHARACTERS: Final = "".join(map(chr, range(ord(" ") + 1)))


def call(value: Value, method: str, arguments: Arguments) -> Value:
    """Call *method* of *value* and return the result.

    Raises:
        ExpressionError: no such method, the wrong arguments, a position outside the text, or too long a result.
    """
    if isinstance(value, Secret) or any(isinstance(argument, Secret) for argument in arguments):
        fail("a secret cannot be changed or taken apart", "use it whole, or with text before and after it")
    table = _table(value)
    if method not in table:
        near = did_you_mean(f"{method}()", [f"{known}()" for known in table], most=1)
        hint = near or f"its methods are {', '.join(table)}"
        is_number = isinstance(value, int | float)
        fail(f"{kind(value)} has no method {method!r}", "make it a text first, with .toString()" if is_number else hint)
    least, most, work = table[method]
    if not least <= len(arguments) <= most:
        expected = str(least) if least == most else f"{least} to {most}"
        fail(f"{method}() needs {expected} arguments, but has {len(arguments)}")
    return within_limit(work(value, arguments))


def kind(value: Value) -> str:
    """Return what *value* is, in words."""
    if isinstance(value, bool):
        return "true or false"
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (Secret, "a secret"),
        (str, "a text"),
        ((int, float), "a number"),
        (Mapping, "a map"),
        (Sequence, "a list"),
    )
    return next((words for types, words in kinds if isinstance(value, types)), "nothing (null)")


def as_text(value: Value) -> str:
    """Return *value* as text, always in the same form.

    Raises:
        ExpressionError: *value* is null, a secret, or too long.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if value is None:
        fail("there is no value here (null)", 'write a fallback: <+x ?? "none">')
    return json_text(value)


def json_text(value: Value) -> str:
    """Return *value* as compact JSON, with its keys in their order."""
    try:
        check_sum(_approximate_length(value))
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_refuse)
    except RecursionError:
        fail("this value is nested too deeply to be written as text")
    except ValueError as error:
        fail(f"this value cannot be written as text: {error}")
    return str(within_limit(text))


def within_limit(value: Value) -> Value:
    """Return *value* if it has at most 256 KiB as text.

    Raises:
        ExpressionError: it is longer.
    """
    if isinstance(value, str) and len(value) > LONGEST // 4 and len(value.encode(errors="replace")) > LONGEST:
        fail(f"a value has at most {LONGEST} bytes, but this one is longer")
    return value


def check_sum(*lengths: int) -> None:
    """Refuse to join texts that would be too long together.

    Raises:
        ExpressionError: the sum of their *lengths* is too large.
    """
    if sum(lengths) > LONGEST:
        fail(f"a value has at most {LONGEST} bytes, but this one would be longer")


def _approximate_length(value: Value) -> int:
    """Return about how long *value* is as text."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(len(key) + _approximate_length(entry) for key, entry in value.items())
    return sum(map(_approximate_length, value)) if isinstance(value, Sequence) else 1


# ---- text


def _substring(text: str, arguments: Arguments) -> Value:
    begin = _position(arguments, 0, 0)
    end = _position(arguments, 1, len(text))
    if not 0 <= begin <= end <= len(text):
        call_text = f"substring({begin},{end})" if len(arguments) > 1 else f"substring({begin})"
        fail(
            f"{call_text} is outside a text of {len(text)} characters",
            "positions count from 0, and the end is not included",
        )
    return text[begin:end]


def _char_at(text: str, arguments: Arguments) -> Value:
    at = _position(arguments, 0, 0)
    if not 0 <= at < len(text):
        fail(f"charAt({at}) is outside a text of {len(text)} characters")
    return text[at]


def _replace(text: str, arguments: Arguments) -> Value:
    old, new = _texts(arguments)
    if len(text) + text.count(old) * max(0, len(new) - len(old)) > LONGEST:
        fail(f"a value has at most {LONGEST} bytes, but the replaced text would be longer")
    return text.replace(old, new)


def _replace_all(which: patterns.Match) -> Method:
    def replace_matches(text: str, arguments: Arguments) -> Value:
        pattern, replacement = _texts(arguments)
        return patterns.replace(text, patterns.compile_pattern(pattern), replacement, which, LONGEST)

    return replace_matches


def _split(text: str, arguments: Arguments) -> Value:
    pattern = patterns.compile_pattern(_text(arguments, 0))
    return patterns.split(text, pattern, _position(arguments, 1, 0))


def _repeat(text: str, arguments: Arguments) -> Value:
    times = _position(arguments, 0, 0)
    if times < 0 or len(text) * times > LONGEST:
        fail(f"repeat({times}) of {len(text)} characters is negative or too long")
    return text * times


def _index_of(text: str, arguments: Arguments) -> Value:
    return text.find(_text(arguments, 0), max(0, _position(arguments, 1, 0)))


def _last_index_of(text: str, arguments: Arguments) -> Value:
    word = _text(arguments, 0)
    begin = _position(arguments, 1, len(text))
    return text.rfind(word, 0, begin + len(word)) if begin >= 0 else -1


def _compare(text: str, other: str) -> int:
    """Return the difference of the first characters that differ, or else of the lengths, as Java's ``compareTo``."""
    pairs = zip(text, other, strict=False)
    return next((ord(one) - ord(two) for one, two in pairs if one != two), len(text) - len(other))


def _starts_with(text: str, arguments: Arguments) -> Value:
    begin = _position(arguments, 1, 0)
    return 0 <= begin <= len(text) and text.startswith(_text(arguments, 0), begin)


def _matches(text: str, arguments: Arguments) -> Value:
    return patterns.compile_pattern(_text(arguments, 0)).matches(text)


def _equals(value: Value, arguments: Arguments) -> Value:
    """Return whether both are equal; a number is never equal to a text, as in Java."""
    other = arguments[0]
    return isinstance(value, bool) == isinstance(other, bool) and value == other


_ANY: Final[Mapping[str, tuple[int, int, Method]]] = {
    "toString": (0, 0, lambda value, _: as_text(value)),
    "equals": (1, 1, _equals),
}
_TEXT: Final[Mapping[str, tuple[int, int, Method]]] = {
    **_ANY,
    "contains": (1, 1, lambda text, args: _text(args, 0) in text),
    "startsWith": (1, 2, _starts_with),
    "endsWith": (1, 1, lambda text, args: text.endswith(_text(args, 0))),
    "equalsIgnoreCase": (1, 1, lambda text, args: text.casefold() == _text(args, 0).casefold()),
    "indexOf": (1, 2, _index_of),
    "lastIndexOf": (1, 2, _last_index_of),
    "compareTo": (1, 1, lambda text, args: _compare(text, _text(args, 0))),
    "compareToIgnoreCase": (1, 1, lambda text, args: _compare(text.lower(), _text(args, 0).lower())),
    "substring": (1, 2, _substring),
    "subSequence": (2, 2, _substring),
    "split": (1, 2, _split),
    "replace": (2, 2, _replace),
    "replaceAll": (2, 2, _replace_all("all")),
    "replaceFirst": (2, 2, _replace_all("first")),
    "matches": (1, 1, _matches),
    "toLowerCase": (0, 0, lambda text, _: text.lower()),
    "toUpperCase": (0, 0, lambda text, _: text.upper()),
    "trim": (0, 0, lambda text, _: text.strip(_TRIM_CHARACTERS)),
    "strip": (0, 0, lambda text, _: text.strip()),
    "stripLeading": (0, 0, lambda text, _: text.lstrip()),
    "stripTrailing": (0, 0, lambda text, _: text.rstrip()),
    "length": (0, 0, lambda text, _: len(text)),
    "size": (0, 0, lambda text, _: len(text)),
    "isEmpty": (0, 0, lambda text, _: not text),
    "isBlank": (0, 0, lambda text, _: not text.strip()),
    "charAt": (1, 1, _char_at),
    "concat": (1, 1, lambda text, args: text + _text(args, 0)),
    "repeat": (1, 1, _repeat),
}


# ---- collections


def _item(items: Sequence[Value], arguments: Arguments) -> Value:
    return item(items, arguments[0])


def _join(items: Sequence[Value], arguments: Arguments) -> Value:
    separator = _text(arguments, 0)
    texts = [as_text(entry) for entry in items]
    check_sum(*map(len, texts), len(separator) * len(texts))
    return separator.join(texts)


_LIST: Final[Mapping[str, tuple[int, int, Method]]] = {
    **_ANY,
    "size": (0, 0, lambda items, _: len(items)),
    "isEmpty": (0, 0, lambda items, _: not items),
    "contains": (1, 1, lambda items, args: args[0] in items),
    "indexOf": (1, 1, lambda items, args: items.index(args[0]) if args[0] in items else -1),
    "get": (1, 1, _item),
    "join": (1, 1, _join),
}
_MAP: Final[Mapping[str, tuple[int, int, Method]]] = {
    **_ANY,
    "size": (0, 0, lambda entries, _: len(entries)),
    "isEmpty": (0, 0, lambda entries, _: not entries),
    "containsKey": (1, 1, lambda entries, args: isinstance(args[0], str) and args[0] in entries),
    "containsValue": (1, 1, lambda entries, args: args[0] in entries.values()),
    "getOrDefault": (2, 2, lambda entries, args: entries.get(str(args[0]), args[1])),
    "keySet": (0, 0, lambda entries, _: list(entries)),
    "values": (0, 0, lambda entries, _: list(entries.values())),
    "get": (1, 1, lambda entries, args: item(entries, args[0])),
}


def item(value: Value, key: Value) -> Value:
    """Return the entry of a list or map, or one character of a text.

    Raises:
        ExpressionError: there is no such entry, or *value* has no entries.
    """
    if isinstance(value, Secret) or isinstance(key, Secret):
        fail("a secret cannot be changed or taken apart")
    if isinstance(value, Mapping):
        return _entry(value, as_text(key))
    if not isinstance(value, Sequence):
        fail(f"{kind(value)} has no parts, so {as_text(key)!r} cannot be taken from it")
    at = number(key)
    if at is None or int(at) != at or not -len(value) <= at < len(value):
        size = f"{len(value)} {'characters' if isinstance(value, str) else 'entries'}"
        fail(f"{as_text(key)!r} is not a position in {kind(value)} of {size}", "positions count from 0")
    return value[int(at)]


def _entry(value: Mapping[str, Value], key: str) -> Value:
    if key not in value:
        fail(f"the map has no key {key!r}", did_you_mean(key, value))
    return value[key]


def number(value: Value) -> int | float | None:
    """Return *value* as a number, which may also be written as text; ``None`` if it is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if not isinstance(value, str):
        return value
    if not re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", value):
        return None
    return float(value) if "." in value else int(value)


# ---- functions

FUNCTIONS: Final[Mapping[str, Mapping[str, int]]] = {
    "json": {"select": 2, "list": 2, "object": 1, "format": 1},
    "regex": {"extract": 2, "replace": 3, "match": 2},
}


def functor(owner: str, method: str, arguments: Arguments) -> Value:
    """Return the result of a function such as ``json.select(path, text)`` or ``regex.extract(pattern, text)``.

    Raises:
        AbsentError: no part of the text matches the pattern.
        ExpressionError: unknown function, text that is not JSON, or a path that leads nowhere.
    """
    functions_of_owner = FUNCTIONS.get(owner, {})
    if method not in functions_of_owner:
        names = [f"{one}.{name}" for one, functions in FUNCTIONS.items() for name in functions]
        fail(f"{owner}.{method}() is not available", f"there are {', '.join(names[:-1])} and {names[-1]}")
    if len(arguments) != functions_of_owner[method]:
        fail(f"{owner}.{method}() needs {functions_of_owner[method]} arguments, but has {len(arguments)}")
    if any(isinstance(argument, Secret) for argument in arguments):
        fail("a secret cannot be changed or taken apart", "use it whole, or with text before and after it")
    return _regex(method, arguments) if owner == "regex" else _of_json(method, arguments)


def _regex(method: str, arguments: Arguments) -> Value:
    pattern, text = patterns.compile_pattern(_text(arguments, 0)), _text(arguments, len(arguments) - 1)
    if method == "replace":
        return patterns.replace(text, pattern, _text(arguments, 1), "all", LONGEST)
    matches = [match[0] for match in pattern.find_all(text)]
    if method == "match":
        return bool(matches)
    if not any(matches):
        message = f"no part of the text matches {pattern.text!r}"
        raise AbsentError(message, fallback="", hint='write a fallback: <+regex.extract(…) ?? "none">')
    return next(filter(None, matches))  # as in Harness: empty matches are skipped


def _of_json(method: str, arguments: Arguments) -> Value:
    if method == "format":
        return json_text(arguments[0])
    value = _json(arguments[-1])
    if method == "object":
        return value
    for key in _json_path(_text(arguments, 0)):
        value = item(value, key)
    if method == "list" and not isinstance(value, list):
        fail(f"json.list(): the path leads to {kind(value)}, not to a list")
    return within_limit(value)


def _json(value: Value) -> Value:
    if isinstance(value, Mapping) or (isinstance(value, Sequence) and not isinstance(value, str)):
        return value
    try:
        parsed: Value = json.loads(_text([value], 0), parse_constant=_refuse)  # not strict: as in Harness
    except (ValueError, RecursionError) as error:
        fail(f"the text is not JSON: {error}")
    return parsed


def _json_path(path: str) -> list[str | int]:
    """Return the keys of a path such as ``a.b[0]``, ``.a`` or ``$.a["b c"]``."""
    rest = path.strip().removeprefix("$")
    keys: list[str | int] = []
    while rest and rest != ".":
        match = _JSON_STEP.match(rest)
        if not match or match[0] == "*":
            fail(f"{path!r} is not a path", 'write a.b[0] or a["b c"]')
        keys.append(int(match[2]) if match[2] else match[1] or match[3] or match[4] or "")
        rest = rest[match.end() :]
    return keys


METHODS: Final[Mapping[str, tuple[str, ...]]] = {
    "a text": tuple(_TEXT),
    "a list": tuple(_LIST),
    "a map": tuple(_MAP),
    "a number, or true and false": tuple(_ANY),
    **{f"`{owner}`": tuple(f"{owner}.{name}" for name in functions) for owner, functions in FUNCTIONS.items()},
    "`secrets`": ("secrets.getValue",),
}


# ---- arguments


def _table(value: Value) -> Mapping[str, tuple[int, int, Method]]:
    if value is None:
        fail("there is no value here (null), so nothing can be called on it", "write ?. instead of the dot")
    if isinstance(value, str):
        return _TEXT
    if isinstance(value, Mapping):
        return _MAP
    return _LIST if isinstance(value, Sequence) else _ANY


def _text(arguments: Arguments, at: int) -> str:
    value = arguments[at]
    if not isinstance(value, str):
        fail(f"argument {at + 1} must be a text, not {kind(value)}", "put it in quotes")
    return value


def _texts(arguments: Arguments) -> tuple[str, str]:
    return _text(arguments, 0), _text(arguments, 1)


def _position(arguments: Arguments, at: int, default: int) -> int:
    if at >= len(arguments):
        return default
    value = arguments[at]
    if isinstance(value, bool) or not isinstance(value, int):
        fail(f"argument {at + 1} must be a whole number, not {kind(value)}")
    return value


def _refuse(value: object) -> NoReturn:
    message = "it contains a secret" if isinstance(value, Secret) else f"{value!r} is not a JSON number"
    raise ValueError(message)

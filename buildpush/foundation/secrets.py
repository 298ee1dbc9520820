"""Hides secrets; no other module does.

A :class:`Secret` shows stars in every form of text, and making one registers its value, so that
:func:`redact` finds it in any text that is about to leave the program.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import field
from functools import cache
from typing import Any, Final, NoReturn
from urllib.parse import unquote

from buildpush.foundation.controls import INVISIBLE, SEQUENCE_TAIL, without_controls
from buildpush.foundation.forms import passwords_in, without_user_info
from buildpush.foundation.interrupts import Lock
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex

MASK = "********"
# Shorter values would hide ordinary words; they are masked in their Secret only.
SHORTEST = 4
# For one line of a secret of several lines, such as a key or a file of logins: programs print line by line.
_SHORTEST_LINE = 8

# Notations for text inside other text: percent-encoding, HTML entities, escapes of JSON, Go, Python, shells and git,
# and a quote within a shell's quotes. Control characters and line ends stand for nothing.
_KINDS: Final = {
    "%": r"(?<=%)(?P<percent>[0-9A-Fa-f]{2}(?:%[0-9A-Fa-f]{2})*)",
    "&": r"(?<=&)(?P<entity>\#[0-9]{1,7};|\#[xX][0-9A-Fa-f]{1,6};|[A-Za-z][A-Za-z0-9]{1,31};)",
    "\\": r"(?<=\\)(?:(?P<utf16>u[0-9A-Fa-f]{4}(?:\\u[0-9A-Fa-f]{4})*)"
    r"|(?P<utf32>U[0-9A-Fa-f]{8})"
    r"|(?P<bytes>(?:x[0-9A-Fa-f]{2}|[0-7]{3})(?:\\(?:x[0-9A-Fa-f]{2}|[0-7]{3}))*)"
    r"|(?P<letter>.))",
    "'": r"""(?<=')(?P<quote>"'"'|\\'')""",
}
_SEQUENCE_START = regex("[\x1b\x90\x98\x9b\x9d-\x9f]")


# How much of a control sequence is removed: all of it, its beginning, its first character. A control in front of a
# secret must not swallow letters of it.
_SEQUENCES: Final = (SEQUENCE_TAIL, r"(?<=\x1b)[\[\]PX^_(]", "")
# The pattern that removes controls, then those that decode the rest, step by step; the last step is repeated.
_Decoding = tuple[re.Pattern[str], ...]


@cache
def _decoding(kinds: str, sequence: str = SEQUENCE_TAIL) -> _Decoding:
    """Return the patterns that decode a text in the notations *kinds*."""
    tail = f"{sequence}|" if sequence else ""
    controls = rf"[{INVISIBLE}\n\t](?:{tail}(?<=[{INVISIBLE}\n\t]))"
    written = [f"[{re.escape(kinds)}](?:{'|'.join(_KINDS[kind] for kind in kinds)})"] if kinds else []
    return re.compile(controls), re.compile("|".join([*written, controls]))


def _decodings(text: str) -> Iterator[_Decoding]:
    """Yield the decodings that may change *text*; none for most lines of a log.

    Each notation by itself, since the end of a secret may look like the beginning of another notation; then all of
    them, nested. A backslash may also precede another notation, as in JSON on a page: then the other one is decoded
    first.
    """
    kinds = "".join(kind for kind in _KINDS if kind in text)
    has_controls = not (text.isascii() and text.isprintable())
    for sequence in _SEQUENCES if has_controls and _SEQUENCE_START.search(text) else _SEQUENCES[:1]:
        if has_controls:
            yield _decoding("", sequence)
        yield from (_decoding(kind, sequence) for kind in kinds)
        if len(kinds) > 1:
            mixed = _decoding(kinds, sequence)
            yield mixed
            if "\\" in kinds:
                yield from ((*_decoding(kind, sequence), mixed[-1]) for kind in kinds if kind != "\\")


_LETTERS: Final = {"n": "", "r": "", "t": "", "a": "", "b": "", "f": "", "v": "", "0": "", "e": "\x1b", "E": "\x1b"}
_DEEPEST = 4  # a text in a text in a text: JSON in a line of JSON on a page

_lock = Lock()


@dataclass(frozen=True, slots=True, eq=False)
class _KnownSecrets:
    """The secrets to hide: *forms* as they are written, *plain* as a reader would see them.

    A run of thousands of steps has as many tokens: to look for each of them in each line, or to copy all of them for
    each new one, would take ever longer. *beginnings* has all of both by their first characters. They are only added
    to; threads that read them need no lock as long as they iterate over a copy.
    """

    forms: set[str] = field(default_factory=set)
    plain: set[str] = field(default_factory=set)
    beginnings: dict[str, list[str]] = field(default_factory=dict)

    def add(self, forms: set[str]) -> None:
        new_forms = {form for form in forms if len(form) >= SHORTEST and form.strip("*")} - self.forms
        plain = {bare for form in new_forms for bare in _plain_forms(form) if len(bare) >= SHORTEST and bare.strip("*")}
        for form in (new_forms | plain) - self.forms - self.plain:
            self.beginnings.setdefault(form[:SHORTEST], []).append(form)
        self.plain.update(plain)
        self.forms.update(new_forms)

    def found(self, forms: set[str], text: str) -> list[str]:
        """Return those of *forms*, all or the plain ones, that *text* contains."""
        if len(forms) < _MANY_FORMS * len(text):
            return [form for form in tuple(forms) if form in text]
        begun = {text[at : at + SHORTEST] for at in range(len(text) - SHORTEST + 1)}
        begun &= self.beginnings.keys()
        return [form for one in begun for form in self.beginnings[one] if form in forms and form in text]


# From so many for each character of a text on, they are looked for by their beginnings.
_MANY_FORMS: Final = 2

_known: Final = _KnownSecrets()


def _plain_forms(form: str) -> set[str]:
    return {form, without_controls(form), *(reading for way in _decodings(form) for reading in _readings(form, way))}


def _encodings(value: str) -> Iterator[str]:
    """Yield the forms in which *value* may turn up; those that :func:`redact` decodes itself are left out."""
    raw = value.encode(errors="surrogatepass")
    if "\n" in value.strip():
        yield from (line.strip() for line in value.splitlines() if len(line.strip()) >= _SHORTEST_LINE)
    yield from (value, value.strip(), value.replace(" ", "+"))
    for form in (base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()):
        yield from (form, form.rstrip("="))


def remember(value: str) -> None:
    """Make :func:`redact` hide *value* from now on in this process."""
    forms = set(_encodings(value))
    with _lock:
        _known.add(forms)


def remember_user_info(text: str) -> None:
    """Make :func:`redact` hide the passwords of the URLs in *text*, wherever else they turn up."""
    for password in passwords_in(text):
        remember(password)
        remember(unquote(password))


def redact(text: str) -> str:
    """Return *text* with every secret known to this process, and the user part of every URL, replaced by stars.

    The account on an SSH server, such as ``git``, stays.

    A secret is found in plain text and in base64, and both of them also percent-encoded, as HTML entities, with escapes
    of JSON, Go, Python or a shell, and with control characters or line ends inside.
    A value that was cut or hashed is not recognised; in a value of several lines, each line of eight characters or
    more is. Redacting twice has no further effect.
    """
    before = None
    while before != text:  # stars may complete a secret that contains stars; each round leaves fewer other characters
        before = text
        text = without_user_info(_without_known(text), MASK)
    return text


def redacted(value: Any) -> Any:
    """Return *value*, made of plain JSON types, with every text in it redacted, including keys."""
    if isinstance(value, str):
        return _redacted(value)
    if isinstance(value, Mapping):
        return {_redacted(name): redacted(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(entry) for entry in value]
    return value


def _redacted(text: str) -> str:
    """Return *text* redacted; control characters stay unless they hide a secret, so that a document stays the same."""
    hidden = redact(text)
    plain = without_controls(hidden)
    return redact(plain) if plain != hidden and known_in(plain) else hidden


def known_in(text: str) -> bool:
    """Return whether *text* contains a secret known to this process."""
    return _without_known(text) != text


def is_known(text: str) -> bool:
    """Return whether *text* as a whole is a secret known to this process."""
    return text in _known.forms or any(r in _known.plain for way in _decodings(text) for r in _readings(text, way))


def without_partial_secret(text: str) -> str:
    """Return *text*, which was cut somewhere, without what may be the beginning of a secret at its end."""
    text = _UNFINISHED.sub("", text)
    ends = [len(text) - _partial_length(text, tuple(_known.forms))]
    for way in _decodings(text):
        reading, spans = text, _spans(text)
        for step in way:
            reading, spans = _read(reading, spans, step)
        count = _partial_length(reading, tuple(_known.plain))
        ends += [spans[-count][0]] if count else []
    return text[: min(ends)]


def without_parts(text: str) -> str:
    """Return a server's *text* without parts of secrets, at least eight characters long, that look like no word.

    Servers that show which token they refuse often cut it. Only secrets of a token's characters count: a file of
    logins contains names of hosts.
    """
    forms = [form for form in tuple(_known.forms) if len(form) > _SHORTEST_PART and _TOKEN.match(form)]
    parts: list[tuple[int, int]] = []
    for at in range(len(text) - _SHORTEST_PART + 1):
        end = at + _SHORTEST_PART
        if any(text[at:end] in form for form in forms):
            begin = parts.pop()[0] if parts and parts[-1][1] >= at else at
            parts.append((begin, end))
    return _with_stars(text, (part for part in parts if _MIXED.search(text, *part)))


_SHORTEST_PART: Final = 8
_TOKEN: Final = regex(r"[\w.+/=~-]+\Z")
_MIXED: Final = regex(r"[A-Za-z][^0-9]*[0-9]|[0-9][^A-Za-z]*[A-Za-z]|[a-z][A-Z]")


# The beginning of what _KINDS reads.
_UNFINISHED = regex(r"(?:%[0-9A-Fa-f]?|&\#?[0-9A-Za-z]{0,32}|\\[ux0-7]?[0-9A-Fa-f]{0,7}|'(?:\"'?)?)\Z")


def _partial_length(text: str, forms: Collection[str]) -> int:
    """Return how many characters at the end of *text* are the beginning of one of the *forms*."""
    return max(
        (count for form in forms for count in range(1, min(len(form), len(text) + 1)) if text.endswith(form[:count])),
        default=0,
    )


def _without_known(text: str) -> str:
    # All are located before any is hidden: hiding one that is the end of another would keep the other from being found.
    found = _known.found(_known.forms, text)
    is_plain = text.isascii() and text.isprintable() and not any(map(text.__contains__, _KINDS))
    if is_plain and not found:
        return text  # a quick end for most lines of a log
    places = [*_places(found, text), *(() if is_plain else _notation_places(text))]
    return _with_stars(text, places) if places else text


def _notation_places(text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of the secrets that *text* contains in another notation."""
    for way in _decodings(text):
        for depth, reading in enumerate(_readings(text, way), 1):
            matches = _known.found(_known.plain, reading)
            if matches:
                yield from _encoded_places(text, way, depth, matches)


def _readings(text: str, way: _Decoding) -> Iterator[str]:
    """Yield *text* without controls, then decoded once, twice and so on, until nothing is left to decode."""
    text = way[0].sub("", text)
    yield text
    for depth in range(1, _DEEPEST + 1):
        before, text = text, _step(way, depth).sub(_meaning, text)
        if text == before:
            return
        yield text


def _step(way: _Decoding, depth: int) -> re.Pattern[str]:
    return way[min(depth, len(way) - 1)]


def _meaning(match: re.Match[str]) -> str:
    kind = match.lastgroup
    return _MEANINGS[kind](match[kind]) if kind else ""


def _utf16(text: str) -> str:
    units = b"".join(int(unit[-4:], 16).to_bytes(2, "big") for unit in text.split("\\"))
    return units.decode("utf-16-be", "replace")


def _octets(text: str) -> str:
    codes = [int(code[1:], 16) if code[0] == "x" else int(code, 8) & 0xFF for code in text.split("\\")]
    return _text_of(bytes(codes))


def _text_of(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _entity(text: str) -> str:
    from html import unescape  # imported only here, since it loads thousands of names

    return unescape(f"&{text}")


_MEANINGS: Final[Mapping[str, Callable[[str], str]]] = {
    "percent": lambda text: _text_of(bytes.fromhex(text.replace("%", ""))),
    "entity": _entity,
    "utf16": _utf16,
    "utf32": lambda text: chr(int(text[1:], 16)) if int(text[1:], 16) <= 0x10FFFF else "\ufffd",  # noqa: PLR2004
    "bytes": _octets,
    "quote": lambda _: "'",
    "letter": lambda letter: _LETTERS.get(letter, letter),
}


def _encoded_places(text: str, way: _Decoding, depth: int, forms: list[str]) -> Iterator[tuple[int, int]]:
    """Yield the spans in which *text* encodes one of the *forms*, which appear when it is decoded *depth* times."""
    reading, spans = text, _spans(text)
    for step in range(depth):
        reading, spans = _read(reading, spans, _step(way, step))
    yield from ((spans[first][0], spans[after - 1][1]) for first, after in _places(forms, reading))


def _places(forms: Iterable[str], text: str) -> Iterator[tuple[int, int]]:
    """Yield the span of each of the *forms* in *text*, also where several overlap."""
    for form in forms:
        at = text.find(form)
        while at >= 0:
            yield at, at + len(form)
            at = text.find(form, at + 1)


def _with_stars(text: str, places: Iterable[tuple[int, int]]) -> str:
    """Return *text* with stars in these *places*; those that overlap are hidden as one, so that no part is left."""
    masked, done = "", 0
    for begin, end in sorted(places):
        if begin >= done:
            masked += f"{text[done:begin]}{MASK}"
        done = max(done, end)
    return masked + text[done:]


_Spans = list[tuple[int, int]]


def _spans(text: str) -> _Spans:
    return [(at, at + 1) for at in range(len(text))]


def _read(text: str, spans: _Spans, way: re.Pattern[str]) -> tuple[str, _Spans]:
    """Return the decoded *text*, and for each of its characters the span of the original that encodes it."""
    pieces: list[str] = []
    origins: _Spans = []
    done = 0
    for match in way.finditer(text):
        begin, end = match.span()
        meaning = _meaning(match)
        pieces += [text[done:begin], meaning]
        origins += [*spans[done:begin], *([(spans[begin][0], spans[end - 1][1])] * len(meaning))]
        done = end
    return "".join([*pieces, text[done:]]), [*origins, *spans[done:]]


class Secret:
    """A value that is printed as stars.

    Args:
        value: the secret text itself.
        source: where it came from, for messages: ``env:TOKEN``, ``file:/run/token``, ``connector jfrog``.
    """

    __slots__ = ("_value", "source")

    def __init__(self, value: str, source: str = "given") -> None:
        remember(value)
        self._value = value
        self.source = source

    def reveal(self) -> str:
        """Return the value; call it only where bytes are sent to the host that the secret belongs to."""
        return self._value

    def basic(self, username: str) -> str:
        """Return *username* and this password in the form of Basic authentication, which is hidden from now on as well.

        Source: RFC 7617, 2.
        """
        pair = base64.b64encode(f"{username}:{self._value}".encode()).decode()
        remember(pair)
        return pair

    def __repr__(self) -> str:
        return f"Secret({MASK!r}, source={self.source!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __reduce__(self) -> NoReturn:
        message = "a Secret cannot be pickled"
        raise TypeError(message)

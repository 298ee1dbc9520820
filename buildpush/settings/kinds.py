"""The kinds of value that a setting can have: how each is read from text, and which values are refused."""

from __future__ import annotations

import ipaddress
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from buildpush.credentials.vault import REFERENCE_HINT, is_certificate, is_reference
from buildpush.dockerfile.caches import CacheSpec
from buildpush.foundation.errors import BadNameError
from buildpush.foundation.limits import LONGEST, SECONDS
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.foundation.secrets import Secret
from buildpush.images.model import Platform
from buildpush.images.references import DOCKER_HUB, Reference, Repository, Tag, check_host
from buildpush.settings.fields import BadValueError, Validator

TRUE = frozenset({"true", "yes", "on", "1"})
MOST_THREADS = 32  # of one upload
HOST_GATEWAY = "host-gateway"  # Docker's word for the machine that containers run on
FALSE = frozenset({"false", "no", "off", "0"})

_DURATION = regex(r"\s*(?:\d+\s*[smhdw]\s*)+\Z")
_PAIR = regex(r"(\d+)\s*([smhdw])")
_MEMORY = regex(r"(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|K|k|M|G|T)?\Z")
_MEMORY_UNITS = {"": 1, "K": 10**3, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_MEMORY_UNITS |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_CORES = regex(r"(\d+m|\d+(?:\.\d+)?)\Z")
_IDENTIFIER = regex(r"[A-Za-z_][A-Za-z0-9_$]{0,127}\Z")
_STEP_NAME = regex(r"[A-Za-z0-9_. -]{1,128}\Z")
_STAGE = regex(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")
_ARGUMENT = regex(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")
_LABEL = regex(r"[^\s=\"'\\-][^\s=\"'\\]*\Z")
_HOST_NAME = regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")
_SSH_KEY = regex(r"[A-Za-z0-9_.-]+(?:=[^=,]+)?\Z")
_LOGIN = regex(r"://[^/@]*@")
_BIDIRECTIONAL = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061c")


@dataclass(frozen=True, slots=True)
class ValueKind:
    """Marks a type with the name of its kind, where Python's type does not say it."""

    name: str


def duration_of(text: str) -> timedelta:
    """Return the duration that *text* gives: ``10m``, ``1h 30m``, ``45s``; units are s, m, h, d and w.

    Raises:
        ValueError: another form, longer than ten years, or shorter than 10 seconds, which Harness refuses too.
    """
    if not _DURATION.match(text):
        message = f"{text!r} is not a duration"
        raise ValueError(message)
    total = sum(int(number) * SECONDS[unit] for number, unit in _PAIR.findall(text))
    if total < 10:  # noqa: PLR2004 - the step needs two digits of seconds
        message = f"{text!r} is shorter than 10 seconds"
        raise ValueError(message)
    if total > LONGEST.total_seconds():
        message = f"{text!r} is longer than ten years"
        raise ValueError(message)
    return timedelta(seconds=total)


def bytes_of(text: str) -> int:
    """Return the number of bytes that *text* gives: ``500Mi``, ``1.5Gi``, ``2G``, ``1048576``.

    Raises:
        ValueError: another form.
    """
    match = _MEMORY.match(text)
    size = float(match[1]) * _MEMORY_UNITS[match[2] or ""] if match else math.inf
    if size == math.inf:
        message = f"{text!r} is not a size"
        raise ValueError(message)
    return round(size)


def bytes_text(size: int) -> str:
    """Return the shortest text that :func:`bytes_of` reads as *size*, such as ``10Gi``."""
    units = [(unit, size // factor) for unit, factor in _MEMORY_UNITS.items() if size and size % factor == 0]
    unit, number = min(units, key=lambda each: each[1], default=("", size))
    return f"{number}{unit}"


def cores_of(text: str) -> float:
    """Return the number of processor cores that *text* gives: ``400m`` is 0.4, ``2`` is 2.

    Raises:
        ValueError: another form.
    """
    if not _CORES.match(text):
        message = f"{text!r} is not a number of cores"
        raise ValueError(message)
    return int(text[:-1]) / 1000 if text.endswith("m") else float(text)


def switch_of(text: str) -> bool:
    """Return whether *text* is true, yes, on or 1, in any case; false, no, off and 0 are the opposite.

    Raises:
        ValueError: another word.
    """
    word = text.strip().lower()
    if word not in TRUE | FALSE:
        message = f"{text!r} is neither true nor false"
        raise ValueError(message)
    return word in TRUE


Result = TypeVar("Result")


def _reading(read: Callable[[str], Result], hint: str) -> Validator:
    """Return a validator that reads text with *read*, and returns typed values unchanged."""

    def validate(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return read(value)
        except ValueError as error:
            raise BadValueError(str(error), hint) from None

    return Validator(validate, "before")


def _automatic(value: Any) -> Any:
    return None if isinstance(value, str) and value.strip().lower() == "auto" else value


def _valid_name(check: Callable[[str], object]) -> Validator:
    """Return a validator that checks text with a parser of images/, and returns it unchanged."""

    def validate(text: str) -> str:
        try:
            check(text)
        except BadNameError as error:
            raise BadValueError(str(error), error.hint or "", "bad_name") from None
        return text

    return Validator(validate)


def _pinned(text: str) -> str:
    if Reference.parse(text).digest is None:
        message = f"{text!r} does not have a digest, so it may name another image later"
        raise BadValueError(message, "put @sha256:... after it, which `docker buildx imagetools inspect` prints")
    return text


def _matching(pattern: re.Pattern[str], what: str, hint: str) -> Validator:
    def validate(text: str) -> str:
        if not pattern.match(text):
            message = f"{text!r} is not {what}"
            raise BadValueError(message, hint)
        return text

    return Validator(validate)


def _variable_name(text: str | Secret) -> str | Secret:
    if isinstance(text, str) and not _ARGUMENT.match(text):
        # It stays out of the message: someone may have put the secret itself there.
        message = "this is not the name of a variable"
        raise BadValueError(message, "name the variable that holds the secret")
    return text


def _printable(text: str) -> str:
    if "\0" in text:
        message = f"{text!r} holds a NUL character"
        raise BadValueError(message, "remove it: no program can be given one")
    if any("\ud800" <= character <= "\udfff" for character in text):
        message = f"{text!r} holds half a surrogate pair"
        raise BadValueError(message, "write it in UTF-8")
    return text


def _one_line(text: str) -> str:
    for character in text:
        if unicodedata.category(character) in {"Cc", "Zl", "Zp"} or character in _BIDIRECTIONAL:
            message = f"{text!r} holds {character!r}, which is not a printable character"
            raise BadValueError(message, "write it on one line, without control characters")
    return text


def _not_empty(text: str) -> str:
    if not text.strip():
        message = "it is empty"
        raise BadValueError(message, "give it a value, or leave it out")
    return text


def _mirror(text: str) -> str:
    bare = text.removeprefix("https://").rstrip("/")  # Docker's own setting is an address
    host, _, path = bare.partition("/")
    try:
        Repository(host, path or "x")
    except BadNameError as error:
        message = f"{text.rpartition('@')[2]!r} is not a mirror of Docker Hub"
        raise BadValueError(message, "write HOST, or HOST/REPOSITORY for a repository of Artifactory") from error
    return bare


def _images_apart(entries: Any) -> Any:
    """Return *entries* with names of images split at their commas, as drone-docker does."""
    if not isinstance(entries, list | tuple):
        return entries
    parts = [text.split(",") if isinstance(text, str) and "=" not in text else [text] for text in entries]
    return tuple(part.strip() if isinstance(part, str) else part for names in parts for part in names if part)


def _hub_last(mirrors: tuple[str, ...]) -> tuple[str, ...]:
    if DOCKER_HUB in mirrors[:-1]:
        message = f"{DOCKER_HUB} is not the last of the mirrors"
        raise BadValueError(message, "write it last: it is asked for what no mirror has")
    return mirrors


def _registry(text: str) -> str:
    bare = text.partition("://")[2] or text  # Docker Hub's name is an address, and a connector's may be one
    try:
        check_host(bare.partition("/")[0])
    except BadNameError as error:
        message = f"{text.rpartition('@')[2]!r} is not a registry"
        raise BadValueError(message, "write HOST or HOST:PORT, such as acme.jfrog.io") from error
    return text


def _not_a_flag_but_stdin(text: str) -> str:
    return text if text == "-" else _not_a_flag(text)


def _not_a_flag(text: str) -> str:
    if text.startswith("-"):
        message = f"{text!r} begins with a dash, so programs would take it for a flag"
        raise BadValueError(message, "write ./ before a file of that name")
    return text


def _host_address(text: str) -> str:
    name, colon, address = text.partition(":")
    try:
        if address != HOST_GATEWAY:
            ipaddress.ip_address(address)
    except ValueError:
        colon = ""
    if not (name and colon and _HOST_NAME.match(name)):
        message = f"{text!r} is not a host with its address"
        raise BadValueError(message, "write HOST:IP, such as db.test:10.0.0.7")
    return text


def _address_that_splits(text: str) -> str:
    try:
        _ = urlsplit(text).port
    except ValueError as error:
        message = f"{text!r} is not an address: {error}"
        raise BadValueError(message, "write https://HOST/PATH, an IPv6 address in brackets") from None
    return text


def _without_login(text: str) -> str:
    if _LOGIN.search(text):
        message = "an address holds a user or password"  # which stays out of the message
        raise BadValueError(message, "leave it out: git and registries have their own ways to log in")
    return text


def _secret(value: Any) -> Secret | str:
    if isinstance(value, Secret):
        return value
    if isinstance(value, str) and is_reference(value):
        return value
    # The value itself stays out of the message: it may well be the secret.
    message = "the secret is given as plain text"
    raise BadValueError(message, REFERENCE_HINT, "plain_secret")


def _certificate(value: Any) -> Secret | str:
    return value if isinstance(value, str) and is_certificate(value) else _secret(value)


def _once(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _not_negative(number: int) -> int:
    if number < 0:
        message = f"{number} is less than 0"
        raise BadValueError(message, "write 0 or more")
    return number


def _thread_count(number: int) -> int:
    if not 0 < number <= MOST_THREADS:
        message = f"{number} is not a number from 1 to {MOST_THREADS}"
        raise BadValueError(message, "leave it out for 4")
    return number


def _property(text: str) -> str:
    name, equals, _ = text.partition("=")
    if not (name.strip() and equals):
        message = f"{text!r} is not a property with its value"
        raise BadValueError(message, "write NAME=VALUE, such as stage=test")
    return text


def _given_properties(entries: Any) -> Any:
    """Return *entries* split at semicolons, without those that have no value, or ``null``, as drone-artifactory does.

    An entry without a name is one more value of the one before it, as after a comma in ``jf``.
    """
    if not isinstance(entries, list | tuple) or not all(isinstance(entry, str) for entry in entries):
        return entries
    parts: list[str] = []
    for part in (part.strip() for entry in entries for part in entry.split(";")):
        if "=" not in part and parts:
            parts[-1] += f",{part}"
        elif part:
            parts.append(part)
    return tuple(
        part for part in parts if part.partition("=")[2].strip(" \"'").lower() not in {"", "null"} or "=" not in part
    )


def _rooted(text: str) -> str:
    if not text.startswith("/"):
        message = f"{text!r} is not an absolute path"
        raise BadValueError(message, "begin it with /, such as /var/cache/apk")
    return text


def _some(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        message = "the list is empty"
        raise BadValueError(message, "name at least one, or leave the setting out")
    return values


def _unless_default(value: Any) -> Any:
    """Return ``None`` for a ``when`` that is the default: run if all went well so far."""
    usual = {"stageStatus": "Success", "condition": "true"}
    if isinstance(value, Mapping) and all(usual.get(key) == part for key, part in value.items()):
        return None
    return value or None


def _unless_empty(value: Any) -> Any:
    """Return ``None`` for an ``enforce`` without policy sets, as Harness exports it."""
    return value if not isinstance(value, Mapping) or any(value.values()) else None


AnyText = Annotated[str, Validator(_printable)]
Text = Annotated[str, Validator(_printable), Validator(_one_line), Validator(_not_empty)]
LineText = Annotated[str, Validator(_printable), Validator(_one_line)]
FileText = Annotated[Text, Validator(_not_a_flag), ValueKind("path")]
ContextText = Annotated[Text, Validator(_not_a_flag_but_stdin), ValueKind("path")]
Switch = Annotated[bool, _reading(switch_of, "write true or false"), ValueKind("switch")]
AutoSwitch = Annotated[
    bool | None, _reading(switch_of, "write yes, no or auto"), Validator(_automatic, "before"), ValueKind("switch")
]
Duration = Annotated[timedelta, _reading(duration_of, "write it as 10m, 1h 30m or 45s"), ValueKind("duration")]
ByteCount = Annotated[int, _reading(bytes_of, "write it as 500Mi, 2Gi or a number of bytes"), ValueKind("size")]
Cores = Annotated[float, _reading(cores_of, "write it as 2, 0.5 or 400m"), ValueKind("cores")]
WholeNumber = Annotated[int, ValueKind("number")]
Count = Annotated[WholeNumber, Validator(_not_negative)]
SecretText = Annotated[Secret | str, Validator(_secret, "instead"), ValueKind("secret")]
CertificateText = Annotated[Secret | str, Validator(_certificate, "instead"), ValueKind("secret")]
Structure = Annotated[Any, ValueKind("structure")]
Enforce = Annotated[Any, Validator(_unless_empty, "before"), ValueKind("structure")]
When = Annotated[Any, Validator(_unless_default, "before"), ValueKind("structure")]

IdentifierText = Annotated[
    str, _matching(_IDENTIFIER, "an identifier", "use letters, digits and underscores, not a digit first")
]
StepName = Annotated[str, _matching(_STEP_NAME, "a step name", "use up to 128 letters, digits, blanks and _ . -")]
ThreadCount = Annotated[WholeNumber, Validator(_thread_count)]
Properties = Annotated[tuple[Annotated[Text, Validator(_property)], ...], Validator(_given_properties, "before")]
RepositoryText = Annotated[Text, _valid_name(Repository.parse)]
ReferenceText = Annotated[Text, _valid_name(Reference.parse)]
PinnedReference = Annotated[Text, _valid_name(Reference.parse), Validator(_pinned)]
TagText = Annotated[str, _valid_name(Tag)]
PlatformText = Annotated[str, _valid_name(Platform.parse)]
StageName = Annotated[Text, _matching(_STAGE, "a stage name", "use the name after AS in the Dockerfile, or its number")]
ArgumentName = Annotated[str, _matching(_ARGUMENT, "the name of a build argument", "use letters, digits and _ . -")]
LabelName = Annotated[str, _matching(_LABEL, "the name of a label", "leave out blanks, quotes and =")]
AddressText = Annotated[
    Text,
    _matching(
        regex(r"https?://[^\s/?#@]+(?:[/?#]\S*)?\Z"),
        "an address",
        "begin it with https:// (or http://), and leave user and password out",
    ),
    Validator(_address_that_splits),
]

RegistryText = Annotated[Text, Validator(_registry)]
HostAddress = Annotated[Text, Validator(_host_address)]
SshKey = Annotated[Text, _matching(_SSH_KEY, "an SSH agent or key", "write default, or ID=FILE")]
ContextPlace = Annotated[Text, Validator(_without_login)]
CacheText = Annotated[Text, _valid_name(CacheSpec.parse)]

Texts = tuple[Text, ...]
ArgumentNames = Annotated[tuple[ArgumentName, ...], Validator(_once)]
Caches = Annotated[tuple[CacheText, ...], Validator(_images_apart, "before")]
Mirrors = Annotated[tuple[Annotated[Text, Validator(_mirror)], ...], Validator(_once), Validator(_hub_last)]
RootedPaths = Annotated[tuple[Annotated[Text, Validator(_rooted)], ...], Validator(_once)]
HostAddresses = Annotated[tuple[HostAddress, ...], Validator(_once)]
SshKeys = Annotated[tuple[SshKey, ...], Validator(_once)]
BuildContexts = Mapping[
    Annotated[str, _matching(_STAGE, "a context's name", "use letters, digits and _ . -")], ContextPlace
]
Tags = Annotated[tuple[TagText, ...], Validator(_once), Validator(_some)]
Platforms = Annotated[tuple[PlatformText, ...], Validator(_once)]
BuildArgs = Mapping[ArgumentName, AnyText]
Labels = Mapping[LabelName, LineText]
EnvSecrets = Mapping[ArgumentName, Annotated[str | Secret, Validator(_variable_name, "instead")]]
HostFiles = Mapping[Annotated[Text, _valid_name(check_host)], FileText]
FileSecrets = Mapping[ArgumentName, FileText]

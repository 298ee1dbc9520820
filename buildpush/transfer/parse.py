"""The parser of sources and destinations, and hints where a text is not one."""

from __future__ import annotations

from typing import Final

from buildpush.foundation.errors import BadNameError, SettingsError
from buildpush.foundation.spelling import nearest
from buildpush.images.references import Reference
from buildpush.transfer import TRANSPORTS, Location

_HINT: Final = f"write one of {', '.join(row.pattern for row in TRANSPORTS.values())}"


def parse(text: str) -> Location:
    """Parse *text* as a source or destination.

    Raises:
        SettingsError: it is not one; the hint says how they are written.
        BadNameError: a reference in it breaks the grammar.
    """
    kind, colon, rest = text.partition(":")
    row = TRANSPORTS.get(kind)
    if row is None or not colon:
        raise _not_a_location(text, kind)
    location = row.driver.parse(rest)
    if location is None:
        message = f"{text!r} is incomplete"
        raise SettingsError(message, hint=f"write {row.pattern}")
    return location


def reference_of(text: str) -> Reference:
    """Parse *text* as a reference, with or without ``docker://`` in front.

    Raises:
        BadNameError: it breaks the grammar, or contains a user or password, which is not shown.
    """
    plain = text.removeprefix("docker://")
    _, at, rest = plain.partition("@")
    if at and "/" in rest:
        message = "a reference contains a user or password"
        raise BadNameError(
            message, hint="write HOST/REPOSITORY:TAG, and give them by --username and --password env:NAME"
        )
    return Reference.parse(plain)


def file_location(kind: str, text: str) -> Location | None:
    """Return the location of a file or directory, with or without a name; ``None`` where one of them is empty."""
    path, colon, name = text.partition(":")
    return None if not path or (colon and not name) else Location(kind, path, name)


def _not_a_location(text: str, word: str) -> SettingsError:
    safe = f"the text before the @ of {text.rpartition('@')[2]!r}" if "@" in text and "//" in text else repr(text)
    near = nearest(word.lower(), TRANSPORTS, most=1, cutoff=0.8)
    if near:
        hint = f"did you mean {TRANSPORTS[near[0]].pattern}?"
    elif text.endswith(".tar"):
        hint = f"write docker-archive:{text}, or oci-archive:{text}"
    elif _is_reference(text):
        hint = f"write docker://{text} for a registry, docker-daemon:{text} for an image of Docker; or {_HINT}"
    else:
        hint = _HINT
    message = f"{safe} does not say where an image is"
    return SettingsError(message, hint=hint)


def _is_reference(text: str) -> bool:
    try:
        return bool(reference_of(text))
    except BadNameError:
        return False

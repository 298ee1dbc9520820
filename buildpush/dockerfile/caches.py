"""Caches of BuildKit for layers, in the form of ``--cache-from`` and ``--cache-to``.

Source: Docker documentation, "Cache storage backends"; buildx 0.13, util/buildflags.
"""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Final

from buildpush.foundation.errors import BadNameError
from buildpush.foundation.records import dataclass
from buildpush.images.references import Reference

# Fields with a secret, which every user of the machine could read on a command line.
_SECRET_FIELDS: Final = frozenset({"secret_access_key", "session_token", "token", "account_key"})
_FORM_HINT: Final = (
    "write type=registry,ref=HOST/NAME:TAG, type=local,src=DIRECTORY or dest=DIRECTORY, or an image's name"
)


@dataclass(frozen=True, slots=True)
class CacheSpec:
    """A place where BuildKit finds or stores layers.

    Attributes:
        kind: registry, local, inline, gha, s3, azblob, or a type that BuildKit adds later.
        fields: all fields but ``type``, in their order in the text.
    """

    kind: str
    fields: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> CacheSpec:
        """Parse *text* as a cache: one line of CSV, ``type=…,key=value…``, or the name of an image.

        Raises:
            BadNameError: it has another form, or contains a secret.
        """
        words = _words(text)
        _refuse_secrets(words)
        _refuse_several(text, words)
        if len(words) == 1 and "=" not in words[0]:
            return cls("registry", (("ref", str(Reference.parse(words[0]))),))
        pairs = [_pair(word, text) for word in words]
        kind = next((value for name, value in pairs if name == "type"), "")
        if not kind:
            message = f"{text!r} does not say which type of cache it is"
            raise BadNameError(message, hint=_FORM_HINT)
        spec = cls(kind, tuple(pair for pair in pairs if pair[0] != "type"))
        spec._check(text)
        return spec

    def _check(self, text: str) -> None:
        if self.kind != "registry":
            return
        reference = self.field("ref")
        if not reference:
            message = f"{text!r} does not say in which repository: ref= is missing"
            raise BadNameError(message, hint=_FORM_HINT)
        Reference.parse(reference)

    def field(self, name: str) -> str:
        """Return the value of a field; empty where there is none."""
        return next((value for key, value in self.fields if key == name), "")

    def with_field(self, name: str, value: str) -> CacheSpec:
        """Return the same cache with a field set."""
        others = tuple(pair for pair in self.fields if pair[0] != name)
        return replace(self, fields=(*others, (name, value)))

    def at(self, directory: Path) -> CacheSpec:
        """Return the same cache with paths relative to *directory* made absolute."""
        if self.kind != "local":
            return self
        paths = {"src", "dest"}
        fields = ((key, str(directory / value) if key in paths else value) for key, value in self.fields)
        return replace(self, fields=tuple(fields))

    @property
    def host(self) -> str:
        """The host of the registry it is in; empty for other kinds.

        Raises:
            BadNameError: ``ref`` is not a reference.
        """
        return Reference.parse(self.field("ref")).repository.host if self.kind == "registry" else ""

    def __str__(self) -> str:
        return csv_line(("type", self.kind), *self.fields)


def csv_line(*pairs: tuple[str, str]) -> str:
    """Return ``id=…,src=…`` as buildx reads it: one line of CSV."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(f"{key}={value}" for key, value in pairs)
    return line.getvalue()


def _words(text: str) -> list[str]:
    try:
        (words,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError) as error:
        message = f"{text!r} is not a line of CSV"
        raise BadNameError(message, hint=_FORM_HINT) from error
    return words


def _refuse_secrets(words: list[str]) -> None:
    for name in (word.partition("=")[0].strip().lower() for word in words):
        if name in _SECRET_FIELDS:
            message = f"the field {name} of a cache is a secret, which every user could read on a command line"
            hint = "set the variable that the service itself reads, such as AWS_SECRET_ACCESS_KEY"
            raise BadNameError(message, hint=hint)


def _refuse_several(text: str, words: list[str]) -> None:
    """Refuse several caches in one text, which would be read as one cache with an odd value."""
    if ";type=" in text.replace(" ", "") or (len(words) > 1 and not any("=" in word for word in words)):
        message = f"{text!r} names several caches, but only one is possible here"
        raise BadNameError(message, hint="write each as an entry of the list")


def _pair(word: str, text: str) -> tuple[str, str]:
    name, sign, value = word.partition("=")
    name = name.strip().lower()
    if not sign or not name:
        message = f"{word!r} in {text!r} is not KEY=VALUE"
        raise BadNameError(message, hint=_FORM_HINT)
    return name, value

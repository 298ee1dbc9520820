"""Where secrets are: variables, a directory of files, and references in the connectors file; never plain text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import field
from pathlib import Path
from typing import Final

from buildpush.foundation.errors import SecretError
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.foundation.secrets import Secret, remember
from buildpush.foundation.spelling import did_you_mean

LARGEST: Final = 1 << 20
_PREFIX: Final = "BUILDPUSH_SECRET_"
# Variables that hold a secret of this program or of jf, whether a setting reads them or not.
_TOOL_VARIABLES: Final = frozenset(
    {"PLUGIN_PASSWORD", "PLUGIN_ACCESS_TOKEN", "PLUGIN_ARTIFACTORY_TOKEN", "PLUGIN_API_KEY"}
    | {"PLUGIN_SIGN_KEY", "PLUGIN_SIGN_PASSWORD"}
    | {"PLUGIN_DOCKER_CONFIG", "PLUGIN_CONFIG", "DOCKER_PLUGIN_CONFIG"}
    | {"JF_ACCESS_TOKEN", "JF_PASSWORD", "DOCKER_AUTH_CONFIG"}
)
_MOST_LISTED: Final = 5
_IDENTIFIER: Final = regex(r"[A-Za-z_$][A-Za-z0-9_$]*(?:[.-][A-Za-z0-9_$]+)*\Z")
_EXPRESSION: Final = regex(r"""<\+\s*secrets\.getValue\(\s*(["'])([^"']*)\1\s*\)\s*>\Z""")
_REFERENCE: Final = regex(r"(?:env:[A-Za-z_]\w*|file:\S.*|secret:[\w.-]+|(?:account|org)\.[\w-]+)\Z")
REFERENCE_HINT: Final = 'write where it is: env:NAME, file:PATH, secret:ID or <+secrets.getValue("ID")>'
_CERTIFICATE: Final = "-----BEGIN CERTIFICATE-----"
_VARIABLE: Final = regex(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(frozen=True, slots=True)
class SecretReference:
    """The reference of a secret: where the secret is.

    Attributes:
        text: ``env:NAME``, ``file:PATH``, ``secret:ID``, or an identifier.
        where: where the text is written, such as ``connectors.yml:9:5``.
        directory: the directory that a relative PATH is in.
    """

    text: str
    where: str | None
    directory: Path


@dataclass(frozen=True, slots=True)
class Vault:
    """Returns secrets by identifier or reference; nothing is read before it is needed.

    Attributes:
        env: the environment.
        cwd: directory that relative paths of references in settings are in.
        directory: has a file per secret, named like the secret's identifier; ``None`` for no directory.
        references: secrets of the connectors file, by identifier.
    """

    env: Mapping[str, str]
    cwd: Path
    directory: Path | None = None
    references: Mapping[str, SecretReference] = field(default_factory=dict)

    def secret(self, identifier: str) -> Secret:
        """Return the secret *identifier*, from the first source that has it.

        Raises:
            SecretError: no source has it; the message names the sources, the hint similar identifiers.
        """
        _check_identifier(identifier)
        if (value := self._find(identifier)) is not None:
            return value
        message = f"there is no secret {identifier!r}: {self._places(variable_of(identifier))}"
        raise SecretError(message, hint=self._misspelt(variable_of(identifier)) or self._near(identifier))

    def _misspelt(self, wanted: str) -> str:
        """Return a hint if the variable is spelled like the identifier, such as ``BUILDPUSH_SECRET_my-token``."""
        named = (name for name in self.env if name.startswith(_PREFIX) and name != variable_of(name[len(_PREFIX) :]))
        variable = next((name for name in named if variable_of(name[len(_PREFIX) :]) == wanted), None)
        return f"{variable} is set; rename it to {wanted}" if variable else ""

    def _near(self, identifier: str) -> str:
        return did_you_mean(identifier, self._identifiers()) or f"set {variable_of(identifier)}"

    def reference(self, text: str, where: str | None = None) -> Secret:
        """Return the secret that the reference *text*, written at *where*, leads to; a relative PATH is in ``cwd``."""
        return self.resolve(SecretReference(text, where, self.cwd))

    def resolve(self, reference: SecretReference) -> Secret:
        """Return the secret that *reference* leads to.

        Raises:
            SecretError: it leads nowhere.
        """
        with _place(reference.where):
            return self._follow(reference.text, reference.directory)

    def document(self, path: str, where: str | None) -> Secret:
        """Return the whole text of the file *path* as a secret, with its last line end; errors as for ``resolve``."""
        with _place(where):
            return read_secret(self.cwd / path, f"file:{path}", whole=True)

    def remember(self) -> None:
        """Hide every secret that can be found, including those that this run does not need.

        One that cannot be read is an error only where it is needed.
        """
        for name, value in self.env.items():
            is_secret = name.startswith(_PREFIX) or name in _TOOL_VARIABLES
            if is_secret and not is_reference(value) and not is_expression(value):
                remember(value)
        for reference in self.references.values():
            with suppress(SecretError):
                self.resolve(reference)

    def _follow(self, text: str, directory: Path) -> Secret:
        kind, colon, rest = text.partition(":")
        if colon and kind == "env":
            return self._variable(rest)
        if colon and kind == "file":
            return read_secret(directory / rest, f"file:{rest}")
        if colon and kind == "secret":
            return self.secret(rest)
        if match := _EXPRESSION.match(text.strip()):
            return self.secret(match[2])
        return self._bare(text)

    def _bare(self, identifier: str) -> Secret:
        """Return the secret of a bare identifier, which may turn out to be the secret itself."""
        _check_identifier(identifier)
        if (value := self._find(identifier)) is not None:
            return value
        # The message names neither it nor the variable that it would have, since it may be the secret itself.
        message = f"there is no secret with the identifier given here: {self._places(f'{_PREFIX}<ID>')}"
        known = self._identifiers()
        hint = (
            f"known identifiers are {', '.join(known[:_MOST_LISTED])}"
            if known
            else "list it under secrets, as ID: env:NAME"
        )
        raise SecretError(message, hint=hint)

    def _find(self, identifier: str) -> Secret | None:
        if variable_of(identifier) in self.env:
            return self._variable(variable_of(identifier))
        if (value := self._from_directory(identifier)) is not None:
            return value
        return self.resolve(self.references[identifier]) if identifier in self.references else None

    def _variable(self, name: str) -> Secret:
        if self.env.get(name):
            return Secret(self.env[name], f"env:{name}")
        state = "empty" if name in self.env else "not set"
        message = f"the variable {name} is {state}"
        near = did_you_mean(name, [other for other in self.env if other != name], cutoff=0.8)
        raise SecretError(message, hint=near or f"set {name}")

    def _from_directory(self, identifier: str) -> Secret | None:
        path = self.directory / identifier if self.directory else None
        if self.directory is None or path is None or not (path.exists() or path.is_symlink()):
            return None
        # A link may point to another file of the directory, as in a mounted Kubernetes secret, but not out of it.
        if not path.resolve().is_relative_to(self.directory.resolve()):
            message = f"the secret file {path} is a link out of its directory"
            raise SecretError(message, hint="put the file itself into the directory")
        return read_secret(path, f"file:{path}")

    def _places(self, variable: str) -> str:
        """Return in words where a secret was looked for."""
        files = f"{self.directory} has no file of that name" if self.directory else "--secrets gives no directory"
        listed = "the connectors file does not list it" if self.references else "no connectors file lists it"
        return f"{variable} is not set, {files}, {listed}"

    def _identifiers(self) -> list[str]:
        known = list(self.references)
        known += [name.removeprefix(_PREFIX).lower() for name in self.env if name.startswith(_PREFIX)]
        if self.directory and self.directory.is_dir():
            known += [path.name for path in self.directory.iterdir() if _IDENTIFIER.match(path.name)]
        return known


def variable_of(identifier: str) -> str:
    """Return the variable that may hold the secret: ``org.my-token`` gives ``BUILDPUSH_SECRET_ORG_MY_TOKEN``."""
    return _PREFIX + re.sub(r"[.$-]", "_", identifier).upper()


def is_location(text: str) -> bool:
    """Return whether *text* is ``env:NAME`` or ``file:PATH``."""
    kind, colon, rest = text.partition(":")
    return bool(colon and ((kind == "env" and _VARIABLE.match(rest)) or (kind == "file" and rest.strip())))


def is_identifier(text: str) -> bool:
    """Return whether *text* can be the identifier of a secret or connector, with or without ``org.`` in front."""
    return bool(_IDENTIFIER.match(text))


def points_to_secret(text: str) -> bool:
    """Return whether *text* says where a secret is, in any of the known ways."""
    plain = text.removeprefix("secret:")
    return is_location(text) or is_identifier(plain) or bool(_EXPRESSION.match(text.strip()))


def read_secret(path: Path, source: str, *, whole: bool = False) -> Secret:
    """Return the text of a file as a secret; unless *whole*, without one line end at its end.

    Raises:
        SecretError: it is missing, unreadable, empty, larger than 1 MiB or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        text = data.decode()
    except OSError as error:
        message = f"the secret file {path} cannot be read: {error.strerror}"
        raise SecretError(message, hint="check the path and its permissions") from None
    except ValueError:
        message = f"the secret file {path} is not UTF-8 text"
        raise SecretError(message) from None
    if len(data) > LARGEST:
        message = f"the secret file {path} is larger than 1 MiB"
        raise SecretError(message)
    if not whole and text.endswith("\n"):
        text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        message = f"the secret file {path} is empty"
        raise SecretError(message)
    return Secret(text, source)


@contextmanager
def _place(where: str | None) -> Iterator[None]:
    """Add *where* to an error that does not say where it is."""
    try:
        yield
    except SecretError as error:
        if error.where or not where:
            raise
        raise SecretError(str(error), hint=error.hint, setting=error.setting, where=where) from None


def _check_identifier(identifier: str) -> None:
    if not _IDENTIFIER.match(identifier):
        # The message does not quote the text, since it may be the secret itself.
        message = "this is not the identifier of a secret"
        hint = "an identifier has letters, digits, _ and $, with org. or account. in front for a secret of that scope"
        raise SecretError(message, hint=hint)


def is_reference(text: str) -> bool:
    """Return whether *text* is the reference of a secret, and not the secret itself."""
    return bool(_REFERENCE.match(text))


def is_certificate(text: str) -> bool:
    """Return whether *text* consists of certificates, which are not secret."""
    return text.strip().startswith(_CERTIFICATE) and "PRIVATE KEY-----" not in text


def is_expression(text: str) -> bool:
    """Return whether *text* is one expression from end to end."""
    depth = 0
    for position, character in enumerate(text):
        depth += text.startswith("<+", position)
        depth -= character == ">"
        if depth <= 0:
            return position > 0 and position == len(text) - 1
    return False

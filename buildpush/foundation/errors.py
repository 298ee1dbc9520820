"""What can go wrong: one tree, one exit code per cause, a hint that says what to do.

::

    BuildPushError                     1   unexpected
    ├─ SettingsError                   2   what the user wrote cannot be used
    │  ├─ SourceError                      a file or variable cannot be read as settings
    │  ├─ ExpressionError                  an <+...> cannot be parsed or evaluated
    │  ├─ SecretError                      a secret reference leads nowhere
    │  ├─ BadNameError                     a host, repository, tag or digest is malformed
    │  ├─ UnsupportedError                 the chosen engine cannot honour a setting
    │  └─ EngineMissingError               the chosen engine is not on this machine
    ├─ BuildError                      3   the image could not be built
    │  ├─ ClusterError                     the cluster cannot run the build, or ended it
    │  ├─ DockerfileError                  its text cannot be read, or this engine cannot do it
    │  └─ ContextError                     a file of the context is missing or not allowed
    ├─ PushError                       4   the registry did not accept or deliver something
    │  ├─ UnreachableError                 no answer from a host
    │  │  └─ ElsewhereError                it redirects to a host that does not answer
    │  ├─ RegistryError                    the registry answered with an error
    │  ├─ DigestError                      bytes do not have the expected digest
    │  └─ NotPushedError                   a push was begun and never finished
    ├─ AuthenticationError             5   a host refuses the credentials
    ├─ BuildInfoError                  6   the image is pushed, but not its build-info
    ├─ StrictError                     7   refused because of --strict, or of check=error=true
    ├─ UnverifiedError                 8   an image is not what the documents beside it say
    ├─ TimeOutError                  124   a time limit was reached
    └─ CancelledError                130   Ctrl-C (143: SIGTERM)
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, ClassVar

from buildpush.foundation.text import one_line, with_margin


class BuildPushError(Exception):
    """The base of all errors; ``str()`` is one sentence for people, without secrets and control characters.

    Attributes:
        setting: name of the setting whose card explains it, or ``None``.
        where: where the cause is, such as ``step.yml:7:3`` or ``PLUGIN_TAGS``, or ``None``.
        pushed: the references that were pushed before the error, if several were requested.
        advice: anchor on the troubleshooting page, if its message is listed there, or ``None``.
        results: what a run had achieved before it failed (``RunResult``), such as a push whose build-info was refused.
    """

    exit_code: ClassVar[int] = 1
    pushed: tuple[str, ...] = ()
    results: tuple[Any, ...] = ()
    advice: str | None = None

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        setting: str | None = None,
        where: str | None = None,
    ) -> None:
        # Cleaned here, and not only by our displays: a traceback prints the message as well.
        super().__init__(with_margin(message))
        self.hint = hint
        self.setting = setting
        self.where = one_line(where) if where else where

    def __str__(self) -> str:
        message = super().__str__()
        return f"{self.where}: {message}" if self.where else message

    @property
    def hint(self) -> str | None:
        """What to do about it, or ``None``; it is a note as well, so that a traceback shows it."""
        return self._hint

    @hint.setter
    def hint(self, hint: str | None) -> None:
        others = own_notes(self)
        self._hint = with_margin(hint) if hint else hint
        self.__notes__ = [f"hint: {self._hint}", *others] if hint else others

    def rows(self) -> list[tuple[str, str]]:
        """Return the facts as pairs of a label and a text, for a notebook."""
        cards = [("read", f"buildpush explain {card}") for card in (self.setting, self.advice) if card]
        pushed = [("pushed", name) for name in self.pushed]
        return [("error", str(self)), *([("hint", self.hint)] if self.hint else []), *cards, *pushed]

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows in place of a traceback; it would show two if this raised an error."""
        with suppress(Exception):
            return [f"\x1b[31m{type(self).__name__}\x1b[39m: {self}", *map(str, self.__notes__)]
        return [type(self).__name__]


def own_notes(error: BaseException) -> list[str]:
    """Return the notes of *error* except its hint, such as the tags that are pushed."""
    hint = f"hint: {getattr(error, '_hint', None)}"
    return [note for note in getattr(error, "__notes__", ()) if note != hint]


class SettingsError(BuildPushError):
    """What the user wrote cannot be used."""

    exit_code = 2


class SourceError(SettingsError):
    """A file, variable or flag cannot be read as settings."""


class ExpressionError(SettingsError):
    """An ``<+...>`` expression cannot be parsed or evaluated."""


class SecretError(SettingsError):
    """A secret is given as plain text, or its reference leads nowhere."""


class BadNameError(SettingsError):
    """A host, repository, tag, digest or platform is malformed."""


class UnsupportedError(SettingsError):
    """The chosen engine, or this version, cannot honour a setting that was set."""


class EngineMissingError(SettingsError):
    """The chosen engine is not on this machine, or may not be used."""


class BuildError(BuildPushError):
    """The image could not be built."""

    exit_code = 3


class ClusterError(BuildError):
    """The cluster cannot run the build, or ended it: no room, no image, no memory, a policy, a lost node."""


class DockerfileError(BuildError):
    """The Dockerfile cannot be read, or contains an instruction that this engine does not support."""


class ContextError(BuildError):
    """A file of the build context is missing, unreadable, or not allowed."""


class PushError(BuildPushError):
    """The registry did not accept, or deliver, what was requested."""

    exit_code = 4


class UnreachableError(PushError):
    """No answer from a host: name, route, TLS, or a connection that broke."""


class ElsewhereError(UnreachableError):
    """A host redirects to another one, which does not answer, or which no request may be sent to."""


class RegistryError(PushError):
    """The registry answered with an error.

    Attributes:
        status: HTTP status of the answer.
        code: code from the registry's error document, such as ``BLOB_UNKNOWN``, or ``None``.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str | None = None,
        hint: str | None = None,
        setting: str | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, setting=setting, where=where)
        self.status = status
        self.code = code


class DigestError(PushError):
    """Bytes do not have the digest that they should have."""


class NotPushedError(PushError):
    """A push was begun and never finished: the registry does not have its image."""


class AuthenticationError(BuildPushError):
    """A host refuses the credentials; the message says which host and where they came from."""

    exit_code = 5


class BuildInfoError(BuildPushError):
    """The image is pushed, but its build-info is not published."""

    exit_code = 6


class StrictError(BuildPushError):
    """Refused because of ``--strict``, or of ``# check=error=true`` in the Dockerfile."""

    exit_code = 7


class UnverifiedError(BuildPushError):
    """An image, its signatures, the documents beside it and its build-info do not agree."""

    exit_code = 8


class TimeOutError(BuildPushError):
    """A time limit was reached."""

    exit_code = 124


class CancelledError(BuildPushError):
    """The run was interrupted and has cleaned up after itself."""

    exit_code = 130

"""What can go wrong: one tree, one exit code per cause, a hint that says what to do.

::

    BuildPushError                     1   unexpected
    ├─ SettingsError                   2   what the user wrote cannot be used
    │  ├─ SourceError                      a file or variable cannot be read as settings
    │  ├─ ExpressionError                  an <+...> cannot be parsed or answered
    │  ├─ SecretError                      a secret reference leads nowhere
    │  ├─ BadNameError                     a host, repository, tag or digest breaks the grammar
    │  ├─ UnsupportedError                 the chosen engine cannot honour a setting
    │  └─ EngineMissingError               the chosen engine is not on this machine
    ├─ BuildError                      3   the image could not be built
    │  ├─ DockerfileError                  its text cannot be read, or this engine cannot do it
    │  └─ ContextError                     a file of the context is missing or not allowed
    ├─ PushError                       4   the registry did not take or give what was asked
    │  ├─ UnreachableError                 no answer from a host
    │  │  └─ ElsewhereError                it leads to another host, which gives none
    │  ├─ RegistryError                    an answer that says no
    │  ├─ DigestError                      bytes are not those that were promised
    │  └─ NotPushedError                   a push was begun and never finished
    ├─ AuthenticationError             5   a host refuses the credentials
    ├─ BuildInfoError                  6   the image is pushed, its build-info is not published
    ├─ StrictError                     7   refused because of --strict, or of check=error=true
    ├─ TimeOutError                  124   a time limit was reached
    └─ CancelledError                130   Ctrl-C (143: SIGTERM)
"""

from __future__ import annotations

from typing import Any, ClassVar

from buildpush.foundation.text import one_line, with_margin


class BuildPushError(Exception):
    """Something went wrong; ``str()`` is one sentence for a person, safe as ``buildpush.foundation.text`` makes it.

    Attributes:
        hint: what to do about it, or ``None``.
        setting: name of the setting whose card explains it, or ``None``.
        where: place of the cause, such as ``step.yml:7:3`` or ``PLUGIN_TAGS``, or ``None``.
        pushed: the names that were written in spite of the error, where several were asked for.
        advice: its anchor on the troubleshooting page, where a message in it is listed there, or ``None``.
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
        # Here and not only where it is shown: in Python, an error shows itself.
        super().__init__(with_margin(message))
        self.hint = with_margin(hint) if hint else hint
        self.setting = setting
        self.where = one_line(where) if where else where

    def __str__(self) -> str:
        message = super().__str__()
        return f"{self.where}: {message}" if self.where else message


class SettingsError(BuildPushError):
    """What the user wrote cannot be used."""

    exit_code = 2


class SourceError(SettingsError):
    """A file, variable or flag cannot be read as settings."""


class ExpressionError(SettingsError):
    """An ``<+...>`` expression cannot be parsed or has no answer."""


class SecretError(SettingsError):
    """A secret is given as plain text, or its reference leads nowhere."""


class BadNameError(SettingsError):
    """A host, repository, tag, digest or platform breaks its grammar."""


class UnsupportedError(SettingsError):
    """The chosen engine, or this version, cannot honour a setting that was set."""


class EngineMissingError(SettingsError):
    """The chosen engine is not on this machine, or may not be used."""


class BuildError(BuildPushError):
    """The image could not be built."""

    exit_code = 3


class DockerfileError(BuildError):
    """The Dockerfile cannot be read, or holds an instruction that this engine does not do."""


class ContextError(BuildError):
    """A file of the build context is missing, unreadable, or not allowed."""


class PushError(BuildPushError):
    """The registry did not take, or give, what was asked."""

    exit_code = 4


class UnreachableError(PushError):
    """No answer from a host: name, route, TLS, or a connection that broke."""


class ElsewhereError(UnreachableError):
    """The host that was asked leads to another one, which gives no answer, or may not be asked."""


class RegistryError(PushError):
    """The registry answered, and the answer says no.

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
    """Bytes are not those that were promised."""


class NotPushedError(PushError):
    """A push was begun and never finished: the registry does not have its image."""


class AuthenticationError(BuildPushError):
    """A host refuses the credentials; the message says which host and where they came from."""

    exit_code = 5


class BuildInfoError(BuildPushError):
    """The image is pushed, its build-info is not published."""

    exit_code = 6


class StrictError(BuildPushError):
    """Refused because of ``--strict``, or of ``# check=error=true`` in the Dockerfile."""

    exit_code = 7


class TimeOutError(BuildPushError):
    """A time limit was reached."""

    exit_code = 124


class CancelledError(BuildPushError):
    """The run was interrupted and has cleaned up after itself."""

    exit_code = 130

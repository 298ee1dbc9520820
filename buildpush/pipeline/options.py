"""The options of a push or a copy of an existing image."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import get_args

from buildpush.foundation.errors import BadNameError, SettingsError, UnsupportedError
from buildpush.foundation.limits import LONGEST
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import Secret
from buildpush.images.model import Compression, MediaTypes, Platform
from buildpush.images.references import check_host
from buildpush.transfer.driver import Packing


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyOptions:
    """The options of a push or a copy; by default an image arrives unchanged.

    Attributes:
        compression: of layers that are not compressed yet; the manifest is rewritten.
        media_types: of the manifest; likewise.
        platform: which image of an index; ``None`` for all.
        referrers: whether signatures, SBOMs and attestations of the image go with it.
        allow_nondistributable_artifacts: whether layers that are usually fetched from their vendor are copied as well:
            from the source, or from the addresses in the manifest if the source does not have them.
        username: for the registry that is written to, or read from if none is written to.
        password: a ``Secret``, or a reference to it: ``env:NAME``, ``file:PATH``, ``secret:ID``.
        connector_ref: the only connector to use; without it, each is used for its own host.
        insecure: whether the registry that is written to, or else read from, may have any certificate, or no TLS.
        insecure_registry: other hosts for which that holds.
        timeout: after which the command is aborted, as text (``10m``) or a timedelta; ``None`` for no limit.
    """

    compression: str | None = None
    media_types: str | None = None
    platform: str | None = None
    referrers: bool = False
    allow_nondistributable_artifacts: bool = False
    username: str | None = None
    password: Secret | str | None = None
    connector_ref: str | None = None
    insecure: bool = False
    insecure_registry: Sequence[str] = ()
    timeout: timedelta | str | None = None

    def packing(self) -> Packing:
        """Return how to pack; every option about the image is checked."""
        check_text(
            compression=self.compression,
            media_types=self.media_types,
            platform=self.platform,
            username=self.username,
            connector_ref=self.connector_ref,
        )
        self.image_platform()
        _check_choice("compression", self.compression, get_args(Compression))
        _check_choice("media_types", self.media_types, get_args(MediaTypes))
        if self.compression == "zstd" and self.media_types == "docker":
            message = "Docker's media types do not include zstd"
            raise UnsupportedError(message, hint="use media types 'oci', or compression 'gzip'", setting="compression")
        return Packing(self.compression, self.media_types)  # type: ignore[arg-type]  # checked above

    def image_platform(self) -> Platform | None:
        """Return the platform of the image to take from an index; ``None`` for all."""
        return Platform.parse(self.platform) if self.platform else None

    def limit(self) -> timedelta | None:
        """Return the time limit, or ``None``."""
        if self.timeout is not None and not isinstance(self.timeout, timedelta):
            from buildpush.settings.kinds import duration_of

            try:
                return duration_of(str(self.timeout))
            except ValueError as error:
                hint = "write it as 10m, 1h 30m or 45s"
                raise SettingsError(str(error), hint=hint, setting="timeout") from None
        if self.timeout is not None and not timedelta() < self.timeout <= LONGEST:
            message = f"the timeout {self.timeout} is out of range"
            raise SettingsError(message, hint="give a timedelta above zero and below ten years", setting="timeout")
        return self.timeout

    def insecure_hosts(self, own: Iterable[str]) -> frozenset[str]:
        """Return the hosts that may have any certificate, or no TLS; *own* are those that ``insecure`` is about."""
        named = self.insecure_registry
        if not isinstance(self.insecure, bool):
            message = f"insecure is {self.insecure!r}, and neither True nor False"
            raise SettingsError(message, hint="name other hosts with insecure_registry=[HOST]", setting="insecure")
        if isinstance(named, str) or not isinstance(named, Collection):
            kind = "text" if isinstance(named, str) else f"a {type(named).__name__}"
            message = f"insecure_registry is {named!r}, which is {kind} and not a list of hosts"
            raise SettingsError(message, hint="write a list: insecure_registry=[HOST]", setting="insecure_registry")
        try:
            # An empty host would match every host without a port.
            return frozenset(own if self.insecure else ()) | {check_host(host) for host in named}
        except BadNameError as error:
            setting, flag = "insecure_registry", "--insecure-registry"
            raise SettingsError(str(error), hint=error.hint, setting=setting, where=flag) from error


def check_text(**values: object) -> None:
    """Refuse values that are not text, such as a path or a number.

    Raises:
        SettingsError: names the first of *values* that is neither text nor ``None``.
    """
    for name, value in values.items():
        if value is not None and not isinstance(value, str):
            message = f"{name} is of the type {type(value).__name__}, and takes text"
            raise SettingsError(message, hint="write it in quotation marks", setting=name)


def _check_choice(setting: str, value: str | None, choices: Sequence[str]) -> None:
    if value is not None and value not in choices:
        message = f"{setting} is {value!r}, which is not supported"
        raise SettingsError(message, hint=f"write one of {', '.join(choices)}", setting=setting)

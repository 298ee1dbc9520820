"""Reads and checks the certificates of authorities that settings name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from buildpush.credentials.vault import LARGEST
from buildpush.http.urls import EVERY_HOST
from buildpush.settings.resolved import ResolveContext
from buildpush.settings.words import relative_hint

_OF_THE_RUN: Final = "HARNESS_CA_PATH"


def with_every_host(authorities: Mapping[str, str], path: str | None, ctx: ResolveContext) -> dict[str, str]:
    """Return *authorities* by host, with the certificates in the file *path* for every host.

    Those that the environment names are left out: the whole run trusts them anyway.

    Raises:
        SettingsError: they cannot be read.
    """
    if not path or ctx.where("ca_path") == _OF_THE_RUN:
        return dict(authorities)
    every = authority_in(path, "ca_path", ctx)
    return {**{host: f"{text}\n{every}" for host, text in authorities.items()}, EVERY_HOST: every}


def authorities_in(paths: Mapping[str, str], name: str, ctx: ResolveContext) -> dict[str, str]:
    """Return the certificates in the files that the setting *name* gives, as PEM text, by host in lower case.

    Raises:
        SettingsError: they cannot be read, or one host is named twice.
    """
    certificates: dict[str, str] = {}
    for host, path in paths.items():
        if host.lower() in certificates:
            message = f"{name} names {host.lower()} twice"
            raise ctx.fail(message, name, "put the certificates of both into one file")
        certificates[host.lower()] = authority_in(path, name, ctx)
    return certificates


def authority_in(path: str, name: str, ctx: ResolveContext) -> str:
    """Return the certificates in the file *path* that the setting *name* gives, as PEM text.

    Raises:
        SettingsError: they cannot be read, are larger than 1 MiB, or come from a pipe.
    """
    try:
        if (ctx.cwd / path).is_fifo():  # the next step would find it empty, or wait for its writer
            message = f"{name} {path!r} is a pipe, which can be read only once"
            raise ctx.fail(message, name, "write the certificates into a file: each step reads them")
        with (ctx.cwd / path).open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        message = f"{name} {path!r} cannot be read: {error.strerror}"
        raise ctx.fail(message, name, relative_hint(ctx.cwd)) from error
    if len(data) > LARGEST:
        message = f"{name} {path!r} is larger than 1 MiB"
        raise ctx.fail(message, name, "name a file with only the certificates of that host's authority")
    # Bundles have comments in any language; between the lines of a certificate is only ASCII.
    return checked_authority(data.decode("ascii", "ignore"), name, ctx)


def checked_authority(text: str, name: str, ctx: ResolveContext) -> str:
    """Return the PEM *text* that the setting *name* gives, if it can be trusted.

    Raises:
        SettingsError: it is not a certificate of an authority.
    """
    from buildpush.http.tls import authority_fault

    if fault := authority_fault(text):
        message = f"{name} {fault}"
        raise ctx.fail(message, name, "give the PEM text of the authority's certificate, and nothing else")
    return text

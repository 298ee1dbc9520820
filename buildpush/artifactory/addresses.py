"""Addresses of an Artifactory and of its content, made from untrusted names."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from buildpush.foundation.errors import BuildInfoError, SettingsError
from buildpush.http.client import Http
from buildpush.http.urls import Address, AddressError, user_info
from buildpush.images.references import check_host


def base_url(text: str, http: Http) -> str:
    """Return *text* as the address of an Artifactory, ending in ``/artifactory/``.

    Also accepted are the platform's address, a page of its interface, an address below ``/artifactory/``, and a host
    alone, which means https except for this machine and insecure hosts.

    Raises:
        SettingsError: it is not an http address, contains a password, or would send credentials without TLS.
    """
    text = text.strip() if "://" in text else f"{http.first_scheme(text.strip().partition('/')[0])}://{text.strip()}"
    if user_info(text):
        message = "the address of Artifactory contains a user or password"
        hint = "remove them from the address, and give them by reference with the settings for credentials"
        raise SettingsError(message, hint=hint, setting="artifactory_url")
    address = _read(text)
    host = check_host(address.netloc)
    if address.scheme == "http" and http.first_scheme(host) != "http":
        message = f"credentials are not sent to {host} without TLS"
        hint = "write https://; or, for a host that you trust, use a connector with http:// in its dockerRegistryUrl"
        raise SettingsError(message, hint=hint, setting="artifactory_url")
    return f"{address.scheme}://{host}{_path_before_artifactory(address.path)}/artifactory/"


def _read(text: str) -> Address:
    try:
        return Address.parse(text)
    except AddressError as error:
        message = "this is not the address of an Artifactory"
        hint = "write https://HOST/artifactory/"
        raise SettingsError(message, hint=hint, setting="artifactory_url") from error


def _path_before_artifactory(path: str) -> str:
    """Return the part of *path* before Artifactory's own, such as a proxy's prefix."""
    names = [name for name in path.split("/") if name]
    for mark in ("artifactory", "ui"):
        if mark in names:
            names = names[: names.index(mark)]
    return "".join(f"/{name}" for name in names)


def segments(*names: str) -> str:
    """Return *names* as path segments: slashes, colons, blanks and percent signs inside a name are escaped.

    Raises:
        BuildInfoError: a name would lead to another path; documents are untrusted.
    """
    if {"", ".", ".."} & set(names):
        message = f"{'/'.join(names)!r} is not a path in a repository"
        raise BuildInfoError(message)
    return "/".join(quote(name, safe="") for name in names)


def property_query(properties: Mapping[str, str]) -> str:
    """Return *properties* as the query of ``api/storage`` has them."""
    return "%3B".join(f"{quote(name, safe='')}={_property_value(value)}" for name, value in properties.items())


def _property_value(value: str) -> str:
    """Escape a value: a comma would begin a second value, a semicolon or bar a second property."""
    return quote("".join(f"\\{mark}" if mark in "\\,|=;" else mark for mark in value), safe="")


def query_of(**pairs: str | None) -> str:
    """Return a query of those *pairs* that have a value."""
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs.items() if value)
    return f"?{query}" if query else ""

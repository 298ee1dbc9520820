"""Who we are at the registries of a push or a copy: connectors, flags, the variables of a step, in this order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from buildpush.credentials.docker import Credential
from buildpush.credentials.pairing import host_of, login_pair, registry_host
from buildpush.credentials.vault import REFERENCE_HINT, Vault, is_expression, is_reference
from buildpush.foundation.errors import SecretError, SettingsError
from buildpush.foundation.events import Note
from buildpush.foundation.secrets import Secret
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.options import CopyOptions

if TYPE_CHECKING:
    from buildpush.credentials.connectors import Connector, Connectors

_VARIABLE: Final = "PLUGIN_PASSWORD"
_REGISTRY: Final = "PLUGIN_REGISTRY"
_LOGIN: Final = ("PLUGIN_USERNAME", _VARIABLE)


def find_logins(
    options: CopyOptions, destinations: Sequence[str], sources: Sequence[str], context: RunContext
) -> tuple[dict[str, Credential], frozenset[str]]:
    """Return who we are, by host, and the hosts that are reached without TLS, as their connectors say."""
    _note_variables(context)
    connectors = _connectors(context, options)
    chosen = _chosen(options, connectors, {*sources, *destinations}) if connectors else {}
    ours = _ours(options, destinations, sources, context)
    logins = _logins(options, chosen, ours, context, connectors)
    return logins, frozenset(host for host, connector in chosen.items() if connector.plain_http)


def _note_variables(context: RunContext) -> None:
    """Say which variables of a step have no say here: only the login is read."""
    left = sorted(name for name in context.env if name.startswith("PLUGIN_") and name not in {*_LOGIN, _REGISTRY})
    if left:
        context.log(Note(f"variables of a step say nothing here: {', '.join(left)}; use flags"))


def _connectors(context: RunContext, options: CopyOptions) -> Connectors | None:
    """Return the connectors, or ``None`` where nobody speaks of any: reading YAML takes longer than many a push."""
    if context.connectors_file is None and options.connector_ref is None:
        return None
    return context.connectors


def _chosen(options: CopyOptions, connectors: Connectors, hosts: set[str]) -> dict[str, Connector]:
    """Return the connector of each host."""
    entries = (connectors.find(options.connector_ref),) if options.connector_ref else connectors.entries
    found: dict[str, Connector] = {}
    for host in sorted(hosts):
        fitting = _nearest([entry for entry in entries if entry.serves(host)])
        if len(fitting) > 1:
            names = ", ".join(entry.identifier for entry in fitting)
            message = f"several connectors are for {host}: {names}"
            raise SettingsError(message, hint="choose one with --connector-ref", setting="connector_ref")
        if fitting:
            found[host] = fitting[0]
    if options.connector_ref and not found:
        message = f"the connector {options.connector_ref!r} is for {entries[0].host}, and nothing here is there"
        raise SettingsError(message, setting="connector_ref", where=entries[0].where)
    return found


def _nearest(entries: list[Connector]) -> list[Connector]:
    """Return the entries of the longest host: one for ``docker.acme.io`` comes before one for ``acme.io``."""
    longest = max((len(entry.host) for entry in entries), default=0)
    return [entry for entry in entries if len(entry.host) == longest]


def _ours(
    options: CopyOptions, destinations: Sequence[str], sources: Sequence[str], context: RunContext
) -> tuple[str, ...]:
    """Return the hosts that user and password are for: those written to, or what the variables say of themselves."""
    by_flags = options.username is not None or options.password is not None
    registry = context.env.get(_REGISTRY)
    if by_flags or not registry or not all(map(context.env.get, _LOGIN)):
        return tuple(destinations or sources)
    try:
        bound = host_of(registry_host(registry))
    except SettingsError as error:
        raise SettingsError(str(error), hint=error.hint, setting="registry", where=_REGISTRY) from error
    found = tuple(host for host in dict.fromkeys((*destinations, *sources)) if host_of(host) == bound)
    if not found:
        context.log(Note(f"{_VARIABLE} is for {bound}, which {_REGISTRY} names, and nothing here is there"))
    return found


def _logins(
    options: CopyOptions,
    chosen: dict[str, Connector],
    ours: Sequence[str],
    context: RunContext,
    connectors: Connectors | None,
) -> dict[str, Credential]:
    """Return who we are, by host; what is not here is looked up in Docker's own files."""
    vault = Vault(context.env, context.cwd, context.secrets_directory, connectors.references if connectors else {})
    vault.remember()
    logins = {host: connector.credential(vault) for host, connector in chosen.items() if connector.password}
    said = _said(options, vault)
    for note in _lookups_in_vain(
        options, context, has_entries=bool(connectors and connectors.entries), is_chosen=bool(chosen)
    ):
        context.log(Note(note))
    if said is None:
        return logins
    if note := _logins_in_vain(said.source, ours, chosen, context.env):
        context.log(Note(note))
    if said.source == _VARIABLE:  # meant for a step; it does not come before a connector, nor stand in its way
        ours = [host for host in ours if host not in logins]
    if len(ours) > 1:
        message = f"one user and password would go to several hosts: {', '.join(ours)}"
        raise SettingsError(message, hint="push to one host at a time, or name connectors", setting="username")
    return logins | dict.fromkeys(ours, said)


def _logins_in_vain(source: str, ours: Sequence[str], chosen: Mapping[str, Connector], env: Mapping[str, str]) -> str:
    """Return which login has no effect, if one has none: that of *source*, which is for *ours*, or a connector's."""
    if not ours and not (source == _VARIABLE and env.get(_REGISTRY)):  # of which a note has told
        return f"username and password, from {source}, have no effect: no registry is asked for anything"
    if source != _VARIABLE and (beaten := [chosen[host].identifier for host in ours if host in chosen]):
        return f"the login of the connector {beaten[0]} has no effect: username and password come first"
    return ""


def _lookups_in_vain(options: CopyOptions, context: RunContext, *, has_entries: bool, is_chosen: bool) -> Iterator[str]:
    """Yield which places to look things up have no effect."""
    asks = isinstance(options.password, str) and "secret" in options.password
    if has_entries and not is_chosen:
        yield f"connectors has no effect: {context.connectors_file} has none for a registry that is asked for anything"
    if context.secrets_directory and not is_chosen and not asks:
        yield f"secrets has no effect: nothing asks for one in {context.secrets_directory}"


def _said(options: CopyOptions, vault: Vault) -> Credential | None:
    """Return who we are as flags say, else as the variables that a step would read."""
    if options.username is None and options.password is None:
        name, word = map(vault.env.get, _LOGIN)
        return Credential(name, Secret(word, _VARIABLE), _VARIABLE) if name and word else None
    pair = login_pair(options.username, options.password)
    if pair is None:
        message = "username is empty"
        raise SettingsError(message, hint="set both username and password, or neither", setting="username")
    username, password = pair
    if isinstance(password, Secret):
        return Credential(username, password, "password")
    if not is_reference(password) and not is_expression(password):
        message = "a secret stands here as plain text"
        raise SecretError(message, where="--password", hint=REFERENCE_HINT)
    return Credential(username, vault.reference(password, "--password"), "--password")

"""The credentials of a push or a copy: from connectors, flags, and the variables of a step, in this order."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from buildpush.credentials.docker import Credential
from buildpush.credentials.pairing import host_of, login_pair, registry_host, safe_schemes
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


def find_credentials(
    options: CopyOptions, destinations: Sequence[str], sources: Sequence[str], context: RunContext
) -> tuple[dict[str, Credential], dict[str, str]]:
    """Return the credentials by host, and the schemes of hosts as their addresses are written.

    Hosts that are left out are looked up in Docker's own files.
    """
    for note in _unused_variables(context.env):
        context.log(Note(note))
    connectors = _connectors(options, context)
    chosen = choose_connectors(options.connector_ref, connectors, {*sources, *destinations}) if connectors else {}
    hosts = _hosts(options, destinations, sources, context)
    references = connectors.references if connectors else {}
    vault = Vault(context.env, context.cwd, context.secrets_directory, references)
    vault.remember()
    by_host = {host: connector.credential(vault) for host, connector in chosen.items() if connector.password}
    given = _given(options, vault)
    has_entries = bool(connectors and connectors.entries)
    for note in (
        *_unused_lookups(options, context, has_entries=has_entries, is_chosen=bool(chosen)),
        *(_unused_credentials(given, hosts, chosen, context.env) if given else ()),
    ):
        context.log(Note(note))
    if given and given.source == _VARIABLE:  # meant for a step: it neither overrides a connector nor conflicts with it
        hosts = [host for host in hosts if host not in by_host]
    if given and len(hosts) > 1:
        message = f"one user and password would go to several hosts: {', '.join(hosts)}"
        raise SettingsError(message, hint="push to one host at a time, or name connectors", setting="username")
    schemes = safe_schemes((context.env.get(_REGISTRY), context.env.get("JF_URL")))
    schemes |= {host: connector.url.partition("://")[0] for host, connector in chosen.items()}
    return by_host | (dict.fromkeys(hosts, given) if given else {}), schemes


def _unused_variables(env: Mapping[str, str]) -> Iterator[str]:
    """Yield a note about variables of a step that are not read here: only those of the login are."""
    unused = sorted(name for name in env if name.startswith("PLUGIN_") and name not in {*_LOGIN, _REGISTRY})
    if unused:
        yield f"these variables of a step are not read here: {', '.join(unused)}; use flags"


def _connectors(options: CopyOptions, context: RunContext) -> Connectors | None:
    """Return the connectors, or ``None`` if none are given: reading YAML takes longer than a small push."""
    return context.connectors if context.connectors_file or options.connector_ref else None


def choose_connectors(only: str | None, connectors: Connectors, hosts: Collection[str]) -> dict[str, Connector]:
    """Return the connector of each host: the one for the longest matching host, or the *only* one that may be used."""
    entries = (connectors.find(only),) if only else connectors.entries
    chosen: dict[str, Connector] = {}
    for host in sorted(hosts):
        serving = [one for one in entries if one.serves(host)]
        longest = max((len(one.host) for one in serving), default=0)
        serving = [one for one in serving if len(one.host) == longest]
        if len(serving) > 1:
            names = ", ".join(one.identifier for one in serving)
            message = f"several connectors are for {host}: {names}"
            raise SettingsError(message, hint="choose one with --connector-ref", setting="connector_ref")
        if serving:
            chosen[host] = serving[0]
    if only and not chosen:
        message = f"the connector {only!r} is for {entries[0].host}, which is not a host of this command"
        raise SettingsError(message, setting="connector_ref", where=entries[0].where)
    return chosen


def _hosts(
    options: CopyOptions, destinations: Sequence[str], sources: Sequence[str], context: RunContext
) -> Sequence[str]:
    """Return the hosts that user and password are for: those written to, or the one that the variables name."""
    by_flags = options.username is not None or options.password is not None
    registry = context.env.get(_REGISTRY)
    if by_flags or not registry or not all(map(context.env.get, _LOGIN)):
        return destinations or sources
    try:
        bound = host_of(registry_host(registry))
    except SettingsError as error:
        raise SettingsError(str(error), hint=error.hint, setting="registry", where=_REGISTRY) from error
    hosts = [host for host in dict.fromkeys((*destinations, *sources)) if host_of(host) == bound]
    if not hosts:
        text = f"{_VARIABLE} is for {bound}, which {_REGISTRY} names, and which is not a host of this command"
        context.log(Note(text))
    return hosts


def _unused_credentials(
    given: Credential, hosts: Sequence[str], chosen: Mapping[str, Connector], env: Mapping[str, str]
) -> Iterator[str]:
    """Yield a note for a credential without effect: the *given* one, which is for *hosts*, or one of a connector."""
    if not hosts and not (given.source == _VARIABLE and env.get(_REGISTRY)):  # which a note has reported
        yield f"username and password, from {given.source}, have no effect: no request goes to a registry"
    overridden = [chosen[host].identifier for host in hosts if host in chosen]
    if given.source != _VARIABLE and overridden:
        yield f"the login of the connector {overridden[0]} has no effect: username and password come first"


def _unused_lookups(options: CopyOptions, context: RunContext, *, has_entries: bool, is_chosen: bool) -> Iterator[str]:
    """Yield a note for secrets and for connectors without effect."""
    asks = isinstance(options.password, str) and "secret" in options.password
    if has_entries and not is_chosen:
        yield f"connectors has no effect: {context.connectors_file} has none for a registry of this command"
    if context.secrets_directory and not is_chosen and not asks:
        yield f"secrets has no effect: no secret of {context.secrets_directory} is used"


def _given(options: CopyOptions, vault: Vault) -> Credential | None:
    """Return the credential that the flags give, or else the variables that a step would read."""
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
    return Credential(username, follow_flag("--password", password, vault), "--password")


def follow_flag(flag: str, text: Secret | str, vault: Vault) -> Secret:
    """Return the secret that a flag refers to; a plain word may be the secret itself, and is not looked up."""
    if isinstance(text, Secret):
        return text
    if not isinstance(text, str) or not (is_reference(text) or is_expression(text)):
        message = "the secret is given as plain text"
        raise SecretError(message, where=flag, hint=REFERENCE_HINT)
    return vault.reference(text, flag)

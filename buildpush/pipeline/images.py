"""Images that are there already: pushed, copied, merged, given more names. Nothing is built or changed unasked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, get_args

from buildpush.credentials.docker import Credential
from buildpush.credentials.pairing import host_of, login_pair, registry_host
from buildpush.credentials.vault import REFERENCE_HINT, Vault, is_expression, is_reference
from buildpush.foundation.errors import BadNameError, SecretError, SettingsError, UnsupportedError
from buildpush.foundation.events import Note, Sink
from buildpush.foundation.limits import LONGEST, time_limit
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import Secret
from buildpush.images.manifests import compression_of, without_manifest
from buildpush.images.model import (
    Compression,
    Image,
    Index,
    MediaTypes,
    Platform,
    PushedImage,
    PushedIndex,
    is_nondistributable,
)
from buildpush.images.references import Digest, Reference, Tag, check_host
from buildpush.images.referrers import Referrer
from buildpush.pipeline.connection import access_of, keychain_of, note_never_trusted, open_http, open_memory
from buildpush.pipeline.results import RunResult
from buildpush.pipeline.session import Session, Story
from buildpush.registry import push as registry
from buildpush.registry.client import Registry
from buildpush.registry.receipt import receipt
from buildpush.transfer import TRANSPORTS, Location
from buildpush.transfer.destinations import check_destination, check_packing, write
from buildpush.transfer.driver import Access, Packing, WriteOptions
from buildpush.transfer.parse import parse, reference_of
from buildpush.transfer.sources import find_referrers, open_source

if TYPE_CHECKING:
    from buildpush.credentials.connectors import Connector, Connectors

_VARIABLE: Final = "PLUGIN_PASSWORD"
_REGISTRY: Final = "PLUGIN_REGISTRY"
_LOGIN: Final = ("PLUGIN_USERNAME", _VARIABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What may be said about a push or a copy; by default an image arrives as it is.

    Attributes:
        compression: of layers that are not compressed yet; saying it writes the manifest anew.
        media_types: of the manifest; likewise.
        platform: which image of an index; ``None`` for all.
        referrers: whether what is said about the image goes with it: signatures, SBOMs, attestations.
        allow_nondistributable_artifacts: whether layers go along whose media type says that they are fetched from
            their maker: from the source, or from the addresses in the manifest where it has them not.
        username: for the registry that is written to, or read from where none is written to.
        password: a ``Secret``, or where it is: ``env:NAME``, ``file:PATH``, ``secret:ID``.
        connector_ref: the only connector to use; without it each counts for its own host.
        insecure: hosts spoken to with TLS and no look at the certificate, or without TLS where they speak none.
        timeout: after which all of it is ended, as text (``10m``) or as it is; ``None`` for as long as it takes.
    """

    compression: str | None = None
    media_types: str | None = None
    platform: str | None = None
    referrers: bool = False
    allow_nondistributable_artifacts: bool = False
    username: str | None = None
    password: Secret | str | None = None
    connector_ref: str | None = None
    insecure: Sequence[str] = ()
    timeout: timedelta | str | None = None

    def packing(self) -> Packing:
        """Return how to pack.

        Raises:
            SettingsError: there is no such compression, or no such media types.
        """
        _check_choice("compression", self.compression, get_args(Compression))
        _check_choice("media_types", self.media_types, get_args(MediaTypes))
        if self.compression == "zstd" and self.media_types == "docker":
            message = "Docker's media types know no zstd"
            raise UnsupportedError(message, hint="use media types 'oci', or compression 'gzip'", setting="compression")
        return Packing(self.compression, self.media_types)  # type: ignore[arg-type]  # checked above

    def limit(self) -> timedelta | None:
        """Return how long it may take.

        Raises:
            SettingsError: it is no duration, or one of nothing.
        """
        if isinstance(self.timeout, str):
            from buildpush.settings.kinds import duration_of

            try:
                return duration_of(self.timeout)
            except ValueError as error:
                hint = "write it as 10m, 1h 30m or 45s"
                raise SettingsError(str(error), hint=hint, setting="timeout") from None
        if self.timeout is not None and not timedelta() < self.timeout <= LONGEST:
            message = f"a timeout of {self.timeout} is none"
            raise SettingsError(message, hint="give a timedelta of more than nothing", setting="timeout")
        return self.timeout


def _check_choice(setting: str, value: str | None, choices: Sequence[str]) -> None:
    if value is not None and value not in choices:
        message = f"{setting} is {value!r}"
        raise SettingsError(message, hint=f"write one of {', '.join(choices)}", setting=setting)


def push(source: str, references: Sequence[str], wishes: Wishes, session: Session) -> RunResult:
    """Push what is at *source*, and let every one of *references* name it.

    Raises:
        SettingsError: something is not written as it must be.
        PushError: the source cannot be read, or a registry does not take it; the message says which names stand.
        AuthenticationError: a registry refuses the credentials.
    """
    origin, names = parse(source), [reference_of(text) for text in references]
    if not names:
        message = "nobody says where the image goes"
        raise SettingsError(message, hint="name at least one HOST/REPOSITORY:TAG after the source")
    packing, platform = wishes.packing(), _platform(wishes)
    if wishes.referrers:
        _check_referrers(packing, origin)
    story = Story(session.sink)
    with _reached(wishes, _hosts(origin), names, session, story) as access:
        _check_rights(access.registry, names, story)
        with story.phase("push", ", ".join(map(str, names))), _opened(origin, access, wishes, platform) as found:
            target = as_wished(found, packing, story)
            referrers = find_referrers(target, origin, access) if wishes.referrers else None
            pushed = registry.push(
                target,
                names,
                access.registry,
                compression=packing.compression or "gzip",
                media_types=packing.media_types or "oci",
                checksums=False,
                referrers=referrers or (),
                sink=story,
            )
    return _result(f"push {origin}", story, pushed=pushed, referrers=referrers)


def copy(source: str, destination: str, wishes: Wishes, session: Session) -> RunResult:
    """Bring what is at *source* to *destination*.

    Raises:
        SettingsError: something is not written as it must be, or the destination cannot hold the image.
        BuildError: a file cannot be written.
        PushError: the source cannot be read, or the destination does not take it.
        AuthenticationError: a registry refuses the credentials.
    """
    origin, goal = parse(source), parse(destination)
    packing, platform = wishes.packing(), _platform(wishes)
    check_destination(goal)
    check_packing(packing, goal)
    if wishes.referrers:
        _check_referrers(packing, origin, goal)
    names = [goal.reference] if goal.repository and goal.reference else []
    story = Story(session.sink)
    with _reached(wishes, _hosts(origin), names, session, story) as access:
        _check_rights(access.registry, names, story)
        with story.phase("copy", f"{origin} to {goal}"), _opened(origin, access, wishes, platform) as found:
            target = as_wished(found, packing, story)
            referrers = find_referrers(target, origin, access) if wishes.referrers else None
            called = origin.names or ((origin.name,) if origin.name else ())  # as its source was named
            written = write(target, goal, access, WriteOptions(called, packing, referrers or (), story))
    if isinstance(written, PushedImage | PushedIndex):
        return _result(f"copy {origin}", story, pushed=written, referrers=referrers)
    return _result(f"copy {origin}", story, output=str(goal), digest=written, referrers=referrers)


def _opened(
    origin: Location, access: Access, wishes: Wishes, platform: Platform | None = None
) -> AbstractContextManager[Image | Index]:
    return open_source(origin, access, platform, nondistributable=wishes.allow_nondistributable_artifacts)


def merge(reference: str, sources: Sequence[str], wishes: Wishes, session: Session) -> RunResult:
    """Make one index of the images at *sources*, one for each platform, and let *reference* name it.

    Raises:
        SettingsError: something is not written as it must be, or two images are for the same platform.
        PushError: a source cannot be read, or the registry does not take it.
        AuthenticationError: a registry refuses the credentials.
    """
    name, origins, packing = reference_of(reference), [parse(source) for source in sources], wishes.packing()
    if not origins:
        message = f"nobody says which images {name} is to have"
        raise SettingsError(message, hint="name one source for each platform after the reference")
    hosts = tuple(host for origin in origins for host in _hosts(origin))
    story = Story(session.sink)
    with _reached(wishes, hosts, [name], session, story) as access, ExitStack() as stack:
        _check_rights(access.registry, [name], story)
        with story.phase("merge", str(name)):
            found = {one: stack.enter_context(_opened(one, access, wishes)) for one in dict.fromkeys(origins)}
            pushed = registry.push(
                _merged(found, story),
                [name],
                access.registry,
                media_types=packing.media_types or "oci",
                checksums=False,
                sink=story,
            )
    return _result(f"merge {name}", story, pushed=pushed)


def _merged(found: Mapping[Location, Image | Index], sink: Sink) -> Index:
    """Return one index of all images, those of an index among them."""
    images: dict[Platform, tuple[Location, Image]] = {}
    for origin, target in found.items():
        parts = target.images if isinstance(target, Index) else (target,)
        if not all(part.platform.runs for part in parts):
            sink(Note(f"{origin}: attestations stay behind, because only their own index says what they are about"))
        for part in parts:
            if not part.platform.runs:
                continue
            if part.platform in images:
                message = f"{images[part.platform][0]} and {origin} both have an image for {part.platform}"
                raise SettingsError(message, hint="name one source for each platform", setting="platforms")
            images[part.platform] = (origin, part)
    if not images:
        message = f"there is no image in {', '.join(map(str, found))}"
        raise SettingsError(message, hint="name one source for each platform")
    return Index(tuple(image for _, image in images.values()))


def tag(reference: str, tags: Sequence[str], wishes: Wishes, session: Session) -> RunResult:
    """Give the image that *reference* names more *tags* in its repository; no blob moves.

    Raises:
        SettingsError: something is not written as it must be.
        PushError: it is not there, or a tag is not taken; the message says which were.
        AuthenticationError: the registry refuses the credentials.
    """
    old = reference_of(reference)
    names = [old.repository.tagged(_tag(text, old)) for text in tags]
    if not names:
        message = f"nobody says what else {old} is to be called"
        raise SettingsError(message, hint="name at least one tag after the reference")
    story = Story(session.sink)
    with _reached(wishes, (), [old], session, story) as access, story.phase("tag", ", ".join(map(str, names))):
        found = receipt(old, access.registry)
        registry.name(found.manifest, found.media_type, names, access.registry, story)
    return _result(f"tag {old}", story, pushed=replace(found, references=tuple(names)))


def _tag(text: str, old: Reference) -> Tag:
    alone = text.rpartition(":")[2]
    if "/" in text:
        message = f"{text!r} is not a tag"
        hint = f"write what {old.repository} is to have alone: {alone}; for another repository use push docker://{old}"
        raise BadNameError(message, hint=hint)
    return Tag(text)


def _platform(wishes: Wishes) -> Platform | None:
    return Platform.parse(wishes.platform) if wishes.platform else None


def _hosts(location: Location) -> tuple[str, ...]:
    return (location.repository.host,) if location.repository else ()


def _check_referrers(packing: Packing, *locations: Location) -> None:
    """Refuse to take referrers along where there can be none, or where they would be about another image.

    Raises:
        UnsupportedError: naming the location, or what would change the image.
    """
    keepers = ", ".join(f"{row.name}:" for row in TRANSPORTS.values() if row.keeps_referrers)
    for location in locations:
        if not location.transport.keeps_referrers:
            message = f"{location.kind}: keeps no referrers"
            raise UnsupportedError(message, hint=f"leave out --referrers, or take one of {keepers}")
    for setting in ("compression", "media_types"):
        if getattr(packing, setting) is not None:
            message = f"referrers name the image by its digest, which {setting} changes"
            raise UnsupportedError(message, hint="leave out one of the two", setting=setting)


def _check_rights(registry: Registry, names: Sequence[Reference], story: Story) -> None:
    """Ask for the right to push before anything is read: a wrong password then costs no export."""
    if names:
        with story.phase("preflight"):
            for repository in dict.fromkeys(name.repository for name in names):
                registry.check_push(repository)


def as_wished(found: Image | Index, packing: Packing, sink: Sink) -> Image | Index:
    """Return the image without its manifest where a wish changes it, and say what that means."""
    if packing.compression is None and packing.media_types is None:
        return found
    images = found.images if isinstance(found, Index) else (found,)
    if isinstance(found, Index) and not all(image.platform.runs for image in images):
        message = "the index holds attestations, which name its images by their digests: it cannot be changed"
        hint = "leave out compression and media types, or choose one image with --platform"
        raise UnsupportedError(message, hint=hint, setting="compression" if packing.compression else "media_types")
    if any(is_nondistributable(layer.media_type) for image in images for layer in image.layers):
        message = "only the manifest of this image says that some of its layers are not distributed"
        hint = "leave out compression and media types: the image then arrives with its manifest"
        raise UnsupportedError(message, hint=hint, setting="compression" if packing.compression else "media_types")
    if any(image.manifest for image in images):
        sink(Note("the manifest is written anew: the digest is not the source's, and annotations are left out"))
    packed = {layer.media_type for image in images for layer in image.layers if layer.compressed}
    if packing.compression and any(compression_of(kind) != packing.compression for kind in packed):
        sink(Note("layers that are compressed already are sent as they are"))
    return without_manifest(found)


@contextmanager
def _reached(
    wishes: Wishes, sources: Sequence[str], names: Sequence[Reference], session: Session, story: Story
) -> Iterator[Access]:
    """Open what the locations need, and close it at the end; Ctrl-C and the time limit break the connections first."""
    limit = wishes.limit()
    session.state.sweep(story)
    _note_variables(session, story)
    connectors = _connectors(session, wishes)
    sinks = tuple(dict.fromkeys(name.repository.host for name in names))
    chosen = _chosen(wishes, connectors, {*sources, *sinks}) if connectors else {}
    ours = _ours(wishes, sinks, sources, session, story)
    logins = _logins(wishes, chosen, ours, session, connectors, story=story)
    plain = frozenset(host for host, connector in chosen.items() if connector.plain_http)
    with ExitStack() as stack:
        http = stack.enter_context(open_http(session, story, plain, _insecure(wishes)))
        memory = open_memory(session, story)
        if memory:
            stack.enter_context(memory)
        client = Registry(http, keychain_of(logins, session), sink=story, memory=memory)
        # The innermost, so that what was confirmed in time is no time-out because of what is tidied up afterwards.
        stack.enter_context(time_limit(limit, story, what="the command", stop=http.cancel))
        try:
            yield access_of(session, client, story)
        except KeyboardInterrupt:
            http.cancel()
            raise
        note_never_trusted(http, story)


def _note_variables(session: Session, story: Story) -> None:
    """Say which variables of a step have no say here: only the login is read."""
    left = sorted(name for name in session.env if name.startswith("PLUGIN_") and name not in {*_LOGIN, _REGISTRY})
    if left:
        story(Note(f"variables of a step say nothing here: {', '.join(left)}; use flags"))


def _insecure(wishes: Wishes) -> frozenset[str]:
    """Return the hosts that are spoken to without TLS.

    Raises:
        SettingsError: one of them is no host; an empty one would be every host that has no port.
    """
    if isinstance(wishes.insecure, str):
        message = f"insecure is {wishes.insecure!r}, which is a text and no list of hosts"
        raise SettingsError(message, hint="write a list: insecure=[HOST]", setting="insecure")
    try:
        return frozenset(check_host(host) for host in wishes.insecure)
    except BadNameError as error:
        raise SettingsError(str(error), hint=error.hint, setting="insecure", where="--insecure") from error


def _connectors(session: Session, wishes: Wishes) -> Connectors | None:
    """Return the connectors, or ``None`` where nobody speaks of any: reading YAML takes longer than many a push."""
    if session.connectors is None and wishes.connector_ref is None:
        return None
    from buildpush.credentials.connectors import Connectors, read_connectors

    return read_connectors(session.connectors) if session.connectors else Connectors()


def _chosen(wishes: Wishes, connectors: Connectors, hosts: set[str]) -> dict[str, Connector]:
    """Return the connector of each host.

    Raises:
        SettingsError: it is not clear which, or the one that was named is for another host.
    """
    entries = (connectors.find(wishes.connector_ref),) if wishes.connector_ref else connectors.entries
    found: dict[str, Connector] = {}
    for host in sorted(hosts):
        fitting = _nearest([entry for entry in entries if _is_for(entry, host.lower())])
        if len(fitting) > 1:
            names = ", ".join(entry.identifier for entry in fitting)
            message = f"several connectors are for {host}: {names}"
            raise SettingsError(message, hint="choose one with --connector-ref", setting="connector_ref")
        if fitting:
            found[host] = fitting[0]
    if wishes.connector_ref and not found:
        message = f"the connector {wishes.connector_ref!r} is for {entries[0].host}, and nothing here is there"
        raise SettingsError(message, setting="connector_ref", where=entries[0].where)
    return found


def _is_for(entry: Connector, host: str) -> bool:
    return host == entry.host or host.endswith(f".{entry.host}")


def _nearest(entries: list[Connector]) -> list[Connector]:
    """Return the entries of the longest host: one for ``docker.acme.io`` comes before one for ``acme.io``."""
    longest = max((len(entry.host) for entry in entries), default=0)
    return [entry for entry in entries if len(entry.host) == longest]


def _ours(
    wishes: Wishes, sinks: Sequence[str], sources: Sequence[str], session: Session, story: Story
) -> tuple[str, ...]:
    """Return the hosts that user and password are for: those written to, or what the variables say of themselves.

    Raises:
        SettingsError: they say something that is no host.
    """
    by_flags = wishes.username is not None or wishes.password is not None
    registry = session.env.get(_REGISTRY)
    if by_flags or not registry or not all(map(session.env.get, _LOGIN)):
        return tuple(sinks or sources)
    try:
        bound = host_of(registry_host(registry))
    except SettingsError as error:
        raise SettingsError(str(error), hint=error.hint, setting="registry", where=_REGISTRY) from error
    found = tuple(host for host in dict.fromkeys((*sinks, *sources)) if host_of(host) == bound)
    if not found:
        story(Note(f"{_VARIABLE} is for {bound}, which {_REGISTRY} names, and nothing here is there"))
    return found


def _logins(
    wishes: Wishes,
    chosen: dict[str, Connector],
    ours: Sequence[str],
    session: Session,
    connectors: Connectors | None,
    *,
    story: Story,
) -> dict[str, Credential]:
    """Return who we are, by host; what is not here is looked up in Docker's own files."""
    vault = Vault(session.env, session.cwd, session.secrets, connectors.references if connectors else {})
    vault.remember()
    logins = {host: connector.credential(vault) for host, connector in chosen.items() if not connector.auth.anonymous}
    said = _said(wishes, vault)
    for note in _lookups_in_vain(
        wishes, session, has_entries=bool(connectors and connectors.entries), is_chosen=bool(chosen)
    ):
        story(Note(note))
    if said is None:
        return logins
    if note := _logins_in_vain(said.source, ours, chosen, session.env):
        story(Note(note))
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


def _lookups_in_vain(wishes: Wishes, session: Session, *, has_entries: bool, is_chosen: bool) -> Iterator[str]:
    """Yield which places to look things up have no effect."""
    asks = isinstance(wishes.password, str) and "secret" in wishes.password
    if has_entries and not is_chosen:
        yield f"connectors has no effect: {session.connectors} has none for a registry that is asked for anything"
    if session.secrets and not is_chosen and not asks:
        yield f"secrets has no effect: nothing asks for one in {session.secrets}"


def _said(wishes: Wishes, vault: Vault) -> Credential | None:
    """Return who we are as flags say, else as the variables that a step would read."""
    if wishes.username is None and wishes.password is None:
        name, word = map(vault.env.get, _LOGIN)
        return Credential(name, Secret(word, _VARIABLE), _VARIABLE) if name and word else None
    pair = login_pair(wishes.username, wishes.password)
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


def _result(
    step: str,
    story: Story,
    *,
    pushed: PushedImage | PushedIndex | None = None,
    output: str | None = None,
    digest: Digest | None = None,
    referrers: Sequence[Referrer] | None = None,
) -> RunResult:
    return RunResult(
        step=step,
        pushed=pushed,
        output=output,
        written=digest,
        referrers=None if referrers is None else len(referrers),
        seconds=story.seconds,
        retries=story.retries,
        traffic=story.traffic,
        decisions=tuple(story.decisions),
        notes=tuple(story.notes),
    )

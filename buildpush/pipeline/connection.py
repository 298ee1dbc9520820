"""The hosts of one step: the registry that is pushed to, and the Artifactory that keeps its build-info."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from buildpush.credentials.docker import Keychain
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.events import Note, Sink
from buildpush.foundation.records import dataclass
from buildpush.foundation.state import NoStateError
from buildpush.http.client import Http
from buildpush.http.download import download
from buildpush.http.tls import certificates_in
from buildpush.images.model import Image, Index, Platform
from buildpush.images.references import Reference
from buildpush.pipeline.session import Session
from buildpush.places import Here, for_logins
from buildpush.registry.client import Registry
from buildpush.registry.memory import Memory
from buildpush.registry.pull import pull
from buildpush.transfer.driver import Access

if TYPE_CHECKING:
    from buildpush.artifactory import Artifactory
    from buildpush.credentials.docker import Credential
    from buildpush.engines import Engines
    from buildpush.settings.resolve import ArtifactoryTarget, Resolved
    from buildpush.transfer.daemon import Daemon


@dataclass(frozen=True, slots=True)
class Connection:
    """What a step talks to; good as long as :func:`connect` is open."""

    http: Http
    keychain: Keychain
    registry: Registry
    artifactory: Artifactory | None
    engines: Engines
    access: Access


@contextmanager
def connect(order: Resolved, session: Session, sink: Sink, *, dry: bool = False) -> Iterator[Connection]:
    """Open what *order* needs and close it at the end; nothing is sent before something is asked for.

    A *dry* connection has no memory of earlier pushes, so that it leaves no file behind.
    """
    with ExitStack() as stack:
        http = stack.enter_context(open_http(session, sink, order.plain_http, order.insecure))
        keychain = keychain_of(order.credentials, session)
        memory = None if dry else open_memory(session, sink)
        if memory:
            stack.enter_context(memory)
        registry = Registry(http, keychain, sink=sink, memory=memory)
        server = _artifactory(order.artifactory, http, keychain, sink)
        engines = _engines(registry, keychain, session, sink, order)
        yield Connection(http, keychain, registry, server, engines, access_of(session, registry, sink))
        if not dry:  # after an error it would say nothing: perhaps nobody came so far
            note_never_trusted(http, sink)


def open_memory(session: Session, sink: Sink) -> Memory | None:
    """Return the memory of earlier pushes, without which all goes well, if it has a place."""
    try:
        return Memory(session.state.memory)
    except NoStateError as error:
        sink(Note(f"nothing is kept on this machine, neither the log nor what was pushed: {error}; {error.hint}"))
    except SettingsError as error:
        sink(Note(f"nothing is remembered from push to push: {error}"))
    return None


def open_http(
    session: Session, sink: Sink, plain: frozenset[str] = frozenset(), insecure: frozenset[str] = frozenset()
) -> Http:
    """Return connections that follow the proxies and certificates of the session's environment.

    Hosts in *plain* are spoken to without TLS, those in *insecure* only where they speak none.
    """
    return Http(
        ca_files=certificates_in(session.env),
        proxies=session.env,
        insecure_hosts=insecure,
        plain_hosts=plain,
        sink=sink,
    )


def note_never_trusted(http: Http, sink: Sink) -> None:
    """Tell *sink* which hosts were declared insecure in vain: their names may be written wrongly."""
    for host in http.never_trusted:
        sink(Note(f"insecure has no effect on {host}: nobody spoke to it"))


def keychain_of(given: Mapping[str, Credential], session: Session) -> Keychain:
    """Return the keychain that knows the *given* credentials first, and then what people keep in their own files."""
    return Keychain(given, env=session.env, home=session.home, place=Here(session.env, passes=for_logins))


def access_of(session: Session, registry: Registry, sink: Sink) -> Access:
    """Return what sources and destinations are reached with; the daemon is connected to when it is needed."""

    def daemon() -> AbstractContextManager[Daemon]:
        from buildpush.transfer.daemon import open_daemon

        return open_daemon(session.env, session.state.scratch, registry.memory, sink)

    return Access(registry, daemon, session.cwd)


def _artifactory(target: ArtifactoryTarget | None, http: Http, keychain: Keychain, sink: Sink) -> Artifactory | None:
    return open_artifactory(target, http, keychain, sink) if target else None


def open_artifactory(target: ArtifactoryTarget, http: Http, keychain: Keychain, sink: Sink) -> Artifactory:
    """Return the client of *target*; who has said no credential for it is who pushes to its host."""
    from buildpush.artifactory import Artifactory

    return Artifactory(target.url, http, target.credential or keychain.find(target.host), sink=sink)


def _engines(registry: Registry, keychain: Keychain, session: Session, sink: Sink, order: Resolved) -> Engines:
    """Return the engines, which are made when they are asked for."""
    from buildpush.engines import Engines, Tools

    def base(reference: Reference, platform: Platform) -> Image:
        found = pull(reference, registry, platform)
        if isinstance(found, Index):
            message = f"{reference} has no single image for {platform}"
            raise SettingsError(message, hint="choose another platform, or another base", setting="platforms")
        return found

    tools = Tools(
        session.env,
        Here(session.env),
        keychain.find,
        sink,
        pull=base,
        fetch=partial(download, registry.http, most=order.fetch_limit),
        memory=registry.memory,
        scratch=session.state.scratch,
        layers=session.state.layers,
        settings=order.own_settings,
    )
    return Engines(tools)

"""From a written step to an order, and that order as people read it before anything is done."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from buildpush.credentials.connectors import Connectors, read_connectors
from buildpush.credentials.vault import Vault
from buildpush.dockerfile.outline import outline
from buildpush.dockerfile.request import BuildRequest
from buildpush.dockerfile.stages import needed_for
from buildpush.dockerfile.urls import is_git, is_legible, is_web, told
from buildpush.engines.choice import advised, choose
from buildpush.engines.seam import Engine
from buildpush.expressions.ci import Ci, ci
from buildpush.expressions.facts import Counter, Facts, Git
from buildpush.expressions.git import of_no_repository
from buildpush.foundation.errors import DockerfileError, SettingsError, UnsupportedError
from buildpush.foundation.events import Log, Note, Sink
from buildpush.foundation.forms import clean_address
from buildpush.foundation.limits import time_limit
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import redacted
from buildpush.foundation.state import NoStateError
from buildpush.foundation.text import quotation, with_margin
from buildpush.http.download import download
from buildpush.pipeline.connection import Connection, connect, open_http
from buildpush.pipeline.contexts import STDIN, fetched, is_elsewhere
from buildpush.pipeline.results import RunResult
from buildpush.pipeline.session import Session, Story
from buildpush.places import Here, for_logins
from buildpush.settings.flows import idle
from buildpush.settings.model import BuildAndPush
from buildpush.settings.resolve import Resolved, Wishes, evaluate, resolve
from buildpush.settings.tree import Step
from buildpush.settings.written import Written

_WEB: Final = re.compile(r"https?://[^/?#]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all steps of one run share: its number, its secrets, its start, and what their file gave notes about."""

    session: Session
    started: datetime
    connectors: Connectors
    vault: Vault
    facts: Facts
    ci: Ci
    notes: tuple[str, ...] = ()

    def resolve(self, step: Step, sink: Sink, *, push: bool = True, kept: ExitStack | None = None) -> Resolved:
        """Return the order that *step* amounts to.

        Args:
            step: as written.
            sink: told what is noted.
            push: whether the image may go anywhere; if not, nobody has to say where.
            kept: closes what is made on the way, such as a context that was fetched; without it nothing is.
        """
        facts, cwd = self.facts.within(written=step.facts), self.session.cwd
        settings = evaluate(step, facts, sink=sink, push=push)
        with _looked_at():
            settings, history = self._context(settings, sink, kept)
            order = resolve(settings, cwd=cwd, facts=facts, vault=self.vault, connectors=self.connectors, step=step)
        for note in (*order.notes, *self._idle(order, step, push=push), *self._unpublished(order)):
            sink(Note(note))
        return replace(order, git_folder=history) if history else order

    def _idle(self, order: Resolved, step: Step, *, push: bool) -> Iterator[str]:
        """Yield which settings have no effect; of a build that pushes nothing, its command says the rest."""
        if not isinstance(order.settings, BuildAndPush):
            return
        kept = {"tags", "allow_nondistributable_artifacts"} if order.tar or not push else set()
        kept |= set() if push else {"compression", "media_types"}
        yield from idle(order.settings, step.settings, publishes=order.build.publish, kept=kept)

    def _unpublished(self, order: Resolved) -> Iterator[str]:
        """Yield which variables a build-info will not show, although the settings ask for them."""
        patterns = getattr(order.settings, "env_include", ())
        if order.build.publish and patterns:
            from buildpush.artifactory.environment import left_out

            if names := left_out(self.session.env, patterns):
                yield f"the build-info leaves out variables that may hold secrets: {', '.join(names)}"

    def _context(self, settings: Wishes, sink: Sink, kept: ExitStack | None) -> tuple[Wishes, Path | None]:
        """Return *settings* with a context that is a folder, and the folder of its history where it has one."""
        cwd = self.session.cwd
        if not isinstance(settings, BuildAndPush) or not is_elsewhere(settings.context, cwd):
            return settings, None
        about = "standard input" if settings.context == STDIN else told(settings.context)
        if kept is None:
            message = f"the context {about} is no folder, and this command fetches and unpacks nothing"
            raise UnsupportedError(
                message, hint="run does; or fetch it yourself, and name the folder", setting="context"
            )
        sink(Log(f"fetch the context {about}"))
        http = kept.enter_context(open_http(self.session, sink))
        place, scratch = Here(of_no_repository(self.session.env), passes=for_logins), self.session.state.scratch
        with time_limit(settings.timeout, sink):
            get = partial(download, http, most=settings.fetch_limit)
            found = kept.enter_context(fetched(settings.context, cwd, place, scratch, get, most=settings.fetch_limit))
        if not (found.folder / settings.dockerfile).is_file():
            message = f"there is no {settings.dockerfile} in the context {about}"
            raise SettingsError(
                message, hint="in such a context, the Dockerfile counts from there", setting="dockerfile"
            )
        where = {"context": str(found.folder), "dockerfile": str(found.folder / settings.dockerfile)}
        return settings.changed(**where), found.history

    def record(self, result: RunResult) -> None:
        """Keep *result* among the records of runs; what is done stays done where that is not possible."""
        moment = self.session.now().strftime("%Y%m%dT%H%M%S.%f")
        try:
            self.session.state.record(f"{moment}-{result.step}", result.as_json())
        except NoStateError:
            return  # a note has said so
        except (OSError, SettingsError) as error:
            self.session.sink(Note(f"the run is not recorded: {error}"))


@contextmanager
def _looked_at() -> Iterator[None]:
    """Make an error of a path that cannot be looked at: it is too long, or behind a folder that may not be entered."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            raise
        message = f"{quotation(os.fsdecode(error.filename), 200)!r} cannot be looked at: {error.strerror}"
        raise SettingsError(message, hint="check the paths of the step, and who may enter their folders") from error


def surroundings(session: Session, *, dry: bool = False, notes: tuple[str, ...] = ()) -> Surroundings:
    """Return the surroundings of one run; a *dry* one moves no counter and leaves no trace."""
    connectors = read_connectors(session.connectors) if session.connectors else Connectors()
    if session.secrets and not session.secrets.is_dir():
        message = f"the folder of secrets {session.secrets} is not there"
        raise SettingsError(message, hint="name a folder that holds one file per secret", where="--secrets")
    vault = Vault(session.env, session.cwd, session.secrets, connectors.references)
    vault.remember()
    started = session.now()
    counter = Counter(session.state.folder / "counters", dry=dry)
    git = Git(Here(session.env), session.cwd)
    variables = dict(session.variables)
    facts = Facts(session.env, git, counter, started.timestamp(), vault.secret, written=variables, inputs=variables)
    return Surroundings(session, started, connectors, vault, facts, ci(session.env), notes)


@dataclass(frozen=True, slots=True)
class Host:
    """A host that a run would talk to; a registry may send us to a token server and a store of its own.

    Attributes:
        proxy: through which it is reached, or ``None``.
    """

    address: str
    what: str
    proxy: str | None = None

    def __str__(self) -> str:
        through = f", through the proxy {self.proxy}" if self.proxy else ""
        return f"{self.address} {self.what}{through}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run of one step would do; nothing of it is done.

    Attributes:
        commands: what the engine would run, to be read: ``private`` stands for the folder of logins and secrets,
            ``out`` for that of what is built.
    """

    step: Step
    order: Resolved
    engine: str
    reason: str
    credential: str
    hosts: tuple[Host, ...] = ()
    notes: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield the plan as pairs of words."""
        order = self.order
        yield "step", f"{self.step.name or self.step.identifier} ({self.step.where})"
        for name, written in sorted(self.step.settings.items()):
            yield "setting", f"{name} = {self._value(name, written)}  [{written.origin.where}]"
        yield from self._image_rows()
        yield "credential", self.credential
        for host in self.hosts:
            yield "host", str(host)
        if order.build.publish and order.artifactory:
            yield "build-info", f"{order.build.name} {order.build.number} at {order.artifactory.url}"
        for what, who in order.sources.items():
            yield "source", f"{what}: {who}"
        for note in self.notes:
            yield "note", note

    def _image_rows(self) -> Iterator[tuple[str, str]]:
        """Yield where the image comes from and where it goes."""
        order = self.order
        if order.request:
            yield "engine", f"{self.engine}, because {self.reason}"
            yield "context", str(order.request.context)
            yield "dockerfile", str(order.request.dockerfile)
        for command in self.commands:
            yield "command", command
        if order.source:
            yield "from", str(order.source)
        if order.tar:
            yield "write", f"docker-archive:{order.tar}"
        for reference in order.references:
            yield "push" if order.push and (order.request or order.source) else "image", str(reference)

    def _value(self, name: str, written: Written) -> str:
        """Return the value that counts; one that changes nothing has become ``None``, and is shown as written."""
        value = getattr(self.order.settings, name, None)
        return _shown(written.value if value is None else value)

    def __str__(self) -> str:
        return "\n".join(f"{name:<12}{with_margin(value)}" for name, value in self.rows())

    def as_json(self) -> dict[str, Any]:
        """Return the plan as plain JSON types."""
        order = self.order
        document = {
            "step": self.step.name or self.step.identifier,
            "identifier": self.step.identifier,
            "where": self.step.where,
            "settings": {
                name: {"value": self._value(name, written), "by": written.origin.where}
                for name, written in sorted(self.step.settings.items())
            },
            "engine": {"name": self.engine, "reason": self.reason, "commands": list(self.commands)},
            "from": str(order.source) if order.source else None,
            "write": f"docker-archive:{order.tar}" if order.tar else None,
            "references": [str(reference) for reference in order.references],
            "credential": self.credential,
            "hosts": [asdict(host) for host in self.hosts],
            "build": {"name": order.build.name, "number": order.build.number, "publish": order.build.publish},
            "artifactory": order.artifactory.url if order.artifactory else None,
            "sources": dict(order.sources),
            "notes": list(self.notes),
        }
        return dict(redacted(document))


def plan(step: Step, session: Session) -> Plan:
    """Return what a run of *step* would do; it asks no host and moves no counter."""
    around = surroundings(session, dry=True)
    story = Story(session.sink)
    order = around.resolve(step, story)
    with connect(order, session, story, dry=True) as connection:
        chosen, reason = None, "nothing is built"
        commands: tuple[str, ...] = ()
        if order.request:
            chosen = choose(order.engine, order.for_engines, order.request, connection.engines, story)
            advised(chosen, order.request, story)
            commands = tuple(map(str, chosen.commands(order.request)))
            reason = next(decision.reason for decision in reversed(story.decisions) if decision.what == "engine")
        found = connection.keychain.find(order.references[0].repository.host)
        hosts = tuple(_hosts(order, connection, chosen))
    credential = f"{found.username or 'a token'}, from {found.source}" if found else "none: nobody knows one"
    engine = chosen.name if chosen else "none"
    return Plan(step, order, engine, reason, credential, hosts, tuple(story.notes), commands)


def _hosts(order: Resolved, connection: Connection, engine: Engine | None) -> Iterator[Host]:
    """Yield every host that a run would talk to, in the order in which it is asked first."""
    addresses = {}
    if order.push or order.request is None:
        addresses[connection.registry.base(order.references[0].repository.host)] = "the registry"
    if order.build.publish and connection.artifactory:
        addresses.setdefault(connection.artifactory.url, "Artifactory")
    for address, what in addresses.items():
        yield Host(address, what, connection.http.proxy_for(address))
    if order.request is None or engine is None:
        return
    # An engine with connections of its own has proxies of its own, as its own configuration says.
    ours = engine.uses_our_connections
    whose = "" if ours else f" to the engine {engine.name}, by connections of its own"
    addressed = [(connection.registry.base(image.repository.host), image) for image in engine.images(order.request)]
    found = [(address, f"gives {image}{whose}") for address, image in addressed]
    for address, what in (*found, *((address, "gives a file to ADD") for address in _added(order.request))):
        yield Host(address, what, connection.http.proxy_for(address) if ours else None)


def _added(request: BuildRequest) -> tuple[str, ...]:
    """Return the hosts of the web that ADD names, as they are written: variables are not replaced."""
    try:
        file = outline(request.dockerfile)
        stages = [stage for stage, _ in needed_for(file, request)]
    except DockerfileError:
        return ()
    words = (word for stage in stages for one in stage.instructions if one.name == "ADD" for word in one.words[:-1])
    found = (_WEB.match(clean_address(word)) for word in words if is_web(word) or is_git(word))
    return tuple(dict.fromkeys(match[0] for match in found if match and is_legible(match[0])))


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(_shown(part) for part in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}={_shown(part)}" for key, part in value.items())
    return str(value)

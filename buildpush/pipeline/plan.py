"""The plan of a step: what a run would do, for people to read before anything is done."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any, Final

from buildpush.credentials.docker import Credential
from buildpush.display.tables import shows_itself
from buildpush.dockerfile.outline import outline
from buildpush.dockerfile.request import BuildRequest
from buildpush.dockerfile.stages import needed_for
from buildpush.dockerfile.urls import has_valid_host, is_git, is_web
from buildpush.engines import AUTO
from buildpush.engines.choice import choose, note_traps, require
from buildpush.engines.seam import Engine
from buildpush.foundation.errors import DockerfileError
from buildpush.foundation.events import Note
from buildpush.foundation.forms import clean_address
from buildpush.foundation.limits import duration_text
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.foundation.secrets import redacted
from buildpush.foundation.text import with_margin
from buildpush.images.references import Reference
from buildpush.pipeline.context import Hosts, RunContext
from buildpush.pipeline.outputs import keep_in_daemon
from buildpush.pipeline.own_cluster import settle_place
from buildpush.pipeline.resolve import resolve_step
from buildpush.pipeline.runlog import RunLog
from buildpush.pipeline.tools import engines_for, open_artifactory
from buildpush.settings.decode import format_value
from buildpush.settings.fields import Model
from buildpush.settings.resolved import ResolvedStep
from buildpush.settings.tree import Step
from buildpush.settings.written import WrittenValue

_WEB: Final = regex(r"https?://[^/?#]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Host:
    """A host that a run would talk to; a registry may redirect to other hosts for tokens and blobs.

    Attributes:
        proxy: the proxy to reach it through, or ``None``.
    """

    address: str
    what: str
    proxy: str | None = None

    def __str__(self) -> str:
        through = f", through the proxy {self.proxy}" if self.proxy else ""
        return f"{self.address} {self.what}{through}"


@shows_itself
@dataclass(frozen=True, slots=True)
class Plan:
    """What a run of one step would do; nothing is done.

    Attributes:
        commands: what the engine would run, for people: ``private`` is a placeholder for the directory of credentials
            and secrets, ``out`` for that of what is built.
        images: what the engine would pull.
    """

    step: Step
    order: ResolvedStep
    engine: str
    reason: str
    credential: str
    hosts: tuple[Host, ...] = ()
    notes: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    images: tuple[Reference, ...] = ()

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield the plan as pairs of a label and a text."""
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
        """Yield the rows about where the image comes from and where it goes."""
        order = self.order
        if order.builds:
            yield "engine", f"{self.engine}, because {self.reason}"
        if order.request:
            yield "context", str(order.request.context)
            yield "dockerfile", str(order.request.dockerfile)
        if order.elsewhere:
            yield "context", order.elsewhere
        for command in self.commands:
            yield "command", command
        if order.source:
            yield "from", str(order.source)
        if order.output_location:
            yield "write", order.output_location
        if order.load:
            yield "load", "into the Docker daemon"
        if order.upload:
            yield "upload", f"{order.upload.source} to {order.upload.target}"
        for reference in order.references:
            yield "push" if order.push and (order.builds or order.source) else "image", str(reference)

    def _value(self, name: str, written: WrittenValue) -> str:
        """Return the value in effect; a value without effect has become ``None``, and its text is returned."""
        if name == "context" and self.order.elsewhere:  # an address may hold a secret
            return self.order.elsewhere
        value = getattr(self.order.settings, name, None)
        return _format_value(written.value if value is None else value)

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
            "write": order.output_location,
            "load": order.load,
            "upload": asdict(order.upload) if order.upload else None,
            "references": [str(reference) for reference in order.references],
            "credential": self.credential,
            "hosts": [asdict(host) for host in self.hosts],
            "build": {"name": order.build.name, "number": order.build.number, "publish": order.build.publish},
            "artifactory": order.artifactory.url if order.artifactory else None,
            "sources": dict(order.sources),
            "notes": list(self.notes),
        }
        return dict(redacted(document))


@shows_itself
@dataclass(frozen=True, slots=True)
class SkippedStep:
    """A step that a run would skip even if all before it succeeds, or for which only the run can decide.

    Attributes:
        reason: why it is skipped, or cannot be decided yet.
        waits: whether it depends on a value of an earlier step.
    """

    step: Step
    reason: str
    notes: tuple[str, ...] = ()
    waits: bool = False

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield the plan as pairs of a label and a text."""
        yield "step", f"{self.step.name or self.step.identifier} ({self.step.where})"
        yield self._word, self.reason
        for note in self.notes:
            yield "note", note

    def __str__(self) -> str:
        return "\n".join(f"{name:<12}{with_margin(value)}" for name, value in self.rows())

    def as_json(self) -> dict[str, Any]:
        """Return the plan as plain JSON types."""
        step = self.step
        names = {"step": step.name or step.identifier, "identifier": step.identifier, "where": step.where}
        return dict(redacted({**names, self._word: self.reason, "notes": list(self.notes)}))

    @property
    def _word(self) -> str:
        return "later" if self.waits else "skipped"


def plan(step: Step, context: RunContext, *, push: bool = True, shown: bool = True) -> Plan:
    """Return what a run of *step* would do; no host is asked, no counter is advanced, and no file is left behind.

    One that is not *shown* to anybody is checked as well, but has no commands: a Job is a page of YAML.
    """
    dry = context if context.dry else replace(context, dry=True)
    with dry:
        dry.vault.remember()
        log = dry.log
        log.begin()
        order = resolve_step(step, dry, push=push)
        hosts = dry.hosts_of(order)
        order = settle_place(order, dry, hosts)
        chosen = _engine_of(order, dry, hosts)
        commands: tuple[str, ...] = ()
        if order.request and chosen:
            note_traps(chosen, order.request, log)
            found = chosen.commands(order.request)
            commands = tuple(map(str, found)) if shown else ()
        if order.cluster:
            for remark in dry.clusters.remarks(order.cluster, dry):
                log(Note(remark))
        if chosen:
            order = keep_in_daemon(order, chosen, dry.kept_images, log)
        if order.elsewhere:
            log(Note(f"only a run fetches or unpacks the context {order.elsewhere}, and reads the Dockerfile in it"))
        engine, reason = _choice_of(order, log)
        login = _login(order, hosts)
        images = chosen.images(order.request) if chosen and order.request else ()
        addresses = tuple(_hosts(order, hosts, chosen, images))
    credential = f"{login.username or 'a token'}, from {login.source}" if login else "none found"
    return Plan(step, order, engine, reason, credential, addresses, tuple(log.notes), commands, images)


def _login(order: ResolvedStep, hosts: Hosts) -> Credential | None:
    """Return the login at the registry, or at the Artifactory that gets files."""
    target = order.artifactory
    if order.upload and target:
        return target.credential or hosts.keychain.find(target.host)
    return hosts.keychain.find(order.references[0].repository.host) if order.references else None


def _engine_of(order: ResolvedStep, context: RunContext, hosts: Hosts) -> Engine | None:
    """Return the engine that builds, if it is known; only the Dockerfile says which one ``auto`` means."""
    if not order.builds or (order.elsewhere and order.engine == AUTO):
        return None
    engines = engines_for(order, context, hosts)
    if order.request:
        return choose(order.engine, order.for_engines, order.request, engines, context.log)
    return require(order.engine, order.for_engines, engines, context.log)


def _choice_of(order: ResolvedStep, log: RunLog) -> tuple[str, str]:
    """Return the name of the engine that was chosen, and why."""
    found = next((decision for decision in reversed(log.decisions) if decision.what == "engine"), None)
    if found:
        return found.choice, found.reason
    return (AUTO, "only the Dockerfile decides it") if order.elsewhere else ("none", "nothing is built")


def _hosts(order: ResolvedStep, hosts: Hosts, engine: Engine | None, images: Iterable[Reference]) -> Iterator[Host]:
    """Yield every host that a run would talk to, in the order of first use."""
    http, registry = hosts.http, hosts.registry
    addresses = {}
    if order.references and (order.push or not order.builds):
        addresses[registry.base(order.references[0].repository.host)] = "the registry"
    if (order.build.publish or order.upload) and order.artifactory:
        server = open_artifactory(order.artifactory, http, hosts.keychain, registry.sink)
        addresses.setdefault(server.url, "Artifactory")
    for address, what in addresses.items():
        yield Host(address, what, http.proxy_for(address))
    if order.request is None or engine is None:
        return
    # An engine that does not use our connections has its own proxies, from its own configuration.
    ours = engine.uses_our_connections
    whose = "" if ours else f" to the engine {engine.name}, over its own connections"
    addressed = [(registry.base(image.repository.host), image) for image in images]
    found = [(address, f"gives {image}{whose}") for address, image in addressed]
    for address, what in (*found, *((address, "serves a file for ADD") for address in _hosts_of_add(order.request))):
        yield Host(address, what, http.proxy_for(address) if ours else None)


def _hosts_of_add(request: BuildRequest) -> tuple[str, ...]:
    """Return the hosts in the addresses of ADD, as written: variables are not replaced."""
    try:
        file = outline(request.dockerfile)
        stages = [stage for stage, _ in needed_for(file, request)]
    except DockerfileError:
        return ()
    words = (word for stage in stages for one in stage.instructions if one.name == "ADD" for word in one.words[:-1])
    matches = (_WEB.match(clean_address(word)) for word in words if is_web(word) or is_git(word))
    return tuple(dict.fromkeys(match[0] for match in matches if match and has_valid_host(match[0])))


def _format_value(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(_format_value(part) for part in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}={_format_value(part)}" for key, part in value.items())
    if isinstance(value, list):  # a value that stays as written, such as a failure strategy
        return format_value(value)
    if isinstance(value, Model):
        parts = {name: getattr(value, name) for name in value.fields()}
        return "{" + ", ".join(f"{name}: {_format_value(part)}" for name, part in parts.items() if part) + "}"
    if isinstance(value, timedelta):
        return duration_text(value)
    return str(value).lower() if isinstance(value, bool) else str(value)

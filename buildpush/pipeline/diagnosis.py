"""What would fail, before it fails: engines, free space on this machine, and the hosts of a file with credentials."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from buildpush.foundation.errors import AuthenticationError, BuildPushError, SettingsError
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import redacted
from buildpush.foundation.text import with_margin
from buildpush.pipeline.context import Hosts, RunContext
from buildpush.pipeline.runlog import RunLog
from buildpush.pipeline.tools import open_artifactory

if TYPE_CHECKING:
    from buildpush.artifactory import Artifactory
    from buildpush.cluster.order import ClusterOrder
    from buildpush.credentials.jfrog import BuildIdentity
    from buildpush.images.references import Reference, Repository
    from buildpush.pipeline.plan import Plan
    from buildpush.settings.tree import Loaded

# Hardly any build needs less than this, and one that runs out of space fails halfway.
_LITTLE_ROOM: Final = 1_000_000_000
# Tokens are valid from the moment they are made, and servers allow for clocks that differ by some minutes.
_CLOCK_SECONDS: Final = 120


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    Attributes:
        what: such as ``engine docker`` or ``registry acme.jfrog.io``.
        state: ``failed`` if a run would fail; a ``note`` may matter.
        text: what was found.
        hint: what to do about it.
        exit_code: of the run that would fail.
    """

    what: str
    state: Literal["ok", "note", "failed"]
    text: str
    hint: str | None = None
    exit_code: int = 0

    @classmethod
    def failure(cls, what: str, error: BuildPushError) -> Check:
        """Return the check of *what* that failed with *error*."""
        return cls(what, "failed", str(error), error.hint, error.exit_code)

    def __str__(self) -> str:
        hint = f"\n        hint: {with_margin(self.hint)}" if self.hint and self.state != "ok" else ""
        return f"{self.state:<8}{self.what}: {with_margin(self.text)}{hint}"

    def as_json(self) -> dict[str, Any]:
        """Return the check as plain JSON types."""
        facts = {"what": self.what, "state": self.state, "text": self.text, "hint": self.hint}
        return dict(redacted({**facts, "exitCode": self.exit_code}))


def diagnose(loaded: Loaded | None, context: RunContext) -> Iterator[Check]:
    """Check each thing that a run needs, and yield the results; with *loaded*, what its steps need as well.

    Hosts are asked for the rights that the steps need, as before a build; nothing is built, pushed or published.
    """
    quiet = replace(context, dry=True, log=RunLog())
    with quiet:
        yield from _engines(quiet)
        yield from _room(quiet)
        if loaded is not None:
            yield from _steps(loaded, quiet)


def _engines(context: RunContext) -> Iterator[Check]:
    from buildpush.engines import Tools
    from buildpush.engines.by_name import Engines
    from buildpush.places import Here

    for engine in Engines(Tools(context.env, Here(context.env))).values():
        reason, _, remedy = (engine.missing() or "").partition("\n")
        text = f"cannot be used: {reason}" if reason else "can be used"
        yield Check(f"engine {engine.name}", "note" if reason else "ok", text, remedy or None)


def _room(context: RunContext) -> Iterator[Check]:
    try:
        context.state.memory  # noqa: B018 - it makes the directory
    except SettingsError as error:
        yield Check("state directory", "note", str(error), error.hint)
    for what, directory in (
        ("state directory", context.state.directory),
        ("temporary directory", context.state.scratch),
    ):
        existing = next(path for path in (directory, *directory.parents) if path.is_dir())
        free = shutil.disk_usage(existing).free
        text = f"{directory} has {free / 1e9:,.1f} GB of free space"
        little = free < _LITTLE_ROOM
        hint = "layers, logs and archives are written there: make room, or set XDG_STATE_HOME or TMPDIR"
        yield Check(what, "note" if little else "ok", text, hint if little else None)


# ---- what the steps of a file need


def _steps(loaded: Loaded, context: RunContext) -> Iterator[Check]:
    from buildpush.pipeline.plan import Plan
    from buildpush.pipeline.planning import plan_steps

    try:
        steps = plan_steps(loaded, context)
    except BuildPushError as error:
        yield Check.failure("settings", error)
        return
    plans = [one for one in steps if isinstance(one, Plan)]
    waiting = sum(not isinstance(one, Plan) and one.waits for one in steps)
    later = f", and for {waiting} more only the run can decide" if waiting else ""
    yield Check("settings", "ok", f"{len(plans)} step{'s' * (len(plans) != 1)} would be run{later}")
    notes = dict.fromkeys([*loaded.notes, *(note for plan in plans for note in plan.notes)])
    yield from (Check("settings", "note", note) for note in notes)
    seen: set[object] = set()
    for plan in plans:
        hosts = context.hosts_of(plan.order)
        with hosts.interruptible():
            for key, what, ask in _questions(plan, context, hosts):
                if key not in seen:
                    seen.add(key)
                    yield from _answer(what, ask)


Question = tuple[object, str, Callable[[], Iterator[Check]]]


def _answer(what: str, ask: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    try:
        yield from ask()
    except BuildPushError as error:
        yield Check.failure(what, error)


def _questions(plan: Plan, context: RunContext, hosts: Hosts) -> Iterator[Question]:
    """Yield the questions to the hosts of a step; of two with the same key, only one needs to be asked."""
    order = plan.order
    repository = order.references[0].repository
    who = hosts.keychain.find(repository.host)
    if order.push and (order.request or order.source):
        what = f"registry {repository.host}"
        yield (repository, who), what, partial(_may_push, what, repository, context, hosts)
    if order.build.publish and order.artifactory:
        server = open_artifactory(order.artifactory, hosts.http, hosts.keychain, hosts.registry.sink)
        what = f"Artifactory {server.url}"
        yield (server.url, order.build.name, order.build.number), what, partial(_may_publish, what, server, order.build)
    if order.cluster:
        yield order.cluster, "cluster", partial(_may_make_jobs, order.cluster, context)
        return  # the cluster pulls the images, over its own connections
    for base in plan.images:
        yield (base, *order.platforms), f"base image {base}", partial(_can_pull, base, plan, hosts)


def _may_push(what: str, repository: Repository, context: RunContext, hosts: Hosts) -> Iterator[Check]:
    access = hosts.registry.check_push(repository)
    who = access.username or ("a token" if access.source else "an anonymous user")
    source = f", from {access.source}" if access.source else ""
    yield Check(what, "ok", f"{who}{source}, may push to {repository.path}")
    yield from _clock(repository.host, context, hosts)


def _may_make_jobs(order: ClusterOrder, context: RunContext) -> Iterator[Check]:
    from buildpush.cluster.api import ROLE_HINT
    from buildpush.cluster.rights import missing

    api = context.clusters.open(order, context).api
    what, rights = f"cluster {api.access.server}", ", ".join(map(str, missing(api)))
    if rights:
        text = f"in the namespace {api.namespace}, this account may not {rights}"
        yield Check(what, "failed", text, ROLE_HINT, AuthenticationError.exit_code)
    else:
        yield Check(what, "ok", f"this account ({api.access.source}) may make Jobs in the namespace {api.namespace}")


def _clock(host: str, context: RunContext, hosts: Hosts) -> Iterator[Check]:
    date = hosts.http.request("GET", f"{hosts.registry.base(host)}/v2/").headers.get("Date", "")
    try:
        difference = (context.now() - parsedate_to_datetime(date)).total_seconds()
    except (TypeError, ValueError):
        return  # without a date, or with one that has no zone, there is nothing to compare
    if abs(difference) > _CLOCK_SECONDS:
        text = f"it is {abs(difference):,.0f} seconds {'ahead of' if difference > 0 else 'behind'} that of {host}"
        yield Check("clock", "note", text, "set the clock: with a wrong one, certificates and tokens are refused")


def _may_publish(what: str, server: Artifactory, build: BuildIdentity) -> Iterator[Check]:
    from buildpush.artifactory import check_publish

    log = RunLog()
    check_publish(server, build.name, build.number, project=build.project, sink=log)
    yield Check(what, "ok", f"accepts the credential, for build {build.name} {build.number}")
    yield from (Check(what, "note", note) for note in log.notes)


def _can_pull(base: Reference, plan: Plan, hosts: Hosts) -> Iterator[Check]:
    from buildpush.dockerfile.platforms import machine
    from buildpush.engines import ENGINES
    from buildpush.registry.pull import pull

    what, platforms = f"base image {base}", plan.order.platforms or (machine(),)
    try:
        for platform in platforms:
            pull(base, hosts.registry, platform)
    except BuildPushError as error:
        if ENGINES[plan.engine].load().uses_our_connections:
            raise
        yield Check(what, "note", f"{error}; the engine {plan.engine} may have it already", error.hint)
        return
    yield Check(what, "ok", f"can be pulled for {', '.join(map(str, platforms))}")

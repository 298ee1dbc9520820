"""One context for a run: what it gets from outside, what it has opened, and the results of its steps.

Nothing below reads the environment or the clock: both are passed in here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from buildpush.foundation.errors import SettingsError
from buildpush.foundation.events import Note, Sink
from buildpush.foundation.interrupts import Lock, pause, stoppable
from buildpush.foundation.records import dataclass
from buildpush.foundation.state import NoStateError, State
from buildpush.pipeline.clusters import Clusters
from buildpush.pipeline.kept import KeptImages
from buildpush.pipeline.logins import Logins
from buildpush.pipeline.receipts import Receipts
from buildpush.pipeline.run_builds import RunBuilds
from buildpush.pipeline.runlog import RunLog

# What only some runs need is imported where it is needed: a push reads no connectors and evaluates no expression.
if TYPE_CHECKING:
    from buildpush.credentials.connectors import Connectors
    from buildpush.credentials.docker import Credential, Keychain
    from buildpush.credentials.vault import Vault
    from buildpush.expressions.ci import Ci
    from buildpush.expressions.evaluate import Value
    from buildpush.expressions.facts import AskInput, Facts
    from buildpush.foundation.limits import Watch
    from buildpush.http.client import Http
    from buildpush.http.retry import Pauses
    from buildpush.pipeline.failures import AskPerson
    from buildpush.pipeline.results import RunResult
    from buildpush.pipeline.step_values import StepValues
    from buildpush.places import Place
    from buildpush.registry.client import Registry
    from buildpush.registry.memory import Memory
    from buildpush.settings.resolved import ResolvedStep
    from buildpush.settings.tree import Step
    from buildpush.transfer.daemon import Daemon
    from buildpush.transfer.driver import Clients


# What a run opens or finds out only once, even if several threads need it.
_SHARED: Final = ("connectors", "vault", "ci", "memory", "clusters", "_lasting", "_pauses")


class Starts:
    """Gives each build of a run a different start, by which Artifactory identifies it, to the millisecond."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._last: datetime | None = None

    def next(self, now: datetime) -> datetime:
        """Return *now*, or the first millisecond after the last start."""
        with self._lock:
            if self._last is not None:
                now = max(now, self._last + timedelta(milliseconds=1))
            self._last = now
        return now


@dataclass(frozen=True, slots=True)
class Hosts:
    """The clients of hosts: one pool of connections, and one credential for each."""

    http: Http
    keychain: Keychain
    registry: Registry
    clients: Clients

    def note_never_trusted(self, sink: Sink, contacted: Collection[str] = ()) -> None:
        """Report to *sink* which hosts were declared insecure without effect: their names may be misspelled.

        Hosts that an engine has *contacted* are left out.
        """
        from buildpush.http.urls import names_of_host

        names = {name for host in contacted for name in names_of_host(host)}
        for host in sorted({*self.http.unused_insecure_hosts} - names):
            sink(Note(f"insecure has no effect on {host}: no request went there"))

    def interruptible(self) -> AbstractContextManager[None]:
        """See :func:`interruptible`, for the connections of all these clients."""
        return interruptible(self.http)


@contextmanager
def interruptible(http: Http) -> Iterator[None]:
    """On Ctrl-C, break the connections first, so that threads that wait for a host end at once and clean up."""
    try:
        with stoppable(http.cancel):
            yield
    except KeyboardInterrupt:
        http.cancel()
        raise


@dataclass(frozen=True, kw_only=True, eq=False)
class RunContext:
    """What all steps of a run share. What it opens stays open, for all of them, as long as its ``with`` block lasts.

    Attributes:
        env: the environment; nothing below the command line reads another one.
        cwd: directory that relative paths start from.
        home: the user's directory, where registry logins are looked up; ``None`` for a user without one.
        state: what is kept on this machine.
        connectors_file: connectors and secret references.
        secrets_directory: a file per secret.
        variables: values for expressions, by name.
        log: gets every event.
        now: the clock.
        dry: whether no counter is advanced and no file is left behind.
        notes: of the whole file; the result of each step repeats them.
        results: of the steps so far.
        kept_images: images that were built and not pushed, for later steps.
        logins: credentials of the steps so far, for later steps.
        values: the values of steps, for expressions.
        receipts: the receipt files of the run.
        starts: gives each build a different start.
        builds: that the steps of the run publish.
        known: values of built-in names that an earlier run had, if it is resumed.
        wait: waits some seconds.
        watch: enforces the time limits of all steps; without it, each has a thread of its own.
        ask: asks a person what follows a failure; ``None`` where there is no one to ask.
        ask_input: asks a person for the value of an input; ``None`` where there is no one to ask.
    """

    env: Mapping[str, str]
    cwd: Path
    home: Path | None
    state: State
    connectors_file: Path | None = None
    secrets_directory: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    log: RunLog = field(default_factory=RunLog)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    dry: bool = False
    notes: tuple[str, ...] = ()
    results: list[RunResult] = field(default_factory=list)
    kept_images: KeptImages = field(default_factory=KeptImages)
    logins: Logins = field(default_factory=Logins)
    values: StepValues | None = None
    receipts: Receipts = field(default_factory=Receipts)
    starts: Starts = field(default_factory=Starts)
    builds: RunBuilds = field(default_factory=RunBuilds)
    known: Mapping[str, Value] = field(default_factory=dict)
    wait: Callable[[float], object] = pause
    watch: Watch | None = None
    ask: AskPerson | None = None
    ask_input: AskInput | None = None

    @classmethod
    def default(
        cls,
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        connectors: str | Path | None = None,
        secrets: str | Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> RunContext:
        """Return the context of this process, except for what is given."""
        base = Path(cwd).absolute() if cwd else Path()  # without one, paths in messages stay as they are given
        return cls(
            env=dict(os.environ if env is None else env),
            cwd=base if cwd else _working_directory(),
            home=_home(),
            state=State.default(env),
            connectors_file=None if connectors is None else base / connectors,
            secrets_directory=None if secrets is None else base / secrets,
            variables=variables or {},
        )

    def with_sink(self, sink: Sink) -> RunContext:
        """Return the same context with *sink* called with every event."""
        return replace(self, log=RunLog(sink))

    def add(self, result: RunResult) -> RunResult:
        """Add *result* to the results, and return it."""
        self.results.append(result)
        return result

    def branch(self, name: str) -> RunContext:
        """Return the context of steps that run at the same time as others.

        It has its own log, results and connections; all else is shared with the whole run.
        """
        own = replace(self, log=self.log.branch(name), results=[])
        vars(own).update({shared: getattr(self, shared) for shared in _SHARED})
        vars(own)["facts"] = replace(self.facts, note=lambda text: own.log(Note(text)))
        return own

    def cancel(self) -> None:
        """End every request under way."""
        for http in tuple(vars(self).get("_https", {}).values()):
            http.cancel()

    def start(self) -> datetime:
        """Return the start of a build, which is now; no other build of this run has the same start."""
        return self.starts.next(self.now())

    @property
    def pending(self) -> Path:
        """Directory for build-infos that could not be published: the working directory if there is no other."""
        try:
            return self.state.pending
        except SettingsError:
            return self.cwd

    # ---- what the evaluation of steps needs

    @cached_property
    def connectors(self) -> Connectors:
        """The connectors file, read."""
        from buildpush.credentials.connectors import Connectors
        from buildpush.credentials.connectors_file import read_connectors

        return read_connectors(self.connectors_file) if self.connectors_file else Connectors()

    @cached_property
    def vault(self) -> Vault:
        """The vault, which gives secrets."""
        from buildpush.credentials.vault import Vault

        connectors = self.connectors
        if self.secrets_directory and not os.path.isdir(self.secrets_directory):  # noqa: PTH112 - Path's raises
            message = f"the secrets directory {self.secrets_directory} does not exist"
            raise SettingsError(message, hint="name a directory that holds one file per secret", where="--secrets")
        vault = Vault(self.env, self.cwd, self.secrets_directory, connectors.references)
        vault.remember()
        return vault

    @cached_property
    def facts(self) -> Facts:
        """The facts for expressions."""
        from buildpush.expressions.facts import Counter, Facts, Git
        from buildpush.places import Here

        counter = Counter(self.state.directory / "counters", dry=self.dry)
        git = Git(Here(self.env), self.cwd)
        variables = dict(self.variables)
        started = self.now().timestamp()
        facts = Facts(
            self.env,
            git,
            counter,
            started,
            self.vault.secret,
            written=variables,
            inputs=variables,
            person=self.ask_input,
            note=lambda text: self.log(Note(text)),
        )
        facts = facts.with_earlier_values(self.known) if self.known else facts
        return replace(facts, steps=self.values) if self.values else facts

    @cached_property
    def ci(self) -> Ci:
        """The facts that the CI system gives about this run."""
        from buildpush.expressions.ci import ci

        return ci(self.env)

    # ---- what is opened

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        for name in ("_https", "_hosts", "memory"):
            vars(self).pop(name, None)

    def keep(self, order: ResolvedStep, step: Step) -> Path:
        """Return the file for an image that later steps push; it is there until the ``with`` block ends."""
        return self.kept_images.new_file(order, step, self._lasting)

    @cached_property
    def _stack(self) -> ExitStack:
        return ExitStack()

    @cached_property
    def _lasting(self) -> ExitStack:
        """The exit stack of the whole run."""
        return self._stack.enter_context(ExitStack())

    @cached_property
    def clusters(self) -> Clusters:
        """The clusters that Jobs are made in."""
        clusters = Clusters()
        self._lasting.callback(clusters.close)
        return clusters

    @cached_property
    def _pauses(self) -> Pauses:
        """How long to leave hosts alone, for all steps: those that run at the same time have separate connections."""
        from buildpush.http.retry import Pauses

        return Pauses()

    @cached_property
    def _https(self) -> dict[object, Http]:
        return {}

    @cached_property
    def _hosts(self) -> dict[object, Hosts]:
        return {}

    @cached_property
    def memory(self) -> Memory | None:
        """The memory of earlier pushes; ``None`` if it cannot be used: nothing depends on it."""
        if self.dry:
            return None
        from buildpush.registry.memory import Memory

        try:
            memory = self._stack.enter_context(Memory(self.state.memory))
        except NoStateError as error:
            text = f"nothing is kept on this machine, neither the log nor the memory of pushes: {error}; {error.hint}"
        except SettingsError as error:
            text = f"pushes are not remembered: {error}"
        else:
            if memory.was_damaged:
                self.log(Note("the memory of earlier pushes was damaged, and is replaced; this run may take longer"))
            return memory
        self.log(Note(text))
        return None

    def http(
        self,
        schemes: Mapping[str, str] | None = None,
        insecure: frozenset[str] = frozenset(),
        authorities: Mapping[str, str] | None = None,
        retries: int | None = None,
    ) -> Http:
        """Return connections that follow the proxies and certificates of the environment; the same for the same hosts.

        *schemes* are those that addresses are written with, by host; hosts in *insecure* are reached without TLS only
        if they do not offer it; *authorities* are certificates to trust, by host; *retries* is how often a request is
        tried again, if not as usual.
        """
        from buildpush.http.client import Http
        from buildpush.http.retry import Retries
        from buildpush.http.tls import certificates_in

        key = _frozen(schemes), insecure, _frozen(authorities), retries
        if key not in self._https:
            self._https[key] = self._stack.enter_context(
                Http(
                    ca_files=certificates_in(self.env),
                    proxies=self.env,
                    insecure_hosts=insecure,
                    schemes=schemes,
                    authorities=authorities,
                    retries=None if retries is None else Retries(attempts=retries + 1, restart=0),
                    sink=self.log,
                    pauses=self._pauses,
                )
            )
        client = self._https[key]
        client.resume()  # an earlier step may have been interrupted
        return client

    def hosts_of(self, order: ResolvedStep) -> Hosts:
        """Return the connections to the hosts of a step."""
        return self.hosts(order.credentials, order.schemes, order.insecure, order.authorities, order.retries)

    def hosts(
        self,
        credentials: Mapping[str, Credential],
        schemes: Mapping[str, str] | None = None,
        insecure: frozenset[str] = frozenset(),
        authorities: Mapping[str, str] | None = None,
        retries: int | None = None,
    ) -> Hosts:
        """Return the clients for hosts, which log in with *credentials*; the same ones for the same arguments."""
        from buildpush.registry.client import Registry
        from buildpush.transfer.driver import Clients

        key = frozenset(credentials.items()), _frozen(schemes), insecure, _frozen(authorities), retries
        if key not in self._hosts:
            http, keychain = self.http(schemes, insecure, authorities, retries), self.keychain(credentials)
            registry = Registry(http, keychain, sink=self.log, memory=self.memory)
            self._hosts[key] = Hosts(http, keychain, registry, Clients(registry, self._daemon, self.cwd))
        clients = self._hosts[key]
        clients.http.resume()  # an earlier step may have been interrupted
        return clients

    def keychain(self, given: Mapping[str, Credential]) -> Keychain:
        """Return the keychain with the *given* credentials, those in the user's files, and JFrog's variables."""
        from buildpush.credentials.docker import Keychain

        last: Mapping[str, Credential] = {}
        if self.env.get("JF_URL"):
            from buildpush.credentials.jfrog import login_of_jfrog

            last = login_of_jfrog(self.env)
        return Keychain(given, last=last, env=self.env, home=self.home, place=self._place_of_helpers)

    def _place_of_helpers(self) -> Place:
        from buildpush.places import Here, for_logins

        return Here(self.env, passes=for_logins)

    def _daemon(self) -> AbstractContextManager[Daemon]:
        from buildpush.transfer.daemon import open_daemon

        return open_daemon(self.env, self.state.scratch, self.memory, self.log)


def _frozen(texts: Mapping[str, str] | None) -> frozenset[tuple[str, str]]:
    return frozenset((texts or {}).items())


def _home() -> Path | None:
    with suppress(RuntimeError):  # no HOME, and a user that the system does not know, as in many clusters
        return Path.home()
    return None


def _working_directory() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        message = "the working directory was removed"
        raise SettingsError(message, hint="change to a directory that exists") from error

"""The clusters that the Jobs of a run are made in; each is opened once, however many steps and branches use it."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from buildpush.foundation.errors import BuildPushError
from buildpush.foundation.events import Decision, Note, Sink
from buildpush.foundation.interrupts import SLICE_SECONDS
from buildpush.foundation.state import machine_identity, process_identity

# Few runs use a cluster, so its modules are imported by those.
if TYPE_CHECKING:
    from buildpush.cluster.jobs import Cluster
    from buildpush.cluster.manifest import Run
    from buildpush.cluster.order import ClusterOrder
    from buildpush.engines.jobs import ClusterTools
    from buildpush.pipeline.context import Hosts, RunContext
    from buildpush.settings.resolved import ResolvedStep


class Clusters:
    """The clusters of one run, by context and namespace; threads share it."""

    def __init__(self) -> None:
        self._clusters: dict[tuple[str, str], Cluster] = {}
        self._opening: dict[tuple[str, str], threading.Event] = {}  # each is set once its cluster is open, or is not
        self._remarks: dict[tuple[str, str], tuple[str, ...]] = {}
        self._label = secrets.token_hex(8)
        self.resumes = False

    def open(self, order: ClusterOrder, context: RunContext) -> Cluster:
        """Return the cluster of *order*; whoever comes first opens it, which may take as long as a login.

        Raises:
            SettingsError: no kubeconfig names it.
        """
        key = order.context, order.namespace
        mine = threading.Event()
        try:
            while (opening := self._opening.setdefault(key, mine)) is not mine:
                opening.wait(SLICE_SECONDS)
            if key not in self._clusters:
                self._clusters[key] = self._opened(order, context)
            return self._clusters[key]
        finally:
            if self._opening.get(key) is mine:
                del self._opening[key]
            mine.set()

    def _opened(self, order: ClusterOrder, context: RunContext) -> Cluster:
        from buildpush.cluster.manifest import Run

        run = Run(self._label, machine_identity(), process_identity())
        return _new_cluster(order, context, run, resumes=self.resumes)

    def remarks(self, order: ClusterOrder, context: RunContext) -> tuple[str, ...]:
        """Return what stands in the way of a Job of *order*; a cluster is asked once, however many steps use it."""
        key = order.context, order.namespace
        if key not in self._remarks:
            self._remarks[key] = tuple(_remarks(partial(self.open, order, context)))
        return self._remarks[key]

    def sweep(self, sink: Sink) -> None:
        """Delete what killed runs have left in the clusters of a run that resumed one: no step went on with it."""
        for cluster in self._clusters.values() if self.resumes else ():
            try:
                cluster.sweep(sink)
            except BuildPushError as error:
                sink(Note(f"Jobs that killed runs have left in the cluster are still there: {error}"))

    def close(self) -> None:
        """Close all connections."""
        while self._clusters:
            _, cluster = self._clusters.popitem()
            cluster.close()


def _new_cluster(order: ClusterOrder, context: RunContext, run: Run, *, resumes: bool) -> Cluster:
    from buildpush.cluster.api import Api
    from buildpush.cluster.jobs import Cluster
    from buildpush.cluster.kubeconfig import find_access
    from buildpush.cluster.streams import require_library
    from buildpush.http.tls import certificates_in
    from buildpush.places import Here, for_logins

    require_library()
    access = find_access(context.env, context.home, context=order.context, namespace=order.namespace)
    reason = f"it is that of {access.source}; Jobs are made in the namespace {access.namespace}"
    context.log(Decision("cluster", access.server, reason))
    place = Here(context.env, passes=for_logins)
    api = Api(access, place, context.env, ca_files=certificates_in(context.env), sink=context.log)
    cluster = Cluster(api, run, resumes=resumes)
    try:
        if not (resumes or context.dry):
            cluster.sweep(context.log)
    except BaseException:
        cluster.close()
        raise
    return cluster


def cluster_tools(order: ResolvedStep, context: RunContext, hosts: Hosts) -> ClusterTools | None:
    """Return what the engines in Jobs get; ``None`` for a step that is built on this machine."""
    from buildpush.engines.jobs import ClusterTools
    from buildpush.registry.receipt import receipt_of

    wanted = order.cluster
    if wanted is None:
        return None
    return ClusterTools(
        partial(context.clusters.open, wanted, context),
        wanted.options,
        wanted.limits,
        executor=wanted.executor,
        receiver=wanted.receiver,
        pusher=wanted.pusher,
        receipt=partial(receipt_of, registry=hosts.registry, sink=context.log),
    )


def _remarks(opens: Callable[[], Cluster]) -> Iterator[str]:
    """Yield what stands in the way of a Job: no cluster, no answer, or a right that is missing."""
    from buildpush.cluster.api import ROLE_HINT
    from buildpush.cluster.rights import missing

    try:
        cluster = opens()
        rights = ", ".join(map(str, missing(cluster.api)))
    except BuildPushError as error:
        yield f"the cluster cannot be asked: {error}" + (f"; {error.hint}" if error.hint else "")
        return
    if rights:
        yield f"in the namespace {cluster.api.namespace}, this account may not {rights}; {ROLE_HINT}"

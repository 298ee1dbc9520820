"""Where a step is built that names no place, inside a pod: in a Job of the pod's cluster if it may be, else here."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from buildpush.engines.choice import choose
from buildpush.foundation.errors import BuildPushError
from buildpush.foundation.events import Decision, Note, ignore
from buildpush.pipeline.context import Hosts, RunContext
from buildpush.pipeline.tools import engines_for
from buildpush.settings.resolved import ResolvedStep

# Few steps are built in pods, so what only these need is not imported before.
if TYPE_CHECKING:
    from buildpush.cluster.order import ClusterOrder

# Of native, the pod that we run in is the better place: it needs no other one.
_IN_JOBS: Final = ("kaniko", "buildah")
_MAY: Final = "the account of this pod may make Jobs; to build in the pod itself, set place: here"
_NO_IMAGE: Final = (
    "no image is given to build in a Job of this cluster: neither kaniko_image with receiver_image, nor executor_image"
)


def settle_place(order: ResolvedStep, context: RunContext, hosts: Hosts) -> ResolvedStep:
    """Return *order* with the place that it is built in, and say why; no cluster is asked outside a pod."""
    offer = order.offer
    if offer is None:
        return order
    away = replace(order, cluster=offer)
    why = _why_here(away, offer, context, hosts)
    if why is None:
        context.log(Decision("place", "kubernetes", _MAY))
        return replace(away, sources={**order.sources, "place": f"kubernetes, because {_MAY}"})
    context.log(Decision("place", "here", why))
    if named := _only_for_jobs(order, offer):
        context.log(Note(f"without effect, since the step is built here: {', '.join(named)}"))
    return replace(order, sources={**order.sources, "place": f"here, because {why}"})


def _only_for_jobs(order: ResolvedStep, offer: ClusterOrder) -> list[str]:
    """Return the settings of the step that only a Job uses."""
    from buildpush.settings.clusters import OWN_SETTINGS

    requests = offer.limits.requested_memory, offer.limits.requested_cores
    return sorted(OWN_SETTINGS & order.settings.fields_set) + (["resources.requests"] if any(requests) else [])


def _why_here(away: ResolvedStep, offer: ClusterOrder, context: RunContext, hosts: Hosts) -> str | None:
    """Return why no Job of the pod's cluster builds the step; ``None`` if one may. The cluster is asked last."""
    from buildpush.cluster.kubeconfig import has_own_cluster

    if not has_own_cluster(context.env, context.home):
        return "this is no pod with an account of its cluster"
    engines = engines_for(away, context, hosts)
    if all(engines[name].missing() for name in _IN_JOBS):
        return _NO_IMAGE
    if away.request:
        try:
            engine = choose(away.engine, away.for_engines, away.request, engines, ignore)
        except BuildPushError as error:
            return str(error)
        if engine.name not in _IN_JOBS:
            return f"only {engine.name} supports it"
    return "; ".join(context.clusters.remarks(offer, context)) or None

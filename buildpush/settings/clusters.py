"""Resolves where the Job of a step runs in a cluster, and with what."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from buildpush.cluster.manifest import JobOptions, Limits, fixed_fields
from buildpush.cluster.order import ClusterOrder
from buildpush.engines import AUTO
from buildpush.settings.cluster_settings import ClusterSettings
from buildpush.settings.declare import explicitly_set
from buildpush.settings.resolved import ResolveContext

if TYPE_CHECKING:
    from buildpush.settings.model import BuildAndPush

KUBERNETES: Final = "kubernetes"
# Of a step without a timeout, as in Harness: a Job whose run was killed would wait for its context for ever.
_LONGEST: Final = timedelta(hours=10)
# What our own push, or a file of this machine, does with the image.
_OF_OUR_PUSH: Final = frozenset(
    {"allow_nondistributable_artifacts", "compression", "load", "media_types", "oci_layout_path", "tar_path"}
)
# The settings that only a build in a cluster uses.
OWN_SETTINGS: Final = frozenset(ClusterSettings.__annotations__) - {"place"}


def cluster_order(settings: BuildAndPush, ctx: ResolveContext) -> ClusterOrder | None:
    """Return where the Job runs, and with what; ``None`` for a build on this machine.

    Raises:
        SettingsError: the template cannot be read, or the place does not fit the rest.
    """
    if settings.place == "container" and settings.engine not in {"auto", "kaniko"}:
        message = f"the engine {settings.engine} does not run in a container of its own"
        raise ctx.fail(message, "place", "use engine: kaniko, or leave place out")
    if settings.place != KUBERNETES:
        return None
    if not settings.push:
        message = "a Job pushes from the cluster, so a build without a push cannot run there"
        raise ctx.fail(message, "place", "push it, or set place: here")
    for name in sorted(_OF_OUR_PUSH & explicitly_set(settings)):
        message = f"{name} is for an image that is pushed or written from here, and a Job pushes from the cluster"
        raise ctx.fail(message, name, f"leave out {name}, or set place: here")
    return _order(settings, ctx)


def offered_cluster(settings: BuildAndPush, ctx: ResolveContext) -> ClusterOrder | None:
    """Return what a Job would get in the cluster of the pod that we run in; ``None`` for a step that cannot have one.

    It leaves the choice of place and engine to us, and can be pushed from there.
    """
    is_free = "place" not in settings.fields_set and settings.engine == AUTO and not settings.kube_context
    if not (is_free and settings.push and ctx.env.get("KUBERNETES_SERVICE_HOST")):
        return None
    return None if _OF_OUR_PUSH & explicitly_set(settings) else _order(settings, ctx)


def _order(settings: BuildAndPush, ctx: ResolveContext) -> ClusterOrder:
    return ClusterOrder(
        context=settings.kube_context or "",
        namespace=settings.namespace or "",
        options=JobOptions(
            service_account=settings.service_account or "",
            pull_secrets=settings.image_pull_secrets,
            template=_template(settings, ctx),
            deadline=math.ceil((settings.timeout or _LONGEST).total_seconds()),
            time_to_live=int(settings.job_time_to_live.total_seconds()),
            patience=settings.job_patience.total_seconds(),
        ),
        limits=_limits(settings),
        executor=settings.executor_image or "",
        receiver=settings.receiver_image or "",
        pusher=settings.pusher_image or "",
    )


def _limits(settings: BuildAndPush) -> Limits:
    most = settings.resources.limits if settings.resources else None
    least = settings.resources.requests if settings.resources else None
    return Limits(
        user=settings.run_as_user,
        memory=most.memory if most else None,
        cores=most.cpu if most else None,
        requested_memory=least.memory if least else None,
        requested_cores=least.cpu if least else None,
        privileged=settings.privileged,
    )


def _template(settings: BuildAndPush, ctx: ResolveContext) -> Mapping[str, Any]:
    from buildpush.foundation.documents import read_plain

    if not settings.job_template:
        return {}
    document = read_plain(ctx.cwd / settings.job_template, settings.job_template)
    if not isinstance(document, dict):
        message = f"{settings.job_template} is no map of a Job's fields"
        raise ctx.fail(message, "job_template", "begin it with spec: or metadata:, as in a Job")
    try:
        json.dumps(document, allow_nan=False)
    except ValueError as error:
        message = f"{settings.job_template} has a number that JSON does not have"
        raise ctx.fail(message, "job_template", "write a finite number") from error
    if fields := ", ".join(sorted(fixed_fields(document))):
        message = f"{settings.job_template} cannot change {fields}"
        hint = "leave them out: they find the Job again, and keep it from running twice"
        raise ctx.fail(message, "job_template", hint)
    return document


def job_notes(settings: BuildAndPush, ctx: ResolveContext) -> Iterator[str]:
    """Yield a note for what has no effect in a Job."""
    if settings.pusher_image and settings.engine == "native":
        source = ctx.source_of("pusher_image")
        yield f"{source}: pusher_image has no effect: the engine native is that program, and pushes by itself"


def cluster_notes(settings: BuildAndPush, ctx: ResolveContext) -> Iterator[str]:
    """Yield a note for each setting of a cluster, which has no effect here."""
    for name in sorted(OWN_SETTINGS):
        if name in settings.fields_set:
            yield f"{ctx.source_of(name)}: {name} has no effect: place is not kubernetes"

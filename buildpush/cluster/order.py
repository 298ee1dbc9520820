"""Where the Job of a step runs, and with what: everything is decided."""

from __future__ import annotations

from buildpush.cluster.manifest import JobOptions, Limits
from buildpush.foundation.records import dataclass


@dataclass(frozen=True, slots=True)
class ClusterOrder:
    """A cluster, and what the Job of a step gets there.

    Attributes:
        context: of the kubeconfig; the current one if empty.
        namespace: that of the context if empty.
        options: of the Job.
        limits: of its container.
        executor: image with the program of the engine; empty for none.
        receiver: image that receives the context; empty for that of the engine.
        pusher: image of this program that pushes; empty where the engine pushes by itself.
    """

    context: str = ""
    namespace: str = ""
    options: JobOptions = JobOptions()
    limits: Limits = Limits()
    executor: str = ""
    receiver: str = ""
    pusher: str = ""

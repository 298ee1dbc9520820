"""The engines that run in Jobs of a cluster, and push from there: what all of them share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from buildpush.foundation.records import dataclass

# Tools are made for every build, so what only annotations need is not imported at run time.
if TYPE_CHECKING:
    from buildpush.cluster.jobs import Cluster
    from buildpush.cluster.manifest import JobOptions, Limits
    from buildpush.images.model import PushedImage, PushedIndex
    from buildpush.images.references import Digest, Reference


@dataclass(frozen=True, slots=True)
class ClusterTools:
    """What an engine in a Job gets.

    Attributes:
        open: returns the cluster of the run; called when something is built.
        options: of the Jobs of the step.
        limits: of their container.
        executor: image with the program of the engine; empty for none.
        receiver: the image that receives the context; the pusher's or else the engine's own if empty.
        pusher: the image of this program that pushes; empty where the engine pushes by itself.
        receipt: returns what the registry has under a digest, which the Job has pushed as a reference.
    """

    open: Callable[[], Cluster]
    options: JobOptions
    limits: Limits
    executor: str = ""
    receiver: str = ""
    pusher: str = ""
    receipt: Callable[[Reference, Digest], PushedImage | PushedIndex] | None = None

"""Why a Job waits, or has failed: what its pod, its conditions and its events say.

Source: each was provoked in a cluster of Kubernetes 1.34. With ``backoffLimit: 0`` the Job itself says the same for
almost everything, so its pod counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from buildpush.cluster.manifest import BUILD, PUSH, Document
from buildpush.foundation.errors import ClusterError
from buildpush.foundation.records import dataclass
from buildpush.foundation.text import one_line

_KILLED: Final = 137
_WRONG: Final = frozenset(
    {"InvalidImageName", "CreateContainerConfigError", "CreateContainerError", "ErrImageNeverPull"}
)
# What a busy node says of a container that it will try to make again.  Source: kubelet, as any error of its runtime.
_PASSING: Final = ("timed out waiting", "deadline exceeded", "is reserved for")
_PULLING: Final = frozenset({"ErrImagePull", "ImagePullBackOff"})
_NO_NODE: Final = "lower resources, correct the node selector of job_template, or add a node"
_NO_NAMESPACES: Final = (
    "leave hostUsers out of job_template, or choose nodes whose runtime has user namespaces, such as containerd 2"
)
_ROOT: Final = (
    "kaniko must run as root, which this cluster forbids: use engine: buildah, or native, which needs neither root "
    "nor RUN"
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a Job has not begun to build, or to push.

    Attributes:
        reason: one line, for people.
        hint: what to do about it.
        final: whether it will not change by itself.
        is_pull: whether an image cannot be pulled; it is tried again, but seldom with success.
    """

    reason: str
    hint: str | None = None
    final: bool = False
    is_pull: bool = False

    def error(self, container: str = BUILD) -> ClusterError:
        """Return the error for a Job that has waited long enough for its *container*."""
        return ClusterError(f"the {container} cannot start in the cluster: {self.reason}", hint=self.hint)


def waiting(pod: Document | None, events: Iterable[Document]) -> Waiting | None:
    """Return why *pod* does not run, or why there is none, as *events* say; ``None`` where nothing is wrong yet."""
    if pod is None:
        return next(_without_pod(events), None)
    for condition in _conditions(pod):
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return Waiting(f"no node takes it: {_said(condition)}", _NO_NODE)
    for status in (*_statuses(pod, "initContainerStatuses"), *_statuses(pod, "containerStatuses")):
        state = (status.get("state") or {}).get("waiting") or {}
        if found := _container_waiting(status, state):
            return found
    return next(_mounts(events), None)


def _container_waiting(status: Document, state: Document) -> Waiting | None:
    reason, image = state.get("reason"), status.get("image")
    if reason in _PULLING:
        hint = "check the name of the image, and name a Secret with a login for its registry in image_pull_secrets"
        return Waiting(f"the image {image} cannot be pulled: {_said(state)}", hint, is_pull=True)
    if reason not in _WRONG:
        return None
    said = _said(state)
    is_final = not any(words in said for words in _PASSING)
    return Waiting(f"{reason}: {said}", _ROOT if "runAsNonRoot" in said else None, final=is_final)


def _without_pod(events: Iterable[Document]) -> Iterator[Waiting]:
    for event in events:
        said = _said(event)
        if event.get("reason") != "FailedCreate":
            continue
        if "exceeded quota" in said:
            yield Waiting(said, "wait until other Jobs end, lower maxConcurrency, or raise the quota")
        elif "must specify" in said:
            yield Waiting(said, "set resources.limits: the quota of the namespace asks for them", final=True)
        elif "PodSecurity" in said:
            yield Waiting(said, f"{_ROOT}; or build in a namespace with another policy", final=True)
        else:
            yield Waiting(said, "change the step or job_template as it says", final="forbidden" in said)


def _mounts(events: Iterable[Document]) -> Iterator[Waiting]:
    for event in events:
        if event.get("reason") in {"FailedMount", "FailedCreatePodSandBox"}:
            said = _said(event)
            is_final = "does not support user namespaces" in said
            hint = _NO_NAMESPACES if is_final else "look at the pod with kubectl describe pod"
            yield Waiting(f"{event['reason']}: {said}", hint, final=is_final)


def failure(pod: Document | None, job: Document | None, memory: int | None) -> ClusterError | None:
    """Return why the Job failed, where that is not the build itself; ``None`` for a plain exit status.

    Args:
        pod: as it was last seen.
        job: as it was last seen; ``None`` where it is gone.
        memory: the limit that was set, in bytes.
    """
    if has_succeeded(pod):
        return None
    reasons = {condition.get("reason") for condition in _conditions(job or {}) if condition.get("status") == "True"}
    if "DeadlineExceeded" in reasons or (pod or {}).get("status", {}).get("reason") == "DeadlineExceeded":
        return ClusterError("the cluster ended the build at its deadline", hint="raise timeout", setting="timeout")
    if pod is None:
        hint = "something deleted it; buildpush run --resume starts it again"
        return ClusterError("the Job of the build is gone from the cluster", hint=hint)
    return _of_container(pod, memory) or _of_pod(pod)


def _of_container(pod: Document, memory: int | None) -> ClusterError | None:
    for name in ("initContainerStatuses", "containerStatuses"):
        for status in _statuses(pod, name):
            ended = (status.get("state") or {}).get("terminated") or {}
            if ended.get("reason") == "OOMKilled" and ended.get("exitCode"):  # or it ended well, without a child
                limit = f"its limit is {memory} bytes" if memory else "the node has no more"
                hint = "raise resources.limits.memory" if memory else "set resources.requests.memory, or free the node"
                what = PUSH if status.get("name") == PUSH else BUILD
                message = f"the {what} was killed for lack of memory: {limit}"
                return ClusterError(message, hint=hint, setting="resources")
            if ended.get("reason") in {"StartError", "ContainerCannotRun"}:
                hint = f"check that the image {status.get('image')} is the one that the engine needs"
                return ClusterError(f"the container {status.get('name')} cannot start: {_said(ended)}", hint=hint)
    return None


def _of_pod(pod: Document) -> ClusterError | None:
    status = pod.get("status") or {}
    again = "buildpush run --resume starts it again"
    if status.get("reason") == "Evicted":
        hint = "set a size for what the build needs in job_template, or resources.requests; " + again
        return ClusterError(f"the node evicted the build: {_said(status)}", hint=hint)
    for condition in _conditions(pod):
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
            return ClusterError(f"the cluster ended the build: {_said(condition)}", hint=again)
    if is_silent(pod) or status.get("reason") == "NodeLost" or status.get("phase") == "Unknown":
        return ClusterError("the node of the build is lost: it does not answer", hint=again)
    if is_being_deleted(pod):
        return ClusterError("the pod of the build was deleted", hint=again)
    return None


def last_container(pod: Document | None) -> str:
    """Return the name of the container that ends the work: that of the build if it pushes by itself, or has failed."""
    has_push = any(status.get("name") == PUSH for status in _statuses(pod or {}, "containerStatuses"))
    has_failed = bool((ended(pod, BUILD) or {}).get("exitCode"))
    return PUSH if has_push and not has_failed else BUILD


def ended(pod: Document | None, container: str = "") -> Document | None:
    """Return how *container* ended: ``exitCode``, ``reason``, ``message``; ``None`` while it has not.

    Without a name, it is the one that ends the work.
    """
    container = container or last_container(pod)
    for name in ("initContainerStatuses", "containerStatuses"):
        for status in _statuses(pod or {}, name):
            if status.get("name") == container:
                found = (status.get("state") or {}).get("terminated")
                return dict(found) if found else None
    return None


def runs(pod: Document | None, container: str) -> bool:
    """Return whether *container* runs now."""
    return any(
        status.get("name") == container and (status.get("state") or {}).get("running") is not None
        for name in ("initContainerStatuses", "containerStatuses")
        for status in _statuses(pod or {}, name)
    )


def has_begun(pod: Document | None, container: str = BUILD) -> bool:
    """Return whether *container* runs, or has run."""
    return runs(pod, container) or ended(pod, container) is not None


def is_over(pod: Document | None, job: Document | None) -> bool:
    """Return whether nothing more will happen."""
    phase = ((pod or {}).get("status") or {}).get("phase")
    done = {c.get("type") for c in _conditions(job or {}) if c.get("status") == "True"} & {"Complete", "Failed"}
    return phase in {"Succeeded", "Failed"} or bool(done)


def has_succeeded(pod: Document | None) -> bool:
    """Return whether the build and its push ended well, whatever came after them."""
    return (ended(pod) or {}).get("exitCode") == 0


def is_being_deleted(pod: Document | None) -> bool:
    """Return whether something deletes *pod*: its containers are stopped."""
    return bool(((pod or {}).get("metadata") or {}).get("deletionTimestamp"))


def is_given_up(pod: Document | None) -> bool:
    """Return whether the cluster deletes *pod* since its node is lost, where nobody says any more how it ended."""
    reasons = {condition.get("reason") for condition in _conditions(pod or {}) if condition.get("status") == "True"}
    return is_being_deleted(pod) and "DeletionByTaintManager" in reasons


def is_silent(pod: Document | None) -> bool:
    """Return whether the node of *pod* does not answer: nobody but the cluster then says that it is not ready.

    A pod whose build is pushed by another container is not ready before that: there, the cluster gives the pod up.
    """
    states = {condition.get("type"): condition.get("status") for condition in _conditions(pod or {})}
    return states.get("ContainersReady") == "True" and states.get("Ready") == "False"


def is_told(pod: Document) -> bool:
    """Return whether *pod* says how it ended."""
    phase = (pod.get("status") or {}).get("phase")
    return phase in {"Succeeded", "Failed"} or ended(pod) is not None or is_being_deleted(pod)


def _conditions(document: Document) -> list[Document]:
    return (document.get("status") or {}).get("conditions") or []


def _statuses(pod: Document, name: str) -> list[Document]:
    return (pod.get("status") or {}).get(name) or []


def _said(document: Document) -> str:
    return one_line(str(document.get("message") or document.get("reason") or "no reason is given"))

"""One Job per build: made, given its context, followed to its end, and deleted, whatever happens."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from buildpush.cluster import diagnosis, manifest
from buildpush.cluster.api import EVENTS, JOBS, PODS, SECRETS, Api
from buildpush.cluster.logs import LogStream
from buildpush.cluster.manifest import BUILD, PUSH, RECEIVE, Document, JobOptions, JobSpec, Run
from buildpush.cluster.watching import Watching, is_gone
from buildpush.foundation.errors import BuildPushError, ClusterError, UnreachableError
from buildpush.foundation.events import Finished, Note, Progress, Retry, Sink, Started, ignore
from buildpush.foundation.interrupts import SLICE_SECONDS, Lock, start
from buildpush.foundation.records import dataclass
from buildpush.foundation.state import is_process_running
from buildpush.places import Show

# What has changed ends a wait; an interrupt of the thread is only noticed between two.
_WAIT_SECONDS: Final = SLICE_SECONDS
_ATTEMPTS: Final = 3
# Events tell why there is no pod; most pods are there before. What they tell of a pod ends no wait, and so is asked for
# only when it would be said. They are asked for again less and less often.
_ASKS_WHY_SECONDS: Final = 2.0
_EVENTS_SECONDS: Final = 10.0
_LONGEST_PAUSE: Final = 60.0
_SAYS_WHY_SECONDS: Final = 10.0
_PULL_SECONDS: Final = 60.0
_LAST_WORDS_SECONDS: Final = 15.0
_LONGEST_START: Final = timedelta(hours=1)
_END_SECONDS: Final = 5.0  # of a stream that is ended
_RECEIVER: Final = "the image of receiver_image needs sh, gzip and tar"
NODE_IS_FULL: Final = (
    "the node's disk is full: raise resources.requests, or let job_template give the volume work a size or a disk"
)
_UNKNOWN: Final = diagnosis.Waiting(
    "it waits, and nothing says why", "look at the Job with kubectl describe, or raise job_patience"
)


class Payload(Protocol):
    """What is sent into a Job: a tar that is made while it is sent, and made again for another attempt.

    Attributes:
        size: bytes of the tar.
        done: how many of them are packed.
        has_changed: whether what is packed is not what the Job was named after.
    """

    size: int
    done: int
    has_changed: bool

    def blocks(self, *, compressed: bool) -> Iterator[bytes]:
        """Yield the blocks of the gzip of the tar, or of the tar itself, whose last entry is then ``WHOLE``."""


@dataclass(frozen=True, slots=True)
class JobResult:
    """How the command of a Job ended.

    Attributes:
        status: its exit status.
        message: what it wrote to its termination message.
        container: which one: that of the build, or that of its push.
    """

    status: int
    message: str
    container: str = BUILD


class Cluster:
    """The Jobs of one run, in one namespace; threads share it.

    Args:
        api: of the cluster.
        run: who makes the Jobs.
        resumes: whether the Jobs that an earlier run has left go on, if they build the same.
    """

    def __init__(self, api: Api, run: Run, *, resumes: bool = False) -> None:
        self.api = api
        self.run_of = run
        self.resumes = resumes
        self._lock = Lock()
        self._watches: dict[str, Watching] = {}

    def close(self) -> None:
        """Stop to watch, and close all connections."""
        watches = list(self._watches.values())
        for watching in watches:
            watching.stop()
        self.api.close()
        for watching in watches:
            watching.join()

    def run(
        self, spec: JobSpec, options: JobOptions, payload: Payload, *, show: Show, sink: Sink = ignore
    ) -> JobResult:
        """Run *spec* in a Job of its own to its end; the Job is deleted in any case.

        A stream that breaks while the context is sent is begun again, with a new Job.

        Args:
            spec: what to run.
            options: of the step.
            payload: the context.
            show: called with each line of the log.
            sink: gets notes and progress.

        Raises:
            ClusterError: the cluster cannot run it, or ended it.
            AuthenticationError: this account may not.
            UnreachableError: the API does not answer for minutes.
        """
        if self.resumes and (found := self._find(spec.request)):
            return self._go_on(found, spec, options, show=show, sink=sink)
        for attempt in range(1, _ATTEMPTS + 1):
            job = self._job(self.run_of.label, spec, options, sink)
            try:
                job.create(self.run_of)
                job.send(payload)
                return job.finish(show)
            except UnreachableError as error:
                if attempt == _ATTEMPTS or job.has_begun:
                    raise
                sink(Retry(f"the context for {job.name}", str(error), float(attempt), attempt))
            finally:
                job.delete()
            time.sleep(attempt)
        raise AssertionError  # the last attempt returns or raises

    def _job(self, label: str, spec: JobSpec, options: JobOptions, sink: Sink) -> _Job:
        with self._lock:
            watching = self._watches.get(label)
            if watching is None or watching.has_failed:  # the server may answer again when a step is tried again
                watching = self._watches[label] = Watching(self.api, label)
        watching.start()
        return _Job(watching, spec, options, sink)

    def _go_on(self, found: Document, spec: JobSpec, options: JobOptions, *, show: Show, sink: Sink) -> JobResult:
        """Follow a Job that an earlier run has left."""
        metadata = found["metadata"]
        job = self._job(metadata["labels"][manifest.RUN_LABEL], spec, options, sink)
        try:
            job.adopt(metadata["name"], self.run_of)
            sink(Note(f"the Job {job.name}, which an earlier run has left, goes on"))
            return job.finish(show)
        finally:
            job.delete()

    def _find(self, request: str) -> Document | None:
        """Return the last Job that an earlier run has left with *request*, if it has its context and has not failed."""
        jobs, _ = self.api.list(JOBS, {"labelSelector": f"{manifest.REQUEST_LABEL}={request}"})
        for job in sorted(jobs, key=lambda one: str(one["metadata"]["creationTimestamp"]), reverse=True):
            name = job["metadata"]["name"]
            pods, _ = self.api.list(PODS, {"labelSelector": f"{manifest.JOB_LABEL}={name}"})
            if not (_has_failed(job) or _is_followed(job)) and any(map(diagnosis.has_begun, pods)):
                return job
        return None

    def sweep(self, sink: Sink = ignore) -> None:
        """Delete the Jobs that killed runs of this machine have left; the cluster deletes those of other machines.

        It does not delete one that was never started, so those of any machine are deleted when they are old.
        """
        jobs, _ = self.api.list(JOBS, {"labelSelector": manifest.OURS})
        for job in jobs:
            is_of_here = (job["metadata"].get("labels") or {}).get(manifest.MACHINE_LABEL) == self.run_of.machine
            if (is_of_here and _process_of(job) and not _is_followed(job)) or _was_never_started(job):
                name = job["metadata"]["name"]
                try:
                    self.api.delete(JOBS, name)
                except BuildPushError as error:
                    sink(Note(f"the Job {name}, which a killed run has left in the cluster, is still there: {error}"))
                else:
                    sink(Note(f"the Job {name}, which a killed run has left in the cluster, is deleted"))


def _process_of(job: Document) -> str:
    return str((job["metadata"].get("annotations") or {}).get(manifest.PROCESS_NOTE, ""))


def _is_followed(job: Document) -> bool:
    """Return whether the run that made *job* is still at work on this machine, and will delete it."""
    return is_process_running(_process_of(job))


def _was_never_started(job: Document) -> bool:
    """Return whether *job* was made long ago by a run that ended before it could start it; nothing else ends it."""
    try:
        age = datetime.now(UTC) - datetime.fromisoformat(str(job["metadata"]["creationTimestamp"]))
    except (KeyError, ValueError, TypeError):
        return False
    return bool((job.get("spec") or {}).get("suspend")) and age > _LONGEST_START


def _has_failed(job: Document) -> bool:
    conditions = (job.get("status") or {}).get("conditions") or []
    return any(one.get("type") == "Failed" and one.get("status") == "True" for one in conditions)


def _deleted() -> ClusterError:
    message = "the Job of the build, or its pod, was deleted from the cluster"
    return ClusterError(message, hint="buildpush run --resume starts it again")


class _Job:
    """One Job under way."""

    def __init__(self, watching: Watching, spec: JobSpec, options: JobOptions, sink: Sink) -> None:
        self._api, self._watching, self._spec, self._options = watching.api, watching, spec, options
        self._sink = sink
        self.name = f"buildpush-{secrets.token_hex(5)}"
        self._is_created = False
        self._silent_since: float | None = None
        self._events: Sequence[Document] = ()
        self._next_question, self._pause = 0.0, _EVENTS_SECONDS
        self._created: float | None = None

    @property
    def has_begun(self) -> bool:
        """Whether the build runs, or has run."""
        return diagnosis.has_begun(self._watching.pod(self.name))

    def adopt(self, name: str, run: Run) -> None:
        """Be the Job of that name, which another run has created; it is that of *run* now, and no other sweeps it."""
        labels, notes = {manifest.MACHINE_LABEL: run.machine}, {manifest.PROCESS_NOTE: run.process}
        self._api.patch(JOBS, name, {"metadata": {"labels": labels, "annotations": notes}})
        self.name, self._is_created = name, True

    def create(self, run: Run) -> None:
        """Create the Job and its Secret, and let it start."""
        document = manifest.job(self.name, run, self._spec, self._options)
        self._is_created = True  # even if the answer does not arrive
        self._created = time.monotonic()
        self._sink(Started("wait", self.name))
        owner = self._api.create(JOBS, document)
        if self._spec.has_secret:
            self._api.create(SECRETS, manifest.secret(owner, self._spec))
        self._api.patch(JOBS, self.name, {"spec": {"suspend": False}})

    def delete(self) -> None:
        """Delete the Job, and with it its pod and its Secret; what is left ends by its own limits."""
        if not self._is_created:
            return
        try:
            self._delete()
        except KeyboardInterrupt:  # a build that is interrupted is deleted as well; the next Ctrl-C ends that
            self._delete()
            raise
        finally:
            self._watching.forget(self.name)

    def _delete(self) -> None:
        try:
            self._api.delete(JOBS, self.name)
        except BuildPushError as error:
            self._sink(Note(f"the Job {self.name} could not be deleted, and goes by itself after its end: {error}"))

    # ---- the context

    def send(self, payload: Payload) -> None:
        """Send the context to the container that waits for it."""
        self._wait(lambda pod: diagnosis.runs(pod, RECEIVE))
        # On one machine, the same processors would compress and decompress what never goes through a slow network.
        is_compressed = not self._api.is_on_this_machine
        script = manifest.receiving(self._spec.work, compressed=is_compressed)
        blocks = self._telling(payload, payload.blocks(compressed=is_compressed))
        status, said = self._execute(self._pod_name(), ["sh", "-c", script], blocks)
        if status or "received" not in said:
            message = f"the context did not arrive whole: {said.strip() or f'status {status}'}"
            if "No space left on device" in said:
                raise ClusterError(message, hint=NODE_IS_FULL)
            raise UnreachableError(message, hint=_RECEIVER)
        self._sink(Progress("context", payload.size, payload.size, "sent"))

    def _execute(self, pod: str, argv: list[str], blocks: Iterable[bytes]) -> tuple[int, str]:
        """Send in a thread of its own, which an interrupt of this one ends."""
        outcome: list[tuple[int, str] | BaseException] = []
        ends: list[Callable[[], None]] = []

        def act() -> None:
            try:
                outcome.append(self._api.execute(pod, RECEIVE, argv, blocks, ends.append))
            except BaseException as error:  # noqa: BLE001 - it is raised again by the thread that waits
                outcome.append(error)
            self._watching.wake(self.name)

        thread = threading.Thread(target=act, daemon=True)
        start(thread)
        try:
            # Once the build has begun, the context has arrived, whether or not the stream says so.
            while thread.is_alive() and not (self._is_over() or self.has_begun):
                self._rest()
        finally:
            for end in ends:
                with suppress(OSError):
                    end()
        thread.join(_END_SECONDS)
        is_lost = not outcome or isinstance(outcome[0], UnreachableError)
        if is_lost and self.has_begun:  # which it does only with a context that has arrived whole
            return 0, "received"
        if not outcome or (is_lost and self._is_over()):
            raise self._early_end()
        (found,) = outcome
        if isinstance(found, BaseException):
            raise found
        return found

    def _telling(self, payload: Payload, blocks: Iterable[bytes]) -> Iterator[bytes]:
        for block in blocks:
            yield block
            self._sink(Progress("context", payload.done, payload.size))
        if payload.has_changed:  # no later run may take the Job for a build of what was there before
            self._api.patch(JOBS, self.name, {"metadata": {"labels": {manifest.REQUEST_LABEL: None}}})

    # ---- to the end

    def finish(self, show: Show) -> JobResult:
        """Follow the build to its end."""
        self._wait(diagnosis.has_begun)
        if self._created is not None:
            self._sink(Finished("wait", time.monotonic() - self._created))
        self._follow(BUILD, show)
        if self._spec.push and self._is_built():
            self._wait(lambda pod: diagnosis.has_begun(pod, PUSH), PUSH)
            self._follow(PUSH, show)
        return self._result()

    def _is_built(self) -> bool:
        """Return whether the build has ended well, so that its push begins."""
        pod = self._last_pod() if self._is_over() else self._watching.pod(self.name)
        return (diagnosis.ended(pod, BUILD) or {}).get("exitCode") == 0

    def _follow(self, container: str, show: Show) -> None:
        """Show the log of *container* until it ends."""
        log = LogStream(self._api, self._pod_name(), container, lambda: self._watching.wake(self.name))
        try:
            while not self._is_over() and diagnosis.ended(self._watching.pod(self.name), container) is None:
                self._show(log, show)
                self._rest()
        finally:  # after an interrupt as well: its thread would ask for the log for ever
            log.end()
        end = time.monotonic() + _LAST_WORDS_SECONDS
        while not log.is_over and time.monotonic() < end:
            self._show(log, show)
            self._rest()
        self._show(log, show)
        if log.refusal:
            self._sink(Note(f"what the {container} says is not shown: {log.refusal}; {log.refusal.hint}"))

    def _show(self, log: LogStream, show: Show) -> None:
        for line in log.take():
            show(line)

    def _is_over(self) -> bool:
        """Return whether nothing more will happen: the Job has ended, or something deleted it or its pod."""
        pod, job = self._watching.pod(self.name), self._watching.job(self.name)
        is_deleted = self._watching.is_deleted(self.name) or is_gone(pod)
        return diagnosis.is_over(pod, job) or is_deleted or diagnosis.is_given_up(pod) or self._has_lost_node(pod)

    def _has_lost_node(self, pod: Document | None) -> bool:
        """Return whether the node of *pod* has been silent for too long, or the cluster has given it up."""
        if not diagnosis.is_silent(pod):
            self._silent_since = None
            return False
        now = time.monotonic()
        if self._silent_since is None:
            self._silent_since = now
            self._sink(Note("the node of the build does not answer; it is waited for"))
        return diagnosis.is_being_deleted(pod) or now - self._silent_since > self._options.patience

    def _last_pod(self) -> Document | None:
        """Return the pod of a Job that is over: what is watched of it may come after what is watched of the Job."""
        end = time.monotonic() + _LAST_WORDS_SECONDS
        while time.monotonic() < end:
            pod = self._watching.pod(self.name)
            if pod is None or is_gone(pod) or diagnosis.is_told(pod) or diagnosis.is_silent(pod):
                break
            self._rest()
        return self._watching.pod(self.name)

    def _result(self) -> JobResult:
        pod, job = self._last_pod(), self._watching.job(self.name)
        if error := diagnosis.failure(pod, job, self._spec.limits.memory):
            raise error
        ended = diagnosis.ended(pod)
        if ended is None:
            raise _deleted()
        container = diagnosis.last_container(pod)
        return JobResult(int(ended.get("exitCode", 1)), str(ended.get("message") or ""), container)

    def _pod_name(self) -> str:
        pod = self._watching.pod(self.name)
        if pod is None:
            message = f"the pod of the Job {self.name} is gone"
            raise ClusterError(message, hint="buildpush run --resume starts it again")
        return str(pod["metadata"]["name"])

    # ---- waiting

    def _rest(self) -> None:
        """Wait until something of the Job changes: a moment at most."""
        self._watching.wait(self.name, _WAIT_SECONDS)

    def _wait(self, until: Callable[[Document | None], bool], container: str = BUILD) -> None:
        """Wait *until* the pod is ready for the next act, which is for *container*.

        Raises:
            ClusterError: it will never be, or is not for too long.
        """
        began = pull_began = time.monotonic()
        said = ""
        while not until(self._watching.pod(self.name)):
            if self._is_over():
                if until(self._last_pod()):
                    return
                raise self._early_end()
            now = time.monotonic()
            waited = now - began
            reason = diagnosis.waiting(self._watching.pod(self.name), self._why(waited))
            pull_began = pull_began if reason and reason.is_pull else now
            if (reason and reason.final) or waited > self._options.patience or now - pull_began > _PULL_SECONDS:
                raise (reason or _UNKNOWN).error(container)
            if reason and waited > _SAYS_WHY_SECONDS and reason.reason != said:
                said = reason.reason
                self._sink(Note(f"the {container} waits in the cluster: {said}"))
            self._rest()

    def _early_end(self) -> BuildPushError:
        pod, job = self._last_pod(), self._watching.job(self.name)
        if error := diagnosis.failure(pod, job, self._spec.limits.memory):
            return error
        if diagnosis.has_begun(pod):
            return _deleted()
        ended = diagnosis.ended(pod, RECEIVE) or {}
        message = f"the container that receives the context ended with status {ended.get('exitCode')}"
        return ClusterError(message, hint=_RECEIVER)

    def _why(self, waited: float) -> Sequence[Document]:
        """Return the events of the Job and of its pod; they are asked for only if it waits for long."""
        now, pod = time.monotonic(), self._watching.pod(self.name)
        if waited > (_SAYS_WHY_SECONDS if pod else _ASKS_WHY_SECONDS) and now > self._next_question:
            self._next_question, self._pause = now + self._pause, min(2 * self._pause, _LONGEST_PAUSE)
            name = pod["metadata"]["name"] if pod else self.name
            with suppress(BuildPushError):  # without the right to read events, the wait ends by its limit
                self._events, _ = self._api.list(EVENTS, {"fieldSelector": f"involvedObject.name={name}"})
        return self._events

"""The Jobs and pods of one run as they are now: two watches for all of them, however many there are."""

from __future__ import annotations

import threading
import time
from typing import Any, Final

from buildpush.cluster.api import JOBS, PODS, Api, ExpiredError
from buildpush.cluster.manifest import JOB_LABEL, RUN_LABEL, Document
from buildpush.foundation.errors import BuildPushError, ClusterError, UnreachableError
from buildpush.foundation.interrupts import Lock, start

_PAUSE_SECONDS: Final = 1.0
_GONE: Final = "\0gone"  # a key that no document has
# How long the API may be away before the builds are given up; each request waits for it as well.
_LONGEST_SECONDS: Final = 300.0


class Watching:
    """What the cluster has of one run; threads read it while two others keep it up to date.

    Args:
        api: of the cluster.
        run: whose Jobs are watched.
    """

    def __init__(self, api: Api, run: str) -> None:
        self.api = api
        self._query = {"labelSelector": f"{RUN_LABEL}={run}"}
        self._jobs: dict[str, Document] = {}
        self._pods: dict[str, Document] = {}
        self._changed: dict[str, threading.Event] = {}  # by name of Job
        self._forgotten: set[str] = set()
        self._failure: BuildPushError | None = None
        self._threads: list[threading.Thread] = []
        self._lock = Lock()
        self._over = threading.Event()

    def start(self) -> None:
        """Begin to watch; a second call does nothing."""
        with self._lock:
            if self._threads:
                return
            for path, found, key in ((JOBS, self._jobs, _own_name), (PODS, self._pods, _name_of_job)):
                arguments = (path, found, key)
                self._threads.append(threading.Thread(target=self._follow, args=arguments, daemon=True))
            for thread in self._threads:
                start(thread)

    def stop(self) -> None:
        """Watch no longer."""
        self._over.set()

    def join(self) -> None:
        """Wait until the connections are no longer used; they were closed before."""
        for thread in self._threads:
            if thread.ident is not None:  # it was started
                thread.join(_PAUSE_SECONDS)

    @property
    def has_failed(self) -> bool:
        """Whether the watch has ended by an error, and sees nothing any more."""
        return self._failure is not None

    def job(self, name: str) -> Document | None:
        """Return the Job *name* as it was last seen; ``None`` where it is not there, or not there yet."""
        self._check()
        job = self._jobs.get(name)
        return None if is_gone(job) else job

    def is_deleted(self, name: str) -> bool:
        """Return whether the Job *name* was seen, and has been deleted since, even if nobody asked for it between."""
        self._check()
        return is_gone(self._jobs.get(name))

    def pod(self, name: str) -> Document | None:
        """Return the pod of the Job *name* as it was last seen, even if it has been deleted since."""
        self._check()
        return self._pods.get(name)

    def wait(self, name: str, seconds: float) -> None:
        """Wait until something of the Job *name* has changed since the last call, at most some seconds."""
        changed = self._changed.setdefault(name, threading.Event())
        changed.wait(seconds)
        changed.clear()

    def forget(self, name: str) -> None:
        """Keep nothing of the Job *name* any longer, whatever comes: a run may have ten thousand of them."""
        self._forgotten.add(name)
        for kept in (self._jobs, self._pods, self._changed):
            kept.pop(name, None)

    def wake(self, name: str) -> None:
        """End the wait for the Job *name*."""
        if changed := self._changed.get(name):
            changed.set()

    def _check(self) -> None:
        """Raise what ended the watch."""
        if self._failure:
            raise self._failure

    def _follow(self, path: str, found: dict[str, Document], key: Any) -> None:
        """Keep *found* up to date until the run ends."""
        version, broken_since = "", 0.0
        while not (self._over.is_set() or self._failure):
            began = time.monotonic()
            try:
                version = version or self._list(path, found, key)
                broken_since = 0.0
                version = self._changes(path, found, key, version)
            except ExpiredError:
                version = ""
            except UnreachableError as error:
                version, broken_since = "", broken_since or time.monotonic()
                if time.monotonic() - broken_since > _LONGEST_SECONDS:
                    self._fail(error)
            except BuildPushError as error:
                self._fail(error)
            except Exception as error:  # noqa: BLE001 - if it ended in silence, builds would wait for ever
                self._fail(ClusterError(f"the cluster sent something that cannot be read: {error!r}"))
            # One that ends at once, again and again, is not asked for without a pause.
            self._over.wait(max(0.0, began + _PAUSE_SECONDS - time.monotonic()))

    def _fail(self, error: BuildPushError) -> None:
        self._failure = error
        for name in list(self._changed):
            self.wake(name)

    def _list(self, path: str, found: dict[str, Document], key: Any) -> str:
        items, version = self.api.list(path, self._query)
        now = {key(item): item for item in items}
        gone = {name: {**item, _GONE: True} for name, item in found.copy().items() if name not in now}
        for name, item in (gone | now).items():
            self._keep(found, name, item)
            self.wake(name)
        return version

    def _keep(self, found: dict[str, Document], name: str, item: Document) -> None:
        found[name] = item
        if name in self._forgotten:  # looked at afterwards: it may have been forgotten just now
            found.pop(name, None)

    def _changes(self, path: str, found: dict[str, Document], key: Any, version: str) -> str:
        """Follow the changes after *version* until the server ends the watch, and return the last version."""
        for kind, item in self.api.watch(path, self._query, version):
            version = item["metadata"]["resourceVersion"]
            if kind != "BOOKMARK":
                name = key(item)
                self._keep(found, name, {**item, _GONE: True} if kind == "DELETED" else item)
                self.wake(name)
            if self._over.is_set():
                break
        return version


def is_gone(document: Document | None) -> bool:
    """Return whether the *document* was there and has been deleted; of a pod, what it said last tells why."""
    return bool(document and document.get(_GONE))


def _own_name(document: Document) -> str:
    return str(document["metadata"]["name"])


def _name_of_job(document: Document) -> str:
    return str((document["metadata"].get("labels") or {}).get(JOB_LABEL, ""))

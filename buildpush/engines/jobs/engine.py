"""What the engines in Jobs have in common: the context goes in, the digest comes back, the registry is read."""

from __future__ import annotations

import hashlib
import json
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Final

from buildpush.cluster import manifest
from buildpush.cluster.jobs import NODE_IS_FULL, JobResult
from buildpush.cluster.manifest import PUSH, JobSpec, PodContainer
from buildpush.credentials.docker import Credential
from buildpush.dockerfile.request import BuildRequest
from buildpush.engines import Tools
from buildpush.engines.bases import authorities, base_credentials, insecure_hosts, pulled_images
from buildpush.engines.docker import buildkit
from buildpush.engines.jobs import ClusterTools
from buildpush.engines.jobs.context import CONTEXT, FILE, Packed
from buildpush.engines.jobs.pushing import BEGINS, own_authority, own_is_insecure, push_failure, pusher
from buildpush.engines.refusal import refuse_unsupported, require_here
from buildpush.foundation.errors import BuildError, ClusterError, UnsupportedError
from buildpush.foundation.events import Finished, Note, Started
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.foundation.secrets import redact
from buildpush.foundation.text import lines_of, safe
from buildpush.images.model import PushedImage, PushedIndex
from buildpush.images.references import Digest, Reference

LOG_LINES: Final = 200
# The time of the run, which says nothing about what is built.
CREATED_LABEL: Final = "org.opencontainers.image.created"
_DIGEST: Final = regex(r"sha256:[0-9a-f]{64}")
# What the settings of a step become in a Job, for every engine.
JOB_FLAGS: Final[Mapping[str, str]] = {
    "run_as_user": "securityContext.runAsUser",
    "resources": "resources",
    "privileged": "securityContext.privileged",
}


@dataclass(frozen=True, slots=True)
class _Yaml:
    """A document that becomes text only where it is shown."""

    document: manifest.Document

    def __str__(self) -> str:
        from buildpush.foundation.documents import write_yaml

        return redact(write_yaml(self.document))


class JobEngine:
    """An engine whose program runs in a Job, and pushes from there."""

    name: ClassVar[str]
    flags: ClassVar[Mapping[str, str]]
    uses_our_connections: ClassVar[bool] = False
    pushes: ClassVar[str] = BEGINS  # what its log says when the push of a reference begins

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        assert tools.cluster  # noqa: S101 - engines of this kind are only made for a cluster
        self._cluster: ClusterTools = tools.cluster

    # ---- what it is asked before

    def missing(self) -> str | None:
        """Return why it cannot be used, with what to do, or ``None``."""
        if not self._image:
            return f"no image with the program of {self.name} is given\n{self._remedy}"
        if not self._receiver:
            return f"nothing is given that receives the context\n{_RECEIVER}"
        return None

    @property
    def _remedy(self) -> str:
        return "set executorImage to an image that the cluster can pull, with its digest"

    @property
    def _image(self) -> str:
        return self._cluster.executor

    @property
    def _receiver(self) -> str:
        return self._cluster.receiver or self._pusher or self._image

    @property
    def _pusher(self) -> str:
        """The image that pushes what the engine has built; empty where the engine does."""
        return self._cluster.pusher

    def refuses(self, request: BuildRequest) -> str | None:
        """Return what in the Dockerfile it does not support, or ``None``.

        Raises:
            UnsupportedError: the request is for several platforms, or needs what is on this machine.
        """
        check_for_cluster(request)
        return self._refuses(request)

    @abstractmethod
    def _refuses(self, request: BuildRequest) -> str | None: ...

    def images(self, request: BuildRequest) -> tuple[Reference, ...]:
        """Return the base images and those of the Job: the cluster pulls all of them."""
        own = (self._image, self._receiver, self._pusher)
        return (*(Reference.parse(name) for name in dict.fromkeys(own) if name), *pulled_images(request))

    def builds_in_daemon(self) -> bool:
        """Return ``False``: it builds in the cluster."""
        return False

    @abstractmethod
    def unsupported_features(self) -> frozenset[str]:
        """Return the features that it does not support."""

    def commands(self, request: BuildRequest) -> tuple[object, ...]:
        """Return the Job, as YAML; names, digests and the Secret are only known in a run."""
        refuse_unsupported(self, request)
        document = manifest.job("buildpush-0", manifest.Run("0"), self._spec(request, ""), self._cluster.options)
        return (_Yaml(document),)

    # ---- the build

    @contextmanager
    def build(self, request: BuildRequest) -> Iterator[PushedImage | PushedIndex]:
        """Build and push in the cluster, and yield what the registry has then.

        Raises:
            EngineMissingError: no image with its program is given.
            ClusterError: the cluster cannot run it, or ended it.
            BuildError: the build or its push failed; with the last lines of its log.
            PushError: the push of a container of its own failed, or the registry does not have what was pushed.
            AuthenticationError: the registry refuses the login of that container.
        """
        refuse_unsupported(self, request)
        require_here(self)
        log: deque[str] = deque(maxlen=LOG_LINES)
        name = str(request.references[0])
        begins, begun = (BEGINS if self._pusher else self.pushes).format(name), list[float]()

        def show(line: str) -> None:
            for text in lines_of(safe(self._log_text(line))):
                if text.strip():
                    log.append(text)
                self._tools.log(text)
                if text.endswith(begins) and not begun:
                    begun.append(time.monotonic())
                    self._tools.sink(Started("push", name))

        packed = Packed(request, lambda text: self._tools.sink(Note(text)))
        spec = self._spec(request, _identity(request, (self.name, self._image, self._pusher, packed.digest)))
        result = self._cluster.open().run(spec, self._cluster.options, packed, show=show, sink=self._tools.sink)
        if result.status:
            has_built = result.container == PUSH
            raise push_failure(result, self._pusher) if has_built else self._failure(result, list(log), request)
        for moment in begun:
            self._tools.sink(Finished("push", time.monotonic() - moment))
        yield self._receipt(request, result)

    def _receipt(self, request: BuildRequest, result: JobResult) -> PushedImage | PushedIndex:
        """Read what the registry has under the digest that the Job said it pushed."""
        found = _DIGEST.search(result.message)
        if not found or self._cluster.receipt is None:
            message = "the build ended well in the cluster, but did not say what it pushed"
            raise ClusterError(message, hint=f"check that the image {self._image} holds {self.name}")
        return self._cluster.receipt(request.references[0], Digest(found[0]))

    def _failure(self, result: JobResult, log: list[str], request: BuildRequest) -> BuildError:
        text = "\n".join([*log, *([f"ERROR: {safe(result.message)}"] if result.message.strip() else [])])
        return buildkit.failure(text, request, full=NODE_IS_FULL)

    def _log_text(self, line: str) -> str:
        """Return the text of a line of the log."""
        return line

    @abstractmethod
    def _spec(self, request: BuildRequest, identity: str) -> JobSpec: ...

    # ---- what the programs need

    def _credentials(self, request: BuildRequest) -> dict[str, Credential]:
        """Return the logins of the hosts that the build pulls from and pushes to; the cluster gets no others."""
        found = base_credentials(request, self._tools.find)
        host = request.references[0].repository.host
        own = None if self._pusher else self._tools.find(host)
        return {**found, **({host: own} if own else {})}

    def _insecure(self, request: BuildRequest) -> tuple[str, ...]:
        """Return those of these hosts that may have any certificate, or no TLS."""
        return insecure_hosts(request) if self._pusher else insecure_names(request)

    def _trusted(self, request: BuildRequest) -> dict[str, str]:
        """Return the certificates to trust at these hosts, as PEM text, by host."""
        return authorities(request) if self._pusher else trusted(request)

    def _push(self, request: BuildRequest, work: str) -> PodContainer | None:
        """Return what pushes the image that the build leaves below *work*, where the engine does not."""
        login = self._tools.find(request.references[0].repository.host) if self._pusher else None
        return pusher(self._pusher, request, work, login) if self._pusher else None

    def _login_file(self, request: BuildRequest) -> dict[str, str]:
        """Return the file of logins, in the form of Docker's ``config.json``."""
        found = self._credentials(request)
        return {f"{buildkit.CONFIG}/config.json": json.dumps({"auths": buildkit.auths(found)})} if found else {}


def hidden(request: BuildRequest) -> dict[str, str]:
    """Return the words of build arguments by the names of their variables: a value may be a secret."""
    words = (f"{name}={value}" for name, value in request.build_args.items())
    return {f"{manifest.HIDDEN}{number}": word for number, word in enumerate(words)}


_RECEIVER: Final = (
    "set pusherImage, or receiverImage to an image with sh, gzip and tar, such as busybox: kaniko's executor has none"
)


def check_for_cluster(request: BuildRequest) -> None:
    """Refuse what a Job cannot be given.

    Raises:
        UnsupportedError: its hint says how to build it in a cluster nevertheless.
    """
    if len(request.platforms) > 1:
        message = "a Job builds for one platform"
        hint = "make a matrix of the platforms, and merge their images with buildpush merge"
        raise UnsupportedError(message, hint=hint, setting="platforms")
    if request.archive:
        message = "a Job pushes from the cluster, and leaves no archive here"
        raise UnsupportedError(message, hint="leave out tar_path, or set place: here", setting="tar_path")
    if local := next(filter(None, map(_local_context, request.build_contexts.items())), ""):
        message = f"the context {local} is on this machine, and a Job gets only the context of the build"
        raise UnsupportedError(message, hint="put it into the context, or set place: here", setting="build_contexts")
    if request.ssh:
        message = "an SSH agent of this machine cannot be reached from the cluster"
        raise UnsupportedError(message, hint="give a key by ssh_agent_key, or set place: here", setting="ssh")


def _local_context(entry: tuple[str, str]) -> str:
    """Return the name of a context in a directory of this machine; empty for one at an address."""
    name, location = entry
    return name if "://" not in location or location.startswith("oci-layout:") else ""


def inside(request: BuildRequest, work: str) -> BuildRequest:
    """Return *request* with the paths that the container has."""
    return replace(request, context=Path(f"{work}/{CONTEXT}"), dockerfile=Path(f"{work}/{FILE}"))


def insecure_names(request: BuildRequest) -> tuple[str, ...]:
    """Return the hosts that are pulled from or pushed to and that may have any certificate, or no TLS."""
    own = [request.references[0].repository.host] if own_is_insecure(request) else []
    return tuple(dict.fromkeys([*insecure_hosts(request), *own]))


def trusted(request: BuildRequest) -> dict[str, str]:
    """Return the certificates to trust, as PEM text, by host."""
    host, own = request.references[0].repository.host, own_authority(request)
    return {**authorities(request), **({host: own} if own else {})}


def _identity(request: BuildRequest, also: Sequence[str]) -> str:
    """Return what identifies a build, so that a later run finds its Job: everything that makes the image."""
    facts = [
        *also,
        request.created,
        *(str(reference) for reference in request.references),
        sorted(request.build_args.items()),
        sorted((name, text) for name, text in request.labels.items() if name != CREATED_LABEL),
        request.target,
        list(map(str, request.platforms)),
        sorted(request.build_contexts.items()),
        sorted(request.add_hosts.items()),
        request.network,
        request.mirrors,
        request.ignore_paths,
        request.squash,
        request.optimize,
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:40]

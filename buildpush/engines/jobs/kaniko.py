"""kaniko's executor in a Job: as root, with all paths below its own directory, which it does not touch.

Source: osscontainertools/kaniko, README.md, "--digest-file": written to ``/dev/termination-log``, the digest is in the
state of the container.
"""

# Flags of other programs in this module's texts: any

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar, Final

from buildpush.cluster.jobs import JobResult
from buildpush.cluster.manifest import JobSpec
from buildpush.dockerfile.request import BuildRequest
from buildpush.engines.jobs.engine import CREATED_LABEL, JOB_FLAGS, JobEngine, hidden, inside
from buildpush.engines.jobs.pushing import archive
from buildpush.engines.kaniko.arguments import KanikoArguments, hosts_of, log_text
from buildpush.engines.kaniko.kaniko import NO_PLACE, Kaniko
from buildpush.foundation import strict_json
from buildpush.foundation.events import Note
from buildpush.images.model import PushedImage, PushedIndex

_WORK: Final = "/kaniko/buildpush"
_LOST: Final = (
    "the label {name} of the step has no effect: in kaniko, LABEL of the Dockerfile takes precedence; remove it there, "
    "or use engine: buildah"
)


class KanikoJob(JobEngine):
    """Builds with kaniko in a Job, which pushes unless another container does."""

    name: ClassVar[str] = "kaniko"
    flags: ClassVar[Mapping[str, str]] = MappingProxyType({**Kaniko.flags, **JOB_FLAGS})
    pushes: ClassVar[str] = "Pushing image to {}"

    @property
    def _image(self) -> str:
        return self._tools.settings.get("kaniko_image") or ""

    @property
    def _receiver(self) -> str:
        return self._cluster.receiver or self._pusher  # its own image has no shell

    @property
    def _remedy(self) -> str:
        return "set kanikoImage to an image of kaniko's executor that the cluster can pull, with its digest"

    def _refuses(self, request: BuildRequest) -> str | None:
        return Kaniko(self._tools).refuses(request)

    def unsupported_features(self) -> frozenset[str]:
        """Return what kaniko ignores."""
        return Kaniko(self._tools).unsupported_features()

    def _spec(self, request: BuildRequest, identity: str) -> JobSpec:
        if request.created is not None and identity:
            self._tools.sink(Note("kaniko removes the times of files, instead of setting them to SOURCE_DATE_EPOCH"))
        hosts = hosts_of(request) | (set() if self._pusher else {request.references[0].repository.host})
        arguments = KanikoArguments(
            self._tools,
            request,
            self._credentials(request),
            hosts,
            self._insecure(request),
            self._trusted(request),
        )
        paths, platform = inside(request, _WORK), next(iter(request.platforms), None)
        argv = ["/kaniko/executor", "--force", "--log-format=json", "--context", f"dir://{paths.context}"]
        argv += ["--dockerfile", str(paths.dockerfile), *arguments.flags(platform)]
        if self._pusher:
            argv += ["--no-push", "--destination", NO_PLACE, "--tar-path", archive(_WORK)]
        else:
            argv += ["--destination", str(request.references[0]), "--digest-file", "/dev/termination-log"]
        return JobSpec(
            self._image,
            tuple(argv),
            self._receiver,
            env={**dict(arguments.variables()), **hidden(request)},
            files=dict(arguments.private()),
            work=_WORK,
            limits=self._cluster.limits,
            request=identity,
            push=self._push(request, _WORK),
        )

    def _receipt(self, request: BuildRequest, result: JobResult) -> PushedImage | PushedIndex:
        receipt = super()._receipt(request, result)
        for name in _lost_labels(request.labels, receipt):
            self._tools.sink(Note(_LOST.format(name=name)))
        return receipt

    def _log_text(self, line: str) -> str:
        return log_text(line)


def _lost_labels(labels: Mapping[str, str], receipt: PushedImage | PushedIndex) -> Iterator[str]:
    """Yield those of *labels* that the image has with another value; in a run that is resumed, its time differs."""
    config = strict_json.parse(receipt.config_document) if isinstance(receipt, PushedImage) else {}
    found = (config.get("config") or {}).get("Labels") or {}
    yield from (name for name, text in labels.items() if found.get(name) != text and name != CREATED_LABEL)

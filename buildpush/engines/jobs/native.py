"""buildpush itself in a Job: its own engine, which needs neither root nor RUN, and its own push, which resumes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar, Final

from buildpush.cluster.manifest import JobSpec, in_shell
from buildpush.dockerfile.request import BuildRequest
from buildpush.engines.docker import buildkit
from buildpush.engines.jobs.engine import JOB_FLAGS, JobEngine, hidden, insecure_names, inside, trusted
from buildpush.engines.native import Native
from buildpush.places import FILES

_WORK: Final = "/workspace"
_RECEIPT: Final = f"{_WORK}/receipt"
_TEMPORARY: Final = "tmp"  # in it: the volume itself can be written by everybody
_CERTIFICATES: Final = "certificates"
# What a Job does not do: it has the context only, and nothing that was kept from earlier builds.
_NOT_HERE: Final = frozenset({"caching", "build_contexts"})


class NativeJob(JobEngine):
    """Builds and pushes with buildpush in a Job."""

    name: ClassVar[str] = "native"
    flags: ClassVar[Mapping[str, str]] = MappingProxyType(
        {**{name: flag for name, flag in Native.flags.items() if name not in _NOT_HERE}, **JOB_FLAGS}
    )

    @property
    def _pusher(self) -> str:
        return ""  # it is that program

    @property
    def _remedy(self) -> str:
        return "set executorImage to an image of buildpush that the cluster can pull: examples/plugin builds one"

    def _refuses(self, request: BuildRequest) -> str | None:
        return Native(self._tools).refuses(request)

    def unsupported_features(self) -> frozenset[str]:
        """Return what the engine native does not support."""
        return Native(self._tools).unsupported_features()

    def _spec(self, request: BuildRequest, identity: str) -> JobSpec:
        files = {**buildkit.secret_files(request), **self._login_file(request)}
        files |= {f"{_CERTIFICATES}/{number}.pem": text for number, text in enumerate(trusted(request).values())}
        run = ["python3", "-m", "buildpush", "run", *self._flags(request)]
        env = {"PYTHONUNBUFFERED": "1", "XDG_STATE_HOME": f"{_WORK}/state", "TMPDIR": f"{_WORK}/{_TEMPORARY}"}
        if request.created is not None:
            env["SOURCE_DATE_EPOCH"] = str(request.created)
        if self._credentials(request):
            env["DOCKER_CONFIG"] = f"{FILES}/{buildkit.CONFIG}"
        env |= {**request.proxies, **hidden(request)}
        # The receipt is copied: the file of the message cannot be replaced.
        script = f"mkdir -m 700 {_TEMPORARY} && {in_shell(run, env)} && cat {_RECEIPT} > /dev/termination-log"
        return JobSpec(
            self._image,
            ("sh", "-c", script),
            self._receiver,
            env=env,
            files=files,
            work=_WORK,
            limits=self._cluster.limits,
            home=True,
            request=identity,
            capabilities=(),
        )

    def _flags(self, request: BuildRequest) -> Iterator[str]:
        paths, reference = inside(request, _WORK), request.references[0]
        yield from ("--engine", "native", "--context", str(paths.context), "--dockerfile", str(paths.dockerfile))
        yield from ("--repo", str(reference.repository), "--tags", str(reference.tag))
        yield from ("--no-publish-build-info", "--image-name-with-digest-file", _RECEIPT)
        for name, value in request.build_args.items():
            yield from ("--build-arg", f"{name}={value}")
        for name, value in request.labels.items():
            yield from ("--label", f"{name}={value}")
        if request.target:
            yield from ("--target", request.target)
        for platform in request.platforms:
            yield from ("--platform", str(platform))
        for mirror in request.mirrors:
            yield from ("--mirror", mirror)
        for host in insecure_names(request):
            yield from ("--insecure-registry", host)
        for number, host in enumerate(trusted(request)):
            yield from ("--registry-certificate", f"{host}={FILES}/{_CERTIFICATES}/{number}.pem")

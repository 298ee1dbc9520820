"""buildah in a Job: with its own storage in the volume of the pod, as root or not.

Without root it needs user namespaces, and ``newuidmap`` with file capabilities in its image; its page says what each
policy of a cluster allows.  Source: tried with buildah 1.28 in Kubernetes 1.34.
"""

# Flags of other programs in this module's texts: any

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar, Final

from buildpush.cluster.jobs import JobResult
from buildpush.cluster.manifest import JobSpec, in_shell
from buildpush.dockerfile.request import BuildRequest
from buildpush.engines import registries
from buildpush.engines.bases import bases
from buildpush.engines.buildah import Buildah, build_flags
from buildpush.engines.docker import buildkit
from buildpush.engines.jobs.engine import JOB_FLAGS, JobEngine, hidden, inside
from buildpush.engines.jobs.pushing import archive
from buildpush.foundation.errors import BuildError
from buildpush.places import FILES, FileContent

_WORK: Final = "/workspace"
_TAG: Final = "localhost/build"
_CERTIFICATES: Final = "certificates"
# The settings of this machine say nothing about the cluster.
_NO_SETTINGS: Final = {"CONTAINERS_REGISTRIES_CONF": os.devnull}
# Of newuidmap and newgidmap, which make its user namespace where it does not run as root.
_CAPABILITIES: Final = ("SETUID", "SETGID")
# Where it gets no user namespace, or one without other users.  Source: seen with buildah 1.28.
_REFUSED: Final = ("unshare(CLONE_NEWUSER)", "error setting supplemental groups")
_NAMESPACES: Final = (
    "buildah without root needs newuidmap and newgidmap with file capabilities (setcap) and ranges in /etc/subuid and "
    "/etc/subgid of its image, and a pod without allowPrivilegeEscalation: false and the seccompProfile "
    "RuntimeDefault; or use engine: native, which does not support RUN"
)
_BUILDAH: Final = ("buildah", "--root", f"{_WORK}/storage", "--runroot", f"{_WORK}/run", "--storage-driver", "vfs")


class BuildahJob(JobEngine):
    """Builds with buildah in a Job, which pushes unless another container does."""

    name: ClassVar[str] = "buildah"
    flags: ClassVar[Mapping[str, str]] = MappingProxyType({**Buildah.flags, **JOB_FLAGS})

    def _refuses(self, request: BuildRequest) -> str | None:
        del request  # its version is only known in the cluster, where it reports what it does not support
        return None

    def unsupported_features(self) -> frozenset[str]:
        """Return nothing: the version is only known in the cluster."""
        return frozenset()

    def _spec(self, request: BuildRequest, identity: str) -> JobSpec:
        files = {**self._registries(request), **buildkit.secret_files(request), **self._login_file(request)}
        files |= {f"{_CERTIFICATES}/{host}/ca.crt": text for host, text in self._trusted(request).items()}
        buildah = [*_BUILDAH, *(word for name in registries.FLAGS if name in files for word in _flag(name))]
        paths, login = inside(request, _WORK), f"{FILES}/{buildkit.CONFIG}/config.json"
        logins = ["--authfile", login] if self._credentials(request) else []
        build = [*buildah, "build", *build_flags(paths), *logins, "--tag", _TAG, str(paths.context)]
        env = {"TMPDIR": _WORK, **request.proxies, **hidden(request)}
        commands = [in_shell(build, env), *self._delivery(request, buildah, logins)]
        return JobSpec(
            self._image,
            ("sh", "-c", " && ".join(commands)),
            self._receiver,
            env=env,
            files=files,
            work=_WORK,
            limits=self._cluster.limits,
            home=True,
            request=identity,
            capabilities=_CAPABILITIES,
            push=self._push(request, _WORK),
        )

    def _failure(self, result: JobResult, log: list[str], request: BuildRequest) -> BuildError:
        error = super()._failure(result, log, request)
        if any(mark in line for mark in _REFUSED for line in log):
            error.hint = _NAMESPACES
        return error

    def _delivery(self, request: BuildRequest, buildah: list[str], logins: list[str]) -> Iterator[str]:
        """Yield the commands that push the image, or hand it over."""
        if self._pusher:
            yield in_shell([*buildah, "push", _TAG, f"docker-archive:{archive(_WORK)}"], {})
            return
        trust = ["--cert-dir", f"{FILES}/{_CERTIFICATES}/{host}"] if (host := self._trusted_host(request)) else []
        push = [*buildah, "push", *logins, *trust, "--digestfile", f"{_WORK}/digest", _TAG]
        yield in_shell(["echo", self.pushes.format(request.references[0])], {})
        yield in_shell([*push, f"docker://{request.references[0]}"], {})
        yield f"cat {_WORK}/digest > /dev/termination-log"  # copied: the file of the message cannot be replaced

    def _registries(self, request: BuildRequest) -> dict[str, FileContent]:
        own = () if self._pusher else (request.references[0].repository,)
        names = (*(base.repository for base in bases(request)), *own)
        return registries.registry_files(names, _NO_SETTINGS, request.mirrors, self._insecure(request), request.tls)

    def _trusted_host(self, request: BuildRequest) -> str:
        host = request.references[0].repository.host
        return host if host in self._trusted(request) else ""


def _flag(name: str) -> tuple[str, str]:
    return registries.FLAGS[name], f"{FILES}/{name}"

"""buildah in a Job: with its own storage in the volume of the pod, as root or not.

Without root it needs user namespaces, and ``newuidmap`` with file capabilities in its image; its page says what each
policy of a cluster allows.  Source: tried with buildah 1.28 in Kubernetes 1.34.
"""

# Flags of other programs in this module's texts: any

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final

from buildpush.cluster.jobs import JobResult
from buildpush.cluster.manifest import JobSpec, in_shell
from buildpush.dockerfile.request import BuildRequest
from buildpush.engines import registries
from buildpush.engines.bases import bases
from buildpush.engines.buildah import Buildah, build_flags
from buildpush.engines.docker import buildkit
from buildpush.engines.jobs.engine import JOB_FLAGS, JobEngine, hidden, insecure_names, inside, trusted
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
    """Builds and pushes with buildah in a Job."""

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
        files |= {f"{_CERTIFICATES}/{host}/ca.crt": text for host, text in trusted(request).items()}
        buildah = [*_BUILDAH, *(word for name in registries.FLAGS if name in files for word in _flag(name))]
        paths, login = inside(request, _WORK), f"{FILES}/{buildkit.CONFIG}/config.json"
        logins = ["--authfile", login] if self._credentials(request) else []
        trust = ["--cert-dir", f"{FILES}/{_CERTIFICATES}/{host}"] if (host := self._trusted_host(request)) else []
        build = [*buildah, "build", *build_flags(paths), *logins, "--tag", _TAG, str(paths.context)]
        push = [*buildah, "push", *logins, *trust, "--digestfile", f"{_WORK}/digest", _TAG]
        push.append(f"docker://{request.references[0]}")
        says = ["echo", self.pushes.format(request.references[0])]
        env = {"TMPDIR": _WORK, **request.proxies, **hidden(request)}
        # The digest is copied: the file of the message cannot be replaced.
        commands = (in_shell(words, env) for words in (build, says, push))
        script = " && ".join([*commands, f"cat {_WORK}/digest > /dev/termination-log"])
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
            capabilities=_CAPABILITIES,
        )

    def _failure(self, result: JobResult, log: list[str], request: BuildRequest) -> BuildError:
        error = super()._failure(result, log, request)
        if any(mark in line for mark in _REFUSED for line in log):
            error.hint = _NAMESPACES
        return error

    def _registries(self, request: BuildRequest) -> dict[str, FileContent]:
        names = (*(base.repository for base in bases(request)), request.references[0].repository)
        return registries.registry_files(names, _NO_SETTINGS, request.mirrors, insecure_names(request), request.tls)

    def _trusted_host(self, request: BuildRequest) -> str:
        host = request.references[0].repository.host
        return host if host in trusted(request) else ""


def _flag(name: str) -> tuple[str, str]:
    return registries.FLAGS[name], f"{FILES}/{name}"

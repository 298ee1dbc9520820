"""The arguments, private files and variables of kaniko's executor, wherever it runs.

Source: osscontainertools/kaniko, README.md, "Additional Flags", and cmd/executor/cmd/root.go, of August 2026.
"""

# Flags of other programs in this module's texts: any

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Final

from buildpush.credentials.docker import Credential
from buildpush.dockerfile.request import BuildRequest
from buildpush.engines import ENGINES, Tools
from buildpush.engines.bases import authorities, base_credentials, caches, insecure_hosts, pulled_images
from buildpush.engines.docker import buildkit
from buildpush.foundation import strict_json
from buildpush.foundation.errors import SourceError
from buildpush.foundation.records import dataclass
from buildpush.http.urls import is_loopback
from buildpush.images.model import Platform
from buildpush.images.references import DOCKER_HUB
from buildpush.places import FILES, FileContent

_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_AUTHORITY: Final = "authority.pem"
# Feature flags that make kaniko behave as Docker; a version that does not have one says so in its log.
_DOCKER_FLAGS: Final = (
    "FF_KANIKO_CHOWN_ON_IMPLICIT_DIRS",
    "FF_KANIKO_COPY_AS_ROOT",
    "FF_KANIKO_EXPAND_HEREDOC",
    "FF_KANIKO_RUN_HONOR_GROUP",
    "FF_KANIKO_UNTAR_SKIP_ROOT",
)
# The settings that have the names of kaniko's flags, and that no other engine has.
OWN_FLAGS: Final = tuple(sorted(ENGINES["kaniko"].settings.keys() - {"kaniko_image"}))


@dataclass(frozen=True, slots=True)
class KanikoArguments:
    """What the executor is told about one request.

    Attributes:
        tools: of the run.
        request: what to build.
        credentials: by host, of those that it talks to.
        hosts: that it talks to.
        insecure: those of them that may have any certificate, or no TLS.
        authorities: by host, certificates to trust there, as PEM text.
        env: variables of this machine that count where it runs, such as those of proxies.
    """

    tools: Tools
    request: BuildRequest
    credentials: Mapping[str, Credential]
    hosts: frozenset[str]
    insecure: Sequence[str] = ()
    authorities: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, tools: Tools, request: BuildRequest) -> KanikoArguments:
        """Return those of a build that only pulls, on this machine."""
        return cls(
            tools,
            request,
            base_credentials(request, tools.find),
            hosts_of(request),
            insecure_hosts(request),
            authorities(request),
            tools.env,
        )

    def flags(self, platform: Platform | None) -> Iterator[str]:
        """Yield all flags but those about the context, the Dockerfile and the destination."""
        request = self.request
        for name, value in request.build_args.items():
            yield from ("--build-arg", f"{name}={value}")
        for name in request.proxies:  # kaniko takes their values from its variables
            yield from ("--build-arg", name)
        for name, value in request.labels.items():
            yield from ("--label", f"{name}={value}")
        if request.target:
            yield from ("--target", request.target)
        for path in request.ignore_paths:
            yield from ("--ignore-path", path)
        yield from self._caching()
        yield from self._registries()
        yield from self._switches()
        if platform:
            yield from _for_platform(platform, request.build_args)

    def _caching(self) -> Iterator[str]:
        request = self.request
        if request.cache_repository:
            yield from ("--cache=true", "--cache-repo", str(request.cache_repository))
            if request.cache_hours:
                yield f"--cache-ttl={request.cache_hours}h"

    def _registries(self) -> Iterator[str]:
        mirrors = [mirror for mirror in self.request.mirrors if mirror != DOCKER_HUB]
        for mirror in mirrors:
            yield from ("--registry-mirror", mirror)
        if mirrors and DOCKER_HUB not in self.request.mirrors:
            yield "--skip-default-registry-fallback"
        for host in sorted(filter(is_loopback, self.hosts - self.request.tls)):
            yield from ("--insecure-registry", host)
        for host in self.insecure:  # the first is plain HTTP, the second TLS with any certificate
            yield from ("--insecure-registry", host, "--skip-tls-verify-registry", host)
        for number, host in enumerate(self.authorities):
            yield from ("--registry-certificate", f"{host}={FILES}/{_certificate(number)}")

    def _switches(self) -> Iterator[str]:
        switches = {
            "--snapshot-mode=redo": self.request.optimize,
            "--single-snapshot": self.request.squash,
            "--reproducible": self.request.created is not None,
        }
        yield from (flag for flag, is_on in switches.items() if is_on)
        for name in OWN_FLAGS:
            if (value := self.tools.settings.get(name)) is not None:
                yield f"--{name.replace('_', '-')}={str(value).lower()}"

    def private(self) -> Iterator[tuple[str, FileContent]]:
        """Yield the private files."""
        if self.credentials:
            document = {"auths": buildkit.auths(self.credentials)}
            yield f"{buildkit.CONFIG}/config.json", json.dumps(document)
        if authority := _authority(self.env):
            yield _AUTHORITY, _read(Path(authority))
        for number, text in enumerate(self.authorities.values()):
            yield _certificate(number), text

    def variables(self) -> Iterator[tuple[str, str]]:
        """Yield the variables."""
        if self.credentials:
            yield "DOCKER_CONFIG", f"{FILES}/{buildkit.CONFIG}"
        env = self.env
        if _authority(env):
            yield "SSL_CERT_FILE", f"{FILES}/{_AUTHORITY}"
        for name in (*_PROXIES, *map(str.lower, _PROXIES)):
            if name in env:
                yield name, env[name]
        yield from self.request.proxies.items()
        own = {name: value for name, value in env.items() if name.startswith("FF_KANIKO_")}
        yield from sorted((dict.fromkeys(_DOCKER_FLAGS, "true") | own).items())


def hosts_of(request: BuildRequest) -> frozenset[str]:
    """Return the hosts that the build pulls from, and those of its caches."""
    bases = {base.repository.host for base in pulled_images(request)}
    return frozenset(bases | {cache.host for cache in caches(request)})


def _for_platform(platform: Platform, build_args: Mapping[str, str]) -> Iterator[str]:
    """Yield the flags for one platform, with the arguments that kaniko 1.24 leaves empty."""
    yield from ("--custom-platform", str(platform))
    values = {"TARGETPLATFORM": str(platform), "TARGETOS": platform.os, "TARGETARCH": platform.architecture}
    for name, value in (values | {"TARGETVARIANT": platform.variant}).items():
        if name not in build_args:
            yield from ("--build-arg", f"{name}={value}")


def log_text(line: str) -> str:
    """Return the text of a line of the log: kaniko's own are JSON, those of RUN are plain.

    Source: sirupsen/logrus, JSONFormatter: keys ``level``, ``msg``, ``time``.
    """
    if not line.startswith("{"):
        return line
    try:
        entry = strict_json.parse(line)
        level, text = entry["level"], entry["msg"]
    except (ValueError, KeyError, TypeError):
        return line
    return str(text) if level == "info" else f"{level}: {text}"


def _certificate(number: int) -> str:
    return f"authorities/{number}.pem"


def _authority(env: Mapping[str, str]) -> str:
    return env.get("SSL_CERT_FILE") or env.get("HARNESS_CA_PATH", "")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"the certificates in {path} cannot be read: {error.strerror}"
        raise SourceError(message, hint="correct SSL_CERT_FILE or HARNESS_CA_PATH, which names it") from error

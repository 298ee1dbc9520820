"""The arguments of ``docker buildx build`` for a request; logins and secrets are passed in private files.

buildah takes the same flags, and reads logins in the same form.

Source: docker buildx build, command line reference; buildah-build(1).
"""

# Flags of other programs in this module's texts: any

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from buildpush.advice.sources import missing_source, whole_source
from buildpush.advice.table import advise
from buildpush.credentials.docker import HUB_KEY, Credential
from buildpush.dockerfile import parse as dockerfile
from buildpush.dockerfile.caches import CacheSpec, csv_line
from buildpush.dockerfile.missing import hint_for
from buildpush.dockerfile.request import BuildRequest
from buildpush.engines import Tools
from buildpush.engines.bases import repository_cache
from buildpush.foundation.errors import BadNameError, BuildError, DockerfileError
from buildpush.foundation.regex import regex
from buildpush.foundation.text import safe
from buildpush.images.references import DOCKER_HUB, Reference
from buildpush.places import FILES, Command, FileContent
from buildpush.transfer.dockerhome import CRASH_HINT, docker_config

# The flags of the settings, in ``docker buildx build`` as in ``buildah build``.
FLAGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "dockerfile": "--file",
        "context": "PATH",
        "labels": "--label",
        "build_args": "--build-arg",
        "target": "--target",
        "platforms": "--platform",
        "no_cache": "--no-cache",
        "env_docker_secrets": "--secret",
        "file_docker_secrets": "--secret",
        "add_host": "--add-host",
        "build_contexts": "--build-context",
        "ssh": "--ssh",
        "ssh_agent_key": "--ssh",
    }
)
CONFIG = "docker"
_SSH_KEY: Final = "ssh/default"
_FULL = "the disk is full: docker system df shows what Docker keeps, docker system prune frees it"
_LINES = 12
# What docker and buildx print when their daemon is gone; BuildKit has other words for a registry.
_DAEMON_GONE: Final = (
    *("error reading from server", "cannot connect to the docker daemon", "transport is closing"),
    *("code = unavailable", "error during connect"),
)
_SYNTAX_HINT: Final = "remove that line, so that the builder reads the file itself; or give it access to that registry"
# How old versions of buildah and docker reject a flag, and docker's classic builder a feature of BuildKit.
_UNKNOWN_FLAG: Final = regex(
    r"unknown (?:shorthand )?flag:? \"?(-{0,2}\w[\w-]*)|the (--[\w-]+) option requires BuildKit", re.IGNORECASE
)
# buildah lists the flags that it supports, and not the one that it rejects.
_KNOWN_FLAGS: Final = regex(r'at STEP "(?P<step>.*)": [A-Z]+ only supports (?P<known>.*)')
_FLAG: Final = regex(r"\s(--[\w-]+)")
_HINTS: Final = (
    (
        ("entitlement network.host is not allowed",),
        "start the builder's buildkitd with --allow-insecure-entitlement network.host, or leave 'network' out",
    ),
    (
        ("401 unauthorized", "authorization failed", "pull access denied"),
        "the registry of a base image requires a login: set baseImageConnectorRefs, or run docker login",
    ),
    (("failed to resolve source metadata",), "a base image cannot be reached: check its name and the network"),
)
_LONGEST_LOG = 1024 * 1024
_ERROR = regex(r"^(?:ERROR|Error): ")
_LINE = regex(r"^(?:#\d+ )?(?P<file>[\w./-]+):(?P<line>\d+)$|parse error (?:on|at) line (?P<other>\d+)", re.MULTILINE)
_COPY_SOURCE: Final = "advice-copy-source"
_NOISE = regex(r"^(?:#\d+ )?(?:-+|>+)?\s*$")
_OWN_ADDRESS = regex(r"dial tcp (?:127\.|\[::1\])\S* connect: connection refused")


def run(
    tools: Tools, command: Command, request: BuildRequest, files: Mapping[str, FileContent], full: str = _FULL
) -> None:
    """Run *command*, which builds *request*, with private *files*; its log is passed on as it arrives.

    Raises:
        BuildError: it failed; *full* says what to do when the disk is full.
    """
    result = tools.place.run(command.argv, files=files, env=command.env, stream=tools.log)
    if result.status:
        raise failure(result.stdout + result.stderr, request, full)


def arguments(request: BuildRequest) -> list[str]:
    """Return the arguments after ``build`` for *request*, without the output and the context."""
    flags = [
        ("--file", request.dockerfile),
        *(("--build-arg", f"{name}={value}") for name, value in request.build_args.items()),
        *(("--label", f"{name}={value}") for name, value in request.labels.items()),
        *([("--target", request.target)] if request.target else ()),
        *([("--platform", ",".join(map(str, request.platforms)))] if request.platforms else ()),
        *([("--no-cache",)] if request.no_cache else ()),
        *(("--add-host", f"{name}:{address}") for name, address in request.add_hosts.items()),
        *(("--build-context", f"{name}={location}") for name, location in request.build_contexts.items()),
        *(("--ssh", key) for key in request.ssh),
        *([("--ssh", f"default={FILES}/{_SSH_KEY}")] if request.ssh_key else ()),
        *(("--secret", _secret_flag(number, name)) for number, name in enumerate(request.build_secrets)),
        *_caches(request),
    ]
    return [str(word) for flag in flags for word in flag]


def _caches(request: BuildRequest) -> Iterator[tuple[str, CacheSpec]]:
    repository = repository_cache(request)
    yield from (("--cache-from", cache) for cache in (*request.cache_from, *repository))
    # Max is all layers of all stages, which costs little in a repository that is only for caches. An older BuildKit
    # writes an index of layers otherwise: a registry that looks for manifests in it refuses it.
    written = (cache.with_field("mode", "max").with_field("image-manifest", "true") for cache in repository)
    yield from (("--cache-to", cache) for cache in (*request.cache_to, *written))


def secret_files(request: BuildRequest) -> dict[str, FileContent]:
    """Return the private files with the secrets of :func:`arguments`."""
    key: dict[str, FileContent] = {_SSH_KEY: request.ssh_key} if request.ssh_key else {}
    return key | {_secret(number): secret for number, secret in enumerate(request.build_secrets.values())}


def _secret_flag(number: int, name: str) -> str:
    return csv_line(("id", name), ("src", f"{FILES}/{_secret(number)}"))


def _secret(number: int) -> str:
    # An id may contain any character; a file's name may not.
    return f"secrets/{number}"


def login_files(credentials: Mapping[str, Credential], home: Path) -> dict[str, FileContent]:
    """Return a private Docker configuration with *credentials*; everything else is as in the user's own.

    Args:
        credentials: by host.
        home: the user's Docker configuration directory.
    """
    document = docker_config(home)
    document.pop("credsStore", None)  # Docker would ask it instead of reading the file
    helpers = {host: name for host, name in (document.get("credHelpers") or {}).items() if host not in credentials}
    document |= {
        "auths": auths(credentials),
        "credHelpers": helpers,
        "cliPluginsExtraDirs": [*(document.get("cliPluginsExtraDirs") or ()), str(home / "cli-plugins")],
    }
    return {f"{CONFIG}/config.json": json.dumps(document), **_contexts(home)}


def auths(credentials: Mapping[str, Credential]) -> dict[str, dict[str, str]]:
    """Return logins in the form of ``config.json`` and of the files of ``--authfile``."""
    return {HUB_KEY if host == DOCKER_HUB else host: _login(credential) for host, credential in credentials.items()}


def _contexts(home: Path) -> dict[str, FileContent]:
    """Return the files that describe the user's Docker contexts: without them a remote daemon could not be found."""
    root = home / "contexts"
    files = [path for path in root.rglob("*") if path.is_file()] if root.is_dir() else []
    return {f"{CONFIG}/{path.relative_to(home)}": path.read_bytes() for path in files}


def _login(credential: Credential) -> dict[str, str]:
    if credential.kind == "identity":
        return {"identitytoken": credential.password.reveal()}
    if credential.kind == "access" and not credential.user:  # without a user, the token is sent as it is
        return {"registrytoken": credential.password.reveal()}
    return {"auth": credential.password.basic(credential.user)}


def failure(log: str, request: BuildRequest, full: str = _FULL) -> BuildError:
    """Return the error of a failed build from its *log*, with its last lines and the line of the Dockerfile.

    Args:
        log: what the build printed.
        request: what was built.
        full: what to do when the disk is full.
    """
    # A cut in the middle of a line might be in the middle of a secret.
    log = safe(log if len(log) <= _LONGEST_LOG else log[-_LONGEST_LOG:].partition("\n")[2])
    lines = [line.rstrip() for line in log.split("\n") if not _NOISE.match(line)]
    reasons = [line for line in lines if line.lower().startswith("error:")]
    reason = _ERROR.sub("", (reasons or lines or ["it printed nothing"])[-1])
    if syntax := _missing_frontend(log, request):
        reason = f"the frontend of the Dockerfile, # syntax={syntax}, cannot be fetched: {reason}"
    elif _went_away(reason):
        reason = f"the builder or the Docker daemon went away: {reason}"
    match = _LINE.search(log)
    where = f"{request.dockerfile.name}:{match['line'] or match['other']}" if match else None
    message = "\n".join([f"the build failed: {reason}", *(line for line in lines[-_LINES:] if reason not in line)])
    hint = _SYNTAX_HINT if syntax else CRASH_HINT if _went_away(reason) else _hint(log, full)
    error = BuildError(message, hint=hint, where=where)
    last = [reason, *reversed(lines[-_LINES:])]
    advise(error, last)
    if error.advice == _COPY_SOURCE:
        error.hint = _missing_source_hint(last, request) or error.hint
    return error


def _missing_source_hint(lines: list[str], request: BuildRequest) -> str | None:
    """Return what the context has in place of a file that COPY names; ``None`` where it is about another stage."""
    path = next(filter(None, (missing_source(line, str(request.context)) for line in lines)), None)
    if path is None or any("--from=" in line for line in lines):
        return None
    return hint_for(request.context, request.dockerfile, whole_source(path, lines))


def _missing_frontend(log: str, request: BuildRequest) -> str | None:
    """Return the ``# syntax=`` of the Dockerfile, if its frontend is what could not be fetched."""
    if "failed to resolve source metadata" not in log and "failed to do request" not in log:
        return None
    try:
        syntax = dockerfile.read(request.dockerfile).syntax
        name = str(Reference.parse(syntax)) if syntax else ""
    except (DockerfileError, BadNameError):
        return None
    # BuildKit requests no other image of the file before the frontend has been fetched.
    return (
        syntax if name and (f"metadata for {name}" in log or f"image config for docker-image://{name}" in log) else None
    )


def _went_away(reason: str) -> bool:
    return "failed to solve" not in reason and any(mark in reason.lower() for mark in _DAEMON_GONE)


def _hint(log: str, full: str) -> str | None:
    lower = log.lower()
    if "no space left on device" in lower:
        return full
    if flag := _unknown_flag(log):
        return f"this builder is older than {flag}: install a newer one, or use engine: buildx"
    if "docker-container driver" in lower and _OWN_ADDRESS.search(lower):
        return "127.0.0.1 is the builder's container itself: create the builder with --driver-opt network=host"
    return next((hint for marks, hint in _HINTS if any(mark in lower for mark in marks)), None)


def _unknown_flag(log: str) -> str | None:
    """Return the flag of a command or an instruction that an old builder does not support."""
    if match := _UNKNOWN_FLAG.search(log):
        return match[1] or match[2]
    if match := _KNOWN_FLAGS.search(log):
        return next((flag for flag in _FLAG.findall(match["step"]) if flag not in match["known"]), None)
    return None

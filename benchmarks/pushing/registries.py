"""Where images are pushed to: registries of their own process, on loopback, empty each time."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.partner import running_sandbox

CONFIGURATION = """
version: 0.1
log: {{accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {directory}/data}}}}
http: {{addr: "127.0.0.1:0"{more}}}
"""
TLS = ", tls: {{certificate: {directory}/certificate.pem, key: {directory}/key.pem}}"
LISTENS = re.compile(r"listening on 127\.0\.0\.1:(\d+)")
SECONDS_TO_START = 30


@dataclass(frozen=True)
class Target:
    """A repository, and the directory in which clients find their credentials and keep what they remember.

    Attributes:
        process: number of the registry's process.
        certificate: which clients are to trust, where the registry speaks TLS.
    """

    host: str
    path: str
    directory: Path
    process: int
    certificate: Path | None = None

    @property
    def reference(self) -> str:
        return f"{self.host}/{self.path}:1"

    @property
    def login(self) -> Path:
        """What docker, crane and skopeo read, and buildpush too."""
        return self.directory / "config.json"

    @property
    def env(self) -> dict[str, str]:
        return {
            "DOCKER_CONFIG": str(self.directory),
            "REGISTRY_AUTH_FILE": str(self.login),
            "XDG_STATE_HOME": str(self.directory / "state"),
            **({"SSL_CERT_FILE": str(self.certificate)} if self.certificate else {}),
        }

    def through(self, host: str) -> Target:
        """Return the same repository, as it is seen through another address."""
        found = json.loads(self.login.read_text(encoding="utf-8"))["auths"]
        _write_login(self.directory, {host: found[self.host]} if found else {})
        return replace(self, host=host)

    def beside(self, path: str) -> Target:
        """Return another repository of the same registry."""
        return replace(self, path=f"{self.path}-{path}")


@contextmanager
def _sandbox() -> Iterator[Target]:
    with running_sandbox() as facts, _directory() as directory:
        words = f"{facts['username']}:{facts['password']}".encode()
        _write_login(directory, {facts["host"]: {"auth": base64.b64encode(words).decode()}})
        yield Target(facts["host"], "docker-local/bench", directory, facts["process"])


@contextmanager
def _docker_registry(more: str = "") -> Iterator[Target]:
    with _directory() as directory:
        words = CONFIGURATION.format(directory=directory, more=more.format(directory=directory))
        (directory / "config.yml").write_text(words, encoding="utf-8")
        name = _make_certificate(directory) if more else "127.0.0.1"
        argv, log = ["docker-registry", "serve", str(directory / "config.yml")], directory / "log"
        with log.open("wb") as out, subprocess.Popen(argv, stdout=out, stderr=out) as process:
            try:
                host = f"{name}:{_port(process, log)}"
                _write_login(directory, {})
                yield Target(host, "bench", directory, process.pid, directory / "certificate.pem" if more else None)
            finally:
                process.terminate()


def _make_certificate(directory: Path) -> str:
    """Make a certificate of this machine's name, which clients speak TLS to, and return the name."""
    name = socket.gethostname()
    files = ["-keyout", str(directory / "key.pem"), "-out", str(directory / "certificate.pem")]
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-days", "2"]
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *files, *subject]
    subprocess.run(argv, check=True, capture_output=True)
    return name


KINDS: dict[str, Callable[[], AbstractContextManager[Target]]] = {
    "sandbox": _sandbox,
    "docker-registry": _docker_registry,
}
OVER_TLS = "docker-registry, TLS"
ALL = {**KINDS, OVER_TLS: lambda: _docker_registry(TLS)}


@contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def _write_login(directory: Path, auths: dict[str, dict[str, str]]) -> None:
    (directory / "config.json").write_text(json.dumps({"auths": auths}), encoding="utf-8")


def _port(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end and process.poll() is None:
        if found := LISTENS.search(log.read_text(encoding="utf-8")):
            return found[1]
        time.sleep(0.02)
    message = f"docker-registry does not listen:\n{log.read_text(encoding='utf-8')}"
    raise SystemExit(message)


def missing(kind: str) -> str | None:
    """Return what is missing to run a registry, or ``None``."""
    return "docker-registry" if kind == "docker-registry" and shutil.which("docker-registry") is None else None


def missing_for_tls() -> str | None:
    """Return what is missing to speak TLS to this machine, or ``None``."""
    try:
        here = ipaddress.ip_address(socket.gethostbyname(socket.gethostname())).is_loopback
    except OSError:
        here = False
    if not here:
        return "name of this machine that leads to loopback"
    return None if shutil.which("openssl") else "openssl"

"""Where images are pushed to: registries of their own process, on loopback, empty each time."""

from __future__ import annotations

import base64
import json
import re
import shutil
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
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
http: {{addr: "127.0.0.1:0"}}
"""
LISTENS = re.compile(r"listening on (127\.0\.0\.1:\d+)")
SECONDS_TO_START = 30


@dataclass(frozen=True)
class Target:
    """A repository, and the folder in which clients find their credentials and keep what they remember.

    Attributes:
        process: number of the registry's process.
    """

    host: str
    path: str
    folder: Path
    process: int

    @property
    def reference(self) -> str:
        return f"{self.host}/{self.path}:1"

    @property
    def login(self) -> Path:
        """What docker, crane and skopeo read, and buildpush too."""
        return self.folder / "config.json"

    @property
    def env(self) -> dict[str, str]:
        return {
            "DOCKER_CONFIG": str(self.folder),
            "REGISTRY_AUTH_FILE": str(self.login),
            "XDG_STATE_HOME": str(self.folder / "state"),
        }

    def through(self, host: str) -> Target:
        """Return the same repository, as it is seen through another address."""
        found = json.loads(self.login.read_text(encoding="utf-8"))["auths"]
        _write_login(self.folder, {host: found[self.host]} if found else {})
        return replace(self, host=host)

    def beside(self, path: str) -> Target:
        """Return another repository of the same registry."""
        return replace(self, path=f"{self.path}-{path}")


@contextmanager
def _sandbox() -> Iterator[Target]:
    with running_sandbox() as facts, _folder() as folder:
        words = f"{facts['username']}:{facts['password']}".encode()
        _write_login(folder, {facts["host"]: {"auth": base64.b64encode(words).decode()}})
        yield Target(facts["host"], "docker-local/bench", folder, facts["process"])


@contextmanager
def _docker_registry() -> Iterator[Target]:
    with _folder() as folder:
        (folder / "config.yml").write_text(CONFIGURATION.format(folder=folder), encoding="utf-8")
        argv, log = ["docker-registry", "serve", str(folder / "config.yml")], folder / "log"
        with log.open("wb") as out, subprocess.Popen(argv, stdout=out, stderr=out) as process:
            try:
                host = _address(process, log)
                _write_login(folder, {})
                yield Target(host, "bench", folder, process.pid)
            finally:
                process.terminate()


KINDS: dict[str, Callable[[], AbstractContextManager[Target]]] = {
    "sandbox": _sandbox,
    "docker-registry": _docker_registry,
}


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def _write_login(folder: Path, auths: dict[str, dict[str, str]]) -> None:
    (folder / "config.json").write_text(json.dumps({"auths": auths}), encoding="utf-8")


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
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

"""A BuildKit of our own behind a builder of buildx, which neither needs nor disturbs a Docker daemon; it needs root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

SECONDS_TO_START = 30


def missing() -> str | None:
    """Return what is missing to start one, or ``None``."""
    if shutil.which("buildkitd") is None or shutil.which("docker") is None:
        return "buildkitd, or no buildx to talk to it"
    return None if os.geteuid() == 0 else "root, to start a BuildKit of its own"


@contextmanager
def running(root: Path) -> Iterator[Mapping[str, str]]:
    """Give the variables with which buildx builds in a BuildKit that keeps what it has below *root*."""
    with tempfile.TemporaryDirectory(prefix="buildkitd-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        address, log = f"unix://{directory}/socket", directory / "log"
        argv = ["buildkitd", "--addr", address, "--root", str(root)]
        with log.open("wb") as out, subprocess.Popen(argv, stdout=out, stderr=out) as process:
            try:
                _wait(process, directory / "socket", log)
                env = {"BUILDX_CONFIG": f"{directory}/buildx", "BUILDX_BUILDER": "bench"}
                create = ["docker", "buildx", "create", "--name", "bench", "--driver", "remote", address]
                subprocess.run(create, env={**os.environ, **env}, check=True, capture_output=True)
                yield env
            finally:
                process.terminate()


def _wait(process: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end and process.poll() is None:
        if socket.exists():
            return
        time.sleep(0.1)
    process.terminate()
    message = f"BuildKit does not start:\n{log.read_text(errors='replace')[-2000:]}"
    raise SystemExit(message)

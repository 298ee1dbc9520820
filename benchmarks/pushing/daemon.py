"""A Docker daemon of our own with the overlay2 store, which is what most machines have; it needs root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS_TO_START = 60
# Not --bridge=none: that makes a daemon remove the bridge of the one that is running already.
SWITCHED_OFF = ("--iptables=false", "--ip6tables=false", "--ip-masq=false")
CONFIGURATION = '{"features": {"containerd-snapshotter": false}}'


def missing() -> str | None:
    """Return what is missing to start one, or ``None``."""
    if shutil.which("dockerd") is None or shutil.which("docker") is None:
        return "docker with its daemon"
    return None if os.geteuid() == 0 else "root, to start a Docker daemon of its own"


@contextmanager
def running(root: Path) -> Iterator[str]:
    """Give the address (``DOCKER_HOST``) of a daemon that keeps its images below *root*, until the ``with`` ends."""
    with tempfile.TemporaryDirectory(prefix="dockerd-") as name:
        directory = Path(name)
        (directory / "daemon.json").write_text(CONFIGURATION, encoding="utf-8")
        host, log = f"unix://{directory}/docker.sock", directory / "log"
        argv = ["dockerd", f"--config-file={directory}/daemon.json", f"--host={host}", f"--data-root={root}"]
        argv += [
            f"--exec-root={directory}/exec",
            f"--pidfile={directory}/pid",
            "--storage-driver=overlay2",
            *SWITCHED_OFF,
        ]
        with log.open("wb") as out, subprocess.Popen(argv, stdout=out, stderr=out) as process:
            try:
                _wait(process, host, log)
                yield host
            finally:
                process.terminate()


def _wait(process: subprocess.Popen[bytes], host: str, log: Path) -> None:
    end = time.monotonic() + SECONDS_TO_START
    question = ["docker", "--host", host, "info", "--format", "{{.Driver}}"]
    while time.monotonic() < end and process.poll() is None:
        answer = subprocess.run(question, capture_output=True, text=True, check=False)
        if answer.returncode == 0 and answer.stdout.strip() == "overlay2":
            return
        time.sleep(0.1)
    process.terminate()
    message = f"the Docker daemon does not start:\n{log.read_text(errors='replace')[-2000:]}"
    raise SystemExit(message)

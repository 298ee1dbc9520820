"""Build and push a hundred megabytes to a sandbox, beside other clients where they are installed."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.partner import running_sandbox
from benchmarks.turns import Figure, in_turns, timed

MEGABYTE = 1_000_000
LAYERS = 4
OURS = "buildpush run (build and push)"

Prepare = Callable[[int], None]


class Ground:
    """A build context whose layers nobody has seen, for every client and round anew."""

    def __init__(self, directory: Path, megabytes: int) -> None:
        self.directory = directory / "context"
        self.directory.mkdir()
        self._half = megabytes * MEGABYTE // LAYERS // 2
        self._names = [f"part{number}.bin" for number in range(LAYERS)]
        copies = "".join(f"COPY {name} /{name}\n" for name in self._names)
        (self.directory / "Dockerfile").write_text(f"FROM scratch\n{copies}", encoding="utf-8")
        self._draw = random.Random(20)
        self._words = " ".join(f"word{self._draw.randrange(5000)}" for _ in range(200_000)).encode()

    @property
    def flags(self) -> list[str]:
        """What buildpush is told about the build."""
        dockerfile = str(self.directory / "Dockerfile")
        return ["--engine", "native", "--context", str(self.directory), "--dockerfile", dockerfile]

    def renew(self) -> None:
        """Fill the context: half of each file does not compress, half does as source code does."""
        for name in self._names:
            text = self._words * (self._half // len(self._words) + 1)
            start = self._draw.randrange(len(self._words))
            (self.directory / name).write_bytes(self._draw.randbytes(self._half) + text[start : start + self._half])


def measure(rounds: int, megabytes: int) -> None:
    """Print seconds and megabytes per second of every client that is here."""
    print(f"build and push of {megabytes} MB in {LAYERS} layers to a sandbox, in turns, median of {rounds} rounds")
    with tempfile.TemporaryDirectory() as name, running_sandbox() as box:
        directory = Path(name)
        ground = Ground(directory, megabytes)
        acts = {OURS: _buildpush(ground, box, directory)}
        acts |= _docker(ground, box, directory) | _skopeo(ground, box, directory)
        figures = in_turns(acts, rounds)
    for figure in figures.values():
        print(f"  {figure.name:34}{_line(figure, figures[OURS], megabytes)}")
    for program in ("docker", "skopeo"):
        if not any(program in name for name in acts):
            print(f"  {program}: not here")


def _line(figure: Figure, ours: Figure, megabytes: int) -> str:
    compared = "" if figure is ours else f"  x {figure.ratio(ours):.2f} of ours"
    return f"{figure.median:6.2f} s  ± {figure.spread:.2f}  {megabytes / figure.median:6.0f} MB/s{compared}"


def _buildpush(ground: Ground, box: dict[str, str], directory: Path):
    env = {
        "PLUGIN_USERNAME": box["username"],
        "PLUGIN_PASSWORD": box["password"],
        "XDG_STATE_HOME": str(directory / "state"),
    }

    def act(number: int) -> float:
        ground.renew()
        words = [*ground.flags, "--repo", f"{box['host']}/docker-local/ours", "--tags", str(number)]
        words += ["--no-publish-build-info"]  # the others publish none
        return timed([sys.executable, "-m", "buildpush", "run", *words], cwd=directory, env=env)

    return act


def _docker(ground: Ground, box: dict[str, str], directory: Path):
    if not _works(["docker", "info"]):
        return {}
    env = {"DOCKER_CONFIG": str(directory / "docker")}
    login = ["docker", "login", "--username", box["username"], "--password-stdin", box["host"]]
    subprocess.run(login, input=box["password"].encode(), env={**os.environ, **env}, capture_output=True, check=True)

    def act(number: int) -> float:
        ground.renew()
        reference = f"{box['host']}/docker-local/docker:{number}"
        try:
            begun = time.perf_counter()
            timed(["docker", "build", "--quiet", "--tag", reference, str(ground.directory)], cwd=directory, env=env)
            timed(["docker", "push", "--quiet", reference], cwd=directory, env=env)
            return time.perf_counter() - begun
        finally:
            subprocess.run(["docker", "image", "rm", "--force", reference], capture_output=True, check=False)

    return {"docker build, docker push": act}


def _skopeo(ground: Ground, box: dict[str, str], directory: Path):
    if not _works(["skopeo", "--version"]):
        return {}
    auth, env = directory / "auth.json", {"XDG_STATE_HOME": str(directory / "state")}
    login = ["skopeo", "login", "--tls-verify=false", "--authfile", str(auth), "--username", box["username"]]
    subprocess.run(
        [*login, "--password-stdin", box["host"]], input=box["password"].encode(), check=True, capture_output=True
    )

    def act(number: int) -> float:
        ground.renew()
        layout = directory / "layout"
        shutil.rmtree(layout, ignore_errors=True)
        words = [*ground.flags, "--repo", "h.example/ours", "--tags", "1", "--output", f"oci:{layout}"]
        begun = time.perf_counter()
        timed([sys.executable, "-m", "buildpush", "build", *words], cwd=directory, env=env)
        target = f"docker://{box['host']}/docker-local/skopeo:{number}"
        copy = ["skopeo", "copy", "--quiet", "--authfile", str(auth), "--dest-tls-verify=false"]
        timed([*copy, f"oci:{layout}", target], cwd=directory)
        return time.perf_counter() - begun

    return {"buildpush build, skopeo copy": act}


def _works(argv: list[str]) -> bool:
    if shutil.which(argv[0]) is None:
        return False
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0

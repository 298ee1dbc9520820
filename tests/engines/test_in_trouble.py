"""Builds in trouble, with real programs: a daemon that goes away, a disk that is full, a log without end."""

from __future__ import annotations

import gc
import io
import os
import subprocess
import sys
import tarfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import buildpush
from buildpush.engines import Tools
from buildpush.engines.buildah import Buildah
from buildpush.engines.docker.classic import Docker
from buildpush.foundation.errors import BuildError, ContextError
from buildpush.foundation.events import Log, Note
from buildpush.places import Here

pytestmark = pytest.mark.engines


@pytest.fixture
def daemon(need, tmp_path, start_daemon, busybox):
    """Start a daemon that nothing else uses, with a base image, and give the variables that lead to it."""
    need("docker", "buildx")
    with start_daemon(tmp_path, "overlay2") as host:
        if not host.startswith("unix:"):
            pytest.skip(host)
        env = {**os.environ, "DOCKER_HOST": host}
        imported = ["docker", "import", "-c", "ENV PATH=/", "-", "base:1"]
        tar = subprocess.run(["tar", "-cC", busybox.parent, "busybox"], check=True, capture_output=True).stdout
        subprocess.run(imported, input=tar, env=env, check=True, capture_output=True)
        yield env


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("builder", ["BuildKit", "classic"])
def test_a_daemon_that_is_stopped_in_the_middle_of_a_build_is_an_error_with_the_log(
    daemon, directory, tmp_path, builder
):
    directory.dockerfile('FROM base:1\nRUN ["busybox", "sh", "-c", "busybox echo begun; busybox sleep 60"]\n')
    env = daemon if builder == "BuildKit" else {**daemon, "PATH": str(tmp_path / "no-programs")}
    seen: list[str] = []

    def stop(event):
        if isinstance(event, Log):
            seen.append(event.line)
        if isinstance(event, Log) and event.line.endswith("begun") and "echo" not in event.line:
            os.kill(int((tmp_path / "pid").read_text()), 15)

    begun = time.monotonic()
    engine = Docker(Tools(env, Here(env), sink=stop))
    with pytest.raises(BuildError) as caught, engine.build(directory.request(created=None)):
        pass
    gc.collect()  # Docker's SDK leaves the socket of an answer that breaks off to the collector, which warns
    assert time.monotonic() - begun < 50, seen
    assert "build" in str(caught.value).lower() or "went away" in str(caught.value)


@contextmanager
def small_disk(path: Path, size: str):
    """Give a directory on a disk of *size*."""
    if os.geteuid() != 0:
        pytest.skip("a small disk needs root")
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.mark.parametrize("line", ["COPY a /a", "COPY nothing /a"])
def test_a_log_that_a_full_disk_cannot_keep_costs_no_build_and_hides_no_error(directory, tmp_path, monkeypatch, line):
    directory.write("a")
    directory.dockerfile(f"FROM scratch\n{line}\n")
    events = []
    order = {"cwd": directory.root, "engine": "native", "sink": events.append}
    with small_disk(tmp_path / "small", "1m") as disk:
        monkeypatch.setenv("XDG_STATE_HOME", str(disk))
        (disk / "buildpush/logs").mkdir(parents=True, mode=0o700)
        with suppress(OSError), (disk / "full").open("wb") as file:
            file.write(bytes(2_000_000))
        if "nothing" in line:
            with pytest.raises(ContextError, match="nothing is not in the context"):
                buildpush.build(**order)
        else:
            buildpush.build(**order)
    assert any("log is not kept: No space left" in str(event) for event in events if isinstance(event, Note))


def test_a_context_that_does_not_fit_names_the_directory_and_leaves_nothing(tmp_path, monkeypatch):
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        member = tarfile.TarInfo("big")
        member.size = 3_000_000
        tar.addfile(member, io.BytesIO(bytes(3_000_000)))
    with small_disk(tmp_path / "small", "1m") as disk:
        monkeypatch.setattr("tempfile.tempdir", str(disk))
        with pytest.raises(ContextError, match="does not fit into") as caught:
            buildpush.build(cwd=tmp_path, context="t.tar", engine="native")
        assert list(disk.iterdir()) == []
    assert "TMPDIR" in caught.value.hint


@pytest.mark.parametrize("name", ["docker", "buildah"])
def test_a_full_disk_is_an_error_that_says_so_and_leaves_nothing(need, directory, tmp_path, name):
    need("docker", "buildx", "buildah")
    env = dict(os.environ)
    directory.write("big", os.urandom(8_000_000))
    directory.dockerfile("FROM scratch\nCOPY big /big\n")
    with small_disk(tmp_path / "small", "4m") as scratch:
        engine = {"docker": Docker, "buildah": Buildah}[name](Tools(env, Here(env), scratch=scratch))
        with pytest.raises(BuildError) as caught, engine.build(directory.request(created=None)):
            pass
        assert "full" in (caught.value.hint or ""), (str(caught.value), caught.value.hint)
        assert list(scratch.iterdir()) == []


LOUD = """
import os, sys
from pathlib import Path
from buildpush.places import Here
lines = []
code = "import sys\\nfor _ in range(1_000_000): sys.stdout.write('x' * 99 + chr(10))"
ran = Here(dict(os.environ)).run([sys.executable, "-c", code], stream=lambda line: lines.append(1))
peak = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(len(lines), len(ran.stdout), peak)
"""


def test_a_log_of_100_mb_is_told_line_by_line_in_bounded_memory():
    said = subprocess.run([sys.executable, "-c", LOUD], check=True, capture_output=True, text=True).stdout
    lines, kept, peak = map(int, said.split())
    # KiB; getrusage would count what the test's own process was when it forked.
    assert (lines, kept <= 8 * 1024 * 1024, peak < 150_000) == (1_000_000, True, True), peak


def test_what_an_engine_prints_is_kept_whole_and_a_failed_build_says_where(need, directory, tmp_path, monkeypatch):
    need("buildah")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    directory.write("a")
    directory.dockerfile("FROM scratch\nCOPY a /a\nCOPY nope /b\n")
    with pytest.raises(BuildError) as caught:
        buildpush.build(context=str(directory.root), dockerfile=str(directory.root / "Dockerfile"), engine="buildah")
    path = Path(caught.value.hint.rpartition("the whole log: ")[2])
    assert "STEP 2/3: COPY a /a" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent == tmp_path / "state/buildpush/logs"

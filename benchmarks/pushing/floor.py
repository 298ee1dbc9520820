"""What nobody's client can save: the libraries, the kernel and the registry, without any of our code.

Figures of pushes are to be read beside these. Where clients and registry share the cores of one machine, the work of
all of them divided by the cores is the least that a push can take there.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.pushing import ceiling, commands, registries
from benchmarks.pushing.figures import Entry
from benchmarks.pushing.ground import Ground, need
from benchmarks.pushing.layouts import layers
from benchmarks.pushing.material import Context
from benchmarks.turns import in_turns

BLOCK = 1024 * 1024
START = [sys.executable, "-c", "import click, http.client, json, sqlite3, ssl, urllib3"]


def measure(ground: Ground) -> list[Entry]:
    """Do the parts of a push one by one."""
    plain, packed = layers(ground.plain), layers(ground.packed)
    registry = _Registry(ground.kind, packed)
    acts: dict[str, Callable[[], float]] = {
        "gzip of the layers, level 1, on one core": lambda: _seconds(_compress, plain),
        "sha256 of the layers, before and after it, on one core": lambda: _seconds(_hash, [*plain, *packed]),
        "processor of the registry, which gets the ready layers": registry,
        "lstat of every file of the context": lambda: _seconds(_look, ground.context),
        "open, read and close of every file of the context": lambda: _seconds(_read, ground.context),
        "start of Python, with the libraries of a push": lambda: commands.run(START, {}).seconds,
    }
    figures = in_turns({name: lambda _number, act=act: act() for name, act in acts.items()}, ground.rounds)
    entries = [Entry(name, figure.median, spread=figure.spread) for name, figure in figures.items()]
    cores = os.cpu_count() or 1
    return [
        *entries,
        Entry("the first three, on all cores: the least that gzip on the way can take", _sum(entries[:3]) / cores),
        Entry("the first five, on all cores: the least that a build can take", _sum(entries[:5]) / cores),
    ]


def _sum(entries: list[Entry]) -> float:
    return sum(entry.value for entry in entries)


def _seconds(act: Callable, *arguments: object) -> float:
    begun = time.perf_counter()
    act(*arguments)
    return time.perf_counter() - begun


def _blocks(files: list[Path]) -> Iterator[bytes]:
    for path in files:
        with path.open("rb", buffering=0) as file:
            while block := file.read(BLOCK):
                yield block


def _compress(files: list[Path]) -> None:
    from isal import isal_zlib

    for block in _blocks(files):
        isal_zlib.compress(block, 1)


def _hash(files: list[Path]) -> None:
    digest = hashlib.sha256()
    for block in _blocks(files):
        digest.update(block)


def _look(context: Context) -> None:
    """Ask the kernel for every file, with nothing else done about it."""
    directories = [str(context.directory)]
    while directories:
        with os.scandir(directories.pop()) as found:
            for entry in found:
                entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    directories.append(entry.path)


def _read(context: Context) -> None:
    """Read every file as plainly as it can be done."""
    buffer = bytearray(BLOCK)
    for directory, _, names in os.walk(context.directory):
        for name in names:
            file = os.open(f"{directory}/{name}", os.O_RDONLY | os.O_NOFOLLOW)
            while os.readv(file, [buffer]) == BLOCK:
                pass
            os.close(file)


class _Registry:
    """Seconds of processor that a registry spends on layers which are sent by the plainest client."""

    def __init__(self, kind: str, blobs: list[Path]) -> None:
        need(None if Path("/proc/self/stat").exists() else "/proc")
        self._kind = kind
        self._blobs = blobs

    def __call__(self) -> float:
        with registries.KINDS[self._kind]() as target:
            before = _processor(target.process)
            ceiling.measure(target, self._blobs)
            return _processor(target.process) - before


def _processor(process: int) -> float:
    """Return the seconds that a process has used (Linux, ``proc_pid_stat(5)``: fields 14 and 15)."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

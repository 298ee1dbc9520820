"""What was measured: shown as a table while it comes, and as one line of JSON per figure at the end."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

VERSIONS = {
    "dockerd": ("dockerd", "--version"),
    "docker": ("docker", "version", "--format", "{{.Client.Version}}"),
    "buildx": ("docker", "buildx", "version"),
    "buildkitd": ("buildkitd", "--version"),
    "buildah": ("buildah", "--version"),
    "skopeo": ("skopeo", "--version"),
    "crane": ("crane", "version"),
    "docker-registry": ("docker-registry", "--version"),
}
LIBRARIES = ("buildpush", "isal", "urllib3")


@dataclass(frozen=True)
class Entry:
    """One figure.

    Attributes:
        name: what was done.
        value: median over the rounds.
        unit: of *value*: seconds, bytes, times.
        spread: half of the distance between the quartiles.
        ratio: how many times as long as ours, in the same round; median.
        aim: in words.
        kept: whether the aim is reached.
        more: other facts; the name of each begins with its unit.
    """

    name: str
    value: float
    unit: str = "seconds"
    spread: float = 0.0
    ratio: float | None = None
    aim: str | None = None
    kept: bool | None = None
    more: dict[str, float] = field(default_factory=dict)

    def as_json(self, **before: str) -> str:
        """Return one line; what is not known is left out."""
        facts = {name: _short(value) for name, value in asdict(self).items() if value not in (None, {})}
        return json.dumps(before | facts, ensure_ascii=False)

    def __str__(self) -> str:
        words = f"{self.name:44}{_worded(self.value, self.unit):>12}"
        words += f"  ± {self.spread:.2f}" if self.spread else ""
        words += f"  x {self.ratio:.2f} of ours" if self.ratio else ""
        words += "".join(f"  {_told(name, value)}" for name, value in self.more.items())
        return words + (f"  (aim: {self.aim}: {'kept' if self.kept else 'missed'})" if self.aim else "")


def _short(value: object) -> object:
    if isinstance(value, dict):
        return {name: _short(one) for name, one in value.items()}
    return round(value, 3) if isinstance(value, float) else value


def _told(name: str, value: float) -> str:
    """Return a fact in words; its name begins with its unit."""
    unit, _, about = name.partition(" ")
    return f"{_worded(value, unit)} {about}".strip()


def _worded(value: float, unit: str) -> str:
    match unit:
        case "seconds" if abs(value) < 1:
            return f"{value * 1000:.0f} ms"
        case "seconds":
            return f"{value:.2f} s"
        case "bytes":
            return f"{value / 1e6:.1f} MB"
        case "times":
            return f"{value:.2f} times"
        case _:
            return f"{value:.0f} {unit}"


class Figures:
    """All entries of one run."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, row: str, registry: str, entries: Sequence[Entry]) -> None:
        """Print what was found for a row."""
        for entry in entries:
            print(f"  {entry}", flush=True)
            self._lines.append(entry.as_json(row=row, registry=registry))

    def lines(self, size: int, rounds: int) -> list[str]:
        """Return JSON: the machine first, then the figures."""
        return [json.dumps({"machine": machine(), "megabytes": size, "rounds": rounds}), *self._lines]


def machine() -> dict[str, str]:
    """Return where this was measured, and with what."""
    found = {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": f"{os.cpu_count()} x {_processor()}",
        "system": f"{_system()}, Linux {platform.release()}" if platform.system() == "Linux" else platform.platform(),
        "python": platform.python_version(),
    }
    return found | {name: said for name in LIBRARIES if (said := _library(name))} | _programs()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _library(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _programs() -> dict[str, str]:
    found = {}
    for name, question in VERSIONS.items():
        try:
            said = subprocess.run(question, capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            continue
        found[name] = next((word.rstrip(",") for word in said.split() if word.lstrip("v")[:1].isdigit()), said.strip())
    return found

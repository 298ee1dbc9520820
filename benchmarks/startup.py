"""How long it takes until something happens: import and help, over bare Python."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.turns import Figure, in_turns, milliseconds, timed

BARE = "bare Python"
COMMANDS = {
    BARE: ["-c", "pass"],
    "import buildpush": ["-c", "import buildpush"],
    "buildpush --help": ["-m", "buildpush", "--help"],
    "buildpush run --help": ["-m", "buildpush", "run", "--help"],
}
AIMS = {"import buildpush": 0.020, "buildpush --help": 0.120, "buildpush run --help": 0.300}  # seconds over bare Python

# What costs tens of milliseconds each, or has no business in a start.
HEAVY = [
    "aiohttp",
    "asyncio",
    "concurrent.futures",
    "cryptography",
    "docker",
    "docutils",
    "email",
    "http.client",
    "isal",
    "jinja2",
    "nbformat",
    "papermill",
    "pydantic",
    "pydantic_core",
    "requests",
    "rich",
    "ruamel.yaml",
    "sphinx",
    "sqlite3",
    "ssl",
    "truststore",
    "unittest",
    "urllib3",
    "xml.etree",
]

_LOADED = """
import json, runpy, sys
before = set(sys.modules)
sys.argv = {argv!r}
out, sys.stdout = sys.stdout, open({sink!r}, "w")
try:
    runpy.run_module("buildpush", run_name="__main__") if sys.argv[1:] else __import__("buildpush")
except SystemExit:
    pass
json.dump(sorted(set(sys.modules) - before), out)
"""


def heavy_modules(arguments: list[str]) -> list[str]:
    """Return the heavy modules that a start with *arguments* loads."""
    with tempfile.TemporaryDirectory() as folder:
        code = _LOADED.format(argv=["buildpush", *arguments], sink=f"{folder}/out")
        done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=folder, capture_output=True, check=True)
    return sorted(set(HEAVY) & set(json.loads(done.stdout)))


def measure(rounds: int) -> None:
    """Print import and help over bare Python."""
    print(f"start, in turns, median of {rounds} rounds")
    with tempfile.TemporaryDirectory() as folder:
        # Elsewhere than in a clone: what is installed is measured.
        acts = {name: _act(words, Path(folder)) for name, words in COMMANDS.items()}
        in_turns(acts, 1)  # fills the caches
        figures = in_turns(acts, rounds)
    for name, figure in figures.items():
        print(f"  {name:22}{_line(figure, figures[BARE], AIMS.get(name))}")
    for name in AIMS:
        modules = heavy_modules(name.split()[1:] if name.startswith("buildpush") else [])
        print(f"  heavy modules of {name}: {', '.join(modules) or 'none'}")


def _act(words: list[str], folder: Path):
    return lambda _number: timed([sys.executable, *words], cwd=folder)


def _line(figure: Figure, bare: Figure, aim: float | None) -> str:
    line = f"{milliseconds(figure.median)}  ± {figure.spread * 1000:.0f}"
    if aim is None:
        return line
    compared = f"over bare Python, x {figure.ratio(bare):.1f} (aim {aim * 1000:.0f} ms)"
    return f"{line:20}{milliseconds(figure.over(bare))} {compared}"

"""How long it takes until something happens: import, help, and small work, over bare Python.

Figures are seconds of the processor: on an idle machine those of the clock, and less disturbed on a busy one.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.partner import running_sandbox
from benchmarks.pushing.commands import Ran, run
from benchmarks.pushing.figures import Entry, Figures
from benchmarks.turns import Figure, in_turns

HERE = Path(__file__).parents[1]
BARE = "bare Python"
_IMPORT_PUSH = "import buildpush; buildpush.push"
_PUSH, _CHECK, _RUN = "buildpush push oci:DIRECTORY REF", "buildpush check FILE", "buildpush run FILE"
# Seconds over bare Python, but for the help of a run, which has them in all.
AIMS = {
    "import buildpush": 0.020,
    _IMPORT_PUSH: 0.120,
    "buildpush --help": 0.120,
    "buildpush run --help": 0.200,
    _PUSH: None,
    _CHECK: 0.120,
    _RUN: 0.120,
}

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
_STEP = """\
step:
  type: BuildAndPushDockerRegistry
  name: Build and push
  identifier: push
  spec:
    connectorRef: sandbox
    repo: docker-local/site
    tags: ["1"]
"""
_CONNECTORS = """\
connectors:
  - connector:
      identifier: sandbox
      type: DockerRegistry
      spec:
        dockerRegistryUrl: http://{host}
        providerType: Other
        auth:
          type: UsernamePassword
          spec:
            username: {username}
            passwordRef: env:BENCHMARK_PASSWORD
"""


@dataclass
class Start:
    """One command of one checkout, and what it took in each of its rounds."""

    words: Sequence[str]
    env: Mapping[str, str]
    ran: list[Ran] = field(default_factory=list)

    def __call__(self, _number: int) -> float:
        self.ran.append(run([sys.executable, "-P", *self.words], self.env))
        return self.ran[-1].processor

    def clock_over(self, bare: Start) -> float:
        """Return the median of what it took longer than *bare* by the clock, in the same round."""
        return statistics.median(one.seconds - other.seconds for one, other in zip(self.ran, bare.ran, strict=True))


def heavy_modules(arguments: list[str]) -> list[str]:
    """Return the heavy modules that a start with *arguments* loads."""
    with tempfile.TemporaryDirectory() as directory:
        code = _LOADED.format(argv=["buildpush", *arguments], sink=f"{directory}/out")
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code], cwd=directory, capture_output=True, check=True
        )
    return sorted(set(HEAVY) & set(json.loads(done.stdout)))


def measure(rounds: int, *, before: Path | None = None, save: Path | None = None) -> None:
    """Print every start over bare Python; of the checkout *before* as well, in the same turns."""
    print(f"start, in turns, median of {rounds} rounds")
    codes = {"now": HERE} | ({"before": before} if before else {})
    with tempfile.TemporaryDirectory() as name, _work(Path(name)) as (commands, env):
        starts = {
            (label, name): Start(
                words, env | {"PYTHONPATH": str(code), "XDG_STATE_HOME": str(Path(env["HOME"]) / label)}
            )
            for label, code in codes.items()
            for name, words in commands.items()
        }
        figures = _in_turns(starts, rounds)
    kept = Figures()
    kept.add("start", "sandbox", [_entry(name, aim, starts, figures) for name, aim in AIMS.items()])
    for name in AIMS:
        if name in {"import buildpush", "buildpush --help", "buildpush run --help"}:
            modules = heavy_modules(name.split()[1:] if name.startswith("buildpush") else [])
            print(f"  heavy modules of {name}: {', '.join(modules) or 'none'}")
    if save:
        save.write_text("\n".join(kept.lines(0, rounds)) + "\n", encoding="utf-8")


def _in_turns(starts: Mapping[tuple[str, str], Start], rounds: int) -> dict[tuple[str, str], Figure]:
    in_turns(starts, 1)  # fills the caches
    for start in starts.values():
        start.ran.clear()
    return in_turns(starts, rounds)


def _entry(
    name: str, aim: float | None, starts: Mapping[tuple[str, str], Start], figures: Mapping[tuple[str, str], Figure]
) -> Entry:
    """Return what *name* takes longer than bare Python, now and before."""
    whole = name == "buildpush run --help"  # its aim counts all of it
    now = figures["now", name]
    over = now.median if whole else now.over(figures["now", BARE])
    more = {"seconds by the clock": starts["now", name].clock_over(starts["now", BARE])}
    if ("before", name) in starts:
        earlier = figures["before", name]
        more["seconds before"] = earlier.median if whole else earlier.over(figures["before", BARE])
    words = None if aim is None else f"{aim * 1000:.0f} ms {'in all' if whole else 'over bare Python'}"
    return Entry(name, over, spread=now.spread, aim=words, kept=None if aim is None else over <= aim, more=more)


@contextmanager
def _work(directory: Path) -> Iterator[tuple[Mapping[str, list[str]], dict[str, str]]]:
    """Give the commands, and the environment that they need: a step, a layout and a sandbox that has its image."""
    with running_sandbox() as box:
        host, login = box["host"], {"username": box["username"], "password": box["password"]}
        env = {"HOME": str(directory), "DOCKER_CONFIG": str(directory), "BENCHMARK_PASSWORD": box["password"]}
        context, layout = directory / "context", f"oci:{directory / 'layout'}"
        context.mkdir()
        (context / "page.html").write_text("<h1>hello</h1>\n" * 100, encoding="utf-8")
        (context / "Dockerfile").write_text("FROM scratch\nCOPY page.html /\n", encoding="utf-8")
        (directory / "config.json").write_text(json.dumps({"auths": {host: login}}), encoding="utf-8")
        (directory / "step.yml").write_text(_STEP, encoding="utf-8")
        (directory / "connectors.yml").write_text(
            _CONNECTORS.format(host=host, username=box["username"]), encoding="utf-8"
        )
        paths = ["--context", str(context), "--dockerfile", str(context / "Dockerfile"), "--engine", "native"]
        step = [str(directory / "step.yml"), "--connectors", str(directory / "connectors.yml"), *paths]
        ours = ["-m", "buildpush"]
        run([sys.executable, *ours, "build", *step, "--output", layout], env | {"PYTHONPATH": str(HERE)})
        yield (
            {
                BARE: ["-c", "pass"],
                "import buildpush": ["-c", "import buildpush"],
                _IMPORT_PUSH: ["-c", _IMPORT_PUSH],
                "buildpush --help": [*ours, "--help"],
                "buildpush run --help": [*ours, "run", "--help"],
                _PUSH: [*ours, "push", layout, f"{host}/docker-local/layout:1"],
                _CHECK: [*ours, "check", *step],
                _RUN: [*ours, "run", *step, "--no-publish-build-info"],
            },
            env,
        )

"""What is run on a change; ``nox`` with no arguments, and CI, run ``tests``."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import nox

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["tests"]
nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False  # also with CI=true: `python` says which are skipped

PROJECT = nox.project.load_toml("pyproject.toml")
TEST = nox.project.dependency_groups(PROJECT, "test")
EXTRAS = "all"
TRIED = "terminal,sandbox,notebooks"  # as in the README
SLOW = "programs or engines or sandbox"
# A worker per core; tests of a group, which share something outside, go to one worker.
# Without a new worker for one that has died: xdist 3.8 may wait for the last tests of such a group for ever (1327).
PARALLEL = ("--numprocesses=auto", "--dist=loadgroup", "--max-worker-restart=0")
ON_CI = os.environ.get("CI") == "true"
EXECUTED = Path("docs/_executed")
TUTORIALS = sorted(Path("notebooks").glob("*.ipynb"))
BRIDGE = "10.199.0.1"  # where the cluster of the tests has a registry
KUBECONFIG = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "buildpush/cluster/run/admin.kubeconfig"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# Kept apart from the tests' needs: a broken formatter must not look like a broken program.
LINTERS = ("ruff==0.17.*",)
MUTATOR = "mutmut==3.8.*"
TYPERS = ("mypy==2.4.*", "basedpyright==1.40.*", "types-docker", "nox", "pytest")


def _build_wheel(session: nox.Session) -> Path:
    """Build the wheel and return its path: what users get is what is tested."""
    # Not the session's own temporary folder: nox would make it everybody's, and tests want one outside the clone.
    out = Path(session.virtualenv.location).resolve() / "dist"
    shutil.rmtree(out, ignore_errors=True)
    session.install("build")
    session.run("python", "-m", "build", "--wheel", "--outdir", str(out), ".", silent=True)
    return next(out.glob("*.whl"))


def _install_wheel(session: nox.Session, *more: str) -> None:
    wheel = _build_wheel(session)
    session.install(f"buildpush[{EXTRAS}] @ {wheel.as_uri()}", *more)


def _on_debian_as_root() -> bool:
    return os.geteuid() == 0 and Path("/etc/debian_version").exists() and platform.system() == "Linux"


def _run_lint(session: nox.Session) -> None:
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


def _run_types(session: nox.Session) -> None:
    session.run("mypy")
    session.run("mypy", "--platform", "darwin", "buildpush")  # nobody here has a Mac to run the tests on
    session.run("basedpyright")


def _run_docs(session: nox.Session) -> None:
    """Build the site from the executed notebooks; a warning is an error."""
    session.run("python", "-m", "sphinx", "-W", "-n", "-q", "-j", "auto", "-c", ".", "docs", "docs/_build/html")


def _run_tutorials(session: nox.Session) -> None:
    """Execute every notebook through papermill, the way a reader would; on the project's cluster while that runs."""
    shutil.rmtree(EXECUTED, ignore_errors=True)
    for notebook in TUTORIALS:
        more = _on_cluster() if "cluster" in notebook.name else ()
        run = ("python", "-m", "buildpush", "tutorial", str(notebook), "--output", str(EXECUTED / notebook.name))
        session.run(*run, *more, env={"KUBECONFIG": str(KUBECONFIG)} if more else None)


def _on_cluster() -> tuple[str, ...]:
    """Return the parameters that lead a tutorial to the cluster, and to the image that its tests have left there."""
    accepted = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    address = f"http://{BRIDGE}:5000/v2/python/manifests/1"
    try:
        with urlopen(Request(address, headers=accepted, method="HEAD"), timeout=5) as answer:
            image = f"{BRIDGE}:5000/python@{answer.headers['Docker-Content-Digest']}"
    except OSError:
        return ()
    return "-p", f"executor_image={image}", "-p", f"address={BRIDGE}"


@nox.session
def tests(session: nox.Session) -> None:
    """Everything that CI runs, in an order that fails early, on the built wheel."""
    if ON_CI:
        _install_engines(session)
        _install_clients(session)
        _start_cluster(session)
    session.install(*LINTERS)
    _run_lint(session)
    _install_wheel(session, *TEST, *TYPERS)
    _run_types(session)
    session.run("coverage", "erase")
    _run_pytest(session, *PARALLEL, "-m", "not programs and not engines and not sandbox", *session.posargs)
    _run_pytest(session, *PARALLEL, "-m", SLOW, "--ignore=tests/clients", *session.posargs)
    _run_pytest(session, "tests/clients", *session.posargs)  # in one process, which prints what was counted
    _run_tutorials(session)
    _run_docs(session)
    report = ["--fail-under=90"] if ON_CI else []
    session.run("coverage", "report", *report)
    if ON_CI and _on_debian_as_root():  # a cluster is more than a daemon: nodes, mounts and a bridge
        session.run("bash", ".ci/kubernetes/down.sh", external=True, success_codes=range(256))


def _run_pytest(session: nox.Session, *arguments: str) -> None:
    # As a module: what tests start in other processes has to find them from here. These are thousands, and should not
    # compile each module again, as they do where an environment forbids to keep what is compiled.
    env = {"PYTHONDONTWRITEBYTECODE": ""}
    session.run("python", "-m", "pytest", "--cov", "--cov-append", "--cov-report=", *arguments, env=env)


@nox.session
def fast(session: nox.Session) -> None:
    """The tests that need no program and no socket: under a minute."""
    session.install("-e", f".[{EXTRAS}]", *TEST)
    session.run("pytest", "-m", "not programs and not engines and not sandbox", *session.posargs)


@nox.session(python=PYTHONS)
def python(session: nox.Session) -> None:
    """The tests that need no program, with each Python that is on this machine; others are skipped, with a message."""
    session.install(f".[{EXTRAS}]", *TEST)
    session.run("python", "-m", "pytest", *PARALLEL, "-m", "not programs and not engines", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff, all rules; each exception has its reason in pyproject.toml."""
    session.install(*LINTERS)
    _run_lint(session)


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, strict, on the package, this file and the files of typed calls; pyright on these calls."""
    session.install("-e", f".[{EXTRAS}]", *TYPERS)
    _run_types(session)


@nox.session
def tutorials(session: nox.Session) -> None:
    """Every notebook through papermill; the docs show what it leaves."""
    session.install("-e", f".[{EXTRAS}]")
    _run_tutorials(session)


@nox.session
def docs(session: nox.Session) -> None:
    """The site, warnings as errors."""
    session.install("-e", f".[{EXTRAS}]")
    if not EXECUTED.exists():
        _run_tutorials(session)
    _run_docs(session)
    session.log(f"open {Path('docs/_build/html/index.html').resolve()}")


@nox.session
def pictures(session: nox.Session) -> None:
    """The pictures of the pages, from a sandbox, a terminal and a notebook; needs a Chromium."""
    session.install("-e", f".[{EXTRAS}]", "playwright")
    if not EXECUTED.exists():
        _run_tutorials(session)
    session.run("python", "docs/pictures.py")


@nox.session(venv_backend="none")
def engines(session: nox.Session) -> None:
    """Install and start the real engines: on Debian as root; elsewhere say what to install."""
    _install_engines(session)


def _install_engines(session: nox.Session) -> None:
    if not _on_debian_as_root():
        session.log(
            "install docker with buildx, buildah, skopeo and docker-registry from your distribution; then start docker"
        )
        return
    session.run("bash", ".ci/engines.sh", external=True)


@nox.session
def clients(session: nox.Session) -> None:
    """The sandbox and what buildpush writes, held to the programs that others wrote; prints what was counted."""
    _install_engines(session)
    _install_clients(session)
    session.install("-e", f".[{EXTRAS}]", *TEST)
    session.run("python", "-m", "pytest", "tests/clients", *session.posargs)


@nox.session
def cluster(session: nox.Session) -> None:
    """Builds in Jobs, in a real cluster of one node, which is built from source once and stays until it is ended."""
    _start_cluster(session)
    session.install("-e", f".[{EXTRAS}]", *TEST)
    session.run("python", "-m", "pytest", "tests/cluster", *session.posargs)
    session.log("end the cluster with .ci/kubernetes/down.sh")


def _start_cluster(session: nox.Session) -> None:
    """Start the cluster; where that is not possible, its tests say so and are skipped."""
    if _on_debian_as_root():
        command = ("timeout", "1800", "bash", ".ci/kubernetes/up.sh")
        session.run(*command, external=True, success_codes=range(256))


def _install_clients(session: nox.Session) -> None:
    if _on_debian_as_root():
        session.run("bash", ".ci/clients.sh", external=True)
    else:
        names = "jf, conformance, oras, regctl, helm, cosign, syft, actionlint"
        session.log(f"tests skip those of these that are missing: {names}")


@nox.session
def release(session: nox.Session) -> None:
    """Make a release in a clone of its own, build it, and try it in bare environments; nothing is uploaded.

    ``-- 0.2.0 https://HOST/OWNER/buildpush`` names the version, and where the repository will be found. It is a
    rehearsal; a third word, ``tag``, brings commit and tag here.
    """
    version, home, *how = session.posargs or ["", ""]
    clone, out = Path(session.create_tmp()) / "clone", Path("dist").resolve()
    for old in (clone, out):
        shutil.rmtree(old, ignore_errors=True)
    session.install("build", "twine")
    session.run("python", "release.py", version, str(clone))
    session.run("python", "-m", "build", "--outdir", str(out), str(clone), env={"BUILDPUSH_HOME": home}, silent=True)
    built = [next(out.glob(f"*{version}{ending}")) for ending in ("-py3-none-any.whl", ".tar.gz")]
    session.run("twine", "check", "--strict", *map(str, built))
    for one in built:
        _try_bare(session, one, version)
    if how == ["tag"]:
        session.run("git", "pull", "--quiet", "--ff-only", "--tags", str(clone), external=True)
    session.log(f"{', '.join(map(str, built))}: {'tagged' if how == ['tag'] else 'a rehearsal, nothing is tagged'}")


def _try_bare(session: nox.Session, built: Path, version: str) -> None:
    """Install *built* into an environment that has nothing else, and run the README's first command there."""
    bare = Path(session.create_tmp()).resolve() / "bare"
    session.run("python", "-m", "venv", "--clear", str(bare))
    session.run(str(bare / "bin/pip"), "install", "--quiet", f"buildpush[{TRIED}] @ {built.as_uri()}", external=True)
    with session.chdir(bare):
        said = session.run("bin/buildpush", "--version", external=True, silent=True)
        if not str(said).startswith(f"buildpush {version},"):
            session.error(f"{built.name} says {said}")
        session.run("bin/buildpush", "tutorial", external=True)


@nox.session
def bench(session: nox.Session) -> None:
    """Figures, paired in one run; nothing is asserted. ``-- push`` prints the long table of the push."""
    session.install(f".[{EXTRAS}]")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Break the code in thousands of small ways, and list what no test notices; hours, and not in CI.

    Names narrow it down: ``-- "buildpush.registry.upload*"``; a second run asks about changed functions only.
    """
    session.install("-e", f".[{EXTRAS}]", *TEST, MUTATOR)
    session.run("mutmut", "run", *session.posargs)
    session.run("mutmut", "results")


if __name__ == "__main__":
    sys.exit("run: nox -s tests")

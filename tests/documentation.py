"""The site of the documentation, built once for all tests that ask it something."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PARTS = ("conf.py", "CHANGELOG.md", "docs", "examples", "notebooks", "tests/test_floors.py")
WITHOUT_TEXT = {"genindex.html", "search.html"}  # pages that Sphinx makes
PAGES = {path.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for path in (ROOT / "docs").rglob("*.md")}
EXECUTED = {f"_executed/{path.stem}.html" for path in (ROOT / "notebooks").glob("*.ipynb")}
NAMES = sorted(PAGES | EXECUTED | WITHOUT_TEXT)


def copy_sources(directory: Path) -> None:
    """Copy what the site is built from; the notebooks as they are stand in for executed ones."""
    for part in PARTS:
        target = directory / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, target, ignore=shutil.ignore_patterns("_build", "_executed"))
        else:
            shutil.copy(ROOT / part, target)
    shutil.copytree(directory / "notebooks", directory / "docs" / "_executed")


def sphinx(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Build the site as ``nox -s docs`` does."""
    command = [sys.executable, "-m", "sphinx", "-W", "-n", "-q", "-j", "2", *options, "-c", ".", "docs", "html"]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)

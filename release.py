"""Makes the commit and the tag of a release in a clone of their own: ``nox -s release -- 0.2.0``.

    python release.py VERSION CLONE

The version stands in ``buildpush/__init__.py`` alone, and what is new under ``[Unreleased]`` in ``CHANGELOG.md``.
"""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

_VERSION: Final = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)
_NEWEST: Final = "## [Unreleased]\n"


class RefusedError(Exception):
    """Why there is no release."""


def versioned(source: str, version: str) -> str:
    """Return the module *source* with *version*, which must be after the version that it has unless that is new too."""
    if not re.fullmatch(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){2}", version):
        message = f"{version!r} is not a version: write three numbers, such as 0.2.0"
        raise RefusedError(message)
    (before,) = _VERSION.findall(source)
    if _numbers(version) < _numbers(before):
        message = f"{version} is before {before}, the version in buildpush/__init__.py"
        raise RefusedError(message)
    return _VERSION.sub(f'__version__ = "{version}"', source)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def dated(changelog: str, version: str, day: date) -> str:
    """Return the changelog with what is unreleased under the heading of *version*."""
    _, _, rest = changelog.partition(_NEWEST)
    new = rest.partition("\n## [")[0].strip()
    if not new or f"## [{version}]" in changelog:
        message = f"CHANGELOG.md has nothing under [Unreleased], or has {version} already"
        raise RefusedError(message)
    return changelog.replace(_NEWEST, f"{_NEWEST}\n## [{version}] - {day:%Y-%m-%d}\n", 1)


def release(version: str, clone: Path) -> None:
    """Clone the repository here into *clone*, and commit and tag *version* there.

    Raises:
        RefusedError: something here is not committed, or the version or the changelog does not allow it.
    """
    if _git(Path(), "status", "--porcelain"):
        message = "commit first: what is not committed would not be released"
        raise RefusedError(message)
    if _git(Path(), "tag", "--list", f"v{version}"):
        message = f"the tag v{version} is there already"
        raise RefusedError(message)
    _git(Path(), "clone", "--quiet", ".", str(clone))
    source, changelog = clone / "buildpush" / "__init__.py", clone / "CHANGELOG.md"
    source.write_text(versioned(source.read_text(encoding="utf-8"), version), encoding="utf-8")
    today = datetime.now(UTC).date()
    changelog.write_text(dated(changelog.read_text(encoding="utf-8"), version, today), encoding="utf-8")
    _git(clone, "commit", "--quiet", "--all", "--message", f"release: {version}")
    _git(clone, "tag", "--annotate", f"v{version}", "--message", f"buildpush {version}")


def _git(directory: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=directory, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603, S607 - git of the person who releases


if __name__ == "__main__":
    if len(sys.argv) != 3:  # noqa: PLR2004 - itself and two words
        sys.exit("no release: write python release.py VERSION CLONE")
    try:
        release(sys.argv[1], Path(sys.argv[2]))
    except RefusedError as refusal:
        sys.exit(f"no release: {refusal}")

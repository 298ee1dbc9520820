"""All rows, and the search for them; specific rows come before more general ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from buildpush.advice.access import ACCESS
from buildpush.advice.dockerfile import DOCKERFILE
from buildpush.advice.machine import MACHINE
from buildpush.advice.names import NAMES
from buildpush.advice.network import NETWORK
from buildpush.advice.row import Advice
from buildpush.foundation.errors import BuildPushError

# by heading on the page
GROUPS: Final[Mapping[str, tuple[Advice, ...]]] = {
    "Names and settings": NAMES,
    "Dockerfile and context": DOCKERFILE,
    "Machine, time and logs": MACHINE,
    "Hosts and daemons": NETWORK,
    "Logins and rights": ACCESS,
}
ROWS: Final = tuple(row for rows in GROUPS.values() for row in rows)


def advice_named(name: str) -> Advice | None:
    """Return the row with that name or anchor, or ``None``."""
    return next((row for row in ROWS if name in {row.name, row.anchor}), None)


def advice_for(lines: Iterable[str]) -> Advice | None:
    """Return the row that explains a failure, from the first of *lines* that has one; else ``None``."""
    failing = [row for row in ROWS if row.fails]
    return next((row for line in lines for row in failing if row.fits(line.lower())), None)


def advise(error: BuildPushError, lines: Iterable[str]) -> None:
    """Add the row that explains an error, from *lines* of what failed, to the error, and its hint if there is none."""
    row = None if error.advice else advice_for(lines)
    if row:
        error.advice = row.anchor
        error.hint = error.hint or row.hint

"""Selects what is copied from a directory: what ``--parents`` names, without what ``--exclude`` names.

Source: Dockerfile reference, "COPY --parents" and "COPY --exclude"; the behaviour of BuildKit.
"""

# Flags of other programs in this module's texts: --exclude --parents

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import Final

from buildpush.dockerfile.patterns import NONE, Patterns, read_patterns
from buildpush.dockerfile.wildcards import has_wildcard
from buildpush.foundation.errors import ContextError, DockerfileError
from buildpush.foundation.records import dataclass
from buildpush.images.tar import Entry

_PIVOT: Final = "/./"


@dataclass(frozen=True, slots=True)
class Selection:
    """What is copied from below a directory; paths are relative to it.

    Attributes:
        source: as written with ``--parents``; ``None`` where everything is copied.
        only: pattern of that part of *source* that is below the directory.
        without: patterns of what is left out.
    """

    source: str | None = None
    only: Patterns = NONE
    without: Patterns = NONE

    def select(self, entries: list[Entry], target: str) -> tuple[list[Entry], AbstractSet[str]]:
        """Return the selected ones of *entries*, which are below *target*, and their parent directories.

        Returns:
            Entries, and the paths of those that are included only because something in them is selected.

        Raises:
            ContextError: ``--parents`` names something that is not among them.
        """
        if self.source is None and not self.without:
            return entries, frozenset()
        begin = len(target) + 1 if target else 0
        selected = {entry.path for entry in entries if self._includes(entry.path[begin:])}
        if not selected and self.source is not None and not has_wildcard(self.source):
            message = f"{self.source} is not in the context, or --exclude leaves it out"
            hint = "--parents does not follow links: name the directory that a link leads to"
            raise ContextError(message, hint=hint, setting="context")
        above = {directory for path in selected for directory in _above(path, begin)}
        return [entry for entry in entries if entry.path in selected or entry.path in above], above - selected

    def _includes(self, path: str) -> bool:
        return (self.source is None or self.only.match(path)) and not self.without.match(path)


def _above(path: str, begin: int) -> Iterator[str]:
    """Yield the directories above *path* whose paths are longer than *begin*."""
    while len(path := path.rpartition("/")[0]) > begin:
        yield path


ALL: Final = Selection()


def excluding(patterns: Iterable[str]) -> Selection:
    """Return the selection that leaves out what *patterns* name.

    Raises:
        DockerfileError: one is malformed.
    """
    return Selection(without=_read(patterns, "--exclude"))


def with_parents(source: str, without: Patterns) -> tuple[str, Selection]:
    """Return the directory that *source* of ``COPY --parents`` is relative to, and the selection from it.

    The directories that are kept begin after a dot between two slashes.

    Raises:
        DockerfileError: the pattern is malformed.
    """
    directory, pivot, rest = source.partition(_PIVOT)
    pattern = posixpath.normpath(f"/{rest if pivot else source}").lstrip("/")
    return (directory if pivot else ""), Selection(source, _read([pattern], "--parents"), without)


def _read(patterns: Iterable[str], flag: str) -> Patterns:
    try:
        return read_patterns(patterns)
    except ContextError as error:
        message = f"{flag}: {error.args[0]}"
        raise DockerfileError(message, hint=error.hint) from error

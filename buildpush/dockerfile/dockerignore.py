"""Reads ``.dockerignore``, which says which paths of a context are left out.

Source: Dockerfile reference, ".dockerignore file"; moby/patternmatcher, ``ignorefile.ReadAll``.
"""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from buildpush.dockerfile.patterns import NONE, Pattern, Patterns, clean, read_pattern
from buildpush.dockerfile.variables import SPACE
from buildpush.foundation.errors import ContextError
from buildpush.foundation.records import dataclass

LARGEST = 1024 * 1024
LONGEST_LINE = 64 * 1024


@dataclass(frozen=True)
class Ignore:
    """The ignored paths of one build.

    Attributes:
        patterns: those in the file, in their order.
        path: name of the file, for messages.
    """

    patterns: Patterns = NONE
    path: str = ".dockerignore"

    def without(self, path: str) -> Ignore:
        """Return a copy that leaves *path* out as well, whatever the file says."""
        return Ignore(self.patterns.with_path(path), self.path)

    def hides(self, path: str) -> bool:
        """Return whether *path*, relative to the context, is left out."""
        return self.patterns.match(path)

    def find_pattern(self, path: str) -> Pattern | None:
        """Return the line that leaves *path* out; ``None`` where none does."""
        return self.patterns.find(path)


def read(context: Path, dockerfile: Path | None) -> Ignore:
    """Return the patterns for *dockerfile*: those of ``NAME.dockerignore`` beside it, else of the context's own file.

    An additional context has no Dockerfile: only the file in that context counts.

    Raises:
        ContextError: the file cannot be read, leads out of the context, or has a malformed pattern; ``where`` is
            file and line.
    """
    beside = [dockerfile.with_name(f"{dockerfile.name}.dockerignore")] if dockerfile else []
    for path in (*beside, context / ".dockerignore"):
        try:
            if not _is_allowed(path, (context, *(path.parent for path in beside))):
                message = f"{path.name} is not a file of the context"
                raise ContextError(message, hint="replace it with a regular file", setting="context")
            with path.open("rb") as file:
                content = file.read(LARGEST + 1)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            message = f"{path.name} cannot be read: {error.strerror or error}"
            raise ContextError(message, setting="context") from error
        return parse(content, path.name)
    return Ignore()


def _is_allowed(path: Path, directories: Iterable[Path]) -> bool:
    """Return whether *path* is a file that may be read: not a pipe, and not a link out of *directories*."""
    real = Path(os.path.realpath(path))
    inside = not path.is_symlink() or any(real.is_relative_to(os.path.realpath(directory)) for directory in directories)
    return stat.S_ISREG(path.stat().st_mode) and inside


def parse(content: bytes, path: str = ".dockerignore") -> Ignore:
    """Return the patterns in *content*, one per line; ``#`` in the first column begins a comment.

    Raises:
        ContextError: it is larger than 1 MiB, or has a malformed pattern, or a line that is too long for Docker.
    """
    if len(content) > LARGEST:
        message = f"it is larger than {LARGEST} bytes"
        raise ContextError(message, where=path)
    lines = content.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape").split("\n")
    patterns = (_pattern(line, f"{path}:{number}") for number, line in enumerate(lines, 1))
    return Ignore(Patterns(tuple(pattern for pattern in patterns if pattern)), path)


def _pattern(line: str, where: str) -> Pattern | None:
    """Return the pattern of *line*: cleaned before its ``!`` is removed, and once more after it, as Docker does."""
    if len(line.encode("utf-8", "surrogateescape")) >= LONGEST_LINE:
        message = f"a line has {LONGEST_LINE} bytes or more"
        raise ContextError(message, where=where)
    text = line.strip(SPACE)
    if line.startswith("#") or not text:
        return None
    mark, bare = ("!", text[1:].strip(SPACE)) if text.startswith("!") else ("", text)
    cleaned = clean(bare) if bare else ""
    relative = cleaned[1:] if len(cleaned) > 1 and cleaned.startswith("/") else cleaned
    return read_pattern(f"{mark}{relative}", where, text)

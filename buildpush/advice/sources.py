"""The file that a builder did not find in its context, as its message names it.

Sources: moby (``builder/dockerfile/copy.go``), BuildKit (``cache/contenthash``), kaniko (``util/fs_util.go``),
buildah (``copier``, ``add.go``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from buildpush.foundation.regex import regex

_PATTERNS: Final = (
    regex(r'"(?P<path>[^"]+)": (?:not found|no such file or directory)'),
    regex(r"\bl?stat (?P<path>[^\s:]+): (?:file does not exist|no such file or directory)"),
    regex(r'no items matching glob "(?P<path>[^"]+)"'),
)
# Where contexts are: for kaniko, for a step of Harness, for the engine kaniko here, for BuildKit, for the old docker.
_ROOT: Final = regex(
    r"\A/(?:workspace|harness|kaniko/buildpush/context|(?:[^/]+/)*(?:buildkit-mount|docker-builder)\d+)(?:/|\Z)"
)
_INSTRUCTION: Final = regex(r"\b(?:COPY|ADD)\s")
_SOURCES: Final = regex(r'checking on sources under "(?P<root>/[^"]*)"')


def whole_source(path: str, lines: Iterable[str]) -> str:
    """Return the source of a COPY or ADD in *lines* of a log that begins with *path*; else *path* itself.

    BuildKit names only the first directory on the path that does not exist.
    """
    words = (word.strip("/:,\"'[]") for line in lines if _INSTRUCTION.search(line) for word in line.split())
    whole = (word.removeprefix("./") for word in words)
    return next((word for word in whole if word.startswith(f"{path}/") and ".." not in word), path)


def missing_source(line: str, *roots: str) -> str | None:
    """Return the path in the context that a builder did not find, from a *line* of its log; ``None`` for none.

    Args:
        line: without controls.
        roots: directories that the context is in, for a builder that names absolute paths.
    """
    match = next((found for pattern in _PATTERNS if (found := pattern.search(line))), None)
    if match is None:
        return None
    path, named = match["path"], _SOURCES.search(line)
    for root in (*roots, *([named["root"]] if named else [])):
        path = path.removeprefix(f"{root.rstrip('/')}/")
    path = _ROOT.sub("", path)
    parts = [part for part in path.split("/") if part not in {"", "."}]
    return "/".join(parts) if parts and ".." not in parts else None

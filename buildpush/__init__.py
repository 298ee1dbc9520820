"""Read a build-and-push step, build the image, push it to JFrog, publish its build-info.

The names below are loaded on first use, so that ``import buildpush`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from buildpush.errors import BuildPushError as BuildPushError

__version__ = "0.1.0"

# public name -> module that has it
_HOMES = {
    "BuildPushError": "buildpush.errors",
}
__all__ = ["BuildPushError", "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        message = f"module 'buildpush' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

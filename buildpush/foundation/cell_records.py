"""Where a notebook holds the record of what its calls pushed: in outputs of its cells, and at the end in its metadata.

An output with a record shows nothing. ``buildpush tutorial`` moves all of them into the metadata of the notebook.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

NAME: Final = "buildpush"
# Raised when a key is renamed or removed; new keys may come without a new number.
VERSION: Final = 1


def record_of(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the metadata that hold *runs*, by its name."""
    from buildpush import __version__

    return {NAME: {"version": VERSION, "buildpush": __version__, "runs": list(runs)}}


def records_in(notebook: Mapping[str, Any]) -> list[Any]:
    """Return every record in a notebook, the newest last, as it is written there.

    Raises:
        LookupError, TypeError, AttributeError: it is not a notebook.
    """
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    holders = [notebook["metadata"], *(output.get("metadata", {}) for output in outputs)]
    return [holder[NAME] for holder in holders if NAME in holder]

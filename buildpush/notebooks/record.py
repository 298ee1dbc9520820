"""The record of an executed notebook: what its cells pushed, moved from their outputs into its metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from buildpush.foundation.cell_records import NAME, record_of, records_in

if TYPE_CHECKING:
    from nbformat import NotebookNode


def collect(notebook: NotebookNode) -> None:
    """Write what was pushed into the metadata of *notebook*, in place of the record of an earlier execution."""
    notebook.metadata.pop(NAME, None)
    runs: list[Any] = [run for record in records_in(notebook) for run in _runs_of(record)]
    if runs:
        from nbformat import from_dict

        notebook.metadata.update(from_dict(record_of(runs)))  # type: ignore[no-untyped-call]


def _runs_of(record: object) -> list[Any]:
    runs = record.get("runs") if isinstance(record, dict) else None  # a cell may show anything under our name
    return runs if isinstance(runs, list) else []

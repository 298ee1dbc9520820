"""Runs a notebook: papermill executes it, then it is searched for secrets and written, with an HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buildpush.foundation.errors import BuildPushError, SecretError, SettingsError
from buildpush.foundation.events import Sink, ignore
from buildpush.foundation.files import replacement
from buildpush.foundation.records import dataclass
from buildpush.notebooks.parameters import Parameter, checked_values, parameters_of
from buildpush.notebooks.tutorials import connectors_file, find, names, tutorials_directory

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from buildpush.notebooks.kernel import NotebookRun

__all__ = [
    "Executed",
    "Parameter",
    "connectors_file",
    "execute",
    "find",
    "names",
    "parameters_of",
    "tutorials_directory",
]

DEFAULT_DIRECTORY = Path("buildpush-tutorial")


@dataclass(frozen=True, slots=True)
class Executed:
    """The result of an execution: the notebook with its outputs, and the same as a page."""

    path: Path
    page: Path


def execute(
    name_or_path: str | Path,
    parameters: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    *,
    env: Mapping[str, str] | None = None,
    sink: Sink = ignore,
) -> Executed:
    """Execute a notebook and write it, with its page, to *out*.

    Args:
        name_or_path: a tutorial's name, or any notebook with a cell tagged ``parameters``.
        parameters: values for that cell; text is converted to the type of the cell's own value. Secrets only by
            reference.
        out: notebook or directory to write; ``buildpush-tutorial/`` by default.
        env: the variables that references such as ``env:TOKEN`` name; their values are searched for as well.
        sink: gets an event when each part of the notebook begins and ends, and what it prints.

    Raises:
        SettingsError: there is no such notebook, no such parameter, or a library is missing.
        SecretError: a parameter is a secret, or one was found in the executed notebook; nothing was written.
        BuildPushError: a cell failed; a BuildPushError of the cell keeps its message and hint; the notebook up to there
            was written.
        KeyboardInterrupt: the kernel was interrupted, had time to clean up, and is stopped; nothing was written.
    """
    make = _run()
    notebook = find(name_or_path)
    values = checked_values(notebook, parameters or {}, env or {})
    target = _target(notebook, out)
    run = make(notebook, values, sink)
    failure = run.execute()
    _search(run)
    executed = _write(run.executed, target)
    if failure:
        saved = f"see the notebook up to there, {executed.path}"
        failure.hint = f"{failure.hint}; {saved}" if failure.hint else saved
        raise failure
    return executed


def _run() -> type[NotebookRun]:
    """Return the class that runs notebooks; its libraries are an extra of buildpush."""
    try:
        from buildpush.notebooks.kernel import NotebookRun
    except ModuleNotFoundError as error:
        message = f"to run notebooks, the library {error.name} is missing"
        raise SettingsError(message, hint="install it with: pip install 'buildpush[notebooks]'") from error
    return NotebookRun


def _target(notebook: Path, out: str | Path | None) -> Path:
    path = Path(out) if out is not None else DEFAULT_DIRECTORY
    target = path if path.suffix == ".ipynb" else path / notebook.name
    if target.exists() and target.samefile(notebook):
        message = f"{target} is the notebook itself"
        raise SettingsError(message, hint="name another file for the executed notebook")
    return target


def _search(run: Any) -> None:
    """Raise an error if the executed notebook holds a secret that this process or its kernel has seen."""
    from buildpush.notebooks import leaks
    from buildpush.notebooks.page import page_of

    cells = sorted({*leaks.in_cells(run.executed.cells), *run.leaks})
    if cells or leaks.in_page(run.text()) or leaks.in_page(page_of(run.executed, "")):
        where = f"in cell {cells[0] + 1}" if cells else "in its metadata"
        message = f"a secret appears {where} of the executed notebook; nothing was written"
        raise SecretError(message, hint="print the Secret itself, which shows stars, instead of its value")


def _write(executed: NotebookNode, target: Path) -> Executed:
    """Write notebook and page, each whole or not at all."""
    import nbformat

    from buildpush.notebooks.page import page_of

    page = target.with_suffix(".html")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _replace(target, str(nbformat.writes(executed)) + "\n")  # type: ignore[no-untyped-call]
        _replace(page, page_of(executed, target.stem))
    except OSError as error:
        message = f"{target} cannot be written: {error.strerror}"
        raise BuildPushError(message) from error
    return Executed(target, page)


def _replace(path: Path, text: str) -> None:
    with replacement(path) as file:
        file.write(text.encode())

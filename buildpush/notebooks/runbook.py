"""A pipeline file as a notebook: its inputs are parameters, and the executed copy is the record.

All steps are run by one cell, as one run: they share its number, and later ones push what earlier ones have built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from buildpush.foundation.errors import SettingsError
from buildpush.foundation.files import replacement, unwritable
from buildpush.foundation.text import one_line

_KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
_PARAMETERS = {
    "file": "the pipeline file",
    "connectors": "file of connectors",
    "secrets": "directory with a file per secret",
}


def write_runbook(file: Path, inputs: Mapping[str, str], steps: Sequence[str], target: Path) -> None:
    """Write the notebook that runs *file* to *target*.

    Args:
        file: the pipeline file; the notebook reads it again when it is executed.
        inputs: name of each input, and what is written in its place.
        steps: those that are run, in their order, each as ``Plugin 'x' (step.yml:3:5)``.
        target: the notebook; an executed one, which is a record, is not replaced.

    Raises:
        SettingsError: a library is missing, or the notebook cannot be written.
    """
    try:
        import nbformat
        from nbformat import v4
    except ModuleNotFoundError as error:
        message = f"to write notebooks, the library {error.name} is missing"
        raise SettingsError(message, hint="install it with: pip install 'buildpush[notebooks]'") from error

    _check_target(target, file)
    makers = {"text": v4.new_markdown_cell, "code": v4.new_code_cell}
    cells = [
        makers[kind](source, id=name, metadata={"tags": ["parameters"]} if name == "parameters" else {})  # type: ignore[no-untyped-call]
        for kind, name, source in _cells(file, inputs, steps)
    ]
    notebook = v4.new_notebook(cells=cells, metadata=_KERNEL)  # type: ignore[no-untyped-call]
    try:
        with replacement(target.resolve()) as stream:  # a link stays a link
            stream.write((str(nbformat.writes(notebook)) + "\n").encode())  # type: ignore[no-untyped-call]
    except OSError as error:
        message = f"{target} cannot be written: {error.strerror}"
        raise SettingsError(message, hint="name another file with --output") from error


def _check_target(target: Path, file: Path) -> None:
    """Refuse what must not be replaced: the pipeline file, a device, the record of a run."""
    reason = unwritable(target)
    if not reason and target.exists():
        if file.exists() and target.samefile(file):
            reason = "is the pipeline file itself"
        elif b'"execution_count": 1' in target.read_bytes():
            reason = "holds outputs: it may be the record of a run"
        elif target.suffix != ".ipynb":
            reason = "exists, and is not a notebook"
    if reason:
        message = f"{target} cannot be written: it {reason}"
        raise SettingsError(message, hint="name another file with --output")


def _cells(file: Path, inputs: Mapping[str, str], steps: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Yield kind, identifier and source of each cell."""
    names = _python_names(inputs)
    yield (
        "text",
        "title",
        f"# {_text(file.stem)}\n\nOne cell runs all steps of the file, as one run; the executed copy is the record.",
    )
    yield "code", "parameters", "\n".join(_parameters(file, inputs, names))
    given = "".join(f"    {name!r}: {python},\n" for name, python in names.items())
    yield "code", "inputs", _INPUTS.format(given=given)
    yield "text", "plan-text", "## What is run\n\nNothing is run yet, and a mistake in any step shows here."
    yield "code", "plan", 'for plan in buildpush.check_pipeline(file, **how):\n    print(plan, end="\\n\\n")'
    yield "text", "run-text", "\n".join(["## The run", "", *(f"- {_text(step)}" for step in steps)])
    yield "code", "run", "result = buildpush.run_pipeline(file, **how)\nresult"
    yield "text", "receipts-text", "## What the registry confirmed"
    yield "code", "receipts", _RECEIPTS


_RECEIPTS = """\
for step in result:
    print(step, end="\\n\\n")"""
_INPUTS = """\
import buildpush

given = {{
{given}}}
numbers = [name for name, value in given.items() if isinstance(value, float)]
assert not numbers, f"{{numbers}} were read as numbers, in which 1.10 is 1.1: give them by papermill's -r"
how = {{
    "connectors": connectors or None,
    "secrets": secrets or None,
    "variables": {{
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in given.items()
        if value != ""
    }},
}}"""


def _parameters(file: Path, inputs: Mapping[str, str], names: Mapping[str, str]) -> Iterator[str]:
    for name, words in _PARAMETERS.items():
        yield f"{name}: str = {str(file) if name == 'file' else ''!r}  # {words}"
    for name, written in inputs.items():
        yield f'{names[name]}: str = ""  # {one_line(f"{name}: {written}")}'


def _python_names(inputs: Mapping[str, str]) -> dict[str, str]:
    """Return a Python name for each input, all of them different."""
    taken = dict.fromkeys((*_PARAMETERS, "buildpush", "given", "how", "numbers", "plan", "result", "step"))
    names = {}
    for name in inputs:
        python = "input_" + re.sub(r"\W", "_", name, flags=re.ASCII)
        while python in taken:
            python += "_"
        taken[python] = None
        names[name] = python
    return names


def _text(text: str) -> str:
    """Return *text* for a cell of markdown, in which it stays text."""
    return re.sub(r"([\\`*_{}\[\]<>#|$~!])", r"\\\1", one_line(text))

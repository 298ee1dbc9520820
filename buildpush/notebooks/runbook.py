"""A pipeline file as a notebook: its inputs are parameters, and the executed copy is the record.

Each step has a cell, and all cells are one run: later steps can push what earlier ones have built.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path

from buildpush.foundation.errors import SettingsError
from buildpush.foundation.files import replacement, unwritable
from buildpush.foundation.records import dataclass
from buildpush.foundation.text import one_line

_KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
_PARAMETERS = {
    "file": "the pipeline file",
    "connectors": "file of connectors",
    "secrets": "directory with a file per secret",
    "templates": "directory with the files of templates",
    "inputs": "input sets and overlays; the last one takes precedence",
    "resume": "whether to run again only what did not succeed in the last run of the file",
}


@dataclass(frozen=True, slots=True)
class Runbook:
    """What a notebook runs.

    Attributes:
        file: the pipeline file; the notebook reads it again when it is executed.
        sections: name of each section, which has a cell, and the steps in it, such as ``Plugin 'x' (step.yml:3:5)``.
        texts: name of each input, and the text in its place.
        templates: directory of templates, if any.
        inputs: input sets and overlays.
        choice: the only stage or step that is run, by the names of the keywords.
    """

    file: Path
    sections: Mapping[str, Sequence[str]]
    texts: Mapping[str, str]
    templates: str = ""
    inputs: Sequence[str] = ()
    choice: Mapping[str, str] = field(default_factory=dict)


def write_runbook(runbook: Runbook, target: Path) -> None:
    """Write the notebook that runs *runbook* to *target*; an executed one, which is a record, is not replaced.

    Raises:
        SettingsError: a library is missing, or the notebook cannot be written.
    """
    try:
        import nbformat
        from nbformat import v4
    except ModuleNotFoundError as error:
        message = f"to write notebooks, the library {error.name} is missing"
        raise SettingsError(message, hint="install it with: pip install 'buildpush[notebooks]'") from error

    _check_target(target, runbook.file)
    makers = {"text": v4.new_markdown_cell, "code": v4.new_code_cell}
    cells = [
        makers[kind](source, id=name, metadata={"tags": ["parameters"]} if name == "parameters" else {})  # type: ignore[no-untyped-call]
        for kind, name, source in _cells(runbook)
    ]
    notebook = v4.new_notebook(cells=cells, metadata=_KERNEL)  # type: ignore[no-untyped-call]
    try:
        with replacement(target.resolve()) as stream:  # a link stays a link
            stream.write((str(nbformat.writes(notebook)) + "\n").encode())  # type: ignore[no-untyped-call]
    except OSError as error:
        message = f"{target} cannot be written: {error.strerror}"
        raise SettingsError(message, hint="name another file with --output") from error


def _check_target(target: Path, file: Path) -> None:
    """Refuse a file that must not be replaced: the pipeline file, a device, the record of a run."""
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


def _cells(runbook: Runbook) -> Iterator[tuple[str, str, str]]:
    """Yield kind, identifier and source of each cell."""
    names = _python_names(runbook.texts)
    yield "text", "title", f"# {_text(runbook.file.stem)}\n\n{_ABOUT}"
    yield "code", "parameters", "\n".join(_parameters(runbook, names))
    yield "code", "inputs", _inputs(runbook, names)
    yield "text", "plan-text", "## What is run\n\nNothing is run yet, and a mistake in any step shows here."
    yield "code", "plan", 'for plan in buildpush.check_pipeline(file, **how):\n    print(plan, end="\\n\\n")'
    yield "text", "run-text", f"## The run begins\n\n{_ORDER}"
    yield "code", "run", _RUN.format(names="".join(f"    {name!r},\n" for name in runbook.sections))
    for number, (name, steps) in enumerate(runbook.sections.items(), 1):
        yield "text", f"step-{number}-text", "\n".join([f"## {_text(name)}", "", *(f"- {_text(one)}" for one in steps)])
        yield "code", f"step-{number}", f"run.step({name!r})"
    yield "text", "result-text", "## The whole run"
    yield "code", "result", "result = run.result()\nresult"
    yield "text", "receipts-text", "## What the registry confirmed"
    yield "code", "receipts", _RECEIPTS


_ABOUT = "Each step has a cell, and all cells are one run; the executed copy is the record."
_ORDER = "Each cell below runs its step, in this order and once; one that makes the run fail ends it."
_RUN = """\
steps = [
{names}]
run = buildpush.open_run(file, expected=steps, resume=resume, **how)"""
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
    "templates": templates or None,
    "inputs": inputs,
{choice}    "variables": {{
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in given.items()
        if value != ""
    }},
}}"""


def _inputs(runbook: Runbook, names: Mapping[str, str]) -> str:
    """Return the cell that turns the parameters into keywords."""
    given = "".join(f"    {name!r}: {python},\n" for name, python in names.items())
    choice = "".join(f"    {name!r}: {value!r},\n" for name, value in runbook.choice.items())
    return _INPUTS.format(given=given, choice=choice)


def _parameters(runbook: Runbook, names: Mapping[str, str]) -> Iterator[str]:
    values: dict[str, object] = {"file": str(runbook.file), "resume": False}
    values |= {"templates": runbook.templates, "inputs": list(runbook.inputs)}
    for name, words in _PARAMETERS.items():
        value = values.get(name, "")
        yield f"{name}: {type(value).__name__} = {value!r}  # {words}"
    for name, written in runbook.texts.items():
        yield f'{names[name]}: str = ""  # {one_line(f"{name}: {written}")}'


def _python_names(inputs: Iterable[str]) -> dict[str, str]:
    """Return a Python name for each input, all of them different."""
    names: dict[str, str] = {}
    for name in inputs:
        python = "input_" + re.sub(r"\W", "_", name, flags=re.ASCII)
        while python in names.values():
            python += "_"
        names[name] = python
    return names


def _text(text: str) -> str:
    """Return *text* for a cell of markdown, in which it stays text."""
    return re.sub(r"([\\`*_{}\[\]<>#|$~!])", r"\\\1", one_line(text))

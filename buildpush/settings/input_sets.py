"""Input sets: files with values for the inputs of a pipeline, alone or as overlays of several.

Source: Harness, "Input sets and overlays": of several that give a value, the last one counts; for those of the newer
form, the schemas ``inputSet`` and ``overlayInputSet`` in ``v1`` of harness/harness-schema.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NoReturn

from buildpush.foundation.documents import Node, read_yaml
from buildpush.foundation.errors import SourceError
from buildpush.settings.fill import fill
from buildpush.settings.forms import as_text
from buildpush.settings.words import reject

_SET, _OVERLAY = "inputSet", "overlayInputSet"
# What they are called in the newer form, with and without hyphens.
_NEWER: Final = frozenset({"input-set", "inputSet", "overlay-input-set", "overlayInputSet"})
_OTHERS: Final = "input_sets"  # of the newer form: the input sets that are put together, before further values
_ABOUT: Final = (
    "id",
    "identifier",
    "name",
    "description",
    "tags",
    "org",
    "orgIdentifier",
    "project",
    "projectIdentifier",
)


def with_input_sets(document: Node, files: Sequence[Path], cwd: Path) -> Node:
    """Return *document* with the values that *files* give to its inputs; later files take precedence.

    Raises:
        SourceError: a file cannot be read or is not an input set, is for another pipeline, or gives a value that is
            not an input of the pipeline.
    """
    pipeline = document.at("pipeline")
    sets = [one for file in files for one in _sets(file, cwd)]
    if not sets:
        return document
    if pipeline is None or not pipeline.entries:
        message = "an input set is for a pipeline, and this file does not have one"
        raise SourceError(message, where=document.where, hint="give the values by --var NAME=VALUE")
    filled = pipeline
    for one, meant in sets:
        if _is_newer(one):
            filled = _with_inputs(filled, one)
            continue
        for identifier in (meant, one.at("identifier")):
            _check_pipeline(identifier, pipeline)
        filled = _overlay(pipeline, filled, one)
    return replace(document, value={**document.entries, "pipeline": filled})


def _sets(file: Path, cwd: Path) -> Iterator[tuple[Node, Node | None]]:
    """Yield the inputs of a pipeline in *file*, each with the pipeline that its overlay is for.

    An input set of the newer form is yielded whole.
    """
    document = read_yaml(cwd / file, str(file))
    if _is_newer(document):
        yield from ((one, None) for one in _newer_sets(document, file, cwd))
        return
    if (overlay := document.at(_OVERLAY)) is not None:
        for reference in _references(overlay):
            yield _beside(file, cwd, reference), overlay.at("pipelineIdentifier")
        return
    inputs = document.at(_SET, "pipeline")
    if inputs is None or not inputs.entries:
        message = "it is neither an input set with a pipeline nor an overlay of input sets"
        raise SourceError(
            message, where=str(file), hint=f"write {_SET} or {_OVERLAY} at the top, as Harness exports it"
        )
    yield inputs, None


def _references(overlay: Node) -> tuple[Node, ...]:
    references = overlay.at("inputSetReferences")
    if references and references.items:
        return references.items
    message = "this overlay does not name an input set"
    raise SourceError(message, where=overlay.where, hint="write inputSetReferences, a list of identifiers")


def _beside(file: Path, cwd: Path, reference: Node) -> Node:
    """Return the input set that an overlay names: it is in a file in the same directory."""
    known: dict[str, Node] = {}
    for path in sorted((cwd / file).parent.glob("*.y*ml")):
        if path.name == file.name or not path.is_file() or f"{_SET}:".encode() not in path.read_bytes():
            continue
        document = read_yaml(path, str(file.with_name(path.name)))
        identifier, inputs = document.at(_SET, "identifier"), document.at(_SET, "pipeline")
        if identifier and inputs:
            known[identifier.text] = inputs
    return known[reference.text] if reference.text in known else _missing(reference, known)


def _missing(reference: Node, known: Iterable[str]) -> NoReturn:
    if names := list(known):
        reject("input set", reference.text, names, reference.where)
    message = f"the input set {reference.text!r} is not in the directory of this overlay"
    raise SourceError(message, where=reference.where, hint="put its file beside that of the overlay")


# ---- the newer form


def _is_newer(document: Node) -> bool:
    kind = document.at("kind")
    return kind is not None and kind.text in _NEWER


def _newer_sets(document: Node, file: Path, cwd: Path, around: tuple[str, ...] = ()) -> Iterator[Node]:
    """Yield the input sets that *document* puts together, and itself if it has further values."""
    known = ("version", "kind", "spec", *_ABOUT)
    for key in document.entries:
        if key not in known:
            reject("key", key, known, document.where_key(key))
    spec = document.at("spec")
    if spec is None or not spec.entries:
        message = "this input set does not have values"
        raise SourceError(message, where=document.where, hint="write spec, a map of inputs and their values")
    others = spec.at(_OTHERS)
    for reference in others.items if others else ():
        if reference.text in around:
            message = f"the input set {reference.text!r} contains itself"
            raise SourceError(message, where=reference.where, hint="leave it out")
        found, path = _newer_beside(file, cwd, reference)
        yield from _newer_sets(found, path, cwd, (*around, reference.text))
    if spec.entries.keys() - {_OTHERS}:
        yield document


def _newer_beside(file: Path, cwd: Path, reference: Node) -> tuple[Node, Path]:
    """Return the input set of the newer form that is called *reference*, by its identifier or its file."""
    known: dict[str, tuple[Node, Path]] = {}
    for path in sorted((cwd / file).parent.glob("*.y*ml")):
        if path.is_file() and b"kind:" in path.read_bytes():
            there = file.with_name(path.name)
            document = read_yaml(path, str(there))
            if _is_newer(document):
                name = document.at("identifier") or document.at("id")
                known[name.text if name else path.stem] = (document, there)
    return known[reference.text] if reference.text in known else _missing(reference, known)


def _with_inputs(pipeline: Node, document: Node) -> Node:
    """Return *pipeline* with the values of an input set of the newer form as the defaults of its ``inputs``."""
    given, inputs = document.entries["spec"], pipeline.at("inputs")
    entries = dict(inputs.entries if inputs else {})
    for name, value in given.entries.items():
        if name == _OTHERS:
            continue
        if name not in entries:
            reject("input", name, entries, given.where_key(name))
        entry = entries[name]
        declared = replace(
            entry, value={**entry.entries, "default": value}, keys={**entry.keys, "default": value.where}
        )
        entries[name] = declared if entry.entries else as_text(value)
    changed = replace(inputs or given, value=entries)
    return replace(pipeline, value={**pipeline.entries, "inputs": changed})


def _check_pipeline(one: Node | None, pipeline: Node) -> None:
    other = pipeline.at("identifier")
    if one and other and one.text != other.text:
        message = f"this input set is for the pipeline {one.text!r}, and the file has {other.text!r}"
        raise SourceError(message, where=one.where, hint="give an input set of this pipeline")


def _overlay(pipeline: Node, filled: Node, inputs: Node) -> Node:
    """Return *filled* with *inputs* for the inputs of *pipeline*, which replace values that were given before."""
    return _with_given(filled, fill(pipeline, inputs, "the pipeline"), pipeline)


def _with_given(before: Node, now: Node, original: Node) -> Node:
    """Return the last value that was given: *now* if it differs from the *original*, or else *before*."""
    if now == original:
        return before
    if original.items and len(before.items) == len(now.items) == len(original.items):
        items = zip(before.items, now.items, original.items, strict=True)
        return replace(now, value=tuple(_with_given(*each) for each in items))
    if original.entries and before.entries and now.entries:
        entries = {
            key: _with_given(before.entries[key], now.entries[key], one) for key, one in original.entries.items()
        }
        keys = {key: (before if entries[key] is before.entries[key] else now).keys[key] for key in original.entries}
        return replace(now, value=entries, keys=keys)
    return now

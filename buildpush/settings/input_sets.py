"""Input sets: files with values for the inputs of a pipeline, alone or as overlays of several.

Source: Harness, "Input sets and overlays": of several that give a value, the last one counts; for those of the newer
form, the schemas ``inputSet`` and ``overlayInputSet`` in ``v1`` of harness/harness-schema.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from buildpush.foundation.documents import Node, read_yaml
from buildpush.foundation.errors import SourceError
from buildpush.settings.fill import fill
from buildpush.settings.forms import as_text
from buildpush.settings.words import reject

_SET, _OVERLAY = "inputSet", "overlayInputSet"
# What they are called in the newer form, with and without hyphens.
_NEWER_SET: Final = frozenset({"input-set", "inputSet"})
_NEWER_OVERLAY: Final = frozenset({"overlay-input-set", "overlayInputSet"})


def with_input_sets(document: Node, files: Sequence[Path], cwd: Path) -> Node:
    """Return *document* with the values that *files* give to its inputs; later files take precedence.

    Raises:
        SourceError: a file cannot be read or is not an input set, is for another pipeline, or gives what the pipeline
            does not ask for.
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
        if _is_newer(one, _NEWER_SET):
            filled = _with_inputs(filled, one)
            continue
        for identifier in (meant, one.at("identifier")):
            _check_pipeline(identifier, pipeline)
        filled = _laid_over(pipeline, filled, one)
    return replace(document, value={**document.entries, "pipeline": filled})


def _sets(file: Path, cwd: Path) -> Iterator[tuple[Node, Node | None]]:
    """Yield the inputs of a pipeline in *file*, each with the pipeline that its overlay is for.

    An input set of the newer form is yielded whole.
    """
    document = read_yaml(cwd / file, str(file))
    if _is_newer(document, _NEWER_OVERLAY):
        message = "it is an overlay of the newer form, which names input sets that are not in its file"
        raise SourceError(
            message, where=str(file), hint="give its input sets themselves, each by --inputs, in its order"
        )
    if _is_newer(document, _NEWER_SET):
        yield document, None
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
    if reference.text not in known:
        if known:
            reject("input set", reference.text, known, reference.where)
        message = f"the input set {reference.text!r} is not in the directory of this overlay"
        raise SourceError(message, where=reference.where, hint="put its file beside that of the overlay")
    return known[reference.text]


def _is_newer(document: Node, kinds: frozenset[str]) -> bool:
    kind = document.at("kind")
    return kind is not None and kind.text in kinds


def _with_inputs(pipeline: Node, document: Node) -> Node:
    """Return *pipeline* with the values of an input set of the newer form as the defaults of its ``inputs``."""
    given, inputs = document.at("spec"), pipeline.at("inputs")
    if given is None or not given.entries:
        message = "this input set does not have values"
        raise SourceError(message, where=document.where, hint="write spec, a map of inputs and their values")
    asked = dict(inputs.entries if inputs else {})
    for name, value in given.entries.items():
        if name not in asked:
            reject("input", name, asked, given.where_key(name))
        entry = asked[name]
        declared = replace(
            entry, value={**entry.entries, "default": value}, keys={**entry.keys, "default": value.where}
        )
        asked[name] = declared if entry.entries else as_text(value)
    changed = replace(inputs or given, value=asked)
    return replace(pipeline, value={**pipeline.entries, "inputs": changed})


def _check_pipeline(one: Node | None, pipeline: Node) -> None:
    other = pipeline.at("identifier")
    if one and other and one.text != other.text:
        message = f"this input set is for the pipeline {one.text!r}, and the file has {other.text!r}"
        raise SourceError(message, where=one.where, hint="give an input set of this pipeline")


def _laid_over(asked: Node, filled: Node, inputs: Node) -> Node:
    """Return *filled* with *inputs* for what the pipeline *asked* for, even if it was given before."""
    return _with_given(filled, fill(asked, inputs, "the pipeline"), asked)


def _with_given(before: Node, now: Node, asked: Node) -> Node:
    """Return the last value: *now* if it differs from what is *asked*, or else *before*."""
    if now == asked:
        return before
    if asked.items and len(before.items) == len(now.items) == len(asked.items):
        items = zip(before.items, now.items, asked.items, strict=True)
        return replace(now, value=tuple(_with_given(*each) for each in items))
    if asked.entries and before.entries and now.entries:
        entries = {key: _with_given(before.entries[key], now.entries[key], one) for key, one in asked.entries.items()}
        keys = {key: (before if entries[key] is before.entries[key] else now).keys[key] for key in asked.entries}
        return replace(now, value=entries, keys=keys)
    return now

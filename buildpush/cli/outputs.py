"""Outputs of a run for its CI system: values that later steps read, and a summary for people.

Sources: drone-kaniko (``pkg/output``), drone-plugin-lib (``harness/variables.go``), GitHub's "Workflow commands".
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from buildpush.cli.files import append
from buildpush.cli.messages import error_json, print_message
from buildpush.expressions.ci import files
from buildpush.expressions.ci_systems import FileKind
from buildpush.foundation.errors import BuildPushError
from buildpush.foundation.regex import regex
from buildpush.foundation.secrets import redacted
from buildpush.foundation.text import one_line

if TYPE_CHECKING:
    from buildpush.images.references import Reference
    from buildpush.pipeline.results import RunResult

STREAMS: Final = frozenset({"/dev/stdout", "/dev/stderr"})
_PLAIN: Final = regex(r"[\w@%+=:,./-]*\Z")
_ESCAPES: Final = str.maketrans({one: f"\\{one}" for one in '\\"!$`'} | {"\n": "\\n", "\r": "\\r"})
_MARKS: Final = str.maketrans({one: f"\\{one}" for one in "\\`*_{}[]<>()#+!|~-"})


def paths_in(env: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the output files that *env* names; the log is not one of them."""
    kinds: tuple[FileKind, ...] = ("outputs", "summary", "card", "failure")
    paths = chain.from_iterable(files(env, kind).values() for kind in kinds)
    return tuple(path for path in paths if str(path) not in STREAMS)


def write_outputs(results: Sequence[RunResult], env: Mapping[str, str], *, stdout_is_free: bool) -> None:
    """Write the outputs of *results* to the files that *env* names.

    Raises:
        BuildPushError: one cannot be written.
    """
    for variable, path in files(env, "outputs").items():
        form = _for_github if variable == "GITHUB_OUTPUT" else _form_of(path)
        if text := "".join(form(name, redacted(value)) for name, value in _outputs(results)):
            append(path, text)
    for path in files(env, "summary").values():
        if lines := _summary(results):
            append(path, redacted("\n".join([*lines, "", ""])))
    for directory in files(env, "summary directory").values():
        if lines := _summary(results):
            _upload_summary(directory, redacted("\n".join([*lines, ""])), stdout_is_free=stdout_is_free)
    for path in files(env, "card").values():
        from buildpush.cli.card import write_card  # imported here, since only Drone asks for one

        write_card(results, path, datetime.now(UTC), stdout_is_free=stdout_is_free)


def _upload_summary(directory: Path, text: str, *, stdout_is_free: bool) -> None:
    """Write a summary where Azure's agent finds it, and say so in the log.

    Source: Azure Pipelines, "Logging commands", UploadSummary.
    """
    path = directory.absolute() / f"buildpush-{secrets.token_hex(8)}.md"
    append(path, text)
    click.echo(f"##vso[task.uploadsummary]{one_line(str(path))}", err=not stdout_is_free)


def write_failure(error: BaseException, code: int, env: Mapping[str, str]) -> None:
    """Write why a command failed into the file that *env* names; print a note if that is not possible."""
    for path in files(env, "failure").values():
        text = "".join(_form_of(path)(f"ERROR_{name}", value) for name, value in _failure(error, code))
        try:
            append(path, text)
        except BuildPushError as unwritten:  # the first error is the one that counts
            reason = str(unwritten).rpartition(": ")[2]
            print_message("note", f"{path} cannot be written ({reason}), so it does not say why this failed")


def _failure(error: BaseException, code: int) -> Iterator[tuple[str, str]]:
    from buildpush.pipeline.failures import error_types  # here, since only a failure asks for it

    yield "MESSAGE", one_line(redacted(str(error_json(error)["message"])))
    yield "CODE", str(code)
    yield from [("CATEGORY", kind) for kind in sorted(error_types(error))[:1]]


def _form_of(path: Path) -> Callable[[str, str], str]:
    return _as_words if path.suffix == ".out" else _as_dotenv


def _outputs(results: Sequence[RunResult]) -> Iterator[tuple[str, str]]:
    """Yield the outputs by name: each value from the last step that has it, and all images."""
    last = next((result for result in reversed(results) if result.digest), None)
    if last and last.digest:
        yield "digest", last.digest
        yield from [("image", last.references[0])] if last.references else []
    if images := dict.fromkeys(reference for result in results for reference in result.references):
        yield "images", ",".join(images)
    for name in ("build_info_url", "IMAGE_TAR_PATH"):
        if value := next((result.outputs[name] for result in reversed(results) if name in result.outputs), ""):
            yield name, value


def _for_github(name: str, value: str) -> str:
    """Return an output as GitHub reads it; no value can end early and begin another output."""
    if value.splitlines() in ([], [value]):
        return f"{name}={value}\n"
    end = f"end_{secrets.token_hex(16)}"
    return f"{name}<<{end}\n{value}\n{end}\n"


def _as_dotenv(name: str, value: str) -> str:
    return f"{name}={value}\n" if _PLAIN.match(value) else f'{name}="{value.translate(_ESCAPES)}"\n'


def _as_words(name: str, value: str) -> str:
    if value.splitlines() in ([], [value]):
        return f"{name} {value}\n"
    print_message("note", f"the output {name} has several lines, which a .out file cannot hold: it is left out")
    return ""


# ---- the summary


def _summary(results: Sequence[RunResult]) -> list[str]:
    """Return the lines of a Markdown table of what was pushed; without a push, there are none."""
    from buildpush.images.references import Reference  # imported here, since only a run that pushes needs it

    rows: dict[tuple[str, str], tuple[list[Reference], Mapping[str, str]]] = {}
    for result in results:
        for reference in map(Reference.parse, result.references if result.pushed or result.earlier else ()):
            key = str(reference.repository), str(result.digest)
            names, outputs = rows.get(key, ([], {}))
            rows[key] = [*names, reference], result.outputs if "build_info_url" in result.outputs else outputs
    if not rows:
        return []
    lines = ["| image | tags | digest | build-info |", "|---|---|---|---|"]
    return lines + [_row(image, digest, *of) for (image, digest), of in rows.items()]


def _row(image: str, digest: str, references: Sequence[Reference], outputs: Mapping[str, str]) -> str:
    tags = ", ".join(f"`{tag}`" for tag in dict.fromkeys(one.tag for one in references if one.tag))
    return f"| `{image}` | {tags} | `{digest}` | {_link(outputs)} |"


def _link(outputs: Mapping[str, str]) -> str:
    words = one_line(f"{outputs.get('build_name', '')} {outputs.get('build_number', '')}").strip().translate(_MARKS)
    url = one_line(outputs.get("build_info_url", "")).translate(
        {ord("|"): "%7C", ord("<"): "%3C", ord(">"): "%3E", ord(" "): "%20"}
    )
    return f"[{words}](<{url}>)" if url.startswith(("https://", "http://")) else words

"""The output of a command: errors, results for people, documents and files for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from buildpush.cli.files import check_writable, write
from buildpush.cli.messages import error_json, print_message, show_failure
from buildpush.foundation.controls import escaped
from buildpush.foundation.errors import BuildPushError, SettingsError
from buildpush.foundation.files import remove_or_empty
from buildpush.foundation.secrets import redacted

if TYPE_CHECKING:
    from buildpush.pipeline.results import RunResult
    from buildpush.settings.tree import Loaded

_STDOUT = "-"


def new_document(*, is_printed: bool) -> dict[str, Any]:
    """Return the document of a command about steps, to be filled in.

    If *is_printed*, :func:`buildpush.cli.run_command` prints it, however the command ends.
    """
    document: dict[str, Any] = click.get_current_context().ensure_object(dict) if is_printed else {}
    document["steps"] = []
    return document


def show(document: Mapping[str, Any], text: str, *, as_json: bool) -> None:
    """Give the result of a command: as its JSON document, or else as *text*."""
    if as_json:
        click.get_current_context().ensure_object(dict).update(document)
    else:
        click.echo(text)


def print_document(document: dict[str, Any]) -> None:
    """Print the one document of a command."""
    click.echo(as_json(document))


def tell_failure(error: BaseException, arguments: list[str], document: dict[str, Any], env: Mapping[str, str]) -> int:
    """Tell people and programs why a command failed, and return its exit code; *document* is what it has so far."""
    code = show_failure(error, arguments)
    if "--json" in arguments:  # as it was typed, since click may not have come so far
        try:
            print_document(document | {"error": error_json(error, arguments)})
        except OSError as unwritable:
            show_failure(unwritable, arguments)
    if env.get("ERROR_METADATA_FILE"):
        from buildpush.cli.outputs import write_failure  # imported here, since few runs are asked for it

        write_failure(error, code, env)
    return code


def as_json(document: dict[str, Any]) -> str:
    """Return a document as JSON; control characters and lone surrogates are escaped, so any program can read it."""
    return escaped(json.dumps(redacted(document), indent=2, ensure_ascii=False))


def file_json(loaded: Loaded) -> dict[str, Any]:
    """Return what a file holds besides the steps that are run."""
    return {"notRun": list(loaded.others), "notes": list(loaded.notes)}


@contextmanager
def reporting(
    results: list[RunResult],
    document: dict[str, Any],
    *,
    as_json: bool,
    digest_file: str | None,
    env: Mapping[str, str],
) -> Iterator[None]:
    """Report what is in *results* when the block ends, also after an error or Ctrl-C."""

    def report() -> None:
        document["steps"] = [result.as_json() for result in results]
        _report(results, as_json=as_json, digest_file=digest_file, env=env)

    try:
        yield
    except BaseException:
        try:
            report()
        except BuildPushError as error:  # the first error is the one that counts
            print_message("note", str(error))
        raise
    report()


def _report(results: list[RunResult], *, as_json: bool, digest_file: str | None, env: Mapping[str, str]) -> None:
    """Write the results for people, unless a document is printed, and to the files that CI systems read."""
    if results and not as_json:
        # With --digest-file -, stdout is for the digest alone.
        click.echo("\n\n".join(str(result) for result in results), err=digest_file == _STDOUT)
    digests = [result.digest for result in results if result.digest]
    if digest_file == _STDOUT and digests:
        click.echo(digests[-1])
    elif digest_file and digests:
        write(Path(digest_file), digests[-1] + "\n")
    elif digest_file and results:
        name = "the digest" if digest_file == _STDOUT else digest_file
        print_message("note", f"{name} is not written: only a registry or an OCI layout gives an image a digest")
    from buildpush.cli.outputs import write_outputs  # imported here, since help writes nothing

    write_outputs(results, env, stdout_is_free=not as_json and digest_file != _STDOUT)


def check_stdout(*, as_json: bool, digest_file: str | None) -> None:
    """Refuse two results that would both go to stdout."""
    if as_json and digest_file == _STDOUT:
        message = "--json and --digest-file - both write to stdout"
        raise SettingsError(message, hint="leave out one of them, or give --digest-file a file")


def check_receipts(digest_file: str | None, env: Mapping[str, str]) -> None:
    """Refuse receipts that could not be written, before anything is done, and remove the digest of an earlier run."""
    from buildpush.cli.outputs import paths_in

    own = [Path(digest_file)] if digest_file and digest_file != _STDOUT else []
    for path in (*own, *paths_in(env)):
        check_writable(path)
    if digest_file and Path(digest_file).is_file():  # as Docker does with --iidfile
        remove_or_empty(Path(digest_file).resolve())

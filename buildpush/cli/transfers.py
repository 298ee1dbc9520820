"""The commands about files that are no image: upload and download; the work is in ``pipeline/files.py``."""

from __future__ import annotations

from typing import Any, Final

import click

from buildpush.cli.options import JSON, context_in, server_in, server_options
from buildpush.cli.report import new_document, reporting
from buildpush.cli.showing import with_display

_PATTERN: Final = """\b
    *     any text, also of several directories
    **/   any number of directories, also none
    ?     one character
    ( )   a placeholder, if the target names its number, such as {1}
    \\     before one of these: just that character"""


def make_upload() -> click.Command:
    """Return the command that uploads."""
    text = f"""Upload the files that PATTERN matches to TARGET, a path that begins with a repository.

    {_PATTERN}

    A PATTERN that ends in / is for all files of a directory.
    Below a TARGET that ends in /, files keep their directories, unless --flat.
    Bytes that Artifactory has already are not sent again.
    """
    props = click.Option(
        ["--props", "--target-props"],
        multiple=True,
        metavar="NAME=VALUE,...;...",
        help="Properties of every file; may be repeated.",
    )
    return _command("upload", text, [_argument("pattern"), _argument("target")], [props])


def make_download() -> click.Command:
    """Return the command that downloads."""
    text = f"""Download the files of Artifactory that PATTERN matches; it begins with a repository.

    {_PATTERN}

    A PATTERN that ends in / is for all files below it.
    TARGET is a directory if it ends in / or is one, else the name of the file; without it, files come here.
    In a directory, files keep their own directories, unless --flat.
    Each file is checked, and appears when it is complete; one that is here already is left as it is.
    """
    return _command(
        "download",
        text,
        [_argument("pattern"), click.Argument(["target"], metavar="[TARGET]", required=False, default="")],
        [],
    )


def _argument(name: str, **more: Any) -> click.Argument:
    return click.Argument([name], metavar=name.upper(), **more)


def _command(verb: str, text: str, arguments: list[click.Parameter], more: list[click.Parameter]) -> click.Command:
    def act(pattern: str, target: str, as_json: bool, **options: Any) -> None:
        from buildpush.pipeline import files

        context, server = context_in(options), server_in(options)
        how = files.TransferOptions(**options, server=server)
        document = new_document(is_printed=as_json)
        report = reporting(context.results, document, as_json=as_json, digest_file=None, env=context.env)
        with report, with_display(context) as context:
            getattr(files, verb)(pattern, target, how, context)

    return click.Command(verb, callback=act, params=[*arguments, *_which(), *more, *server_options(), JSON], help=text)


def _which() -> list[click.Parameter]:
    """Return the flags for which files, and how."""
    return [
        click.Option(["--flat"], is_flag=True, help="Leave out the directories of files."),
        click.Option(["--recursive/--no-recursive"], default=True, help="Also files in directories below."),
        click.Option(
            ["--exclusions"],
            multiple=True,
            metavar="PATTERN;...",
            help="Files to leave out; build/ is for all below it.",
        ),
        click.Option(["--threads"], type=int, default=4, show_default=True, help="Files on their way at once."),
        click.Option(["--dry-run"], is_flag=True, help="Only list the files, and where each goes."),
        click.Option(["--timeout"], metavar="10m", help="Time after which the command is aborted, with exit code 124."),
    ]

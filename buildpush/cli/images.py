"""The commands about images that are there already: push, copy, merge, tag; the work is in ``pipeline/images.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from buildpush.cli.options import path_of
from buildpush.cli.report import check_receipts, check_stdout, document_out, reported, with_display

if TYPE_CHECKING:
    from buildpush.pipeline.context import RunContext
    from buildpush.pipeline.options import CopyOptions
    from buildpush.pipeline.results import RunResult

    Act = Callable[[CopyOptions, RunContext], RunResult]


def make_push() -> click.Command:
    """Return the command that pushes from any source."""
    names: list[click.Parameter] = [
        click.Argument(["source"]),
        click.Argument(["references"], metavar="REF...", nargs=-1, required=True),
    ]
    text = """Push the image or index at SOURCE, and let every REF (HOST/REPOSITORY:TAG) name it.

    SOURCE is written as for copy, such as docker-daemon:app:1 or oci:build.
    What came with a manifest arrives byte for byte, unless a flag changes it.
    """

    def act(source: str, references: tuple[str, ...], **options: Any) -> None:
        from buildpush.pipeline import images as moving

        _moved(lambda how, context: moving.push(source, references, how, context), options)

    return click.Command("push", callback=act, params=[*names, *_packing(), *_hosts(), *_receipts()], help=text)


def make_copy() -> click.Command:
    """Return the command that copies."""
    from buildpush.transfer import TRANSPORTS

    names: list[click.Parameter] = [click.Argument(["source"]), click.Argument(["destination"])]
    rows = "\n".join(f"  {row.pattern:<34} {row.about}" for row in TRANSPORTS.values())
    text = f"Copy the image or index at SOURCE to DESTINATION.\n\n\b\nBoth are one of\n{rows}"

    def act(source: str, destination: str, **options: Any) -> None:
        from buildpush.pipeline import images as moving

        _moved(lambda how, context: moving.copy(source, destination, how, context), options)

    return click.Command("copy", callback=act, params=[*names, *_packing(), *_hosts(), *_receipts()], help=text)


def make_merge() -> click.Command:
    """Return the command that makes an index."""
    names: list[click.Parameter] = [
        click.Argument(["reference"], metavar="REF"),
        click.Argument(["sources"], metavar="SOURCE...", nargs=-1, required=True),
    ]
    text = """Make one index of the images at the SOURCEs, one for each platform, and let REF name it.

    SOURCE is written as for copy; what REF's repository has already does not travel.
    """

    def act(reference: str, sources: tuple[str, ...], **options: Any) -> None:
        from buildpush.pipeline import images as moving

        _moved(lambda how, context: moving.merge(reference, sources, how, context), options)

    params = [*names, _media_types(""), _nondistributable(), *_hosts(), *_receipts()]
    return click.Command("merge", callback=act, params=params, help=text)


def make_tag() -> click.Command:
    """Return the command that names."""
    names: list[click.Parameter] = [
        click.Argument(["reference"], metavar="REF"),
        click.Argument(["tags"], metavar="NEWTAG...", nargs=-1, required=True),
    ]
    text = "Give the image or index that REF names more tags in its repository; no blob moves."

    def act(reference: str, tags: tuple[str, ...], **options: Any) -> None:
        from buildpush.pipeline import images as moving

        _moved(lambda how, context: moving.tag(reference, tags, how, context), options)

    return click.Command("tag", callback=act, params=[*names, *_hosts(), *_receipts()], help=text)


def _packing() -> list[click.Parameter]:
    """Return the flags that say what of an image goes, and how it is packed."""
    anew = "saying it writes the manifest anew."
    compressions = "gzip|none|zstd"
    beside = "Also signatures, SBOMs and attestations of the image."
    return [
        click.Option(["--platform"], metavar="OS/ARCHITECTURE", help="Only this image of an index."),
        click.Option(["--compression"], metavar=compressions, help=f"Of layers that are not compressed yet; {anew}"),
        _media_types(anew),
        click.Option(["--referrers"], is_flag=True, help=beside),
        _nondistributable(),
    ]


def _media_types(more: str) -> click.Option:
    words = f"Of the manifest; {more}" if more else "Of the index; oci if not given."
    return click.Option(["--media-types"], metavar="oci|docker", help=words)


def _nondistributable() -> click.Option:
    words = "Also layers that are fetched from their maker otherwise, such as those of Windows."
    return click.Option(["--allow-nondistributable-artifacts"], is_flag=True, help=words)


def _hosts() -> list[click.Parameter]:
    """Return the flags that say how registries are reached."""
    return [
        click.Option(["--connectors"], metavar="FILE", help="File of connectors; each counts for its own host."),
        click.Option(["--connector-ref"], metavar="ID", help="Only this connector."),
        click.Option(["--secrets"], metavar="FOLDER", help="Folder with one file per secret, named by its id."),
        click.Option(["--username"], metavar="NAME", help="User at the registry that is written to."),
        click.Option(["--password"], metavar="REFERENCE", help="Where the password is: env:NAME or file:PATH."),
        click.Option(
            ["--insecure"], metavar="HOST", multiple=True, help="Speak to HOST with TLS unchecked, or without."
        ),
        click.Option(["--timeout"], metavar="10m", help="Time after which the command is ended, with exit code 124."),
    ]


def _receipts() -> list[click.Parameter]:
    """Return the flags that say where results go."""
    return [
        click.Option(["--json", "as_json"], is_flag=True, help="One JSON document on stdout."),
        click.Option(["--digest-file"], metavar="FILE", help="Write the digest there; - for stdout, alone."),
    ]


def _moved(act: Act, options: dict[str, Any]) -> None:
    """Do it with the display, the credentials and the receipts that the flags ask for."""
    from buildpush.pipeline.context import RunContext
    from buildpush.pipeline.options import CopyOptions

    as_json, digest_file = options.pop("as_json"), options.pop("digest_file")
    check_stdout(as_json=as_json, digest_file=digest_file)
    with document_out(as_json) as document:
        context = RunContext.default(
            connectors=path_of(options.pop("connectors")), secrets=path_of(options.pop("secrets"))
        )
        check_receipts(digest_file, context.env)
        results = context.results
        report = reported(results, document, as_json=as_json, digest_file=digest_file, env=context.env)
        with report, with_display(context) as context:
            results.append(act(CopyOptions(**options), context))

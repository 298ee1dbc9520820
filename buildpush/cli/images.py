"""The commands about images that exist already: push, copy, merge, tag; the work is in ``pipeline/images.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from buildpush.cli.options import DIGEST_FILE, JSON, context_in, lookup_options
from buildpush.cli.report import check_receipts, check_stdout, new_document, reporting, show
from buildpush.cli.showing import with_display

_REF = click.Argument(["reference"], metavar="REF")


def make_push() -> click.Command:
    """Return the command that pushes from any source."""
    text = """Push the image or index at SOURCE under every REF (HOST/REPOSITORY:TAG).

    SOURCE is written as for copy, such as docker-daemon:app:1 or oci:build.
    An image that has a manifest arrives byte for byte, unless a flag changes it.
    """
    return _command("push", text, click.Argument(["source"]), _many("references", "REF..."), *_packing())


def make_copy() -> click.Command:
    """Return the command that copies."""
    from buildpush.transfer import TRANSPORTS

    rows = "\n".join(f"  {row.pattern:<34} {row.about}" for row in TRANSPORTS.values())
    text = f"Copy the image or index at SOURCE to DESTINATION.\n\n\b\nBoth are one of\n{rows}"
    return _command("copy", text, click.Argument(["source"]), click.Argument(["destination"]), *_packing())


def make_merge() -> click.Command:
    """Return the command that makes an index."""
    text = """Make one index of the images at the SOURCEs, one for each platform, and push it as REF.

    SOURCE is written as for copy; what REF's repository already has is not sent again.
    """
    return _command("merge", text, _REF, _many("sources", "SOURCE..."), _media_types(""), _nondistributable())


def make_tag() -> click.Command:
    """Return the command that gives an image more tags."""
    text = "Give the image or index that REF names more tags in its repository; no blob is sent."
    return _command("tag", text, _REF, _many("tags", "NEWTAG..."))


def make_verify() -> click.Command:
    """Return the command that says what is known about an image."""
    text = """Show what is beside the image that REF names, by whom it is signed, and whether all of it agrees.

    The exit code is 8 if something is wrong: nothing is signed by a key that is given, a document is damaged or about
    another image, or the build-info names other files, another commit or another start. The verdict says whether that
    is against the image, or only against one of the documents. What was not checked is printed as well.
    """
    params: list[click.Parameter] = [
        _REF,
        click.Option(["--key", "keys"], metavar="FILE", multiple=True, help="A public key as PEM; may be repeated."),
        click.Option(
            ["--artifactory-url"], metavar="ADDRESS", help="Artifactory with the build-info; default: JF_URL."
        ),
        click.Option(["--artifactory-token"], metavar="REFERENCE", help="Reference to its token: env:NAME, file:PATH."),
        click.Option(["--build"], nargs=2, metavar="NAME NUMBER", help="Its build; default: as the provenance says."),
    ]
    return click.Command("verify", callback=_verify, params=[*params, *_hosts(), JSON], help=text)


def _verify(reference: str, as_json: bool, **options: Any) -> None:
    from buildpush.foundation.errors import UnverifiedError
    from buildpush.pipeline import images
    from buildpush.pipeline.options import CopyOptions
    from buildpush.pipeline.saved import ServerFlags

    context = context_in(options)
    server = ServerFlags(**{name: options.pop(name) for name in ("artifactory_url", "artifactory_token")})
    more = {name: options.pop(name) for name in ("keys", "build")}
    with with_display(context) as context:
        found = images.verify(reference, CopyOptions(**options), context, server=server, **more)
    show(found.as_json(), str(found), as_json=as_json)
    if not found.ok:
        raise UnverifiedError(found.problems[0], hint=found.hint)


def make_record() -> click.Command:
    """Return the command that reads the record of an executed notebook."""
    text = """Show what the executed NOTEBOOK pushed, and whether the registries still have it.

    Of each reference, it says whether it names the same image, has moved to another digest, is gone, or cannot be
    read. The exit code is 8 if one does not name the recorded image, or that is not known.

    A login goes to its own host only, which a connector or Docker's login names, since the notebook may name any.
    """
    notebook = click.Argument(["notebook"], type=click.Path(path_type=Path))
    return click.Command("record", callback=_record, params=[notebook, *_reading(), JSON], help=text)


def _record(notebook: Path, as_json: bool, **options: Any) -> None:
    from buildpush.foundation.errors import UnverifiedError
    from buildpush.pipeline import images
    from buildpush.pipeline.options import CopyOptions

    with with_display(context_in(options)) as context:
        found = images.compare_record(notebook, CopyOptions(**options), context)
    show(found.as_json(), str(found), as_json=as_json)
    if problems := found.problems:
        more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        message = f"{problems[0]}{more}"
        raise UnverifiedError(message, hint="the recorded image may still be there under its digest: REPOSITORY@DIGEST")


def _many(name: str, metavar: str) -> click.Argument:
    return click.Argument([name], metavar=metavar, nargs=-1, required=True)


def _command(verb: str, text: str, *params: click.Parameter) -> click.Command:
    """Return the command *verb*; the first two of *params* are the arguments of the function of that name."""

    def act(as_json: bool, digest_file: str | None, **options: Any) -> None:
        from buildpush.pipeline import images
        from buildpush.pipeline.options import CopyOptions

        check_stdout(as_json=as_json, digest_file=digest_file)
        document = new_document(is_printed=as_json)
        context = context_in(options)
        check_receipts(digest_file, context.env)
        arguments = [options.pop(str(param.name)) for param in params[:2]]
        results, env = context.results, context.env
        report = reporting(results, document, as_json=as_json, digest_file=digest_file, env=env)
        with report, with_display(context) as context:
            getattr(images, verb)(*arguments, CopyOptions(**options), context)

    return click.Command(verb, callback=act, params=[*params, *_hosts(), JSON, DIGEST_FILE], help=text)


def _packing() -> list[click.Parameter]:
    """Return the flags for the parts of an image to copy, and for how to pack it."""
    rewritten = "the manifest is rewritten."
    compressions = "gzip|none|zstd"
    beside = "Also copy signatures, SBOMs and attestations of the image."
    return [
        click.Option(["--platform"], metavar="OS/ARCHITECTURE", help="Only this image of an index."),
        click.Option(
            ["--compression"], metavar=compressions, help=f"For layers that are not compressed yet; {rewritten}"
        ),
        _media_types(rewritten),
        click.Option(["--referrers"], is_flag=True, help=beside),
        _nondistributable(),
    ]


def _media_types(more: str) -> click.Option:
    words = f"Media types of the manifest; {more}" if more else "Media types of the index; default: oci."
    return click.Option(["--media-types"], metavar="oci|docker", help=words)


def _nondistributable() -> click.Option:
    words = "Also copy layers that are usually fetched from their vendor, such as those of Windows."
    return click.Option(["--allow-nondistributable-artifacts"], is_flag=True, help=words)


def _reading() -> list[click.Parameter]:
    """Return the flags for how registries are reached whose names a stranger may have written."""
    of_one_host = {"--username", "--password", "--insecure"}
    return [one for one in _hosts() if of_one_host.isdisjoint(one.opts)]


def _hosts() -> list[click.Parameter]:
    """Return the flags for how registries are reached."""
    return [
        *lookup_options("File of connectors; each is used for its own host."),
        click.Option(["--connector-ref"], metavar="ID", help="Use only this connector."),
        click.Option(["--username"], metavar="NAME", help="User name for the registry that is written to."),
        click.Option(["--password"], metavar="REFERENCE", help="Reference to the password: env:NAME or file:PATH."),
        click.Option(
            ["--insecure/--no-insecure"],
            default=False,
            help="Whether the registry that is written to may have any certificate, or no TLS.",
        ),
        click.Option(
            ["--insecure-registry"],
            metavar="HOST",
            multiple=True,
            help="Another host that may have any certificate, or no TLS; may be repeated.",
        ),
        click.Option(["--timeout"], metavar="10m", help="Time after which the command is aborted, with exit code 124."),
    ]

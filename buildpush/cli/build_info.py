"""The commands about build-info."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from buildpush.cli.options import flags_in, trust_options
from buildpush.cli.report import as_json, with_display


def make_build_info() -> click.Command:
    """Return the group of commands about build-info."""
    group = click.Group("build-info")
    # The variables are not read by click: the choice of a credential's host must tell them from flags.
    server: list[click.Parameter] = [
        click.Option(["--artifactory-url"], metavar="ADDRESS", help="Address of Artifactory; default: JF_URL."),
        click.Option(
            ["--artifactory-token"], metavar="REFERENCE", help="Reference to the token: env:NAME or file:PATH."
        ),
        click.Option(["--username"], metavar="NAME", help="User name, if there is no token; default: JF_USER."),
        click.Option(["--password"], metavar="REFERENCE", help="Reference to the password: env:NAME or file:PATH."),
        *trust_options(),
    ]
    file = click.Argument(["file"], type=click.Path(path_type=Path))
    name, number = click.Argument(["name"]), click.Argument(["number"])
    project = click.Option(["--project"], envvar="JF_PROJECT", default="", metavar="KEY", help="JFrog project.")
    publish = click.Command("publish", callback=_publish_saved, params=[file, *server], help="Publish FILE.")
    show = click.Command(
        "show", callback=_show_build, params=[name, number, project, *server], help="Show the newest run of a build."
    )
    group.add_command(publish)
    group.add_command(show)
    return group


def _publish_saved(file: Path, **server: Any) -> None:
    from buildpush.pipeline.context import RunContext
    from buildpush.pipeline.saved import ServerFlags, publish_saved

    with with_display(RunContext.default()) as context:
        published = publish_saved(file, context, ServerFlags(trust=flags_in(server), **server))
    click.echo(published.url)


def _show_build(name: str, number: str, project: str, **server: Any) -> None:
    from buildpush.pipeline.context import RunContext
    from buildpush.pipeline.saved import ServerFlags, show_build

    with with_display(RunContext.default()) as context:
        document = show_build(name, number, project, context, ServerFlags(trust=flags_in(server), **server))
    click.echo(as_json(document))

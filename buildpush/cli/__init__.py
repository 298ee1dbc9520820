"""The command line; each command is built on first use, so that ``--help`` is quick."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

import click

from buildpush.cli.signals import handled, terminate
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.spelling import did_you_mean

# name -> (sentence for the first --help, module and maker of the command); in the order in which they are explained
COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "run": ("Build, push, publish: the step or steps in FILE.", "run.make_run"),
    "plugin": ("Do what the variables of one of Harness' plugins say.", "run.make_plugin"),
    "check": ("Show what a run would do, and where each value comes from; does nothing.", "run.make_check"),
    "explain": ("Show a setting or an expression: its value, and where the value comes from.", "run.make_explain"),
    "build": ("Build without a push, into an archive or a directory.", "run.make_build"),
    "push": ("Push an image that exists already.", "images.make_push"),
    "copy": ("Copy an image from any source to any destination.", "images.make_copy"),
    "merge": ("Make one index of images for several platforms.", "images.make_merge"),
    "tag": ("Give an image in a registry more tags.", "images.make_tag"),
    "upload": ("Upload files that are no image.", "transfers.make_upload"),
    "download": ("Download files that are no image.", "transfers.make_download"),
    "verify": ("Show what is beside an image, by whom it is signed, and whether it all agrees.", "images.make_verify"),
    "record": ("Show what a notebook pushed, and whether the registries still have it.", "images.make_record"),
    "build-info": ("Publish, show, compare, promote and delete build-infos.", "build_info.make_build_info"),
    "doctor": ("Say what would fail before it fails, or what the messages in a log mean.", "doctor.make_doctor"),
    "init": ("Write a step, a connector and the file of a CI system, to begin with.", "init.make_init"),
    "sandbox": ("Run an Artifactory to practise with.", "tools.make_sandbox"),
    "tutorial": ("Run a tutorial notebook on the sandbox.", "tutorial.make_tutorial"),
    "notebook": (
        "Write a pipeline file as a notebook, with its inputs as parameters.",
        "tools.make_notebook",
    ),
    "completion": ("Print the completion of commands, flags and values for a shell.", "completion.make_completion"),
    "schema": ("Print the JSON schema of buildpush.yaml or of step files, for editors.", "tools.make_schema"),
    "clean": ("Remove what runs left behind on this machine.", "tools.make_clean"),
}
# Those that do more than print: they have the flags about what is shown meanwhile.
ACTING: Final = frozenset(
    "run plugin build push copy merge tag upload download verify record build-info tutorial".split()  # noqa: SIM905 - words
)


class SpelledGroup(click.Group):
    """A group of commands that suggests a name for one that it does not have."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that *args* begin with; the error about an unknown one suggests similar names."""
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            hint = did_you_mean(args[0], known, most=2)
            message = f"there is no command {args[0]!r}"
            raise SettingsError(message, hint=hint or f"{ctx.command_path} --help lists them")
        return super().resolve_command(ctx, args)


class Commands(SpelledGroup):
    """The group of commands, each built on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which they are explained."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Build and return the command of that name; ``None`` if there is none."""
        del ctx
        entry = COMMANDS.get(cmd_name)
        return _build_command(*entry) if entry else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands without building them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, sentence) for name, (sentence, _) in COMMANDS.items()])


def _build_command(sentence: str, maker: str) -> click.Command:
    module, _, name = maker.partition(".")
    command: click.Command = getattr(import_module(f"buildpush.cli.{module}"), name)()
    command.help = command.help or sentence
    if command.name in ACTING:
        _add_shown_options(command)
    return command


def _add_shown_options(command: click.Command) -> None:
    from buildpush.cli.showing import shown_options

    for one in command.commands.values() if isinstance(command, click.Group) else (command,):
        has_quiet = any("--quiet" in parameter.opts for parameter in one.params)
        one.params += shown_options(has_quiet=has_quiet)


def _print_version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        import platform

        from buildpush import __version__

        click.echo(f"buildpush {__version__}, Python {platform.python_version()}, {platform.system()}")
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Version.")
def group() -> None:
    """Build a container image, push it to JFrog, publish its build-info.

    FILE is a Harness step or pipeline; it may be left out where flags are enough.
    Results go to stdout, everything else to stderr.
    """


def run_command(arguments: list[str]) -> int:
    """Run one command line and return its exit code, 0 to 143; every error becomes a sentence and a hint."""
    document: dict[str, Any] = {}  # filled by a command that is asked for one
    try:
        with handled(terminate, signal.SIGTERM):
            code = group.main(arguments, prog_name="buildpush", standalone_mode=False, obj=document) or 0
            if document:
                import_module("buildpush.cli.report").print_document(document)
            return code
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  the last resort
        with handled(signal.SIG_IGN, signal.SIGINT, signal.SIGTERM):  # a second Ctrl-C takes no words away
            from buildpush.cli.report import tell_failure

            return tell_failure(error, arguments, document, os.environ)

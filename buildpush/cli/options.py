"""Options of commands: one flag per setting, and the options of every command that reads a step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from buildpush.cli.showing import keep
from buildpush.foundation.errors import SettingsError

if TYPE_CHECKING:
    from buildpush.pipeline.context import RunContext
    from buildpush.pipeline.saved import ServerFlags
    from buildpush.settings.contents import ContentsEntry
    from buildpush.settings.declare import Setting
    from buildpush.settings.sources import CompanionFiles
    from buildpush.settings.tree import Loaded


JSON = click.Option(["--json", "as_json"], is_flag=True, help="One JSON document on stdout.")
LIST = click.Option(["--list", "listed"], is_flag=True, help="List what is in FILE and whether it is run; do nothing.")
DIGEST_FILE = click.Option(
    ["--digest-file"], metavar="FILE", help="Write the digest there; - prints it alone to stdout."
)


class StepCommand(click.Command):
    """A command that reads a step: it has FILE, options for secrets, and one flag per setting."""

    def __init__(self, name: str, act: Callable[..., int | None], more: list[click.Parameter]) -> None:
        super().__init__(name, callback=act, params=[*_common(), *more, *_setting_options()])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options, then the settings by their groups."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)):
                groups.setdefault(getattr(parameter, "group", "Options"), []).append(record)
        for group, records in groups.items():
            with formatter.section(group):
                formatter.write_dl(records)


class SettingOption(click.Option):
    """The flag of one setting."""

    group: str


def _common() -> list[click.Parameter]:
    """Return the parameters of every command that reads a step."""
    return [
        click.Argument(["file"], required=False, type=click.Path(path_type=Path)),
        *choice_options(),
        *lookup_options("File of connectors and secret references."),
        click.Option(
            ["--var"], metavar="NAME=VALUE", multiple=True, help="A variable for expressions; may be repeated."
        ),
    ]


def choice_options() -> list[click.Parameter]:
    """Return the parameters that choose the steps of a file to run, and name the files that complete it."""
    return [
        click.Option(["--stage"], metavar="ID", help="Only the steps of the stage with this identifier."),
        click.Option(["--step"], metavar="ID", help="Only the step with this identifier."),
        click.Option(["--templates"], metavar="DIRECTORY", help="Directory with the files of templates."),
        click.Option(
            ["--inputs"],
            metavar="FILE",
            multiple=True,
            help="An input set or an overlay; the last of several takes precedence.",
        ),
    ]


def _setting_options() -> list[click.Parameter]:
    """Return one flag per setting, from their declarations."""
    from buildpush.settings.declare import settings_of
    from buildpush.settings.model import BuildAndPush

    return [_setting_option(setting) for setting in settings_of(BuildAndPush) if setting.flags]


def server_options() -> list[click.Parameter]:
    """Return the flags for the Artifactory of a command, and the login there."""
    # The variables are not read by click: the choice of a credential's host must tell them from flags.
    return [
        click.Option(["--artifactory-url"], metavar="ADDRESS", help="Address of Artifactory; default: JF_URL."),
        click.Option(
            ["--artifactory-token"], metavar="REFERENCE", help="Reference to the token: env:NAME or file:PATH."
        ),
        click.Option(["--username"], metavar="NAME", help="User name, if there is no token; default: JF_USER."),
        click.Option(["--password"], metavar="REFERENCE", help="Reference to the password: env:NAME or file:PATH."),
        *lookup_options("File of connectors; the one for Artifactory's host is used, if no login is given."),
        *trust_options(),
    ]


def lookup_options(about_connectors: str) -> list[click.Parameter]:
    """Return the flags for where credentials are looked up."""
    return [
        click.Option(["--connectors"], metavar="FILE", help=about_connectors),
        click.Option(["--secrets"], metavar="DIRECTORY", help="Directory with one file per secret, named by its ID."),
    ]


def context_in(options: dict[str, Any]) -> RunContext:
    """Remove from *options* those of :func:`lookup_options`, and return the context that looks up there."""
    from buildpush.pipeline.context import RunContext

    places = {name: options.pop(name) or None for name in ("connectors", "secrets")}
    return RunContext.default(**places)


def build_options(*, several: bool = False) -> list[click.Parameter]:
    """Return the options that name a build and the directory that collects its modules, or *several* directories."""
    return [
        click.Option(
            ["--build-name"],
            envvar=["PLUGIN_BUILD_NAME", "JFROG_CLI_BUILD_NAME"],
            metavar="NAME",
            help="Name of the build; default: that of the CI system's pipeline.",
        ),
        click.Option(
            ["--build-number"],
            envvar=["PLUGIN_BUILD_NUMBER", "JFROG_CLI_BUILD_NUMBER"],
            metavar="NUMBER",
            help="Number of the build; default: that of the CI system's run.",
        ),
        click.Option(
            ["--build-dir"],
            envvar="PLUGIN_BUILD_DIR",
            type=click.Path(path_type=Path),
            multiple=several,
            metavar="DIRECTORY",
            help=f"Directory that collects the build{'; may be repeated' if several else ''}; default: one of our own.",
        ),
    ]


def trust_options() -> list[click.Parameter]:
    """Return the flags of the settings about TLS of the step that publishes build-info."""
    from buildpush.settings.declare import setting_named
    from buildpush.settings.server_settings import OF_TRUST, ServerSettings

    return [_setting_option(setting_named(ServerSettings, name), has_variable=False) for name in OF_TRUST]


def _setting_option(setting: Setting, *, has_variable: bool = True) -> click.Option:
    name, words = f"setting_{setting.name}", _help(setting) if has_variable else _sentence(setting)
    if setting.kind == "switch":
        flags = [f"{setting.flags[0]}/{setting.negative_flag}", name]
        is_quiet = setting.name == "quiet"  # as a flag, it holds for the display as well
        flags, callback = (["-q", *flags], keep) if is_quiet else (flags, None)
        option = SettingOption(flags, default=None, help=words, callback=callback)
    else:
        many = setting.kind in {"list", "map"}
        option = SettingOption(
            [*setting.flags, name], metavar=_metavar(setting), multiple=many, default=None, help=words
        )
    option.group = setting.group
    return option


def _metavar(setting: Setting) -> str:
    if setting.kind != "choice":
        return {"map": "KEY=VALUE", "list": "TEXT", "duration": "10m", "secret": "REFERENCE"}.get(
            setting.kind, setting.kind.upper()
        )
    return "|".join(setting.choices)


def _help(setting: Setting) -> str:
    """Return the sentence of a setting, and in brackets its variable, how it may be repeated, and its default."""
    words = _sentence(setting)
    facts = [setting.own_variables[0].name]
    if setting.kind in {"list", "map"}:
        commas = setting.kind == "list" and setting.separator == ","
        facts.append("may be repeated, or separated by commas" if commas else "may be repeated")
    if setting.default:
        facts.append(f"default: {_default_words(setting)}")
    mark = "" if setting.honoured_by or setting.harmless else "(not yet) "
    return f"{mark}{words}  [{'; '.join(facts)}]"


def _sentence(setting: Setting) -> str:
    """Return the sentence of a setting without markup."""
    return setting.sentence.replace("{setting}", "").replace("`", "")


def _default_words(setting: Setting) -> str:
    from buildpush.settings.kinds import bytes_text

    value = setting.default
    if setting.kind == "size":
        return bytes_text(value)
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "yes" if value is True else str(value)


def load(options: dict[str, Any], more: str = "") -> tuple[Loaded, RunContext]:
    """Return the steps and the context that a command's options name; the remaining options are the command's own.

    *more* is another text with expressions, which may use variables.
    """
    from buildpush.pipeline.context import RunContext
    from buildpush.settings.lookups import with_lookup_notes
    from buildpush.settings.sources import read

    context = RunContext.default(
        connectors=options.pop("connectors") or None,
        secrets=options.pop("secrets") or None,
        variables=dict(pair(text) for text in options.pop("var")),
    )
    file, step, stage, companions = (
        options.pop("file"),
        options.pop("step"),
        options.pop("stage"),
        companions_of(options),
    )
    flags = flags_in(options)
    loaded = read(
        file, env=context.env, flags=flags, keywords={}, cwd=context.cwd, step=step, stage=stage, companions=companions
    )
    places = context.secrets_directory, context.connectors_file
    return with_lookup_notes(loaded, context.variables, *places, more=more), context


def contents(options: dict[str, Any]) -> tuple[list[ContentsEntry], list[str]]:
    """Return the contents of a file, and notes; only options that choose or complete them are accepted."""
    from buildpush.settings.contents import entries
    from buildpush.settings.selection import select
    from buildpush.settings.sources import file_tree

    file, step, stage = options.pop("file"), options.pop("step"), options.pop("stage")
    companions, notes = companions_of(options), list[str]()
    has_others = bool(flags_in(options)) or any(options.values())
    if file is None or has_others:
        message = "--list is given with a setting or an option of a run" if file else "--list is given without a file"
        raise SettingsError(
            message, hint="beside --list, give only FILE, --stage, --step, --templates, --inputs and --json"
        )
    return list(entries(select(file_tree(file, Path(), companions, notes), file, stage, step))), notes


def companions_of(options: dict[str, Any]) -> CompanionFiles:
    """Remove from *options* those that complete the file, and return them."""
    from buildpush.settings.sources import CompanionFiles

    directory = options.pop("templates")
    return CompanionFiles(Path(directory) if directory else None, tuple(map(Path, options.pop("inputs"))))


def load_plugin(like: str | None) -> tuple[Loaded, RunContext]:
    """Return the step that the environment alone describes, and its context; *like* names the plugin."""
    from buildpush.pipeline.context import RunContext
    from buildpush.settings.plugin_environment import plugin_for
    from buildpush.settings.sources import read

    context = RunContext.default()
    kind = plugin_for(context.env, like)
    is_plugin = like is not None
    loaded = read(
        None, env=context.env, flags={}, keywords={}, cwd=context.cwd, step=None, kind=kind, is_plugin=is_plugin
    )
    return loaded, context


def pair(text: str, flag: str = "--var") -> tuple[str, str]:
    """Return the name and the value of NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        message = f"{flag} {text!r} is not NAME=VALUE"
        raise SettingsError(message, hint=f"write {flag} region=eu")
    return name, value


def flags_in(options: dict[str, Any]) -> dict[str, Any]:
    """Remove from *options* the settings that flags set, and return them."""
    names = [name for name in options if name.startswith("setting_")]
    given = {name.removeprefix("setting_"): options.pop(name) for name in names}
    return {name: _raw(value) for name, value in given.items() if value is not None and value != ()}


def server_in(options: dict[str, Any]) -> ServerFlags:
    """Remove from *options* those of :func:`server_options`, and return them."""
    from buildpush.pipeline.saved import ServerFlags

    options |= flags_in(options)
    return ServerFlags.taken_from(options)


def _raw(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return list(value) if isinstance(value, tuple) else value

"""What people type; commands are built when they are asked for, so that the first ``--help`` is quick."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

import click

from buildpush.controls import escaped
from buildpush.errors import BuildPushError, CancelledError, SettingsError
from buildpush.secrets import redacted
from buildpush.text import one_line, with_margin

if TYPE_CHECKING:
    from buildpush.results import RunResult
    from buildpush.sandbox import Line, Sandbox
    from buildpush.session import Session
    from buildpush.settings.declare import Setting
    from buildpush.settings.written import Loaded
    from buildpush.verbs import Act

# name -> (sentence for the first --help, maker of the command)
_COMMANDS: dict[str, tuple[str, Callable[[], click.Command]]] = {}
_HIDDEN_EXIT = 1
_TERMINATED = 143
_STDOUT = "-"


def command(sentence: str) -> Callable[[Callable[[], click.Command]], Callable[[], click.Command]]:
    """Enter the decorated maker into the table of commands, under its name without ``make_``."""

    def enter(make: Callable[[], click.Command]) -> Callable[[], click.Command]:
        _COMMANDS[make.__name__.removeprefix("make_").replace("_", "-")] = (sentence, make)
        return make

    return enter


class Commands(click.Group):
    """The group of commands, each made on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which they are explained."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Make the command of that name, or return ``None``."""
        del ctx
        entry = _COMMANDS.get(cmd_name)
        return entry[1]() if entry else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is meant; an unknown one is an error that names near ones."""
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], _COMMANDS, n=2)
            ctx.fail(f"there is no command {args[0]!r}" + (f"; did you mean {' or '.join(near)}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table without making a single command."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, sentence) for name, (sentence, _) in _COMMANDS.items()])


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        import platform

        from buildpush import __version__

        click.echo(f"buildpush {__version__}, Python {platform.python_version()}, {platform.system()}")
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Version.")
def group() -> None:
    """Build a container image, push it to JFrog, publish its build-info.

    FILE is a Harness step or pipeline; it may be left out wherever flags say enough.
    Results go to stdout, everything else to stderr.
    """


def run_command(arguments: list[str]) -> int:
    """Run one command line and return its exit code, 0 to 143; every error becomes a sentence and a hint."""
    try:
        with _terminable():
            return group.main(arguments, prog_name="buildpush", standalone_mode=False) or 0
    except click.ClickException as error:
        return _misused(error)
    except BuildPushError as error:
        show_error(error)
        return error.exit_code
    except (KeyboardInterrupt, click.exceptions.Abort) as interrupt:
        return _interrupted(interrupt.__cause__ or interrupt)  # click wraps it in its own Abort
    except OSError as error:
        return _unusable(error)
    except Exception:  # noqa: BLE001  the last resort: even our own mistakes show no secret
        return _unexpected()


def _misused(error: click.ClickException) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        _tell(error.format_message())
    else:
        _say("error", error.format_message())
    return error.exit_code


def _unexpected() -> int:
    _tell(with_margin(f"mistake:\n{traceback.format_exc()}"))
    _say("error", "this is a mistake of buildpush; please report it with the lines above")
    return BuildPushError.exit_code


def _unusable(error: OSError) -> int:
    """Tell of a full disk or a stdout that takes nothing; places that were named have become errors of ours."""
    if error.filename is None:
        _drop(sys.stdout)
    # Whoever read our stdout may have gone, as `head` does: then there is nobody left to tell.
    if not isinstance(error, BrokenPipeError):
        _say("error", f"{error.filename or 'the output'} cannot be used: {error.strerror or error}")
    return _HIDDEN_EXIT


def _drop(stream: TextIO) -> None:
    """Lead *stream* into nothing, so that what is still buffered fails no second time when Python ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _interrupted(interrupt: BaseException) -> int:
    words = ["nothing was tagged after this point; what was confirmed will not be sent again"]
    _say("interrupted", "; ".join(getattr(interrupt, "__notes__", None) or words))
    return _interrupt_code(interrupt)


def _interrupt_code(interrupt: BaseException) -> int:
    return _TERMINATED if interrupt.args == (signal.SIGTERM,) else CancelledError.exit_code


@contextmanager
def _terminable() -> Iterator[None]:
    """Make SIGTERM end a run as Ctrl-C does, with its clean-up."""

    def terminate(*_: object) -> None:
        raise KeyboardInterrupt(signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def show_error(error: BuildPushError) -> None:
    """Write an error as people read it: what, what to do, where to read on."""
    _say("error", str(error))
    if error.hint:
        _say("hint", error.hint)
    if error.setting:
        _say("read", f"buildpush explain {error.setting}")


def _say(kind: str, text: str) -> None:
    colour = {"error": "red", "interrupted": "yellow"}.get(kind, "cyan")
    head = click.style(f"{kind}:", fg=colour, bold=True)
    _tell(f"{head} {with_margin(text)}")


def _tell(text: str) -> None:
    """Write to stderr; where that takes nothing, what was to be done goes on in silence."""
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    try:
        click.echo(text, err=True, color=False if plain else None)
    except OSError:
        _drop(sys.stderr)


class Reading(click.Command):
    """A command that reads a step: FILE, where its secrets are, and one flag per setting."""

    def __init__(self, name: str, act: Callable[..., None], more: list[click.Parameter], text: str) -> None:
        super().__init__(name, callback=act, params=[*_common(), *more, *_setting_options()], help=text)

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
        click.Option(["--step"], metavar="ID", help="Only the step of this identifier."),
        click.Option(["--connectors"], metavar="FILE", help="File of connectors and secret references."),
        click.Option(["--secrets"], metavar="FOLDER", help="Folder with one file per secret, named by its id."),
        click.Option(
            ["--var"], metavar="NAME=VALUE", multiple=True, help="A variable that expressions ask for; may be repeated."
        ),
    ]


def _setting_options() -> list[click.Parameter]:
    """Return one flag per setting, as the settings declare them."""
    from buildpush.settings.model import BuildAndPush, settings_of

    return [_setting_option(setting) for setting in settings_of(BuildAndPush) if setting.flags]


def _setting_option(setting: Setting) -> click.Option:
    name, words = f"setting_{setting.name}", _help(setting)
    if setting.kind == "switch":
        flags = [f"{setting.flags[0]}/{setting.negative_flag}", name]
        option = SettingOption(flags, default=None, help=words)
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
    from buildpush.engines import offered

    return "|".join(offered(setting.choices)[0] if setting.name == "engine" else setting.choices)


def _help(setting: Setting) -> str:
    """Return the sentence of a setting, and in brackets what else a person asks before using its flag."""
    words = setting.sentence.replace("{setting}", "").replace("`", "")
    facts = [setting.spelled_variables[0].name]
    if setting.kind in {"list", "map"}:
        facts.append("may be repeated")
    if setting.default:
        facts.append(f"default: {_default_words(setting.default)}")
    mark = "" if setting.honoured_by or setting.hint else "(not yet) "
    return f"{mark}{words}  [{'; '.join(facts)}]"


def _default_words(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "yes" if value is True else str(value)


def _load(options: dict[str, Any]) -> tuple[Loaded, Session]:
    """Return the steps and the surroundings that a command's options name; what remains is the command's own."""
    from buildpush.session import Session
    from buildpush.settings.lookups import noting
    from buildpush.settings.sources import read

    session = Session.default(
        connectors=_path(options.pop("connectors")),
        secrets=_path(options.pop("secrets")),
        variables=dict(_pair(text) for text in options.pop("var")),
    )
    file, step = options.pop("file"), options.pop("step")
    loaded = read(file, env=session.env, flags=_flags(options), keywords={}, cwd=session.cwd, step=step)
    return noting(loaded, session.variables, session.secrets, session.connectors), session


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _pair(text: str, flag: str = "--var") -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        message = f"{flag} {text!r} is not NAME=VALUE"
        raise SettingsError(message, hint=f"write {flag} region=eu")
    return name, value


def _flags(options: dict[str, Any]) -> dict[str, Any]:
    """Take the settings that flags said out of *options*."""
    names = [name for name in options if name.startswith("setting_")]
    said = {name.removeprefix("setting_"): options.pop(name) for name in names}
    return {name: _raw(value) for name, value in said.items() if value is not None and value != ()}


def _raw(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return list(value) if isinstance(value, tuple) else value


@command("Build, push, publish: the step or steps in FILE.")
def make_run() -> click.Command:
    """Return the command that does the main job."""
    more: list[click.Parameter] = [
        click.Option(["--json", "as_json"], is_flag=True, help="One JSON document on stdout."),
        click.Option(["--digest-file"], metavar="FILE", help="Write the digest there; - for stdout, alone."),
        click.Option(["--strict"], is_flag=True, help="Fail before the push where a note would be printed."),
    ]
    return Reading("run", _run, more, "Build, push, publish: the step or steps in FILE.")


def _run(**options: Any) -> None:
    as_json, digest_file, strict = options.pop("as_json"), options.pop("digest_file"), options.pop("strict")
    _check_stdout(as_json=as_json, digest_file=digest_file)
    with _document(as_json) as document:
        loaded, session = _load(options)
        document.update(_around_json(loaded))
        _check_receipts(digest_file, session.env)
        from buildpush.pipeline import run_all

        reported = _reported(document, as_json=as_json, digest_file=digest_file, env=session.env)
        with reported as achieved, _shown(session) as session:
            run_all(loaded, session, strict=strict, achieved=achieved)


@contextmanager
def _document(wanted: bool) -> Iterator[dict[str, Any]]:
    """Give the document of a command to fill; if it is *wanted* it is printed however the block ends."""
    document: dict[str, Any] = {"steps": []}
    try:
        yield document
    except BaseException as error:
        document["error"] = _error_json(error)
        raise
    finally:
        if wanted:
            click.echo(_as_json(document))


def _as_json(document: dict[str, Any]) -> str:
    """Return a document as JSON; halves of characters are escaped, or no program could read it, and controls."""
    return escaped(json.dumps(redacted(document), indent=2, ensure_ascii=False))


def _around_json(loaded: Loaded) -> dict[str, Any]:
    """Return what a file says besides the steps that are run."""
    return {"notRun": list(loaded.others), "notes": list(loaded.notes)}


@contextmanager
def _reported(
    document: dict[str, Any], *, as_json: bool, digest_file: str | None, env: Mapping[str, str]
) -> Iterator[list[RunResult]]:
    """Give a list for results; what is in it at the end is reported, also after an error or Ctrl-C."""
    achieved: list[RunResult] = []

    def report() -> None:
        document["steps"] = [result.as_json() for result in achieved]
        _report(achieved, as_json=as_json, digest_file=digest_file, env=env)

    try:
        yield achieved
    except BaseException:
        try:
            report()
        except BuildPushError as error:  # the first error is the one that counts
            _say("note", str(error))
        raise
    report()


@contextmanager
def _shown(session: Session) -> Iterator[Session]:
    """Give *session* a display on stderr for as long as the block lasts."""
    from buildpush import display

    shown = display.Unfailing(display.choose(sys.stderr, session.env), partial(_drop, sys.stderr))
    try:
        yield session.watched(shown)
    finally:
        shown.close()


def _report(results: list[RunResult], *, as_json: bool, digest_file: str | None, env: Mapping[str, str]) -> None:
    """Write the results for people, if they want no document, and to the files that CI systems read."""
    if results and not as_json:
        # With --digest-file -, stdout is for the digest alone.
        click.echo("\n\n".join(str(result) for result in results), err=digest_file == _STDOUT)
    digests = [result.digest for result in results if result.digest]
    if digest_file == _STDOUT and digests:
        click.echo(digests[-1])
    elif digest_file and digests:
        _write(Path(digest_file), digests[-1] + "\n")
    elif digest_file and results:
        name = "the digest" if digest_file == _STDOUT else digest_file
        _say("note", f"{name} is not written: only a registry and an OCI layout give an image one")
    if env.get("GITHUB_OUTPUT") and digests:
        last = next(result for result in reversed(results) if result.digest)
        image = f"image={last.references[0]}\n" if last.references else ""
        _append(Path(env["GITHUB_OUTPUT"]), f"digest={last.digest}\n{image}")


def _error_json(error: BaseException) -> dict[str, Any]:
    if isinstance(error, BuildPushError):
        facts = {"message": str(error), "hint": error.hint, "setting": error.setting, "exit": error.exit_code}
        return facts | ({"pushed": list(error.pushed)} if error.pushed else {})
    if isinstance(error, KeyboardInterrupt):
        return {"message": "interrupted", "hint": None, "setting": None, "exit": _interrupt_code(error)}
    return {
        "message": with_margin(f"{type(error).__name__}: {error}"),
        "hint": None,
        "setting": None,
        "exit": _HIDDEN_EXIT,
    }


def _check_stdout(*, as_json: bool, digest_file: str | None) -> None:
    if as_json and digest_file == _STDOUT:
        message = "--json and --digest-file - both want stdout"
        raise click.UsageError(message)


def _check_receipts(digest_file: str | None, env: Mapping[str, str]) -> None:
    """Refuse, before anything is done, receipts that could not be written; the digest of an earlier run goes."""
    for path in filter(None, (digest_file, env.get("GITHUB_OUTPUT"))):
        if path != _STDOUT:
            _check_writable(Path(path))
    if digest_file and Path(digest_file).is_file():  # as Docker does with --iidfile: nobody takes it for this run's
        Path(digest_file).resolve().unlink()


def _check_writable(path: Path) -> None:
    """Refuse before the run what would fail after it."""
    there = path if path.exists() else path.absolute().parent
    if path.is_dir() or not there.exists() or not os.access(there, os.W_OK):
        message = f"{path} cannot be written"
        raise SettingsError(message, hint="name a file in a folder that is there and that you may write to")


def _write(path: Path, text: str) -> None:
    """Write *text* to *path*, whole or not at all; what is no file, such as a pipe, is written to as it is."""
    try:
        if path.exists() and not path.is_file():
            _append(path, text)
            return
        path = path.resolve()  # a link stays
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with draft.open("x", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritten(path, error) from error


def _append(path: Path, text: str) -> None:
    """Add *text* to what others may add to as well: in one piece."""
    try:
        with path.open("ab", buffering=0) as file:
            file.write(text.encode())
    except OSError as error:
        raise _unwritten(path, error) from error


def _unwritten(path: Path, error: OSError) -> BuildPushError:
    message = f"the image is pushed, but {path} cannot be written: {error.strerror}"
    return BuildPushError(message)


@command("Say what a run would do, and who said so; does nothing.")
def make_check() -> click.Command:
    """Return the command that prints the plan."""
    more: list[click.Parameter] = [
        click.Option(["--json", "as_json"], is_flag=True, help="One JSON document on stdout.")
    ]
    return Reading("check", _check, more, "Say what a run would do, and who said so; does nothing.")


def _check(**options: Any) -> None:
    as_json = options.pop("as_json")
    with _document(as_json) as document:
        loaded, session = _load(options)
        document.update(_around_json(loaded))
        from buildpush.plan import plan

        plans = [plan(step, session) for step in loaded.steps]
        document["steps"] = [each.as_json() for each in plans]
    if not as_json:
        click.echo("\n\n".join(str(each) for each in plans))
    for other in loaded.others:
        _tell(f"not run: {one_line(other)}")
    for note in loaded.notes:
        _tell(f"note: {with_margin(note)}")


@command("Show a setting's card, its value, and who said it.")
def make_explain() -> click.Command:
    """Return the command that explains settings."""
    more: list[click.Parameter] = [
        click.Option(["--file"], type=click.Path(path_type=Path), help="The step or pipeline file."),
        click.Option(["--json", "as_json"], is_flag=True, help="One JSON document on stdout."),
    ]
    text = "Show SETTING's card, the value that a run would use, who said it, and what it overrode."
    made = Reading("explain", _explain, more, text)
    made.params[0] = click.Argument(["setting"], required=False)
    return made


def _explain(**options: Any) -> None:
    name, as_json = options.pop("setting"), options.pop("as_json")
    from buildpush import explain
    from buildpush.plan import surroundings

    loaded, session = _load(options)
    around = surroundings(session, dry=True)
    if name is None:
        click.echo(explain.overview_json(loaded, around) if as_json else explain.overview(loaded))
    else:
        told = explain.as_json if as_json else explain.as_text
        click.echo(told(name, loaded, around))
    for note in loaded.notes:
        _tell(f"note: {with_margin(note)}")


@command("Build without a push, into an archive or a folder.")
def make_build() -> click.Command:
    """Return the command that builds only."""
    more: list[click.Parameter] = [
        click.Option(["--output"], metavar="SINK", help="Where it goes, such as oci:FOLDER or docker-daemon:NAME:TAG."),
        click.Option(["--json", "as_json"], is_flag=True, help="One JSON document on stdout."),
    ]
    return Reading("build", _build, more, "Build without a push; without --output only to see whether it builds.")


def _build(**options: Any) -> None:
    output, as_json = options.pop("output"), options.pop("as_json")
    with _document(as_json) as document:
        loaded, session = _load(options)
        document.update(_around_json(loaded))
        from buildpush.pipeline import build_all

        with _reported(document, as_json=as_json, digest_file=None, env={}) as achieved, _shown(session) as session:
            build_all(loaded, session, output=output, achieved=achieved)


@command("Push an image that is there already.")
def make_push() -> click.Command:
    """Return the command that pushes from any source."""
    from buildpush import verbs

    return verbs.push(_moved)


@command("Copy an image from any source to any sink.")
def make_copy() -> click.Command:
    """Return the command that copies."""
    from buildpush import verbs

    return verbs.copy(_moved)


@command("Make one index of images for several platforms.")
def make_merge() -> click.Command:
    """Return the command that makes an index."""
    from buildpush import verbs

    return verbs.merge(_moved)


@command("Give an image in a registry more tags.")
def make_tag() -> click.Command:
    """Return the command that names."""
    from buildpush import verbs

    return verbs.tag(_moved)


def _moved(act: Act, options: dict[str, Any]) -> None:
    """Do it with the display, the credentials and the receipts that the flags ask for."""
    from buildpush.moving import Wishes
    from buildpush.session import Session

    as_json, digest_file = options.pop("as_json"), options.pop("digest_file")
    _check_stdout(as_json=as_json, digest_file=digest_file)
    with _document(as_json) as document:
        session = Session.default(connectors=_path(options.pop("connectors")), secrets=_path(options.pop("secrets")))
        _check_receipts(digest_file, session.env)
        reported = _reported(document, as_json=as_json, digest_file=digest_file, env=session.env)
        with reported as achieved, _shown(session) as session:
            achieved.append(act(Wishes(**options), session))


@command("Publish a saved build-info, or show a published one.")
def make_build_info() -> click.Command:
    """Return the group of commands about build-info."""
    group = click.Group("build-info", help="Publish a saved build-info, or show a published one.")
    # Variables are read where it is decided whom a credential may be told: there they are not as near as flags.
    server: list[click.Parameter] = [
        click.Option(["--artifactory-url"], metavar="ADDRESS", help="Address of Artifactory; without it JF_URL."),
        click.Option(["--artifactory-token"], metavar="REFERENCE", help="Where the token is: env:NAME or file:PATH."),
        click.Option(["--username"], metavar="NAME", help="User, where there is no token; without it JF_USER."),
        click.Option(["--password"], metavar="REFERENCE", help="Where the password is: env:NAME or file:PATH."),
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


def _publish_saved(file: Path, **server: str | None) -> None:
    from buildpush.saved import publish_saved
    from buildpush.session import Session

    with _shown(Session.default()) as session:
        published = publish_saved(file, session, **server)
    click.echo(published.url)


def _show_build(name: str, number: str, project: str, **server: str | None) -> None:
    from buildpush.saved import show_build
    from buildpush.session import Session

    with _shown(Session.default()) as session:
        document = show_build(name, number, project, session, **server)
    click.echo(_as_json(document))


@command("Run an Artifactory to practise on.")
def make_sandbox() -> click.Command:
    """Return the command that serves until it is interrupted."""
    from buildpush.sandbox import NAMED, UPLOADS

    options: list[click.Parameter] = [
        click.Option(["--port"], type=click.IntRange(0, 65535), default=8181, show_default=True, help="0: any free."),
        click.Option(["--data"], type=click.Path(path_type=Path), help="Folder to keep everything in; else forgotten."),
        click.Option(
            ["--uploads"],
            default=UPLOADS[0],
            show_default=True,
            metavar="HABIT",
            help=f"Whose way with uploads: {', '.join(UPLOADS)}.",
        ),
        click.Option(
            ["--immutable"], multiple=True, metavar="KEY", help="Repository in which tags stay; may be repeated."
        ),
        click.Option(
            ["--fault", "faults"],
            multiple=True,
            metavar="FAULT",
            help="Misbehave, as in 'PATCH /blobs/uploads/ status=503 times=3 retry-after=2', "
            f"or by a name: {', '.join(NAMED)}; may be repeated.",
        ),
        click.Option(
            ["--referrers/--no-referrers"], default=True, help="List what refers to a manifest, or answer 404."
        ),
        click.Option(["--line"], metavar="LINE", help="Also listen behind a line that breaks, as in reset-after=50MB."),
    ]
    return click.Command("sandbox", callback=_sandbox, params=options, help=_COMMANDS["sandbox"][0])


def _sandbox(port: int, data: Path | None, *, faults: tuple[str, ...], line: str | None, **rules: Any) -> None:
    from buildpush.sandbox import read_faults, read_line, serve
    from buildpush.state import State

    planned = [fault for text in faults for fault in read_faults(text)]
    settings = None if line is None else read_line(line)

    def announce(box: Sandbox) -> None:
        for fault in planned:
            box.add_fault(fault)
        _welcome(box, None if settings is None else box.add_line(**settings))

    State.default().sweep()
    # Ctrl-C is how a server is meant to end.
    with suppress(KeyboardInterrupt):
        serve(port, data, announce=announce, **rules)


def _welcome(box: Sandbox, line: Line | None) -> None:
    """Say where the sandbox is and who may enter; the only place that ever shows its credentials."""
    rows = [
        ("registry", f"{box.host}/{box.repository}"),
        *([("by the line", f"{line.host}/{box.repository}")] if line else []),
        ("Artifactory", box.artifactory_url),
        ("pages", f"{box.url}/ui/"),
        ("user", box.username),
        ("password", box.password.reveal()),
        ("token", box.token.reveal()),
    ]
    click.echo("\n".join(f"{name:<12} {value}" for name, value in rows))
    _tell("Ctrl-C ends it")
    sys.stdout.flush()


@command("Run a tutorial notebook on the sandbox.")
def make_tutorial() -> click.Command:
    """Return the command that executes a notebook."""
    options: list[click.Parameter] = [
        click.Argument(["name"], default="01-first-push"),
        click.Option(
            ["-p", "--parameter"], multiple=True, metavar="SETTING=VALUE", help="A parameter of the notebook."
        ),
        click.Option(["--output"], type=click.Path(path_type=Path), help="Where the executed notebook goes."),
        click.Option(["--list", "listed"], is_flag=True, help="Name the tutorials."),
    ]
    from buildpush import notebooks

    names = "\n".join(notebooks.names())
    text = f"{_COMMANDS['tutorial'][0]}\n\nNAME is one of these, or its beginning:\n\n\b\n{names}"
    return click.Command("tutorial", callback=_tutorial, params=options, help=text)


def _tutorial(name: str, parameter: tuple[str, ...], output: Path | None, *, listed: bool) -> None:
    from buildpush import notebooks

    if listed and (parameter or output):
        message = "--list runs no notebook, so --parameter and --output have no effect"
        raise click.UsageError(message)
    if listed:
        click.echo("\n".join(notebooks.names()))
        return
    from buildpush.session import Session

    parameters = dict(_pair(text, "--parameter") for text in parameter)
    try:
        with _shown(Session.default()) as session:
            session.state.sweep(session.sink)
            executed = notebooks.execute(name, parameters, output, env=session.env, sink=session.sink)
    except KeyboardInterrupt as interrupt:
        interrupt.add_note("the notebook is stopped with all that it started, and nothing was written")
        raise
    click.echo(f"notebook  {executed.path}")
    click.echo(f"page      {executed.page}")
    notebook = notebooks.find(name)
    takes_connectors = any(one.name == "connectors" for one in notebooks.parameters_of(notebook))
    if takes_connectors and not parameters.get("connectors") and notebook.stem in notebooks.names():
        _say("note", "the sandbox is gone, and with it what its links lead to; for one that stays:")
        click.echo(_KEEPING.format(name=notebook.stem, connectors=notebooks.connectors_file()), err=True)


_KEEPING = """\
  buildpush sandbox                                       shows a password, and pages to look at
  export SANDBOX_PASSWORD=…                               in another terminal
  buildpush tutorial {name} -p connectors={connectors}"""


@command("Print the JSON schema of buildpush.yaml or of step files, for editors.")
def make_schema() -> click.Command:
    """Return the command that prints the schema."""
    document = click.Argument(["document"], type=click.Choice(["project", "step"]), default="project")
    text = "Print the JSON schema of buildpush.yaml (project), or of a file with a step (step), for editors."
    return click.Command("schema", callback=_schema, params=[document], help=text)


def _schema(document: Literal["project", "step"]) -> None:
    from buildpush.settings.schema import schema

    click.echo(json.dumps(schema(document), indent=2, ensure_ascii=False))


@command("Remove what runs left on this machine.")
def make_clean() -> click.Command:
    """Return the command that tidies up."""
    everything = click.Option(
        ["--all", "everything"], is_flag=True, help="Also records, counters and saved build-infos."
    )
    return click.Command("clean", callback=_clean, params=[everything], help=_COMMANDS["clean"][0])


def _clean(*, everything: bool) -> None:
    from buildpush.state import State

    state = State.default()
    notes: list[str] = []
    removed = state.sweep(lambda event: notes.append(getattr(event, "text", "")))
    for note in notes:
        _say("note", note)
    for path in removed:
        click.echo(f"removed {path}")
    if not removed and not everything:
        click.echo("nothing was left; --all removes records, counters and saved build-infos too", err=True)
    if everything:
        state.clear()
        click.echo(f"removed {state.folder}")

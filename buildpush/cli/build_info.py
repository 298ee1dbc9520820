"""The commands about build-info."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from buildpush.cli import SpelledGroup
from buildpush.cli.options import JSON, build_options, context_in, server_in, server_options
from buildpush.cli.report import show
from buildpush.cli.showing import with_display
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.text import one_line

if TYPE_CHECKING:
    from buildpush.artifactory.collection import BuildKey, Collection
    from buildpush.pipeline.builds import Builds

_NAME, _NUMBER = click.Argument(["name"]), click.Argument(["number"])
_PROJECT = click.Option(
    ["--project"],
    envvar=["PLUGIN_BUILD_PROJECT", "JFROG_CLI_BUILD_PROJECT", "JF_PROJECT"],
    default="",
    metavar="KEY",
    help="JFrog project.",
)
_EXISTS = click.Option(
    ["--build-exists", "exists"],
    type=click.Choice(["add", "refuse", "replace"]),
    envvar="PLUGIN_BUILD_EXISTS",
    default="add",
    show_default=True,
    help="What follows if there are runs of the same number.",
)
_PUBLISH = """Publish a build-info: what was collected, or the one in FILE.

Without FILE, all that runs and commands have added to the build is published as one document.
FILE is one that a run saved, or the build-info of another program.
"""
_ADD = """Add FILES to the build-info that is collected.

Each is a build-info, or a directory: one of another machine's --build-dir, or one of those that jf keeps.
"""
_COLLECT = """Add IMAGES that are in Artifactory to the build-info that is collected.

An image is named by its tag, its digest or both; without a host it is at Artifactory's. No daemon is asked, and no
layer is read. With --publish, the build is published at once.
"""
_ARTIFACTS = click.Option(["--delete-artifacts", "artifacts"], is_flag=True, help="Delete the files of the runs too.")


def make_build_info() -> click.Command:
    """Return the group of commands about build-info."""
    group = SpelledGroup("build-info")
    server = server_options()
    path = click.Path(path_type=Path)
    file, files = click.Argument(["file"], type=path, required=False), click.Argument(["files"], type=path, nargs=-1)
    files.required = True
    publish = [file, *build_options(several=True), _PROJECT, _EXISTS, JSON, *server]
    group.add_command(click.Command("publish", callback=_publish, params=publish, help=_PUBLISH))
    group.add_command(click.Command("add", callback=_add, params=[files, *build_options(), _PROJECT, JSON], help=_ADD))
    images = click.Argument(["images"], nargs=-1, required=True)
    collect = [images, *build_options(), *_of_images(), _PROJECT, _EXISTS, JSON, *server]
    group.add_command(click.Command("collect", callback=_collect, params=collect, help=_COLLECT))
    for name, (sentence, act, parameters) in _COMMANDS.items():
        group.add_command(click.Command(name, callback=act, params=[*parameters, _PROJECT, *server], help=sentence))
    return group


def _publish(file: Path | None, exists: Any, *, as_json: bool, **options: Any) -> None:
    from buildpush.pipeline.collecting import publish_collected
    from buildpush.pipeline.saved import publish_saved

    context, flags = context_in(options), server_in(options)
    with with_display(context) as context:
        if file:
            _refuse_with_file(options)
            published = publish_saved(file, context, flags, exists=exists)
        else:
            directories = options.pop("build_dir")
            published = publish_collected(_key(context.env, **options), directories, context, flags, exists=exists)
    document = {"name": published.name, "number": published.number, "url": published.url}
    show(document, published.url, as_json=as_json)


def _refuse_with_file(names: Iterable[str]) -> None:
    """Refuse options that say which build is published, if they are given beside a file; variables may be there."""
    for name in names:
        if _is_flag_given(name):
            flag = f"--{name.replace('_', '-')}"
            message = f"{flag} has no effect beside FILE, which says which build it is"
            raise SettingsError(message, hint=f"leave out {flag}, or FILE to publish what was collected")


def _is_flag_given(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def _add(files: tuple[Path, ...], project: str, *, as_json: bool, **build: Any) -> None:
    from buildpush.pipeline.collecting import add_to_collection, content_of
    from buildpush.pipeline.context import RunContext

    directory = build.pop("build_dir")
    with with_display(RunContext.default()) as context:
        collection = add_to_collection(_key(context.env, project=project, **build), files, directory, context)
        content = content_of(collection)
    show(content, _collected_text(collection, content), as_json=as_json)


def _of_images() -> list[click.Parameter]:
    return [
        click.Option(["--module"], default="", metavar="ID", help="Id of the module; default: NAME:TAG."),
        click.Option(["--compat"], type=click.Choice(["jf"]), help="Write the modules that jf writes."),
        click.Option(
            ["--build-url", "url"],
            envvar=["PLUGIN_BUILD_URL", "JFROG_CLI_BUILD_URL"],
            default="",
            metavar="URL",
            help="Page of the run; default: that of the CI system.",
        ),
        click.Option(
            ["--git-path"],
            type=click.Path(path_type=Path),
            metavar="DIRECTORY",
            help="Directory of the sources; default: the working directory.",
        ),
        click.Option(["--pulled"], is_flag=True, help="The build has used the images, and not made them."),
        click.Option(["--publish"], is_flag=True, help="Publish what is collected for the build."),
        click.Option(["--issues-tracker"], metavar="NAME", help="Name of the tracker that has the issues, as JIRA."),
        click.Option(
            ["--issues-regexp"],
            metavar="PATTERN",
            help="Pattern of an issue in messages of commits: group 1 is the key, group 2 the summary.",
        ),
        click.Option(["--issues-url"], metavar="URL", help="Address of the issues, before the key."),
    ]


def _collect(
    images: tuple[str, ...], project: str, exists: Any, *, publish: bool, as_json: bool, **options: Any
) -> None:
    from buildpush.pipeline.collecting import content_of, publish_collected
    from buildpush.pipeline.image_records import CollectOptions, collect_images

    if not publish and _is_flag_given("exists"):
        message = "--build-exists has no effect without --publish"
        raise SettingsError(message, hint="add --publish, or leave out --build-exists")
    build = {name: options.pop(name) for name in ("build_name", "build_number")}
    directory, context, flags = options.pop("build_dir"), context_in(options), server_in(options)
    details = CollectOptions(directory=directory, exists=exists, **options)
    with with_display(context) as context:
        key, directories = _key(context.env, project=project, **build), [directory] if directory else []
        collection = collect_images(images, key, context, flags, details)
        content = content_of(collection)
        published = publish_collected(key, directories, context, flags, exists=exists) if publish else None
    text = published.url if published else _collected_text(collection, content)
    show({**content, "url": published.url if published else None}, text, as_json=as_json)


def _collected_text(collection: Collection, content: Mapping[str, Any]) -> str:
    lines = [f"{collection.key} in {collection.path.parent}", *(f"  {name}" for name in content["modules"])]
    return "\n".join(map(one_line, lines))


def _key(env: Mapping[str, str], build_name: str | None, build_number: str | None, project: str) -> BuildKey:
    """Return the build that options name, or else the CI system.

    Raises:
        SettingsError: none does.
    """
    from buildpush.artifactory.collection import BuildKey
    from buildpush.expressions.ci import ci_build

    known = ci_build(env)
    name, number = build_name or known.name, build_number or known.whole_number
    for what, text, hint in (("name", name, "add --build-name"), ("number", number, "add --build-number")):
        if not text:
            message = f"no build {what} given"
            raise SettingsError(message, hint=hint, setting=f"build_{what}")
    return BuildKey(name, number, project)


@contextmanager
def _builds(project: str, options: dict[str, Any]) -> Iterator[Builds]:
    """Yield the builds of the Artifactory in *options*, which keep those that are not about it."""
    from buildpush.pipeline.builds import open_builds

    context, flags = context_in(options), server_in(options)
    with with_display(context) as context, open_builds(context, flags, project) as builds:
        try:
            yield builds
        except KeyboardInterrupt as interrupt:
            interrupt.add_note("what Artifactory was asked for may still happen")
            raise


def _show(name: str, number: str, started: str, project: str, *, as_json: bool, **server: Any) -> None:
    with _builds(project, server) as builds:
        info = builds.show(name, number, started)
    show(info.document(), str(info), as_json=as_json)


def _list(name: str | None, project: str, *, as_json: bool, **server: Any) -> None:
    with _builds(project, server) as builds:
        found = [asdict(one) for one in (builds.list() if name is None else builds.runs(name))]
    if not found:
        click.echo(f"note: there is no run of {one_line(name)}" if name else "note: there are no builds", err=True)
    if found or as_json:
        lines = ("  ".join(one_line(text) for text in reversed(one.values())) for one in found)
        show({"builds" if name is None else "runs": found}, "\n".join(lines), as_json=as_json)


def _diff(name: str, number: str, other: str, other_name: str, project: str, *, as_json: bool, **server: Any) -> None:
    with _builds(project, server) as builds:
        found = builds.diff(name, number, other, other_name=other_name)
    show(found.as_json(), str(found), as_json=as_json)


def _promote(
    name: str, number: str, target: str, props: tuple[str, ...], project: str, *, as_json: bool, **options: Any
) -> None:
    from buildpush.pipeline.files import properties_in

    with _builds(project, options) as builds:
        promoted = builds.promote(name, number, target, properties=properties_in(props), **options)
    show(promoted.as_json(), str(promoted), as_json=as_json)


def _deleting(act: Callable[..., Any]) -> Callable[..., None]:
    """Return a command that deletes runs by *act*, and prints those that are gone."""

    def command(name: str, project: str, *, as_json: bool, **options: Any) -> None:
        with _builds(project, options) as builds:
            gone = [asdict(run) for run in act(builds, name, **options)]
        lines = [f"deleted {one_line(name)} {one_line(run['number'])} ({one_line(run['started'])})" for run in gone]
        show({"deleted": gone}, "\n".join(lines) or "no run is deleted", as_json=as_json)

    return command


@_deleting
def _discard(builds: Builds, name: str, **options: Any) -> Any:
    return builds.discard(name, **options)


@_deleting
def _delete(builds: Builds, name: str, numbers: tuple[str, ...], *, artifacts: bool) -> Any:
    return builds.delete(name, *numbers, artifacts=artifacts)


# name -> (sentence, what it does, its parameters besides those of the server)
_COMMANDS: dict[str, tuple[str, Callable[..., None], list[click.Parameter]]] = {
    "show": (
        "Show the newest run of a build.",
        _show,
        [
            _NAME,
            _NUMBER,
            click.Option(["--started"], default="", metavar="TIME", help="Which of several runs of that number."),
            JSON,
        ],
    ),
    "list": (
        "List all builds, or the runs of NAME, newest first.",
        _list,
        [click.Argument(["name"], required=False), JSON],
    ),
    "diff": (
        "Show what the later of two runs changed; OTHER is by default the run before.",
        _diff,
        [
            _NAME,
            _NUMBER,
            click.Argument(["other"], default=""),
            click.Option(["--other-name"], default="", metavar="NAME", help="Build of the other run, if another."),
            JSON,
        ],
    ),
    "promote": (
        "Copy the files of a build to the repository TARGET, and note its status.",
        _promote,
        [
            _NAME,
            _NUMBER,
            click.Argument(["target"], default=""),
            click.Option(["--status"], default="", metavar="TEXT", help="Status to note, such as released."),
            click.Option(["--comment"], default="", metavar="TEXT", help="Comment beside the status."),
            click.Option(["--source-repo", "source"], default="", metavar="KEY", help="Only files of this repository."),
            click.Option(["--move"], is_flag=True, help="Move the files; they are copied by default."),
            click.Option(["--dependencies"], is_flag=True, help="Take the files that the build used as well."),
            click.Option(["--dry-run"], is_flag=True, help="Ask the server whether it would work; change nothing."),
            click.Option(
                ["--props"],
                multiple=True,
                metavar="NAME=VALUE,...;...",
                help="Properties of the files in TARGET; may be repeated.",
            ),
            JSON,
        ],
    ),
    "discard": (
        "Delete the old runs of build NAME.",
        _discard,
        [
            _NAME,
            click.Option(["--max-builds", "count"], type=click.IntRange(1), help="The newest so many stay."),
            click.Option(["--max-days", "days"], type=click.IntRange(0), help="Older ones are deleted."),
            click.Option(["--exclude", "keep"], multiple=True, metavar="NUMBER", help="It stays; may be repeated."),
            _ARTIFACTS,
            click.Option(["--async", "later"], is_flag=True, help="Do not wait until they are deleted."),
            JSON,
        ],
    ),
    "delete": (
        "Delete every run of build NAME with one of NUMBERS.",
        _delete,
        [_NAME, click.Argument(["numbers"], nargs=-1, required=True), _ARTIFACTS, JSON],
    ),
}

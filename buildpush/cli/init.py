"""The command that writes the files of a first build: a step, a connector, and a pipeline of a CI system."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from buildpush.cli.files import write
from buildpush.cli.messages import print_line, print_message
from buildpush.credentials.pairing import registry_host, written_schemes
from buildpush.foundation.errors import SettingsError
from buildpush.http.urls import is_loopback
from buildpush.images.references import Repository

# Each CI system, and where it looks for its file; the starters are those of examples/ci.
_PLACES: Final = {
    "github": ("github-actions.yml", ".github/workflows/image.yml"),
    "gitlab": ("gitlab-ci.yml", ".gitlab-ci.yml"),
    "jenkins": ("Jenkinsfile", "Jenkinsfile"),
    "drone": ("drone.yml", ".drone.yml"),
    "harness": ("harness-run.yml", "harness-run.yml"),
    "none": None,
}
# By what is there, the CI system that is offered first.
_MARKS: Final = {".github": "github", ".gitlab-ci.yml": "gitlab", "Jenkinsfile": "jenkins", ".drone.yml": "drone"}
_SCHEMA: Final = "step.schema.json"  # beside the examples, as `buildpush schema step` prints it
_HOST, _REPOSITORY, _USER = "acme.jfrog.io", "docker-local/app", "ci-bot"  # as the starters have them


def make_init() -> click.Command:
    """Return the command that writes the files of a first build."""
    text = """Write step.yml, connectors.yml and the file of a CI system, to begin with; no file is overwritten.

    What the flags do not say is asked, or, with --yes, taken as it would be offered.
    """
    options: list[click.Parameter] = [
        click.Option(["--registry"], metavar="HOST", help="The registry, such as acme.jfrog.io; default: JF_URL's."),
        click.Option(["--repo"], metavar="NAME", help="The image there, such as docker-local/app."),
        click.Option(["--ci"], type=click.Choice(list(_PLACES)), help="The CI system that runs it."),
        click.Option(["--username"], metavar="NAME", help="The user who pushes; default: JF_USER, or ci-bot."),
        click.Option(["--yes"], is_flag=True, help="Ask nothing."),
    ]
    return click.Command("init", callback=_init, params=options, help=text)


def _init(registry: str | None, repo: str | None, ci: str | None, username: str | None, *, yes: bool) -> None:
    from buildpush.pipeline.context import RunContext

    context = RunContext.default()
    here, env = context.cwd, context.env
    answer = _offered if yes else _asked
    try:
        address = registry or answer("registry", env.get("JF_URL"), str)
        host = registry_host(address)
        image = Repository.parse(f"{host}/{repo or answer('repo', f'docker-local/{_name(here)}', str)}")
        system = ci or answer("ci", _found(here), click.Choice(list(_PLACES)))
    except (KeyboardInterrupt, click.Abort) as interrupt:
        interrupt.add_note("nothing was written")
        raise
    scheme = written_schemes([address]).get(host, "http" if is_loopback(host) else "https")
    user = username or env.get("JF_USER") or _USER
    words = {f"../{_SCHEMA}": _SCHEMA, f"https://{_HOST}": f"{scheme}://{host}", _REPOSITORY: image.path, _USER: user}
    files = _files(system, words)
    _refuse_existing(list(files))
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, content)
        click.echo(f"written  {path}")
    _say_next(here, system)


def _asked(name: str, default: str | None, kind: click.Choice[str] | type) -> str:
    """Return what a person types for the flag *name*.

    Raises:
        SettingsError: there is no terminal.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        message = f"--{name} is not given, and nobody can be asked: this is no terminal"
        raise SettingsError(message, hint=f"add --{name}, or --yes for what would be offered")
    question = {"registry": "registry, such as acme.jfrog.io", "repo": "name of the image there", "ci": "CI system"}
    return str(click.prompt(question[name], default=default, type=kind, err=True))


def _offered(name: str, default: str | None, _: object) -> str:
    if default is None:
        message = f"--{name} is not given, and there is nothing to offer"
        raise SettingsError(message, hint=f"add --{name} acme.jfrog.io, or set JF_URL")
    return default


def _name(here: Path) -> str:
    """Return the name of the directory as an image may have it."""
    name = "".join(mark if mark.isascii() and mark.isalnum() else "-" for mark in here.name.lower())
    return "-".join(filter(None, name.split("-"))) or "app"


def _found(here: Path) -> str:
    return next((system for mark, system in _MARKS.items() if (here / mark).exists()), "none")


def _files(system: str, words: dict[str, str]) -> dict[Path, str]:
    """Return the files to write, and what they hold."""
    from buildpush.notebooks import connectors_file

    starters = connectors_file().parent / "ci"
    places = {"step.yml": "step.yml", "connectors.yml": "connectors.yml", **dict(filter(None, [_PLACES[system]]))}
    files = {
        Path(place): _filled((starters / name).read_text(encoding="utf-8"), words) for name, place in places.items()
    }
    if not Path(_SCHEMA).exists():
        files[Path(_SCHEMA)] = (starters.parent / _SCHEMA).read_text(encoding="utf-8")
    return files


def _filled(text: str, words: dict[str, str]) -> str:
    """Return a starter with the user's own *words*; where it belongs is known."""
    for old, new in words.items():
        text = text.replace(old, new)
    first, end, rest = text.partition("\n")
    return rest if "Copy it to" in first else first + end + rest


def _refuse_existing(paths: list[Path]) -> None:
    if existing := [str(path) for path in paths if path.exists()]:
        message = f"nothing was written: {' and '.join(existing)} {'is' if len(existing) == 1 else 'are'} there already"
        raise SettingsError(message, hint="move them away, or choose another --ci")


def _say_next(here: Path, system: str) -> None:
    if not (here / "Dockerfile").is_file():
        print_message("note", "there is no Dockerfile here yet")
    print_line("next:\n  export JFROG_TOKEN=…\n  buildpush check step.yml --connectors connectors.yml")
    if _PLACES[system]:
        print_line("in the CI system:\n  JFROG_TOKEN as a secret\n  PIP_INDEX_URL, the index where pip finds buildpush")

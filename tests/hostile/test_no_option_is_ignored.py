"""Nothing that a user set is ignored silently: every option of every command, with every kind of source and sink.

The options come from the commands themselves; the flags of settings are tried in test_nothing_is_ignored.py.
"""

from __future__ import annotations

import json
from dataclasses import replace

import click
import pytest

from buildpush import sandbox
from buildpush.artifactory import Artifactory, retention
from buildpush.cli import group, tools
from buildpush.cli.options import SettingOption
from buildpush.cli.showing import ShownOption
from buildpush.settings.stepkinds import BUILD

pytestmark = pytest.mark.sandbox

SOURCES = {
    "docker": "docker://{host}/docker-local/app:1",
    "oci": "oci:source",
    "oci-archive": "oci-archive:source.oci.tar",
    "docker-archive": "docker-archive:image.tar",
}
SINKS = {
    "docker": "docker://{host}/docker-local/copied:1",
    "oci": "oci:out/copied",
    "oci-archive": "oci-archive:out/copied.oci.tar",
    "docker-archive": "docker-archive:out/copied.tar",
}
MOVES = {
    **{f"push {source}": ["push", place, "{host}/docker-local/pushed:1"] for source, place in SOURCES.items()},
    **{f"copy {one} {other}": ["copy", x, y] for one, x in SOURCES.items() for other, y in SINKS.items()},
    **{f"merge {source}": ["merge", "{host}/docker-local/merged:1", place] for source, place in SOURCES.items()},
    "tag": ["tag", "{host}/docker-local/app:1", "again"],
}
OPTIONS = {
    "platform": ["--platform=linux/s390x"],
    "compression": ["--compression=zstd"],
    "media_types": ["--media-types=docker"],
    "referrers": ["--referrers"],
    "allow_nondistributable_artifacts": ["--allow-nondistributable-artifacts"],
    "connectors": ["--connectors=connectors.yml"],
    "connector_ref": ["--connector-ref=jfrog", "--connectors=connectors.yml"],
    "secrets": ["--secrets=secrets"],
    "username": ["--username=other", "--password=env:OTHER"],
    "password": ["--username=other", "--password=env:TOKEN"],
    "insecure": ["--insecure"],
    "insecure_registry": ["--insecure-registry=elsewhere.test"],
    "timeout": ["--timeout=10m"],
    "as_json": ["--json"],
    "digest_file": ["--digest-file=out/digest"],
}
HOSTS = ("connectors", "connector_ref", "secrets", "insecure", "insecure_registry", "timeout")
# Why an option may be silent; it is, or the test fails.
REASONS = {"allow_nondistributable_artifacts": "it allows what these images do not need; they have no such layer"}


def options_of(command):
    others = SettingOption | ShownOption
    found = [one for one in command.params if isinstance(one, click.Option) and not isinstance(one, others)]
    return [str(one.name) for one in found]


@pytest.mark.parametrize("move", MOVES)
def test_an_option_is_seen_or_named_wherever_an_image_comes_from_and_goes(stage, move):
    words = MOVES[move]
    stage.see(words)  # what is there already makes a difference, once
    without = stage.see(words)
    assert without.code == 0, without.told
    options = options_of(group.get_command(None, words[0]))
    silent = {
        name for name in options if (seen := stage.see([*words, *OPTIONS[name]])) == without and not seen.names(name)
    }
    assert silent == REASONS.keys() & set(options)


AT = "--artifactory-url=http://{host}/artifactory/"
RUN = ["--repo={host}/docker-local/app", "--tags=1", "--engine=native", "--no-publish-build-info"]
KEPT = ["--build-name=kept", "--build-number=1"]
ADD = ["build-info", "add", "saved.json", "--build-name=shown", "--build-number=7", "--build-dir=kept"]
COLLECT = ["build-info", "collect", "{host}/docker-local/index:1", *KEPT, AT]
VERIFY = ["verify", "{host}/docker-local/app:1"]
UPLOAD = ["upload", "sources/*", "docker-local/files/", AT]
DOWNLOAD = ["download", "docker-local/files/*", "out/", AT]
INIT = ["init", "--registry=a.test", "--yes"]
READING = {
    "templates": ["--templates=nowhere"],
    "inputs": ["--inputs=nowhere.yml"],
    "connectors": ["--connectors=connectors.yml"],
    "secrets": ["--secrets=secrets"],
    "var": ["--var=regoin=eu"],
    "as_json": ["--json"],
}
FILES = {
    "flat": ["--flat"],
    "recursive": ["--no-recursive"],
    "exclusions": ["--exclusions=*/deep/*"],
    "threads": ["--threads=0"],
    "dry_run": ["--dry-run"],
    "timeout": ["--timeout=10m"],
    "as_json": ["--json"],
}


def at_server(words, options, *, project=True):
    """Return a command about what Artifactory has: how it is found is an option as well."""
    server = {
        "artifactory_url": ([*words, AT], [*words, "--artifactory-url={web}/artifactory/"]),
        "artifactory_token": ["--artifactory-token=env:OTHER"],
        "username": ["--username=other"],
        "password": ["--username=other", "--password=env:TOKEN"],
        "connectors": ["--connectors=connectors.yml"],
        "secrets": ["--secrets=secrets"],
    }
    return [*words, AT], options | server | ({"project": ["--project=team"]} if project else {})


# Each command: the words, and what each of its options adds; a pair says words of its own.
COMMANDS = {
    "run": (
        ["run", *RUN],
        READING
        | {
            "digest_file": ["--digest-file=out/digest"],
            "listed": (["run", "two.yml"], ["run", "two.yml", "--list"]),
            "stage": (["run", "stages.yml"], ["run", "stages.yml", "--stage=b"]),
            "step": (["run", "two.yml"], ["run", "two.yml", "--step=b"]),
            "record": ["--record=out/record.json"],
            "resume": ["--resume=out/none.json"],
            "strict": (["run", *RUN, "--optimize"], ["run", *RUN, "--optimize", "--strict"]),
        },
    ),
    "plugin": (
        ["plugin"],
        {
            "like": ["--like=artifactory-publish-docker-buildinfo"],
            "as_json": ["--json"],
            "digest_file": ["--digest-file=out/digest"],
            "strict": ["--strict"],
        },
    ),
    "check": (
        ["check", *RUN],
        READING
        | {
            "listed": (["check", "two.yml"], ["check", "two.yml", "--list"]),
            "stage": (["check", "stages.yml"], ["check", "stages.yml", "--stage=b"]),
            "step": (["check", "two.yml"], ["check", "two.yml", "--step=b"]),
        },
    ),
    "build": (
        ["build", *RUN],
        READING
        | {
            "output": ["--output=oci:out/built"],
            "stage": (["build", "stages.yml"], ["build", "stages.yml", "--stage=b"]),
            "step": (["build", "two.yml"], ["build", "two.yml", "--step=b"]),
        },
    ),
    "explain": (
        ["explain", "tags"],
        READING
        | {
            "file": ["--file=one.yml"],
            "stage": (["explain", "tags", "--file=stages.yml"], ["explain", "tags", "--file=stages.yml", "--stage=b"]),
            "step": (["explain", "tags", "--file=two.yml"], ["explain", "tags", "--file=two.yml", "--step=b"]),
        },
    ),
    "build-info show": at_server(
        ["build-info", "show", "shown", "7"],
        {"started": ["--started=2020-01-01T00:00:00.000+0000"], "as_json": ["--json"]},
    ),
    "build-info list": at_server(["build-info", "list", "shown"], {"as_json": ["--json"]}),
    "build-info diff": at_server(
        ["build-info", "diff", "shown", "7", "7"], {"other_name": ["--other-name=other"], "as_json": ["--json"]}
    ),
    "build-info promote": at_server(
        ["build-info", "promote", "shown", "7", "docker-local", "--status=tested"],
        {
            "status": ["--status=released"],
            "comment": ["--comment=good"],
            "source": ["--source-repo=docker-local"],
            "move": ["--move"],
            "dependencies": ["--dependencies"],
            "dry_run": ["--dry-run"],
            "props": ["--props=stage=released"],
            "as_json": ["--json"],
        },
    ),
    "build-info discard": at_server(
        ["build-info", "discard", "shown", "--max-builds=9"],
        {
            "count": ["--max-builds=8"],
            "days": ["--max-days=9"],
            "keep": ["--exclude=7"],
            "artifacts": ["--delete-artifacts"],
            "later": ["--async"],
            "as_json": ["--json"],
        },
    ),
    "build-info delete": at_server(
        ["build-info", "delete", "shown", "7"], {"artifacts": ["--delete-artifacts"], "as_json": ["--json"]}
    ),
    "build-info publish": at_server(
        ["build-info", "publish", "saved.json"],
        {
            "build_name": ["--build-name=other"],
            "build_number": ["--build-number=8"],
            "build_dir": ["--build-dir=kept"],
            "exists": ["--build-exists=refuse"],
            "as_json": ["--json"],
        },
    ),
    "build-info add": (
        ADD,
        {
            "build_name": ["--build-name=other"],
            "build_number": ["--build-number=2"],
            "build_dir": ["--build-dir=elsewhere"],
            "project": ["--project=team"],
            "as_json": ["--json"],
        },
    ),
    "build-info collect": at_server(
        [*COLLECT[:-1], "--publish"],
        {
            "build_name": ["--build-name=other"],
            "build_number": ["--build-number=2"],
            "build_dir": (COLLECT, [*COLLECT, "--build-dir=elsewhere"]),
            "module": ["--module=other"],
            "compat": ["--compat=jf"],
            "url": ["--build-url=https://ci.test/1"],
            "git_path": ["--git-path=no-repository"],
            "pulled": ["--pulled"],
            "issues_tracker": ["--issues-tracker=JIRA"],
            "issues_regexp": ["--issues-regexp=([A-Z]+-1)(x)"],
            "issues_url": ["--issues-url=https://issues.test"],
            "exists": ["--build-exists=refuse"],
            "publish": (COLLECT, [*COLLECT, "--publish"]),
            "as_json": ["--json"],
        },
    ),
    "verify": (
        VERIFY,
        {name: OPTIONS[name] for name in HOSTS}
        | {
            "username": OPTIONS["username"],
            "password": OPTIONS["password"],
            "keys": ["--key=key.pem"],
            "artifactory_url": [AT, "--build", "shown", "7"],
            "artifactory_token": ["--artifactory-token=env:OTHER"],
            "build": ["--build", "shown", "7"],
            "as_json": ["--json"],
        },
    ),
    "upload": at_server(UPLOAD[:-1], FILES | {"props": ["--props=stage=test"]}, project=False),
    "download": at_server(DOWNLOAD[:-1], FILES, project=False),
    "doctor": (
        ["doctor", *RUN],
        READING
        | {
            "stage": (["doctor", "stages.yml"], ["doctor", "stages.yml", "--stage=b"]),
            "step": (["doctor", "two.yml"], ["doctor", "two.yml", "--step=b"]),
        },
    ),
    "notebook": (
        ["notebook", "one.yml"],
        {
            "output": ["--output=out/one.ipynb"],
            "templates": READING["templates"],
            "inputs": READING["inputs"],
            "stage": (["notebook", "stages.yml"], ["notebook", "stages.yml", "--stage=b"]),
            "step": (["notebook", "two.yml"], ["notebook", "two.yml", "--step=b"]),
        },
    ),
    "completion": (["completion", "bash"], {}),
    "init": (
        INIT,
        {
            "registry": ["--registry=b.test"],
            "repo": ["--repo=other/image"],
            "ci": ["--ci=drone"],
            "username": ["--username=other"],
            "yes": (INIT[:-1], INIT),
        },
    ),
    "record": (["record", "made.ipynb"], {name: OPTIONS[name] for name in (*HOSTS, "as_json") if name != "insecure"}),
    "schema": (["schema"], {}),
    "clean": (["clean"], {"everything": ["--all"]}),
    "sandbox": (
        ["sandbox", "--port=0"],
        {
            "port": (["sandbox", "--port=0"], ["sandbox", "--port={port}"]),
            "data": ["--data=out/kept"],
            "uploads": ["--uploads=nexus"],
            "immutable": ["--immutable=docker-local"],
            "faults": ["--fault=GET /v2/ status=503"],
            "referrers": ["--no-referrers"],
            "line": ["--line=reset-after=50MB"],
            "remotes": ["--remote=far=https://far.test"],
            "tls": ["--tls"],
            "quiet": ["--quiet"],
        },
    ),
    "tutorial": (
        ["tutorial", "--list"],
        {
            "listed": (["tutorial", "no-such-one"], ["tutorial", "no-such-one", "--list"]),
            "parameter": ["--parameter=x=1"],
            "keep": ["--keep"],
            "output": ["--output=out/executed.ipynb"],
        },
    ),
}


@pytest.fixture
def more(stage, monkeypatch):
    """Return the stage with step files, a build, and a sandbox that ends when it has told where it is."""
    for name, identifiers in {"one.yml": "a", "two.yml": "ab"}.items():
        specs = {one: {"repo": f"{stage.box.host}/docker-local/{one}", "tags": [one]} for one in identifiers}
        steps = [{"step": {"type": BUILD.type, "identifier": one, "spec": spec}} for one, spec in specs.items()]
        (stage.directory / name).write_text(json.dumps({"steps": steps}), encoding="utf-8")
        stages = [
            {"stage": {"identifier": step["step"]["identifier"], "spec": {"execution": {"steps": [step]}}}}
            for step in steps
        ]
    (stage.directory / "stages.yml").write_text(json.dumps({"stages": stages}), encoding="utf-8")
    published = [*RUN[:-1], "--publish-build-info", "--build-name=shown", "--build-number=7"]
    stage.see(["run", *published])
    stage.see(["run", *published])
    (stage.directory / "saved.json").write_text(json.dumps(stage.box.builds()[0]), encoding="utf-8")
    for name in ("sources/a", "sources/deep/b"):
        path = stage.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name, encoding="utf-8")
    reference, digest = f"{stage.box.host}/docker-local/app:1", stage.box.digest("docker-local/app", "1")
    made = {"version": 1, "buildpush": "0.1.0", "runs": [{"references": [reference], "digest": digest}]}
    notebook = {"cells": [], "metadata": {"buildpush": made}, "nbformat": 4, "nbformat_minor": 5}
    (stage.directory / "made.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    stage.see(UPLOAD)
    stage.see(["merge", "{host}/docker-local/index:1", "docker://{host}/docker-local/app:1"])
    changes_nothing(stage, monkeypatch)
    usual_serve = sandbox.serve

    def serve(*words, **options):
        stage.doors.append(f"shows each request: {options['show'] is not None}")
        usual_serve(*words, **options)

    def welcome(box, line):
        facts = box._rules, box._data, box._faults._planned, box._remotes, line is None, box.url[:5]
        stage.doors.append(" ".join(map(str, facts)))
        raise KeyboardInterrupt

    monkeypatch.setattr(tools, "_welcome", welcome)
    monkeypatch.setattr(sandbox, "serve", serve)
    return stage


def changes_nothing(stage, monkeypatch):
    """Let the stage see what changes runs, and the server keep them: each call must find the same."""
    usual = Artifactory._post

    def post(self, path, document, *words, **options):
        stage.doors.append(f"{path} {json.dumps(document)}")
        return usual(self, path, document, *words, **options)

    monkeypatch.setattr(Artifactory, "_post", post)
    monkeypatch.setattr(retention, "_refuse_left", lambda *_: None)
    stage.box.add_fault("POST", "api/build/(delete|promote|retention)", status=200, body=b"{}", times=None)


# It looks for every engine on this machine.
MARKS = {"doctor": pytest.mark.programs}


@pytest.mark.parametrize("command", [pytest.param(name, marks=MARKS.get(name, ())) for name in COMMANDS])
def test_an_option_of_a_command_is_seen_or_named(more, command, monkeypatch):
    if command == "plugin":  # it has no other way to be told
        variables = {"PLUGIN_REPO": f"{more.box.host}/docker-local/app", "PLUGIN_ENGINE": "native", "PLUGIN_PURGE": "1"}
        for name, text in variables.items():
            monkeypatch.setenv(name, text)
    usual, options = COMMANDS[command]
    silent = []
    for name, added in options.items():
        before, after = added if isinstance(added, tuple) else (usual, [*usual, *added])
        without, seen = _see_anew(more, before), _see_anew(more, after)
        silent += [name] if seen == without and not seen.names(name) else []
    assert silent == []


def _see_anew(stage, words):
    """See what *words* do; the files of init are seen as well, and those of an earlier one are not in its way."""
    if words[0] != "init":
        return stage.see(words)
    files = [stage.directory / name for name in ("step.yml", "connectors.yml", ".drone.yml")]
    for file in files:
        file.unlink(missing_ok=True)
    seen = stage.see(words)
    written = [file.read_text(encoding="utf-8") for file in files if file.exists()]
    return replace(seen, told=(*seen.told, *written))


def commands(command, name=""):
    for word in command.list_commands(None) if isinstance(command, click.Group) else ():
        yield from commands(command.get_command(None, word), f"{name} {word}".strip())
    if not isinstance(command, click.Group):
        yield name, set(options_of(command))


def test_every_option_of_every_command_is_tried():
    tried = {name: set(options) for name, (_, options) in COMMANDS.items()}
    tried |= {
        name: set(OPTIONS) & options
        for name, options in commands(group)
        if name in {words[0] for words in MOVES.values()}
    }
    assert dict(commands(group)) == tried

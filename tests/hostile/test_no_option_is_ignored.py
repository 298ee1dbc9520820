"""Nothing that a user set is ignored silently: every option of every command, with every kind of source and sink.

The options come from the commands themselves; the flags of settings are tried in test_nothing_is_ignored.py.
"""

from __future__ import annotations

import json

import click
import pytest

from buildpush.cli import group, tools
from buildpush.cli.options import SettingOption
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
    "insecure": ["--insecure=elsewhere.test"],
    "timeout": ["--timeout=10m"],
    "as_json": ["--json"],
    "digest_file": ["--digest-file=out/digest"],
}
# Why an option may be silent; it is, or the test fails.
REASONS = {"allow_nondistributable_artifacts": "it allows what these images do not need; they have no such layer"}


def options_of(command):
    found = [one for one in command.params if isinstance(one, click.Option) and not isinstance(one, SettingOption)]
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


RUN = ["--repo={host}/docker-local/app", "--tags=1", "--engine=native", "--no-publish-build-info"]
SHOW = ["build-info", "show", "shown", "7", "--artifactory-url=http://{host}/artifactory/"]
READING = {
    "templates": ["--templates=nowhere"],
    "inputs": ["--inputs=nowhere.yml"],
    "connectors": ["--connectors=connectors.yml"],
    "secrets": ["--secrets=secrets"],
    "var": ["--var=regoin=eu"],
    "as_json": ["--json"],
}
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
    "build-info show": (
        SHOW,
        {
            "artifactory_url": (SHOW, [*SHOW[:4], "--artifactory-url={web}/artifactory/"]),
            "artifactory_token": ["--artifactory-token=env:OTHER"],
            "username": ["--username=other"],
            "password": ["--username=other", "--password=env:TOKEN"],
            "project": ["--project=team"],
        },
    ),
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
        },
    ),
    "tutorial": (
        ["tutorial", "--list"],
        {
            "listed": (["tutorial", "no-such-one"], ["tutorial", "no-such-one", "--list"]),
            "parameter": ["--parameter=x=1"],
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
    stage.see(["run", *RUN[:-1], "--publish-build-info", "--build-name=shown", "--build-number=7"])

    def welcome(box, line):
        stage.doors.append(f"{box._rules} {box._data} {box._faults._planned} {line is None}")
        raise KeyboardInterrupt

    monkeypatch.setattr(tools, "_welcome", welcome)
    return stage


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
        without, seen = more.see(before), more.see(after)
        silent += [name] if seen == without and not seen.names(name) else []
    assert silent == []


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
    tried["build-info publish"] = tried["build-info show"] - {"project"}  # they find the server in one way
    assert dict(commands(group)) == tried

"""The record of a run: every step, attempt, decision and reason; and the run that goes on with it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

import buildpush
from buildpush.cli import run_command
from buildpush.foundation.errors import BuildPushError, SettingsError
from buildpush.foundation.secrets import MASK, Secret
from buildpush.foundation.state import State
from buildpush.pipeline import record as records_module
from buildpush.pipeline import run
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.outcomes import Outcome
from buildpush.pipeline.record import Resumed, RunRecord, failed_places
from buildpush.pipeline.results import RunResult
from tests.connectors import connector, connectors

FILE = """\
- step:
    type: BuildAndPushDockerRegistry
    identifier: app
    spec:
      repo: {host}/docker-local/app
      tags: ["<+variable.version>", "<+pipeline.sequenceId>"]
      envVariables: {{PLUGIN_ENGINE: native}}
- step:
    type: BuildAndPushDockerRegistry
    identifier: child
    failureStrategies:
      - onFailure:
          errors: [AllErrors]
          action: {{type: Retry, spec: {{retryCount: 1}}}}
    spec:
      repo: {host}/{key}/child
      tags: ["<+steps.app.output.outputVariables.digest.substring(7, 19)>"]
      envVariables: {{PLUGIN_ENGINE: native}}
- step:
    type: BuildAndPushDockerRegistry
    identifier: last
    spec: {{repo: "{host}/docker-local/last", tags: ["1"], envVariables: {{PLUGIN_ENGINE: native}}}}
"""


@pytest.fixture
def place(tmp_path, monkeypatch, box):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY a /\n", encoding="utf-8")
    (tmp_path / "a").write_text("a", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    known = {"PLUGIN_USERNAME": box.username, "PLUGIN_PASSWORD": box.password.reveal(), "PLUGIN_REGISTRY": box.host}
    for name, value in (known | {"PLUGIN_INSECURE": "true", "XDG_STATE_HOME": str(tmp_path / "state")}).items():
        monkeypatch.setenv(name, value)
    return tmp_path


def write(place, box, key):
    (place / "p.yml").write_text(FILE.format(host=box.host, key=key), encoding="utf-8")


def records():
    return [json.loads(path.read_bytes()) for path in sorted((State.default().directory / "runs").iterdir())]


def pushes(box):
    """Return how often each manifest was sent."""
    sent = [one.path for one in box.requests if one.method == "PUT" and "/manifests/" in one.path]
    return sorted(path.split("/")[-3] for path in sent)


VERSION = ("--var", "version=7")
pytestmark = pytest.mark.programs  # git is asked for the number of the run


@pytest.fixture
def failed(place, box, capsys):
    """Return the record of a run whose second step has failed."""
    write(place, box, "no-such-key")
    assert run_command(["run", "p.yml", *VERSION, "--record", "r.json"]) == 4
    capsys.readouterr()
    return json.loads((place / "r.json").read_bytes())


def test_a_record_has_every_step_attempt_and_reason(failed):
    app, child, last = failed["steps"]
    assert [step["state"] for step in failed["steps"]] == ["SUCCEEDED", "FAILED", "SKIPPED"]
    assert app["result"]["outputs"]["digest"].startswith("sha256:")
    assert [attempt["verdict"] for attempt in child["result"]["attempts"]] == ["again", "failed"]
    assert "Retry (p.yml:14:20), 1 of 1" in child["result"]["attempts"][0]["reason"]
    assert child["result"]["attempts"][1]["ended"] >= child["result"]["attempts"][0]["ended"]
    assert last["reason"] == "a step before it has failed"
    assert (failed["state"], records()) == ("FAILED", [failed])


def test_a_record_holds_no_secret(failed, place, box):
    assert box.password.reveal() not in (place / "r.json").read_text(encoding="utf-8")
    assert (place / "r.json").stat().st_mode & 0o777 == 0o600


def test_a_record_of_thousands_of_steps_is_not_written_again_for_each(place, box):
    write(place, box, "docker-local")
    loaded, written = buildpush.load("p.yml"), []
    record = RunRecord(loaded, RunContext.default(env={}, cwd=place).facts, datetime.now(UTC), written.append)
    record.begin()
    for number in range(3000):
        record.interrupt(loaded.steps[0], RunResult(step=f"a-{number}"), (str(number),))
    record.end("ABORTED", datetime.now(UTC))
    rows = [len(json.loads(text)["steps"]) for text in written[:400:20]]
    assert rows[:5] == [0, 20, 40, 60, 80]  # each, while there are few
    assert len(written) < 500
    last = json.loads(written[-1])
    assert (last["state"], [row["place"] for row in last["steps"]]) == ("ABORTED", [[str(n)] for n in range(3000)])


def test_a_record_shows_no_secret_in_a_variable_or_a_reason(place, box):
    Secret("hunter2-of-a-record")
    write(place, box, "docker-local")
    facts = RunContext.default(env={}, cwd=place).facts
    facts = replace(facts, inputs={"token": "hunter2-of-a-record"})
    loaded, written = buildpush.load("p.yml"), []
    record = RunRecord(loaded, facts, datetime.now(UTC), written.append)
    outcome = Outcome(loaded.steps[0], "failed", reason="it said hunter\x1b[0m2-of-a-record")
    record.add(outcome, RunResult(step="hunter2-of-a-record"), ("a",))
    assert "2-of-a-record" not in written[-1]
    assert MASK in written[-1]


def test_what_is_not_written_yet_is_written_once_when_the_run_is_over(place, box):
    write(place, box, "docker-local")
    loaded, written = buildpush.load("p.yml"), []
    record = RunRecord(loaded, RunContext.default(env={}, cwd=place).facts, datetime.now(UTC), written.append)
    for number in range(200):
        record.interrupt(loaded.steps[0], RunResult(step="a\u2028b\x85c"), (str(number),))
    for _ in range(2):
        record.flush()
    steps = [json.loads(text)["steps"] for text in written[-2:]]
    assert [len(found) for found in steps] == [199, 200]
    assert steps[-1][-1]["result"]["step"] == "a\u2028b\x85c"


def test_a_run_that_is_interrupted_has_every_step_in_its_record(place, box, monkeypatch):
    write(place, box, "docker-local")
    monkeypatch.setattr(records_module, "_SHARE_NOT_WRITTEN", 1)  # as if there were thousands
    run_step, begun = run.run_step, []

    def interrupted(step, **more):
        begun.append(step.identifier)
        if step.identifier == "child":
            raise KeyboardInterrupt
        run_step(step, **more)

    monkeypatch.setattr(run, "run_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        buildpush.run_pipeline("p.yml", variables={"version": "7"})
    assert begun == ["app", "child"]
    assert [step["state"] for step in records()[-1]["steps"]] == ["SUCCEEDED", "ABORTED"]


def test_what_succeeded_when_its_group_was_run_again_has_not_failed():
    place = ("", "g", "a")
    rows = [{"place": place, "where": "p.yml:1:1", "state": state} for state in ("FAILED", "SUCCEEDED")]
    assert failed_places(Resumed(Path("r.json"), {}, {place: rows}), Path(), None, None) == frozenset()
    assert place in failed_places(Resumed(Path("r.json"), {}, {place: rows[:1]}), Path(), None, None)


def test_a_step_that_has_failed_has_a_row_in_the_summary(place, box, capsys):
    write(place, box, "no-such-key")
    assert run_command(["run", "p.yml", *VERSION]) == 4
    child = capsys.readouterr().out.split("\n\n")[1]
    assert child.startswith("step    child\nfailed  ")
    assert "attempt Retry (p.yml:14:20), 1 of 1, after: " in child


def test_a_resumed_run_runs_again_what_did_not_succeed(failed, place, box):
    write(place, box, "docker-local")
    before = pushes(box)
    app, child, last = buildpush.run_pipeline("p.yml", variables={"version": "7"}, resume=True)

    assert [name for name in pushes(box) if name not in before] == ["child", "last"]
    assert pushes(box).count("app") == before.count("app")
    assert app.as_json()["resumed"]
    assert app.digest == failed["steps"][0]["result"]["digest"]
    assert child.references[0].endswith(f":{app.digest[7:19]}")
    assert not last.skipped
    assert [step["state"] for step in records()[-1]["steps"]] == ["SUCCEEDED"] * 3
    assert records()[-1]["facts"]["pipeline.sequenceId"] == failed["facts"]["pipeline.sequenceId"]


def test_a_notebook_shows_what_was_resumed(failed, place, box):
    write(place, box, "docker-local")
    page = buildpush.run_pipeline("p.yml", variables={"version": "7"}, resume=place / "r.json")._repr_html_()
    assert page.count("resumed: ") == 1


def test_a_resumed_run_is_resumed_again(failed, place, box):
    assert run_command(["run", "p.yml", *VERSION, "--resume"]) == 4
    write(place, box, "docker-local")
    before = pushes(box).count("app")
    assert run_command(["run", "p.yml", *VERSION, "--resume"]) == 0
    assert pushes(box).count("app") == before


def test_a_variable_that_changes_what_has_succeeded_is_refused_before_anything_is_done(failed, place, box):
    write(place, box, "docker-local")
    before = pushes(box)
    words = r'tags of the step .app., which has succeeded, was \["7", "1"\] and is \["8", "1"\]'
    with pytest.raises(SettingsError, match=words) as caught:
        buildpush.run_pipeline("p.yml", variables={"version": "8"}, resume=True)
    assert caught.value.where == "p.yml:6:7"
    assert pushes(box) == before


def test_a_run_that_has_succeeded_is_not_resumed(place, box):
    write(place, box, "docker-local")
    buildpush.run_pipeline("p.yml", variables={"version": "7"})
    with pytest.raises(SettingsError, match="has succeeded, so there is nothing to resume"):
        buildpush.run_pipeline("p.yml", variables={"version": "7"}, resume=True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot be read as the record of a run"),
        ("{", "cannot be read as the record of a run"),
        ("[]", "is not the record of a run"),
        ('{"file": null, "state": "FAILED", "facts": {}, "steps": [1]}', "is not the record of a run"),
        ('{"file": null, "state": "FAILED", "facts": {}, "steps": [{"place": ["a"]}]}', "is not the record of a run"),
        ('{"version": 1, "file": null, "state": "FAILED", "facts": {}, "steps": [1]}', "is not the record of a run"),
        ('{"file": "/q.yml", "state": "FAILED", "facts": {}, "steps": []}', "is not the record of a run"),
        (
            '{"version": 1, "file": "/q.yml", "state": "FAILED", "facts": {}, "steps": []}',
            "is the record of a run of /q.yml",
        ),
        ('{"version": 2, "file": "/q.yml", "state": "FAILED"}', "is a record of version 2, and this buildpush reads 1"),
    ],
)
def test_what_is_no_record_of_the_file_is_refused(place, box, text, says):
    write(place, box, "docker-local")
    if text is not None:
        (place / "r.json").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=says):
        buildpush.run_pipeline("p.yml", variables={"version": "7"}, resume="r.json")


def test_without_a_record_there_is_nothing_to_resume(place, box, capsys):
    write(place, box, "docker-local")
    assert run_command(["run", "p.yml", "--resume"]) == 2
    assert "there is no record of a run of p.yml" in capsys.readouterr().err
    assert run_command(["run", "--resume", "p.yml"]) == 2
    assert "name the file: run FILE --resume" in capsys.readouterr().err


def test_a_record_that_cannot_be_written_is_refused_before_anything_is_done(place, box):
    write(place, box, "docker-local")
    with pytest.raises(BuildPushError, match="cannot be written"):
        buildpush.run_pipeline("p.yml", variables={"version": "7"}, record="none/r.json")
    assert pushes(box) == []


UNNAMED = """\
- step:
    type: BuildAndPushDockerRegistry
    failureStrategies: [{{onFailure: {{errors: [AllErrors], action: {{type: Ignore}}}}}}]
    spec: {{repo: "{host}/{key}/first", tags: ["1"], envVariables: {{PLUGIN_ENGINE: native}}}}
- step:
    type: BuildAndPushDockerRegistry
    spec: {{repo: "{host}/docker-local/second", tags: ["1"], envVariables: {{PLUGIN_ENGINE: native}}}}
- step:
    type: BuildAndPushDockerRegistry
    identifier: last
    spec: {{repo: "{host}/{key}/last", tags: ["1"], envVariables: {{PLUGIN_ENGINE: native}}}}
"""


def test_steps_without_an_identifier_are_resumed_each_by_its_own_row(place, box):
    (place / "p.yml").write_text(UNNAMED.format(host=box.host, key="no-such-key"), encoding="utf-8")
    with pytest.raises(BuildPushError):
        buildpush.run_pipeline("p.yml")
    before = pushes(box)
    (place / "p.yml").write_text(UNNAMED.format(host=box.host, key="docker-local"), encoding="utf-8")
    buildpush.run_pipeline("p.yml", resume=True)
    assert [name for name in pushes(box) if name not in before] == ["first", "last"]
    assert pushes(box).count("second") == before.count("second") == 1


def test_a_record_goes_through_a_link_and_in_place_of_no_device(place, box):
    """As root a file in place of ``/dev/null`` would be made, and all programs would write to it."""
    write(place, box, "no-such-key")
    (place / "r.json").symlink_to("there.json")
    with pytest.raises(BuildPushError, match="repository"):
        buildpush.run_pipeline("p.yml", variables={"version": "7"}, record="r.json")
    assert (place / "r.json").is_symlink()
    assert json.loads((place / "there.json").read_bytes())["state"] == "FAILED"
    os.mkfifo(place / "pipe")
    with pytest.raises(BuildPushError, match="pipe cannot be written: it is a device, a pipe or a socket"):
        buildpush.run_pipeline("p.yml", variables={"version": "7"}, record="pipe")


KEPT = """\
- step:
    type: BuildAndPushDockerRegistry
    identifier: make
    spec:
      repo: {host}/docker-local/app
      tags: ["1"]
      envVariables: {{PLUGIN_ENGINE: native, PLUGIN_NO_PUSH: "true"}}
- step:
    type: BuildAndPushDockerRegistry
    identifier: send
    spec:
      repo: {host}/{key}/app
      tags: ["1"]
      envVariables: {{PLUGIN_PUSH_ONLY: "true", PLUGIN_SOURCE_IMAGE: "{host}/docker-local/app:1"}}
"""


def test_an_image_that_was_kept_for_its_run_only_is_built_again(place, box):
    (place / "p.yml").write_text(KEPT.format(host=box.host, key="no-such-key"), encoding="utf-8")
    with pytest.raises(BuildPushError):
        buildpush.run_pipeline("p.yml")
    (place / "p.yml").write_text(KEPT.format(host=box.host, key="docker-local"), encoding="utf-8")
    make, send = buildpush.run_pipeline("p.yml", resume=True)
    assert not make.as_json()["resumed"]
    assert send.digest


# A step group that is run again as a whole

GROUP = """\
- stepGroup:
    identifier: g
    failureStrategies:
      - onFailure: {{errors: [AllErrors], action: {{type: RetryStepGroup, spec: {{retryCount: 1}}}}}}
    steps:
      - step:
          type: BuildAndPushDockerRegistry
          identifier: app
          spec:
            repo: {host}/docker-local/app
            tags: ["1"]
            envVariables: {{PLUGIN_ENGINE: native, PLUGIN_METADATA_FILE: m.json, PLUGIN_ARTIFACT_FILE: a.json}}
      - step:
          type: BuildAndPushDockerRegistry
          identifier: child
          spec:
            repo: {host}/docker-local/child
            tags: ["<+steps.app.output.outputVariables.digest.substring(7, 19)>"]
            envVariables: {{PLUGIN_ENGINE: native, PLUGIN_ARTIFACT_FILE: a.json}}
"""


@pytest.fixture
def group(place, box):
    (place / "p.yml").write_text(GROUP.format(host=box.host), encoding="utf-8")
    return place


def test_a_group_that_is_run_again_has_one_row_a_step_and_a_record_of_each_pass(group, box):
    box.add_fault("PUT", "/child/manifests/", status=403, times=1)
    app, child = buildpush.run_pipeline("p.yml")

    assert pushes(box) == ["app", "app", "child", "child"]
    assert (app.failures, [one.verdict for one in child.failures]) == ((), ["group again"])
    (record,) = records()
    assert [(one["place"][-1], one["state"]) for one in record["steps"]] == [
        ("app", "SUCCEEDED"),
        ("child", "FAILED"),
        ("app", "SUCCEEDED"),
        ("child", "SUCCEEDED"),
    ]
    assert record["state"] == "SUCCEEDED"
    images = json.loads((group / "a.json").read_bytes())["data"]["images"]
    assert [one["image"] for one in images] == [app.references[0], child.references[0]]
    assert app.notes == ()


def test_a_resumed_run_goes_on_after_the_last_pass_and_begins_the_whole_group_again(group, box):
    box.add_fault("PUT", "/child/manifests/", status=403, times=2)
    with pytest.raises(BuildPushError):
        buildpush.run_pipeline("p.yml")
    assert pushes(box) == ["app", "app", "child", "child"]

    box.add_fault("PUT", "/child/manifests/", status=403, times=1)
    app, child = buildpush.run_pipeline("p.yml", resume=True)
    assert pushes(box) == ["app", "app", "app", "child", "child", "child", "child"]
    assert not app.as_json()["resumed"]
    assert child.digest


def test_a_group_in_parallel_iterations_is_run_again_in_its_own_one(group, box):
    text = GROUP.format(host=box.host).replace("identifier: g", "identifier: g\n    strategy: {matrix: {v: [x, y]}}")
    text = text.replace("<+steps.app.output.outputVariables.digest.substring(7, 19)>", "<+matrix.v>")
    text = text.replace('tags: ["1"]', 'tags: ["<+matrix.v>"]').replace(", PLUGIN_METADATA_FILE: m.json", "")
    (group / "p.yml").write_text(text, encoding="utf-8")
    box.add_fault("PUT", "/child/manifests/", status=403, times=1)
    results = buildpush.run_pipeline("p.yml")
    assert sorted(pushes(box)) == ["app"] * 3 + ["child"] * 3
    assert len(results) == 4
    assert sorted(len(one.failures) for one in results) == [0, 0, 0, 1]


# Build, push, and a step that fails, as Harness has them: a connector, and a token for Artifactory

SEED = """\
- step:
    type: BuildAndPushDockerRegistry
    identifier: one
    spec: {{connectorRef: jfrog, repo: docker-local/one, tags: ["1", "2"], envVariables: {{{files}}}}}
- step:
    type: BuildAndPushDockerRegistry
    identifier: two
    spec: {{connectorRef: jfrog, repo: {key}/two, tags: ["1"], envVariables: {{{files}}}}}
- step:
    type: Plugin
    identifier: info
    spec:
      image: plugins/artifactory-publish-docker-buildinfo
      settings:
        url: http://{host}/artifactory/
        docker_image: docker-local/one:1
        build_name: site
        build_number: "7"
        access_token: env:TOKEN
"""
FILES = {
    "artifact_file": "a.json",
    "metadata_file": "m.json",
    "dotenv_file": "b.env",
    "annotations_file": "l.json",
    "image_name_with_digest_file": "i.txt",
    "image_name_tag_with_digest_file": "t.txt",
}


@pytest.fixture
def seed(place, box, monkeypatch):
    """Return what writes the steps, and runs them."""
    for name in ("USERNAME", "PASSWORD", "REGISTRY", "INSECURE"):
        monkeypatch.delenv(f"PLUGIN_{name}")
    monkeypatch.setenv("WORD", box.password.reveal())
    monkeypatch.setenv("TOKEN", box.token.reveal())
    (place / "c.yml").write_text(connectors(connector(box.url, box.username, "env:WORD")), encoding="utf-8")

    def run(key="docker-local", resume=False):
        files = ", ".join(f"PLUGIN_{name.upper()}: {value}" for name, value in ({"engine": "native"} | FILES).items())
        (place / "p.yml").write_text(SEED.format(host=box.host, key=key, files=files), encoding="utf-8")
        return buildpush.run_pipeline("p.yml", connectors="c.yml", resume=resume)

    return run


def test_a_resumed_build_info_step_knows_the_image_of_the_run_before_with_its_layers(seed, box):
    box.add_fault("PUT", "^/artifactory/api/build", status=403, times=20)
    with pytest.raises(BuildPushError, match="403"):
        seed()
    assert box.builds() == []
    box.clear_faults()
    before = pushes(box)
    one, _, info = seed(resume=True)
    assert pushes(box) == before
    (build,) = box.builds()
    (module,) = build["modules"]
    found = {artifact["sha256"] for artifact in module["artifacts"]}
    layers = {str(layer.digest).removeprefix("sha256:") for image in info.images for layer in image.layers}
    assert layers
    assert {*layers, one.digest.removeprefix("sha256:")} < found


@pytest.mark.parametrize("fresh", [False, True])
def test_the_files_of_a_resumed_run_hold_what_the_run_before_has_pushed_as_well(seed, place, fresh):
    """Also where the run is resumed in a directory that has the record alone, as a job on another machine does."""
    with pytest.raises(BuildPushError):
        seed(key="no-such-key")
    failed = {path: (place / path).read_text() for path in FILES.values() if (place / path).exists()}
    if fresh:
        for path in failed:
            (place / path).unlink()
    one, two, _ = seed(resume=True)
    images = json.loads((place / "a.json").read_text())["data"]["images"]
    assert [image["digest"] for image in images] == [one.digest, one.digest, two.digest]
    assert (place / "t.txt").read_text().splitlines() == [
        f"{reference}@{step.digest}" for step in (one, two) for reference in step.references
    ]
    assert len((place / "i.txt").read_text().splitlines()) == 2
    assert f"BUILDPUSH_IMAGES={','.join([*one.references, *two.references])}" in (place / "b.env").read_text()
    assert json.loads((place / "m.json").read_text())["containerimage.digest"] == two.digest


def test_the_files_of_a_step_are_the_same_when_it_is_resumed(seed, place):
    with pytest.raises(BuildPushError):
        seed(key="no-such-key")
    failed = {path: (place / path).read_text() for path in FILES.values()}
    for path in failed:
        (place / path).unlink()
    with pytest.raises(BuildPushError):
        seed(key="no-such-key", resume=True)
    assert {path: (place / path).read_text() for path in FILES.values()} == failed

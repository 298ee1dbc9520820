"""What would fail is said before it fails: engines, room, hosts and credentials; and nothing is changed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from buildpush.cli import run_command
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.diagnosis import diagnose
from buildpush.settings.sources import read

pytestmark = pytest.mark.programs  # it looks for every engine on this machine

STEP = """
type: BuildAndPushDockerRegistry
spec:
  repo: {host}/docker-local/app
  tags: ["1"]
  envVariables:
    PLUGIN_ENGINE: native
    PLUGIN_ARTIFACTORY_URL: {artifactory}
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY a /\n", encoding="utf-8")
    (tmp_path / "a").write_text("a", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def step(place, box, monkeypatch):
    """Give a step file for the sandbox, with the right login."""
    monkeypatch.setenv("PLUGIN_REGISTRY", box.host)
    monkeypatch.setenv("PLUGIN_USERNAME", box.username)
    monkeypatch.setenv("PLUGIN_PASSWORD", box.password.reveal())
    (place / "step.yml").write_text(STEP.format(host=box.host, artifactory=box.artifactory_url), encoding="utf-8")
    return place / "step.yml"


def checked(capsys, *words):
    capsys.readouterr()
    code = run_command(["doctor", *words, "--json"])
    document = json.loads(capsys.readouterr().out)
    return code, {(one["what"].split(" ")[0], one["state"]): one for one in document["checks"]}


def test_each_engine_is_looked_at_and_one_that_is_not_here_has_its_remedy(place, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(place))
    assert run_command(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "ok      engine native: can be used" in lines
    at = next(number for number, line in enumerate(lines) if line.startswith("note    engine buildah: cannot be used"))
    assert lines[at + 1].startswith("        hint: ")


def test_a_state_directory_that_cannot_be_made_is_a_note(place, monkeypatch, capsys):
    (place / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_STATE_HOME", str(place / "file"))
    code, checks = checked(capsys)
    assert code == 0
    assert "XDG_STATE_HOME" in checks["state", "note"]["hint"]


@pytest.mark.parametrize(
    ("words", "says"), [(["--step", "a"], "--step"), (["--no-push"], "--push"), (["--var", "a=b"], "--var")]
)
def test_options_of_steps_are_refused_for_a_log(place, capsys, words, says):
    (place / "build.log").write_text("a line\n", encoding="utf-8")
    assert run_command(["doctor", "build.log", *words]) == 2
    assert f"{says} has no effect on a log" in capsys.readouterr().err


def test_settings_that_a_run_would_refuse_are_what_fails(place, capsys):
    (place / "step.yml").write_text(STEP.format(host="Bad_Host!", artifactory="x"), encoding="utf-8")
    code, checks = checked(capsys, "step.yml")
    assert code == 2
    assert checks["settings", "failed"]["hint"]


def test_a_good_file_is_good_and_nothing_is_pushed_or_published(step, box, capsys):
    code, checks = checked(capsys, "step.yml")
    assert code == 0
    assert f"'{box.username}'" not in checks["registry", "ok"]["text"]
    assert "may push to docker-local/app" in checks["registry", "ok"]["text"]
    assert "accepts the credential" in checks["Artifactory", "ok"]["text"]
    assert box.tags("docker-local/app") == []
    assert not box.builds()


def test_a_wrong_password_is_found_at_each_host_and_ends_with_the_code_of_the_run(step, capsys, monkeypatch):
    monkeypatch.setenv("PLUGIN_PASSWORD", "wrong-pass-word")
    code, checks = checked(capsys, "step.yml")
    assert code == 5
    assert checks["registry", "failed"]["exitCode"] == 5
    assert ("Artifactory", "failed") in checks
    assert "wrong-pass-word" not in json.dumps(list(checks.values()))


def test_a_base_image_that_is_not_there_is_found(step, box, capsys):
    (step.parent / "Dockerfile").write_text(f"FROM {box.host}/docker-local/base:9\nCOPY a /\n", encoding="utf-8")
    code, checks = checked(capsys, "step.yml")
    assert code == 4
    assert "docker-local/base:9" in checks["base", "failed"]["text"]
    assert ("registry", "ok") in checks


@pytest.mark.parametrize(("minutes", "says"), [(30, "ahead of"), (-30, "behind")])
def test_a_clock_that_differs_from_that_of_the_registry_is_a_note(step, minutes, says):
    context = RunContext.default()
    wrong = RunContext(
        env=context.env,
        cwd=context.cwd,
        home=context.home,
        state=context.state,
        now=lambda: datetime.now(UTC) + timedelta(minutes=minutes),
    )
    loaded = read(step, env=context.env, flags={}, keywords={}, cwd=context.cwd, step=None, stage=None)
    (clock,) = [check for check in diagnose(loaded, wrong) if check.what == "clock"]
    assert clock.state == "note"
    assert says in clock.text


def test_one_repository_that_two_steps_push_to_is_asked_once(step, box, capsys):
    one = step.read_text(encoding="utf-8").strip()
    both = "".join(
        f"- step:\n    identifier: s{number}\n    " + one.replace("\n", "\n    ") + "\n" for number in (1, 2)
    )
    step.write_text(both, encoding="utf-8")
    run_command(["doctor", "step.yml"])
    assert capsys.readouterr().out.count("registry") == 1
    assert sum(request.method == "POST" and "uploads" in request.path for request in box.requests) == 1


def test_steps_that_only_the_run_can_decide_are_counted(place, step, capsys):
    text = step.read_text(encoding="utf-8").replace("\n", "\n    ")
    later = text.replace('["1"]', '["<+steps.a.output.outputVariables.digest>"]')
    bodies = {"a": text, "b": later}
    steps = "".join(f"- step:\n    identifier: {name}\n    name: {name}{body}\n" for name, body in bodies.items())
    (place / "two.yml").write_text(steps, encoding="utf-8")
    _, checks = checked(capsys, "two.yml")
    assert checks["settings", "ok"]["text"] == "1 step would be run, and for 1 more only the run can decide"

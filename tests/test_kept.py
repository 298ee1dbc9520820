"""Build once, push many: an image that a step builds without a push is there for later steps of the same run."""

from __future__ import annotations

import os
import subprocess

import pytest

import buildpush
from buildpush.foundation.errors import BuildPushError

sandbox = pytest.mark.sandbox

FILE = """\
execution:
  steps:
    - step:
        type: BuildAndPushDockerRegistry
        identifier: build
        name: Build
        spec:
          repo: HOST/docker-local/app
          tags: [one]
          envVariables: {PLUGIN_NO_PUSH: "true", PLUGIN_ENGINE: native}
    - step:
        type: BuildAndPushDockerRegistry
        identifier: same
        name: Same name
        spec:
          repo: HOST/docker-local/app
          tags: [one]
          envVariables: {PLUGIN_PUSH_ONLY: "true"}
    - step:
        type: BuildAndPushDockerRegistry
        identifier: other
        name: Other name
        spec:
          repo: HOST/docker-local/other
          tags: [two, three]
          envVariables: {PLUGIN_PUSH_ONLY: "true", PLUGIN_SOURCE_IMAGE: FROM_NAME}
"""


@pytest.fixture
def place(tmp_path, monkeypatch, box):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY a /a\n")
    (tmp_path / "a").write_text("hello")
    monkeypatch.setenv("PLUGIN_REGISTRY", box.host)
    monkeypatch.setenv("PLUGIN_USERNAME", box.username)
    monkeypatch.setenv("PLUGIN_PASSWORD", box.password.reveal())

    def write(source=f"{box.host}/docker-local/app:one", text=FILE):
        (tmp_path / "p.yml").write_text(text.replace("HOST", box.host).replace("FROM_NAME", source))
        return tmp_path / "p.yml"

    return write


@sandbox
def test_what_was_built_is_pushed_by_later_steps_under_their_names(place, box):
    built, same, other = buildpush.run_pipeline(place())
    assert built.pushed is None
    assert same.digest == other.digest
    assert box.digest("docker-local/app", "one") == str(same.digest)
    assert box.digest("docker-local/other", "three") == str(same.digest)


@pytest.mark.engines
def test_what_the_daemon_has_built_is_pushed_by_later_steps_too(need, place, box):
    need("docker")
    file = place(text=FILE.replace("PLUGIN_ENGINE: native", "PLUGIN_ENGINE: docker"))
    try:
        built, same, other = buildpush.run_pipeline(file, env={**os.environ})
        assert built.output == f"docker-daemon:{box.host}/docker-local/app:one"
        assert box.digest("docker-local/other", "three") == str(same.digest) == str(other.digest)
    finally:
        name = f"{box.host}/docker-local/app:one"
        subprocess.run(["docker", "rmi", "--force", name], check=False, capture_output=True)


@sandbox
def test_the_plan_names_the_step_that_builds_it(place):
    _, same, _ = map(str, buildpush.check_pipeline(place()))
    assert "docker-local/app:one, which the step 'Build' builds" in same


@sandbox
def test_its_name_is_said_to_have_no_effect_only_where_nobody_asks_for_it(place):
    plans = buildpush.check_pipeline(place())
    assert not [note for note in plans[0].notes if "tags" in note]
    (alone,) = buildpush.check_pipeline(place(text=FILE[: FILE.index("    - step", 40)]))
    assert [note for note in alone.notes if "tags" in note]


@sandbox
def test_another_name_is_still_looked_for_in_the_daemon(place, monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    with pytest.raises(BuildPushError, match=r"nothing\.sock"):
        buildpush.run_pipeline(place("never/built:1"))


@sandbox
def test_a_source_is_named_as_the_step_that_builds_it_writes_its_repo(place, box):
    """A daemon would have the image by that very name, without the host of the connector."""
    path = place("docker-local/app:one", FILE.replace("HOST/docker-local/app", "docker-local/app"))
    plan = str(buildpush.check_pipeline(path)[2])
    assert f"{box.host}/docker-local/app:one, which the step 'Build' builds" in plan

    _, same, other = buildpush.run_pipeline(path)
    assert box.digest("docker-local/other", "three") == str(other.digest) == str(same.digest)


NOWHERE = "the image is stored nowhere: nothing is pushed"


@pytest.fixture
def dry(place, tmp_path, monkeypatch, box):
    """Return a function that runs one step without a push, and gives its plan and its result."""
    monkeypatch.setenv("PLUGIN_REPO", f"{box.host}/docker-local/app")
    monkeypatch.setenv("PLUGIN_TAGS", "one,two")
    monkeypatch.setenv("PLUGIN_NO_PUSH", "true")

    def run(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(f"PLUGIN_{name}", value)
        env = {**os.environ}  # of which the guard has the place of the daemon
        return buildpush.check(env=env), buildpush.run(env=env)

    yield run
    names = [f"{box.host}/docker-local/app:{tag}" for tag in ("one", "two")]
    if os.environ.get("PLUGIN_ENGINE") in {"docker", "buildx"}:
        subprocess.run(["docker", "rmi", "--force", *names], check=False, capture_output=True)


def in_daemon(box):
    names = [f"{box.host}/docker-local/app:{tag}" for tag in ("one", "two")]
    words = ["docker", "image", "inspect", "--format", "{{.Id}}", *names]
    return subprocess.run(words, check=False, capture_output=True, text=True).stdout.split()


@sandbox
@pytest.mark.parametrize("output", ["", ", PLUGIN_TAR_PATH: made.tar"])
def test_an_image_for_a_later_step_is_said_to_be_gone_at_the_end_only_where_it_is(place, output):
    text = FILE.replace("PLUGIN_ENGINE: native", f"PLUGIN_ENGINE: native{output}")
    first, second, _ = buildpush.run_pipeline(place(text=text), env={**os.environ})
    assert second.digest
    (reason,) = [one.reason for one in first.decisions if (one.what, one.choice) == ("image", "kept")]
    assert ("it is gone when the run ends" in reason) is not bool(output)


@pytest.mark.engines
@pytest.mark.parametrize("engine", ["docker", "buildx"])
def test_the_daemon_that_builds_an_image_has_it_under_all_its_names_without_a_push(need, dry, box, engine):
    need(engine)
    plan, result = dry(ENGINE=engine)
    assert "load        into the Docker daemon" in str(plan)
    assert plan.as_json()["load"] is True
    assert not [note for note in (*plan.notes, *result.notes) if "tags" in note or "nowhere" in note]
    assert result.output == f"docker-daemon:{box.host}/docker-local/app:one"
    assert len(in_daemon(box)) == 2
    assert box.tags("docker-local/app") == []


@pytest.mark.engines
@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"LOAD": "false"}, "load is off; to keep it, set tar_path, oci_layout_path or load"),
        (
            {"PLATFORMS": "linux/amd64,linux/arm64"},
            "the Docker daemon gets images of one platform only; to keep it, set oci_layout_path",
        ),
    ],
)
def test_an_image_that_the_daemon_does_not_get_is_built_and_a_note_says_why(need, dry, box, settings, reason):
    need("docker")
    plan, result = dry(ENGINE="docker", **settings)
    assert [note for note in plan.notes if NOWHERE in note and reason in note and "no effect: " in note]
    assert plan.notes == result.notes
    assert (result.output, in_daemon(box)) == ("", [])


@pytest.mark.engines
def test_an_image_that_goes_to_a_file_is_not_left_in_the_daemon(need, dry, box):
    need("docker")
    plan, result = dry(ENGINE="docker", TAR_PATH="made.tar")
    assert "into the Docker daemon" not in str(plan)
    assert str(result.output).startswith("docker-archive:")
    assert in_daemon(box) == []


@sandbox
@pytest.mark.parametrize("engine", ["native", "auto"])
def test_an_engine_without_a_daemon_says_that_the_image_is_kept_nowhere_and_how_to_keep_it(dry, engine):
    plan, result = dry(ENGINE=engine)
    (note,) = [note for note in plan.notes if NOWHERE in note]
    assert "to keep it, set tar_path, oci_layout_path or load" in note
    assert note.endswith("no effect: tags")
    assert note in result.notes


@sandbox
@pytest.mark.parametrize("setting", ["TAR_PATH", "OCI_LAYOUT_PATH"])
def test_an_image_that_goes_to_a_file_is_not_said_to_be_kept_nowhere(dry, setting):
    plan, result = dry(ENGINE="native", **{setting: "made"})
    assert not [note for note in (*plan.notes, *result.notes) if NOWHERE in note]


@sandbox
def test_an_image_that_a_later_step_pushes_is_not_said_to_be_kept_nowhere(place):
    plan, *_ = buildpush.check_pipeline(place())
    assert not [note for note in plan.notes if NOWHERE in note]


@pytest.mark.parametrize(
    ("spec", "connectors", "name", "idle"),
    [
        ("repo: team/app", None, "host.test/team/app:one", ["password", "username"]),
        ("repo: other.test/team/app", None, "other.test/team/app:one", ["password", "registry", "username"]),
        (
            "repo: team/app, connectorRef: jfrog",
            "c.yml",
            "jfrog.test/team/app:one",
            ["password", "registry", "username"],
        ),
        ("repo: team/app, connectorRef: jfrog", None, None, ["connector_ref"]),
    ],
)
def test_what_gives_an_image_its_name_has_an_effect_also_where_nothing_is_pushed(
    tmp_path, spec, connectors, name, idle
):
    """The image is kept under that name: in a file, in the Docker daemon, or for a later step."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    spec = f"{{{spec}, tags: [one], envVariables: {{PLUGIN_NO_PUSH: 'true', PLUGIN_TAR_PATH: a.tar}}}}"
    (tmp_path / "p.yml").write_text(f"step: {{type: BuildAndPushDockerRegistry, identifier: a, spec: {spec}}}")
    (tmp_path / "c.yml").write_text(
        "connectors:\n  - connector:\n      identifier: jfrog\n      type: DockerRegistry\n      spec:\n"
        "        dockerRegistryUrl: https://jfrog.test\n        auth: {type: Anonymous}\n"
    )
    login = {"PLUGIN_REGISTRY": "host.test", "PLUGIN_USERNAME": "someone", "PLUGIN_PASSWORD": "p4ssw0rd-value"}
    (plan,) = buildpush.check_pipeline("p.yml", cwd=tmp_path, connectors=connectors, env=login if name else {})
    assert [str(one) for one in plan.order.references] == [name or "docker.io/team/app:one"]
    assert f"nothing is pushed, so these have no effect: {', '.join(idle)}" in plan.notes

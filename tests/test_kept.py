"""Build once, push many: an image that a step builds without a push is there for later steps of the same run."""

from __future__ import annotations

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

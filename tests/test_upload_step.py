"""The steps that upload files: from the file to Artifactory, in the same build as the images of the run."""

from __future__ import annotations

import json

import pytest

import buildpush
from buildpush.artifactory.answers import NO_FILE_FACTS
from buildpush.artifactory.transfers import TransferredFile
from buildpush.artifactory.uploads import generic_module
from buildpush.foundation.errors import BuildPushError, SettingsError
from tests.connectors import connector, connectors
from tests.test_sources import git, repository

pytestmark = pytest.mark.sandbox

UPLOAD = """\
- step:
    type: ArtifactoryUpload
    identifier: wheels
    spec:
      connectorRef: jfrog
      sourcePath: "dist/(*).whl"
      target: "{target}"
      envVariables: {variables}
"""
IMAGE = """\
- step:
    type: BuildAndPushDockerRegistry
    identifier: {name}
    spec:
      connectorRef: jfrog
      repo: docker-local/{name}
      tags: ["1"]
      envVariables:
        PLUGIN_ENGINE: native
        PLUGIN_PUBLISH_BUILD_INFO: "yes"
        PLUGIN_BUILD_NAME: planks
        PLUGIN_BUILD_NUMBER: "7"
"""


@pytest.fixture
def place(box, tmp_path):
    """Return a function that runs the steps of a text in a directory with two wheels and a Dockerfile."""
    (tmp_path / "dist").mkdir()
    for name in ("a", "b"):
        (tmp_path / f"dist/{name}.whl").write_bytes(name.encode() * 20_000)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY dist /dist\n")
    (tmp_path / "connectors.yml").write_text(connectors(connector(box.url, box.username)))
    env = {"TOKEN": box.password.reveal()}

    def run(text, **more):
        (tmp_path / "step.yml").write_text(text)
        more = {"connectors": "connectors.yml", "env": env, "cwd": tmp_path, **more}
        return buildpush.run_pipeline("step.yml", **more)

    return run


def test_the_artifacts_of_an_upload_are_in_the_order_of_their_paths():
    """They were in that in which they had been confirmed, so that the document differed from run to run."""
    files = [
        TransferredFile(f"{name}.whl", "generic-local", f"app/{name}.whl", 1, NO_FILE_FACTS, "sent") for name in "bca"
    ]
    assert [one.path for one in generic_module("m", files).artifacts] == ["app/a.whl", "app/b.whl", "app/c.whl"]


@pytest.mark.programs
def test_an_upload_is_a_module_of_its_build(box, place):
    variables = "{PLUGIN_BUILD_NAME: planks, PLUGIN_BUILD_NUMBER: '7', PLUGIN_TARGET_PROPS: 'stage=test;team=web,api'}"
    (result,) = place(UPLOAD.format(target="generic-local/app/{1}-1.0.whl", variables=variables))
    assert [file.place for file in result.files] == [
        "generic-local/app/a-1.0.whl",
        "generic-local/app/b-1.0.whl",
    ]
    (build,) = box.builds("planks")
    (module,) = build["modules"]
    assert (module["type"], module["id"]) == ("generic", "planks")
    assert [one["path"] for one in module["artifacts"]] == ["app/a-1.0.whl", "app/b-1.0.whl"]
    assert all(one["sha1"] and one["md5"] and one["sha256"] for one in module["artifacts"])
    assert (
        box.properties("generic-local", "app/a-1.0.whl").items()
        >= {"stage": ["test"], "team": ["web", "api"], "build.name": ["planks"]}.items()
    )


@pytest.mark.programs
def test_two_images_and_an_upload_are_one_build(box, place):
    variables = "{PLUGIN_BUILD_NAME: planks, PLUGIN_BUILD_NUMBER: '7'}"
    text = IMAGE.format(name="app") + UPLOAD.format(target="generic-local/app/{1}.whl", variables=variables)
    place(text + IMAGE.format(name="web"))
    (build,) = box.builds("planks")
    assert sorted((one["type"], one["id"]) for one in build["modules"]) == [
        ("docker", "app:1"),
        ("docker", "web:1"),
        ("generic", "planks"),
    ]


@pytest.mark.programs
def test_a_number_that_was_published_is_refused_before_anything_is_uploaded(box, place):
    variables = "{{PLUGIN_BUILD_NAME: planks, PLUGIN_BUILD_NUMBER: '7', PLUGIN_BUILD_EXISTS: {}}}"
    add, refuse, replace = (
        UPLOAD.format(target="generic-local/", variables=variables.format(one)).replace("(*)", "*")
        for one in ("add", "refuse", "replace")
    )
    place(add)
    with pytest.raises(SettingsError, match="published before"):
        place(refuse)
    place(replace)
    assert len(box.builds("planks")) == 1


@pytest.mark.programs
def test_the_files_of_an_upload_are_collected_for_a_later_job(box, place, tmp_path):
    variables = "{PLUGIN_BUILD_NAME: planks, PLUGIN_BUILD_NUMBER: '7', PLUGIN_BUILD_DIR: build-info}"
    place(UPLOAD.format(target="generic-local/", variables=variables).replace("(*)", "*"))
    assert box.builds("planks") == []
    assert list((tmp_path / "build-info").iterdir())


@pytest.mark.programs
def test_without_a_build_name_nothing_is_published(box, place):
    (result,) = place(UPLOAD.format(target="generic-local/", variables="{}").replace("(*)", "*"))
    assert [file.place for file in result.files] == ["generic-local/a.whl", "generic-local/b.whl"]  # flat by default
    assert result.published is None
    assert box.builds() == []


def test_a_build_that_is_not_published_has_no_number_without_a_note(box, place):
    text = UPLOAD.format(target="generic-local/", variables="{PLUGIN_BUILD_NUMBER: 4}").replace("(*)", "*")
    (result,) = place(text)
    assert any("build_number has no effect without build_name" in note for note in result.notes)
    env = {"TOKEN": box.password.reveal(), "JFROG_CLI_BUILD_NUMBER": "4"}  # for other programs of the job
    (result,) = place(text.replace("{PLUGIN_BUILD_NUMBER: 4}", "{}"), env=env)
    assert not any("build_number" in note for note in result.notes)


def test_an_upload_of_nothing_fails_before_any_request(box, place):
    text = UPLOAD.format(target="generic-local/", variables="{}").replace("dist/(*).whl", "none/*.whl")
    with pytest.raises(SettingsError, match="no file matches"):
        place(text)
    assert [one for one in box.requests if one.method == "PUT"] == []


def test_a_later_step_knows_nothing_of_an_upload_but_its_state(box, place):
    later = (
        UPLOAD.format(target="generic-local/<+steps.wheels.status>/", variables="{}")
        .replace(": wheels", ": more")
        .replace("(*)", "*")
    )
    results = place(UPLOAD.format(target="generic-local/", variables="{}").replace("(*)", "*") + later)
    assert results[1].files[0].place == "generic-local/SUCCEEDED/a.whl"


def test_the_plugin_uploads_with_its_own_settings(box, place, tmp_path):
    settings = {
        "url": box.url,
        "access_token": "env:TOKEN",
        "source": "dist/*.whl",
        "target": "generic-local/",
        "target_props": "a=1,b=null",
    }
    step = {"type": "Plugin", "identifier": "up", "spec": {"image": "plugins/artifactory", "settings": settings}}
    (result,) = place(json.dumps({"step": step}), env={"TOKEN": box.token.reveal()})
    assert [file.place for file in result.files] == ["generic-local/dist/a.whl", "generic-local/dist/b.whl"]
    assert any("is the address of the platform" in note for note in result.notes)
    assert box.properties("generic-local", "dist/a.whl") == {"a": ["1"]}


def test_a_file_of_jf_is_refused_with_what_to_write(box, place):
    settings = {"url": box.url, "access_token": "env:TOKEN", "source": "x", "target": "y/", "spec": "uploads.json"}
    step = {"type": "Plugin", "identifier": "up", "spec": {"image": "plugins/artifactory", "settings": settings}}
    with pytest.raises(BuildPushError) as caught:
        place(json.dumps({"step": step}))
    assert "one step for each upload" in f"{caught.value} {caught.value.hint}"


@pytest.mark.programs
def test_an_upload_lists_the_issues_since_the_last_run(box, place, tmp_path):
    repository(tmp_path / "sources", "SHOP-1 Open")
    (tmp_path / "sources" / ".git").rename(tmp_path / ".git")
    search = "PLUGIN_ISSUES_TRACKER: JIRA, PLUGIN_ISSUES_REGEXP: '([A-Z]+-[0-9]+) (.+)'"

    def upload(number):
        build = f"PLUGIN_BUILD_NAME: planks, PLUGIN_BUILD_NUMBER: '{number}'"
        place(UPLOAD.format(target="generic-local/app/{1}.whl", variables=f"{{{build}, {search}}}"))
        newest = max(box.builds("planks"), key=lambda one: one["started"])
        return [one["key"] for one in newest["issues"].get("affectedIssues", [])]

    assert upload(1) == ["SHOP-1"]
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "SHOP-2 Sell pears")
    assert upload(2) == ["SHOP-2"]


def test_issues_without_a_build_have_a_note(place):
    search = "{PLUGIN_ISSUES_TRACKER: JIRA, PLUGIN_ISSUES_REGEXP: '([A-Z]+-[0-9]+) (.+)'}"
    (result,) = place(UPLOAD.format(target="generic-local/app/{1}.whl", variables=search))
    for name in ("issues_tracker", "issues_regexp"):
        assert any(f"{name} has no effect without build_name" in note for note in result.notes)

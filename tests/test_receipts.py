"""Files that tell later steps what was pushed: what they hold, and that none is left of an earlier run."""

from __future__ import annotations

import json

import pytest

import buildpush
from buildpush.foundation.errors import BuildPushError, SettingsError
from buildpush.pipeline.receipts import Delivery

pytestmark = pytest.mark.sandbox


@pytest.fixture
def push(box, tmp_path):
    """Return what builds a small image and pushes it, given further variables; it returns receipt and repository."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    repo = f"{box.host}/docker-local/app"

    def push(**variables):
        env = {"PLUGIN_USERNAME": box.username, "PLUGIN_PASSWORD": box.password.reveal(), "PLUGIN_REPO": repo}
        env |= {"PLUGIN_ENGINE": "native", "PLUGIN_TAGS": "1,2", "PLUGIN_REGISTRY": box.host} | variables
        result = buildpush.run(env=env, cwd=tmp_path)
        return result, repo

    return push


def test_the_artifact_file_has_each_tag_with_the_digest(push, tmp_path, box):
    result, repo = push(PLUGIN_ARTIFACT_FILE="artifact.json")
    assert json.loads((tmp_path / "artifact.json").read_text()) == {
        "kind": "docker/v1",
        "data": {
            "registryType": "Docker",
            "registryUrl": f"https://{box.host}",
            "images": [{"image": f"{repo}:{tag}", "digest": result.digest} for tag in ("1", "2")],
        },
    }


def test_the_artifact_file_names_the_registry_as_variables_say(push, tmp_path):
    push(PLUGIN_ARTIFACT_FILE="artifact.json", PLUGIN_REGISTRY_TYPE="GAR", ARTIFACT_REGISTRY="https://eu.test")
    data = json.loads((tmp_path / "artifact.json").read_text())["data"]
    assert (data["registryType"], data["registryUrl"]) == ("GAR", "https://eu.test")


def test_a_kind_of_registry_without_a_file_that_names_it_has_no_effect(push):
    result, _ = push(PLUGIN_REGISTRY_TYPE="GAR", ARTIFACT_REGISTRY="https://eu.test")
    for name in ("registry_type", "artifact_registry"):
        assert any(f"{name} has no effect: artifact_file is not set" in note for note in result.notes)


def test_the_metadata_file_has_what_buildx_writes(push, tmp_path):
    result, repo = push(PLUGIN_METADATA_FILE="metadata.json")
    found = json.loads((tmp_path / "metadata.json").read_text())
    assert found["containerimage.digest"] == found["containerimage.descriptor"]["digest"] == result.digest
    assert found["containerimage.config.digest"] == str(result.images[0].config.digest)
    assert found["containerimage.descriptor"]["size"] == len(result.pushed.manifest)
    assert found["image.name"] == f"{repo}:1,{repo}:2"


def test_the_files_of_kaniko_have_the_names_with_the_digest(push, tmp_path):
    result, repo = push(
        PLUGIN_IMAGE_NAME_WITH_DIGEST_FILE="image.txt", PLUGIN_IMAGE_NAME_TAG_WITH_DIGEST_FILE="images.txt"
    )
    assert (tmp_path / "image.txt").read_text() == f"{repo}@{result.digest}\n"
    assert (tmp_path / "images.txt").read_text() == f"{repo}:1@{result.digest}\n{repo}:2@{result.digest}\n"


def test_the_directories_of_a_file_are_made_as_the_plugins_make_them(push, tmp_path):
    """Harness names a file in a directory that may not be there yet."""
    push(PLUGIN_ARTIFACT_FILE="tmp/.plugin/artifact")
    assert json.loads((tmp_path / "tmp/.plugin/artifact").read_text())["kind"] == "docker/v1"


def test_a_run_that_fails_leaves_no_file_of_an_earlier_one(push, tmp_path):
    (tmp_path / "artifact.json").write_text("of an earlier run")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY nothing /\n")
    with pytest.raises(BuildPushError, match="nothing"):
        push(PLUGIN_ARTIFACT_FILE="artifact.json")
    assert not (tmp_path / "artifact.json").exists()


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"PLUGIN_ARTIFACT_FILE": "."}, "'.' is a directory"),
        ({"PLUGIN_ARTIFACT_FILE": "Dockerfile/a/b.json"}, "is below .*Dockerfile, which is not a directory"),
        ({"PLUGIN_METADATA_FILE": "Dockerfile"}, "is the Dockerfile"),
        ({"PLUGIN_ARTIFACT_FILE": "a", "PLUGIN_METADATA_FILE": "./a"}, "is written by another setting too"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_built(push, box, variables, words):
    with pytest.raises(SettingsError, match=words):
        push(**variables)
    assert not box.requests


def test_a_file_is_not_written_where_nothing_is_pushed(push, tmp_path):
    result, _ = push(PLUGIN_ARTIFACT_FILE="artifact.json", PLUGIN_NO_PUSH="true")
    assert not (tmp_path / "artifact.json").exists()
    assert any("artifact_file" in note for note in result.notes)


def test_the_dotenv_file_has_lines_that_gitlab_reads(push, tmp_path):
    result, repo = push(PLUGIN_DOTENV_FILE="buildpush.env")
    assert (tmp_path / "buildpush.env").read_text().splitlines() == [
        f"BUILDPUSH_DIGEST={result.digest}",
        f"BUILDPUSH_IMAGE={repo}:1",
        f"BUILDPUSH_IMAGES={repo}:1,{repo}:2",
    ]


@pytest.mark.programs
def test_the_annotations_file_has_a_link_to_the_build_info_for_gitlab(push, box, tmp_path):
    variables = {"PLUGIN_ARTIFACTORY_URL": f"{box.url}/artifactory/", "PLUGIN_BUILD_NAME": "a"}
    result, repo = push(**variables, PLUGIN_BUILD_NUMBER="7", PLUGIN_ANNOTATIONS_FILE="links.json")
    (link,) = json.loads((tmp_path / "links.json").read_text())["buildpush"]
    label = f"build-info of {repo}:1, {repo}:2"
    assert link == {"external_link": {"label": label, "url": result.outputs["build_info_url"]}}


def test_without_a_build_info_there_is_no_link_for_gitlab(push, tmp_path):
    push(PLUGIN_ANNOTATIONS_FILE="links.json")
    assert json.loads((tmp_path / "links.json").read_text()) == {"buildpush": []}


FILES = ("artifact_file", "dotenv_file", "image_name_with_digest_file", "image_name_tag_with_digest_file")


@pytest.fixture
def matrix(box, tmp_path):
    """Return what runs a step twice by a matrix, with further variables; it returns the result and the repository."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\nARG WHICH\nCOPY Dockerfile /$WHICH\n")
    repo = f"{box.host}/docker-local/app"

    def run(**variables):
        spec = {"repo": repo, "tags": ["<+matrix.tag>"], "envVariables": {"PLUGIN_ENGINE": "native"} | variables}
        spec["buildArgs"] = {"WHICH": "<+matrix.tag>"}
        strategy = {"matrix": {"tag": ["a", "b"], "maxConcurrency": 1}}  # one after the other, in this order
        step = {"type": "BuildAndPushDockerRegistry", "identifier": "push", "strategy": strategy, "spec": spec}
        (tmp_path / "step.yml").write_text(json.dumps({"step": step}))
        env = {"PLUGIN_USERNAME": box.username, "PLUGIN_PASSWORD": box.password.reveal(), "PLUGIN_REGISTRY": box.host}
        return buildpush.run_pipeline("step.yml", env=env, cwd=tmp_path), repo

    return run


def test_steps_of_one_run_that_name_one_file_add_to_it(matrix, tmp_path):
    for name in FILES:
        (tmp_path / name).write_text("of an earlier run")
    result, repo = matrix(**{f"PLUGIN_{name.upper()}": name for name in FILES})
    first, second = (step.digest for step in result)
    images = json.loads((tmp_path / "artifact_file").read_text())["data"]["images"]
    assert images == [{"image": f"{repo}:a", "digest": first}, {"image": f"{repo}:b", "digest": second}]
    assert (tmp_path / "image_name_with_digest_file").read_text() == f"{repo}@{first}\n{repo}@{second}\n"
    assert (tmp_path / "image_name_tag_with_digest_file").read_text() == f"{repo}:a@{first}\n{repo}:b@{second}\n"
    assert f"BUILDPUSH_IMAGES={repo}:a,{repo}:b\n" in (tmp_path / "dotenv_file").read_text()
    assert f"BUILDPUSH_DIGEST={second}\n" in (tmp_path / "dotenv_file").read_text()


def test_a_metadata_file_holds_the_last_push_and_a_note_says_so(matrix, tmp_path):
    result, _ = matrix(PLUGIN_METADATA_FILE="metadata.json")
    assert json.loads((tmp_path / "metadata.json").read_text())["containerimage.digest"] == result[1].digest
    assert not [note for note in result[0].notes if "metadata.json" in note]
    assert [note for note in result[1].notes if "metadata.json holds one push" in note]


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        ({"size": 5}, "is not a digest"),
        ({"digest": "sha256:x\nEVIL=1"}, "is not a digest"),
        ({"digest": f"sha256:{'0' * 64}"}, "two digests for one image"),
    ],
)
def test_a_record_that_somebody_has_edited_says_nothing_of_what_was_pushed(manifest, says):
    result = {"references": ["a.test/b:1"], "digest": f"sha256:{'1' * 64}", "manifest": manifest}
    with pytest.raises(BuildPushError, match=says):
        Delivery.of_record(result)

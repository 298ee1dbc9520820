"""Steps that push what is there already, and steps that write a tar: the variables of the Harness plugins."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

import buildpush
from buildpush.foundation.errors import BuildPushError, EngineMissingError, PushError, SettingsError, StrictError
from buildpush.foundation.events import Note, Started
from buildpush.transfer.docker_archive import open_docker_archive

sandbox = pytest.mark.sandbox


@pytest.fixture
def place(tmp_path, monkeypatch, box) -> Path:
    """Stand in a directory with a Dockerfile, with the sandbox's login in the variables of a step."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY a /a\nLABEL x=y\n")
    (tmp_path / "a").write_text("hello")
    monkeypatch.setenv("PLUGIN_REPO", f"{box.host}/docker-local/app")
    monkeypatch.setenv("PLUGIN_USERNAME", box.username)
    monkeypatch.setenv("PLUGIN_PASSWORD", box.password.reveal())
    monkeypatch.setenv("PLUGIN_ENGINE", "native")
    monkeypatch.setenv("PLUGIN_TAGS", "1")
    return tmp_path


def archive(place: Path, form: str = "docker-archive", **more) -> str:
    buildpush.build(output=f"{form}:image.tar", **more)
    return "image.tar"


@sandbox
@pytest.mark.parametrize("variable", ["PLUGIN_TAR_PATH", "PLUGIN_DESTINATION_TAR_PATH"])
def test_a_built_image_is_pushed_and_written_to_a_tar(place, box, monkeypatch, variable):
    monkeypatch.setenv(variable, "made.tar")
    result = buildpush.run()
    assert box.digest("docker-local/app", "1") == str(result.digest)
    assert result.output == f"docker-archive:{place / 'made.tar'}"
    image = open_docker_archive(place / "made.tar")
    assert [layer.diff_id for layer in image.layers] == [layer.diff_id for layer in result.pushed.layers]
    assert json.loads(image.config)["config"]["Labels"] == {"x": "y"}


@sandbox
@pytest.mark.parametrize("variable", ["PLUGIN_DRY_RUN", "PLUGIN_NO_PUSH"])
def test_without_a_push_the_tar_is_all_there_is(place, box, monkeypatch, variable):
    monkeypatch.setenv("PLUGIN_TAR_PATH", "made.tar")
    monkeypatch.setenv(variable, "true")
    result = buildpush.run()
    assert (result.pushed, box.tags("docker-local/app")) == (None, [])
    assert open_docker_archive(place / "made.tar").layers


@sandbox
def test_a_build_alone_writes_the_tar_too_and_has_no_other_place(place, box):
    result = buildpush.build(tar_path="made.tar")
    assert (result.output, (place / "made.tar").exists()) == (f"docker-archive:{place / 'made.tar'}", True)
    with pytest.raises(SettingsError, match="are both destinations"):
        buildpush.build(tar_path="made.tar", output="oci:out")


@sandbox
@pytest.mark.parametrize("name", ["PLUGIN_DRY_RUN", "PLUGIN_NO_PUSH"])
@pytest.mark.parametrize("value", ["true", "false"])
def test_a_build_pushes_nothing_whatever_a_variable_of_the_opposite_meaning_is(place, box, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    result = buildpush.build()
    assert (result.pushed, box.tags("docker-local/app")) == (None, [])


@sandbox
@pytest.mark.parametrize(
    ("variables", "written"),
    [
        ({"PLUGIN_TAR_PATH": "made.tar", "PLUGIN_BUILDX_OUTPUT_FORMAT": "oci"}, "oci-archive:made.tar"),
        ({"PLUGIN_TAR_PATH": "made.tar", "PLUGIN_BUILDX_OUTPUT_FORMAT": "docker"}, "docker-archive:made.tar"),
        ({"PLUGIN_OCI_LAYOUT_PATH": "layout"}, "oci:layout"),
    ],
)
def test_a_step_writes_an_archive_of_either_form_or_a_layout(place, box, monkeypatch, variables, written):
    for name, value in {**variables, "PLUGIN_NO_PUSH": "true"}.items():
        monkeypatch.setenv(name, value)
    kind, _, path = written.partition(":")
    assert buildpush.check().as_json()["write"] == f"{kind}:{place / path}"
    result = buildpush.run()
    assert (result.pushed, result.output) == (None, f"{kind}:{place / path}")
    buildpush.copy(written, "oci:copy:1")
    assert (place / "copy/index.json").is_file()


@sandbox
def test_a_tar_in_the_context_is_no_part_of_it(place, box, monkeypatch):
    (place / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    monkeypatch.setenv("PLUGIN_TAR_PATH", "made.tar")
    events = []
    first, second = (buildpush.run(sink=events.append) for _ in range(2))
    assert first.pushed.layers[0].diff_id == second.pushed.layers[0].diff_id
    assert any("name it in .dockerignore" in str(event) for event in events if isinstance(event, Note))
    (place / ".dockerignore").write_text("*.tar\n")
    events.clear()
    buildpush.run(sink=events.append)
    assert not any(".dockerignore" in str(event) for event in events if isinstance(event, Note))


@sandbox
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_an_output_in_the_context_is_no_part_of_it(place, box, form):
    (place / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    events = []
    sizes = []
    for _ in range(2):
        buildpush.build(output=f"{form}:made.tar", sink=events.append)
        sizes.append((place / "made.tar").stat().st_size)
    assert sizes[0] == sizes[1]
    assert any("name it in .dockerignore" in str(event) for event in events if isinstance(event, Note))


@sandbox
def test_a_link_stays_where_the_tar_is_written_to_the_file_it_names(place, box):
    (place / "elsewhere").mkdir()
    (place / "made.tar").symlink_to("elsewhere/real.tar")
    buildpush.build(tar_path="made.tar")
    assert ((place / "made.tar").is_symlink(), (place / "elsewhere/real.tar").is_file()) == (True, True)


@sandbox
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_no_archive_takes_the_place_of_a_pipe(place, box, form):
    os.mkfifo("pipe")
    with pytest.raises(SettingsError, match="is a device, a pipe or a socket"):
        buildpush.build(output=f"{form}:pipe")
    assert Path("pipe").is_fifo()


@sandbox
@pytest.mark.parametrize(("place_", "words"), [("Dockerfile", "is the Dockerfile"), ("nope/x.tar", "does not exist")])
def test_no_archive_takes_the_place_of_the_dockerfile_or_lies_nowhere(place, box, place_, words):
    text = (place / "Dockerfile").read_text()
    with pytest.raises(SettingsError, match=words):
        buildpush.build(output=f"docker-archive:{place_}")
    assert (place / "Dockerfile").read_text() == text


@sandbox
def test_strict_refuses_a_note_on_what_is_pushed_before_the_push(place, box, monkeypatch):
    archive(place, "oci-archive")
    monkeypatch.setenv("PLUGIN_PUSH_ONLY", "true")
    monkeypatch.setenv("PLUGIN_SOURCE_TAR_PATH", "image.tar")
    monkeypatch.delenv("PLUGIN_ENGINE")  # of which there is a note as well
    with pytest.raises(StrictError, match="is rewritten"):
        buildpush.run(compression="zstd", strict=True)
    assert box.tags("docker-local/app") == []


@sandbox
def test_a_build_that_fails_leaves_an_older_tar_alone(place, box, monkeypatch):
    (place / "made.tar").write_text("older")
    (place / "a").unlink()
    monkeypatch.setenv("PLUGIN_TAR_PATH", "made.tar")
    with pytest.raises(BuildPushError):
        buildpush.run()
    assert ((place / "made.tar").read_text(), box.tags("docker-local/app")) == ("older", [])


@pytest.mark.programs
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_an_archive_is_pushed_without_a_build(place, box, monkeypatch, form):
    archive(place, form)
    (place / "Dockerfile").unlink()
    monkeypatch.setenv("PLUGIN_PUSH_ONLY", "true")
    monkeypatch.setenv("PLUGIN_SOURCE_TAR_PATH", "image.tar")
    monkeypatch.setenv("PLUGIN_ARTIFACTORY_URL", f"{box.url}/artifactory/")
    monkeypatch.setenv("PLUGIN_TAGS", "1,2")
    result = buildpush.run(build_name="app", build_number="7")
    assert box.tags("docker-local/app") == ["1", "2"]
    assert box.digest("docker-local/app", "2") == str(result.digest)
    (document,) = box.builds("app")
    assert document["modules"][0]["artifacts"]


@sandbox
def test_an_image_that_has_a_manifest_keeps_its_digest(place, box, monkeypatch):
    archive(place, "oci-archive")
    index = index_of(place / "image.tar")
    monkeypatch.setenv("PLUGIN_PUSH_ONLY", "true")
    monkeypatch.setenv("PLUGIN_SOURCE_TAR_PATH", "image.tar")
    assert str(buildpush.run().digest) == index["manifests"][0]["digest"]


def index_of(path: Path) -> dict:
    with tarfile.open(path) as tar:
        return json.loads(tar.extractfile("index.json").read())


@sandbox
@pytest.mark.parametrize(
    ("variables", "words", "setting"),
    [
        ({"PLUGIN_PUSH_ONLY": "true", "PLUGIN_NO_PUSH": "true"}, "push is off", "push_only"),
        ({"PLUGIN_PUSH_ONLY": "true", "PLUGIN_DRY_RUN": "true"}, "push is off", "push_only"),
        ({"PLUGIN_SOURCE_IMAGE": "app:1"}, "the step builds one", "source_image"),
        ({"PLUGIN_SOURCE_TAR_PATH": "a"}, "the step builds one", "source_tar_path"),
        (
            {"PLUGIN_PUSH_ONLY": "true", "PLUGIN_SOURCE_IMAGE": "app:1", "PLUGIN_SOURCE_TAR_PATH": "a"},
            "both name",
            "source_tar_path",
        ),
        ({"PLUGIN_PUSH_ONLY": "true", "PLUGIN_TAR_PATH": "x.tar"}, "builds nothing", "tar_path"),
        ({"PLUGIN_PUSH_ONLY": "true", "PLUGIN_TAGS": "1,2"}, "several tags, but without a source", "push_only"),
        ({"PLUGIN_PUSH_ONLY": "true", "PLUGIN_SOURCE_TAR_PATH": "nope.tar"}, "does not exist", "source_tar_path"),
        ({"PLUGIN_PUSH_ONLY": "true", "PLUGIN_SOURCE_TAR_PATH": "."}, "is not a file", "source_tar_path"),
        (
            {"PLUGIN_PUSH_ONLY": "true", "PLUGIN_SOURCE_IMAGE": "a:b:c"},
            "is not the name of an image",
            "source_image",
        ),
        ({"PLUGIN_TAR_PATH": "."}, "is a directory", "tar_path"),
        ({"PLUGIN_OCI_LAYOUT_PATH": "."}, "is a directory with other files", "oci_layout_path"),
        ({"PLUGIN_OCI_LAYOUT_PATH": "Dockerfile"}, "is not a directory", "oci_layout_path"),
        ({"PLUGIN_OCI_LAYOUT_PATH": "nope/layout"}, "a directory that does not exist", "oci_layout_path"),
        ({"PLUGIN_OCI_LAYOUT_PATH": "a", "PLUGIN_TAR_PATH": "b"}, "are both destinations", "oci_layout_path"),
        ({"PLUGIN_OCI_LAYOUT_PATH": "a", "PLUGIN_PUSH_ONLY": "true"}, "builds nothing", "oci_layout_path"),
        ({"PLUGIN_TAR_PATH": "nope/x.tar"}, "a directory that does not exist", "tar_path"),
        ({"PLUGIN_TAR_PATH": "x" * 5000}, "cannot be accessed", None),
        ({"PLUGIN_CONTEXT": "x" * 5000}, "cannot be accessed", None),
        ({"PLUGIN_DOCKERFILE": "x" * 5000}, "cannot be accessed", None),
        ({"PLUGIN_PUSH_ONLY": "1", "PLUGIN_SOURCE_TAR_PATH": "x" * 5000}, "cannot be accessed", None),
        ({"PLUGIN_TAR_PATH": "Dockerfile"}, "is the Dockerfile", "tar_path"),
        ({"PLUGIN_TAR_PATH": "/dev/null"}, "is a device", "tar_path"),
        ({"PLUGIN_TAR_PATH": "x.tar", "PLUGIN_PLATFORMS": "linux/amd64,linux/arm64"}, "one platform", "tar_path"),
    ],
)
def test_what_contradicts_itself_is_refused_before_anything_is_done(place, box, monkeypatch, variables, words, setting):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=words) as caught:
        buildpush.run()
    assert (caught.value.setting, bool(caught.value.hint)) == (setting, True)
    assert box.tags("docker-local/app") == []


@sandbox
def test_what_is_no_archive_is_refused_and_no_tag_moves(place, box, monkeypatch):
    monkeypatch.setenv("PLUGIN_PUSH_ONLY", "true")
    monkeypatch.setenv("PLUGIN_SOURCE_TAR_PATH", "a")
    with pytest.raises(PushError):
        buildpush.run()
    assert box.tags("docker-local/app") == []


@sandbox
def test_settings_of_a_build_have_no_effect_on_a_push_alone_and_are_named(place, box, monkeypatch):
    archive(place)
    monkeypatch.setenv("PLUGIN_PUSH_ONLY", "true")
    monkeypatch.setenv("PLUGIN_SOURCE_TAR_PATH", "image.tar")
    monkeypatch.setenv("PLUGIN_TARGET", "x")
    assert any("no effect: engine, target" in note for note in buildpush.run().notes)
    with pytest.raises(StrictError):
        buildpush.run(strict=True)


@sandbox
@pytest.mark.parametrize(
    ("said", "meant"),
    [("app", "docker.io/library/app:latest"), ("host.example:5000/a/img", "host.example:5000/a/img:latest")],
)
def test_a_port_is_no_tag_and_without_a_tag_the_latest_is_meant(place, monkeypatch, said, meant):
    monkeypatch.setenv("PLUGIN_PUSH_ONLY", "true")
    monkeypatch.setenv("PLUGIN_SOURCE_IMAGE", said)
    assert buildpush.check().as_json()["from"] == f"docker-daemon:{meant}"


@sandbox
def test_check_names_where_the_image_comes_from_and_goes(place, monkeypatch):
    archive(place)
    monkeypatch.setenv("PLUGIN_PUSH_ONLY", "true")
    monkeypatch.setenv("PLUGIN_SOURCE_TAR_PATH", "image.tar")
    step = buildpush.check()
    assert step.as_json()["from"] == str(place / "image.tar")
    assert ("from", str(place / "image.tar")) in list(step.rows())


@pytest.mark.engines
@pytest.mark.parametrize("named", [True, False])
def test_an_image_of_the_daemon_is_pushed_without_a_build(need, place, box, monkeypatch, named):
    need("docker")
    archive(place)
    here = f"{box.host}/docker-local/app:1"
    loaded = subprocess.run(["docker", "load", "--input", "image.tar"], check=True, capture_output=True, text=True)
    image = loaded.stdout.split()[-1]
    try:
        subprocess.run(["docker", "tag", image, "buildpush.test/tested" if named else here], check=True)
        monkeypatch.setenv("PLUGIN_PUSH_ONLY", "true")
        if named:
            monkeypatch.setenv("PLUGIN_SOURCE_IMAGE", "buildpush.test/tested")
        result = buildpush.run(env={**os.environ})
        assert box.digest("docker-local/app", "1") == str(result.digest)
    finally:
        subprocess.run(
            ["docker", "rmi", "--force", image, "buildpush.test/tested", here], check=False, capture_output=True
        )


@pytest.mark.engines
@pytest.mark.parametrize("pushes", [False, True])
def test_a_built_image_is_put_into_the_daemon_under_all_its_names(need, place, box, monkeypatch, pushes):
    need("docker")
    for name, text in {"LOAD": "true", "NO_PUSH": "false" if pushes else "true", "DAEMON_OFF": "true"}.items():
        monkeypatch.setenv(f"PLUGIN_BUILDX_{name}" if name == "LOAD" else f"PLUGIN_{name}", text)
    monkeypatch.setenv("PLUGIN_TAGS", "one,two")
    names = [f"{box.host}/docker-local/app:{tag}" for tag in ("one", "two")]
    try:
        result = buildpush.run(env={**os.environ})
        words = ["docker", "image", "inspect", "--format", "{{.Id}}", *names]
        found = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
        assert len(found) == 2
        assert len(set(found)) == 1
        assert (result.pushed is not None) is pushes
        assert result.output == f"docker-daemon:{names[0]}"
        assert [text for name, text in result.rows() if name == "written"] == [f"docker-daemon:{one}" for one in names]
    finally:
        subprocess.run(["docker", "rmi", "--force", *names], check=False, capture_output=True)


@sandbox
def test_a_daemon_that_is_not_there_stops_a_step_before_it_builds(place, monkeypatch):
    monkeypatch.setenv("PLUGIN_BUILDX_LOAD", "true")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{place}/none.sock")
    events = []
    with pytest.raises(EngineMissingError, match="'load' needs the Docker daemon") as caught:
        buildpush.run(env={**os.environ}, sink=events.append)
    assert caught.value.setting == "load"
    assert "build" not in {event.phase for event in events if isinstance(event, Started)}

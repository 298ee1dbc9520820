"""The table of step kinds: whatever reads, shows, writes or resolves a step goes by its row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from buildpush.foundation.documents import parse_yaml
from buildpush.foundation.errors import SettingsError
from buildpush.images.references import Reference
from buildpush.reference.schema import schema
from buildpush.settings.declare import REQUIRED, setting, settings_of
from buildpush.settings.encoders import to_yaml
from buildpush.settings.kinds import ReferenceText
from buildpush.settings.resolved import ResolvedStep
from buildpush.settings.sources import read
from buildpush.settings.step_settings import CommonSettings
from buildpush.settings.stepkinds import STEP_KINDS, StepKind, kind_of
from buildpush.settings.validate import validate

PLUGIN = "{type: Plugin, spec: {image: %s}}"


@pytest.mark.parametrize(
    ("step", "name"),
    [
        ("{type: BuildAndPushDockerRegistry}", "build"),
        (PLUGIN % "plugins/artifactory-publish-docker-buildinfo", "publish"),
        (PLUGIN % "acme.jfrog.io/docker/plugins/artifactory-publish-docker-buildinfo:1.2", "publish"),
        (PLUGIN % "harness/artifactory-publish-docker-buildinfo@sha256:00", "publish"),
        (PLUGIN % "plugins/docker", "docker"),
        (PLUGIN % "plugins/docker:linux-amd64", "docker"),
        (PLUGIN % "harness/buildx:1.3", "buildx"),
        (PLUGIN % "acme.jfrog.io/docker/plugins/kaniko@sha256:00", "kaniko"),
        (PLUGIN % "plugins/buildah-docker", "buildah-docker"),
        ("{type: ArtifactoryUpload}", "upload"),
        (PLUGIN % "plugins/artifactory:1.8", "upload_files"),
        (PLUGIN % "acme.jfrog.io/docker/harness/drone-artifactory", "artifactory"),
        (PLUGIN % "jfrog/artifactory", None),
        (PLUGIN % "docker:dind", None),
        (PLUGIN % "acme.jfrog.io/tools/kaniko", None),
        (PLUGIN % "plugins/docker-ecr", None),
        (PLUGIN % "plugins/slack", None),
        ("{type: Plugin}", None),
        ("{type: Run}", None),
        ("{name: x}", None),
    ],
)
def test_a_step_is_recognized_by_its_type_and_image(step, name):
    node = parse_yaml(step, "step.yml")
    assert [kind.name for kind in STEP_KINDS.values() if kind.recognizes(node)] == [name] * (name is not None)


@pytest.mark.parametrize("kind", STEP_KINDS.values(), ids=STEP_KINDS)
def test_settings_know_the_first_kind_of_their_model(kind):
    musts = {setting.name: setting.example for setting in settings_of(kind.model) if setting.required}
    first = next(one for one in STEP_KINDS.values() if one.model is kind.model)
    assert kind_of(kind.model(**musts)) is first


class Scan(CommonSettings):
    """A kind of step that is not there."""

    scanned: ReferenceText = setting(
        "What is scanned.", default=REQUIRED, group="Scan", example="h/a:1", honoured_by="run", place="settings"
    )


def resolve_scan(settings: Scan, _context: Any) -> ResolvedStep:
    return ResolvedStep(settings=settings, references=(Reference.parse(settings.scanned),))


@pytest.fixture
def scan(monkeypatch):
    kind = StepKind(
        name="scan", type="Plugin", image="plugins/scan", model=Scan, identifier="scan", resolve=resolve_scan
    )
    monkeypatch.setitem(STEP_KINDS, "scan", kind)
    return kind


FILE = "step: {type: Plugin, spec: {image: plugins/scan, settings: {scanned: 'host/app:1'}}}"


def load(text, directory):
    (directory / "step.yml").write_text(text)
    return read(Path("step.yml"), env={}, flags={}, keywords={}, cwd=directory, step=None).steps[0]


def test_a_row_is_all_that_a_new_kind_needs_to_be_read_written_and_resolved(tmp_path, scan):
    step = load(FILE, tmp_path)
    assert (step.kind, step.identifier) == (scan, "scan")
    settings = validate(step, {name: written.value for name, written in step.settings.items()})
    assert load(to_yaml(settings), tmp_path).settings["scanned"].value == "host/app:1"
    assert str(scan.resolve(settings, None).references[0]) == "docker.io/host/app:1"


def test_a_new_kind_is_in_the_schema(scan):
    validator = Draft202012Validator(schema("step"))
    step = {"type": scan.type, "spec": {"image": scan.image, "settings": {"scanned": "host/app:1"}}}
    assert validator.is_valid(step)
    step["spec"]["settings"]["scaned"] = "host/app:1"
    assert not validator.is_valid(step)
    assert "scanned" in schema("project")["properties"]


def test_a_new_kind_has_keys_of_its_own(tmp_path, scan):
    with pytest.raises(SettingsError, match="unknown key 'scaned'") as caught:
        load(FILE.replace("scanned", "scaned"), tmp_path)
    assert caught.value.hint == "did you mean 'scanned'?"

"""The schema of step files accepts every file that ``check`` accepts, and marks a wrong key of a step."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from buildpush.reference.schema import schema
from tests.steps.corpus import DIRECTORY, NAMES

ROOT = Path(__file__).parent.parent
LINE = "# yaml-language-server: $schema="
ACCEPTED = [name for name in NAMES if not (DIRECTORY / f"{name}.txt").read_text().startswith("error")]
SCHEMA = Draft202012Validator(schema("step"))


def documents(text):
    return [one for one in YAML(typ="safe", pure=True).load_all(text) if one is not None]


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_file_that_is_planned_is_accepted(name):
    for document in documents((DIRECTORY / f"{name}.yml").read_text()):
        SCHEMA.validate(document)


def messages(text):
    """Return what an editor or check-jsonschema shows: place and message of each mistake."""
    return [
        f"{error.json_path}: {error.message}" for document in documents(text) for error in SCHEMA.iter_errors(document)
    ]


STEP = "type: BuildAndPushDockerRegistry, spec: {repo: a/b, tags: [1]"


@pytest.mark.parametrize(
    ("text", "place", "word"),
    [
        (f"{{{STEP}, dockerFile: x}}}}", "$.spec: ", "'dockerFile' was unexpected"),
        (f"- step: {{{STEP}, tag: [2]}}}}", "$[0].step.spec: ", "'tag' was unexpected"),
        (
            f"step: {{{STEP}, envVariables: {{PLUGIN_ENGIN: auto}}}}}}",
            "$.step.spec.envVariables: ",
            "'PLUGIN_ENGIN' was",
        ),
        (
            f"step: {{{STEP}, envVariables: {{PLUGIN_TAGS: [2]}}}}}}",
            "$.step.spec.envVariables.PLUGIN_TAGS: ",
            "[2] is not of",
        ),
        (f"{{{STEP}}}, specs: 1}}", "$: ", "'specs' was unexpected"),
        ("{spec: {}}", "$: ", "'type' is a required property"),
        (
            "{type: Plugin, spec: {image: harness/drone-artifactory, settings: {sourc: x}}}",
            "$.spec.settings: ",
            "'sourc' was unexpected",
        ),
    ],
)
def test_one_line_names_the_mistake_itself(text, place, word):
    (message,) = messages(text)
    assert message.startswith(place)
    assert word in message


def test_a_variable_is_completed_with_the_values_of_its_setting():
    variables = schema("step")["$defs"]["build-envVariables"]
    engine = schema("step")["$defs"][variables["properties"]["PLUGIN_ENGINE"]["$ref"].rpartition("/")[2]]
    assert "buildah" in engine["anyOf"][0]["enum"]
    assert messages(f"{{{STEP}, envVariables: {{PLUGIN_ENGINE: dokcer}}}}}}")
    assert not messages(f"{{{STEP}, envVariables: {{PLUGIN_ENGINE: docker}}}}}}")


def test_steps_that_are_not_run_here_have_any_content():
    for text in (
        "{type: Run, spec: {command: ls}}",
        "{type: Plugin, spec: {image: own/slack}}",
        "{template: {ref: x}}",
    ):
        assert not messages(text)


def test_the_schema_is_small_enough_for_an_editor_and_says_sentences_without_roles():
    text = json.dumps(schema("step"), indent=1, ensure_ascii=False)
    assert len(text.encode()) < 100_000
    assert "{setting}" not in text


def test_the_schemas_are_schemas_with_a_name():
    for document in ("project", "step"):
        Draft202012Validator.check_schema(schema(document))
        assert schema(document)["$id"] == f"urn:buildpush:{document}"


@pytest.mark.programs
def test_check_jsonschema_names_the_typo(tmp_path):
    (tmp_path / "schema.json").write_text(json.dumps(schema("step")), encoding="utf-8")
    (tmp_path / "step.yml").write_text(f"{{{STEP}, dockerFile: x}}}}", encoding="utf-8")
    command = [sys.executable, "-W", "ignore", "-m", "check_jsonschema", "--schemafile", "schema.json", "step.yml"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert "$.spec: Additional properties are not allowed ('dockerFile' was unexpected)" in said.stdout
    assert said.stdout.count("::") == 1


@pytest.mark.parametrize("spec", ["{repo: a.test/b, tag: [c]}", "{repo: [a], tags: [c]}", "{repo: a/b, caching: 5}"])
def test_a_mistake_in_a_step_is_marked(spec):
    (document,) = documents(f"- step: {{type: BuildAndPushDockerRegistry, spec: {spec}}}")
    assert not SCHEMA.is_valid(document)


# ---- the examples: their first line names the schema, and an editor has nothing to say about them


def steps_on_pages():
    """Return every whole step of a page, by the page."""
    texts = ((page, page.read_text(encoding="utf-8")) for page in sorted((ROOT / "docs").rglob("*.md")))
    found = ((page.stem, text) for page, whole in texts for text in re.findall(r"```yaml\n(.*?)```", whole, re.DOTALL))
    return [(page, text) for page, text in found if re.search(r"^(- )?step:$", text, re.MULTILINE)]


@pytest.mark.parametrize(("page", "text"), steps_on_pages())
def test_a_step_on_a_page_names_its_schema_and_is_valid(page, text):
    assert text.startswith(f"{LINE}step.schema.json\n"), page
    assert messages(text) == []


EXAMPLES = sorted(path for name in ("step", "pipeline") for path in (ROOT / "examples").rglob(f"{name}.yml"))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_an_example_names_its_schema_and_is_valid(file):
    first, text = file.read_text(encoding="utf-8").split("\n", 1)
    assert (file.parent / first.removeprefix(LINE)).resolve() == ROOT / "examples" / "step.schema.json"
    assert messages(text) == []


def test_the_schema_beside_the_examples_is_that_of_today():
    """``buildpush schema step > examples/step.schema.json`` writes it again."""
    beside = json.loads((ROOT / "examples" / "step.schema.json").read_text(encoding="utf-8"))
    assert beside == json.loads(json.dumps(schema("step")))

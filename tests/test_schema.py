"""The schema of step files accepts every file that ``check`` accepts, and marks a wrong key of a step."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from buildpush.reference.schema import schema
from tests.steps.corpus import DIRECTORY, NAMES

ACCEPTED = [name for name in NAMES if not (DIRECTORY / f"{name}.txt").read_text().startswith("error")]
SCHEMA = Draft202012Validator(schema("step"))


def documents(text):
    return [one for one in YAML(typ="safe", pure=True).load_all(text) if one is not None]


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_file_that_is_planned_is_accepted(name):
    for document in documents((DIRECTORY / f"{name}.yml").read_text()):
        SCHEMA.validate(document)


@pytest.mark.parametrize("spec", ["{repo: a.test/b, tag: [c]}", "{repo: [a], tags: [c]}", "{repo: a/b, caching: 5}"])
def test_a_mistake_in_a_step_is_marked(spec):
    (document,) = documents(f"- step: {{type: BuildAndPushDockerRegistry, spec: {spec}}}")
    assert not SCHEMA.is_valid(document)

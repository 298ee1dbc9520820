"""Templates: found by name, version and scope, and put in their place with what is given for their inputs."""

from __future__ import annotations

import pytest

import buildpush
from buildpush.cli import run_command
from buildpush.foundation.errors import SettingsError, SourceError

STEP = """\
template:
  name: push
  identifier: push
  versionLabel: "{version}"
  type: {type}
  {scope}
  spec:
    type: BuildAndPushDockerRegistry
    spec: {{repo: host.test/{repo}, tags: {tags}}}
"""
FILE = """\
- step:
    identifier: one
    name: one
    template: {{templateRef: {name}{version}{inputs}}}
"""


@pytest.fixture
def house(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t").mkdir()

    def put(name, *, version="1", type="Step", scope="tags: {}", repo="a", tags="['1']"):  # noqa: A002
        text = STEP.format(version=version, type=type, scope=scope, repo=repo, tags=tags)
        (tmp_path / "t" / name).write_text(text, encoding="utf-8")

    put.write = lambda name, text: (tmp_path / name).write_text(text, encoding="utf-8")
    return put


def loaded(name="push", version=", versionLabel: '1'", inputs=""):
    with open("p.yml", "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(FILE.format(name=name, version=version, inputs=inputs and f", templateInputs: {inputs}"))
    return buildpush.load("p.yml", templates="t")


def repo(found):
    return found.steps[0].settings["repo"].value


def test_the_version_that_is_named_is_taken(house):
    house("one.yaml", version="1", repo="one")
    house("two.yml", version="2", repo="two")
    assert repo(loaded(version=", versionLabel: '2'")) == "host.test/two"


def test_an_empty_list_or_map_is_a_value_for_an_input_and_an_empty_text_is_none(house):
    house("one.yaml", tags="<+input>")
    asked = {}
    for given in ("[]", "{}", "''"):
        found = loaded(inputs=f"{{spec: {{tags: {given}}}}}").steps[0].settings
        asked[given] = found["tags"].value if "tags" in found else None
    assert asked == {"[]": [], "{}": {}, "''": "<+input>"}


def test_without_a_version_the_only_one_is_taken(house):
    house("one.yaml", version="7", repo="seven")
    assert repo(loaded(version="")) == "host.test/seven"


def test_of_several_versions_none_is_guessed(house):
    house("one.yaml", version="1")
    house("two.yaml", version="2")
    with pytest.raises(SourceError, match=r"several versions.*: 1 \(t/one\.yaml:\S+\) and 2 \(") as caught:
        loaded(version="")
    assert 'versionLabel: "1" beside templateRef' in caught.value.hint
    assert "stableTemplate: true" in caught.value.hint


@pytest.mark.parametrize(("name", "expected"), [("push", "project"), ("org.push", "org"), ("account.push", "account")])
def test_the_scope_before_a_name_decides_between_templates_of_one_name(house, name, expected):
    house("a.yaml", repo="account")
    house("o.yaml", scope="orgIdentifier: o", repo="org")
    house("p.yaml", scope="{orgIdentifier: o, projectIdentifier: p}".strip("{}").replace(", ", "\n  "), repo="project")
    assert repo(loaded(name=name)) == f"host.test/{expected}"


def test_two_files_with_the_same_template_are_an_error_that_names_both(house):
    house("a.yaml")
    house("b.yaml")
    with pytest.raises(SourceError, match=r"t/a\.yaml:2:3 and t/b\.yaml:2:3"):
        loaded()


def test_a_template_of_another_type_is_refused(house):
    house("a.yaml", type="Stage")
    with pytest.raises(SourceError, match="holds Stage, and a step is expected"):
        loaded()


def test_a_template_that_contains_itself_is_refused(house):
    house.write("t/a.yaml", STEP.format(version="1", type="Step", scope="", repo="a", tags="1").split("    type")[0])
    with open("t/a.yaml", "a", encoding="utf-8") as file:  # noqa: PTH123
        file.write("    template: {templateRef: push, versionLabel: '1'}\n")
    with pytest.raises(SourceError, match="contains itself"):
        loaded()


@pytest.mark.parametrize("templates", ["t", None])
@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("- step: {{identifier: a, type: {type}, {template}, spec: {{repo: a, tags: [a]}}}}", "spec"),
        ("- stepGroup: {{identifier: a, {template}, steps: [{step}]}}", "steps"),
        ("stage: {{identifier: a, {template}, spec: {{execution: {{steps: [{step}]}}}}}}", "spec"),
        (
            "pipeline: {{identifier: a, {template}, stages: [stage: {{spec: {{execution: {{steps: [{step}]}}}}}}]}}",
            "stages",
        ),
    ],
)
def test_of_a_template_and_a_content_of_its_own_none_is_passed_over(house, text, key, templates):
    house("one.yaml")
    step = "step: {type: BuildAndPushDockerRegistry, spec: {repo: a, tags: [a]}}"
    template = "template: {templateRef: push, versionLabel: '1'}"
    house.write("p.yml", text.format(type="BuildAndPushDockerRegistry", template=template, step=step))
    with pytest.raises(SourceError, match=f"{key} is written beside the template push, version 1") as caught:
        buildpush.load("p.yml", templates=templates)
    assert caught.value.where.startswith("p.yml:1:")
    assert "templateInputs" in caught.value.hint


def test_a_value_for_something_that_is_no_input_is_refused(house):
    house("a.yaml")
    with pytest.raises(SourceError, match="does not have an input here") as caught:
        loaded(inputs="{spec: {repo: host.test/b}}")
    assert "t/a.yaml" in caught.value.hint
    assert caught.value.where == "p.yml:4:84"


def test_a_value_that_is_given_has_its_own_place(house):
    house("a.yaml", tags="<+input>")
    written = loaded(inputs="{spec: {tags: ['9']}}").steps[0].settings["tags"]
    assert (written.value, written.origin.where) == (["9"], "p.yml:4:78")


def test_an_input_of_a_template_that_nothing_gives_is_asked_for(house):
    house("a.yaml", tags="<+input>")
    loaded()
    with pytest.raises(SettingsError) as caught:
        buildpush.check("p.yml", templates="t")
    assert caught.value.where == "t/a.yaml:9:31"
    assert "tags" in caught.value.hint


@pytest.mark.parametrize("directory", ["t", "nowhere", "p.yml"])
def test_a_directory_that_does_nothing_is_not_passed_over(house, directory, capsys):
    house("a.yaml")
    house.write("p.yml", "- step: {type: BuildAndPushDockerRegistry, spec: {repo: host.test/a, tags: ['1']}}")
    code = run_command(["explain", "tags", "--file=p.yml", f"--templates={directory}"])
    words = "templates has no effect" if directory == "t" else "this is not a directory"
    assert words in capsys.readouterr().err
    assert code == (0 if directory == "t" else 2)


def test_files_that_are_no_templates_are_left_alone(house):
    house("a.yaml")
    house.write("t/other.yaml", "spec:\n  template: push\n---\nsecond: push\n")
    assert repo(loaded()) == "host.test/a"


def test_a_template_without_a_file_to_complete_is_refused(house):
    with pytest.raises(SourceError, match="no file is given") as caught:
        buildpush.load(repo="host.test/a", tags=["1"], templates="t")
    assert caught.value.where == "templates="
    del house


def test_an_input_that_a_newer_template_requires_is_asked_for(house):
    house.write(
        "t/ship@1.yaml",
        "template:\n  inputs: {image: {type: string, required: true}}\n  step: {uses: buildAndPushToDocker@1,"
        " with: {repo: 'host.test/${{ inputs.image }}', tags: ['1']}}\n",
    )
    text = "steps:\n  - {{name: a, id: a, template: {{uses: ship@1, with: {{{0}}}}}}}\n"
    house.write("p.yml", text.format("image: x"))
    assert repo(buildpush.load("p.yml", templates="t")) == "host.test/x"
    house.write("p.yml", text.format(""))
    with pytest.raises(SourceError, match="'image' of the template has no value"):
        buildpush.load("p.yml", templates="t")
    house.write("p.yml", text.format("imag: x"))
    with pytest.raises(SourceError, match="unknown input 'imag'"):
        buildpush.load("p.yml", templates="t")


def test_an_input_of_a_newer_template_allows_what_it_says(house):
    house.write(
        "t/ship@1.yaml",
        "template:\n  inputs: {image: {type: string, enum: [x, y]}}\n  step: {uses: buildAndPushToDocker@1,"
        " with: {repo: 'host.test/${{ inputs.image }}', tags: ['1']}}\n",
    )
    text = "steps:\n  - {{name: a, id: a, template: {{uses: ship@1, with: {{image: {0}}}}}}}\n"
    house.write("p.yml", text.format("y"))
    assert repo(buildpush.load("p.yml", templates="t")) == "host.test/y"
    house.write("p.yml", text.format("z"))
    with pytest.raises(SourceError, match=r"p\.yml:2:\d+: the value 'z' for <\+input> is not one of x, y"):
        buildpush.load("p.yml", templates="t")


def test_of_several_versions_of_the_newer_form_one_is_chosen_behind_the_name(house):
    for version in ("1", "2"):
        step = "{uses: buildAndPushToDocker@1, with: {repo: host.test/a, tags: ['1']}}"
        house.write(f"t/ship@{version}.yaml", f"template:\n  step: {step}\n")
    house.write("p.yml", "steps:\n  - {name: a, id: a, template: {uses: ship}}\n")
    with pytest.raises(SourceError, match="several versions") as caught:
        buildpush.load("p.yml", templates="t")
    assert "choose one, such as by @1 after its name" in caught.value.hint

"""Input sets and overlays: each value takes the place of its input, and a key that nothing asks for is an error."""

from __future__ import annotations

import re

import pytest

import buildpush
from buildpush.cli import run_command
from buildpush.foundation.errors import SettingsError, SourceError

PIPELINE = """\
pipeline:
  identifier: mill
  variables:
    - {name: kind, type: String, value: <+input>}
  stages:
    - stage:
        identifier: saw
        spec:
          execution:
            steps:
              - step:
                  type: BuildAndPushDockerRegistry
                  identifier: planks
                  spec: {repo: host.test/a, tags: <+input>, target: "<+input>.allowedValues(one,two)"}
"""
SET = """\
inputSet:
  identifier: {name}
  pipeline:
    identifier: {pipeline}
    variables: [{{name: kind, type: String, value: {kind}}}]
    stages:
      - stage:
          identifier: {stage}
          spec: {{execution: {{steps: [{{step: {{identifier: planks, spec: {spec}}}}}]}}}}
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yml").write_text(PIPELINE, encoding="utf-8")

    def put(name, *, text="", pipeline="mill", kind="oak", stage="saw", spec="{}"):
        text = text or SET.format(name=name, pipeline=pipeline, kind=kind, stage=stage, spec=spec)
        (tmp_path / f"{name}.yml").write_text(text, encoding="utf-8")

    return put


def settings(*inputs):
    (step,) = buildpush.load("p.yml", inputs=inputs[0] if len(inputs) == 1 else inputs).steps
    return {name: written.value for name, written in step.settings.items()}


def test_a_value_takes_the_place_of_its_input(write):
    write("one", spec="{tags: ['1', '2'], target: two}")
    assert settings("one.yml")["tags"] == ["1", "2"]
    (step,) = buildpush.load("p.yml", inputs="one.yml").steps
    assert step.settings["tags"].origin.where == "one.yml:9:73"
    assert step.environment["kind"].value == "<+pipeline.variables.kind>"
    assert step.facts["pipeline.variables.kind"] == "oak"


@pytest.mark.parametrize(
    ("limits", "given", "kind", "says"),
    [
        (".default(elm).allowedValues(oak,elm)", "oak", "ash", "'ash' for <+input> is not one of oak, elm"),
        (".selectOneFrom(oak,elm)", "oak", "elm", "value     elm"),
        (".selectManyFrom(oak,elm)", "oak", "elm,ash", "'ash' for <+input> is not one of oak, elm"),
        (".regex(^[a-z]+$)", "oak", "Ash", "does not match ^[a-z]+$"),
        (".regex(^[a-z]+$)", "oak", None, "value     oak"),
        (".regex(^.+$)", "'o\"a(k'", None, 'value     o"a(k'),  # cannot stand in .default() and stays as it is
        ("", "oak", "ash", "value     ash"),
    ],
)
def test_a_variable_keeps_the_limits_of_its_input_when_an_input_set_gives_its_value(
    write, capsys, limits, given, kind, says
):
    """A --var in place of the value of an input set would else pass by what the pipeline allows."""
    write("one", kind=given)
    write("p", text=PIPELINE.replace("value: <+input>}", f"value: '<+input>{limits}'}}"))
    variable = [f"--var=kind={kind}"] if kind else []
    run_command(["explain", "<+pipeline.variables.kind>", "p.yml", "--inputs", "one.yml", *variable])
    assert says in "".join(capsys.readouterr())


def test_of_several_input_sets_the_last_counts_and_gives_no_more_than_it_says(write):
    write("one", spec="{tags: ['1'], target: one}")
    write("two", spec="{tags: ['2']}")
    assert [settings("one.yml", "two.yml")[name] for name in ("tags", "target")] == [["2"], "one"]
    assert settings("two.yml", "one.yml")["tags"] == ["1"]


def test_an_overlay_finds_its_input_sets_beside_it(write):
    write("one", spec="{tags: ['1']}")
    write("two", spec="{tags: ['2']}")
    write("both", text="overlayInputSet: {identifier: both, inputSetReferences: [two, one]}")
    assert settings("both.yml")["tags"] == ["1"]
    write("both", text="overlayInputSet: {identifier: both, inputSetReferences: [two, tree]}")
    with pytest.raises(SourceError, match=r"both\.yml:1:63: unknown input set 'tree'"):
        settings("both.yml")


def test_an_overlay_for_another_pipeline_is_refused_with_its_place(write):
    write("one")
    for pipeline in ("mill", "shop"):
        text = f"overlayInputSet: {{pipelineIdentifier: {pipeline}, inputSetReferences: [one]}}"
        write(pipeline, text=text)
    assert settings("mill.yml")
    with pytest.raises(SourceError, match="is for the pipeline 'shop'") as caught:
        settings("shop.yml")
    assert caught.value.where == "shop.yml:1:39"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"spec": "{tag: ['1']}"}, "unknown input 'tag'"),
        ({"spec": "{repo: host.test/b}"}, "the pipeline does not have an input here"),
        ({"spec": "{target: three}"}, "'three' for <.input> is not one of one, two"),
        ({"stage": "see"}, "the pipeline does not have see here"),
        ({"pipeline": "shop"}, "is for the pipeline 'shop', and the file has 'mill'"),
        ({"text": "pipeline: {identifier: mill}"}, "neither an input set"),
        ({"text": "overlayInputSet: {identifier: one}"}, "does not name an input set"),
    ],
)
def test_what_the_pipeline_does_not_ask_for_is_refused_with_its_place(write, more, words):
    write("one", **more)
    with pytest.raises(SourceError, match=words) as caught:
        settings("one.yml")
    assert caught.value.where.startswith("one.yml")
    assert caught.value.hint


def test_an_input_set_for_what_is_no_pipeline_is_refused(write):
    write("one")
    write("p", text="- step: {type: BuildAndPushDockerRegistry, spec: {repo: host.test/a, tags: <+input>}}")
    with pytest.raises(SourceError, match="an input set is for a pipeline"):
        settings("one.yml")


def test_an_input_set_in_place_of_the_pipeline_is_recognised(write):
    write("one")
    with pytest.raises(SourceError, match="this is an input set"):
        buildpush.load("one.yml")


NEWER = """\
pipeline:
  name: Mill
  inputs:
    grain: {type: string, default: fine}
    tag: {type: string, required: true}
  stages:
    - name: saw
      steps:
        - name: Planks
          uses: buildAndPushToDocker
          with: {connector: jfrog, repo: "host.test/${{ inputs.grain }}", tags: ["${{ inputs.tag }}"], caching: false}
"""


def newer_reference(**options):
    (plan,) = buildpush.check_pipeline("p.yml", env={"PLUGIN_ENGINE": "native"}, **options)
    return str(plan.order.references[0])


@pytest.fixture
def newer(write, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n", encoding="utf-8")
    text = NEWER.replace("connector: jfrog, ", "")
    (tmp_path / "p.yml").write_text(text, encoding="utf-8")
    write("one", text="version: 1\nkind: input-set\nspec: {grain: oak, tag: 1.10}\n")
    write("two", text="version: 1\nkind: inputSet\nspec: {tag: 2}\n")
    return write


def test_an_input_set_of_the_newer_form_gives_inputs_and_the_last_one_counts(newer):
    assert newer_reference(inputs="one.yml") == "host.test/oak:1.10"
    assert newer_reference(inputs=["one.yml", "two.yml"]) == "host.test/oak:2"
    assert newer_reference(inputs="two.yml", variables={"grain": "rough"}) == "host.test/rough:2"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: input-set\nspec: {grian: oak}\n", r"one\.yml:2:8: unknown input 'grian'\nhint: did you mean 'grain'"),
        ("kind: input-set\nversion: 1\n", "this input set does not have values"),
        ("kind: overlay-input-set\nspec: {input_sets: [tow]}\n", "unknown input set 'tow'\nhint: did you mean 'two'"),
        ("kind: overlay-input-set\nspec: {input_sets: [one]}\n", "'one' contains itself"),
        ("kind: input-set\nspce: {grain: oak}\nspec: {tag: 1}\n", r"one\.yml:2:1: unknown key 'spce'"),
        ("kind: input-set\nspec: {input_sets: [two], grian: oak}\n", "unknown input 'grian'"),
    ],
)
def test_what_an_input_set_of_the_newer_form_cannot_give_is_refused(newer, text, says):
    newer("one", text=text)
    with pytest.raises(SourceError) as caught:
        newer_reference(inputs="one.yml")
    assert re.search(says, f"{caught.value}\nhint: {caught.value.hint}")


def test_an_overlay_of_the_newer_form_finds_its_input_sets_by_their_identifier_or_file(newer):
    newer("three", text="kind: input-set\nidentifier: third\nversion: 1\nspec: {tag: 3}\n")
    for sets, reference in (("[one, two]", "oak:2"), ("[two, one]", "oak:1.10"), ("[one, third]", "oak:3")):
        newer("all", text=f"version: 1\nkind: overlay-input-set\nspec: {{input_sets: {sets}}}\n")
        assert newer_reference(inputs="all.yml") == f"host.test/{reference}"
    newer("more", text="version: 1\nkind: input-set\nspec: {input_sets: [all], grain: elm}\n")
    assert newer_reference(inputs="more.yml") == "host.test/elm:3"


def test_a_list_is_an_input_of_the_newer_form_by_its_default_and_by_an_input_set(newer, tmp_path):
    text = (
        (tmp_path / "p.yml").read_text(encoding="utf-8").replace("{type: string, default: fine}", "{default: [a, b]}")
    )
    loop = 'strategy: {matrix: {grain: "${{ inputs.grain }}"}}\n          uses:'
    text = text.replace("uses:", loop).replace("/${{ inputs.grain }}", "/${{ matrix.grain }}")
    (tmp_path / "p.yml").write_text(text, encoding="utf-8")
    newer("one", text="kind: input-set\nspec: {grain: [oak, elm], tag: 1}\n")

    def repositories(**options):
        plans = buildpush.check_pipeline("p.yml", env={"PLUGIN_ENGINE": "native"}, **options)
        return [plan.order.references[0].repository.path for plan in plans]

    assert repositories(variables={"tag": "1"}) == ["a", "b"]
    assert repositories(inputs="one.yml") == ["oak", "elm"]


def test_a_list_or_map_that_is_an_input_is_a_whole_setting(newer, tmp_path):
    text = (tmp_path / "p.yml").read_text(encoding="utf-8")
    text = text.replace("tag: {type: string, required: true}", "tag: {type: array, default: [1.10, b]}\n    args: {}")
    text = text.replace('["${{ inputs.tag }}"]', '"${{ inputs.tag }}", buildargs: "${{ inputs.args }}"')
    (tmp_path / "p.yml").write_text(text, encoding="utf-8")
    newer("one", text='kind: input-set\nspec: {args: {A: "1,2", B: x}, tag: c}\n')

    def plan(**options):
        (found,) = buildpush.check_pipeline("p.yml", env={"PLUGIN_ENGINE": "native"}, **options)
        return found.order

    order = plan(variables={"args": '{"A": "b"}'})
    assert [str(one.tag) for one in order.references] == ["1.10", "b"]
    assert order.request.build_args["A"] == "b"
    order = plan(inputs="one.yml")
    assert [str(one.tag) for one in order.references] == ["c"]
    assert {name: order.request.build_args[name] for name in "AB"} == {"A": "1,2", "B": "x"}


@pytest.mark.parametrize(
    ("limits", "tag", "says"),
    [
        ("enum: [fine, rough]", "soft", "the value 'soft' for <+input> is not one of fine, rough"),
        ("options: [fine, rough]", "soft", "the value 'soft' for <+input> is not one of fine, rough"),
        ("enum: [fine, rough]", "rough", None),
        ("enum: [1, 2.10]", "2.10", None),
        ("pattern: '^[a-z]+$'", "7", "the value '7' for <+input> does not match ^[a-z]+$"),
        ("pattern: '^[a-z]+$'", "oak", None),
        ("value: elm", None, None),
        ("value: elm, default: oak", None, None),
    ],
)
def test_an_input_of_the_newer_form_allows_what_it_says(newer, limits, tag, says):
    """They were passed by, so that a value that Harness refuses was pushed as a tag."""
    text = NEWER.replace("connector: jfrog, ", "").replace("required: true", limits)
    newer("p", text=text)
    variables = {"tag": tag} if tag else {}
    if says:
        with pytest.raises(SettingsError, match=re.escape(says)):
            newer_reference(variables=variables)
        newer("one", text=f"kind: input-set\nspec: {{tag: {tag}}}\n")
        with pytest.raises(SettingsError, match=re.escape(says)):
            newer_reference(inputs="one.yml")
    else:
        assert newer_reference(variables=variables) == f"host.test/fine:{tag or 'elm'}"


def test_values_with_commas_and_spaces_may_be_allowed(newer):
    newer("p", text=NEWER.replace("connector: jfrog, ", "").replace("default: fine", "enum: ['a, b', \"o'ak\"]"))
    with pytest.raises(SettingsError, match=r"is not one of a, b, o'ak"):
        newer_reference(variables={"tag": "1", "grain": "a"})
    with pytest.raises(SettingsError, match=r"'a, b' is not a repository|not a repository path"):
        newer_reference(variables={"tag": "1", "grain": "a, b"})


@pytest.mark.parametrize(
    ("more", "says", "hint"),
    [
        ("strategy: {for: {iterations: 2}, max-paralel: 1}", "unknown key 'max-paralel'", "'max-parallel'"),
        ("strategy: {matrix: {os: [a]}, include: [{os: b}]}", "unknown key 'include'", "write one of"),
        ("if: failure() || always()", "if may use always", "failure\\(\\) && CONDITION"),
        ("if: always() && failure()", "if may use always", "failure\\(\\) && CONDITION"),
        ('if: "${{ !success() }}"', "if may use always", "failure\\(\\) && CONDITION"),
    ],
)
def test_control_of_the_newer_form_that_would_mean_nothing_is_refused_in_its_words(newer, tmp_path, more, says, hint):
    path = tmp_path / "p.yml"
    path.write_text(path.read_text().replace("uses:", f"{more}\n          uses:"), encoding="utf-8")
    with pytest.raises(SourceError, match=f"{says}.*\nhint: .*{hint}"):
        newer_reference(inputs="one.yml")


def test_an_input_set_for_a_pipeline_without_inputs_has_a_hint(newer, tmp_path):
    path = tmp_path / "p.yml"
    path.write_text(path.read_text().replace("  inputs:", "  env:"), encoding="utf-8")
    with pytest.raises(SourceError, match="unknown input 'grain'\nhint: leave it out"):
        newer_reference(inputs="one.yml")

"""An expression explained: its parts, their values, and who gives the value of each name."""

from __future__ import annotations

import json

import pytest

from buildpush.cli import run_command
from buildpush.expressions.evaluate import parse
from buildpush.expressions.spelled import expression_text
from buildpush.foundation.secrets import MASK

STEP = """\
step:
  type: BuildAndPushDockerRegistry
  identifier: push
  name: Push it
  spec:
    repo: acme.jfrog.io/docker-local/site
    tags: ["7", latest]
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    (tmp_path / "step.yml").write_text(STEP, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BUILDPUSH_SECRET_T", "hunter22hunter")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_SHA", "a" * 40)


def explained(capsys, *words):
    assert run_command(["explain", *words]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("<+step.name>", "step.name = Push it    from step.name in the file, written Push it"),
        ("<+pipeline.variables.a>", "pipeline.variables.a = 7    from --var a"),
        ("<+env.GITHUB_ACTIONS>", "env.GITHUB_ACTIONS = true    from the environment variable GITHUB_ACTIONS"),
        ("<+codebase.commitSha>", f"codebase.commitSha = {'a' * 40}    from the CI system, by GITHUB_SHA"),
        ("<+codebase.shortCommitSha>", "codebase.shortCommitSha = aaaaaaa    from the CI system, by GITHUB_SHA"),
        ("<+pipeline.startTs>", "from the clock"),
        ('<+secrets.getValue("t")>', f'secrets.getValue("t") = {MASK}    from env:BUILDPUSH_SECRET_T'),
    ],
)
def test_each_name_says_who_gives_its_value(capsys, text, source):
    line = explained(capsys, f"<+pipeline.variables.a>{text}", "step.yml", "--var", "a=7")
    assert any(one.endswith(source) for one in line)


def test_an_expression_may_be_spelled_as_in_the_newer_form(capsys):
    lines = explained(capsys, "${{ inputs.a }}-x", "step.yml", "--var", "a=7")
    assert lines == ["pipeline.variables.a = 7    from --var a", "value     7-x"]


def test_parts_come_before_what_is_made_of_them(capsys):
    lines = explained(
        capsys, '<+step.name.replace(" ", "-") + "-" + <+pipeline.variables.a>>', "step.yml", "--var", "a=7"
    )
    assert [line.partition(" = ")[0] for line in lines[:-1]] == [
        "step.name",
        'step.name.replace(" ", "-")',
        "pipeline.variables.a",
        'step.name.replace(" ", "-") + "-" + pipeline.variables.a',
    ]
    assert lines[-1] == "value     Push-it-7"


@pytest.mark.parametrize(
    "text", ['<+secrets.getValue("t")>', 'x<+secrets.getValue("t")>', '<+"a" + secrets.getValue("t")>']
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_no_secret_is_shown(capsys, text, form):
    assert "hunter22" not in "\n".join(explained(capsys, text, "step.yml", *form))


def test_programs_get_the_same_facts(capsys):
    document = json.loads("\n".join(explained(capsys, "<+step.name>", "--file", "step.yml", "--json")))
    assert document["value"] == "Push it"
    [part] = document["parts"]
    assert (part["part"], part["value"]) == ("step.name", "Push it")


LOOPS = """\
pipeline:
  stages:
    - stage:
        identifier: bake
        spec:
          execution:
            steps:
              - step:
                  type: BuildAndPushDockerRegistry
                  identifier: push
                  spec: {repo: "acme.jfrog.io/docker-local/<+matrix.grain>", tags: ["<+strategy.iteration>"]}
              - step: {type: BuildAndPushDockerRegistry, identifier: next, spec: {repo: a.io/b/c, tags: ["1"]}}
        strategy: {matrix: {grain: [rye, spelt]}}
"""


def test_in_a_loop_the_first_iteration_is_explained(tmp_path, capsys):
    (tmp_path / "loops.yml").write_text(LOOPS, encoding="utf-8")
    assert explained(capsys, "<+matrix.grain>-<+strategy.iteration>", "loops.yml")[-1] == "value     rye-0"
    assert explained(capsys, "<+matrix.grain>", "loops.yml", "--var", "matrix.grain=oats")[-1] == "value     oats"
    lines = explained(capsys, "repo", "loops.yml", "--step", "push")
    assert "value     acme.jfrog.io/docker-local/rye" in lines
    assert "for the step 'push_0'" in lines[-1]


def test_what_a_step_gives_is_known_after_it_has_run(tmp_path, capsys):
    """Asked for where the step stands, and not as if the file had no such step."""
    (tmp_path / "loops.yml").write_text(LOOPS, encoding="utf-8")
    assert run_command(["explain", "<+steps.push.output.outputVariables.digest>", "loops.yml"]) == 2
    assert "is known after BuildAndPushDockerRegistry 'push_0'" in capsys.readouterr().err


def test_parts_are_shown_up_to_the_one_that_fails(capsys):
    assert run_command(["explain", "<+step.name><+step.nome>", "step.yml"]) == 2
    seen = capsys.readouterr()
    assert seen.out.startswith("step.name = Push it")
    assert "give it with --var step.nome=VALUE" in seen.err


def test_an_unknown_variable_says_how_to_give_it(capsys):
    assert run_command(["explain", "<+pipeline.variables.region>", "step.yml"]) == 2
    assert "give it with --var region=VALUE" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "a.b.c",
        "a?.b",
        'a["x y"]',
        "a[1]",
        'a.split("/")[1]',
        "!(a && b)",
        "(a == 1) ? (b ?? c) : [1, 2]",
        "empty a",
        "size a",
        '{"k": 1}',
        "-(a - b)",
    ],
)
def test_a_part_reads_as_what_it_was(text):
    [part] = parse(f"<+{text}>").parts
    again = expression_text(part)
    [reread] = parse(f"<+{again}>").parts
    assert expression_text(reread) == again
    assert again.replace("(", "").replace(")", "") == text.replace("(", "").replace(")", "")


ORIGINS = {
    "codebase.branch": "the CI system, by GITHUB_BASE_REF",
    "codebase.build.type": "the CI system, by GITHUB_REF",
    "codebase.shortCommitSha": "the CI system, by GITHUB_SHA",
    "codebase.state": "nowhere: codebase.state has no value",
    "pipeline.startTs": "the clock",
    "trigger.prNumber": "the CI system, by GITHUB_REF",
}


@pytest.mark.parametrize(("name", "origin"), ORIGINS.items())
def test_a_name_that_is_made_of_others_has_the_source_of_these(capsys, monkeypatch, name, origin):
    for variable, value in {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_REF": "refs/pull/5/merge",
        "GITHUB_HEAD_REF": "fix",
        "GITHUB_BASE_REF": "main",
        "GITHUB_SHA": "0123456789abcdef0123456789abcdef01234567",
    }.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.delenv("GITHUB_EVENT_PATH", raising=False)
    assert f"    from {origin}" in explained(capsys, f"<+{name}>", "step.yml")[0]

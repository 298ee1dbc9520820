"""What is written around a step counts for it: variables, secrets, inputs, the platform of the stage, identifiers."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildpush.credentials.vault import Vault
from buildpush.expressions.facts import Counter, Facts, Git
from buildpush.foundation.errors import ExpressionError, SecretError, SourceError, UnsupportedError
from buildpush.foundation.secrets import Secret
from buildpush.places import CommandResult, Recorded
from buildpush.settings.evaluate import evaluate
from buildpush.settings.resolve import resolve
from buildpush.settings.sources import read

PIPELINE = """\
pipeline:
  name: Shop
  orgIdentifier: retail
  projectIdentifier: web
  tags: {team: blue, public: ""}
  variables:
    - {name: region, type: String, value: eu}
    %(pipeline)s
  stages:
    - stage:
        name: Build it
        type: CI
        variables:
          - {name: color, value: red}
          %(stage)s
        spec:
          %(machine)s
          execution:
            steps:
              - stepGroup:
                  identifier: images
                  %(group)s
                  steps:
                    - step:
                        type: BuildAndPushDockerRegistry
                        identifier: push
                        spec:
                          repo: acme.example/docker/app
                          tags: [latest]
                          %(spec)s
    - stage:
        identifier: later
        name: Later
        spec:
          infrastructure:
            spec: {nodeSelector: {kubernetes.io/arch: arm64}}
          execution: {steps: [{step: {type: Run, identifier: look, name: Look}}]}
"""


class File:
    """A pipeline whose parts are filled in."""

    def __init__(self, cwd, env=None, inputs=None, **parts):
        self.cwd, self.env = cwd, env or {}
        (cwd / "Dockerfile").write_text("FROM scratch\n")
        parts = dict.fromkeys(("pipeline", "stage", "machine", "group", "spec"), "") | parts
        (cwd / "p.yml").write_text(PIPELINE % parts)
        git = Git(Recorded(lambda _: CommandResult(128)), cwd)
        self.vault = Vault(self.env, cwd)
        self.facts = Facts(self.env, git, Counter(cwd / "state"), 0.0, self.vault.secret, inputs=inputs or {})

    def read(self):
        return read(Path("p.yml"), env=self.env, flags={}, keywords={}, cwd=self.cwd, step=None)

    def settings(self):
        return evaluate(self.read().steps[0], self.facts)

    def secrets(self):
        step = self.read().steps[0]
        settings = evaluate(step, self.facts)
        order = resolve(settings, cwd=self.cwd, facts=self.facts, vault=self.vault, step=step)
        return {name: secret.reveal() for name, secret in order.request.build_secrets.items()}


@pytest.fixture
def file(tmp_path):
    return lambda **parts: File(tmp_path, **parts)


def asked(file, expression, **parts):
    return file(spec=f"labels: {{x: '{expression}'}}", **parts).settings().labels["x"]


# ---- variables are the environment


@pytest.mark.parametrize("place", ["pipeline", "stage"])
@pytest.mark.parametrize("name", ["PLUGIN_DRY_RUN", "PLUGIN_NO_PUSH"])
def test_a_variable_around_the_step_sets_what_it_sets_in_harness(file, place, name):
    assert not file(**{place: f'- {{name: {name}, value: "true"}}'}).settings().push


def test_the_stage_counts_before_the_pipeline(file):
    variable = "- {name: PLUGIN_TARGET, value: %s}"
    assert file(pipeline=variable % "far", stage=variable % "near").settings().target == "near"


@pytest.mark.parametrize("spec", ["target: own", "envVariables: {PLUGIN_TARGET: own}"])
def test_what_the_step_says_counts_before_what_is_around_it(file, spec):
    assert file(stage="- {name: PLUGIN_TARGET, value: around}", spec=spec).settings().target == "own"


def test_our_environment_counts_before_the_file(file):
    settings = file(env={"PLUGIN_TARGET": "mine"}, stage="- {name: PLUGIN_TARGET, value: around}").settings()
    assert settings.target == "mine"


def test_a_variable_that_no_step_knows_is_refused_as_in_env_variables(file):
    with pytest.raises(SourceError, match=r"p\.yml:15:43: unknown variable 'PLUGIN_DRY_RUM'") as caught:
        file(stage="- {name: PLUGIN_DRY_RUM, value: x}").read()
    assert "PLUGIN_DRY_RUN" in caught.value.hint


@pytest.mark.parametrize("place", ["pipeline", "stage"])
def test_a_variable_that_nothing_here_acts_on_is_refused_as_in_env_variables(file, place):
    with pytest.raises(UnsupportedError, match="PLUGIN_CUSTOM_DNS is not supported"):
        file(**{place: "- {name: PLUGIN_CUSTOM_DNS, value: 10.0.0.53}"}).read()


def test_a_variable_of_another_kind_of_step_is_left_to_it(file):
    assert file(stage="- {name: PLUGIN_URL, value: https://acme.example/artifactory}").settings().push


def test_two_variables_that_say_the_same_may_stand_together(file):
    both = '- {name: PLUGIN_DRY_RUN, value: "true"}\n          - {name: PLUGIN_NO_PUSH, value: "yes"}'
    assert not file(stage=both).settings().push


def test_two_variables_that_differ_are_refused(file):
    both = '- {name: PLUGIN_DRY_RUN, value: "true"}\n          - {name: PLUGIN_NO_PUSH, value: "no"}'
    with pytest.raises(SourceError, match="with different values"):
        file(stage=both).read()


def test_a_flag_gives_a_variable_another_value(file):
    inputs = {"PLUGIN_DRY_RUN": "false"}
    assert file(stage='- {name: PLUGIN_DRY_RUN, value: "true"}', inputs=inputs).settings().push


def test_a_password_in_plain_text_is_refused(file):
    with pytest.raises(SecretError, match="plain text") as caught:
        file(stage="- {name: PLUGIN_PASSWORD, value: hunter22}").read()
    assert "hunter22" not in str(caught.value)


def test_a_password_may_be_a_variable_of_the_type_secret(file):
    env = {"BUILDPUSH_SECRET_ORG_PW": "hunter22"}
    stage = "- {name: PLUGIN_PASSWORD, type: Secret, value: org.pw}\n          - {name: PLUGIN_USERNAME, value: ci}"
    settings = file(env=env, stage=stage).settings()
    assert settings.username == "ci"
    assert settings.password.reveal() == "hunter22"


# ---- values of variables


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("value: eu, default: us", "eu"),
        ('value: "", default: us', "us"),
        ("default: us", "us"),
        ("value: <+input>, default: us", "us"),
        ('value: "<+input>.allowedValues(us,eu)", default: us', "us"),
        ('value: "<+input>.default(eu)", default: us', "eu"),
        ("value: <+input>, default: 'a \"b\"'", 'a "b"'),
        ("value: <+pipeline.variables.region>", "eu"),
    ],
)
def test_a_default_counts_where_there_is_no_value(file, variable, value):
    stage = f"- {{name: zone, type: String, {variable}}}"
    assert asked(file, "<+stage.variables.zone>", stage=stage) == value


def test_an_input_without_a_default_is_asked_for_by_its_name(file):
    with pytest.raises(ExpressionError) as caught:
        asked(file, "<+stage.variables.zone>", stage="- {name: zone, value: <+input>}")
    assert "--var stage.variables.zone=VALUE" in caught.value.hint
    inputs = {"zone": "us"}
    assert asked(file, "<+stage.variables.zone>", stage="- {name: zone, value: <+input>}", inputs=inputs) == "us"


def test_a_secret_variable_is_the_secret_and_shown_nowhere(file):
    env = {"BUILDPUSH_SECRET_TOK": "s3cret-value"}
    with pytest.raises(SecretError, match="would be readable here") as caught:
        asked(file, "<+stage.variables.tok>", env=env, stage="- {name: tok, type: Secret, value: tok}")
    assert "s3cret" not in str(caught.value)


def test_the_entries_of_a_map_are_asked_for_by_their_own_names(file):
    spec = "buildArgs: {A: <+input>, B: <+input>.default(b)}"
    with pytest.raises(ExpressionError) as caught:
        file(spec=spec).settings()
    assert "--var buildArgs.A=VALUE" in caught.value.hint
    assert file(spec=spec, inputs={"buildArgs.A": "a"}).settings().build_args == {"A": "a", "B": "b"}


# ---- build secrets


SECRET_ENV = {"BUILDPUSH_SECRET_TOK": "s3cret-value", "TOKEN": "of-the-environment"}


@pytest.mark.parametrize(
    ("parts", "value"),
    [
        ({"spec": "envDockerSecrets: {t: TOKEN}"}, "of-the-environment"),
        ({"spec": "envDockerSecrets: {t: '<+secrets.getValue(\"tok\")>'}"}, "s3cret-value"),
        (
            {"spec": "envDockerSecrets: {t: TOKEN}", "stage": "- {name: TOKEN, type: Secret, value: tok}"},
            "s3cret-value",
        ),
        ({"spec": "envDockerSecrets: {t: TOKEN}", "pipeline": "- {name: TOKEN, value: plain-text}"}, "plain-text"),
        (
            {"spec": "{envDockerSecrets: {t: TOKEN}, envVariables: {TOKEN: '<+secrets.getValue(\"tok\")>'}}"},
            "s3cret-value",
        ),
    ],
    ids=["environment", "itself", "stage", "pipeline", "step"],
)
def test_a_build_secret_comes_from_where_the_step_would_have_it(file, parts, value):
    if parts["spec"].startswith("{"):
        parts["spec"] = parts["spec"][1:-1].replace("}, env", "}\n                          env")
    assert file(env=SECRET_ENV, **parts).secrets() == {"t": value}


def test_a_variable_that_holds_nothing_gives_no_build_secret(file):
    spec = "envDockerSecrets: {t: TOKEN}\n                          envVariables: {TOKEN: ''}"
    with pytest.raises(SecretError, match="the variable TOKEN is empty"):
        file(spec=spec).settings()


def test_a_secret_is_not_taken_for_the_name_of_a_variable(file):
    settings = file(env=SECRET_ENV, spec="envDockerSecrets: {t: '<+secrets.getValue(\"tok\")>'}").settings()
    assert isinstance(settings.env_docker_secrets["t"], Secret)


# ---- platform


@pytest.mark.parametrize(
    ("machine", "platforms"),
    [
        ("", ()),
        ("platform: {os: Linux}", ()),
        ("platform: {os: Linux, arch: Arm64}", ("linux/arm64",)),
        ("platform: {os: MacOS, arch: Arm64}", ("linux/arm64",)),
        ("platform: {arch: Amd64}", ("linux/amd64",)),
        ("platform: {os: Windows}", ("windows/amd64",)),
        ("infrastructure: {spec: {os: Windows}}", ("windows/amd64",)),
        ("infrastructure: {spec: {os: Linux}}", ()),
        ("platform: {os: Linux, arch: <+pipeline.variables.arch>}", ("linux/arm64",)),
        ("infrastructure: {spec: {nodeSelector: {kubernetes.io/arch: arm64}}}", ("linux/arm64",)),
        (
            "infrastructure: {spec: {nodeSelector: {beta.kubernetes.io/arch: <+pipeline.variables.arch>}}}",
            ("linux/arm64",),
        ),
        ("infrastructure: {spec: {nodeSelector: {disk: ssd}}}", ()),
        ("infrastructure: {useFromStage: later}", ("linux/arm64",)),
    ],
)
def test_the_architecture_of_the_stage_is_that_of_the_image(file, machine, platforms):
    settings = file(machine=machine, pipeline="- {name: arch, value: Arm64}").settings()
    assert settings.platforms == platforms


def test_the_nodes_of_a_group_say_the_platform_before_those_of_the_stage(file):
    group = "stepGroupInfra: {type: KubernetesDirect, spec: {nodeSelector: {kubernetes.io/arch: s390x}}}"
    machine = "infrastructure: {spec: {nodeSelector: {kubernetes.io/arch: arm64}}}"
    for asked in (file(group=group), file(group=group, machine=machine)):
        assert asked.settings().platforms == ("linux/s390x",)
        assert not [note for note in asked.read().notes if "Infra" in note]


def test_two_architectures_of_one_stage_are_refused(file):
    """The image was for the platform of the stage, whatever nodes its infrastructure asks for."""
    nodes = "infrastructure: {{spec: {{nodeSelector: {{kubernetes.io/arch: {}}}}}}}"
    machine = f"platform: {{arch: Amd64}}\n          {nodes.format('arm64')}"
    with pytest.raises(SourceError, match="arch of the platform is amd64, and the nodes"):
        file(machine=machine).settings()
    assert file(machine=machine.replace("arm64", "amd64")).settings().platforms == ("linux/amd64",)


def test_what_the_step_says_counts_before_the_machine(file):
    spec = "envVariables: {PLUGIN_PLATFORM: linux/arm64}"
    assert file(machine="platform: {arch: Amd64}", spec=spec).settings().platforms == ("linux/arm64",)


def test_an_image_that_is_there_already_keeps_its_platform(file):
    spec = 'envVariables: {PLUGIN_PUSH_ONLY: "true"}'
    assert file(machine="platform: {arch: Arm64}", spec=spec).settings().platforms == ()


def test_an_architecture_that_counts_is_not_said_to_have_no_effect(file):
    notes = file(machine="infrastructure: {spec: {nodeSelector: {kubernetes.io/arch: arm64}}}").read().notes
    assert not [note for note in notes if "infrastructure" in note]


# ---- identifiers


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("<+org.identifier>", "retail"),
        ("<+project.identifier>", "web"),
        ("<+pipeline.tags.team>", "blue"),
        ("<+pipeline.tags.public>", ""),
        ("<+pipeline.name>", "Shop"),
        ("<+pipeline.identifier>", "Shop"),
        ("<+stage.name>", "Build it"),
        ("<+stage.identifier>", "Build_it"),
        ("<+stepGroup.identifier>", "images"),
        ("<+step.identifier>", "push"),
        ("<+pipeline.stages.later.name>", "Later"),
        ("<+pipeline.stages.later.spec.execution.steps.look.name>", "Look"),
        ("<+stage.spec.execution.steps.images.steps.push.spec.repo>", "acme.example/docker/app"),
    ],
)
def test_what_the_file_says_answers_expressions(file, expression, value):
    assert asked(file, expression) == value


def test_a_misspelt_name_does_not_list_the_whole_file(file):
    with pytest.raises(ExpressionError) as caught:
        asked(file, "<+pipeline.zzzzzzzzzzzzzz>")
    assert "stages" not in caught.value.hint

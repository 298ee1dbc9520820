"""Where a Job runs, and with what: the settings of a step become an order, a refusal, or a note."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from buildpush.cluster.manifest import JobOptions, Limits
from buildpush.cluster.order import ClusterOrder
from buildpush.credentials.connectors import Connectors
from buildpush.credentials.vault import Vault
from buildpush.expressions.facts import Counter, Facts, Git
from buildpush.foundation.errors import SettingsError
from buildpush.places import CommandResult, Recorded
from buildpush.settings.evaluate import evaluate
from buildpush.settings.resolve import resolve
from buildpush.settings.sources import read

PINNED = "r.test/image@sha256:" + 64 * "a"


@pytest.fixture
def order(tmp_path):
    """Return the function that resolves a step with variables in the environment, and gives the order."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")

    def order(spec=None, **variables):
        lines = {"repo": "h.test/team/app", "tags": ["1"], **(spec or {})}
        step = {"type": "BuildAndPushDockerRegistry", "identifier": "push", "spec": lines}
        timeout = variables.pop("timeout", None)
        (tmp_path / "step.yml").write_text(json.dumps({"step": {**step, **({"timeout": timeout} if timeout else {})}}))
        env = {f"PLUGIN_{name.upper()}": value for name, value in variables.items()}
        [found] = read(Path("step.yml"), env=env, flags={}, keywords={}, cwd=tmp_path, step=None).steps
        vault = Vault(env, tmp_path, None, {})
        git = Git(Recorded(lambda _: CommandResult(128)), tmp_path)
        facts = Facts(env, git, Counter(tmp_path / "state", dry=True), 0.0, vault.secret)
        wishes = evaluate(found, facts)
        return resolve(wishes, cwd=tmp_path, facts=facts, vault=vault, connectors=Connectors(), step=found)

    return order


def test_without_a_place_a_build_runs_here(order):
    assert order().cluster is None


def test_a_place_alone_is_an_order_with_defaults(order):
    found = order(place="kubernetes").cluster
    assert found == ClusterOrder(options=JobOptions(deadline=36_000))
    assert (found.options.patience, found.options.time_to_live) == (600.0, 600)


def test_all_settings_of_a_cluster_are_in_the_order(order, tmp_path):
    (tmp_path / "job.yaml").write_text("spec: {template: {spec: {nodeSelector: {disk: fast}}}}\n", encoding="utf-8")
    spec = {
        "resources": {"limits": {"memory": "2Gi", "cpu": "1500m"}, "requests": {"memory": "1Gi", "cpu": "250m"}},
        "runAsUser": "1000",
        "privileged": "true",
    }
    found = order(
        spec,
        timeout="1h",
        place="kubernetes",
        kube_context="builds",
        namespace="ci",
        service_account="builder",
        image_pull_secrets="one,two",
        executor_image=PINNED,
        receiver_image=PINNED,
        pusher_image=PINNED,
        job_template="job.yaml",
        job_patience="30m",
        job_time_to_live="1h",
    ).cluster
    assert found == ClusterOrder(
        context="builds",
        namespace="ci",
        options=JobOptions(
            service_account="builder",
            pull_secrets=("one", "two"),
            template={"spec": {"template": {"spec": {"nodeSelector": {"disk": "fast"}}}}},
            deadline=3600,
            time_to_live=3600,
            patience=1800.0,
        ),
        limits=Limits(
            user=1000,
            memory=2 * 1024**3,
            cores=1.5,
            requested_memory=1024**3,
            requested_cores=0.25,
            privileged=True,
        ),
        executor=PINNED,
        receiver=PINNED,
        pusher=PINNED,
    )


def test_requests_have_a_note_only_where_they_have_no_effect(order):
    spec = {"resources": {"requests": {"memory": "1Gi"}}}
    assert [note for note in order(spec).notes if "requests" in note]
    assert not [note for note in order(spec, place="kubernetes").notes if "requests" in note]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kube_context", "builds"),
        ("namespace", "ci"),
        ("service_account", "builder"),
        ("image_pull_secrets", "one"),
        ("executor_image", PINNED),
        ("receiver_image", PINNED),
        ("pusher_image", PINNED),
        ("job_template", "job.yaml"),
        ("job_patience", "30m"),
        ("job_time_to_live", "1h"),
    ],
)
def test_a_setting_of_a_cluster_has_a_note_where_there_is_none(order, name, value):
    notes = [note for note in order(**{name: value}).notes if "place is not kubernetes" in note]
    assert notes == [f"PLUGIN_{name.upper()}: {name} has no effect: place is not kubernetes"]


def test_in_a_cluster_there_is_no_such_note(order):
    assert not [note for note in order(place="kubernetes", namespace="ci").notes if "place is" in note]


@pytest.mark.parametrize("engine", ["native", "kaniko", "buildah", "auto"])
def test_an_image_that_pushes_has_a_note_only_for_the_engine_that_needs_none(order, engine):
    notes = [note for note in order(place="kubernetes", engine=engine, pusher_image=PINNED).notes if "pusher" in note]
    said = "PLUGIN_PUSHER_IMAGE: pusher_image has no effect: the engine native is that program, and pushes by itself"
    assert notes == ([said] if engine == "native" else [])


@pytest.mark.parametrize("engine", ["auto", "kaniko"])
def test_a_container_is_the_place_of_kaniko_and_of_no_other_engine(order, engine):
    found = order(place="container", engine=engine)
    assert (found.engine, found.cluster) == ("kaniko", None)


@pytest.mark.parametrize("engine", ["docker", "buildx", "buildah", "native"])
def test_no_other_engine_has_a_container_of_its_own(order, engine):
    with pytest.raises(SettingsError, match=f"the engine {engine} does not run in a container") as caught:
        order(place="container", engine=engine)
    assert (caught.value.where, caught.value.setting) == ("PLUGIN_PLACE", "place")
    assert caught.value.hint == "use engine: kaniko, or leave place out"


def test_a_build_without_a_push_cannot_run_in_a_cluster(order):
    with pytest.raises(SettingsError, match="a Job pushes from the cluster") as caught:
        order(place="kubernetes", push="false")
    assert caught.value.hint == "push it, or set place: here"


def test_an_image_that_is_not_pinned_is_refused(order):
    with pytest.raises(SettingsError, match=r"r\.test/image:1"):
        order(place="kubernetes", executor_image="r.test/image:1")


def test_another_place_is_refused(order):
    with pytest.raises(SettingsError, match="here, container, kubernetes"):
        order(place="moon")


# ---- templates


def template(order, tmp_path, text):
    (tmp_path / "job.yaml").write_text(text, encoding="utf-8")
    return order(place="kubernetes", job_template="job.yaml").cluster.options.template


def test_a_template_means_what_kubectl_reads_in_it(order, tmp_path):
    """That is YAML 1.1, without dates."""
    text = """\
metadata: {annotations: {day: 2026-11-28, time: 2026-11-28T09:00:00Z, word: "true"}}
spec:
  ttlSecondsAfterFinished: null
  template: {spec: {hostUsers: no, volumes: [{name: a, secret: {secretName: b, defaultMode: 0440}}]}}
"""
    found = template(order, tmp_path, text)
    assert found["metadata"]["annotations"] == {"day": "2026-11-28", "time": "2026-11-28T09:00:00Z", "word": "true"}
    pod = found["spec"]["template"]["spec"]
    assert pod["hostUsers"] is False
    assert pod["volumes"][0]["secret"]["defaultMode"] == 0o440
    assert found["spec"]["ttlSecondsAfterFinished"] is None
    json.dumps(found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "job.yaml: it cannot be read"),
        ("", "job.yaml: it is empty"),
        ("- a\n", "job.yaml is no map of a Job's fields"),
        ("text\n", "job.yaml is no map of a Job's fields"),
        ("a: [\n", "job.yaml:2:1: "),
        ("a: 1\na: 2\n", "job.yaml:2:1: the key 'a' appears here a second time"),
        ("a: !!python/name:os.system\n", "a tag has no meaning here"),
        ("a: .inf\n", "job.yaml has a number that JSON does not have"),
    ],
)
def test_a_template_that_cannot_be_used_is_told(order, tmp_path, text, message):
    if text is not None:
        (tmp_path / "job.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        order(place="kubernetes", job_template="job.yaml")
    assert message in str(caught.value)
    assert caught.value.hint


def test_a_field_that_a_template_cannot_change_is_refused(order, tmp_path):
    with pytest.raises(SettingsError, match=r"job.yaml cannot change spec\.backoffLimit, spec\.suspend") as caught:
        template(order, tmp_path, "spec: {suspend: false, backoffLimit: 3}\n")
    assert caught.value.hint == "leave them out: they find the Job again, and keep it from running twice"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("allow_nondistributable_artifacts", "true"),
        ("compression", "zstd"),
        ("load", "true"),
        ("media_types", "docker"),
        ("oci_layout_path", "layout"),
        ("tar_path", "image.tar"),
    ],
)
def test_what_only_a_push_from_here_honours_is_refused(order, name, value):
    with pytest.raises(SettingsError, match="a Job pushes from the cluster") as caught:
        order(place="kubernetes", **{name: value})
    assert caught.value.setting == name
    assert "place: here" in caught.value.hint

"""What is sent to a cluster for one build: a Job, and the Secret that it owns; the whole of it is in golden/."""

from __future__ import annotations

import base64
import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildpush.cluster import manifest
from buildpush.cluster.manifest import JobOptions, JobSpec, Limits, PodContainer, Run, fixed_fields, merge
from buildpush.credentials.docker import Credential
from buildpush.dockerfile.request import BuildRequest
from buildpush.engines import Tools
from buildpush.engines.by_name import Engines
from buildpush.engines.jobs import ClusterTools
from buildpush.engines.jobs.pushing import _script
from buildpush.foundation.documents import write_yaml
from buildpush.foundation.errors import ClusterError
from buildpush.foundation.secrets import Secret
from buildpush.images.model import Platform
from buildpush.images.references import Reference, Repository
from buildpush.places import FILES, Recorded
from tests.cluster.certificates import CERTIFICATE

GOLDEN = Path(__file__).parent / "golden"
PLANTED = "planted-value-of-a-secret"
RUN = Run("run-0", "0f0f0f0f0f0f0f0f", "4711 99 boot-0")
DIGEST = "sha256:" + 64 * "a"
OPTIONS = JobOptions(
    service_account="builder",
    pull_secrets=("registry-login",),
    template={"spec": {"template": {"spec": {"nodeSelector": {"disk": "fast"}}}}},
    deadline=3600,
)
LIMITS = Limits(
    user=1000,
    memory=2_000_000_000,
    cores=1.5,
    requested_memory=1_000_000_000,
    requested_cores=0.25,
    privileged=True,
)
ARGS = {
    "PLAIN": "1",
    "ODD": """a 'b' "c" $HOME $(HOME) $$ `id` \\ ; & | > *""",
    "LINES": "one\ntwo",
    "EMPTY": "",
    "TOKEN": PLANTED,
}


def request(tmp_path: Path, **changes) -> BuildRequest:
    (tmp_path / "Dockerfile").write_text("FROM hub.test/base:1\nCOPY . /\n", encoding="utf-8")
    everything = {
        "context": tmp_path,
        "dockerfile": tmp_path / "Dockerfile",
        "references": (Reference.parse("r.test/local/app:1"), Reference.parse("r.test/local/app:2")),
        "build_args": ARGS,
        "labels": {"com.acme.team": "a b"},
        "target": "final",
        "platforms": (Platform("linux", "arm64"),),
        "created": 1_700_000_000,
        "mirrors": ("mirror.test/hub",),
        "authorities": {"r.test": CERTIFICATE},
        "insecure": frozenset({"hub.test"}),
    }
    return BuildRequest(**{**everything, **changes})


def tools(**changes) -> Tools:
    cluster = ClusterTools(
        open=lambda: pytest.fail("nothing is sent"),
        options=OPTIONS,
        limits=LIMITS,
        executor=f"r.test/executor@{DIGEST}",
        receiver=f"r.test/busybox@{DIGEST}",
    )
    login = Credential("me", Secret(PLANTED, "x"), "the test")
    more = {"find": lambda host: login if host == "r.test" else None, "cluster": cluster, **changes}
    return Tools({"HTTP_PROXY": "http://here.test", "HOME": "/h"}, Recorded(), **more)


SECRETS = {"npm token": Secret(PLANTED, "x"), "it's": Secret(PLANTED, "x")}
PROXIES = {"HTTPS_PROXY": "http://proxy.test:3128"}
EVERYTHING = {
    "kaniko": {
        "proxies": PROXIES,
        "cache_repository": Repository("r.test", "local/cache"),
        "cache_hours": 24,
        "squash": True,
        "ignore_paths": ("/var/cache",),
    },
    "buildah": {"proxies": PROXIES, "build_secrets": SECRETS, "squash": True, "no_cache": True, "pull_image": True},
    "native": {"proxies": PROXIES},
}
PUSHED = ("kaniko-pusher", "buildah-pusher")
EVERYTHING |= {name: EVERYTHING[name.partition("-")[0]] for name in PUSHED}


def spec(name: str, tmp_path: Path, **changes) -> JobSpec:
    engine, _, pusher = name.partition("-")
    settings = {"kaniko_image": f"r.test/kaniko@{DIGEST}"} if engine == "kaniko" else {}
    pod = tools(settings=settings)
    pod = replace(pod, cluster=replace(pod.cluster, pusher=f"r.test/buildpush@{DIGEST}" if pusher else ""))
    return Engines(pod)[engine]._spec(request(tmp_path, **{**EVERYTHING[name], **changes}), "0123456789abcdef")


def documents(spec: JobSpec, options=OPTIONS) -> tuple[dict, dict]:
    """Return the Job, and its Secret as the server would get it."""
    job = manifest.job("buildpush-0", RUN, spec, options)
    kept = {**job, "metadata": {**job["metadata"], "uid": "uid-of-the-job"}}
    return job, manifest.secret(kept, spec)


def readable(secret: dict) -> dict:
    """Return a Secret with its values as text, and their secrets hidden."""
    texts = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    login = base64.b64encode(f"me:{PLANTED}".encode()).decode()
    hidden = {key: text.replace(PLANTED, "********").replace(login, "********") for key, text in texts.items()}
    return {**secret, "data": hidden}


@pytest.mark.parametrize("name", EVERYTHING)
def test_all_that_is_sent_for_a_build_with_everything_set(name, tmp_path):
    job, secret = documents(spec(name, tmp_path))
    assert f"{write_yaml(job)}---\n{write_yaml(readable(secret))}" == (GOLDEN / f"{name}.yaml").read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize("name", EVERYTHING)
def test_no_secret_is_in_a_job(name, tmp_path):
    job, secret = documents(spec(name, tmp_path))
    encoded = base64.b64encode(f"me:{PLANTED}".encode()).decode()  # of the host that is pushed to
    assert PLANTED not in str(job)
    assert encoded not in str(job)
    assert any(encoded.encode() in base64.b64decode(value) for value in secret["data"].values())


@pytest.mark.parametrize("name", EVERYTHING)
def test_no_secret_is_shown_of_what_is_to_be_run(name, tmp_path):
    shown = repr(spec(name, tmp_path))
    assert PLANTED not in shown
    assert base64.b64encode(f"me:{PLANTED}".encode()).decode() not in shown


@pytest.mark.parametrize("name", EVERYTHING)
def test_nothing_of_this_machine_is_in_a_job(name, tmp_path):
    job, secret = documents(spec(name, tmp_path))
    assert str(tmp_path) not in str(job)
    assert "here.test" not in str(job) + str(readable(secret))


# ---- one document


def simple(**changes) -> JobSpec:
    return JobSpec(**{"image": "i", "argv": ("true",), "receiver": "r", **changes})


def pod_of(job: dict) -> dict:
    return job["spec"]["template"]["spec"]


def builder(job: dict) -> dict:
    return pod_of(job)["containers"][0]


@pytest.mark.parametrize("name", PUSHED)
def test_only_the_container_that_pushes_gets_the_login_and_the_certificates_of_the_target(name, tmp_path):
    job, secret = documents(spec(name, tmp_path, cache_repository=None, target=None))  # and all bases are known
    login = base64.b64encode(f"me:{PLANTED}".encode()).decode()
    texts = {key: base64.b64decode(text).decode() for key, text in secret["data"].items()}
    private = {one["name"]: one["secret"]["items"] for one in pod_of(job)["volumes"] if "secret" in one}
    mounts = {one["name"]: {mount["name"] for mount in one["volumeMounts"]} for one in containers(job)}
    seen = {
        one: [texts[item["key"]] for volume, items in private.items() if volume in mounts[one] for item in items]
        for one in ("build", "push")
    }
    assert [login in str(texts) for texts in seen.values()] == [False, True]
    assert [CERTIFICATE in texts for texts in seen.values()] == [False, True]
    assert len(seen["push"]) == 2


@pytest.mark.parametrize("name", PUSHED)
def test_what_pushes_is_the_user_that_the_build_is_and_uses_as_much(name, tmp_path):
    job, _ = documents(spec(name, tmp_path))
    receive, build, push = containers(job)
    assert [one["name"] for one in (receive, build, push)] == ["receive", "build", "push"]
    assert receive["resources"] == build["resources"] == push["resources"]
    assert receive["securityContext"] == push["securityContext"]
    assert push["securityContext"]["runAsUser"] == build["securityContext"]["runAsUser"]


def containers(job: dict) -> list[dict]:
    """Return all containers of a Job, in the order in which they run."""
    return [*pod_of(job)["initContainers"], *pod_of(job)["containers"]]


def test_the_placeholder_of_private_files_is_replaced_everywhere():
    one = simple(argv=("a", f"--login={FILES}/login"), env={"CONFIG": f"{FILES}/c"}, files={"login": "x"}, work="/w")
    job, secret = documents(one, JobOptions())
    assert builder(job)["command"] == ["a", "--login=/w/private/login"]
    assert base64.b64decode(secret["data"]["env-0"]) == b"/w/private/c"
    assert FILES not in str(job)
    assert {"name": "private", "mountPath": "/w/private", "readOnly": True} in builder(job)["volumeMounts"]


def test_values_of_variables_are_in_the_secret():
    job, secret = documents(simple(env={"TOKEN": PLANTED}), JobOptions())
    reference = {"secretKeyRef": {"name": "buildpush-0", "key": "env-0"}}
    assert builder(job)["env"] == [{"name": "TOKEN", "valueFrom": reference}]
    assert base64.b64decode(secret["data"]["env-0"]).decode() == PLANTED


def test_a_secret_is_owned_by_its_job():
    job, secret = documents(simple(files={"a": "b"}), JobOptions())
    assert secret["metadata"]["ownerReferences"] == [
        {"apiVersion": "batch/v1", "kind": "Job", "name": "buildpush-0", "uid": "uid-of-the-job"}
    ]
    assert secret["metadata"]["labels"] == job["metadata"]["labels"]


@pytest.mark.parametrize("content", ["planted-file", b"planted-file", Secret("planted-file", "x")])
def test_a_private_file_may_be_text_bytes_or_a_secret(content):
    assert base64.b64decode(documents(simple(files={"a/b": content}))[1]["data"]["file-0"]) == b"planted-file"


def test_without_private_files_there_is_no_volume_for_them():
    job = manifest.job("n", Run("r"), simple(), JobOptions())
    assert [volume["name"] for volume in pod_of(job)["volumes"]] == ["work"]


def test_a_secret_that_is_too_large_is_refused_before_it_is_sent():
    largest = simple(files={"a": b"x" * 1_048_570}, env={"A": "x" * 6})
    documents(largest)
    with pytest.raises(ClusterError, match="have 1048577 bytes, and a Secret holds 1048576") as caught:
        documents(simple(files={"a": b"x" * 1_048_570}, env={"A": "x" * 7}))
    assert "fewer authorities" in caught.value.hint


def test_root_gets_the_default_group_and_private_files_that_only_it_reads():
    pod = pod_of(manifest.job("n", Run("r"), simple(files={"a": "b"}, limits=Limits(user=0)), JobOptions()))
    assert "securityContext" not in pod
    assert pod["volumes"][1]["secret"]["defaultMode"] == 0o400
    assert pod["containers"][0]["securityContext"] == {"runAsUser": 0, "runAsNonRoot": False}


def test_another_user_can_read_its_files_and_write_to_the_work_directory():
    pod = pod_of(manifest.job("n", Run("r"), simple(files={"a": "b"}, limits=Limits(user=1000)), JobOptions()))
    assert pod["securityContext"] == {"fsGroup": 1000}
    assert pod["volumes"][1]["secret"]["defaultMode"] == 0o440


@pytest.mark.parametrize(
    ("limits", "resources"),
    [
        (Limits(), None),
        (Limits(memory=1024), {"limits": {"memory": "1024"}}),
        (Limits(cores=2, requested_cores=0.1), {"limits": {"cpu": "2"}, "requests": {"cpu": "100m"}}),
        (Limits(cores=0.0005), {"limits": {"cpu": "1m"}}),
    ],
)
def test_limits_are_quantities_of_kubernetes(limits, resources):
    job = manifest.job("n", Run("r"), simple(limits=limits), JobOptions())
    assert builder(job).get("resources") == resources
    assert pod_of(job)["initContainers"][0].get("resources") == resources  # a quota asks for those of each container


@pytest.mark.parametrize("limits", [Limits(user=1000), Limits(user=1000, memory=1024)])
def test_a_build_that_needs_no_privilege_keeps_the_policy_restricted(limits):
    pod = pod_of(manifest.job("n", Run("r"), simple(limits=limits, capabilities=()), JobOptions()))
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "seccompProfile": {"type": "RuntimeDefault"},
            "capabilities": {"drop": ["ALL"]},
            "runAsUser": 1000,
            "runAsNonRoot": True,
        }


@pytest.mark.parametrize("limits", [Limits(user=0), Limits(), Limits(user=1000, privileged=True)])
def test_root_and_a_privileged_build_keep_their_capabilities(limits):
    for capabilities in ((), ("SETUID",)):
        job = manifest.job("n", Run("r"), simple(limits=limits, capabilities=capabilities), JobOptions())
        assert "capabilities" not in builder(job).get("securityContext", {})


def test_buildah_without_root_has_only_what_its_user_namespace_needs(tmp_path):
    own = replace(tools().cluster, limits=Limits(user=1000))
    job, _ = documents(Engines(tools(cluster=own))["buildah"]._spec(request(tmp_path), ""))
    assert builder(job)["securityContext"] == {
        "capabilities": {"drop": ["ALL"], "add": ["SETUID", "SETGID"]},
        "runAsUser": 1000,
        "runAsNonRoot": True,
    }
    (receiver,) = pod_of(job)["initContainers"]
    assert receiver["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_only_the_build_has_privileges():
    spec = simple(limits=Limits(privileged=True), push=PodContainer("r.test/ours:1", ("push",)))
    pod = pod_of(manifest.job("n", Run("r"), spec, JobOptions()))
    containers = (*pod["initContainers"], *pod["containers"])
    named = [one["name"] for one in containers if one.get("securityContext", {}).get("privileged")]
    assert (len(containers), named) == (3, ["build"])


# ---- templates


def with_template(template, **changes) -> dict:
    return manifest.job("n", Run("r"), simple(**changes), JobOptions(template=template))


def in_pod(template: dict) -> dict:
    return {"spec": {"template": {"spec": template}}}


def test_containers_of_a_template_are_merged_by_their_names():
    job = with_template(
        in_pod(
            {"containers": [{"name": "build", "env": [{"name": "A", "value": "b"}]}, {"name": "more", "image": "m"}]}
        ),
        env={"OWN": "x"},
    )
    build, more = pod_of(job)["containers"]
    assert build["image"] == "i"
    assert [one["name"] for one in build["env"]] == ["OWN", "A"]
    assert more == {"name": "more", "image": "m"}


@pytest.mark.parametrize("key", ["initContainers", "containers"])
def test_our_containers_may_be_in_either_list_of_a_template(key):
    more = [{"name": name, "env": [{"name": "FROM", "value": name}]} for name in ("receive", "build", "own")]
    pod = pod_of(with_template(in_pod({key: more, "nodeSelector": {"a": "b"}})))
    assert [one["name"] for one in pod["initContainers"]] == ["receive", *["own"] * (key == "initContainers")]
    assert [one["name"] for one in pod["containers"]] == ["build", *["own"] * (key == "containers")]
    assert all(one["env"][-1]["value"] == one["name"] for one in (*pod["initContainers"], *pod["containers"]))


@pytest.mark.parametrize("odd", [None, "text", 1, [1, None, "x"], [{}], [{"name": []}], {"name": "build"}])
def test_odd_lists_of_a_template_are_left_to_the_server(odd):
    assert pod_of(with_template(in_pod({"containers": odd})))["initContainers"][0]["name"] == "receive"


def test_a_volume_of_a_template_takes_the_place_of_ours():
    job = with_template(in_pod({"volumes": [{"name": "work", "emptyDir": {"sizeLimit": "20Gi"}}]}))
    assert pod_of(job)["volumes"] == [{"name": "work", "emptyDir": {"sizeLimit": "20Gi"}}]


def test_null_in_a_template_removes_an_entry():
    job = with_template({"spec": {"ttlSecondsAfterFinished": None, **in_pod({"enableServiceLinks": None})["spec"]}})
    assert "ttlSecondsAfterFinished" not in job["spec"]
    assert "enableServiceLinks" not in pod_of(job)


def test_null_in_a_map_of_the_template_alone_is_left_out():
    assert pod_of(with_template(in_pod({"nodeSelector": {"a": "b", "c": None}})))["nodeSelector"] == {"a": "b"}


def test_lists_without_names_are_joined():
    toleration = {"key": "builds", "operator": "Exists"}
    assert pod_of(with_template(in_pod({"tolerations": [toleration]})))["tolerations"] == [toleration]


def test_a_template_adds_labels_and_annotations():
    job = with_template({"metadata": {"labels": {"team": "a"}, "annotations": {"b": "c"}}})
    assert job["metadata"]["labels"]["team"] == "a"
    assert job["metadata"]["annotations"] == {"b": "c"}


OURS = {manifest.RUN_LABEL: "mine", manifest.JOB_LABEL: "mine"}


@pytest.mark.parametrize(
    "template",
    [
        {"metadata": {"name": "mine", "labels": OURS}},
        {"metadata": {"labels": None}},
        {"metadata": None},
        {"metadata": "text"},
        {"spec": {"suspend": False, "backoffLimit": 6, "completions": 2, "parallelism": 2}},
        {"spec": {"suspend": None, "backoffLimit": None}},
        {"spec": {"template": {"metadata": {"labels": OURS}}}},
        {"spec": {"template": {"metadata": None}}},
        {"spec": {"template": {"spec": {"restartPolicy": "OnFailure"}}}},
        {"apiVersion": "v1", "kind": "Pod"},
    ],
)
def test_what_finds_a_job_again_and_keeps_it_from_running_twice_cannot_be_changed(template):
    job, plain = with_template(template), manifest.job("n", Run("r"), simple(), JobOptions())
    for found in (job["metadata"], job["spec"]["template"]["metadata"]):
        assert (found["labels"][manifest.RUN_LABEL], found["labels"][manifest.JOB_LABEL]) == ("r", "n")
    assert (job["apiVersion"], job["kind"], job["metadata"]["name"]) == ("batch/v1", "Job", "n")
    for key in ("suspend", "backoffLimit", "completions", "parallelism"):
        assert job["spec"][key] == plain["spec"][key]
    assert pod_of(job)["restartPolicy"] == "Never"


def test_a_job_says_which_process_of_which_machine_waits_for_it():
    template = {"metadata": {"annotations": {manifest.PROCESS_NOTE: "mine", "other": "x"}}}
    job = manifest.job("n", RUN, simple(), JobOptions(template=template))
    assert job["metadata"]["labels"][manifest.MACHINE_LABEL] == "0f0f0f0f0f0f0f0f"
    assert job["metadata"]["annotations"] == {manifest.PROCESS_NOTE: "4711 99 boot-0", "other": "x"}


def test_fields_of_a_template_that_have_no_effect_are_named():
    template = {
        "kind": "Job",
        "metadata": {"name": "mine", "labels": {manifest.RUN_LABEL: "x", "team": "a"}, "annotations": {"a": "b"}},
        "spec": {"suspend": False, "ttlSecondsAfterFinished": 1, "template": {"spec": {"restartPolicy": "Always"}}},
    }
    assert sorted(fixed_fields(template)) == [
        "kind",
        "metadata.labels.buildpush.dev/run",
        "metadata.name",
        "spec.suspend",
        "spec.template.spec.restartPolicy",
    ]


@pytest.mark.parametrize("template", [{}, {"spec": None}, {"metadata": "x"}, {"spec": {"template": []}}])
def test_an_odd_template_is_no_fault(template):
    assert list(fixed_fields(template)) in ([], ["spec"], ["metadata"], ["spec.template"])


TREES = st.recursive(
    st.none() | st.integers(0, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(TREES, TREES)
def test_a_merge_changes_neither_of_its_parts_and_nothing_when_repeated_on_maps(document, patch):
    before = repr(document), repr(patch)
    merge(document, patch)
    assert (repr(document), repr(patch)) == before


@given(TREES)
def test_a_merge_with_nothing_changes_only_entries_that_are_nothing(document):
    assert merge({"a": document}, {}) == ({} if document is None else {"a": document})


# ---- scripts, run by a shell


def expanded(word: str, env=None) -> str:
    """Return *word* of a command as Kubernetes gives it to the container: ``$$`` is a dollar, ``$(NAME)`` a variable.

    Source: k8s.io/kubernetes, third_party/forked/golang/expansion.
    """
    variables = {"HOME": "wrong", "HTTPS_PROXY": "wrong", **(env or {})}

    def value(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else variables.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", value, word)


def test_dollars_arrive_as_they_are():
    argv = ("a", "$(HOME)", "$HOME", "$$", "$$(HOME)", "x$", "$(cat file)")
    job, _ = documents(simple(argv=argv), JobOptions())
    assert tuple(map(expanded, builder(job)["command"])) == argv


def variables(job: dict, secret: dict) -> dict[str, str]:
    """Return the variables of the build as its container gets them."""
    keys = {one["name"]: one["valueFrom"]["secretKeyRef"]["key"] for one in builder(job)["env"] if "valueFrom" in one}
    return {name: base64.b64decode(secret["data"][key]).decode() for name, key in keys.items()}


def test_the_arguments_of_kaniko_are_its_own_words_again_in_the_container(tmp_path):
    job, secret = documents(spec("kaniko", tmp_path))
    command = [expanded(word, variables(job, secret)) for word in builder(job)["command"]]
    assert [word for word in after(command, "--build-arg") if "=" in word and word.split("=")[0] in ARGS] == [
        f"{name}={value}" for name, value in ARGS.items()
    ]


@pytest.fixture
def words(tmp_path):
    """Return what the programs of a script get, with real programs that print it."""

    def words(name: str, program: str) -> list[list[str]]:
        job, secret = documents(spec(name, tmp_path))
        argv, given = [expanded(word) for word in builder(job)["command"]], variables(job, secret)
        place = tmp_path / "bin"
        place.mkdir()
        stand_in = place / program
        stand_in.write_text('#!/bin/sh\nfor word; do printf "%s\\0" "$word"; done; printf "\\0"\n', encoding="utf-8")
        stand_in.chmod(0o755)
        assert argv[:2] == ["sh", "-c"]
        script = argv[2].partition(" && cat ")[0]
        env = {**given, "PATH": f"{place}:/usr/bin:/bin"}
        ran = subprocess.run(["/bin/sh", "-c", script], env=env, cwd=tmp_path, capture_output=True, check=True)
        return [part.split("\0") for part in ran.stdout.decode().split("\0\0") if part]

    return words


def after(words: list[str], flag: str) -> list[str]:
    return [words[number + 1] for number, word in enumerate(words) if word == flag]


@pytest.mark.programs
def test_odd_arguments_pass_the_shell_of_buildah_unchanged(words):
    build, push = words("buildah", "buildah")
    given = [word for word in build if "=" in word and word.split("=")[0].removeprefix("--build-arg=") in ARGS]
    assert {word.removeprefix("--build-arg=") for word in given} == {f"{name}={value}" for name, value in ARGS.items()}
    assert [word for word in build if "npm token" in word]
    assert [word for word in build if "it's" in word]
    assert push[-1] == "docker://r.test/local/app:1"


@pytest.mark.programs
@pytest.mark.parametrize("status", [0, 4])
def test_the_message_of_a_push_is_its_digest_or_why_it_failed(tmp_path, status):
    pushed = PodContainer("i", ("sh", "-c", _script(request(tmp_path), str(tmp_path))))
    script = documents(simple(push=pushed), JobOptions())[0]["spec"]["template"]["spec"]["containers"][0]["command"][2]
    error = {"family": "PushError", "message": "it's full", "hint": None}
    answer = shlex.quote(json.dumps({"steps": [], "error": error}))
    real = f'[ "$1" = -c ] && exec {sys.executable} "$@"'
    fake = f"#!/bin/sh\n{real}\necho {answer}; echo {DIGEST} > {tmp_path}/digest; exit {status}\n"
    (tmp_path / "python3").write_text(fake)
    (tmp_path / "python3").chmod(0o755)
    script = expanded(script).replace("/dev/termination-log", f"{tmp_path}/message")
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    ran = subprocess.run(["/bin/sh", "-c", script], env=env, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (status, "push: r.test/local/app:1\n")
    told = json.dumps({"error": error | {"hint": ""}}) if status else DIGEST
    assert (tmp_path / "message").read_text() == f"{told}\n"


@pytest.mark.programs
def test_odd_arguments_pass_the_shell_of_native_unchanged(words):
    (run,) = words("native", "python3")
    assert after(run, "--build-arg") == [f"{name}={value}" for name, value in ARGS.items()]
    assert after(run, "--label") == ["com.acme.team=a b"]

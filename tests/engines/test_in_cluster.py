"""Engines in Jobs: which is chosen, what is refused, what is packed, and what comes back; no cluster is asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from dataclasses import replace
from io import BytesIO

import pytest

from buildpush.cluster import manifest
from buildpush.cluster.jobs import JobResult
from buildpush.cluster.manifest import JobOptions, Limits
from buildpush.credentials.docker import Credential
from buildpush.engines import Tools
from buildpush.engines.by_name import Engines
from buildpush.engines.choice import choose
from buildpush.engines.jobs import ClusterTools, pushing
from buildpush.engines.jobs.context import Packed
from buildpush.engines.jobs.engine import CREATED_LABEL, insecure_names, trusted
from buildpush.foundation.errors import (
    AuthenticationError,
    BuildError,
    ClusterError,
    ContextError,
    DigestError,
    EngineMissingError,
    PushError,
    UnreachableError,
    UnsupportedError,
)
from buildpush.foundation.events import Decision, Finished, Log, Note, Started
from buildpush.foundation.secrets import Secret
from buildpush.images.model import Platform, PushedBlob, PushedImage
from buildpush.images.references import Digest, Reference
from buildpush.places import Recorded

IMAGE = "r.test/executor@sha256:" + 64 * "a"
KANIKO = "r.test/kaniko@sha256:" + 64 * "a"
PUSHER = "r.test/buildpush@sha256:" + 64 * "a"
RECEIVER = "r.test/busybox@sha256:" + 64 * "a"
DIGEST = "sha256:" + 64 * "b"
PUSHED = PushedImage(
    b"{}",
    "m",
    Digest(DIGEST),
    (),
    PushedBlob(Digest("sha256:" + 64 * "c"), 1, "sent"),
    b"{}",
    (),
    Platform("linux", "amd64"),
)


def opened(payload) -> tarfile.TarFile:
    return tarfile.open(fileobj=BytesIO(b"".join(payload.blocks(compressed=True))))


class FakeCluster:
    """A cluster in which each Job ends as the test says."""

    def __init__(self, result, lines=()):
        self.result, self.lines, self.specs, self.members = result, lines, [], []

    def run(self, spec, _options, payload, *, show, sink):
        self.specs.append(spec)
        with opened(payload) as tar:
            self.members = tar.getnames()
        for line in self.lines:
            show(line)
        return self.result


def engines(cluster=None, *, kaniko="", executor="", receiver="", pusher="", **more) -> Engines:
    of_cluster = ClusterTools(
        lambda: cluster,
        JobOptions(),
        Limits(),
        executor,
        receiver,
        pusher,
        receipt=lambda name, digest: replace(PUSHED, digest=digest, references=(name,)),
    )
    settings = {"kaniko_image": kaniko} if kaniko else {}
    return Engines(Tools({}, Recorded(), cluster=of_cluster, settings=settings, **more))


def chosen(request, engines, wanted="auto", events=None):
    return choose(wanted, frozenset(), request, engines, (events if events is not None else []).append).name


# ---- which is chosen


def test_in_a_cluster_there_are_three_engines_in_the_order_of_harness():
    assert list(engines()) == ["kaniko", "buildah", "native"]


@pytest.mark.parametrize(
    ("images", "text", "engine"),
    [
        ({"kaniko": KANIKO, "receiver": RECEIVER}, "FROM scratch\n", "kaniko"),
        ({"kaniko": KANIKO, "receiver": RECEIVER, "executor": IMAGE}, "FROM scratch\n", "kaniko"),
        ({"kaniko": KANIKO, "pusher": PUSHER}, "FROM scratch\n", "kaniko"),  # which can receive the context as well
        ({"executor": IMAGE}, "FROM a\nRUN true\n", "buildah"),
        ({"executor": IMAGE, "receiver": RECEIVER}, "FROM scratch\n", "buildah"),  # it may not be kaniko's
    ],
)
def test_auto_takes_the_first_whose_image_is_given(directory, images, text, engine):
    directory.dockerfile(text)
    assert chosen(directory.request(), engines(**images)) == engine


def test_auto_says_why(directory):
    directory.dockerfile("FROM scratch\n")
    events = []
    chosen(directory.request(), engines(executor=IMAGE), events=events)
    (decision,) = [event for event in events if isinstance(event, Decision)]
    assert "kaniko is not used: no image with the program of kaniko is given" in decision.reason


def test_without_any_image_all_hints_are_said(directory):
    directory.dockerfile("FROM scratch\n")
    with pytest.raises(EngineMissingError, match="no engine can build this") as caught:
        chosen(directory.request(), engines())
    assert "set kanikoImage to an image of kaniko's executor" in caught.value.hint
    assert "set executorImage to an image that the cluster can pull" in caught.value.hint
    assert "examples/plugin" in caught.value.hint


def test_kaniko_needs_an_image_that_receives_the_context(directory):
    directory.dockerfile("FROM scratch\n")
    with pytest.raises(EngineMissingError, match="nothing is given that receives the context") as caught:
        chosen(directory.request(), engines(kaniko=KANIKO, executor=IMAGE), "kaniko")
    assert "such as busybox: kaniko's executor has none" in caught.value.hint


@pytest.mark.parametrize("name", ["docker", "buildx"])
def test_an_engine_that_needs_a_daemon_does_not_run_in_a_cluster(directory, name):
    directory.dockerfile("FROM scratch\n")
    with pytest.raises(UnsupportedError, match=f"the engine {name} does not run in a cluster") as caught:
        chosen(directory.request(), engines(executor=IMAGE), name)
    assert caught.value.hint == "choose one of: auto, buildah, kaniko, native"


def test_a_setting_that_is_not_honoured_names_engines_of_the_cluster(directory):
    directory.dockerfile("FROM scratch\n")
    with pytest.raises(UnsupportedError, match="cannot honour 'env_docker_secrets'") as caught:
        choose("native", {"env_docker_secrets"}, directory.request(), engines(executor=IMAGE), [].append)
    assert caught.value.hint == "use engine: buildah"


def test_the_images_of_a_job_are_among_those_that_are_pulled(directory):
    directory.dockerfile("FROM base.test/a:1\n")
    found = engines(kaniko=KANIKO, receiver=RECEIVER)["kaniko"].images(directory.request())
    assert list(map(str, found)) == [KANIKO, RECEIVER, "base.test/a:1"]
    found = engines(kaniko=KANIKO, pusher=PUSHER)["kaniko"].images(directory.request())
    assert list(map(str, found)) == [KANIKO, PUSHER, "base.test/a:1"]


def test_native_needs_no_other_program_to_push(directory):
    directory.dockerfile("FROM scratch\n")
    specs = [engines(executor=IMAGE, pusher=one)["native"]._spec(directory.request(), "x") for one in ("", PUSHER)]
    assert specs[0] == specs[1]
    assert specs[0].push is None


# ---- what is refused


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        (
            {"platforms": (Platform("linux", "amd64"), Platform("linux", "arm64"))},
            "a Job builds for one platform",
            "buildpush merge",
        ),
        ({"archive": "/tmp/image.tar"}, "leaves no archive here", "leave out tar_path"),
        (
            {"build_contexts": {"web": "docker-image://a.test/b", "lib": "/srv/lib"}},
            "the context lib is on this",
            "put it",
        ),
        ({"build_contexts": {"lib": "oci-layout:///srv/lib"}}, "the context lib is on this machine", "put it into"),
        ({"ssh": ("default",)}, "an SSH agent of this machine", "ssh_agent_key"),
    ],
)
@pytest.mark.parametrize("name", ["kaniko", "buildah", "native"])
def test_what_a_job_cannot_be_given_is_refused(directory, name, changes, message, hint):
    directory.dockerfile("FROM scratch\n")
    with pytest.raises(UnsupportedError, match=message) as caught:
        engines(kaniko=KANIKO, executor=IMAGE, receiver=RECEIVER)[name].refuses(directory.request(**changes))
    assert hint in caught.value.hint


def test_a_context_at_an_address_is_not_refused_for_its_place(directory):
    directory.dockerfile("FROM scratch\n")
    request = directory.request(build_contexts={"web": "docker-image://a.test/b"})
    assert engines(executor=IMAGE)["buildah"].refuses(request) is None


def test_native_refuses_run_in_a_job_as_well(directory):
    directory.dockerfile("FROM scratch\nRUN true\n")
    assert "RUN" in engines(executor=IMAGE)["native"].refuses(directory.request())


# ---- certificates and logins


HOST = Reference.parse("r.test:5000/local/app:1")


@pytest.mark.parametrize("name", ["r.test:5000", "r.test", "R.test", "*"])
def test_the_certificates_of_the_host_that_is_pushed_to_are_given(directory, name):
    directory.dockerfile("FROM scratch\n")
    assert trusted(directory.request(references=(HOST,), authorities={name: "pem"})) == {"r.test:5000": "pem"}


@pytest.mark.parametrize("name", ["r.test:5000", "r.test"])
def test_the_host_that_is_pushed_to_may_be_insecure(directory, name):
    directory.dockerfile("FROM base.test/a\n")
    request = directory.request(references=(HOST,), insecure=frozenset({name, "base.test"}))
    assert set(insecure_names(request)) == {"r.test:5000", "base.test"}


def test_a_job_gets_only_the_logins_that_it_needs(directory):
    directory.dockerfile("FROM base.test/a:1\n")
    asked = []

    def find(host):
        asked.append(host)
        return Credential("u", Secret("planted-password", "x"), "the test")

    files = engines(executor=IMAGE, find=find)["buildah"]._spec(directory.request(references=(HOST,)), "").files
    assert set(asked) == {"base.test", "r.test:5000"}
    assert '"r.test:5000"' in files["docker/config.json"]


# ---- what is shown


def test_a_check_shows_the_job_without_secrets(directory):
    directory.dockerfile("FROM scratch\n")
    secret = Secret("planted-in-an-argument", "x")
    request = directory.request(build_args={"A": secret.reveal()})
    (text,) = map(str, engines(executor=IMAGE)["buildah"].commands(request))
    assert text.startswith("spec:") or "kind: Job" in text
    assert "planted" not in text
    assert f'image: "{IMAGE}"' in text


# ---- what is packed


def test_the_context_is_packed_without_what_is_ignored(directory):
    directory.dockerfile("FROM scratch\nCOPY . /\n")
    directory.write("a/b", "content")
    directory.write("secret", "x")
    directory.write(".dockerignore", "secret\n")
    packed = Packed(directory.request(), [].append)
    with opened(packed) as tar:
        names = tar.getnames()
        assert tar.extractfile("context/a/b").read() == b"content"
        assert tar.extractfile("file/Dockerfile").read() == b"FROM scratch\nCOPY . /\n"
        assert tar.extractfile("file/Dockerfile.dockerignore").read() == b""
    assert "context/secret" not in names
    assert packed.done == packed.size


@pytest.mark.parametrize("compressed", [True, False])
def test_a_context_is_packed_again_for_another_attempt(directory, compressed):
    directory.dockerfile("FROM scratch\nCOPY . /\n")
    directory.write("a", os.urandom(3_000_000))
    packed = Packed(directory.request(), [].append)
    whole = b"".join(packed.blocks(compressed=compressed))
    next(packed.blocks(compressed=compressed))  # an attempt that breaks
    assert packed.done < packed.size
    assert b"".join(packed.blocks(compressed=compressed)) == whole
    assert (packed.done, packed.has_changed) == (packed.size, False)


def test_what_is_not_compressed_has_a_last_entry_that_tells_that_it_arrived_whole(directory):
    directory.dockerfile("FROM scratch\n")
    packed = Packed(directory.request(), [].append)
    with tarfile.open(fileobj=BytesIO(b"".join(packed.blocks(compressed=False))), mode="r:") as tar:
        *names, last = tar.getnames()
    with opened(packed) as tar:
        assert (names, last) == (tar.getnames(), manifest.WHOLE)


@pytest.mark.parametrize("name", ["a", "another"])
def test_what_changes_after_the_digest_is_sent_and_known(directory, name):
    """A log of the build may lie in the context."""
    directory.dockerfile("FROM scratch\nCOPY . /\n")
    directory.write("a", "before")
    packed = Packed(directory.request(), [].append)
    directory.write(name, "afterwards")
    with opened(packed) as tar:
        assert tar.extractfile(f"context/{name}").read() == b"afterwards"
    assert packed.has_changed


def test_a_file_that_changes_while_it_is_sent_ends_that(directory):
    directory.dockerfile("FROM scratch\nCOPY . /\n")
    directory.write("a", os.urandom(2_000_000))
    directory.write("b", "before")
    sending = Packed(directory.request(), [].append).blocks(compressed=True)
    next(sending)
    directory.write("b", "afterwards")
    with pytest.raises(ContextError, match="b changed while it was read"):
        list(sending)


def test_a_dockerfile_that_is_gone_is_told(directory):
    directory.dockerfile("FROM scratch\n")
    request = directory.request(dockerfile=directory.root / "Nofile")
    with pytest.raises(ContextError, match="Nofile cannot be read"):
        Packed(request, [].append)


# ---- what comes back


def built(directory, cluster, name="buildah", pusher="", **changes):
    directory.dockerfile("FROM scratch\nCOPY a /\n")
    if not (directory.root / "a").exists():
        directory.write("a", "x")
    images = {"kaniko": KANIKO, "executor": IMAGE, "receiver": RECEIVER, "pusher": pusher}
    engine = engines(cluster, **images, sink=directory.events.append)[name]
    with engine.build(directory.request(**changes)) as image:
        return image


@pytest.mark.parametrize("name", ["kaniko", "buildah", "native"])
def test_the_receipt_is_what_the_registry_has_by_the_digest_of_the_job(directory, name):
    cluster = FakeCluster(JobResult(0, f"r.test/x@{DIGEST}\n"))
    image = built(directory, cluster, name)
    assert (image.digest, list(map(str, image.references))) == (Digest(DIGEST), ["127.0.0.1:5000/local/app:1"])
    assert {"context/a", "file/Dockerfile"} <= set(cluster.members)


@pytest.mark.parametrize("message", ["", "done", "sha256:short"])
def test_a_job_that_does_not_say_what_it_pushed_is_no_success(directory, message):
    with pytest.raises(ClusterError, match="did not say what it pushed") as caught:
        built(directory, FakeCluster(JobResult(0, message)))
    assert caught.value.hint == f"check that the image {IMAGE} holds buildah"


def test_a_build_that_fails_has_the_end_of_its_log(directory):
    with pytest.raises(BuildError, match="exit status 3"):
        built(directory, FakeCluster(JobResult(1, ""), ["STEP 1/2", "Error: exit status 3"]))
    assert [event.line for event in directory.events if isinstance(event, Log)] == ["STEP 1/2", "Error: exit status 3"]


@pytest.mark.parametrize(
    "line",
    [
        "Error during unshare(CLONE_NEWUSER): Operation not permitted",
        "error setting supplemental groups list: operation not permittedsubprocess exited with status 1",
    ],
)
def test_buildah_without_a_user_namespace_says_what_it_needs(directory, line):
    with pytest.raises(BuildError) as caught:
        built(directory, FakeCluster(JobResult(1, ""), [line, "level=error"]))
    assert "file capabilities (setcap)" in caught.value.hint


def test_what_a_failed_job_wrote_to_its_message_is_told(directory):
    with pytest.raises(BuildError, match="no space left on device"):
        built(directory, FakeCluster(JobResult(1, "no space left on device"), ["STEP 1/2"]))


@pytest.mark.parametrize("name", ["kaniko", "buildah"])
def test_a_label_that_kaniko_leaves_to_the_dockerfile_is_told(directory, monkeypatch, name):
    kept = b'{"config": {"Labels": {"a": "step", "b": "file"}}}'
    monkeypatch.setattr(sys.modules[__name__], "PUSHED", replace(PUSHED, config_document=kept))
    built(directory, FakeCluster(JobResult(0, DIGEST)), name, labels={"a": "step", "b": "step", CREATED_LABEL: "now"})
    notes = [event.text for event in directory.events if isinstance(event, Note) and "label" in event.text]
    assert [note.partition(": ")[0] for note in notes] == ["the label b of the step has no effect"] * (name == "kaniko")


def answer(family, message, hint):
    error = {"family": family, "message": message, "hint": hint, "setting": None, "exit": 1}
    return json.dumps({"steps": [], "error": error}, indent=2)


@pytest.mark.parametrize("kind", [AuthenticationError, UnreachableError, DigestError, PushError])
@pytest.mark.parametrize("hint", ["check the password", None])
def test_a_push_that_fails_has_the_error_and_the_hint_of_what_pushes(directory, kind, hint):
    result = JobResult(1, answer(kind.__name__, "r.test refuses it", hint), "push")
    with pytest.raises(kind, match=r"the push from the cluster failed: r\.test refuses it") as caught:
        built(directory, FakeCluster(result, ["built"]), pusher=PUSHER)
    assert (type(caught.value), caught.value.hint) == (kind, hint)


@pytest.mark.programs
def test_a_push_tells_its_error_in_as_few_bytes_as_a_cluster_keeps(tmp_path):
    path = tmp_path / "answer"
    document = {"steps": ["x" * 5000], "error": json.loads(answer("AuthenticationError", "y" * 5000, "z"))["error"]}
    path.write_text(json.dumps(document))
    told = subprocess.run(
        [sys.executable, "-c", pushing._TELL, path], capture_output=True, text=True, check=True
    ).stdout
    assert len(told) < 4096
    assert isinstance(pushing.push_failure(JobResult(5, told, "push"), PUSHER), AuthenticationError)


def test_another_error_of_what_pushes_is_one_of_a_push(directory):
    with pytest.raises(PushError, match="is 9"):
        built(directory, FakeCluster(JobResult(1, answer("RegistryError", "it is 9", None), "push")), pusher=PUSHER)


@pytest.mark.parametrize("message", ["", "sh: python3: not found", "[]", '{"error": []}', '{"error": null}'])
def test_a_push_that_does_not_say_why_it_failed_names_its_image(directory, message):
    with pytest.raises(PushError, match="with status 127, and did not say why") as caught:
        built(directory, FakeCluster(JobResult(127, message, "push"), ["built"]), pusher=PUSHER)
    assert f"check that the image {PUSHER} holds buildpush" in caught.value.hint


def test_a_build_that_fails_before_its_push_is_a_build_that_fails(directory):
    with pytest.raises(BuildError, match="exit status 3"):
        built(directory, FakeCluster(JobResult(1, "", "build"), ["Error: exit status 3"]), pusher=PUSHER)


def test_another_image_that_pushes_has_another_identity(directory):
    cluster = FakeCluster(JobResult(0, DIGEST))
    for pusher in ("", PUSHER):
        built(directory, cluster, pusher=pusher)
    assert len({spec.request for spec in cluster.specs}) == 2


def test_lines_of_kaniko_are_read_from_its_json(directory):
    line = '{"level":"info","msg":"Retrieving image manifest","time":"t"}'
    built(directory, FakeCluster(JobResult(0, DIGEST), [line]), "kaniko")
    assert "Retrieving image manifest" in [event.line for event in directory.events if isinstance(event, Log)]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("buildah", "push: 127.0.0.1:5000/local/app:1"),
        ("native", "    2.5s  push: 127.0.0.1:5000/local/app:1"),
        ("kaniko", '{"level":"info","msg":"Pushing image to 127.0.0.1:5000/local/app:1"}'),
    ],
)
def test_the_log_says_when_the_push_begins(directory, name, line):
    built(directory, FakeCluster(JobResult(0, DIGEST), ["a", line, line]), name)
    phases = [event for event in directory.events if isinstance(event, Started | Finished)]
    assert [(type(event), event.phase) for event in phases] == [(Started, "push"), (Finished, "push")]


def test_the_push_of_another_container_begins_with_its_own_line(directory):
    lines = ["push: 127.0.0.1:5000/local/app:1"]
    built(directory, FakeCluster(JobResult(0, DIGEST), lines), "kaniko", pusher=PUSHER)
    phases = [event.phase for event in directory.events if isinstance(event, Started | Finished)]
    assert phases == ["push", "push"]


@pytest.mark.parametrize(
    "changes",
    [
        {"build_args": {"A": "b"}},
        {"labels": {"l": "m"}},
        {"target": "0"},
        {"created": None},
        {"references": (Reference.parse("127.0.0.1:5000/local/app:2"),)},
        {"platforms": (Platform("linux", "arm64"),)},
        {"build_contexts": {"web": "docker-image://a.test/b"}},
        {"add_hosts": {"db": "10.0.0.1"}},
        {"network": "host"},
        {"mirrors": ("mirror.test/hub",)},
        {"squash": True},
    ],
)
def test_another_build_has_another_identity(directory, changes):
    cluster = FakeCluster(JobResult(0, DIGEST))
    for one in ({}, {}, changes):
        built(directory, cluster, **one)
    first, second, other = (spec.request for spec in cluster.specs)
    assert first == second != other


def test_the_time_of_the_run_in_a_label_is_no_part_of_the_identity(directory):
    cluster = FakeCluster(JobResult(0, DIGEST))
    for time in ("2026-11-30T12:00:00Z", "2026-11-30T12:05:00Z"):
        built(directory, cluster, labels={"org.opencontainers.image.created": time})
    first, second = (spec.request for spec in cluster.specs)
    assert first == second


def test_a_fresh_clone_has_the_same_identity_and_another_content_has_not(directory):
    cluster = FakeCluster(JobResult(0, DIGEST))
    for number, text in enumerate(("x", "x", "y")):
        directory.write("a", text)
        os.utime(directory.root / "a", (number, number))
        built(directory, cluster)
    first, second, other = (spec.request for spec in cluster.specs)
    assert first == second != other


def test_another_engine_has_another_identity(directory):
    cluster = FakeCluster(JobResult(0, DIGEST))
    for name in ("buildah", "native"):
        built(directory, cluster, name)
    assert len({spec.request for spec in cluster.specs}) == 2

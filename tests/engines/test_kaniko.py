"""The engine kaniko: its commands, recorded; and the real executor, where ``KANIKO_EXECUTOR`` names one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import buildpush
from buildpush.engines import HINTS
from buildpush.engines.kaniko import Kaniko
from buildpush.errors import BuildError, EngineMissingError, SettingsError, UnsupportedError
from buildpush.events import Log, Note
from buildpush.images.model import Index, Platform, StepContainer
from buildpush.images.references import Repository
from buildpush.images.saving import write_docker_archive
from buildpush.places import Here, Ran, Recorded
from buildpush.registry.auth import Credential
from buildpush.secrets import Secret

REAL = "buildpush.test/kaniko:1"
IMAGE = "r.test/kaniko@sha256:" + 64 * "a"
FAILS = Ran(1, '{"level":"info","msg":"RUN x"}\nof the command\n{"level":"fatal","msg":"exit status 1","time":"t"}\n')


def program_answers(ran: Ran) -> Recorded:
    return Recorded(lambda call: Ran(0) if call.argv[-1] == "version" else ran)


@pytest.fixture
def told(folder):
    """Return the function that asks for a build that fails, and gives the call that started the container."""

    def told(text="FROM scratch\n", find=lambda _host: None, env=None, **changes):
        folder.dockerfile(text)
        place = program_answers(FAILS)
        engine = Kaniko({"HOME": "/h", **(env or {})}, place, IMAGE, find, folder.events.append)
        with pytest.raises(BuildError, match="exit status 1"), engine.build(folder.request(**changes)):
            pass
        return next(call for call in place.calls if "run" in call.argv)

    return told


def inside(argv) -> tuple[str, ...]:
    """Return what the executor is told, without where the image goes."""
    return argv[argv.index(IMAGE) + 1 : argv.index("--no-push")]


def test_a_request_becomes_flags_of_an_executor_that_pushes_nothing(told, folder):
    argv = told(
        build_args={"A": "1,2"},
        labels={"l": "m n"},
        platforms=(Platform("linux", "arm64"),),
        created=None,
    ).argv
    words = " ".join(inside(argv))
    assert argv[argv.index("--entrypoint") + 1] == "/kaniko/executor"
    assert "--context dir:///kaniko/buildpush/context --dockerfile /kaniko/buildpush/context/Dockerfile" in words
    assert "--build-arg A=1,2 --label l=m n --custom-platform linux/arm64" in words
    mount = f"type=bind,source={folder.root},target=/kaniko/buildpush/context,readonly"
    assert mount in argv
    out = argv[argv.index("--tar-path") + 1]
    assert out.startswith("/kaniko/buildpush/out/")


# What a value of each setting that kaniko spells makes of the command; where it lies is told above.
ANOTHER = {
    "build_args": ({"build_args": {"A": "b"}}, "--build-arg A=b"),
    "labels": ({"labels": {"l": "m"}}, "--label l=m"),
    "platforms": ({"platforms": (Platform("linux", "arm64"),)}, "--custom-platform linux/arm64"),
    "privileged": ({"container": StepContainer(privileged=True)}, "--privileged"),
    "remote_cache_repo": (
        {"cache_repository": Repository("r.test", "layers")},
        "--cache=true --cache-repo r.test/layers",
    ),
    "resources": ({"container": StepContainer(memory=500, cores=0.4)}, "--memory 500 --cpus 0.4"),
    "run_as_user": ({"container": StepContainer(user=0)}, "--user 0"),
    "optimize": ({"optimize": True}, "--snapshot-mode=redo"),
    "target": ({"target": "s"}, "--target s"),
    "mirror": ({"mirror": "r.test/hub"}, "--registry-mirror r.test/hub --skip-default-registry-fallback"),
}
SHOWN_ELSEWHERE = {"base_image_connector_refs", "context", "dockerfile", "no_cache", "pull_image"}


@pytest.mark.parametrize("setting", ANOTHER)
def test_every_setting_that_kaniko_spells_is_told_to_it(told, setting):
    changes, words = ANOTHER[setting]
    text = "FROM scratch AS s\n"
    assert words in " ".join(told(text, **changes).argv)
    assert words not in " ".join(told(text).argv)


def test_nothing_else_is_spelled():
    assert ANOTHER.keys() | SHOWN_ELSEWHERE == Kaniko.spells.keys()
    assert set(Kaniko.spells) >= HINTS


def test_a_dockerfile_beside_the_context_is_mounted_with_its_ignore_file(told, folder):
    other = folder.root.parent / "Other"
    other.write_text("FROM scratch\n")
    (folder.root.parent / "Other.dockerignore").write_text("x\n")
    argv = told(dockerfile=other).argv
    mounts = [word for word in argv if word.startswith("type=bind")]
    assert f"type=bind,source={other},target=/kaniko/buildpush/file/Other,readonly" in mounts
    assert any("Other.dockerignore" in mount for mount in mounts)
    assert "--dockerfile /kaniko/buildpush/file/Other" in " ".join(argv)


def test_logins_travel_in_private_files(told):
    find = {"a.test": Credential("u", Secret("p4ss-of-kaniko"), "x")}.get
    call = told("FROM a.test/base\n", find)
    (config,) = [content for name, content in call.files.items() if name.endswith("config.json")]
    assert list(json.loads(config)["auths"]) == ["a.test"]
    assert "p4ss-of-kaniko" not in " ".join(call.argv) + str(call.env)


def test_a_registry_of_this_machine_is_reached_by_its_own_network_without_tls(told):
    words = " ".join(told("FROM 127.0.0.1:5000/base\n").argv)
    assert "--network host" in words
    assert "--insecure-registry 127.0.0.1:5000" in words


def test_another_user_than_root_is_refused_before_anything_is_started(folder):
    folder.dockerfile("FROM scratch\n")
    place = Recorded()
    request = folder.request(container=StepContainer(user=1000))
    with pytest.raises(UnsupportedError) as caught, Kaniko({}, place, IMAGE).build(request):
        pass
    assert caught.value.setting == "run_as_user"
    assert "buildah" in caught.value.hint
    assert not place.calls


@pytest.mark.parametrize(
    ("image", "answer", "words"),
    [(None, Ran(0), "nobody names the image"), (IMAGE, Ran(1), "neither docker nor podman")],
)
def test_without_an_image_or_a_program_it_is_missing(folder, image, answer, words):
    engine = Kaniko({}, Recorded([answer]), image)
    reason = engine.missing()
    assert words in reason
    with pytest.raises(EngineMissingError) as caught, engine.build(folder.request()):
        pass
    assert caught.value.hint


def test_a_failed_build_tells_its_last_lines_and_the_log_is_for_people(told, folder):
    told()
    assert [event.line for event in folder.events if isinstance(event, Log)] == [
        "RUN x",
        "of the command",
        "fatal: exit status 1",
    ]


def test_a_container_that_was_killed_points_to_its_memory(folder):
    folder.dockerfile("FROM scratch\n")
    engine = Kaniko({}, program_answers(Ran(137)), IMAGE)
    with pytest.raises(BuildError) as caught, engine.build(folder.request()):
        pass
    assert "resources.limits.memory" in caught.value.hint


def test_the_image_comes_out_of_the_archive_one_for_each_platform(folder, make_base):
    def packed(call):
        mounts = [word for word in call.argv if word.startswith("type=bind") and "target=/kaniko/buildpush/out" in word]
        if mounts:
            folder_out = Path(mounts[0].split("source=")[1].split(",")[0])
            name = Path(call.argv[call.argv.index("--tar-path") + 1]).name
            write_docker_archive(make_base({"a": "b"}), folder_out / name)
        return Ran(0)

    folder.dockerfile("FROM scratch\n")
    platforms = (Platform("linux", "amd64"), Platform("linux", "arm64"))
    with Kaniko({}, Recorded(packed), IMAGE).build(folder.request(platforms=platforms)) as index:
        assert isinstance(index, Index)
        assert tuple(image.platform for image in index.images) == platforms
        assert folder.files_of(index.images[0])["a"].text == "b"


def test_times_that_would_be_set_are_noted(told, folder):
    told(created=1)
    assert any("SOURCE_DATE_EPOCH" in str(event) for event in folder.events if isinstance(event, Note))


@pytest.fixture
def image(need, tmp_path):
    """Return the name of an image of the executor that ``KANIKO_EXECUTOR`` names; no registry may be reachable."""
    executor = os.environ.get("KANIKO_EXECUTOR")
    if not executor:
        pytest.skip("needs kaniko: KANIKO_EXECUTOR names no executor")
    need("docker")
    (tmp_path / "image").mkdir()
    shutil.copy(executor, tmp_path / "image/executor")
    (tmp_path / "image/Dockerfile").write_text("FROM scratch\nCOPY --chmod=755 executor /kaniko/executor\n")
    subprocess.run(["docker", "build", "--tag", REAL, tmp_path / "image"], check=True, capture_output=True)
    yield REAL
    subprocess.run(["docker", "rmi", "--force", REAL], check=True, capture_output=True)


@pytest.mark.engines
def test_the_real_executor_builds_what_a_dockerfile_says(folder, busybox, image):
    folder.write("busybox", busybox.read_bytes(), mode=0o755)
    folder.write("a", "hello")
    folder.dockerfile("FROM scratch\nCOPY busybox /bin/sh\nCOPY --chown=3:4 a /x/a\nARG V\nRUN echo $V > /got\n")
    env = dict(os.environ)
    with Kaniko(env, Here(env), image).build(folder.request(build_args={"V": "7"})) as built:
        found = folder.files_of(built)
    assert (found["x/a"].text, found["x/a"].owner, found["got"].text) == ("hello", (3, 4), "7\n")


@pytest.mark.parametrize(("env", "first"), [({}, False), ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, True)])
def test_in_a_cluster_kaniko_is_asked_first(folder, env, first):
    folder.dockerfile("FROM scratch\nCOPY a /a\n")
    plan = buildpush.check(cwd=folder.root, env={"HOME": str(folder.root), **env}, repo="a.test/b/c", push=False)
    assert ("kaniko is passed over: nobody names the image" in str(plan)) == first


def test_an_executor_without_a_digest_is_refused(folder):
    folder.dockerfile("FROM scratch\n")
    with pytest.raises(SettingsError, match="has no digest"):
        buildpush.check(cwd=folder.root, env={}, repo="a.test/b/c", kaniko_image="r.test/kaniko:1")

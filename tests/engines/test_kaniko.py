"""The engine kaniko: its commands, recorded; and the real executor, where ``KANIKO_EXECUTOR`` names one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import buildpush
from buildpush.credentials.docker import Credential
from buildpush.dockerfile.request import StepContainer
from buildpush.engines import Tools
from buildpush.engines.choice import HINTS
from buildpush.engines.kaniko.kaniko import Kaniko
from buildpush.foundation.errors import BuildError, DockerfileError, EngineMissingError, SettingsError, UnsupportedError
from buildpush.foundation.events import Log, Note
from buildpush.foundation.secrets import Secret
from buildpush.images.model import Image, Index, Platform
from buildpush.images.references import Repository
from buildpush.places import Here, Ran, Recorded
from buildpush.transfer.docker_archive import write_docker_archive

IMAGE = "r.test/kaniko@sha256:" + 64 * "a"


def kaniko(place, image=IMAGE, env=None, **more):
    return Kaniko(Tools(env or {}, place, settings={"kaniko_image": image}, **more))


FAILS = Ran(1, '{"level":"info","msg":"RUN x"}\nof the command\n{"level":"fatal","msg":"exit status 1","time":"t"}\n')


def program_answers(ran: Ran) -> Recorded:
    return Recorded(lambda call: Ran(0) if call.argv[-1] == "version" else ran)


@pytest.fixture
def told(folder):
    """Return the function that asks for a build that fails, and gives the call that started the container."""

    def told(text="FROM scratch\n", find=lambda _host: None, env=None, **changes):
        folder.dockerfile(text)
        place = program_answers(FAILS)
        engine = kaniko(place, env={"HOME": "/h", **(env or {})}, find=find, sink=folder.events.append)
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


def test_arguments_of_the_platform_are_told_unless_the_user_gives_them(told):
    argv = told(platforms=(Platform("linux", "arm", "v7"),), build_args={"TARGETOS": "mine"}).argv
    found = [word for word in argv if word.startswith("TARGET")]
    assert sorted(found) == ["TARGETARCH=arm", "TARGETOS=mine", "TARGETPLATFORM=linux/arm/v7", "TARGETVARIANT=v7"]


def test_nothing_else_is_spelled():
    assert ANOTHER.keys() | SHOWN_ELSEWHERE == Kaniko.flags.keys()
    assert set(Kaniko.flags) >= HINTS


def test_a_dockerfile_beside_the_context_is_mounted_with_its_ignore_file(told, folder):
    other = folder.root.parent / "Other"
    other.write_text("FROM scratch\n")
    (folder.root.parent / "Other.dockerignore").write_text("x\n")
    argv = told(dockerfile=other).argv
    mounts = [word for word in argv if word.startswith("type=bind")]
    assert f"type=bind,source={other},target=/kaniko/buildpush/file/Other,readonly" in mounts
    assert any("Other.dockerignore" in mount for mount in mounts)
    assert "--dockerfile /kaniko/buildpush/file/Other" in " ".join(argv)


def test_kaniko_is_asked_to_do_as_docker_does_unless_the_user_says_otherwise(told):
    def variables(env):
        lines = told(env=env).files["env"].splitlines()
        return dict(line.split("=", 1) for line in lines if line.startswith("FF_KANIKO_"))

    usual = variables({})
    assert usual["FF_KANIKO_COPY_AS_ROOT"] == usual["FF_KANIKO_EXPAND_HEREDOC"] == "true"
    said = {"FF_KANIKO_COPY_AS_ROOT": "false", "FF_KANIKO_RUN_VIA_TINI": "true"}
    assert variables(said) == usual | said


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
    with pytest.raises(UnsupportedError) as caught, kaniko(place).build(request):
        pass
    assert caught.value.setting == "run_as_user"
    assert "buildah" in caught.value.hint
    assert not place.calls


FLAGS = {
    "COPY --exclude=b . /": "COPY --exclude",
    "COPY --parents a /": "COPY --parents",
    "ADD --unpack=false a.tar /": "ADD --unpack",
    f"ADD --checksum=sha256:{'0' * 64} http://a.test/a /": "ADD --checksum",
    "RUN --network=none true": "RUN --network",
}


@pytest.mark.parametrize("line", FLAGS)
def test_a_flag_that_kaniko_would_pass_over_is_refused_before_anything_is_started(folder, line):
    folder.dockerfile(f"FROM scratch\n{line}\n")
    place = Recorded()
    with (
        pytest.raises(DockerfileError, match=FLAGS[line]) as caught,
        kaniko(place).build(folder.request()),
    ):
        pass
    assert caught.value.where == "Dockerfile:2"
    assert not place.calls


def test_a_flag_in_a_stage_that_is_chosen_by_platform_is_refused(folder):
    folder.dockerfile("FROM scratch AS s-amd64\nFROM scratch AS s-arm64\nCOPY --parents a /\nFROM s-$TARGETARCH\n")
    platforms = (Platform("linux", "amd64"), Platform("linux", "arm64"))
    assert kaniko(Recorded()).refuses(folder.request(platforms=platforms)) == "Dockerfile:3: COPY --parents"


@pytest.mark.parametrize(
    "text",
    [
        "FROM scratch AS other\nCOPY --parents a /\nFROM scratch\nCOPY a /\n",  # a stage that is not built
        "FROM scratch\nCOPY --link --chmod=600 --chown=1:2 a /\n",
        "FROM scratch\nCOPY --parents=false a /\nRUN --network=default --mount=type=cache,target=/c true\n",
        "FROM $NOBODY_SETS_IT\nCOPY --parents a /\n",  # kaniko will say so
    ],
)
def test_what_kaniko_knows_or_says_itself_is_not_refused(folder, text):
    folder.dockerfile(text)
    assert kaniko(Recorded()).refuses(folder.request()) is None


@pytest.mark.parametrize(
    ("image", "answer", "words"),
    [(None, Ran(0), "no image of kaniko's executor"), (IMAGE, Ran(1), "neither docker nor podman")],
)
def test_without_an_image_or_a_program_it_is_missing(folder, image, answer, words):
    engine = kaniko(Recorded([answer]), image)
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
    engine = kaniko(program_answers(Ran(137)))
    with pytest.raises(BuildError) as caught, engine.build(folder.request()):
        pass
    assert "resources.limits.memory" in caught.value.hint


def leaves(image: Image) -> Recorded:
    """Return a place in which the executor leaves *image*."""

    def answer(call):
        mounts = [word for word in call.argv if word.startswith("type=bind") and "target=/kaniko/buildpush/out" in word]
        if mounts:
            name = Path(call.argv[call.argv.index("--tar-path") + 1]).name
            write_docker_archive(image, Path(mounts[0].split("source=")[1].split(",")[0]) / name)
        return Ran(0)

    return Recorded(answer)


def test_the_image_comes_out_of_the_archive_one_for_each_platform(folder, make_base):
    folder.dockerfile("FROM scratch\n")
    platforms = (Platform("linux", "amd64"), Platform("linux", "arm64"))
    with kaniko(leaves(make_base({"a": "b"}))).build(folder.request(platforms=platforms)) as index:
        assert isinstance(index, Index)
        assert tuple(image.platform for image in index.images) == platforms
        assert folder.files_of(index.images[0])["a"].text == "b"


def test_labels_of_the_step_win_over_those_of_the_dockerfile(folder, make_base):
    folder.dockerfile("FROM scratch\nLABEL l=file k=kept\n")
    left = make_base({"a": "b"}, Labels={"l": "file", "k": "kept"})
    with kaniko(leaves(left)).build(folder.request(labels={"l": "step"})) as built:
        assert folder.config_of(built)["config"]["Labels"] == {"l": "step", "k": "kept"}


def test_times_that_would_be_set_are_noted(told, folder):
    told(created=1)
    assert any("SOURCE_DATE_EPOCH" in str(event) for event in folder.events if isinstance(event, Note))


@pytest.mark.engines
def test_the_real_executor_builds_what_a_dockerfile_says(folder, busybox, kaniko_image):
    folder.write("busybox", busybox.read_bytes(), mode=0o755)
    folder.write("a", "hello")
    folder.dockerfile("FROM scratch\nCOPY busybox /bin/sh\nCOPY --chown=3:4 a /x/a\nARG V\nRUN echo $V > /got\n")
    env = dict(os.environ)
    with kaniko(Here(env), kaniko_image, env).build(folder.request(build_args={"V": "7"})) as built:
        found = folder.files_of(built)
    assert (found["x/a"].text, found["x/a"].owner, found["got"].text) == ("hello", (3, 4), "7\n")


@pytest.mark.engines
def test_the_real_executor_leaves_to_root_what_is_copied_after_user(folder, kaniko_image):
    folder.write("a", "hello")
    folder.dockerfile("FROM scratch\nARG V=x\nUSER 5:6\nCOPY a /a\nCOPY <<E /b\n$V\nE\n")
    env = dict(os.environ)
    with kaniko(Here(env), kaniko_image, env).build(folder.request()) as built:
        found = folder.files_of(built)
    assert {path: (found[path].owner, found[path].text) for path in "ab"} == {
        "a": ((0, 0), "hello"),
        "b": ((0, 0), "x\n"),
    }


@pytest.mark.parametrize(("env", "first"), [({}, False), ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, True)])
def test_in_a_cluster_kaniko_is_asked_first(folder, env, first):
    folder.dockerfile("FROM scratch\nCOPY a /a\n")
    plan = buildpush.check(cwd=folder.root, env={"HOME": str(folder.root), **env}, repo="a.test/b/c", push=False)
    assert ("kaniko is passed over: no image of kaniko's executor" in str(plan)) == first


def test_an_executor_without_a_digest_is_refused(folder):
    folder.dockerfile("FROM scratch\n")
    with pytest.raises(SettingsError, match="does not have a digest"):
        buildpush.check(cwd=folder.root, env={}, repo="a.test/b/c", kaniko_image="r.test/kaniko:1")

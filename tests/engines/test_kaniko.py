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
from buildpush.engines.choice import HINTS, refuse_unsupported_settings
from buildpush.engines.kaniko.arguments import OWN_FLAGS
from buildpush.engines.kaniko.kaniko import Kaniko
from buildpush.engines.native import Native
from buildpush.foundation.errors import BuildError, DockerfileError, EngineMissingError, SettingsError, UnsupportedError
from buildpush.foundation.events import Log, Note
from buildpush.foundation.secrets import Secret
from buildpush.images.model import Image, Index, Platform
from buildpush.images.references import Repository
from buildpush.places import CommandResult, Here, Recorded
from buildpush.transfer.docker_archive import write_docker_archive

IMAGE = "r.test/kaniko@sha256:" + 64 * "a"


def kaniko(place, image=IMAGE, env=None, own=None, **more):
    return Kaniko(Tools(env or {}, place, settings={"kaniko_image": image, **(own or {})}, **more))


FAILS = CommandResult(
    1, '{"level":"info","msg":"RUN x"}\nof the command\n{"level":"fatal","msg":"exit status 1","time":"t"}\n'
)


def program_answers(ran: CommandResult) -> Recorded:
    return Recorded(lambda call: CommandResult(0) if call.argv[-1] == "version" else ran)


@pytest.fixture
def told(directory):
    """Return the function that asks for a build that fails, and gives the call that started the container."""

    def told(text="FROM scratch\n", find=lambda _host: None, env=None, own=None, **changes):
        directory.dockerfile(text)
        place = program_answers(FAILS)
        engine = kaniko(place, env={"HOME": "/h", **(env or {})}, own=own, find=find, sink=directory.events.append)
        with pytest.raises(BuildError, match="exit status 1"), engine.build(directory.request(**changes)):
            pass
        return next(call for call in place.calls if "run" in call.argv)

    return told


def inside(argv) -> tuple[str, ...]:
    """Return what the executor is told, without where the image goes."""
    return argv[argv.index(IMAGE) + 1 : argv.index("--no-push")]


def test_a_request_becomes_flags_of_an_executor_that_pushes_nothing(told, directory):
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
    mount = f"type=bind,source={directory.root},target=/kaniko/buildpush/context,readonly"
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
    "ignore_paths": ({"ignore_paths": ("/a", "/b")}, "--ignore-path /a --ignore-path /b"),
    "cache_ttl": (
        {"cache_repository": Repository("r.test", "layers"), "cache_hours": 6},
        "--cache-repo r.test/layers --cache-ttl=6h",
    ),
    "squash": ({"squash": True}, "--single-snapshot"),
    "target": ({"target": "s"}, "--target s"),
    "mirror": (
        {"mirrors": ("r.test/hub", "s.test")},
        "--registry-mirror r.test/hub --registry-mirror s.test --skip-default-registry-fallback",
    ),
}
SHOWN_ELSEWHERE = {
    *("insecure_registry", "registry_certificate", "base_image_connector_refs", "context", "dockerfile"),
    *("no_cache", "pull_image"),
}


@pytest.mark.parametrize("setting", ANOTHER)
def test_every_setting_that_kaniko_spells_is_told_to_it(told, setting):
    changes, words = ANOTHER[setting]
    text = "FROM scratch AS s\n"
    assert words in " ".join(told(text, **changes).argv)
    assert words not in " ".join(told(text).argv)


ALONE = {
    "snapshot_mode": ("time", "--snapshot-mode=time"),
    "use_new_run": (True, "--use-new-run=true"),
    "skip_unused_stages": (False, "--skip-unused-stages=false"),
    "ignore_var_run": (False, "--ignore-var-run=false"),
    "cache_copy_layers": (True, "--cache-copy-layers=true"),
    "cache_run_layers": (False, "--cache-run-layers=false"),
    "compressed_caching": (False, "--compressed-caching=false"),
    "image_download_retry": (3, "--image-download-retry=3"),
    "image_fs_extract_retry": (2, "--image-fs-extract-retry=2"),
    "skip_push_permission_check": (True, "--skip-push-permission-check=true"),
    "verbosity": ("debug", "--verbosity=debug"),
}


@pytest.mark.parametrize("setting", ALONE)
def test_a_setting_of_kaniko_alone_is_its_flag(told, setting):
    value, flag = ALONE[setting]
    assert flag in told(own={setting: value}).argv
    assert flag not in told(own={setting: None}).argv


def test_no_setting_of_kaniko_alone_is_left_out():
    assert ALONE.keys() == set(OWN_FLAGS)


@pytest.mark.parametrize("setting", ALONE)
def test_another_engine_says_what_it_does_without_a_setting_of_kaniko(setting):
    events = []
    refuse_unsupported_settings(Native(Tools({}, Recorded())), {setting}, events.append)
    assert [event.text.partition(": ")[2] for event in events] == [f"{setting} is for the engine kaniko"]
    assert "engine native" in events[0].text


def test_arguments_of_the_platform_are_told_unless_the_user_gives_them(told):
    argv = told(platforms=(Platform("linux", "arm", "v7"),), build_args={"TARGETOS": "mine"}).argv
    found = [word for word in argv if word.startswith("TARGET")]
    assert sorted(found) == ["TARGETARCH=arm", "TARGETOS=mine", "TARGETPLATFORM=linux/arm/v7", "TARGETVARIANT=v7"]


def test_nothing_else_is_spelled():
    assert ANOTHER.keys() | SHOWN_ELSEWHERE == Kaniko.flags.keys()
    assert set(Kaniko.flags) >= HINTS


def test_a_dockerfile_beside_the_context_is_mounted_with_its_ignore_file(told, directory):
    other = directory.root.parent / "Other"
    other.write_text("FROM scratch\n")
    (directory.root.parent / "Other.dockerignore").write_text("x\n")
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


@pytest.mark.parametrize("declared", ["bases.test:5000", "bases.test"])
def test_a_host_that_was_declared_insecure_is_reached_by_any_certificate_or_without_tls(told, declared):
    words = " ".join(told("FROM bases.test:5000/base\n", insecure=frozenset({declared, "elsewhere.test"})).argv)
    assert "--insecure-registry bases.test:5000 --skip-tls-verify-registry bases.test:5000" in words
    assert "elsewhere.test" not in words


def test_certificates_of_a_host_are_a_private_file(told):
    call = told("FROM bases.test:5000/base\n", authorities={"Bases.test": "the PEM text", "elsewhere.test": "another"})
    flag, path = call.argv[call.argv.index("--registry-certificate") + 1].split("=")
    assert (flag, path.endswith("/authorities/0.pem")) == ("bases.test:5000", True)
    texts = [text for name, text in call.files.items() if "authorities/" in name]
    assert texts == ["the PEM text"]


def test_docker_hub_is_asked_after_the_mirrors_where_it_is_the_last(told):
    words = " ".join(told("FROM alpine\n", mirrors=("m.test/hub", "docker.io")).argv)
    assert "--registry-mirror m.test/hub" in words
    assert not {"docker.io", "--skip-default-registry-fallback"} & set(words.split())


def test_another_user_than_root_is_refused_before_anything_is_started(directory):
    directory.dockerfile("FROM scratch\n")
    place = Recorded()
    request = directory.request(container=StepContainer(user=1000))
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
def test_a_flag_that_kaniko_would_pass_over_is_refused_before_anything_is_started(directory, line):
    directory.dockerfile(f"FROM scratch\n{line}\n")
    place = Recorded()
    with (
        pytest.raises(DockerfileError, match=FLAGS[line]) as caught,
        kaniko(place).build(directory.request()),
    ):
        pass
    assert caught.value.where == "Dockerfile:2"
    assert not place.calls


def test_a_flag_in_a_stage_that_is_chosen_by_platform_is_refused(directory):
    directory.dockerfile("FROM scratch AS s-amd64\nFROM scratch AS s-arm64\nCOPY --parents a /\nFROM s-$TARGETARCH\n")
    platforms = (Platform("linux", "amd64"), Platform("linux", "arm64"))
    assert kaniko(Recorded()).refuses(directory.request(platforms=platforms)) == "Dockerfile:3: COPY --parents"


@pytest.mark.parametrize(
    "text",
    [
        "FROM scratch AS other\nCOPY --parents a /\nFROM scratch\nCOPY a /\n",  # a stage that is not built
        "FROM scratch\nCOPY --link --chmod=600 --chown=1:2 a /\n",
        "FROM scratch\nCOPY --parents=false a /\nRUN --network=default --mount=type=cache,target=/c true\n",
        "FROM $NOBODY_SETS_IT\nCOPY --parents a /\n",  # kaniko will say so
    ],
)
def test_what_kaniko_knows_or_says_itself_is_not_refused(directory, text):
    directory.dockerfile(text)
    assert kaniko(Recorded()).refuses(directory.request()) is None


@pytest.mark.parametrize(
    ("image", "answer", "words"),
    [(None, CommandResult(0), "no image of kaniko's executor"), (IMAGE, CommandResult(1), "neither docker nor podman")],
)
def test_without_an_image_or_a_program_it_is_missing(directory, image, answer, words):
    engine = kaniko(Recorded([answer]), image)
    reason = engine.missing()
    assert words in reason
    with pytest.raises(EngineMissingError) as caught, engine.build(directory.request()):
        pass
    assert caught.value.hint


def test_a_failed_build_tells_its_last_lines_and_the_log_is_for_people(told, directory):
    told()
    assert [event.line for event in directory.events if isinstance(event, Log)] == [
        "RUN x",
        "of the command",
        "fatal: exit status 1",
    ]


def test_a_container_that_was_killed_points_to_its_memory(directory):
    directory.dockerfile("FROM scratch\n")
    engine = kaniko(program_answers(CommandResult(137)))
    with pytest.raises(BuildError) as caught, engine.build(directory.request()):
        pass
    assert "resources.limits.memory" in caught.value.hint


def leaves(image: Image) -> Recorded:
    """Return a place in which the executor leaves *image*."""

    def answer(call):
        mounts = [word for word in call.argv if word.startswith("type=bind") and "target=/kaniko/buildpush/out" in word]
        if mounts:
            name = Path(call.argv[call.argv.index("--tar-path") + 1]).name
            write_docker_archive(image, Path(mounts[0].split("source=")[1].split(",")[0]) / name)
        return CommandResult(0)

    return Recorded(answer)


def test_the_image_comes_out_of_the_archive_one_for_each_platform(directory, make_base):
    directory.dockerfile("FROM scratch\n")
    platforms = (Platform("linux", "amd64"), Platform("linux", "arm64"))
    with kaniko(leaves(make_base({"a": "b"}))).build(directory.request(platforms=platforms)) as index:
        assert isinstance(index, Index)
        assert tuple(image.platform for image in index.images) == platforms
        assert directory.files_of(index.images[0])["a"].text == "b"


def test_labels_of_the_step_win_over_those_of_the_dockerfile(directory, make_base):
    directory.dockerfile("FROM scratch\nLABEL l=file k=kept\n")
    left = make_base({"a": "b"}, Labels={"l": "file", "k": "kept"})
    with kaniko(leaves(left)).build(directory.request(labels={"l": "step"})) as built:
        assert directory.config_of(built)["config"]["Labels"] == {"l": "step", "k": "kept"}


def test_times_that_would_be_set_are_noted(told, directory):
    told(created=1)
    assert any("SOURCE_DATE_EPOCH" in str(event) for event in directory.events if isinstance(event, Note))


@pytest.mark.engines
def test_the_real_executor_builds_what_a_dockerfile_says(directory, busybox, kaniko_image):
    directory.write("busybox", busybox.read_bytes(), mode=0o755)
    directory.write("a", "hello")
    directory.dockerfile("FROM scratch\nCOPY busybox /bin/sh\nCOPY --chown=3:4 a /x/a\nARG V\nRUN echo $V > /got\n")
    env = dict(os.environ)
    with kaniko(Here(env), kaniko_image, env).build(directory.request(build_args={"V": "7"})) as built:
        found = directory.files_of(built)
    assert (found["x/a"].text, found["x/a"].owner, found["got"].text) == ("hello", (3, 4), "7\n")


@pytest.mark.engines
def test_the_real_executor_leaves_to_root_what_is_copied_after_user(directory, kaniko_image):
    directory.write("a", "hello")
    directory.dockerfile("FROM scratch\nARG V=x\nUSER 5:6\nCOPY a /a\nCOPY <<E /b\n$V\nE\n")
    env = dict(os.environ)
    with kaniko(Here(env), kaniko_image, env).build(directory.request()) as built:
        found = directory.files_of(built)
    assert {path: (found[path].owner, found[path].text) for path in "ab"} == {
        "a": ((0, 0), "hello"),
        "b": ((0, 0), "x\n"),
    }


@pytest.mark.parametrize(("env", "first"), [({}, False), ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, True)])
def test_in_a_cluster_kaniko_is_asked_first(directory, env, first):
    directory.dockerfile("FROM scratch\nCOPY a /a\n")
    plan = buildpush.check(cwd=directory.root, env={"HOME": str(directory.root), **env}, repo="a.test/b/c", push=False)
    assert ("kaniko is not used: no image of kaniko's executor" in str(plan)) == first


def test_an_executor_without_a_digest_is_refused(directory):
    directory.dockerfile("FROM scratch\n")
    with pytest.raises(SettingsError, match="does not have a digest"):
        buildpush.check(cwd=directory.root, env={}, repo="a.test/b/c", kaniko_image="r.test/kaniko:1")

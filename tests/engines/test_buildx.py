"""The engine buildx, recorded and with real builders: the Docker daemon, and a BuildKit of its own."""

from __future__ import annotations

import os
import subprocess
import time
from itertools import pairwise

import pytest

from buildpush.credentials.docker import Credential
from buildpush.dockerfile.caches import CacheSpec
from buildpush.engines import Tools
from buildpush.engines.docker.buildx import Buildx
from buildpush.foundation.errors import BuildError, EngineMissingError
from buildpush.foundation.events import Log, Note
from buildpush.foundation.secrets import Secret
from buildpush.images.model import Index, Platform
from buildpush.images.references import Repository
from buildpush.places import CommandResult, Here, Recorded

REMOTE = "Name:          far\nDriver:        remote\nLast Activity: 1\n\nNodes:\nName:     far0\nStatus:   running\n"


def recorded(inspect: CommandResult) -> Recorded:
    def answer(call):
        if call.argv[-1] == "version":
            return CommandResult(0)
        return inspect if call.argv[-1] == "inspect" else CommandResult(1, "", "ERROR: it broke\n")

    return Recorded(answer)


@pytest.fixture
def told(directory, tmp_path):
    """Return the function that asks for a build that fails, and gives the call that was made."""

    def told(find=lambda _host: None, **changes):
        directory.dockerfile("FROM a.test/base\n")
        place = recorded(CommandResult(0, REMOTE))
        engine = Buildx(Tools({"HOME": "/h"}, place, find, directory.events.append, layers=tmp_path / "kept"))
        with pytest.raises(BuildError, match="it broke"), engine.build(directory.request(**changes)):
            pass
        return place.calls[-1]

    return told


def following(argv, word: str) -> list[str]:
    return [after for before, after in pairwise(argv) if before == word]


def test_caches_become_flags(told):
    call = told(
        cache_from=(CacheSpec.parse("type=registry,ref=a.test/x:c"), CacheSpec.parse("type=local,src=/c")),
        cache_to=(CacheSpec.parse("type=local,dest=/c,mode=max"),),
    )
    assert following(call.argv, "--cache-from") == ["type=registry,ref=a.test/x:c", "type=local,src=/c"]
    assert following(call.argv, "--cache-to") == ["type=local,dest=/c,mode=max"]


def test_a_repository_for_caches_is_read_and_written(told):
    call = told(cache_repository=Repository("a.test", "x"))
    assert following(call.argv, "--cache-from") == ["type=registry,ref=a.test/x:buildcache"]
    assert following(call.argv, "--cache-to") == ["type=registry,ref=a.test/x:buildcache,mode=max,image-manifest=true"]


def test_an_agent_or_key_of_ssh_is_told(told):
    assert following(told(ssh=("default", "k=/key")).argv, "--ssh") == ["default", "k=/key"]


def test_the_host_of_a_cache_gets_its_login_in_a_private_file(told):
    find = {"c.test": Credential("u", Secret("p4ss-of-cache"), "x")}.get
    call = told(find, cache_from=(CacheSpec.parse("c.test/x:c"),))
    assert '"c.test"' in call.files["docker/config.json"]
    assert "p4ss-of-cache" not in " ".join(call.argv)


def test_caching_keeps_layers_on_this_machine(told, tmp_path):
    call = told(caching=True)
    (cache,) = following(call.argv, "--cache-to")
    assert cache.startswith(f"type=local,dest={tmp_path}/kept/")
    assert cache.endswith(",mode=max")
    assert not following(call.argv, "--cache-from")


def test_a_repository_for_caches_comes_before_this_machine(told, directory):
    call = told(caching=True, cache_repository=Repository("a.test", "x"))
    assert "type=local" not in " ".join(call.argv)
    assert any("remoteCacheRepo" in str(event) for event in directory.events if isinstance(event, Note))


@pytest.mark.parametrize(
    ("inspect", "words"),
    [
        (CommandResult(1, "", 'ERROR: no builder "mine" found\n'), 'no builder "mine" found'),
        (CommandResult(0, "what?\n"), "names no builder"),
        (CommandResult(0, REMOTE.replace("running", "inactive")), "far does not answer"),
    ],
)
def test_without_a_builder_it_is_missing(tmp_path, inspect, words):
    reason = Buildx(Tools({}, recorded(inspect), layers=tmp_path)).missing()
    assert words in reason
    assert reason.partition("\n")[2]


@pytest.mark.parametrize("driver", ["docker", "remote", "docker-container"])
def test_only_the_driver_docker_builds_in_the_daemon(tmp_path, driver):
    engine = Buildx(Tools({}, recorded(CommandResult(0, REMOTE.replace("remote", driver))), layers=tmp_path))
    assert engine.builds_in_daemon() is (driver == "docker")


def test_without_buildx_it_is_missing(tmp_path, directory):
    engine = Buildx(Tools({}, Recorded([CommandResult(1)]), layers=tmp_path))
    assert "is not on this machine" in engine.missing()
    with pytest.raises(EngineMissingError) as caught, engine.build(directory.request()):
        pass
    assert "install" in caught.value.hint


def test_a_builder_that_sleeps_is_not_missing(tmp_path):
    inspect = CommandResult(0, REMOTE.replace("remote", "docker-container").replace("running", "stopped"))
    assert Buildx(Tools({}, recorded(inspect), layers=tmp_path)).missing() is None


CLOSED = "Name:   default\nDriver: \nError:  permission denied while trying to connect to the daemon\n"


@pytest.mark.parametrize("said", ["Driver: docker\n", CLOSED])
def test_a_builder_that_is_the_daemon_needs_the_daemon(tmp_path, directory, said):
    env = {"DOCKER_HOST": f"unix://{directory.root}/none.sock"}
    reason = Buildx(Tools(env, recorded(CommandResult(0, said)), layers=tmp_path)).missing()
    assert "there is no Docker daemon" in reason


# From here on, the real thing.


@pytest.fixture(params=["docker", "docker-container", "remote"])
def real(request, need, tmp_path):
    """Return a function that makes the engine, with each driver that can be had here."""
    need("docker", "buildx")
    own = {"docker-container": "contained", "remote": "far"}
    env = request.getfixturevalue(own[request.param]) if request.param in own else dict(os.environ)

    def make(events=None):
        sink = (events if events is not None else []).append
        return Buildx(Tools(env, Here(env), sink=sink, layers=tmp_path / "kept"))

    return make


def with_busybox(directory, busybox, text: str) -> None:
    directory.write("busybox", busybox.read_bytes(), mode=0o755)
    directory.dockerfile(f"FROM scratch\nCOPY busybox /bin/sh\n{text}")


def run_steps(events) -> list[str]:
    return [event.line for event in events if isinstance(event, Log) and "CACHED" in event.line]


@pytest.mark.engines
def test_the_real_builder_runs_what_a_dockerfile_says(directory, busybox, real):
    with_busybox(
        directory,
        busybox,
        'ARG V\nRUN --mount=type=secret,id=s read x < /run/secrets/s; echo "$x $V" > /got; echo "$x"\n',
    )
    events = []
    request = directory.request(
        build_args={"V": "7,8"}, labels={"l": "m"}, build_secrets={"s": Secret("s3cr3t-run\n")}, no_cache=True
    )
    with real(events).build(request) as image:
        assert directory.files_of(image)["got"].text == "s3cr3t-run 7,8\n"
        assert directory.config_of(image)["config"]["Labels"] == {"l": "m"}
        assert not any(layer.compressed for layer in image.layers)
    assert not any("s3cr3t-run" in event.line for event in events if isinstance(event, Log))


@pytest.mark.engines
def test_several_platforms_become_an_index(directory, real):
    directory.write("a", "hello")
    directory.dockerfile("FROM scratch\nARG TARGETARCH\nCOPY a /$TARGETARCH\n")
    platforms = (Platform("linux", "amd64"), Platform("linux", "arm64"))
    with real().build(directory.request(platforms=platforms)) as index:
        assert isinstance(index, Index)
        assert tuple(image.platform for image in index.images) == platforms
        assert [sorted(directory.files_of(image)) for image in index.images] == [["amd64"], ["arm64"]]


@pytest.mark.engines
def test_layers_kept_on_this_machine_are_used_by_the_next_build(directory, busybox, far, tmp_path):
    with_busybox(directory, busybox, f"RUN echo {time.time()} > /a\n")
    engine = {"env": far, "place": Here(far), "layers": tmp_path / "kept"}
    events: list[list] = [[], []]
    for told in events:
        subprocess.run(["docker", "buildx", "prune", "--all", "--force"], env=far, check=True, capture_output=True)
        with Buildx(Tools(**engine, sink=told.append)).build(directory.request(caching=True)):
            pass
    assert not run_steps(events[0])
    assert any("RUN" in line or "CACHED" in line for line in run_steps(events[1]))
    assert len(list((tmp_path / "kept").iterdir())) == 1


@pytest.mark.engines
def test_a_repository_keeps_layers_for_the_next_build(directory, busybox, far, box, tmp_path):
    with_busybox(directory, busybox, f"RUN echo {time.time()} > /a\n")
    login = Credential(box.username, box.password, "the test")
    events: list[list] = [[], []]
    cache = Repository.parse(f"{box.host}/docker-local/cache")
    for told in events:
        subprocess.run(["docker", "buildx", "prune", "--all", "--force"], env=far, check=True, capture_output=True)
        engine = Buildx(Tools(far, Here(far), {box.host: login}.get, told.append, layers=tmp_path))
        with engine.build(directory.request(cache_repository=cache)):
            pass
    assert (bool(run_steps(events[0])), bool(run_steps(events[1]))) == (False, True)


@pytest.mark.engines
def test_a_network_that_the_builder_may_not_give_tells_what_to_do(directory, busybox, far, tmp_path):
    with_busybox(directory, busybox, "RUN echo x\n")
    engine = Buildx(Tools(far, Here(far), layers=tmp_path))
    with pytest.raises(BuildError) as caught, engine.build(directory.request(network="host")):
        pass
    assert "--allow-insecure-entitlement" in caught.value.hint


@pytest.mark.engines
def test_a_failing_build_tells_its_last_lines(directory, busybox, real):
    with_busybox(directory, busybox, 'RUN echo "the reason"; exit 3\n')
    with pytest.raises(BuildError) as caught, real().build(directory.request(no_cache=True)):
        pass
    assert "the reason" in str(caught.value)
    assert caught.value.where == "Dockerfile:3"

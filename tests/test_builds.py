"""The builds of a run: whatever its steps push is one run of one build, and nothing of it is lost."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

import buildpush
from buildpush.artifactory import BuildInfo
from buildpush.artifactory.document import Module
from buildpush.artifactory.pending import Pending, load
from buildpush.foundation.errors import BuildPushError
from buildpush.foundation.state import State
from buildpush.pipeline.run_builds import RunBuild
from tests.sites import Site

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

STEP = """\
- step:
    type: BuildAndPushDockerRegistry
    name: {name}
    identifier: {name}
    {more}
    spec:
      repo: {host}/docker-local/{image}
      tags: ["{tag}"]
      dockerfile: {file}
      buildArgs: {{N: "{name}{tag}"}}
"""


class PublishingSite(Site):
    """A site whose steps publish one build."""

    dockerfile = "FROM scratch\nARG N\nCOPY a /a\nLABEL n=$N\n"

    def __init__(self, directory, box, monkeypatch):
        super().__init__(directory, box, monkeypatch)
        names = {"ARTIFACTORY_URL": box.artifactory_url, "BUILD_NAME": "shop", "BUILD_NUMBER": "7"}
        for name, value in names.items():
            monkeypatch.setenv(f"PLUGIN_{name}", value)

    def step(self, name, more="", *, image=None, tag="1", file="Dockerfile"):
        return STEP.format(name=name, host=self.box.host, image=image or name, tag=tag, more=more, file=file)

    def parallel(self, *steps):
        inner = "".join(f"    {line}\n" for step in steps for line in step.splitlines())
        return f"- parallel:\n{inner}"

    def build(self) -> BuildInfo:
        """Return the only run, every file of which has its start and no other."""
        [document] = self.box.builds("shop")
        info = BuildInfo.parse(document)
        for one in info.artifacts:
            properties = self.box.properties("docker-local", one.path)
            assert properties["build.timestamp"] == [str(info.timestamp)], one.path
        marked = [path for path in self.box.files() if "build.name" in self.box.properties("docker-local", path)]
        assert sorted(marked) == sorted(one.path for one in info.artifacts)
        return info

    def modules(self) -> list[str]:
        return [module.id for module in self.build().modules]

    def left(self) -> list[Path]:
        return sorted(State.default().pending.glob("*.json"))

    def puts(self) -> int:
        return sum(one.method == "PUT" and one.path.endswith("/api/build") for one in self.box.requests)


@pytest.fixture
def site(tmp_path, box, monkeypatch):
    return PublishingSite(tmp_path, box, monkeypatch)


MATRIX = "strategy: {matrix: {n: ['1', '2', '3'], maxConcurrency: 3}}"


def test_two_images_a_matrix_and_what_is_in_parallel_are_one_run_that_is_sent_once(site):
    site.write(
        site.step("api"),
        site.step("web", MATRIX, tag="<+matrix.n>"),
        site.parallel(site.step("one", image="both", tag="x"), site.step("two", image="both", tag="y")),
    )
    results = buildpush.run_pipeline("p.yml").steps
    info = site.build()
    assert [module.id for module in info.modules] == ["api:1", "both:x", "both:y", "web:1", "web:2", "web:3"]
    assert site.puts() == 1
    page = f"{site.box.url}/ui/builds/shop/7/{info.timestamp}/published?buildRepo=artifactory-build-info"
    assert {step.published.url for step in results} == {page}
    assert {step.published.started for step in results} == {info.started}
    choices = [[one.choice for one in step.decisions if one.what == "build-info"] for step in results]
    assert choices == [["sent at the end of the run"]] * len(results)
    assert site.left() == []


def test_a_step_that_fails_later_loses_nothing_of_those_before_and_beside_it(site, capsys):
    bad = site.step("bad", file="Missing")
    site.write(site.step("api"), site.parallel(site.step("web"), bad), site.step("never"))
    assert site.run() == 2
    assert site.modules() == ["api:1", "web:1"]
    assert site.left() == []


def test_a_step_whose_push_is_refused_is_no_part_of_the_build(site):
    site.box.add_fault("PUT", "/v2/docker-local/web/manifests/", status=403, times=None)
    site.write(site.step("api"), site.step("web"))
    assert site.run() in {4, 5}
    assert site.modules() == ["api:1"]


def test_a_step_that_is_tried_again_is_one_module(site):
    site.box.add_fault("PUT", "/v2/docker-local/web/manifests/", status=400, times=1)
    again = "failureStrategies: [{onFailure: {errors: [AllErrors], action: "
    again += "{type: Retry, spec: {retryCount: 1, onRetryFailure: {action: {type: MarkAsFailure}}}}}}]"
    site.write(site.step("api"), site.step("web", again))
    assert site.run() == 0
    assert site.modules() == ["api:1", "web:1"]


def test_two_images_of_one_name_are_two_modules_and_said(site, capsys):
    site.write(site.step("one", image="a/app"), site.step("two", image="b/app"))
    assert site.run() == 0
    assert site.modules() == ["a/app:1", "b/app:1"]
    assert "several images of the build shop 7 are named app:1" in capsys.readouterr().err


def test_steps_of_several_builds_are_several(site, monkeypatch):
    monkeypatch.delenv("PLUGIN_BUILD_NAME")

    def named(name, build):
        variables = f"envVariables: {{PLUGIN_BUILD_NAME: {build}}}\n      buildArgs"
        return site.step(name).replace("buildArgs", variables)

    site.write(named("api", "shop"), named("x", "other"), named("web", "shop"))
    assert site.run() == 0
    assert [module["id"] for module in site.box.builds("other")[0]["modules"]] == ["x:1"]
    [document] = site.box.builds("shop")
    assert [module["id"] for module in document["modules"]] == ["api:1", "web:1"]


def test_a_build_that_cannot_be_sent_is_finished_by_the_command_with_the_same_start(site, capsys):
    site.box.add_fault("PUT", r"/artifactory/api/build$", status=400, times=None)
    site.write(site.step("api"), site.step("web"))
    with pytest.raises(BuildPushError) as caught:
        buildpush.run_pipeline("p.yml")
    assert [step.published for step in caught.value.results] == [None, None]
    [path] = site.left()
    site.box.clear_faults()
    command = shlex.split(caught.value.hint)
    assert command[-1] == str(path)
    assert run([*command[1:], "--password", "env:PLUGIN_PASSWORD"]) == 0
    assert site.modules() == ["api:1", "web:1"]
    assert site.left() == []


def run(words):
    from buildpush.cli import run_command

    return run_command(words)


class Background:
    """A run in a process of its own."""

    def __init__(self, site, *words):
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
        command = [sys.executable, "-m", "buildpush", "run", "p.yml", *words]
        self.process = subprocess.Popen(
            command, cwd=site.directory, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    def until(self, moment):
        end = time.monotonic() + 60
        while not moment():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < end, "the moment never came"
            time.sleep(0.02)

    def end(self, how) -> str:
        self.process.send_signal(how)
        return self.process.communicate(timeout=60)[1]


def hold_second(site) -> Background:
    """Begin a run of two steps, and return it when the registry holds back the manifest of the second image."""
    site.write(site.step("api"), site.step("web"))
    return hold(site, "web")


def hold(site, *images) -> Background:
    """Begin a run, and return it when the registry holds back the manifests of *images*."""
    for image in images:
        site.box.add_fault("PUT", f"/v2/docker-local/{image}/manifests/", status=503, retry_after=60, times=None)
    background = Background(site)
    background.until(lambda: all(any(is_held(one, image) for one in site.box.requests) for image in images))
    return background


def is_held(request, image) -> bool:
    return request.method == "PUT" and f"/{image}/manifests" in request.path


def test_a_run_that_is_killed_between_two_images_is_finished_with_what_was_pushed(site):
    hold_second(site).end(signal.SIGKILL)
    site.box.clear_faults()
    [path] = site.left()
    server = ["--artifactory-url", site.box.artifactory_url, "--username", site.box.username]
    assert run(["build-info", "publish", *server, "--password", "env:PLUGIN_PASSWORD", str(path)]) == 0
    assert site.modules() == ["api:1"]


def test_a_run_that_is_interrupted_names_the_command_that_publishes_what_was_pushed(site):
    said = hold_second(site).end(signal.SIGINT)
    assert (
        "the build-info shop 7 is not published; to publish what was pushed, run buildpush build-info publish" in said
    )
    assert len(site.left()) == 1


def test_the_next_run_finishes_what_a_killed_one_left_and_is_a_run_of_its_own(site):
    hold_second(site).end(signal.SIGKILL)
    site.box.clear_faults()
    assert site.run() == 0
    second, first = (BuildInfo.parse(document) for document in site.box.builds("shop"))
    assert [module.id for module in first.modules] == ["api:1"]
    assert [module.id for module in second.modules] == ["api:1", "web:1"]
    assert site.left() == []


def test_a_resumed_run_goes_on_with_the_build_of_the_earlier_one(site):
    site.box.add_fault("PUT", "/v2/docker-local/web/manifests/", status=400, times=1)
    site.write(site.step("api"), site.step("web"))
    assert site.run() == 4
    started = site.build().started
    assert site.modules() == ["api:1"]
    assert site.run("--resume") == 0
    assert site.modules() == ["api:1", "web:1"]
    assert site.build().started == started


LOOP = "strategy: {matrix: {os: [api, web, www]}, maxConcurrency: 2}"


def test_a_resumed_matrix_that_begins_with_what_failed_goes_on_with_the_build_of_the_earlier_run(site):
    for image in ("web", "www"):
        site.box.add_fault("PUT", f"/v2/docker-local/{image}/manifests/", status=400, times=1)
    site.write(site.step("all", LOOP, image="<+matrix.os>"))
    assert site.run() == 4
    started = site.build().started
    assert site.modules() == ["api:1"]
    assert site.run("--resume") == 0
    assert site.modules() == ["api:1", "web:1", "www:1"]
    assert site.build().started == started


def test_an_interrupted_matrix_that_is_resumed_is_one_run_of_its_build(site):
    site.write(site.step("all", LOOP, image="<+matrix.os>"))
    hold(site, "web", "www").end(signal.SIGINT)
    site.box.clear_faults()
    assert site.run("--resume") == 0
    assert site.modules() == ["api:1", "web:1", "www:1"]
    assert site.left() == []


def test_a_run_that_is_resumed_after_a_kill_is_one_run_of_its_build(site):
    hold_second(site).end(signal.SIGKILL)
    site.box.clear_faults()
    assert site.run("--resume") == 0
    assert site.modules() == ["api:1", "web:1"]
    assert site.left() == []


def test_a_build_that_is_nowhere_any_more_is_told_by_a_resumed_run(site, capsys):
    hold_second(site).end(signal.SIGKILL)
    site.box.clear_faults()
    for path in site.left():
        path.unlink()
    assert site.run("--resume") == 0
    said = "the build-info shop 7 of the earlier run is neither on this machine nor in Artifactory"
    assert said in capsys.readouterr().err
    assert site.modules() == ["web:1"]


def test_a_build_that_could_not_be_sent_is_sent_by_a_resumed_run(site):
    site.box.add_fault("PUT", r"/artifactory/api/build$", status=400, times=None)
    site.write(site.step("api"), site.step("web"))
    assert site.run() == 6
    site.box.clear_faults()
    assert site.run("--resume") == 0
    assert site.modules() == ["api:1", "web:1"]
    assert site.left() == []


def test_a_resumed_run_that_pushes_nothing_more_does_not_send_its_build_again(site):
    """To replace a build needs the permission to delete, which accounts of CI systems often lack."""
    site.box.add_fault("PUT", "/v2/docker-local/web/manifests/", status=400, times=None)
    site.write(site.step("api"), site.step("web"))
    assert (site.run(), site.run("--resume")) == (4, 4)
    assert site.puts() == 1
    assert site.modules() == ["api:1"]


def test_what_the_earlier_run_could_not_send_stays_in_its_file_if_a_step_pushes_nothing(tmp_path):
    started = datetime(2026, 11, 28, 9, tzinfo=UTC)

    def pending(name):
        return Pending(BuildInfo(name="shop", number="7", started=started, modules=(Module(id=name),)))

    build = RunBuild(started, is_deferred=True)
    build.earlier = pending("api:1")
    build.put("web", pending("web:1"))
    build.keep(tmp_path)
    build.drop("web")
    build.close()
    [path] = tmp_path.glob("*.json")
    assert [module.id for module in load(path).info.modules] == ["api:1"]

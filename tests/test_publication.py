"""A run that is killed at any moment: what it left is finished by the next one, or by the printed command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from buildpush.artifactory.pending import left_behind, load

pytestmark = pytest.mark.programs

STEP = ["run", "--engine", "native", "--tags", "1", "--tags", "2", "--build-name", "app", "--build-number", "7"]


class Job:
    """Runs of one step in processes of their own, with one state directory."""

    def __init__(self, box, directory: Path) -> None:
        self.box, self.directory = box, directory
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).parent.parent),
            "HOME": str(directory),
            "XDG_STATE_HOME": str(directory / "state"),
            "PLUGIN_USERNAME": box.username,
            "PLUGIN_PASSWORD": box.password.reveal(),
        }
        (directory / "context").mkdir()
        (directory / "context" / "Dockerfile").write_text("FROM scratch\nCOPY a /a\nCOPY b /b\n")
        (directory / "context" / "a").write_text("one")
        (directory / "context" / "b").write_text("two")

    @property
    def words(self) -> list[str]:
        places = ["--repo", f"{self.box.host}/docker-local/app", "--artifactory-url", self.box.artifactory_url]
        return [sys.executable, "-m", "buildpush", *STEP, *places, *self.sources]

    @property
    def sources(self) -> list[str]:
        context = self.directory / "context"
        return ["--context", str(context), "--dockerfile", str(context / "Dockerfile")]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words or self.words,
            env=self.environment,
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def killed(self, moment) -> Path | None:
        """Begin a run, kill it without any warning once *moment* has come, and return the file that it left."""
        process = subprocess.Popen(
            self.words, env=self.environment, cwd=self.directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            until = time.monotonic() + 60
            while not moment():
                assert process.poll() is None, "it ended before"
                assert time.monotonic() < until, "the moment never came"
                time.sleep(0.02)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        self.box.clear_faults()
        left = self.left()
        return left[0] if left else None

    def left(self) -> list[Path]:
        return sorted((self.directory / "state" / "buildpush" / "pending").glob("*.json"))

    def finish(self, path: Path) -> subprocess.CompletedProcess[str]:
        user = ["--username", self.box.username, "--password", "env:PLUGIN_PASSWORD"]
        server = ["--artifactory-url", self.box.artifactory_url]
        return self.run(sys.executable, "-m", "buildpush", "build-info", "publish", *server, *user, str(path))

    def named(self, tag: str = "1") -> str | None:
        return self.box.digest("docker-local/app", tag)

    def asked(self, method: str, part: str) -> int:
        return sum(one.method == method and part in one.path for one in self.box.requests)

    def check(self) -> None:
        """One run is published, and names what the tags name."""
        [build] = self.box.builds("app")
        artifacts = [one for module in build["modules"] for one in module["artifacts"]]
        manifests = {one["sha256"] for one in artifacts if one["name"] == "manifest.json"}
        assert {f"sha256:{one}" for one in manifests} == {self.named()}
        for one in artifacts:
            assert self.box.properties("docker-local", one["path"])["build.number"] == ["7"]
        assert self.left() == []


@pytest.fixture
def job(box, tmp_path):
    return Job(box, tmp_path)


def before_any_manifest(job) -> Path:
    """Kill it while the registry refuses the first manifest for a while."""
    job.box.add_fault("PUT", "/manifests/", status=503, retry_after=60, times=None)
    path = job.killed(lambda: job.asked("PUT", "/manifests/") > 0)
    assert path is not None
    return path


def after_the_first_manifest(job) -> Path:
    """Kill it when the registry has the first tag, and the answer is on its way."""
    job.box.add_fault("PUT", "/manifests/1", lose_answer=True, times=None)
    path = job.killed(lambda: job.named() is not None)
    assert path is not None
    return path


def during_the_publication(job) -> Path:
    """Kill it when the image is pushed, and Artifactory is out of order for a while."""
    job.box.add_fault("PUT", "api/build$", status=503, retry_after=60, times=None)
    path = job.killed(lambda: job.asked("PUT", "api/build") > 0)
    assert path is not None
    return path


def test_a_run_that_is_killed_between_blobs_leaves_nothing_to_finish(job):
    job.box.add_fault("PUT", "/blobs/uploads/", status=503, retry_after=60, every=2, times=None)
    assert job.killed(lambda: job.asked("PUT", "/blobs/uploads/") > 1) is None
    assert job.run().returncode == 0
    job.check()


def test_a_push_that_never_came_to_its_end_is_said_to_be_none(job):
    path = before_any_manifest(job)
    assert not load(path).pushed
    ended = job.finish(path)
    assert ended.returncode == 4, ended.stderr
    assert "was never completed" in ended.stderr
    assert job.box.builds("app") == []


def test_the_next_run_forgets_a_push_that_never_came_to_its_end(job):
    before_any_manifest(job)
    ended = job.run()
    assert ended.returncode == 0, ended.stderr
    assert "is discarded" in ended.stderr
    job.check()


def test_what_was_named_before_the_kill_is_finished_by_the_command(job):
    """Of two tags one was given: the build-info names that one."""
    path = after_the_first_manifest(job)
    started = load(path).info.started
    ended = job.finish(path)
    assert ended.returncode == 0, ended.stderr
    assert ":2 does not name" in ended.stderr
    job.check()
    [build] = job.box.builds("app")
    assert [module["id"] for module in build["modules"]] == ["app:1"]
    assert load_started(build) == started


def load_started(build):
    from buildpush.artifactory import BuildInfo

    return BuildInfo.parse(build).started


@pytest.mark.parametrize("killed", [after_the_first_manifest, during_the_publication])
def test_the_next_run_finishes_what_an_earlier_one_left(job, killed):
    killed(job)
    (job.directory / "context" / "a").write_text(
        "something else"
    )  # or both are one image, where both ran in one second
    ended = job.run()
    assert ended.returncode == 0, ended.stderr
    assert "of an earlier run is published" in ended.stderr
    first, second = reversed(job.box.builds("app"))
    assert digests(first) != digests(second)
    assert job.left() == []


def digests(build) -> set[str]:
    return {one["sha256"] for module in build["modules"] for one in module["artifacts"]}


def test_a_run_that_is_killed_during_its_publication_is_finished_by_the_command(job):
    path = during_the_publication(job)
    assert load(path).pushed
    ended = job.finish(path)
    assert ended.returncode == 0, ended.stderr
    job.check()


def test_a_tag_that_moved_after_the_kill_is_a_note(job):
    path = during_the_publication(job)
    ours = job.named()
    (job.directory / "context" / "a").write_text("something else")
    job.environment["JF_URL"] = ""
    other = [*job.words, "--no-publish-build-info"]
    assert job.run(*other).returncode == 0
    assert job.named() != ours
    ended = job.finish(path)
    assert ended.returncode == 0, ended.stderr
    assert "is now another image" in ended.stderr
    [build] = job.box.builds("app")
    assert any(f"sha256:{one['sha256']}" == ours for module in build["modules"] for one in module["artifacts"])
    for path_now in job.box.files("docker-local"):
        assert "build.name" not in job.box.properties("docker-local", path_now)


def test_the_file_of_a_run_that_is_under_way_is_left_alone(job):
    """It is told from one that was left by the lock that its process holds."""
    job.box.add_fault("PUT", "/manifests/", status=503, retry_after=60, times=None)
    process = subprocess.Popen(job.words, env=job.environment, cwd=job.directory, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while not job.left() and time.monotonic() < until:
            time.sleep(0.02)
        directory = job.left()[0].parent
        assert list(left_behind(directory)) == []
    finally:
        process.kill()
        process.wait()
    assert len(list(left_behind(directory))) == 1


def test_what_waits_is_for_its_owner_only(job):
    path = before_any_manifest(job)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert job.box.password.reveal() not in path.read_text()


def test_a_push_that_was_refused_leaves_nothing_behind(job):
    job.box.add_fault("PUT", "/manifests/", status=403, times=None)
    assert job.run().returncode in {4, 5}
    assert job.left() == []


def test_a_run_that_is_interrupted_says_how_to_go_on(job):
    job.box.add_fault("PUT", "/manifests/", status=503, retry_after=60, times=None)
    process = subprocess.Popen(job.words, env=job.environment, cwd=job.directory, stderr=subprocess.PIPE, text=True)
    while not any(request.method == "PUT" and "/manifests/" in request.path for request in job.box.requests):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, text = process.communicate(timeout=60)
    assert "this command publishes its build-info: buildpush build-info publish" in text
    assert len(job.left()) == 1


def test_a_run_goes_on_where_nothing_can_be_kept(job):
    (job.directory / "state").write_text("a file, no folder")
    ended = job.run()
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("nothing is kept on this machine") == 1
    assert len(job.box.builds("app")) == 1


def test_a_build_info_that_is_published_leaves_no_file(job):
    assert job.run().returncode == 0
    job.check()

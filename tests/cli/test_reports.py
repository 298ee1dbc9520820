"""What a run prints and leaves: documents, digest files, and nothing that is secret."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest

from buildpush import notebooks
from buildpush.cli import report, run_command
from buildpush.foundation.errors import BuildInfoError
from buildpush.foundation.limits import Watch
from buildpush.foundation.secrets import Secret
from buildpush.foundation.state import State
from buildpush.images.references import Digest
from buildpush.pipeline.results import RunResult
from tests.cli.conftest import CONNECTORS, STEP, page

pytestmark = pytest.mark.programs  # git is asked for the revision


def test_a_build_info_shows_no_secret_and_the_run_says_what_is_left_out(project, capsys, monkeypatch):
    """Secrets that nobody uses are known as well: of the connectors file, and of the variables for secrets."""
    text = (project.directory / "connectors.yml").read_text(encoding="utf-8")
    project.write("connectors.yml", f"{text}secrets: {{unused: env:UNUSED_PLACE, missing: env:MISSING_PLACE}}\n")
    monkeypatch.setenv("UNUSED_PLACE", "planted-unused-one")
    monkeypatch.setenv("BUILDPUSH_SECRET_OTHER", "planted-unused-two")
    monkeypatch.setenv("HARMLESS", "a planted-unused-one b planted-unused-two c")
    monkeypatch.setenv("dbPassWord", "planted-by-name")
    monkeypatch.setenv("PLAIN", "//npm.test/:_authToken=planted-by-form")
    words = ["--build-name", "shop", "--build-number", "7", "--env-include", "*"]
    assert run_command(["check", "step.yml", "--connectors", "connectors.yml", *words]) == 0
    checked = capsys.readouterr()
    assert project.run(*words) == 0
    ran = capsys.readouterr()
    for shown in (checked.out + checked.err, ran.err):
        note = next(line for line in shown.splitlines() if "leaves out variables" in line)
        names = note.rpartition(": ")[2].split(", ")
        assert {"BUILDPUSH_SECRET_OTHER", "PLAIN", "dbPassWord"} <= set(names)
        assert "planted" not in shown
    document = json.dumps(project.box.builds("shop"))
    assert "a ******** b ******** c" in document
    assert "planted" not in document


def test_json_is_one_document_on_stdout_and_the_story_is_on_stderr(project, capsys):
    assert project.run("--json") == 0
    shown = capsys.readouterr()
    [step] = json.loads(shown.out)["steps"]
    assert step["digest"] == project.box.digest("docker-local/site", "7")
    assert step["build"]["name"] == "site"
    assert "push:" in shown.err


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_what_goes_to_stdout_shows_no_secret_either(project, capsys, words):
    """Somebody may use a secret as a tag."""
    Secret("planted-as-tag")
    assert project.run(*words, "--tags", "planted-as-tag") == 0
    assert run_command(["check", "step.yml", "--connectors", "connectors.yml", *words, "--tags", "planted-as-tag"]) == 0
    shown = capsys.readouterr()
    assert "planted" not in shown.out + shown.err
    assert "docker-local/site:********" in shown.out


@pytest.mark.parametrize("stderr", ["&-", "/dev/full"])
def test_a_stderr_that_takes_nothing_changes_nothing(project, stderr):
    command = f'exec "$0" -m buildpush run step.yml --connectors "$1" 2>{stderr}'
    for connectors, status in (("connectors.yml", 0), ("missing.yml", 2)):
        words = ["sh", "-c", command, sys.executable, connectors]
        ended = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False, timeout=60)
        assert ended.returncode == status
        assert ("digest" in ended.stdout) is (status == 0)


def test_the_digest_goes_to_the_files_that_ci_systems_read(project, monkeypatch):
    monkeypatch.setenv("GITHUB_OUTPUT", str(project.directory / "output"))
    assert project.run("--digest-file", "digest.txt") == 0
    digest = project.box.digest("docker-local/site", "7")
    assert (project.directory / "digest.txt").read_text() == f"{digest}\n"
    assert f"digest={digest}\n" in (project.directory / "output").read_text()


def test_the_digest_of_an_earlier_run_does_not_stay(project, capsys):
    (project.directory / "digest.txt").write_text("sha256:stale\n")
    project.write("step.yml", STEP.replace('PLUGIN_PUBLISH_BUILD_INFO: "yes"', 'PLUGIN_NO_PUSH: "true"'))
    assert project.run("--digest-file", "digest.txt") == 0
    assert not (project.directory / "digest.txt").exists()
    assert "digest.txt is not written" in capsys.readouterr().err


def test_a_digest_file_is_written_whole_or_not_at_all(project, monkeypatch):
    """Who waits for the file reads a digest, and never the half of one."""
    seen, replaced = [], Path.replace

    def replace_later(self, target):
        if self.name.startswith(".digest"):
            seen.append((self.read_text(), Path(target).exists()))
        return replaced(self, target)

    monkeypatch.setattr(Path, "replace", replace_later)
    assert project.run("--digest-file", "digest.txt") == 0
    assert [pair for pair in seen if pair[0].startswith("sha256:")] == [
        ((project.directory / "digest.txt").read_text(), False)
    ]
    assert [path.name for path in project.directory.iterdir() if path.name.startswith(".digest")] == []


def test_a_digest_file_that_is_a_link_stays_one(project):
    (project.directory / "elsewhere").mkdir()
    (project.directory / "digest.txt").symlink_to("elsewhere/digest")
    assert project.run("--digest-file", "digest.txt") == 0
    assert (project.directory / "digest.txt").is_symlink()
    assert (project.directory / "elsewhere" / "digest").read_text().startswith("sha256:")


def test_a_receipt_that_cannot_be_written_hides_no_other_error(tmp_path, capsys):
    """The image is pushed and its build-info is not: that is the exit code, whatever else fails."""
    pushed = RunResult(step="app", written=Digest(f"sha256:{'0' * 64}"))

    def fail():
        with report.reporting([pushed], {}, as_json=True, digest_file=str(tmp_path / "gone" / "digest"), env={}):
            message = "the build-info is not published"
            raise BuildInfoError(message)

    with pytest.raises(BuildInfoError):
        fail()
    assert "cannot be written" in capsys.readouterr().err


def test_a_dash_as_digest_file_leaves_the_digest_alone_on_stdout(project, capsys):
    assert project.run("--digest-file", "-") == 0
    shown = capsys.readouterr()
    assert shown.out == f"{project.box.digest('docker-local/site', '7')}\n"
    assert "Build and push" in shown.err
    assert not (project.directory / "-").exists()


def test_json_and_a_digest_alone_cannot_both_have_stdout(project, capsys):
    assert project.run("--json", "--digest-file", "-") == 2
    assert "both write to stdout" in capsys.readouterr().err
    assert not project.box.requests


def test_a_refused_build_info_does_not_hide_what_was_pushed(project, capsys):
    project.box.add_fault("PUT", r"/artifactory/api/build.*", status=400, times=1000)
    assert project.run("--json", "--digest-file", "digest.txt") == 6
    document = json.loads(capsys.readouterr().out)
    assert document["steps"][0]["digest"] == project.box.digest("docker-local/site", "7")
    assert document["steps"][0]["build"] is None
    assert document["error"]["exit"] == 6
    assert (project.directory / "digest.txt").read_text().strip() == document["steps"][0]["digest"]


def test_a_failure_is_told_in_json_too(project, capsys, monkeypatch):
    monkeypatch.setenv("BUILDPUSH_SECRET_SANDBOX_PASSWORD", "wrong-password-123")
    assert project.run("--json") == 5
    document = json.loads(capsys.readouterr().out)
    assert document["steps"] == []
    assert "refuses" in document["error"]["message"]


def pushed_and_kept(project, out):
    """Return whether the digest of what was pushed stands in the document, the digest file and a run record."""
    digest = project.box.digest("docker-local/site", "7")
    records = [json.loads(path.read_text()) for path in (State.default().directory / "runs").iterdir()]
    assert [step["digest"] for step in json.loads(out)["steps"]] == [digest]
    assert (project.directory / "digest.txt").read_text() == f"{digest}\n"
    return [[step["result"]["digest"] for step in record["steps"]] for record in records] == [[digest]]


def test_a_time_out_while_publishing_does_not_hide_what_was_pushed(project, capsys, monkeypatch):
    ends, add = [], Watch.add
    monkeypatch.setattr(Watch, "add", lambda self, end: ends.append(end) or add(self, end))

    def too_late(*_args, **_named):
        ends[-1].reach()
        pytest.fail("the time limit did not end this")

    monkeypatch.setattr("buildpush.artifactory.publish", too_late)
    project.write("step.yml", STEP.replace("identifier: push\n", "identifier: push\n  timeout: 1h\n"))
    assert project.run("--json", "--digest-file", "digest.txt") == 124
    assert pushed_and_kept(project, capsys.readouterr().out)


@pytest.mark.parametrize(("interrupt", "code"), [(KeyboardInterrupt(), 130), (KeyboardInterrupt(15), 143)])
def test_an_interrupt_while_publishing_does_not_hide_what_was_pushed(project, capsys, monkeypatch, interrupt, code):
    def interrupted(*_args, **_named):
        raise interrupt

    monkeypatch.setattr("buildpush.artifactory.publish", interrupted)
    assert project.run("--json", "--digest-file", "digest.txt") == code
    shown = capsys.readouterr().out
    assert pushed_and_kept(project, shown)
    assert json.loads(shown)["error"]["exit"] == code


def test_an_interrupt_before_the_push_is_told_in_the_document_and_in_the_record(project, capsys, monkeypatch):
    def interrupted(*_args, **_named):
        raise KeyboardInterrupt

    monkeypatch.setattr("buildpush.registry.push.push", interrupted)
    assert project.run("--json") == 130
    document = json.loads(capsys.readouterr().out)
    assert document["steps"] == []
    assert document["error"]["message"] == "interrupted"
    (record,) = (json.loads(path.read_text()) for path in (State.default().directory / "runs").iterdir())
    assert [(step["state"], step["result"]["digest"]) for step in record["steps"]] == [("ABORTED", None)]


@pytest.mark.parametrize("command", ["run", "check", "build"])
def test_a_failure_before_anything_is_done_is_a_document_too(project, capsys, command):
    assert run_command([command, "missing.yml", "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["steps"] == []
    assert "missing.yml" in document["error"]["message"]
    assert document["error"]["exit"] == 2


@pytest.mark.parametrize("command", ["run", "check", "build"])
def test_a_document_tells_the_notes_and_the_steps_that_are_not_run(project, capsys, monkeypatch, command):
    monkeypatch.setenv("PLUGIN_NO_SUCH_SETTING", "1")
    other = "- step: {type: Run, name: tests, identifier: tests, spec: {command: make}}\n"
    project.write("step.yml", STEP.replace("step:", "- step:", 1).replace("\n  ", "\n    ") + other)
    assert run_command([command, "step.yml", "--connectors", "connectors.yml", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert "Run 'tests'" in document["notRun"][0]
    assert "PLUGIN_NO_SUCH_SETTING" in document["notes"][0]
    if command != "check":
        assert document["notes"][0] in document["steps"][0]["notes"]


def test_check_as_a_document_shows_no_secret(project, capsys, monkeypatch):
    """The user's name may be a secret of the connectors file too."""
    text = CONNECTORS.replace("username: {username}", "usernameRef: sandbox_user")
    project.write("connectors.yml", text.format(url=project.box.url))
    monkeypatch.setenv("BUILDPUSH_SECRET_SANDBOX_USER", "planted-user-0816")
    assert run_command(["check", "step.yml", "--connectors", "connectors.yml", "--json"]) == 0
    shown = capsys.readouterr()
    assert "planted-user-0816" not in shown.out + shown.err
    assert "********" in json.loads(shown.out)["steps"][0]["credential"]


@pytest.mark.parametrize("path", ["nowhere/digest.txt", "public"])
def test_a_digest_file_that_cannot_be_written_is_refused_before_the_push(project, capsys, path):
    assert project.run("--digest-file", path) == 2
    assert path in capsys.readouterr().err
    assert not project.box.requests


def test_no_planted_secret_is_in_anything_that_a_run_leaves(project, capsys, monkeypatch):
    """Password, token and build secret, in runs that succeed, that fail, and that only tell."""
    box, secret = project.box, "planted-build-secret-0815"
    planted = {box.password.reveal(), box.token.reveal(), secret}
    for name, value in {
        "JF_URL": box.artifactory_url,
        "JF_ACCESS_TOKEN": box.token.reveal(),
        "APP_TOKEN": secret,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HARMLESS", f"told {box.token.reveal()} by mistake")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    secretly = ["--engine", "docker", "--env-docker-secret", "app=APP_TOKEN"]
    file = ["step.yml", "--connectors", "connectors.yml"]
    published = ["build-info", "show", "site", "1"]
    for code, words in (
        (0, ["run", *file, "--json", "--env-include", "*"]),
        (0, ["run", *file]),
        (2, ["run", *file, *secretly]),
        (2, ["run", *file, *secretly, "--json"]),
        (2, ["run", *file, "--engine", "make", "--build-arg", f"TOKEN={box.token.reveal()}"]),
        (2, ["run", *file, "--artifactory-token", box.token.reveal()]),
        (0, ["check", *file]),
        (0, ["check", *file, "--json"]),
        (0, ["explain", "artifactory_token", "--file", "step.yml", "--connectors", "connectors.yml"]),
        (0, ["explain", "artifactory_token", "--file", "step.yml", "--json"]),
        (0, published),
    ):
        assert run_command(words) == code, words
    box.add_fault("PUT", r"/artifactory/api/build.*", status=400, body=box.token.reveal().encode(), times=99)
    assert project.run() == 6
    executed = notebooks.execute("01-first-push", {}, project.directory / "executed", env=os.environ)
    shown = capsys.readouterr()
    pages = pages_of(box)
    kept = [path.read_text(errors="replace") for path in State.default().directory.rglob("*") if path.is_file()]
    texts = [shown.out, shown.err, json.dumps(box.builds()), repr(box.requests), *kept, *pages.values()]
    texts += [executed.path.read_text(), executed.page.read_text()]
    assert all([shown.out, shown.err, *pages.values()])
    assert any(box.digest("docker-local/site", "7") in text for text in kept)
    assert any("told ********" in text for text in texts)
    assert {path.split("/")[2] for path in pages} >= {"repositories", "images", "builds"}
    assert any(path.partition("?")[0].endswith("/published") for path in pages)
    hidden = planted | {b64encode(f"{box.username}:{each}".encode()).decode() for each in planted}
    assert not [(each, text) for each in hidden for text in texts if each in text]


def pages_of(box):
    """Return every page for people that can be reached from the first one, by its address."""
    found, wanted = {}, ["/ui/"]
    while wanted:
        path = wanted.pop()
        found[path] = page(f"{box.url}{path}")
        links = (html.unescape(link) for link in re.findall(r'href="(/ui/[^"]*)"', found[path]))
        wanted += {link for link in links if link not in found} - set(wanted)
    return found


def test_a_connector_for_artifactorys_host_is_the_login_of_a_command_about_builds(project, capsys):
    assert project.run("-q") == 0
    words = ["build-info", "list", "--artifactory-url", project.box.artifactory_url]
    assert run_command(words) == 5
    capsys.readouterr()
    assert run_command([*words, "--connectors", "connectors.yml"]) == 0
    assert "site" in capsys.readouterr().out


def test_a_connector_for_another_host_is_no_login_and_that_is_said(project, capsys):
    project.write("other.yml", CONNECTORS.format(url="https://other.test", username="nobody"))
    words = ["build-info", "list", "--artifactory-url", project.box.artifactory_url, "--connectors", "other.yml"]
    assert run_command(words) == 5
    assert "connectors has no effect: other.yml has no login for" in capsys.readouterr().err

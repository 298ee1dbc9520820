"""The command line, as people and CI systems use it, on a sandbox."""

from __future__ import annotations

import errno
import html
import json
import os
import re
import socket
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path

import pytest

from buildpush import notebooks, run
from buildpush.cli import report, run_command
from buildpush.engines import ENGINES
from buildpush.foundation import documents
from buildpush.foundation.errors import BuildInfoError
from buildpush.foundation.limits import Watch, _Limit
from buildpush.foundation.secrets import Secret
from buildpush.foundation.state import State
from buildpush.http import client, retry
from buildpush.images.references import Digest
from buildpush.notebooks import tutorials
from buildpush.pipeline.results import RunResult
from buildpush.transfer.oci_layout import open_layout

STEP = """\
step:
  type: BuildAndPushDockerRegistry
  name: Build and push
  identifier: push
  spec:
    connectorRef: sandbox
    repo: docker-local/site
    tags:
      - "7"
      - latest
    envVariables:
      PLUGIN_ENGINE: native
      PLUGIN_PUBLISH_BUILD_INFO: "yes"
"""
CONNECTORS = """\
connectors:
  - connector:
      identifier: sandbox
      type: DockerRegistry
      spec:
        dockerRegistryUrl: {url}
        providerType: Other
        auth:
          type: UsernamePassword
          spec:
            username: {username}
            passwordRef: sandbox_password
"""


BUILD = {"name": "shop", "number": "7", "started": "2026-01-01T00:00:00.000+0000", "version": "1.0.1", "modules": []}


class Project:
    """A directory with a step, a connectors file, and the password in a variable."""

    def __init__(self, directory, box, monkeypatch):
        self.directory, self.box, self.monkeypatch = directory, box, monkeypatch
        (directory / "public").mkdir()
        (directory / "public" / "index.html").write_text("<h1>hello</h1>\n", encoding="utf-8")
        self.dockerfile("FROM scratch\nCOPY public/ /www/\n")
        self.write("step.yml", STEP)
        self.write("connectors.yml", CONNECTORS.format(url=box.url, username=box.username))
        monkeypatch.setenv("BUILDPUSH_SECRET_SANDBOX_PASSWORD", box.password.reveal())
        monkeypatch.chdir(directory)

    def write(self, name, text):
        (self.directory / name).write_text(text, encoding="utf-8")

    def dockerfile(self, text):
        self.write("Dockerfile", text)

    def run(self, *words):
        return run_command(["run", "step.yml", "--connectors", "connectors.yml", *words])


@pytest.fixture
def project(tmp_path, box, monkeypatch):
    return Project(tmp_path, box, monkeypatch)


pytestmark = pytest.mark.programs  # git is asked for the revision


def test_a_run_pushes_every_tag_and_prints_what_the_registry_has(project, capsys):
    assert project.run() == 0
    shown = capsys.readouterr()
    digest = re.search(r"^digest +(\S+)$", shown.out, re.MULTILINE)[1]
    assert project.box.tags("docker-local/site") == ["7", "latest"]
    assert project.box.digest("docker-local/site", "7") == digest
    assert project.box.digest("docker-local/site", "latest") == digest


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


def test_a_run_publishes_a_build_that_names_the_pushed_files(project, capsys):
    assert project.run("--build-name", "shop", "--build-number", "7") == 0
    [build] = project.box.builds("shop")
    assert build["number"] == "7"
    assert {module["id"] for module in build["modules"]} == {"site:7", "site:latest"}
    listed = {f"{artifact['path']}" for module in build["modules"] for artifact in module["artifacts"]}
    assert listed <= set(project.box.files())
    url = re.search(r"^build +(\S+)$", capsys.readouterr().out, re.MULTILINE)[1]
    assert url.startswith(f"{project.box.url}/ui/builds/shop/7/")


def test_layers_of_the_base_image_are_dependencies_of_the_build(project):
    assert project.run("--build-name", "base", "--build-number", "1") == 0
    project.dockerfile(f"FROM {project.box.host}/docker-local/site:7\nCOPY step.yml /\n")
    words = ["--build-name", "shop", "--build-number", "7", "--repo", f"{project.box.host}/docker-local/shop"]
    assert project.run(*words, "--tags", "1") == 0
    [module] = project.box.builds("shop")[0]["modules"]
    [base] = project.box.builds("base")[0]["modules"][:1]
    layers = {artifact["sha256"] for artifact in base["artifacts"]} & {file["sha256"] for file in module["artifacts"]}
    assert {file["sha256"] for file in module["dependencies"]} == layers
    [dependency] = module["dependencies"]
    assert dependency["id"] == f"sha256__{dependency['sha256']}"
    assert dependency["sha1"]
    assert "dependencies" not in base


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


@pytest.mark.parametrize("flag", ["--build-arg", "--label"])
@pytest.mark.parametrize("command", ["run", "check"])
def test_a_known_secret_does_not_go_into_the_image(project, monkeypatch, capsys, command, flag):
    """A shell has put it there; it is as readable as one that an expression gives."""
    monkeypatch.setenv("PLUGIN_PASSWORD", "planted-in-image")
    monkeypatch.setenv("PLUGIN_USERNAME", "somebody")
    words = ["--repo", f"{project.box.host}/docker-local/site", flag, "T=planted-in-image"]
    assert run_command([command, *words]) == 2
    shown = capsys.readouterr().err
    assert "T holds a secret, which would be readable" in shown
    assert "planted" not in shown
    assert not project.box.requests


BASES = """\
FROM base.example/team/base:1 AS built
FROM scratch
COPY --from=built /a /
COPY --from=tools.example/tool:2 /b /
"""


def test_check_names_every_host_and_the_proxy_that_leads_there(project, monkeypatch, capsys):
    """No other address is ever asked, so a firewall can be opened for these."""
    project.dockerfile(f"{BASES}ADD https://me:planted@files.example/x https://files.example/y /\n")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:planted-in-proxy@proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "tools.example")
    words = ["step.yml", "--connectors", "connectors.yml", "--engine", "native"]
    assert run_command(["check", *words]) == 0
    shown = capsys.readouterr()
    assert [line.split()[1] for line in shown.out.splitlines() if line.startswith("host ")] == [
        f"http://{project.box.host}",
        f"{project.box.url}/artifactory/",
        "https://base.example",
        "https://tools.example",
        "https://files.example",
    ]
    assert (
        "base.example gives base.example/team/base:1, through the proxy http://********@proxy.example:3128" in shown.out
    )
    assert run_command(["check", *words, "--json"]) == 0
    [step] = json.loads(capsys.readouterr().out)["steps"]
    proxy = "http://********@proxy.example:3128"
    assert [host["proxy"] for host in step["hosts"]] == [None, None, proxy, None, proxy]


def test_check_shows_a_condition_that_holds_anyway_as_it_is_written(project, capsys):
    project.write("step.yml", STEP + "  when:\n    stageStatus: Success\n")
    assert run_command(["check", "step.yml", "--connectors", "connectors.yml"]) == 0
    assert "when = stageStatus=Success" in capsys.readouterr().out


@pytest.mark.parametrize("stderr", ["&-", "/dev/full"])
def test_a_stderr_that_takes_nothing_changes_nothing(project, stderr):
    command = f'exec "$0" -m buildpush run step.yml --connectors "$1" 2>{stderr}'
    for connectors, status in (("connectors.yml", 0), ("missing.yml", 2)):
        words = ["sh", "-c", command, sys.executable, connectors]
        ended = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False, timeout=60)
        assert ended.returncode == status
        assert ("digest" in ended.stdout) is (status == 0)


def test_a_user_without_a_home_can_push(project, monkeypatch, tmp_path, capsys):
    """In clusters a container often runs as a number that no file knows."""

    def nobody(number):
        raise KeyError(number)

    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    assert project.run() == 0
    assert "remembered" not in capsys.readouterr().err
    assert not (tmp_path / "~").exists()
    assert (tmp_path / "scratch" / f"buildpush-state-{os.getuid()}").is_dir()


def test_a_state_directory_that_cannot_be_made_costs_a_note_only(project, monkeypatch, capsys):
    """One note: in a container that runs as any number, every run would tell the same four times."""
    project.write("file", "")
    monkeypatch.setenv("XDG_STATE_HOME", str(project.directory / "file"))
    assert project.run("--build-number", "7") == 0
    (told,) = [line for line in capsys.readouterr().err.splitlines() if str(project.directory / "file") in line]
    assert "note: nothing is kept on this machine" in told
    assert told.endswith("; set XDG_STATE_HOME to a directory that you may write to")


def test_a_memory_that_is_damaged_is_begun_anew_with_a_note(project, monkeypatch, capsys):
    monkeypatch.setenv("XDG_STATE_HOME", str(project.directory / "state"))
    (project.directory / "state" / "buildpush").mkdir(parents=True)
    project.write("state/buildpush/memory.sqlite", "no database " * 100)
    for noted in (1, 0):
        assert project.run() == 0
        assert capsys.readouterr().err.count("the memory of earlier pushes was damaged, and is replaced") == noted


def test_a_part_of_the_state_directory_that_cannot_be_made_has_a_note_of_its_own(project, monkeypatch, capsys):
    monkeypatch.setenv("XDG_STATE_HOME", str(project.directory / "state"))
    (project.directory / "state" / "buildpush").mkdir(parents=True)
    for part in ("logs", "runs"):
        project.write(f"state/buildpush/{part}", "a file, no folder")
    assert project.run("--build-number", "7") == 0
    shown = capsys.readouterr().err
    assert "note: the engine's log is not kept" in shown
    assert "note: the run is not recorded" in shown


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


def test_two_steps_cannot_both_have_standard_input(project, capsys):
    item = "- " + STEP.replace("\n", "\n  ").rstrip(" ")
    project.write("step.yml", f"steps:\n{item}{item.replace('identifier: push', 'identifier: again')}")
    assert project.run("--context", "-") == 2
    assert "which can be read only once" in capsys.readouterr().err


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


def test_a_second_run_sends_no_layer_again(project, capsys):
    def sent():
        return [one for one in project.box.requests if one.method == "PATCH" and "/blobs/uploads/" in one.path]

    project.run()
    before = sent()
    assert project.run() == 0
    assert len(sent()) - len(before) <= 1  # the config carries the time of the build
    assert "already there" in capsys.readouterr().out


def test_check_prints_the_plan_and_does_nothing(project, capsys):
    assert run_command(["check", "step.yml", "--connectors", "connectors.yml"]) == 0
    shown = capsys.readouterr().out
    assert "step.yml:8" in shown
    assert "engine" in shown
    assert f"{project.box.username}, from connector sandbox" in shown
    assert not project.box.requests
    assert not State.default().directory.exists()


def test_check_says_no_where_a_run_would(project, capsys):
    project.dockerfile("FROM scratch\nRUN make\n")
    assert run_command(["check", "step.yml", "--connectors", "connectors.yml"]) == 3
    assert "Dockerfile:2: the engine native does not support this: RUN" in capsys.readouterr().err


def test_explain_names_the_file_and_the_line(project, capsys):
    assert run_command(["explain", "tags", "--file", "step.yml"]) == 0
    assert "step.yml:8" in capsys.readouterr().out


def test_explain_names_the_variable_and_what_it_overrode(project, capsys, monkeypatch):
    monkeypatch.setenv("PLUGIN_TAGS", "9")
    assert run_command(["explain", "tags", "--file", "step.yml"]) == 0
    shown = capsys.readouterr().out
    assert "PLUGIN_TAGS" in shown
    assert re.search(r"overrode.*step\.yml:8", shown)


def test_explain_shows_the_value_that_a_run_would_use(project, capsys):
    flags = ["--tags", "<+pipeline.sequenceId>-<+env.COLOUR>"]
    project.monkeypatch.setenv("COLOUR", "blue")
    assert run_command(["explain", "tags", "--file", "step.yml", *flags]) == 0
    shown = capsys.readouterr().out
    assert "1-blue" in shown
    assert "<+env.COLOUR>" in shown
    assert "the flag --tags" in shown


def test_a_run_without_build_info_says_why(project, capsys):
    project.write("step.yml", STEP.partition("      PLUGIN_PUBLISH")[0])
    assert project.run() == 0
    assert "build-info: not published, because" in capsys.readouterr().err


def test_a_bare_call_shows_the_help(capsys):
    run_command([])
    assert "Commands:" in capsys.readouterr().err


def test_explain_without_a_name_lists_every_setting(capsys):
    assert run_command(["explain"]) == 0
    assert "build_args" in capsys.readouterr().out


def test_explain_of_an_unknown_setting_names_near_ones(capsys):
    assert run_command(["explain", "tagz"]) == 2
    assert "tags" in capsys.readouterr().err


def test_a_wrong_password_ends_before_the_build_and_says_where_it_came_from(project, capsys, monkeypatch):
    monkeypatch.setenv("BUILDPUSH_SECRET_SANDBOX_PASSWORD", "wrong-password-123")
    assert project.run() == 5
    shown = capsys.readouterr()
    assert project.box.host in shown.err
    assert "connector sandbox" in shown.err
    assert "build:" not in shown.err
    assert "wrong-password-123" not in shown.out + shown.err


def test_a_missing_secret_is_named_with_who_was_asked(project, capsys, monkeypatch):
    monkeypatch.delenv("BUILDPUSH_SECRET_SANDBOX_PASSWORD")
    assert project.run() == 2
    shown = capsys.readouterr().err
    assert "connectors.yml:12:26: there is no secret with the identifier given here" in shown
    assert "BUILDPUSH_SECRET_<ID> is not set" in shown


def test_a_password_in_place_of_its_identifier_is_shown_nowhere(project, capsys):
    text = (project.directory / "connectors.yml").read_text(encoding="utf-8")
    project.write("connectors.yml", text.replace("sandbox_password", "Hunter2plain"))
    assert project.run("--json") == 2
    assert run_command(["check", "step.yml", "--connectors", "connectors.yml"]) == 2
    shown = capsys.readouterr()
    assert "hunter2plain" not in (shown.out + shown.err).lower()
    assert "connectors.yml:12:26" in shown.err


@pytest.mark.parametrize("words", [["show", "shop", "7"], ["publish", "build.json"]])
@pytest.mark.parametrize("flag", ["--password", "--artifactory-token"])
def test_a_secret_typed_as_a_flag_is_refused_and_not_repeated(project, capsys, words, flag):
    project.write("build.json", json.dumps(BUILD))
    server = ["--artifactory-url", project.box.artifactory_url, "--username", "me"]
    assert run_command(["build-info", *words, *server, flag, "HmFf7plain"]) == 2
    shown = capsys.readouterr()
    assert f"{flag}: the secret is given as plain text" in shown.err
    assert "hmff7plain" not in (shown.out + shown.err).lower()
    assert not project.box.requests


def test_a_registry_that_goes_away_in_the_middle_moves_no_tag(project, capsys):
    fast = retry.Retries(attempts=2, base=0.01, cap=0.02)
    project.box.add_fault("PATCH", r"/v2/.*", status=500, times=1000)
    project.box.add_fault("POST", r"/v2/.*", status=500, times=1000)
    project.monkeypatch.setattr(client, "Retries", lambda: fast)
    assert project.run() == 4
    assert project.box.tags("docker-local/site") == []
    assert "error:" in capsys.readouterr().err


def test_a_refused_build_info_leaves_the_image_and_the_command_that_finishes_it(project, capsys, monkeypatch):
    project.box.add_fault("PUT", r"/artifactory/api/build.*", status=400, times=1000)
    assert project.run("--build-name", "shop", "--build-number", "7") == 6
    shown = capsys.readouterr().err
    assert project.box.tags("docker-local/site") == ["7", "latest"]
    project.box.clear_faults()
    words = re.search(r"buildpush (build-info publish .*)", shown)[1].strip().rstrip(".").split()
    assert project.box.username in words
    monkeypatch.setenv("FINISH", project.box.password.reveal())
    words += ["--password", "env:FINISH"]
    assert run_command([word.strip("'`") for word in words]) == 0
    assert [build["number"] for build in project.box.builds("shop")] == ["7"]


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

    monkeypatch.setattr("buildpush.pipeline.step.push", interrupted)
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


def test_two_steps_of_one_file_both_leave_their_build(project):
    second = (
        STEP.replace("step:", "- step:", 1).replace("\n  ", "\n    ").replace("identifier: push", "identifier: two")
    )
    first = STEP.replace("step:", "- step:", 1).replace("\n  ", "\n    ")
    project.write("step.yml", first + second.replace("docker-local/site", "docker-local/other"))
    assert project.run("--build-name", "shop", "--build-number", "7") == 0
    ids = {module["id"] for build in project.box.builds("shop") for module in build["modules"]}
    assert ids == {"site:7", "site:latest", "other:7", "other:latest"}


def test_a_published_build_can_be_shown(project, capsys, monkeypatch):
    project.run("--build-name", "shop", "--build-number", "7")
    capsys.readouterr()
    monkeypatch.setenv("JF_USER", project.box.username)
    monkeypatch.setenv("JF_PASSWORD", project.box.password.reveal())
    shown = ["build-info", "show", "shop", "7", "--artifactory-url", project.box.artifactory_url]
    assert run_command([*shown, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "shop"
    assert run_command(shown) == 0
    assert "module        site:7 (docker): 3 files\n" in capsys.readouterr().out


def test_build_writes_a_layout_and_pushes_nothing(project, capsys):
    words = ["build", "step.yml", "--connectors", "connectors.yml", "--output", "oci:out"]
    assert run_command(words) == 0
    index = json.loads((project.directory / "out" / "index.json").read_text())
    assert f"digest  {index['manifests'][0]['digest']}\n" in capsys.readouterr().out
    assert not project.box.requests


def test_a_result_in_python_is_no_wall_of_bytes(project):
    """The receipt holds manifest and configuration; who prints it wants neither."""
    result = run("step.yml", connectors="connectors.yml")
    assert b"schemaVersion" in result.images[0].manifest
    assert "schemaVersion" not in repr(result)
    assert "rootfs" not in repr(result)


def test_a_build_ends_before_its_push_begins(project, capsys):
    assert project.run() == 0
    shown = capsys.readouterr().err
    assert "| [stage 0] COPY" in shown
    assert shown.index("build: done") < shown.index("push: ") < shown.index("push: done")


@pytest.mark.parametrize(
    ("file", "code", "said"),
    [
        ("missing.yml", 2, "missing.yml"),
        ("other.yml", 2, "does not have a step"),
    ],
)
def test_a_file_without_a_step_of_ours_is_an_error(project, capsys, file, code, said):
    project.write("other.yml", "step:\n  type: Run\n  name: tests\n  identifier: tests\n  spec:\n    command: make\n")
    assert run_command(["run", file]) == code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--tags", "a b"], "is not a tag"),
        (["--tags", "-rf"], "is not a tag"),
        (["--repo", "docker-local/Site"], "lower case"),
        (["--label", "a=b\nc"], "line"),
        (["--dockerfile", "Nope"], "Nope"),
        (["--dockerfile", "../Dockerfile"], "Dockerfile"),
        (["--tags", "<+pipeline.sequenceIdd>"], "sequenceId"),
        (["--engine", "make"], "make"),
    ],
)
def test_bad_settings_are_exit_2_with_a_hint_and_touch_no_host(project, capsys, flags, said):
    assert project.run(*flags) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert "Traceback" not in shown
    assert not project.box.requests


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FROM scratch\nCOPPY a /a\n", "Dockerfile:2"),
        ("FROM scratch\nCOPY nope /a\n", "nope"),
        ("FROM scratch\nRUN make\n", "docker"),
    ],
)
def test_bad_dockerfiles_are_exit_3_and_name_the_line(project, capsys, text, said):
    project.dockerfile(text)
    assert project.run() == 3
    shown = capsys.readouterr().err
    assert said in shown
    assert project.box.tags("docker-local/site") == []


def test_a_copy_that_dockerignore_hides_says_so(project, capsys):
    project.write(".dockerignore", "public\n")
    assert project.run() == 3
    assert ".dockerignore" in capsys.readouterr().err


def test_a_link_that_leaves_the_context_is_refused(project, capsys):
    (project.directory / "public" / "out").symlink_to("/etc")
    project.dockerfile("FROM scratch\nCOPY public/out/passwd /p\n")
    assert project.run() == 3
    shown = capsys.readouterr().err
    assert "Dockerfile:2" in shown
    assert "public/out" in shown
    assert not project.box.tags("docker-local/site")


def test_a_dockerfile_outside_the_context_is_refused(project, capsys):
    (project.directory.parent / "Elsewhere").write_text("FROM scratch\n", encoding="utf-8")
    assert project.run("--dockerfile", "../Elsewhere") == 2
    assert "is outside the context" in capsys.readouterr().err
    assert not project.box.requests


def test_a_step_file_that_may_not_be_read_is_an_error(project, capsys, monkeypatch):
    """Root may read every file, so the system's answer is played."""

    def refused(path, _name):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(documents, "_open", refused)
    assert project.run() == 2
    shown = capsys.readouterr().err
    assert "step.yml" in shown
    assert "Permission denied" in shown


def test_a_missing_docker_socket_is_exit_2_with_remedies(project, capsys, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{project.directory}/nobody.sock")
    assert project.run("--engine", "docker") == 2
    assert "DOCKER_HOST" in capsys.readouterr().err


def test_a_sandbox_port_that_is_taken_is_exit_2(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run_command(["sandbox", "--port", str(taken.getsockname()[1])]) == 2
    assert "--port" in capsys.readouterr().err


def test_strict_turns_a_note_into_a_refusal(project, capsys, monkeypatch):
    monkeypatch.setenv("PLUGIN_NO_SUCH_SETTING", "1")
    assert project.run("--strict") == 7
    assert not project.box.tags("docker-local/site")


def test_strict_refuses_a_trap_in_the_dockerfile_before_anything_is_built_or_asked(project, capsys):
    project.dockerfile("FROM scratch\nWORKDIR me\nCOPY public/ /www/\n")
    assert project.run("--strict") == 7
    shown = capsys.readouterr().err
    assert "Dockerfile:2: WorkdirRelativePath" in shown
    assert "build" not in [line.partition(":")[0] for line in shown.splitlines()]
    assert not project.box.requests


def test_a_trap_in_the_dockerfile_is_a_note_of_run_and_check(project, capsys):
    project.dockerfile("FROM scratch\nWORKDIR me\nCOPY public/ /www/\n")
    assert project.run("--json") == 0
    [step] = json.loads(capsys.readouterr().out)["steps"]
    assert any(note.startswith("Dockerfile:2: WorkdirRelativePath") for note in step["notes"])
    assert run_command(["check", "step.yml", "--connectors", "connectors.yml"]) == 0
    assert re.search(r"^note +Dockerfile:2: WorkdirRelativePath", capsys.readouterr().out, re.MULTILINE)


def test_a_dockerfile_that_asks_to_be_refused_is_exit_7(project, capsys):
    project.dockerfile("# check=error=true\nFROM scratch\nWORKDIR me\nCOPY public/ /www/\n")
    assert project.run() == 7
    assert "error=true" in capsys.readouterr().err
    assert not project.box.requests


def test_strict_refuses_an_engines_note_before_the_push(project, capsys):
    assert project.run("--strict", "--build-arg", "NOBODY=asks") == 7
    assert "NOBODY" in capsys.readouterr().err
    assert not project.box.tags("docker-local/site")


def test_a_time_out_is_exit_124_and_moves_no_tag(project, monkeypatch):
    """The shortest timeout that can be said is 10 s."""
    monkeypatch.setattr("buildpush.foundation.limits._Limit", lambda _seconds: _Limit(1.0))
    project.box.add_fault("POST", r"/v2/.*", delay=4, times=1)
    project.write("step.yml", STEP.replace("identifier: push\n", "identifier: push\n  timeout: 10s\n"))
    assert project.run() == 124
    assert project.box.tags("docker-local/site") == []


@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 143)])
def test_an_interrupted_run_ends_within_five_seconds(project, number, code):
    project.box.add_fault("PATCH", r"/v2/.*", delay=8, times=1)
    words = [sys.executable, "-m", "buildpush", "run", "step.yml", "--connectors", "connectors.yml"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        for line in process.stderr:
            if b"push:" in line:
                break
        threading.Timer(0.3, process.send_signal, [number]).start()
        begun = time.monotonic()
        assert b"interrupted:" in process.stderr.read()
        assert process.wait(10) == code
        assert time.monotonic() - begun < 5


@pytest.mark.parametrize("path", ["nowhere/digest.txt", "public"])
def test_a_digest_file_that_cannot_be_written_is_refused_before_the_push(project, capsys, path):
    assert project.run("--digest-file", path) == 2
    assert path in capsys.readouterr().err
    assert not project.box.requests


@pytest.mark.parametrize("words", [[], ["--no-push"]])
def test_a_build_needs_no_login_and_no_connectors_file(project, monkeypatch, words):
    monkeypatch.delenv("BUILDPUSH_SECRET_SANDBOX_PASSWORD")
    assert run_command(["build", "step.yml", "--output", "oci:out", *words]) == 0
    assert (project.directory / "out" / "index.json").exists()


@pytest.mark.parametrize(("words", "suffix"), [(["--compression", "gzip"], "+gzip"), ([], "")])
def test_a_compression_that_is_said_counts_for_a_layout_also_where_it_is_the_default(project, words, suffix):
    assert run_command(["build", "step.yml", "--output", "oci:out", *words]) == 0
    assert (
        open_layout(project.directory / "out").layers[0].media_type == f"application/vnd.oci.image.layer.v1.tar{suffix}"
    )


@pytest.mark.parametrize(
    ("sink", "words"),
    [("oci:out", ["--media-types", "docker"]), ("docker-archive:out.tar", ["--compression", "zstd"])],
)
def test_what_an_output_has_no_room_for_is_refused_before_the_build(project, capsys, sink, words):
    assert run_command(["build", "step.yml", "--output", sink, *words]) == 2
    shown = capsys.readouterr().err
    assert "does not support" in shown
    assert "build:" not in shown


def test_what_a_file_wants_for_its_pushes_gets_a_note_where_there_is_no_room(project, capsys):
    project.write("step.yml", STEP.replace("envVariables:\n", "envVariables:\n      PLUGIN_MEDIA_TYPES: docker\n"))
    assert run_command(["build", "step.yml", "--output", "oci:out"]) == 0
    assert "'media_types', which has no effect" in capsys.readouterr().err


def test_a_build_needs_no_repo(project):
    assert run_command(["build", "--engine", "native", "--output", "docker-archive:out.tar"]) == 0
    assert (project.directory / "out.tar").exists()


def test_a_build_that_is_told_to_push_is_refused(project, capsys):
    assert run_command(["build", "step.yml", "--connectors", "connectors.yml", "--push"]) == 2
    shown = capsys.readouterr().err
    assert "--push: a build pushes nothing" in shown
    assert "use run" in shown


def test_an_output_of_no_known_kind_is_refused_before_the_build(project, capsys):
    assert run_command(["build", "step.yml", "--connectors", "connectors.yml", "--output", "zip:out"]) == 2
    shown = capsys.readouterr().err
    assert "oci:DIRECTORY" in shown
    assert "build:" not in shown


def test_a_docker_archive_is_written_for_docker_load(project):
    words = ["build", "step.yml", "--connectors", "connectors.yml", "--output", "docker-archive:image.tar"]
    assert run_command(words) == 0
    with tarfile.open(project.directory / "image.tar") as archive:
        assert "manifest.json" in archive.getnames()


def test_a_mistake_of_ours_is_reported_without_its_secrets(capsys, monkeypatch):
    def fail(*_args, **_kwargs):
        raise ZeroDivisionError(Secret("planted-4711").reveal())

    monkeypatch.setattr("buildpush.reference.explain.overview", fail)
    assert run_command(["explain"]) == 1
    shown = capsys.readouterr().err
    assert "please report it" in shown
    assert "planted-4711" not in shown


@pytest.mark.parametrize(
    ("words", "title"), [([], "buildpush.yaml"), (["project"], "buildpush.yaml"), (["step"], "step file")]
)
def test_schema_is_json_of_the_file_that_is_asked_for(capsys, words, title):
    assert run_command(["schema", *words]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == title


def test_clean_says_what_it_removed(project, capsys):
    project.run()
    capsys.readouterr()
    assert run_command(["clean", "--all"]) == 0
    assert "removed" in capsys.readouterr().out
    assert not State.default().directory.exists()


def test_clean_says_that_nothing_was_left(capsys):
    assert run_command(["clean"]) == 0
    assert "nothing was left" in capsys.readouterr().err


def test_an_unknown_command_names_near_ones(capsys):
    assert run_command(["runn"]) == 2
    assert "did you mean run?" in capsys.readouterr().err


def test_ctrl_c_while_the_program_loads_is_no_traceback():
    code = (
        "import sys\nfrom buildpush import __main__\n"
        "class Interrupted:\n    def find_spec(self, name, *_):\n"
        "        if name == 'buildpush.cli': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n__main__.main()"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, "interrupted: nothing was done\n")


def test_an_unknown_flag_is_exit_2(capsys):
    assert run_command(["run", "--no-such-flag"]) == 2
    assert "no-such-flag" in capsys.readouterr().err


def test_version_names_the_package(capsys):
    assert run_command(["--version"]) == 0
    assert capsys.readouterr().out.startswith("buildpush ")


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


def test_the_help_offers_only_engines_that_are_there_and_marks_what_is_refused(capsys):
    run_command(["run", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for engine in ("buildah", "kaniko", "buildx"):
        assert (f"|{engine}" in shown) == (engine in ENGINES)
    assert "(not yet) A registry of Harness" in shown
    assert "[PLUGIN_TAGS; may be repeated, or separated by commas; default: latest]" in shown
    assert shown.index("Image:") < shown.index("--tags") < shown.index("Build:") < shown.index("--dockerfile")


def test_explain_says_what_is_not_there_yet(capsys):
    run_command(["explain", "enforce"])
    assert "nothing yet: setting it is" in capsys.readouterr().out


def test_a_tutorial_says_how_to_keep_a_sandbox_and_what_an_interrupt_leaves(tmp_path, capsys, monkeypatch):
    done = notebooks.Executed(tmp_path / "a.ipynb", tmp_path / "a.html")
    monkeypatch.setattr(notebooks, "execute", lambda *_, **__: done)
    assert run_command(["tutorial"]) == 0
    assert "buildpush tutorial 01-first-push -p connectors=" in capsys.readouterr().err
    assert run_command(["tutorial", "-p", "connectors=mine.yml"]) == 0
    assert "sandbox" not in capsys.readouterr().err

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(notebooks, "execute", interrupted)
    assert run_command(["tutorial"]) == 130
    shown = capsys.readouterr().err
    assert "nothing was written" in shown
    assert "sent again" not in shown


def test_the_help_of_tutorial_names_them(capsys):
    assert run_command(["tutorial", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in tutorials.names())


def page(address):
    """Return a page; one that says that a build is not there, as after a refused build-info, is one too."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode()


def test_a_sandbox_serves_until_it_is_interrupted(tmp_path):
    words = [sys.executable, "-m", "buildpush", "sandbox", "--port", "0", "--data", str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("token"):
                break
        process.send_signal(2)
        process.stdout.read()
        assert process.wait(10) == 0
    shown = [line for line in lines if not line.startswith("Ctrl-C")]
    assert [line.split()[0] for line in shown] == ["registry", "Artifactory", "pages", "user", "password", "token"]

"""What a CI engineer gets wrong, through the command line: a sentence and an exit code, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from buildpush.cli import run_command

pytestmark = pytest.mark.programs  # git is asked for the revision


@pytest.mark.parametrize("timeout", ["99999999999w", "3661d", f"{'9' * 400}s"])
def test_a_timeout_beyond_every_clock_is_refused(tmp_path, monkeypatch, capsys, timeout):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
    assert run_command(["run", "--repo", "127.0.0.1:1/docker-local/a", "--timeout", timeout]) == 2
    shown = capsys.readouterr().err
    assert "longer than ten years" in shown
    assert "hint:" in shown


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_an_output_that_takes_nothing_is_a_sentence():
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        words = [sys.executable, "-m", "buildpush", "schema"]
        ended = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.strip() == "error: the output cannot be used: No space left on device"


PUBLISH = """\
step:
  type: Plugin
  name: publish
  identifier: publish
  spec:
    connectorRef: hub
    image: plugins/artifactory-publish-docker-buildinfo
    settings:
      url: {url}/artifactory
      username: {username}
      password: env:SHOP_PASSWORD
      build_name: shop
      build_number: "3"
      docker_image: {host}/docker-local/site:7
"""


def test_the_publish_step_reads_the_image_as_the_user_it_names(tmp_path, box, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n", encoding="utf-8")
    text = PUBLISH.format(url=box.url, username=box.username, host=box.host)
    (tmp_path / "publish.yml").write_text(text, encoding="utf-8")
    with monkeypatch.context() as login:
        login.setenv("PLUGIN_USERNAME", box.username)
        login.setenv("PLUGIN_PASSWORD", box.password.reveal())
        words = ["run", "--repo", f"{box.host}/docker-local/site", "--tags", "7", "--engine", "native"]
        assert run_command(words) == 0
    monkeypatch.setenv("SHOP_PASSWORD", box.password.reveal())
    assert run_command(["run", "publish.yml"]) == 0
    assert [build["number"] for build in box.builds("shop")] == ["3"]
    assert box.password.reveal() not in "".join(capsys.readouterr())


ADDRESS = "https://somebody:pw-in-a-url@127.0.0.1:1"


@pytest.mark.parametrize("command", ["run", "check", "explain"])
@pytest.mark.parametrize(
    "words",
    [
        ["--repo", f"{ADDRESS}/a/b"],
        ["--repo", "somebody:pw-in-a-url@127.0.0.1:1/a/b"],
        ["--repo", "somebody:pw-in-a/url@127.0.0.1:1/a/b"],
        ["--artifactory-url", f"{ADDRESS}/artifactory"],
        ["--build-url", f"{ADDRESS}/job/1"],
        ["--context", f"{ADDRESS}/a.git"],
    ],
    ids=lambda words: words[0],
)
def test_a_password_in_an_address_is_shown_nowhere(tmp_path, monkeypatch, capsys, command, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JF_URL", f"{ADDRESS}/artifactory")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n", encoding="utf-8")
    usual = [] if words[0] == "--repo" else ["--repo", "127.0.0.1:1/a/b"]
    about = [words[0].removeprefix("--")] if command == "explain" else []
    run_command([command, *about, *words, *usual])
    shown = "".join(capsys.readouterr())
    assert "127.0.0.1" in shown
    assert "pw-in-a" not in shown


def test_a_password_in_the_address_of_jfrogs_own_variable_is_shown_nowhere(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JF_URL", f"{ADDRESS}/artifactory")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n", encoding="utf-8")
    assert run_command(["run", "--repo", "127.0.0.1:1/a/b"]) == 2
    assert run_command(["explain", "artifactory_url", "--repo", "127.0.0.1:1/a/b"]) == 0
    assert run_command(["explain", "artifactory_url", "--json", "--repo", "127.0.0.1:1/a/b"]) == 0
    assert run_command(["build-info", "show", "shop", "1"]) != 0
    shown = "".join(capsys.readouterr())
    assert "********@127.0.0.1" in shown
    assert "pw-in-a-url" not in shown


def _dockerfile(tmp_path, monkeypatch, text="FROM scratch\nCOPY Dockerfile /\n"):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text(text, encoding="utf-8")


def test_a_directory_of_secrets_that_is_not_there_is_refused(tmp_path, monkeypatch, capsys):
    _dockerfile(tmp_path, monkeypatch)
    assert run_command(["check", "--repo", "127.0.0.1:1/a/b", "--secrets", "nope"]) == 2
    assert "the secrets directory nope does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "check", "build"])
def test_a_target_that_is_not_there_is_found_before_an_engine_is_chosen(tmp_path, monkeypatch, capsys, command):
    _dockerfile(tmp_path, monkeypatch)
    assert run_command([command, "--repo", "127.0.0.1:1/a/b", "--target", "nope"]) == 3
    assert "the target stage 'nope' is not in Dockerfile" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "check", "build"])
@pytest.mark.parametrize("engine", ["native", "docker", "buildx", "buildah", "kaniko", "auto"])
def test_stages_that_no_order_fits_are_refused_before_an_engine_is_asked(
    tmp_path, monkeypatch, capsys, command, engine
):
    _dockerfile(tmp_path, monkeypatch, "FROM scratch AS a\nCOPY --from=b x /\nFROM a AS b\n")
    words = [command, "--repo", "127.0.0.1:1/a/b", "--engine", engine]
    assert run_command(words) == 3
    shown = capsys.readouterr().err
    assert "Dockerfile:2: the stages a (line 2), b (line 3) take files from one another" in shown


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("COPY --from=own Dockerfile /", "Dockerfile:2: the stage own copies from itself"),
        ("COPY --chown=99999999999 Dockerfile /", "99999999999 is higher than any user or group ID"),
        ("STOPSIGNAL FOO", "'FOO' is not a signal"),
        ("STOPSIGNAL 0", "'0' is not a signal"),
        ("ENV A=aaaaaaaa\n" + "ENV A=$A$A\n" * 27, "a value is longer than"),
    ],
)
def test_a_line_that_no_engine_can_do_is_an_error_with_its_number(tmp_path, monkeypatch, capsys, line, says):
    _dockerfile(tmp_path, monkeypatch, f"FROM scratch AS own\n{line}\n")
    assert run_command(["build", "--repo", "127.0.0.1:1/a/b", "--engine", "native"]) == 3
    shown = capsys.readouterr().err
    assert says in shown
    assert "Dockerfile:" in shown


def test_a_secret_in_place_of_the_variable_that_holds_it_is_not_shown(tmp_path, monkeypatch, capsys):
    _dockerfile(tmp_path, monkeypatch)
    assert run_command(["check", "--repo", "127.0.0.1:1/a/b", "--env-docker-secrets", "id=planted-s3cret!!"]) == 2
    shown = "".join(capsys.readouterr())
    assert "not the name of a variable" in shown
    assert "planted" not in shown


def test_a_working_directory_that_was_removed_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    try:
        assert run_command(["check", "--repo", "127.0.0.1:1/a/b"]) == 2
    finally:
        monkeypatch.undo()
    assert "the working directory was removed" in capsys.readouterr().err


def test_a_name_that_the_locale_cannot_write_is_copied_all_the_same(tmp_path, monkeypatch):
    _dockerfile(tmp_path, monkeypatch, "FROM scratch\nCOPY Dockerfile /ü\n")
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words = [sys.executable, "-m", "buildpush", "build", "--repo", "h.example/a/b", "--engine", "native"]
    ended = subprocess.run(words, env=env, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--platform", "linux/x y"], "error: --platforms: 'linux/x y' is not a platform"),
        (["--tag", "a b"], "error: --tags: 'a b' is not a tag"),
        (["--build-arg", "A"], "error: --build-arg: 'A' does not have an ="),
        (["--timeout", "x"], "error: --timeout: 'x' is not a duration"),
        (["--password", "hunter2"], "error: --password: the secret is given as plain text"),
    ],
)
def test_an_error_about_a_flag_names_it_once(tmp_path, monkeypatch, capsys, words, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
    assert run_command(["check", "--repo", "r.example/a", *words]) == 2
    assert capsys.readouterr().err.startswith(says)


def test_the_flag_of_a_list_takes_commas_as_its_variable_does(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
    words = ["--tags", "1,latest", "--tag", "2", "--platform", "linux/amd64,linux/arm64", "--engine", "native"]
    assert run_command(["check", "--repo", "r.example/a", *words]) == 0
    shown = capsys.readouterr().out
    assert "tags = 1, latest, 2" in shown
    assert "platforms = linux/amd64, linux/arm64" in shown
    assert "push        r.example/a:latest" in shown


@pytest.mark.parametrize(
    ("words", "says", "hint"),
    [
        (["zzz"], "there is no command 'zzz'", "buildpush --help lists them"),
        (["rum"], "there is no command 'rum'", "did you mean run"),
        (["run", "--no-pussh"], "there is no option --no-pussh", "did you mean --no-push"),
        (["clean", "--zzz"], "there is no option --zzz", "buildpush clean --help lists them"),
        (["push"], "no SOURCE given", "write buildpush push SOURCE REF..."),
        (["sandbox", "--port", "x"], "--port: 'x' is not a number", "write one, such as 4"),
        (["check", "--tag"], "--tag is given without a value", "buildpush check --help shows it"),
        (["run", "--json", "--digest-file", "-"], "--json and --digest-file - both write to stdout", "leave out one"),
        (["tutorial", "--list", "--output", "x"], "--list runs no notebook", "leave out --list"),
    ],
)
def test_a_mistake_in_the_arguments_has_a_hint(capsys, words, says, hint):
    assert run_command(words) == 2
    error, told, *more = capsys.readouterr().err.splitlines()
    assert error.startswith(f"error: {says}")
    assert told.startswith(f"hint: {hint}")
    assert not more


def test_a_limit_is_shown_in_the_help_as_people_write_it(capsys):
    run_command(["run", "--help"])
    assert "[PLUGIN_FETCH_LIMIT; default: 10Gi]" in " ".join(capsys.readouterr().out.split())

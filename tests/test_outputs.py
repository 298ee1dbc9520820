"""What a run leaves for the CI system around it: outputs, a summary and a card, in the form of each."""

from __future__ import annotations

import base64
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from buildpush.artifactory import Published
from buildpush.cli import run_command
from buildpush.cli.outputs import write_outputs
from buildpush.expressions.ci import files
from buildpush.foundation.secrets import Secret
from buildpush.pipeline.results import RunResult

sandbox = pytest.mark.sandbox


@pytest.fixture
def push(box, tmp_path, monkeypatch):
    """Return what pushes a small image by the command line with further variables, and returns its digest."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    login = {"PLUGIN_USERNAME": box.username, "PLUGIN_PASSWORD": box.password.reveal()}
    usual = {"PLUGIN_REPO": f"{box.host}/docker-local/app", "PLUGIN_TAGS": "1,2", "PLUGIN_ENGINE": "native"}

    def push(*words, status=0, **variables):
        for name, text in (login | usual | variables).items():
            monkeypatch.setenv(name, text)
        assert run_command(["run", *words]) == status
        return box.digest("docker-local/app", "1") if box.tags("docker-local/app") else None

    return push


@sandbox
@pytest.mark.parametrize("variable", ["GITHUB_OUTPUT", "DRONE_OUTPUT", "HARNESS_OUTPUT_FILE", "HARNESS_OUTPUT"])
def test_the_outputs_are_added_to_the_file_that_the_ci_system_names(push, box, tmp_path, variable):
    (tmp_path / "outputs.env").write_text("mine=1\n")
    digest, repo = push(**{variable: "outputs.env"}), f"{box.host}/docker-local/app"
    lines = (tmp_path / "outputs.env").read_text().splitlines()
    assert lines == ["mine=1", f"digest={digest}", f"image={repo}:1", f"images={repo}:1,{repo}:2"]


@sandbox
def test_a_file_that_two_variables_name_gets_the_outputs_once(push, tmp_path):
    push(DRONE_OUTPUT="outputs.env", HARNESS_OUTPUT_FILE="outputs.env")
    assert (tmp_path / "outputs.env").read_text().count("digest=") == 1


@sandbox
def test_a_file_of_words_has_no_equals_signs(push, tmp_path):
    digest = push(DRONE_OUTPUT="step.out")
    assert f"digest {digest}\n" in (tmp_path / "step.out").read_text()


@sandbox
def test_a_tar_is_an_output_also_where_nothing_is_pushed(push, tmp_path):
    assert push(DRONE_OUTPUT="outputs.env", PLUGIN_TAR_PATH="image.tar", PLUGIN_NO_PUSH="true") is None
    assert (tmp_path / "outputs.env").read_text() == f"IMAGE_TAR_PATH={tmp_path / 'image.tar'}\n"


def test_outputs_of_a_step_that_is_resumed_are_those_of_the_run_before(tmp_path):
    outputs = {"build_info_url": "https://x.test/b", "IMAGE_TAR_PATH": "/image.tar"}
    build = {"build_name": "shop", "build_number": "7"}
    earlier = {"digest": "sha256:0", "references": ["x.test/a:1"], "outputs": outputs | build}
    env = {"GITHUB_OUTPUT": str(tmp_path / "out"), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    write_outputs([RunResult(step="a", earlier=earlier)], env, stdout_is_free=True)
    row = "| `x.test/a` | `1` | `sha256:0` | [shop 7](<https://x.test/b>) |"
    assert row in (tmp_path / "summary.md").read_text().splitlines()
    lines = (tmp_path / "out").read_text().splitlines()
    assert lines[:3] == ["digest=sha256:0", "image=x.test/a:1", "images=x.test/a:1"]
    assert lines[3:] == [f"{name}={value}" for name, value in outputs.items()]


@sandbox
def test_a_run_that_pushes_nothing_leaves_no_summary_and_no_card(push, tmp_path):
    push(PLUGIN_NO_PUSH="true", GITHUB_STEP_SUMMARY="summary.md", DRONE_CARD_PATH="card.json", GITHUB_OUTPUT="out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Dockerfile"]


@sandbox
@pytest.mark.parametrize("variable", ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "DRONE_CARD_PATH"])
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_done(box, monkeypatch, capsys, variable):
    monkeypatch.setenv(variable, "gone/file")
    assert run_command(["run", "--repo", f"{box.host}/docker-local/app"]) == 2
    assert "gone/file cannot be written" in capsys.readouterr().err
    assert not box.requests


@sandbox
def test_the_summary_is_a_table_of_what_the_registry_has(push, box, tmp_path):
    (tmp_path / "summary.md").write_text("# before\n\n")
    digest, repo = push(GITHUB_STEP_SUMMARY="summary.md"), f"{box.host}/docker-local/app"
    assert (tmp_path / "summary.md").read_text() == (
        "# before\n\n"
        "| image | tags | digest | build-info |\n|---|---|---|---|\n"
        f"| `{repo}` | `1`, `2` | `{digest}` |  |\n\n"
    )


@sandbox
@pytest.mark.parametrize(("words", "is_out"), [([], True), (["--json"], False)])
def test_azure_gets_the_table_in_a_file_that_the_log_names(push, tmp_path, capsys, words, is_out):
    (tmp_path / "agent").mkdir()
    digest = push(*words, AGENT_TEMPDIRECTORY="agent", TF_BUILD="True")
    shown = capsys.readouterr()
    [line] = [one for one in (shown.out if is_out else shown.err).splitlines() if one.startswith("##vso")]
    path = Path(line.removeprefix("##vso[task.uploadsummary]"))
    assert path.parent == tmp_path / "agent"
    assert f"| `1`, `2` | `{digest}` |" in path.read_text()


@pytest.mark.programs
def test_the_summary_links_the_build_info(push, box, tmp_path):
    variables = {"PLUGIN_ARTIFACTORY_URL": f"{box.url}/artifactory/", "PLUGIN_BUILD_NAME": "a|b *c*"}
    push(**variables, PLUGIN_BUILD_NUMBER="7", GITHUB_STEP_SUMMARY="summary.md", GITHUB_OUTPUT="out")
    [row] = [line for line in (tmp_path / "summary.md").read_text().splitlines() if "`1`" in line]
    assert re.search(r"\[a\\\|b \\\*c\\\* 7\]\(<http://[^|<> ]+/7[^|<> ]*>\) \|$", row)
    assert "build_info_url=http" in (tmp_path / "out").read_text()


# ---- values that mean to be more than one


def outputs(tmp_path, name, url, **result):
    published = Published(url=url, name="shop", number="7", started=None)
    write_outputs(
        [RunResult(step="x", published=published, **result)], {name: str(tmp_path / "out.env")}, stdout_is_free=True
    )
    return (tmp_path / "out.env").read_bytes().decode()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\u2028"])
def test_a_value_with_line_ends_makes_no_second_output_for_github(tmp_path, end):
    written = outputs(tmp_path, "GITHUB_OUTPUT", f"https://x.test/{end}digest=evil")
    mark = re.match(r"build_info_url<<(end_[0-9a-f]{32})\n", written)[1]
    assert written == f"build_info_url<<{mark}\nhttps://x.test/{end}digest=evil\n{mark}\n"


def test_a_value_with_line_ends_is_one_line_in_a_file_of_drone(tmp_path):
    written = outputs(tmp_path, "DRONE_OUTPUT", 'https://x.test/\ndigest="evil"$HOME')
    assert written == 'build_info_url="https://x.test/\\ndigest=\\"evil\\"\\$HOME"\n'


def test_a_value_with_line_ends_is_left_out_of_a_file_of_words(tmp_path, capsys):
    published = Published(url="https://x.test/\ndigest evil", name="shop", number="7", started=None)
    write_outputs(
        [RunResult(step="x", published=published)], {"DRONE_OUTPUT": str(tmp_path / "a.out")}, stdout_is_free=True
    )
    assert not (tmp_path / "a.out").exists()
    assert "the output build_info_url has several lines" in capsys.readouterr().err


@pytest.mark.parametrize("variable", ["GITHUB_OUTPUT", "DRONE_OUTPUT"])
def test_no_secret_is_among_the_outputs(tmp_path, variable):
    secret = Secret("a-very-secret-token", source="test").reveal()
    assert "very-secret" not in outputs(tmp_path, variable, f"https://x.test/{secret}")


# ---- the card


@sandbox
def test_the_card_is_the_document_of_the_plugin(push, box, tmp_path):
    digest, repo = push(DRONE_CARD_PATH="card.json"), f"{box.host}/docker-local/app"
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["schema"] == "https://drone-plugins.github.io/drone-docker/card.json"
    data = card["data"]
    assert data["RepoTags"] == [f"{repo}:1", f"{repo}:2"]
    assert data["ParsedRepoTags"] == [{"Tag": f"{repo}:1"}, {"Tag": f"{repo}:2"}]
    assert data["RepoDigests"] == [f"{repo}@{digest}"]
    assert (data["Os"], data["Architecture"]) == ("linux", "amd64")
    assert data["Size"] == data["VirtualSize"] > 0
    names = "Id RepoTags ParsedRepoTags RepoDigests Parent Comment Created Container DockerVersion Author Architecture"
    names += " Os Size VirtualSize Metadata SizeString VirtualSizeString Time URL"
    assert list(data) == names.split()


@sandbox
@pytest.mark.parametrize("stream", ["/dev/stdout", "/dev/stderr"])
def test_a_card_for_the_log_is_in_a_frame(push, box, capsys, stream):
    digest = push(DRONE_CARD_PATH=stream)
    shown = capsys.readouterr()
    text = shown.out if stream == "/dev/stdout" else shown.err
    [found] = re.findall(r"\x1b]1338;(.*)\x1b]0m\n", text)
    assert json.loads(base64.b64decode(found))["data"]["RepoDigests"] == [f"{box.host}/docker-local/app@{digest}"]


@sandbox
@pytest.mark.parametrize("words", [["--json"], ["--digest-file", "-"]])
def test_a_card_leaves_stdout_to_a_program_that_reads_it(push, capsys, words):
    push(*words, DRONE_CARD_PATH="/dev/stdout")
    shown = capsys.readouterr()
    assert "]1338;" not in shown.out
    assert "\x1b]1338;" in shown.err


def test_the_files_of_a_kind_are_each_there_once():
    env = {"DRONE_OUTPUT": "a", "HARNESS_OUTPUT_FILE": "a", "GITHUB_OUTPUT": "b", "DRONE_CARD_PATH": "c"}
    assert files(env, "outputs") == {"HARNESS_OUTPUT_FILE": Path("a"), "GITHUB_OUTPUT": Path("b")}
    assert files(env, "card") == {"DRONE_CARD_PATH": Path("c")}


# ---- why a command failed


@sandbox
@pytest.mark.parametrize(
    ("variables", "lines"),
    [
        ({"PLUGIN_PASSWORD": "wrong"}, ["ERROR_CODE=5", "ERROR_CATEGORY=Authentication"]),
        ({"PLUGIN_TAGS": "no tag"}, ["ERROR_CODE=2", "ERROR_CATEGORY=ConfigurationFailure"]),
        ({"PLUGIN_FILE": "none.yml"}, ["ERROR_CODE=2", "ERROR_CATEGORY=ConfigurationFailure"]),
    ],
    ids=["login", "tag", "file"],
)
def test_a_command_that_fails_says_why_in_the_file_that_harness_names(fail, tmp_path, variables, lines):
    message = fail(variables, ERROR_METADATA_FILE="error.env")
    first, *others = (tmp_path / "error.env").read_text().splitlines()
    assert others == lines
    assert first.startswith('ERROR_MESSAGE="')
    assert first.removeprefix('ERROR_MESSAGE="').removesuffix('"').replace("\\", "") in message


@pytest.fixture
def fail(box, tmp_path, monkeypatch, capsys):
    """Return what runs a command that fails, with variables, and returns what it said."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")

    def fail(variables, **more):
        login = {"PLUGIN_USERNAME": box.username, "PLUGIN_PASSWORD": box.password.reveal()}
        usual = {"PLUGIN_REPO": f"{box.host}/docker-local/app", "PLUGIN_TAGS": "1", "PLUGIN_ENGINE": "native"}
        words = [variables["PLUGIN_FILE"]] if "PLUGIN_FILE" in variables else []
        for name, text in (login | usual | variables | more).items():
            monkeypatch.setenv(name, text)
        assert run_command(["run", *words]) != 0
        return capsys.readouterr().err

    return fail


@sandbox
def test_the_error_is_in_words_where_the_file_is_one_of_words(fail, tmp_path):
    fail({"PLUGIN_PASSWORD": "wrong"}, ERROR_METADATA_FILE="error.out")
    assert "ERROR_CODE 5\n" in (tmp_path / "error.out").read_text()


@sandbox
def test_an_error_that_cannot_be_written_does_not_hide_itself(fail, tmp_path):
    message = fail({"PLUGIN_TAGS": "no tag"}, ERROR_METADATA_FILE="gone/error.env")
    assert "no tag" in message or "gone/error.env cannot be written" in message
    assert "so it does not say why this failed" in message


@sandbox
def test_a_pipe_that_no_program_reads_is_not_waited_for(fail, push, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    message = fail({"PLUGIN_TAGS": "no tag"}, ERROR_METADATA_FILE="pipe")
    assert "pipe cannot be written (no program reads this pipe), so it does not say why this failed" in message
    push(DRONE_OUTPUT="pipe", status=1)
    assert "the image is pushed, but pipe cannot be written: no program reads this pipe" in capsys.readouterr().err


@sandbox
def test_a_pipe_with_a_reader_gets_all_of_the_outputs(push, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit((tmp_path / "pipe").read_text)
        digest = push(DRONE_OUTPUT="pipe")
        assert f"digest={digest}\n" in read.result(10)


@sandbox
def test_a_run_that_succeeds_leaves_no_error(push, tmp_path):
    push(ERROR_METADATA_FILE="error.env")
    assert not (tmp_path / "error.env").exists()

"""Messages that are known: each row fits what the programs print, and a log of any size is searched for them."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tracemalloc

import pytest

import buildpush
from buildpush.advice.logs import findings
from buildpush.advice.row import Advice
from buildpush.advice.table import ROWS, advice_for, advise
from buildpush.cli import run_command
from buildpush.dockerfile.missing import hint_for
from buildpush.foundation.errors import BuildError, BuildPushError, SettingsError
from buildpush.reference.troubleshooting import as_text, find
from buildpush.settings.declare import settings_of
from buildpush.settings.plugin_variables import PLUGIN_VARIABLES
from buildpush.settings.stepkinds import models
from buildpush.settings.variables import known_variables

EXAMPLES = [(row, example) for row in ROWS for example in row.examples]
TYPES = {"Authentication", "Authorization", "Connectivity", "Timeout", "PluginImageFailure", "ResourceLimitsFailure"}
TYPES |= {"ConfigurationFailure", "RetryableTransientFailure", ""}


def names(found):
    return [one.advice.name for one in found]


def search(text):
    return findings(io.BytesIO(text.encode()))


@pytest.mark.parametrize(("row", "example"), EXAMPLES, ids=lambda one: one.name if isinstance(one, Advice) else "")
def test_a_log_with_the_message_leads_to_its_row(row, example):
    found = search(f"#1 one\n{example}\n#2 two\n")
    assert row.name in names(found)
    assert {one.number for one in found} == {2}


@pytest.mark.parametrize(
    ("row", "example"),
    [pair for pair in EXAMPLES if pair[0].fails],
    ids=lambda one: one.name if isinstance(one, Advice) else "",
)
def test_of_several_rows_that_fit_a_failure_takes_the_special_one(row, example):
    assert advice_for([example]) is row


def test_every_row_is_whole_and_has_a_name_of_its_own():
    assert len({row.name for row in ROWS}) == len(ROWS) == 50
    for row in ROWS:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", row.name)
        assert row.cause
        assert row.fix
        assert row.programs
        assert row.type in TYPES
        assert bool(row.marks) == bool(row.examples)
        assert all(mark == mark.lower() for mark in row.marks)


@pytest.mark.parametrize(
    "line",
    [
        "#5 1.37 compiled 137 of 401 files in 403 seconds",
        "INFO: the artifact was signed; the token has expired: no",
        "drwxr-xr-x 2 root root 4096 config.json",
        "-rw-r--r-- 1 root root 0 manifest.json",
    ],
)
def test_ordinary_lines_mean_nothing(line):
    assert search(line) == []


def test_what_only_explains_a_result_is_in_a_log_and_no_cause_of_a_failure():
    line = "INFO[0003] Adding volume /data to ignorelist"
    assert names(search(line)) == ["volume"]
    assert advice_for([line]) is None


def test_each_row_is_shown_once_with_its_first_line():
    found = search("ok\nwrite /a: no space left on device\nunauthorized: no\nwrite /b: no space left on device\n")
    assert [(one.advice.name, one.number) for one in found] == [("disk", 2), ("unauthorized", 3)]


def names_in(row):
    """Return the variables and settings that somebody is to set."""
    variables = re.findall(r"(?<!remove )\b(?:PLUGIN|HARNESS|DRONE)_[A-Z_0-9]+\b", row.fix)
    return {*variables, *re.findall(r"(?<![.\w])[a-z]+[A-Z]\w+\b", row.fix)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_a_row_says_to_set_has_an_effect_here(row):
    honoured = {setting.key for model in models() for setting in settings_of(model) if setting.honoured_by}
    honoured |= {name for model in models() for name, one in known_variables(model).items() if one.honoured_by}
    facts = {one.name for one in PLUGIN_VARIABLES.values() if one.fact}
    assert names_in(row) - facts <= honoured


def test_a_rejected_manifest_of_a_cache_is_no_matter_of_attestations():
    line = "error writing manifest blob: unexpected status from PUT request to https://h.test/v2/a/manifests/c: 400 "
    line += "Bad Request"
    assert advice_for([line]).name == "cache-manifest"


def test_colours_hide_no_message_and_no_sequence_comes_through():
    [found] = search("\x1b[31mERROR\x1b[0m: no space \x1b[1mleft on device\x1b]0;title\x07\r\n")
    assert (found.advice.name, found.line) == ("disk", "ERROR: no space left on device")


def test_a_line_of_a_log_cannot_command_a_ci_system():
    [found] = search("##vso[task.setvariable]no space left on device\n")
    assert "##vso" not in found.line


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "latin-1"])
def test_logs_in_other_encodings_are_read(encoding):
    log = "café\r\nno space left on device\r\n".encode(encoding)
    [found] = findings(io.BytesIO(log))
    assert (found.number, found.line) == (2, "no space left on device")


def test_a_message_across_two_pieces_of_a_log_is_found_with_its_line():
    filler = "x" * 62 + "\n"
    before = (1024 * 1024 - 8) // len(filler)
    [found] = search(filler * before + "no space left on device\n" + filler * 10)
    assert found.number == before + 1


def test_behind_a_line_without_end_the_numbers_are_right():
    [found] = search("y" * 3_000_000 + "\nfine\nno space left on device\n")
    assert found.number == 3


class Large(io.RawIOBase):
    """A log of so many megabytes, made as it is read."""

    def __init__(self, line, megabytes):
        super().__init__()
        self.line, self.left = line, megabytes

    def read(self, size=-1):
        self.left -= 1
        return (self.line * (size // len(self.line) + 1))[:size] if self.left >= 0 else b""


@pytest.mark.parametrize(
    ("line", "megabytes"), [(b"a", 100), (b"\r", 100), (b"compiled\n", 30)], ids=["one line", "returns", "lines"]
)
def test_a_log_of_any_size_takes_little_memory(line, megabytes):
    tracemalloc.start()
    try:
        assert findings(Large(line, megabytes)) == []
        assert tracemalloc.get_traced_memory()[1] < 20 * 1024 * 1024
    finally:
        tracemalloc.stop()


# ---- errors


def test_an_error_without_a_hint_gets_cause_and_remedy_and_the_place_of_the_row():
    error = BuildError("the build failed")
    advise(error, ["exit code: 1", "curl: (6) Could not resolve host: pypi.org"])
    row = find("advice-dns")
    assert (error.advice, error.hint) == (row.anchor, f"{row.cause}: {row.fix}")


def test_a_hint_that_an_error_has_is_kept():
    error = BuildError("the build failed", hint="mend it")
    advise(error, ["no space left on device"])
    assert (error.advice, error.hint) == ("advice-disk", "mend it")


# ---- the command


def test_doctor_names_line_cause_and_remedy(tmp_path, capsys):
    log = tmp_path / "build.log"
    log.write_text("fine\nwrite /a: no space left on device\n", encoding="utf-8")
    assert run_command(["doctor", str(log)]) == 0
    out = capsys.readouterr().out
    row = find("advice-disk")
    assert out.startswith(f"{log}:2: write /a: no space left on device\n")
    assert row.cause in out
    assert row.fix in out
    assert "buildpush explain advice-disk" in out


def test_doctor_says_what_is_here_in_place_of_a_file_that_was_not_found(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "App.py").touch()
    line = 'ERROR: failed to solve: failed to calculate checksum of ref 1::2: "/src/app.py": not found\n'
    (tmp_path / "build.log").write_text(line, encoding="utf-8")
    assert run_command(["doctor", "build.log"]) == 0
    assert f"here      in {tmp_path}: did you mean src/App.py?" in capsys.readouterr().out
    assert run_command(["doctor", "build.log", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"][0]["here"] == "did you mean src/App.py?"


@pytest.mark.parametrize("name", ["main.go\r", "main\x1b[1m.go", "main\udcff.go"])
def test_a_similar_name_is_shown_with_the_characters_that_make_it_another(tmp_path, name):
    """Such as the carriage return that a script with Windows' line ends has added: without it, both look the same."""
    (tmp_path / name).touch()
    assert hint_for(tmp_path, None, "main.go") == f"did you mean {name!a}?"


def test_doctor_ends_with_one_where_nothing_is_known(tmp_path, capsys):
    log = tmp_path / "build.log"
    log.write_text("fine\n", encoding="utf-8")
    assert run_command(["doctor", str(log)]) == 1
    seen = capsys.readouterr()
    assert seen.out == ""
    assert "buildpush has no advice" in seen.err


def test_doctor_reads_standard_input(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"unauthorized: authentication required\n")))
    assert run_command(["doctor", "-", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    [found] = document["findings"]
    assert document["log"] == "standard input"
    assert (found["line"], found["advice"], found["type"]) == (1, "advice-unauthorized", "Authentication")


def test_doctor_hides_a_secret_that_this_machine_knows(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PLUGIN_PASSWORD", "hunter2hunter2")
    log = tmp_path / "build.log"
    log.write_text("docker login -p hunter2hunter2: unauthorized: no\n", encoding="utf-8")
    assert run_command(["doctor", str(log)]) == 0
    assert "hunter2" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["missing.log", "."])
def test_a_log_that_cannot_be_read_is_an_error(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    assert run_command(["doctor", name]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_explain_shows_a_row(capsys):
    assert run_command(["explain", "advice-disk"]) == 0
    shown = capsys.readouterr().out.strip()
    assert shown == as_text(find("advice-disk"))
    assert "buildpush explain" not in shown, "it is what shows this row"


def test_explain_names_near_rows():
    with pytest.raises(SettingsError) as caught:
        find("advice-disc")
    assert "advice-disk" in caught.value.hint


# ---- what the programs print today

NO_FILE = "FROM scratch\nCOPY nope /\n"
DOCKER = ["docker", "build", "."]
PRINTED = {
    "no Dockerfile, docker": (["docker", "build", "-f", "Nope", "."], "", "no-dockerfile"),
    "no Dockerfile, buildah": (["buildah", "bud", "."], "", "no-dockerfile"),
    "nothing to copy, docker": (DOCKER, NO_FILE, "copy-source"),
    "nothing to copy, buildah": (["buildah", "bud", "--storage-driver", "vfs", "."], NO_FILE, "copy-source"),
    "nothing to copy, old docker": (["env", "DOCKER_BUILDKIT=0", *DOCKER], NO_FILE, "copy-source"),
    "a mount, old docker": (
        ["env", "DOCKER_BUILDKIT=0", *DOCKER],
        "FROM scratch\nRUN --mount=type=cache,target=/x true\n",
        "buildkit-flag",
    ),
    "unknown instruction, docker": (DOCKER, "FROM scratch\nRUNN x\n", "old-builder"),
    "capitals, docker": (["docker", "build", "--tag", "Foo:1", "."], NO_FILE, "invalid-reference"),
    "a mail address, docker": (["docker", "login", "-e", "x"], "", "email"),
    "no daemon, docker": (["docker", "-H", "unix:///nope.sock", "ps"], "", "no-daemon"),
    "no builder, buildx": (["docker", "buildx", "build", "--builder", "nosuch", "."], NO_FILE, "parallel-daemons"),
}


@pytest.mark.engines
@pytest.mark.parametrize("engine", ["native", "docker", "buildx", "buildah"])
@pytest.mark.parametrize(
    ("files", "source", "hint"),
    [
        ("src/App.py", "src/app.py", "did you mean src/App.py?"),
        ("lib/app.py", "src/app.py", "did you mean lib/app.py?"),
        ("a.log", "a.log", ".dockerignore:1, '*.log',"),
    ],
)
def test_a_build_that_misses_a_file_says_what_the_context_has(tmp_path, need, engine, files, source, hint):
    need(*({"docker"} if engine in {"docker", "buildx"} else {engine} - {"native"}))
    (tmp_path / files).parent.mkdir(exist_ok=True)
    (tmp_path / files).touch()
    (tmp_path / ".dockerignore").write_text("*.log\n")
    (tmp_path / "Dockerfile").write_text(f"FROM scratch\nCOPY {source} /\n", encoding="utf-8")
    with pytest.raises(BuildPushError) as caught:
        buildpush.build(cwd=tmp_path, engine=engine, repo="h.test/a/b")
    assert hint in caught.value.hint


@pytest.mark.engines
@pytest.mark.parametrize("case", PRINTED)
def test_the_message_that_a_program_prints_today_is_known(case, tmp_path, need):
    argv, text, name = PRINTED[case]
    need(*({"docker", "buildah"} & set(argv)))
    if text:
        (tmp_path / "Dockerfile").write_text(text, encoding="utf-8")
    ran = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode
    assert name in names(search(ran.stdout + ran.stderr))

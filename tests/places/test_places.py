"""Where commands run: results, private files, time-outs, and the place that runs nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildpush.foundation.errors import EngineMissingError, SourceError, TimeOutError
from buildpush.foundation.secrets import Secret
from buildpush.places import FILES, CommandResult, Here, Recorded, RecordedCall, for_engines, for_logins

programs = pytest.mark.programs
HERE = {"PATH": "/usr/local/bin:/usr/bin:/bin"}


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@programs
def test_status_and_both_outputs_come_back(tmp_path):
    ran = Here(HERE).run(python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"), cwd=tmp_path)

    assert ran == CommandResult(3, "out\n", "err\n")


@programs
def test_only_the_given_environment_reaches_the_program():
    ran = Here({**HERE, "A": "1"}).run(python("import os; print(os.environ['A'], os.environ['B'])"), env={"B": "2"})

    assert ran.stdout == "1 2\n"


@programs
def test_stdin_reaches_the_program():
    assert Here(HERE).run(["cat"], stdin=b"x" * 300_000).stdout == "x" * 300_000


@programs
def test_a_program_that_reads_nothing_may_end_early():
    assert Here(HERE).run(["true"], stdin=b"x" * 3_000_000).status == 0


@programs
def test_private_files_are_there_with_mode_0600_and_gone_afterwards(tmp_path):
    code = "import os, sys; p = sys.argv[1]; print(p, oct(os.stat(p).st_mode), open(p).read())"
    ran = Here(HERE, private=tmp_path).run(
        [*python(code), f"{FILES}/deep/token"], files={"deep/token": Secret("geheim!")}
    )

    path, mode, content = ran.stdout.split()
    assert (mode, content) == ("0o100600", "geheim!")
    assert not Path(path).exists()
    assert list(tmp_path.iterdir()) == []


@programs
def test_the_directory_of_private_files_can_be_named_in_variables(tmp_path):
    code = "import os; print(os.listdir(os.environ['DOCKER_CONFIG']))"
    ran = Here(HERE, private=tmp_path).run(python(code), env={"DOCKER_CONFIG": FILES}, files={"config.json": "{}"})

    assert ran.stdout == "['config.json']\n"


@programs
def test_lines_are_streamed_with_secrets_hidden():
    Secret("hunter2-hunter2")
    lines: list[str] = []
    ran = Here(HERE).run(
        python("import sys; print('a'); print('hunter2-hunter2', file=sys.stderr)"), stream=lines.append
    )

    assert sorted(lines) == ["********", "a"]
    assert ran.stderr == "********\n"


@programs
def test_a_program_that_waits_for_no_reader_is_heard_although_lines_are_shown_slowly():
    """Buildah ends without the last lines of a RUN where nobody has taken those before."""
    code = (
        "import os, time\nos.set_blocking(1, False)\n"
        "for number in range(20): os.write(1, b'x' * 9999 + b'\\n'); time.sleep(0.05)\n"
    )
    shown: list[int] = []

    def show(line: str) -> None:
        time.sleep(0 if shown else 1.5)
        shown.append(len(line))

    assert (Here(HERE).run(python(code), stream=show).status, shown) == (0, [9999] * 20)


@programs
def test_what_was_heard_is_shown_to_its_end(monkeypatch):
    monkeypatch.setattr("buildpush.places.here.GRACE_SECONDS", 0.2)
    shown: list[str] = []

    def show(line: str) -> None:
        time.sleep(0.02)
        shown.append(line)

    Here(HERE).run(python("print('x\\n' * 50)"), stream=show)
    assert shown.count("x") == 50


@programs
def test_a_line_without_end_is_cut_for_the_eye_and_kept_whole():
    lines: list[str] = []
    ran = Here(HERE).run(python("print('x' * 100_000)"), stream=lines.append)

    assert [len(line) for line in lines] == [16 * 1024]
    assert len(ran.stdout) == 100_001


@programs
def test_of_endless_output_the_end_is_kept(monkeypatch):
    monkeypatch.setattr("buildpush.places.here.LARGEST_OUTPUT", 1000)
    ran = Here(HERE).run(python("for i in range(1000): print(i)"))

    assert ran.stdout.endswith("999\n")
    assert len(ran.stdout) <= 1000


@programs
def test_a_missing_program_is_a_missing_engine():
    with pytest.raises(EngineMissingError, match="'no-such-program' is not on this machine"):
        Here(HERE).run(["no-such-program"])


@programs
def test_a_program_that_cannot_start_is_a_missing_engine(tmp_path):
    broken = tmp_path / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)

    with pytest.raises(EngineMissingError, match="cannot be run"):
        Here(HERE).run([str(broken)])


@programs
def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(SourceError, match="not a directory"):
        Here(HERE).run(["true"], cwd=tmp_path / "nowhere")


@programs
def test_a_time_out_ends_the_program_and_what_it_started(tmp_path):
    """A child of the program must not go on building after we have said that it was ended."""
    note = tmp_path / "child"
    script = f"sleep 60 & echo $! > {note}; wait"
    began = time.monotonic()

    with pytest.raises(TimeOutError, match=r"longer than 0\.5 seconds"):
        Here(HERE).run(["sh", "-c", script], timeout=0.5)

    assert time.monotonic() - began < 5
    assert _is_gone(int(note.read_text()))


ALONE = """
import os, sys
from buildpush.places import Here
Here(dict(os.environ)).run(["sh", "-c", "sleep 600 & sleep 1; echo $$ $! > child.new; mv child.new child; wait"])
"""


@programs
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT])
def test_however_we_end_nothing_that_we_started_outlives_us(tmp_path, number):
    with subprocess.Popen([sys.executable, "-c", ALONE], cwd=tmp_path) as us:
        note = tmp_path / "child"
        while not note.exists():
            assert us.poll() is None
            time.sleep(0.01)
        us.send_signal(number)
    for process in note.read_text().split():
        assert _is_gone(int(process))


@programs
def test_where_there_is_no_shell_programs_run_all_the_same(monkeypatch):
    monkeypatch.setattr("buildpush.places.here._SHELL", "/there/is/none")
    assert Here(HERE).run(["echo", "x"]).stdout == "x\n"


@programs
def test_who_watches_a_program_ends_with_it(monkeypatch):
    shells = []
    popen = subprocess.Popen

    def kept(words, **named):
        process = popen(words, **named)
        shells.extend([process] if "-c" in words else [])
        return process

    monkeypatch.setattr(subprocess, "Popen", kept)
    Here(HERE).run(["true"])
    assert [shell.returncode for shell in shells] == [-signal.SIGKILL]


@programs
def test_what_a_program_leaves_running_does_not_hold_us_up(tmp_path, monkeypatch):
    monkeypatch.setattr("buildpush.places.here.GRACE_SECONDS", 0.2)
    note = tmp_path / "child"

    ran = Here(HERE).run(["sh", "-c", f"sleep 60 & echo $! > {note}; echo done"])

    assert ran.stdout == "done\n"
    assert _is_gone(int(note.read_text()))


def test_a_recorded_place_remembers_and_answers_in_order():
    place = Recorded([CommandResult(1, "first"), CommandResult(0, "then")])

    assert [place.run([word]).stdout for word in ("a", "b", "c")] == ["first", "then", "then"]
    assert place.argv == [("a",), ("b",), ("c",)]


def test_a_recorded_place_can_answer_by_the_call():
    lines: list[str] = []
    place = Recorded(lambda call: CommandResult(0, "\n".join(call.argv)))

    place.run(["x", "y"], stream=lines.append, files={"f": "1"}, stdin=b"in")

    assert lines == ["x", "y"]
    assert place.calls == [RecordedCall(("x", "y"), None, {"f": "1"}, {}, b"in")]


def _is_gone(process: int) -> bool:
    for _ in range(50):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


@programs
def test_what_left_the_group_and_holds_the_pipes_does_not_keep_us():
    """A daemon that a program leaves running is none of ours, and its open pipes tell nothing more."""
    begun = time.monotonic()
    ran = Here(HERE).run(["sh", "-c", "setsid sleep 20 & echo done"])

    assert ran == CommandResult(0, "done\n")
    assert time.monotonic() - begun < 15


@programs
def test_a_listener_that_fails_does_not_stop_the_program_and_is_heard_of():
    """Otherwise nobody would read the pipe, and the program would wait for ever."""

    def broken(_line: str) -> None:
        message = "nobody listens"
        raise ValueError(message)

    with pytest.raises(ValueError, match="nobody listens"):
        Here(HERE).run(python("print('x\\n' * 300_000)"), stream=broken, timeout=30)


def names_of(ran) -> set[str]:
    """Return the names of the variables that ``env`` printed."""
    return {line.partition("=")[0] for line in ran.stdout.splitlines()}


@pytest.mark.programs
def test_a_command_does_not_get_secrets_that_were_not_meant_for_it():
    env = {
        "PATH": os.environ["PATH"],
        "PLAIN": "plain",
        "HTTPS_PROXY": "http://user:word@proxy.test:3128",
        "AWS_SECRET_ACCESS_KEY": "planted-of-a-cloud",
        "SSH_AUTH_SOCK": "/run/agent",
        "DOCKER_HOST": "tcp://127.0.0.1:1",
        "KNOWN": "planted-in-variable",
        "DOCKER_AUTH_CONFIG": '{"auths": {}}',
        "PLUGIN_PASSWORD": "a",
        "PLUGIN_REPO": "a",
        "JF_ACCESS_TOKEN": "a",
        "JFROG_CLI_HOME_DIR": "a",
        "BUILDPUSH_SECRET_X": "a",
        "GITHUB_TOKEN": "a",
        "dbPassWord": "a",
        "HARMLESS": "ghp_planted0planted0",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "http.extraHeader",
        "GIT_CONFIG_VALUE_0": "Authorization: Basic abcdefg=",
    }
    engines, logins = Here(env), Here(env, passes=for_logins)
    Secret("planted-in-variable")  # known later than the place
    needed = {"PATH", "PLAIN", "HTTPS_PROXY", "AWS_SECRET_ACCESS_KEY", "SSH_AUTH_SOCK", "DOCKER_HOST"}
    assert names_of(engines.run(["env"])) & env.keys() == needed
    ours = {"DOCKER_AUTH_CONFIG", "PLUGIN_PASSWORD", "PLUGIN_REPO", "JF_ACCESS_TOKEN", "JFROG_CLI_HOME_DIR"}
    assert names_of(logins.run(["env"])) & env.keys() == env.keys() - ours - {"BUILDPUSH_SECRET_X"}


@pytest.mark.programs
def test_what_a_command_is_given_on_top_it_gets():
    assert Here({"PATH": os.environ["PATH"]}).run(["printenv", "A_TOKEN"], env={"A_TOKEN": "x"}).stdout == "x\n"


@given(
    st.sampled_from(["PLUGIN_", "JF_", "JFROG_", "BUILDPUSH_SECRET_"]),
    st.text("ABCZ_", max_size=8),
    st.text(max_size=8),
)
def test_no_command_gets_a_variable_of_ours(prefix, rest, value):
    assert not for_engines(prefix + rest, value)
    assert not for_logins(prefix + rest, value)

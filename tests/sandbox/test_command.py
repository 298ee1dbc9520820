"""The command `buildpush sandbox` rehearses faults from a shell, and says clearly what it cannot."""

import subprocess
import sys
from contextlib import contextmanager

import pytest
import urllib3

from buildpush.cli import run_command


@contextmanager
def serving(*words):
    """Start the command; yield the first word of each printed row with the rest of the row."""
    command = [sys.executable, "-m", "buildpush", "sandbox", "--port", "0", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            rows = {}
            for line in process.stdout:
                name, _, value = line.rstrip().partition("  ")
                rows[name] = value.strip()
                if name == "token":
                    break
            yield rows
        finally:
            process.send_signal(2)
            process.stdout.read()
            assert process.wait(20) == 0


def status(host, rows):
    headers = urllib3.make_headers(basic_auth=f"{rows['user']}:{rows['password']}")
    with urllib3.PoolManager(retries=False) as pool:
        return pool.request("GET", f"http://{host}/v2/", headers=headers).status


@pytest.mark.programs
def test_faults_and_a_line_are_set_in_the_shell():
    with serving("--fault", "GET /v2/ status=503 times=2", "--line", "reset-after=10 times=1") as rows:
        direct, by_line = (rows[name].partition("/")[0] for name in ("registry", "by the line"))
        assert [status(direct, rows) for _ in range(3)] == [503, 503, 200]
        with pytest.raises(urllib3.exceptions.ProtocolError):
            status(by_line, rows)
        assert status(by_line, rows) == 200


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fault", "PATCH x colour=3"], "no 'colour'"),
        (["--line", "reset=5"], "no 'reset'"),
        (["--line", "reset-after=0"], "at least 1"),
        (["--uploads", "harbor"], "'harbor'"),
        (["--immutable", "nowhere"], "'nowhere'"),
    ],
)
def test_what_means_nothing_is_exit_2(words, said, capsys):
    assert run_command(["sandbox", "--port", "0", *words]) == 2
    assert said in capsys.readouterr().err

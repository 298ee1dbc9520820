"""The command `buildpush sandbox` rehearses faults from a shell, and says clearly what it cannot."""

import hashlib
import re
import subprocess
import sys
import time
from contextlib import contextmanager, nullcontext

import pytest
import urllib3

from buildpush.cli import run_command
from buildpush.sandbox import NAMED, UPLOADS


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


def ask(rows, path, *, method="GET", body=None):
    headers = urllib3.make_headers(basic_auth=f"{rows['user']}:{rows['password']}")
    with urllib3.PoolManager(retries=False) as pool:
        host = rows["registry"].partition("/")[0]
        return pool.request(method, f"http://{host}{path}", headers=headers, body=body)


def lines_of(*words, then):
    """Return what the command prints about the requests that *then* makes, which gets the printed rows."""
    command = [sys.executable, "-m", "buildpush", "sandbox", "--port", "0", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        rows = {}
        while "token" not in rows:
            name, _, value = process.stdout.readline().rstrip().partition("  ")
            rows[name] = value.strip()
        then(rows)
        time.sleep(0.5)
        process.send_signal(2)
        _rest, lines = process.communicate(timeout=20)
    assert process.returncode == 0
    return rows, lines.splitlines()[1:]


@pytest.mark.programs
def test_a_line_for_each_request_hides_secrets_and_has_no_colours_in_a_pipe():
    digest = f"sha256:{hashlib.sha256(b'0' * 5000).hexdigest()}"

    def then(rows):
        ask(rows, f"/v2/docker-local/app/blobs/uploads/?digest={digest}", method="POST", body=b"0" * 5000)
        ask(rows, f"/v2/docker-local/app/blobs/{digest}")
        ask(rows, f"/v2/nowhere/app/tags/list?password=hunter2&n={rows['token']}")
        ask(rows, "/artifactory/api/storage/docker-local/%1b%5b31m%0aforged")

    rows, lines = lines_of(then=then)
    shown = [re.sub(r"\d+ ms", "9 ms", line.split("  ", 1)[1]) for line in lines]
    assert [" ".join(line.split()) for line in shown[:2]] == [
        f"POST 201 9 ms 5.0 kB /v2/docker-local/app/blobs/uploads/?digest={digest}",
        f"GET 200 9 ms 5.0 kB /v2/docker-local/app/blobs/{digest}",
    ]
    assert len(lines) == 4
    assert "404" in shown[2]
    assert not any(word in "".join(lines) for word in ("hunter2", rows["token"], rows["password"], "\x1b"))


@pytest.mark.programs
def test_by_tls_it_is_reached_by_those_who_trust_the_file_that_it_prints():
    with serving("--tls") as rows:
        for file, refused in ((rows["authority"], False), (None, True)):
            with urllib3.PoolManager(retries=False, ca_certs=file) as pool:
                expected = pytest.raises(urllib3.exceptions.SSLError) if refused else nullcontext()
                with expected:
                    assert pool.request("GET", f"{rows['Artifactory']}api/system/ping").status == 200


@pytest.mark.programs
def test_quiet_prints_no_line_for_a_request():
    assert lines_of("--quiet", then=lambda rows: ask(rows, "/v2/"))[1] == []


@pytest.mark.programs
def test_faults_and_habits_are_chosen_by_name():
    with serving("--fault", "xray", "--uploads", "ecr") as rows:
        host = rows["registry"].partition("/")[0]
        headers = urllib3.make_headers(basic_auth=f"{rows['user']}:{rows['password']}")
        with urllib3.PoolManager(retries=False) as pool:
            answer = pool.request("GET", f"http://{host}/v2/docker-local/app/manifests/1", headers=headers)
        assert (answer.status, answer.json()["errors"][0]["detail"]) == (403, "Xray has blocked the download")


def test_the_help_names_every_habit_and_every_fault_that_has_a_name(capsys):
    assert run_command(["sandbox", "--help"]) == 0
    said = "".join(capsys.readouterr().out.split())  # its lines end at dashes, too
    assert ",".join(UPLOADS) in said
    assert ",".join(NAMED) in said


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fault", "PATCH x colour=3"], "unknown name 'colour'"),
        (["--fault", "x-ray"], "name one of: xray"),
        (["--line", "reset=5"], "unknown name 'reset'"),
        (["--line", "reset-after=0"], "at least 1"),
        (["--uploads", "harbor"], "'harbor'"),
        (["--immutable", "nowhere"], "'nowhere'"),
        (["--remote", "http://127.0.0.1"], "KEY=URL"),
        (["--remote", "hub=127.0.0.1"], "url must be http"),
    ],
)
def test_what_means_nothing_is_exit_2(words, said, capsys):
    assert run_command(["sandbox", "--port", "0", *words]) == 2
    assert said in capsys.readouterr().err

"""The guard of tests/conftest.py holds every test to what its marker says."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest


def test_a_fast_test_opens_no_socket():
    with socket.socket() as mine, pytest.raises(pytest.fail.Exception, match="no socket"):
        mine.connect(("127.0.0.1", 9))
    with socket.socket() as mine, pytest.raises(pytest.fail.Exception, match="no socket"):
        mine.bind(("127.0.0.1", 0))
    with pytest.raises(pytest.fail.Exception, match="no socket"):
        socket.create_connection(("127.0.0.1", 9))


def test_a_fast_test_looks_up_no_host():
    with pytest.raises(pytest.fail.Exception, match="looks up no host"):
        socket.getaddrinfo("localhost", 80)


def test_a_fast_test_starts_no_process():
    with pytest.raises(pytest.fail.Exception, match="no process"):
        subprocess.run([sys.executable, "--version"], check=False)


@pytest.mark.parametrize("name", ["fork", "posix_spawn", "posix_spawnp", "system"])
def test_a_fast_test_does_not_start_processes_through_os(name):
    with pytest.raises(pytest.fail.Exception, match=name):
        getattr(os, name)()


def test_a_fast_test_may_run_an_event_loop():
    assert asyncio.run(asyncio.sleep(0, "done")) == "done"


def test_code_that_catches_every_exception_does_not_hide_what_is_forbidden():
    assert not issubclass(pytest.fail.Exception, Exception)


@pytest.mark.sandbox
def test_a_sandbox_test_may_talk_to_loopback():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()


@pytest.mark.sandbox
def test_a_sandbox_test_talks_to_nobody_else():
    with socket.socket() as mine, pytest.raises(pytest.fail.Exception, match="loopback only"):
        mine.connect(("192.0.2.1", 80))


@pytest.mark.sandbox
def test_in_a_sandbox_test_foreign_names_do_not_exist():
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("registry.example.com", 443)


@pytest.mark.sandbox
def test_a_sandbox_test_starts_no_process():
    with pytest.raises(pytest.fail.Exception, match="no process"):
        subprocess.run([sys.executable, "--version"], check=False)


@pytest.mark.programs
def test_a_programs_test_may_start_processes():
    assert subprocess.run([sys.executable, "--version"], check=False, capture_output=True).returncode == 0


def test_every_test_has_an_empty_home_of_its_own(home):
    assert Path.home() == home
    assert list(home.iterdir()) == []
    assert Path(os.environ["XDG_STATE_HOME"]).is_relative_to(home)


def test_nothing_of_the_surroundings_is_seen():
    foreign = ("PLUGIN_", "DOCKER_", "JF_", "JFROG_", "DRONE_", "GITHUB_")
    assert not [name for name in os.environ if name.startswith(foreign)]
    assert not {"CI", "SOURCE_DATE_EPOCH", "HTTPS_PROXY", "https_proxy"} & os.environ.keys()


@pytest.mark.programs
def test_a_missing_program_skips_visibly(need, monkeypatch):
    monkeypatch.setitem(need.__globals__, "ON_CI", False)
    with pytest.raises(pytest.skip.Exception, match="no-such-program is not installed"):
        need("no-such-program")


@pytest.mark.programs
def test_a_missing_program_fails_on_ci(need, monkeypatch):
    monkeypatch.setitem(need.__globals__, "ON_CI", True)
    with pytest.raises(pytest.fail.Exception, match="CI must have no-such-program"):
        need("no-such-program")


@pytest.mark.parametrize(("on_ci", "outcome"), [(True, pytest.fail.Exception), (False, pytest.skip.Exception)])
def test_what_this_machine_cannot_do_skips_visibly_and_fails_on_ci(give_up, monkeypatch, on_ci, outcome):
    monkeypatch.setitem(give_up.__globals__, "ON_CI", on_ci)
    with pytest.raises(outcome, match="no bridge"):
        give_up("no bridge")


@pytest.mark.sandbox
def test_the_sandbox_fixture_answers(box):
    with socket.create_connection(("127.0.0.1", int(box.host.rpartition(":")[2]))) as client:
        client.sendall(b"GET /v2/ HTTP/1.0\r\n\r\n")
        assert client.recv(15).startswith(b"HTTP/1.0 401")

"""Systems that the tests do not run on: what loads there, and what is said where nothing runs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import buildpush
from buildpush.cli import run_command
from buildpush.foundation.errors import SettingsError

# What Windows does not have, or what macOS does not; what others load of it is loaded before it is hidden.
HIDDEN = """\
import importlib, os, pkgutil, signal, sys
import aiohttp, asyncio, click, docker, ipykernel.kernelapp, multiprocessing, papermill, sphinx.application
import sqlite3, subprocess, tempfile, urllib3

kept = {"O_RDONLY", "O_WRONLY", "O_RDWR", "O_APPEND", "O_CREAT", "O_EXCL", "O_TRUNC"}
gone = "fchmod fork getegid geteuid getgid getuid getxattr killpg lchown mkfifo pread readv set_blocking"
for name in ("fcntl", "grp", "pwd", "pty", "resource", "syslog", "termios", "tty"):
    sys.modules[name] = None
for name in [*gone.split(), *(one for one in dir(os) if one.startswith("O_") and one not in kept)]:
    delattr(os, name)
for name in ("SIGALRM", "SIGKILL", "getitimer", "pthread_kill", "setitimer"):
    delattr(signal, name)
import buildpush
names = [one.name for one in pkgutil.walk_packages(buildpush.__path__, "buildpush.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(len(names))
"""


@pytest.mark.programs
def test_every_module_loads_without_what_only_linux_and_macos_have():
    ran = subprocess.run([sys.executable, "-c", HIDDEN], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert int(ran.stdout) > 300


@pytest.fixture
def on_windows(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "platform", "win32")


@pytest.mark.usefixtures("on_windows")
@pytest.mark.parametrize("line", ["run step.yml", "check", "push oci:app r.test/app:1", "build-info list", "clean"])
def test_on_windows_a_command_says_where_it_runs(capsys, line):
    assert run_command(line.split()) == 2
    said = capsys.readouterr().err
    assert "does not run on Windows itself" in said
    assert "WSL" in said


@pytest.mark.usefixtures("on_windows")
def test_on_windows_a_call_says_where_it_runs():
    with pytest.raises(SettingsError, match="Windows"):
        buildpush.check(repo="r.test/app")

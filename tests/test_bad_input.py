"""What a CI engineer gets wrong, through the command line: a sentence and an exit code, never a traceback."""

from __future__ import annotations

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

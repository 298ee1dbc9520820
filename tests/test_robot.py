"""A robot that may deploy and not read: what it pushed is published, from the receipt."""

from __future__ import annotations

import json

import pytest

from buildpush.cli import run_command

pytestmark = pytest.mark.programs


@pytest.mark.parametrize("rights", [["deploy", "publish", "annotate"], ["deploy", "publish"]])
def test_a_robot_that_may_not_read_gets_its_build_info_published(box, tmp_path, monkeypatch, capsys, rights):
    robot = box.add_account("robot", rights)
    monkeypatch.setenv("PLUGIN_USERNAME", robot.username)
    monkeypatch.setenv("PLUGIN_PASSWORD", robot.password.reveal())
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    words = ["--repo", f"{box.host}/docker-local/app", "--tags", "1", "--engine", "native", "--json"]
    server = ["--artifactory-url", box.artifactory_url, "--build-name", "app", "--build-number", "7"]
    code = run_command(["run", *words, *server])
    shown = capsys.readouterr()
    assert code == 0, shown.err
    [build] = box.builds("app")
    digest = json.loads(shown.out)["steps"][0]["digest"]
    assert f"sha256:{build['modules'][0]['artifacts'][0]['sha256']}" == digest == box.digest("docker-local/app", "1")
    assert "could not be checked" in shown.err

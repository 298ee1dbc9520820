"""The record of an executed notebook: what is in it, and whether the registries still have it."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress

import pytest
from nbformat.v4 import new_code_cell, new_notebook, writes

import buildpush
from buildpush import __version__, notebooks
from buildpush.cli import run_command
from buildpush.foundation.errors import BuildPushError, SettingsError
from buildpush.foundation.secrets import Secret
from buildpush.pipeline.recorded import read_record
from tests.connectors import connector, connectors
from tests.hostile.registry import HostileRegistry, Reply, digest_of

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def execute(tmp_path, box):
    """Return a function that executes cells, which can push to the sandbox, and gives the path of the notebook."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY a /a\n")
    (tmp_path / "a").write_text("hello")
    access = {"username": box.username, "password": f"file:{tmp_path / 'password'}"}
    (tmp_path / "password").write_text(box.password.reveal())
    begin = (
        f"import buildpush\naccess = {access!r}\nhow = access | {{'dockerfile': {str(tmp_path / 'Dockerfile')!r},"
        f" 'context': {str(tmp_path)!r}, 'engine': 'native', 'repo': '{box.host}/docker-local/app'}}"
    )

    def execute_cells(*sources):
        path = tmp_path / "app.ipynb"
        cells = [new_code_cell(source) for source in (begin, *sources)]
        path.write_text(writes(new_notebook(cells=cells, metadata=KERNEL)))
        with suppress(BuildPushError):  # of a cell that fails on purpose; tests see how far the notebook came
            notebooks.execute(path, {}, tmp_path / "out")
        return tmp_path / "out" / "app.ipynb"

    return execute_cells


def metadata(path):
    return json.loads(path.read_text())["metadata"]["buildpush"]


@pytest.mark.programs
def test_an_executed_notebook_has_what_its_cells_pushed_even_if_nothing_is_shown_and_a_later_cell_fails(
    execute, box, tmp_path
):
    path = execute(
        f"_ = buildpush.run(tags='1', artifactory_url='{box.url}', build_name='app', build_number='7', **how)",
        "buildpush.run(tags='2', **how).digest",
        "raise RuntimeError('it ends here')",
        "buildpush.run(tags='3', **how)",
    )
    record = metadata(path)
    first, second = record["runs"]
    assert (record["version"], record["buildpush"]) == (1, __version__)
    assert first["references"] == [f"{box.host}/docker-local/app:1"]
    assert second["references"] == [f"{box.host}/docker-local/app:2"]
    assert [run["digest"] for run in (first, second)] == [box.digest("docker-local/app", tag) for tag in "12"]
    assert first["engine"] == "native"
    assert {name: first["build"][name] for name in ("name", "number", "project")} == {
        "name": "app",
        "number": "7",
        "project": "",
    }
    assert second["build"] is None
    assert first["started"] < second["started"]
    assert first["seconds"] > 0
    assert str(tmp_path) not in json.dumps(record)
    assert box.password.reveal() not in path.read_text()


@pytest.mark.programs
def test_a_push_of_a_file_is_recorded_without_the_place_of_the_file(execute, box, tmp_path):
    path = execute(
        f"made = buildpush.build(output='docker-archive:{tmp_path}/app.tar', **{{**how, 'tags': 'x'}})",
        f"buildpush.push('docker-archive:{tmp_path}/app.tar', '{box.host}/docker-local/app:1', **access)",
    )
    (run,) = metadata(path)["runs"]
    assert run["step"] == "push docker-archive:app.tar"
    assert run["references"] == [f"{box.host}/docker-local/app:1"]


@pytest.mark.programs
def test_a_notebook_that_pushes_nothing_has_no_record(execute):
    path = execute("1 + 1")
    assert "buildpush" not in json.loads(path.read_text())["metadata"]
    with pytest.raises(SettingsError, match="has no record: nothing was pushed in it") as caught:
        read_record(path)
    assert caught.value.hint == "execute it first: buildpush tutorial NOTEBOOK, papermill, or in JupyterLab"


@pytest.mark.programs
def test_a_notebook_that_plain_papermill_executes_has_its_record_in_outputs(execute, box, tmp_path):
    path = execute("_ = buildpush.run(tags='1', **how)")
    plain = tmp_path / "plain.ipynb"
    command = [sys.executable, "-m", "papermill", "--no-progress-bar", "-k", "python3", tmp_path / "app.ipynb", plain]
    subprocess.run(command, check=True, capture_output=True)
    assert "buildpush" not in json.loads(plain.read_text())["metadata"]
    _, (run,) = read_record(plain)
    assert [str(reference) for reference in run.references] == metadata(path)["runs"][0]["references"]


# ---- the command


def notebook(tmp_path, *runs, **more):
    path = tmp_path / "done.ipynb"
    record = {"version": 1, "buildpush": "0.1.0", "runs": list(runs)} | more
    path.write_text(json.dumps({"cells": [], "metadata": {"buildpush": record}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def run_of(digest, *references, **more):
    return {"step": "build", "references": list(references), "digest": digest, "seconds": 1.5, **more}


@pytest.fixture
def pushed(tmp_path, box, monkeypatch):
    """Return the image app:1, and a function that pushes it again with other content."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLUGIN_PASSWORD", box.password.reveal())
    access = connector(box.url, box.username, "env:PLUGIN_PASSWORD")
    (tmp_path / "connectors.yml").write_text(connectors(access))
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY a /a\n")

    def push(content):
        (tmp_path / "a").write_text(content)
        words = ["--dockerfile", "Dockerfile", "--tags", "1", "--username", box.username]
        assert run_command(["run", "--repo", f"{box.host}/docker-local/app", "--engine", "native", *words]) == 0
        return box.digest("docker-local/app", "1")

    return f"{box.host}/docker-local/app:1", push


ACCESS = ["--connectors", "connectors.yml"]


@pytest.mark.sandbox
def test_a_record_that_the_registry_agrees_with_is_shown_and_the_code_is_0(pushed, box, tmp_path, capsys):
    reference, push = pushed
    build = {"name": "app", "number": "7", "url": f"http://{box.host}/ui/builds/app/7", "project": ""}
    path = notebook(tmp_path, run_of(push("one"), reference, engine="native", build=build))
    capsys.readouterr()
    assert run_command(["record", str(path), *ACCESS]) == 0
    shown = capsys.readouterr().out
    for words in ("by buildpush 0.1.0", "built by native", f"{reference}: same", build["url"]):
        assert words in shown


@pytest.mark.sandbox
def test_a_reference_that_has_moved_is_shown_with_its_digest_now_and_the_code_is_8(pushed, box, tmp_path, capsys):
    reference, push = pushed
    path = notebook(tmp_path, run_of(push("one"), reference))
    now = push("two")
    capsys.readouterr()
    assert run_command(["record", str(path), "--json", *ACCESS]) == 8
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert document["ok"] is False
    assert document["runs"][0]["references"] == [{"reference": reference, "state": "moved", "now": now}]
    assert f"{reference}: moved to {now}" in printed.err


@pytest.mark.sandbox
def test_a_reference_that_a_later_run_of_the_notebook_replaced_is_as_recorded(pushed, box, tmp_path, capsys):
    reference, push = pushed
    path = notebook(tmp_path, run_of(push("one"), reference), run_of(push("two"), reference))
    capsys.readouterr()
    assert run_command(["record", str(path), *ACCESS]) == 0
    shown = capsys.readouterr().out
    assert shown.index(f"{reference}: replaced by a later run") < shown.index(f"{reference}: same")


@pytest.mark.sandbox
def test_a_reference_that_is_gone_and_one_that_cannot_be_read_are_told_apart(pushed, box, tmp_path, capsys):
    reference, push = pushed
    absent, silent = reference.replace("app:1", "app:9"), "localhost:1/docker-local/app:1"
    path = notebook(tmp_path, run_of(push("one"), reference, absent, silent))
    assert run_command(["record", str(path), *ACCESS]) == 8
    shown = capsys.readouterr().out
    assert f"{reference}: same" in shown
    assert f"{absent}: gone" in shown
    assert f"{silent}: cannot be read: " in shown


@pytest.mark.sandbox
def test_python_gets_the_same_as_the_command_prints(pushed, box, tmp_path, capsys):
    reference, push = pushed
    notebook(tmp_path, run_of(push("one"), reference))
    capsys.readouterr()
    assert run_command(["record", "done.ipynb", "--json", *ACCESS]) == 0
    found = buildpush.record("done.ipynb", connectors="connectors.yml", cwd=tmp_path)
    assert found.as_json() == json.loads(capsys.readouterr().out)
    push("two")
    moved = buildpush.record(tmp_path / "done.ipynb", connectors="connectors.yml")
    assert [one.state for _, references in moved.runs for one in references] == ["moved"]
    assert len(moved.problems) == 1


@pytest.mark.parametrize("name", ["username", "password", "insecure"])
def test_a_login_is_no_keyword_where_a_stranger_names_the_hosts(name):
    with pytest.raises(TypeError, match=name):
        buildpush.record("done.ipynb", **{name: "x"})


MANIFEST = b"{}"


def manifest_of(name, headers):
    """Return a quirk: the manifest of the repository *name*, whatever it is asked for, with these headers."""
    return lambda request, _: (
        Reply(302 if "Location" in headers else 200, headers, MANIFEST)
        if (request.is_manifest and f"/{name}/" in request.path)
        else None
    )


@pytest.mark.sandbox
def test_the_bytes_count_and_not_what_the_registry_says_of_them(tmp_path, capsys):
    with HostileRegistry(manifest_of("a", {"Docker-Content-Digest": DIGEST})) as server:
        path = notebook(tmp_path, run_of(DIGEST, f"{server.host}/a:1"))
        assert run_command(["record", str(path)]) == 8
    shown = capsys.readouterr().out
    assert f"a:1: cannot be read: the manifest of {server.host}/a:1 has the digest {digest_of(MANIFEST)}" in shown
    assert "same" not in shown


@pytest.mark.sandbox
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_registry_that_names_no_digest_is_compared_by_the_bytes(tmp_path, capsys, algorithm):
    with HostileRegistry(manifest_of("a", {})) as server:
        path = notebook(tmp_path, run_of(digest_of(MANIFEST, algorithm), f"{server.host}/a:1"))
        assert run_command(["record", str(path)]) == 0
    assert "a:1: same" in capsys.readouterr().out


@pytest.mark.sandbox
def test_a_redirect_that_cannot_be_followed_is_the_reason_for_its_own_reference_only(tmp_path, capsys):
    wrong, right = manifest_of("a", {"Location": "file:///etc/passwd"}), manifest_of("b", {})
    with HostileRegistry(wrong, right) as server:
        path = notebook(tmp_path, run_of(digest_of(MANIFEST), f"{server.host}/a:1", f"{server.host}/b:1"))
        assert run_command(["record", str(path)]) == 8
    shown = capsys.readouterr().out
    assert "a:1: cannot be read: 'file:///etc/passwd' is not an address" in shown
    assert "b:1: same" in shown


@pytest.mark.sandbox
def test_a_registry_that_refuses_the_login_is_named_with_the_reason(pushed, box, tmp_path, capsys):
    reference, push = pushed
    path = notebook(tmp_path, run_of(push("one"), reference))
    (tmp_path / "wrong").write_text("wrong-password")
    (tmp_path / "wrong.yml").write_text(connectors(connector(box.url, box.username, "file:wrong")))
    assert run_command(["record", str(path), "--connectors", "wrong.yml"]) == 8
    assert f"{reference}: cannot be read: " in capsys.readouterr().out


@pytest.mark.sandbox
def test_a_login_for_no_named_host_is_not_sent_to_the_host_that_a_notebook_names(
    pushed, box, tmp_path, capsys, monkeypatch
):
    reference, push = pushed
    path = notebook(tmp_path, run_of(push("one"), reference))
    monkeypatch.setenv("PLUGIN_USERNAME", box.username)
    assert run_command(["record", str(path)]) == 8
    printed = capsys.readouterr()
    assert f"{reference}: cannot be read: {box.host} requires credentials" in printed.out
    assert "PLUGIN_REGISTRY does not name their host" in printed.err
    monkeypatch.setenv("PLUGIN_REGISTRY", box.url)
    assert run_command(["record", str(path)]) == 0


def test_a_login_by_flags_is_no_option_of_a_command_whose_hosts_a_stranger_names(tmp_path, capsys):
    assert run_command(["record", str(notebook(tmp_path)), "--username", "me", "--password", "env:P"]) == 2
    assert "there is no option --username" in capsys.readouterr().err


HOSTILE = {
    "a list in place of the record": [1],
    "a text in place of the record": "x",
    "a version of another type": {"version": "1", "runs": []},
    "a newer version": {"version": 2, "runs": []},
    "runs that are no list": {"version": 1, "runs": {"a": 1}},
    "a run that is no object": {"version": 1, "runs": ["x"]},
    "more runs than any notebook has": {"version": 1, "runs": [{}] * 1001},
    "references that are no list": {"version": 1, "runs": [{"references": "r.io/a:1"}]},
    "a reference that is a number": {"version": 1, "runs": [{"references": [1]}]},
    "a reference that is none": {"version": 1, "runs": [{"references": ["https://u:p@r.io/A b"]}]},
    "a digest that is none": {"version": 1, "runs": [{"digest": "\x1b[2Jsha256:x"}]},
    "seconds that are true": {"version": 1, "runs": [{"seconds": True}]},
    "seconds without an end": {"version": 1, "runs": [{"seconds": float("inf")}]},
    "seconds that are not a number": {"version": 1, "runs": [{"seconds": float("nan")}]},
    "more seconds than a float holds": {"version": 1, "runs": [{"seconds": 10**400}]},
    "a huge text": {"version": 1, "runs": [{"step": "x" * 5000}]},
    "a build that is a list": {"version": 1, "runs": [{"build": []}]},
    "a build with a number as its number": {"version": 1, "runs": [{"build": {"number": 7}}]},
}


@pytest.mark.parametrize("record", HOSTILE.values(), ids=HOSTILE)
def test_a_record_that_buildpush_has_not_written_is_a_mistake_with_a_hint(record, tmp_path, capsys):
    path = tmp_path / "done.ipynb"
    path.write_text(json.dumps({"cells": [], "metadata": {"buildpush": record}}))
    assert run_command(["record", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "hint: " in error
    assert "\x1b" not in error
    assert len(error) < 1000


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"cells": 1}', '{"cells": [1], "metadata": {}}', "[" * 100_000])
def test_a_file_that_is_no_notebook_is_a_mistake(text, tmp_path, capsys):
    path = tmp_path / "done.ipynb"
    path.write_text(text)
    assert run_command(["record", str(path)]) == 2
    assert f"{path} is not a notebook" in capsys.readouterr().err


def test_a_notebook_that_is_not_there_is_a_mistake(tmp_path, capsys):
    assert run_command(["record", str(tmp_path / "none.ipynb")]) == 2
    assert "cannot be read: No such file or directory" in capsys.readouterr().err


def test_control_characters_and_secrets_of_a_record_are_not_printed(tmp_path, capsys):
    Secret("open-sesame-1701")
    build = {"name": "a\x1b[31m", "number": "open-sesame-1701", "url": "", "project": ""}
    path = notebook(tmp_path, run_of(None, step="a\nerror: \x1b[2J\u202ex", build=build), buildpush="\x07one")
    assert run_command(["record", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "\u202e" not in shown
    assert "\nerror" not in shown

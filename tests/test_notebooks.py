from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import papermill  # noqa: F401 - a library below it opens a socket at import, which fast tests may not
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, writes

from buildpush import notebooks
from buildpush.foundation.errors import BuildPushError, SecretError, SettingsError
from buildpush.foundation.events import Finished, Log, Started
from buildpush.foundation.secrets import Secret
from buildpush.notebooks import leaks, tutorials
from buildpush.notebooks.page import page_of
from buildpush.sandbox import Sandbox
from tests.connectors import connector, connectors

ROOT = Path(__file__).parent.parent
PARAMETERS = 'tags: str = "1.0"  # tag of the image\ncount: int = 2  # how often\nfast: bool = False\nwhere = ""'
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


def write(path, *cells):
    tagged = new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    path.write_text(writes(new_notebook(cells=[new_markdown_cell("# A try"), tagged, *cells], metadata=KERNEL)))
    return path


@pytest.fixture
def notebook(tmp_path):
    def make(*sources):
        return write(tmp_path / "try.ipynb", *(new_code_cell(source) for source in sources))

    return make


def outputs(executed):
    cells = json.loads(executed.path.read_text(encoding="utf-8"))["cells"]
    return "".join(text for cell in cells for output in cell.get("outputs", []) for text in output.get("text", []))


def test_tutorials_are_found_by_name_by_name_without_number_and_by_path(notebook):
    path = notebook("1")
    assert tutorials.find(path) == path
    for name in tutorials.names():
        assert tutorials.find(name[:2]) == tutorials.find(name)
        assert tutorials.find(name) == tutorials.find(name.partition("-")[2]) == tutorials.find(f"{name}.ipynb")


def test_an_unknown_tutorial_is_refused_with_the_nearest_name():
    with pytest.raises(SettingsError, match="no notebook '01-first-pusj'") as caught:
        tutorials.find("01-first-pusj")
    assert "01-first-push" in caught.value.hint


def test_the_wheels_own_tutorials_come_first(tmp_path, monkeypatch):
    package = tmp_path / "buildpush"
    (package / "notebooks").mkdir(parents=True)
    monkeypatch.setattr(tutorials, "__file__", str(package / "notebooks" / "__init__.py"))
    assert tutorials.tutorials_directory() == tmp_path
    (package / "tutorials").mkdir()
    assert tutorials.tutorials_directory() == package / "tutorials"


def test_parameters_come_with_type_default_and_comment(notebook):
    tags, count, *_ = notebooks.parameters_of(notebook())
    assert (tags.name, tags.type, tags.default, tags.help) == ("tags", "str", '"1.0"', "tag of the image")
    assert (count.type, count.default) == ("int", "2")


def test_an_unknown_parameter_is_refused_with_the_nearest_name(notebook):
    with pytest.raises(SettingsError, match="no parameter 'tag'") as caught:
        notebooks.execute(notebook(), {"tag": "7"})
    assert caught.value.hint == "did you mean tags?"


def test_a_parameter_of_another_type_is_refused(notebook):
    with pytest.raises(SettingsError, match="'count' takes int, not 'many'"):
        notebooks.execute(notebook(), {"count": "many"})


def test_text_becomes_what_the_parameter_is(notebook):
    given = {"tags": "1.10", "count": "3", "fast": "true", "where": "1.10"}
    values = notebooks.checked_values(notebook(), given, {})
    assert values == {"tags": "1.10", "count": 3, "fast": True, "where": "1.10"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("artifactory_token", "hunter2hunter2"),
        ("registry_password", "x"),
        ("api_key", "abc"),
        ("client_secret", "abc"),
        ("where", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2ln"),
        ("where", "https://ci:hunter2@acme.example/"),
        ("where", "AKCp8k5wHTfW3dVjXQ2ZbLrYgM"),
        ("where", ["fine", {"deep": "-----BEGIN RSA PRIVATE KEY-----"}]),
    ],
)
def test_a_parameter_that_looks_like_a_secret_is_refused_and_not_repeated(name, value, tmp_path):
    cell = new_code_cell(f'{name} = ""', metadata={"tags": ["parameters"]})
    path = tmp_path / "try.ipynb"
    path.write_text(writes(new_notebook(cells=[cell], metadata=KERNEL)))
    with pytest.raises(SecretError, match=f"'{name}' looks like a secret") as caught:
        notebooks.execute(path, {name: value})
    assert str(value) not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("value", ["env:TOKEN", "file:/run/token", "secret:jfrog", '<+secrets.getValue("a")>', ""])
def test_a_reference_to_a_secret_is_let_in(value, tmp_path):
    cell = new_code_cell('token = ""', metadata={"tags": ["parameters"]})
    path = tmp_path / "try.ipynb"
    path.write_text(writes(new_notebook(cells=[cell], metadata=KERNEL)))
    assert notebooks.checked_values(path, {"token": value}, {}) == {"token": value}


def test_the_notebook_itself_is_not_overwritten(notebook):
    path = notebook()
    with pytest.raises(SettingsError, match="is the notebook itself"):
        notebooks.execute(path, {}, path)


def test_a_file_that_is_no_notebook_is_refused(tmp_path):
    path = tmp_path / "try.ipynb"
    path.write_text("hello", encoding="utf-8")
    with pytest.raises(SettingsError, match="cannot be read as a notebook"):
        notebooks.execute(path)


def test_the_page_shows_every_kind_of_output_and_runs_no_script():
    outputs = [
        new_output("stream", text="<b>printed</b>\n"),
        new_output("display_data", data={"text/html": "<table><tr><td>rich</td></tr></table>", "text/plain": "x"}),
        new_output("display_data", data={"text/markdown": "**strong**"}),
        new_output("display_data", data={"image/png": "aGVsbG8="}),
        new_output("display_data", data={"image/svg+xml": "<svg/>"}),
        new_output("display_data", data={"text/plain": "plain <i>"}),
        new_output("error", ename="E", evalue="v", traceback=["\x1b[31mred\x1b[0m"]),
    ]
    cells = [
        new_markdown_cell("# Title & more\n\n| a | b |\n|---|---|\n| 1 | <script>2</script> |"),
        new_code_cell("x = 1", metadata={"tags": ["injected-parameters"]}),
        new_code_cell("print()", outputs=outputs),
    ]
    page = page_of(new_notebook(cells=cells, metadata=KERNEL), "try")
    assert "<title>Title &amp; more</title>" in page
    assert "default-src 'none'" in page
    for shown in ("&lt;b&gt;printed", "<td>rich</td>", "<strong>strong", "data:image/png;base64,aGVsbG8=", "<svg/>"):
        assert shown in page
    assert "plain &lt;i&gt;" in page
    assert '<pre class="error">red</pre>' in page
    assert "<script" not in page
    assert "given" in page


def test_a_page_of_nothing_is_a_page():
    assert "<title>try</title>" in page_of(new_notebook(), "try")


@pytest.mark.programs
def test_a_notebook_is_executed_told_live_and_left_with_its_page(notebook, tmp_path):
    path = write(
        tmp_path / "try.ipynb",
        new_markdown_cell("## Count"),
        new_code_cell("for i in range(count):\n    print(i, tags)\ncount"),
    )
    heard = []
    executed = notebooks.execute(path, {"tags": "1.10"}, tmp_path / "out" / "done.ipynb", sink=heard.append)
    assert outputs(executed) == "0 1.10\n1 1.10\n"
    assert "1 1.10" in executed.page.read_text(encoding="utf-8")
    assert heard[:4] == [Started("Count"), Log("0 1.10"), Log("1 1.10"), Log("2")]
    assert isinstance(heard[4], Finished)
    assert str(tmp_path) not in executed.path.read_text(encoding="utf-8")
    assert sorted(left.name for left in executed.path.parent.iterdir()) == ["done.html", "done.ipynb"]


@pytest.mark.programs
def test_an_updating_line_that_ended_empty_leaves_no_gap_and_a_table_is_told_in_columns(notebook, tmp_path):
    path = notebook(
        "from IPython.display import HTML, Markdown, display\n"
        "print('before')\nline = display(HTML('<b>moving</b>'), display_id=True)\nprint('after')\n"
        "class Nothing:\n    _repr_html_ = __repr__ = lambda self: ''\n"
        "line.update(Nothing())\n"
        "Markdown('| | |\\n|---|---|\\n| step | Build it |\\n| digest | sha256:1 |')"
    )
    heard = []
    executed = notebooks.execute(path, {}, tmp_path / "out", sink=heard.append)
    cell = json.loads(executed.path.read_text(encoding="utf-8"))["cells"][-1]
    assert [output["output_type"] for output in cell["outputs"]] == ["stream", "execute_result"]
    assert "".join(cell["outputs"][0]["text"]) == "before\nafter\n"
    assert heard[-2:] == [Log("step    Build it"), Log("digest  sha256:1")]


@pytest.mark.programs
def test_a_table_is_told_in_words_without_the_marks_of_markdown(notebook, tmp_path):
    rows = (
        r"| fact | value |",
        r"|---|---|",
        r"| set | build\_name = \[a\|b\]<br>c &lt; d |",
        r"| at | <http://h/a_b> |",
    )
    heard = []
    path = notebook(f"from IPython.display import Markdown\nMarkdown('\\n'.join({rows!r}))")
    notebooks.execute(path, {}, tmp_path / "out", sink=heard.append)
    told = [event.line for event in heard if isinstance(event, Log)]
    assert told[-4:] == ["fact  value", "set   build_name = [a|b]", "      c < d", "at    http://h/a_b"]


@pytest.mark.programs
def test_the_kernel_is_of_the_running_python_whatever_the_user_has_named_python3(notebook, tmp_path, home):
    spec = home / ".local/share/jupyter/kernels/python3"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text('{"argv": ["false"], "display_name": "x", "language": "python"}')
    executed = notebooks.execute(notebook("import sys; print(sys.executable)"), {}, tmp_path / "out")
    assert outputs(executed).strip() == sys.executable


@pytest.mark.programs
def test_a_failed_cell_is_an_error_and_the_notebook_up_to_there_is_kept(notebook, tmp_path):
    path = notebook('print("before")', "1 / 0", 'print("after")')
    with pytest.raises(BuildPushError, match=r"In\[3\] failed: ZeroDivisionError: division by zero") as caught:
        notebooks.execute(path, {}, tmp_path / "out")
    kept = tmp_path / "out" / "try.ipynb"
    assert str(kept) in caught.value.hint
    assert "before" in kept.read_text(encoding="utf-8")
    assert "after\\n" not in kept.read_text(encoding="utf-8")


@pytest.mark.programs
@pytest.mark.parametrize(
    ("given", "said", "read"),
    [
        ({"tags": "UPPER:bad"}, "tags=: 'UPPER:bad' is not a tag", "tags"),
        ({"engine": "docker"}, "there is no Docker daemon: /nowhere does not exist", "engine"),
        (
            {"connectors": "nosuch.yml", "repository": "docker-local"},
            "nosuch.yml: it cannot be read: No such file",
            None,
        ),
    ],
)
def test_a_mistake_in_a_parameter_is_told_as_a_command_tells_it(given, said, read, tmp_path, monkeypatch):
    """People want the sentence, the hint and what to read; a traceback of ours helps nobody."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    heard = []
    with pytest.raises(BuildPushError) as caught:
        notebooks.execute("01-first-push", given, tmp_path, env=os.environ, sink=heard.append)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (caught.value.exit_code, caught.value.setting) == (2, read)
    assert str(tmp_path / "01-first-push.ipynb") in caught.value.hint
    saved = (tmp_path / "01-first-push.ipynb").read_text(encoding="utf-8")
    assert "Traceback" not in f"{heard}{saved}"


@pytest.mark.programs
def test_a_secret_that_only_the_kernel_knows_is_found_before_anything_is_written(notebook, tmp_path):
    path = notebook("from buildpush.foundation.secrets import Secret", 'print(Secret("sword" + "fish-1961").reveal())')
    with pytest.raises(SecretError, match="a secret appears in cell 4"):
        notebooks.execute(path, {}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.programs
def test_a_secret_that_is_coloured_is_found_before_anything_is_written(notebook, tmp_path):
    path = notebook(
        "from buildpush.foundation.secrets import Secret",
        'value = Secret("sword" + "fish-1961").reveal()\nprint(value[:5] + chr(27) + "[1;32m" + value[5:])',
    )
    with pytest.raises(SecretError, match="a secret appears in cell 4"):
        notebooks.execute(path, {}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


PIECES = ("open", "sesame", "1701")


def stream(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def shown(kind, text):
    return new_output("display_data", data={kind: text})


@pytest.mark.parametrize(
    "outputs",
    [
        [stream("\x1b[1m@\x1b[32m@\x1b[0m@")],
        [stream("@\u200b@\xad@")],
        [stream("@"), stream("and that", "stderr"), stream("@@")],
        [stream("@"), stream("@@")],
        [shown("text/html", "<pre>@<span style='color:red'>@</span><b>@</b></pre>")],
        [shown("text/html", "@<!-- -->@&#49;&#55;01")],
        [shown("text/markdown", "@*@*@")],
        [shown("image/svg+xml", "<svg><text>@<tspan>@</tspan>@</text></svg>")],
        [shown("text/plain", "'@\\x1b[0m@@'")],
        [shown("application/json", {"a": "@\x1b[0m@@"})],
        [new_output("error", ename="E", evalue="no", traceback=["\x1b[31m@\x1b[0m@", "@"])],
    ],
)
def test_a_secret_is_found_in_what_a_reader_of_the_page_sees(outputs):
    Secret("".join(PIECES))
    text = json.dumps(outputs)
    for piece in PIECES:
        text = text.replace("@", piece, 1)
    cells = [new_code_cell("1"), new_code_cell("2", outputs=json.loads(text))]
    assert leaks.in_cells(nbformat.from_dict(cells)) == [1]
    assert leaks.in_json(json.dumps(cells)) == [1]


def test_a_secret_in_the_highlighted_code_of_a_page_is_found():
    Secret("open-sesame-1701")
    assert leaks.in_page("<pre><span class='s1'>&#39;open-</span><span class='si'>sesame-1701</span></pre>")
    assert not leaks.in_page("<pre>open sesame</pre>")


@pytest.mark.programs
@pytest.mark.parametrize("kind", ["env", "file"])
def test_a_secret_that_a_parameter_refers_to_is_found_before_anything_is_written(kind, notebook, tmp_path, monkeypatch):
    planted = f"tr0ub4dor-{kind}"
    (tmp_path / "token").write_text(planted + "\n", encoding="utf-8")
    monkeypatch.setenv("TOKEN", planted)
    where = {"env": "env:TOKEN", "file": f"file:{tmp_path / 'token'}"}[kind]
    path = notebook(
        "import os, pathlib\n"
        "kind, _, rest = where.partition(':')\n"
        "print(os.environ[rest] if kind == 'env' else pathlib.Path(rest).read_text())"
    )
    with pytest.raises(SecretError, match="nothing was written"):
        notebooks.execute(path, {"where": where}, tmp_path / "out", env=os.environ)
    assert not (tmp_path / "out").exists()


@pytest.mark.programs
def test_a_place_that_cannot_be_written_is_an_error_without_half_a_file(notebook, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(BuildPushError, match="cannot be written: Not a directory"):
        notebooks.execute(notebook("1"), {}, tmp_path / "file" / "out")


@pytest.mark.programs
def test_a_kernel_that_dies_leaves_nothing(notebook, tmp_path):
    """Nobody is left to say whether its outputs hold secrets."""
    with pytest.raises(BuildPushError, match="the kernel died"):
        notebooks.execute(notebook("import os; os._exit(3)"), {}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


SCRIPT = """
import sys
from buildpush import notebooks
try:
    notebooks.execute(sys.argv[1], {}, sys.argv[2], sink=lambda event: print(event, flush=True))
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.programs
def test_an_interrupted_kernel_tidies_up_within_five_seconds(tmp_path):
    tidied = tmp_path / "tidied"
    source = f"import time\nprint('asleep')\ntry:\n    time.sleep(60)\nfinally:\n    open({str(tidied)!r}, 'w').close()"
    path = write(tmp_path / "try.ipynb", new_code_cell(source))
    arguments = [sys.executable, "-c", SCRIPT, str(path), str(tmp_path / "out")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert any("asleep" in line for line in iter(process.stdout.readline, ""))
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert time.monotonic() - began < 5
    assert rest.strip().endswith("interrupted")
    assert tidied.exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.programs
def test_a_kernel_that_is_interrupted_while_it_begins_leaves_no_file(tmp_path):
    path = write(tmp_path / "try.ipynb", new_code_cell("1"))
    arguments = [sys.executable, "-c", SCRIPT, str(path), str(tmp_path / "out")]
    # A short name: those of sockets may not be long.
    with tempfile.TemporaryDirectory(dir="/tmp") as scratch:
        env = os.environ | {"TMPDIR": scratch}
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=env) as process:
            while not list(Path(scratch).glob(f"buildpush-{process.pid}-*/kernel.json")):
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            assert process.stdout.read().strip().endswith("interrupted")
        assert list(Path(scratch).glob("buildpush-*")) == []


@pytest.mark.programs
def test_a_long_name_of_the_directory_for_temporary_files_is_no_obstacle(tmp_path, monkeypatch):
    """A socket's path has room for about a hundred bytes; some systems' directories alone have half of them."""
    directory = tmp_path / ("long" * 20)
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    path = write(tmp_path / "try.ipynb", new_code_cell("print('well')"))

    assert "well" in outputs(notebooks.execute(path, {}, tmp_path / "out", env=os.environ))
    assert not list(Path("/tmp").glob(f"buildpush-{os.getpid()}-*"))


TUTORIALS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_tutorials_are_stored_without_outputs_and_with_one_comment_per_parameter(path):
    document = json.loads(path.read_text(encoding="utf-8"))
    assert (document["nbformat"], document["nbformat_minor"]) == (4, 5)
    assert all(cell["id"] for cell in document["cells"])
    assert not [cell for cell in document["cells"] if cell.get("outputs") or cell.get("execution_count")]
    (tagged,) = [cell for cell in document["cells"] if "parameters" in cell["metadata"].get("tags", [])]
    for line in "".join(tagged["source"]).splitlines():
        assert re.match(r'\w+: (str|int|bool) = ("[^"]*"|\d+|True|False)  # \S', line)


@pytest.mark.programs
def test_papermill_prints_the_parameters_of_a_tutorial():
    arguments = ["-m", "papermill", "--help-notebook", str(TUTORIALS[0])]
    shown = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True).stdout
    for parameter in notebooks.parameters_of(TUTORIALS[0]):
        assert f"{parameter.name}: {parameter.type}" in shown
        assert parameter.help in shown


# What to say to a tutorial, and what it says then; all of them are on a sandbox of their own.
SAID = {
    "03-push-over-a-bad-line": ({"megabytes": 24, "reset_after": 3}, "docker-local/lossy:"),
    "04-engines": ({"megabytes": 1, "engine": "native"}, "native: sha256:"),
    "05-pipeline-file": ({"branch": "dev", "services": "one, two"}, "docker-local/two:dev"),
    "06-expressions": ({"branch": "Fix/crust", "release": "12"}, "docker-local/bread:fix-crust-12"),
    "07-build-info": ({"build_name": "bakery", "image": "bread"}, "docker-local/bread:2"),
    "08-promotion": ({"build_name": "bakery", "image": "bread"}, "docker-release/bread:1.4.2"),
    "09-cluster": ({"languages": "french, english"}, "docker-local/hello-french:1.0"),
}


@pytest.mark.programs
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_every_tutorial_runs_to_its_end_on_a_sandbox_and_names_no_place_on_this_machine(path, tmp_path):
    parameters, reference = SAID.get(path.stem, ({"tags": "7", "engine": "native"}, "docker-local/site:7"))
    executed = notebooks.execute(path, parameters, tmp_path, env=os.environ)
    text, page = executed.path.read_text(encoding="utf-8"), executed.page.read_text(encoding="utf-8")
    assert reference in text
    assert "sha256:" in page
    places = (tempfile.gettempdir(), str(ROOT), str(Path.home()), sys.prefix)
    assert [place for place in places if f"{place}/" in text + page] == []


@pytest.mark.programs
def test_the_private_directory_of_a_place_has_no_name_in_the_executed_notebook(notebook, tmp_path):
    path = notebook("import buildpush\nwith buildpush.practice() as place:\n    print('in', place.directory / 'a')")
    assert outputs(notebooks.execute(path, {}, tmp_path / "out")) == "in practice/a\n"


# Parameters that keep them short where they run against an Artifactory of the reader.
OWN = {
    "01-first-push": {"tags": "7", "engine": "native"},
    "02-one-setting-many-ways": {"tags": "7", "engine": "native"},
    "03-push-over-a-bad-line": {"megabytes": 24, "reset_after": 3},
    "04-engines": {"megabytes": 1, "engine": "native"},
    "09-cluster": {"languages": "french"},
}
HAS_NEW_BYTES = {"03-push-over-a-bad-line"}  # random ones, so that all of them have to be sent again


@pytest.fixture(params=["immutable tags, a private authority", "no overwrite"])
def own_artifactory(request, tmp_path, monkeypatch):
    """Give an Artifactory that is nobody's sandbox, and the file of a connector for it."""
    is_strict = request.param != "no overwrite"
    with Sandbox(immutable=["docker-local", "docker-release"] * is_strict, tls=is_strict) as box:
        username, password = box.username, box.password
        if not is_strict:
            account = box.add_account("careful", ["read", "deploy", "annotate", "publish"])
            username, password = account.username, account.password
        monkeypatch.setenv("OWN_PASSWORD", password.reveal())
        if box.authority:
            monkeypatch.setenv("SSL_CERT_FILE", str(box.authority))
        file = tmp_path / "mine.yml"
        file.write_text(connectors(connector(box.url, username, "env:OWN_PASSWORD")), encoding="utf-8")
        yield box, file


def recorded(executed):
    """Return what an executed notebook records of its pushes."""
    metadata = json.loads(executed.path.read_text(encoding="utf-8"))["metadata"]
    return [(run["references"], run["digest"]) for run in metadata["buildpush"]["runs"]]


@pytest.mark.programs
@pytest.mark.parametrize("name", [path.stem for path in TUTORIALS])
def test_a_tutorial_runs_twice_on_the_readers_own_artifactory_with_the_same_result(name, own_artifactory, tmp_path):
    """What the first execution has left is there when the second begins."""
    box, file = own_artifactory
    given = OWN.get(name, {}) | {"connectors": str(file), "repository": "docker-local"}
    first, second = (recorded(notebooks.execute(name, given, tmp_path / one, env=os.environ)) for one in "ab")
    assert (first == second) is (name not in HAS_NEW_BYTES)
    # By way of a line, the references have another host.
    assert any(box.has_blob(digest) for references, digest in first if "/docker-local/" in str(references))


@pytest.mark.programs
def test_a_tutorial_on_its_sandbox_counts_nothing_for_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    notebooks.execute("01-first-push", {"engine": "native"}, tmp_path / "out", env=os.environ)
    assert not (tmp_path / "state").exists()


@pytest.mark.programs
def test_plain_papermill_runs_a_tutorial_and_its_number_is_a_tag(tmp_path):
    out = tmp_path / "out.ipynb"
    subprocess.run([sys.executable, "-m", "papermill", TUTORIALS[0], out, "-p", "tags", "7"], check=True, cwd=tmp_path)
    assert "docker-local/site:7" in out.read_text(encoding="utf-8")


def test_a_missing_library_is_said_with_how_to_install_it(monkeypatch):
    monkeypatch.delitem(sys.modules, "buildpush.notebooks.kernel", raising=False)
    monkeypatch.setitem(sys.modules, "jupyter_client.kernelspec", None)
    with pytest.raises(SettingsError, match="jupyter_client") as caught:
        notebooks.execute("01-first-push")
    assert "buildpush[notebooks]" in caught.value.hint


@pytest.mark.parametrize("name", sorted(one.name for one in Path(__file__).parents[1].glob("notebooks/*.ipynb")))
def test_a_page_that_a_notebook_links_to_is_there(name):
    notebook = Path(__file__).parents[1] / "notebooks" / name
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", notebook.read_text(encoding="utf-8")):
        assert (notebook.parent / link).exists(), link

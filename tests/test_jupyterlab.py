"""Every notebook in a real JupyterLab: all cells are run, and what a reader sees is looked at, light and dark."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from buildpush.pipeline.recorded import read_record
from tests.browser import BROWSER
from tests.lab import Lab, open_lab

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("lab")]

NAMES = sorted(path.stem for path in (Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
# In place of what a reader is given: the same lessons, and less to wait for.
QUICK = {
    "01-first-push": {"engine": "native"},
    "02-one-setting-many-ways": {"engine": "native"},
    "03-push-over-a-bad-line": {"megabytes": 24, "reset_after": 3},
    "04-engines": {"megabytes": 1, "engine": "native"},
    "09-cluster": {"languages": "french, english"},
}
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
# A push that takes half a minute.
SLOW = """
import random
import buildpush
from buildpush.sandbox import Line
place = buildpush.practice()
(place.directory / "data").write_bytes(random.Random(1).randbytes(30_000_000))
(place.directory / "Dockerfile").write_text("FROM scratch\\nCOPY data /data\\n")
line = Line(place.sandbox.host, bytes_per_second=1_000_000).__enter__()
buildpush.run(**place.through(line), repo="docker-local/slow", tags=["1"], dockerfile="Dockerfile", engine="native")
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory, need, give_up):
    need(BROWSER or "chromium")
    for library in ("jupyterlab", "playwright"):
        if importlib.util.find_spec(library) is None:
            give_up(f"the library {library} is missing: pip install --group test")
    with open_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


def with_values(path: Path, values: dict[str, object]) -> None:
    """Write *values* into the cell with the parameters."""
    notebook = nbformat.read(path, as_version=4)
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    for name, value in values.items():
        cell.source, count = re.subn(rf"(?m)^({name}: \w+ = ).*$", rf"\g<1>{value!r}", cell.source)
        assert count == 1
    nbformat.write(notebook, path)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_to_its_end_and_can_be_read_in_light_and_in_dark(lab: Lab, name):
    with_values(lab.directory / f"{name}.ipynb", QUICK.get(name, {}))
    lab.open(name)
    lab.run_all()
    for theme, scheme in (("Light", "light"), ("Dark", "dark")):
        facts = lab.facts(theme)
        assert facts["errors"] == []
        assert facts["tables"] > 0
        assert (facts["chips"], facts["stripes"]) == ([], [])
        assert facts["pictures"]
        for alt, own_width, width, shown_for in facts["pictures"]:
            assert " " in alt
            assert own_width > 0
            assert width > 300
            assert shown_for == scheme
        brightness = [sum(map(int, re.findall(r"\d+", colour)[:3])) / 3 for colour in facts["words"]]
        assert all((one > 128) == (theme == "Dark") for one in brightness)
    _, runs = read_record(lab.saved())
    assert runs


def test_after_the_stop_button_one_line_says_what_stands_and_how_to_go_on(lab: Lab):
    notebook = new_notebook(cells=[new_code_cell(SLOW)], metadata=KERNEL)
    nbformat.write(notebook, lab.directory / "slow.ipynb")
    lab.open("slow")
    lab.begin_all()
    lab.wait_for("on its way")
    lab.command("notebook:interrupt-kernel")
    lab.wait_for("KeyboardInterrupt")
    (error,) = lab.facts("Light")["errors"]
    assert re.fullmatch(
        r"KeyboardInterrupt: stopped during push, [^\n]*; to go on, run the cell again[^\n]*", error.strip()
    )

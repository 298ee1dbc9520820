"""The Python examples of README, docs and settings, asked of a type checker as strictly as the package itself."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys

import pytest

from buildpush.reference.cards import cards
from tests.conftest import ON_CI
from tests.test_floors import ROOT

PROJECT = ROOT.parent
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
HAS_MYPY = importlib.util.find_spec("mypy") is not None

pytestmark = pytest.mark.programs


def errors_in(directory) -> list[str]:
    """Return what mypy says of the files in *directory*; it keeps what it knows of the package from its last run."""
    files = map(str, sorted(directory.glob("*.py")))
    words = [sys.executable, "-m", "mypy", "--no-error-summary", *files]
    ran = subprocess.run(words, capture_output=True, text=True, check=False, cwd=PROJECT)
    assert not ran.stderr
    return ran.stdout.splitlines()


def name_of(page) -> str:
    return page.relative_to(PROJECT).with_suffix("").as_posix().replace("/", "_")


def write_examples(directory) -> int:
    """Write every block of a page as a file, and the examples of all settings as one; return how many they are."""
    blocks = {
        f"{name_of(page)}_{at}": text for page in PAGES for at, text in enumerate(BLOCK.findall(page.read_text()))
    }
    calls = [card.examples["Python"] for card in cards() if "Python" in card.examples]
    for name, text in (blocks | {"cards": "\n".join(["import buildpush", "", *calls])}).items():
        (directory / f"example_{name.replace('-', '_')}.py").write_text(text, encoding="utf-8")
    return len(blocks) + len(calls)


@pytest.mark.skipif(not (HAS_MYPY or ON_CI), reason="mypy is not installed")
def test_every_python_example_is_accepted_by_a_strict_type_checker(tmp_path):
    assert write_examples(tmp_path) > 150
    (tmp_path / "mistake.py").write_text('import buildpush\n\nbuildpush.run(tags="1")\n', encoding="utf-8")
    [of_mistake, *others] = sorted(errors_in(tmp_path), key=lambda line: "mistake.py" not in line)
    assert "mistake.py:3: error:" in of_mistake
    assert others == []

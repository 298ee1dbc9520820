"""What the project's own files promise to those who install it."""

from __future__ import annotations

import itertools
import re
import runpy
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement
from readme_renderer import markdown

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# The first versions without a hole that was known in November 2026.
# urllib3: CVE-2026-97687, -97688, -97689; aiohttp: GHSA-2g87-pp6c-29x5, GHSA-5wr8-gcqf-gqf3.
SOUND = {"urllib3": (2, 8), "aiohttp": (3, 14, 5)}


def floor_of(name: str) -> tuple[int, ...]:
    wanted = [*PROJECT["dependencies"], *itertools.chain(*PROJECT["optional-dependencies"].values())]
    (found,) = [match[1] for one in wanted if (match := re.match(rf"{name}>=([0-9.]+)", one))]
    return tuple(int(part) for part in found.split("."))


@pytest.mark.parametrize("name", SOUND)
def test_no_version_with_a_known_hole_satisfies_what_speaks_http(name):
    assert floor_of(name) >= SOUND[name]


def test_every_promise_and_every_attack_on_the_page_of_security_names_tests_that_are_there():
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    promised, _, rest = page.partition("## What it trusts")
    tried = rest.partition("## What was tried")[2].partition("\n## ")[0]
    rows = [line for line in promised.splitlines() if line.startswith("| ")][1:]
    attacks = tried.split("\n- ")[1:]
    assert rows
    assert attacks
    for entry in (*rows, *attacks):
        files = re.findall(r"`(tests/[^`]+\.py)`", entry)
        assert files, entry
        assert not [name for name in files if not (ROOT / name).is_file()], entry


# ---- what is installed

DOCS = ROOT / "docs" / "how-to" / "install.md"
NO_PLACE = re.compile(r"[;\[ <>=].*")


def names(requirements):
    """Return the names of packages, and of our own extras as they are written."""
    return {NO_PLACE.sub("", one) for one in requirements if not one.startswith("buildpush[")}


def test_each_dependency_stands_in_the_table_with_its_extra_and_what_it_is_for():
    rows = re.findall(r"^\| (`.*?) \| (?:`(\w+)`)? *\| (.+) \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    told = [(name, extra) for named, extra, _ in rows for name in re.findall(r"`([^`]+)`", named)]
    extras = PROJECT["optional-dependencies"]
    needed = [(name, "") for name in names(PROJECT["dependencies"])]
    needed += [(name, extra) for extra, wanted in extras.items() for name in names(wanted)]
    assert sorted(told) == sorted(needed)


def test_the_extra_all_has_all_others():
    (everything,) = PROJECT["optional-dependencies"]["all"]
    listed = everything.removeprefix("buildpush[").removesuffix("]").split(",")
    assert sorted(listed) == sorted(set(PROJECT["optional-dependencies"]) - {"all"})


def installed(requirements):
    """Return the distributions that *requirements* bring on this machine, by name."""
    found, waiting = {}, [Requirement(one) for one in requirements]
    while waiting:
        wanted = waiting.pop()
        name = wanted.name.lower().replace("_", "-")
        if name not in found and (wanted.marker is None or wanted.marker.evaluate({"extra": ""})):
            found[name] = metadata.distribution(name)
            waiting += map(Requirement, found[name].requires or ())
    return found


def bytes_of(paths):
    return sum(path.stat().st_size for path in map(Path, paths) if path.is_file())


def test_an_install_without_extras_is_at_most_12_packages_and_25_megabytes():
    core = installed(PROJECT["dependencies"])
    assert len(core) <= 12
    theirs = sum(bytes_of(file.locate() for file in one.files or ()) for one in core.values())
    assert theirs + bytes_of((ROOT / "buildpush").rglob("*")) <= 25_000_000


# ---- what an index shows


def test_the_pythons_of_the_classifiers_are_those_that_may_install_it_and_were_tried():
    minors = [int(one.rpartition(".")[2]) for one in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", one)]
    assert f">=3.{min(minors)}" == PROJECT["requires-python"]
    assert minors == sorted(minors)
    nox = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    assert {f"3.{minor}" for minor in minors} <= set(re.findall(r"3\.\d+", re.search(r"PYTHONS = \((.*)\)", nox)[1]))


HOME = "https://git.test/acme/buildpush"


@pytest.fixture
def addresses():
    """Return the names of hatch_build.py."""
    return runpy.run_path(str(ROOT / "hatch_build.py"))


def test_an_index_gets_addresses_and_a_readme_whose_links_lead_to_files(addresses):
    assert set(addresses["urls_at"](HOME, "1.2.3")) == {"Source", "Documentation", "Changelog", "Issues"}
    links = re.findall(r"\]\(([^)\s]+)\)", addresses["readme_at"](README, HOME, "1.2.3"))
    inside = [link.removeprefix(f"{HOME}/blob/v1.2.3/") for link in links if link.startswith(HOME)]
    assert inside
    assert [path for path in inside if not (ROOT / path).exists()] == []
    assert [link for link in links if not link.startswith(("https://", "#"))] == []


def test_the_wheel_has_every_file_of_the_package():
    packed = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    there = {path for path in (ROOT / "buildpush").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {path.relative_to(ROOT).as_posix() for path in there} <= packed


def test_a_wheel_that_nobody_publishes_names_no_address(addresses):
    assert addresses["urls_at"]("", "1.2.3") == {}
    assert re.findall(r"\]\((?!https:|#)", addresses["readme_at"](README, "", "1.2.3")) == []
    assert addresses["readme_at"]("see [A](a.md) and [B](https://b.test)", "", "1") == "see A and [B](https://b.test)"


def test_a_python_that_is_too_old_is_refused_when_the_wheel_is_built(addresses):
    for version in [(3, 10, 13), (3, 9)]:
        with pytest.raises(SystemExit, match=re.escape("needs Python 3.11 or newer, and this is 3.")):
            addresses["check_python"](PROJECT["requires-python"], version)
    for version in [(3, 11), (3, 11, 0), (3, 13, 1), (4, 0)]:
        addresses["check_python"](PROJECT["requires-python"], version)


def test_the_readme_says_which_python_before_its_first_command():
    before = README.partition("```")[0]
    assert f"Python {PROJECT['requires-python'].removeprefix('>=')} or newer" in before
    assert "python3 --version" in before


def test_the_readme_is_a_page_that_an_index_can_render(addresses):
    page = markdown.render(addresses["readme_at"](README, HOME, "1.2.3"), stream=sys.stderr)
    assert page
    assert re.search("<h1[^>]*>buildpush<", page)
    assert page.count("<pre") >= 6


def test_the_readme_begins_with_what_it_does():
    paragraphs = README.split("\n\n")
    assert paragraphs[0] == "# buildpush"
    assert paragraphs[1].startswith("Build a container image, push it to JFrog")

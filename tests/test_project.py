"""What the project's own files promise to those who install it."""

from __future__ import annotations

import itertools
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
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

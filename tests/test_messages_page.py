"""The page of messages: what it reads from the code is what a run prints."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from buildpush.cli import run_command
from buildpush.foundation import errors

PAGE = runpy.run_path(str(Path(__file__).parent.parent / "docs" / "_extensions" / "messages.py"))


@pytest.fixture(scope="module")
def found():
    return PAGE["messages"]()


def fits(text, shown):
    """Return whether *shown* is a text in which … stands for values; a place may be in front of it."""
    return bool(text) and re.fullmatch("(?:.*: )?" + ".*?".join(map(re.escape, text.split("…"))), shown) is not None


def test_every_error_that_programs_can_catch_has_its_cause_and_what_to_do():
    classes = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.BuildPushError)]
    assert set(PAGE["REMEDIES"]) == {one.__name__ for one in classes}
    assert all(one.__doc__ for one in classes)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("run --repo acme.test/App --tags 1", "… is not a repository path: … breaks the grammar"),
        ("run --repo acme.test/app --engine dokcer", "… is not one of …"),
        ("run --repo acme.test/app --var one", "… … is not NAME=VALUE"),
        ("run nowhere.yml", "it cannot be read: …"),
        ("run --repo acme.test/app --password hunter22", "the secret is given as plain text"),
        ("explain advice-nothing", "there is no advice …"),
        ("tag acme.test/app:1 UP:1", "… is not a tag"),
        ("run --resume", "--resume needs the file of the run, and none is given"),
    ],
)
def test_an_error_that_a_command_prints_is_on_the_page_with_its_hint(found, line, text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
    assert run_command(line.split()) == 2
    error, hint = re.search(r"^error: (.*)\nhint: (.*)$", capsys.readouterr().err, re.MULTILINE).groups()
    assert fits(text, error)
    hints = [one.hint for one in found if one.text == text]
    assert hints
    assert not any(hints) or [one for each in hints for one in each.split(" / ") if fits(one, hint)]


def test_a_message_that_no_code_has_is_not_on_the_page(found):
    assert not [one for one in found if fits(one.text, "the moon is full")]


def test_a_local_kind_of_error_counts_as_the_error_that_it_is_a_kind_of(found):
    assert {one.family for one in found} <= set(PAGE["REMEDIES"])

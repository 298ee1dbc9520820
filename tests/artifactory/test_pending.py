"""The files of build-infos that wait: what stands in them, whose they are, and how they are found again."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from buildpush.artifactory import BuildInfo
from buildpush.artifactory.pending import Claim, Pending, file_name, left_behind, load, save
from buildpush.foundation.errors import SourceError

INFO = BuildInfo(name="app", number="7", started=datetime(2026, 10, 1, 12, 0, 0, 123000, tzinfo=UTC))
SERVER = "https://h/artifactory/"


@pytest.mark.parametrize(("pushed", "word"), [(True, "confirmed"), (False, "begun")])
def test_a_file_says_how_far_the_push_came_and_for_whom_it_is(tmp_path, pushed, word):
    """As an earlier version of this program wrote it: what waits may be finished by a later one."""
    path = save(Pending(INFO, SERVER, pushed), tmp_path)
    beside = {"push": word, "server": SERVER}
    assert json.loads(path.read_text()) == {"buildInfo": INFO.document(), "buildpush": beside}
    assert load(path) == Pending(INFO, SERVER, pushed)


@pytest.mark.parametrize("beside", [None, [], "text", {}, {"server": None}, {"push": "confirmed"}, {"server": ""}])
def test_a_build_info_of_which_nothing_else_is_said_was_pushed_for_nobody_in_particular(tmp_path, beside):
    path = tmp_path / "b.json"
    path.write_text(json.dumps({"buildInfo": INFO.document(), "buildpush": beside}))
    assert load(path) == Pending(INFO, "", pushed=True)


def test_a_file_that_is_no_build_info_is_refused(tmp_path):
    path = tmp_path / "b.json"
    path.write_text('{"buildpush": {"push": "begun"}}')
    with pytest.raises(SourceError, match="this is not a build-info"):
        load(path)


def test_a_name_is_recognised_and_no_other_runs():
    assert file_name(INFO) == "default-app-7-1790856000123-81f249c5.json"
    others = [
        replace(INFO, name="app-7", number=""),
        replace(INFO, project="web"),
        replace(INFO, name="a/p"),
        replace(INFO, name="a p"),
        replace(INFO, number="8"),
        replace(INFO, started=datetime(2026, 10, 1, 12, 0, 0, 124000, tzinfo=UTC)),
        replace(INFO, name="n" * 300),
        replace(INFO, name="n" * 301),
    ]
    assert len({file_name(info) for info in [INFO, *others]}) == 1 + len(others)


def test_a_name_can_be_that_of_a_file():
    odd = replace(INFO, project="..", name="../x/:*\n" + "é" * 300, number="." * 300)
    name = file_name(odd)
    assert len(name) <= 100 + len("-1790856000123-12345678.json")
    assert not name.startswith(".")
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def test_what_was_left_is_found_in_the_order_of_its_names_and_what_is_held_is_not(tmp_path):
    for number in ("3", "1", "2"):
        save(Pending(replace(INFO, number=number)), tmp_path)
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.txt").write_text(json.dumps(INFO.document()))
    with Claim(tmp_path) as claim:
        held = claim.write(Pending(replace(INFO, number="4"), SERVER, pushed=False))
        assert [pending.info.number for _, pending in left_behind(tmp_path)] == ["1", "2", "3"]
        assert held.exists()
    assert [pending.info.number for _, pending in left_behind(tmp_path)] == ["1", "2", "3", "4"]


def test_a_claim_is_written_again_in_its_place_and_stays_held(tmp_path):
    with Claim(tmp_path) as claim:
        first = claim.write(Pending(INFO, SERVER, pushed=False))
        again = claim.write(Pending(INFO, SERVER, pushed=True))
        assert first == again == claim.path
        assert list(left_behind(tmp_path)) == []
    assert [pending for _, pending in left_behind(tmp_path)] == [Pending(INFO, SERVER, pushed=True)]


def test_a_claim_that_is_removed_leaves_nothing_and_can_be_removed_twice(tmp_path):
    claim = Claim(tmp_path)
    claim.remove()
    claim.write(Pending(INFO))
    claim.remove()
    assert claim.path is None
    claim.remove()
    claim.close()
    claim.close()
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_missing_is_made_for_its_owner_only(tmp_path):
    path = save(Pending(INFO), tmp_path / "state" / "pending")
    assert [stat.S_IMODE(one.stat().st_mode) for one in (path, path.parent, path.parent.parent)] == [
        0o600,
        0o700,
        0o700,
    ]


def test_a_claim_whose_file_is_gone_already_is_removed_all_the_same(tmp_path):
    with Claim(tmp_path) as claim:
        claim.write(Pending(INFO)).unlink()
        claim.remove()
        assert claim.path is None


def test_a_name_keeps_its_letters_and_what_is_no_letter_becomes_one_line_below():
    assert file_name(replace(INFO, project="Web", name="X :: y")).startswith("Web-X_y-7-1790856000123-")
    assert file_name(replace(INFO, project=".X", name="y")).startswith("X-y-7-")


def test_a_file_can_be_read_by_people(tmp_path):
    text = save(Pending(INFO), tmp_path).read_text()
    assert text.startswith('{\n  "buildInfo": {\n    "name": "app",\n')
    assert text.endswith("}\n")

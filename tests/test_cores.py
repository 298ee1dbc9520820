"""How many processors a process may use."""

from __future__ import annotations

import pytest

from buildpush.foundation.cores import cores


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _process: set(range(8)), raising=False)


@pytest.mark.parametrize(
    ("text", "count"), [("150000 100000\n", 2), ("max 100000\n", 8), ("20000 100000\n", 1), ("?", 8)]
)
def test_the_limit_of_a_container_counts(machine, tmp_path, text, count):
    (tmp_path / "cpu.max").write_text(text)
    assert cores(tmp_path) == count


@pytest.mark.parametrize(("quota", "count"), [("400000", 4), ("-1", 8), ("50000", 1)])
def test_so_does_that_of_the_first_version_of_control_groups(machine, tmp_path, quota, count):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000")
    assert cores(tmp_path) == count


def test_without_control_groups_the_machine_counts(machine, tmp_path):
    assert cores(tmp_path / "none") == 8

"""JFrog's own commands against the sandbox; their results are checked, because they end with 0 while they lose data."""

import pytest

pytestmark = pytest.mark.engines


def test_jf_finds_the_sandbox(jf):
    assert jf.run("rt", "ping").stdout.strip() == "OK"

"""What the tests of clients share: figures that are printed at the end, since the counts are the result."""

import pytest

LINES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def count(request):
    """Return a function that keeps a line for the end of the test run."""
    return request.config.stash.setdefault(LINES, []).append


def pytest_terminal_summary(terminalreporter, config):
    for line in config.stash.get(LINES, []):
        terminalreporter.write_line(f"counted: {line}")

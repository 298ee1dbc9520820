"""A client for the tests of requests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import urllib3  # noqa: F401 - it tries a socket at its first import, which a fast test may not

from tests.http.servers import Client


@pytest.fixture
def client() -> Iterator[Client]:
    with Client() as one:
        yield one

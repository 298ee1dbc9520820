"""How long is waited: for an answer, for a server that restarts, at each step of a push."""

from __future__ import annotations

import socket

import pytest

from buildpush.http import Http

pytestmark = pytest.mark.sandbox


def test_a_registry_may_think_for_two_minutes_and_not_for_ever(serve, monkeypatch):
    """The commit of a large layer takes a store of objects that long; a dead line must not hold a CI job."""
    waited = []
    settimeout = socket.socket.settimeout

    def noted(self, seconds):
        waited.append(seconds)
        settimeout(self, seconds)

    monkeypatch.setattr(socket.socket, "settimeout", noted)
    server = serve()
    with Http() as http:
        assert http.request("GET", f"{server.url}/v2/").ok
        waited.clear()
        assert http.request("GET", f"{server.url}/v2/").ok  # on the same connection

    assert {seconds for seconds in waited if seconds is not None} == {120.0}

"""A hostile registry for each test, and a client that does not wait."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from buildpush.http import Http
from buildpush.images.references import Repository
from buildpush.registry.auth import Credential, Keychain
from buildpush.registry.client import Registry
from buildpush.secrets import Secret
from tests.hostile.registry import HostileRegistry


@pytest.fixture
def events():
    return []


@pytest.fixture
def waits():
    return []


@pytest.fixture
def http(waits, events):
    with Http(sleep=waits.append, sink=events.append) as one:
        yield one


@pytest.fixture
def serve():
    """Return a function that starts a registry with quirks; it ends with the test."""
    with ExitStack() as stack:
        yield lambda *quirks, **more: stack.enter_context(HostileRegistry(*quirks, **more))


@pytest.fixture
def client(http, events):
    """Return a function that makes the client side for a registry: our registry, and a repository there."""

    def make(server: HostileRegistry, password: str = "a-planted-password") -> tuple[Registry, Repository]:
        credential = Credential("robot", Secret(password, "test"), "test")
        registry = Registry(http, Keychain({server.host: credential}), sink=events.append)
        return registry, Repository(server.host, "docker-local/app")

    return make

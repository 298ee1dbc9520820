"""What every test gets without asking: no network, no processes, a home of its own; and a sandbox for those who ask."""

from __future__ import annotations

import ipaddress
import itertools
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import warnings
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

import pytest
import urllib3  # noqa: F401  at its first import it binds a socket to look for IPv6, which no fast test may
from hypothesis import HealthCheck, settings

from buildpush.foundation import secrets
from buildpush.sandbox import Sandbox
from tests.connectors import connector, connectors
from tests.documentation import copy_sources, sphinx

# Read once, before any test changes the environment.
ON_CI = os.environ.get("CI") == "true"

# Variables of a developer's machine, or of a CI system, that would change what a test sees.
FOREIGN_PREFIXES = ("PLUGIN_", "JF_", "JFROG_", "DRONE_", "GITHUB_", "GITLAB_", "CI_", "HARNESS_", "BUILDPUSH_", "XDG_")
FOREIGN_PREFIXES += ("DOCKER_", "BUILDKIT_", "BUILDX_", "BUILDAH_", "REGISTRY_AUTH", "SSL_CERT_")
# Where the engines of this machine are; only tests that need one see these.
ENGINE_NAMES = {"DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "XDG_RUNTIME_DIR"}
FOREIGN_NAMES = {"CI", "SOURCE_DATE_EPOCH", "NO_COLOR", "FORCE_COLOR", "JENKINS_URL", "BUILD_NUMBER", "BUILD_URL"}
FOREIGN_NAMES |= {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}

PROCESS_STARTERS = ("fork", "forkpty", "posix_spawn", "posix_spawnp", "system")
SOCKET_CALLS = ("connect", "connect_ex", "bind")


# How fast this machine is at the moment says nothing about what is tested.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_configure() -> None:
    """Let Ctrl-C mean something: a shell makes its background jobs, and so all their children, ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.version_info < (3, 13):
        sqlite3.connect = partial(sqlite3.connect, factory=Connection)


class Connection(sqlite3.Connection):
    """A database that warns if it is never closed, as that of Python 3.13 does by itself."""

    def __del__(self) -> None:
        with suppress(sqlite3.ProgrammingError):  # it is closed
            warnings.warn(
                f"unclosed database after {self.total_changes} changes", ResourceWarning, stacklevel=2, source=self
            )


@pytest.hookimpl(tryfirst=True)  # the plugin that reads the groups would ask before they are there
def pytest_collection_modifyitems(items) -> None:
    """Keep the tests of real programs in one process: they share a daemon, names of images, builders and caches.

    Those that share something else, such as a cluster, name their own group.
    """
    for item in items:
        if item.get_closest_marker("engines") and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group("engines"))


def pytest_collection_finish(session) -> None:
    """Refuse to run where the groups are not heard of: the plugin says nothing, and images vanish between workers."""
    if getattr(session.config.option, "loadgroup", False):
        apart = [item.nodeid for item in session.items if item.get_closest_marker("engines") and "@" not in item.nodeid]
        if apart:
            pytest.exit(f"pytest and pytest-xdist do not agree about groups, first at {apart[0]}", returncode=3)


def is_loopback(address: object) -> bool:
    """Return whether a socket address stays on this machine; names other than localhost do not."""
    if not isinstance(address, tuple) or not isinstance(address[0], str):
        return False
    if address[0] == "localhost":
        return True
    try:
        return ipaddress.ip_address(address[0]).is_loopback
    except ValueError:
        return False


def forbidden(what):
    """Return a function that fails the test; ``pytest.fail`` passes through every ``except Exception``."""

    def refuse(*_args, **_kwargs):
        pytest.fail(f"{what}: mark the test sandbox, programs or engines, or do without", pytrace=True)

    return refuse


def forbid_processes(monkeypatch) -> None:
    monkeypatch.setattr(subprocess.Popen, "__init__", forbidden("a test of this kind starts no process"))
    for name in PROCESS_STARTERS:
        if hasattr(os, name):
            monkeypatch.setattr(os, name, forbidden(f"a test of this kind does not call os.{name}"))


def forbid_sockets(monkeypatch) -> None:
    for name in SOCKET_CALLS:
        monkeypatch.setattr(socket.socket, name, forbidden("a fast test opens no socket"))
    monkeypatch.setattr(socket, "create_connection", forbidden("a fast test opens no socket"))
    monkeypatch.setattr(socket, "getaddrinfo", forbidden("a fast test looks up no host"))


def allow_loopback_only(monkeypatch) -> None:
    for name in SOCKET_CALLS:
        monkeypatch.setattr(socket.socket, name, _checked(getattr(socket.socket, name)))
    look_up = socket.getaddrinfo

    def look_up_here(host, *args, **kwargs):
        # Not a failure of the test: it is what a machine without a network answers.
        if host is not None and not is_loopback((_text(host), 0)):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_here)


def _text(host) -> str:
    return host.decode() if isinstance(host, bytes) else host


def _checked(call):
    def checked(self, address, *args):
        if not is_loopback(address):
            pytest.fail(f"a sandbox test talks to loopback only, not to {address!r}", pytrace=True)
        return call(self, address, *args)

    return checked


@pytest.fixture(autouse=True)
def _guard(request, monkeypatch) -> None:
    """Hold a test to what its marker says; ``programs`` and ``engines`` may do anything."""
    marks = {mark.name for mark in request.node.iter_markers()}
    if marks & {"programs", "engines"}:
        return
    forbid_processes(monkeypatch)
    if "sandbox" in marks:
        allow_loopback_only(monkeypatch)
    else:
        forbid_sockets(monkeypatch)


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch) -> None:
    """Forget the secrets of a test after it: they would be stars in the messages that others look at."""
    known = secrets._known
    of_test = secrets._KnownSecrets(set(known.forms), set(known.plain), known.beginnings)
    monkeypatch.setattr(secrets, "_known", of_test)


@pytest.fixture(scope="session")
def _homes(tmp_path_factory):
    directory = tmp_path_factory.mktemp("homes")
    return (directory / str(number) for number in itertools.count())


def _is_foreign(name: str) -> bool:
    return name.upper() in FOREIGN_NAMES or name.startswith(FOREIGN_PREFIXES)


@pytest.fixture(autouse=True)
def home(request, _homes, monkeypatch) -> Path:
    """Return a fresh, empty home; nothing of the user's own settings and credentials is seen."""
    directory = next(_homes)
    directory.mkdir()
    kept = ENGINE_NAMES if request.node.get_closest_marker("engines") else set()
    for name in set(filter(_is_foreign, os.environ)) - kept:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(directory))
    monkeypatch.setenv("USERPROFILE", str(directory))
    for name, part in {"CONFIG": ".config", "CACHE": ".cache", "STATE": ".local/state", "DATA": ".local/share"}.items():
        monkeypatch.setenv(f"XDG_{name}_HOME", str(directory / part))
    return directory


@pytest.fixture
def box():
    """Yield a running sandbox; a request that it answered with 500 of its own accord fails the test."""
    with Sandbox() as sandbox:
        yield sandbox
        assert not sandbox.failures


QUESTIONS = {
    "go": ("go", "version"),
    "docker": ("docker", "info"),  # the program alone is no use without its daemon
    "busybox": ("/bin/busybox", "true"),
    "openssl": ("openssl", "version"),
    "ip": ("ip", "-V"),
    "buildx": ("docker", "buildx", "version"),
    "conformance": ("which", "conformance"),  # it has no question to answer, only tests to run
    **{name: (name, "version") for name in ("crane", "oras", "regctl", "helm", "cosign2", "cosign3")},
}
# What CI may lack: .ci/engines.sh and clients.sh build it where there is a Go, and fail themselves where that fails.
CLIENTS = {"jf", "conformance", "oras", "regctl", "helm", "cosign2", "cosign3", "syft", "actionlint"}
BUILT_IF_POSSIBLE = {"crane", "buildkitd", "buildctl", "go", *CLIENTS}


@cache
def missing(program: str) -> str | None:
    """Return why *program* cannot be used here, or ``None``."""
    question = QUESTIONS.get(program, (program, "--version"))
    if shutil.which(question[0]) is None:
        return f"{question[0]} is not installed"
    answer = subprocess.run(question, capture_output=True, timeout=30, check=False)
    return f"{' '.join(question)} ends with {answer.returncode}" if answer.returncode else None


@pytest.fixture(scope="session")
def need():
    """Return a function that skips the test where a program is missing; with ``CI=true`` it mostly fails it."""

    def need(*programs: str) -> None:
        for program in programs:
            reason = missing(program)
            if reason and ON_CI and program not in BUILT_IF_POSSIBLE:
                pytest.fail(f"CI must have {program}: {reason}")
            if reason:
                pytest.skip(f"needs {program}: {reason}")

    return need


@pytest.fixture(scope="session")
def give_up():
    """Return a function that skips the test for a reason; with ``CI=true`` it fails it."""

    def give_up(reason: str) -> None:
        if ON_CI:
            pytest.fail(f"CI must be able to run this: {reason}")
        pytest.skip(reason)

    return give_up


@pytest.fixture(scope="session")
def certificates(tmp_path_factory, need):
    """Return a directory with certificates for 127.0.0.1, one good and one old, signed by an authority of our own."""
    directory = tmp_path_factory.mktemp("tls")
    need("openssl")

    def run(*words):
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)

    def sign(name, days):
        run("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", "/CN=x")
        (directory / "names").write_text("subjectAltName=IP:127.0.0.1\n")
        signer = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", days, "-extfile", "names"]
        run("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signer)

    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ours")
    sign("old", "0")  # OpenSSL 3.5 refuses less
    sign("good", "30")
    return directory


@pytest.fixture
def served(place, box, monkeypatch) -> Sandbox:
    """Return the sandbox, which ``connectors.yml`` in the test's own *place* names as the connector jfrog."""
    text = connectors(connector(box.url, box.username, "env:PASSWORD"))
    (place / "connectors.yml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("PASSWORD", box.password.reveal())
    return box


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Return the pages of the documentation; who asks for them is of the group "site": they are long in the making."""
    directory = tmp_path_factory.mktemp("site")
    copy_sources(directory)
    built = sphinx(directory)
    assert built.returncode == 0, built.stderr
    return directory / "html"

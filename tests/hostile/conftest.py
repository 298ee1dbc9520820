"""A hostile registry for each test, and a client that does not wait."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace

import pytest

from buildpush import places
from buildpush.credentials.docker import Credential, Keychain
from buildpush.engines.native import Native
from buildpush.foundation import limits
from buildpush.foundation.secrets import Secret
from buildpush.http.client import Http
from buildpush.images.references import Repository
from buildpush.pipeline import deadlines, fetched_contexts, files, tools
from buildpush.pipeline import images as moving
from buildpush.places import CommandResult, Recorded
from buildpush.registry.client import Registry
from tests.connectors import connector, connectors
from tests.hostile.registry import HostileRegistry, Reply
from tests.hostile.seen import Stage


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


@pytest.fixture
def stage(tmp_path, home, monkeypatch, capsys, box, serve):
    """Return where commands are run, with images, bases, logins and sources; no program is started there."""
    web = serve(lambda request, _: Reply(200, {}, b"x" * 5000) if request.path == "/big" else Reply(403))
    _sources(tmp_path, web.url, box.host)
    other = box.add_account("other")
    variables = {"TOKEN": box.password.reveal(), "OTHER": other.password.reveal(), "PIP_TOKEN": "a-token-of-pip"}
    variables |= {"SOURCE_DATE_EPOCH": "0", "STAGE": "test", "DOCKER_HOST": f"unix://{tmp_path}/no.sock"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (home / ".docker").mkdir()
    login = {"auth": box.password.basic(box.username)}
    (home / ".docker/config.json").write_text(json.dumps({"auths": {box.host: login}}), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    made = Stage(tmp_path, box, capsys, web.url)
    _watch(made, monkeypatch)
    for name in ("app", "library/base"):
        made.see(
            ["run", "--engine=native", f"--repo={{host}}/docker-local/{name}", "--tags=1", "--no-publish-build-info"]
        )
    made.see(["build", "--engine=native", "--output=docker-archive:image.tar", "--repo={host}/docker-local/source"])
    for sink in ("oci:source", "oci-archive:source.oci.tar"):
        made.see(["copy", "docker-archive:image.tar", sink])
    return made


def _sources(directory, web, host):
    for name in ("service", "assets", "secrets", "docker", "out"):
        (directory / name).mkdir()
    lines = ["FROM scratch AS runtime", "ARG PYTHON_VERSION", f"ADD {web}/big /", "COPY a /$PYTHON_VERSION"]
    for name in ("Dockerfile", "docker/Dockerfile", "service/Dockerfile"):
        (directory / name).write_text("\n".join([*lines, "FROM runtime", f"COPY a /{name}"]), encoding="utf-8")
    (directory / "docker/Based").write_text(f"FROM {host}/docker-local/library/base:1\nCOPY a /b\n", encoding="utf-8")
    (directory / "docker/Mirrored").write_text("FROM base:1\nCOPY a /b\n", encoding="utf-8")
    for name in ("a", "service/a", "assets/a", "secrets/npmrc"):
        (directory / name).write_text(name, encoding="utf-8")
    (directory / "connectors.yml").write_text(
        connectors(connector(f"http://{host}", "other", "env:OTHER")), encoding="utf-8"
    )


def _answered(call):
    """Answer as a repository of git whose revision is named by its directory."""
    if call.argv[0] == "git" and "--verify" in call.argv:
        return CommandResult(0, call.cwd.name.encode().hex()[:40].ljust(40, "0"))
    return CommandResult(128)


def _watch(stage, monkeypatch):
    """Let the stage see what comes to the one door of each: programs, engines, connections, limits of time."""
    place = Recorded(_answered)
    usual_limit, usual_manager, usual_build = limits.time_limit, Http._new_manager, Native.build

    def limited(limit, *args, **more):
        stage.doors.append(f"at most {limit}")
        return usual_limit(limit, *args, **more)

    def manager(self, scheme, proxy, insecure, authority):
        stage.doors.append(f"{scheme}, insecure {insecure}, trusting {authority}")
        return usual_manager(self, scheme, proxy, insecure, authority)

    def build(self, request):
        stage.doors.append(repr(replace(request, references=(), archive=None)))  # engines leave these alone
        return usual_build(self, request)

    for module in (places, fetched_contexts, tools):
        monkeypatch.setattr(module, "Here", lambda *_, **__: place)
    for module in (deadlines, files, moving):
        monkeypatch.setattr(module, "time_limit", limited)
    monkeypatch.setattr(Http, "_new_manager", manager)
    monkeypatch.setattr(Native, "build", build)

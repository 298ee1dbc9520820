"""What a request becomes on the command line of docker buildx, and how its failures are read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from buildpush.credentials.docker import Credential
from buildpush.dockerfile.caches import CacheSpec
from buildpush.dockerfile.request import BuildRequest
from buildpush.engines.bases import base_credentials
from buildpush.engines.docker import buildkit
from buildpush.foundation.secrets import Secret
from buildpush.images.model import Platform
from buildpush.images.references import Reference
from buildpush.places import FILES
from buildpush.transfer import dockerhome

BARE = BuildRequest(Path("/c"), Path("/c/Dockerfile"), (Reference.parse("127.0.0.1:1/local/a:1"),))


@pytest.mark.parametrize(
    ("changes", "arguments"),
    [
        ({}, []),
        ({"build_args": {"A": "x y", "B": "--target"}}, ["--build-arg", "A=x y", "--build-arg", "B=--target"]),
        ({"labels": {"l": "a,b"}}, ["--label", "l=a,b"]),
        ({"target": "t"}, ["--target", "t"]),
        (
            {"platforms": (Platform("linux", "amd64"), Platform("linux", "arm64"))},
            ["--platform", "linux/amd64,linux/arm64"],
        ),
        ({"no_cache": True}, ["--no-cache"]),
        ({"build_secrets": {"npm": Secret("s3cret-npm")}}, ["--secret", f"id=npm,src={FILES}/secrets/0"]),
        ({"build_secrets": {'a,"b': Secret("s3cret-ab")}}, ["--secret", f'"id=a,""b",src={FILES}/secrets/0']),
    ],
)
def test_each_setting_has_its_argument(changes, arguments):
    request = BuildRequest(BARE.context, BARE.dockerfile, BARE.references, **changes)
    assert buildkit.arguments(request) == ["--file", "/c/Dockerfile", *arguments]


def test_secrets_travel_in_private_files_only():
    secret = Secret("s3cret-file")
    request = BuildRequest(BARE.context, BARE.dockerfile, BARE.references, build_secrets={"x": secret})
    assert buildkit.secret_files(request) == {"secrets/0": secret}
    assert "s3cret-file" not in repr(buildkit.arguments(request))


def test_logins_replace_a_store_and_keep_everything_else(tmp_path):
    (tmp_path / "config.json").write_text(
        json.dumps({"credsStore": "desktop", "credHelpers": {"a.test": "x", "b.test": "y"}, "currentContext": "far"})
    )
    meta = tmp_path / "contexts/meta/abc/meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text("{}")
    credentials = {
        "a.test": Credential("u", Secret("p4ssword"), "connector a"),
        "docker.io": Credential("", Secret("t0ken-hub"), "store", "identity"),
    }

    files = buildkit.login_files(credentials, tmp_path)

    assert json.loads(files.pop("docker/config.json")) == {
        "credHelpers": {"b.test": "y"},
        "currentContext": "far",
        "auths": {
            "a.test": {"auth": "dTpwNHNzd29yZA=="},
            "https://index.docker.io/v1/": {"identitytoken": "t0ken-hub"},
        },
        "cliPluginsExtraDirs": [str(tmp_path / "cli-plugins")],
    }
    assert files == {"docker/contexts/meta/abc/meta.json": b"{}"}


@pytest.mark.parametrize("text", ["", "no json", "[]"])
def test_a_configuration_that_cannot_be_read_is_as_none(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    assert "auths" in buildkit.login_files({}, tmp_path)["docker/config.json"]


def test_the_daemon_is_found_as_docker_finds_it(tmp_path):
    meta = tmp_path / "contexts/meta/abc/meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Name": "far", "Endpoints": {"docker": {"Host": "tcp://far:1"}}}))
    broken = tmp_path / "contexts/meta/aaa/meta.json"
    broken.parent.mkdir()
    broken.write_text("{}")

    assert dockerhome.current_host({}, tmp_path) is None
    assert dockerhome.current_host({"DOCKER_CONTEXT": "far"}, tmp_path) == "tcp://far:1"
    assert dockerhome.current_host({"DOCKER_CONTEXT": "gone"}, tmp_path) is None
    assert dockerhome.current_host({"DOCKER_CONTEXT": "far", "DOCKER_HOST": "unix:///x"}, tmp_path) == "unix:///x"
    (tmp_path / "config.json").write_text('{"currentContext": "far"}')
    assert dockerhome.current_host({}, tmp_path) == "tcp://far:1"


LOG = """\
#7 [2/2] RUN false
#7 ERROR: process "/bin/sh -c false" did not complete successfully: exit code: 1
------
 > [2/2] RUN false:
------
Dockerfile:2
--------------------
   1 |     FROM base
   2 | >>> RUN false
--------------------
ERROR: failed to solve: process "/bin/sh -c false" did not complete successfully: exit code: 1
"""


def test_a_failure_tells_the_line_and_the_last_lines():
    error = buildkit.failure(LOG, BARE)
    assert error.where == "Dockerfile:2"
    assert "the build failed: failed to solve: process" in str(error)
    assert "#7 [2/2] RUN false" in str(error)


@pytest.mark.parametrize(
    ("log", "where", "hint"),
    [
        (
            "ERROR: failed to solve: dockerfile parse error on line 3: unknown instruction: X",
            "Dockerfile:3",
            "a typing error",
        ),
        ("ERROR: write /x: no space left on device", None, "disk is full"),
        ("ERROR: base: failed to resolve source metadata for a.test/b: dial tcp", None, "cannot be reached"),
        (
            "#0 building using docker-container driver\nERROR: x: dial tcp 127.0.0.1:5: connect: connection refused",
            None,
            "--driver-opt network=host",
        ),
        ("ERROR: failed to resolve source metadata: 401 Unauthorized", None, "requires a login"),
        ("", None, None),
    ],
)
def test_known_failures_get_a_hint(log, where, hint):
    error = buildkit.failure(log, BARE)
    assert error.where == where
    assert (hint in error.hint) if hint else error.hint is None


def test_logins_are_found_for_every_host_that_a_build_pulls_from(tmp_path):
    """What is not handed over is known to nobody: the engine sees neither our variables nor other logins."""
    (tmp_path / "Dockerfile").write_text("# syntax=words.test/dockerfile:1\nFROM base.test/a\nCOPY --from=more / /\n")
    request = BuildRequest(
        tmp_path,
        tmp_path / "Dockerfile",
        BARE.references,
        build_contexts={"more": "docker-image://context.test/b:1", "odd": "docker-image://:::", "here": "/srv"},
        cache_from=(CacheSpec.parse("cache.test/x:c"),),
    )
    asked = base_credentials(request, lambda host: Credential("u", Secret("p4ssword"), host))
    assert {"words.test", "context.test", "cache.test"} <= asked.keys()


@pytest.mark.parametrize(
    ("log", "hint"),
    [
        ("Error: unknown flag: --identity-label", "older than --identity-label"),
        ("ERROR: unknown flag: --build-context", "older than --build-context"),
        ("ERROR: the --chmod option requires BuildKit. Refer to ...", "older than --chmod"),
        ("ERROR: dockerfile parse error line 2: Unknown flag: exclude", "older than exclude"),
        (
            'Error: building at STEP "COPY --chown=1 --exclude=x a /b": COPY only supports the --chown=<uid:gid> flag',
            "older than --exclude",
        ),
    ],
)
def test_a_flag_that_a_builder_does_not_know_is_named_with_what_to_do(log, hint):
    error = buildkit.failure(log, BARE)
    assert hint in error.hint
    assert "engine: buildx" in error.hint


@pytest.mark.parametrize(
    "log",
    [
        "ERROR: failed to receive status: rpc error: code = Unavailable desc = error reading from server: EOF",
        "ERROR: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
    ],
)
def test_a_daemon_that_dies_is_named_so(log):
    error = buildkit.failure(log, BARE)
    assert "the Docker daemon went away" in str(error)
    assert "memory" in error.hint


def test_a_registry_that_breaks_off_is_no_daemon_that_dies():
    log = "ERROR: failed to solve: a.io/b: failed to do request: read: connection reset by peer: code = Unavailable"
    assert "went away" not in str(buildkit.failure(log, BARE))


def test_a_language_that_cannot_be_fetched_is_named_so(tmp_path):
    path = tmp_path / "Dockerfile"
    log = "ERROR: failed to solve: failed to resolve source metadata for docker.io/docker/dockerfile:1: no such host"
    for text, named in (("# syntax=docker/dockerfile:1\nFROM a\n", True), ("FROM docker/dockerfile:1\n", False)):
        path.write_text(text, encoding="utf-8")
        error = buildkit.failure(log, BuildRequest(tmp_path, path, ()))
        assert ("# syntax=docker/dockerfile:1, cannot be fetched" in str(error)) == named
        assert ("remove that line" in error.hint) == named

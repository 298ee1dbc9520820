"""A place to practise at leads every call there, and leaves the reader's own environment and machine alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import buildpush
from buildpush.foundation.errors import SecretError, SettingsError
from buildpush.foundation.state import State
from tests.connectors import connector, connectors

pytestmark = pytest.mark.programs  # git is asked about the sources
STEP = "examples/site/step.yml"


@pytest.fixture
def own(tmp_path, box, monkeypatch):
    """Return a file with the connector of an Artifactory that is running already."""
    monkeypatch.setenv("OWN_PASSWORD", box.password.reveal())
    path = tmp_path / "mine.yml"
    path.write_text(connectors(connector(box.url, box.username, "env:OWN_PASSWORD", "acme")), encoding="utf-8")
    return path


def pushed(place, tag="1"):
    return buildpush.run(STEP, **place, repo=f"{place.repository}/site", tags=[tag], engine="native")


def test_a_forked_process_that_ends_leaves_the_place_to_its_parent():
    code = (
        "import buildpush, os, sys\nplace = buildpush.practice()\nchild = os.fork()\n"
        "if not child:\n    sys.exit()\nos.waitpid(child, 0)\nprint((place.directory / 'password').is_file())"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "True\n"


def test_what_a_call_leaves_in_a_place_that_is_closed_goes_with_the_process():
    """A run in another thread makes its directories again, wherever its next file goes."""
    code = (
        "import buildpush\nplace = buildpush.practice()\nplace.close()\n"
        "(place.directory / 'state').mkdir(parents=True)\nprint(place.directory)"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ended.stderr == ""
    assert not Path(ended.stdout.strip()).exists()


def test_without_arguments_a_sandbox_takes_the_push_and_its_build_info():
    with buildpush.practice() as place:
        result = pushed(place)
        assert place.sandbox.digest("docker-local/site", "1") == result.digest
        with buildpush.open_builds(**place.artifactory) as builds:
            assert [one.number for one in builds.runs(result.published.name)] == [result.published.number]


def test_a_connector_leads_to_the_readers_own_artifactory(own, box):
    with buildpush.practice(own, "docker-release") as place:
        result = pushed(place)
        assert place.sandbox is None
        assert box.digest("docker-release/site", "1") == result.digest
        assert str(buildpush.verify(result.references[0], **place).digest) == result.digest
        with buildpush.open_builds(**place.artifactory) as builds:
            assert builds.runs(result.published.name)


def test_a_user_that_is_a_secret_stays_one(tmp_path, box, monkeypatch):
    monkeypatch.setenv("OWN_USER", box.username)
    monkeypatch.setenv("OWN_PASSWORD", box.password.reveal())
    text = connectors(connector(box.url, box.username, "env:OWN_PASSWORD")).replace(
        f'username: "{box.username}"', "usernameRef: env:OWN_USER"
    )
    (tmp_path / "mine.yml").write_text(text, encoding="utf-8")
    with buildpush.practice(tmp_path / "mine.yml", "docker-local") as place:
        assert "usernameRef: file:username" in (place.directory / "connectors.yml").read_text()
        digest = pushed(place).digest
    assert box.digest("docker-local/site", "1") == digest


def test_the_same_push_again_gives_the_same_image_whatever_the_reader_has_set(monkeypatch):
    digests = []
    for number in ("1", "2"):
        monkeypatch.setenv("PLUGIN_LABELS", f"run={number}")
        monkeypatch.setenv("JF_URL", "https://elsewhere.example")
        with buildpush.practice() as place:
            digests.append(pushed(place).digest)
    assert digests[0] == digests[1]


def test_the_environment_and_the_state_of_the_reader_are_left_alone(own):
    before = dict(os.environ)
    with buildpush.practice(own, "docker-local") as place:
        pushed(place)
        assert (place.directory / "state" / "buildpush" / "runs").is_dir()
    assert dict(os.environ) == before
    assert not State.default().directory.exists()
    assert not place.directory.exists()


def test_no_secret_is_in_what_it_shows_and_only_its_owner_reads_the_file(own, box):
    with buildpush.practice(own, "docker-local") as place:
        assert (place.directory / "password").stat().st_mode & 0o077 == 0
        shown = (
            f"{place!r}{place._repr_html_()}{place._repr_markdown_()}{(place.directory / 'connectors.yml').read_text()}"
        )
    assert box.password.reveal() not in shown
    assert box.url in shown


def test_a_push_through_a_line_is_seen_on_it():
    with buildpush.practice() as place, place.line(reset_after=500, times=1) as line:
        result = buildpush.run(STEP, **place.through(line), repo="docker-local/site", tags=["1"], engine="native")
        assert [what for _, what in line.hits] == ["reset"]
        assert place.sandbox.digest("docker-local/site", "1") == result.digest


def test_a_line_to_another_machine_by_https_is_a_tunnel_so_that_the_server_keeps_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv("OWN_PASSWORD", "x")
    monkeypatch.setenv("NO_PROXY", "acme.example")
    (tmp_path / "mine.yml").write_text(connectors(connector("https://acme.example", "me", "env:OWN_PASSWORD")))
    with buildpush.practice(tmp_path / "mine.yml", "docker-local") as place, place.line() as line:
        through = place.through(line)
        assert line.tunnel
        assert through["env"]["HTTPS_PROXY"] == f"http://{line.host}"
        assert "NO_PROXY" not in through["env"]
        assert through["connectors"] == place["connectors"]


def test_rules_are_those_of_the_sandbox():
    with buildpush.practice(immutable=["docker-local"]) as place:
        pushed(place)
        with pytest.raises(buildpush.BuildPushError, match="409"):
            buildpush.run(STEP, **place, repo="docker-local/site", tags=["1"], labels={"new": "1"}, engine="native")


def test_a_sandbox_with_tls_is_trusted_and_nobody_else_trusts_it():
    with buildpush.practice(tls=True) as place:
        assert place.url.startswith("https://")
        result = pushed(place)
        with buildpush.open_builds(**place.artifactory) as builds:
            assert builds.runs(result.published.name)
        elsewhere = {name: text for name, text in place["env"].items() if name != "SSL_CERT_FILE"}
        with pytest.raises(buildpush.BuildPushError, match="certificate"):
            buildpush.verify(result.references[0], **{**place, "env": elsewhere})


def test_an_own_artifactory_with_a_private_authority_needs_the_readers_usual_variable(tmp_path, monkeypatch):
    with buildpush.practice(tls=True) as own:
        monkeypatch.setenv("SSL_CERT_FILE", own["env"]["SSL_CERT_FILE"])
        with (
            buildpush.practice(own.directory / "connectors.yml", "docker-local") as place,
            place.line() as line,
        ):
            result = buildpush.run(STEP, **place.through(line), repo="docker-local/site", tags=["1"], engine="native")
        assert own.sandbox.digest("docker-local/site", "1") == result.digest


def test_closing_it_twice_does_nothing_more():
    place = buildpush.practice()
    place.close()
    place.close()
    assert not place.directory.exists()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "not to which repository"),
        ({"repository": "docker-local", "immutable": ["docker-local"]}, "immutable of a sandbox cannot be chosen"),
    ],
)
def test_what_does_not_fit_the_readers_own_artifactory_is_refused_with_a_hint(own, given, says):
    with pytest.raises(SettingsError, match=says) as caught:
        buildpush.practice(own, **given)
    assert caught.value.hint


def test_a_password_that_is_not_there_is_an_error_that_leaves_nothing(own, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.delenv("OWN_PASSWORD")
    with pytest.raises(SecretError, match="OWN_PASSWORD is not set"):
        buildpush.practice(own, "docker-local")
    assert not list(tmp_path.glob("buildpush-*"))


def test_it_closes_itself_when_its_process_ends(tmp_path):
    code = "import buildpush; place = buildpush.practice(); print(place.directory)"
    env = os.environ | {"TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=env, capture_output=True)
    assert not list(tmp_path.iterdir())


def test_the_state_of_a_call_is_where_its_env_says(tmp_path):
    env = {"XDG_STATE_HOME": str(tmp_path)}
    assert State.default(env).directory == tmp_path / "buildpush"
    assert State.default({"XDG_STATE_HOME": "relative"}) == State.default()

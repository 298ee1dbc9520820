"""Where images are and where they go: how it is written, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import buildpush
from buildpush.cli.images import make_copy
from buildpush.foundation.errors import BadNameError, PushError, SettingsError
from buildpush.images.model import Index
from buildpush.transfer import TRANSPORTS, Location
from buildpush.transfer.destinations import check_destination, write
from buildpush.transfer.parse import parse, reference_of
from buildpush.transfer.sources import open_source

DIGEST = "sha256:" + "a" * 64
DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize(
    ("text", "kind", "path", "name"),
    [
        ("docker://acme.io/local/app:1", "docker", "", ""),
        (f"docker://acme.io/local/app@{DIGEST}", "docker", "", ""),
        ("docker-daemon:app:1", "docker-daemon", "app:1", ""),
        (f"docker-daemon:{DIGEST}", "docker-daemon", DIGEST, ""),
        ("docker-archive:out/a.tar", "docker-archive", "out/a.tar", ""),
        ("docker-archive:a.tar:acme.io:5000/app:1", "docker-archive", "a.tar", "acme.io:5000/app:1"),
        ("oci:build", "oci", "build", ""),
        ("oci:/a/build:1.4", "oci", "/a/build", "1.4"),
        ("oci-archive:b.tar:v1", "oci-archive", "b.tar", "v1"),
    ],
)
def test_a_location_is_a_kind_a_path_and_a_name(text, kind, path, name):
    found = parse(text)
    assert (found.kind, found.path, found.name) == (kind, path, name)
    assert str(found) == text


@pytest.mark.parametrize("row", TRANSPORTS.values(), ids=TRANSPORTS)
def test_every_row_has_a_driver_and_its_line_in_what_people_read(row, run_help):
    driver = row.driver
    assert all(callable(getattr(driver, name)) for name in ("parse", "open", "find_referrers", "check", "write"))
    assert f"| `{row.pattern}` |" in (DOCS / "push.md").read_text()
    assert f"``{row.pattern}``" in buildpush.copy.__doc__
    assert f"{row.pattern} " in run_help
    assert row.about in run_help


@pytest.fixture(scope="module")
def run_help():
    """Return what ``buildpush copy --help`` prints."""
    return CliRunner().invoke(make_copy(), ["--help"]).output


@pytest.mark.parametrize(
    "text",
    ["", ":", "oci", "oci:", "oci::1", "oci:a:", "docker:", "docker:a", "docker-daemon:", "docker-archive::a", "tar:a"],
)
def test_what_is_no_location_is_refused_with_how_they_are_written(text):
    with pytest.raises(SettingsError) as caught:
        parse(text)
    assert any(row.pattern in caught.value.hint for row in TRANSPORTS.values())
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("Docker://a/b", "did you mean docker://"),
        ("dockerdaemon:a", "did you mean docker-daemon:"),
        ("OCI:a", "did you mean oci:"),
        ("acme.io/local/app:1", "docker://acme.io/local/app:1 for a registry"),
        ("app", "docker-daemon:app for an image of Docker"),
        ("out/image.tar", "docker-archive:out/image.tar"),
    ],
)
def test_a_near_miss_is_told_what_was_meant(text, hint):
    with pytest.raises(SettingsError) as caught:
        parse(text)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "text", ["docker://acme.io/App:1", "docker-daemon:App", "docker-daemon:sha256:12", "docker://"]
)
def test_names_keep_to_the_grammar(text):
    with pytest.raises(BadNameError):
        parse(text)


@pytest.mark.parametrize("text", ["docker://bot:hunter2@acme.io/app:1", "https://bot:hunter2@acme.io/app:1"])
def test_a_password_in_an_address_is_refused_and_not_shown(text):
    with pytest.raises(SettingsError) as caught:
        parse(text)
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"
    with pytest.raises(BadNameError) as caught:
        reference_of(text.removeprefix("https://"))
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def test_a_reference_may_have_docker_in_front():
    assert reference_of("docker://acme.io/app:1") == reference_of("acme.io/app:1")


@pytest.mark.parametrize(
    "text", [f"docker-daemon:{DIGEST}", f"docker-daemon:a@{DIGEST}", f"docker-archive:a:b@{DIGEST}"]
)
def test_a_digest_is_no_name_that_can_be_given(text):
    with pytest.raises(SettingsError, match=r"not a name that|has only tags"):
        check_destination(parse(text))


@pytest.mark.parametrize("text", ["docker-archive:out.tar", "docker-daemon:app:1"])
def test_what_holds_one_image_takes_no_index(tmp_path, text):
    with pytest.raises(SettingsError) as caught:
        write(Index(()), parse(text), _Nowhere(tmp_path))
    assert "--platform" in caught.value.hint
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["oci", "oci-archive", "docker-archive"])
def test_a_source_that_is_not_there_is_named(tmp_path, kind):
    with pytest.raises(PushError, match="cannot be read"), _open(kind, tmp_path):
        pass


def _open(kind, directory):
    return open_source(Location(kind, "none"), _Nowhere(directory))


class _Nowhere:
    """Reaches files only."""

    def __init__(self, cwd):
        self.cwd = cwd

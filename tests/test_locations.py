"""Where an image goes if not to a registry."""

from __future__ import annotations

import pytest
from buildpush.sinks import parse, write

from buildpush.errors import SettingsError
from buildpush.images.model import Index


def test_a_sink_is_a_kind_and_a_path():
    assert parse("docker-archive:a:b.tar") == ("docker-archive", "a:b.tar")


@pytest.mark.parametrize("text", ["", "oci", "oci:", ":out", "tar:out", "out"])
def test_anything_else_is_refused_with_what_there_is(text):
    with pytest.raises(SettingsError) as caught:
        parse(text)
    assert caught.value.hint == "write one of oci:PATH, docker-archive:PATH"


def test_a_docker_archive_takes_no_index(tmp_path):
    with pytest.raises(SettingsError) as caught:
        write(Index(()), "docker-archive:out.tar", (), tmp_path)
    assert caught.value.hint == "write oci:out.tar"
    assert not list(tmp_path.iterdir())

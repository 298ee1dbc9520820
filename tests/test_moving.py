"""Push, copy, merge and tag: every source to every sink, by the command line and from Python, on a sandbox."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

import buildpush
from buildpush.cli import run_command
from buildpush.credentials.connectors import Connector
from buildpush.foundation.errors import (
    AuthenticationError,
    DigestError,
    PushError,
    RegistryError,
    SettingsError,
    TimeOutError,
    UnsupportedError,
)
from buildpush.foundation.events import Progress
from buildpush.foundation.limits import _Limit
from buildpush.foundation.secrets import Secret
from buildpush.images.compression import digest_of
from buildpush.images.model import DOCKER_INDEX, DOCKER_MANIFEST, Image, Index, Layer, Platform
from buildpush.pipeline.credentials import choose_connectors
from buildpush.transfer.docker_archive import open_docker_archive, write_docker_archive
from buildpush.transfer.oci import write_layout
from buildpush.transfer.oci_layout import open_layout, open_oci_archive
from tests.connectors import connector, connectors

pytestmark = pytest.mark.sandbox

FIRST, SECOND = b"first " * 1000, b"second " * 10


def image(*layers: bytes, architecture="amd64") -> Image:
    ids = [digest_of(data) for data in layers]
    rootfs = {"type": "layers", "diff_ids": [str(one) for one in ids]}
    config = json.dumps({"os": "linux", "architecture": architecture, "rootfs": rootfs}).encode()

    def blobs(wanted):
        for at in wanted:
            yield at, io.BytesIO(layers[at])

    parts = tuple(Layer(diff_id=one, size=len(data)) for one, data in zip(ids, layers, strict=True))
    return Image(config, parts, blobs, Platform("linux", architecture))


def plain(found: Image) -> list[bytes]:
    """Return the layers, whatever they are compressed with."""
    raw = [reader.read() for _, reader in found.blobs(range(len(found.layers)))]
    return [gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data for data in raw]


@pytest.fixture
def place(tmp_path, box, monkeypatch):
    """Work in an empty directory, logged in to the sandbox by Docker's own file."""
    login = {"username": box.username, "password": box.password.reveal()}
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "config.json").write_text(json.dumps({"auths": {box.host: login}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def registry(box):
    """Return the function that names a tag in the sandbox."""
    return lambda tag, path="docker-local/app": f"{box.host}/{path}:{tag}"


KINDS = ["docker", "docker-archive", "oci", "oci-archive"]


@pytest.fixture
def at(registry):
    """Return the function that writes a location of a kind."""

    def at(kind: str, name: str) -> str:
        inside = {"docker-archive": ":app:1", "docker": ""}.get(kind, ":1")
        return f"docker://{registry(name)}" if kind == "docker" else f"{kind}:{name}.{kind}{inside}"

    return at


@pytest.mark.parametrize("sink", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_every_source_goes_to_every_sink(place, at, source, sink):
    write_layout(image(FIRST, SECOND), place / "begin", compression="gzip")
    begin = open_layout(place / "begin")
    one = buildpush.copy("oci:begin", at(source, "one"))
    two = buildpush.copy(at(source, "one"), at(sink, "two"))
    buildpush.copy(at(sink, "two"), "oci:end")

    assert open_layout(place / "end").config == begin.config
    assert plain(open_layout(place / "end")) == [FIRST, SECOND]
    if "docker-archive" not in {source, sink}:  # it keeps no manifest
        assert one.digest == two.digest == str(digest_of(begin.manifest))
        assert open_layout(place / "end").manifest == begin.manifest


@pytest.mark.parametrize("sink", ["docker", "oci", "oci-archive"])
@pytest.mark.parametrize("source", ["docker", "oci", "oci-archive"])
def test_an_index_goes_with_its_images(place, at, source, sink):
    write_layout(Index((image(FIRST), image(SECOND, architecture="arm64"))), place / "begin")
    buildpush.copy("oci:begin", at(source, "one"))
    result = buildpush.copy(at(source, "one"), at(sink, "two"))

    assert result.digest == str(digest_of(open_layout(place / "begin").manifest))
    buildpush.copy(at(sink, "two"), "docker-archive:arm.tar", platform="linux/arm64")
    assert plain(open_docker_archive(place / "arm.tar")) == [SECOND]


def test_one_push_gives_several_names_in_several_repositories(place, box, registry):
    write_layout(image(FIRST), place / "l")
    names = [registry("1"), registry("2"), registry("1", "docker-release/app")]
    result = buildpush.push("oci:l", *names)

    assert result.references == tuple(names)
    assert {box.digest(path, tag) for path, tag in (("docker-local/app", "1"), ("docker-local/app", "2"))} == {
        result.digest
    }
    assert box.digest("docker-release/app", "1") == result.digest
    assert names[0] in str(result)
    assert names[0] in result._repr_html_()
    assert "push oci:l" in result._repr_markdown_()


def test_names_that_were_pushed_are_told_from_those_that_were_not(place, box, registry):
    write_layout(image(FIRST), place / "l")
    box.add_fault("PUT", r"manifests/2$", status=403)
    with pytest.raises(RegistryError) as caught:
        buildpush.push("oci:l", registry("1"), registry("2"), registry("3"))
    said = str(caught.value)
    assert f"{registry('2')} failed" in said
    assert f"{registry('1')} is pushed" in said
    assert f"{registry('3')} is pushed" in said
    assert caught.value.pushed == (registry("1"), registry("3"))


def test_a_repository_that_fails_does_not_hide_what_was_pushed_before(place, box, registry):
    write_layout(image(FIRST), place / "l")
    box.add_fault("PUT", r"docker-release/.*manifests/1$", status=403)
    names = [registry("1"), registry("1", "docker-release/app"), registry("1", "docker-local/other")]
    with pytest.raises(RegistryError) as caught:
        buildpush.push("oci:l", *names)
    said = str(caught.value)
    assert f"{names[0]} is pushed" in said
    assert f"{names[2]} was not tried" in said
    assert caught.value.exit_code == 4


@pytest.fixture
def two(place):
    """Return layouts of one image for two platforms."""
    write_layout(image(FIRST), place / "amd", compression="gzip")
    write_layout(image(SECOND, architecture="arm64"), place / "arm", compression="gzip")
    return place


def test_images_for_several_platforms_become_one_index(two, box, registry):
    amd = buildpush.push("oci:amd", registry("1-amd64"))
    result = buildpush.merge(registry("1"), f"docker://{registry('1-amd64')}", "oci:arm")
    buildpush.copy(f"docker://{registry('1')}", "oci:end")

    assert box.digest("docker-local/app", "1") == result.digest
    assert [str(one.platform) for one in open_layout(two / "end").images] == ["linux/amd64", "linux/arm64"]
    assert [str(digest_of(one.manifest)) for one in open_layout(two / "end").images] == [
        amd.digest,
        str(digest_of(open_layout(two / "arm").manifest)),
    ]
    assert [blob.fate for one in result.images for blob in one.layers] == ["exists", "sent"]


def test_the_same_images_give_the_same_index(two, registry):
    first = buildpush.merge(registry("1"), "oci:amd", "oci:arm")
    assert buildpush.merge(registry("2"), "oci:amd", "oci:arm").digest == first.digest


def test_images_of_an_index_are_merged_with_others(two, registry):
    buildpush.merge(registry("1"), "oci:amd", "oci:arm")
    write_layout(image(b"s390", architecture="s390x"), two / "s390")
    result = buildpush.merge(registry("2"), f"docker://{registry('1')}", "oci:s390")

    assert [str(one.platform) for one in result.images] == ["linux/amd64", "linux/arm64", "linux/s390x"]


def test_two_images_for_one_platform_are_refused_and_no_tag_moves(two, box, registry):
    write_layout(image(b"other"), two / "other")
    with pytest.raises(SettingsError, match="oci:amd and oci:other both have an image for linux/amd64"):
        buildpush.merge(registry("1"), "oci:amd", "oci:other")
    assert box.digest("docker-local/app", "1") is None


def test_attestations_of_an_index_stay_behind_and_a_note_says_so(two, box, registry):
    said = replace(image(b"said"), platform=Platform("unknown", "unknown"))
    write_layout(Index((image(FIRST), said)), two / "attested")
    result = buildpush.merge(registry("1"), "oci:attested", "oci:arm")

    assert [str(one.platform) for one in result.images] == ["linux/amd64", "linux/arm64"]
    assert any("oci:attested" in note and "left out" in note for note in result.notes)


@pytest.fixture
def attested(place):
    """Write a layout with an image and what is said about it."""
    said = replace(image(b"said"), platform=Platform("unknown", "unknown"))
    write_layout(Index((image(FIRST), said)), place / "attested")
    return place


def test_a_sink_for_one_image_takes_the_only_one_that_runs_and_notes_what_stays_behind(attested):
    result = buildpush.copy("oci:attested", "docker-archive:one.tar:app:1")

    assert plain(open_docker_archive(attested / "one.tar")) == [FIRST]
    assert [note for note in result.notes if "attestations of linux/amd64 are left out" in note]


def test_a_sink_for_one_image_takes_none_of_several(attested):
    several = (image(FIRST), image(SECOND, architecture="arm64"))
    write_layout(Index(several), attested / "several")
    with pytest.raises(SettingsError, match="linux/amd64, linux/arm64"):
        buildpush.copy("oci:several", "docker-archive:one.tar:app:1")
    assert not (attested / "one.tar").exists()


@pytest.mark.parametrize("sink", ["docker", "oci", "oci-archive"])
def test_layers_of_attestations_are_shown_as_what_they_are(attested, at, sink):
    told = []
    buildpush.copy("oci:attested", at(sink, "two"), sink=told.append)

    items = {event.item for event in told if isinstance(event, Progress)}
    assert any(item.startswith("attestation layer 1/1") for item in items)
    assert not any("unknown" in item for item in items)


def test_a_merged_index_can_be_a_manifest_list(two, box, registry, capsys):
    code = run_command(["merge", registry("1"), "oci:amd", "oci:arm", "--media-types", "docker", "--json"])
    (document,) = json.loads(capsys.readouterr().out)["steps"]

    assert code == 0
    assert box.digest("docker-local/app", "1") == document["digest"]
    result = buildpush.merge(registry("2"), "oci:amd", "oci:arm", media_types="docker")
    assert (result.pushed.media_type, result.digest) == (DOCKER_INDEX, document["digest"])


def test_a_platform_that_is_no_text_is_refused_and_no_tag_moves(two, box, registry):
    write_docker_archive(image(FIRST, architecture="\ud800"), two / "strange.tar")
    with pytest.raises(PushError, match="not Unicode"):
        buildpush.merge(registry("1"), "docker-archive:strange.tar", "oci:arm")
    assert box.digest("docker-local/app", "1") is None


def test_an_index_of_nothing_is_refused(place, registry):
    with pytest.raises(SettingsError, match="no images given"):
        buildpush.merge(registry("1"))
    write_layout(Index((replace(image(b"said"), platform=Platform("unknown", "unknown")),)), place / "attested")
    with pytest.raises(SettingsError, match="no image"):
        buildpush.merge(registry("1"), "oci:attested")


def test_a_tag_moves_no_blob(place, box, registry):
    write_layout(image(FIRST), place / "l")
    pushed = buildpush.push("oci:l", registry("1"))
    before = len(box.requests)
    result = buildpush.tag(registry("1"), "2", "latest")

    assert result.digest == pushed.digest
    assert result.references == (registry("2"), registry("latest"))
    assert box.tags("docker-local/app") == ["1", "2", "latest"]
    assert not [one for one in box.requests[before:] if one.method in {"POST", "PATCH"}]


def test_an_index_gets_another_tag(place, box, registry):
    write_layout(Index((image(FIRST), image(SECOND, architecture="arm64"))), place / "l")
    pushed = buildpush.push("oci:l", registry("1"))

    assert buildpush.tag(f"docker://{registry('1')}", "2").digest == pushed.digest
    assert box.digest("docker-local/app", "2") == pushed.digest


def test_tags_that_fail_are_told_from_those_that_stand(place, box, registry):
    write_layout(image(FIRST), place / "l")
    buildpush.push("oci:l", registry("1"))
    box.add_fault("PUT", r"manifests/3$", status=403)
    with pytest.raises(RegistryError) as caught:
        buildpush.tag(registry("1"), "2", "3")
    assert f"{registry('2')} is pushed" in str(caught.value)


# What changes an image, and what does not.


def test_plain_layers_with_a_manifest_stay_plain_unless_something_is_said(place, box, registry):
    written = write_layout(image(FIRST), place / "l")

    assert buildpush.push("oci:l", registry("1")).digest == str(written.digest)
    packed = buildpush.push("oci:l", registry("2"), compression="gzip")
    assert packed.digest != str(written.digest)
    assert packed.images[0].layers[0].media_type.endswith("+gzip")
    assert any("is rewritten" in note for note in packed.notes)


def test_docker_media_types_are_written_on_request(place, registry):
    write_layout(image(FIRST), place / "l")
    result = buildpush.push("oci:l", registry("1"), media_types="docker")

    assert result.images[0].media_type == DOCKER_MANIFEST


def test_layers_that_are_compressed_already_are_sent_as_they_are_and_that_is_said(place, registry):
    write_layout(image(FIRST), place / "l", compression="gzip")
    result = buildpush.push("oci:l", registry("1"), compression="zstd")

    assert result.images[0].layers[0].media_type.endswith("+gzip")
    assert any("sent as they are" in note for note in result.notes)


def test_attestations_forbid_changing_an_index(place, registry):
    about = Image(b"{}", (), lambda _: iter(()), Platform("unknown", "unknown"))
    write_layout(Index((image(FIRST), about)), place / "l")

    with pytest.raises(UnsupportedError, match="attestations") as caught:
        buildpush.push("oci:l", registry("1"), compression="gzip")
    assert "platform=" in caught.value.hint
    assert buildpush.push("oci:l", registry("1"), compression="gzip", platform="linux/amd64").digest


@pytest.mark.parametrize("wish", [{"compression": "gzip"}, {"media_types": "docker"}])
def test_a_wish_that_a_sink_has_no_room_for_is_refused(place, wish):
    with pytest.raises(UnsupportedError, match="does not support"):
        buildpush.copy("oci:l", "docker-archive:a.tar", **wish)


@pytest.mark.parametrize(
    "wish",
    [
        {"compression": "lzma"},
        {"media_types": "new"},
        {"platform": "x"},
        {"compression": "zstd", "media_types": "docker"},
    ],
)
def test_wishes_that_mean_nothing_are_refused(place, wish):
    with pytest.raises(SettingsError):
        buildpush.push("oci:l", "acme.io/app:1", **wish)


def test_a_platform_that_is_not_there_is_refused_with_those_that_are(place):
    write_layout(image(FIRST), place / "l")
    with pytest.raises(SettingsError, match="no image for linux/arm64") as caught:
        buildpush.copy("oci:l", "oci:m", platform="linux/arm64")
    assert "linux/amd64" in caught.value.hint


def test_layers_can_be_compressed_on_the_way_into_a_file(place):
    write_layout(image(FIRST), place / "l")
    buildpush.copy("oci:l", "oci-archive:a.tar:x", compression="gzip")

    assert open_oci_archive(place / "a.tar", "x").layers[0].compressed


def test_a_copy_is_called_what_it_was_called(place, registry):
    write_layout(image(FIRST), place / "l")
    buildpush.push("oci:l", registry("7"))
    buildpush.copy(f"docker://{registry('7')}", "docker-archive:a.tar")
    buildpush.copy(f"docker://{registry('7')}", "oci:m")

    assert open_docker_archive(place / "a.tar", registry("7"))
    assert open_layout(place / "m", "7")


def test_a_copy_tells_how_far_it_is(place):
    write_layout(image(FIRST), place / "l")
    told = []
    buildpush.copy("oci:l", "oci:m", sink=told.append)
    progress = [event for event in told if isinstance(event, Progress)]
    assert progress[-1] == Progress("layer 1/1", len(FIRST), len(FIRST), "written")


# Who we are.


def test_the_flags_log_in_where_the_image_goes(place, box, registry, monkeypatch):
    monkeypatch.delenv("DOCKER_CONFIG")
    write_layout(image(FIRST), place / "l")

    assert buildpush.push("oci:l", registry("1"), username=box.username, password=box.password).digest
    monkeypatch.setenv("MINE", box.password.reveal())
    assert buildpush.tag(registry("1"), "2", username=box.username, password="env:MINE").digest
    monkeypatch.setenv("PLUGIN_USERNAME", box.username)
    monkeypatch.setenv("PLUGIN_PASSWORD", box.password.reveal())
    assert buildpush.copy(f"docker://{registry('2')}", "oci:m").digest


@pytest.mark.parametrize("elsewhere", [False, True])
def test_the_variables_log_in_where_they_say_that_they_do(place, box, registry, monkeypatch, elsewhere):
    monkeypatch.setenv("DOCKER_CONFIG", str(place / "nothing"))
    monkeypatch.setenv("PLUGIN_USERNAME", box.username)
    monkeypatch.setenv("PLUGIN_PASSWORD", box.password.reveal())
    monkeypatch.setenv("PLUGIN_REGISTRY", "https://elsewhere.test/v2/" if elsewhere else f"http://{box.host}")
    write_layout(image(FIRST), place / "l")
    if not elsewhere:
        assert buildpush.push("oci:l", registry("1")).notes == ()
        return
    with pytest.raises(AuthenticationError, match="none were found"):
        buildpush.push("oci:l", registry("1"))
    assert {request.username for request in box.requests} == {""}


def test_a_password_for_another_host_is_noted(place, box, registry, monkeypatch):
    monkeypatch.setenv("PLUGIN_USERNAME", "somebody")
    monkeypatch.setenv("PLUGIN_PASSWORD", "of-another-registry")
    monkeypatch.setenv("PLUGIN_REGISTRY", "elsewhere.test")
    write_layout(image(FIRST), place / "l")
    (note,) = buildpush.push("oci:l", registry("1")).notes
    assert "PLUGIN_PASSWORD is for elsewhere.test" in note
    monkeypatch.setenv("PLUGIN_REGISTRY", "https://a@b")
    with pytest.raises(SettingsError) as caught:
        buildpush.push("oci:l", registry("1"))
    assert caught.value.where == "PLUGIN_REGISTRY"


def test_a_connector_counts_for_its_own_host(place, box, registry, monkeypatch):
    monkeypatch.delenv("DOCKER_CONFIG")
    monkeypatch.setenv("BUILDPUSH_SECRET_MINE", box.password.reveal())
    write_layout(image(FIRST), place / "l")
    (place / "c.yml").write_text(connectors(connector(box.url, box.username, "mine", name="box")))

    assert buildpush.push("oci:l", registry("1"), connectors="c.yml").digest
    assert buildpush.push("oci:l", registry("1"), connectors="c.yml", connector_ref="box").digest
    with pytest.raises(SettingsError, match="which is not a host of this command"):
        buildpush.push("oci:l", "acme.io/app:1", connectors="c.yml", connector_ref="box")


def test_two_connectors_for_one_host_are_not_guessed_between(place, box, registry):
    (place / "c.yml").write_text(connectors(*(connector(box.url, "x", "mine", name=name) for name in ("one", "two"))))
    with pytest.raises(SettingsError, match="several connectors are for") as caught:
        buildpush.push("oci:l", registry("1"), connectors="c.yml")
    assert "connector_ref=" in caught.value.hint


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"username": "bot"}, "password is not"),
        ({"password": "env:X"}, "username is not"),
        ({"username": "bot", "password": "hunter2"}, "plain text"),
    ],
)
def test_half_a_login_and_a_password_in_plain_text_are_refused(place, said, message):
    with pytest.raises(SettingsError, match=message) as caught:
        buildpush.push("oci:l", "acme.io/app:1", **said)
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def test_one_password_is_not_sent_to_several_hosts(place):
    with pytest.raises(SettingsError, match="several hosts"):
        buildpush.push("oci:l", "acme.io/app:1", "other.io/app:1", username="bot", password=Secret("x", "test"))


def test_a_wrong_password_is_found_before_the_source_is_read(place, box, registry):
    with pytest.raises(AuthenticationError):
        buildpush.push("oci:nowhere", registry("1"), username="bot", password=Secret("wrong-password-123", "test"))


# By the command line.


def test_push_prints_what_the_registry_has(place, box, registry, capsys, monkeypatch):
    write_layout(image(FIRST), place / "l")
    monkeypatch.setenv("GITHUB_OUTPUT", str(place / "output"))
    assert run_command(["push", "oci:l", registry("1"), registry("2"), "--digest-file", "digest"]) == 0
    shown = capsys.readouterr()
    digest = box.digest("docker-local/app", "1")
    assert digest in shown.out
    assert "layer 1/1" in shown.err
    assert (place / "digest").read_text() == f"{digest}\n"
    assert (place / "output").read_text() == (
        f"digest={digest}\nimage={registry('1')}\nimages={registry('1')},{registry('2')}\n"
    )


def test_json_is_one_document(place, registry, capsys):
    write_layout(image(FIRST), place / "l")
    assert run_command(["copy", "oci:l", "oci-archive:a.tar", "--json"]) == 0
    [step] = json.loads(capsys.readouterr().out)["steps"]
    assert step["step"] == "copy oci:l"
    assert step["output"] == "oci-archive:a.tar"
    assert step["digest"] == str(digest_of(open_oci_archive(place / "a.tar").manifest))


def test_an_archive_without_manifests_has_no_digest_to_write_and_says_so(place, capsys, monkeypatch):
    write_layout(image(FIRST), place / "l")
    monkeypatch.setenv("GITHUB_OUTPUT", str(place / "output"))
    assert run_command(["copy", "oci:l", "docker-archive:a.tar", "--digest-file", "digest"]) == 0
    assert "digest is not written" in capsys.readouterr().err


def test_tag_by_the_command_line(place, box, registry):
    write_layout(image(FIRST), place / "l")
    assert run_command(["push", "oci:l", f"docker://{registry('1')}"]) == 0
    assert run_command(["tag", registry("1"), "2"]) == 0
    assert box.tags("docker-local/app") == ["1", "2"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["push", "nowhere:1", "a.io/b:1"], 2, "write docker://nowhere:1"),
        (["push", "oci:none", "a.io/B:1"], 2, "lower case"),
        (["push", "oci:none"], 2, "REF"),
        (["copy", "oci:none", "oci:out"], 4, "cannot be read"),
        (["copy", "docker-archive:none", "oci:out"], 4, "cannot be read"),
        (["copy", "docker-daemon:app", "oci:out"], 2, "there is no Docker daemon"),
        (["copy", "oci:none", "docker-daemon:"], 2, "docker-daemon:IMAGE"),
        (["tag", "a.io/b:1", "no tag"], 2, "is not a tag"),
        (["tag", "a.io/b:1"], 2, "NEWTAG"),
        (["push", "oci:none", "a.io/b:1", "--password", "hunter2", "--username", "u"], 2, "plain text"),
        (["push", "docker://u:hunter2@a.io/b:1", "a.io/b:1"], 2, "contains a user or password"),
    ],
)
def test_mistakes_have_their_exit_codes_and_show_no_secret(place, capsys, monkeypatch, words, code, says):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{place}/none.sock")
    assert run_command(words) == code
    shown = capsys.readouterr()
    assert says in shown.err
    assert "hunter2" not in shown.out + shown.err


def test_a_program_is_told_which_names_stand_after_a_failure(place, box, registry, capsys):
    write_layout(image(FIRST), place / "l")
    box.add_fault("PUT", r"docker-release/.*manifests/1$", status=403)
    names = [registry("1"), registry("1", "docker-release/app"), registry("1", "docker-local/other")]
    assert run_command(["push", "oci:l", *names, "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["error"]["pushed"] == [names[0], names[2]][:1]


@pytest.mark.parametrize(("source", "sink", "tag"), [("oci:l:v1", "oci:n", "v1"), ("oci:l:v1", "oci-archive:n", "v1")])
def test_a_copy_is_called_as_its_source_was_named(place, source, sink, tag):
    write_layout(image(FIRST), place / "l", ["v1"])
    buildpush.copy(source, sink)
    opened = open_layout if sink.startswith("oci:") else open_oci_archive
    assert plain(opened(place / "n", tag)) == [FIRST]


def test_a_whole_reference_as_a_tag_is_refused_with_what_to_write(capsys):
    assert run_command(["tag", "a.io/b:1", "a.io/b:full"]) == 2
    assert "only the tag for a.io/b: full" in capsys.readouterr().err


def test_what_the_registry_has_not_is_an_error_of_the_push(place, box, registry, capsys):
    assert run_command(["copy", f"docker://{registry('none')}", "oci:out"]) == 4
    assert run_command(["tag", registry("none"), "2"]) == 4
    assert "MANIFEST_UNKNOWN" in capsys.readouterr().err


def test_a_failed_push_leaves_its_reason_in_the_json(place, box, registry, capsys):
    write_layout(image(FIRST), place / "l")
    assert run_command(["push", "oci:l", registry("1", "nowhere/app"), "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["error"]["exit"] == 4


# The time limit.


@pytest.fixture
def early(monkeypatch):
    """Let every time limit be reached after a second: the shortest that can be said as text is 10 s."""
    monkeypatch.setattr("buildpush.foundation.limits._Limit", lambda _seconds: _Limit(1.0))


@pytest.mark.parametrize(
    ("words", "method"),
    [
        (["push", "oci:l", "{host}/docker-local/app:new"], "POST"),
        (["push", "oci:l", "{host}/docker-local/app:new"], "PATCH"),
        (["push", "oci:l", "{host}/docker-local/app:new"], "HEAD"),
        (["copy", "docker://{host}/docker-local/old:1", "docker://{host}/docker-local/app:new"], "GET"),
        (["copy", "docker://{host}/docker-local/old:1", "oci:out"], "GET"),
        (["tag", "{host}/docker-local/old:1", "new"], "GET"),
        (["merge", "{host}/docker-local/app:new", "docker://{host}/docker-local/old:1"], "GET"),
    ],
)
def test_a_command_that_takes_too_long_is_ended_with_124_and_moves_no_tag(
    place, box, registry, capsys, early, words, method
):
    write_layout(image(FIRST), place / "l")
    write_layout(image(SECOND), place / "other")
    buildpush.push("oci:other", registry("1", "docker-local/old"))
    box.add_fault(method, r"/v2/docker-local/.*(uploads|blobs|manifests).*", delay=3)
    begun = time.monotonic()
    assert run_command([*(word.format(host=box.host) for word in words), "--timeout", "10s"]) == 124

    assert time.monotonic() - begun < 2.9
    assert "took longer than its timeout of 10s" in capsys.readouterr().err
    assert box.tags("docker-local/app") == []
    assert box.tags("docker-local/old") == ["1"]
    assert not (place / "out").exists()


def test_a_timeout_says_which_names_stand(place, box, registry, capsys, early):
    write_layout(image(FIRST), place / "l")
    box.add_fault("PUT", r"manifests/2$", delay=3)
    names = [registry("1"), registry("2")]
    assert run_command(["push", "oci:l", *names, "--timeout", "10s", "--json"]) == 124
    error = json.loads(capsys.readouterr().out)["error"]
    assert f"{names[0]} is pushed" in error["message"]
    assert error["pushed"] == names[:1]


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_timeout_from_python_ends_requests_in_any_thread(place, box, registry, elsewhere):
    write_layout(image(FIRST), place / "l")
    box.add_fault("PATCH", r"/v2/docker-local/.*", delay=3)

    def push():
        return buildpush.push("oci:l", registry("1"), timeout=timedelta(seconds=0.5))

    with ThreadPoolExecutor(1) as threads, pytest.raises(TimeOutError, match=r"0\.5s"):
        (threads.submit(push).result if elsewhere else push)()
    assert box.tags("docker-local/app") == []


def test_what_ends_in_time_is_no_time_out(place, registry):
    write_layout(image(FIRST), place / "l")
    assert buildpush.push("oci:l", registry("1"), timeout="1h").references == (registry("1"),)
    assert buildpush.tag(registry("1"), "2", timeout=timedelta(minutes=1)).references == (registry("2"),)


@pytest.mark.parametrize("limit", ["soon", "1s", "", timedelta(), timedelta(days=-1), timedelta.max])
def test_a_timeout_that_is_none_is_refused_before_anything_is_done(place, box, registry, limit):
    with pytest.raises(SettingsError) as caught:
        buildpush.push("oci:l", registry("1"), timeout=limit)
    assert caught.value.setting == "timeout"
    assert not box.requests


# Build, and where it goes.


@pytest.mark.programs
@pytest.mark.parametrize("sink", KINDS)
def test_a_build_goes_to_every_sink(place, at, capsys, sink):
    (place / "Dockerfile").write_text("FROM scratch\nCOPY a /a\n")
    (place / "a").write_text("a")
    goal = at(sink, "built")
    words = ["build", "--engine", "native", "--repo", "acme.io/app", "--tags", "1", "--output", goal]
    assert run_command(words) == 0
    buildpush.copy(goal, "oci:end")

    [layer] = plain(open_layout(place / "end"))
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        assert tar.getnames() == ["a"]
    assert (goal if sink != "docker" else "digest") in capsys.readouterr().out


# With the programs of other people.


def run(*argv, **more):
    answer = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, **more)
    assert answer.returncode == 0, f"{argv}\n{answer.stdout}\n{answer.stderr}"
    return answer.stdout


@pytest.mark.engines
@pytest.mark.parametrize("kind", KINDS)
def test_skopeo_reads_what_we_write_and_we_read_what_it_writes(place, at, need, box, kind):
    need("skopeo")
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        member = tarfile.TarInfo("hello")
        member.size = 5
        tar.addfile(member, io.BytesIO(b"hello"))
    write_layout(image(layer.getvalue(), SECOND), place / "l", compression="gzip")
    buildpush.copy("oci:l", at(kind, "ours"))
    skopeo = ("skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false")
    access = ("--authfile", str(place.parent / "docker" / "skopeo.json"))
    pair = {"auths": {box.host: {"auth": _pair(box)}}}
    (place.parent / "docker" / "skopeo.json").write_text(json.dumps(pair))
    run(*skopeo, *access, at(kind, "ours"), at(kind, "theirs"))
    buildpush.copy(at(kind, "theirs"), "oci:end")

    assert plain(open_layout(place / "end")) == [layer.getvalue(), SECOND]
    assert open_layout(place / "end").config == open_layout(place / "l").config


def _pair(box) -> str:
    import base64

    return base64.b64encode(f"{box.username}:{box.password.reveal()}".encode()).decode()


@pytest.mark.engines
def test_the_docker_daemon_is_a_source_and_a_sink(place, registry, need, box):
    need("docker")
    (place / "a").write_bytes(os.urandom(100_000))
    (place / "Dockerfile").write_text("FROM scratch\nCOPY a /a\n")
    name, copied = f"buildpush.test/moved:{os.getpid()}", f"buildpush.test/copied:{os.getpid()}"
    run("docker", "build", "--quiet", "--provenance=false", "--tag", name, ".")
    try:
        pushed = buildpush.push(f"docker-daemon:{name}", registry("1"))
        again = buildpush.push(f"docker-daemon:{name}", registry("1"))
        assert again.digest == pushed.digest == box.digest("docker-local/app", "1")
        assert {layer.fate for layer in again.images[0].layers} == {"exists"}
        buildpush.copy(f"docker://{registry('1')}", f"docker-daemon:{copied}")
        layers = [run("docker", "inspect", "--format", "{{json .RootFS.Layers}}", one) for one in (name, copied)]
        assert layers[0] == layers[1]
    finally:
        run("docker", "rmi", "--force", name, copied)


@pytest.mark.parametrize("insecure", [("",), "a.test:5000", ("http://a.test",), (" ",)])
def test_what_is_no_host_is_spoken_to_with_tls_or_refused(place, insecure):
    """An empty text would mean every host that has no port."""
    write_layout(image(FIRST), place / "l")
    with pytest.raises(SettingsError) as caught:
        buildpush.copy("oci:l", "oci:m", insecure_registry=insecure)
    assert caught.value.setting == "insecure_registry"


def test_without_a_directory_for_its_memory_a_push_says_so_and_goes_on(place, registry, monkeypatch):
    (place / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(place / "file"))
    write_layout(image(FIRST), place / "l")
    result = buildpush.push("oci:l", registry("1"))
    assert any("nothing is kept on this machine" in note for note in result.notes)


def test_the_connector_of_a_host_comes_before_that_of_its_domain():
    entries = tuple(Connector(host, f"https://{host}", "c.yml") for host in ("acme.io", "docker.acme.io"))
    connectors = SimpleNamespace(entries=entries)
    found = choose_connectors(None, connectors, {"docker.acme.io", "other.acme.io"})
    assert {host: one.host for host, one in found.items()} == {
        "docker.acme.io": "docker.acme.io",
        "other.acme.io": "acme.io",
    }


def test_a_password_in_a_variable_stands_in_the_way_of_no_connector(place, box, registry, monkeypatch):
    write_layout(image(FIRST), place / "l")
    (place / "c.yml").write_text(connectors(connector(box.url, box.username, "mine", name="box")))
    monkeypatch.setenv("BUILDPUSH_SECRET_MINE", box.password.reveal())
    monkeypatch.setenv("PLUGIN_USERNAME", "somebody")
    monkeypatch.setenv("PLUGIN_PASSWORD", "of-another-registry")
    assert buildpush.push("oci:l", registry("1"), connectors="c.yml").digest


@pytest.mark.parametrize("damage", ["cut", "bytes", "swapped"])
def test_a_damaged_archive_of_compressed_layers_is_refused_and_no_tag_moves(place, box, registry, damage):
    """It names no digest of them: only the diff IDs say what they hold."""
    write_layout(image(FIRST, SECOND), place / "l", compression="gzip")
    buildpush.copy("oci:l", "docker-archive:whole.tar:app:1")
    with tarfile.open(place / "whole.tar") as tar:
        members = [(one, tar.extractfile(one).read() if one.isfile() else b"") for one in tar]
    with tarfile.open(place / "d.tar", "w") as tar:
        for member, content in members:
            data = content
            if member.name == "manifest.json" and damage == "swapped":
                (entry,) = json.loads(content)
                data = json.dumps([entry | {"Layers": entry["Layers"][::-1]}]).encode()
            elif content[:2] == b"\x1f\x8b" and damage != "swapped":
                data = content[:-12] if damage == "cut" else content[:20] + b"XX" + content[22:]
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    with pytest.raises(DigestError):
        buildpush.push("docker-archive:d.tar", registry("1"))
    assert box.digest("docker-local/app", "1") is None


@pytest.mark.parametrize("part", ["config", "layers"])
def test_a_layout_that_promises_other_sizes_is_not_copied(place, part):
    write_layout(image(FIRST), place / "l")
    index = json.loads((place / "l/index.json").read_text())
    (entry,) = index["manifests"]
    document = json.loads((place / "l/blobs" / entry["digest"].replace(":", "/")).read_text())
    (document["config"] if part == "config" else document["layers"][0])["size"] += 1
    data = json.dumps(document).encode()
    (place / "l/blobs/sha256" / digest_of(data).hex).write_bytes(data)
    index["manifests"] = [entry | {"digest": str(digest_of(data)), "size": len(data)}]
    (place / "l/index.json").write_text(json.dumps(index))
    with pytest.raises((DigestError, PushError), match="expected"):
        buildpush.copy("oci:l", "oci-archive:copy.tar")
    assert not (place / "copy.tar").exists()


def test_a_fifo_in_place_of_a_file_is_refused_at_once(place, registry):
    write_layout(image(FIRST), place / "l")
    (blob,) = [path for path in (place / "l/blobs/sha256").iterdir() if path.stat().st_size == len(FIRST)]
    blob.unlink()
    os.mkfifo(blob)
    with pytest.raises(PushError, match="not a regular file"):
        buildpush.push("oci:l", registry("1"))


def test_variables_of_a_step_that_say_nothing_to_a_push_are_named(place, registry, monkeypatch):
    write_layout(image(FIRST), place / "l")
    monkeypatch.setenv("PLUGIN_DRY_RUN", "true")
    result = buildpush.push("oci:l", registry("1"))
    assert any("PLUGIN_DRY_RUN" in note for note in result.notes)


def test_json_is_utf8_whatever_a_file_is_called(place, registry, capsysbinary):
    directory = os.fsdecode(b"n\xff")
    write_layout(image(FIRST), place / directory)
    assert run_command(["push", f"oci:{directory}", registry("1"), "--json"]) == 0
    assert json.loads(capsysbinary.readouterr().out.decode())


@pytest.mark.parametrize("fails", [True, False])
def test_a_host_that_is_trusted_in_vain_is_named_only_where_all_went_well(place, box, capsys, fails):
    write_layout(image(FIRST), place / "build", ["one"])
    source = "oci:gone" if fails else "oci:build"
    code = run_command(["push", source, f"{box.host}/docker-local/app:1", "--insecure-registry", "elsewhere.test"])

    said = "insecure has no effect on elsewhere.test: no request went there" in capsys.readouterr().err
    assert (code != 0, said) == (fails, not fails)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: buildpush.push(Path("build"), "r.example/a:1"), "source is of the type PosixPath, and takes text"),
        (lambda: buildpush.push(None, "r.example/a:1"), "source is of the type NoneType, and takes text"),
        (lambda: buildpush.push("oci:build", ["r.example/a:1"]), "references is of the type list, and takes text"),
        (lambda: buildpush.copy(source="oci:build", destination=Path("x")), "destination is of the type PosixPath"),
        (lambda: buildpush.tag("r.example/a:1", 5), "tags is of the type int, and takes text"),
        (lambda: buildpush.push("oci:x", "r.example/a:1", platform=["linux/amd64"]), "platform is of the type list"),
        (lambda: buildpush.push("oci:x", "r.example/a:1", insecure=["r.io"]), "and neither True nor False"),
        (lambda: buildpush.push("oci:x", "r.example/a:1", insecure_registry=5), "which is a int and not a list"),
        (lambda: buildpush.push("oci:x", "r.example/a:1", timeout=30), "'30' is not a duration"),
        (lambda: buildpush.BuildAndPush(repoo="x"), "repo: it is missing; repoo: unknown key"),
    ],
)
def test_what_a_program_gives_in_place_of_text_is_an_error_of_ours_that_names_it(call, says):
    with pytest.raises(SettingsError) as caught:
        call()
    assert says in str(caught.value)
    assert caught.value.hint

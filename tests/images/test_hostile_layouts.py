"""Layouts and archives that somebody else wrote: only their own ordinary files are read, and no more than promised."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from buildpush.foundation.errors import DigestError, PushError
from buildpush.images import spans
from buildpush.images.compression import digest_of
from buildpush.images.model import Image, Index, Layer, Platform
from buildpush.images.references import Reference
from buildpush.transfer.docker_archive import open_docker_archive, write_docker_archive
from buildpush.transfer.oci import write_layout, write_oci_archive
from buildpush.transfer.oci_layout import open_layout, open_oci_archive

NAME = Reference.parse("r.io/app:1")
SECRET = b"-----BEGIN PRIVATE KEY-----" * 100
AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
NOWHERE = Platform("unknown", "unknown")


def image(*layers: bytes, platform=AMD64) -> Image:
    ids = [digest_of(data) for data in layers]
    config = {"os": platform.os, "architecture": platform.architecture, "rootfs": {"diff_ids": list(map(str, ids))}}

    def blobs(wanted):
        for at in wanted:
            yield at, io.BytesIO(layers[at])

    return Image(json.dumps(config).encode(), tuple(Layer(diff_id=one) for one in ids), blobs, platform)


@pytest.fixture
def layout(tmp_path) -> Path:
    write_layout(image(SECRET), tmp_path / "l", [NAME])
    return tmp_path / "l"


def layer_of(layout: Path) -> Path:
    return layout / "blobs/sha256" / digest_of(SECRET).hex


def replace_by_link(path: Path) -> None:
    path.symlink_to(path.rename(path.parent / f"{path.name}.moved"))


def replace_by_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


SPOIL = {"a link": replace_by_link, "a FIFO": replace_by_fifo, "a folder": replace_by_directory}


@pytest.mark.parametrize(
    ("which", "kind"),
    [
        *((file, kind) for file in ("layer", "index.json") for kind in SPOIL),
        ("blobs", "a link"),
        ("blobs/sha256", "a link"),
    ],
)
def test_only_ordinary_files_below_a_layout_are_read(layout, tmp_path, kind, which):
    path = layer_of(layout) if which == "layer" else layout / which
    SPOIL[kind](path)
    with pytest.raises(PushError, match=r"a link|not a regular file|cannot be read"):
        write_layout(open_layout(layout), tmp_path / "copy")


def test_a_link_to_a_file_of_this_machine_is_not_followed(layout, tmp_path):
    outside = tmp_path / "id_rsa"
    outside.write_bytes(SECRET)
    layer_of(layout).unlink()
    layer_of(layout).symlink_to(outside)
    with pytest.raises(PushError, match="a link") as caught:
        write_docker_archive(open_layout(layout), tmp_path / "a.tar")
    assert "cp -rL" in caught.value.hint
    assert not (tmp_path / "a.tar").exists()


def test_a_layout_may_itself_be_named_by_a_link(layout, tmp_path):
    (tmp_path / "named").symlink_to(layout)
    assert isinstance(open_layout(tmp_path / "named"), Image)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "blobs//x", "blobs/../x", ".", "a/./b"])
def test_no_name_leads_out_of_a_layout(layout, name):
    with pytest.raises(PushError, match="is not the name of a file"):
        spans.Directory(layout).open(name)


@pytest.mark.parametrize("size", [100, 100_000_000])
def test_no_more_of_a_layer_is_read_than_was_promised(layout, tmp_path, monkeypatch, size):
    with layer_of(layout).open("r+b") as file:
        file.truncate(size)
    read, before = [], spans.Slice.read

    def counting(self, size=-1, /):
        block = before(self, size)
        read.append(len(block))
        return block

    found = open_layout(layout)
    monkeypatch.setattr(spans.Slice, "read", counting)
    with pytest.raises(DigestError, match="were expected"):
        write_layout(found, tmp_path / "copy")
    assert sum(read) <= len(SECRET) + 1


def test_a_document_of_another_size_is_not_read(layout):
    index = json.loads((layout / "index.json").read_text())
    manifest = layout / "blobs" / index["manifests"][0]["digest"].replace(":", "/")
    manifest.write_bytes(manifest.read_bytes() + b" ")
    with pytest.raises(DigestError, match="were expected"):
        open_layout(layout)


@pytest.mark.parametrize("text", ["1e999", "Infinity", "NaN", "-1", "1.5", "true", '"45"', "9" * 30, "[" * 100_000])
def test_a_size_that_is_none_is_an_error(layout, text):
    index = (layout / "index.json").read_text()
    size = json.loads(index)["manifests"][0]["size"]
    (layout / "index.json").write_text(index.replace(f'"size":{size}', f'"size":{text}'))
    with pytest.raises(PushError, match=r"size|JSON"):
        open_layout(layout)


def test_a_name_that_stands_twice_is_an_error(layout):
    index = (layout / "index.json").read_text()
    (layout / "index.json").write_text(index.replace('"size":', '"size":1,"size":'))
    with pytest.raises(PushError, match="appears twice"):
        open_layout(layout)


@pytest.mark.parametrize("digest", ["sha384:" + "0" * 96, "md5:" + "0" * 32, "blake3:" + "0" * 64])
def test_a_digest_by_an_algorithm_that_we_do_not_know_is_named(layout, digest):
    index = json.loads((layout / "index.json").read_text())
    index["manifests"][0]["digest"] = digest
    (layout / "index.json").write_text(json.dumps(index))
    with pytest.raises(PushError, match=f"{digest.partition(':')[0]} is not supported"):
        open_layout(layout)


@pytest.fixture
def several(tmp_path) -> Path:
    index = Index((image(b"amd64"), image(b"arm64", platform=ARM64), image(b"{}", platform=NOWHERE)))
    write_layout(index, tmp_path / "several", [NAME])
    return tmp_path / "several"


def lose(layout: Path, platform: Platform) -> None:
    """Remove the manifest of one image, as docker save leaves it out."""
    for blob in (layout / "blobs/sha256").iterdir():
        document = json.loads(blob.read_bytes()) if blob.read_bytes().startswith(b'{"schemaVersion"') else {}
        for one in document.get("manifests", ()):
            if one["platform"]["architecture"] == platform.architecture:
                (layout / "blobs" / one["digest"].replace(":", "/")).unlink()
                return


def as_archive(layout: Path) -> Path:
    with tarfile.open(layout.with_suffix(".tar"), "w") as tar:
        tar.add(layout, ".")
    return layout.with_suffix(".tar")


OPEN = {"directory": open_layout, "archive": lambda path, *more: open_oci_archive(as_archive(path), *more)}


@pytest.mark.parametrize("form", OPEN)
def test_of_an_index_with_a_missing_image_another_one_can_be_had(several, form):
    lose(several, ARM64)
    found = OPEN[form](several, None, AMD64)
    assert [reader.read() for _, reader in found.blobs([0])] == [b"amd64"]
    with pytest.raises(PushError, match="does not have all images") as caught:
        OPEN[form](several)
    assert caught.value.hint == "choose one with --platform: linux/amd64"
    with pytest.raises(PushError, match="lists an image for linux/arm64, but does not have it") as caught:
        OPEN[form](several, None, ARM64)
    assert caught.value.hint == "it has: linux/amd64"


@pytest.mark.parametrize("form", OPEN)
def test_attestations_are_no_platform_to_choose(several, form):
    with pytest.raises(PushError, match="no image for linux/s390x") as caught:
        OPEN[form](several, None, Platform("linux", "s390x"))
    assert caught.value.hint == "it has: linux/amd64, linux/arm64"


def test_a_tar_of_very_many_files_is_no_archive_of_images(tmp_path, monkeypatch):
    monkeypatch.setattr(spans, "_MAX_MEMBERS", 10)
    write_oci_archive(image(*(str(at).encode() for at in range(12))), tmp_path / "a.tar")
    with pytest.raises(PushError, match="more than 10 files"):
        open_oci_archive(tmp_path / "a.tar")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_records_of_a_tar_that_would_fill_the_memory_are_refused(tmp_path, kind):
    head = tarfile.TarInfo("x")
    head.type, head.size = kind, 8_000_000_000
    (tmp_path / "a.tar").write_bytes(head.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    with pytest.raises(PushError, match="a name or record of 8000000000 bytes"):
        open_docker_archive(tmp_path / "a.tar")

"""Layouts and archives: what is written reads back, what others write is read, what is broken is refused."""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from buildpush.foundation.errors import BuildError, DigestError, PushError
from buildpush.images import spans
from buildpush.images.compression import digest_of
from buildpush.images.manifests import without_manifest
from buildpush.images.model import OCI_LAYER, OCI_MANIFEST, Image, Index, Layer, Platform
from buildpush.images.references import Reference
from buildpush.transfer.docker_archive import docker_archive, open_docker_archive, write_docker_archive
from buildpush.transfer.oci import write_layout, write_oci_archive
from buildpush.transfer.oci_layout import open_layout, open_oci_archive

FIRST, SECOND = b"first " * 1000, b"second " * 10
NAME = Reference.parse("r.io/app:1")


def image(*layers: bytes, told: bool = True, **more) -> Image:
    ids = [digest_of(data) for data in layers]
    rootfs = {"type": "layers", "diff_ids": [str(one) for one in ids] if told else []}
    config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": rootfs}).encode()

    def blobs(wanted):
        for at in wanted:
            yield at, io.BytesIO(layers[at])

    return Image(config, tuple(Layer(diff_id=one if told else None) for one in ids), blobs, **more)


def read_all(found: Image) -> list[bytes]:
    return [reader.read() for _, reader in found.blobs(range(len(found.layers)))]


@pytest.mark.parametrize("told", [True, False])
def test_a_layout_reads_back(tmp_path, told):
    written = write_layout(image(FIRST, SECOND, told=told), tmp_path / "l", [NAME])
    found = open_layout(tmp_path / "l", "1")

    assert read_all(found) == [FIRST, SECOND]
    assert digest_of(found.manifest) == written.digest
    assert [layer.diff_id for layer in found.layers] == [digest_of(FIRST), digest_of(SECOND)]
    assert not found.layers[0].compressed


def test_several_writers_of_one_layout_lose_nothing(tmp_path):
    names = [f"a.test/app:{number}" for number in range(24)]

    def write(name):
        write_layout(image(name.encode()), tmp_path / "l", [Reference.parse(name)])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, names))
    listed = json.loads((tmp_path / "l/index.json").read_text())["manifests"]
    assert len(listed) == len(names)
    assert not list((tmp_path / "l").rglob(".*"))


def test_layers_of_a_layout_can_be_compressed(tmp_path):
    write_layout(image(FIRST), tmp_path, compression="gzip")
    found = open_layout(tmp_path)

    assert found.layers[0].media_type == f"{OCI_LAYER}+gzip"
    assert gzip.decompress(read_all(found)[0]) == FIRST
    assert found.layers[0].diff_id == digest_of(FIRST)


def test_a_copy_of_a_layout_is_the_same_byte_for_byte(tmp_path):
    one = write_layout(image(FIRST, SECOND), tmp_path / "a", compression="gzip")
    two = write_layout(open_layout(tmp_path / "a"), tmp_path / "b", compression="none")

    assert one == two


def test_without_its_manifest_an_image_may_be_changed(tmp_path):
    write_layout(image(FIRST), tmp_path)

    assert open_layout(tmp_path, keep_manifest=False).manifest is None


def test_an_index_reads_back(tmp_path):
    images = (image(FIRST), image(SECOND, platform=Platform("linux", "arm64")))
    written = write_layout(Index(images), tmp_path, [NAME])
    found = open_layout(tmp_path)

    assert isinstance(found, Index)
    assert digest_of(found.manifest) == written.digest
    assert [str(one.platform) for one in found.images] == ["linux/amd64", "linux/arm64"]
    assert read_all(found.images[1]) == [SECOND]


def test_a_layout_holds_several_images_by_name(tmp_path):
    for tag, data in (("1", FIRST), ("2", SECOND), ("1", b"third")):
        write_layout(image(data), tmp_path, [Reference.parse(f"r.io/app:{tag}")])

    assert read_all(open_layout(tmp_path, "1")) == [b"third"]
    assert len(json.loads((tmp_path / "index.json").read_text())["manifests"]) == 2
    with pytest.raises(PushError, match="2 images") as caught:
        open_layout(tmp_path)
    assert caught.value.hint == "name one; it has: '1', '2'"
    with pytest.raises(PushError, match="0 images with the name '3'"):
        open_layout(tmp_path, "3")


def test_a_source_that_lied_about_a_layer_is_refused(tmp_path):
    honest = image(FIRST)
    lying = Image(honest.config, (Layer(diff_id=digest_of(SECOND)),), honest.blobs)

    with pytest.raises(DigestError):
        write_layout(lying, tmp_path / "l")
    with pytest.raises(DigestError):
        write_docker_archive(lying, tmp_path / "a.tar")
    assert not (tmp_path / "l" / "index.json").exists()
    assert not (tmp_path / "a.tar").exists()


def test_a_changed_manifest_in_a_layout_is_noticed(tmp_path):
    written = write_layout(image(FIRST), tmp_path)
    blob = tmp_path / "blobs" / "sha256" / written.digest.hex
    blob.write_bytes(blob.read_bytes() + b" ")

    with pytest.raises(DigestError):
        open_layout(tmp_path)


def test_a_missing_layer_is_named_when_it_is_read(tmp_path):
    write_layout(image(FIRST), tmp_path)
    (tmp_path / "blobs" / "sha256" / digest_of(FIRST).hex).unlink()

    with pytest.raises(PushError, match="cannot be read"):
        read_all(open_layout(tmp_path))


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"manifests": [{"digest": "../../etc/passwd", "size": 1}]}'])
def test_what_is_no_layout_is_refused(tmp_path, text):
    (tmp_path / "index.json").write_text(text)

    with pytest.raises(PushError):
        open_layout(tmp_path)
    with pytest.raises(PushError, match="cannot be read"):
        open_layout(tmp_path / "nowhere")


def test_a_document_of_unlikely_size_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(spans, "LARGEST_DOCUMENT", 10)
    (tmp_path / "index.json").write_text("x" * 11)

    with pytest.raises(PushError, match="larger than a document"):
        open_layout(tmp_path)


def test_a_full_disk_is_said_so(tmp_path):
    def full(_wanted):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for write in (write_layout, write_docker_archive):
        one = image(FIRST)
        with pytest.raises(BuildError, match="No space left") as caught:
            write(Image(one.config, one.layers, full), tmp_path / write.__name__)
        assert "free some space" in caught.value.hint
    assert [path.name for path in tmp_path.rglob("*") if path.name.startswith((".", "tmp"))] == []


@pytest.mark.parametrize("told", [True, False])
def test_a_docker_archive_reads_back(tmp_path, told):
    path = tmp_path / "a.tar"
    write_docker_archive(image(FIRST, SECOND, FIRST, told=told), path, [NAME])
    found = open_docker_archive(path, "r.io/app:1")

    assert read_all(found) == [FIRST, SECOND, FIRST]
    assert [layer.diff_id for layer in found.layers] == [digest_of(data) for data in (FIRST, SECOND, FIRST)]
    assert [layer.size for layer in found.layers] == [6000, 70, 6000]
    with tarfile.open(path) as archive:
        assert len(archive.getnames()) == 4  # equal layers are one file


def test_equal_images_make_equal_archives(tmp_path):
    for name in ("a.tar", "b.tar"):
        write_docker_archive(image(FIRST), tmp_path / name, [NAME])

    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_layers_of_an_archive_can_be_read_in_parallel(tmp_path):
    write_docker_archive(image(FIRST, SECOND), tmp_path / "a.tar")
    found = open_docker_archive(tmp_path / "a.tar")
    one, two = found.blobs([0]), found.blobs([1])

    assert (next(one)[1].read(5), next(two)[1].read(6)) == (b"first", b"second")
    one.close()
    two.close()


def archive(path, members: dict[str, bytes], links: dict[str, str] | None = None) -> None:
    with tarfile.open(path, "w") as file:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            file.addfile(member)


def test_archives_of_older_dockers_link_equal_layers(tmp_path):
    config = image(FIRST, FIRST).config
    listed = [{"Config": "c.json", "RepoTags": None, "Layers": ["a/layer.tar", "b/layer.tar"]}]
    members = {"manifest.json": json.dumps(listed).encode(), "c.json": config, "a/layer.tar": FIRST}
    archive(tmp_path / "a.tar", members, {"b/layer.tar": "../a/layer.tar"})

    assert read_all(open_docker_archive(tmp_path / "a.tar")) == [FIRST, FIRST]


def test_compressed_layers_of_an_archive_are_known_as_such(tmp_path):
    packed = gzip.compress(FIRST)
    listed = [{"Config": "c.json", "Layers": ["blobs/sha256/x"]}]
    members = {"./manifest.json": json.dumps(listed).encode(), "c.json": image(FIRST).config, "blobs/sha256/x": packed}
    archive(tmp_path / "a.tar", members)
    found = open_docker_archive(tmp_path / "a.tar")

    assert found.layers[0].compressed
    assert read_all(found) == [packed]


@pytest.mark.parametrize(
    "members",
    [
        {"manifest.json": b"{"},
        {"manifest.json": b"{}"},
        {"manifest.json": b"[{}, {}]"},
        {"manifest.json": b'[{"Config": "none.json"}]'},
        {"manifest.json": b'[{"Config": "c.json", "Layers": []}]', "c.json": image(FIRST).config},
        {"manifest.json": b'[{"Config": "c.json", "Layers": ["../x"]}]', "c.json": image(FIRST).config},
        {"other": b""},
    ],
)
def test_what_is_no_docker_archive_is_refused(tmp_path, members):
    archive(tmp_path / "a.tar", members)

    with pytest.raises(PushError):
        open_docker_archive(tmp_path / "a.tar")


def test_a_file_that_is_no_tar_is_refused(tmp_path):
    (tmp_path / "a.tar").write_bytes(gzip.compress(b"x" * 10_000))

    with pytest.raises(PushError, match="compressed with gzip") as caught:
        open_docker_archive(tmp_path / "a.tar")
    assert "gunzip" in caught.value.hint
    with pytest.raises(PushError, match="cannot be read"):
        open_docker_archive(tmp_path / "none.tar")


def test_an_archive_that_was_cut_is_noticed(tmp_path):
    path = tmp_path / "a.tar"
    write_docker_archive(image(FIRST), path)
    found = open_docker_archive(path)
    os.truncate(path, 522)  # ten bytes of the layer

    for _, reader in found.blobs([0]):
        reader.read(10)
        with pytest.raises(PushError, match="ends too early"):
            reader.read()


def test_an_image_that_came_with_its_manifest_keeps_it(tmp_path):
    write_layout(image(FIRST), tmp_path / "a")
    found = open_layout(tmp_path / "a")
    wrong = Image(
        found.config, found.layers, found.blobs, manifest=found.manifest.replace(b"1", b"2"), manifest_type=OCI_MANIFEST
    )

    with pytest.raises((DigestError, PushError)):
        write_layout(wrong, tmp_path / "b")


@pytest.mark.parametrize("told", [True, False])
def test_an_oci_archive_reads_back_without_being_unpacked(tmp_path, told):
    path = tmp_path / "a.tar"
    written = write_oci_archive(image(FIRST, SECOND, FIRST, told=told), path, [NAME])
    found = open_oci_archive(path, "1")

    assert read_all(found) == [FIRST, SECOND, FIRST]
    assert digest_of(found.manifest) == written.digest
    assert [one.name for one in tmp_path.iterdir()] == ["a.tar"]
    with tarfile.open(path) as archive:
        assert len(set(archive.getnames())) == len(archive.getnames()) == 8  # equal layers are one file


def test_a_layout_and_its_archive_hold_the_same_image(tmp_path):
    index = Index((image(FIRST), image(SECOND, platform=Platform("linux", "arm64"))))
    one = write_layout(index, tmp_path / "l", compression="gzip")
    two = write_oci_archive(open_layout(tmp_path / "l"), tmp_path / "a.tar")

    assert one == two
    assert open_oci_archive(tmp_path / "a.tar").manifest == open_layout(tmp_path / "l").manifest


def test_equal_images_make_equal_oci_archives(tmp_path):
    for name in ("a.tar", "b.tar"):
        write_oci_archive(image(FIRST, told=False), tmp_path / name, ["x"], compression="gzip")

    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_an_oci_archive_that_fails_leaves_the_older_one(tmp_path):
    path = tmp_path / "a.tar"
    path.write_text("older")
    with pytest.raises(DigestError):
        write_oci_archive(Image(image(FIRST).config, (Layer(diff_id=digest_of(SECOND)),), image(FIRST).blobs), path)

    assert path.read_text() == "older"
    assert [one.name for one in tmp_path.iterdir()] == ["a.tar"]


def layout_members(directory) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("lost", ["index.json", "blobs/manifest", "blobs/config", "blobs/layer"])
def test_an_oci_archive_with_something_missing_says_what(tmp_path, lost):
    written = write_layout(image(FIRST), tmp_path / "l")
    members = layout_members(tmp_path / "l")
    manifest = json.loads(members[f"blobs/sha256/{written.digest.hex}"])
    names = {
        "blobs/manifest": str(written.digest),
        "blobs/config": manifest["config"]["digest"],
        "blobs/layer": manifest["layers"][0]["digest"],
    }
    members.pop(f"blobs/{names[lost].replace(':', '/')}" if lost in names else lost)
    archive(tmp_path / "a.tar", members)

    with pytest.raises(PushError, match="does not have the file"):
        read_all(open_oci_archive(tmp_path / "a.tar"))


def test_a_document_of_an_oci_archive_that_was_changed_is_noticed(tmp_path):
    written = write_layout(image(FIRST), tmp_path / "l")
    members = layout_members(tmp_path / "l")
    members[f"blobs/sha256/{written.digest.hex}"] += b" "
    archive(tmp_path / "a.tar", members)

    with pytest.raises(DigestError):
        open_oci_archive(tmp_path / "a.tar")


def test_a_link_in_an_oci_archive_reads_no_file_of_this_machine(tmp_path):
    written = write_layout(image(FIRST), tmp_path / "l")
    members = layout_members(tmp_path / "l")
    name = f"blobs/sha256/{digest_of(FIRST).hex}"
    (tmp_path / "outside").write_bytes(members.pop(name))
    archive(tmp_path / "a.tar", members, {name: str(tmp_path / "outside")})

    assert written
    with pytest.raises(PushError, match="does not have the file"):
        read_all(open_oci_archive(tmp_path / "a.tar"))


def test_names_in_an_archive_lead_nowhere(tmp_path):
    """Nothing is unpacked, so a path that leads out of the archive is only a name that nobody asks for."""
    listed = [{"Config": "../../c.json", "Layers": ["/etc/x"]}]
    members = {"manifest.json": json.dumps(listed).encode(), "../../c.json": image(FIRST).config, "/etc/x": FIRST}
    archive(tmp_path / "a.tar", members)

    assert read_all(open_docker_archive(tmp_path / "a.tar")) == [FIRST]
    assert [one.name for one in tmp_path.iterdir()] == ["a.tar"]


@pytest.mark.parametrize("name", ["app:1", "docker.io/library/app:1", "library/app:1"])
def test_docker_leaves_out_parts_of_names_and_so_may_people(tmp_path, name):
    write_docker_archive(image(FIRST), tmp_path / "a.tar", [Reference.parse("app:1"), Reference.parse("app:2")])

    assert read_all(open_docker_archive(tmp_path / "a.tar", name)) == [FIRST]
    with pytest.raises(PushError, match="0 images"):
        open_docker_archive(tmp_path / "a.tar", "app:3")


class Forward:
    """An image whose layers come in an order of its own, and its configuration behind them."""

    def __init__(self, *layers: bytes):
        self.known = image(*layers)
        self.asked = []

    def image(self) -> Image:
        return Image(b"{}", self.known.layers, self.blobs, random_access=False, late_config=self.config)

    def blobs(self, wanted):
        self.asked.append(sorted(wanted))
        for at in sorted(wanted, reverse=True):
            yield from self.known.blobs([at])

    def config(self) -> bytes:
        self.asked.append("config")
        return self.known.config


@pytest.mark.parametrize("write", [write_layout, write_oci_archive, write_docker_archive])
def test_a_source_that_is_read_forward_is_asked_once(tmp_path, write):
    source = Forward(FIRST, SECOND, FIRST)
    write(source.image(), tmp_path / "out", [NAME])

    assert source.asked == [[0, 1], "config"]
    read = {write_layout: open_layout, write_oci_archive: open_oci_archive, write_docker_archive: open_docker_archive}
    assert read_all(read[write](tmp_path / "out")) == [FIRST, SECOND, FIRST]


def test_a_source_that_gives_too_little_is_refused(tmp_path):
    one = image(FIRST, SECOND)
    lacking = Image(one.config, one.layers, lambda wanted: one.blobs([0]))
    short = Image(one.config, (Layer(diff_id=digest_of(FIRST), size=9), *one.layers[1:]), one.blobs)

    for write in (write_layout, write_oci_archive, write_docker_archive):
        with pytest.raises(DigestError, match="gave no layer 2"):
            write(lacking, tmp_path / write.__name__)
    with pytest.raises(DigestError, match="more than 9 bytes"):
        write_docker_archive(short, tmp_path / "short")


def test_an_archive_is_streamed_where_sizes_are_known(tmp_path):
    write_layout(image(FIRST, SECOND), tmp_path / "l", compression="gzip")
    found = open_layout(tmp_path / "l")
    nowhere = tmp_path / "none"  # a directory that is not there cannot hold anything for later

    (tmp_path / "a.tar").write_bytes(b"".join(docker_archive(found, [NAME], nowhere)))
    assert [gzip.decompress(data) for data in read_all(open_docker_archive(tmp_path / "a.tar"))] == [FIRST, SECOND]


def test_without_their_manifests_images_of_an_index_may_be_changed(tmp_path):
    write_layout(Index((image(FIRST),)), tmp_path)
    found = without_manifest(open_layout(tmp_path))

    assert found.manifest is None
    assert [one.manifest for one in found.images] == [None]

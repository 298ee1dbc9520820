"""Whatever is changed in a valid image: it arrives as it is, or a typed error says why not and nothing is left."""

from __future__ import annotations

import copy
import gzip
import hashlib
import json
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildpush.foundation.errors import BuildPushError
from buildpush.images import spans
from buildpush.images.model import Index
from buildpush.images.references import Reference
from buildpush.transfer.docker_archive import open_docker_archive, write_docker_archive
from buildpush.transfer.oci import write_layout, write_oci_archive
from buildpush.transfer.oci_layout import open_layout, open_oci_archive

NAME = Reference.parse("r.io/app:1")
PLAIN = (b"first layer " * 300, b"second layer " * 200)
BLOBS = (PLAIN[0], gzip.compress(PLAIN[1], mtime=0))
TYPES = ("application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.v1.tar+gzip")


def hexed(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def descriptor(data: bytes, kind: str, algorithm: str = "sha256") -> dict:
    return {"mediaType": kind, "digest": hexed(data, algorithm), "size": len(data)}


def documents(algorithm: str = "sha256") -> dict:
    """Return what a valid image says, before it is written down."""
    return {
        "config": {
            "os": "linux",
            "architecture": "amd64",
            "rootfs": {"type": "layers", "diff_ids": [hexed(data) for data in PLAIN]},
            "history": [{"created_by": "a"}, {"created_by": "b"}],
        },
        "manifest": {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json"},
            "layers": [descriptor(data, kind, algorithm) for data, kind in zip(BLOBS, TYPES, strict=True)],
        },
        "index": {
            "schemaVersion": 2,
            "manifests": [
                {
                    "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "platform": {"os": "linux", "architecture": "amd64"},
                    "annotations": {"org.opencontainers.image.ref.name": "1"},
                }
            ],
        },
    }


def written(directory: Path, said: dict, algorithm: str = "sha256") -> None:
    """Write a layout; digests and sizes of documents are right where nothing else is said."""

    def put(data: bytes, kind: str = "sha256") -> None:
        path = directory / "blobs" / hexed(data, kind).replace(":", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    for blob in BLOBS:
        put(blob, algorithm)
    config = json.dumps(said["config"]).encode()
    manifest = said["manifest"]
    if isinstance(manifest, dict) and isinstance(manifest.get("config"), dict):
        manifest["config"] = descriptor(config, "", algorithm) | manifest["config"]
    data = json.dumps(manifest).encode()
    index = said["index"]
    entries = index.get("manifests") if isinstance(index, dict) else None
    if isinstance(entries, list) and entries and isinstance(entries[0], dict):
        entries[0] = descriptor(data, "", algorithm) | entries[0]
    put(config, algorithm)
    put(data, algorithm)
    (directory / "index.json").write_text(json.dumps(index))
    (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')


def places(value, path=()):
    """Give the way to each value in a document."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*path, key))


# The document's digest and size are filled in when it is written, and may be said otherwise.
MORE = [("manifest", "config", "digest"), ("manifest", "config", "size"), ("index", "manifests", 0, "size")]
PLACES = [path for path in places(documents()) if len(path) > 1] + [*MORE, ("index", "manifests", 0, "digest")]
GONE = object()
VALUES = st.one_of(
    st.just(GONE),
    st.none() | st.booleans() | st.text(max_size=8) | st.floats() | st.integers(),
    st.sampled_from(
        [0, 1, -1, 45, 2**31, 2**63, 10**30, 1.5, float("inf"), float("nan"), "", [], {}, [[]], {"a": None}]
    ),
    st.sampled_from(
        [hexed(data) for data in (*PLAIN, *BLOBS, b"")] + [hexed(BLOBS[0], "sha512"), "md5:00", "sha256:x"]
    ),
    st.sampled_from([*TYPES, "application/vnd.oci.image.layer.v1.tar+zstd", "a/b", "application/json"]),
    st.recursive(st.none() | st.integers(), lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(), one)),
)


def changed(said: dict, path: tuple, value: object) -> dict:
    said = copy.deepcopy(said)
    inner = said
    for key in path[:-1]:
        inner = inner[key]
    if value is GONE and path[-1] in inner if isinstance(inner, dict) else value is GONE:
        del inner[path[-1]]
    elif value is not GONE:
        inner[path[-1]] = value
    return said


def unpacked(data: bytes) -> bytes:
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


def check_layout(read) -> None:
    """Read a copy with nothing of ours: each size, digest and diff ID is true."""
    (entry,) = json.loads(read("index.json"))["manifests"]
    manifest = json.loads(checked(read, entry))
    config, layers = checked(read, manifest["config"]), [checked(read, one) for one in manifest.get("layers") or ()]
    check_diff_ids(config, layers)


def checked(read, entry) -> bytes:
    data = read("blobs/" + entry["digest"].replace(":", "/"))
    assert (len(data), hexed(data, entry["digest"].partition(":")[0])) == (entry["size"], entry["digest"])
    return data


def check_diff_ids(config: bytes, layers: list[bytes]) -> None:
    found = json.loads(config)
    rootfs = found.get("rootfs") if isinstance(found, dict) else None
    said = (rootfs.get("diff_ids") if isinstance(rootfs, dict) else None) or []
    assert not said or said == [
        hexed(unpacked(data), one.partition(":")[0]) for data, one in zip(layers, said, strict=True)
    ]


def check_directory(path: Path) -> None:
    check_layout(lambda name: (path / name).read_bytes())


def check_oci_archive(path: Path) -> None:
    with tarfile.open(path) as tar:
        check_layout(lambda name: tar.extractfile(name).read())


def check_docker_archive(path: Path) -> None:
    with tarfile.open(path) as tar:
        (entry,) = json.load(tar.extractfile("manifest.json"))
        layers = [tar.extractfile(name).read() for name in entry["Layers"]]
        check_diff_ids(tar.extractfile(entry["Config"]).read(), layers)


SINKS = {
    write_layout: check_directory,
    write_oci_archive: check_oci_archive,
    write_docker_archive: check_docker_archive,
}


@pytest.fixture(scope="module")
def most_read():
    """Return a dictionary of the bytes that were read of each layer, by the name of its file."""
    found, before = {}, spans.Slice.read
    with pytest.MonkeyPatch.context() as patch:

        def counting(self, size=-1, /):
            block = before(self, size)
            if size >= 0:
                found[self._path.name] = found.get(self._path.name, 0) + len(block)
            return block

        patch.setattr(spans.Slice, "read", counting)
        yield found


def attempt(said: dict, write, most_read: dict, algorithm: str = "sha256") -> bool:
    """Copy a layout, and return whether that went well; check what it led to."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "layout").mkdir()
        written(root / "layout", said, algorithm)
        most_read.clear()
        try:
            found = open_layout(root / "layout")
            if isinstance(found, Index):
                return False
            layers = found.layers
            most_read.clear()
            write(found, root / "copy", [NAME])
        except BuildPushError:
            assert sorted(path.name for path in root.iterdir()) == ["layout"], "nothing is left"
            return False
        for layer in layers:
            assert most_read.get(layer.digest.hex, 0) <= (layer.size or 0) + 1
        SINKS[write](root / "copy")
        return True


@pytest.mark.parametrize("write", SINKS)
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_an_image_that_was_not_changed_arrives(write, algorithm, most_read):
    assert attempt(documents(algorithm), write, most_read, algorithm)


@pytest.mark.parametrize("write", SINKS)
@settings(max_examples=60)
@given(path=st.sampled_from(PLACES), value=VALUES)
def test_an_image_of_which_anything_was_changed_arrives_right_or_not_at_all(write, path, value, most_read):
    attempt(changed(documents(), path, value), write, most_read)


@settings(max_examples=100)
@given(
    data=st.binary(max_size=200) | st.text(max_size=200).map(str.encode), which=st.sampled_from(["index", "manifest"])
)
def test_anything_in_the_place_of_a_document_is_an_error(data, which):
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        written(directory, documents())
        if which == "index":
            (directory / "index.json").write_bytes(data)
        else:
            path = directory / "blobs" / hexed(data).replace(":", "/")
            path.write_bytes(data)
            entry = descriptor(data, "application/vnd.oci.image.manifest.v1+json")
            (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
        with pytest.raises(BuildPushError):
            open_layout(directory)


@settings(max_examples=100)
@given(path=st.sampled_from(["manifest.json", "index.json", "oci-layout"]), value=VALUES | st.lists(VALUES, max_size=2))
def test_anything_in_the_list_of_an_archive_is_an_error(path, value):
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "a.tar"
        data = json.dumps(value, default=str).encode()
        with tarfile.open(file, "w") as tar:
            (Path(name) / "list").write_bytes(data)
            tar.add(Path(name) / "list", path)
        for read in (open_docker_archive, open_oci_archive):
            with pytest.raises(BuildPushError):
                read(file)

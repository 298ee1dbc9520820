"""Docker archives: read in place, and written as ``docker load`` reads them.

Source: moby, image/spec "Combined Image JSON + Filesystem Changeset Format".
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from buildpush.foundation.errors import BadNameError, PushError, SettingsError
from buildpush.images.blocks import blocks
from buildpush.images.compression import BlobInfo, Compressor, Hashes, digest_of
from buildpush.images.manifests import check_digests, diff_ids, platform_of, read_json
from buildpush.images.model import OCI_LAYER, Image, Index, Layer, Platform
from buildpush.images.references import Digest, Reference
from buildpush.images.referrers import Referrer
from buildpush.images.spans import Tar
from buildpush.transfer import Location
from buildpush.transfer.destinations import single_image
from buildpush.transfer.driver import Clients, Driver, WriteOptions
from buildpush.transfer.layers import (
    check_layer,
    checked_reader,
    distinct_layers,
    final_config,
    first_positions,
    write_through,
)
from buildpush.transfer.parse import file_location, reference_of
from buildpush.transfer.tar_file import END, header, member, new_file, padding

_MAGIC: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd"}


def open_docker_archive(path: Path, name: str | None = None) -> Image:
    """Return the image in a file that ``docker save`` wrote; its layers are read from there when needed.

    Args:
        path: not compressed.
        name: reference of the image; not needed where the archive has only one.

    Raises:
        PushError: it is not such an archive, or does not have exactly one image with that name.
    """
    tar = Tar.at(path, "Docker archive", "make one with: docker save IMAGE --output FILE")
    document = read_json(tar.document("manifest.json"), f"{path}: manifest.json")
    entries = [one for one in document if isinstance(one, dict)] if isinstance(document, list) else []
    full_name = _full_name(name) if name else None
    matches = [one for one in entries if full_name is None or full_name in map(_full_name, _tags(one))]
    if len(matches) != 1:
        names = ", ".join(tag for one in entries for tag in _tags(one)) or "none"
        message = f"{path} has {len(matches)} images" + (f" with the name {name!r}" if name else "")
        raise PushError(message, hint=f"name one; it has: {names}")
    config = tar.document(str(matches[0].get("Config")))
    layers = matches[0].get("Layers")
    return _image(tar, config, [str(one) for one in layers] if isinstance(layers, list) else [])


def _tags(entry: Mapping[str, Any]) -> list[str]:
    tags = entry.get("RepoTags")
    return [str(one) for one in tags] if isinstance(tags, list) else []


def _full_name(name: str) -> str:
    """Return a reference with the parts that Docker leaves out when it writes one."""
    try:
        return str(Reference.parse(name))
    except BadNameError:
        return name


def _image(tar: Tar, config: bytes, names: Sequence[str]) -> Image:
    expected = diff_ids(config)
    if len(expected) != len(names):
        message = f"{tar.path}: the configuration names {len(expected)} layers, the archive {len(names)}"
        raise PushError(message, hint="the archive is damaged: save the image again")
    layers = tuple(
        Layer(media_type=_type_of(tar, name), diff_id=diff_id, size=tar.span(name).size)
        for name, diff_id in zip(names, expected, strict=True)
    )

    def blobs(positions: Collection[int]) -> Iterator[tuple[int, BinaryIO]]:
        for at in sorted(positions):
            with tar.open(names[at]) as reader:
                yield at, cast("BinaryIO", reader)

    return Image(config, layers, blobs, platform_of(config))


def _type_of(tar: Tar, name: str) -> str:
    with tar.open(name) as reader:
        kind = _MAGIC.get(reader.read(2), "")
    return f"{OCI_LAYER}+{kind}" if kind else OCI_LAYER


def write_docker_archive(image: Image, path: Path, references: Sequence[Reference] = ()) -> None:
    """Write *image* as ``docker load`` reads it; the file is written whole or not at all.

    Args:
        image: its layers are neither compressed nor decompressed.
        path: of the file; its directory must exist.
        references: names of the image after loading.

    Raises:
        BuildError: the file cannot be written, such as on a full disk.
        DigestError: the source's bytes do not match their digests.
    """
    with new_file(path) as file:
        for block in docker_archive(image, references, path.parent):
            file.write(block)


def docker_archive(image: Image, references: Sequence[Reference], scratch: Path) -> Iterator[bytes]:
    """Yield the bytes of the archive that ``docker load`` reads.

    Args:
        image: its layers are neither compressed nor decompressed.
        references: names of the image after loading.
        scratch: directory for a layer whose size is known only after it was read; one at a time.

    Raises:
        DigestError: the source's bytes do not match their digests.
    """
    positions = first_positions(image)
    done: dict[int, tuple[Digest, Digest]] = {}
    written: set[Digest] = set()
    for at, reader in distinct_layers(image, positions):
        layer = image.layers[at]
        done[at] = yield from _layer(layer, checked_reader(reader, image, at), scratch, written)
    digests = [done[at] for at in positions]
    config = final_config(image.with_config(), [diff_id for _, diff_id in digests])
    name = f"{digest_of(config).hex}.json"
    yield member(name, config)
    tags = [str(one) for one in references if one.tag]
    entry = {"Config": name, "RepoTags": tags, "Layers": [_layer_name(one) for one, _ in digests]}
    yield member("manifest.json", json.dumps([entry], separators=(",", ":")).encode())
    yield END


def _layer_name(digest: Digest) -> str:
    return f"{digest.hex}/layer.tar"


def _layer(
    layer: Layer, reader: BinaryIO, scratch: Path, written: set[Digest]
) -> Generator[bytes, None, tuple[Digest, Digest]]:
    """Yield header and bytes of a layer, at once if size and digest are known; return its digest and diff ID."""
    digest = layer.digest or (None if layer.compressed else layer.diff_id)
    if digest and layer.size is not None and digest.algorithm == "sha256":
        written.add(digest)
        yield header(_layer_name(digest), layer.size)
        yield from _checked_bytes(reader, layer.size, digest)
        result = check_layer(layer, "none", BlobInfo(digest, layer.size, digest, layer.size))
        return digest, result.diff_id
    with tempfile.TemporaryFile(dir=scratch) as spool:  # in a tar, the size comes before the bytes
        algorithm = layer.digest.algorithm if layer.digest else "sha256"
        result = write_through(Compressor(reader, "none", 0, algorithm=algorithm), spool)
        result = check_layer(layer, "none", result)
        if result.digest not in written:  # equal layers are one file
            written.add(result.digest)
            spool.seek(0)
            yield header(_layer_name(result.digest), result.size)
            yield from _checked_bytes(cast("BinaryIO", spool), result.size, result.digest)
    return result.digest, result.diff_id


def _checked_bytes(reader: BinaryIO, size: int, digest: Digest) -> Iterator[bytes]:
    """Yield the bytes of a member, padded to a whole record, and check their digest.

    Raises:
        DigestError: they do not match *digest*.
    """
    hashes = Hashes(algorithm=digest.algorithm)
    for block in blocks(reader):
        hashes.update(block)
        yield block
    check_digests([digest], [hashes.digest], "the source's digests")
    yield padding(size)


class _DockerArchiveDriver:
    def parse(self, text: str, /) -> Location | None:
        location = file_location("docker-archive", text)
        return replace(location, reference=reference_of(location.name)) if location and location.name else location

    @contextmanager
    def open(self, source: Location, clients: Clients, _platform: Platform | None) -> Iterator[Image | Index]:
        yield open_docker_archive(clients.cwd / source.path, source.name or None)

    def find_referrers(self, _target: Image | Index, _source: Location, _access: Clients) -> tuple[Referrer, ...]:
        return ()

    def check(self, destination: Location) -> None:
        if destination.reference and not destination.names:
            message = f"{destination} names a digest, but an archive has only tags"
            raise SettingsError(message, hint="write docker-archive:FILE:NAME:TAG")

    def write(self, target: Image | Index, destination: Location, clients: Clients, options: WriteOptions) -> None:
        image = single_image(target, destination, options.sink)
        names = destination.names or [name for name in options.names if isinstance(name, Reference)]
        write_docker_archive(image, clients.cwd / destination.path, names)


DRIVER: Final[Driver] = _DockerArchiveDriver()

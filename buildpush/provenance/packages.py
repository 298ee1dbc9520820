"""The packages in an image, read from the databases of dpkg, apk and Python in its layers.

Source: dpkg's ``status`` and ``status.d``; Alpine's ``lib/apk/db/installed``; Python's "Core metadata".
"""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterator, Mapping
from typing import IO, BinaryIO, Final
from urllib.parse import quote

from buildpush.foundation.errors import PushError
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.images.decompression import decompressed, unreadable
from buildpush.images.model import Image
from buildpush.images.tar_members import Member

# The database of a system with ten thousand packages has about 20 MB.
_LARGEST: Final = 64 * 1024 * 1024
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_DPKG: Final = ("var/lib/dpkg/status", "var/lib/dpkg/status.d/")
_APK: Final = "lib/apk/db/installed"
_RELEASES: Final = ("etc/os-release", "usr/lib/os-release")
_SEPARATORS: Final = regex(r"[-_.]+")
_PYTHON: Final = (".dist-info/METADATA", ".egg-info/PKG-INFO")


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """One package: ``kind`` is that of its purl, such as ``deb``; ``space`` the distribution, empty for Python."""

    kind: str
    space: str
    name: str
    version: str
    architecture: str = ""

    @property
    def url(self) -> str:
        """Its purl."""
        space = f"{self.space}/" if self.space else ""
        query = f"?arch={quote(self.architecture, safe='')}" if self.architecture else ""
        return f"pkg:{self.kind}/{space}{quote(self.name, safe='')}@{quote(self.version, safe='')}{query}"


def packages_in(image: Image) -> tuple[Package, ...]:
    """Return the packages in *image*, sorted; all of its layers are read once.

    Raises:
        PushError: a layer cannot be read.
    """
    files: dict[str, bytes] = {}
    layers: dict[int, tuple[dict[str, bytes], set[str]]] = {}
    for at, reader in image.blobs(range(len(image.layers))):
        layers[at] = _databases(reader, f"layer {at + 1}")
    for _, (found, removed) in sorted(layers.items()):  # a source may give them in its own order
        files = {path: data for path, data in files.items() if not _is_removed(path, removed)} | found
    return tuple(sorted(set(_packages(files))))


def _is_removed(path: str, removed: set[str]) -> bool:
    parts = path.split("/")
    above = ["/".join(parts[:end]) for end in range(1, len(parts))]
    return path in removed or any(one in removed or f"{one}/" in removed for one in above)


def _databases(reader: BinaryIO, what: str) -> tuple[dict[str, bytes], set[str]]:
    """Return the databases in a layer by path, and the paths that it removes from the layers below."""
    found: dict[str, bytes] = {}
    removed: set[str] = set()
    left = _LARGEST
    try:
        with tarfile.open(fileobj=decompressed(reader), mode="r|", tarinfo=Member) as tar:
            for member in tar:
                path = posixpath.normpath(member.name).lstrip("/")
                directory, name = posixpath.split(path)
                if name == _OPAQUE:
                    removed.add(f"{directory}/")  # what is below it, and not the directory
                elif name.startswith(_WHITEOUT):
                    removed.add(posixpath.join(directory, name.removeprefix(_WHITEOUT)))
                elif member.isreg() and _is_database(path):
                    left -= member.size
                    found[path] = _whole(tar.extractfile(member) if left >= 0 else None, what)
    except unreadable() as error:
        message = f"the packages in {what} cannot be read: {error}"
        raise PushError(message, hint="leave out sbom, or build the image again") from error
    return found, removed


def _is_database(path: str) -> bool:
    return path in {_DPKG[0], _APK, *_RELEASES} or path.startswith(_DPKG[1]) or path.endswith(_PYTHON)


def _whole(file: IO[bytes] | None, what: str) -> bytes:
    if file is None:
        message = f"the databases of packages in {what} are larger than {_LARGEST} bytes"
        raise PushError(message, hint="leave out sbom")
    return file.read()


def _packages(files: Mapping[str, bytes]) -> Iterator[Package]:
    release = next((_release(files[path]) for path in _RELEASES if path in files), "")
    for path, data in files.items():
        text = data.decode("utf-8", "replace")
        if path == _DPKG[0] or (path.startswith(_DPKG[1]) and not path.endswith(".md5sums")):
            for entry in map(_fields, text.split("\n\n")):
                if path != _DPKG[0] or entry.get("Status", "").endswith(" installed"):
                    yield from _package("deb", release or "debian", entry, ("Package", "Version", "Architecture"))
        elif path == _APK:
            for entry in map(_fields, text.split("\n\n")):
                yield from _package("apk", release or "alpine", entry, ("P", "V", "A"))
        elif path.endswith(_PYTHON):
            entry = _fields(text.partition("\n\n")[0])
            name = _SEPARATORS.sub("-", entry.get("Name", "")).lower()
            yield from _package("pypi", "", entry | {"Name": name}, ("Name", "Version", ""))


def _package(kind: str, space: str, entry: Mapping[str, str], names: tuple[str, str, str]) -> Iterator[Package]:
    name, version, architecture = (entry.get(key, "") for key in names)
    if name and version:
        yield Package(kind, space, name, version, architecture)


def _release(data: bytes) -> str:
    """Return the name of the distribution, such as ``debian``."""
    lines = dict(line.partition("=")[::2] for line in data.decode("utf-8", "replace").splitlines())
    return lines.get("ID", "").strip("\"'").lower()


def _fields(text: str) -> dict[str, str]:
    """Return the fields of a stanza; further lines of a field are left out."""
    pairs = (line.partition(":") for line in text.splitlines() if not line.startswith((" ", "\t")))
    fields: dict[str, str] = {}
    for name, sign, value in pairs:
        if sign:
            fields.setdefault(name, value.strip())
    return fields

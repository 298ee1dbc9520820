"""The corpus: small contexts, one behaviour each, and what an image built from one holds, to be compared.

Each YAML file beside this one is one of them: ``about`` says which behaviour, ``files`` what is in the context,
``dockerfile`` what is built, with ``build_args``, ``build_contexts`` and ``target``. ``refused`` marks what no builder
builds, ``lacks`` what a builder does not support and how it reports that, ``differs`` the paths and fields that a
real builder makes in another way than BuildKit: what it ``has``, and ``for`` what.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from buildpush.dockerfile.request import BuildRequest
from buildpush.images.decompression import decompressed
from buildpush.images.model import Image

DIRECTORY = Path(__file__).parent
KINDS = {
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "link",
    tarfile.LNKTYPE: "hard",
    tarfile.FIFOTYPE: "fifo",
    tarfile.CHRTYPE: "device",
    tarfile.BLKTYPE: "device",
}
# What a container is started by; the rest of a configuration says who built it, and when.
FIELDS = (
    "Env", "Cmd", "Entrypoint", "Labels", "ExposedPorts", "Volumes", "WorkingDir", "User", "StopSignal", "Healthcheck",
    "OnBuild", "Shell",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One context of the corpus."""

    name: str
    about: str
    dockerfile: str
    files: Mapping[str, Any] = field(default_factory=dict)
    build_args: Mapping[str, str] = field(default_factory=dict)
    build_contexts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    target: str | None = None
    refused: str | None = None
    lacks: Mapping[str, str] = field(default_factory=dict)
    differs: Mapping[str, Mapping[str, list[str]]] = field(default_factory=dict)

    def request(self, directory: Path) -> BuildRequest:
        """Write the context below *directory*, and return what to build."""
        context = directory / "context"
        written = _write(context, {"Dockerfile": self.dockerfile, **self.files})
        places = {name: directory / name for name in self.build_contexts}
        for name, files in self.build_contexts.items():
            written += _write(places[name], files)
        _date(written)
        contexts = {name: str(place) for name, place in places.items()}
        return BuildRequest(
            context, context / "Dockerfile", (), self.build_args, target=self.target, no_cache=True,
            build_contexts=contexts,
        )  # fmt: skip


def cases() -> list[Case]:
    """Return the corpus."""
    yaml = YAML(typ="safe", pure=True)
    return [Case(name=path.stem, **yaml.load(path.read_text())) for path in sorted(DIRECTORY.glob("*.yml"))]


def _write(root: Path, files: Mapping[str, Any]) -> list[Path]:
    """Write *files* below *root*: a text, or a mapping that says mode, link, hard link, or tar."""
    root.mkdir(parents=True)
    directories: list[tuple[Path, int]] = []
    for name, said in files.items():
        facts = {"text": said} if isinstance(said, str) else said
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
            directories.append((path, facts.get("mode", 0o755)))
        elif "link" in facts:
            path.symlink_to(facts["link"])
        elif "hard" in facts:
            path.hardlink_to(root / facts["hard"])
        else:
            path.write_bytes(_tar(facts) if "tar" in facts else facts["text"].encode())
            path.chmod(facts.get("mode", 0o644))
    for path, mode in directories:
        path.chmod(mode)
    return [Path(above) / name for above, _, names in os.walk(root) for name in names]


def _tar(facts: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{facts.get('compression', '')}") as tar:
        for name, said in facts["tar"].items():
            inner = {"text": said} if isinstance(said, str) else said
            member = tarfile.TarInfo(name.rstrip("/") if name.endswith("/") else name)
            member.mode = inner.get("mode", 0o755 if name.endswith("/") else 0o644)
            member.uid, member.gid = inner.get("owner", (0, 0))
            member.mtime = 1_000_000_000
            if name.endswith("/"):
                member.type = tarfile.DIRTYPE
            elif "link" in inner or "hard" in inner:
                member.type = tarfile.SYMTYPE if "link" in inner else tarfile.LNKTYPE
                member.linkname = inner.get("link") or inner["hard"]
            text = inner.get("text", "").encode()
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
    return buffer.getvalue()


_NEXT = iter(range(1_100_000_000, 2_000_000_000))


def _date(paths: list[Path]) -> None:
    """Give each file a time that no other has: buildx sends no file again whose name, size and time it has seen."""
    for path in paths:
        if not path.is_symlink():
            when = next(_NEXT)
            os.utime(path, (when, when))


@dataclass(frozen=True)
class Built:
    """What an image holds.

    Attributes:
        layers: of each layer, a line for each member: path, kind, mode, owner, content or target.
        tree: the same of all layers together; a hard link as the file it is.
        config: what of the configuration is compared, a line for each value.
        history: what made each layer and line.
        times: of files, whole seconds.
    """

    layers: tuple[tuple[str, ...], ...]
    tree: frozenset[str]
    config: frozenset[str]
    history: tuple[tuple[str, bool], ...]
    times: Mapping[str, int]


def opened(image: Image) -> Built:
    """Return what *image* holds."""
    layers: list[tuple[str, ...]] = []
    tree: dict[str, str] = {}
    times: dict[str, int] = {}
    # They come in any order, so they are all read first.
    blobs = {at: decompressed(reader).read() for at, reader in image.blobs(range(len(image.layers)))}
    for _, blob in sorted(blobs.items()):
        lines: list[str] = []
        for path, line, modified in _members(io.BytesIO(blob), tree):
            lines.append(line)
            if modified is not None:
                times[path] = modified
        layers.append(tuple(lines))
    document = json.loads(image.config)
    history = tuple(
        (line.get("created_by", ""), line.get("empty_layer", False)) for line in document.get("history") or ()
    )
    return Built(tuple(layers), frozenset(tree.values()), frozenset(_fields(document)), history, times)


def _members(raw: io.BytesIO, tree: dict[str, str]) -> Iterator[tuple[str, str, int | None]]:
    with tarfile.open(fileobj=raw) as tar:
        for member in tar:
            path = member.name.removeprefix("./").strip("/")
            kind = KINDS.get(member.type, "file")
            reader = tar.extractfile(member) if kind == "file" else None
            content = _digest(reader.read()) if reader else member.linkname
            marks = sorted(f"{key}={value}" for key, value in member.pax_headers.items() if ".xattr." in key)
            facts = [f"{member.mode & 0o7777:04o}", f"{member.uid}:{member.gid}", content, *marks]
            line = " ".join(["/" + path, kind, *facts]).rstrip()
            _put(tree, path, tree.get(member.linkname.strip("/"), "").partition(" ")[2] if kind == "hard" else "", line)
            yield path, line, int(member.mtime) if kind == "file" else None


def _put(tree: dict[str, str], path: str, same: str, line: str) -> None:
    """Put a member on the tree: *same* is what the file says of itself that a hard link names."""
    if not path:
        return
    if not line.startswith(f"/{path} directory"):
        for inner in [inner for inner in tree if inner.startswith(f"{path}/")]:
            del tree[inner]
    tree[path] = f"/{path} {same}" if same else line


def _digest(content: bytes) -> str:
    text = content.decode(errors="replace")
    return repr(text) if len(content) <= 20 and text.isprintable() else hashlib.sha256(content).hexdigest()[:12]


def _fields(document: dict[str, Any]) -> Iterator[str]:
    config = document.get("config") or {}
    for name in FIELDS:
        if (value := config.get(name)) and (name, value) != ("WorkingDir", "/"):  # where a container starts anyway
            yield f"{name}: {json.dumps(value, sort_keys=True, ensure_ascii=False)}"
    for name in ("os", "architecture", "author"):
        if document.get(name):
            yield f"{name}: {document[name]}"

"""Files come into an image as BuildKit brings them: Dockerfiles that cross kinds of files, ways to copy and places."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trees

from buildpush.dockerfile.request import BuildRequest
from buildpush.engines import Tools
from buildpush.engines.native import Native
from buildpush.foundation.errors import BuildPushError
from buildpush.images.decompression import decompressed
from buildpush.images.model import Image, Layer, Platform
from buildpush.images.references import Digest
from buildpush.places import Recorded

CASES = 180
REFERENCES = {"base": trees.SOURCE, "target": trees.TARGET}

pytestmark = pytest.mark.engines


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class Desk:
    """The trees written down, and how both engines are asked."""

    directory: Path
    address: str

    @property
    def context(self) -> Path:
        return self.directory / "context"

    def prepare(self) -> None:
        self.context.mkdir()
        trees.write(trees.SOURCE, self.context)
        for name, things in (("tree", trees.SOURCE), ("target", trees.TARGET)):
            (self.context / f"{name}.tar").write_bytes(trees.as_tar(things))
        for name, things in REFERENCES.items():
            self._write_layout(self.directory / f"layout-{name}", base_image(trees.as_tar(things)))

    def _write_layout(self, root: Path, image: Image) -> None:
        (root / "blobs/sha256").mkdir(parents=True)
        (layer,) = [reader.read() for _, reader in image.blobs([0])]

        def put(content: bytes, media_type: str) -> dict[str, Any]:
            (root / "blobs/sha256" / sha256(content)[7:]).write_bytes(content)
            return {"mediaType": media_type, "digest": sha256(content), "size": len(content)}

        oci = "application/vnd.oci.image."
        manifest = {
            "schemaVersion": 2,
            "mediaType": oci + "manifest.v1+json",
            "config": put(image.config, oci + "config.v1+json"),
            "layers": [put(layer, oci + "layer.v1.tar")],
        }
        index = {"schemaVersion": 2, "manifests": [put(json.dumps(manifest).encode(), oci + "manifest.v1+json")]}
        (root / "index.json").write_text(json.dumps(index))
        (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def theirs(self, case: tuple[str, str], place: str = "one") -> list[list[str]] | str:
        """Return the layers that BuildKit makes, or why it makes none."""
        said = self.directory / f"said-{place}"
        said.mkdir(exist_ok=True)
        (said / "Dockerfile").write_text(case[0])
        (said / "Dockerfile.dockerignore").write_text(case[1])
        argv = ["buildctl", "--addr", self.address, "build", "--frontend", "dockerfile.v0", "--no-cache"]
        argv += ["--local", f"context={self.context}", "--local", f"dockerfile={said}", "--progress", "plain"]
        argv += ["--output", "type=oci,dest=-,compression=uncompressed"]
        for name in REFERENCES:
            root = self.directory / f"layout-{name}"
            digest = json.loads((root / "index.json").read_text())["manifests"][0]["digest"]
            argv += ["--oci-layout", f"{name}={root}", "--opt", f"context:{name}=oci-layout://{name}@{digest}"]
        done = subprocess.run(argv, capture_output=True, check=False, timeout=120)
        if done.returncode:
            assert b"failed to solve" in done.stderr, done.stderr.decode(errors="replace")
            return done.stderr.decode(errors="replace").rpartition("failed to solve")[2].strip()
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:

            def blob(digest: str) -> bytes:
                return tar.extractfile(f"blobs/{digest.replace(':', '/')}").read()

            index = json.load(tar.extractfile("index.json"))
            manifest = json.loads(blob(index["manifests"][0]["digest"]))
            if "manifests" in manifest:
                manifest = json.loads(blob(manifest["manifests"][0]["digest"]))
            return [shown(blob(layer["digest"])) for layer in manifest["layers"]]

    def ours(self, case: tuple[str, str], place: str = "one") -> list[list[str]] | str:
        said = self.directory / f"ours-{place}"
        said.write_text(case[0])
        said.with_name(f"{said.name}.dockerignore").write_text(case[1])
        engine = Native(Tools({}, Recorded(), pull=pull, platform=Platform("linux", "amd64")))
        try:
            with engine.build(BuildRequest(self.context, said, ())) as image:
                assert isinstance(image, Image)
                blobs = {at: reader.read() for at, reader in image.blobs(range(len(image.layers)))}
                return [shown(blob) for _, blob in sorted(blobs.items())]
        except BuildPushError as error:
            return f"{error} ({error.hint})"


def base_image(layer: bytes) -> Image:
    document = {
        "os": "linux",
        "architecture": "amd64",
        "config": {},
        "history": [{"created_by": "base"}],
        "rootfs": {"type": "layers", "diff_ids": [sha256(layer)]},
    }
    found = Layer(
        "base", "application/vnd.oci.image.layer.v1.tar", Digest(sha256(layer)), Digest(sha256(layer)), len(layer)
    )
    return Image(json.dumps(document).encode(), (found,), lambda wanted: ((at, io.BytesIO(layer)) for at in wanted))


def pull(reference: Any, _platform: Platform) -> Image:
    return base_image(trees.as_tar(REFERENCES[reference.repository.path.rpartition("/")[2]]))


def shown(raw: bytes) -> list[str]:
    """Return what a layer holds, a line for each member, sorted."""
    found = []
    with tarfile.open(fileobj=io.BytesIO(decompressed(io.BytesIO(raw)).read())) as tar:
        for member in tar:
            path = member.name.removeprefix("./").strip("/")
            if not path:
                continue
            reader = tar.extractfile(member) if member.isreg() else None
            content = ascii(reader.read()) if reader else ascii(member.linkname)
            device = f"{member.devmajor}:{member.devminor}" if member.ischr() or member.isblk() else ""
            marks = [f"{key}={value!a}" for key, value in member.pax_headers.items() if ".xattr." in key]
            when = "" if member.isdir() or member.islnk() else str(int(member.mtime))
            # Of a block device BuildKit makes one of characters when it copies it, by a slip in its numbers.
            kind = "device" if device else member.type.decode()
            facts = [kind, f"{member.mode & 0o7777:04o}", f"{member.uid}:{member.gid}", content, device]
            found.append(" ".join([ascii(path), *facts, *sorted(marks), when]))
    return sorted(found)


def news(layers: list[list[str]] | str) -> list[list[str]] | str:
    """Return of each layer what is not there already: BuildKit leaves out what is the same once more."""
    if isinstance(layers, str):
        return layers
    there: dict[str, str] = {}
    found = []
    for layer in layers:
        lines = {line.partition("' ")[0]: line for line in layer}
        found.append([line for path, line in lines.items() if there.get(path) != line])
        there |= lines
    return found


@pytest.fixture(scope="module")
def desk(far, need, tmp_path_factory):
    need("buildctl")
    if os.geteuid() != 0:
        pytest.skip("needs root: devices are among the files")
    found = Desk(tmp_path_factory.mktemp("files"), f"unix://{Path(far['BUILDX_CONFIG']).with_name('s')}")
    found.prepare()
    return found


def test_files_come_into_an_image_as_buildkit_brings_them(desk):
    """The same Dockerfiles each time, so that CI is steady; FILES_CASES and FILES_SEED search for more."""
    cases = list(trees.dockerfiles(int(os.environ.get("FILES_CASES", CASES)), int(os.environ.get("FILES_SEED", "1"))))
    with ThreadPoolExecutor(3) as pool:
        wanted = list(pool.map(desk.theirs, cases, map(str, range(len(cases)))))
    different = [
        f"{'---'.join(case)}\n{difference(theirs, ours)}"
        for case, theirs, ours in zip(cases, map(news, wanted), map(news, map(desk.ours, cases)), strict=True)
        if isinstance(theirs, str) != isinstance(ours, str) or (not isinstance(theirs, str) and theirs != ours)
    ]
    assert not different, f"{len(different)} of {len(cases)} differ:\n" + "\n".join(different[:5])
    assert sum(isinstance(layers, str) for layers in wanted) < len(cases) * 0.6, "most were refused, which says little"


def difference(theirs: list[list[str]] | str, ours: list[list[str]] | str) -> str:
    """Return what is to be read of two results that differ: refusals, or lines of layers."""
    if isinstance(theirs, str) or isinstance(ours, str) or len(theirs) != len(ours):
        return f"  BuildKit: {str(theirs)[-200:]}\n  ours:     {str(ours)[-200:]}"
    lines = []
    for number, (wanted, found) in enumerate(zip(theirs, ours, strict=True)):
        lines += [f"  {number} BuildKit {line}" for line in wanted if line not in found]
        lines += [f"  {number} ours     {line}" for line in found if line not in wanted]
    return "\n".join(lines[:20])

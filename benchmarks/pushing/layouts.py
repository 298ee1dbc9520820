"""The same image as OCI layouts, with plain and with compressed layers; made once, and kept."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from benchmarks.pushing.commands import run
from benchmarks.pushing.material import Context

NAME = "bench.example/image"


def build_words(context: Context, dockerfile: Path | None = None) -> list[str]:
    """Return what buildpush is told about a build of *context*."""
    return [
        "--engine",
        "native",
        "--context",
        str(context.directory),
        "--dockerfile",
        str(dockerfile or context.dockerfile),
    ]


def plain(context: Context) -> Path:
    """Return the directory of a layout whose layers are not compressed."""
    directory = context.directory.with_name(f"{context.directory.name}.plain")
    if not (directory / "index.json").exists():
        shutil.rmtree(directory, ignore_errors=True)
        words = [*build_words(context), "--repo", NAME, "--tags", "1", "--output", f"oci:{directory}"]
        run([sys.executable, "-m", "buildpush", "build", *words], {})
    return directory


def packed(context: Context) -> Path:
    """Return the directory of a layout whose layers are gzip."""
    from buildpush.images.references import Reference
    from buildpush.transfer.oci import write_layout
    from buildpush.transfer.oci_layout import open_layout

    source, directory = plain(context), context.directory.with_name(f"{context.directory.name}.packed")
    if not (directory / "index.json").exists():
        shutil.rmtree(directory, ignore_errors=True)
        image = open_layout(source, keep_manifest=False)
        write_layout(image, directory, [Reference.parse(f"{NAME}:1")], compression="gzip")
    return directory


def layers(layout: Path) -> list[Path]:
    """Return the files of a layout's layers."""
    (image,) = json.loads((layout / "index.json").read_text(encoding="utf-8"))["manifests"]
    manifest = json.loads(_blob(layout, image["digest"]).read_text(encoding="utf-8"))
    return [_blob(layout, layer["digest"]) for layer in manifest["layers"]]


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / digest.replace(":", "/")

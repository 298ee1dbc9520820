"""Files that tell later steps what was pushed, in the forms of Harness' plugins.

Sources: drone-plugin-lib and drone-kaniko (``artifact``), buildx (``--metadata-file``), kaniko
(``--image-name-with-digest-file``, ``--image-name-tag-with-digest-file``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from buildpush.foundation.errors import BuildPushError
from buildpush.foundation.files import replacement
from buildpush.images.model import PushedImage, PushedIndex


def remove_receipts(paths: Mapping[str, Path]) -> None:
    """Remove those of an earlier run, which nobody is to take for this one's."""
    for path in paths.values():
        path.unlink(missing_ok=True)


def write_receipts(paths: Mapping[str, Path], pushed: PushedImage | PushedIndex) -> None:
    """Write what was *pushed* to the files in *paths*, by the names of their settings.

    Raises:
        BuildPushError: a file cannot be written.
    """
    for name, path in paths.items():
        try:
            with replacement(path, mode=0o644, durable=True) as file:
                file.write(_text(name, pushed).encode())
        except OSError as error:
            message = f"the image is pushed, but {path} cannot be written: {error.strerror}"
            raise BuildPushError(message, setting=name) from error


def _text(name: str, pushed: PushedImage | PushedIndex) -> str:
    if name == "artifact_file":
        return json.dumps(_artifact(pushed)) + "\n"
    if name == "metadata_file":
        return json.dumps(_metadata(pushed), indent=2) + "\n"
    if name == "image_name_with_digest_file":
        names = dict.fromkeys(str(reference.repository) for reference in pushed.references)
    else:
        names = dict.fromkeys(map(str, pushed.references))
    return "".join(f"{one}@{pushed.digest}\n" for one in names)


def _artifact(pushed: PushedImage | PushedIndex) -> dict[str, Any]:
    images = [{"image": str(reference), "digest": str(pushed.digest)} for reference in pushed.references]
    address = f"https://{pushed.references[0].repository.host}"
    return {"kind": "docker/v1", "data": {"registryType": "Docker", "registryUrl": address, "images": images}}


def _metadata(pushed: PushedImage | PushedIndex) -> dict[str, Any]:
    config = {"containerimage.config.digest": str(pushed.config.digest)} if isinstance(pushed, PushedImage) else {}
    descriptor = {"mediaType": pushed.media_type, "digest": str(pushed.digest), "size": len(pushed.manifest)}
    return {
        **config,
        "containerimage.descriptor": descriptor,
        "containerimage.digest": str(pushed.digest),
        "image.name": ",".join(map(str, pushed.references)),
    }

"""Files that say what was pushed, for later steps, in the formats of Harness' plugins and of GitLab.

Sources: drone-plugin-lib and drone-kaniko (``artifact``), buildx (``--metadata-file``), kaniko
(``--image-name-with-digest-file``, ``--image-name-tag-with-digest-file``), GitLab (``artifacts:reports:dotenv``,
``artifacts:reports:annotations``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from buildpush.foundation.errors import BuildPushError
from buildpush.foundation.files import remove_or_empty, write_whole
from buildpush.foundation.interrupts import Lock
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import redacted
from buildpush.foundation.text import one_line
from buildpush.images.model import PushedImage, PushedIndex

if TYPE_CHECKING:
    from buildpush.images.references import Reference
    from buildpush.settings.step_settings import CommonSettings

_OF_ONE: Final = frozenset(
    {"metadata_file"}
)  # files that hold one push, in the format of the program that they come from


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a step has pushed.

    Attributes:
        manifest: as :func:`manifest_json` gives it.
        build_info: address of the build-info about it; empty for none.
        registry_type: as Harness calls it.
        artifact_registry: address that is named in place of the host's.
    """

    references: tuple[Reference, ...]
    manifest: Mapping[str, Any]
    build_info: str = ""
    registry_type: str | None = None
    artifact_registry: str | None = None

    @classmethod
    def of_record(cls, result: Mapping[str, Any]) -> Delivery | None:
        """Return what a step of an earlier run has pushed, as its record has it; ``None`` for nothing.

        Raises:
            BuildPushError: the record has an invalid name, or two digests.
        """
        from buildpush.images.references import Digest, Reference

        names, manifest = result.get("references"), result.get("manifest")
        if not names or not manifest:
            return None
        if Digest(str(manifest.get("digest"))).text != result.get("digest"):
            message = "the record of that run has two digests for one image"
            raise BuildPushError(message, hint="run it without --resume")
        url = str((result.get("outputs") or {}).get("build_info_url") or "")
        return cls(tuple(Reference.parse(str(name)) for name in names), manifest, url)

    def with_registry(self, settings: CommonSettings) -> Delivery:
        """Return a copy with the type and address of the registry from *settings*."""
        kind, address = (getattr(settings, name, None) for name in ("registry_type", "artifact_registry"))
        return replace(self, registry_type=kind, artifact_registry=address)

    @property
    def digest(self) -> str:
        """Digest of the manifest."""
        return str(self.manifest.get("digest"))


def manifest_json(pushed: PushedImage | PushedIndex) -> dict[str, Any]:
    """Return the manifest or index that was pushed, as plain JSON types."""
    config = str(pushed.config.digest) if isinstance(pushed, PushedImage) else None
    size = len(pushed.manifest)
    return {"digest": str(pushed.digest), "mediaType": pushed.media_type, "size": size, "config": config}


class Receipts:
    """The receipt files of a run: a file that several steps name holds what all of them have pushed."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._deliveries: dict[tuple[str, Path], dict[Reference, Delivery]] = {}

    def remove(self, paths: Mapping[str, Path]) -> None:
        """Remove the files of an earlier run, so that they are not taken for those of this run."""
        with self._lock:
            for name, path in paths.items():
                if (name, path) not in self._deliveries:
                    remove_or_empty(path)

    def write(self, paths: Mapping[str, Path], delivery: Delivery) -> Iterator[str]:
        """Add *delivery* to the files in *paths*, by the names of their settings; yield a note for what they lose.

        Raises:
            BuildPushError: a file cannot be written.
        """
        with self._lock:
            for name, path in paths.items():
                known = self._deliveries.setdefault((name, path), {})
                for reference in delivery.references:
                    known.pop(reference, None)  # a step that is run again comes last again
                if known and name in _OF_ONE:
                    yield f"{path} holds one push: that of this step has replaced an earlier one"
                    known.clear()
                known.update(dict.fromkeys(delivery.references, delivery))
                _write(name, path, known)


def _write(name: str, path: Path, known: Mapping[Reference, Delivery]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)  # as the plugins do
        write_whole(path, _text(name, known).encode(), mode=0o644)
    except OSError as error:
        message = f"the image is pushed, but {path} cannot be written: {error.strerror}"
        raise BuildPushError(message, setting=name) from error


def _text(name: str, known: Mapping[Reference, Delivery]) -> str:
    if name == "artifact_file":
        return json.dumps(_artifact(known)) + "\n"
    if name == "metadata_file":
        return json.dumps(_metadata(next(iter(known.values()))), indent=2) + "\n"
    if name == "dotenv_file":
        return _lines(f"BUILDPUSH_{variable}={one_line(redacted(text))}" for variable, text in _variables(known))
    if name == "annotations_file":
        return json.dumps({"buildpush": list(_links(known))}) + "\n"
    if name == "image_name_with_digest_file":
        return _lines(f"{reference.repository}@{one.digest}" for reference, one in known.items())
    return _lines(f"{reference}@{one.digest}" for reference, one in known.items())


def _lines(texts: Iterable[str]) -> str:
    return "".join(f"{text}\n" for text in dict.fromkeys(texts))


def _artifact(known: Mapping[Reference, Delivery]) -> dict[str, Any]:
    images = [{"image": str(reference), "digest": one.digest} for reference, one in known.items()]
    reference, first = next(iter(known.items()))
    address = first.artifact_registry or f"https://{reference.repository.host}"
    data = {"registryType": first.registry_type or "Docker", "registryUrl": address, "images": images}
    return {"kind": "docker/v1", "data": data}


def _metadata(one: Delivery) -> dict[str, Any]:
    config = {"containerimage.config.digest": one.manifest["config"]} if one.manifest.get("config") else {}
    descriptor = {name: one.manifest.get(name) for name in ("mediaType", "digest", "size")}
    return {
        **config,
        "containerimage.descriptor": descriptor,
        "containerimage.digest": one.digest,
        "image.name": ",".join(map(str, one.references)),
    }


def _links(known: Mapping[Reference, Delivery]) -> Iterator[dict[str, Any]]:
    """Yield a link for each build-info, named after the images that it is about."""
    for url in dict.fromkeys(one.build_info for one in known.values() if one.build_info):
        names = ", ".join(str(reference) for reference, one in known.items() if one.build_info == url)
        yield {"external_link": {"label": f"build-info of {one_line(names)}", "url": redacted(url)}}


def _variables(known: Mapping[Reference, Delivery]) -> Iterator[tuple[str, str]]:
    """Yield the variables by name: what the last step has pushed, and all images; GitLab reads no quotes."""
    last = list(known.values())[-1]
    yield "DIGEST", last.digest
    yield "IMAGE", str(last.references[0])
    yield "IMAGES", ",".join(map(str, known))
    if last.build_info:
        yield "BUILD_INFO_URL", last.build_info

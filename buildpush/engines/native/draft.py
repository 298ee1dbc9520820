"""An image while it is built: its configuration, its layers, and its files."""

from __future__ import annotations

import copy
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import field
from datetime import UTC, datetime
from functools import partial
from typing import Any, BinaryIO, cast

from buildpush.engines.native.diff_ids import DiffIdCache
from buildpush.engines.native.files import Files
from buildpush.foundation import strict_json
from buildpush.foundation.errors import BuildError
from buildpush.foundation.records import dataclass
from buildpush.images.blocks import BlockReader
from buildpush.images.model import Image, Layer, Platform
from buildpush.images.tar import Entry, write
from buildpush.images.tar_members import Archive

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
COMMENT = "buildpush"
_LIST_FIELDS = ("Env", "Cmd", "Entrypoint", "OnBuild", "Shell")
_OBJECT_FIELDS = ("Labels", "Volumes", "ExposedPorts")
_TEXT_FIELDS = ("User", "WorkingDir", "StopSignal")


@dataclass(frozen=True, slots=True)
class OwnLayer:
    """A layer that this build makes."""

    layer: Layer
    entries: tuple[Entry, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class BaseLayer:
    """A layer of a base image."""

    layer: Layer
    image: Image = field(repr=False)
    position: int


class Draft:
    """The image that instructions change.

    Args:
        document: the configuration in OCI's form; changed in place.
        layers: base layer first; changed in place.
        created: time of the image and its history, in seconds since 1970.

    Attributes:
        variables: the values of ``$NAME`` now; ARG and ENV set them, and the last one counts.
    """

    def __init__(
        self, document: dict[str, Any], layers: list[OwnLayer | BaseLayer], platform: Platform, created: int
    ) -> None:
        self.document = document
        self.layers = layers
        self.platform = platform
        self.variables: dict[str, str] = {}
        self.created = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._files: Files | None = None

    @classmethod
    def scratch(cls, platform: Platform, created: int) -> Draft:
        """Return an empty image."""
        document: dict[str, Any] = {"architecture": platform.architecture, "os": platform.os}
        if platform.variant:
            document["variant"] = platform.variant
        document["config"] = {"Env": [DEFAULT_PATH], "WorkingDir": "/"}
        draft = cls(document, [], platform, created)
        draft.variables = draft.environment
        return draft

    @classmethod
    def of(cls, image: Image, created: int) -> Draft:
        """Return a copy of a base image to build on.

        Raises:
            BuildError: its configuration cannot be read.
        """
        document = _document(image.config)
        layers: list[OwnLayer | BaseLayer] = [
            BaseLayer(layer, image, position) for position, layer in enumerate(image.layers)
        ]
        return cls(document, layers, image.platform, created)

    def child(self) -> Draft:
        """Return a copy to build on."""
        child = Draft(copy.deepcopy(self.document), list(self.layers), self.platform, 0)
        if "PATH" not in child.environment:
            child.set_environment(*DEFAULT_PATH.split("=", 1))
        child.variables = self.variables | child.environment
        child.created = self.created
        child._files = self._files.copy() if self._files else None
        return child

    @property
    def config(self) -> dict[str, Any]:
        """The part of the configuration that says how a container starts."""
        return cast("dict[str, Any]", self.document["config"])

    @property
    def environment(self) -> dict[str, str]:
        """The variables of the image."""
        pairs = (text.partition("=") for text in self.config.get("Env") or ())
        return {name: value for name, _, value in pairs}

    def set_environment(self, name: str, value: str) -> None:
        """Set a variable, in place or at the end."""
        variables = list(self.config.get("Env") or ())
        positions = [position for position, text in enumerate(variables) if text.partition("=")[0] == name]
        position = positions[0] if positions else len(variables)
        self.config["Env"] = [*variables[:position], f"{name}={value}", *variables[position + 1 :]]
        self.variables[name] = value

    @property
    def directory(self) -> str:
        """The working directory, absolute."""
        return str(self.config.get("WorkingDir") or "/")

    @property
    def files(self) -> Files:
        """The files after all layers; base layers are read once, on first use."""
        if self._files is None:
            self._files = Files()
            for source in self.layers:  # all of a base image: these are read before the first layer is made
                layer = source.layer
                about = f"a layer of the base image ({layer.digest or layer.created_by})"
                identity = str(layer.digest or layer.diff_id or "")
                self._files.apply(Archive(about, partial(_open_layer, cast("BaseLayer", source)), identity))
        return self._files

    def note(self, created_by: str, *, layer: bool = False) -> None:
        """Add a line to the history."""
        line: dict[str, Any] = {"created": self.created, "created_by": created_by, "comment": COMMENT}
        if not layer:
            line["empty_layer"] = True
        self.document["history"] = [*(self.document.get("history") or ()), line]

    def add(self, created_by: str, entries: tuple[Entry, ...]) -> None:
        """Add a layer, whose entries are already in ``files``."""
        self.layers.append(OwnLayer(Layer(created_by=created_by), entries))
        self.note(created_by, layer=True)

    def finish(self, labels: Mapping[str, str], cache: DiffIdCache) -> Image:
        """Return the image with *labels* added to its own, and with what *cache* knows about its layers."""
        config = {key: value for key, value in self.config.items() if value not in (None, [], {}, "")}
        config |= {"Labels": dict(config.get("Labels") or {}) | dict(labels)} if labels else {}
        layers = tuple(
            cache.describe(source.layer, source.entries) if isinstance(source, OwnLayer) else source.layer
            for source in self.layers
        )
        known_ids = [layer.diff_id for layer in layers]
        diff_ids = [str(diff_id) for diff_id in known_ids] if None not in known_ids else []
        document = self.document | {
            "created": self.created,
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": self.document.get("history") or [],
        }
        return Image(
            config=json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(errors="replace"),
            layers=layers,
            blobs=partial(_blobs, tuple(self.layers)),
            platform=self.platform,
            random_access=all(source.image.random_access for source in self.layers if isinstance(source, BaseLayer)),
        )


@contextmanager
def _open_layer(source: BaseLayer) -> Iterator[BinaryIO]:
    for _, reader in source.image.blobs([source.position]):
        yield reader
        return
    message = f"the base image does not provide its layer {source.layer.digest}"
    raise BuildError(message)


def _document(config: bytes) -> dict[str, Any]:
    """Return the configuration of a base image; the types of the fields that a Dockerfile changes are checked.

    Raises:
        BuildError: it is not a configuration.
    """
    try:
        document = strict_json.parse(config)
        settings = document["config"] = document.get("config") or {}
        history = document.get("history") or []
        sound = isinstance(history, list) and _is_sound(settings)
    except (ValueError, TypeError, AttributeError):
        sound = False
    if not sound:
        message = "the configuration of the base image cannot be read"
        raise BuildError(message, hint="it is not an OCI image: build it again, or use another")
    return cast("dict[str, Any]", document)


def _is_sound(config: Mapping[str, Any]) -> bool:
    def values(*names: str) -> list[Any]:
        return [config[name] for name in names if config.get(name) is not None]

    texts = [*values(*_TEXT_FIELDS), *(config.get("Labels") or {}).values()]
    for words in values(*_LIST_FIELDS):
        texts += words if isinstance(words, list) else [None]
    return all(isinstance(text, str) for text in texts) and all(
        isinstance(one, dict) for one in values(*_OBJECT_FIELDS)
    )


def _blobs(sources: tuple[OwnLayer | BaseLayer, ...], wanted: Collection[int]) -> Iterator[tuple[int, BinaryIO]]:
    """Yield base layers in the order of their image, then our own."""
    base_layers: dict[int, tuple[Image, dict[int, int]]] = {}
    for position in sorted(wanted):
        source = sources[position]
        if isinstance(source, BaseLayer):
            base_layers.setdefault(id(source.image), (source.image, {}))[1][source.position] = position
    for image, positions in base_layers.values():
        for inner, reader in image.blobs(list(positions)):
            yield positions[inner], reader
    for position in sorted(wanted):
        source = sources[position]
        if isinstance(source, OwnLayer):
            with closing(BlockReader(write(source.entries))) as own_reader:
                yield position, cast("BinaryIO", own_reader)

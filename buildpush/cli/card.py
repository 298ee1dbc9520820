"""The card of an image, which Drone shows beside the log of a step.

Source: drone-docker (``card.go``); the sizes there are those of the daemon, these are those of the registry.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from buildpush.cli.files import write
from buildpush.display.words import bytes_words
from buildpush.foundation.secrets import redacted
from buildpush.foundation.strict_json import parse

if TYPE_CHECKING:
    from buildpush.images.model import PushedImage
    from buildpush.pipeline.results import RunResult

_SCHEMA: Final = "https://drone-plugins.github.io/drone-docker/card.json"
_STREAMS: Final = {"/dev/stdout": False, "/dev/stderr": True}
_NEVER: Final = "0001-01-01T00:00:00Z"  # how Go writes a time that is not known


def write_card(results: Sequence[RunResult], path: Path, now: datetime, *, stdout_is_free: bool) -> None:
    """Write the card of what was pushed last to *path*, or in a frame into the log; without a push, write nothing.

    Raises:
        BuildPushError: it cannot be written.
    """
    result = next((result for result in reversed(results) if result.images), None)
    if result is None:
        return
    text = json.dumps(redacted({"schema": _SCHEMA, "data": _data(result, result.images[0], now)}))
    if str(path) in _STREAMS:
        frame = f"\x1b]1338;{base64.b64encode(text.encode()).decode()}\x1b]0m"
        click.echo(frame, err=_STREAMS[str(path)] or not stdout_is_free, color=True)
    else:
        write(path, text + "\n")


def _data(result: RunResult, image: PushedImage, now: datetime) -> dict[str, Any]:
    config = _config(image)
    size = image.config.size + sum(layer.size for layer in image.layers)
    repositories = dict.fromkeys(str(one.repository) for one in (result.pushed.references if result.pushed else ()))
    tagged = now.isoformat(timespec="seconds").replace("+00:00", "Z")
    return {
        "Id": str(image.config.digest),
        "RepoTags": list(result.references),
        "ParsedRepoTags": [{"Tag": reference} for reference in result.references],
        "RepoDigests": [f"{repository}@{result.digest}" for repository in repositories],
        "Parent": "",
        "Comment": _text(config, "comment"),
        "Created": _text(config, "created") or _NEVER,
        "Container": _text(config, "container"),
        "DockerVersion": _text(config, "docker_version"),
        "Author": _text(config, "author"),
        "Architecture": image.platform.architecture,
        "Os": image.platform.os,
        "Size": size,
        "VirtualSize": size,
        "Metadata": {"LastTagTime": tagged},
        "SizeString": bytes_words(size),
        "VirtualSizeString": bytes_words(size),
        "Time": tagged,
        "URL": result.published.url if result.published else "",
    }


def _config(image: PushedImage) -> dict[str, Any]:
    try:
        document = parse(image.config_document)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _text(config: dict[str, Any], name: str) -> str:
    value = config.get(name)
    return value if isinstance(value, str) else ""

"""A build-info in a few lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from buildpush.artifactory.directories import MANIFESTS
from buildpush.artifactory.document import BuildInfo, Module, started_text
from buildpush.foundation.text import one_line


def summary(info: BuildInfo) -> str:
    """Return what *info* says, a line for each fact, module and promotion; its text is foreign, and made safe."""
    return "\n".join(f"{label:<14}{one_line(text)}".rstrip() for label, text in _rows(info))


def _rows(info: BuildInfo) -> Iterator[tuple[str, str]]:
    yield "build", f"{info.name} {info.number}"
    yield "started", started_text(info.started)
    agent = f"{info.agent.name} {info.agent.version}".strip()
    facts = {"page": info.url, "triggered by": info.principal, "published by": info.artifactory_principal}
    yield from ((label, text) for label, text in {**facts, "agent": agent}.items() if text)
    for source in info.vcs:
        branch = f" ({source.branch})" if source.branch else ""
        message = f": {source.message.strip().splitlines()[0]}" if source.message.strip() else ""
        yield "source", f"{source.url} {source.revision}{branch}{message}".strip()
    for module in info.modules:
        yield "module", _module(module)
        yield from (("image", name) for name in module.properties.get("docker.image.tag", "").split(",") if name)
        yield from (("digest", f"sha256:{one.sha256}") for one in module.artifacts if one.name in MANIFESTS)
    if info.environment:
        yield "environment", ", ".join(info.environment)
    yield from (("promotion", text) for text in _promotions(info.others.get("statuses")))


def _module(module: Module) -> str:
    counts = ((len(module.artifacts), "file", "files"), (len(module.dependencies), "dependency", "dependencies"))
    words = [f"{count} {one if count == 1 else many}" for count, one, many in counts if count]
    return f"{module.id} ({module.type or 'no type'}): {', '.join(words) or 'no files'}"


def _promotions(statuses: object) -> Iterator[str]:
    """Yield a text for each entry of the history, which the server adds to the document."""
    for entry in statuses if isinstance(statuses, list) else ():
        if not isinstance(entry, Mapping):
            continue
        yield ", ".join(f"{key} {entry[key]}" for key in _SHOWN if entry.get(key))


_SHOWN: Final = ("timestamp", "status", "repository", "user", "comment")

"""The labels for the time and the source of an image.

Sources: drone-docker (``docker.go``, labels), the OCI image specification ("Pre-Defined Annotation Keys").
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from buildpush.expressions.evaluate import AbsentError
from buildpush.foundation.forms import clean_address
from buildpush.settings.model import BuildAndPush
from buildpush.settings.resolved import ResolveContext

_PREFIX: Final = "org.opencontainers.image."


def automatic_labels(settings: BuildAndPush, ctx: ResolveContext, created: int | None) -> dict[str, str]:
    """Return the labels that an image gets by default, if any; *created* takes precedence over the time of the run."""
    if not settings.auto_label:
        return {}
    address = _fact("codebase.repoUrl", ctx)
    labels = {
        "created": datetime.fromtimestamp(ctx.facts.now if created is None else created, UTC).strftime("%FT%TZ"),
        "revision": _fact("codebase.commitSha", ctx),
        "source": clean_address(ctx.env.get("DRONE_REMOTE_URL", "")) or address,
        "url": settings.repo_link or address,
        **settings.label_schema,
    }
    return {f"{_PREFIX}{name}": text for name, text in labels.items() if text}


def label_notes(settings: BuildAndPush, ctx: ResolveContext) -> Iterator[str]:
    """Yield a note for each setting that has no effect without auto_label."""
    for name in ("label_schema", "repo_link"):
        if getattr(settings, name) and not settings.auto_label:
            yield f"{ctx.source_of(name)}: {name} has no effect without auto_label"


def _fact(path: str, ctx: ResolveContext) -> str:
    try:
        return str(ctx.facts.lookup(tuple(path.split("."))))
    except AbsentError:
        return ""

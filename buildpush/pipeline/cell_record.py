"""Records what a call pushed in the running cell of a notebook, whether or not its result is shown."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from buildpush.display.notebook import keep
from buildpush.foundation.cell_records import record_of
from buildpush.foundation.regex import regex
from buildpush.foundation.secrets import redacted
from buildpush.pipeline.results import RunResult, time_text

# The directories of a path in a name such as ``push docker-archive:/home/me/app.tar``; not of an address.
_DIRECTORIES: Final = regex(r"(?<=[:\s])/(?!/)[^:]*/")


def record_in_cell(results: Iterable[RunResult], began: datetime) -> None:
    """Record those of *results* that a registry or Artifactory has confirmed; *began* is when their call began."""
    runs = [_run_json(result, began) for result in results if result.references or result.build_info_url]
    if runs:
        keep(redacted(record_of(runs)))


def _run_json(result: RunResult, began: datetime) -> dict[str, Any]:
    build, outputs = result.published, result.outputs
    return {
        "step": _DIRECTORIES.sub("", result.step),
        "engine": next((one.choice for one in result.decisions if one.what == "engine"), None),
        "references": list(result.references),
        "digest": result.digest or None,
        "build": {
            "name": outputs["build_name"],
            "number": outputs["build_number"],
            "url": outputs["build_info_url"],
            "project": build.project if build else "",
        }
        if result.build_info_url
        else None,
        "started": time_text(result.began or began),
        "seconds": round(sum(result.seconds.values()), 3),
    }

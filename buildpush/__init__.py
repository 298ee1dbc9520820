"""Read a build-and-push step, build the image, push it to JFrog, publish its build-info.

The names below are loaded on first use, so that ``import buildpush`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from buildpush.api import build as build
    from buildpush.api import check as check
    from buildpush.api import check_pipeline as check_pipeline
    from buildpush.api import copy as copy
    from buildpush.api import download as download
    from buildpush.api import list_pipeline as list_pipeline
    from buildpush.api import load as load
    from buildpush.api import merge as merge
    from buildpush.api import open_builds as open_builds
    from buildpush.api import open_run as open_run
    from buildpush.api import push as push
    from buildpush.api import run as run
    from buildpush.api import run_pipeline as run_pipeline
    from buildpush.api import tag as tag
    from buildpush.api import upload as upload
    from buildpush.api import verify as verify
    from buildpush.foundation.errors import BuildPushError as BuildPushError
    from buildpush.foundation.events import Event as Event
    from buildpush.foundation.events import Progress as Progress
    from buildpush.foundation.events import Sink as Sink
    from buildpush.foundation.secrets import Secret as Secret
    from buildpush.notebooks.practice import practice as practice
    from buildpush.pipeline.notebook_record import record as record
    from buildpush.pipeline.plan import Plan as Plan
    from buildpush.pipeline.plan import SkippedStep as SkippedStep
    from buildpush.pipeline.results import PipelineResult as PipelineResult
    from buildpush.pipeline.results import RunResult as RunResult
    from buildpush.pipeline.verification import Verification as Verification
    from buildpush.settings.model import BuildAndPush as BuildAndPush
    from buildpush.settings.publish_step import PublishBuildInfo as PublishBuildInfo
    from buildpush.settings.step_keywords import StepSettings as StepSettings
    from buildpush.settings.tree import Loaded as Loaded

__version__ = "0.1.0"

# public name -> module that has it
_HOMES = {
    "BuildAndPush": "buildpush.settings.model",
    "BuildPushError": "buildpush.foundation.errors",
    "Event": "buildpush.foundation.events",
    "Loaded": "buildpush.settings.tree",
    "Plan": "buildpush.pipeline.plan",
    "SkippedStep": "buildpush.pipeline.plan",
    "Progress": "buildpush.foundation.events",
    "PublishBuildInfo": "buildpush.settings.publish_step",
    "PipelineResult": "buildpush.pipeline.results",
    "RunResult": "buildpush.pipeline.results",
    "Secret": "buildpush.foundation.secrets",
    "Sink": "buildpush.foundation.events",
    "StepSettings": "buildpush.settings.step_keywords",
    "build": "buildpush.api",
    "check": "buildpush.api",
    "check_pipeline": "buildpush.api",
    "list_pipeline": "buildpush.api",
    "load": "buildpush.api",
    "copy": "buildpush.api",
    "download": "buildpush.api",
    "merge": "buildpush.api",
    "open_builds": "buildpush.api",
    "open_run": "buildpush.api",
    "practice": "buildpush.notebooks.practice",
    "push": "buildpush.api",
    "record": "buildpush.pipeline.notebook_record",
    "tag": "buildpush.api",
    "upload": "buildpush.api",
    "run": "buildpush.api",
    "verify": "buildpush.api",
    "Verification": "buildpush.pipeline.verification",
    "run_pipeline": "buildpush.api",
}
__all__ = [
    "BuildAndPush",
    "BuildPushError",
    "Event",
    "Loaded",
    "PipelineResult",
    "Plan",
    "Progress",
    "PublishBuildInfo",
    "RunResult",
    "Secret",
    "Sink",
    "SkippedStep",
    "StepSettings",
    "Verification",
    "__version__",
    "build",
    "check",
    "check_pipeline",
    "copy",
    "download",
    "list_pipeline",
    "load",
    "merge",
    "open_builds",
    "open_run",
    "practice",
    "push",
    "record",
    "run",
    "run_pipeline",
    "tag",
    "upload",
    "verify",
]


if not TYPE_CHECKING:  # for type checkers, a name that does not exist is an error

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            message = f"module 'buildpush' has no attribute {name!r}"
            raise AttributeError(message)
        return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

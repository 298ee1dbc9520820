"""The kinds of steps that buildpush runs: one row each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

from buildpush.foundation.documents import Node
from buildpush.foundation.records import dataclass
from buildpush.settings.build_step import resolve_build
from buildpush.settings.model import BuildAndPush
from buildpush.settings.publish_step import PublishBuildInfo, resolve_publish
from buildpush.settings.resolved import ResolveContext, ResolvedStep
from buildpush.settings.step_settings import CommonSettings
from buildpush.settings.upload_step import ArtifactoryUpload, UploadFiles, resolve_upload, resolve_upload_plugin

SettingsType: TypeAlias = type[CommonSettings]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepKind:
    """Everything about a kind of step.

    Attributes:
        name: precedes the names of its settings where several kinds are shown, as in ``publish.url``.
        type: its name in a file.
        image: of Harness' plugin, for a step that runs one; its settings are then in ``spec.settings``.
        model: its settings.
        identifier: of a step without a name.
        resolve: returns the order for its settings, which is all that a run uses.
        builds: whether it builds an image, so that it can be run without a push.
        is_unique: whether only the plugin's image has its name; others are called ``docker`` as well.
    """

    name: str
    type: str
    image: str = ""
    model: SettingsType
    identifier: str
    resolve: Callable[[Any, ResolveContext], ResolvedStep]
    builds: bool = False
    is_unique: bool = False

    @property
    def place(self) -> Literal["spec", "settings"]:
        """Where its own settings are in a step."""
        return "settings" if self.image else "spec"

    def recognizes(self, step: Node) -> bool:
        """Return whether *step*, as written, is of this kind, with any tag, digest and registry of its image."""
        kind, image = step.at("type"), step.at("spec", "image")
        home, _, last = image.text.rpartition("/") if image else ("", "", "")
        name = last.partition("@")[0].partition(":")[0]
        is_named = self.image.rpartition("/")[2] in {"", name}
        is_at_home = not self.image or self.is_unique or home.rpartition("/")[2] in HOMES
        return kind is not None and kind.text == self.type and is_named and is_at_home


HOMES: Final = frozenset({"plugins", "harness"})


def _plugin(name: str) -> StepKind:
    """Return the kind of a plugin that builds: its settings are variables of the build step, in lower case."""
    return StepKind(
        name=name,
        type="Plugin",
        image=f"plugins/{name}",
        model=BuildAndPush,
        identifier="build_and_push",
        resolve=resolve_build,
        builds=True,
    )


_ROWS = (
    StepKind(
        name="build",
        type="BuildAndPushDockerRegistry",
        model=BuildAndPush,
        identifier="build_and_push",
        resolve=resolve_build,
        builds=True,
    ),
    StepKind(
        name="publish",
        type="Plugin",
        image="plugins/artifactory-publish-docker-buildinfo",
        model=PublishBuildInfo,
        identifier="publish_build_info",
        resolve=resolve_publish,
        is_unique=True,
    ),
    StepKind(
        name="upload",
        type="ArtifactoryUpload",
        model=ArtifactoryUpload,
        identifier="upload",
        resolve=resolve_upload,
    ),
    *(
        StepKind(
            name=name,
            type="Plugin",
            image=image,
            model=UploadFiles,
            identifier="upload",
            resolve=resolve_upload_plugin,
        )
        for name, image in (("upload_files", "plugins/artifactory"), ("artifactory", "harness/drone-artifactory"))
    ),
    *map(_plugin, ("docker", "buildx", "kaniko", "buildah-docker")),
)
STEP_KINDS: Final = {kind.name: kind for kind in _ROWS}
BUILD: Final = STEP_KINDS["build"]  # the kind of a step without a file


def models() -> tuple[SettingsType, ...]:
    """Return the settings of every kind, each once."""
    return tuple(dict.fromkeys(kind.model for kind in STEP_KINDS.values()))


def kinds_by_model() -> dict[SettingsType, StepKind]:
    """Return the first kind of each model, which gives the model's settings their names."""
    return {kind.model: kind for kind in reversed(STEP_KINDS.values())}


def kind_of(settings: CommonSettings) -> StepKind:
    """Return the step kind of *settings*; if several share a model, the first one."""
    return kinds_by_model()[type(settings)]

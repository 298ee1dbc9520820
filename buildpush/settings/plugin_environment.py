"""Which plugin of Harness an environment is for, by the variables that are set in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from buildpush.foundation.errors import SettingsError
from buildpush.settings.plugin_variables import PLUGIN_VARIABLES
from buildpush.settings.stepkinds import STEP_KINDS, StepKind
from buildpush.settings.variables import known_variables
from buildpush.settings.words import reject

PLUGINS: Final = {kind.image.rpartition("/")[2]: kind for kind in STEP_KINDS.values() if kind.image}
_BUILD: Final = next(kind for kind in PLUGINS.values() if kind.builds)
_PUBLISH: Final = STEP_KINDS["publish"]
_UPLOAD: Final = STEP_KINDS["upload_files"]
_OF_UPLOADS: Final = ("PLUGIN_SOURCE",)
_OF_BUILDS: Final = ("PLUGIN_REPO",)
_OF_PUBLISHING: Final = ("PLUGIN_DOCKER_IMAGE", "PLUGIN_URL")


def plugin_for(env: Mapping[str, str], like: str | None = None) -> StepKind:
    """Return the kind of the plugin that *like* names, or that the variables in *env* are for.

    Raises:
        SettingsError: there is no such plugin, or the variables are for none or for several.
    """
    if like is not None:
        name = like.rpartition("/")[2].partition(":")[0]
        return PLUGINS[name] if name in PLUGINS else reject("plugin", like, PLUGINS, "--like")
    build, publish = (_first_set(env, names) for names in (_OF_BUILDS, _OF_PUBLISHING))
    if build and publish:
        message = f"{build} is for a plugin that builds, and {publish} for the one that publishes build-info"
        raise SettingsError(message, hint=f"leave one of them out, or choose: --like {' or --like '.join(PLUGINS)}")
    if upload := _first_set(env, _OF_UPLOADS):
        if build:
            message = f"{build} is for a plugin that builds, and {upload} for the one that uploads files"
            raise SettingsError(message, hint="leave one of them out, or choose with --like")
        return _UPLOAD
    if publish:
        return _PUBLISH
    if build or _first_set(env, _only_of_builds()):
        return _BUILD
    message = "no variable says what to do"
    raise SettingsError(message, hint="set PLUGIN_REPO to build and push, or PLUGIN_DOCKER_IMAGE to publish build-info")


def _first_set(env: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((name for name in names if env.get(name)), "")


def _only_of_builds() -> tuple[str, ...]:
    names = (*known_variables(_BUILD.model), *PLUGIN_VARIABLES)
    others = known_variables(_PUBLISH.model)
    return tuple(name for name in names if name.startswith("PLUGIN_") and name not in others)

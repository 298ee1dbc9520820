"""The settings that kaniko alone acts on, under the names of its plugin; a table, not logic."""

# Flags of other programs in this module's texts: any

from __future__ import annotations

from functools import partial
from typing import Literal

from buildpush.settings.declare import setting
from buildpush.settings.image_settings import ImageSettings
from buildpush.settings.kinds import Count, RootedPaths, Switch

Verbosity = Literal["panic", "fatal", "error", "warn", "info", "debug", "trace"]

_kaniko = partial(setting, honoured_by="run", place="env")


class KanikoSettings(ImageSettings):
    """The settings of kaniko."""

    snapshot_mode: Literal["full", "redo", "time"] | None = _kaniko(
        "How kaniko looks for changed files: `redo` is the same as {setting}`optimize`, `full` the opposite.",
        "With `time` kaniko overlooks files whose time does not change. Other engines find every change.",
        group="Build",
        example="redo",
    )
    use_new_run: Switch | None = _kaniko(
        "Whether kaniko uses its newer way to find what RUN changes, without a snapshot of the file system.",
        "kaniko calls it experimental.",
        group="Build",
        example=True,
    )
    skip_unused_stages: Switch | None = _kaniko(
        "Whether kaniko builds only the stages that {setting}`target` needs.",
        "Other engines always do; without it, the version of kaniko decides.",
        group="Build",
        example=True,
    )
    ignore_paths: RootedPaths = setting(
        "Files and directories of kaniko's container that are left out of the image.",
        "Other engines leave out nothing that a Dockerfile makes.",
        default=(),
        group="Build",
        example=("/var/cache/apk",),
        honoured_by="engine",
        place="env",
        adds_up=True,
        aliases=("PLUGIN_IGNORE_PATH",),
    )
    skip_default_registry_fallback: Switch = _kaniko(
        "Whether the build fails if none of {setting}`mirror` has a base image, and does not ask Docker Hub.",
        "kaniko's plugin asks Docker Hub unless this is set; here it is asked only with `false`.",
        default=True,
        group="Build",
        example=False,
    )
    ignore_var_run: Switch | None = _kaniko(
        "Whether kaniko leaves `/var/run` out of the image, as it does by default.",
        "For other engines it is a directory like any other.",
        group="Build",
        example=False,
    )
    cache_ttl: Count = setting(
        "Hours after which kaniko no longer uses a layer of {setting}`remote_cache_repo`.",
        "With 0, two weeks. Layers in the caches of other engines do not expire.",
        default=0,
        group="Cache",
        example=6,
        honoured_by="engine",
        place="env",
    )
    cache_copy_layers: Switch | None = _kaniko(
        "Whether kaniko also keeps what COPY makes in {setting}`remote_cache_repo`.",
        group="Cache",
        example=True,
    )
    cache_run_layers: Switch | None = _kaniko(
        "Whether kaniko keeps what RUN makes in {setting}`remote_cache_repo`, as it does by default.",
        group="Cache",
        example=False,
    )
    compressed_caching: Switch | None = _kaniko(
        "Whether kaniko compresses layers before it keeps them, as it does by default.",
        "With `false` it needs less memory, and more time.",
        group="Cache",
        example=False,
    )
    image_download_retry: Count | None = _kaniko(
        "How often kaniko tries again to download a base image.",
        group="Build",
        example=3,
    )
    image_fs_extract_retry: Count | None = _kaniko(
        "How often kaniko tries again to unpack a base image.",
        group="Build",
        example=3,
    )
    skip_push_permission_check: Switch | None = _kaniko(
        "Whether kaniko skips its check, before it builds, that it may push to {setting}`remote_cache_repo`.",
        "buildpush checks the right to push the image anyway, without writing anything.",
        group="Cache",
        example=True,
    )
    verbosity: Verbosity | None = _kaniko(
        "How much kaniko prints.",
        "It makes no difference to the image. What an engine prints is in its log in the state directory.",
        group="Run",
        example="debug",
    )

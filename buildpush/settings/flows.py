"""Steps that push an existing image, or write the built one into a tar: which settings go together.

Source: drone-docker and drone-kaniko, ``PLUGIN_PUSH_ONLY``, ``PLUGIN_SOURCE_IMAGE``, ``PLUGIN_SOURCE_TAR_PATH``,
``PLUGIN_TAR_PATH``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from buildpush.dockerfile import dockerignore
from buildpush.dockerfile.request import BuildRequest
from buildpush.engines import OWN_SETTINGS
from buildpush.foundation.errors import BadNameError, SettingsError
from buildpush.foundation.files import is_there, unwritable
from buildpush.foundation.records import dataclass
from buildpush.images.references import Reference
from buildpush.settings.declare import Honour, explicitly_set, setting_named, settings_of
from buildpush.settings.kinds import TRUE
from buildpush.settings.model import BuildAndPush
from buildpush.settings.words import relative_hint
from buildpush.settings.written import WrittenValue

# Every step has a repository, and insecure is for base images too, so these are not of the push alone.
_OF_MORE_THAN_PUSHES: Final = frozenset({"repo", "insecure"})
_PACKING: Final = frozenset({"compression", "media_types", "allow_nondistributable_artifacts"})
Fail = Callable[[str, str, str | None], SettingsError]
_DESTINATIONS: Final = ("tar_path", "oci_layout_path")
_SOURCES: Final = ("source_image", "source_tar_path")
_OF_BUILDS: Final = frozenset(
    {
        *("engine", "place", "auto_label", "label_schema", "repo_link", "build_args_from_env"),
        *("load", "tar_format", "context_sub_path", "reproducible", "enable_cache", "path_style"),
        *("skip_default_registry_fallback", "provenance", "builder_id"),
    }
)
RECEIPTS: Final = (
    *("artifact_file", "metadata_file", "image_name_with_digest_file", "image_name_tag_with_digest_file"),
    *("dotenv_file", "annotations_file"),
)
TAGGING: Final = frozenset({"tags", "auto_tag", "auto_tag_suffix", "expand_tag", "expand_repo"})


@cache
def _honoured_by(what: Honour) -> frozenset[str]:
    return frozenset(one.name for one in settings_of(BuildAndPush) if one.honoured_by == what)


def engine_settings() -> frozenset[str]:
    """Return the names of the settings that engines act on, even if only one does."""
    return OWN_SETTINGS | _honoured_by("engine")


@dataclass(frozen=True, slots=True)
class ExistingImage:
    """An existing image.

    Attributes:
        image: its name in the Docker daemon; ``None`` for one in a file.
        tar: absolute path of a Docker archive or OCI archive.
        built_by: the step of the same run that builds it.
    """

    image: Reference | None = None
    tar: Path | None = None
    built_by: str = ""

    def __str__(self) -> str:
        if self.built_by:
            return f"{self.image}, which the step {self.built_by!r} builds"
        return f"docker-daemon:{self.image}" if self.image else str(self.tar)


def existing_image(
    settings: BuildAndPush, references: tuple[Reference, ...], cwd: Path, fail: Fail
) -> tuple[ExistingImage | None, tuple[str, ...]]:
    """Return the image that is pushed instead of a built one, and notes; ``None`` if one is built.

    Raises:
        SettingsError: settings contradict each other, or the file does not exist.
    """
    given = [name for name in _SOURCES if getattr(settings, name)]
    if not settings.push_only:
        if given:
            message = f"{given[0]} names an existing image, but the step builds one"
            raise fail(message, given[0], f"set push_only as well, or leave {given[0]} out")
        return None, ()
    _check(settings, given, fail)
    unused = sorted(explicitly_set(settings) & (engine_settings() | _OF_BUILDS) - {"platforms"})
    notes = (f"push_only builds nothing, so these have no effect: {', '.join(unused)}",) if unused else ()
    if settings.source_tar_path:
        return ExistingImage(tar=_file(settings.source_tar_path, cwd, fail)), notes
    if settings.source_image:
        return ExistingImage(image=_image(settings.source_image, fail)), notes
    if len(references) > 1:
        message = "push_only is set with several tags, but without a source"
        raise fail(message, "push_only", "set source_image or source_tar_path: the image that gets all tags")
    return ExistingImage(image=references[0]), notes


def unused_settings(
    settings: BuildAndPush, written: Mapping[str, WrittenValue], *, publishes: bool, effective: Collection[str]
) -> Iterator[str]:
    """Yield which settings have no effect because nothing is pushed, or no build-info is published.

    Args:
        settings: typed, without those that do not apply to a build.
        written: all settings; those set by other tools' variables are ignored, since these are set for many programs.
        publishes: whether build-info is published.
        effective: settings that have an effect anyway, on an image that is written elsewhere.
    """
    names = explicitly_set(settings) - {"publish_build_info"}  # with either value, nothing is published
    names |= {name for name, one in written.items() if _is_left_out(name, one, settings)}
    names -= {name for name, one in written.items() if _is_ambient(name, one)}
    if not settings.push:
        of_pushes = _honoured_by("push") - _OF_MORE_THAN_PUSHES | _honoured_by("publish")
        if unused := sorted(names & of_pushes - {*effective}):
            yield f"nothing is pushed, so these have no effect: {', '.join(unused)}"
    elif not publishes and (unused := sorted(names & _honoured_by("publish"))):
        yield f"no build-info is published, so these have no effect: {', '.join(unused)}"


def _is_left_out(name: str, written: WrittenValue, settings: BuildAndPush) -> bool:
    """Return whether the user set something that does not apply to a build."""
    if name == "publish_build_info":
        return name not in settings.fields_set and str(written.value).strip().lower() in TRUE
    return name not in settings.fields_set and written.value not in (None, "")


def _is_ambient(name: str, written: WrittenValue) -> bool:
    return written.origin.kind == "variable" and written.origin.variable in setting_named(BuildAndPush, name).ambient


def unused_names(names: Collection[str], destination: str, *, is_named: bool) -> Iterator[str]:
    """Yield which of the settings *names* have no effect on a build that is written to *destination*, or nowhere.

    Args:
        names: of the settings that were set.
        destination: where it goes; empty for nowhere.
        is_named: whether the destination gives the image its name.
    """
    if not destination and (unused := sorted({*TAGGING, *_PACKING} & {*names})):
        yield f"the image is stored nowhere, so these have no effect: {', '.join(unused)}"
    if is_named and (unused := sorted({"repo", *TAGGING} & {*names})):
        yield f"{destination} gives the image its name, so these have no effect: {', '.join(unused)}"


def _check(settings: BuildAndPush, given: list[str], fail: Fail) -> None:
    if not settings.push:
        message = "push_only pushes, and push is off"
        raise fail(message, "push_only", "leave one of them out")
    if len(given) > 1:
        message = "source_image and source_tar_path both name what is pushed"
        raise fail(message, "source_tar_path", "leave one of them out")
    for name in _DESTINATIONS:
        if getattr(settings, name):
            message = f"{name} is for what is built, and push_only builds nothing"
            raise fail(message, name, "to copy an image into a file, use buildpush copy")
    if len(settings.platforms) > 1:
        message = "push_only pushes one image as it is, but platforms lists several"
        raise fail(message, "platforms", "name one of them, or leave platforms out to push all that the image has")


def _image(text: str, fail: Fail) -> Reference:
    try:
        return Reference.parse(text)
    except BadNameError as error:
        message = f"{text!r} is not the name of an image"
        raise fail(message, "source_image", "write NAME:TAG, as docker image ls shows it") from error


def _file(text: str, cwd: Path, fail: Fail) -> Path:
    path = cwd / text
    if not path.is_file():
        state = "is not a file" if is_there(path) else "does not exist"
        message = f"the archive {text!r} {state}"
        raise fail(message, "source_tar_path", relative_hint(cwd))
    return path.resolve()


def archive_path(settings: BuildAndPush, cwd: Path, fail: Fail) -> Path | None:
    """Return where the built image is written, before anything is built.

    Raises:
        SettingsError: no file can be written there, or an archive cannot hold the image.
    """
    if not settings.tar_path:
        return None
    path = Path(os.path.realpath(cwd / settings.tar_path))
    is_dockerfile = path == Path(os.path.realpath(cwd / settings.dockerfile))
    if state := "is the Dockerfile" if is_dockerfile else unwritable(path):
        message = f"the archive {settings.tar_path!r} {state}"
        raise fail(message, "tar_path", relative_hint(cwd))
    if len(settings.platforms) > 1 and settings.tar_format == "docker":
        message = "a Docker archive holds the image of one platform, and platforms names several"
        raise fail(message, "tar_path", "set tar_format: oci")
    return path


def layout_path(settings: BuildAndPush, cwd: Path, fail: Fail) -> Path | None:
    """Return the directory of the layout that the built image is written to, before anything is built.

    Raises:
        SettingsError: no layout can be written there, or the image is written into a file as well.
    """
    if not settings.oci_layout_path:
        return None
    if settings.tar_path:
        message = "tar_path and oci_layout_path are both destinations of the image"
        raise fail(message, "oci_layout_path", "leave one of them out")
    path = Path(os.path.realpath(cwd / settings.oci_layout_path))
    state = "" if path.parent.is_dir() else "is in a directory that does not exist"
    if is_there(path) and not path.is_dir():
        state = "is not a directory"
    elif path.is_dir() and any(path.iterdir()) and not (path / "oci-layout").is_file():
        state = "is a directory with other files"
    if state:
        message = f"the layout {settings.oci_layout_path!r} {state}"
        raise fail(message, "oci_layout_path", relative_hint(cwd))
    return path


def loads(settings: BuildAndPush, references: tuple[Reference, ...], fail: Fail) -> bool:
    """Return whether the built image is put into the Docker daemon.

    Raises:
        SettingsError: it cannot hold the image.
    """
    if not settings.load or settings.push_only:
        return False
    if not references:
        message = "the Docker daemon needs a name for the image, and repo is not set"
        raise fail(message, "load", "set repo")
    if len(settings.platforms) > 1:
        message = "the Docker daemon holds an image of one platform, and platforms names several"
        raise fail(message, "load", "name one platform, or leave load out")
    return True


def receipt_paths(settings: BuildAndPush, cwd: Path, fail: Fail) -> dict[str, Path]:
    """Return the files that the receipt is written to, by setting.

    Raises:
        SettingsError: one cannot be written.
    """
    paths: dict[str, Path] = {}
    written = {name: text for name in RECEIPTS if (text := getattr(settings, name))} if settings.push else {}
    for name, text in written.items():
        path = Path(os.path.realpath(cwd / text))
        is_dockerfile = path == Path(os.path.realpath(cwd / settings.dockerfile))
        state = "is the Dockerfile" if is_dockerfile else unwritable(path, makes_directories=True)
        if state or path in paths.values():
            message = f"the file {text!r} {state or 'is written by another setting too'}"
            raise fail(message, name, relative_hint(cwd))
        paths[name] = path
    return paths


def archive_notes(request: BuildRequest | None) -> Iterator[str]:
    """Yield a note about an archive that is written into its own build context."""
    if request is None or request.archive is None or not request.archive.is_relative_to(request.context):
        return
    name = request.archive.relative_to(request.context)
    if not dockerignore.read(request.context, request.dockerfile).hides(name.as_posix()):
        yield f"the archive {name} is in the context: name it in .dockerignore, or a later build may copy it"

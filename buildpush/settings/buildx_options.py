"""The options of ``docker buildx build``: each becomes the setting with the same meaning, or is refused.

Source: docker buildx build, command line reference.
"""

# Flags of other programs in this module's texts: any

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn

from buildpush.foundation import spelling
from buildpush.foundation.errors import SettingsError, UnsupportedError
from buildpush.foundation.events import Note, Sink
from buildpush.foundation.records import dataclass
from buildpush.settings.declare import setting_named
from buildpush.settings.fields import BadValueError
from buildpush.settings.kinds import FALSE, TRUE
from buildpush.settings.model import BuildAndPush
from buildpush.settings.step_settings import CommonSettings
from buildpush.settings.tree import Step

_NAME: Final = "buildx_options"
# Options that become a setting: lists and maps get one more entry, other values are replaced.
_SETTINGS: Final = {
    "--add-host": "add_host",
    "--build-arg": "build_args",
    "--build-context": "build_contexts",
    "--cache-from": "cache_from",
    "--cache-to": "cache_to",
    "--file": "dockerfile",
    "--label": "labels",
    "--load": "load",
    "--metadata-file": "metadata_file",
    "--network": "network",
    "--no-cache": "no_cache",
    "--platform": "platforms",
    "--pull": "pull_image",
    "--quiet": "quiet",
    "--ssh": "ssh",
    "--target": "target",
}
_SHORT: Final = {"-f": "--file", "-t": "--tag", "-o": "--output", "-q": "--quiet", "-D": "--debug", "-m": "--memory"}
_SWITCHES: Final = frozenset({"--load", "--no-cache", "--pull", "--push", "--quiet", "--debug", "--check"})
_ATTESTATIONS: Final = (
    "buildpush writes attestations itself, without options",
    "write {option}=true or {option}=false",
)
_RUN: Final = ("it is about the containers of RUN, which the builder sets up", "set it in the builder's configuration")
# Why an option has no setting, and what to do instead.
_REFUSED: Final = {
    "--allow": (
        "what a build may do is set in the builder's own configuration",
        "start its buildkitd with --allow-insecure-entitlement, and write --network=host for the machine's network",
    ),
    "--annotation": ("annotations of manifests are not written here", "write a label: --label=KEY=VALUE"),
    "--attest": ("buildpush writes attestations itself", "write PLUGIN_PROVENANCE: true"),
    "--builder": ("buildx's current builder is used", "set BUILDX_BUILDER in the environment to use another"),
    "--call": ("a step builds the Dockerfile, and does not analyse it", "run docker buildx build --call yourself"),
    "--check": ("a step builds the Dockerfile, and does not analyse it", "run buildpush check"),
    "--cgroup-parent": _RUN,
    "--iidfile": (
        "an image ID belongs to the Docker daemon, which need not have the image",
        "write --metadata-file=FILE, or PLUGIN_IMAGE_NAME_WITH_DIGEST_FILE: FILE, for its digest",
    ),
    "--memory": _RUN,
    "--no-cache-filter": ("all stages are built again, or none", "write --no-cache"),
    "--output": (
        "the destination of the image is set by settings",
        "write PLUGIN_TAR_PATH for an archive, --load for the Docker daemon, PLUGIN_NO_PUSH for no push",
    ),
    "--policy": ("no policies are evaluated here", "leave it out"),
    "--provenance": _ATTESTATIONS,
    "--sbom": _ATTESTATIONS,
    "--shm-size": _RUN,
    "--tag": ("the names of the image are set by settings", "write them in repo and tags"),
    "--ulimit": _RUN,
}
# Options that make no difference, and why.
_NOTED: Final = {
    "--progress": "the engine's log is kept in the state directory",
    "--debug": "the engine's log is kept in the state directory",
}
_SEMICOLON: Final = (
    "a comma separates options in PLUGIN_BUILDX_OPTIONS; "
    "for values with a comma use PLUGIN_BUILDX_OPTIONS_SEMICOLON, in which a semicolon does"
)


def with_options(settings: CommonSettings, step: Step, sink: Sink) -> CommonSettings:
    """Return *settings* with its buildx options turned into settings.

    Raises:
        UnsupportedError: there is no setting for an option.
        SettingsError: it is not an option, or its value cannot be used.
    """
    if not isinstance(settings, BuildAndPush) or not settings.buildx_options:
        return settings
    options = list(_options(settings.buildx_options, step.settings[_NAME].origin.where))
    written = step.settings.get("platforms")
    is_implied = written and written.origin.kind == "file" and not written.origin.variable
    if is_implied and any(option.name == "--platform" for option in options):
        settings = settings.replace(platforms=())  # it replaces the platform of the stage's machine
    for option in options:
        settings = option.apply(settings, sink)
    return settings


@dataclass(frozen=True, slots=True)
class BuildxOption:
    """An option of buildx.

    Attributes:
        name: the long one.
        value: empty for a switch that is on.
        where: its place.
    """

    name: str
    value: str
    where: str

    def apply(self, settings: BuildAndPush, sink: Sink) -> BuildAndPush:
        """Return *settings* with the effect of this option."""
        if act := _SPECIAL.get(self.name):
            return act(self, settings)
        if self.name in _NOTED:
            sink(Note(f"{self.where}: {self.name} has no effect: {_NOTED[self.name]}"))
            return settings
        if self.name in _REFUSED:
            self.refuse()
        if self.name not in _SETTINGS:
            near = spelling.nearest(self.name, (*_SETTINGS, *_SPECIAL), most=1)
            hint = f"did you mean {near[0]}?" if near else "docker buildx build --help lists them"
            self.fail("it is not an option of docker buildx build", hint)
        return self.set(settings, _SETTINGS[self.name], self.value)

    def set(self, settings: BuildAndPush, name: str, text: str) -> BuildAndPush:
        """Return *settings* with *text* as the value of the setting *name*, or as one more entry of it."""
        kind, earlier = setting_named(BuildAndPush, name).kind, getattr(settings, name)
        value: Any = text
        if kind == "map":
            key, sign, part = text.partition("=")
            value = {**earlier, key: part} if sign else self.fail(f"{text!r} does not have an =", "write NAME=VALUE")
        elif kind == "list":
            value = (*earlier, *(text.split(",") if name == "platforms" else [text]))
        elif kind == "switch":
            value = self.is_on
        try:
            return settings.replace(**{name: BuildAndPush.fields()[name].read(value)})
        except BadValueError as error:
            self.fail(str(error), error.hint)

    @property
    def is_on(self) -> bool:
        """Whether the option, a switch, is on."""
        if self.value.lower() not in {"", *TRUE, *FALSE}:
            self.fail(f"{self.value!r} is not true or false", f"write one option in each entry; {_SEMICOLON}")
        return self.value.lower() not in FALSE

    def refuse(self) -> NoReturn:
        """Raise the error that says why the option is refused."""
        reason, hint = _REFUSED[self.name]
        message = f"{self.name} is not supported: {reason}"
        raise UnsupportedError(message, where=self.where, hint=hint.format(option=self.name), setting=_NAME)

    def fail(self, reason: str, hint: str) -> NoReturn:
        """Raise an error about the option."""
        message = f"{self.name}: {reason}"
        raise SettingsError(message, where=self.where, hint=hint or None, setting=_NAME)


def _options(words: tuple[str, ...], where: str) -> Iterator[BuildxOption]:
    """Yield the options; a value follows ``=`` or a blank, or is the next word."""
    rest = iter(words)
    for word in rest:
        text = word.strip()
        name, sign, value = text.partition("=")
        if len(parts := name.split(None, 1)) > 1:
            name, sign, value = parts[0], " ", text[len(parts[0]) :].strip()
        name = _SHORT.get(name, name)
        if not name.startswith("-"):
            message = f"{text!r} is not an option"
            raise SettingsError(message, where=where, hint=_SEMICOLON, setting=_NAME)
        if not sign and name not in _SWITCHES and any(name in known for known in _KNOWN):
            value = next(rest, "").strip()
            if not value or value.startswith("-"):
                message = f"{name} does not have a value"
                raise SettingsError(message, where=where, hint=f"write {name}=VALUE", setting=_NAME)
        yield BuildxOption(name, value, where)


# ---- options that need more than one setting, or a check


def _argument(option: BuildxOption, settings: BuildAndPush) -> BuildAndPush:
    """Set a build argument; without a value, it has that of the variable of the same name."""
    name = "build_args" if "=" in option.value else "build_args_from_env"
    return option.set(settings, name, option.value)


def _host(option: BuildxOption, settings: BuildAndPush) -> BuildAndPush:
    return option.set(settings, "add_host", option.value.replace("=", ":", 1))


def _secret(option: BuildxOption, settings: BuildAndPush) -> BuildAndPush:
    """Set a build secret: ``id=ID,env=VARIABLE`` or ``id=ID,src=FILE``; with an id alone, the variable of that name."""
    fields = _fields(option)
    identifier, file = fields.get("id", ""), fields.get("src") or fields.get("source")
    variable = fields.get("env") or ("" if file else identifier)
    unknown = fields.keys() - {"id", "src", "source", "env", "type"}
    if not identifier or unknown or (variable and file):
        option.fail(f"{option.value!r} is not a secret", "write id=ID,env=VARIABLE or id=ID,src=FILE")
    name, value = ("file_docker_secrets", file) if file else ("env_docker_secrets", variable)
    return option.set(settings, name, f"{identifier}={value}")


def _push(option: BuildxOption, settings: BuildAndPush) -> BuildAndPush:
    if option.is_on and not settings.push:
        option.fail("it asks for a push, and push is off", "leave one of them out")
    return settings if option.is_on else settings.replace(push=False)


def _provenance(option: BuildxOption, settings: BuildAndPush) -> BuildAndPush:
    if option.value.lower() not in {"", *TRUE, *FALSE}:
        option.refuse()
    return settings.replace(provenance=option.is_on)


def _sbom(option: BuildxOption, settings: BuildAndPush) -> BuildAndPush:
    if option.value.lower() not in {"", *TRUE, *FALSE}:
        option.refuse()
    return settings.replace(sbom="spdx" if option.is_on else None)


def _output(option: BuildxOption, settings: BuildAndPush) -> BuildAndPush:
    """Put the image into the Docker daemon, or into an archive; a step has no other outputs."""
    fields = _fields(option) if "=" in option.value else {}
    kind = fields.get("type", "")
    if kind not in {"docker", "oci"} or fields.keys() - {"type", "dest"} or (kind == "oci" and "dest" not in fields):
        option.refuse()
    if "dest" not in fields:
        return settings.replace(load=True)
    return option.set(option.set(settings, "tar_path", fields["dest"]), "tar_format", kind)


def _fields(option: BuildxOption) -> dict[str, str]:
    """Return the fields of a value that is one line of CSV."""
    try:
        (words,) = csv.reader([option.value], strict=True)
    except (csv.Error, ValueError):
        words = [""]
    pairs = [word.partition("=") for word in words]
    if not all(sign for _, sign, _ in pairs):
        option.fail(f"{option.value!r} is not a line of KEY=VALUE", _SEMICOLON)
    return {name.strip().lower(): value for name, _, value in pairs}


_SPECIAL: Final[dict[str, Callable[[BuildxOption, BuildAndPush], BuildAndPush]]] = {
    "--build-arg": _argument,
    "--add-host": _host,
    "--secret": _secret,
    "--push": _push,
    "--provenance": _provenance,
    "--sbom": _sbom,
    "--output": _output,
}
_KNOWN: Final = (_SETTINGS, _SPECIAL, _REFUSED, _NOTED)

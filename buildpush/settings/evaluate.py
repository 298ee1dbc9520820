"""Turns written settings into typed ones: expressions are evaluated, and every error names its place."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final

from buildpush.expressions.evaluate import LaterError
from buildpush.expressions.facts import Facts
from buildpush.foundation.documents import Raw, parse_yaml, structure_of
from buildpush.foundation.errors import SecretError, SettingsError, SourceError
from buildpush.foundation.events import Note, Sink, ignore
from buildpush.foundation.secrets import Secret
from buildpush.settings.answers import SettingEvaluator
from buildpush.settings.build_step import UNNAMED
from buildpush.settings.buildx_options import with_options
from buildpush.settings.declare import setting_named, settings_of
from buildpush.settings.decode import READABLE_HINT
from buildpush.settings.layers import remember_passwords
from buildpush.settings.model import BuildAndPush
from buildpush.settings.step_facts import facts_of
from buildpush.settings.step_settings import CommonSettings
from buildpush.settings.tree import Step
from buildpush.settings.validate import validate, validate_known
from buildpush.settings.written import WrittenValue, key_prefix

# These stay as written: they are evaluated while the step runs.
_EVALUATED_DURING_RUN: Final = frozenset({"when", "failure_strategies", "strategy", "env_variables"})


# Groups of settings that decide what is in an image, and its name: there, a name without a value is an error.
_OF_IMAGES: Final = frozenset({"Image", "Build", "Cache", "Registry", "Push"})
_NAMES_OF_IMAGES: Final = frozenset({"docker_image", "env_file"})
# Where an image goes and what is recorded about it: not needed for a build without a push.
_FOR_A_PUSH: Final = frozenset({"registry", "username", "password", "push"}) | {
    setting.name for setting in settings_of(BuildAndPush) if setting.honoured_by == "publish"
}


def evaluate(step: Step, facts: Facts, *, sink: Sink = ignore, push: bool = True) -> CommonSettings:
    """Return the settings of *step*, with its expressions evaluated, and typed.

    Args:
        step: as written.
        facts: of the run; what the file holds around the step is added here.
        sink: gets a note for each setting without effect.
        push: whether the image may be pushed; if not, destination and credentials are not needed.

    Raises:
        SettingsError: an expression cannot be evaluated, or a value cannot be used; with the place that set it.
    """
    around = facts_of(step, facts)
    image = around.for_image()
    needed = {name: written for name, written in step.settings.items() if push or name not in _FOR_A_PUSH}
    values = {name: evaluate_setting(step, name, written, around, image) for name, written in needed.items()}
    if not push:  # its origin goes too: a variable such as PLUGIN_NO_PUSH would invert our "false"
        step = replace(step, settings={name: one for name, one in step.settings.items() if name != "push"})
        values = {"repo": UNNAMED} | values | {"push": "false"}
    settings = validate(step, values, sink=sink)
    settings = with_options(settings, step, sink)
    return _with_arguments(_with_secrets(settings, step, image), step, image, sink)


def check_known(step: Step, facts: Facts, *, push: bool = True) -> Mapping[str, LaterError]:
    """Check the settings of *step* that are known before the run; return why the others are not, by name.

    Raises:
        SettingsError: as :func:`evaluate`, about what is known.
    """
    around = facts_of(step, facts, known=True)
    values: dict[str, Raw] = {} if push else {"repo": UNNAMED}
    later: dict[str, LaterError] = {}
    for name, written in step.settings.items():
        if push or name not in _FOR_A_PUSH:
            try:
                values[name] = evaluate_setting(step, name, written, around)
            except LaterError as error:
                later[name] = error
    validate_known(step, values, later)
    return later


def _with_arguments(settings: CommonSettings, step: Step, facts: Facts, sink: Sink) -> CommonSettings:
    """Return *settings* with the build arguments that variables give; those in the file override them."""
    arguments: dict[str, str] = {}
    for name in getattr(settings, "build_args_from_env", ()):
        if name in step.environment:
            written = step.environment[name]
            value = SettingEvaluator("build_args_from_env", name, written.origin, facts).evaluate(written.value)
        else:
            value = facts.env.get(name, "")
        where = (step.settings.get("build_args_from_env") or step.settings["buildx_options"]).origin.where
        if isinstance(value, Secret):
            message = f"build_args_from_env: the secret in {name} would be readable here"
            raise SecretError(message, hint=READABLE_HINT, setting="build_args_from_env", where=where)
        if not value:
            sink(Note(f"{where}: build_args_from_env: {name} has no value, and is left out"))
        arguments |= dict.fromkeys((name, name.upper()), str(value)) if value else {}
    given: Mapping[str, str] = getattr(settings, "build_args", {})
    return settings.replace(build_args={**arguments, **given}) if arguments else settings


def _with_secrets(settings: CommonSettings, step: Step, facts: Facts) -> CommonSettings:
    """Return *settings* with the build secrets from variables of the file; others are read from the environment."""
    names: Mapping[str, str | Secret] = getattr(settings, "env_docker_secrets", {})
    secrets = {key: _variable(name, step, facts) for key, name in names.items() if name in step.environment}
    return settings.replace(env_docker_secrets={**names, **secrets}) if secrets else settings


def _variable(name: str | Secret, step: Step, facts: Facts) -> Secret:
    written = step.environment[str(name)]
    value = SettingEvaluator("env_docker_secrets", str(name), written.origin, facts).evaluate(written.value)
    if isinstance(value, Secret):
        return value
    if isinstance(value, str) and value:
        return Secret(value, written.origin.where)
    message = f"envDockerSecrets: the variable {name} is {'not a text' if value else 'empty'}"
    raise SecretError(message, where=written.origin.where, setting="env_docker_secrets", hint="give it a value")


def evaluate_setting(step: Step, name: str, written: WrittenValue, facts: Facts, image: Facts | None = None) -> Raw:
    """Return the value of one setting with its expressions evaluated, not typed yet.

    Args:
        step: as written.
        name: of the setting.
        written: its value, with expressions.
        facts: give their values.
        image: give the values for what is in an image, and its name; made from *facts* if not given.

    Raises:
        SettingsError: an expression cannot be evaluated; with the place that set it.
    """
    if name in _EVALUATED_DURING_RUN:
        return written.value
    setting = setting_named(step.model, name)
    if setting.group in _OF_IMAGES or name in _NAMES_OF_IMAGES:
        facts = image or facts.for_image()
    value = SettingEvaluator(name, setting.key, written.origin, facts).evaluate(written.value)
    if setting.kind in {"list", "map"} and "<+" in str(written.value):
        with suppress(SettingsError):
            value = structure_of(value, "")
    remember_passwords(setting, value)
    return value


def evaluate_raw(name: str, written: WrittenValue, facts: Facts, raw_keys: Collection[str] = ()) -> Raw:
    """Return *written* with its expressions evaluated, for what is not a setting of a model; *name* is for messages.

    The values of *raw_keys* stay as they are written.

    Raises:
        SettingsError: an expression cannot be evaluated; with the place that set it.
    """
    return SettingEvaluator(name, name, written.origin, facts, frozenset(raw_keys)).evaluate(written.value)


def evaluate_structure(name: str, written: WrittenValue, facts: Facts) -> WrittenValue:
    """Return *written*; an expression in place of the whole list or map is evaluated, and read as JSON or YAML.

    Raises:
        SettingsError: the expression cannot be evaluated, or gives neither.
    """
    if not isinstance(written.value, str) or "<+" not in written.value:
        return written
    value, origin = evaluate_raw(name, written, facts), written.origin
    if isinstance(value, str) and value.strip():
        try:
            value = parse_yaml(value, name).raw()
        except SettingsError as error:
            message = f"{key_prefix(name, origin.where)}the value of the expression is neither JSON nor YAML: {error}"
            raise SourceError(message, where=origin.where, setting=name, hint="write it as JSON") from None
    return replace(written, value=value)

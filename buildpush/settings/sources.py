"""Where settings come from: step files, project files, variables, flags, Python; and the only door to YAML.

Flags beat Python keywords beat our variables beat the step file (its ``envVariables`` above the rest) beat the
file of variables beat the project file beat other tools' variables beat the defaults.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from buildpush.engines import AUTO
from buildpush.foundation.documents import Node, read_documents, read_text, read_yaml
from buildpush.foundation.errors import SourceError
from buildpush.foundation.records import dataclass
from buildpush.foundation.toml import parse_project_toml
from buildpush.settings.declare import Setting, camel_case, former_names, settings_of
from buildpush.settings.decode import format_setting
from buildpush.settings.drone import from_drone, is_drone
from buildpush.settings.env_file import NO_ENV_FILE, SETTING, EnvFile, env_file
from buildpush.settings.forms import older_form
from buildpush.settings.input_sets import with_input_sets
from buildpush.settings.keywords import check_names, check_used, python_layer
from buildpush.settings.layers import SettingsLayer, merge
from buildpush.settings.loops import loop_notes
from buildpush.settings.own_names import with_own_names, with_user_of_token
from buildpush.settings.plugin_variables import OF_KANIKO
from buildpush.settings.selection import check_runs, select, selected_stages
from buildpush.settings.step_settings import CommonSettings
from buildpush.settings.stepfile import step_layers
from buildpush.settings.stepkinds import BUILD, STEP_KINDS, StepKind, models
from buildpush.settings.surroundings import environment, platform_layer, values_around, variables_layer
from buildpush.settings.templates import Templates
from buildpush.settings.tree import Element, Loaded, Parallel, Parent, Step, read_tree, with_steps
from buildpush.settings.variables import ambient_layer, known_variables, variable_layer
from buildpush.settings.verdicts import notes_of_environment
from buildpush.settings.words import reject
from buildpush.settings.written import Origin, WrittenValue, written_at


@dataclass(frozen=True, slots=True)
class CompanionFiles:
    """Files that complete the file with the steps, relative to the working directory.

    Attributes:
        templates: directory of the templates that it names.
        inputs: input sets, of which the last counts.
    """

    templates: Path | None = None
    inputs: tuple[Path, ...] = ()

    @property
    def flag(self) -> str:
        """The flag that gives the first of them; empty if there are none."""
        return "--templates" if self.templates else "--inputs" if self.inputs else ""


_FOR_KANIKO: Final = "in the environment it counts only where kaniko may build; set {instead}"
NO_COMPANIONS: Final = CompanionFiles()


@dataclass(frozen=True, slots=True)
class _Outside:
    """The settings from outside the step file.

    Attributes:
        spelled: a plugin's names of variables, by buildpush's names.
    """

    env: Mapping[str, str]
    flags: Mapping[str, Any]
    keywords: Mapping[str, Any]
    project: Node | None
    cwd: Path
    spelled: Mapping[str, str]


def read(
    file: Path | None,
    *,
    env: Mapping[str, str],
    flags: Mapping[str, Any],
    keywords: Mapping[str, Any],
    cwd: Path,
    step: str | None,
    stage: str | None = None,
    companions: CompanionFiles = NO_COMPANIONS,
    kind: StepKind = BUILD,
    is_plugin: bool = False,
) -> Loaded:
    """Return the steps to run with their settings as written, each with what set it.

    Args:
        file: the step file, relative to *cwd*; ``None`` makes one step of everything else.
        env: the process's environment.
        flags: by Python name, values as click gives them; ``None`` and ``()`` set nothing.
        keywords: by Python name; ``None`` sets nothing.
        cwd: where the search for the project file begins; it ends at the root of the repository.
        step: identifier or name of the only step to run.
        stage: identifier or name of the only stage to run.
        companions: templates and input sets.
        kind: of the step that is made where there is no file.
        is_plugin: whether variables are read as the plugin of that kind reads them.

    Raises:
        SourceError: a file cannot be read, a key or name is unknown, a setting is set twice, or there is no step.
        SecretError: a secret is in a file, flag or keyword as plain text.
    """
    project_path, project = find_project(cwd)
    check_names(flags, "flag")
    check_names(keywords, "setting")
    if file is None and (step is not None or stage is not None):
        what, name = ("step", step) if step is not None else ("stage", stage)
        message = f"the {what} {name!r} is to be taken from a file, but no file is given"
        raise SourceError(message, where=f"--{what}", hint="name the file that holds it")
    if file is None and companions.flag:
        message = "it completes a file with steps, but no file is given"
        raise SourceError(message, where=companions.flag, hint="name the file with the steps")
    notes: list[str] = []
    env, written_names = with_own_names(kind.image, env, notes) if is_plugin else (env, {})
    outside = _Outside(env, flags, keywords, project, cwd, written_names)
    notes += notes_of_environment(env, known_variables(*models()))
    tree: tuple[Element, ...]
    if file is None:
        tree = (_step_without_file(outside, kind, notes),)
    else:
        whole = file_tree(file, cwd, companions, reasons := list[str]())
        check_runs(whole, file, reasons)
        notes += reasons
        fill = partial(_with_settings, outside=outside, notes=notes, known={})
        selected = selected_stages(whole, stage)
        filled = with_steps(select(whole, file, stage, step), fill)
        tree = with_steps(filled, lambda one, _: replace(one, facts={**selected, **one.facts}))
    loaded = Loaded(tree, tuple(dict.fromkeys(notes)), file, project_path)
    check_used(flags, keywords, loaded.steps)
    return loaded


def file_tree(file: Path, cwd: Path, companions: CompanionFiles, notes: list[str]) -> tuple[Element, ...]:
    """Return the content of *file*, relative to *cwd*, with the templates and inputs that *companions* names.

    Raises:
        SourceError: a file cannot be read, or a template or input does not fit.
    """
    document = with_input_sets(_document(file, cwd, notes), companions.inputs, cwd)
    directory = companions.templates
    templates = Templates(cwd / directory if directory else None, str(directory), notes)
    return read_tree(older_form(templates.expand(document)))


def _document(file: Path, cwd: Path, notes: list[str]) -> Node:
    """Return the document in *file*; that of a Drone server may have several."""
    first, *more = documents = read_documents(cwd / file, str(file))
    if is_drone(documents):
        return from_drone(documents, notes)
    if more:
        message = "a second document begins here"
        raise SourceError(message, where=more[0].where, hint="keep one document per file")
    return first


def find_project(cwd: Path) -> tuple[Path | None, Node | None]:
    """Return the nearest ``buildpush.yaml`` or ``pyproject.toml`` with ``[tool.buildpush]``, and its content.

    The search goes up to the directory that holds ``.git``; outside a repository only *cwd* is looked at.

    Raises:
        SourceError: a directory has both, or one cannot be read.
    """
    directories = [cwd, *cwd.parents]
    root = next((position for position, directory in enumerate(directories) if (directory / ".git").exists()), 0)
    for directory in directories[: root + 1]:
        files = [(path, node) for path in _project_files(directory) if (node := _read_project(path, cwd))]
        if len(files) > 1:
            message = f"{files[0][0].name} and {files[1][0].name} both hold settings"
            raise SourceError(message, where=str(directory), hint="keep one of them")
        if files:
            return files[0]
    return None, None


def _project_files(directory: Path) -> list[Path]:
    paths = [directory / "buildpush.yaml", directory / "pyproject.toml"]
    return [path for path in paths if path.is_file()]


def _read_project(path: Path, cwd: Path) -> Node | None:
    name = os.path.relpath(path, cwd)
    if path.suffix == ".toml":
        return parse_project_toml(read_text(path, name), name)
    return read_yaml(path, name)


def _with_settings(
    step: Step, path: tuple[Parent, ...], outside: _Outside, notes: list[str], known: dict[int, dict[str, str]]
) -> Step:
    if not step.runs or step.node is None or step.kind is None:
        return step
    own, around = step_layers(step.node, step.kind), environment(path)
    for branch in path:
        if not isinstance(branch, Parallel):
            notes += [*branch.header.notes, *_notes_of(written_at(branch.header.node, "strategy"))]
    notes += own.notes
    layers = [own.variables, own.settings, variables_layer(step.kind, around, notes)]
    written, more = _merged(step.kind, outside, layers, platform_layer(step.kind.model, path), notes)
    notes += _notes_of(written.get("strategy"))
    written = _with_tags_of_plugin(written, step.kind, outside.cwd)
    variables = {**more, **{name: variable for name, (_, variable) in around.items()}, **own.environment}
    return replace(step, settings=written, facts={**values_around(path, known), **step.facts}, environment=variables)


def _notes_of(loop: WrittenValue | None) -> Iterable[str]:
    return loop_notes(loop.value, loop.origin) if loop else ()


def _with_tags_of_plugin(written: Mapping[str, WrittenValue], kind: StepKind, cwd: Path) -> Mapping[str, WrittenValue]:
    """Return *written* with the tags in the file that the plugins read, if no tags are set."""
    path = cwd / ".tags"
    if "tags" in written or not (kind.image and kind.builds and path.is_file()):
        return written
    text = read_text(path, path.name).strip()
    return {**written, "tags": WrittenValue(text, Origin("file", path.name, text))} if text else written


def _step_without_file(outside: _Outside, kind: StepKind, notes: list[str]) -> Step:
    notes += _notes_of_other_kinds(outside.env, kind)
    written, variables = _merged(kind, outside, [], SettingsLayer(), notes)
    settings = _with_tags_of_plugin(written, kind, outside.cwd)
    name = "Build and push" if kind.builds else "Publish build-info"
    where = "variables" if kind.image else f"{'keywords' if outside.keywords else 'flags'} and variables"
    return Step(kind.identifier, name, kind.type, settings, where, kind, environment=variables)


def _notes_of_other_kinds(env: Mapping[str, str], kind: StepKind) -> Iterator[str]:
    """Yield a note for each variable of buildpush that a step of *kind* does not read."""
    others = known_variables(*models()).keys() - known_variables(kind.model).keys()
    reader = "a step that builds" if kind.builds else "the build-info plugin"
    for name in sorted(name for name in others if name.startswith("PLUGIN_") and env.get(name)):
        yield f"{name} has no effect: {reader} does not read it"


def _merged(
    kind: StepKind, outside: _Outside, file: list[SettingsLayer], platform: SettingsLayer, notes: list[str]
) -> tuple[Mapping[str, WrittenValue], Mapping[str, WrittenValue]]:
    """Return the settings of a step, and the variables that its file of variables gives to it."""
    model = kind.model
    env = {name: text for name, text in outside.env.items() if name not in OF_KANIKO}
    stronger = [
        python_layer(model, outside.flags, "flag"),
        python_layer(model, outside.keywords, "keyword"),
        variable_layer(model, env, notes, outside.spelled),
        *file,
    ]
    weaker = [_project_layer(model, outside.project), ambient_layer(model, outside.env)]
    names = frozenset(setting.name for setting in settings_of(model))
    more = _env_file(kind, merge([*stronger, weaker[0]], names), outside.cwd, notes)
    stronger.append(more.layer)
    if not any("push_only" in layer.values for layer in stronger[3:]):  # an existing image has its platform already
        stronger.append(platform)
    weaker.append(_kaniko_layer(kind, outside, merge([*stronger, weaker[0]], names), notes))
    written = with_user_of_token(merge([*stronger, *weaker], names), notes)
    notes += more.notes(written)
    return written, {name: one for name, one in more.environment.items() if not outside.env.get(name)}


def _kaniko_layer(
    kind: StepKind, outside: _Outside, written: Mapping[str, WrittenValue], notes: list[str]
) -> SettingsLayer:
    """Return the settings in kaniko's own variables if kaniko may build; otherwise note that they have no effect."""
    given = {name: outside.env[name] for name in OF_KANIKO if kind.builds and outside.env.get(name)}
    engine = str(written["engine"].value) if "engine" in written else AUTO
    is_possible = engine == "kaniko" or (engine == AUTO and "kaniko_image" in written)
    if is_possible or kind.image == STEP_KINDS["kaniko"].image:
        return variable_layer(kind.model, given, notes, outside.spelled)
    notes += [f"{name} has no effect: {_FOR_KANIKO.format(instead=OF_KANIKO[name])}" for name in given]
    return SettingsLayer()


def _env_file(kind: StepKind, written: Mapping[str, WrittenValue], cwd: Path, notes: list[str]) -> EnvFile:
    file = written.get(SETTING)
    return env_file(kind, file, cwd, notes) if file and file.value else NO_ENV_FILE


def _project_layer(model: type[CommonSettings], project: Node | None) -> SettingsLayer:
    layer = SettingsLayer()
    if project is None or project.value is None:
        return layer
    if not isinstance(project.value, Mapping):
        message = "a project file is a map of settings"
        raise SourceError(message, where=project.where, hint="write KEY: VALUE lines")
    known = {key: setting for model in models() for key, setting in _project_keys(model).items()}
    for key in project.value:
        if key not in known:
            former = former_names(known.values(), camel_case)
            reject("key", key, known, project.where_key(key), former=former)
    for key, setting in _project_keys(model).items():
        if (node := project.at(key)) and node.value is not None:
            raw = node.raw()
            origin = Origin("project", project.where_key(key), format_setting(setting, raw), parts=dict(node.places()))
            layer.add(setting, raw, origin)
    return layer


def _project_keys(model: type[CommonSettings]) -> dict[str, Setting]:
    return {setting.project_key: setting for setting in settings_of(model) if setting.project_key}

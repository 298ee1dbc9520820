"""One declaration per setting, and every other form of its name derived from it.

::

    build_args   Python
    buildArgs    YAML
    PLUGIN_BUILD_ARGS            variable
    --build-arg, --build-args    flag
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin

from buildpush.foundation.records import dataclass
from buildpush.settings.fields import REQUIRED, Field, Model
from buildpush.settings.kinds import ValueKind

Honour = Literal["engine", "push", "publish", "run", ""]
StepSection = Literal["step", "spec", "env", "settings"]

_PLAIN_KINDS = {bool: "switch", int: "number", str: "text", Any: "structure"}


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable that sets a setting.

    Attributes:
        separator: is put between the entries of a list or map.
        inverted: the variable holds the opposite of the setting.
        only_with: another variable that must be true for this one to count; it then replaces the setting's others.
        option: the option whose value its text is, if the setting is a list of options.
    """

    name: str
    separator: str = ","
    inverted: bool = False
    only_with: str = ""
    option: str = ""


@dataclass(frozen=True, slots=True)
class Declared:
    """A declaration without the type and the default."""

    sentence: str
    text: str
    group: str
    example: Any
    honoured_by: Honour
    place: StepSection
    since: str
    changed: tuple[tuple[str, str], ...]
    renamed: tuple[str, ...]
    harmless: bool
    alternative: str
    separator: str
    aliases: tuple[Variable, ...]
    ambient: tuple[str, ...]
    adds_up: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything there is to know about one setting; help, docs, schema, ``explain`` and decoders read it.

    Attributes:
        sentence: what it is, for overviews.
        text: the rest, in MyST.
        kind: text, path, switch, number, choice, list, map, duration, size, secret or structure.
        choices: allowed values, where they can be listed.
        example: a valid value, typed.
        default: value if it is not set; ``None`` also where ``required``.
        honoured_by: who acts on it; empty while nothing does, so that setting it is refused.
        place: where a step file sets it: in the step, its ``spec``, its ``envVariables``, or ``spec.settings``.
        since: the version that has it first.
        changed: later versions, each with what is different since then, the latest last.
        renamed: Python names that it had in earlier versions; they set nothing, but messages and pages know them.
        harmless: without effect on the image, so that setting it is a note, not an error, while nothing acts on it.
        alternative: what to do while nothing acts on it.
        ambient: variables of other tools, used when nothing else sets it.
        adds_up: whether several of its variables make one list instead of contradicting each other.
        own_variables: its variables, the derived one first.
        variables: names of its variables, the derived one first, those of other tools last.
    """

    name: str
    sentence: str
    text: str
    group: str
    since: str
    changed: tuple[tuple[str, str], ...]
    renamed: tuple[str, ...]
    kind: str
    choices: tuple[str, ...]
    annotation: Any
    default: Any
    required: bool
    example: Any
    honoured_by: Honour
    place: StepSection
    harmless: bool
    alternative: str
    separator: str
    aliases: tuple[Variable, ...]
    ambient: tuple[str, ...]
    adds_up: bool
    own_variables: tuple[Variable, ...] = field(init=False, repr=False, compare=False)
    variables: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        own = () if self.file_only else (Variable(variable_name(self.name), self.separator), *self.aliases)
        object.__setattr__(self, "own_variables", own)
        object.__setattr__(self, "variables", (*(variable.name for variable in own), *self.ambient))

    @property
    def secret(self) -> bool:
        """Whether its value must never be shown."""
        return self.kind == "secret"

    @property
    def file_only(self) -> bool:
        """Whether only a file or Python can set it: names and structures have no variable and no flag."""
        return self.kind == "structure" or (self.place == "step" and self.kind != "duration")

    @property
    def key(self) -> str:
        """The YAML key."""
        return self.name if self.place == "settings" else camel_case(self.name)

    @property
    def yaml(self) -> str:
        """Where the key is in a step, such as ``spec.tags`` or ``spec.envVariables.PLUGIN_ENGINE``."""
        return {
            "step": self.key,
            "spec": f"spec.{self.key}",
            "env": f"spec.envVariables.{variable_name(self.name)}",
            "settings": f"spec.settings.{self.key}",
        }[self.place]

    @property
    def project_key(self) -> str:
        """Its key in ``buildpush.yaml``; empty if only a step can have it."""
        of_steps = self.name == "env_variables" or (self.place == "step" and self.name != "timeout")
        return "" if of_steps else camel_case(self.name)

    @property
    def flags(self) -> tuple[str, ...]:
        """Its flags, the usual one first."""
        return () if self.file_only else flag_names(self.name, self.kind)

    @property
    def negative_flag(self) -> str | None:
        """The flag that switches it off, such as ``--no-push``."""
        if self.kind != "switch" or self.file_only:
            return None
        return "--" + kebab_case(self.name.removeprefix("no_") if self.name.startswith("no_") else f"no_{self.name}")


def setting(
    sentence: str,
    text: str = "",
    *,
    default: Any = None,
    group: str,
    example: Any,
    honoured_by: Honour,
    place: StepSection = "spec",
    since: str = "0.1",
    changed: tuple[tuple[str, str], ...] = (),
    renamed: tuple[str, ...] = (),
    harmless: bool = False,
    alternative: str = "",
    separator: str = ",",
    aliases: tuple[Variable | str, ...] = (),
    ambient: tuple[str, ...] = (),
    adds_up: bool = False,
) -> Any:
    """Return the field that declares a setting; ``REQUIRED`` as default means that it must be set."""
    known = tuple(Variable(alias, separator) if isinstance(alias, str) else alias for alias in aliases)
    declared = Declared(
        sentence,
        text,
        group,
        example,
        honoured_by,
        place,
        since,
        changed,
        renamed,
        harmless,
        alternative,
        separator,
        known,
        ambient,
        adds_up,
    )
    return Field(default, declared)


class Settings(Model):
    """Typed settings; immutable, and their text shows no secret."""


_Ask = TypeVar("_Ask", bound=Callable[..., Any])


def once_per_model(ask: _Ask) -> _Ask:
    """Return *function*, which takes a class of settings, with its results cached; callers must not change them."""
    return cast("_Ask", cache(ask))


@once_per_model
def settings_of(model: type[Settings]) -> tuple[Setting, ...]:
    """Return the settings of a step kind, in the order of their declaration."""
    return tuple(_setting(name, field) for name, field in model.fields().items())


@once_per_model
def _by_name(model: type[Settings]) -> Mapping[str, Setting]:
    return {setting.name: setting for setting in settings_of(model)}


def setting_named(model: type[Settings], name: str) -> Setting:
    """Return one setting of *model* by its Python name.

    Raises:
        KeyError: it does not exist.
    """
    return _by_name(model)[name]


def explicitly_set(settings: Settings) -> frozenset[str]:
    """Return the names of the settings that were set to another value than their default."""
    known = _by_name(type(settings))
    return frozenset(name for name in settings.fields_set if getattr(settings, name) != known[name].default)


def former_names(settings: Iterable[Setting], spell: Callable[[str], str] = str) -> dict[str, str]:
    """Return today's name by each former name of *settings*, both as *spell* writes a Python name."""
    return {spell(former): spell(setting.name) for setting in settings for former in setting.renamed}


def camel_case(name: str) -> str:
    """Return the YAML key of a Python name: ``build_args`` gives ``buildArgs``."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def kebab_case(name: str) -> str:
    """Return the flag of a Python name, without dashes in front: ``build-args``."""
    return name.replace("_", "-")


def long_flag(name: str) -> str:
    """Return a flag of a Python name: ``--build-args``."""
    return f"--{kebab_case(name)}"


def variable_name(name: str) -> str:
    """Return the variable of a Python name: ``PLUGIN_BUILD_ARGS``."""
    return f"PLUGIN_{name.upper()}"


def flag_names(name: str, kind: str) -> tuple[str, ...]:
    """Return the flags of a Python name; lists and maps have a singular too, since one flag gives one entry."""
    plural = long_flag(name)
    if kind not in {"list", "map"} or not plural.endswith("s"):
        return (plural,)
    return (plural.removesuffix("s"), plural) if kind == "map" else (plural, plural.removesuffix("s"))


def _setting(name: str, field: Field) -> Setting:
    declared, annotation, required = field.declared, field.annotation, field.default is REQUIRED
    if not isinstance(declared, Declared):
        message = f"the field {name} is not declared with setting()"
        raise TypeError(message)
    return Setting(
        name=name,
        sentence=declared.sentence,
        text=declared.text,
        group=declared.group,
        since=declared.since,
        changed=declared.changed,
        renamed=declared.renamed,
        kind=kind_of(annotation),
        choices=choices_of(annotation),
        annotation=annotation,
        default=None if required else field.default,
        required=required,
        example=declared.example,
        honoured_by=declared.honoured_by,
        place=declared.place,
        harmless=declared.harmless,
        alternative=declared.alternative,
        separator=declared.separator,
        aliases=declared.aliases,
        ambient=declared.ambient,
        adds_up=declared.adds_up,
    )


def kind_of(annotation: Any) -> str:
    """Return the kind of value of a type, such as ``list`` or ``duration``."""
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        marked = [mark.name for mark in metadata if isinstance(mark, ValueKind)]
        return marked[-1] if marked else kind_of(inner)
    if get_origin(annotation) in {Union, types.UnionType}:
        return kind_of(next(part for part in get_args(annotation) if part is not types.NoneType))
    if get_origin(annotation) is Literal:
        return "choice"
    if get_origin(annotation) is tuple:
        return "list"
    if isinstance(get_origin(annotation), type) and issubclass(get_origin(annotation), Mapping):
        return "map"
    return _PLAIN_KINDS.get(annotation, "structure")


def choices_of(annotation: Any) -> tuple[str, ...]:
    """Return the words that a ``Literal`` type allows, or nothing."""
    if get_origin(annotation) is Literal:
        return tuple(str(word) for word in get_args(annotation))
    for part in get_args(annotation):
        if choices := choices_of(part):
            return choices
    return ()

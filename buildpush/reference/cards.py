"""One plain description per setting, for docs, ``--help``, ``explain`` and JSON; without Sphinx."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import timedelta
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Any, Final, Literal, get_args

from buildpush.engines import ENGINES
from buildpush.foundation.documents import write_yaml
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.limits import duration_text
from buildpush.foundation.records import dataclass
from buildpush.foundation.toml import write_project_toml
from buildpush.reference.situations import SITUATIONS
from buildpush.settings import encoders, kinds
from buildpush.settings.declare import Setting, setting_named, settings_of
from buildpush.settings.encoders import Values
from buildpush.settings.step_settings import CommonSettings
from buildpush.settings.stepkinds import BUILD, STEP_KINDS, StepKind, kinds_by_model

HONOURED = {
    "engine": "the engine",
    "push": "the push, whatever the engine",
    "publish": "the publishing of build-info, whatever the engine",
    "run": "the run itself, whatever the engine",
    "": "nothing yet: setting it is refused",
}
_HINT = "nothing: it has no effect here, and a note is printed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The documentation of one setting.

    Attributes:
        name: Python name; for other kinds than the build step with the kind in front, as in ``publish.url``.
        step: name of the kind of step.
        sentence: first sentence, for overviews.
        text: the rest, in MyST.
        yaml: where a step file sets it, such as ``spec.tags``.
        variables: canonical first, then aliases, then those of other tools.
        flags: usual one first; the one that switches it off is last.
        kind: its type in words, such as ``list of tags``.
        default: as YAML would write it; empty for nothing, ``None`` if the setting is required.
        since: version that has it first.
        changed: later versions, each with what is different since then, the latest last.
        renamed: names that it had in earlier versions, as ``name`` is written.
        honoured_by: who acts on it, in words.
        engines: engine to its own spelling, for those engines that honour it.
        examples: surface to text that reads back to the same value.
        situations: title, and the same for settings that are used together for a purpose.
    """

    name: str
    step: str
    group: str
    sentence: str
    text: str
    yaml: str
    variables: tuple[str, ...]
    flags: tuple[str, ...]
    kind: str
    default: str | None
    since: str
    changed: tuple[tuple[str, str], ...]
    renamed: tuple[str, ...]
    honoured_by: str
    engines: Mapping[str, str]
    examples: Mapping[str, str]
    situations: tuple[tuple[str, Mapping[str, str]], ...]
    secret: bool

    @property
    def anchor(self) -> str:
        """Its id on the settings page; stable over releases."""
        return _anchor(self.name)

    @property
    def former_anchors(self) -> tuple[str, ...]:
        """Ids that it had in earlier versions; links of other sites still lead to them."""
        return tuple(map(_anchor, self.renamed))

    def as_json(self) -> dict[str, Any]:
        """Return the card as plain JSON types; keys are stable."""
        situations = [{"title": title, "examples": dict(texts)} for title, texts in self.situations]
        return asdict(self) | {"anchor": self.anchor, "situations": situations}


def _anchor(name: str) -> str:
    return "setting-" + name.replace(".", "-").replace("_", "-")


def _codes(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"`{word}`" for word in words if word)


def _engines(card: Card) -> tuple[str, ...]:
    return tuple(f"**{engine}** `{words}`" for engine, words in card.engines.items())


# The lines of a card below its sentences, on the page and in the terminal: headings, and the entries of each.
FACTS: Final[Mapping[str, Callable[[Card], tuple[str, ...]]]] = {
    "YAML": lambda card: _codes([card.yaml]),
    "Variables": lambda card: _codes(card.variables),
    "Flags": lambda card: _codes(card.flags),
    "Type": lambda card: (card.kind,),
    "Default": lambda card: ("**required**",) if card.default is None else _codes([card.default]),
    "Honoured by": lambda card: _engines(card) or (card.honoured_by,),
    "Since": lambda card: (card.since,),
    "Changed": lambda card: tuple(f"**in {version}** {words}" for version, words in card.changed),
    "Formerly": lambda card: _codes(card.renamed),
}
_HISTORY: Final = ("Changed", "Formerly")  # most settings have none


def facts(card: Card) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the lines of a card: heading and entries."""
    for heading, entries in FACTS.items():
        if (found := entries(card)) or heading not in _HISTORY:
            yield heading, found


@cache
def cards() -> tuple[Card, ...]:
    """Return one card per setting, those of the build step first; those that all steps share are there once."""
    shared = set(CommonSettings.fields())
    return tuple(
        _card(kind.name, setting)
        for kind in STEP_KINDS.values()
        if kinds_by_model()[kind.model] is kind
        for setting in settings_of(kind.model)
        if kind is BUILD or setting.name not in shared
    )


def card_named(name: str) -> Card:
    """Return one card by its name, such as ``tags`` or ``publish.url``.

    Raises:
        KeyError: it does not exist.
    """
    return {card.name: card for card in cards()}[name]


def files() -> tuple[Path, ...]:
    """Return the files that the cards are made from, so that pages know when they are stale."""
    declaring = [f"buildpush.settings.{name}" for name in ("declare", "encoders", "stepkinds")]
    declaring += [base.__module__ for kind in STEP_KINDS.values() for base in kind.model.__mro__[:-1]]
    building = [row.load().__module__ for row in ENGINES.values()]
    modules = map(import_module, dict.fromkeys([*declaring, *building]))
    return (Path(__file__), *(Path(str(module.__file__)) for module in modules))


def groups() -> tuple[tuple[str, str], ...]:
    """Return step and name of every group of settings, in the order of the declarations."""
    return tuple(dict.fromkeys((card.step, card.group) for card in cards()))


def matrix(all_cards: Iterable[Card] | None = None) -> dict[str, dict[str, str]]:
    """Return, for each setting that engines are to honour, each engine's own spelling; empty where it has none."""
    chosen = [card for card in all_cards or cards() if card.honoured_by == HONOURED["engine"]]
    return {card.name: {engine: card.engines.get(engine, "") for engine in engine_flags()} for card in chosen}


@cache
def engine_flags() -> Mapping[str, Mapping[str, str]]:
    """Return each engine's own spelling of settings: engine name to setting name to spelling."""
    return MappingProxyType({name: row.load().flags for name, row in ENGINES.items()})


def _card(step: str, setting: Setting) -> Card:
    plain = step == BUILD.name
    prefix = "" if plain else f"{step}."
    return Card(
        name=f"{prefix}{setting.name}",
        step=step,
        group=setting.group,
        sentence=setting.sentence,
        text=setting.text,
        yaml=setting.yaml,
        variables=setting.variables,
        flags=_flags(setting) if plain else (),
        kind=words(setting),
        default=None if setting.required else in_yaml(setting.default),
        since=setting.since,
        changed=setting.changed,
        renamed=tuple(f"{prefix}{name}" for name in setting.renamed),
        honoured_by=_HINT if setting.harmless and not setting.honoured_by else HONOURED[setting.honoured_by],
        engines={engine: flags[setting.name] for engine, flags in engine_flags().items() if setting.name in flags}
        if setting.honoured_by == "engine"
        else {},
        examples=_examples(STEP_KINDS[step], setting),
        situations=_situations(STEP_KINDS[step], f"{prefix}{setting.name}"),
        secret=setting.secret,
    )


def _flags(setting: Setting) -> tuple[str, ...]:
    return setting.flags + ((setting.negative_flag,) if setting.negative_flag else ())


_NOUNS: tuple[tuple[Any, str], ...] = (
    (kinds.Tags, "list of tags"),
    (kinds.Platforms, "list of platforms, written os/architecture"),
    (kinds.Texts, "list"),
    (kinds.AutoSwitch, "yes, no or auto"),
    (kinds.RepositoryText, "host, path and name, without a tag"),
    (kinds.ReferenceText, "host, path, name and tag"),
    (kinds.PinnedReference, "host, path, name and digest"),
    (kinds.AddressText, "address, with https:// in front"),
    (kinds.IdentifierText, "letters, digits and underscores"),
    (kinds.StepName, "up to 128 letters, digits, blanks and _ . -"),
    (kinds.StageName, "name or number of a stage"),
    (kinds.BuildArgs, "names and values"),
    (kinds.Labels, "names and values"),
    (kinds.EnvSecrets, "secret ids and names of variables"),
    (kinds.FileSecrets, "secret ids and paths"),
)
_KINDS = {
    "text": "text",
    "path": "path",
    "switch": "yes or no",
    "number": "whole number",
    "list": "list",
    "map": "names and values",
    "duration": "duration in w, d, h, m, s, at least 10s",
    "size": "bytes, or with a unit: 500Mi, 2G",
    "secret": "reference to a secret",
    "structure": "structure, in YAML or Python",
}


def words(setting: Setting) -> str:
    """Return the type of *setting* in words, such as ``list of tags``."""
    if setting.choices:
        return "one of " + ", ".join(setting.choices) if len(setting.choices) > 1 else f"only {setting.choices[0]}"
    annotation = _without_none(setting.annotation)
    return next((noun for known, noun in _NOUNS if _without_none(known) == annotation), _KINDS[setting.kind])


def _without_none(annotation: Any) -> Any:
    """Return the type X of ``X | None``; any other type unchanged."""
    parts = get_args(annotation)
    if NoneType in parts:
        return next(part for part in parts if part is not NoneType)
    return annotation


def in_yaml(value: Any) -> str:
    """Return a default as one would write it in YAML; the empty text if there is none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ", ".join(in_yaml(part) for part in value)
    if isinstance(value, timedelta):
        return duration_text(value)
    return str(value) if value else ""


def example(model: type[CommonSettings], setting: Setting) -> CommonSettings:
    """Return settings that set *setting* to its example, and otherwise only what is required."""
    musts = {other.name: other.example for other in settings_of(model) if other.required}
    return model(**musts | {setting.name: setting.example})


def _examples(kind: StepKind, setting: Setting) -> dict[str, str]:
    """Return the example as written on each surface, without the other settings that are required."""
    value = getattr(example(kind.model, setting), setting.name)
    try:
        values = encoders.values_of(kind.model.construct({setting.name: value}))
        return _texts(kind, values)
    except SettingsError:
        # A value that cannot be written, because it would be read as something else.
        return {}


def _situations(kind: StepKind, name: str) -> tuple[tuple[str, Mapping[str, str]], ...]:
    return tuple(
        (
            situation.title,
            _texts(kind, [(setting_named(kind.model, one), raw) for one, raw in situation.values.items()]),
        )
        for situation in SITUATIONS.get(name, ())
    )


def _texts(kind: StepKind, values: Values) -> dict[str, str]:
    """Return *values* as written on each surface that has all of them."""
    names = {setting.name for setting, _ in values}
    # A switch as a flag has no value, and as a keyword it is a bool.
    is_open = any(setting.kind == "switch" and "<+" in str(value) for setting, value in values)
    missing = {
        "Variables": any(setting.file_only for setting, _ in values),
        "Flags": kind is not BUILD or is_open or any(setting.file_only for setting, _ in values),
        "Python": is_open or "env_variables" in names,
        "buildpush.yaml": not all(setting.project_key for setting, _ in values),
        "pyproject.toml": not all(setting.project_key for setting, _ in values),
    }
    return {name: text for name, write in SURFACES.items() if not missing.get(name) and (text := write(kind, values))}


def _as_yaml(kind: StepKind, values: Values) -> str:
    """Return what comes below ``step:`` and ``type:`` in a step file."""
    _step, _type, *lines = encoders.yaml_of(kind, values).splitlines()
    return "\n".join(line.removeprefix("  ") for line in lines if line.strip() != "spec: {}")


def _as_variables(_kind: StepKind, values: Values) -> str:
    return "\n".join(f"{name}={shlex.quote(text)}" for name, text in encoders.variables_of(values).items())


def _as_flags(_kind: StepKind, values: Values) -> str:
    return shlex.join(encoders.flags_of(values))


def _as_python(_kind: StepKind, values: Values) -> str:
    return f'buildpush.run("step.yml", {", ".join(encoders.keywords_of(values))})' if values else ""


def _as_project(_kind: StepKind, values: Values) -> str:
    return write_yaml(encoders.project_of(values)).rstrip("\n") if values else ""


def _as_toml(_kind: StepKind, values: Values) -> str:
    return write_project_toml(encoders.project_of(values)).rstrip("\n") if values else ""


SURFACES: Mapping[str, Callable[[StepKind, Values], str]] = MappingProxyType(
    {
        "YAML": _as_yaml,
        "Variables": _as_variables,
        "Flags": _as_flags,
        "Python": _as_python,
        "buildpush.yaml": _as_project,
        "pyproject.toml": _as_toml,
    }
)


def schema(document: Literal["project", "step"]) -> dict[str, Any]:
    """Return the JSON schema of ``buildpush.yaml`` or of a step file, for editors."""
    from buildpush.reference.schema import schema as of_settings

    return of_settings(document)

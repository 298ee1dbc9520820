"""Explains a setting in the terminal: its card, the value a run would use, what set it, and what it overrides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from buildpush.expressions.facts import Facts
from buildpush.foundation.documents import Raw
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.secrets import MASK
from buildpush.foundation.spelling import did_you_mean, now_called
from buildpush.foundation.text import one_line, with_margin
from buildpush.reference.cards import HONOURED, Card, cards
from buildpush.reference.cards import facts as facts_of_card
from buildpush.settings.declare import camel_case, kebab_case, long_flag, setting_named, variable_name
from buildpush.settings.decode import decode
from buildpush.settings.evaluate import evaluate_setting
from buildpush.settings.step_facts import facts_of
from buildpush.settings.step_settings import CommonSettings
from buildpush.settings.stepkinds import STEP_KINDS
from buildpush.settings.tree import Loaded, Step
from buildpush.settings.written import Origin, WrittenValue


def overview(loaded: Loaded | None = None) -> str:
    """Return one line per setting, its name and its sentence; then what the steps of *loaded* set, and where."""
    width = max(len(card.name) for card in cards())
    lines = [f"{card.name:<{width}}  {_not_yet_prefix(card)}{_plain(card.sentence)}" for card in cards()]
    for step in loaded.steps if loaded else ():
        rows = [(card, step.settings[_short(card)]) for card in cards() if _sets(step, card)]
        lines += ["", f"set for the step {step.name or step.identifier!r}:"] if rows else []
        for card, written in rows:
            lines.append(
                f"{_short(card):<{width}}  {_display(card, written.value, written.origin)}, by {_who(written.origin)}"
            )
    return "\n".join(lines)


def overview_json(loaded: Loaded, facts: Facts | None = None) -> dict[str, Any]:
    """Return the same facts as plain JSON types."""
    steps = [
        _step_json(step)
        | {"said": {_short(card): _value_json(card, step, facts) for card in cards() if _sets(step, card)}}
        for step in loaded.steps
    ]
    return {"cards": [card.as_json() for card in cards()], "steps": steps}


def _sets(step: Step, card: Card) -> bool:
    """Return whether *step* is of the card's kind and sets its setting."""
    is_of_kind = STEP_KINDS[card.step].model is step.model or _short(card) in CommonSettings.fields()
    return _short(card) in step.settings and is_of_kind


def _short(card: Card) -> str:
    return card.name.rpartition(".")[2]


def _step_json(step: Step) -> dict[str, str]:
    return {"step": step.name or step.identifier, "identifier": step.identifier}


def _not_yet_prefix(card: Card) -> str:
    return "(not yet) " if card.honoured_by == HONOURED[""] else ""


_NEAR: Final = 0.7  # names that merely share letters are not suggested


def find(name: str) -> Card:
    """Return the card of a setting by any of its names, also of an earlier version: Python, YAML, variable, flag.

    Raises:
        SettingsError: there is no such setting; the hint names similar ones.
    """
    known = {old: card for card in reversed(cards()) for old in _former_spellings(card)}
    known |= {spelling: card for card in reversed(cards()) for spelling in _spellings(card)}
    if name in known:
        return known[name]
    hint = did_you_mean(name, known, cutoff=_NEAR) or "'buildpush explain' lists them all"
    message = f"unknown setting {name!r}"
    raise SettingsError(message, hint=hint)


def as_text(name: str, loaded: Loaded, facts: Facts | None = None) -> str:
    """Return the card of the setting *name* and, step by step, its value and what set it.

    Args:
        name: any of its spellings.
        loaded: the steps.
        facts: of a dry run, to evaluate the expressions in the value; without them, the value is shown as written.
    """
    card = find(name)
    lines = [line for step in loaded.steps for line in _value_lines(card, step, facts)]
    moved = [] if name in _spellings(card) else [f"{name} is a name of an earlier version: {now_called(card.name)}", ""]
    return "\n".join([*moved, *_card(card), "", *(lines or [f"value     {_default(card)}"])])


def as_json(name: str, loaded: Loaded, facts: Facts | None = None) -> dict[str, Any]:
    """Return the same facts as plain JSON types; arguments are those of :func:`as_text`."""
    card = find(name)
    steps = [_step_json(step) | {"said": _value_json(card, step, facts)} for step in loaded.steps]
    return {"card": card.as_json(), "steps": steps}


def _spellings(card: Card) -> Iterator[str]:
    yield card.name
    yield card.yaml
    yield card.yaml.rpartition(".")[2]
    yield from card.variables
    yield from card.flags
    yield from (flag.lstrip("-") for flag in card.flags)


def _former_spellings(card: Card) -> Iterator[str]:
    for name in card.renamed:
        yield name
        yield from (spell(name.rpartition(".")[2]) for spell in (str, camel_case, variable_name, long_flag, kebab_case))


def _plain(text: str) -> str:
    return text.replace("{setting}", "").replace("`", "").replace("**", "")


def _card(card: Card) -> Iterator[str]:
    yield f"{card.name}: {_plain(card.sentence)}"
    if card.text:
        yield f"  {_plain(card.text)}"
    for heading, entries in facts_of_card(card):
        words = ", ".join(map(_plain, entries))
        first = heading.partition(" ")[0]
        yield f"{first if first.isupper() else first.lower():<9} {words or 'none'}"


def _default(card: Card) -> str:
    return "not set, and it is required" if card.default is None else f"{card.default or 'none'} (the default)"


def _value_lines(card: Card, step: Step, facts: Facts | None) -> Iterator[str]:
    name = _short(card)
    written = step.settings.get(name)
    if written is None:
        return
    value, reason = _evaluated_value(card, step, written, facts)
    if reason:
        yield f"value     not known here: {reason}"
    else:
        yield f"value     {_display(card, value, written.origin)}"
    if reason or value != written.value:
        yield f"written   {_display(card, written.value, written.origin)}"
    yield f"set by    {_who(written.origin)}, for the step {step.name or step.identifier!r}"
    for value, origin in written.overridden:
        yield f"overrode  {_display(card, value, origin)}, set by {_who(origin)}"


def _evaluated_value(card: Card, step: Step, written: WrittenValue, facts: Facts | None) -> tuple[Raw, str]:
    """Return the value that a run would use, or why it is not known here; no secret is read to explain it."""
    if facts is None or card.secret:
        return written.value, ""
    try:
        return evaluate_setting(step, _short(card), written, facts_of(step, facts)), ""
    except SettingsError as error:
        return "", str(error)


def _value_json(card: Card, step: Step, facts: Facts | None) -> dict[str, Any] | None:
    written: WrittenValue | None = step.settings.get(_short(card))
    if written is None:
        return None
    overridden = [{"value": _display(card, value, origin), "by": origin.where} for value, origin in written.overridden]
    value, reason = _evaluated_value(card, step, written, facts)
    return {
        "value": None if reason else _display(card, value, written.origin),
        "reason": reason or None,
        "written": _display(card, written.value, written.origin),
        "by": written.origin.where,
        "overrode": overridden,
    }


def _who(origin: Origin) -> str:
    kinds = {"variable": "the variable ", "flag": "the flag ", "keyword": "the keyword ", "default": "the default "}
    return f"{kinds.get(origin.kind, '')}{one_line(origin.where)}"


def _display(card: Card, value: Raw, origin: Origin) -> str:
    """Return *value* in one form, wherever it was set: a variable writes ``1,2`` where a file has a list."""
    if card.secret and not str(value).startswith(("env:", "file:", "secret:", "<+")):
        return MASK
    setting = setting_named(STEP_KINDS[card.step].model, _short(card))
    if setting.kind in {"list", "map"} and isinstance(value, str) and "<+" not in value:
        with suppress(SettingsError):
            value = decode(setting, value, origin) or value
    if isinstance(value, list):
        return with_margin(", ".join(map(str, value)))
    if isinstance(value, dict):
        return with_margin(", ".join(f"{name}={part}" for name, part in value.items()))
    return with_margin(str(value))

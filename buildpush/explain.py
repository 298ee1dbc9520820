"""A setting explained in the terminal: its card, the value a run would use, who said it, what it overrode."""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from buildpush.cards import HONOURED, Card, cards
from buildpush.errors import SettingsError
from buildpush.plan import Surroundings
from buildpush.secrets import MASK, Secret, redact
from buildpush.settings.resolve import answered
from buildpush.settings.written import Loaded, Origin, Raw, Written, WrittenStep


def overview() -> str:
    """Return one line per setting: its name and its sentence."""
    width = max(len(card.name) for card in cards())
    return "\n".join(f"{card.name:<{width}}  {_mark(card)}{_plain(card.sentence)}" for card in cards())


def _mark(card: Card) -> str:
    return "(not yet) " if card.honoured_by == HONOURED[""] else ""


def find(name: str) -> Card:
    """Return the card of a setting by any of its names: Python, YAML, variable or flag.

    Raises:
        SettingsError: there is no such setting; the hint names near ones.
    """
    known = {spelling: card for card in reversed(cards()) for spelling in _spellings(card)}
    if name in known:
        return known[name]
    near = get_close_matches(name, known, n=3)
    hint = f"did you mean {', '.join(near)}?" if near else "'buildpush explain' lists them all"
    message = f"there is no setting {name!r}"
    raise SettingsError(message, hint=hint)


def as_text(name: str, loaded: Loaded, around: Surroundings | None = None) -> str:
    """Return the card of the setting *name* and, step by step, its value and who said it.

    Args:
        name: any of its spellings.
        loaded: the steps.
        around: a dry run's, to answer the expressions in the value; without it, the value is shown as written.
    """
    card = find(name)
    said = [line for step in loaded.steps for line in _said(card, step, around)]
    return "\n".join([*_card(card), "", *(said or [f"value     {_default(card)}"])])


def as_json(name: str, loaded: Loaded) -> str:
    """Return the same facts as one JSON document."""
    card = find(name)
    steps = [{"step": step.identifier, "said": _said_json(card, step)} for step in loaded.steps]
    return json.dumps({"card": card.as_json(), "steps": steps}, indent=2, ensure_ascii=False)


def _spellings(card: Card) -> Iterator[str]:
    yield card.name
    yield card.yaml
    yield card.yaml.rpartition(".")[2]
    yield from card.variables
    yield from card.flags
    yield from (flag.lstrip("-") for flag in card.flags)


def _plain(text: str) -> str:
    return text.replace("{setting}", "").replace("`", "")


def _card(card: Card) -> Iterator[str]:
    yield f"{card.name}: {_plain(card.sentence)}"
    if card.text:
        yield f"  {_plain(card.text)}"
    yield f"YAML      {card.yaml}"
    if card.variables:
        yield f"variable  {', '.join(card.variables)}"
    if card.flags:
        yield f"flag      {', '.join(card.flags)}"
    yield f"type      {card.kind}"
    yield f"default   {'required' if card.default is None else card.default or 'none'}"
    yield f"honoured  {card.honoured_by}"
    for engine, words in card.engines.items():
        yield f"          {engine}: {words}"


def _default(card: Card) -> str:
    return "nobody said it, and it is required" if card.default is None else f"{card.default or 'none'} (the default)"


def _said(card: Card, step: WrittenStep, around: Surroundings | None) -> Iterator[str]:
    name = card.name.rpartition(".")[2]
    written = step.settings.get(name)
    if written is None:
        return
    value = answered(step, name, written, around.facts.within(written=step.facts)) if around else written.value
    yield f"value     {_shown(card, value)}"
    if value != written.value:
        yield f"written   {_shown(card, written.value)}"
    yield f"said by   {_who(written.origin)}, for the step {step.name or step.identifier!r}"
    for value, origin in written.overridden:
        yield f"overrode  {_shown(card, value)}, said by {_who(origin)}"


def _said_json(card: Card, step: WrittenStep) -> dict[str, Any] | None:
    written: Written | None = step.settings.get(card.name.rpartition(".")[2])
    if written is None:
        return None
    overridden = [{"value": _shown(card, value), "by": origin.where} for value, origin in written.overridden]
    return {"value": _shown(card, written.value), "by": written.origin.where, "overrode": overridden}


def _who(origin: Origin) -> str:
    kinds = {"variable": "the variable ", "flag": "the flag ", "keyword": "the keyword ", "default": "the default "}
    return f"{kinds.get(origin.kind, '')}{origin.where}"


def _shown(card: Card, value: Raw) -> str:
    if card.secret and not str(value).startswith(("env:", "file:", "secret:", "<+")):
        return MASK
    text = str(value) if isinstance(value, str | Secret) else json.dumps(value, ensure_ascii=False, default=str)
    return redact(text)

"""Writes the settings of a step as a ``TypedDict``, from which type checkers and editors know each keyword.

``python -m buildpush.reference.step_keywords`` writes ``buildpush/settings/step_keywords.py`` again.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, get_args

from buildpush import settings
from buildpush.foundation.regex import regex
from buildpush.foundation.secrets import Secret
from buildpush.reference.cards import Card, cards
from buildpush.settings.declare import Setting, kind_of, setting_named
from buildpush.settings.kinds import AutoSwitch
from buildpush.settings.stepkinds import BUILD, STEP_KINDS

FILE: Final = Path(settings.__file__).with_name("step_keywords.py")
_ROLE: Final = regex(r"\{[\w:]+\}(?=`)")
_WIDTH: Final = 116
_HEAD: Final = '''"""The settings of a step as keywords, for type checkers and editors.

Generated from the declarations: ``python -m buildpush.reference.step_keywords`` writes it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from buildpush.foundation.secrets import Secret


class StepSettings(TypedDict, total=False):
    """Keywords of ``run``, ``build``, ``check`` and ``load``: the settings of every kind of step.

    ``None`` sets nothing.
    """
'''
# A Sequence would do for a list, but a text is one as well, and would be taken for a list of letters.
_HINTS: Final = {
    "text": "str",
    "path": "str | PurePath",
    "switch": "bool",
    "number": "int",
    "list": "list[str] | tuple[str, ...]",
    "map": "Mapping[str, str]",
    "duration": "timedelta | str",
    "size": "int | str",
    "secret": "Secret | str",
}
_STRUCTURES: Final[Mapping[type, str]] = {dict: "Mapping[str, Any]", list: "list[Any] | tuple[Any, ...]"}
_SWITCHES: Final = {"true": "True", "false": "False"}


def text() -> str:
    """Return the module that has the keywords."""
    by_name: dict[str, list[Card]] = {}
    for card in cards():
        by_name.setdefault(_keyword(card), []).append(card)
    del by_name["env_variables"]  # which only a file has
    return _HEAD + "".join(f"\n    {name}: {_hint(same)}\n{_docstring(same)}" for name, same in by_name.items())


def _keyword(card: Card) -> str:
    return card.name.rpartition(".")[2]


def _hint(same: Iterable[Card]) -> str:
    """Return the type of a keyword: what it takes in any kind of step, or ``None``."""
    settings_so_named = [setting_named(STEP_KINDS[card.step].model, _keyword(card)) for card in same]
    return " | ".join(dict.fromkeys([part for setting in settings_so_named for part in _types(setting)] + ["None"]))


def _types(setting: Setting) -> tuple[str, ...]:
    if setting.choices:
        return (f"Literal[{', '.join(json.dumps(word) for word in setting.choices)}]",)
    if setting.kind == "structure":
        return (_STRUCTURES.get(type(setting.example), "str"),)
    if setting.kind == "map":
        return (f"Mapping[str, {_HINTS[_kind_of_values(setting)]}]",)
    return (_HINTS[setting.kind], *(['Literal["auto"]'] if setting.annotation == AutoSwitch else []))


def _kind_of_values(setting: Setting) -> str:
    """Return the kind of the values of a map."""
    annotation = get_args(setting.annotation)[1]
    return "secret" if Secret in get_args(get_args(annotation)[0]) else kind_of(annotation)


def _docstring(same: Sequence[Card]) -> str:
    """Return what editors show: the card, and what it says in other kinds of steps."""
    steps: dict[tuple[str, str], list[str]] = {}
    for card in same:
        kind = STEP_KINDS[card.step]
        steps.setdefault((card.sentence, card.text), []).append("" if kind is BUILD else f"`{kind.image or kind.type}`")
    facts = _facts(same[0])
    paragraphs = [part for (sentence, text), kinds in steps.items() for part in (_lead(kinds) + sentence, text)]
    body = "\n\n".join(_wrapped(part) for part in (*paragraphs, *facts) if part)
    return f'    """{body.lstrip()}\n    """\n'


def _facts(card: Card) -> Iterator[str]:
    if card.secret:
        yield "It is a `buildpush.Secret`, or such a reference."
    if card.engines:
        yield f"Engines: {', '.join(card.engines)}."
    if card.honoured_by.startswith("nothing"):
        yield f"Honoured by {card.honoured_by}."
    if card.default:
        yield f"Default: `{_SWITCHES.get(card.default, card.default)}`."
    if "Python" in card.examples:
        yield f"Example: `{card.examples['Python']}`."


def _lead(kinds: Sequence[str]) -> str:
    return f"In a step {' or '.join(kinds)}: " if all(kinds) else ""


def _wrapped(words: str) -> str:
    plain = _ROLE.sub("", words).replace("\\", "\\\\")
    return textwrap.fill(plain, _WIDTH, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")

"""The facts for the expressions of a step: what is around it in the file, and its variables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from buildpush.expressions.ci import variables_of_codebase
from buildpush.expressions.evaluate import LaterError
from buildpush.expressions.facts import Facts
from buildpush.foundation.errors import SecretError
from buildpush.foundation.secrets import Secret
from buildpush.settings.answers import SettingEvaluator
from buildpush.settings.decode import READABLE_HINT
from buildpush.settings.proxies import PROXIES, proxies_of
from buildpush.settings.tree import Step
from buildpush.settings.written import WrittenValue

# Variables that have an effect in a file as in the environment, although they set no setting.
OF_STEPS: Final = PROXIES | variables_of_codebase()


def facts_of(step: Step, facts: Facts, *, known: bool = False) -> Facts:
    """Return the facts of *step*; if *known*, only from variables that have a value before the run.

    Raises:
        SettingsError: an expression of a variable cannot be evaluated; with its place.
    """
    around = facts.without_variables().within(step.scope, step.facts, step.around)
    own = dict(_variables(step, around, known=known))
    # in all spellings: the environment may have another one
    return around.with_variables(own | proxies_of(own, ())) if own else around


def _variables(step: Step, facts: Facts, *, known: bool) -> Iterator[tuple[str, str]]:
    for name in sorted(OF_STEPS & step.environment.keys()):
        with suppress(*((LaterError,) if known else ())):
            if text := _text(name, step.environment[name], facts):
                yield name, text


def _text(name: str, written: WrittenValue, facts: Facts) -> str:
    value = SettingEvaluator(name, name, written.origin, facts).evaluate(written.value)
    if not isinstance(value, Secret):
        return str(value)
    if name in PROXIES:
        return value.reveal()
    message = f"{name} is a secret, which would be readable in labels and tags"
    raise SecretError(message, where=written.origin.where, hint=READABLE_HINT)

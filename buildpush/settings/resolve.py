"""Turns typed settings into an order: paths made absolute, names checked, credentials found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from buildpush.credentials.connectors import Connectors
from buildpush.credentials.vault import Vault
from buildpush.expressions.ci import revision_of
from buildpush.expressions.facts import Facts
from buildpush.settings.resolved import ResolveContext, ResolvedStep
from buildpush.settings.step_facts import facts_of
from buildpush.settings.step_settings import CommonSettings
from buildpush.settings.stepkinds import kind_of
from buildpush.settings.tree import Step


def resolve(
    settings: CommonSettings,
    *,
    cwd: Path,
    facts: Facts,
    vault: Vault,
    connectors: Connectors | None = None,
    step: Step | None = None,
) -> ResolvedStep:
    """Return the order that *settings* give.

    Args:
        settings: of one step, typed.
        cwd: absolute directory that relative paths start at.
        facts: of the run; they give the build's name and number if these are not set.
        vault: gives secrets.
        connectors: those of the connectors file, if there is one.
        step: holds where each setting was written, for errors and for ``check``.

    Raises:
        SettingsError: something does not exist, does not fit, or is missing.
        SecretError: a secret reference leads nowhere.
    """
    around = facts_of(step, facts) if step else facts
    ctx = ResolveContext(cwd, around, vault, connectors or Connectors(), step.settings if step else {})
    order = kind_of(settings).resolve(settings, ctx)
    return replace(order, revision=revision_of(around.env))

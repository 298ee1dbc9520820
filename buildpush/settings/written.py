"""What was written, before expressions are evaluated: text with its place, and who said what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from buildpush.foundation.documents import Raw, Trail
from buildpush.foundation.errors import SourceError

OriginKind = Literal["file", "variable", "flag", "keyword", "project", "default"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Who said a value.

    Attributes:
        where: ``step.yml:7:3``, ``PLUGIN_TAGS``, ``--tags``, ``tags=``, for people.
        text: the value as it was written, stars for a secret.
        variable: the variable that said it, be it in the environment or among a file's ``envVariables``.
        parts: places of the values inside a list or map.
    """

    kind: OriginKind
    where: str
    text: str
    variable: str = ""
    parts: Mapping[Trail, str] = field(default_factory=dict, repr=False, compare=False)

    def at(self, *path: str | int) -> str:
        """Return the place of a value inside, or of the nearest one around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.parts:
                return self.parts[path[:length]]
        return self.where


@dataclass(frozen=True, slots=True)
class Written:
    """The value of one setting as text, who said it, and what it overrode, strongest first."""

    value: Raw
    origin: Origin
    overridden: tuple[tuple[Raw, Origin], ...] = ()


@dataclass(frozen=True, slots=True)
class WrittenStep:
    """One step with its settings by Python name, not typed yet.

    Attributes:
        type: ``BuildAndPushDockerRegistry`` or ``Plugin``.
        where: place of the step, such as ``step.yml:3:5``; ``flags and variables`` without a file.
        facts: what the file says around it, by expression path: ``pipeline.name``, ``stage.variables.x``,
            ``step.identifier``.
    """

    identifier: str
    name: str
    type: str
    settings: Mapping[str, Written]
    where: str
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The steps of a file, in its order, and what else the user should hear about it.

    Attributes:
        others: steps that are not run, such as ``Run 'Unit tests' (step.yml:12:7)``.
        notes: sentences about what has no effect.
        project: the ``buildpush.yaml`` or ``pyproject.toml`` that was read.
    """

    steps: tuple[WrittenStep, ...]
    others: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    file: Path | None = None
    project: Path | None = None

    @property
    def facts(self) -> Mapping[str, str]:
        """What the file says about the whole pipeline, by expression path."""
        return {path: text for step in self.steps for path, text in step.facts.items() if path.startswith("pipeline.")}

    def step(self, identifier: str) -> WrittenStep:
        """Return the step of that identifier.

        Raises:
            SourceError: there is none.
        """
        for step in self.steps:
            if step.identifier == identifier:
                return step
        message = f"there is no step {identifier!r}"
        raise SourceError(message, hint=f"there are: {', '.join(step.identifier for step in self.steps)}")

"""Facts about this run from the variables of CI systems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Final

from buildpush.expressions.ci_systems import CI_SYSTEMS, Env, FileKind, Formula, ValueSource
from buildpush.foundation.forms import clean_address
from buildpush.foundation.records import dataclass

_ADDRESSES: Final = frozenset({"codebase.repoUrl", "pipeline.executionUrl"})


def value_of(name: str, env: Env) -> str:
    """Return the value of *name* from the first CI system that has one, or the empty text.

    A value that a single variable has takes precedence over one that is computed.
    """
    if value := next((env[variable] for variable in variables_of(name) if env.get(variable)), ""):
        return clean_address(value) if name in _ADDRESSES else value
    return next(
        (value for lookup in _lookups(name) if isinstance(lookup, Formula) and (value := lookup.compute(env))), ""
    )


def variables_of(name: str) -> tuple[str, ...]:
    """Return the variables that contain just the value of *name*, in order of precedence."""
    plain = (_variables(lookup) for lookup in _lookups(name) if not isinstance(lookup, Formula))
    return tuple(dict.fromkeys(chain.from_iterable(plain)))


def all_variables_of(name: str) -> Mapping[str, tuple[str, ...]]:
    """Return the variables that the value of *name* may come from, by CI system."""
    return {system.name: _variables(system.values[name]) for system in CI_SYSTEMS if name in system.values}


def _variables(lookup: ValueSource) -> tuple[str, ...]:
    if isinstance(lookup, Formula):
        return lookup.variables
    return (lookup,) if isinstance(lookup, str) else lookup


def _lookups(name: str) -> Iterator[ValueSource]:
    return (system.values[name] for system in CI_SYSTEMS if name in system.values)


def variables_of_codebase() -> frozenset[str]:
    """Return the variables with which Harness and Drone describe the codebase."""
    drone = next(system for system in CI_SYSTEMS if system.name == "Drone")
    named = (_variables(lookup) for name, lookup in drone.values.items() if name.startswith("codebase."))
    return frozenset(chain.from_iterable(named)) | {"DRONE_REMOTE_URL", "DRONE_REPO_BRANCH"}


def files(env: Env, kind: FileKind) -> Mapping[str, Path]:
    """Return the files of that *kind* that variables in *env* name, by variable, each file once."""
    named = [name for system in CI_SYSTEMS for name, one in system.files.items() if one == kind and env.get(name)]
    by_path = {Path(env[name]): name for name in reversed(named)}
    return {name: path for path, name in reversed(by_path.items())}


@dataclass(frozen=True, slots=True)
class Ci:
    """The CI system that this run belongs to; a value that it does not give is empty.

    Attributes:
        url: of the page of this run.
        number: of this run.
        actor: who started it.
    """

    name: str = ""
    url: str = ""
    number: str = ""
    actor: str = ""


def ci(env: Env) -> Ci:
    """Return the CI system that this run belongs to, and its values for it."""
    name = next((system.name for system in CI_SYSTEMS if env.get(system.marker)), "")
    values = ("pipeline.executionUrl", "pipeline.sequenceId", "pipeline.triggeredBy.name")
    return Ci(name, *(value_of(value, env) for value in values))


@dataclass(frozen=True, slots=True)
class CiBuild:
    """What a CI system calls the run that it makes; what it does not say is empty.

    Attributes:
        name: of the pipeline, with the repository or the project before it.
        job: of the pipeline, which may have several at the same time.
        number: of the run.
        attempt: the number of its attempt, if it is not the first.
    """

    name: str = ""
    job: str = ""
    number: str = ""
    attempt: str = ""

    @property
    def whole_name(self) -> str:
        """Name and job."""
        return "/".join(filter(None, (self.name, self.job)))

    @property
    def whole_number(self) -> str:
        """Number and attempt."""
        return ".".join(filter(None, (self.number, self.attempt)))


def ci_build(env: Env) -> CiBuild:
    """Return what the CI system that this run belongs to calls it."""
    system = next((system for system in CI_SYSTEMS if env.get(system.marker)), None)
    if system is None:
        return CiBuild()
    name = "/".join(filter(None, (env.get(variable, "") for variable in system.build)))
    attempt = env.get(system.attempt, "")
    return CiBuild(name, env.get(system.job, ""), ci(env).number, attempt if attempt != "1" else "")


def revision_of(env: Env) -> Mapping[str, str]:
    """Return the fields of :class:`Vcs` that CI variables give; the branch of a pull request is its source branch."""
    names = {
        "url": ("codebase.repoUrl",),
        "revision": ("codebase.commitSha",),
        "branch": ("codebase.sourceBranch", "codebase.branch"),
        "message": ("codebase.commitMessage",),
    }
    return {field: next(filter(None, (value_of(one, env) for one in sources)), "") for field, sources in names.items()}

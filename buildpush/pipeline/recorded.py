"""The record in an executed notebook: read as what a stranger may have written, and compared with the registries."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

from buildpush.display.tables import shows_itself
from buildpush.foundation.cell_records import VERSION, records_in
from buildpush.foundation.errors import (
    BuildPushError,
    CancelledError,
    RegistryError,
    SourceError,
    TimeOutError,
    UnreachableError,
)
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import redacted
from buildpush.foundation.text import one_line
from buildpush.http.urls import AddressError
from buildpush.images.compression import digest_of
from buildpush.images.references import Digest, Reference
from buildpush.registry.client import Registry
from buildpush.registry.pull import fetch_manifest

ReferenceState = Literal["same", "moved", "gone", "replaced", "unknown"]

# More than any notebook has; a hostile one ends here.
_MOST_BYTES: Final = 256 << 20
_MOST_CHARACTERS: Final = 4096
_MOST_ENTRIES: Final = 1000
_MOST_SECONDS: Final = 1e9  # thirty years
_NOT_FOUND: Final = 404
_ABOUT_BUILD: Final = ("name", "number", "url", "project")
_HINT: Final = "execute the notebook again, or take the one that buildpush has written"


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """What a run pushed, as the notebook has it; texts are empty, and *seconds* 0, where it does not say.

    Attributes:
        build: name, number, url and project of its build-info, by these names; empty if none was published.
        started: when it began, as it was written.
    """

    step: str
    engine: str
    references: tuple[Reference, ...]
    digest: Digest | None
    build: Mapping[str, str]
    started: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ComparedReference:
    """A reference of a record, and what its registry has under that name now.

    Attributes:
        state: ``replaced`` if a later run of the notebook pushed something else there; ``unknown`` if that cannot be
            read.
        now: the digest that it names; why that is not known; empty if it names nothing.
    """

    reference: Reference
    state: ReferenceState
    now: str = ""

    @property
    def is_as_recorded(self) -> bool:
        """Whether the record is true of it, or of a later run."""
        return self.state in {"same", "replaced"}

    @property
    def words(self) -> str:
        """The state in words."""
        return {
            "moved": f"moved to {self.now}",
            "replaced": "replaced by a later run",
            "unknown": f"cannot be read: {self.now}",
        }.get(self.state, self.state)


@shows_itself
@dataclass(frozen=True, slots=True)
class ComparedRecord:
    """The record of a notebook, compared with the registries: for each run, its references."""

    version: str
    runs: tuple[tuple[RecordedRun, tuple[ComparedReference, ...]], ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """What is not as recorded, a sentence each."""
        return tuple(
            f"{one.reference}: {one.words}"
            for one in dict.fromkeys(one for _, found in self.runs for one in found)
            if not one.is_as_recorded
        )

    def as_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON types."""
        runs = [
            {
                "step": run.step,
                "engine": run.engine or None,
                "digest": str(run.digest) if run.digest else None,
                "references": [
                    {"reference": str(one.reference), "state": one.state, "now": one.now or None} for one in found
                ],
                "build": dict(run.build) or None,
                "started": run.started or None,
                "seconds": run.seconds,
            }
            for run, found in self.runs
        ]
        return dict(redacted({"ok": not self.problems, "buildpush": self.version, "runs": runs}))

    def rows(self) -> list[tuple[str, str]]:
        """Return the facts as pairs of a label and a text."""
        rows = [("record", f"by buildpush {self.version}")]
        for run, found in self.runs:
            engine = f", built by {run.engine}" if run.engine else ""
            rows.append(("step", f"{run.step}: {run.started}, {run.seconds:.1f} s{engine}"))
            rows += [("digest", str(run.digest))] if run.digest else []
            rows += [("image", f"{one.reference}: {one.words}") for one in found]
            rows += [("build", run.build["url"] or " ".join(filter(None, run.build.values())))] if run.build else []
        return [(name, one_line(text)) for name, text in rows]

    def __str__(self) -> str:
        return "\n".join(f"{name:<8}{text}" for name, text in self.rows())


def read_record(path: Path) -> tuple[str, tuple[RecordedRun, ...]]:
    """Return which buildpush executed the notebook at *path*, and what it pushed.

    Raises:
        SourceError: it cannot be read, is no notebook, has no record, or one that no buildpush has written.
    """
    try:
        records = records_in(_notebook(path))
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        message = f"{path} is not a notebook"
        raise SourceError(message, hint="give a file that ends in .ipynb") from error
    if not records:
        message = f"{path} has no record: nothing was pushed in it"
        raise SourceError(message, hint="execute it first: buildpush tutorial NOTEBOOK, papermill, or in JupyterLab")
    entry = _Entry(f"the record in {path}", records[-1])
    version = entry.text("buildpush")
    runs = [run for one in records for run in _runs(_Entry(f"the record in {path}", one))]
    return version, tuple(runs[:_MOST_ENTRIES])


def _notebook(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise SourceError(message, hint="name a notebook that was executed") from error
    if len(data) > _MOST_BYTES:
        message = f"{path} is larger than {_MOST_BYTES >> 20} MB"
        raise SourceError(message, hint=_HINT)
    return json.loads(data)  # not strict: as Jupyter reads it


def _runs(record: _Entry) -> Iterator[RecordedRun]:
    if (version := record.value("version", int)) != VERSION:
        message = f"{record.name} has the version {str(version)[:20]}, and this buildpush reads {VERSION}"
        raise SourceError(message, hint="read it with the buildpush that has written it, or a newer one")
    for at, entry in enumerate(record.entries("runs"), 1):
        run = _Entry(f"run {at} of {record.name}", entry)
        build = _Entry(f"the build of {run.name}", run.value("build", dict) or {})
        digest = run.text("digest")
        yield RecordedRun(
            run.text("step"),
            run.text("engine"),
            tuple(Reference.parse(text) for text in run.texts("references")),
            Digest(digest) if digest else None,
            {name: build.text(name) for name in _ABOUT_BUILD} if run.value("build", dict) else {},
            run.text("started"),
            run.seconds(),
        )


class _Entry:
    """An object of a record; what is asked of it has the right type and size, or is refused."""

    def __init__(self, name: str, content: object) -> None:
        self.name = name
        self._content: Mapping[str, Any] = (
            content if isinstance(content, dict) else self._refuse("", "is not an object")
        )

    def value(self, key: str, *types: type) -> Any:
        """Return what is at *key*, or ``None``."""
        value = self._content.get(key)
        if value is not None and type(value) not in types:
            self._refuse(key, f"is of the type {type(value).__name__}")
        return value

    def text(self, key: str) -> str:
        """Return the text at *key*; empty if there is none."""
        return self._checked(key, self.value(key, str) or "")

    def seconds(self) -> float:
        """Return the number of seconds; 0 if there is none. JSON has no infinity, though Python reads one."""
        value = self.value("seconds", int, float) or 0
        if not 0 <= value <= _MOST_SECONDS:  # nor is NaN
            self._refuse("seconds", "is not a number of seconds")
        return float(value)

    def entries(self, key: str) -> Sequence[Any]:
        """Return the list at *key*; empty if there is none."""
        values: Sequence[Any] = self.value(key, list) or ()
        if len(values) > _MOST_ENTRIES:
            self._refuse(key, f"has {len(values)} entries")
        return values

    def texts(self, key: str) -> Iterator[str]:
        """Yield the texts in the list at *key*."""
        yield from (self._checked(key, one) for one in self.entries(key))

    def _checked(self, key: str, text: object) -> str:
        if not isinstance(text, str) or len(text) > _MOST_CHARACTERS:
            self._refuse(key, "is not a text, or too long")
        return text

    def _refuse(self, key: str, why: str) -> NoReturn:
        message = f"{self.name} was not written by buildpush: {f'{key!r} ' if key else 'it '}{why}"
        raise SourceError(message, hint=_HINT)


def compare(version: str, runs: Sequence[RecordedRun], registry: Registry) -> ComparedRecord:
    """Return the record of *runs* with what *registry* has under each of their references now."""
    last = {reference: run.digest for run in runs for reference in run.references}
    question = _Question(registry)
    states = {reference: question.ask(reference, digest) for reference, digest in last.items()}

    def compared(run: RecordedRun, reference: Reference) -> ComparedReference:
        is_last = last[reference] == run.digest
        return states[reference] if is_last else ComparedReference(reference, "replaced", str(last[reference] or ""))

    return ComparedRecord(version, tuple((run, tuple(compared(run, one) for one in run.references)) for run in runs))


class _Question:
    """Asks a registry what names are now; a host that does not answer is asked once."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._silent: dict[str, str] = {}

    def ask(self, reference: Reference, recorded: Digest | None) -> ComparedReference:
        host = reference.repository.host
        if host in self._silent:
            return ComparedReference(reference, "unknown", self._silent[host])
        try:
            now = self._digest(reference, recorded.algorithm if recorded else "sha256")
        except (CancelledError, TimeOutError):
            raise
        except BuildPushError as error:
            if isinstance(error, UnreachableError) and not isinstance(error, AddressError):
                self._silent[host] = str(error)  # which a wrong redirect of one reference is not
            return ComparedReference(reference, "unknown", str(error))
        if now is None:
            return ComparedReference(reference, "gone")
        return ComparedReference(reference, "same" if recorded and now == str(recorded) else "moved", now)

    def _digest(self, reference: Reference, algorithm: str) -> str | None:
        """Return the digest of the bytes that a reference names, or ``None`` if it names nothing."""
        try:
            answer = fetch_manifest(reference, self._registry)
        except RegistryError as error:
            if error.status != _NOT_FOUND:
                raise
            return None
        return str(digest_of(answer.body, algorithm))

"""What a run may touch of the world outside, and what it remembers while it goes on."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from buildpush.foundation.errors import SettingsError
from buildpush.foundation.events import Decision, Event, Finished, Log, Note, Retry, Sink, Started, Traffic, ignore
from buildpush.foundation.records import dataclass
from buildpush.foundation.state import State
from buildpush.foundation.text import one_line, with_margin


def _home() -> Path | None:
    with suppress(RuntimeError):  # no HOME, and a user that the system does not know, as in many clusters
        return Path.home()
    return None


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        message = "the working folder was removed"
        raise SettingsError(message, hint="change to a folder that is there") from error


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The surroundings of a run, all of them passed in.

    Attributes:
        env: the environment; nothing below the command line reads another one.
        cwd: folder that relative paths start from.
        home: the user's folder, where registry logins are looked for; ``None`` for a user without one.
        connectors: file of connectors and secret references.
        secrets: folder with a file per secret.
        variables: what expressions may ask for, by name.
        sink: told what happens.
        now: the clock.
    """

    env: Mapping[str, str]
    cwd: Path
    home: Path | None
    state: State
    connectors: Path | None = None
    secrets: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    sink: Sink = ignore
    now: Callable[[], datetime] = _now

    @classmethod
    def default(
        cls,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        connectors: Path | None = None,
        secrets: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Session:
        """Return the surroundings of this process, but for what is given."""
        return cls(
            env=dict(os.environ if env is None else env),
            cwd=cwd or _working_folder(),
            home=_home(),
            state=State.default(),
            connectors=connectors,
            secrets=secrets,
            variables=variables or {},
        )

    @property
    def pending(self) -> Path:
        """Folder for build-infos that could not be published: the working folder where there is no other."""
        try:
            return self.state.pending
        except SettingsError:
            return self.cwd

    def watched(self, sink: Sink) -> Session:
        """Return the same surroundings with another sink."""
        return replace(self, sink=sink)


class Story:
    """Phases with their times, and what was retried, decided and noted on the way; itself a sink.

    Layers travel in several threads; the sink behind is called by one at a time.
    """

    def __init__(self, sink: Sink, notes: Iterable[str] = ()) -> None:
        self._sink = sink
        # A signal's handler may tell something in the middle of a call.
        self._lock = threading.RLock()
        self.seconds: dict[str, float] = {}
        self.retries = 0
        self.traffic: Traffic | None = None
        self.decisions: list[Decision] = []
        self.notes = [with_margin(note) for note in notes]  # told before the story begins
        self.log: TextIO | None = None  # gets every line that an engine prints
        self._inner = [0.0]

    def __call__(self, event: Event) -> None:
        """Remember what the result will tell, and pass the event on."""
        with self._lock:
            match event:
                case Retry():
                    self.retries += 1
                case Decision():
                    self.decisions.append(
                        replace(event, choice=with_margin(event.choice), reason=with_margin(event.reason))
                    )
                case Note(text):
                    self.notes.append(with_margin(text))
                case Traffic():
                    self.traffic = event
                case Log(line) if self.log:
                    self._write(line)
                case _:
                    pass
            self._sink(event)

    def _write(self, line: str) -> None:
        """Keep a line of the engine's; the build goes on where that is not possible, such as on a full disk."""
        try:
            print(one_line(line), file=self.log)
        except OSError as error:
            self.log = None
            self(Note(f"the engine's log is not kept: {error.strerror or error}"))

    @contextmanager
    def phase(self, name: str, about: str = "") -> Iterator[None]:
        """Announce a phase and, when it went well, how long it took."""
        self(Started(name, about))
        self.seconds.setdefault(name, 0.0)
        self._inner.append(0.0)
        begun = time.monotonic()
        try:
            yield
        finally:
            # Phases lie inside one another (layers are built while they are pushed); each counts its own time.
            whole = time.monotonic() - begun
            self.seconds[name] += whole - self._inner.pop()
            self._inner[-1] += whole
        self(Finished(name, self.seconds[name]))

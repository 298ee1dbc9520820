"""How events are shown to people: in a terminal, in a notebook, or as plain lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Final, Protocol, TextIO

from buildpush.foundation.events import Event

# Modules with a function ``open_display``, in the order in which they are tried; the last one fits every stream.
DISPLAYS: Final = ("notebook", "terminal", "plain")


class Display(Protocol):
    """A sink that must be closed after the last event."""

    def __call__(self, event: Event) -> None:
        """Show one event."""

    def close(self) -> None:
        """Leave the screen tidy."""


class SafeDisplay:
    """A display whose stream may become full or closed: then the work continues silently.

    Args:
        inner: the display that shows the events.
        drop: called once when that fails.
    """

    def __init__(self, inner: Display, drop: Callable[[], object]) -> None:
        self._inner: Display | None = inner
        self._drop = drop

    def __call__(self, event: Event) -> None:
        """Show one event, unless the stream has failed before."""
        if self._inner is not None:
            self._attempt(partial(self._inner, event))

    def close(self) -> None:
        """Leave the screen tidy."""
        if self._inner is not None:
            self._attempt(self._inner.close)

    def _attempt(self, show: Callable[[], object]) -> None:
        try:
            show()
        except OSError:
            self._inner = None
            self._drop()


def choose(stream: TextIO, env: Mapping[str, str]) -> Display:
    """Return the first display that fits *stream*: of a notebook, of a terminal, or plain lines for logs."""
    for name in DISPLAYS:
        display: Display | None = import_module(f"{__name__}.{name}").open_display(stream, env)
        if display is not None:
            return display
    raise AssertionError  # the last one fits every stream

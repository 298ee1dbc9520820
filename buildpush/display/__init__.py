"""Events and results, shown to people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol, TextIO

from buildpush.foundation.events import Event


class Display(Protocol):
    """A sink that holds something open until it is closed."""

    def __call__(self, event: Event) -> None:
        """Show one event."""

    def close(self) -> None:
        """Leave the screen tidy."""


class Unfailing:
    """A display whose stream may be full or gone: then the work goes on in silence.

    Args:
        inner: shows, as long as it can.
        drop: called once when it cannot any more.
    """

    def __init__(self, inner: Display, drop: Callable[[], object]) -> None:
        self._inner: Display | None = inner
        self._drop = drop

    def __call__(self, event: Event) -> None:
        """Show one event, if anybody can see it."""
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
    """Return the display that fits *stream*: a notebook's, a terminal's, or plain lines for logs."""
    from buildpush.display.notebook import in_ipython

    notebook = in_ipython(stream)
    if notebook is not None:
        return notebook
    plain = env.get("CI", "").lower() in {"true", "1"} or env.get("TERM") == "dumb"
    if plain or not stream.isatty():
        from buildpush.display.plain import Plain

        return Plain(stream)
    from buildpush.display.terminal import Terminal

    return Terminal(stream)

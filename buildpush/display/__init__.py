"""Events and results, shown to people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TextIO

from buildpush.events import Event


class Display(Protocol):
    """A sink that holds something open until it is closed."""

    def __call__(self, event: Event) -> None:
        """Show one event."""

    def close(self) -> None:
        """Leave the screen tidy."""


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

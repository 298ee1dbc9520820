"""What signals do while a command runs, and while its end is told."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def terminate(*_: object) -> None:
    """End a run as Ctrl-C does, with its clean-up."""
    raise KeyboardInterrupt(signal.SIGTERM)


@contextmanager
def handled(handler: Callable[..., None] | signal.Handlers, *numbers: signal.Signals) -> Iterator[None]:
    """Have *handler* get these signals for as long as the block lasts."""
    before = [signal.signal(number, handler) for number in numbers]
    try:
        yield
    finally:
        for number, previous in zip(numbers, before, strict=True):
            signal.signal(number, previous)

"""Regular expressions that are compiled when they are first used: a command uses a tenth of those that it loads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from re import compile as regex
else:

    class regex:  # noqa: N801  it is called like re.compile
        """A pattern with the methods of a compiled one; the ``re`` of its matches is another object."""

        def __init__(self, text: str | bytes, flags: int = 0) -> None:
            self._arguments = text, flags

        def __getattr__(self, name: str) -> Any:
            if "_arguments" not in vars(self) or name.startswith("__"):
                raise AttributeError(name)
            method = getattr(re.compile(*self._arguments), name)
            setattr(self, name, method)  # next time, this method is not called
            return method


__all__ = ["regex"]

"""Regular expressions that are compiled when they are first used: a command uses a tenth of those that it loads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from re import compile as regex
else:

    class regex:  # noqa: N801  it is called like re.compile
        """A pattern with the methods of a compiled one; a match of it names another object as its ``re``."""

        def __init__(self, text: str | bytes, flags: int = 0) -> None:
            self._given = text, flags

        def __getattr__(self, name: str) -> Any:
            if "_given" not in vars(self) or name.startswith("__"):
                raise AttributeError(name)
            found = getattr(re.compile(*self._given), name)
            setattr(self, name, found)  # from now on no call is needed
            return found


__all__ = ["regex"]

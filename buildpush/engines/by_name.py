"""The engines of one run, each made on first use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from buildpush.engines import ENGINES, IN_CLUSTER, Tools

if TYPE_CHECKING:
    from buildpush.engines.seam import Engine


class Engines(Mapping[str, "Engine"]):
    """The engines of one run by name, in the order in which ``auto`` tries them; each is made on first use."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        by_preference = sorted(ENGINES, key=lambda name: ENGINES[name].preferred_with not in tools.env)
        self._names = list(IN_CLUSTER) if tools.cluster else by_preference
        self._engines: dict[str, Engine] = {}

    def __getitem__(self, name: str) -> Engine:
        if name not in self._engines:
            if name not in self._names:
                raise KeyError(name)
            is_away = self._tools.cluster is not None
            self._engines[name] = ENGINES[name].load(in_cluster=is_away)(self._tools)
        return self._engines[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

"""The settings of the last release: ``python -m tests.released`` notes those of today, which a release does."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from buildpush import __version__
from buildpush.reference.cards import Card, cards

SNAPSHOT = Path(__file__).parent / "released.json"


def minor(version: str) -> str:
    """Return a version as cards write it: without its last number."""
    return version.rpartition(".")[0]


def snapshot(all_cards: Iterable[Card]) -> dict[str, dict[str, Any]]:
    """Return what a release promises of each setting: its default, and since when it is there."""
    return {card.name: {"default": card.default, "since": card.since} for card in all_cards}


def faults(all_cards: Iterable[Card], released: Mapping[str, Mapping[str, Any]], coming: str) -> Iterator[str]:
    """Yield what the cards do not say of their history, compared with the last release."""
    known = {name for card in all_cards for name in (card.name, *card.renamed)}
    yield from (f"{name} is gone: its new setting says renamed" for name in released if name not in known)
    for card in all_cards:
        name = next((one for one in (card.name, *card.renamed) if one in released), None)
        before = released[name] if name else {"default": card.default, "since": coming}
        if card.since != before["since"]:
            yield f"{card.name} says since {card.since}, and it is there since {before['since']}"
        if card.default != before["default"] and coming not in dict(card.changed):
            yield f"{card.name} has another default, and does not say changed in {coming}"
        versions = [_number(one) for one in (card.since, *dict(card.changed), coming)]
        if versions != sorted(versions):
            yield f"{card.name} says changed before {card.since}, after {coming}, or in no order"


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


if __name__ == "__main__":
    document = {"version": minor(__version__), "settings": snapshot(cards())}
    SNAPSHOT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")

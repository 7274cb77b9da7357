"""Times of replays, in turns, so that whatever changes on the card in the meantime changes for all of them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from card import Call, Card

SHORTEST = 2000.0
"""Microseconds that a measurement takes at least: replays are repeated until then."""


def in_turns(
    card: Card, replays: Mapping[str, Call], repeats: int, rows: Sequence[dict[str, Any]]
) -> dict[str, list[float]]:
    """Microseconds of each replay, so often. When a replay fails, the card is lost to all, and the rows say so."""
    times: dict[str, list[float]] = {name: [] for name in replays}
    try:
        often = {name: _often(card, replay) for name, replay in replays.items()}
        for _ in range(repeats):
            for name, replay in replays.items():
                times[name].append(card.microseconds(replay, often[name]))
    except Exception as error:
        for row in rows:
            row.setdefault("skipped", reason(error))
        return {}
    return times


def _often(card: Card, replay: Call) -> int:
    # The first replay takes longer, since it uploads the graph.
    card.microseconds(replay, 1)
    once = card.microseconds(replay, 1)
    return 1 if card.is_dry else max(1, min(500, round(SHORTEST / once)))


def summary(rounds: Sequence[float], calls: int, read_bytes: int, read_rate: float) -> dict[str, float]:
    """Median and spread of a call, of so many to a round, and its floor: what a card takes that does nothing but read."""
    times = [each / calls for each in rounds]
    us, floor = statistics.median(times), read_bytes / read_rate * 1e6
    return {"us": us, "usLow": min(times), "usHigh": max(times), "floorUs": floor, "ofFloor": floor / us}


def reason(error: Exception) -> str:
    """Why something could not be timed, in a line."""
    return f"{type(error).__name__}: {str(error)[:200]}".splitlines()[0]

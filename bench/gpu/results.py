"""The results of a run, written again after whatever is new, so that a run that is cut off leaves what it has."""

from __future__ import annotations

import json
import math
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from card import Card

Json = dict[str, Any]

FORMAT = 1


class Results:
    def __init__(self, path: Path, kind: str, command: list[str], commit: str, card: Card) -> None:
        self.path = path
        self.content: Json = {
            "format": FORMAT,
            "kind": kind,
            "dryRun": card.is_dry,
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "commit": commit,
            "command": " ".join(command),
            "machine": card.machine(),
            "shapes": [],
            "rows": [],
            "bars": [],
            "notReached": [],
        }

    def add(self, **news: Any) -> None:
        """Lists grow, everything else is replaced."""
        for name, value in news.items():
            if isinstance(value, list) and name != "bars":
                self.content[name] = [*self.content.get(name, []), *value]
            else:
                self.content[name] = value
        self.path.parent.mkdir(parents=True, exist_ok=True)
        aside = self.path.with_suffix(".part")
        aside.write_text(json.dumps(_finite(self.content), indent=1) + "\n", encoding="utf-8")
        os.replace(aside, self.path)


def _finite(value: Any) -> Any:
    """JSON has no NaN, which the error of a wrong layer may be."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def bar(text: str, wanted: float, reached: float) -> Json:
    return {"bar": text, "wanted": wanted, "reached": reached, "passed": reached >= wanted}

"""What bench.py and decode.py have in common: their arguments, and what stands before and after the measurements."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch

import bandwidth
from card import Card, Cpu, Cuda
from compile_kernels import compile_kernels
from results import Results

Json = dict[str, Any]

MANIFEST_FORMAT = 1


def common_arguments(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--prepared", type=Path, default=Path(__file__).resolve().parent / "prepared")
    parser.add_argument("--batches", nargs="+", type=int, default=[])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin nothing after so many")
    parser.add_argument("--dry-run", action="store_true", help="on the CPU, to try the bench and not the layers")
    return parser


def open_card(is_dry: bool) -> Card:
    """Exits with 3 where there is none."""
    if is_dry:
        return Cpu()
    if torch.cuda.is_available():
        return Cuda()
    stop("torch finds no CUDA device here", 3)


def read_manifest(folder: Path) -> Json:
    """Exits with 2 where there is none that can be read."""
    try:
        manifest: Json = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except OSError as error:
        stop(f"{error}; npm run bench:gpu:prepare writes it", 2)
    if manifest["format"] != MANIFEST_FORMAT:
        stop(f"{folder} is of another version; run npm run bench:gpu:prepare again", 2)
    return manifest


def chosen(given: Sequence[Json], names: Sequence[Any], key: str) -> list[Json]:
    """Those that are named, or all. Exits with 2 for a name that there is not."""
    known = list(dict.fromkeys(each[key] for each in given))
    for name in names:
        if name not in known:
            stop(f"there is no {key} {name}; there are {', '.join(map(str, known))}", 2)
    return [each for each in given if not names or each[key] in names]


def stop(message: str, code: int) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(code)


@dataclass
class Run:
    """A card that is ready, and the results that are to be written."""

    card: Card
    package: Any
    results: Results
    read_rate: float
    """Bytes per second."""
    begun: float
    seconds: float
    not_reached: list[Json]
    has_failed: bool = False

    def is_late(self, shape: Json, batch: int) -> bool:
        """Whether nothing new is to be begun; what is left out is noted."""
        late = time.monotonic() - self.begun > self.seconds
        if late:
            self.not_reached.append({"shape": shape["name"], "batch": batch})
        return late

    def add(self, rows: Sequence[Json], **news: Any) -> None:
        self.has_failed |= any("skipped" in row and row["contender"].startswith("hirec") for row in rows)
        self.results.add(rows=list(rows), **news)

    def end(self) -> int:
        """Returns the exit code."""
        self.results.add(notReached=self.not_reached, seconds=round(time.monotonic() - self.begun, 1))
        for each in self.results.content["bars"]:
            word = "reached" if each["passed"] else "missed "
            print(f"{word}  {each['bar']}: {each['reached']:.2f} of {each['wanted']}")
        return 1 if self.has_failed else 0


def start(kind: str, options: argparse.Namespace, card: Card, manifest: Json, layers: Sequence[Json]) -> Run:
    """Compiles the kernels of some layers and measures the bandwidth."""
    begun = time.monotonic()
    torch.backends.cuda.matmul.allow_tf32 = False
    package = card.load(options.prepared)
    results = Results(options.out, kind, sys.argv, manifest["commit"], card)
    device = 0 if card.device == "cuda" else None
    count = compile_kernels(package, options.prepared, [each["name"] for each in layers], device)
    print(f"{count} kernels compiled in {time.monotonic() - begun:.0f} s")
    streaming = bandwidth.measure(card, package)
    results.add(bandwidth=streaming)
    print(f"reads {streaming['read'] / 1e9:.0f} GB/s with {streaming['reader']}, copies {streaming['copy'] / 1e9:.0f}")
    return Run(card, package, results, streaming["read"], begun, options.seconds, [])

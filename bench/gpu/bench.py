"""Times hirec's layers on a GPU beside torch's, and whatever else computes the same there.

usage: python3 bench.py --out FILE [--prepared FOLDER] [--shapes NAME...] [--batches N...] [--contenders NAME...]
                        [--repeats N] [--seconds N] [--dry-run]

FOLDER is what npm run bench:gpu:prepare wrote. Needs torch >= 2.6 with CUDA and safetensors, and nothing of Node.
docs/benchmarks.md says what is measured, and how. FILE is written after every shape and batch; what was not reached after so
many seconds is listed in it. Exits with 1 when a layer of hirec failed, with 2 when an argument is wrong, with 3 when this
machine cannot run it.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch import Tensor

from card import Card
from command import Json, Run, chosen, common_arguments, open_card, read_manifest, start
from contender import Contender, Found, Problem
from feed_forward import FeedForward
from head import Head
from results import bar
from timing import in_turns, reason, summary

TOKENS = 64
"""Tokens that recall is measured on; a multiple of every batch."""

BASELINE = "torch"


def main(arguments: Sequence[str]) -> int:
    options = parsed(arguments)
    card = open_card(options.dry_run)
    manifest = read_manifest(options.prepared)
    shapes = [each for each in manifest["shapes"] if each["kind"] != "decode"]
    shapes = chosen(shapes, options.shapes, "name")
    layers = [each for each in manifest["layers"] if each["of"] in {shape["name"] for shape in shapes}]
    layers = [each for each in chosen(layers, options.batches, "batch") if wants(options, f"hirec {each['estimator']}")]
    run = start("layers", options, card, manifest, layers)
    run.results.add(shapes=shapes)
    for shape in shapes:
        measure_shape(run, manifest, shape, [each for each in layers if each["of"] == shape["name"]], options)
        gc.collect()
        card.free()
    return run.end()


def measure_shape(run: Run, manifest: Json, shape: Json, layers: Sequence[Json], options: argparse.Namespace) -> None:
    problem: Problem | None = None
    for batch in sorted({each["batch"] for each in layers}):
        if run.is_late(shape, batch):
            continue
        problem = problem or (Head if shape["kind"] == "head" else FeedForward)(
            run.card, run.package, shape, layers, TOKENS
        )
        rows = measured(run, problem, batch, options)
        scores = {**run.results.content.get("scores", {}), shape["name"]: problem.data}
        run.add(rows, scores=scores)
        run.results.add(bars=bars(manifest, run.results.content["rows"]))


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = common_arguments(__doc__)
    parser.add_argument("--shapes", nargs="+", default=[], help="names, such as gemma; all by default")
    parser.add_argument("--contenders", nargs="+", default=[], help="such as 'hirec int4'; torch always is one")
    return parser.parse_args(arguments)


def wants(options: argparse.Namespace, contender: str) -> bool:
    return not options.contenders or contender == BASELINE or contender in options.contenders


def measured(run: Run, problem: Problem, batch: int, options: argparse.Namespace) -> list[Json]:
    """The rows of one shape and batch: all contenders are made, then timed in turns."""
    rows: list[Json] = []
    replays = {}
    torch._dynamo.reset()
    for offer in problem.offers(batch):
        if not wants(options, offer.name):
            continue
        row: Json = {"shape": problem.shape["name"], "batch": batch, "contender": offer.name}
        rows.append(row)
        try:
            contender = offer.make()
            row.update(described(contender), **problem.quality(found_by(contender, problem.tokens, batch)))
            once = partial(rotate, contender, problem.tokens, batch)
            replays[offer.name] = run.card.capture(once)
            row.update(profiled(run.card, contender, once, run.read_rate))
        except Exception as error:  # The others still say something.
            row["skipped"] = reason(error)
            replays.pop(offer.name, None)
            run.card.free()
    times = in_turns(run.card, replays, options.repeats, rows)
    for row in rows:
        if row["contender"] in times:
            row.update(summary(times[row["contender"]], row["copies"], row["bytes"], run.read_rate))
    baseline = next((row["us"] for row in rows if row["contender"] == BASELINE and "us" in row), None)
    for row in rows:
        if "us" in row and baseline:
            row["ratio"] = baseline / row["us"]
        print(line(row), flush=True)
    return rows


def described(contender: Contender) -> Json:
    layer = contender.layer
    known = {"bytes": contender.read_bytes, "copies": len(contender.calls)}
    return known if layer is None else {**known, "estimator": layer["estimator"], "isDensePath": layer["isDensePath"]}


def found_by(contender: Contender, tokens: Tensor, batch: int) -> Found:
    """For all tokens, a batch at a time."""
    parts = [contender.calls[0](part) for part in tokens.split(batch)]
    return [torch.cat(each) for each in zip(*parts)]


def rotate(contender: Contender, tokens: Tensor, batch: int) -> None:
    """A call on each copy of the weights, with other tokens, so that nothing is in the cache that would not be there."""
    batches = tokens.split(batch)
    for i, call in enumerate(contender.calls):
        call(batches[i % len(batches)])


def profiled(card: Card, contender: Contender, once: Any, read_rate: float) -> Json:
    kernels = card.kernels(once, len(contender.calls))
    row: Json = {"kernels": [asdict(each) for each in kernels], "launches": sum(each.launches for each in kernels)}
    layer = contender.layer
    scoring = [each for each in kernels if layer and each.name in layer["scoreKernels"]]
    if layer and scoring:
        us = sum(each.us * each.launches for each in scoring)
        row["scoreOfBandwidth"] = layer["reads"]["score"] / (us * 1e-6) / read_rate
    return row


def line(row: Json) -> str:
    begin = f"{row['shape']:18} b{row['batch']:<3} {row['contender']:24}"
    if "skipped" in row:
        return f"{begin} skipped: {row['skipped']}"
    recall = f"{100 * row['recall']:.2f} %" if "recall" in row else ""
    return f"{begin} {row['us']:9.1f} us {row.get('ratio', 0):6.2f}x {100 * row['ofFloor']:6.1f} % of floor  {recall}"


def bars(manifest: Json, rows: Sequence[Json]) -> list[Json]:
    """What is wanted at batch 1, and what was reached; what was not measured is left out."""
    alone = {(row["shape"], row["contender"]): row for row in rows if row["batch"] == 1}
    found: list[tuple[str, float, float | None]] = []
    for shape in manifest["shapes"]:
        if shape["kind"] == "head":
            for estimator, wanted in manifest["bars"]["scoreOfBandwidth"].items():
                reached = alone.get((shape["name"], f"hirec {estimator}"), {}).get("scoreOfBandwidth")
                found.append((f"{shape['title']}: {estimator} scoring, share of bandwidth", wanted, reached))
        if shape["kind"] != "decode" and "leastRatio" in shape:
            reached = alone.get((shape["name"], "hirec int4"), {}).get("ratio")
            found.append((f"{shape['title']}: int4, times as fast as torch", shape["leastRatio"], reached))
    return [bar(text, wanted, reached) for text, wanted, reached in found if reached is not None]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

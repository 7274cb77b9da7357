"""Times decoding with a model of Llama 3.2 1B's shape on a GPU: dense, and with hirec's head and feed-forwards.

usage: python3 decode.py --out FILE [--prepared FOLDER] [--batches N...] [--repeats N] [--seconds N] [--dry-run]

Arguments and exit codes are those of bench.py, whose bandwidth is measured here again. docs/benchmarks.md says what is measured.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch

from card import Card
from command import Json, Run, chosen, common_arguments, open_card, read_manifest, start
from decoder import Decoder, Parts, Weights, accuracy, dense_parts, draw, hirec_parts
from results import bar
from timing import in_turns, reason, summary

PARTS = ("attention", "mlp", "head")


def main(arguments: Sequence[str]) -> int:
    options = common_arguments(__doc__).parse_args(arguments)
    card = open_card(options.dry_run)
    manifest = read_manifest(options.prepared)
    (shape,) = [each for each in manifest["shapes"] if each["kind"] == "decode"]
    layers = chosen([each for each in manifest["layers"] if each["of"] == "decode"], options.batches, "batch")
    run = start("decode", options, card, manifest, layers)
    run.results.add(shapes=[shape])
    weights = draw(shape, card.device)
    for batch in sorted({each["batch"] for each in layers}):
        if run.is_late(shape, batch):
            continue
        own = {each["plan"]["kind"]: each for each in layers if each["batch"] == batch}
        run.add(measured(run, shape, weights, own, batch, options.repeats))
        run.results.add(bars=bars(shape, run.results.content["rows"]))
        card.free()
    return run.end()


def measured(run: Run, shape: Json, weights: Weights, layers: dict[str, Json], batch: int, repeats: int) -> list[Json]:
    """The rows of one batch: each kind of decoder as it stands, and compiled by torch."""
    rows: list[Json] = []
    replays: dict[str, Any] = {}
    torch._dynamo.reset()
    makers = {
        "dense": lambda: dense_parts(weights),
        "hirec": lambda: hirec_parts(run.package, weights, layers["ffn"], layers["softmax"]),
    }
    for kind, make in makers.items():
        parts: Parts | None = None
        for is_compiled in (False, True):
            name = f"{kind}, compiled" if is_compiled else kind
            row: Json = {"shape": "decode", "batch": batch, "contender": name}
            rows.append(row)
            try:
                parts = parts or make()
                decoder = Decoder(run.card, shape, weights, parts, batch, is_compiled)
                captured = {name: run.card.capture(decoder.step)}
                for part in PARTS:
                    captured[f"{name}: {part}"] = run.card.capture(decoder.part(part))
                row.update(described(run.card, decoder), **accuracy(weights, parts, batch))
                replays.update(captured)
            except Exception as error:  # The others still say something.
                row["skipped"] = reason(error)
                run.card.free()
    times = in_turns(run.card, replays, repeats, rows)
    for row in rows:
        name = row["contender"]
        if name in times:
            row.update(summary(times[name], 1, row["bytes"], run.read_rate))
            row["tokensPerSecond"] = batch / row["us"] * 1e6
            row["parts"] = {part: statistics.median(times[f"{name}: {part}"]) for part in PARTS}
    dense = min((row["us"] for row in rows if row["contender"].startswith("dense") and "us" in row), default=None)
    for row in rows:
        if "us" in row and dense:
            row["ratio"] = dense / row["us"]
        print(line(row), flush=True)
    return rows


def described(card: Card, decoder: Decoder) -> Json:
    kernels = card.kernels(decoder.step, 1)
    launches = sum(each.launches for each in kernels)
    return {"bytes": decoder.read_bytes, "kernels": [asdict(each) for each in kernels], "launches": launches}


def line(row: Json) -> str:
    begin = f"decode b{row['batch']:<3} {row['contender']:18}"
    if "skipped" in row:
        return f"{begin} skipped: {row['skipped']}"
    parts = ", ".join(f"{name} {us:.0f}" for name, us in row["parts"].items())
    return (
        f"{begin} {row['us']:9.1f} us {row['tokensPerSecond']:9.1f} tokens/s {row.get('ratio', 0):6.2f}x"
        f" {100 * row['ofFloor']:6.1f} % of floor  ({parts})"
    )


def bars(shape: Json, rows: Sequence[Json]) -> list[Json]:
    """The better of hirec's against the better of the dense ones."""
    ratios = [row["ratio"] for row in rows if row["batch"] == 1 and "ratio" in row and row["contender"][0] == "h"]
    return [bar(f"{shape['title']}: times as fast as dense", shape["leastRatio"], max(ratios))] if ratios else []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

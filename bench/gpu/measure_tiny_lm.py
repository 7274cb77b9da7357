"""Measures what synthetic.py needs to know of tiny-lm, and prints it as the JSON that lies in tiny-lm.json.

usage: python3 measure_tiny_lm.py MODEL TOKENS

MODEL is examples/tiny-lm/model.safetensors, TOKENS a file with head.input and mlp1.input, such as
test/fixtures/tiny-lm-reference.safetensors. A spectrum is that of the rows' scores for these tokens, or of the rows themselves,
about their mean. A seventh of the head's rows are tokens that the corpus does not have; they have kept twice the norm of
the others and are left out. The gate is that of the middle layer.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from synthetic import profile


def measure(rows: Tensor, tokens: Tensor) -> dict[str, Any]:
    centred = rows - rows.mean(0)
    values, vectors = torch.linalg.eigh(tokens.T @ tokens / len(tokens))
    scores = tokens @ rows.T
    return {
        "deviation": round(scores.std(1).mean().item(), 4),
        "profile": profile(scores),
        "scores": _shares(centred @ (vectors * values.clamp_min(0).sqrt())),
        "weights": _shares(centred),
    }


def trained_rows(model: dict[str, Tensor]) -> Tensor:
    head = model["model.embed_tokens.weight"]
    norms = head.float().norm(dim=1)
    return head[norms < 2 * norms.median()]


def gate_rows(model: dict[str, Tensor]) -> Tensor:
    return model["model.layers.1.mlp.gate_proj.weight"]


def _shares(matrix: Tensor) -> list[float]:
    squares = torch.linalg.svdvals(matrix) ** 2
    return [float(f"{each:.4g}") for each in (squares / squares.sum()).tolist()]


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    model, tokens = (load_file(path) for path in arguments)
    measured = {
        "head": measure(trained_rows(model).double(), tokens["head.input"].double()),
        "gate": measure(gate_rows(model).double(), tokens["mlp1.input"].double()),
    }
    print(json.dumps(measured, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

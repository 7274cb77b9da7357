"""Measures tiny-lm, and rows and tokens that are drawn in its shape: check_synthetic.py MODEL TOKENS. Prints both as JSON."""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench/gpu"))

import measure_tiny_lm
import packing
from contender import share_found
from synthetic import GATE, HEAD, MEASURED, Source

KEPT, CANDIDATES = 32, 128


def recall(rows, tokens, rank):
    """Of the best rows, the share that is among the candidates of a low rank; the basis is made of other tokens."""
    known, asked = tokens.double().chunk(2)
    moments = packing._second_moments(known)
    basis = packing._best_basis(rows, moments, rank)
    weighted = basis @ moments
    estimates = asked @ basis.T @ torch.linalg.solve(weighted @ basis.T, weighted) @ rows.double().T
    return share_found(estimates.topk(CANDIDATES).indices, (asked @ rows.double().T).topk(KEPT).indices)


def described(rows, tokens):
    measured = measure_tiny_lm.measure(rows.double(), tokens.double())
    return {**measured, "recalls": [recall(rows, tokens, rank) for rank in (14, 28, 64)]}


def drawn(distribution, rows):
    source = Source(distribution, 256, "cpu", seed=1)
    return source.rows(rows).float(), source.tokens(1024).float()


model, tokens = (load_file(path) for path in sys.argv[1:])
head = measure_tiny_lm.trained_rows(model)
gate = measure_tiny_lm.gate_rows(model)
print(
    json.dumps(
        {
            "recorded": MEASURED,
            "head": described(head, tokens["head.input"]),
            "gate": described(gate, tokens["mlp1.input"]),
            "drawnHead": described(*drawn(HEAD, len(head))),
            "drawnGate": described(*drawn(GATE, len(gate))),
        }
    )
)

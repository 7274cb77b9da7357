"""Packs layers as the bench does, and prints which bytes are not those of hirec's packer: check_packing.py FOLDER."""

import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench/gpu"))

import packing

folder = Path(sys.argv[1])
plan = json.loads((folder / "plan.json").read_text())


def read(path, dtype):
    return torch.frombuffer(bytearray(path.read_bytes()), dtype=dtype)


def differences(layer, own):
    inputs, rows = layer["inputs"], layer["rows"]
    weights = {
        path.suffix[1:]: read(path, torch.bfloat16).view(*((-1, rows) if path.suffix == ".down" else (rows, inputs)))
        for path in own.glob("weights.*")
    }
    activations = read(own / "activations", torch.float32).view(-1, inputs)
    # Several chunks, of which the last is not full.
    packing.CHUNK = 100 * inputs
    for role, tensor in packing.pack(layer, weights, activations).items():
        found = tensor.contiguous().view(-1).view(torch.uint8)
        wanted = read(own / f"packed.{role}", torch.uint8)
        if len(found) != len(wanted):
            yield f"{role}: {len(found)} bytes, not {len(wanted)}"
        elif not torch.equal(found, wanted):
            yield f"{role}: {(found != wanted).sum().item()} of {len(wanted)} bytes differ"


print(json.dumps({name: list(differences(layer, folder / name)) for name, layer in plan["layers"].items()}))

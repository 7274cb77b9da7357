"""Runs an emitted record.py on a model that knows what it was given: record_check.py SCRIPT OUT. Without transformers, which
only the script's main() takes."""

import importlib.util
import sys

import torch
from safetensors.torch import save_file

spec = importlib.util.spec_from_file_location("record", sys.argv[1])
record = importlib.util.module_from_spec(spec)
spec.loader.exec_module(record)

WIDTH = 3


class Layer(torch.nn.Module):
    def forward(self, x):
        return x


class Mlp(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gate_proj = Layer()

    def forward(self, x):
        return self.gate_proj(x)


class Body(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed_tokens = torch.nn.Embedding(8, WIDTH)
        self.mlp = Mlp()
        # Every call gives the same memory, as frameworks do that use it again.
        self.memory = torch.zeros(1, 4, WIDTH)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.model = Body()
        self.head = Layer()
        self.calls = 0

    def get_output_embeddings(self):
        return self.head

    def forward(self, ids):
        self.calls += 1
        memory = self.model.memory
        for i in range(4):
            memory[0, i] = torch.full((WIDTH,), float(ids[i]))
        self.head(self.model.mlp(memory))


model = Model()
sequences = [[10 * i, 10 * i + 1, 10 * i + 2, 10 * i + 3] for i in range(5)]
recorded = record.record(model, sequences, 10)
# Ten tokens take three sequences of four.
assert model.calls == 3, model.calls
assert sorted(recorded) == ["head.input", "mlp.input"], recorded.keys()
for tensor in recorded.values():
    assert tuple(tensor.shape) == (10, WIDTH) and tensor.dtype is torch.float32
# No hook is left behind.
model(sequences[4])
assert len(recorded["head.input"]) == 10
record.MODULES["head"] = ("model.nowhere", WIDTH)
try:
    record.record(model, sequences, 10)
    raise AssertionError("a module that is missing was not noticed")
except SystemExit as stop:
    assert "model.nowhere" in str(stop), stop
save_file(recorded, sys.argv[2])
print("recorded")

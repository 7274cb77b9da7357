"""A decoder of Llama's architecture with random weights: one step for a batch of sequences, captured as one graph.

Every step writes its key and value over those at its position, and attends to all positions of the cache, which is full of random
ones at first: a step in the middle of a long text. Only time is measured on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, rms_norm, scaled_dot_product_attention, silu

import packing
from card import Card
from contender import float_matmul

Json = dict[str, Any]


@dataclass(frozen=True)
class Weights:
    """Of all layers but the norms, which are ones; bf16."""

    embedding: Tensor
    """`[rows, inputs]`, which is the head's weight as well."""
    queries_keys_values: Sequence[Tensor]
    outputs: Sequence[Tensor]
    gate_and_up: Sequence[Tensor]
    down: Sequence[Tensor]


def draw(shape: Json, device: str) -> Weights:
    generator = torch.Generator(device).manual_seed(4)

    def matrix(rows: int, inputs: int) -> Tensor:
        normal = torch.randn(rows, inputs, generator=generator, device=device)
        return normal.div_(inputs**0.5).to(torch.bfloat16)

    inputs, hidden, layers = shape["head"]["inputs"], shape["mlp"]["hidden"], range(shape["layers"])
    narrow = inputs + 2 * inputs // shape["attentionHeads"] * shape["keyHeads"]
    return Weights(
        embedding=matrix(shape["head"]["rows"], inputs),
        queries_keys_values=[matrix(narrow, inputs) for _ in layers],
        outputs=[matrix(inputs, inputs) for _ in layers],
        gate_and_up=[matrix(2 * hidden, inputs) for _ in layers],
        down=[matrix(inputs, hidden) for _ in layers],
    )


@dataclass(frozen=True)
class Parts:
    """What differs between decoders: functions of tensors only, so that one compiled function serves all layers."""

    mlp: Callable[..., Tensor]
    """Of x and a layer's tensors: x and what the feed-forward adds."""
    mlp_tensors: Sequence[Sequence[Tensor]]
    head: Callable[..., Tensor]
    """Of x and the head's tensors: the best token of each row."""
    head_tensors: Sequence[Tensor]
    read_bytes: int
    """Weights that a step must read for these."""
    chosen: Callable[[Tensor], Tensor] | None = None
    """Of x: 1 for the neurons that the first layer's feed-forward computes, 0 for the others; None where it computes all."""


def normed(x: Tensor) -> Tensor:
    return rms_norm(x, (x.shape[-1],), eps=1e-5)


def dense_parts(weights: Weights) -> Parts:
    """Gate and up as one matrix, as engines have it."""

    def mlp(x: Tensor, gate_and_up: Tensor, down: Tensor) -> Tensor:
        gate, up = linear(normed(x), gate_and_up).chunk(2, -1)
        return x + linear(silu(gate) * up, down)

    def head(x: Tensor, weight: Tensor) -> Tensor:
        return linear(normed(x), weight).argmax(-1)

    matrices = (weights.embedding, *weights.gate_and_up, *weights.down)
    read = sum(each.nbytes for each in matrices)
    return Parts(mlp, list(zip(weights.gate_and_up, weights.down)), head, (weights.embedding,), read)


def hirec_parts(package: Any, weights: Weights, mlp_layer: Json, head_layer: Json) -> Parts:
    """The operators of the emitted package in place of both."""
    kinds = [package.LAYERS[layer["name"]] for layer in (mlp_layer, head_layer)]
    mlp_operator, head_operator = (kind.operator for kind in kinds)

    def mlp(x: Tensor, *packed: Tensor) -> Tensor:
        return x.add(mlp_operator(normed(x), *packed)[0].to(x.dtype))

    def head(x: Tensor, *packed: Tensor) -> Tensor:
        indices: Tensor = head_operator(normed(x), *packed)[0]
        return indices[:, 0].to(torch.int64)

    for kind in kinds:
        kind().prepare()
    mlp_tensors = []
    for gate_and_up, down in zip(weights.gate_and_up, weights.down):
        gate, up = gate_and_up.chunk(2)
        mlp_tensors.append(list(packing.pack(mlp_layer["plan"], {"gate": gate, "up": up, "down": down}).values()))
    head_tensors = list(packing.pack(head_layer["plan"], {"weight": weights.embedding}).values())
    read = len(mlp_tensors) * mlp_layer["reads"]["total"] + head_layer["reads"]["total"]

    def chosen(x: Tensor) -> Tensor:
        groups = mlp_operator(normed(x), *mlp_tensors[0])[1].to(torch.int64)
        size, hidden = mlp_layer["plan"]["group"]["size"], mlp_layer["plan"]["rows"]
        return torch.zeros(len(x), hidden // size, device=x.device).scatter_(1, groups, 1.0).repeat_interleave(size, 1)

    return Parts(mlp, mlp_tensors, head, head_tensors, int(read), chosen)


def accuracy(weights: Weights, parts: Parts, batch: int) -> Json:
    """The share of some states whose best token is that of an exact head, and the largest error of what the first
    feed-forward adds, for the neurons that it computes, over the largest exact number."""
    states = weights.embedding[: 4 * batch].split(batch)
    same, largest, error = [], 0.0, 0.0
    for x in states:
        exact = float_matmul(normed(x), weights.embedding).argmax(-1)
        same.append(parts.head(x, *parts.head_tensors) == exact)
        gate, up = float_matmul(normed(x), weights.gate_and_up[0]).chunk(2, -1)
        active = silu(gate) * up * (parts.chosen(x) if parts.chosen else 1)
        added = float_matmul(active, weights.down[0])
        difference = parts.mlp(x, *parts.mlp_tensors[0]).double() - x.double() - added
        largest, error = max(largest, added.abs().max().item()), max(error, difference.abs().max().item())
    return {"top1": torch.cat(same).double().mean().item(), "error": error / largest}


class Decoder:
    """The state of a batch of sequences, and steps on it."""

    def __init__(self, card: Card, shape: Json, weights: Weights, parts: Parts, batch: int, is_compiled: bool) -> None:
        self.weights = weights
        self.parts = parts
        wrapped = card.compile if is_compiled else lambda function: function
        self._attention, self._mlp, self._head = wrapped(attention), wrapped(parts.mlp), wrapped(parts.head)
        heads, key_heads, context = shape["attentionHeads"], shape["keyHeads"], shape["context"]
        width = shape["head"]["inputs"] // heads
        device = card.device
        angles = torch.outer(torch.arange(context), 500_000.0 ** (-torch.arange(0, width, 2) / width))
        self.rotation = torch.cat((angles.cos(), angles.sin()), 1).to(device, torch.bfloat16)
        self.tokens = torch.arange(batch, device=device)
        self.position = torch.zeros(1, dtype=torch.int64, device=device)
        cache = (batch, key_heads, context, width)
        generator = torch.Generator(device).manual_seed(5)

        def random() -> Tensor:
            return torch.randn(cache, generator=generator, device=device).to(torch.bfloat16)

        self.caches = [(random(), random()) for _ in weights.outputs]
        self.x = weights.embedding[self.tokens]

    def step(self) -> None:
        x = self.weights.embedding[self.tokens]
        for layer in range(len(self.caches)):
            x = self.attend(layer, x)
            x = self._mlp(x, *self.parts.mlp_tensors[layer])
        self.tokens.copy_(self._head(x, *self.parts.head_tensors))
        self.position.add_(1).remainder_(self.rotation.shape[0])

    def attend(self, layer: int, x: Tensor) -> Tensor:
        weights = self.weights.queries_keys_values[layer], self.weights.outputs[layer]
        result: Tensor = self._attention(x, *weights, *self.caches[layer], self.rotation, self.position)
        return result

    def part(self, name: str) -> Callable[[], None]:
        """One part of a step, of all layers, on inputs that do not change."""

        def run() -> None:
            if name == "head":
                self._head(self.x, *self.parts.head_tensors)
                return
            for layer in range(len(self.caches)):
                if name == "attention":
                    self.attend(layer, self.x)
                else:
                    self._mlp(self.x, *self.parts.mlp_tensors[layer])

        return run

    @property
    def read_bytes(self) -> int:
        matrices = (*self.weights.queries_keys_values, *self.weights.outputs)
        cached = sum(each.nbytes for pair in self.caches for each in pair)
        return sum(each.nbytes for each in matrices) + cached + self.parts.read_bytes


def attention(
    x: Tensor, into: Tensor, out: Tensor, keys: Tensor, values: Tensor, rotation: Tensor, position: Tensor
) -> Tensor:
    """x and what attention adds. Writes a key and a value at the position."""
    batch, key_heads, _, width = keys.shape
    queries, key, value = linear(normed(x), into).split((x.shape[1], key_heads * width, key_heads * width), -1)
    turn = rotation[position]
    keys.index_copy_(2, position, rotated(key.view(batch, key_heads, 1, width), turn))
    values.index_copy_(2, position, value.reshape(batch, key_heads, 1, width))
    asked = rotated(queries.view(batch, -1, 1, width), turn)
    found = scaled_dot_product_attention(asked, keys, values, enable_gqa=True)
    return x + linear(found.reshape(x.shape), out)


def rotated(x: Tensor, turn: Tensor) -> Tensor:
    """Rotary embedding, half-split."""
    cosine, sine = turn.chunk(2, -1)
    first, second = x.chunk(2, -1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), -1)

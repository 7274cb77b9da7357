"""What is timed side by side: hirec's layers, torch's, and what else computes the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

import packing
from card import Card

Json = dict[str, Any]

Found = Sequence[Tensor]
"""What a call returns: indices and values of a head, output and perhaps groups of a feed-forward."""

Call = Callable[[Tensor], Found]
"""Takes bf16 tokens `[batch, inputs]`."""


@dataclass(frozen=True)
class Contender:
    calls: Sequence[Call]
    """The same on copies of the weights, of which each is out of the cache when its turn comes."""
    read_bytes: int
    """What a call must read."""
    layer: Json | None = None
    """Of the manifest, for a layer of hirec."""


@dataclass(frozen=True)
class Offer:
    """A contender that is made when its turn comes, and may turn out not to run here."""

    name: str
    make: Callable[[], Contender]


class Problem(Protocol):
    """One shape: its weights, its tokens, and what is exact for them."""

    shape: Json
    tokens: Tensor
    """bf16 `[tokens, inputs]`."""
    data: Json
    """How its scores are distributed."""

    def offers(self, batch: int) -> list[Offer]: ...

    def quality(self, found: Found) -> Json:
        """Of what a contender found for the first tokens: recall of the exact best, and error of the numbers."""


def rotating(card: Card, function: Callable[..., Found], tensors: Sequence[Tensor], read_bytes: int) -> Contender:
    """A function of tokens and weights."""
    copies = rotated(card, tensors, read_bytes)
    return Contender([partial(_with_weights, function, own) for own in copies], read_bytes)


def _with_weights(function: Callable[..., Found], weights: Sequence[Tensor], x: Tensor) -> Found:
    return function(x, *weights)


ROTATION = 4
"""A rotation reads so many times what the L2 cache holds, so that nothing of a call is left there when it comes again."""

LARGEST = 0.2
"""Share of the card's memory that one rotation may take."""


def rotated(card: Card, tensors: Sequence[Tensor], read_bytes: int) -> list[Sequence[Tensor]]:
    """Weights and so many copies of them that together a round of calls exceeds the cache."""
    size = sum(each.nbytes for each in tensors)
    wanted = -(-ROTATION * card.cache // read_bytes)
    count = max(1, min(wanted, int(LARGEST * card.memory / size)))
    return [tensors, *([each.clone() for each in tensors] for _ in range(count - 1))]


@dataclass
class HirecLayers:
    """hirec's layers of one shape, packed once for all batches that lay their weights out alike."""

    card: Card
    package: Any
    layers: Sequence[Json]
    weights: dict[str, Tensor]
    activations: Tensor
    _packed: dict[str, list[Sequence[Tensor]]] = field(default_factory=dict)

    def offers(self, batch: int, fields: Sequence[int]) -> list[Offer]:
        """fields: of a layer's results, those that make up what a contender found."""
        chosen = [layer for layer in self.layers if layer["batch"] == batch]
        return [Offer(f"hirec {each['estimator']}", partial(self._contender, each, fields)) for each in chosen]

    def _contender(self, layer: Json, fields: Sequence[int]) -> Contender:
        read = int(layer["reads"]["total"])
        return Contender([self._call(layer, own, fields) for own in self._rotation(layer, read)], read, layer)

    def _call(self, layer: Json, tensors: Sequence[Tensor], fields: Sequence[int]) -> Call:
        module = module_of(self.package, layer, tensors)

        def call(x: Tensor) -> Found:
            result = module(x)
            return [result[each] for each in fields]

        return call

    def _rotation(self, layer: Json, read: int) -> list[Sequence[Tensor]]:
        plan = layer["plan"]
        layout = ("estimator", "tiling", "selection", "group", "tensors")
        # Names of tensors begin with those of layers.
        key = repr([plan.get(each) for each in layout]).replace(f"'{layer['name']}.", "'")
        if key not in self._packed:
            packed = packing.pack(plan, self.weights, self.activations)
            self._packed[key] = rotated(self.card, list(packed.values()), read)
        return self._packed[key]


def module_of(package: Any, layer: Json, tensors: Sequence[Tensor]) -> Any:
    """The module of a layer with its packed tensors, in the order of the plan. It is ready to be captured."""
    module = package.LAYERS[layer["name"]]()
    for packed, tensor in zip(module.plan.packed, tensors):
        assert tuple(tensor.shape) == packed.shape, packed
        setattr(module, packed.name, tensor)
    return module.prepare()


def share_found(found: Tensor, wanted: Tensor) -> float:
    """The share of wanted indices `[tokens, k]` that were found."""
    return (found.unsqueeze(-1) == wanted.unsqueeze(-2)).any(-2).double().mean().item()


def float_matmul(x: Tensor, matrix: Tensor) -> Tensor:
    """f64 `[tokens, rows]`, exact but for its own rounding, of a large matrix."""
    rows = max(1, (1 << 26) // matrix.shape[1])
    return torch.cat([x.double() @ part.double().T for part in matrix.split(rows)], 1)

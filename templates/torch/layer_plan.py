# What the plan of a layer says, as types. plan.py holds the layers of this model.

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


# Compared by identity, so that plans can be keys.
@dataclass(frozen=True, eq=False)
class Weight:
    """A tensor of the model that a layer stands for."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Packed:
    """A tensor of the pack. Operators take its bits as integers: int32 for U32 and F32, and so on."""

    name: str
    key: str
    dtype: Literal["U32", "F32", "BF16", "F16", "I8", "U8"]
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Output:
    """What a launch returns: `[batch, *shape]`."""

    name: str
    dtype: Literal["int32", "float32"]
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Kernel:
    """One launch of a kernel. Its parameters are pointers to buffers, each a multiple of 16."""

    name: str
    source: str
    grid: tuple[int, int, int]
    block: int
    parameters: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Program:
    """The kernels of a layer, in launch order, for cards of compute capability `architecture` and later."""

    architecture: int
    scratch: Mapping[str, int]
    """Bytes of what kernels leave for each other."""
    kernels: tuple[Kernel, ...]


@dataclass(frozen=True, eq=False)
class Sharding:
    """How a layer is spread over the ranks of a process group, each of which has the shard of its number."""

    interleaved: bool
    """Whether row or group r is shard r mod count's; else each shard has the next `range` of them, or what is left."""
    range: int
    pairs: int
    """Of a head, the pairs of key and row that a shard sends of a token: the bound of what it drops, and best rows."""
    parts: tuple[LayerPlan | None, ...]
    """What each shard computes; None where it has no rows."""
    merge: LayerPlan | None
    """Of a head, what makes its result of what all shards have sent of a token, int32 `[shards * pairs * 2]`."""


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """A layer, or what one shard computes of it, or the merge: what it takes, what it returns, and the programs that
    compute it, the most demanding first. A layer over shards has none as a whole."""

    name: str
    kind: Literal["softmax", "ffn", "merge"]
    inputs: int
    outputs: int
    """Width of the dense layer's result: rows of a head, outputs of a feed-forward."""
    hidden: int | None
    """Neurons of a feed-forward."""
    k: int
    batch: int
    dense_above: int
    """More tokens than this are cheaper with the dense layer: the crossover, or 4 batches where there is none."""
    masked: bool
    drawn: bool
    """Whether a uniform number per token decides which row is sampled."""
    returns: tuple[Output, ...]
    """Of the groups of a feed-forward over shards, the most that a shard has."""
    asked: bool = False
    """Whether a flag per token asks for its exact result: what a head with a fallback does over shards."""
    weights: tuple[Weight, ...] = ()
    """Of a layer, what its pack was made of: weight, or gate, up and down; and their biases."""
    packed: tuple[Packed, ...] = ()
    programs: tuple[Program, ...] = ()
    sharding: Sharding | None = None

    @property
    def mask_words(self) -> int:
        """int32 words of a mask, a bit per row."""
        return -(-self.outputs // 32)

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
class LayerPlan:
    """A layer: what it takes, what it returns, and the programs that compute it, the most demanding first."""

    name: str
    kind: Literal["softmax", "ffn"]
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
    weights: tuple[Weight, ...]
    """What the pack was made of: weight, or gate, up and down; and their biases."""
    packed: tuple[Packed, ...]
    returns: tuple[Output, ...]
    programs: tuple[Program, ...]

    @property
    def mask_words(self) -> int:
        """int32 words of a mask, a bit per row."""
        return -(-self.outputs // 32)

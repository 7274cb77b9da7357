# An operator of torch per layer, so that torch.compile, CUDA graphs and export see what a layer takes and returns and
# nothing of how it is launched.

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Union

import torch

from . import launch, plan
from .errors import HireError
from .layer_plan import LayerPlan, Packed

# Of several results it makes a tuple.
Operator = Callable[..., Union[torch.Tensor, tuple[torch.Tensor, ...]]]

# Packed tensors lie in a module as bits, which model.half() and model.to(torch.bfloat16) leave alone.
BITS = {
    "U32": torch.int32,
    "F32": torch.int32,
    "BF16": torch.int16,
    "F16": torch.int16,
    "I8": torch.int8,
    "U8": torch.int8,
}

FLOATS = (torch.float32, torch.float16, torch.bfloat16)


def arguments_of(layer: LayerPlan) -> list[str]:
    """The names of an operator's arguments, in order: x, mask words, uniforms, flags, packed tensors."""
    has = {"mask": layer.masked, "uniforms": layer.drawn, "again": layer.asked}
    return ["x", *(name for name in has if has[name]), *(packed.name for packed in layer.packed)]


def operator(layer: LayerPlan) -> Operator:
    """Registers the operator of a layer, `torch.ops.<package>.<layer>`.

    It takes x `[tokens, inputs]` f32, f16 or bf16; the int32 words of `mask_words`, where there is a mask; a uniform
    number per token, f32 `[tokens]`, where rows are drawn; and the packed tensors as bits. It returns what the kernels
    write: indices, groups and sampled as int32, -1 for none; certified as int32; values, lse and output as f32.

    The part of a head that a shard computes returns `pairs`, int32 `[tokens, (1 + k) * 2]`; with a fallback it takes
    `again`, int32 `[tokens]`, 1 for a token that it recomputes exactly. A merge takes as x what all shards have sent,
    int32, in whole launches, of which each has the tokens of its batch shard by shard; it returns `open`, int32
    `[tokens, shards]`, 1 where a row that the shard has dropped may be better than the k-th.
    """
    names = arguments_of(layer)
    result = ", ".join("Tensor" for _ in layer.returns)
    schema = f"({', '.join(f'Tensor {name}' for name in names)}) -> ({result})"

    def run(*tensors: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        given = dict(zip(names, tensors))
        _check(layer, given)
        try:
            if layer.kind != "merge":
                given["x"] = given["x"].to(torch.float32)
            given["x"] = given["x"].contiguous()
            return _returned(launch.run(layer, given))
        except torch.OutOfMemoryError as error:
            raise torch.OutOfMemoryError(f'Layer "{layer.name}" of hirec: {error}') from error

    def fake(*tensors: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        x = tensors[0]
        check_tokens(layer, x)
        empty = (x.new_empty((x.shape[0], *each.shape), dtype=launch.DTYPES[each.dtype]) for each in layer.returns)
        return _returned(tuple(empty))

    registered = torch.library.custom_op(f"{plan.PACKAGE}::{layer.name}", run, mutates_args=(), schema=schema)
    registered.register_fake(fake)
    return registered


def _returned(outputs: tuple[torch.Tensor, ...]) -> torch.Tensor | tuple[torch.Tensor, ...]:
    """To torch, a schema of one result is one of no tuple."""
    return outputs if len(outputs) > 1 else outputs[0]


class ShardOperators(NamedTuple):
    """The operators of a layer over shards."""

    parts: tuple[Operator | None, ...]
    """What each shard computes; None where it has no rows."""
    merge: Operator | None
    """Of a head."""


def shard_operators(layer: LayerPlan) -> ShardOperators:
    """Registers the operators of a layer over shards, each once."""
    assert layer.sharding is not None
    parts, merge = layer.sharding.parts, layer.sharding.merge
    made = {each: operator(each) for each in dict.fromkeys((*parts, merge)) if each is not None}
    return ShardOperators(tuple(made[each] if each else None for each in parts), made[merge] if merge else None)


def mask_words(mask: torch.Tensor) -> torch.Tensor:
    """A mask as kernels read it: bit r mod 32 of word r / 32 says whether row r may be returned.

    mask: bool `[rows]`.
    returns: int32 `[ceil(rows / 32)]`.
    """
    rows = mask.shape[0]
    bits = torch.zeros(-(-rows // 32) * 32, dtype=torch.int64, device=mask.device)
    bits[:rows] = mask
    weights = torch.ones(32, dtype=torch.int64, device=mask.device) << torch.arange(32, device=mask.device)
    return (bits.view(-1, 32) * weights).sum(1).to(torch.int32)


def _check(layer: LayerPlan, given: dict[str, torch.Tensor]) -> None:
    """Raises HireError HIRE-RUN-002."""
    x = given["x"]
    check_tokens(layer, x)
    if x.device.type != launch.DEVICE:
        raise _misfit(layer, "x", f"is on {x.device}", f'Move it to a CUDA device: x.to("{launch.DEVICE}")')
    if layer.masked:
        fix = "Make it with mask_words(mask)"
        _check_tensor(layer, x, "mask", given["mask"], torch.int32, (layer.mask_words,), fix)
    if layer.drawn:
        fix = "Pass a number in [0, 1) per token, as torch.rand(tokens) gives them"
        _check_tensor(layer, x, "uniforms", given["uniforms"], torch.float32, (x.shape[0],), fix)
    if layer.asked:
        fix = "Pass 1 for a token that is to be recomputed exactly, and 0 for the others"
        _check_tensor(layer, x, "again", given["again"], torch.int32, (x.shape[0],), fix)
    for packed in layer.packed:
        _check_packed(layer, x, packed, given[packed.name])


def check_tokens(layer: LayerPlan, x: torch.Tensor) -> None:
    """Raises HireError HIRE-RUN-002."""
    wanted = f"[tokens, {layer.inputs}]"
    if x.dim() != 2 or x.shape[1] != layer.inputs:
        fix = f"Pass {wanted}; a module takes any leading dimensions"
        raise _misfit(layer, "x", f"has shape {list(x.shape)}, not {wanted}", fix)
    if layer.kind == "merge":
        if x.dtype != torch.int32:
            fix = "Pass the pairs that the operators of shards return"
            raise _misfit(layer, "x", f"is {x.dtype}, not torch.int32", fix)
    elif x.dtype not in FLOATS:
        raise _misfit(layer, "x", f"is {x.dtype}", "Pass torch.float32, torch.float16 or torch.bfloat16")


def _check_packed(layer: LayerPlan, x: torch.Tensor, packed: Packed, tensor: torch.Tensor) -> None:
    fix = "Load the pack again: load_pack(path), and move the module with .to(device)"
    _check_tensor(layer, x, packed.name, tensor, BITS[packed.dtype], packed.shape, fix)


def _check_tensor(
    layer: LayerPlan,
    x: torch.Tensor,
    name: str,
    tensor: torch.Tensor,
    dtype: torch.dtype,
    shape: tuple[int, ...],
    fix: str,
) -> None:
    problem: str | None = None
    if tensor.dtype != dtype:
        problem = f"is {tensor.dtype}, not {dtype}"
    elif tuple(tensor.shape) != shape:
        problem = f"has shape {list(tensor.shape)}, not {list(shape)}"
    elif tensor.device != x.device:
        problem, fix = f"is on {tensor.device}, and x on {x.device}", "Move one of them with .to(device)"
    elif not tensor.is_contiguous() or tensor.data_ptr() % 16 != 0:
        problem, fix = "is not contiguous, or begins at no multiple of 16 bytes", "Pass tensor.contiguous().clone()"
    if problem is not None:
        raise _misfit(layer, name, problem, fix)


def _misfit(layer: LayerPlan, name: str, problem: str, fix: str) -> HireError:
    return HireError("HIRE-RUN-002", f'Tensor "{name}" of layer "{layer.name}" {problem}', fix)

# Reads the packed tensors of a layer out of what `hirec pack` wrote, a safetensors file.

from __future__ import annotations

import os
from typing import Union

import torch
from safetensors import SafetensorError, safe_open

from . import ops, plan
from .errors import HireError
from .layer_plan import LayerPlan

PathLike = Union[str, "os.PathLike[str]"]


def path_of_shard(path: PathLike, shard: int) -> str:
    """`head.pack` becomes `head.pack.0-of-4`, as `hirec pack` names the packs of shards."""
    return f"{os.fspath(path)}.{shard}-of-{len(plan.SHARD_PACK_HASHES)}"


def read_layer(
    path: PathLike, layer: LayerPlan | None, device: str | int | torch.device, shard: int | None
) -> dict[str, torch.Tensor]:
    """The packed tensors of a layer, by their names, as bits.

    layer: None where the shard has no rows; then only the file is looked at.
    shard: whose pack it is, where the model has shards; the path is that of all, without its number.
    Raises HireError HIRE-PACK-001, -002, -006 and -007.
    """
    hint = ""
    if shard is not None:
        path, hint = path_of_shard(path, shard), "; it is given without the number of the shard"
    try:
        with safe_open(os.fspath(path), framework="pt", device="cpu") as file:
            _check_plan(path, file.metadata() or {}, shard)
            keys = set(file.keys())
            tensors = {}
            for packed in layer.packed if layer is not None else ():
                if packed.key not in keys:
                    raise _foreign(path, f'lacks tensor "{packed.key}"')
                tensor = file.get_tensor(packed.key)
                if tuple(tensor.shape) != packed.shape or tensor.dtype != _DTYPES[packed.dtype]:
                    raise _foreign(path, f'lacks tensor "{packed.key}" {packed.dtype} {list(packed.shape)}')
                tensors[packed.name] = tensor.view(ops.BITS[packed.dtype]).to(device)
            return tensors
    except SafetensorError as error:
        raise HireError(
            "HIRE-PACK-002", f"{path} is not a whole safetensors file: {error}", "Download or write the file again"
        ) from error
    except OSError as error:
        raise HireError(
            "HIRE-PACK-001", f"{path} cannot be read: {error}", f"Check the path and its permissions{hint}"
        ) from error


_DTYPES = {
    "U32": torch.uint32,
    "F32": torch.float32,
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "I8": torch.int8,
    "U8": torch.uint8,
}


def _check_plan(path: PathLike, metadata: dict[str, str], shard: int | None) -> None:
    made_for = metadata.get("hirec_pack")
    if made_for is None:
        raise _foreign(path, "was not made by hirec pack")
    if metadata.get("hirec_format") != str(plan.PACK_FORMAT):
        found = metadata.get("hirec_format")
        raise HireError(
            "HIRE-PACK-007",
            f"{path} has pack format {found}, but this package reads {plan.PACK_FORMAT}",
            _pack_again(path),
        )
    if shard is not None and made_for != plan.SHARD_PACK_HASHES[shard] and made_for in plan.SHARD_PACK_HASHES:
        owner = plan.SHARD_PACK_HASHES.index(made_for)
        raise HireError(
            "HIRE-PACK-006",
            f"{path} was packed for shard {owner}, and this rank has shard {shard}",
            "Give every rank the pack of its own shard, under the name that hirec pack gave it",
        )
    if made_for != (plan.PACK_HASH if shard is None else plan.SHARD_PACK_HASHES[shard]):
        model = metadata.get("hirec_model")
        other = "another version of its spec" if model == plan.MODEL else f'model "{model}"'
        raise _foreign(path, f'was packed for {other}, not for this plan of "{plan.MODEL}"')


def _foreign(path: PathLike, problem: str) -> HireError:
    return HireError("HIRE-PACK-006", f"{path} {problem}", _pack_again(path))


def _pack_again(path: PathLike) -> str:
    # hirec pack is given the path without the number of a shard.
    out = os.fspath(path).rpartition(".")[0] if plan.SHARD_PACK_HASHES else path
    return f"Pack again: hirec pack MODULE --weights FILE --out {out}"

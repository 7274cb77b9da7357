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


def read_layer(path: PathLike, layer: LayerPlan, device: str | int | torch.device) -> dict[str, torch.Tensor]:
    """The packed tensors of a layer, by their names, as bits.

    Raises HireError HIRE-PACK-001, -002, -006 and -007.
    """
    try:
        with safe_open(os.fspath(path), framework="pt", device="cpu") as file:
            _check_plan(path, file.metadata() or {})
            keys = set(file.keys())
            tensors = {}
            for packed in layer.packed:
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
            "HIRE-PACK-001", f"{path} cannot be read: {error}", "Check the path and its permissions"
        ) from error


_DTYPES = {
    "U32": torch.uint32,
    "F32": torch.float32,
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "I8": torch.int8,
    "U8": torch.uint8,
}


def _check_plan(path: PathLike, metadata: dict[str, str]) -> None:
    made_for = metadata.get("hirec_pack")
    if made_for is None:
        raise _foreign(path, "was not made by hirec pack")
    if metadata.get("hirec_format") != str(plan.PACK_FORMAT):
        found = metadata.get("hirec_format")
        raise HireError(
            "HIRE-PACK-007",
            f"{path} has pack format {found}, but this package reads {plan.PACK_FORMAT}",
            f"Pack again: hirec pack MODULE --weights FILE --out {path}",
        )
    if made_for != plan.PACK_HASH:
        model = metadata.get("hirec_model")
        other = "another version of its spec" if model == plan.MODEL else f'model "{model}"'
        raise _foreign(path, f'was packed for {other}, not for this plan of "{plan.MODEL}"')


def _foreign(path: PathLike, problem: str) -> HireError:
    return HireError("HIRE-PACK-006", f"{path} {problem}", f"Pack again: hirec pack MODULE --weights FILE --out {path}")

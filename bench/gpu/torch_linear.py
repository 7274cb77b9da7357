"""Linear layers of torch with fewer bits than bf16: what somebody would do who wants fewer bytes and no hirec."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Linear = Callable[..., Tensor]
"""Of x and the tensors of a `Format`."""


@dataclass(frozen=True)
class Format:
    tensors: tuple[Tensor, ...]
    linear: Linear

    @property
    def read_bytes(self) -> int:
        return sum(each.nbytes for each in self.tensors)


GROUP = 128


def int4(weight: Tensor) -> Format:
    """torch's own 4-bit kernel (tinygemm), groups of 128 with bf16 scales and zeros."""
    rows, inputs = weight.shape
    groups = weight.view(rows, -1, GROUP).float()
    low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
    scale = ((high - low) / 15).clamp_min(1e-6)
    codes = ((groups - low) / scale).round_().clamp_(0, 15).to(torch.uint8).view(rows, inputs)
    # A code c stands for (c - 8) scale + zero.
    scales_and_zeros = torch.cat((scale, low + 8 * scale), -1).to(torch.bfloat16).transpose(0, 1).contiguous()
    packed = torch.ops.aten._convert_weight_to_int4pack(codes[:, ::2] << 4 | codes[:, 1::2], 8)
    return Format((packed, scales_and_zeros), _int4_linear)


def _int4_linear(x: Tensor, packed: Tensor, scales_and_zeros: Tensor) -> Tensor:
    result: Tensor = torch.ops.aten._weight_int4pack_mm(x, packed, GROUP, scales_and_zeros)
    return result


FP8 = torch.float8_e4m3fn


def fp8(weight: Tensor) -> Format:
    """fp8 rows with an f32 scale each, and tokens alike."""
    return Format(_to_fp8(weight), _fp8_linear)


def _to_fp8(matrix: Tensor) -> tuple[Tensor, Tensor]:
    scale = (matrix.abs().amax(-1, keepdim=True).float() / torch.finfo(FP8).max).clamp_min(1e-12)
    return (matrix / scale).to(FP8), scale


def _fp8_linear(x: Tensor, codes: Tensor, scale: Tensor) -> Tensor:
    own_codes, own_scale = _to_fp8(x)
    return torch._scaled_mm(own_codes, codes.t(), own_scale, scale.t(), out_dtype=torch.bfloat16)

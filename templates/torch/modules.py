# What the modules of all layers have in common, and the two that stand in for modules of a model.

from __future__ import annotations

from typing import ClassVar, TypeVar

import torch
from torch import nn

from . import launch, ops, pack
from .errors import HireError
from .layer_plan import LayerPlan

Self = TypeVar("Self", bound="Layer")


class Layer(nn.Module):
    """A layer with its packed weights as buffers. They are empty until `load_pack` or `load_state_dict(assign=True)`.

    For inference: gradients do not pass through it.
    """

    plan: ClassVar[LayerPlan]
    operator: ClassVar[ops.Operator]

    def __init__(self) -> None:
        super().__init__()
        for packed in self.plan.packed:
            self.register_buffer(packed.name, torch.empty(packed.shape, dtype=ops.BITS[packed.dtype], device="meta"))

    def load_pack(self: Self, path: pack.PathLike, device: str | int | torch.device = "cuda") -> Self:
        """Loads the weights that `hirec pack` wrote. Raises HireError HIRE-PACK-001, -002, -006 and -007."""
        for name, tensor in pack.read_layer(path, self.plan, device).items():
            setattr(self, name, tensor)
        return self

    def prepare(self: Self, device: int | torch.device | None = None) -> Self:
        """Compiles and loads the kernels now, instead of at the first call. Raises HireError as a call does."""
        launch.prepare(self.plan, device.index if isinstance(device, torch.device) else device)
        return self

    def run(
        self, x: torch.Tensor, mask: torch.Tensor | None = None, uniforms: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, ...]:
        """The operator on x `[..., inputs]`.

        mask: bool `[rows]`, true for rows that may be returned; without it every row may be.
        uniforms: `[...]` in [0, 1) by which rows are drawn; without them torch.rand draws them.
        returns: what the operator returns, each `[..., *]`, but indices as int64 and flags as bool.
        Raises HireError HIRE-RUN-002, -006, HIRE-TORCH-001 to -006.
        """
        given = {"x": x.reshape(-1, x.shape[-1])}
        if self.plan.masked:
            given["mask"] = self._words_of(mask, x.device)
        if self.plan.drawn:
            drawn = torch.rand(x.shape[:-1], device=x.device) if uniforms is None else uniforms.to(torch.float32)
            given["uniforms"] = drawn.reshape(-1)
        for packed in self.plan.packed:
            given[packed.name] = getattr(self, packed.name)
            # torch would answer with a result on meta, which holds no numbers.
            if given[packed.name].is_meta and not x.is_meta:
                raise HireError(
                    "HIRE-TORCH-005",
                    f'Layer "{self.plan.name}" has no weights yet',
                    "Load them first: load_pack(path)",
                )
        outputs = type(self).operator(*given.values())
        shaped = [each.reshape(*x.shape[:-1], *each.shape[1:]) for each in outputs]
        return tuple(_as_torch(each.name, tensor) for each, tensor in zip(self.plan.returns, shaped))

    def _words_of(self, mask: torch.Tensor | None, device: torch.device) -> torch.Tensor:
        rows = self.plan.outputs
        if mask is None:
            return torch.full((self.plan.mask_words,), -1, dtype=torch.int32, device=device)
        if mask.dtype != torch.bool or tuple(mask.shape) != (rows,):
            raise HireError(
                "HIRE-RUN-002",
                f'The mask of layer "{self.plan.name}" is {mask.dtype} {list(mask.shape)}, not torch.bool [{rows}]',
                "Pass true for rows that may be returned, for all tokens",
            )
        return ops.mask_words(mask)

    def extra_repr(self) -> str:
        """What printing a model shows of the layer."""
        return f"{self.plan.name}: {self.plan.inputs} -> {self.plan.outputs}, k={self.plan.k}, batch={self.plan.batch}"


def _as_torch(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """torch indexes with int64, which is a conversion of k numbers per token."""
    if name == "certified":
        return tensor != 0
    return tensor.to(torch.int64) if tensor.dtype == torch.int32 else tensor


class LMHead(nn.Module):
    """Stands in for the output head of a model: logits f32 `[..., rows]`, -inf for all rows but the k that were found.

    Greedy decoding and sampling from the k best work as ever. What needs the logits of all rows does not: a loss, or a
    temperature or top-p whose mass lies beyond the k best.
    """

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: `[..., inputs]` f32, f16 or bf16. Raises HireError as the layer does."""
        indices, values = self.layer.run(x)[:2]
        logits = values.new_full((*x.shape[:-1], self.layer.plan.outputs), float("-inf"))
        # Where fewer than k rows were found, -1 follows with value -inf, which changes nothing at row 0.
        return logits.scatter_reduce(-1, indices.clamp_min(0), values, "amax")


class SparseMLP(nn.Module):
    """Stands in for a feed-forward of a model, which it keeps for calls with more than `dense_above` tokens."""

    def __init__(self, layer: Layer, dense: nn.Module | None, dense_above: int | None = None) -> None:
        super().__init__()
        self.layer = layer
        self.dense = dense
        self.dense_above = layer.plan.dense_above if dense_above is None else dense_above

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: `[..., inputs]`. Returns `[..., outputs]` in the dtype of x. Raises HireError as the layer does."""
        if self.dense is not None and x.numel() > self.dense_above * self.layer.plan.inputs:
            result: torch.Tensor = self.dense(x)
            return result
        return self.layer.run(x)[0].to(x.dtype)

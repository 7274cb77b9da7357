# What the modules of all layers have in common, and the two that stand in for modules of a model.

from __future__ import annotations

from typing import ClassVar, TypeVar

import torch
import torch.distributed as dist
from torch import nn

from . import launch, ops, pack, ranks
from .errors import HireError
from .layer_plan import LayerPlan

Self = TypeVar("Self", bound="Layer")


class Layer(nn.Module):
    """A layer with its packed weights as buffers. They are empty until `load_pack` or `load_state_dict(assign=True)`.

    For inference: gradients do not pass through it.
    """

    plan: ClassVar[LayerPlan]
    operator: ClassVar[ops.Operator]

    def __init__(self, group: dist.ProcessGroup | None = None) -> None:
        """group: of a model over shards, the process group whose ranks have one each; without it, all processes.

        Raises HireError HIRE-RUN-020, HIRE-TORCH-009.
        """
        super().__init__()
        self.group = group
        self.shard = ranks.shard_of(group)
        for packed in self.own.packed if self.own is not None else ():
            self.register_buffer(packed.name, torch.empty(packed.shape, dtype=ops.BITS[packed.dtype], device="meta"))

    @property
    def own(self) -> LayerPlan | None:
        """What this process computes of the layer: all of it, or None where its shard has no rows."""
        return self.plan

    def load_pack(self: Self, path: pack.PathLike, device: str | int | torch.device = "cuda") -> Self:
        """Loads the weights that `hirec pack` wrote.

        Of a model over shards every rank calls it, with the path of all packs: without the number of the shard. The
        ranks then find out that they are parts of one whole.

        Raises HireError HIRE-PACK-001, -002, -006 and -007; over shards also HIRE-RUN-015, -016 and -017, and
        HIRE-TORCH-001 and -010.
        """

        def read() -> dict[str, torch.Tensor]:
            return pack.read_layer(path, self.own, device, self.shard)

        loaded = read() if self.shard is None else ranks.load_together(self.plan.name, self.group, device, read)
        for name, tensor in loaded.items():
            setattr(self, name, tensor)
        return self

    def prepare(self: Self, device: int | torch.device | None = None) -> Self:
        """Compiles and loads the kernels now, instead of at the first call. Raises HireError as a call does."""
        for each in self.launched():
            launch.prepare(each, device.index if isinstance(device, torch.device) else device)
        return self

    def launched(self) -> list[LayerPlan]:
        """What this process launches."""
        return [self.plan]

    def run(
        self, x: torch.Tensor, mask: torch.Tensor | None = None, uniforms: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, ...]:
        """The layer on x `[..., inputs]`.

        mask: bool `[rows]`, true for rows that may be returned; without it every row may be.
        uniforms: `[...]` in [0, 1) by which rows are drawn; without them torch.rand draws them.
        returns: what the operator returns, each `[..., *]`, but indices as int64 and flags as bool.
        Raises HireError HIRE-RUN-002, -006, HIRE-TORCH-001 to -006, and over shards -011.
        """
        self._check_mask(mask)
        drawn: torch.Tensor | None = None
        if self.plan.drawn:
            drawn = self.draw(x) if uniforms is None else uniforms.to(torch.float32)
            drawn = drawn.reshape(-1)
        outputs = self.compute(x.reshape(-1, x.shape[-1]), mask, drawn)
        shaped = [each.reshape(*x.shape[:-1], *each.shape[1:]) for each in outputs]
        return tuple(_as_torch(each.name, tensor) for each, tensor in zip(self.plan.returns, shaped))

    def draw(self, x: torch.Tensor) -> torch.Tensor:
        """A uniform number for each token of x `[..., inputs]`."""
        return torch.rand(x.shape[:-1], device=x.device)

    def compute(
        self, x: torch.Tensor, mask: torch.Tensor | None, uniforms: torch.Tensor | None
    ) -> tuple[torch.Tensor, ...]:
        """What the layer returns for x `[tokens, inputs]`, as the kernels write it."""
        return self.operate(type(self).operator, self.plan, {"x": x, "uniforms": uniforms}, mask)

    def operate(
        self,
        operator: ops.Operator,
        own: LayerPlan,
        given: dict[str, torch.Tensor | None],
        mask: torch.Tensor | None,
    ) -> tuple[torch.Tensor, ...]:
        """An operator, on what is given and the weights of this module.

        mask: bool, of the rows of `own`.
        """
        x = given["x"]
        assert x is not None
        if own.masked:
            every = torch.full((own.mask_words,), -1, dtype=torch.int32, device=x.device)
            given["mask"] = every if mask is None else ops.mask_words(mask)
        for packed in own.packed:
            tensor: torch.Tensor = getattr(self, packed.name)
            # torch would answer with a result on meta, which holds no numbers.
            if tensor.is_meta and not x.is_meta:
                raise HireError(
                    "HIRE-TORCH-005",
                    f'Layer "{self.plan.name}" has no weights yet',
                    "Load them first: load_pack(path)",
                )
            given[packed.name] = tensor
        outputs = operator(*(given[name] for name in ops.arguments_of(own)))
        return (outputs,) if isinstance(outputs, torch.Tensor) else outputs

    def _check_mask(self, mask: torch.Tensor | None) -> None:
        rows = self.plan.outputs
        if mask is not None and (mask.dtype != torch.bool or tuple(mask.shape) != (rows,)):
            raise HireError(
                "HIRE-RUN-002",
                f'The mask of layer "{self.plan.name}" is {mask.dtype} {list(mask.shape)}, not torch.bool [{rows}]',
                "Pass true for rows that may be returned, for all tokens",
            )

    def extra_repr(self) -> str:
        """What printing a model shows of the layer."""
        plan, shard = self.plan, "" if self.shard is None else f", shard {self.shard}"
        return f"{plan.name}: {plan.inputs} -> {plan.outputs}, k={plan.k}, batch={plan.batch}{shard}"


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

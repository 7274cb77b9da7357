# Layers over shards: every rank of a process group computes its part, all exchange what they found, and each has the
# result. All ranks call the same layers in the same order, with the same tokens.

from __future__ import annotations

from typing import ClassVar

import torch
import torch.distributed as dist
from torch.nn.functional import pad

from . import launch, ops, ranks
from .errors import HireError
from .layer_plan import LayerPlan, Sharding
from .modules import Layer


class ShardedLayer(Layer):
    """A layer of which this process has one shard."""

    operators: ClassVar[ops.ShardOperators]

    @property
    def sharding(self) -> Sharding:
        """How the layer is spread."""
        assert self.plan.sharding is not None
        return self.plan.sharding

    @property
    def rank(self) -> int:
        """Of this process in the group, which is the number of its shard."""
        assert self.shard is not None
        return self.shard

    @property
    def own(self) -> LayerPlan | None:
        return self.sharding.parts[self.rank]

    def launched(self) -> list[LayerPlan]:
        return [each for each in (self.own, self.sharding.merge) if each is not None]

    def compute(
        self, x: torch.Tensor, mask: torch.Tensor | None, uniforms: torch.Tensor | None
    ) -> tuple[torch.Tensor, ...]:
        # A rank without rows launches nothing that would check them, and must not wait for ranks that were refused.
        ops.check_tokens(self.plan, x)
        if x.shape[0] == 0:
            returns = (x.new_empty((0, *each.shape), dtype=launch.DTYPES[each.dtype]) for each in self.plan.returns)
            return tuple(returns)
        return self.exchange(x, mask, uniforms)

    def exchange(
        self, x: torch.Tensor, mask: torch.Tensor | None, uniforms: torch.Tensor | None
    ) -> tuple[torch.Tensor, ...]:
        """What the layer returns for x `[tokens, inputs]`, with at least one token."""
        raise NotImplementedError

    def operate_own(self, given: dict[str, torch.Tensor | None], mask: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
        """What the operator of this shard returns, or nothing where the shard has no rows."""
        own, operator = self.own, type(self).operators.parts[self.rank]
        if own is None or operator is None:
            return ()
        return self.operate(operator, own, given, mask)


class ShardedHead(ShardedLayer):
    """An output head. Each shard sends its best rows, all that it has to offer, and each merges the same rows alike.

    With a fallback, shards whose dropped rows may be among the results are asked for their exact ones: a second
    exchange, of those tokens alone, before which the host waits for the first.
    """

    def draw(self, x: torch.Tensor) -> torch.Tensor:
        # Drawn on every rank, so that generators that were alike stay alike.
        return ranks.of_first(super().draw(x), self.group)

    def exchange(
        self, x: torch.Tensor, mask: torch.Tensor | None, uniforms: torch.Tensor | None
    ) -> tuple[torch.Tensor, ...]:
        nobody: torch.Tensor | None = None
        if self.plan.asked:
            if launch.is_captured():
                raise HireError(
                    "HIRE-TORCH-011",
                    f'Layer "{self.plan.name}" has a fallback over shards, which cannot be captured in a CUDA graph',
                    'Capture what comes before and after it, or compile it with certify: "report"',
                )
            nobody = torch.zeros(x.shape[0], dtype=torch.int32, device=x.device)
        merged = self.merge(self.pairs(x, mask, nobody), uniforms)
        names = [each.name for each in self.plan.returns]
        if "certified" in names:
            merged["certified"] = ~(merged["open"] != 0).any(-1)
        if self.plan.asked:
            self.recompute(merged, x, mask, uniforms)
        return tuple(merged[name] for name in names)

    def recompute(
        self,
        merged: dict[str, torch.Tensor],
        x: torch.Tensor,
        mask: torch.Tensor | None,
        uniforms: torch.Tensor | None,
    ) -> None:
        """Puts exact results in the place of those that are not proven."""
        unsure = merged["open"] != 0
        # Everybody merged the same pairs, and so finds the same tokens. The host waits here.
        needed = unsure.any(-1).nonzero().reshape(-1)
        if needed.shape[0] == 0:
            return
        pairs = self.pairs(x[needed], mask, unsure[needed, self.rank].to(torch.int32))
        second = self.merge(pairs, None if uniforms is None else uniforms[needed])
        for name, exact in second.items():
            merged[name] = merged[name].index_copy(0, needed, exact)

    def pairs(self, x: torch.Tensor, mask: torch.Tensor | None, again: torch.Tensor | None) -> torch.Tensor:
        """What this shard sends: int32 `[tokens, pairs * 2]`, of which zeros are no row."""
        words = self.sharding.pairs * 2
        sent = self.operate_own({"x": x, "again": again}, self.rows_of(mask))
        if not sent:
            return torch.zeros((x.shape[0], words), dtype=torch.int32, device=x.device)
        missing = words - sent[0].shape[1]
        return pad(sent[0], (0, missing)) if missing > 0 else sent[0]

    def rows_of(self, mask: torch.Tensor | None) -> torch.Tensor | None:
        """The entries of a mask that are about the rows of this shard."""
        if mask is None:
            return None
        sharding, rank = self.sharding, self.rank
        if sharding.interleaved:
            return mask[rank :: len(sharding.parts)]
        return mask[rank * sharding.range : (rank + 1) * sharding.range]

    def merge(self, pairs: torch.Tensor, uniforms: torch.Tensor | None) -> dict[str, torch.Tensor]:
        """Exchanges pairs and makes the results of everybody's, each `[tokens, ...]`, by their names."""
        plan, operator = self.sharding.merge, type(self).operators.merge
        assert plan is not None and operator is not None
        tokens, missing = pairs.shape[0], -pairs.shape[0] % plan.batch
        given: dict[str, torch.Tensor | None] = {"x": launch_by_launch(ranks.gather(pairs, self.group), plan.batch)}
        if uniforms is not None:
            given["uniforms"] = pad(uniforms, (0, missing))
        outputs = self.operate(operator, plan, given, None)
        return {each.name: output[:tokens] for each, output in zip(plan.returns, outputs)}


class ShardedFeedForward(ShardedLayer):
    """A feed-forward. Each shard selects and adds up groups of its own; nothing is exchanged but the sum."""

    def exchange(
        self, x: torch.Tensor, mask: torch.Tensor | None, uniforms: torch.Tensor | None
    ) -> tuple[torch.Tensor, ...]:
        own = self.operate_own({"x": x}, None)
        if own:
            output, groups = own
        else:
            output = torch.zeros((x.shape[0], self.plan.outputs), device=x.device)
            groups = torch.zeros((x.shape[0], 0), dtype=torch.int32, device=x.device)
        dist.all_reduce(output, group=self.group)
        sharding, rank = self.sharding, self.rank
        among_all = groups * len(sharding.parts) + rank if sharding.interleaved else groups + rank * sharding.range
        return output, torch.where(groups < 0, groups, among_all)


def launch_by_launch(gathered: torch.Tensor, batch: int) -> torch.Tensor:
    """What was gathered, `[shards, tokens, words]`, as the merge takes it, `[launches * batch, shards * words]`.

    A launch has the tokens of its batch shard by shard. Zeros, no row, stand for the tokens that the last one lacks.
    """
    shards, tokens, words = gathered.shape
    missing = -tokens % batch
    whole = pad(gathered, (0, 0, 0, missing)) if missing > 0 else gathered
    return whole.reshape(shards, -1, batch, words).transpose(0, 1).reshape(-1, shards * words)

"""Gated feed-forwards, of whose groups of 8 neurons each token computes the best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, silu

import torch_linear
from card import Card
from contender import Contender, Found, HirecLayers, Json, Offer, float_matmul, rotating, share_found
from synthetic import GATE, Source, profile


class FeedForward:
    """A feed-forward of random weights, whose gate is like one that was trained to be sparse."""

    def __init__(self, card: Card, package: Any, shape: Json, layers: Sequence[Json], tokens: int) -> None:
        inputs, hidden = shape["inputs"], shape["hidden"]
        source = Source(GATE, inputs, card.device, seed=2)
        self.card = card
        self.shape = shape
        self.gate = source.rows(hidden)
        self.tokens = source.tokens(tokens)
        activations = source.tokens(4 * inputs).float()
        generator = torch.Generator(card.device).manual_seed(3)
        normal = torch.randn(2, hidden, inputs, generator=generator, device=card.device) / inputs**0.5
        self.up = normal[0].to(torch.bfloat16)
        self.down = normal[1].to(torch.bfloat16).T.contiguous()
        weights = {"gate": self.gate, "up": self.up, "down": self.down}
        self.hirec = HirecLayers(card, package, layers, weights, activations)
        plan = layers[0]["plan"]
        self.k, self.size = plan["k"], plan["group"]["size"]
        scores = float_matmul(self.tokens, self.gate)
        self.hidden = silu(scores) * float_matmul(self.tokens, self.up)
        grouped = scores.view(tokens, -1, self.size).amax(-1)
        self.best = grouped.topk(self.k).indices
        self.data = {"profile": profile(scores)}

    def offers(self, batch: int) -> list[Offer]:
        merged = torch.cat((self.gate, self.up))

        def separate(x: Tensor, gate: Tensor, up: Tensor, down: Tensor) -> Found:
            return [linear(silu(linear(x, gate)) * linear(x, up), down)]

        def together(x: Tensor, gate_and_up: Tensor, down: Tensor) -> Found:
            gate, up = linear(x, gate_and_up).chunk(2, -1)
            return [linear(silu(gate) * up, down)]

        def low_bits(format_of: Callable[[Tensor], torch_linear.Format]) -> Contender:
            first, second = format_of(merged), format_of(self.down)
            cut = len(first.tensors)

            def call(x: Tensor, *tensors: Tensor) -> Found:
                gate, up = first.linear(x, *tensors[:cut]).chunk(2, -1)
                return [second.linear(silu(gate) * up, *tensors[cut:])]

            return rotating(self.card, call, (*first.tensors, *second.tensors), first.read_bytes + second.read_bytes)

        def gathered() -> Contender:
            """The gate in full, and of up and down the rows of the best groups."""
            k, size, inputs = self.k, self.size, self.shape["inputs"]
            up = self.up.view(-1, size, inputs)
            down = self.down.T.contiguous().view(-1, size, inputs)

            def call(x: Tensor, gate: Tensor, up: Tensor, down: Tensor) -> Found:
                scores = linear(x, gate).view(len(x), -1, size)
                groups = scores.amax(-1).topk(k).indices
                active = silu(scores.gather(1, groups.unsqueeze(-1).expand(-1, -1, size))).flatten(1)
                active = active * torch.bmm(up[groups].flatten(1, 2), x.unsqueeze(-1)).squeeze(-1)
                return [torch.bmm(active.unsqueeze(1), down[groups].flatten(1, 2)).squeeze(1), groups]

            union = 1 - (1 - k / len(up)) ** batch
            read = self.gate.nbytes + int(union * 2 * self.up.nbytes)
            return rotating(self.card, call, (self.gate, up, down), read)

        whole = self.gate.nbytes + self.up.nbytes + self.down.nbytes
        apart, joined = (self.gate, self.up, self.down), (merged, self.down)
        return [
            Offer("torch", lambda: rotating(self.card, separate, apart, whole)),
            Offer("torch.compile", lambda: rotating(self.card, self.card.compile(separate), apart, whole)),
            *self.hirec.offers(batch, (0, 1)),
            Offer("torch.compile, merged", lambda: rotating(self.card, self.card.compile(together), joined, whole)),
            Offer("torch int4", lambda: low_bits(torch_linear.int4)),
            Offer("torch fp8", lambda: low_bits(torch_linear.fp8)),
            Offer("torch, gathered", gathered),
        ]

    def quality(self, found: Found) -> Json:
        """The error is that of what a contender computes: the output of the groups that it chose, or of all."""
        output, *groups = found
        active = self.hidden[: len(output)]
        if groups:
            chosen = torch.zeros(len(output), active.shape[1] // self.size, dtype=active.dtype, device=active.device)
            active = active * chosen.scatter_(1, groups[0], 1.0).repeat_interleave(self.size, 1)
        exact = active @ self.down.double().T
        error = {"error": ((output.double() - exact).abs().max() / exact.abs().max()).item()}
        return {"recall": share_found(groups[0], self.best[: len(output)]), **error} if groups else error

"""Output heads: the k best rows for each token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

import torch_linear
from card import Card
from contender import Contender, Found, HirecLayers, Json, Offer, float_matmul, rotating, share_found
from synthetic import HEAD, Source, profile


class Head:
    """A head of random weights."""

    def __init__(self, card: Card, package: Any, shape: Json, layers: Sequence[Json], tokens: int) -> None:
        source = Source(HEAD, shape["inputs"], card.device, seed=1)
        self.card = card
        self.shape = shape
        self.weight = source.rows(shape["rows"])
        self.tokens = source.tokens(tokens)
        # A basis is made of inputs that nothing is measured on.
        activations = source.tokens(4 * shape["inputs"]).float()
        self.hirec = HirecLayers(card, package, layers, {"weight": self.weight}, activations)
        self.exact = float_matmul(self.tokens, self.weight)
        self.best = self.exact.topk(shape["k"]).indices
        self.data = {"profile": profile(self.exact)}

    def offers(self, batch: int) -> list[Offer]:
        k, candidates = self.shape["k"], self.shape["candidates"]

        def dense(x: Tensor, weight: Tensor) -> Found:
            return _best(linear(x, weight), k)

        def one_pass(format: torch_linear.Format) -> Contender:
            return rotating(self.card, dense_by(format), format.tensors, format.read_bytes)

        def dense_by(format: torch_linear.Format) -> Callable[..., Found]:
            return lambda x, *tensors: _best(format.linear(x, *tensors), k)

        def two_pass() -> Contender:
            """HiRE of torch's own parts: scores by 4 bits, and the candidates once more in bf16."""
            format = torch_linear.int4(self.weight)

            def call(x: Tensor, weight: Tensor, *tensors: Tensor) -> Found:
                chosen = format.linear(x, *tensors).topk(candidates).indices
                exact = torch.bmm(weight[chosen], x.unsqueeze(-1)).squeeze(-1)
                values, places = exact.topk(k)
                return [chosen.gather(1, places), values]

            read = format.read_bytes + batch * candidates * self.weight[0].nbytes
            return rotating(self.card, call, (self.weight, *format.tensors), read)

        whole = (self.weight,), self.weight.nbytes
        return [
            Offer("torch", lambda: rotating(self.card, dense, *whole)),
            Offer("torch.compile", lambda: rotating(self.card, self.card.compile(dense), *whole)),
            *self.hirec.offers(batch, (0, 1)),
            Offer("torch int4", lambda: one_pass(torch_linear.int4(self.weight))),
            Offer("torch fp8", lambda: one_pass(torch_linear.fp8(self.weight))),
            Offer("torch int4, then exact", two_pass),
        ]

    def quality(self, found: Found) -> Json:
        indices, values = found
        count = len(indices)
        exact = self.exact[:count]
        return {
            "recall": share_found(indices, self.best[:count]),
            "top1": (indices[:, 0] == self.best[:count, 0]).double().mean().item(),
            "error": ((values.double() - exact.gather(1, indices)).abs().max() / exact.abs().max()).item(),
        }


def _best(logits: Tensor, k: int) -> Found:
    values, indices = logits.topk(k)
    return [indices, values]

"""Weights and tokens of any shape, whose scores are distributed as those of tiny-lm, a model that was really trained.

Random weights have no realistic scores: nothing stands out, and every estimator looks alike. Here rows and tokens share a basis,
drawn at random. In it

- a row is `norm (sqrt(1 - mean^2) sum_j sqrt(weights_j) (e_j - 1) b_j + mean b_last)`, e_j drawn from the exponential
  distribution, as features that are mostly absent; norm is log-normal;
- a token is made of a few topics, directions in which it is large, and noise in all of them, so that the scores of all rows
  have the variance `scores_j` in direction j.

The spectra `weights` and `scores` are tiny-lm's (measure_tiny_lm.py), as functions of j / inputs. The other numbers were chosen
by hand to meet tiny-lm's quantiles and the recall of its low ranks; test/bench/synthetic.test.ts holds both.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

MEASURED = json.loads((Path(__file__).parent / "tiny-lm.json").read_text(encoding="utf-8"))

RANKS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
"""Where score profiles are taken."""


@dataclass(frozen=True)
class Distribution:
    scores: tuple[float, ...]
    """Share of the scores' variance in each direction, largest first."""
    weights: tuple[float, ...]
    """Share of the rows' squares in each direction."""
    mean: float
    """Cosine of a row with the direction that all rows share."""
    norms: float
    """Deviation of the log of the rows' norms."""
    topics: int
    topic_share: float
    """Share of the scores' variance that is due to topics."""
    sharpness: float
    """A direction is a topic with a probability of its `scores` to this power."""
    deviation: float
    """Of a token's scores."""


HEAD = Distribution(
    scores=tuple(MEASURED["head"]["scores"]),
    weights=tuple(MEASURED["head"]["weights"]),
    mean=0.67,
    norms=0.15,
    topics=3,
    topic_share=0.7,
    sharpness=1.5,
    deviation=MEASURED["head"]["deviation"],
)

GATE = Distribution(
    scores=tuple(MEASURED["gate"]["scores"]),
    weights=tuple(MEASURED["gate"]["weights"]),
    mean=0.0,
    norms=0.1,
    topics=3,
    topic_share=0.3,
    sharpness=1.0,
    deviation=MEASURED["gate"]["deviation"],
)

CHUNK = 1 << 26
"""Numbers that are drawn at a time."""


class Source:
    """Draws rows and tokens of one width from one basis. The same seed and device give the same ones."""

    def __init__(self, distribution: Distribution, inputs: int, device: str, seed: int) -> None:
        self.distribution = distribution
        self.inputs = inputs
        self.device = device
        self.generator = torch.Generator(device).manual_seed(seed)
        self.basis: Tensor = torch.linalg.qr(self._normal(inputs, inputs))[0].T.contiguous()
        self.scores = _stretched(distribution.scores, inputs).to(device)
        self.weights = _stretched(distribution.weights, inputs).to(device)

    def rows(self, count: int) -> Tensor:
        """bf16 `[count, inputs]`."""
        result = torch.empty(count, self.inputs, dtype=torch.bfloat16, device=self.device)
        size = max(1, CHUNK // self.inputs)
        for part in result.split(size):
            features = torch.empty(part.shape, device=self.device).exponential_(generator=self.generator) - 1
            features *= ((1 - self.distribution.mean**2) * self.weights).sqrt()
            features[:, -1] += self.distribution.mean
            features *= (self.distribution.norms * self._normal(len(part), 1)).exp()
            part.copy_(features @ self.basis)
        return result

    def tokens(self, count: int) -> Tensor:
        """bf16 `[count, inputs]`."""
        share, topics = self.distribution.topic_share, self.distribution.topics
        x = self._normal(count, self.inputs) * ((1 - share) * self.scores / self.weights).sqrt()
        odds = (self.scores**self.distribution.sharpness).expand(count, -1)
        chosen = torch.multinomial(odds, topics, generator=self.generator)
        amounts = torch.empty(chosen.shape, device=self.device).exponential_(generator=self.generator)
        amounts *= share**0.5 / amounts.norm(dim=1, keepdim=True)
        x.scatter_add_(1, chosen, amounts / self.weights.sqrt()[chosen])
        x *= self.distribution.deviation / (1 - self.distribution.mean**2) ** 0.5
        return (x @ self.basis).to(torch.bfloat16)

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, device=self.device)


def _stretched(shares: tuple[float, ...], inputs: int) -> Tensor:
    """A spectrum of other width: the same function of the position, interpolated in its logarithm."""
    known = torch.tensor(shares, dtype=torch.float64).log()
    position = (torch.arange(inputs, dtype=torch.float64) + 0.5) / inputs * len(shares) - 0.5
    position = position.clamp(0, len(shares) - 1)
    below = position.floor().long().clamp(max=len(shares) - 2)
    result: Tensor = torch.lerp(known[below], known[below + 1], position - below).softmax(0)
    return result.to(torch.float32)


def profile(scores: Tensor) -> dict[str, float]:
    """The score of rank 1, 2, 4, ... in deviations above the mean, median over tokens.

    scores: `[tokens, rows]`.
    """
    centred = scores - scores.mean(1, keepdim=True)
    best = (centred / scores.std(1, keepdim=True)).topk(min(RANKS[-1], scores.shape[1])).values.median(0).values
    return {str(rank): round(best[rank - 1].item(), 3) for rank in RANKS if rank <= len(best)}

"""Packs weights for a layer on the device, where `hirec pack` would take minutes, and needs Node.

It is runtime/pack for the estimators of the bench, in torch: codes of 4 and 8 bits, low ranks with factors of those, and dense.
Every number is computed in f64 as there, so that the bytes are the same; test/bench/packing.test.ts compares them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

RANGES = {4: (1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7), 8: (1,)}
"""Shares of a group's full range that are tried, as in runtime/pack/quantize.ts."""

MOST_ROWS = 32_768
RIDGE = 1e-3
"""As in runtime/pack/low-rank.ts."""

SMALLEST_NORMAL = 2.0**-126

CHUNK = 1 << 24
"""Weights that are quantized at a time; each takes some 100 bytes then."""

BITS = {"U32": torch.int32, "F32": torch.int32, "BF16": torch.int16, "I8": torch.int8}
"""What a module holds a packed tensor as."""

Json = dict[str, Any]


def pack(plan: Json, weights: dict[str, Tensor], activations: Tensor | None = None) -> dict[str, Tensor]:
    """The packed tensors of a layer by their roles, as bits.

    plan: the layer of plan.json.
    weights: bf16, `weight` [rows, inputs] of a head, or `gate`, `up` [hidden, inputs] and `down` [outputs, hidden].
    activations: f32 `[tokens, inputs]`, for a basis that is made of them.
    """
    scored = weights["weight"] if plan["kind"] == "softmax" else weights["gate"]
    packed = {
        each["role"]: torch.zeros(each["shape"], dtype=BITS[each["dtype"]], device=scored.device)
        for each in plan["tensors"]
    }
    estimator = plan["estimator"]
    if estimator["kind"] == "dense":
        _place_weights(plan, scored, packed["weights"])
    elif estimator["kind"] == "quantized":
        _place_codes(plan, estimator, scored, packed)
    else:
        factors = _pack_basis(plan, scored, activations, packed)
        _place_codes(plan, estimator["rows"], factors, packed)
    if "exact" in packed:
        packed["exact"][:, : plan["inputs"]] = scored.view(torch.int16)
    if "bundles" in packed:
        _place_bundles(plan, weights, packed["bundles"])
    return packed


def _places(plan: Json, rows: Tensor) -> tuple[Tensor, Tensor]:
    """The tile, over all buckets, and the lane of each row."""
    buckets, tiling = plan["selection"]["buckets"], plan["tiling"]
    size = plan["group"]["size"] if "group" in plan else 1
    per_tile = tiling["lanes"] // size
    choice = rows // size
    position = choice // buckets
    tile = choice % buckets * tiling["tiles"] + position // per_tile
    return tile, position % per_tile * size + rows % size


def _chunks(plan: Json, matrix: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Some rows at a time, with their tiles and lanes."""
    size = max(1, CHUNK // matrix.shape[1])
    for first in range(0, len(matrix), size):
        part = matrix[first : first + size]
        yield part, *_places(plan, torch.arange(first, first + len(part), device=matrix.device))


def _place_weights(plan: Json, matrix: Tensor, into: Tensor) -> None:
    """The 16-byte steps of a tile's rows lie side by side."""
    tiling = plan["tiling"]
    tiles = into.view(-1, tiling["steps"], tiling["lanes"], 4)
    for part, tile, lane in _chunks(plan, matrix):
        padded = torch.nn.functional.pad(part, (0, tiling["steps"] * 8 - part.shape[1])).contiguous()
        tiles[tile, :, lane] = padded.view(torch.int32).view(len(part), tiling["steps"], 4)


def _place_codes(plan: Json, format: Json, matrix: Tensor, packed: dict[str, Tensor]) -> None:
    lanes, steps = plan["tiling"]["lanes"], plan["tiling"]["steps"]
    bits, groups = format["bits"], format["groups"]
    codes = packed["codes"].view(torch.uint8).view(-1, steps, lanes, 16)
    row_scales = packed["row_scales"].view(torch.float32).view(-1, lanes)
    scales = packed["scales"].view(torch.uint8).view(-1, -(-groups // 4), lanes, 4) if groups > 1 else None
    for part, tile, lane in _chunks(plan, matrix):
        levels, own_scales, row_scale = quantize(part, format)
        codes[tile, :, lane] = _steps(levels, bits).view(len(part), steps, 16)
        row_scales[tile, lane] = row_scale
        if scales is not None:
            padded = torch.nn.functional.pad(own_scales, (0, -groups % 4))
            scales[tile, :, lane] = padded.to(torch.uint8).view(len(part), -1, 4)


def _steps(levels: Tensor, bits: int) -> Tensor:
    """Codes as bytes. Of 4 bits, byte i of a word holds column i of a quad in its low half, of the next quad in its high."""
    if bits == 8:
        return levels.view(torch.uint8)
    quads = levels.view(len(levels), -1, 2, 4).to(torch.int16) & 15
    return (quads[:, :, 0] | quads[:, :, 1] << 4).to(torch.uint8)


def quantize(matrix: Tensor, format: Json) -> tuple[Tensor, Tensor, Tensor]:
    """Levels int8 `[rows, group * groups]`, group scales f64 `[rows, groups]` and row scales f32 `[rows]`."""
    bits, group, groups, scale_max = (format[name] for name in ("bits", "group", "groups", "scaleMax"))
    top = 2 ** (bits - 1) - 1
    values = torch.nn.functional.pad(matrix.to(torch.float64), (0, group * groups - matrix.shape[1]))
    values = values.view(len(matrix), groups, group)
    most = values.abs().amax(-1)
    largest = most.amax(-1)
    # The row's scale is an f32, and no row of zeros gets one.
    unit = 1 if groups == 1 else scale_max
    row_scale = _f32(largest / (top * unit)).clamp_min(SMALLEST_NORMAL) * (largest > 0)

    if groups == 1:
        tried = [_f32(row_scale * share).clamp_min(SMALLEST_NORMAL) * (largest > 0) for share in RANGES[bits]]
        step = _least(values, [each.unsqueeze(1) for each in tried], top)
        return _levels(values, step, top).view(len(matrix), -1), torch.ones_like(most), step[:, 0].to(torch.float32)
    full = most / (top * row_scale.unsqueeze(1))
    choices = [((full * share + 0.5).floor()).clamp(1, scale_max) for share in RANGES[bits]]
    step = _least(values, [each * row_scale.unsqueeze(1) for each in choices], top)
    scales = torch.where(most > 0, (step / row_scale.unsqueeze(1)).round(), 0)
    levels = _levels(values, scales * row_scale.unsqueeze(1), top)
    return levels.view(len(matrix), -1), scales, row_scale.to(torch.float32)


def _f32(values: Tensor) -> Tensor:
    return values.to(torch.float32).to(torch.float64)


def _least(values: Tensor, steps: list[Tensor], top: int) -> Tensor:
    """Of some steps per group, `[rows, groups]` each, the first with the least squared error."""
    best, least = steps[0], _error(values, steps[0], top)
    for step in steps[1:]:
        error = _error(values, step, top)
        better = error < least
        best, least = torch.where(better, step, best), torch.where(better, error, least)
    return best


def _error(values: Tensor, step: Tensor, top: int) -> Tensor:
    step = step.unsqueeze(-1)
    level = (values * (1 / step) + 0.5).floor_().clamp_(-top, top)
    return (values - level * step).square_().sum(-1)


def _levels(values: Tensor, step: Tensor, top: int) -> Tensor:
    inverse = torch.where(step > 0, 1 / step, 0).unsqueeze(-1)
    return (values * inverse + 0.5).floor_().clamp_(-top, top).to(torch.int8)


def _pack_basis(plan: Json, matrix: Tensor, activations: Tensor | None, packed: dict[str, Tensor]) -> Tensor:
    """Writes the basis. Returns the factors of every row on it, f32 `[rows, rank]`."""
    estimator, inputs = plan["estimator"], plan["inputs"]
    moments = None if estimator["basis"] == "weights" else _second_moments(activations)
    basis = _best_basis(matrix, moments, estimator["rank"])
    codes, _, scales = quantize(basis.to(torch.float32), {"bits": 8, "group": inputs, "groups": 1, "scaleMax": 1})
    packed["basis"][:, :inputs] = codes
    packed["basis_scales"].view(torch.float32).copy_(scales)
    stored = codes.to(torch.float64) * scales.to(torch.float64).unsqueeze(1)
    # Factors of least error on the basis as it is stored.
    weighted = stored if moments is None else stored @ moments
    multiplier = torch.linalg.solve(weighted @ stored.T, weighted).T
    parts = [(part.to(torch.float64) @ multiplier).to(torch.float32) for part, *_ in _chunks(plan, matrix)]
    return torch.cat(parts)


# Layers of one matrix follow each other, and the vectors take longer than all else.
@functools.lru_cache(maxsize=1)
def _second_moments(activations: Tensor | None) -> Tensor:
    assert activations is not None
    x = activations.to(torch.float64)
    moments = x.T @ x / len(x)
    moments.diagonal().add_(RIDGE * moments.trace() / len(moments))
    return moments


def _best_basis(matrix: Tensor, moments: Tensor | None, rank: int) -> Tensor:
    """Orthonormal rows, f64 `[rank, inputs]`: see runtime/pack/low-rank.ts."""
    directions = _directions(matrix, moments)[:rank]
    return directions if moments is None else _signed(torch.linalg.qr(directions.T)[0].T)


@functools.lru_cache(maxsize=1)
def _directions(matrix: Tensor, moments: Tensor | None) -> Tensor:
    gram = _gram(matrix)
    if moments is None:
        return _eigenvectors(gram)[1]
    values, vectors = _eigenvectors(moments)
    root, inverse = (vectors.T @ (vectors * (values**power).unsqueeze(1)) for power in (0.5, -0.5))
    whitened = root @ gram @ root
    return _eigenvectors((whitened + whitened.T) / 2)[1] @ inverse


def _gram(matrix: Tensor) -> Tensor:
    step = max(1.0, len(matrix) / MOST_ROWS)
    sample = matrix[(torch.arange(min(len(matrix), MOST_ROWS)) * step).long().to(matrix.device)]
    parts = [part.to(torch.float64) for part in sample.split(max(1, CHUNK // matrix.shape[1]))]
    return torch.stack([part.T @ part for part in parts]).sum(0)


def _eigenvectors(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Values, largest first, and vectors as rows."""
    values, vectors = torch.linalg.eigh(matrix)
    return values.flip(0).clamp_min(5e-324), _signed(vectors.flip(1).T)


def _signed(rows: Tensor) -> Tensor:
    """The largest component of each is positive."""
    largest = rows.gather(1, rows.abs().argmax(1, keepdim=True))
    return rows * torch.where(largest < 0, -1.0, 1.0)


def _place_bundles(plan: Json, weights: dict[str, Tensor], into: Tensor) -> None:
    """A neuron's gate, up and down rows side by side, each padded to whole 16-byte chunks."""
    begin = 0
    for part in (weights["gate"], weights["up"], weights["down"].T):
        neurons, width = part.shape
        into[:neurons, begin : begin + width] = part.contiguous().view(torch.int16)
        begin += -(-width // 8) * 8
    assert begin == into.shape[1], (begin, plan["tensors"])

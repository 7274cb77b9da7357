"""How fast a card streams: what every result of the same run is a share of."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from card import Call, Card, random_words

KERNEL = "stream_read"

REPEATS = 9


def measure(card: Card, package: Any) -> dict[str, Any]:
    """Bytes per second of reading, the best of some ways to, and of copying, which counts bytes read and written.

    The buffer is far larger than the L2 cache.
    """
    # 4 GiB, and so much more that the last threads have less to do.
    words = (1 << (16 if card.is_dry else 30)) + 4 * 333
    data = random_words(card.device, words)
    read = {name: _rate(card, call, data.nbytes) for name, call in _readers(card, package, data).items()}
    best = max(read, key=lambda name: read[name])
    target = torch.empty_like(data)
    copy = _rate(card, card.capture(lambda: target.copy_(data)), 2 * data.nbytes)
    return {"read": read[best], "reader": best, "copy": copy, "bytes": data.nbytes, "readers": read}


def _readers(card: Card, package: Any, data: torch.Tensor) -> dict[str, Call]:
    launch = _launcher(card, package, data)
    # Threads of a multiprocessor: as many as it holds, and four times as many.
    grids = [(threads // block, block) for block in (256, 512, 1024) for threads in (2048, 8192)]
    readers: dict[str, Call] = {}
    for per_multiprocessor, block in [(1, 64)] if card.is_dry else grids:
        blocks = per_multiprocessor * card.multiprocessors()
        readers[f"{KERNEL}, {blocks} blocks of {block}"] = card.capture(launch(blocks, block))
    readers["torch.amax"] = card.capture(lambda: data.amax())
    return readers


def _launcher(card: Card, package: Any, data: torch.Tensor) -> Callable[[int, int], Call]:
    """Compiles the kernel as the package does its own, and holds what it reads against torch."""
    nvrtc, driver = package.nvrtc, package.driver
    device = data.device.index
    capability = package.launch.capability_of(device)
    driver.enter_context(device)
    source = (Path(__file__).parent / "stream.cu").read_text(encoding="utf-8")
    function = driver.load(nvrtc.compile_source(source, "stream.cu", nvrtc.target_of(capability)), KERNEL)

    def of(blocks: int, block: int) -> Call:
        work = torch.tensor([data.nbytes // 16, blocks * block, block], dtype=torch.int64, device=data.device)
        sums = torch.zeros(blocks * block, dtype=torch.int32, device=data.device)

        def call() -> None:
            pointers = [each.data_ptr() for each in (data, work, sums)]
            driver.launch(function, KERNEL, (blocks, 1, 1), block, card.stream(), pointers)

        call()
        # Both sums wrap around at 32 bits, at the end or underway.
        difference = sums.sum(dtype=torch.int64) - data.sum(dtype=torch.int64)
        if difference.item() % (1 << 32) != 0:
            raise RuntimeError(f"{KERNEL} with {blocks} blocks of {block} does not read the buffer once")
        return call

    return of


def _rate(card: Card, replay: Call, size: int) -> float:
    return size / (statistics.median(card.microseconds(replay, 1) for _ in range(REPEATS)) * 1e-6)

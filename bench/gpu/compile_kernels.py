"""Compiles the kernels of layers on all cores; the package would compile one after the other."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from card import PACKAGE


def compile_kernels(package: Any, folder: Path, layers: Sequence[str], device: int | None) -> int:
    """Into the package's cache. What does not compile is printed; the layer that needs it says so again.

    returns: the number of kernels.
    """
    capability = package.launch.capability_of(device)
    plans = [package.LAYERS[name].plan for name in layers]
    kernels = [kernel for plan in plans for kernel in package.launch.program_of(plan, device).kernels]
    sources = sorted({kernel.source for kernel in kernels})
    # Not forked: CUDA does not survive that.
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        compiled = pool.map(partial(_compile, str(folder / "torch"), capability), sources, chunksize=4)
        for problem in filter(None, compiled):
            print(problem, file=sys.stderr, flush=True)
    return len(sources)


def _compile(folder: str, capability: int, source: str) -> str | None:
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        importlib.import_module(f"{PACKAGE}.images").image_of(source, capability)
    except Exception as error:
        return f"{source}: {error}"
    return None

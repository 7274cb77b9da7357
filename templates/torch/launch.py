# Runs the kernels of a layer on tokens: loaded once per card, launched `batch` tokens at a time on the current stream.

from __future__ import annotations

import functools

import torch

from . import driver, images
from .errors import HireError
from .layer_plan import LayerPlan, Output, Program

DTYPES = {"int32": torch.int32, "float32": torch.float32}

DEVICE = "cuda"

PER_TOKEN = ("x", "uniforms", "again")


@functools.cache
def program_of(layer: LayerPlan, device: int) -> Program:
    """The most demanding program that a card runs. Raises HireError HIRE-RUN-006, HIRE-TORCH-001."""
    capability = capability_of(device)
    for program in layer.programs:
        if program.architecture <= capability:
            return program
    raise HireError(
        "HIRE-RUN-006",
        f'Layer "{layer.name}" needs compute capability {layer.programs[-1].architecture / 10}, but'
        f" {torch.cuda.get_device_name(device)} has {capability / 10}",
        "Use a card of the Ampere generation or later",
    )


def require_cuda() -> None:
    """Raises HireError HIRE-TORCH-001 where torch has no card to work with."""
    if not torch.cuda.is_available():
        raise HireError(
            "HIRE-TORCH-001",
            "torch finds no CUDA device here",
            "Run on a machine with an NVIDIA GPU, with a torch that is built for CUDA",
        )


def capability_of(device: int) -> int:
    """Such as 90 for compute capability 9.0. Raises HireError HIRE-TORCH-001."""
    require_cuda()
    major, minor = torch.cuda.get_device_capability(device)
    return major * 10 + minor


def is_captured() -> bool:
    """Whether what is done now becomes part of a CUDA graph."""
    return torch.cuda.is_current_stream_capturing()


@functools.cache
def functions_of(layer: LayerPlan, device: int) -> tuple[int, ...]:
    """Loads the kernels of a layer onto a card, once. They stay for as long as the process lives.

    Raises HireError HIRE-RUN-006, HIRE-TORCH-001 to -004 and -006.
    """
    program = program_of(layer, device)
    if is_captured():
        raise HireError(
            "HIRE-TORCH-006",
            f'The kernels of layer "{layer.name}" would be loaded while a CUDA graph is captured',
            "Run the layer once before, or call its prepare()",
        )
    with torch.cuda.device(device):
        driver.enter_context(device)
        capability = capability_of(device)
        return tuple(driver.load(images.image_of(each.source, capability), each.name) for each in program.kernels)


def prepare(layer: LayerPlan, device: int | None) -> None:
    """Loads the kernels of a layer onto a card, the current one for None. Raises HireError as `functions_of`."""
    require_cuda()
    functions_of(layer, torch.cuda.current_device() if device is None else device)


def run(layer: LayerPlan, given: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """Runs all tokens of `given["x"]`, `[tokens, inputs]`, f32, or int32 of a merge.

    given: what the kernels read, by the names of the plan, contiguous and on one card; `x`, `uniforms` and `again` have
        a row per token, the others serve all tokens.
    returns: the outputs of the plan, each `[tokens, ...]`.
    """
    x = given["x"]
    tokens, device = x.shape[0], x.device.index
    if tokens == 0:
        return tuple(x.new_empty((0, *each.shape), dtype=DTYPES[each.dtype]) for each in layer.returns)
    program, functions = program_of(layer, device), functions_of(layer, device)
    # From torch's allocator, so that graphs may own it. Launches follow each other on a stream, so they share it.
    scratch = {name: x.new_empty(size, dtype=torch.uint8) for name, size in program.scratch.items()}
    launches = []
    with torch.cuda.device(device):
        driver.enter_context(device)
        stream = torch.cuda.current_stream().cuda_stream
        for start in range(0, tokens, layer.batch):
            outputs = tuple(_empty(each, layer.batch, x) for each in layer.returns)
            buffers = {name: tensor.data_ptr() for name, tensor in (given | scratch).items()}
            buffers |= {each.name: tensor.data_ptr() for each, tensor in zip(layer.returns, outputs)}
            # Held until the kernels are launched; then their memory may be used again, by what follows on this stream.
            held = {name: batch_of(given[name], start, layer.batch) for name in PER_TOKEN if name in given}
            buffers |= {name: tensor.data_ptr() for name, tensor in held.items()}
            for function, kernel in zip(functions, program.kernels):
                pointers = [buffers[name] for name in kernel.parameters]
                driver.launch(function, kernel.name, kernel.grid, kernel.block, stream, pointers)
            launches.append(outputs)
    if len(launches) == 1:
        return tuple(output[:tokens] for output in launches[0])
    return tuple(torch.cat(outputs)[:tokens] for outputs in zip(*launches))


def batch_of(values: torch.Tensor, start: int, batch: int) -> torch.Tensor:
    """What one launch gets of the values of all tokens.

    The last launch may have fewer tokens; the rest of its batch repeats the last one, and those results are dropped.
    Zeros would tie in every row, which is no token to certify, and a fallback would recompute them.
    """
    part = values[start : start + batch]
    missing = batch - part.shape[0]
    if missing > 0:
        return torch.cat((part, part[-1:].expand(missing, *part.shape[1:])))
    # Kernels load 16 bytes at once; a part of a tensor may begin anywhere.
    return part if part.data_ptr() % 16 == 0 else part.clone()


def _empty(output: Output, batch: int, like: torch.Tensor) -> torch.Tensor:
    return like.new_empty((batch, *output.shape), dtype=DTYPES[output.dtype])

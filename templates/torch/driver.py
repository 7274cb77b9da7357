# The CUDA driver API through ctypes: modules, functions and launches, on the context and streams of torch.
#
# A launch is two arrays and one foreign call, so nothing has to be built on the user's machine.

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Sequence

from .errors import HireError


@functools.cache
def library() -> ctypes.CDLL:
    """The driver's library, which comes with the driver and not with torch or the toolkit.

    Raises HireError HIRE-TORCH-001.
    """
    try:
        cuda = ctypes.CDLL(os.environ.get("HIREC_LIBCUDA") or "libcuda.so.1")
    except OSError as error:
        raise HireError(
            "HIRE-TORCH-001",
            f"The CUDA driver cannot be loaded: {error}",
            "Install the driver of an NVIDIA GPU; nvidia-smi shows whether it works",
        ) from error
    pointer, number = ctypes.c_void_p, ctypes.c_uint
    cuda.cuModuleLoadData.argtypes = [ctypes.POINTER(pointer), ctypes.c_char_p]
    cuda.cuModuleGetFunction.argtypes = [ctypes.POINTER(pointer), pointer, ctypes.c_char_p]
    cuda.cuLaunchKernel.argtypes = [pointer, *[number] * 7, pointer, pointer, pointer]
    cuda.cuCtxGetCurrent.argtypes = [ctypes.POINTER(pointer)]
    cuda.cuCtxSetCurrent.argtypes = [pointer]
    cuda.cuDeviceGet.argtypes = [ctypes.POINTER(ctypes.c_int), ctypes.c_int]
    cuda.cuDevicePrimaryCtxRetain.argtypes = [ctypes.POINTER(pointer), ctypes.c_int]
    cuda.cuGetErrorString.argtypes = [ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)]
    return cuda


def enter_context(device: int) -> None:
    """Makes torch's context of a device current where none is: in a thread that has not used CUDA yet."""
    context = ctypes.c_void_p()
    _check(library().cuCtxGetCurrent(ctypes.byref(context)), "finding the context")
    if context.value is not None:
        return
    handle = ctypes.c_int()
    _check(library().cuDeviceGet(ctypes.byref(handle), device), f"opening device {device}")
    _check(library().cuDevicePrimaryCtxRetain(ctypes.byref(context), handle), f"opening device {device}")
    _check(library().cuCtxSetCurrent(context), f"opening device {device}")


def load(image: bytes, kernel: str) -> int:
    """The function `kernel` of a cubin, a fatbin or PTX, in the current context. It stays as long as the process."""
    module, function = ctypes.c_void_p(), ctypes.c_void_p()
    _check(library().cuModuleLoadData(ctypes.byref(module), image), f"loading kernel {kernel}")
    _check(library().cuModuleGetFunction(ctypes.byref(function), module, kernel.encode()), f"loading kernel {kernel}")
    assert function.value is not None
    return function.value


def launch(
    function: int, kernel: str, grid: tuple[int, int, int], block: int, stream: int, pointers: Sequence[int]
) -> None:
    """Launches a kernel whose parameters are all pointers."""
    values = (ctypes.c_uint64 * len(pointers))(*pointers)
    first = ctypes.addressof(values)
    # The driver takes the address of each parameter.
    addresses = (ctypes.c_uint64 * len(pointers))(*range(first, first + ctypes.sizeof(values), 8))
    result = library().cuLaunchKernel(function, *grid, block, 1, 1, 0, stream, addresses, None)
    if result != 0:
        _check(result, f"launching {kernel}")


def _check(result: int, doing: str) -> None:
    if result == 0:
        return
    text = ctypes.c_char_p()
    library().cuGetErrorString(result, ctypes.byref(text))
    said: bytes | None = text.value
    raise HireError(
        "HIRE-TORCH-004",
        f"The CUDA driver failed at {doing}: {said.decode() if said else 'an unknown error'} ({result})",
        "CUDA_LAUNCH_BLOCKING=1 shows whether it is the error of an earlier kernel; if not, report it with the card",
    )

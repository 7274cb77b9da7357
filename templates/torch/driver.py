# The CUDA driver API through ctypes: modules, functions and launches, on the context and streams of torch.
#
# A launch is two arrays and one foreign call, so nothing has to be built on the user's machine.

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Sequence

from .errors import HireError


class LaunchAttribute(ctypes.Structure):
    """CUlaunchAttribute, of which the value is a number here."""

    _fields_ = [("id", ctypes.c_int), ("unused", ctypes.c_int), ("value", ctypes.c_int), ("more", ctypes.c_int * 15)]


class LaunchConfig(ctypes.Structure):
    """CUlaunchConfig."""

    _fields_ = [
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("shared", ctypes.c_uint),
        ("stream", ctypes.c_void_p),
        ("attributes", ctypes.POINTER(LaunchAttribute)),
        ("count", ctypes.c_uint),
    ]


PROGRAMMATIC_STREAM_SERIALIZATION = 6
"""CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION: starts a kernel while the one before it still runs."""

PTX_VERSION = 5
"""CU_FUNC_ATTRIBUTE_PTX_VERSION: the virtual architecture that a kernel was compiled for, such as 90."""


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
    pointer = ctypes.c_void_p
    cuda.cuModuleLoadData.argtypes = [ctypes.POINTER(pointer), ctypes.c_char_p]
    cuda.cuModuleGetFunction.argtypes = [ctypes.POINTER(pointer), pointer, ctypes.c_char_p]
    cuda.cuLaunchKernelEx.argtypes = [ctypes.POINTER(LaunchConfig), pointer, pointer, pointer]
    cuda.cuFuncGetAttribute.argtypes = [ctypes.POINTER(ctypes.c_int), ctypes.c_int, pointer]
    cuda.cuDriverGetVersion.argtypes = [ctypes.POINTER(ctypes.c_int)]
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


@functools.cache
def waits_itself(function: int) -> bool:
    """Whether a kernel waits for the one before on its stream, and may be launched while that one runs.

    Kernels do that for compute capability 9.0 and later; drivers before CUDA 12.3 cannot capture such launches in a
    graph. The environment variable HIREC_CUDA_EARLY=0 keeps them from it.
    """
    version, compiled_for = ctypes.c_int(), ctypes.c_int()
    _check(library().cuDriverGetVersion(ctypes.byref(version)), "asking for the driver's version")
    _check(library().cuFuncGetAttribute(ctypes.byref(compiled_for), PTX_VERSION, function), "loading a kernel")
    return version.value >= 12030 and compiled_for.value >= 90 and os.environ.get("HIREC_CUDA_EARLY") != "0"


def launch(
    function: int, kernel: str, grid: tuple[int, int, int], block: int, stream: int, pointers: Sequence[int]
) -> None:
    """Launches a kernel whose parameters are all pointers."""
    values = (ctypes.c_uint64 * len(pointers))(*pointers)
    first = ctypes.addressof(values)
    # The driver takes the address of each parameter.
    addresses = (ctypes.c_uint64 * len(pointers))(*range(first, first + ctypes.sizeof(values), 8))
    attribute = LaunchAttribute(PROGRAMMATIC_STREAM_SERIALIZATION, 0, 1)
    early = int(waits_itself(function))
    config = LaunchConfig(grid, (block, 1, 1), 0, stream, ctypes.pointer(attribute), early)
    result = library().cuLaunchKernelEx(ctypes.byref(config), function, addresses, None)
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

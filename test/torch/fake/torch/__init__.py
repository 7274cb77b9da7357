"""As much of torch as an emitted package uses, on numpy, for machines without torch. Not a reimplementation: what the
package does not use is missing, so that a new use shows. Memory of "cuda" is the CPU's. Fresh memory holds garbage, and a
canary follows it."""

from __future__ import annotations

import contextlib
import weakref

import numpy as np


class dtype:
    def __init__(self, name, of, is_float=False):
        self.name, self.of, self.is_float = name, np.dtype(of), is_float

    def __repr__(self):
        return f"torch.{self.name}"


float32, float16 = dtype("float32", np.float32, True), dtype("float16", np.float16, True)
bfloat16 = dtype("bfloat16", np.uint16, True)  # its bits
float64 = dtype("float64", np.float64, True)
int64, int32, int16, int8, uint8 = (dtype(name, name) for name in ("int64", "int32", "int16", "int8", "uint8"))
uint32, bool = dtype("uint32", np.uint32), dtype("bool", np.bool_)


class device:
    def __init__(self, name):
        self.type, _, index = str(name).partition(":")
        self.index = int(index or 0) if self.type == "cuda" else None

    def __eq__(self, other):
        return (self.type, self.index) == (device(other).type, device(other).index)

    def __hash__(self):
        return hash(self.type)

    def __str__(self):
        return self.type if self.index is None else f"{self.type}:{self.index}"


class OutOfMemoryError(RuntimeError):
    pass


CANARY = 64
memory = weakref.WeakValueDictionary()
bytes_left = None


def _fresh(shape, kind):
    count = int(np.prod(shape, dtype=np.int64)) * kind.of.itemsize
    if bytes_left is not None and count > bytes_left:
        raise OutOfMemoryError(f"CUDA out of memory. Tried to allocate {count} bytes")
    whole = np.full(count + CANARY + 16, 0xA5, np.uint8)
    start = -whole.ctypes.data % 16
    data = whole[start : start + count]
    # What keeps the memory alive: numpy gives every view of it as the base.
    memory[data.ctypes.data] = whole
    return data.view(kind.of).reshape(shape)


def check_canaries():
    """The addresses of allocations whose end was overrun."""
    ends = [(at, whole[at - whole.ctypes.data + size_of(whole) :][:CANARY]) for at, whole in memory.items()]
    return [at for at, end in ends if (end != 0xA5).any()]


def size_of(whole):
    """Bytes of an allocation without what surrounds it."""
    return whole.size - CANARY - 16


class Tensor:
    def __init__(self, array, kind, place="cpu"):
        self.array, self.dtype, self.device = array, kind, device(place)

    shape = property(lambda self: self.array.shape)
    is_meta = property(lambda self: self.device.type == "meta")

    def like(self, array, kind=None):
        return Tensor(array, kind or self.dtype, self.device)

    def dim(self):
        return self.array.ndim

    def numel(self):
        return self.array.size

    def data_ptr(self):
        return self.array.ctypes.data

    def is_contiguous(self):
        return self.array.flags.c_contiguous

    def contiguous(self):
        return self if self.is_contiguous() else self.clone()

    def clone(self):
        array = _fresh(self.shape, self.dtype)
        array[...] = self.array
        return self.like(array)

    def view(self, *shape):
        if isinstance(shape[0], dtype):
            return self.like(self.array.view(shape[0].of), shape[0])
        return self.reshape(*shape)

    def reshape(self, *shape):
        array = self.array.reshape(shape)
        return self.like(array) if np.shares_memory(array, self.array) else self.copied(array)

    def copied(self, array, kind=None):
        """What an operation made, in memory of its own."""
        fresh = _fresh(array.shape, kind or self.dtype)
        fresh[...] = array
        return self.like(fresh, kind)

    def transpose(self, first, second):
        return self.like(self.array.swapaxes(first, second))

    def any(self, dim):
        return self.copied(self.array.any(dim))

    def nonzero(self):
        return self.copied(np.argwhere(self.array), int64)

    def index_copy(self, dim, index, source):
        assert dim == 0 and source.dtype is self.dtype
        result = self.clone()
        result.array[index.array] = source.array
        return result

    def cpu(self):
        return self.to("cpu")

    def tolist(self):
        return self.array.tolist()

    def expand(self, *shape):
        return self.like(np.broadcast_to(self.array, shape))

    def t(self):
        return self.like(self.array.T)

    def to(self, target):
        if not isinstance(target, dtype):
            return Tensor(self.clone().array, self.dtype, target)
        if target is self.dtype:
            return self
        array = _fresh(self.shape, target)
        array[...] = _rounded(_numbers(self), target)
        return self.like(array, target)

    def new_empty(self, shape, dtype=None):
        kind = dtype or self.dtype
        return self.like(_fresh((shape,) if isinstance(shape, int) else shape, kind), kind)

    def new_full(self, shape, value):
        tensor = self.new_empty(shape)
        tensor.array[...] = value
        return tensor

    def scatter_reduce(self, dim, index, source, reduce):
        assert dim == -1 and reduce == "amax"
        result = self.clone()
        flat = result.array.reshape(-1, self.shape[-1])
        for row, (at, values) in enumerate(zip(index.array.reshape(-1, index.shape[-1]), source.array.reshape(-1, index.shape[-1]))):
            np.maximum.at(flat[row], at, values)
        return result

    def clamp_min(self, least):
        return self.like(np.maximum(self.array, least))

    def sum(self, dim):
        return self.like(self.array.sum(dim))

    def numpy(self):
        return self.array

    def __getitem__(self, at):
        of_arrays = tuple(each.array if isinstance(each, Tensor) else each for each in (at if isinstance(at, tuple) else (at,)))
        array = self.array[of_arrays]
        return self.like(array) if np.shares_memory(array, self.array) else self.copied(array)

    def __setitem__(self, at, value):
        self.array[at] = value.array

    def __len__(self):
        return len(self.array)

    def __ne__(self, other):
        return self.like(self.array != other, bool)

    def __lt__(self, other):
        return self.like(self.array < other, bool)

    def __invert__(self):
        return self.copied(~self.array)

    def __add__(self, other):
        return self.copied(self.array + other)

    def __mul__(self, other):
        return self.copied(self.array * (other.array if isinstance(other, Tensor) else other))

    def __lshift__(self, other):
        return self.like(self.array << other.array)


def _numbers(tensor):
    if tensor.dtype is bfloat16:
        return (tensor.array.astype(np.uint32) << 16).view(np.float32)
    return tensor.array


def _rounded(numbers, kind):
    if kind is not bfloat16:
        return numbers.astype(kind.of)
    bits = numbers.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def empty(shape, dtype=float32, device="cpu"):
    return Tensor(_fresh(shape, dtype), dtype, device)


def full(shape, value, dtype=float32, device="cpu"):
    tensor = empty(shape, dtype, device)
    tensor.array[...] = value
    return tensor


def zeros(*shape, dtype=float32, device="cpu"):
    return full(shape[0] if isinstance(shape[0], tuple) else shape, 0, dtype, device)


def where(condition, chosen, other):
    return chosen.copied(np.where(condition.array, chosen.array, other.array))


def ones(*shape, dtype=float32, device="cpu"):
    return full(shape, 1, dtype, device)


def arange(count, device="cpu"):
    tensor = empty((count,), int64, device)
    tensor.array[...] = np.arange(count)
    return tensor


def rand(shape, device="cpu"):
    tensor = empty(tuple(shape), float32, device)
    tensor.array[...] = np.random.default_rng(1).random(shape, np.float32)
    return tensor


def cat(tensors):
    rows = sum(len(each) for each in tensors)
    result = tensors[0].new_empty((rows, *tensors[0].shape[1:]))
    np.concatenate([each.array for each in tensors], out=result.array)
    return result


def frombuffer(data, dtype):
    return Tensor(np.frombuffer(data, dtype.of).copy(), dtype)


no_grad = contextlib.nullcontext


class cuda:
    capability = (9, 0)
    available = True
    capturing = False

    is_available = staticmethod(lambda: cuda.available)
    current_device = staticmethod(lambda: 0)
    get_device_capability = staticmethod(lambda index: cuda.capability)
    get_device_name = staticmethod(lambda index: "Fake GPU")
    is_current_stream_capturing = staticmethod(lambda: cuda.capturing)
    device = staticmethod(lambda index: contextlib.nullcontext())

    @staticmethod
    def current_stream():
        class Stream:
            cuda_stream = 0x57EA

        return Stream()


from . import distributed, library, nn  # noqa: F401

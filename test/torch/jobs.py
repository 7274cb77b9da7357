"""What run_layer.py and run_shard.py have in common: a job is a JSON file that names a package, a layer of it, and files of
bytes that the layer is given."""

import json
from pathlib import Path

import on_cpu
import torch


def read(path):
    with open(path) as file:
        return json.load(file)


def loaded(package, job):
    layer = package.LAYERS[job["layer"]]().load_pack(job["pack"], on_cpu.DEVICE).prepare()
    return on_cpu.with_own_memory(layer)


def given(layer, job):
    """What the layer is called with, by name."""

    def tensor(name, dtype):
        return torch.frombuffer(bytearray(Path(job[name]).read_bytes()), dtype=dtype).to(on_cpu.DEVICE)

    named = {"x": tensor("x", torch.float32).reshape(job["tokens"], layer.plan.inputs)}
    if "mask" in job:
        named["mask"] = tensor("mask", torch.uint8) != 0
    if "uniforms" in job:
        named["uniforms"] = tensor("uniforms", torch.float32)
    return named


def write(result, job, suffix=""):
    """Writes each tensor of a result as its bytes, under the name of its field. Returns what to tell of them."""
    if on_cpu.IS_FAKE:
        assert torch.check_canaries() == []
    for name, tensor in zip(result._fields, result):
        assert tensor.shape[0] == job["tokens"]
        Path(job["out"], f"{name}{suffix}").write_bytes(tensor.contiguous().numpy().tobytes())
    return {"fields": list(result._fields), "dtypes": [str(tensor.dtype) for tensor in result]}

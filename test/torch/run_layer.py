"""Runs one layer of an emitted package, with the fake driver: run_layer.py JOB. The job is made by layers.test.ts; each result
is written as the bytes of its tensor."""

import json
import sys
from pathlib import Path

import on_cpu
import torch

with open(sys.argv[1]) as file:
    job = json.load(file)
package, launches = on_cpu.load(job["folder"])
out = Path(job["out"])


def read(name, dtype):
    return torch.frombuffer(bytearray(Path(job[name]).read_bytes()), dtype=dtype).to(on_cpu.DEVICE)


layer = package.LAYERS[job["layer"]]().load_pack(job["pack"], on_cpu.DEVICE).prepare()
if not on_cpu.IS_FAKE:
    # On a card .to("cuda") gives memory of its own; on the CPU tensors lie in the mapped file, wherever that puts them.
    layer._apply(torch.Tensor.clone)
x = read("x", torch.float32).reshape(job["tokens"], layer.plan.inputs)
given = {}
if "mask" in job:
    given["mask"] = read("mask", torch.uint8) != 0
if "uniforms" in job:
    given["uniforms"] = read("uniforms", torch.float32)
result = layer(x, **given)

weights = {each.name: getattr(layer, each.name) for each in layer.plan.packed}
batches = -(-job["tokens"] // layer.plan.batch)
on_cpu.check_launches(on_cpu.program_of(job["folder"], job["layer"]), launches, weights, batches)
if on_cpu.IS_FAKE:
    assert torch.check_canaries() == []
for name, tensor in zip(result._fields, result):
    assert tensor.shape[0] == job["tokens"]
    (out / name).write_bytes(tensor.contiguous().numpy().tobytes())
print(json.dumps({"fields": list(result._fields), "dtypes": [str(tensor.dtype) for tensor in result]}))

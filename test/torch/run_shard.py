"""One rank of a layer over shards, with the fake driver: run_shard.py JOB RANK. The job is made by shards.test.ts; each result is
written as the bytes of its tensor, with the rank behind its name."""

import json
import sys
from datetime import timedelta
from pathlib import Path

import on_cpu
import torch
import torch.distributed as dist

with open(sys.argv[1]) as file:
    job = json.load(file)
rank = int(sys.argv[2])
backend = "nccl" if on_cpu.IS_FAKE else "gloo"
dist.init_process_group(
    backend, init_method=f"file://{job['store']}", rank=rank, world_size=job["shards"], timeout=timedelta(seconds=100)
)
package, launches = on_cpu.load(job["folder"])


def read(name, dtype):
    return torch.frombuffer(bytearray(Path(job[name]).read_bytes()), dtype=dtype).to(on_cpu.DEVICE)


layer = package.LAYERS[job["layer"]]().load_pack(job["pack"], on_cpu.DEVICE).prepare()
if not on_cpu.IS_FAKE:
    layer._apply(torch.Tensor.clone)
x = read("x", torch.float32).reshape(job["tokens"], layer.plan.inputs)
given = {}
if "mask" in job:
    given["mask"] = read("mask", torch.uint8) != 0
if "uniforms" in job:
    given["uniforms"] = read("uniforms", torch.float32)
with on_cpu.exchanges() as exchanges:
    result = layer(x, **given)

weights = {each.name: getattr(layer, each.name) for each in layer.own.packed} if layer.own else {}
for program, tensors in ((job["programs"][rank], weights), (job["merge"], {})):
    names = {kernel["name"] for kernel in program["kernels"]} if program else set()
    some = [launch for launch in launches if launch.kernel in names]
    launches = [launch for launch in launches if launch.kernel not in names]
    if some:
        on_cpu.check_launches(program, some, tensors, len(some) // len(names))
assert launches == []
if on_cpu.IS_FAKE:
    assert torch.check_canaries() == []
for name, tensor in zip(result._fields, result):
    assert tensor.shape[0] == job["tokens"]
    Path(job["out"], f"{name}.{rank}").write_bytes(tensor.contiguous().numpy().tobytes())
print(json.dumps({"fields": list(result._fields), "dtypes": [str(each.dtype) for each in result], "exchanges": exchanges}))

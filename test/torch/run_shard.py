"""One rank of a layer over shards, with the fake driver: run_shard.py JOB RANK. The job is made by shards.test.ts; each result is
written as the bytes of its tensor, with the rank behind its name."""

import json
import sys
from datetime import timedelta

import jobs
import on_cpu
import torch.distributed as dist

job, rank = jobs.read(sys.argv[1]), int(sys.argv[2])
backend = "nccl" if on_cpu.IS_FAKE else "gloo"
dist.init_process_group(
    backend, init_method=f"file://{job['store']}", rank=rank, world_size=job["shards"], timeout=timedelta(seconds=100)
)
package, launches = on_cpu.load(job["folder"])
layer = jobs.loaded(package, job)
given = jobs.given(layer, job)
with on_cpu.exchanges() as exchanges:
    result = layer(**given)

weights = {each.name: getattr(layer, each.name) for each in layer.own.packed} if layer.own else {}
for program, tensors in ((job["programs"][rank], weights), (job["merge"], {})):
    names = {kernel["name"] for kernel in program["kernels"]} if program else set()
    some = [launch for launch in launches if launch.kernel in names]
    launches = [launch for launch in launches if launch.kernel not in names]
    if some:
        on_cpu.check_launches(program, some, tensors, len(some) // len(names))
assert launches == []
print(json.dumps({**jobs.write(result, job, f".{rank}"), "exchanges": exchanges}))

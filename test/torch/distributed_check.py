"""What the calls of torch.distributed do that emitted packages make, told by one of three ranks: distributed_check.py STORE RANK. The
stand-in has to tell the same as a real torch."""

import json
import sys
from datetime import timedelta

import torch
import torch.distributed as dist

store, rank = sys.argv[1], int(sys.argv[2])
said = {}


def told(name, of):
    try:
        said[name] = of()
    except RuntimeError:
        said[name] = "RuntimeError"


def values(count, dtype=torch.int32):
    return torch.full((count, 2), 10 * rank + count, dtype=dtype)


def gathered(tensor, group=None):
    taken = tensor.new_empty((dist.get_world_size(group) * tensor.shape[0], *tensor.shape[1:]))
    all_gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
    all_gather(taken, tensor, group=group)
    return taken.tolist()


def summed(tensor, group=None):
    dist.all_reduce(tensor, group=group)
    return tensor.tolist()


def of_first(group=None):
    tensor = values(1, torch.float32)
    dist.broadcast(tensor, 0 if group is None else dist.get_global_rank(group, 0), group=group)
    return tensor.tolist()


told("available", lambda: [dist.is_available(), dist.is_initialized()])
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=3, timeout=timedelta(seconds=15))
told("initialized", dist.is_initialized)
told("place", lambda: [dist.get_rank(), dist.get_world_size(), dist.get_backend(), dist.get_rank(None)])
told("gather", lambda: gathered(values(2)))
told("gather bytes", lambda: gathered(values(3, torch.uint8)))
told("sum", lambda: summed(values(2, torch.float32)))
told("first", of_first)

# In another order than that of their numbers, and one that this rank may not be in.
groups = [dist.new_group(ranks) for ranks in ([2, 0], [1])]
told("places", lambda: [[dist.get_rank(group), dist.get_world_size(group)] for group in groups])
own = groups[rank % 2]
told("first of the group", lambda: dist.get_global_rank(own, 0))
told("gather in a group", lambda: gathered(values(2), own))
told("sum in a group", lambda: summed(values(2, torch.float32), own))
told("broadcast in a group", lambda: of_first(own))
told("backend of the group", lambda: dist.get_backend(own))

if rank != 2:
    told("with a rank that has ended", lambda: gathered(values(1)))
print(json.dumps(said))

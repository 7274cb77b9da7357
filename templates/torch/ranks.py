# What the ranks of a process group, each of which has one shard of the model, tell each other by torch.distributed.

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from . import launch, plan
from .errors import HireError

Loaded = TypeVar("Loaded")


def shard_of(group: dist.ProcessGroup | None) -> int | None:
    """The shard of this process: its rank in the group, or among all. None where the model has no shards.

    Raises HireError HIRE-RUN-020, HIRE-TORCH-009.
    """
    count = len(plan.SHARD_PACK_HASHES)
    if count == 0:
        if group is not None:
            raise HireError(
                "HIRE-RUN-020", f'"{plan.MODEL}" has no shards, and a process group is given', "Leave the group out"
            )
        return None
    start = f"Start {count} processes, such as torchrun --nproc-per-node {count}"
    if not (dist.is_available() and dist.is_initialized()):
        raise HireError(
            "HIRE-TORCH-009",
            f'"{plan.MODEL}" has {count} shards, and torch.distributed is not initialized',
            f'{start}, and call torch.distributed.init_process_group("nccl") in each before',
        )
    rank, size = dist.get_rank(group), dist.get_world_size(group)
    if rank < 0:
        raise HireError(
            "HIRE-RUN-020",
            f'This process is none of the ranks of the group that has the shards of "{plan.MODEL}"',
            "Make its layers on the ranks of the group alone",
        )
    if size != count:
        raise HireError(
            "HIRE-RUN-020",
            f'"{plan.MODEL}" has {count} shards, but {size} take part (torch.distributed, {dist.get_backend(group)})',
            f"{start}, pass a group of {count} ranks, or compile for {size} shards",
        )
    return rank


def gather(values: torch.Tensor, group: dist.ProcessGroup | None) -> torch.Tensor:
    """Everybody's values, rank by rank: `[...]` becomes `[ranks, ...]`."""
    count = len(plan.SHARD_PACK_HASHES)
    # One behind the other: gloo takes it in no other form, nor does torch.compile.
    taken = values.new_empty((count * values.shape[0], *values.shape[1:]))
    # Later versions call it all_gather_single and warn of the name that torch 2.6 has.
    all_gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
    all_gather(taken, values, group=group)
    return taken.view(count, *values.shape)


def of_first(values: torch.Tensor, group: dist.ProcessGroup | None) -> torch.Tensor:
    """The values of rank 0 of the group, on every rank, in their place."""
    dist.broadcast(values, 0 if group is None else dist.get_global_rank(group, 0), group=group)
    return values


def load_together(
    layer: str, group: dist.ProcessGroup | None, device: str | int | torch.device, load: Callable[[], Loaded]
) -> Loaded:
    """Loads on every rank, after which all find out that they have parts of one whole.

    Raises what `load` raises; on the other ranks then HireError HIRE-RUN-015. HIRE-RUN-016 where ranks have different
    packages, -017 where they load different layers, HIRE-TORCH-001 and -010 where they cannot exchange tensors.
    """
    launch.require_cuda()
    try:
        loaded = load()
    except Exception as error:
        # The others are told, so that they do not wait; what they have to say no longer matters.
        with contextlib.suppress(HireError):
            _everyone(layer, str(error)[:300], group, device)
        raise
    _compare(_everyone(layer, None, group, device))
    return loaded


RECORD_BYTES = 4096


def _everyone(
    layer: str, problem: str | None, group: dist.ProcessGroup | None, device: str | int | torch.device
) -> list[dict[str, Any]]:
    """What every rank says of itself, gathered as layers gather: on a card, which is where this one will be.

    problem: why this rank could not load the layer, in at most 300 characters.
    """
    facts = {"package": plan.PACKAGE_HASH[:12], "layer": layer, "problem": problem}
    own = torch.frombuffer(bytearray(json.dumps(facts).encode().ljust(RECORD_BYTES)), dtype=torch.uint8)
    place = torch.device(device)
    if place.type != launch.DEVICE:
        place = torch.device(launch.DEVICE)
    try:
        records = gather(own.to(place), group).cpu().tolist()
    except (RuntimeError, ValueError) as error:
        raise HireError(
            "HIRE-TORCH-010",
            f"torch.distributed ({dist.get_backend(group)}) cannot exchange tensors on {place}: {error}",
            'Use a backend for them, init_process_group("nccl"), with a card for each rank; if it is one, look at what'
            " the other ranks printed last",
        ) from error
    return [json.loads(bytes(record)) for record in records]


def _compare(everyone: list[dict[str, Any]]) -> None:
    """Raises HireError, the same on every rank. What most ranks have is meant; of two ranks, what rank 0 has."""

    def odd_of(fact: str) -> tuple[list[int], int]:
        values = [each[fact] for each in everyone]
        usual = max(values, key=values.count)
        return [rank for rank, value in enumerate(values) if value != usual], values.index(usual)

    def named(odd: list[int]) -> str:
        return f"Rank {odd[0]} has" if len(odd) == 1 else f"Ranks {', '.join(map(str, odd))} have"

    odd, usual = odd_of("package")
    if odd:
        theirs = " and ".join(sorted({f"package {everyone[rank]['package']}" for rank in odd}))
        raise HireError(
            "HIRE-RUN-016",
            f"{named(odd)} {theirs}, and rank {usual} has package {everyone[usual]['package']}",
            "Install one compiled package on every machine",
        )
    odd, usual = odd_of("layer")
    if odd:
        theirs, ours = everyone[odd[0]]["layer"], everyone[usual]["layer"]
        raise HireError(
            "HIRE-RUN-017",
            f'Rank {odd[0]} loads layer "{theirs}", and rank {usual} layer "{ours}"',
            "Load the same layers on every rank, in the same order",
        )
    for rank, each in enumerate(everyone):
        if each["problem"] is not None:
            raise HireError(
                "HIRE-RUN-015",
                f'Rank {rank} takes no part: it could not load layer "{each["layer"]}": {each["problem"]}',
                f"Mend that on rank {rank}",
            )

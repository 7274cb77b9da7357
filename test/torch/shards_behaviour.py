"""What an emitted package does over shards besides computing layers: shards_behaviour.py FOLDER PACK STORE RANK. Four processes, two
groups of two ranks, so two models over two shards; every process runs every function named test_…, in the same order, and prints
a JSON object of names and what went wrong, or null. The model is made by shards-behaviour.test.ts."""

import json
import shutil
import struct
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import behaviours
import on_cpu
import torch
import torch.distributed as dist
from torch import nn

folder, pack, store, world_rank = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
package, launches = on_cpu.load(folder)
DEVICE = on_cpu.DEVICE
refused = behaviours.refused_by(package)
head_plan = package.Head.plan
rank = world_rank % 2


def join():
    backend = "nccl" if on_cpu.IS_FAKE else "gloo"
    timeout = timedelta(seconds=60)
    dist.init_process_group(backend, init_method=f"file://{store}", rank=world_rank, world_size=4, timeout=timeout)
    return [dist.new_group([first, first + 1]) for first in (0, 2)]


groups = None
group = None


def tokens(count, plan=head_plan, seed=0):
    """The same on every rank, all different."""
    numbers = [((i * 7919 + seed * 104729) % 1009) / 1009 - 0.5 for i in range(count * plan.inputs)]
    return floats(numbers).reshape(count, plan.inputs)


def floats(numbers):
    return torch.frombuffer(bytearray(struct.pack(f"{len(numbers)}f", *numbers)), dtype=torch.float32).to(DEVICE)


def loaded(kind):
    return on_cpu.with_own_memory(kind(group).load_pack(pack, DEVICE))


def everyone(text):
    """What all ranks of this process's group say, rank by rank."""
    own = torch.frombuffer(bytearray(text.encode().ljust(20000)), dtype=torch.uint8).to(DEVICE)
    return [bytes(said).decode().rstrip() for said in package.ranks.gather(own, group).cpu().tolist()]


def alike(result):
    """Holds that every rank of the group has the same result."""
    said = everyone(json.dumps([each.tolist() for each in result]))
    assert said[0] == said[1], said


def exchanges_of(work):
    """The names of the collective calls that something makes."""
    with on_cpu.exchanges() as names:
        work()
    return names


# Before anything is exchanged


def test_without_torch_distributed_a_layer_is_refused():
    refused("HIRE-TORCH-009", "2 shards", "torchrun --nproc-per-node 2", of=package.Head)
    refused("HIRE-TORCH-009", of=package.Tail)
    global groups, group
    groups = join()
    group = groups[world_rank // 2]


def test_as_many_ranks_as_shards_take_part():
    refused("HIRE-RUN-020", "2 shards, but 4 take part", "compile for 4 shards", of=package.Head)
    refused("HIRE-RUN-020", "none of the ranks", of=lambda: package.Head(groups[1 - world_rank // 2]))
    layer = package.Head(group)
    assert layer.shard == rank and f"shard {rank}" in layer.extra_repr()


def test_the_backend_has_to_exchange_tensors_on_cards():
    if not on_cpu.IS_FAKE:
        return
    with patch.object(group, "backend", "gloo"):
        refused("HIRE-TORCH-010", "gloo", "nccl", "cuda", of=lambda: package.Head(group).load_pack(pack, DEVICE))
        # On the CPU first, and moved later: the layer will run on a card all the same.
        refused("HIRE-TORCH-010", "gloo", of=lambda: package.Head(group).load_pack(pack, "cpu"))
    package.Head(group).load_pack(pack, "cpu")


# Packs


def test_every_rank_reads_its_own_pack():
    layer = loaded(package.Head)
    assert layer.codes.device.type == DEVICE.split(":")[0]
    assert package.pack.path_of_shard(Path("a.pack"), 1) == "a.pack.1-of-2"


def with_packs(change, work):
    """Packs of which rank 1 has another one. Both ranks of a group have a folder of their own."""
    with tempfile.TemporaryDirectory() as own:
        for shard in (0, 1):
            shutil.copy(f"{pack}.{shard}-of-2", f"{own}/a.{shard}-of-2")
        if rank == 1:
            change(Path(own))
        work(f"{own}/a")


def test_a_rank_with_the_pack_of_another_shard_is_named_by_all():
    def load(path):
        def of():
            package.Head(group).load_pack(path, DEVICE)

        if rank == 1:
            refused("HIRE-PACK-006", "packed for shard 0, and this rank has shard 1", of=of)
        else:
            refused("HIRE-RUN-015", "Rank 1", '"head"', "HIRE-PACK-006", "packed for shard 0", of=of)

    with_packs(lambda own: shutil.copy(own / "a.0-of-2", own / "a.1-of-2"), load)


def test_packs_of_another_plan_are_made_again_under_the_path_of_all():
    def change(own):
        path = own / "a.1-of-2"
        data, own_hash = path.read_bytes(), package.plan.SHARD_PACK_HASHES[1].encode()
        assert own_hash in data
        path.write_bytes(data.replace(own_hash, b"0" * 64))

    def load(path):
        def of():
            package.Head(group).load_pack(path, DEVICE)

        if rank == 1:
            refused("HIRE-PACK-006", "another version of its spec", f"--out {path}", of=of)
        else:
            refused("HIRE-RUN-015", "Rank 1", "another version of its spec", of=of)

    with_packs(change, load)


def test_a_rank_without_a_pack_is_named_by_all():
    def load(path):
        def of():
            package.Tail(group).load_pack(path, DEVICE)

        if rank == 1:
            refused("HIRE-PACK-001", "a.1-of-2", "without the number of the shard", of=of)
        else:
            refused("HIRE-RUN-015", "Rank 1", "HIRE-PACK-001", of=of)

    with_packs(lambda own: (own / "a.1-of-2").unlink(), load)


def test_a_rank_with_another_package_is_named_by_all():
    with patch.object(package.plan, "PACKAGE_HASH", "another package" if rank == 1 else package.plan.PACKAGE_HASH):
        own = package.plan.PACKAGE_HASH[:12] if rank == 0 else "and rank 0 has package"
        refused("HIRE-RUN-016", "Rank 1 has package another pack", own, of=lambda: loaded(package.Head))


def test_ranks_that_load_other_layers_are_refused():
    kind = package.Tail if rank == 1 else package.Head
    refused("HIRE-RUN-017", 'Rank 1 loads layer "tail"', 'rank 0 layer "head"', of=lambda: loaded(kind))


def test_a_rank_that_cannot_load_for_another_reason_is_named_too():
    def full(*_):
        raise torch.OutOfMemoryError("no room")

    if rank == 0:
        refused("HIRE-RUN-015", "Rank 1", "no room", of=lambda: loaded(package.Head))
        return
    with patch.object(package.pack, "read_layer", full):
        try:
            loaded(package.Head)
        except torch.OutOfMemoryError:
            return
    raise AssertionError("nothing ran out")


# Running


def test_two_groups_have_results_of_their_own():
    layer = loaded(package.Head)
    result = layer(tokens(3, seed=world_rank // 2))
    alike(result)
    same = layer(tokens(3))
    assert (result.indices.tolist() == same.indices.tolist()) == (world_rank < 2)


def test_one_exchange_serves_any_number_of_tokens_and_leading_dimensions_stay():
    layer = loaded(package.Draft)
    count = 2 * layer.plan.batch + 1
    x, uniforms = tokens(count, layer.plan), floats([i / count for i in range(count)])
    results = []
    assert exchanges_of(lambda: results.append(layer(x, uniforms=uniforms))) == ["all_gather"]
    (result,) = results
    for token in range(count):
        alone = layer(x[token : token + 1], uniforms=uniforms[token : token + 1])
        for field, tensor in zip(result._fields, result):
            assert tensor[token : token + 1].tolist() == getattr(alone, field).tolist(), (token, field)
    shaped = layer(x[: count - 1].reshape(2, layer.plan.batch, layer.plan.inputs), uniforms=uniforms[: count - 1].reshape(2, -1))
    assert tuple(shaped.values.shape) == (2, layer.plan.batch, layer.plan.k)
    assert shaped.sampled.reshape(-1).tolist() == result.sampled[: count - 1].tolist()


def test_only_what_may_have_missed_something_is_recomputed():
    layer = loaded(package.Head)
    x = tokens(3)
    expected, merge, pairs, flags = layer(x), layer.merge, layer.pairs, []

    def unsure(*given):
        merged = merge(*given)
        if len(flags) == 1:
            # Of token 0 shard 1 may have more, of token 2 shard 0.
            merged["open"] = floats([0, 1, 0, 0, 1, 0]).reshape(3, 2).to(torch.int32)
        return merged

    def asked(x, mask, again):
        flags.append((x.tolist(), again.tolist()))
        return pairs(x, mask, again)

    layer.merge, layer.pairs = unsure, asked
    result = layer(x)
    assert flags[0] == (x.tolist(), [0, 0, 0])
    assert flags[1:] == [([x[0].tolist(), x[2].tolist()], [rank, 1 - rank])]
    assert result.certified.tolist() == [False, True, False]
    assert result.indices.tolist() == expected.indices.tolist()
    alike(result)


def test_no_tokens_need_no_exchange():
    for kind in (package.Head, package.Mlp0):
        layer = loaded(kind)
        launches.clear()
        results = []
        assert exchanges_of(lambda: results.append(layer(tokens(1, layer.plan)[:0]))) == [] and launches == []
        assert all(each.shape[0] == 0 for each in results[0])


def test_uniforms_are_those_of_rank_0_where_none_are_given():
    layer = loaded(package.Draft)
    drawn = floats([0.0, 0.999]) if rank == 0 else floats([0.5, 0.5])
    with patch.object(torch, "rand", lambda shape, device: drawn.reshape(*shape)):
        results = []
        assert exchanges_of(lambda: results.append(layer(tokens(2, layer.plan)))) == ["broadcast", "all_gather"]
    alike(results[0])
    assert results[0].sampled.tolist() == layer(tokens(2, layer.plan), uniforms=floats([0.0, 0.999])).sampled.tolist()


def test_a_shard_without_rows_refuses_what_the_others_refuse():
    layer = loaded(package.Lone)
    assert (layer.own is None) == (rank == 1)
    refused("HIRE-RUN-002", "[3, 33]", of=lambda: layer(floats([0.0] * 99).reshape(3, 33)))
    refused("HIRE-RUN-002", "torch.int16", of=lambda: layer(tokens(3, layer.plan).to(torch.int16)))
    layer.prepare()
    result = layer(tokens(3, layer.plan))
    alike(result)
    assert result.indices.tolist() == [[0]] * 3


def test_a_mask_is_one_of_the_whole_head():
    layer = loaded(package.Draft)
    rows = layer.plan.outputs
    mask = floats([1.0 if row in (4, rows - 2) else 0.0 for row in range(rows)]).to(torch.uint8) != 0
    result = layer(tokens(3, layer.plan), mask=mask)
    alike(result)
    for row in result.indices.tolist():
        assert sorted(row[:2]) == [4, rows - 2] and row[2:] == [-1] * (layer.plan.k - 2)
    refused("HIRE-RUN-002", f"[{rows}]", of=lambda: layer(tokens(3, layer.plan), mask=mask[1:]))


def test_a_layer_that_is_whole_reads_the_pack_of_the_shard_and_exchanges_nothing():
    layer = loaded(package.Tail)
    results = []
    assert exchanges_of(lambda: results.append(layer(tokens(3, layer.plan)))) == []
    alike(results[0])


def test_a_layer_without_weights_is_refused():
    if on_cpu.IS_FAKE:
        refused("HIRE-TORCH-005", "head", of=lambda: package.Head(group)(tokens(3)))


def test_a_fallback_is_not_captured():
    layer = loaded(package.Head)
    layer(tokens(3))
    loaded(package.Mlp0)(tokens(3))
    with patch.object(package.launch, "is_captured", lambda: True):
        refused("HIRE-TORCH-011", "head", "report", of=lambda: layer(tokens(3)))
        loaded(package.Mlp0)(tokens(3))


def test_prepare_loads_the_kernels_of_the_shard_and_of_the_merge():
    layer = loaded(package.Head)
    package.launch.functions_of.cache_clear()
    names = []
    load = package.driver.load

    def named(image, kernel):
        names.append(kernel)
        return load(image, kernel)

    with patch.object(package.driver, "load", named):
        layer.prepare()
    assert "head_merge" in names and any(name.startswith("head_shard0_") for name in names), names


# Modules that stand in for others


class Mlp(nn.Module):
    def __init__(self, inputs, hidden):
        super().__init__()
        self.gate_proj = nn.Linear(inputs, hidden, bias=False)
        self.up_proj = nn.Linear(inputs, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, inputs, bias=False)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.mlp = Mlp(head_plan.inputs, package.Mlp0.plan.hidden)
        self.lm_head = nn.Linear(head_plan.inputs, head_plan.outputs, bias=False)


def test_swap_takes_the_path_of_all_packs_and_the_group():
    model = Model().to(DEVICE)
    made = package.swap(model, pack, {"lm_head": "head", "mlp": "mlp0"}, dense_above=3, group=group)
    assert model.lm_head is made["lm_head"]
    for module in made.values():
        on_cpu.with_own_memory(module.layer)
    hidden = model.mlp(tokens(3))
    logits = model.lm_head(hidden)
    assert tuple(logits.shape) == (3, head_plan.outputs)
    alike((hidden, logits))
    best = [row.index(max(row)) for row in logits.tolist()]
    assert best == model.lm_head.layer(hidden).indices[:, 0].tolist()


def test_swap_refuses_on_every_rank_what_one_refuses():
    def swap(path):
        model = Model()
        before = model.lm_head
        code = "HIRE-PACK-002" if rank == 1 else "HIRE-RUN-015"
        refused(code, of=lambda: package.swap(model, path, {"lm_head": "head"}, group=group))
        assert model.lm_head is before

    with_packs(lambda own: (own / "a.1-of-2").write_bytes(b"no pack"), swap)


# What only a real torch can tell


def real_test_operators_of_shards_and_merges_pass_the_checks_of_torch():
    layer = loaded(package.Draft)
    weights = [getattr(layer, each.name) for each in layer.own.packed]
    mask = torch.full((layer.own.mask_words,), -1, dtype=torch.int32, device=DEVICE)
    operators = getattr(torch.ops, package.plan.PACKAGE)
    part = getattr(operators, layer.own.name).default
    x = tokens(layer.plan.batch, layer.plan)
    torch.library.opcheck(part, (x, mask, *weights))
    gathered = package.sharded.launch_by_launch(package.ranks.gather(part(x, mask, *weights), group), layer.plan.batch)
    torch.library.opcheck(operators.draft__merge.default, (gathered, floats([0.5] * layer.plan.batch)))


def real_test_layers_and_their_exchange_compile_into_one_graph():
    draft, mlp = loaded(package.Draft), loaded(package.Mlp0)

    def both(x, uniforms):
        return draft(package.SparseMLP(mlp, None)(x), uniforms=uniforms)

    torch._dynamo.reset()
    compiled = torch.compile(both, fullgraph=True, backend="aot_eager")
    for count in (3, 5):
        given = tokens(count), floats([i / count for i in range(count)])
        expected, found = both(*given), compiled(*given)
        assert [each.tolist() for each in found] == [each.tolist() for each in expected]
        alike(found)


def real_test_a_fallback_compiles_with_a_break_in_its_graph():
    layer = loaded(package.Head)
    torch._dynamo.reset()
    found, expected = torch.compile(layer, backend="aot_eager")(tokens(3)), layer(tokens(3))
    assert [each.tolist() for each in found] == [each.tolist() for each in expected]


if __name__ == "__main__":
    behaviours.tell(globals())

"""What an emitted package does besides computing layers: behaviour.py FOLDER PACK FOREIGN_PACK OLD_PACK. Runs every function
named test_… and prints a JSON object of names and what went wrong, or null. The model is made by behaviour.test.ts."""

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from unittest.mock import patch

import behaviours
import on_cpu
import torch
from torch import nn

folder, pack, foreign_pack, old_pack = sys.argv[1:]
package, launches = on_cpu.load(folder)
package_sources = package.images.SOURCES
launch, driver, images, nvrtc = package.launch, package.driver, package.images, package.nvrtc
DEVICE = on_cpu.DEVICE
refused = behaviours.refused_by(package)
head_plan, mlp_plan = package.Head.plan, package.Mlp0.plan


def numbers(*shape):
    """As for real tokens, all different."""
    count = 1
    for extent in shape:
        count *= extent
    values = b"".join(hashlib.sha256(str(i).encode()).digest() for i in range(-(-count // 16)))
    data = torch.frombuffer(bytearray(values), dtype=torch.int16)[:count].to(torch.float32)
    return (data * torch.full((1,), 1 / 32768)).reshape(*shape).to(DEVICE)


def loaded(kind):
    return on_cpu.with_own_memory(kind().load_pack(pack, DEVICE))


def fresh():
    """As in a process that has loaded nothing."""
    for each in (launch.functions_of, launch.program_of):
        each.cache_clear()
    launches.clear()


@contextlib.contextmanager
def swapped(owner, name, value):
    """Something in the place of an attribute, for as long as a block runs, in a process that has loaded nothing."""
    try:
        with patch.object(owner, name, value):
            fresh()
            yield
    finally:
        fresh()


def values_of(tensor):
    return tensor.reshape(-1).contiguous().numpy().tolist()


class Mlp(nn.Module):
    def __init__(self, inputs, hidden, bias=False):
        super().__init__()
        self.gate_proj = nn.Linear(inputs, hidden, bias=bias)
        self.up_proj = nn.Linear(inputs, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, inputs, bias=False)

    def forward(self, x):
        return x[:0]


class Block(nn.Module):
    def __init__(self, mlp):
        super().__init__()
        self.mlp = mlp


class Inner(nn.Module):
    def __init__(self, rows, inputs, mlps):
        super().__init__()
        self.embed_tokens = nn.Embedding(rows, inputs)
        self.layers = nn.ModuleList([Block(mlp) for mlp in mlps])


class Model(nn.Module):
    """Named like the models of Hugging Face; the head shares its tensor with the embedding."""

    def __init__(self, rows=head_plan.outputs, hidden=mlp_plan.hidden, bias=False):
        super().__init__()
        inputs = head_plan.inputs
        self.model = Inner(rows, inputs, [Mlp(inputs, hidden, bias), Mlp(inputs, hidden)])
        self.lm_head = nn.Linear(inputs, rows, bias=False)
        self.lm_head.weight = self.model.embed_tokens.weight

    def get_output_embeddings(self):
        return self.lm_head


# Tokens


def test_any_number_of_tokens_gives_each_token_its_own_result():
    for layer in (loaded(package.Head), loaded(package.Mlp0)):
        batch = layer.plan.batch
        x = numbers(2 * batch + 1, layer.plan.inputs)
        alone = [layer(x[i : i + 1]) for i in range(len(x))]
        for tokens in (1, batch - 1, batch, batch + 1, 2 * batch + 1):
            launches.clear()
            result = layer(x[:tokens])
            assert len(launches) == -(-tokens // batch) * len(layer.plan.programs[0].kernels)
            for field, tensor in zip(result._fields, result):
                assert tensor.shape[0] == tokens
                together = [value for one in alone[:tokens] for value in values_of(getattr(one, field))]
                assert values_of(tensor) == together, (field, tokens)


def test_no_tokens_give_no_results_and_launch_nothing():
    layer = loaded(package.Head)
    launches.clear()
    result = layer(numbers(1, head_plan.inputs)[:0])
    assert tuple(result.indices.shape) == (0, head_plan.k) and launches == []


def test_the_last_batch_is_filled_with_its_last_token():
    x = numbers(5, 3)
    part = launch.batch_of(x, 4, 4)
    assert values_of(part) == values_of(x[4:]) * 4
    assert values_of(launch.batch_of(x, 0, 4)) == values_of(x[:4])
    # Three numbers of four bytes each: the second token begins at no multiple of 16.
    assert launch.batch_of(x, 1, 2).data_ptr() % 16 == 0


def test_leading_dimensions_stay():
    layer, x = loaded(package.Head), numbers(6, head_plan.inputs)
    flat, shaped = layer(x), layer(x.reshape(2, 3, head_plan.inputs))
    assert tuple(shaped.values.shape) == (2, 3, head_plan.k)
    assert values_of(shaped.values) == values_of(flat.values)
    one = layer(x[0])
    assert tuple(one.indices.shape) == (head_plan.k,) and values_of(one.indices) == values_of(flat.indices[0])


def test_half_precision_is_widened_and_nothing_else():
    layer, x = loaded(package.Head), numbers(3, head_plan.inputs)
    for dtype in (torch.bfloat16, torch.float16):
        narrow = x.to(dtype)
        assert values_of(layer(narrow).values) == values_of(layer(narrow.to(torch.float32)).values)


def test_x_need_not_be_contiguous():
    layer, x = loaded(package.Head), numbers(3, head_plan.inputs)
    turned = x.t().contiguous().t()
    assert not turned.is_contiguous()
    assert values_of(layer(turned).indices) == values_of(layer(x).indices)


def test_a_mask_keeps_rows_back_and_uniforms_decide_what_is_drawn():
    layer, x = loaded(package.Draft), numbers(3, package.Draft.plan.inputs)
    rows = package.Draft.plan.outputs
    allowed = torch.full((rows,), 0, dtype=torch.uint8, device=DEVICE)
    allowed[3:4] = torch.full((1,), 1, dtype=torch.uint8, device=DEVICE)
    allowed[rows - 1 : rows] = torch.full((1,), 1, dtype=torch.uint8, device=DEVICE)
    first = layer(x, mask=allowed != 0, uniforms=torch.zeros(3, device=DEVICE))
    k = package.Draft.plan.k
    for token in range(3):
        row = values_of(first.indices[token])
        assert sorted(row[:2]) == [3, rows - 1] and row[2:] == [-1] * (k - 2)
        assert values_of(first.values[token])[2:] == [float("-inf")] * (k - 2)
    assert values_of(first.sampled) == [values_of(first.indices[token])[0] for token in range(3)]
    last = layer(x, mask=allowed != 0, uniforms=torch.full((3,), 0.9999999, device=DEVICE))
    assert values_of(last.sampled) == [values_of(first.indices[token])[1] for token in range(3)]
    assert all(0 <= row < rows for row in values_of(layer(x).sampled))


# What is refused


def test_x_that_does_not_fit_is_refused():
    layer = loaded(package.Head)
    refused("HIRE-RUN-002", "x", "head", f"[3, {head_plan.inputs + 1}]", of=lambda: layer(numbers(3, head_plan.inputs + 1)))
    refused("HIRE-RUN-002", "torch.int16", of=lambda: layer(numbers(3, head_plan.inputs).to(torch.int16)))
    if on_cpu.IS_FAKE:
        refused("HIRE-RUN-002", "is on cpu", "x.to", of=lambda: layer(numbers(3, head_plan.inputs).to("cpu")))


def test_packed_tensors_that_were_changed_are_refused():
    x = numbers(3, head_plan.inputs)
    layer = loaded(package.Head)
    layer.row_scales = layer.row_scales.to(torch.float32)
    refused("HIRE-RUN-002", "row_scales", "torch.float32", "load_pack", of=lambda: layer(x))
    layer = loaded(package.Head)
    layer.exact = layer.exact[1:]
    refused("HIRE-RUN-002", "exact", "shape", of=lambda: layer(x))
    layer = loaded(package.Head)
    layer.exact = layer.exact.t().contiguous().t()
    refused("HIRE-RUN-002", "exact", "contiguous", of=lambda: layer(x))
    if on_cpu.IS_FAKE:
        layer = loaded(package.Head)
        layer.exact = layer.exact.to("cpu")
        refused("HIRE-RUN-002", "exact", "is on cpu", of=lambda: layer(x))


def test_masks_and_uniforms_that_do_not_fit_are_refused():
    layer, x = loaded(package.Draft), numbers(3, package.Draft.plan.inputs)
    mask = torch.full((7,), 1, dtype=torch.uint8, device=DEVICE) != 0
    refused("HIRE-RUN-002", "mask", "[7]", of=lambda: layer(x, mask=mask))
    refused("HIRE-RUN-002", "uniforms", "[2]", of=lambda: layer(x, uniforms=torch.zeros(2, device=DEVICE)))


def test_a_layer_without_weights_is_refused():
    refused("HIRE-TORCH-005", "head", "load_pack", of=lambda: package.Head()(numbers(3, head_plan.inputs)))


def test_a_group_of_ranks_for_a_model_without_shards_is_refused():
    refused("HIRE-RUN-020", "no shards", of=lambda: package.Head(object()))
    refused("HIRE-RUN-020", of=lambda: package.swap(Model(), pack, {"lm_head": "head"}, group=object()))


def test_cards_before_ampere_are_refused():
    layer, x = loaded(package.Head), numbers(3, head_plan.inputs)
    with swapped(launch, "capability_of", lambda device: 75):
        refused("HIRE-RUN-006", "head", "compute capability 8.0", "has 7.5", of=lambda: layer(x))
        refused("HIRE-RUN-006", of=layer.prepare)


def test_a_machine_without_cuda_is_refused():
    layer, x = loaded(package.Head), numbers(3, head_plan.inputs)
    with swapped(launch.torch.cuda, "is_available", lambda: False):
        refused("HIRE-TORCH-001", "no CUDA device", of=lambda: layer(x))


def test_a_machine_without_a_driver_is_refused():
    def missing(name):
        raise OSError(f"{name}: cannot open shared object file")

    driver.library.cache_clear()
    with swapped(driver.ctypes, "CDLL", missing):
        refused("HIRE-TORCH-001", "libcuda.so.1", of=driver.library)
    driver.library()


def test_a_machine_without_nvrtc_is_refused():
    def missing(name, mode=0):
        raise OSError(f"{name}: cannot open shared object file")

    before = nvrtc.library()
    nvrtc.library.cache_clear()
    with swapped(nvrtc.ctypes, "CDLL", missing):
        refused("HIRE-TORCH-003", "libnvrtc.so", "HIREC_LIBNVRTC", of=nvrtc.library)
    assert nvrtc.library() is not before and nvrtc.version()


def test_a_kernel_that_does_not_compile_is_refused_with_the_log():
    refused(
        "HIRE-TORCH-002", "cuda/a.cu", "sm_90", "#error", of=lambda: nvrtc.compile_source("#error no\n", "cuda/a.cu", "sm_90")
    )


def test_what_the_driver_refuses_says_so():
    driver.enter_context(0)
    refused("HIRE-TORCH-004", "loading kernel head_score_select", "(200)", of=lambda: driver.load(b"no image", "head_score_select"))
    image = images.image_of(head_plan.programs[0].kernels[0].source, 90)
    refused("HIRE-TORCH-004", "an unknown error (500)", of=lambda: driver.load(image, "no_kernel"))


def test_kernels_are_not_loaded_while_a_graph_is_captured():
    layer, x = loaded(package.Head), numbers(3, head_plan.inputs)
    with swapped(launch.torch.cuda, "is_current_stream_capturing", lambda: True):
        refused("HIRE-TORCH-006", "head", "prepare()", of=lambda: layer(x))
    layer.prepare()
    cuda = launch.torch.cuda
    before, cuda.is_current_stream_capturing = cuda.is_current_stream_capturing, lambda: True
    try:
        layer(x)
    finally:
        cuda.is_current_stream_capturing = before


def test_memory_that_runs_out_names_the_layer():
    layer, x = loaded(package.Head).prepare(), numbers(3, head_plan.inputs)

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 bytes")

    with swapped(launch, "run", full):
        try:
            layer(x)
        except torch.OutOfMemoryError as error:
            assert "head" in str(error) and "Tried to allocate 20 bytes" in str(error)
            return
    raise AssertionError("nothing ran out")


# Packs


def test_packs_of_another_plan_are_refused():
    refused("HIRE-PACK-006", 'model "other"', "hirec pack", of=lambda: package.Head().load_pack(foreign_pack, DEVICE))
    refused("HIRE-PACK-007", "format 0", of=lambda: package.Head().load_pack(old_pack, DEVICE))


def test_files_that_are_no_packs_are_refused():
    with tempfile.TemporaryDirectory() as own:
        broken = Path(own) / "broken"
        broken.write_bytes(Path(pack).read_bytes()[:5])
        refused("HIRE-PACK-002", "broken", of=lambda: package.Head().load_pack(broken, DEVICE))
        refused("HIRE-PACK-001", "missing", of=lambda: package.Head().load_pack(Path(own) / "missing", DEVICE))
        plain, header = Path(own) / "plain", b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
        plain.write_bytes(len(header).to_bytes(8, "little") + header + b"\0")
        refused("HIRE-PACK-006", "was not made by hirec pack", of=lambda: package.Head().load_pack(plain, DEVICE))


def test_a_pack_that_lacks_a_tensor_is_refused():
    whole = Path(pack).read_bytes()
    with tempfile.TemporaryDirectory() as own:
        renamed = Path(own) / "renamed"
        renamed.write_bytes(whole.replace(b'"head.exact"', b'"head.wrong"'))
        refused("HIRE-PACK-006", 'lacks tensor "head.exact"', of=lambda: package.Head().load_pack(renamed, DEVICE))
        package.Mlp0().load_pack(renamed, DEVICE)


# Images


def test_kernels_are_compiled_once_per_machine_and_loaded_once_per_process():
    compiled = []
    compile_source = nvrtc.compile_source

    def count(text, name, target):
        compiled.append((name, target))
        return compile_source(text, name, target)

    kernels = [kernel.source for kernel in head_plan.programs[0].kernels]
    with tempfile.TemporaryDirectory() as cache, swapped(nvrtc, "compile_source", count):
        os.environ["XDG_CACHE_HOME"], before = cache, os.environ["XDG_CACHE_HOME"]
        try:
            layer, x = loaded(package.Head), numbers(3, head_plan.inputs)
            layer(x), layer(x)
            assert compiled == [(source, "sm_90") for source in kernels]
            fresh()
            layer(x)
            assert len(compiled) == len(kernels), "the cache on disk was not used"
            assert len(list(Path(cache, "hirec", "cuda").iterdir())) == len(kernels)
            shutil.rmtree(Path(cache, "hirec"))
            Path(cache, "hirec").write_text("no folder")
            fresh()
            layer(x)
            assert len(compiled) == 2 * len(kernels), "a cache that cannot be written must not matter"
        finally:
            os.environ["XDG_CACHE_HOME"] = before


def test_a_card_that_nvrtc_does_not_know_gets_ptx_of_the_latest_before_it():
    known = "sm_90"
    assert nvrtc.target_of(90) == known and nvrtc.target_of(86) == "sm_86"
    assert nvrtc.target_of(999).startswith("compute_")
    image = nvrtc.compile_source('extern "C" __global__ void k() {}', "k.cu", nvrtc.target_of(999))
    assert image


def test_an_image_compiled_ahead_is_taken_only_for_its_source_and_its_cards():
    source = head_plan.programs[0].kernels[0].source
    with tempfile.TemporaryDirectory() as own:
        shutil.copytree(images.SOURCES / "cuda", Path(own) / "cuda")
        text = (Path(own) / source).read_bytes()
        hashes = {"sourceHash": hashlib.sha256(text).hexdigest(), "imageHash": hashlib.sha256(b"ahead").hexdigest()}
        entry = {"image": "cuda/a.fatbin", **hashes, "capabilities": [80, 90], "ptx": 120}
        image = Path(own) / "cuda" / "a.fatbin"
        image.write_bytes(b"ahead")
        listed = Path(own) / "cuda" / "images.json"
        with swapped(images, "SOURCES", Path(own)):
            listed.write_text(json.dumps({"format": 1, "kernels": {source: entry}}))
            taken = [capability for capability in (86, 90, 100, 120, 121) if images.image_of(source, capability) == b"ahead"]
            assert taken == [86, 90, 120, 121]
            image.write_bytes(b"other")
            assert images.image_of(source, 90) not in (b"ahead", b"other")
            image.write_bytes(b"ahead")
            (Path(own) / source).write_bytes(text + b"\n// edited\n")
            assert images.image_of(source, 90) != b"ahead"
        # A package that lies in its compiled folder finds the images of that.
        (Path(own) / source).write_bytes(text)
        with swapped(images, "SOURCES", Path(own) / "torch" / "package"):
            shutil.copytree(package_sources / "cuda", images.SOURCES / "cuda")
            assert images.image_of(source, 90) == b"ahead"


def test_threads_that_have_not_used_cuda_yet_can_launch():
    layer, x = loaded(package.Head), numbers(3, head_plan.inputs)
    expected, found = values_of(layer(x).indices), []
    thread = threading.Thread(target=lambda: found.append(values_of(layer(x).indices)))
    thread.start()
    thread.join()
    assert found == [expected]


# Modules that stand in for others


def test_logits_hold_the_best_rows_and_nothing_else():
    layer, x = loaded(package.Head), numbers(2, 3, head_plan.inputs)
    logits, found = package.LMHead(layer)(x), layer(x)
    assert tuple(logits.shape) == (2, 3, head_plan.outputs)
    for token in range(6):
        row = values_of(logits.reshape(6, head_plan.outputs)[token])
        indices = values_of(found.indices.reshape(6, head_plan.k)[token])
        values = values_of(found.values.reshape(6, head_plan.k)[token])
        assert [row[i] for i in indices] == values
        assert sum(value != float("-inf") for value in row) == head_plan.k


def test_logits_of_a_layer_that_found_fewer_rows_are_right_at_row_0():
    layer, x = loaded(package.Head), numbers(1, head_plan.inputs)
    indices = torch.full((1, head_plan.k), -1, dtype=torch.int64, device=DEVICE)
    values = torch.full((1, head_plan.k), float("-inf"), device=DEVICE)
    indices[:, :1] = torch.full((1, 1), 0, dtype=torch.int64, device=DEVICE)
    values[:, :1] = torch.full((1, 1), 2.5, device=DEVICE)
    layer.run = lambda x: (indices, values)
    row = values_of(package.LMHead(layer)(x))
    assert row[0] == 2.5 and row[1:] == [float("-inf")] * (head_plan.outputs - 1)


def test_a_feed_forward_leaves_many_tokens_to_the_module_that_it_replaced():
    layer = loaded(package.Mlp0)
    dense = Mlp(mlp_plan.inputs, 8)
    module = package.SparseMLP(layer, dense, dense_above=2)
    assert len(module(numbers(2, mlp_plan.inputs))) == 2
    assert len(module(numbers(3, mlp_plan.inputs))) == 0, "the dense module of the test gives nothing back"
    assert package.SparseMLP(layer, dense).dense_above == mlp_plan.dense_above
    assert len(package.SparseMLP(layer, None, dense_above=2)(numbers(3, mlp_plan.inputs))) == 3
    narrow = numbers(1, mlp_plan.inputs).to(torch.bfloat16)
    assert module(narrow).dtype is torch.bfloat16


def test_swap_finds_the_modules_that_layers_were_compiled_from():
    model = Model().to(DEVICE)
    dense = model.get_submodule("model.layers.0.mlp")
    model.train(False)
    made = package.swap(model, pack, {"lm_head": "head", "model.layers.0.mlp": "mlp0"})
    assert list(made) == ["lm_head", "model.layers.0.mlp"]
    assert model.lm_head is made["lm_head"] and isinstance(model.lm_head, package.LMHead)
    mlp = model.get_submodule("model.layers.0.mlp")
    assert isinstance(mlp, package.SparseMLP) and mlp.dense is dense and not mlp.training
    assert model.lm_head.layer.exact.device == model.model.embed_tokens.weight.device


def test_swap_guesses_names_from_the_weights_of_the_plan():
    # No module of the model has the draft head's weights.
    refused("HIRE-TORCH-007", '"draft"', of=lambda: package.swap(Model(), pack))
    tied, own = Model(), Model()
    tied.draft = nn.Linear(head_plan.inputs, package.Draft.plan.outputs, bias=False)
    own.draft = tied.draft
    assert list(package.swap(tied, pack)) == ["lm_head", "model.layers.0.mlp", "draft"]
    own.get_output_embeddings = lambda: None
    refused("HIRE-TORCH-008", "model.embed_tokens", "looks rows up", of=lambda: package.swap(own, pack))


def test_swap_refuses_names_that_are_not_there_and_says_which_are_near():
    model = Model()
    before = model.lm_head
    bad = {"lm_head": "head", "model.layer.0.mlp": "mlp0"}
    refused("HIRE-TORCH-007", "model.layer.0.mlp", "model.layers.0.mlp", of=lambda: package.swap(model, pack, bad))
    assert model.lm_head is before, "nothing is replaced when anything is wrong"
    refused("HIRE-RUN-008", "tail", "head, ", of=lambda: package.swap(model, pack, {"lm_head": "tail"}))


def test_swap_refuses_modules_that_do_not_fit():
    fits = "HIRE-TORCH-008"
    refused(fits, "lm_head", "weight", of=lambda: package.swap(Model(rows=17), pack, {"lm_head": "head"}))
    refused(fits, "gate_proj.weight", of=lambda: package.swap(Model(hidden=8), pack, {"model.layers.0.mlp": "mlp0"}))
    refused(fits, "gate_proj.bias", of=lambda: package.swap(Model(bias=True), pack, {"model.layers.0.mlp": "mlp0"}))
    refused(fits, "is missing", of=lambda: package.swap(Model(), pack, {"model.layers.0": "mlp0"}))
    refused("HIRE-PACK-006", of=lambda: package.swap(Model(), foreign_pack, {"lm_head": "head"}))


# What only a real torch can tell


def real_test_operators_pass_the_checks_of_torch():
    for kind in (package.Head, package.Mlp0):
        layer = loaded(kind)
        for tokens in (1, 5):
            given = (numbers(tokens, kind.plan.inputs), *(getattr(layer, each.name) for each in kind.plan.packed))
            operator = getattr(getattr(torch.ops, package.plan.PACKAGE), kind.plan.name).default
            torch.library.opcheck(operator, given)


def real_test_modules_compile_into_one_graph():
    head, mlp, x = package.LMHead(loaded(package.Head)), loaded(package.Mlp0), numbers(3, head_plan.inputs)
    both = nn.Sequential(package.SparseMLP(mlp, None), head)
    expected = both(x)
    torch._dynamo.reset()
    compiled = torch.compile(both, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x), expected)
    assert torch.equal(compiled(numbers(9, head_plan.inputs)), both(numbers(9, head_plan.inputs)))


def real_test_converting_a_model_leaves_the_bits_of_packs_alone():
    layer, x = loaded(package.Head), numbers(3, head_plan.inputs)
    expected = layer(x)
    assert torch.equal(layer.half()(x).values, expected.values)
    assert torch.equal(layer.to(torch.bfloat16)(x).values, expected.values)


def real_test_state_dicts_carry_the_weights():
    layer, x = loaded(package.Head), numbers(3, head_plan.inputs)
    other = package.Head()
    other.load_state_dict(layer.state_dict(), assign=True)
    assert torch.equal(other(x).values, layer(x).values)


if __name__ == "__main__":
    behaviours.tell(globals(), before_each=fresh)

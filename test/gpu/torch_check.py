"""Runs an emitted package on a GPU and holds it against torch.

usage: python3 test/gpu/torch_check.py PACKAGE_FOLDER PACK [TOKENS]

PACKAGE_FOLDER is the torch/ folder of tiny-lm, generated/tiny-lm/torch, PACK what hirec pack made for it, and TOKENS the input
of a hirec run, whose tensors <layer>.input are then used instead of random numbers, which are harder to estimate. Needs
torch >= 2.6 with CUDA and safetensors, and nothing of Node. What is exact is computed by torch, in f64 from the exact weights
of the pack. Prints a line of JSON per check; exits with 1 when one fails, with 3 when this machine cannot run it.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True

TOKENS = 37
"""Batches of every layer, and a last one that is not full."""


def exact_weight(layer):
    """f64 `[rows, inputs]` of a head, `[hidden, 3, width]` of a gated feed-forward: gate, up and down of every neuron."""
    import torch

    plan = layer.plan
    (packed,) = [each for each in plan.packed if each.name in ("exact", "bundles")]
    kind = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32, "U32": torch.int32}[packed.dtype]
    weights = getattr(layer, packed.name).view(kind).to(torch.float64)
    return weights[:, : plan.inputs] if plan.kind == "softmax" else weights.reshape(plan.hidden, 3, -1)


recorded = {}
"""Inputs by the names of layers, where TOKENS is given."""


def least_recall(layer):
    """What a layer must find of the best. tiny-lm's head finds 88 % of random tokens' and all of real ones'."""
    return 0.97 if layer.plan.name in recorded or layer.plan.kind == "ffn" else 0.8


def tokens_for(layer, device, count=TOKENS):
    """f32 `[count, inputs]`, the same in every run."""
    import torch

    if layer.plan.name in recorded:
        return recorded[layer.plan.name][:count].to(device)
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, layer.plan.inputs, generator=generator).to(device)


def share(found, wanted):
    """The share of wanted indices, row by row, that were found."""
    return (found.unsqueeze(-1) == wanted.unsqueeze(-2)).any(-2).double().mean().item()


def check_head(layer, device):
    """The best rows are those of an exact head, and their scores its scores."""
    import torch

    x = tokens_for(layer, device)
    found = layer(x)
    scores = x.double() @ exact_weight(layer).T
    best = scores.topk(layer.plan.k)
    error = ((found.values.double() - scores.gather(1, found.indices)).abs().max() / scores.abs().max()).item()
    top = (found.indices[:, 0] == best.indices[:, 0]).double().mean().item()
    recall = share(found.indices, best.indices)
    descending = bool((found.values.diff(dim=1) <= 0).all())
    logits = importlib.import_module(type(layer).__module__.rpartition(".")[0]).LMHead(layer)(x)
    same = torch.equal(logits.argmax(1), found.indices[:, 0])
    narrow = torch.nn.functional.linear(x.bfloat16(), exact_weight(layer).bfloat16())
    numbers = {"recall": recall, "top1": top, "error": error}
    numbers["top1_of_bf16_head"] = (narrow.argmax(1) == best.indices[:, 0]).double().mean().item()
    least = least_recall(layer)
    return error < 1e-5 and top > least and recall > least and descending and same, numbers


def check_feed_forward(layer, device):
    """The output is that of the groups that were selected, and those are the best."""
    import torch

    plan, x = layer.plan, tokens_for(layer, device)
    found, weights = layer(x), exact_weight(layer)
    gate = x.double() @ weights[:, 0, : plan.inputs].T
    up = x.double() @ weights[:, 1, : plan.inputs].T
    groups = plan.hidden // GROUP
    selected = torch.zeros(len(x), groups, dtype=torch.float64, device=device).scatter_(1, found.groups, 1.0)
    active = gate.relu() * up * selected.repeat_interleave(GROUP, dim=1)
    output = active @ weights[:, 2, : plan.outputs]
    error = ((found.output.double() - output).abs().max() / output.abs().max()).item()
    best = gate.reshape(len(x), groups, GROUP).amax(-1).topk(plan.k).indices
    recall = share(found.groups, best)
    return error < 1e-5 and recall > least_recall(layer), {"recall": recall, "error": error}


GROUP = 8
"""Neurons per group of tiny-lm, whose score is their maximum and whose activation is ReLU."""


def check_batches(layer, device):
    """A token's result does not depend on those beside it."""
    import torch

    x = tokens_for(layer, device)
    together = layer(x)
    alone = [layer(x[i : i + 1]) for i in range(len(x))]
    ok = all(torch.equal(all_of, torch.cat(each)) for all_of, *each in zip(together, *alone))
    return ok, {"tokens": len(x), "batch": layer.plan.batch}


def check_half(layer, device):
    """bf16 and f16 tokens are widened."""
    import torch

    x = tokens_for(layer, device)
    pairs = [(layer(x.to(kind)), layer(x.to(kind).float())) for kind in (torch.bfloat16, torch.float16)]
    return all(torch.equal(a, b) for one, other in pairs for a, b in zip(one, other)), {}


def check_operator(layer, device):
    """Schema, fake and tracing hold what torch asks of operators."""
    import torch

    operator = getattr(getattr(torch.ops, type(layer).__module__.split(".")[0]), layer.plan.name).default
    packed = [getattr(layer, each.name) for each in layer.plan.packed]
    torch.library.opcheck(operator, (tokens_for(layer, device, 5), *packed))
    return True, {}


def check_compile(layer, device):
    """torch.compile takes it into one graph, also with CUDA graphs around it."""
    import torch

    x = tokens_for(layer, device, layer.plan.batch)
    expected, ok = layer(x), True
    for options in ({"fullgraph": True}, {"fullgraph": True, "mode": "reduce-overhead"}):
        torch._dynamo.reset()
        compiled = torch.compile(lambda x: tuple(each + 0 for each in layer(x)), **options)
        for _ in range(3):
            ok = ok and all(torch.equal(a, b) for a, b in zip(compiled(x), expected))
    return ok, {}


def check_graph(layer, device):
    """A captured graph computes anew what lies in its input."""
    import torch

    x = tokens_for(layer, device)
    other = x.flip(0).contiguous()
    expected, expected_other = layer(x), layer(other)
    graph, given = torch.cuda.CUDAGraph(), x.clone()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        result = layer(given)
    graph.replay()
    ok = all(torch.equal(a, b) for a, b in zip(result, expected))
    given.copy_(other)
    graph.replay()
    return ok and all(torch.equal(a, b) for a, b in zip(result, expected_other)), {}


def check_streams(layer, device):
    """Kernels run on the current stream, after what was queued there."""
    import torch

    x, expected = tokens_for(layer, device), layer(tokens_for(layer, device))
    late = torch.empty_like(x).fill_(float("nan"))
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)
        late.copy_(x)
        result = layer(late)
    stream.synchronize()
    return all(torch.equal(a, b) for a, b in zip(result, expected)), {}


def check_time(layer, device):
    """Not held to anything: microseconds of one batch, launched from Python and replayed from a graph."""
    import torch

    x = tokens_for(layer, device, layer.plan.batch)
    layer(x)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        layer(x)
    times = {}
    for name, call in (("launched", lambda: layer(x)), ("replayed", graph.replay)):
        for _ in range(20):
            call()
        torch.cuda.synchronize()
        begun = time.perf_counter()
        for _ in range(200):
            call()
        torch.cuda.synchronize()
        times[f"{name}_us"] = round((time.perf_counter() - begun) / 200 * 1e6, 2)
    return True, times


ANYWHERE = (check_batches, check_half, check_operator)
ON_CUDA = (check_compile, check_graph, check_streams, check_time)


def run(package, pack, device, checks, prepared=lambda layer: layer):
    """Prints a line per check and layer. @returns whether all hold."""
    ok = True
    for name, kind in package.LAYERS.items():
        layer = prepared(kind().load_pack(pack, device))
        exact = check_head if layer.plan.kind == "softmax" else check_feed_forward
        for check in (exact, *checks):
            begun = time.perf_counter()
            try:
                held, numbers = check(layer, device)
            except Exception as error:  # A check that throws has failed; the others still say something.
                held, numbers = False, {"error": f"{type(error).__name__}: {error}"}
            line = {"check": check.__name__.removeprefix("check_"), "layer": name, "ok": held, **numbers}
            print(json.dumps({**line, "seconds": round(time.perf_counter() - begun, 3)}), flush=True)
            ok = ok and held
    return ok


def main(arguments):
    if len(arguments) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    folder, pack, *tokens = map(Path, arguments)
    packages = [path.parent.name for path in folder.glob("hirec_*/plan.py")]
    for is_there, problem in ((packages, f"{folder} holds no emitted package"), *((path.is_file(), f"{path} is no file") for path in (pack, *tokens))):
        if not is_there:
            print(problem, file=sys.stderr)
            return 2
    try:
        import torch
        from safetensors.torch import load_file
    except ImportError as error:
        print(f"{error}; install torch >= 2.6 with CUDA and safetensors", file=sys.stderr)
        return 3
    if not torch.cuda.is_available():
        print("torch finds no CUDA device here", file=sys.stderr)
        return 3
    for path in tokens:
        recorded.update({name.removesuffix(".input"): tensor for name, tensor in load_file(path).items()})
    torch.backends.cuda.matmul.allow_tf32 = False
    name = torch.cuda.get_device_name()
    print(json.dumps({"check": "machine", "ok": True, "device": name, "torch": torch.__version__, "cuda": torch.version.cuda}))
    sys.path.insert(0, str(folder.resolve()))
    package = importlib.import_module(packages[0])
    return 0 if run(package, str(pack), "cuda", (*ANYWHERE, *ON_CUDA)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

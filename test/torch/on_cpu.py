"""Makes an emitted package run on the CPU: with the fake torch on its "cuda", whose memory is the CPU's, with a real one on
"cpu". Either way the driver is the one of fake-cuda.cpp, and every launch is held against plan.json."""

import contextlib
import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

sys.dont_write_bytecode = True

import torch
import torch.distributed

IS_FAKE = not hasattr(torch, "__version__")
DEVICE = "cuda" if IS_FAKE else "cpu"


class OnCpu:
    """torch, with a card that is the CPU."""

    cuda = SimpleNamespace(
        is_available=lambda: True,
        # The index of a tensor's device on the CPU.
        current_device=lambda: None,
        get_device_name=lambda index: "CPU",
        current_stream=lambda: SimpleNamespace(cuda_stream=0x57EA),
        is_current_stream_capturing=lambda: False,
        device=lambda index: contextlib.nullcontext(),
    )

    def __getattr__(self, name):
        return getattr(torch, name)


def load(folder, capability=(9, 0)):
    """The package below `folder`, a compiled folder, and a list that gets every launch."""
    torch_folder = Path(folder) / "torch"
    (name,) = [path.name for path in torch_folder.iterdir() if path.is_dir()]
    sys.path.insert(0, str(torch_folder))
    package = importlib.import_module(name)
    if IS_FAKE:
        torch.cuda.capability = capability
    else:
        package.launch.DEVICE = DEVICE
        # Only for the package: torch itself would take it at its word.
        package.launch.torch = OnCpu()
        OnCpu.cuda.get_device_capability = lambda index: capability
        enter, package.driver.enter_context = package.driver.enter_context, lambda device: enter(0)
    launches = []
    launch = package.driver.launch

    def record(function, kernel, grid, block, stream, pointers):
        rooms = [_room_at(each) if IS_FAKE else None for each in pointers]
        launches.append(SimpleNamespace(kernel=kernel, grid=grid, block=block, stream=stream, pointers=list(pointers), rooms=rooms))
        launch(function, kernel, grid, block, stream, pointers)

    package.driver.launch = record
    return package, launches


def with_own_memory(layer):
    """On a card .to("cuda") gives memory of its own; on the CPU tensors lie in the mapped file, wherever that puts them."""
    return layer if IS_FAKE else layer._apply(torch.Tensor.clone)


@contextlib.contextmanager
def exchanges():
    """A list that gets the name of every collective call, for as long as a block runs."""
    names = []

    def counted(name, call):
        def wrapped(*tensors, **options):
            names.append(COLLECTIVES[name])
            return call(*tensors, **options)

        return wrapped

    with contextlib.ExitStack() as stack:
        for name in COLLECTIVES:
            if call := getattr(torch.distributed, name, None):
                stack.enter_context(patch.object(torch.distributed, name, counted(name, call)))
        yield names


COLLECTIVES = {
    "all_gather_into_tensor": "all_gather",
    "all_gather_single": "all_gather",
    "all_reduce": "all_reduce",
    "broadcast": "broadcast",
}


def program_of(folder, layer):
    """A layer's program of plan.json."""
    plan = json.loads((Path(folder) / "plan.json").read_text())
    return [each for each in plan["programs"] if each["target"] == "cuda"][-1]["layers"][layer]


def check_launches(program, launches, weights, batches):
    """Every launch is one of a program: its kernels in order, as often as there are batches, on buffers that are large
    enough, aligned, and the same wherever the plan says so."""
    sizes = {each["name"]: each["bytes"] for each in program["buffers"]}
    roles = {each["name"]: each["role"] for each in program["buffers"]}
    assert len(launches) == batches * len(program["kernels"]), (len(launches), batches)
    for start in range(0, len(launches), len(program["kernels"])):
        places = {name: tensor.data_ptr() for name, tensor in weights.items()}
        assert set(places) == {name for name, role in roles.items() if role == "weight"}
        for launch, kernel in zip(launches[start:], program["kernels"]):
            assert launch.kernel == kernel["name"]
            assert list(launch.grid) == kernel["launches"][0]["workgroups"]
            assert launch.block == kernel["workgroupSize"]
            assert launch.stream == 0x57EA
            assert len(launch.pointers) == len(kernel["bindings"])
            for pointer, room, binding in zip(launch.pointers, launch.rooms, kernel["bindings"]):
                name = binding.get("buffer", binding["name"])
                assert places.setdefault(name, pointer) == pointer, f"{name} moved within a launch"
                assert pointer % 16 == 0, name
                assert room is None or room >= sizes[name], f"{name} has {room} of {sizes[name]} bytes"
        assert len(set(places.values())) == len(places), "buffers share memory"


def _room_at(pointer):
    ends = [at + torch.size_of(whole) for at, whole in torch.memory.items() if at <= pointer < at + torch.size_of(whole)]
    return max(ends, default=pointer) - pointer

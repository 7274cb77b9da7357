"""What the bench asks of a card: to run, to capture, to time, to profile. For a dry run the CPU stands in for it.

The two have one interface, so that a dry run goes through all the code that a card does.
"""

from __future__ import annotations

import importlib
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

Call = Callable[[], object]

PACKAGE = "hirec_bench_gpu"


@dataclass(frozen=True)
class Kernel:
    """What a profile says of the launches of one kernel."""

    name: str
    us: float
    """Median of its launches."""
    launches: float
    """Per call."""
    details: dict[str, Any]
    """Registers, shared memory and such, as the profiler names them."""


class Card(Protocol):
    device: str
    is_dry: bool
    memory: int
    """Bytes."""
    cache: int
    """Bytes of the L2 cache."""

    def load(self, folder: Path) -> Any:
        """The emitted package below a folder."""

    def machine(self) -> dict[str, Any]:
        """What the results depend on."""

    def stream(self) -> int:
        """The handle of the current stream."""

    def multiprocessors(self) -> int: ...

    def capture(self, call: Call) -> Call:
        """Runs a call, captures it as a graph, and returns the replay."""

    def microseconds(self, replay: Call, times: int) -> float:
        """Mean of so many replays, one after the other."""

    def kernels(self, call: Call, calls: int) -> list[Kernel]:
        """Profiles a call that makes so many calls of what is measured."""

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """torch.compile."""

    def free(self) -> None:
        """Gives back memory that is held no longer."""


class Cuda:
    device = "cuda"
    is_dry = False

    def __init__(self) -> None:
        properties = torch.cuda.get_device_properties(0)
        self.memory = properties.total_memory
        self.cache = properties.L2_cache_size
        self._multiprocessors = properties.multi_processor_count

    def load(self, folder: Path) -> Any:
        sys.path.insert(0, str(folder / "torch"))
        return importlib.import_module(PACKAGE)

    def machine(self) -> dict[str, Any]:
        asked = "driver_version,clocks.max.sm,clocks.max.mem,power.limit"
        try:
            command = ["nvidia-smi", f"--query-gpu={asked}", "--format=csv,noheader", "--id=0"]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().split(", ")
        except (OSError, subprocess.CalledProcessError):
            said = []
        major, minor = torch.cuda.get_device_capability()
        return {
            "gpu": torch.cuda.get_device_name(),
            "capability": f"{major}.{minor}",
            "multiprocessors": self._multiprocessors,
            "memory": self.memory,
            "l2": self.cache,
            **dict(zip(asked.replace(".", "_").split(","), said)),
            "cuda": torch.version.cuda,
            **versions(),
        }

    def stream(self) -> int:
        handle: int = torch.cuda.current_stream().cuda_stream
        return handle

    def multiprocessors(self) -> int:
        return self._multiprocessors

    def capture(self, call: Call) -> Call:
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):
                call()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            call()
        replay: Call = graph.replay
        return replay

    def microseconds(self, replay: Call, times: int) -> float:
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        for _ in range(times):
            replay()
        end.record()
        end.synchronize()
        milliseconds: float = begin.elapsed_time(end)
        return milliseconds * 1000 / times

    def kernels(self, call: Call, calls: int) -> list[Kernel]:
        """By CUPTI, of launches from Python: the profiler is not to be trusted with graphs that were captured before it."""
        rounds = 5
        call()
        torch.cuda.synchronize()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
            for _ in range(rounds):
                call()
            torch.cuda.synchronize()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trace.json"
            profiler.export_chrome_trace(str(path))
            trace = json.loads(path.read_text(encoding="utf-8", errors="replace"))
        return kernels_of(trace["traceEvents"], rounds * calls)

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        compiled: Callable[..., Any] = torch.compile(function, fullgraph=True, dynamic=False)
        return compiled

    def free(self) -> None:
        torch.cuda.empty_cache()


def kernels_of(trace: Sequence[dict[str, Any]], calls: int) -> list[Kernel]:
    """Of the events of a Chrome trace, as torch's profiler writes it."""
    found: dict[str, list[dict[str, Any]]] = {}
    for event in trace:
        if event.get("cat") == "kernel":
            found.setdefault(event["name"], []).append(event)
    return [
        Kernel(
            name=name,
            us=statistics.median(float(each["dur"]) for each in events),
            launches=len(events) / calls,
            details={detail: events[0]["args"].get(detail) for detail in DETAILS},
        )
        for name, events in found.items()
    ]


DETAILS = ("grid", "block", "registers per thread", "shared memory", "est. achieved occupancy %")


class Cpu:
    """For a dry run: kernels run as test/torch runs them, where LD_LIBRARY_PATH has the stand-ins for CUDA's libraries.

    Times are those of the processor and say nothing.
    """

    device = "cpu"
    is_dry = True
    memory = 1 << 30
    cache = 1 << 15

    def __init__(self) -> None:
        self._launches: list[tuple[str, float]] = []

    def load(self, folder: Path) -> Any:
        sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "test/torch"))
        package = importlib.import_module("on_cpu").load(folder)[0]
        launch = package.driver.launch

        def timed(function: int, kernel: str, *rest: Any) -> None:
            begun = time.perf_counter()
            launch(function, kernel, *rest)
            self._launches.append((kernel, (time.perf_counter() - begun) * 1e6))

        package.driver.launch = timed
        return package

    def machine(self) -> dict[str, Any]:
        return {"gpu": "none: a dry run on the CPU", "multiprocessors": 1, "l2": self.cache, **versions()}

    def stream(self) -> int:
        return 0x57EA

    def multiprocessors(self) -> int:
        return 1

    def capture(self, call: Call) -> Call:
        call()
        return call

    def microseconds(self, replay: Call, times: int) -> float:
        begun = time.perf_counter()
        for _ in range(times):
            replay()
        return (time.perf_counter() - begun) * 1e6 / times

    def kernels(self, call: Call, calls: int) -> list[Kernel]:
        self._launches.clear()
        call()
        found: dict[str, list[float]] = {}
        for name, us in self._launches:
            found.setdefault(name, []).append(us)
        return [Kernel(name, statistics.median(us), len(us) / calls, {}) for name, us in found.items()]

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        compiled: Callable[..., Any] = torch.compile(function, fullgraph=True, dynamic=False, backend="eager")
        return compiled

    def free(self) -> None:
        pass


def versions() -> dict[str, Any]:
    try:
        triton = importlib.import_module("triton").__version__
    except ImportError:
        triton = None
    return {"torch": torch.__version__, "triton": triton, "python": platform.python_version()}


def random_words(device: str, count: int) -> Tensor:
    """int32 `[count]`. Zeros would be easier on the card's power than weights are."""
    return torch.randint(-(1 << 31), (1 << 31) - 1, (count,), dtype=torch.int32, device=device)

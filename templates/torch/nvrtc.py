# NVRTC, the compiler that torch and the CUDA toolkit bring along, through ctypes.

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from .errors import HireError

OPTIONS = ("--std=c++17",)


@functools.cache
def library() -> ctypes.CDLL:
    """The first NVRTC that can be loaded: the named one, one of this process, torch's, the toolkit's, the system's.

    Raises HireError HIRE-TORCH-003.
    """
    tried = []
    for name in _candidates():
        try:
            _load_builtins(Path(name))
            return ctypes.CDLL(name)
        except OSError as error:
            tried.append(str(error))
    raise HireError(
        "HIRE-TORCH-003",
        f"NVRTC, which compiles the kernels, is not found: {'; '.join(tried)}",
        "Install torch with CUDA, or nvidia-cuda-nvrtc of its CUDA version, or name the library with HIREC_LIBNVRTC",
    )


@functools.cache
def version() -> tuple[int, int]:
    """Major and minor version, which decide what a source is compiled to."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return major.value, minor.value


def target_of(capability: int) -> str:
    """What to compile for: the card itself, such as sm_90, or for one that this NVRTC does not know the PTX of the
    latest one before it, such as compute_90.
    """
    count = ctypes.c_int()
    library().nvrtcGetNumSupportedArchs(ctypes.byref(count))
    known = (ctypes.c_int * count.value)()
    library().nvrtcGetSupportedArchs(known)
    if capability in known:
        return f"sm_{capability}"
    return f"compute_{max((each for each in known if each < capability), default=capability)}"


def compile_source(source: str, name: str, target: str) -> bytes:
    """Machine code for `sm_…`, or PTX for `compute_…`. Raises HireError HIRE-TORCH-002 with what NVRTC says."""
    nvrtc, program = library(), ctypes.c_void_p()
    result = nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), name.encode(), 0, None, None)
    if result != 0:
        raise _refusal(name, target, _text_of(result))
    try:
        options = [option.encode() for option in (*OPTIONS, f"--gpu-architecture={target}")]
        result = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
        if result != 0:
            log = _read(program, "ProgramLog").rstrip(b"\0").decode(errors="replace").strip().rstrip(".")
            raise _refusal(name, target, log or _text_of(result))
        return _read(program, "CUBIN" if target.startswith("sm_") else "PTX")
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _read(program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    getattr(library(), f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    data = ctypes.create_string_buffer(size.value)
    getattr(library(), f"nvrtcGet{what}")(program, data)
    return data.raw


def _text_of(result: int) -> str:
    text = library().nvrtcGetErrorString
    text.restype = ctypes.c_char_p
    said: bytes = text(result)
    return said.decode()


def _refusal(name: str, target: str, log: str) -> HireError:
    return HireError(
        "HIRE-TORCH-002",
        f"NVRTC {'.'.join(map(str, version()))} cannot compile {name} for {target}: {log}",
        "If the file was edited, compile the spec again; otherwise report it with this log",
    )


def _candidates() -> Iterator[str]:
    named = os.environ.get("HIREC_LIBNVRTC")
    if named:
        yield named
    folders = [*_loaded_folders()]
    # The wheels that torch depends on are nvidia/cuda_nvrtc (CUDA 12) and nvidia/cu13 (CUDA 13).
    for package, below in (("nvidia", "*/lib"), ("torch", "lib")):
        spec = find_spec(package)
        for place in (spec.submodule_search_locations or []) if spec else []:
            folders += sorted(Path(place).glob(below))
    for home in (os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"):
        folders += [Path(home) / "lib64", Path(home) / "lib"] if home else []
    for folder in dict.fromkeys(folders):
        for path in sorted(folder.glob("libnvrtc*.so*")):
            # torch renames what it bundles: libnvrtc-1ea278b5.so.11.2. libnvrtc.alt.so is built for other systems.
            if "builtins" not in path.name and ".alt." not in path.name:
                yield str(path)
    yield from ("libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2", "libnvrtc.so")


def _loaded_folders() -> Iterator[Path]:
    try:
        maps = Path("/proc/self/maps").read_text()
    except OSError:
        return
    for line in maps.splitlines():
        path = line.split(maxsplit=5)[-1]
        if "libnvrtc" in Path(path).name:
            yield Path(path).parent


def _load_builtins(path: Path) -> None:
    """NVRTC looks for its builtins by name alone, and finds them when they are loaded already."""
    if path.is_absolute():
        for builtins in path.parent.glob("libnvrtc-builtins*.so*"):
            if ".alt." not in builtins.name:
                ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)

# The code of a kernel for a card: compiled ahead where that was done, else by NVRTC, once per machine.

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from . import nvrtc

SOURCES = Path(__file__).parent


def image_of(source: str, capability: int) -> bytes:
    """What the driver loads for the kernel whose source is `source`, a path below this package.

    Raises HireError HIRE-TORCH-002, -003.
    """
    text = (SOURCES / source).read_text(encoding="utf-8")
    ahead = _compiled_ahead(source, text, capability)
    if ahead is not None:
        return ahead
    target = nvrtc.target_of(capability)
    decisive = json.dumps([text, target, nvrtc.OPTIONS, nvrtc.version()])
    cached = cache_folder() / f"{_hash_of(decisive.encode())}.image"
    try:
        return cached.read_bytes()
    except OSError:
        image = nvrtc.compile_source(text, source, target)
    _keep(cached, image)
    return image


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/hirec/cuda`, or `~/.cache/hirec/cuda`. It may be removed at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hirec" / "cuda"


def _keep(path: Path, image: bytes) -> None:
    """Several processes may write at once, so a file appears whole; one that cannot be written is compiled again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(image)
        os.replace(aside, path)
    except OSError:
        pass


def _compiled_ahead(source: str, text: str, capability: int) -> bytes | None:
    """What `hirec compile --fatbin` made of this very text for such a card, in the package or the folder around it."""
    for folder in (SOURCES, SOURCES.parents[1]):
        try:
            listed: Any = json.loads((folder / "cuda" / "images.json").read_text(encoding="utf-8"))
            entry: dict[str, Any] = listed["kernels"][source]
            if listed["format"] != 1 or entry["sourceHash"] != _hash_of(text.encode()) or not _fits(entry, capability):
                continue
            image = (folder / str(entry["image"])).read_bytes()
            if _hash_of(image) == entry["imageHash"]:
                return image
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def _fits(entry: dict[str, Any], capability: int) -> bool:
    """Instructions serve cards of their major version, from their minor version on; PTX serves all later ones."""
    same = [each for each in entry["capabilities"] if each // 10 == capability // 10]
    return bool(entry["ptx"] <= capability or any(each <= capability for each in same))


def _hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

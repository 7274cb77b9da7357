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
    cached = cache_folder() / f"{hashlib.sha256(decisive.encode()).hexdigest()}.image"
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
    """The fatbin beside a source, if images.json says that it was made of this very text, for such a card."""
    folder = (SOURCES / source).parent
    try:
        listed: Any = json.loads((folder / "images.json").read_text(encoding="utf-8"))
        entry: dict[str, Any] = listed[Path(source).name]
        if entry["source"] != hashlib.sha256(text.encode()).hexdigest():
            return None
        # Code for sm_80 runs on 8.x as well, but not on 9.0.
        if not any(each // 10 == capability // 10 and each <= capability for each in entry["architectures"]):
            return None
        image: str = entry["image"]
        return (folder / image).read_bytes()
    except (OSError, ValueError, KeyError, TypeError):
        return None

"""safe_open, as far as an emitted package uses it."""

import json
import struct

import numpy as np
import torch

KINDS = {"U32": torch.uint32, "F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
KINDS |= {"I8": torch.int8, "U8": torch.uint8}


class SafetensorError(Exception):
    pass


class safe_open:
    def __init__(self, path, framework, device):
        assert (framework, device) == ("pt", "cpu")
        with open(path, "rb") as file:
            data = file.read()
        try:
            (length,) = struct.unpack("<Q", data[:8])
            self.header = json.loads(data[8 : 8 + length])
        except (struct.error, ValueError) as error:
            raise SafetensorError(f"Error while deserializing header: {error}") from error
        self.data = data[8 + length :]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def metadata(self):
        return self.header.get("__metadata__")

    def keys(self):
        return [name for name in self.header if name != "__metadata__"]

    def get_tensor(self, name):
        entry = self.header[name]
        kind, (begin, end) = KINDS[entry["dtype"]], entry["data_offsets"]
        array = np.frombuffer(self.data[begin:end], kind.of).reshape(entry["shape"])
        tensor = torch.Tensor(array, kind)
        return tensor.clone()

"""save_file of float32 tensors."""

import json
import struct

import torch


def save_file(tensors, path):
    header, data = {}, b""
    for name, tensor in tensors.items():
        assert tensor.dtype is torch.float32 and tensor.is_contiguous()
        begin = len(data)
        data += tensor.array.tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)

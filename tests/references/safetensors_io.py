"""safetensors in and out, with numpy alone."""
import json, struct

import numpy as np

_KINDS = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I32": "<i4", "I64": "<i8", "U8": "u1"}


def load_safetensors(path):
    """-> metadata, {name: array}"""
    with open(path, "rb") as f:
        head = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    meta = head.pop("__metadata__", {})
    return meta, {k: np.frombuffer(data[slice(*v["data_offsets"])], _KINDS[v["dtype"]]).reshape(v["shape"]) for k, v in head.items()}


def save_safetensors(path, tensors, meta):
    """Stores arrays and CPU tensors in the dtype they have: one of _KINDS, and bfloat16 of PyTorch's, which numpy lacks."""
    names = {np.dtype(v): k for k, v in _KINDS.items()}
    head, blobs, offset = {"__metadata__": {k: str(v) for k, v in meta.items()}}, [], 0
    for name, value in tensors.items():
        bf16 = str(getattr(value, "dtype", "")) == "torch.bfloat16"
        if bf16: value = value.detach().contiguous().view(__import__("torch").int16)
        a = value.detach().numpy() if hasattr(value, "detach") else np.asarray(value)
        a = np.ascontiguousarray(a).reshape(a.shape)  # ascontiguousarray makes scalars 1-d
        head[name] = {"dtype": "BF16" if bf16 else names[a.dtype], "shape": list(a.shape), "data_offsets": [offset, offset + a.nbytes]}
        blobs.append(a.tobytes())
        offset += a.nbytes
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join([struct.pack("<Q", len(text)), text, *blobs]))

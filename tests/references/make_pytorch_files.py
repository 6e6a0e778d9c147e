#!/usr/bin/env python3
"""Writes tests/data/pytorch/: checkpoints as torch.save writes them, and the tensors they hold as safetensors.

usage: bench/peers/.venv/bin/python tests/references/make_pytorch_files.py

Which file is expected to hold what stands in tests/weights/pytorch_files_test.cpp. Nothing here is random, but for the serialization ids that
PyTorch draws from the contents; another version of PyTorch may lay files out otherwise.
"""
import argparse, io, os, pathlib, pickle, zipfile
from collections import OrderedDict, defaultdict

import numpy as np
import torch
from torch import nn

from common import DATA
from safetensors_io import save_safetensors

OUT = DATA / "pytorch"
META = {"made_by": "tests/references/make_pytorch_files.py", "torch": torch.__version__}


def save(name, value, legacy=False, **options): torch.save(value, OUT / name, _use_new_zipfile_serialization=not legacy, **options)


def expect(name, tensors): save_safetensors(OUT / f"{name}.safetensors", {k: v.detach().contiguous() for k, v in tensors.items()}, META)


def numbers(*shape, dtype=torch.float32, scale=0.25):
    """Counts up from a negative number, so that every element of a shape differs from the others and signs occur."""
    n = int(np.prod(shape))
    return ((torch.arange(n) - n // 3) * scale).reshape(shape).to(dtype)


def network():
    net = nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 2, 3), bn=nn.BatchNorm2d(2), fc=nn.Linear(2, 5)))
    with torch.no_grad():
        for i, p in enumerate(net.parameters()): p.copy_(numbers(*p.shape) + i)
    return net


class Wrapped(nn.Module):
    def __init__(self, inner, name):
        super().__init__()
        setattr(self, name, inner)


def train(net):
    """One step, so that the optimizer has state."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 4])
    for p in net.parameters(): p.grad = torch.full_like(p, 0.5)
    optimizer.step()
    scheduler.step()
    return optimizer, scheduler


def wrapped():
    net = network()
    state = net.state_dict()
    expect("state_dict", state)
    save("state_dict.zip.pth", state)
    save("state_dict.legacy.pth", state, legacy=True)
    save("state_dict.protocol1.pth", state, pickle_protocol=1)
    save("state_dict.protocol5.pth", state, pickle_protocol=5)
    save("state_dict.legacy4.pth", state, legacy=True, pickle_protocol=4)
    save("state_dict.plain_dict.pth", dict(state))
    save("parameters.pth", {"state_dict": dict(net.named_parameters()) | dict(net.named_buffers())})  # Parameters instead of their data
    save("data_parallel.pth", nn.DataParallel(net).state_dict())
    save("compiled.pth", {"model": torch.compile(net).state_dict()})
    save("compiled_parallel.pth", {"model_state_dict": nn.DataParallel(torch.compile(net)).state_dict()})
    save("lightning.ckpt", {"epoch": 1, "global_step": 7, "pytorch-lightning_version": "2.5", "state_dict": Wrapped(net, "model").state_dict(), "loops": {}})
    save("averaged.pth", torch.optim.swa_utils.AveragedModel(net).state_dict())
    save("other_name.pth", {"epoch": 3, "net": state})

    optimizer, scheduler = train(net)
    expect("training", net.state_dict())
    checkpoint = {
        "epoch": 3, "arch": "small", "best_acc1": torch.tensor(71.5), "best_loss": np.float64(0.25), "classes": ["a", "b"], "done": True, "nothing": None,
        "args": argparse.Namespace(lr=0.1, output=pathlib.PurePosixPath("runs/1"), decay=[1e-4, 2]), "history": defaultdict(list, loss=[1.5, 0.5]),
        "model": net.state_dict(), "optimizer": optimizer.state_dict(), "lr_scheduler": scheduler.state_dict(), "rng": torch.arange(8, dtype=torch.uint8),
        "scaler": {"scale": 65536.0, "_growth_tracker": 0}, "size": torch.Size([1, 2]), "device": torch.device("cpu"), "dtype": torch.float16,
        "array": np.arange(3), "set": {1, 2}, "long": 2**80,
    }
    save("training.zip.pth", checkpoint)
    save("training.legacy.pth", checkpoint, legacy=True)


DTYPES = {"float32": None, "float64": None, "float16": None, "bfloat16": None, "int64": None, "int32": None, "uint8": None, "bool": torch.uint8,
          "int16": torch.int32, "int8": torch.int32, "uint16": torch.int32, "uint32": torch.int64}


def dtypes():
    values = {}
    for name in DTYPES:
        dtype = getattr(torch, name)
        if name == "bool": values[name] = torch.tensor([[True, False, True], [False, False, True]])
        elif dtype.is_floating_point: values[name] = torch.tensor([[0.0, -1.5, 1 / 3], [float("inf"), 65504.0, 6e-8]]).to(dtype)
        else:
            low, high = torch.iinfo(dtype).min, torch.iinfo(dtype).max
            values[name] = torch.tensor([[low, 0, 1], [high, high - 1, 7]], dtype=dtype)
    expect("dtypes", {k: v.to(DTYPES[k] or v.dtype) for k, v in values.items()})
    save("dtypes.zip.pth", values)
    save("dtypes.legacy.pth", values, legacy=True)
    swap(OUT / "dtypes.zip.pth", OUT / "dtypes.big_endian.pth", {str(i): v.element_size() for i, v in enumerate(values.values())})


def swap(path, target, sizes):
    """The archive that a big-endian machine would have written; here zipfile packs it, which does not align the contents."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            content, key = old.read(name), name.rpartition("/")[2]
            if name.endswith("/byteorder"): content = b"big"
            elif "/data/" in name: content = np.frombuffer(content, f"<u{sizes[key]}").byteswap().tobytes()
            new.writestr(zipfile.ZipInfo(name), content)


def views():
    base = numbers(4, 6)
    with_attribute = nn.Parameter(numbers(3))
    with_attribute.note = "kept by _rebuild_parameter_with_state"
    tensor_with_attribute = numbers(2, 2)
    tensor_with_attribute.note = "kept by _rebuild_from_type_v2"
    values = {
        "base": base, "transposed": base.t(), "row": base[1], "column": base[:, 2], "block": base[1:3, 2:5], "every_other": base[::2, 1::2],
        "same": base, "expanded": numbers(3, 1).expand(3, 4), "scalar": torch.tensor(2.5), "element": base[3, 5], "empty": torch.zeros(0, 3),
        "permuted": numbers(2, 3, 4, dtype=torch.float64).permute(2, 0, 1), "channels_last": numbers(2, 3, 2, 2).to(memory_format=torch.channels_last),
        "flat_half": base.half().flatten()[3:9], "one": numbers(1, 5, 1)[:, 2:3], "bytes": numbers(3, 5, dtype=torch.uint8, scale=1).t(),
        "short": numbers(3, 5, dtype=torch.int16, scale=300).t(), "attribute": with_attribute, "tensor_attribute": tensor_with_attribute,
        "gradient": numbers(2).requires_grad_(),
    }
    widened = {"short": values["short"].to(torch.int32)}
    expect("views", values | widened)
    save("views.zip.pth", values)
    save("views.legacy.pth", values, legacy=True)
    expect("single", {"tensor": base.t()})
    save("single.pth", base.t())


class Evil:
    def __reduce__(self): return os.system, ("touch /tmp/limpid_was_attacked",)


def refused():
    for protocol in (2, 4): save(f"refused.os_system.protocol{protocol}.pth", {"state_dict": network().state_dict(), "evil": Evil()}, pickle_protocol=protocol)
    save("refused.os_system.legacy.pth", {"evil": Evil()}, legacy=True)
    save("refused.module.pth", nn.Linear(2, 1))
    save("refused.complex.pth", {"weight": torch.ones(2, dtype=torch.complex64)})
    save("refused.float8.pth", {"weight": torch.ones(2).to(torch.float8_e4m3fn)})
    save("refused.conjugated.pth", {"imaginary": torch.ones(2, dtype=torch.complex64).conj().imag})
    save("refused.sparse.pth", {"weight": torch.ones(2, 2).to_sparse()})
    save("refused.two.pth", {"generator": {"weight": torch.ones(1)}, "discriminator": {"weight": torch.ones(1)}})
    save("refused.no_tensors.pth", {"state_dict": {}, "epoch": 3})
    save("refused.list.pth", [torch.ones(1)])
    torch.jit.save(torch.jit.script(nn.Linear(2, 1)), OUT / "refused.torchscript.pt")
    np.savez(OUT / "refused.arrays.npz", a=np.ones(2))
    with zipfile.ZipFile(OUT / "state_dict.zip.pth") as old, zipfile.ZipFile(OUT / "refused.compressed.pth", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist(): new.writestr(zipfile.ZipInfo(name), old.read(name), zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.iterdir(): old.unlink()
    wrapped()
    dtypes()
    views()
    refused()
    print(sum(f.stat().st_size for f in OUT.iterdir()), "bytes in", len(list(OUT.iterdir())), "files")

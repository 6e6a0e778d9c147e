"""The peer's networks: loaded in a dtype and layout, batch norms folded, drawn weights for architectures of which no file is at hand."""
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "references"))
import torch
from torch.nn.utils.fusion import fuse_conv_bn_eval

import common

DTYPES = {"f32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16, "f64": torch.float64}


def fold(model):
    """Batch norms of a torchvision ResNet become part of the convolution before them. In place; returns the model."""
    for m in list(model.modules()):
        if isinstance(m, torch.nn.Sequential) and len(m) == 2 and isinstance(m[1], torch.nn.BatchNorm2d):
            m[0], m[1] = fuse_conv_bn_eval(m[0], m[1]), torch.nn.Identity()
        for i in (1, 2, 3):
            if isinstance(getattr(m, f"bn{i}", None), torch.nn.BatchNorm2d):
                setattr(m, f"conv{i}", fuse_conv_bn_eval(getattr(m, f"conv{i}"), getattr(m, f"bn{i}")))
                setattr(m, f"bn{i}", torch.nn.Identity())
    return model


def load(weights, arch, precision="f32", layout="contiguous", device="cpu", folded=False, autocast=False):
    """-> the network in eval mode, frozen: spares the peer state that a weight gradient would need (Captum itself does not ask for it)."""
    model = common.load_model(weights, torch.float32, arch, inplace=True)[0].requires_grad_(False)
    if folded: fold(model).requires_grad_(False)  # in f32, before rounding
    model = model.to(device=device, dtype=torch.float32 if autocast else DTYPES[precision])
    return model.to(memory_format=torch.channels_last) if layout == "channels_last" else model


def resnet_features(model, z):
    """What a torchvision ResNet makes of conv1's (and its norm's) output, up to layer4."""
    return model.layer4(model.layer3(model.layer2(model.layer1(model.maxpool(torch.relu(z))))))


def resnet_logits(model, features): return model.fc(torch.flatten(model.avgpool(features), 1))


def draw(arch, seed, path):
    """Writes drawn weights of a torchvision ResNet: He-initialised, with norms whose statistics come from noise, so that they are real norms."""
    import torchvision
    torch.manual_seed(seed)
    model = getattr(torchvision.models, arch)(weights=None)
    for m in model.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.momentum = None  # the plain mean over the batches seen
            torch.nn.init.uniform_(m.weight, 0.5, 1.0)
            torch.nn.init.normal_(m.bias, 0.0, 0.1)
    with torch.no_grad():
        for _ in range(2): model.train()(torch.nn.functional.interpolate(torch.randn(8, 3, 28, 28), 224, mode="bilinear"))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    common.save_safetensors(partial, {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}, {"architecture": arch})
    partial.rename(path)

"""What the reference scripts share: where files lie, safetensors, models, pictures. Run them with bench/peers/.venv/bin/python."""
import json, os
from pathlib import Path

import numpy as np, torch, torchvision
from PIL import Image, ImageOps

from efficientnet_lite0 import EfficientNetLite0
from safetensors_io import load_safetensors, save_safetensors  # noqa: F401, for the scripts

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("LIMPID_SHARED") or ROOT.parent / "shared")
DATA = ROOT / "tests" / "data"
EMBEDDED = {"efficientnet_lite0": "efficientnet_lite0_imagenet.f16.safetensors", "resnet18_imagenette": "resnet18_imagenette.f16.safetensors"}
PICTURES = ("beagle.jpg", "church.jpg", "french_horn.png", "tabby.jpg")
IMAGENET = {"resize": 256, "crop": 224, "interpolation": "bilinear", "antialias": True, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}

def find(*candidates):
    for path in candidates:
        if path.exists(): return path
    raise SystemExit(f"not found: {' or '.join(map(str, candidates))} (set LIMPID_SHARED to the shared folder)")


def weights_path(name):
    if Path(name).suffix: return find(Path(name))
    return find(ROOT / "models" / EMBEDDED[name], SHARED / "weights" / EMBEDDED[name])


def picture_path(name): return find(ROOT / "images" / name, SHARED / "images" / "free" / name)


def load_model(name, dtype=torch.float64, arch=None, inplace=False):
    """-> model in eval mode, its preprocessing. `name`: an embedded model, or a .safetensors file (then `arch` where the file does not say)."""
    meta, arrays = load_safetensors(weights_path(name))
    tensors = {k: torch.from_numpy(v.astype("f4")) for k, v in arrays.items()}
    arch = meta.get("architecture", arch)
    classes = tensors["classifier.weight" if "classifier.weight" in tensors else "fc.weight"].shape[0]
    model = EfficientNetLite0(classes) if arch == "efficientnet_lite0" else getattr(torchvision.models, arch)(weights=None, num_classes=classes)
    model.load_state_dict({**model.state_dict(), **tensors})
    for module in model.modules():
        if isinstance(module, torch.nn.ReLU): module.inplace = inplace
    how = json.loads(meta["preprocessing"]) if "preprocessing" in meta else IMAGENET
    return model.eval().to(dtype), how


def resized(image, how, resize, crop):
    """Pillow image -> Pillow image, exactly as torchvision's presets resize and crop."""
    t = torchvision.transforms
    return t.CenterCrop(crop)(t.Resize(resize, t.InterpolationMode(how["interpolation"]))(image))


def open_rgb(path): return ImageOps.exif_transpose(Image.open(path)).convert("RGB")


def network_input(picture, how, resize, crop):
    """-> [1,3,H,W] float32, normalised in float32 as torchvision does it."""
    t = torchvision.transforms
    return t.Normalize(how["mean"], how["std"])(t.ToTensor()(resized(open_rgb(picture_path(picture)), how, resize, crop)))[None]


def versions():
    import captum
    return {"torch": torch.__version__.split("+")[0], "torchvision": torchvision.__version__.split("+")[0], "captum": captum.__version__, "numpy": np.__version__}

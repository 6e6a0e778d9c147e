"""What a race is about: an architecture, its weights, pictures with their classes, and the float64 answers that both sides are held against."""
import argparse, hashlib, os
from pathlib import Path

import networks  # puts tests/references on the path
import numpy as np, torch

import captum_jobs, common

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("LIMPID_SHARED") or ROOT.parent / "shared")
CACHE = Path(__file__).resolve().parent / "results" / "cache"
# Relative L2 from the float64 reference: what golden/README.md calls close for float32; the others have 8 or 11 bits of mantissa.
CLOSE = {"f32": {"ig": 1e-2, "occlusion": 1e-3, "gradcam": 1e-4, "saliency": 1e-2, "classify": 1e-4}}
CLOSE["bf16"] = {"ig": 0.5, "occlusion": 0.3, "gradcam": 0.1, "saliency": 0.5, "classify": 0.05}
CLOSE["tf32"] = CLOSE["f16"] = {"ig": 0.2, "occlusion": 0.1, "gradcam": 0.02, "saliency": 0.2, "classify": 0.01}


def weights_of(arch, wanted):
    """-> the file: the one named; else ImageNet's in the shared folder, a bundled one, or drawn ones (`random:SEED`), whichever there is first."""
    if wanted and not wanted.startswith("random"): return common.weights_path(wanted)
    if not wanted:
        for path in (SHARED / "weights" / f"{arch}_imagenet.safetensors", ROOT / "models" / f"{arch}_imagenet.f16.safetensors", ROOT / "models" / f"{arch}_imagenette.f16.safetensors"):
            if path.exists(): return path
    seed = int(wanted.partition(":")[2] or 0) if wanted else 0
    path = CACHE / f"{arch}.random-{seed}.safetensors"
    if not path.exists():
        if not arch.startswith(("resnet", "resnext", "wide_resnet")): raise SystemExit(f"race: no weights of {arch} are at hand and only ResNets can be drawn; name a file with --weights")
        networks.draw(arch, seed, path)
    return path


def occlusion_in_part(model, x, target, window, stride):
    """Captum's occlusion (baseline 0) for the middle 48x48 pixels and the corners, NaN elsewhere: float64 convolutions are too slow for all windows."""
    rows, columns = x.shape[-2:]
    wanted, total, count = np.zeros((rows, columns), bool), np.zeros((rows, columns)), np.zeros((rows, columns))
    wanted[rows // 2 - 24 : rows // 2 + 24, columns // 2 - 24 : columns // 2 + 24] = True
    for y in (slice(0, 8), slice(rows - 8, rows)): wanted[y, :8] = wanted[y, -8:] = True
    starts = [range(0, side - window + stride, stride) for side in (rows, columns)]  # the last one may hang over the border
    windows = [(y, x) for y in starts[0] for x in starts[1] if wanted[y : y + window, x : x + window].any()]
    with torch.no_grad():
        whole = model(x)[0, target].item()
        for i in range(0, len(windows), 8):
            batch = x.repeat(len(windows[i : i + 8]), 1, 1, 1)
            for row, (y, x0) in zip(batch, windows[i : i + 8]): row[:, y : y + window, x0 : x0 + window] = 0
            for value, (y, x0) in zip(model(batch)[:, target].tolist(), windows[i : i + 8]):
                total[y : y + window, x0 : x0 + window] += whole - value
                count[y : y + window, x0 : x0 + window] += 1
    return np.where(wanted, total / np.maximum(count, 1), np.nan)[None, None]


class Subject:
    """arch, weights (a path), x [N,3,H,W] float32, targets [N], pictures (their names, N)."""

    def __init__(self, arch, weights=None, batch=1, picture=None, input=None, target=None):
        self.arch, self.weights = arch, weights_of(arch, weights)
        self.goldens = self.known()
        if input:
            self.goldens, self.x, self.pictures = {}, np.load(input).astype("f4"), [Path(input).name] * len(np.load(input, mmap_mode="r"))
        elif self.goldens:  # those with the most references first; more than there are: again from the first
            names = [n for n in sorted(self.goldens, key=lambda n: (-len(self.goldens[n][1]), n)) if not picture or picture in n]
            if not names: raise SystemExit(f"race: no golden picture of {self.weights.name} has '{picture}' in its name")
            self.pictures = [names[i % len(names)] for i in range(batch)]
            self.x = np.concatenate([self.goldens[n][1]["input"] for n in self.pictures])
        else:
            how = common.load_model(self.weights, arch=arch)[1]
            names = [n for n in ("french_horn.png", *common.PICTURES) if not picture or picture in n]
            self.pictures = [names[i % len(names)] for i in range(batch)]
            self.x = np.concatenate([common.network_input(n, how, 256, 224).numpy() for n in self.pictures])
        if target is not None: self.targets = [target] * len(self.x)
        elif self.goldens: self.targets = [int(self.goldens[n][0]["target"]) for n in self.pictures]
        else: self.targets = [int(row.argmax()) for row in self.made("classify", {}, range(len(self.x)))]

    def known(self):
        """{picture: (metadata, tensors)}: the golden references made from these very weights."""
        found = {}
        for file in sorted(SHARED.glob("golden/*.safetensors")):
            meta, tensors = common.load_safetensors(file)
            if meta.get("weights") == self.weights.name: found.setdefault(meta["image"], (meta, {}))[1].update(tensors)
        return found

    def made(self, job, options, rows):
        """Rows of the job's answer, computed here in float64 with Captum and kept in the cache; a picture that occurs twice is computed once."""
        weights, answers, model = hashlib.sha256(self.weights.read_bytes()).hexdigest(), [], None
        for i in rows:
            target = None if job == "classify" else self.targets[i]
            key = hashlib.sha256(repr((weights, hashlib.sha256(self.x[i].tobytes()).hexdigest(), target, job, sorted(options.items()))).encode()).hexdigest()[:24]
            path = CACHE / "references" / f"{self.arch}.{job}.{key}.npy"
            if not path.exists():
                model = model or networks.load(self.weights, self.arch, "f64")
                a = argparse.Namespace(job=job, arch=self.arch, rows=8, **options)
                x = torch.from_numpy(self.x[i : i + 1]).double()
                if job == "occlusion": answer = occlusion_in_part(model, x, target, **options)
                else: answer = captum_jobs.build(a, model, x, torch.tensor([target or 0]))().detach().numpy()
                path.parent.mkdir(parents=True, exist_ok=True)
                with open(path.with_suffix(".partial"), "wb") as f: np.save(f, answer)
                path.with_suffix(".partial").rename(path)
            answers.append(np.load(path)[0])
        return answers

    def answers(self, job, steps, window, stride):
        """-> the reference [N,...] in float64, NaN where none is known; where it comes from; a second one to check against, or None (occlusion's golden files: whole pictures,
        but float32). What takes minutes is made for the first picture only."""
        late = "blocks.6" if self.arch.startswith("efficientnet") else "layer4"
        name = {"ig": f"ig.gausslegendre.{steps}", "occlusion": f"occlusion.{window}.{stride}", "gradcam": "gradcam." + late, "saliency": "saliency", "classify": "logits"}[job]
        golden = self.stacked([self.golden(name, i) for i in range(len(self.x))])
        if golden is not None and job != "occlusion": return golden, "golden file", None
        options = {"ig": {"steps": steps}, "occlusion": {"window": window, "stride": stride}}.get(job, {})
        made = self.made(job, options, range(1 if job in ("ig", "occlusion") else len(self.x)))
        where = "made here, the middle and the corners; whole pictures checked against the golden file" if golden is not None else "made here, the middle and the corners" if job == "occlusion" else "made here"
        return self.stacked([*made, *[None] * (len(self.x) - len(made))]), where, golden

    def golden(self, name, i):
        """The tensor for picture i, or None."""
        if self.pictures[i] not in self.goldens: return None
        meta, tensors = self.goldens[self.pictures[i]]
        return tensors[name][0].astype("f8") if name in tensors and (name == "logits" or int(meta["target"]) == self.targets[i]) else None

    @staticmethod
    def stacked(rows):
        known = next((r for r in rows if r is not None), None)
        return None if known is None else np.stack([np.full_like(known, np.nan) if r is None else r for r in rows])


def distance(y, reference):
    """Relative L2, over what the reference knows. Occlusion's channels are equal, and a side may store one."""
    if y.ndim == 4: y, reference = y[:, : reference.shape[1]], reference[:, : y.shape[1]]
    known = ~np.isnan(reference)
    return float(np.linalg.norm((y - reference)[known]) / np.linalg.norm(reference[known]))

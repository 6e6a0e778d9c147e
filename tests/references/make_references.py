#!/usr/bin/env python3
"""Writes tests/data/*.safetensors: float64 reference attributions (PyTorch + Captum) for the two embedded models.

usage: bench/peers/.venv/bin/python tests/references/make_references.py

Files (stored as float32, rounded from float64; quadrature as float64):
    MODEL.64.safetensors      french_horn, [1,3,64,64]: every method
    MODEL.75x66.safetensors   beagle, [1,3,75,66]: odd sizes, windows of unequal sides
    MODEL.batch.safetensors   tabby and church, [2,3,48,48]: a target for each
    MODEL.layers.safetensors  french_horn, [1,3,64,64]: layer and neuron attributions
    MODEL.224.safetensors     the four pictures, [1,3,224,224]: logits, target, gradcam; the inputs are preprocessing/*.224.png
    interpolate.safetensors, quadrature.safetensors
Tensor names are explained in tests/references/README.md. Metadata `float32.NAME` holds the relative L2 distance of PyTorch's own
float32 run from the reference: how close a float32 implementation can be expected to come.
"""
import copy, warnings

import captum.attr as ca, numpy as np, torch
from captum.attr._utils.approximation_methods import SUPPORTED_METHODS, approximation_parameters

from common import DATA, EMBEDDED, PICTURES, load_model, network_input, save_safetensors, versions
from rules import input_gradient, with_rule

warnings.filterwarnings("ignore", message="(Setting backward hooks|Input Tensor 0 did not already)")
torch.manual_seed(0)

LATE = {"efficientnet_lite0": ("blocks.6", "blocks.4"), "resnet18_imagenette": ("layer4", "layer3")}
MADE_BY_HAND = "rules.py; Captum's hooks pass over ReLU6. Equals Captum on ResNet-18"


def module(model, name):
    for part in name.split("."): model = getattr(model, part)
    return model


def grid_mask(h, w, rows, cols):
    """Cell of pixel (y, x) in a grid of rows x cols: (y * rows // h, x * cols // w)."""
    return ((torch.arange(h) * rows // h)[:, None] * cols + (torch.arange(w) * cols // w)[None])[None, None].expand(1, 3, h, w)


class Reference:
    """Captum's answers for one model and dtype, under limpid's names."""

    def __init__(self, name, dtype):
        self.name, self.dtype = name, dtype
        self.model, self.how = load_model(name, dtype)
        self.guided, self.deconvolved = (with_rule(copy.deepcopy(self.model), r) for r in ("guided", "deconvolution"))
        self.late, self.early = LATE[name]

    def input(self, picture, resize, crop): return network_input(picture, self.how, resize, crop)

    def logits(self, x):
        with torch.no_grad(): return self.model(x)

    def ig(self, x, target, steps, rule="gausslegendre", **more):
        v, d = ca.IntegratedGradients(self.model).attribute(x, target=target, n_steps=steps, method=rule, internal_batch_size=10, return_convergence_delta=True, **more)
        return {"": v, ".delta": d}

    def gradcam(self, x, target, layer): return ca.LayerGradCam(self.model, module(self.model, layer)).attribute(x, target=target)

    def occlusion(self, x, target, window, stride, **more):
        a = ca.Occlusion(self.model).attribute(x, target=target, sliding_window_shapes=(3, *window), strides=(3, *stride), perturbations_per_eval=8, **more)
        assert torch.equal(a[:, :1], a[:, 1:2]) and torch.equal(a[:, :1], a[:, 2:])
        return a[:, :1]

    def ablation(self, x, target, rows, cols):
        mask = grid_mask(*x.shape[2:], rows, cols)
        return ca.FeatureAblation(self.model).attribute(x, target=target, feature_mask=mask, perturbations_per_eval=8)[:, :1]

    def modified(self, x, target):
        """Guided backpropagation and its kin, by hand; compared with Captum where Captum can."""
        guided, deconvolved = input_gradient(self.guided, x, target), input_gradient(self.deconvolved, x, target)
        cam = torch.relu(self.gradcam(x, target, self.late))
        out = {"guided_backprop": guided, "deconvolution": deconvolved,
               f"guided_gradcam.{self.late}": guided * ca.LayerAttribution.interpolate(cam, tuple(x.shape[2:]))}
        if self.name.startswith("resnet") and self.dtype == torch.float64:
            for inplace in (False, True):
                for m in self.model.modules():
                    if isinstance(m, torch.nn.ReLU): m.inplace = inplace
                theirs = {"guided_backprop": ca.GuidedBackprop(self.model).attribute(x, target=target),
                          "deconvolution": ca.Deconvolution(self.model).attribute(x, target=target),
                          f"guided_gradcam.{self.late}": ca.GuidedGradCam(self.model, module(self.model, self.late)).attribute(x, target=target)}
                for k, v in theirs.items():
                    worst = float((v.detach() - out[k]).abs().max() / v.detach().abs().max())
                    print(f"  {k}: Captum against the hand-made rule, reused ReLUs inplace={inplace}: {worst:.1e}")
                    assert worst < 1e-12
            for m in self.model.modules():
                if isinstance(m, torch.nn.ReLU): m.inplace = False
        return out


def full(r, x, t, second):
    out = {"logits": r.logits(x), "saliency": ca.Saliency(r.model).attribute(x, target=t)}
    out["input_x_gradient"] = ca.InputXGradient(r.model).attribute(x, target=t)
    runs = {"ig.gausslegendre.50": r.ig(x, t, 50), "ig.gausslegendre.20.baseline0.5.second_class": r.ig(x, second, 20, baselines=0.5)}
    for rule in ("riemann_left", "riemann_right", "riemann_middle", "riemann_trapezoid"): runs[f"ig.{rule}.20"] = r.ig(x, t, 20, rule)
    for k, v in runs.items(): out.update({k + e: a for e, a in v.items()})
    out.update(r.modified(x, t))
    for layer in (r.late, r.early): out["gradcam." + layer] = r.gradcam(x, t, layer)
    out["occlusion.15.8"] = r.occlusion(x, t, (15, 15), (8, 8))
    out["occlusion.20.11"] = r.occlusion(x, t, (20, 20), (11, 11))
    out["occlusion.15.8.baseline0.5"] = r.occlusion(x, t, (15, 15), (8, 8), baselines=0.5)
    out["feature_ablation.grid8"] = r.ablation(x, t, 8, 8)
    return out


def odd(r, x, t, second):
    out = {"logits": r.logits(x), "saliency": ca.Saliency(r.model).attribute(x, target=t)}
    out.update({"ig.gausslegendre.20" + e: a for e, a in r.ig(x, t, 20).items()})
    out["guided_backprop"] = r.modified(x, t)["guided_backprop"]
    for layer in (r.late, r.early): out["gradcam." + layer] = r.gradcam(x, t, layer)
    out["occlusion.20.11"] = r.occlusion(x, t, (20, 20), (11, 11))
    out["occlusion.20x14.11x9"] = r.occlusion(x, t, (20, 14), (11, 9))
    out["feature_ablation.grid5x4"] = r.ablation(x, t, 5, 4)
    return out


def batch(r, x, t, second):
    out = {"logits": r.logits(x), "saliency": ca.Saliency(r.model).attribute(x, target=t)}
    for k, v in {"ig.gausslegendre.20": r.ig(x, t, 20), "ig.gausslegendre.20.baseline_swapped": r.ig(x, t, 20, baselines=x.flip(0))}.items():
        out.update({k + e: a for e, a in v.items()})
    out["guided_backprop"] = r.modified(x, t)["guided_backprop"]
    for layer in (r.late, r.early): out["gradcam." + layer] = r.gradcam(x, t, layer)
    out["occlusion.15.8"] = r.occlusion(x, t, (15, 15), (8, 8))
    out["occlusion.15.8.baseline_swapped"] = r.occlusion(x, t, (15, 15), (8, 8), baselines=x.flip(0))
    out["feature_ablation.grid4"] = r.ablation(x, t, 4, 4)
    return out


def layers(r, x, t, second):
    m, early, late, steps = r.model, module(r.model, r.early), module(r.model, r.late), {"n_steps": 20, "internal_batch_size": 10}
    # The channel that is most active there: a dead neuron would make a poor reference.
    channel = int(ca.LayerActivation(m, late).attribute(x)[0, :, 1, 0].argmax())
    neuron, which = (channel, 1, 0), f"c{channel}y1x0"
    return {
        "layer_activation." + r.early: ca.LayerActivation(m, early).attribute(x),
        "layer_gradient_x_activation." + r.early: ca.LayerGradientXActivation(m, early).attribute(x, target=t),
        f"layer_integrated_gradients.{r.early}.20": ca.LayerIntegratedGradients(m, early).attribute(x, target=t, **steps),
        f"layer_conductance.{r.early}.20": ca.LayerConductance(m, early).attribute(x, target=t, **steps),
        f"internal_influence.{r.early}.20": ca.InternalInfluence(m, early).attribute(x, target=t, **steps),
        f"neuron_gradient.{r.late}.{which}": ca.NeuronGradient(m, late).attribute(x, neuron_selector=neuron),
        f"neuron_integrated_gradients.{r.late}.{which}.20": ca.NeuronIntegratedGradients(m, late).attribute(x, neuron_selector=neuron, **steps)}


def write(file, name, inputs, make, meta):
    """`inputs`: [N,3,H,W] float32. Computes in float64 and, to know how far float32 strays, in float32."""
    print(file)
    r64, r32 = Reference(name, torch.float64), Reference(name, torch.float32)
    top = r64.logits(inputs.double()).topk(3).indices
    # In a batch every sample has another target: the first its best class, the second the best after its own best that the first has not.
    targets = [int(top[0, 0])]
    targets += [next(int(c) for c in row[1:] if int(c) not in targets) for row in top[1:]]
    target, second = (targets[0] if len(targets) == 1 else targets), int(top[0, 1])
    # Captum draws the Riemann alphas and the occlusion windows in torch's default dtype; here they shall be float64 as well.
    torch.set_default_dtype(torch.float64)
    ours = make(r64, inputs.double(), target, second)
    torch.set_default_dtype(torch.float32)
    theirs = make(r32, inputs, target, second)
    ours, theirs = ({k: v.detach() for k, v in side.items()} for side in (ours, theirs))
    meta = {"model": name, "target": ",".join(map(str, targets)), "second_class": second, **meta, **versions()}
    if "guided_backprop" in ours and name.startswith("efficientnet"): meta["guided_backprop"] = meta["deconvolution"] = MADE_BY_HAND
    for k, v in ours.items():
        distance = float((theirs[k].double() - v).norm() / v.norm())
        peak = float((theirs[k].double() - v).abs().max() / v.abs().max())
        meta["float32." + k] = f"{distance:.1e}"
        print(f"  {k:52} {str(tuple(v.shape)):18} largest {float(v.abs().max()):9.3g}   float32: rel L2 {distance:.1e}, rel max {peak:.1e}")
    save_safetensors(DATA / file, {"input": inputs, **{k: v.float() for k, v in ours.items()}}, meta)


def attributions(name):
    how = Reference(name, torch.float32)
    write(f"{name}.64.safetensors", name, how.input("french_horn.png", 72, 64), full, {"picture": "french_horn.png, shorter side 72, crop 64"})
    write(f"{name}.75x66.safetensors", name, how.input("beagle.jpg", 80, (75, 66)), odd, {"picture": "beagle.jpg, shorter side 80, crop 75x66"})
    write(f"{name}.batch.safetensors", name, torch.cat([how.input(p, 56, 48) for p in ("tabby.jpg", "church.jpg")]), batch, {"picture": "tabby.jpg and church.jpg, shorter side 56, crop 48"})
    write(f"{name}.layers.safetensors", name, how.input("french_horn.png", 72, 64), layers, {"picture": "french_horn.png, shorter side 72, crop 64"})
    r, out, meta = Reference(name, torch.float64), {}, {"model": name, **versions()}
    for picture in PICTURES:
        x, key = r.input(picture, how.how["resize"], how.how["crop"]).double(), picture.split(".")[0]
        logits = r.logits(x)
        t = int(logits.argmax())
        out[key + ".logits"] = logits.float()
        meta[key + ".target"] = t
        for layer in (r.late, r.early): out[f"{key}.gradcam.{layer}"] = r.gradcam(x, t, layer).float()
        print(f"  {name} {picture}: class {t}, probability {float(logits.softmax(1)[0, t]):.3f}")
    save_safetensors(DATA / f"{name}.224.safetensors", out, meta)


def interpolation():
    """As LayerAttribution.interpolate; computed in float64."""
    x = torch.randn(2, 2, 7, 5, dtype=torch.float64)
    out = {"input": x.float()}
    for h, w in ((20, 31), (14, 15), (7, 5), (3, 9)):
        for mode in ("nearest", "bilinear"):
            y = ca.LayerAttribution.interpolate(x, (h, w), mode)
            out[f"{mode}.{h}x{w}"] = y.float()
    save_safetensors(DATA / "interpolate.safetensors", out, {"what": "torch.nn.functional.interpolate, align_corners=False", **versions()})


def quadrature():
    """Step sizes and alphas as Captum hands them out, as float64. The Riemann alphas come from a float32 torch.linspace: compare to 1e-7."""
    out = {}
    for rule in SUPPORTED_METHODS:
        sizes, alphas = approximation_parameters(rule)
        for n in (5, 20, 50) if rule == "gausslegendre" else (5, 20):
            out[f"{rule}.{n}.step_sizes"], out[f"{rule}.{n}.alphas"] = np.array(sizes(n)), np.array(alphas(n))
    for n in (5, 20, 50): out[f"leggauss.{n}.nodes"], out[f"leggauss.{n}.weights"] = np.polynomial.legendre.leggauss(n)
    save_safetensors(DATA / "quadrature.safetensors", out, versions())


if __name__ == "__main__":
    interpolation()
    quadrature()
    for model in EMBEDDED: attributions(model)
    print(f"{sum(f.stat().st_size for f in DATA.glob('*.safetensors')) / 1e6:.2f} MB in {DATA}")

#!/usr/bin/env python3
"""One variant of the peer (PyTorch eager + Captum) as a long-lived process; the protocol of limpid_job (see README.md). The first run is the warm-up.

usage: peer.py --job ig|occlusion|gradcam|saliency|classify --arch A --weights FILE --input INPUT.npy --target T --output OUT.npy
               [--steps 50] [--window 15] [--stride 8] [--threads 2] [--repeat K] [--precision f32|bf16]
               [--layout contiguous|channels_last] [--batch B]     B: internal_batch_size or perturbations_per_eval; 0: Captum's default
"""
import argparse, json, sys, time, warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "references"))
import captum, captum.attr as ca, numpy as np, torch

from common import load_model

LATE = {"efficientnet_lite0": lambda m: m.blocks[6]}


def resident(field):
    """Bytes: VmRSS now, VmHWM at most since /proc/self/clear_refs was last told to forget."""
    for line in open("/proc/self/status"):
        if line.startswith(field): return int(line.split()[1]) * 1024


def job(a, model, x):
    """-> a function without arguments that returns the result"""
    batch = a.batch or None
    if a.job == "ig": return lambda: ca.IntegratedGradients(model).attribute(x, target=a.target, n_steps=a.steps, internal_batch_size=batch)
    if a.job == "occlusion":
        window, stride = (3, a.window, a.window), (3, a.stride, a.stride)
        return lambda: ca.Occlusion(model).attribute(x, target=a.target, sliding_window_shapes=window, strides=stride, perturbations_per_eval=batch or 1)
    if a.job == "gradcam":
        cam = ca.LayerGradCam(model, LATE.get(a.arch, lambda m: m.layer4)(model))
        return lambda: cam.attribute(x, target=a.target)
    if a.job == "saliency": return lambda: ca.Saliency(model).attribute(x, target=a.target)

    def classify():
        with torch.inference_mode(): return model(x)
    return classify


def main():
    p = argparse.ArgumentParser()
    for name in ("job", "arch", "weights", "input", "output"): p.add_argument("--" + name, required=True)
    for name, default in (("target", 0), ("steps", 50), ("window", 15), ("stride", 8), ("threads", 2), ("repeat", 1), ("batch", 0)): p.add_argument("--" + name, type=int, default=default)
    p.add_argument("--precision", default="f32", choices=("f32", "bf16"))
    p.add_argument("--layout", default="contiguous", choices=("contiguous", "channels_last"))
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    # Frozen weights: spares the peer state that a weight gradient would need. Captum itself does not ask for it.
    model = load_model(a.weights, torch.bfloat16 if a.precision == "bf16" else torch.float32, a.arch, inplace=True)[0].requires_grad_(False)
    x = torch.from_numpy(np.load(a.input)).to(torch.bfloat16 if a.precision == "bf16" else torch.float32)
    if a.layout == "channels_last": model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    warnings.filterwarnings("ignore")
    run, result, idle = job(a, model, x), None, resident("VmRSS")
    about = {"torch": torch.__version__, "captum": captum.__version__, "isa": torch.backends.cpu.get_cpu_capability(),
             "onednn": next((line.split("v")[1].split()[0] for line in torch.__config__.show().splitlines() if "MKL-DNN" in line), "unknown")}
    for line in sys.stdin:
        if line.strip() == "quit": break
        if line.strip() != "run": continue
        start = time.perf_counter()
        for _ in range(a.repeat): result = run()
        seconds = (time.perf_counter() - start) / a.repeat
        print(json.dumps({"seconds": seconds, "peak_bytes": resident("VmHWM") - idle, "about": about}), flush=True)
    else: return  # the race has gone away
    np.save(a.output, (run() if result is None else result).detach().float().contiguous().numpy())


if __name__ == "__main__": main()

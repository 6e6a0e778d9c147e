#!/usr/bin/env python3
"""One variant of the peer (PyTorch, with Captum or by hand) as a long-lived process; the protocol of limpid_job (see README.md). The first run is the warm-up.

usage: peer.py --job ig|occlusion|gradcam|saliency|classify --arch A --weights FILE --input INPUT.npy --target T[,T...] --output OUT.npy
               [--steps 50] [--window 15] [--stride 8] [--threads 2] [--repeat K] [--precision f32|tf32|bf16|f16] [--device cpu|cuda]
               [--api captum|hand] [--layout contiguous|channels_last] [--rows B] [--compile] [--autocast] [--graph]
    --rows      samples per forward pass: internal_batch_size, perturbations_per_eval times the batch; 0: Captum's default
    --compile   torch.compile, weights frozen where nothing asks for a gradient at run time
    --autocast  f32 weights and torch.autocast in place of a network cast to the precision
    --graph     cuda: the whole job as one CUDA graph (--api hand)
Beside the protocol's commands it knows `probe`: occlusion at twice the stride (at most the window: Captum takes no wider one), to rank variants.
"""
import argparse, json, os, sys, time, warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(HERE / "results" / "cache" / "inductor"))
import captum, numpy as np, torch

import captum_jobs, hand_jobs, networks


def resident(field):
    """Bytes: VmRSS now, VmHWM at most since /proc/self/clear_refs was last told to forget."""
    for line in open("/proc/self/status"):
        if line.startswith(field): return int(line.split()[1]) * 1024
    return 0


def options():
    p = argparse.ArgumentParser()
    for name in ("job", "arch", "weights", "input", "target", "output"): p.add_argument("--" + name, required=True)
    for name, default in (("steps", 50), ("window", 15), ("stride", 8), ("threads", 2), ("repeat", 1), ("rows", 0)): p.add_argument("--" + name, type=int, default=default)
    for name, choices in (("precision", ("f32", "tf32", "bf16", "f16")), ("device", ("cpu", "cuda")), ("api", ("captum", "hand")), ("layout", ("contiguous", "channels_last"))):
        p.add_argument("--" + name, default=choices[0], choices=choices)
    for name in ("compile", "autocast", "graph"): p.add_argument("--" + name, action="store_true")
    a = p.parse_args()
    if a.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("peer: PyTorch finds no GPU here (torch.cuda.is_available() is false); run with --device cpu, or make the environment with make_env.sh --full on a machine with a GPU")
    if a.device == "cpu" and a.precision in ("tf32", "f16"): p.error(f"--precision {a.precision} is for --device cuda")
    if a.graph and (a.device != "cuda" or a.api != "hand"): p.error("--graph needs --device cuda --api hand")
    return a


def about(a):
    return {"torch": torch.__version__, "captum": captum.__version__, "isa": torch.backends.cpu.get_cpu_capability(), "threads": torch.get_num_threads(),
            "onednn": next((line.split("v")[1].split()[0] for line in torch.__config__.show().splitlines() if "MKL-DNN" in line), "unknown"),
            **({"gpu": torch.cuda.get_device_name(), "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()} if a.device == "cuda" else {})}


def build(a):
    """-> the job, a function without arguments that returns the result"""
    torch.set_num_threads(a.threads)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = a.precision == "tf32"
    model = networks.load(a.weights, a.arch, a.precision, a.layout, a.device, folded=a.api == "hand", autocast=a.autocast)
    x = torch.from_numpy(np.load(a.input)).to(device=a.device, dtype=torch.float32 if a.autocast else networks.DTYPES[a.precision])
    if a.layout == "channels_last": x = x.to(memory_format=torch.channels_last)
    targets = torch.tensor([int(t) for t in a.target.split(",")], device=a.device)
    compiled = None
    if a.compile:
        from torch._inductor import config
        config.freezing = True
        compiled = lambda f: torch.compile(f, dynamic=False, **({"mode": "max-autotune-no-cudagraphs"} if a.device == "cuda" else {}))
    if a.api == "hand":
        run = hand_jobs.BUILDERS[a.job](a, model, x, targets, compiled)
        if compiled: run = torch.no_grad()(run)  # gradients, if any, are part of the graph: inductor freezes weights without autograd only
    else: run = captum_jobs.build(a, compiled(model) if compiled else model, x, targets)
    if a.autocast:
        inner = run
        def run():
            with torch.autocast(a.device, networks.DTYPES[a.precision]): return inner()
    return graphed(run) if a.graph else run


def graphed(run):
    """The job captured as one CUDA graph; a call replays it."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3): run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph): result = run()

    def replay():
        graph.replay()
        return result
    return replay


def timed(a, run):
    """-> the result, seconds of one job by the clock (the device has finished), and by CUDA events"""
    if a.device == "cpu":
        start = time.perf_counter()
        for _ in range(a.repeat): result = run()
        return result, {"seconds": (time.perf_counter() - start) / a.repeat}
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    start = time.perf_counter()
    begin.record()
    for _ in range(a.repeat): result = run()
    end.record()
    torch.cuda.synchronize()
    return result, {"seconds": (time.perf_counter() - start) / a.repeat, "event_seconds": begin.elapsed_time(end) / 1e3 / a.repeat}


def main():
    a = options()
    warnings.filterwarnings("ignore")
    run, result, idle, probe = build(a), None, resident("VmRSS"), None
    if a.device == "cuda": idle = torch.cuda.memory_allocated()
    for line in sys.stdin:
        command = line.strip()
        if command == "quit": break
        if command == "run":
            result, answer = timed(a, run)
            peak = torch.cuda.max_memory_allocated() if a.device == "cuda" else resident("VmHWM")
            answer |= {"peak_bytes": peak - idle, "about": about(a)}
        elif command == "probe":
            probe = probe or build(argparse.Namespace(**vars(a) | {"stride": min(2 * a.stride, max(a.stride, a.window))}))
            answer = timed(a, probe)[1]
        elif command == "save":
            np.save(a.output, result.detach().float().contiguous().cpu().numpy())
            answer = {}
        else: raise SystemExit(f"peer: there is no command '{command}'")
        print(json.dumps(answer), flush=True)


if __name__ == "__main__": main()

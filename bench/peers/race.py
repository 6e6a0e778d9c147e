#!/usr/bin/env python3
"""Races limpid against PyTorch + Captum (eager) on this machine, alternately, in one run. See README.md.

usage: bench/peers/.venv/bin/python bench/peers/race.py --arch resnet18 --weights W.safetensors [--jobs ig,occlusion,...] [--peer-only]
"""
import argparse, json, os, platform, statistics, subprocess, sys, tempfile, time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SHARED = Path(os.environ.get("LIMPID_SHARED") or ROOT.parent / "shared")
sys.path.insert(0, str(ROOT / "tests" / "references"))
import numpy as np

from safetensors_io import load_safetensors

LIMPID, BOTH = "limpid", ("contiguous", "channels_last")
REPEAT = {"ig": 1, "occlusion": 1, "gradcam": 10, "saliency": 10, "classify": 20}
# Relative L2 from the float64 reference: what golden/README.md calls close for float32; bf16 has 8 bits of mantissa.
CLOSE = {"f32": {"ig": 1e-2, "occlusion": 1e-3, "gradcam": 1e-4, "saliency": 1e-2, "classify": 1e-4},
         "bf16": {"ig": 0.5, "occlusion": 0.3, "gradcam": 0.1, "saliency": 0.5, "classify": 0.05}}


def variants(job, wanted):
    """-> [(name, peer options)]; the first is Captum's default"""
    batches = {"ig": [("contiguous", 0), ("contiguous", 10), ("channels_last", 5), ("channels_last", 10), ("channels_last", 25)],
               "occlusion": [("contiguous", 1), ("contiguous", 16), ("channels_last", 1), ("channels_last", 8), ("channels_last", 16), ("channels_last", 32)]}
    found = []
    for layout, batch in batches.get(job, [(layout, None) for layout in BOTH]):
        name = layout + ("" if batch is None else f", batch {batch or 'all'}")
        found.append((name, ["--layout", layout] + (["--batch", str(batch)] if batch else [])))
    return [v for v in found if not wanted or any(w in v[0] for w in wanted)] or found


class Racer:
    """A process that runs the job once per line on its standard input."""

    def __init__(self, name, command, env, output, repeat):
        self.name, self.output, self.repeat, self.seconds, self.cpu_seconds, self.planned, self.about = name, output, repeat, [], [], None, {}
        self.process = subprocess.Popen(command + ["--output", output], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        self.run(count=False)  # the warm-up: loading and compiling end before anyone else is timed
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")  # VmHWM starts anew: reading the weights took memory for a moment

    def status(self, field):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith(field): return int(line.split()[1]) * 1024
        return 0

    def cpu(self):
        """Seconds of processor time so far, all threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def run(self, count=True):
        before = self.cpu()
        try:
            self.process.stdin.write("run\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError: line = ""
        if not line: raise SystemExit(f"race: {self.name} ended with status {self.process.wait()} instead of answering")
        answer = json.loads(line)
        self.planned, self.about = answer.get("peak_bytes"), answer.get("about", {})
        if count:
            self.seconds.append(answer["seconds"])
            self.cpu_seconds.append((self.cpu() - before) / self.repeat)

    def finish(self):
        """-> the result. Peak memory is VmHWM: ru_maxrss would inherit what race.py holds, and could not be reset."""
        self.peak = self.status("VmHWM")
        self.process.stdin.write("quit\n")
        self.process.stdin.close()
        if self.process.wait(): raise SystemExit(f"race: {self.name} ended with status {self.process.returncode}")
        return np.load(self.output).astype("f8")


def machine():
    info = {}
    for line in open("/proc/cpuinfo"):
        key, _, value = line.partition(":")
        info.setdefault(key.strip(), value.strip())
    flags = info.get("flags", "").split()
    names = ("OPENBLAS", "ONEDNN", "DNNL", "OMP", "GOMP", "KMP", "MKL", "MALLOC", "NVPL", "LD_PRELOAD", "TORCH")
    return {"processor": info.get("model name", platform.machine()), "cpu family/model/stepping": "/".join(info.get(k, "?") for k in ("cpu family", "model", "stepping")),
            "features": [f for f in ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16") if f in flags], "cores": len(os.sched_getaffinity(0)),
            "system": platform.platform(), "load at start": os.getloadavg()[0], "environment": {k: v for k, v in os.environ.items() if k.startswith(names)}}


def commit():
    git = lambda *a: subprocess.run(["git", "-C", str(ROOT), *a], capture_output=True, text=True).stdout.strip()
    head = git("rev-parse", "--verify", "-q", "HEAD")
    return head + ("+changes" if git("status", "--porcelain", "-uno") else "") if head else "none"


def goldens(a):
    """The float64 references made from these very weights; those of one picture together: {picture: (metadata, tensors)}."""
    found = {}
    for file in sorted(SHARED.glob("golden/*.safetensors")):
        meta, tensors = load_safetensors(file)
        if meta.get("weights") != Path(a.weights).name or (a.picture and a.picture not in meta["image"]): continue
        known = found.setdefault(meta["image"], (meta, {}))
        known[1].update(tensors)
    return found


def reference(job, a, tensors):
    late = "blocks.6" if a.arch.startswith("efficientnet") else "layer4"
    return tensors.get({"ig": f"ig.gausslegendre.{a.steps}", "occlusion": f"occlusion.{a.window}.{a.stride}", "gradcam": "gradcam." + late, "saliency": "saliency", "classify": "logits"}[job])


def distance(x, y): return float(np.linalg.norm(x - y) / np.linalg.norm(y))


def race(job, a, folder, x, target, golden):
    common = ["--job", job, "--weights", a.weights, "--input", x, "--target", str(target), "--steps", str(a.steps), "--window", str(a.window), "--stride", str(a.stride),
              "--threads", str(a.threads), "--repeat", str(REPEAT[job]), "--precision", a.precision]
    env = os.environ | {"OMP_NUM_THREADS": str(a.threads)}
    racers = [] if a.peer_only else [Racer(LIMPID, [a.limpid, *common], env, f"{folder}/{job}.limpid.npy", REPEAT[job])]
    for i, (name, options) in enumerate(variants(job, a.variants)):
        racers.append(Racer(name, [sys.executable, str(HERE / "peer.py"), "--arch", a.arch, *common, *options], env, f"{folder}/{job}.peer{i}.npy", REPEAT[job]))
    default, still, deadline = racers[0 if a.peer_only else 1], list(racers), time.monotonic() + a.budget
    for round in range(a.rounds):
        for racer in still: racer.run()
        if round == 1 and not a.all_rounds:  # the rest of the time is for limpid, the peer's default and its best
            best = min((r for r in still if r.name != LIMPID), key=lambda r: min(r.seconds))
            still = [r for r in still if r.name == LIMPID or r in (default, best)]
        if round >= 2 and time.monotonic() > deadline: break

    results = {r.name: r.finish() for r in racers}
    against = golden if golden is not None else results[default.name]
    rows, far = [], []
    for r in racers:
        y = results[r.name]
        off = distance(y[:, : against.shape[1]] if y.ndim == 4 else y, against[:, : y.shape[1]] if y.ndim == 4 else against)
        if not off <= CLOSE[a.precision][job]: far.append(f"{r.name} is {off:.1e} off, more than {CLOSE[a.precision][job]:.0e}")
        rows.append({"side": "limpid" if r.name == LIMPID else "peer", "variant": a.precision if r.name == LIMPID else r.name, "median": statistics.median(r.seconds), "min": min(r.seconds),
                     "max": max(r.seconds), "runs": len(r.seconds), "seconds": r.seconds, "cpu_seconds": r.cpu_seconds, "process_peak_bytes": r.peak, "job_peak_bytes": r.planned, "relative_l2": off, "about": r.about})
    if far: raise SystemExit(f"race: {job}: no times, for the results disagree: " + "; ".join(far))
    return rows


def label(job, a): return {"ig": f"integrated_gradients, {a.steps} steps", "occlusion": f"occlusion {a.window}/{a.stride}"}.get(job, job)


def report(table, a):
    lines = []
    for job, (rows, compared) in table.items():
        best = min((r["median"] for r in rows if r["side"] == "peer"))
        lines += [f"\n### {label(job, a)}, {a.arch}, 224x224, {a.precision}, {a.threads} threads (relative L2 from {compared})\n",
                  "| side | variant | median ms | min | max | CPU ms | runs | peak MiB of the process | for the job | relative L2 | times the best peer |", "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"]
        for r in sorted(rows, key=lambda r: (r["side"], r["median"])):
            ms, mib = [f"{v * 1e3:.1f}" for v in (r["median"], r["min"], r["max"], statistics.median(r["cpu_seconds"]))], [f"{b / 2**20:.0f}" if b is not None else "" for b in (r["process_peak_bytes"], r["job_peak_bytes"])]
            lines.append(f"| {r['side']} | {r['variant']} | {' | '.join(ms)} | {r['runs']} | {mib[0]} | {mib[1]} | {r['relative_l2']:.1e} | {best / r['median']:.2f} |")
    return "\n".join(lines)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--arch", required=True, help="resnet18, resnet50, efficientnet_lite0, ...")
    p.add_argument("--weights", required=True)
    p.add_argument("--jobs", default="ig,occlusion,gradcam,saliency,classify")
    p.add_argument("--picture", help="part of the name of a golden picture; default: the first there is for these weights")
    p.add_argument("--input", help="INPUT.npy [1,3,H,W] f4 in place of a golden picture's; then --target too")
    p.add_argument("--target", type=int)
    for name, default in (("threads", 2), ("steps", 50), ("window", 15), ("stride", 8), ("rounds", 7)): p.add_argument("--" + name, type=int, default=default)
    p.add_argument("--budget", type=float, default=120, help="seconds a job, after which no new round begins (three at least)")
    p.add_argument("--precision", default="f32", choices=("f32", "bf16"))
    p.add_argument("--variants", default="", help="parts of variants' names, separated by semicolons; default: all")
    p.add_argument("--all-rounds", action="store_true", help="every variant in every round, not only the default and the best")
    p.add_argument("--limpid", default=str(ROOT / "build" / "bench" / "limpid_job"))
    p.add_argument("--peer-only", action="store_true")
    p.add_argument("--output", help="JSON; default: bench/peers/results/ARCH.PRECISION.json")
    a = p.parse_args()
    a.variants = [v.strip() for v in a.variants.split(";") if v.strip()]
    if not a.peer_only and not os.access(a.limpid, os.X_OK): p.error(f"{a.limpid} is not there: build limpid with its benchmarks, name another with --limpid, or give --peer-only")
    about = machine()
    if about["load at start"] > 0.5: print(f"race: the machine is busy (load {about['load at start']:.1f}): trust only the ratios, if at all", file=sys.stderr)
    table = {}
    with tempfile.TemporaryDirectory() as folder:
        known = {} if a.input else goldens(a)
        if a.input: x, target, tensors, picture = a.input, a.target, {}, Path(a.input).name
        elif known:
            picture, (meta, tensors) = next(iter(known.items()))
            x, target = f"{folder}/input.npy", int(meta["target"]) if a.target is None else a.target
            np.save(x, tensors["input"])
        else: p.error("no golden reference is made from these weights; give --input and --target")
        if target is None: p.error("--input needs --target")
        for job in a.jobs.split(","):
            same = job == "classify" or not known or target == int(meta["target"])
            golden = reference(job, a, tensors) if same else None
            table[job] = race(job, a, folder, x, target, None if golden is None else golden.astype("f8")), "the float64 reference" if golden is not None else "the peer's default"
            print(f"race: {label(job, a)} done", file=sys.stderr)
    peer = next(r["about"] for rows, _ in table.values() for r in rows if r["side"] == "peer")
    print(f"{about['processor']} ({about['cpu family/model/stepping']}), {about['cores']} cores, {' '.join(about['features'])}; torch {peer['torch']}, oneDNN {peer['onednn']}, Captum {peer['captum']}; "
          f"commit {commit()}; picture {picture}, class {target}; environment {about['environment'] or 'plain'}")
    print(report(table, a))
    output = Path(a.output) if a.output else HERE / "results" / f"{a.arch}.{a.precision}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({"machine": about, "peer": peer, "commit": commit(), "command": sys.argv, "weights": Path(a.weights).name, "picture": picture, "target": target,
                                  "jobs": {label(j, a): {"compared_with": c, "rows": rows} for j, (rows, c) in table.items()}}, indent=1) + "\n")


if __name__ == "__main__": main()

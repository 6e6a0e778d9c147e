#!/usr/bin/env python3
"""Races limpid against PyTorch, with Captum and by hand, on this machine, alternately. See README.md.

usage: bench/peers/.venv/bin/python bench/peers/race.py [--arch resnet18,resnet50] [--jobs ig,occlusion_15_8,...] [--precision f32,bf16] [--batch 1,8] [--resume]
"""
import argparse, itertools, json, os, platform, select, statistics, subprocess, sys, tempfile, time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENVIRONMENT = dict(os.environ)  # what a side is started with; torch sets variables when imported
import numpy as np

import report
from references import CLOSE, Subject, distance
from variants import variants

JOBS = "ig,occlusion_15_8,occlusion_32_16,gradcam,saliency,classify"
REPEAT = {"ig": 1, "occlusion": 1, "gradcam": 10, "saliency": 5, "classify": 20}


class Failed(Exception): pass


class Racer:
    """A process that does the job once per line on its standard input. The first answer is the warm-up: loading and compiling end before anyone is timed."""

    def __init__(self, side, variant, command, env, output, repeat):
        self.side, self.variant, self.output, self.repeat = side, variant, output, repeat
        self.seconds, self.cpu_seconds, self.events, self.probed, self.off, self.note, self.last, self.peak = [], [], [], None, None, "", {}, None
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([*command, "--output", output, "--repeat", str(repeat)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, env=env)

    def ask(self, line, patience=900):
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
            if not select.select([self.process.stdout], [], [], patience)[0]: raise Failed(f"no answer in {patience} s")
            answer = self.process.stdout.readline()
        except BrokenPipeError: answer = b""
        if answer: return json.loads(answer)
        self.process.wait()
        self.errors.seek(0)
        said = [l.strip() for l in self.errors.read().splitlines() if l.strip()]
        raise Failed(f"ended with status {self.process.returncode}: {said[-1][:300] if said else 'without a word'}")

    def cpu(self):
        """Seconds of processor time so far, all threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def forget_peak(self): Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")  # VmHWM starts anew: reading the weights took memory for a moment

    def run(self):
        before = self.cpu()
        self.last = self.ask("run")
        self.seconds.append(self.last["seconds"])
        self.cpu_seconds.append((self.cpu() - before) / self.repeat)
        if "event_seconds" in self.last: self.events.append(self.last["event_seconds"])

    def check(self, references, limit):
        """Compares what it has computed with every reference; `off` is the distance from the first."""
        self.ask("save")
        y = np.load(self.output).astype("f8")
        distances = [distance(y, r) for r in references]
        self.off = distances[0]
        if not max(distances) <= limit: raise Failed(f"is {max(distances):.1e} off, more than {limit:.0e}")

    def end(self):
        if self.process.poll() is None:
            for line in open(f"/proc/{self.process.pid}/status"):
                if line.startswith("VmHWM"): self.peak = int(line.split()[1]) * 1024
            try: self.process.communicate(b"quit\n", timeout=60)
            except (subprocess.TimeoutExpired, BrokenPipeError): self.process.kill()
        self.process.wait()

    def row(self):
        row = {"side": self.side, "variant": self.variant, "runs": len(self.seconds), "relative_l2": self.off, "process_peak_bytes": self.peak, "job_peak_bytes": self.last.get("peak_bytes")}
        if self.probed is not None: row["probed_seconds"] = self.probed
        if self.note: row["note"] = self.note
        elif self.seconds:
            q = statistics.quantiles(self.seconds, n=4, method="inclusive") if len(self.seconds) > 1 else [self.seconds[0]] * 3
            row |= {"median": statistics.median(self.seconds), "min": min(self.seconds), "max": max(self.seconds), "quartiles": [q[0], q[2]], "seconds": self.seconds, "cpu_seconds": self.cpu_seconds}
            if self.events: row["event_seconds"] = statistics.median(self.events)
        return row


def parse_job(text):
    """"occlusion_15_8" -> ("occlusion", {"window": 15, "stride": 8})"""
    name, *numbers = text.split("_")
    if name not in REPEAT or len(numbers) != (2 if name == "occlusion" else 0) or not all(n.isdigit() for n in numbers): raise SystemExit(f"race: there is no job '{text}'; there are {JOBS} (occlusion_WINDOW_STRIDE)")
    return name, dict(zip(("window", "stride"), map(int, numbers)))


def race(subject, text, precision, a, folder):
    """-> the result, as it is written to its file"""
    job, geometry = parse_job(text)
    window, stride = geometry.get("window", 15), geometry.get("stride", 8)
    reference, origin, whole = subject.answers(job, a.steps, window, stride)
    references, limit, n = [r for r in (reference, whole) if r is not None], CLOSE[precision][job], len(subject.x)
    np.save(f"{folder}/input.npy", subject.x)
    common = ["--job", job, "--weights", str(subject.weights), "--input", f"{folder}/input.npy", "--target", ",".join(map(str, subject.targets)), "--steps", str(a.steps),
              "--window", str(window), "--stride", str(stride), "--threads", str(a.threads), "--precision", precision, "--device", a.device]
    env, live, done = ENVIRONMENT | {"OMP_NUM_THREADS": str(a.threads)}, [], []

    def start(side, variant, command):
        racer = Racer(side, variant, command, env, f"{folder}/{len(live) + len(done)}.npy", max(1, REPEAT[job] // n))
        try:
            if side == "peer" and job == "occlusion":  # ranked by about a quarter of the windows; the finalists run in full
                racer.ask("probe")
                racer.forget_peak()
                racer.probed = racer.ask("probe")["seconds"]
            else:
                racer.ask("run")
                racer.check(references, limit)
                racer.forget_peak()
                racer.run()
            live.append(racer)
        except Failed as reason: drop(racer, str(reason))

    def drop(racer, note=""):
        racer.note = racer.note or note
        racer.end()
        if racer in live: live.remove(racer)
        done.append(racer)
        if note: print(f"race: {text}: {racer.side}, {racer.variant}: {note}", file=sys.stderr)

    speed = lambda r: r.probed if r.probed is not None else min(r.seconds)
    peers = lambda kind="": [r for r in live if r.side == "peer" and kind in r.variant]
    try:
        if not a.peer_only:
            model = [] if subject.arch in subject.weights.name else ["--model", subject.arch]
            own = [("all passes", [])]
            if a.shortcuts: own.append(("without shortcuts", ["--without", ",".join(a.shortcuts)]))
            if a.ablate: own += [(f"without {p}", ["--without", p]) for p in a.passes]
            for variant, options in own: start("limpid", variant, [a.limpid, *common, *model, *options])
        default = None
        for variant, options in variants(job, subject.arch, precision, a.device, n, (1 + -(-(subject.x.shape[-1] - window) // stride)) ** 2):
            if a.variants and not any(w in variant for w in a.variants): continue
            start("peer", variant, [sys.executable, str(HERE / "peer.py"), "--arch", subject.arch, *common, *options])
            default = default or (live[-1] if peers() else None)
            # Memory for two or three peers, not for all: Captum's default, and the best so far with Captum and by hand.
            keep = {id(default)} | {id(min(peers(kind), key=speed)) for kind in ("Captum", "by hand") if peers(kind)}
            for r in peers():
                if id(r) not in keep: drop(r)
        for r in peers():  # the tuning run is not the race; a probed one has yet to show that it is right
            if r.probed is None: continue
            try:
                r.run()
                r.check(references, limit)
            except Failed as reason: drop(r, str(reason))
        deadline = time.monotonic() + a.budget
        for r in live:
            if r.probed is None or "compile" in r.variant or max(r.seconds) < 10: r.seconds.clear(), r.cpu_seconds.clear(), r.events.clear()
        running = list(live)
        for round in range(a.rounds):
            if round >= 2 and time.monotonic() > deadline and min(len(r.seconds) for r in running) >= 3: break
            for r in running if round % 2 == 0 else reversed(running): r.run()
            best = min((r for r in running if r.side == "peer"), key=lambda r: min(r.seconds), default=None)
            running = [r for r in running if r.side == "limpid" or r is best or min(r.seconds) < 1.3 * min(best.seconds) or sum(r.seconds) < 5]
        for r in list(live): drop(r)
    finally:
        for r in list(live): drop(r, "stopped")
    rows = [r.row() for r in done]
    return {"arch": subject.arch, "weights": subject.weights.name, "pictures": subject.pictures, "targets": subject.targets, "job": text, "steps": a.steps, "precision": precision, "batch": n,
            "threads": a.threads, "device": a.device, "reference": origin, "limit": limit, "failed": [f"{r['side']}, {r['variant']}: {r['note']}" for r in rows if "note" in r],
            "peer": next((r.last["about"] for r in done if "about" in r.last), {}), "limpid": about_limpid(a), "machine": machine(), "commit": commit(), "command": sys.argv,
            "date": time.strftime("%Y-%m-%d %H:%M"), "rows": rows}


def about_limpid(a):
    """The oneDNN that limpid_job is linked to, by its file's name."""
    if a.peer_only: return {}
    linked = subprocess.run(["ldd", a.limpid], capture_output=True, text=True).stdout
    return {"onednn": next((Path(l.split("=>")[1].split()[0]).resolve().name.rpartition(".so.")[2] for l in linked.splitlines() if "dnnl" in l and "=>" in l), "static or none")}


def machine():
    info = {}
    for line in open("/proc/cpuinfo"):
        key, _, value = line.partition(":")
        info.setdefault(key.strip(), value.strip())
    flags = info.get("flags", "").split()
    names = ("OPENBLAS", "ONEDNN", "DNNL", "OMP", "GOMP", "KMP", "MKL", "MALLOC", "GLIBC", "NVPL", "LD_PRELOAD", "TORCH", "LIMPID")
    return {"processor": info.get("model name", platform.machine()), "cpu family/model/stepping": "/".join(info.get(k, "?") for k in ("cpu family", "model", "stepping")),
            "features": [f for f in ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16") if f in flags], "cores": len(os.sched_getaffinity(0)),
            "system": platform.platform(), "load": os.getloadavg()[0], "environment": {k: v for k, v in ENVIRONMENT.items() if k.startswith(names)}}


def commit():
    git = lambda *a: subprocess.run(["git", "-C", str(ROOT), *a], capture_output=True, text=True).stdout.strip()
    head = git("rev-parse", "--verify", "-q", "HEAD")
    return head + ("+changes" if git("status", "--porcelain", "-uno") else "") if head else "none"


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--arch", default="resnet18,resnet50", help="also the other ResNets and efficientnet_lite0")
    p.add_argument("--weights", help="a file, or random[:SEED]; default: ImageNet's from the shared folder, a bundled file, drawn ones, whichever there is")
    p.add_argument("--jobs", default=JOBS)
    p.add_argument("--precision", default="f32", help="f32,bf16; on cuda tf32 and f16 too")
    p.add_argument("--batch", default="1", help="pictures: 1,8")
    p.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    p.add_argument("--picture", help="part of the name of a picture; default: the one with the most references")
    p.add_argument("--input", help="INPUT.npy [N,3,H,W] f4 in place of a picture")
    p.add_argument("--target", type=int)
    for name, default in (("threads", len(os.sched_getaffinity(0))), ("steps", 50), ("rounds", 7)): p.add_argument("--" + name, type=int, default=default)
    p.add_argument("--budget", type=float, default=30, help="seconds a job, after which no new round begins (three at least)")
    p.add_argument("--variants", default="", help="parts of the peer's variants' names, separated by semicolons; default: all")
    p.add_argument("--ablate", action="store_true", help="limpid also with each of its passes off in turn")
    p.add_argument("--limpid", default=str(ROOT / "build" / "bench" / "limpid_job"))
    p.add_argument("--peer-only", action="store_true")
    p.add_argument("--output", default=str(HERE / "results" / "race"), help="folder; one JSON a job, and race.json and race.md of all of them")
    p.add_argument("--resume", action="store_true", help="leave out the jobs whose JSON is there, from this very commit")
    a = p.parse_args()
    a.variants, a.passes, a.shortcuts = [v.strip() for v in a.variants.split(";") if v.strip()], [], []
    jobs = a.jobs.split(",")
    for job in jobs: parse_job(job)
    if unknown := set(a.precision.split(",")) - set(CLOSE): p.error(f"there is no precision {', '.join(unknown)}")
    if not a.peer_only:
        if not os.access(a.limpid, os.X_OK): p.error(f"{a.limpid} is not there: build limpid with its benchmarks, name another with --limpid, or give --peer-only")
        passes = json.loads(subprocess.run([a.limpid, "--list-passes"], capture_output=True, text=True, check=True).stdout)
        a.passes, a.shortcuts = [p["name"] for p in passes], [p["name"] for p in passes if p["shortcut"]]
    if a.device == "cuda":
        import torch
        if not torch.cuda.is_available(): p.error("PyTorch finds no GPU here; the race on cuda needs one, and an environment made with make_env.sh --full")
    if a.weights and not a.weights.startswith("random") and "," in a.arch: p.error("a weights file is of one architecture; name it with --arch")
    if os.getloadavg()[0] > 0.5: print(f"race: the machine is busy (load {os.getloadavg()[0]:.1f}): trust only the ratios, if at all", file=sys.stderr)

    output, failed = Path(a.output), []
    output.mkdir(parents=True, exist_ok=True)
    for arch, batch in itertools.product(a.arch.split(","), map(int, a.batch.split(","))):
        subject = None
        for precision, job in itertools.product(a.precision.split(","), jobs):
            file = output / f"{arch}.{precision}.b{batch}.{job}.{a.device}.json"
            if a.resume and file.exists() and "+" not in commit() and json.loads(file.read_text())["commit"] == commit(): continue
            subject = subject or Subject(arch, a.weights, batch, a.picture, a.input, a.target)
            begin = time.monotonic()
            with tempfile.TemporaryDirectory() as folder: result = race(subject, job, precision, a, folder)
            file.with_suffix(".partial").write_text(json.dumps(result, indent=1) + "\n")
            file.with_suffix(".partial").rename(file)
            failed += [f"{file.stem}: {f}" for f in result["failed"] if f.startswith("limpid")]
            print(f"race: {report.headline(result)} ({time.monotonic() - begin:.0f} s)", flush=True)
    report.write(output)
    print(f"race: {output / 'race.md'} and race.json written")
    if failed: raise SystemExit("race: limpid failed or disagreed:\n  " + "\n  ".join(failed))


if __name__ == "__main__": main()

#!/usr/bin/env python3
"""Gathers the races of a folder into race.json and race.md there, and on request puts the tables between the markers of a page.

usage: report.py FOLDER [--into docs/benchmarks.md]
"""
import json, statistics, sys
from pathlib import Path

NAMES = {"ig": "integrated gradients, {} steps", "gradcam": "Grad-CAM", "saliency": "saliency", "classify": "classify"}


def label(r):
    if r["job"].startswith("occlusion"): return "occlusion " + r["job"].removeprefix("occlusion_").replace("_", "/")
    return NAMES[r["job"]].format(r["steps"])


def pick(r):
    """-> {who: row} of limpid, engine (limpid without shortcuts), default (Captum's), captum and hand (the best of each), best (of the peer); those that there are"""
    timed = [w for w in r["rows"] if "median" in w]
    peers = [w for w in timed if w["side"] == "peer"]
    least = lambda rows: min(rows, key=lambda w: w["median"], default=None)
    found = {"limpid": next((w for w in timed if w["variant"] == "all passes"), None), "engine": next((w for w in timed if w["variant"] == "without shortcuts"), None),
             "default": next((w for w in peers if w["variant"].startswith("Captum, contiguous") and w["variant"].rpartition(", ")[2] in ("contiguous", "batch all", "batch 1")), None),
             "captum": least([w for w in peers if w["variant"].startswith("Captum")]), "hand": least([w for w in peers if w["variant"].startswith("by hand")]), "best": least(peers)}
    return {k: v for k, v in found.items() if v}


def number(seconds): return f"{seconds * 1e3:.3g}" if seconds < 1 else f"{seconds * 1e3:.0f}"


def ms(row): return number(row["median"])


def headline(r):
    rows = pick(r)
    name = f"{r['arch']} {r['precision']} batch {r['batch']} {label(r)}: "
    if "limpid" not in rows or "best" not in rows: return name + "; ".join(f"{k} {ms(v)} ms" for k, v in rows.items()) + (f"; FAILED {r['failed']}" if r["failed"] else "")
    return name + f"limpid {ms(rows['limpid'])} ms, peer {ms(rows['best'])} ms ({rows['best']['variant']}), {rows['best']['median'] / rows['limpid']['median']:.2f} times"


def cell(row, field="median"):
    if not row: return ""
    return f"{ms(row)} ({number(row['min'])}–{number(row['max'])})"


def summary(results):
    lines = ["| network | job | precision | batch | limpid ms | peer's best ms | its variant | **times faster** | Captum's default ms | times | error limpid | error peer | MiB limpid | MiB peer |",
             "|---|---|---|--:|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|"]
    for r in results:
        rows = pick(r)
        limpid, best, default = rows.get("limpid"), rows.get("best"), rows.get("default")
        ratio = lambda other: f"{other['median'] / limpid['median']:.2f}" if limpid and other else ""
        error = lambda w: f"{w['relative_l2']:.1e}" if w and w["relative_l2"] is not None else ""
        mib = lambda w: f"{w['process_peak_bytes'] / 2**20:.0f}" if w and w["process_peak_bytes"] else ""
        lines.append(f"| {r['arch']} | {label(r)} | {r['precision']} | {r['batch']} | {cell(limpid)} | {cell(best)} | {best['variant'] if best else ''} | **{ratio(best)}** | {cell(default)} | {ratio(default)} | "
                     f"{error(limpid)} | {error(best)} | {mib(limpid)} | {mib(best)} |")
    return lines


def separation(results):
    """What the shortcuts give, and what the engine gives: limpid with them off against the best Captum variant, and by hand, where the peer has shortcuts too."""
    lines = ["| network | job | precision | batch | limpid ms | without its shortcuts ms | shortcuts give | peer: best with Captum ms | engine gives | peer: by hand, with shortcuts ms | limpid against it |", "|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|"]
    for r in results:
        rows = pick(r)
        limpid, engine, captum, hand = (rows.get(k) for k in ("limpid", "engine", "captum", "hand"))
        if not limpid or not engine: continue
        ratio = lambda a, b: f"{a['median'] / b['median']:.2f}" if a and b else ""
        lines.append(f"| {r['arch']} | {label(r)} | {r['precision']} | {r['batch']} | {ms(limpid)} | {ms(engine)} | {ratio(engine, limpid)} | {ms(captum) if captum else ''} | {ratio(captum, engine)} | {ms(hand) if hand else ''} | {ratio(hand, limpid)} |")
    return lines


def across(results):
    """Narrow precisions against the peer's best in f32."""
    full = {(r["arch"], r["job"], r["batch"], r["device"]): pick(r).get("best") for r in results if r["precision"] == "f32"}
    lines = []
    for r in results:
        other, limpid = full.get((r["arch"], r["job"], r["batch"], r["device"])), pick(r).get("limpid")
        if r["precision"] == "f32" or not other or not limpid: continue
        lines.append(f"| {r['arch']} | {label(r)} | {r['batch']} | {r['precision']} {ms(limpid)} | {ms(other)} | {other['median'] / limpid['median']:.2f} |")
    return ["| network | job | batch | limpid ms | peer's best f32 ms | times |", "|---|---|--:|--:|--:|--:|", *lines] if lines else []


def detail(r):
    lines = [f"\n#### {r['arch']}, {label(r)}, {r['precision']}, batch {r['batch']}\n", f"Weights {r['weights']}, pictures {', '.join(dict.fromkeys(r['pictures']))}; relative L2 from float64 ({r['reference']}).\n",
             "| side | variant | median ms | min | quartiles | max | CPU ms | runs | MiB of the process | MiB for the job | relative L2 |", "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"]
    speed = lambda w: w.get("median", w.get("probed_seconds", 1e9))
    for w in sorted(r["rows"], key=lambda w: (w["side"], speed(w))):
        mib = [f"{w[k] / 2**20:.0f}" if w.get(k) else "" for k in ("process_peak_bytes", "job_peak_bytes")]
        off = f"{w['relative_l2']:.1e}" if w["relative_l2"] is not None else ""
        if "median" in w:
            q = "–".join(map(number, w["quartiles"]))
            times = " | ".join([number(w["median"]), number(w["min"]), q, number(w["max"]), number(statistics.median(w["cpu_seconds"]))])
        else: times = (f"not timed: {w['note']}" if "note" in w else f"ranked by about a quarter of the windows: {number(w['probed_seconds'])}") + " | | | |"
        lines.append(f"| {w['side']} | {w['variant']} | {times} | {w['runs'] or ''} | {mib[0]} | {mib[1]} | {off} |")
    return lines


def circumstances(results):
    def every(f): return "; ".join(dict.fromkeys(str(f(r)) for r in results))
    m = lambda r: f"{r['machine']['processor']} ({r['machine']['cpu family/model/stepping']}), {r['machine']['cores']} cores, {' '.join(r['machine']['features'])}"
    lines = [f"Machine: {every(m)}. Threads: {every(lambda r: r['threads'])}. Date: {every(lambda r: r['date'].split()[0])}."]
    lines.append(f"limpid: commit {every(lambda r: r['commit'][:12] + ('+changes' if 'changes' in r['commit'] else ''))}, oneDNN {every(lambda r: r['limpid'].get('onednn'))}. "
                 f"Peer: torch {every(lambda r: r['peer'].get('torch'))}, Captum {every(lambda r: r['peer'].get('captum'))}, oneDNN {every(lambda r: r['peer'].get('onednn'))}, {every(lambda r: r['peer'].get('isa'))}.")
    lines.append(f"Environment: {every(lambda r: r['machine']['environment'] or 'plain')}.")
    commands = dict.fromkeys(" ".join(c if c.isascii() and " " not in c and ";" not in c else f"'{c}'" for c in ["bench/peers/race.py", *r["command"][1:]]) for r in results)
    return lines + ["", "Command:", "", *(f"    bench/peers/.venv/bin/python {c}" for c in commands)]


def tables(results):
    bad = [f"- {r['arch']} {label(r)} {r['precision']} batch {r['batch']}: {f}" for r in results for f in r["failed"]]
    return "\n".join([*circumstances(results), "", "### Every job", "", "Median of the runs and (least–most), milliseconds a call. Error: relative L2 distance from the float64 reference. MiB: peak of the process.", "",
                      *summary(results), "", "### What the shortcuts give and what the engine gives", "", *separation(results),
                      *(["", "### Narrow precision against the peer's best f32", "", *across(results)] if across(results) else []), *(["", "### Not timed", "", *bad] if bad else [])])


def load(folder):
    order = lambda r: (r["device"], r["arch"], r["batch"], ("ig", "occl", "grad", "sali", "clas").index(r["job"][:4] if r["job"] != "ig" else "ig"), r["job"], r["precision"] != "f32", r["precision"])
    return sorted((json.loads(f.read_text()) for f in Path(folder).glob("*.json") if f.name != "race.json"), key=order)


def write(folder, page=None):
    results, folder = load(folder), Path(folder)
    (folder / "race.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / "race.md").write_text("# The race\n\n" + tables(results) + "\n\n### Every variant\n" + "\n".join(line for r in results for line in detail(r)) + "\n")
    if not page: return
    text, begin, end = Path(page).read_text(), "<!-- race: begin -->\n", "<!-- race: end -->"
    before, _, rest = text.partition(begin)
    if not rest or end not in rest: raise SystemExit(f"report: {page} lacks the markers {begin.strip()} and {end}")
    Path(page).write_text(before + begin + "\n" + tables(results) + "\n\n" + end + rest.partition(end)[2])


if __name__ == "__main__":
    if len(sys.argv) not in (2, 4) or (len(sys.argv) == 4 and sys.argv[2] != "--into"): raise SystemExit(__doc__)
    write(sys.argv[1], sys.argv[3] if len(sys.argv) == 4 else None)

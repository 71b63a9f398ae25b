"""Times inferd, ONNX Runtime and LiteRT on the same models in turn; called by `run`."""
import argparse
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

import picture

HERE = pathlib.Path(__file__).resolve().parent
MODELS = HERE.parents[2] / "shared/models/mlperf-tiny"
PEERS = {"onnxruntime": "ONNX Runtime", "litert": "LiteRT"}
# The published int8 models: what the targets of speed are about.
GATED = ["ad01_int8", "kws_int8", "ic_int8"]


def arguments():
    p = argparse.ArgumentParser(prog="comparisons/engine/run", description=__doc__)
    p.add_argument("--built", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    p.add_argument("--models", type=pathlib.Path, default=MODELS)
    p.add_argument("--only", default="", help="models whose name contains one of these words")
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--seconds", type=float, default=0.5, help="of each engine in each round")
    p.add_argument("--quick", action="store_true", help="one short round, to see that it works")
    a = p.parse_args()
    if a.quick:
        a.rounds, a.seconds = 1, 0.1
    return a


def call(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError((done.stderr or done.stdout).strip().splitlines()[-1])
    return done.stdout


class Inferd:
    """The program under test, by its documented commands."""

    def __init__(self, binary, model, scratch):
        self.binary, self.model = binary, model
        self.inputs = scratch / "in.npz"
        self.outputs = scratch / "out.npz"

    def bind(self, name, x):
        np.savez(self.inputs, **{name: x})

    def time(self, seconds):
        # As many runs as fit the time, from a short trial.
        trial = json.loads(call(self.binary, "bench", self.model, "--iterations", 50, "--json"))
        runs = max(50, int(seconds * 1e6 / max(trial["median_us"], 1.0)))
        command = [self.binary, "bench", self.model, "--iterations", runs, "--inputs", self.inputs]
        return json.loads(call(*command, "--json"))

    def infer(self):
        call(self.binary, "infer", self.model, "--inputs", self.inputs, "--outputs", self.outputs)
        with np.load(self.outputs) as out:
            return out[out.files[0]]


class Peer:
    def __init__(self, engine, model, reference, scratch):
        self.engine, self.model, self.reference = engine, model, reference
        self.outputs = scratch / "peer.npz"

    def call(self, act, last):
        return call(sys.executable, HERE / "peers.py", act, self.engine, self.model, self.reference, last)

    def time(self, seconds):
        return json.loads(self.call("time", seconds))

    def infer(self):
        self.call("infer", self.outputs)
        return np.load(self.outputs)["y"]


def input_name(model):
    """The name of the model's only input, as ONNX Runtime reports it."""
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return session.get_inputs()[0].name


def step_of(y):
    """The step of a quantized result: 1 for integers, the grid's width for dequantized floats."""
    if np.issubdtype(y.dtype, np.integer):
        return 1.0
    gaps = np.diff(np.unique(y.astype(np.float64)))
    gaps = gaps[gaps > 1e-7]
    if not len(gaps):
        return None
    places = y.astype(np.float64) / gaps.min()
    return gaps.min() if np.abs(places - np.rint(places)).max() < 0.02 else None


def difference(y, exact):
    """How far results lie from the exact ones, in words; and how often another class wins."""
    y, exact = y.reshape(exact.shape), exact
    far = np.abs(y.astype(np.float64) - exact.astype(np.float64)).max()
    step = step_of(exact)
    words = f"{far / step:.0f} steps" if step else f"{far:.1g}"
    words = words.replace("1 steps", "1 step") if words == "1 steps" else words
    rows, wanted = y.reshape(len(y), -1), exact.reshape(len(exact), -1)
    if wanted.shape[1] > 64:
        return words
    # The winner counts as kept where the exact result is tied.
    lost = sum(w[r.argmax()] < w.max() for r, w in zip(rows, wanted))
    return f"{words}, {lost} of {len(rows)} winners wrong" if lost else words


def engines(args, path, scratch):
    """Every engine that has this model, by name, ready to run."""
    reference = path.with_suffix("").with_suffix(".ref.npz")
    inferd = Inferd(args.built / "inferd", path, scratch)
    with np.load(reference) as ref:
        inferd.bind(input_name(path), ref["x"])
        exact = ref["y"]
    found = {"inferd": inferd, "onnxruntime": Peer("onnxruntime", path, reference, scratch)}
    if path.with_suffix(".tflite").exists():
        found["litert"] = Peer("litert", path.with_suffix(".tflite"), reference, scratch)
    return found, exact


def measure(args, path, scratch):
    """One row of the table."""
    found, exact = engines(args, path, scratch)
    row = {"model": path.stem, "us": {}, "difference": {}, "failed": {}}
    for name, engine in found.items():
        try:
            row["difference"][name] = difference(engine.infer(), exact)
        except RuntimeError as error:
            row["failed"][name] = str(error)
    rounds = {name: [] for name in found if name not in row["failed"]}
    for _ in range(args.rounds):
        for name, times in rounds.items():
            times.append(found[name].time(args.seconds))
    for name, times in rounds.items():
        row["us"][name] = float(np.median([t["median_us"] for t in times]))
        if name == "inferd":
            row.update({k: times[-1][k] for k in ("nodes", "peak_rss_bytes")})
            row["load_ms"] = float(np.median([t["load_ms"] for t in times]))
    peers = [us for name, us in row["us"].items() if name in PEERS]
    if peers and "inferd" in row["us"]:
        row["ratio"] = row["us"]["inferd"] / min(peers)
    return row


def peak_memory(args, model):
    """Peak resident bytes of `inferd bench`, the least of three."""
    command = [args.built / "inferd", "bench", model, "--iterations", 50, "--json"]
    return min(json.loads(call(*command))["peak_rss_bytes"] for _ in range(3))


def beside_stock(args, paths):
    """The float models on inferd and on stock tract in turn, as the example prints it."""
    floats = [p for p in paths if p.stem.endswith("fp32")]
    return call(args.built / "examples/float_time", *floats) if floats else ""


def mean_ratio(rows, keep):
    ratios = [r["ratio"] for r in rows if keep(r["model"]) and "ratio" in r]
    return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None


def table(rows, args):
    lines = [
        "| model | inferd us | ONNX Runtime us | LiteRT us | ratio | inferd off by | ONNX Runtime off by"
        " | LiteRT off by | nodes integer / float | load ms | MiB |",
        "|---|---:|---:|---:|---:|---|---|---|---|---:|---:|",
    ]
    for r in rows:
        us = [f"{r['us'][n]:.1f}" if n in r["us"] else "-" for n in ("inferd", *PEERS)]
        off = [r["difference"].get(n, "refuses" if n in r["failed"] else "-") for n in ("inferd", *PEERS)]
        nodes = r.get("nodes")
        nodes = f"{nodes['integer']} / {nodes['float']}" if nodes else "-"
        ratio = f"**{r['ratio']:.2f}**" if "ratio" in r else "-"
        load = f"{r['load_ms']:.1f}" if "load_ms" in r else "-"
        memory = f"{r['memory'] / 2**20:.1f}"
        lines.append("| " + " | ".join([r["model"], *us, ratio, *off, nodes, load, memory]) + " |")
    gated = mean_ratio(rows, lambda m: m in GATED)
    quantized = mean_ratio(rows, lambda m: not m.endswith("fp32"))
    summary = [
        f"{args.rounds} rounds of {args.seconds} s an engine, on {cpu()}; one thread, batch 1. Load of the machine"
        f" meanwhile: {args.load[0]:.1f} to {os.getloadavg()[1]:.1f} on {os.cpu_count()} CPUs. MiB: peak memory of"
        " `inferd bench` over that with an empty model."
    ]
    if gated:
        summary.append(f"Ratio to the faster peer, geometric mean over the published int8 models: **{gated:.2f}**.")
    if quantized:
        summary.append(f"Over all quantized models here: **{quantized:.2f}**.")
    return "\n".join(summary) + "\n\n" + "\n".join(lines) + "\n"


def cpu():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            return line.split(":", 1)[1].strip()
    return os.uname().machine


def main():
    args = arguments()
    words = [w for w in args.only.split(",") if w]
    paths = sorted(p for p in args.models.glob("*.onnx") if not words or any(w in p.stem for w in words))
    if not paths:
        sys.exit(f"no models in {args.models}: name the directory with --models")
    rows, args.load = [], os.getloadavg()
    empty = peak_memory(args, HERE / "empty.onnx")
    with tempfile.TemporaryDirectory() as scratch:
        for path in paths:
            rows.append(measure(args, path, pathlib.Path(scratch)))
            r = rows[-1]
            r["memory"] = peak_memory(args, path) - empty
            shown = "  ".join(f"{n} {us:.1f} us" for n, us in r["us"].items())
            print(f"{r['model']:18} {shown}  {r['failed'] or ''}", file=sys.stderr)
    text = table(rows, args)
    if stock := beside_stock(args, paths):
        text += f"\nFloat models beside stock tract, in one process in turn:\n\n```text\n{stock}```\n"
    print(text)
    if not args.quick:
        (HERE / "result.md").write_text(text)
        (HERE / "result.svg").write_text(picture.bars(rows))


main()

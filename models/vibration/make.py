"""Makes the bundle beside it and recordings/vibration-synthetic.csv. Needs: numpy, scipy, onnx.

    python3 models/vibration/make.py

Nothing here was measured. The vibration of three pumps is simulated, in thousandths of g at 1 kHz: the turning of
the shaft with its harmonics, noise, and for the fault short strikes that ring, as often as a ball passes a
damaged outer race. The model is an autoencoder of linear layers (principal components) on the features that the
card declares; scipy makes them here, inferd makes them from the raw samples on the gateway, and golden samples
prove that they agree.
"""

import json
import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from scipy import signal, stats

HERE = pathlib.Path(__file__).parent
RATE, LENGTH, HOP, FFT, AXES = 1000.0, 256, 128, 64, ("x", "y", "z")
COMPONENTS = 12


def vibration(rng, seconds, fault=None):
    """[time, axis] in mg. From `fault` seconds on, the outer race of the bearing is damaged."""
    count = int(seconds * RATE)
    t = np.arange(count) / RATE
    turns = rng.uniform(28.5, 29.5)
    load, phase = rng.uniform(0.85, 1.15), rng.uniform(0, 2 * np.pi, (3, 4))
    angle = 2 * np.pi * turns * t + 0.3 * np.sin(2 * np.pi * 0.4 * t)
    shaft = np.zeros((count, 3))
    for axis, gains in enumerate([(90, 40, 15, 8), (70, 50, 12, 6), (35, 20, 10, 5)]):
        shaft[:, axis] = sum(load * g * np.sin((k + 1) * angle + phase[axis, k]) for k, g in enumerate(gains))
    x = shaft + rng.normal(0, (12, 12, 9), (count, 3)) + np.array([0, 0, 1000])
    if fault is not None:
        strikes, at = np.zeros(count), fault
        while at < seconds:
            strikes[int(at * RATE)] = rng.uniform(0.8, 1.2)
            at += (1 + rng.normal(0, 0.01)) / (3.58 * turns)
        ring = np.exp(-t[:60] / 0.006) * np.sin(2 * np.pi * 340 * t[:60])
        x += np.outer(np.convolve(strikes, ring)[:count], (160, 130, 80))
    return np.round(x)


def features(window):
    """As the blocks of the card: high pass, statistics, the largest powers of segments; axis by axis."""
    made = []
    sos = signal.butter(2, 5.0, "highpass", fs=RATE, output="sos")
    zi = signal.sosfilt_zi(sos)
    for axis in range(3):
        x = window[:, axis].astype(np.float64) / 1000
        x, _ = signal.sosfilt(sos, x, zi=zi * x[0])
        rms = np.sqrt(np.mean(x * x))
        powers = np.zeros(FFT // 2 + 1)
        for at in range(0, LENGTH, FFT // 2):
            powers = np.maximum(powers, np.abs(np.fft.rfft(x[at:at + FFT], FFT)) ** 2 / FFT)
        made += [rms, stats.skew(x), stats.kurtosis(x), np.abs(x).max() / rms, *np.log10(powers[1:])]
    return np.array(made)


def windows(x):
    return np.stack([features(x[at:at + LENGTH]) for at in range(0, len(x) - LENGTH + 1, HOP)])


def network(mean, std, axes, scale):
    """features [1, n] -> score [1, 1]: the mean square of what the components do not explain, where 1 is much."""
    n = len(mean)
    f32 = lambda name, value: numpy_helper.from_array(np.asarray(value, np.float32), name)
    nodes = [
        helper.make_node("Sub", ["features", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "std"], ["z"]),
        helper.make_node("MatMul", ["z", "encoder"], ["code"]),
        helper.make_node("MatMul", ["code", "decoder"], ["again"]),
        helper.make_node("Sub", ["z", "again"], ["rest"]),
        helper.make_node("Mul", ["rest", "rest"], ["square"]),
        helper.make_node("ReduceMean", ["square"], ["error"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["error", "scale"], ["score"]),
    ]
    tensors = [f32("mean", mean[None]), f32("std", std[None]), f32("encoder", axes.T), f32("decoder", axes),
               f32("scale", [[scale]])]
    graph = helper.make_graph(
        nodes, "vibration", [helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, n])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [1, 1])], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8,
                              producer_name="inferd models/vibration")
    onnx.checker.check_model(model, full_check=True)
    return model


def main():
    rng = np.random.default_rng(7)
    healthy = np.concatenate([windows(vibration(rng, 10)) for _ in range(40)])
    mean, std = healthy.mean(axis=0), healthy.std(axis=0)
    z = (healthy - mean) / std
    axes = np.linalg.svd(z, full_matrices=False)[2][:COMPONENTS]
    axes *= np.sign(axes[:, :1])
    error = lambda z: np.mean((z - z @ axes.T @ axes) ** 2, axis=1)
    # Another 20 pumps set the scale: a score of 1 is 1.5 times the worst of their windows.
    fresh = np.concatenate([windows(vibration(rng, 10)) for _ in range(20)])
    scale = 1 / (1.5 * error((fresh - mean) / std).max())
    model = network(mean, std, axes, scale)
    onnx.save(model, HERE / "model.onnx")

    def scores(x):
        f = windows(x).astype(np.float32)
        return f, scale * error((f.astype(np.float64) - mean) / std)

    faults = [scores(vibration(rng, 5, fault=0.0))[1] for _ in range(20)]
    worst = scale * error((fresh - mean) / std)
    print(f"{len(fresh)} healthy windows: at most {worst.max():.2f}, {np.sum(worst >= 1)} anomalies")
    faulty = np.concatenate(faults)
    print(f"{len(faulty)} windows with the fault: at least {faulty.min():.2f}, {np.sum(faulty < 1)} missed")

    # What the demo replays: two pumps for 4 seconds, the second one damaged from 2 s on.
    rows = ["recording,label,x,y,z"]
    for pump, fault in (("pump-1", None), ("pump-2", 2.0)):
        for k, row in enumerate(vibration(rng, 4, fault).astype(int)):
            label = "fault" if fault is not None and k >= fault * RATE else "ok"
            rows.append(f"{pump},{label},{row[0]},{row[1]},{row[2]}")
    recordings = HERE.parent / "recordings" / "vibration-synthetic.csv"
    recordings.write_text("\n".join(rows) + "\n")

    recordings, vectors, outputs = [], [], []
    for name, fault in (("healthy", None), ("fault", 0.0)):
        x = vibration(rng, (LENGTH + HOP) / RATE, fault)
        f, s = scores(x)
        vectors += list(f)
        outputs += list(s)
        expected = [{"row": LENGTH - 1 + HOP * k, "score": float(np.float32(v)), "anomaly": bool(v >= 1)}
                    for k, v in enumerate(s)]
        recordings.append({"name": name, "channels": list(AXES), "rows": x.astype(int).tolist(), "expected": expected})
    (HERE / "golden_samples.json").write_text(
        json.dumps({"format": 1, "recordings": recordings}, separators=(",", ":")) + "\n")
    np.savez(HERE / "golden.npz", features=np.array(vectors, np.float32)[:, None],
             score=np.array(outputs, np.float32)[:, None, None])


if __name__ == "__main__":
    main()

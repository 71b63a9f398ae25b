"""Compares inferd's predictions of silero VAD with those of the model's wrapper (see `run`)."""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import zipfile

import numpy as np
import onnxruntime

RATE, CHUNK, CONTEXT, LIMIT = 16_000, 512, 64, 1e-4
CARD = """format = 1
dims = {{ "input[1]" = 576 }}
[model]
name = "silero"
version = "6.2.3"
file = "{file}"
[window]
length = 576
hop = 512
lead = 64
[[input]]
name = "input"
channels = ["audio"]
[[input]]
name = "sr"
value = 16000
[[state]]
input = "state"
output = "stateN"
[output]
name = "output"
kind = "regression"
names = ["speech"]
"""


def audio(seconds):
    """Phrases of a voice-like tone with formants and pauses, and noise."""
    random = np.random.default_rng(1)
    t = np.arange(seconds * RATE) / RATE
    pitch = 120 + 30 * np.sin(2 * np.pi * 0.7 * t) + 10 * np.sin(2 * np.pi * 3.1 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    formants = [(700, 130), (1200, 150), (2600, 250)]
    voice = np.zeros_like(t)
    for n in range(1, 25):
        shift = 1 + 0.25 * np.sin(2 * np.pi * 1.3 * t + n)
        level = sum(1 / (1 + ((n * pitch - f * shift) / width) ** 2) for f, width in formants)
        voice += level * np.sin(n * phase) / n**0.5
    syllables = np.clip(np.sin(2 * np.pi * 2.2 * t), 0, 1) ** 0.5
    phrases = (np.sin(2 * np.pi * t / 7.3) > -0.2).astype(float)
    noise = random.normal(0, 0.01, t.size)
    return (0.1 * voice * syllables * phrases + noise).astype(np.float32)


def wrapper(model, samples):
    """OnnxWrapper.audio_forward of silero_vad/utils_vad.py, without torch."""
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(model), options)
    state, context = np.zeros((2, 1, 128), np.float32), np.zeros(CONTEXT, np.float32)
    found = []
    for chunk in samples[: samples.size // CHUNK * CHUNK].reshape(-1, CHUNK):
        x = np.concatenate([context, chunk])
        feed = {"input": x[None], "state": state, "sr": np.array(RATE, np.int64)}
        probability, state = session.run(["output", "stateN"], feed)
        context = x[-CONTEXT:]
        found.append(probability.item())
    return np.array(found)


def inferd(program, model, samples):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / model.name).write_bytes(model.read_bytes())
        (folder / "card.toml").write_text(CARD.format(file=model.name))
        rows = "\n".join(np.format_float_positional(x, unique=True) for x in samples)
        (folder / "audio.csv").write_text(f"audio\n{rows}\n")
        command = [program, "infer", folder, "--samples", folder / "audio.csv", "--json"]
        ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        sys.exit(ran.stderr)
    return np.array([json.loads(line)["values"]["speech"] for line in ran.stdout.splitlines()])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--wheel", type=pathlib.Path)
    parser.add_argument("--root", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--model", type=pathlib.Path)
    parser.add_argument("--inferd", type=pathlib.Path)
    args = parser.parse_args()
    model, program = args.model, args.inferd or args.root / "target/release/inferd"
    if model is None:
        with zipfile.ZipFile(next(args.wheel.glob("*.whl"))) as wheel:
            model = pathlib.Path(wheel.extract("silero_vad/data/silero_vad.onnx", args.wheel))
    samples = audio(args.seconds)
    expected = wrapper(model, samples)
    start = time.monotonic()
    found = inferd(program, model, samples)
    took = time.monotonic() - start
    if found.shape != expected.shape:
        sys.exit(f"{found.size} predictions of inferd, {expected.size} of the wrapper")
    worst = np.abs(found - expected).max()
    speech = (expected >= 0.5).mean()
    print(f"{args.seconds} s of audio, {found.size} chunks, {speech:.0%} with speech: the largest difference "
          f"is {worst:.2g}, of {expected.min():.3f} to {expected.max():.3f}; {took:.0f} s")
    sys.exit(int(worst > LIMIT))


main()

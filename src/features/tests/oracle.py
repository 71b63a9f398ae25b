"""Writes oracle.json: features as scipy, librosa and Edge Impulse's processing blocks compute them.

    python3 src/features/tests/oracle.py     (numpy 2.4, scipy 1.17, librosa 0.11)

The formulas of Edge Impulse are written down here from github.com/edgeimpulse/processing-blocks at 9b0ceb2
(spectral_analysis, flatten, mfe, mfcc, spectrogram; implementation version 4).
"""

import json
import math
import pathlib

import librosa
import numpy as np
from scipy import fft, signal, stats

rng = np.random.default_rng(18)
RATE, AUDIO_RATE = 100.0, 16000.0
t = np.arange(120) / RATE
vibration = np.stack([
    9.81 + 0.3 * np.sin(2 * np.pi * 12.5 * t) + 0.02 * t,
    0.5 * np.sin(2 * np.pi * 3.1 * t) + 0.1 * np.sin(2 * np.pi * 31 * t),
    0.05 * rng.standard_normal(t.size),
], axis=1) + 0.01 * rng.standard_normal((t.size, 3))
vibration = np.round(vibration, 5)
s = np.arange(1600) / AUDIO_RATE
audio = 0.3 * np.sin(2 * np.pi * 440 * s) + 0.2 * np.sin(2 * np.pi * (800 * s + 8000 * s * s)) + 0.02 * rng.standard_normal(s.size)
audio = np.round(audio, 5)[:, None]
SERIES = {"vibration": vibration, "audio": audio}
CASES = []


def case(name, series, values):
    CASES.append({"name": name, "series": series, "expected": [float(f"{v:.8g}") for v in np.ravel(values)]})


def each(f, x=vibration):
    """Channel by channel, as features are."""
    return np.stack([f(x[:, c]) for c in range(x.shape[1])])


# Series come out sample by sample.
case("detrend-constant", "vibration", signal.detrend(vibration, axis=0, type="constant"))
case("detrend-linear", "vibration", signal.detrend(vibration, axis=0, type="linear"))
for name, order, cutoff, kind in [
    ("low-6", 6, 3.0, "lowpass"), ("low-5", 5, 20.0, "lowpass"), ("high-4", 4, 10.0, "highpass"),
    ("high-3", 3, 1.0, "highpass"), ("band-2", 2, [5.0, 20.0], "bandpass"), ("band-3", 3, [2.0, 45.0], "bandpass"),
]:
    sos = signal.butter(order, cutoff, kind, fs=RATE, output="sos")
    case(f"filter-{name}", "vibration", signal.sosfilt(sos, vibration, axis=0))
sos = signal.butter(4, 10.0, "lowpass", fs=RATE, output="sos")
steady = np.stack([signal.sosfilt(sos, x, zi=signal.sosfilt_zi(sos) * x[0])[0] for x in vibration.T], axis=1)
case("filter-steady", "vibration", steady)
case("resample-3-2", "vibration", signal.resample_poly(vibration, 3, 2, axis=0))
case("resample-2-5", "vibration", signal.resample_poly(vibration, 2, 5, axis=0))
case("difference-2", "vibration", np.diff(vibration, n=2, axis=0))
lagged = [np.roll(vibration[:, c], k)[5:] for c in range(3) for k in (0, 1, 5)]
case("lag-0-1-5", "vibration", np.stack(lagged, axis=1))


def described(x):
    rms = np.sqrt(np.mean(np.square(x)))
    return np.array([
        np.mean(x), np.min(x), np.max(x), np.max(x) - np.min(x), rms, np.std(x), stats.skew(x), stats.kurtosis(x),
        np.max(np.abs(x)) / rms, np.sum(librosa.zero_crossings(x, pad=False, threshold=0)),
    ])


case("stats", "vibration", each(described))


# Edge Impulse: flatten, spectral analysis.
def flatten(x):
    return np.array([np.average(x), np.min(x), np.max(x), np.sqrt(np.mean(np.square(x))), np.std(x), stats.skew(x),
                     stats.kurtosis(x)])


case("ei-flatten", "vibration", each(flatten))


def max_hold(x, n, overlap):
    powers, at = np.zeros(n // 2 + 1), 0
    while at <= len(x):
        powers = np.maximum(powers, np.abs(np.fft.rfft(x[at:at + n], n)) ** 2 / n)
        at += n - int(overlap)
    return powers


def spectral_analysis(x, kind, cutoff, order, n):
    x = np.float32(x)
    if kind != "none":
        x = signal.sosfilt(np.float32(signal.butter(order, cutoff * 2 / RATE, kind, output="sos")), x)
    x = x - np.mean(x)
    powers = max_hold(x, n, n / 2)
    place = cutoff * n / RATE
    first, end = 1, n // 2 + 1
    if kind == "low":
        end = int(place + 0.5) + 1
    if kind == "high":
        first = max(int(place - 0.5) + 1, 1)
    head = [np.sqrt(np.mean(np.square(x))), stats.skew(x), stats.kurtosis(x), stats.skew(powers), stats.kurtosis(powers)]
    return np.concatenate([head, np.log10(np.where(powers == 0, 1e-10, powers))[first:end]])


case("ei-spectral-none", "vibration", each(lambda x: spectral_analysis(x, "none", 0, 0, 64)))
case("ei-spectral-low", "vibration", each(lambda x: spectral_analysis(x, "low", 20.0, 6, 64)))
case("ei-spectral-high", "vibration", each(lambda x: spectral_analysis(x, "high", 10.0, 4, 32)))


def welch(x, window, n, overlap):
    return signal.welch(x, 1.0, window, n, overlap, detrend=False, return_onesided=False, scaling="density")[1][:n // 2 + 1]


case("welch-hann", "vibration", each(lambda x: welch(x, "hann", 64, 32)))
case("welch-hamming", "vibration", each(lambda x: welch(x, "hamming", 32, 0)))


# Edge Impulse: MFE, MFCC, spectrogram.
def roll(x, cof=0.98, shift=1):
    return x - cof * np.roll(x, shift)


def samples(seconds):
    exact = AUDIO_RATE * seconds
    return int(math.floor(exact) if 0 < exact - math.floor(exact) < 0.001 else math.ceil(exact))


def powers(x, length, stride, n):
    length, stride = samples(length), samples(stride)
    count = (len(x) - (length - stride)) // stride
    return np.stack([np.abs(np.fft.rfft(x[i * stride:i * stride + length], n)) ** 2 / n for i in range(count)])


def on_bins(filters, n, low, high):
    mel = lambda f: 1127 * np.log(1 + f / 700.0)
    hertz = 700 * (np.exp(np.linspace(mel(low), mel(high), filters + 2) / 1127.0) - 1)
    hertz[-1] -= 0.001
    corner = np.floor((n + 1) * hertz / AUDIO_RATE).astype(int)
    bank = np.zeros((filters, n // 2 + 1))
    for i, (left, middle, right) in enumerate(zip(corner, corner[1:], corner[2:])):
        for k in range(left, right + 1):
            if left < k <= middle and k < right:
                bank[i, k] = (k - left) / (middle - left)
            if middle <= k < right:
                bank[i, k] = (right - k) / (right - middle)
    return bank


def mfe(x, length, stride, filters, n, low, high, floor):
    p = powers(roll(x), length, stride, n)
    e = p @ on_bins(filters, n, low, high).T
    e = 10 * np.log10(np.clip(np.where(e == 0, 1e-10, e), 1e-30, None))
    e = np.clip((e - floor) / (12 - floor), 0, 1)
    return np.clip(np.around(e * 256), 0, 255) / 256


def cmvnw(v, win):
    pad, rows = (win - 1) // 2, len(v)
    padded = np.pad(v, ((pad, pad), (0, 0)), "symmetric")
    centred = np.stack([v[i] - padded[i:i + win].mean(axis=0) for i in range(rows)])
    padded = np.pad(centred, ((pad, pad), (0, 0)), "symmetric")
    return np.stack([centred[i] / (padded[i:i + win].std(axis=0) + 1e-10) for i in range(rows)])


def mfcc(x, length, stride, filters, n, low, high, count, win):
    p = powers(roll(x), length, stride, n)
    e = p @ on_bins(filters, n, low, high).T
    c = fft.dct(np.log(np.where(e == 0, 1e-10, e)), type=2, norm="ortho")[:, :count]
    c[:, 0] = np.log(p.sum(axis=1))
    return cmvnw(c, win) if win else c


x = audio[:, 0]
case("ei-mfe", "audio", mfe(x, 0.02, 0.01, 32, 256, 300, 8000, -52))
case("ei-mfe-512", "audio", mfe(x, 0.025, 0.02, 20, 512, 0, 4000, -70))
case("ei-mfcc", "audio", mfcc(x, 0.02, 0.01, 32, 256, 300, 8000, 13, 101))
case("ei-mfcc-5", "audio", mfcc(x, 0.02, 0.02, 20, 512, 80, 8000, 10, 5))
case("ei-mfcc-0", "audio", mfcc(x, 0.02, 0.02, 20, 512, 80, 8000, 10, 0))
p = 10 * np.log10(np.clip(powers(x, 0.01, 0.01, 128), 1e-30, None))
case("ei-spectrogram", "audio", np.clip((p + 52) / 64, 0, None))

# librosa, with center = False.
common = dict(sr=AUDIO_RATE, n_fft=512, hop_length=256, center=False, window="hann")
melspectrogram = librosa.feature.melspectrogram
case("librosa-spectrogram", "audio", (np.abs(librosa.stft(x, n_fft=512, hop_length=256, center=False)) ** 2).T)
case("librosa-mel-slaney", "audio", melspectrogram(y=x, n_mels=40, fmin=0, fmax=8000, **common).T)
case("librosa-mel-htk", "audio", melspectrogram(y=x, n_mels=20, fmin=300, fmax=7000, htk=True, norm=None, **common).T)
decibel = librosa.power_to_db(melspectrogram(y=x, n_mels=40, fmin=0, fmax=8000, **common), top_db=None)
case("librosa-mel-db", "audio", decibel.T)
case("librosa-mfcc", "audio", librosa.feature.mfcc(S=decibel, n_mfcc=13).T)

text = {"rates": {"vibration": RATE, "audio": AUDIO_RATE},
        "series": {name: [[float(v) for v in row] for row in rows] for name, rows in SERIES.items()}, "cases": CASES}
lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in CASES)
head = json.dumps({k: v for k, v in text.items() if k != "cases"}, separators=(",", ":"))[:-1]
(pathlib.Path(__file__).parent / "oracle.json").write_text(f'{head},"cases":[\n{lines}\n]}}\n')

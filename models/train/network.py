"""A small 1-D convolutional network in numpy: three convolutions with ReLU, the mean over time, one dense layer.

Training it needs nothing but a gradient per layer, so there is no framework here: the requirements stay at
numpy, onnx and onnxruntime. Everything is float64 and seeded. Shapes: a batch x is [batch, channel, time].
"""
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Shape:
    """What the network looks like: per convolution (filters, kernel, stride)."""

    convolutions: tuple = ((16, 5, 1), (24, 5, 2), (32, 3, 2))


@dataclass(frozen=True)
class Schedule:
    """How it is trained. A crop is one window cut at a random step of a recording."""

    epochs: int = 100
    crops: int = 8          # per recording and epoch
    batch: int = 32
    rate: float = 3e-3      # Adam's; falls to zero along half a cosine
    decay: float = 1e-2     # of the weights, decoupled (AdamW)
    smoothing: float = 0.1  # of the labels: keeps the logits, and so their int8 step, small
    noise: float = 0.05     # standard deviations added to a crop
    gain: float = 0.2       # a crop is scaled by 1 +- this much


def begin(shape, channels, classes, rng):
    """He-initialised parameters: a list of (weight, bias), the dense layer last."""
    layers = []
    for filters, kernel, _ in shape.convolutions:
        weight = rng.normal(0.0, np.sqrt(2.0 / (channels * kernel)), (filters, channels, kernel))
        layers.append((weight, np.zeros(filters)))
        channels = filters
    layers.append((rng.normal(0.0, np.sqrt(1.0 / channels), (classes, channels)), np.zeros(classes)))
    return layers


def patches(x, kernel, stride):
    """The stretches of x that a convolution looks at: [batch, channel, time', kernel]."""
    return np.lib.stride_tricks.sliding_window_view(x, kernel, axis=2)[:, :, ::stride]


def forward(shape, layers, x):
    """Logits [batch, class] and, for `gradients`, the input of every layer."""
    kept = []
    for (weight, bias), (_, kernel, stride) in zip(layers, shape.convolutions):
        kept.append(x)
        y = np.tensordot(patches(x, kernel, stride), weight, axes=((1, 3), (1, 2)))
        x = np.maximum(y.transpose(0, 2, 1) + bias[:, None], 0.0)
    kept.append(x)
    weight, bias = layers[-1]
    return x.mean(axis=2) @ weight.T + bias, kept


def gradients(shape, layers, kept, dlogits):
    """The gradient of every (weight, bias), given that of the logits."""
    last = kept[-1]
    out = [(dlogits.T @ last.mean(axis=2), dlogits.sum(axis=0))]
    dx = np.repeat((dlogits @ layers[-1][0])[:, :, None] / last.shape[2], last.shape[2], axis=2)
    for i in reversed(range(len(shape.convolutions))):
        _, kernel, stride = shape.convolutions[i]
        dy = np.where(kept[i + 1] > 0.0, dx, 0.0)
        dweight = np.tensordot(dy, patches(kept[i], kernel, stride), axes=((0, 2), (0, 2)))
        out.append((dweight, dy.sum(axis=(0, 2))))
        spread = np.tensordot(dy, layers[i][0], axes=((1,), (0,)))  # [batch, time', channel, kernel]
        dx = np.zeros_like(kept[i])
        for k in range(kernel):
            dx[:, :, k:k + stride * dy.shape[2]:stride] += spread[..., k].transpose(0, 2, 1)
    return out[::-1]


def softmax(logits):
    """Probabilities along the last axis."""
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def batches(recordings, labels, length, schedule, rng):
    """One epoch: random crops of the (normalised) recordings, each a little noisier and louder or softer."""
    chosen = rng.permutation(np.repeat(np.arange(len(recordings)), schedule.crops))
    starts = rng.integers(0, recordings.shape[2] - length + 1, len(chosen))
    x = np.stack([recordings[r, :, s:s + length] for r, s in zip(chosen, starts)])
    x = x * rng.uniform(1.0 - schedule.gain, 1.0 + schedule.gain, (len(x), 1, 1))
    x = x + rng.normal(0.0, schedule.noise, x.shape)
    for i in range(0, len(x), schedule.batch):
        yield x[i:i + schedule.batch], labels[chosen[i:i + schedule.batch]]


def train(recordings, labels, classes, length, seed, shape=Shape(), schedule=Schedule()):
    """Fit to recordings [n, channel, time] (normalised) with labels [n]; returns the layers."""
    rng = np.random.default_rng(seed)
    layers = begin(shape, recordings.shape[1], classes, rng)
    first = [tuple(np.zeros_like(p) for p in layer) for layer in layers]
    second = [tuple(np.zeros_like(p) for p in layer) for layer in layers]
    steps = schedule.epochs * -(-len(recordings) * schedule.crops // schedule.batch)
    step = 0
    for _ in range(schedule.epochs):
        for x, label in batches(recordings, labels, length, schedule, rng):
            logits, kept = forward(shape, layers, x)
            target = np.eye(classes)[label] * (1.0 - schedule.smoothing) + schedule.smoothing / classes
            slopes = gradients(shape, layers, kept, (softmax(logits) - target) / len(x))
            rate = schedule.rate * 0.5 * (1.0 + np.cos(np.pi * step / steps))
            step += 1
            layers = adam(layers, slopes, first, second, step, rate, schedule.decay)
    return layers


def adam(layers, slopes, first, second, step, rate, decay):
    """One step of AdamW (Loshchilov and Hutter, 2019); `first` and `second` are its running moments."""
    stepped = []
    for i, (layer, slope) in enumerate(zip(layers, slopes)):
        first[i] = tuple(0.9 * m + 0.1 * g for m, g in zip(first[i], slope))
        second[i] = tuple(0.999 * v + 0.001 * g * g for v, g in zip(second[i], slope))
        stepped.append(tuple(
            p - rate * (m / (1 - 0.9**step) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8) + decay * p)
            for p, m, v in zip(layer, first[i], second[i])))
    return stepped

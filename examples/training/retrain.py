#!/usr/bin/env python3
"""Trains a new version of a classification model on windows that gateways captured, with numpy and onnx only.

    retrain.py --bundle models/motion --captures captures --labels labels.jsonl --version 1.1.0 --out motion-1.1.0

`--captures` is a folder with the segments that inferd writes or uploads (docs/monitoring.md), at any depth. Each line of
`--labels` is a message of the labels topic: {"id": ID, "label": LABEL}. A window without a label is left out. Every fifth
device is held out, and the accuracy on its windows is printed: that of the bundle's model as captured, and of the new one.

The new model is small: one convolution over time, ReLU, the mean over time, one dense layer, in float. It is meant to be
replaced by the training that made the bundle's model; what stays is how the data come and what a bundle needs.

The card is that of the bundle with another version and without [golden]: what the new model gives is written by
`inferctl pack --golden-inputs SEGMENT`.
"""
import argparse
import json
import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FILTERS, KERNEL, EPOCHS, BATCH, RATE, SEED = 16, 5, 60, 32, 1e-2, 1
OPSET, IR_VERSION = 13, 8
HELD_OUT = 5


def stop(why):
    sys.exit(f'retrain.py: {why}')


def captured(folder, name):
    """All captured windows [n, ...] of the input `name`, and their lines of metadata."""
    arrays, lines = [], []
    for path in sorted(Path(folder).rglob('*.npz')):
        with np.load(path, allow_pickle=False) as segment:
            if name not in segment:
                stop(f'{path} has no array {name!r}: is it of another model?')
            rows = segment[name]
        meta = [json.loads(line) for line in path.with_suffix('.jsonl').read_text(encoding='utf-8').splitlines()]
        if len(rows) != len(meta):
            stop(f'{path} has {len(rows)} windows and {len(meta)} lines of metadata')
        arrays.append(rows)
        lines += meta
    if not arrays:
        stop(f'{folder} has no segments (*.npz)')
    if len({a.shape[1:] for a in arrays}) > 1:
        stop('the segments have windows of different shapes: leave out those of other versions')
    return np.concatenate(arrays), lines


def truth(path):
    """From the id of a prediction to its label."""
    found = {}
    for number, line in enumerate(Path(path).read_text(encoding='utf-8').splitlines(), 1):
        messages = json.loads(line)
        for message in messages if isinstance(messages, list) else [messages]:
            if 'id' not in message or 'label' not in message:
                stop(f'{path}, line {number}: neither an id nor a label')
            found.setdefault(message['id'], message['label'])
    return found


def begin(channels, classes, rng):
    """He-initialised parameters: convolution and bias, dense layer and bias."""
    return [rng.normal(0, np.sqrt(2 / (channels * KERNEL)), (FILTERS, channels, KERNEL)), np.zeros(FILTERS),
            rng.normal(0, np.sqrt(1 / FILTERS), (classes, FILTERS)), np.zeros(classes)]


def forward(parameters, x):
    """Logits [batch, class] of x [batch, channel, time], with what `gradients` needs."""
    weight, bias, dense, offset = parameters
    patches = np.lib.stride_tricks.sliding_window_view(x, KERNEL, axis=2)
    hidden = np.maximum(np.tensordot(patches, weight, axes=((1, 3), (1, 2))) + bias, 0)  # [batch, time, filter]
    mean = hidden.mean(axis=1)
    return mean @ dense.T + offset, (patches, hidden, mean)


def gradients(parameters, kept, dlogits):
    patches, hidden, mean = kept
    dhidden = np.where(hidden > 0, (dlogits @ parameters[2])[:, None, :] / hidden.shape[1], 0)
    return [np.tensordot(dhidden, patches, axes=((0, 1), (0, 2))), dhidden.sum(axis=(0, 1)), dlogits.T @ mean, dlogits.sum(axis=0)]


def train(x, labels, classes):
    """Softmax regression on the pooled convolution by Adam (Kingma and Ba, 2015), the rate falling to zero."""
    rng = np.random.default_rng(SEED)
    parameters = begin(x.shape[1], classes, rng)
    first, second = ([np.zeros_like(p) for p in parameters] for _ in range(2))
    steps, step = EPOCHS * -(-len(x) // BATCH), 0
    for _ in range(EPOCHS):
        order = rng.permutation(len(x))
        for at in range(0, len(x), BATCH):
            rows = order[at:at + BATCH]
            batch = x[rows] * rng.uniform(0.9, 1.1, (len(rows), 1, 1))
            logits, kept = forward(parameters, batch)
            e = np.exp(logits - logits.max(axis=1, keepdims=True))
            slopes = gradients(parameters, kept, (e / e.sum(axis=1, keepdims=True) - np.eye(classes)[labels[rows]]) / len(rows))
            rate, step = RATE * 0.5 * (1 + np.cos(np.pi * step / steps)), step + 1
            for i, slope in enumerate(slopes):
                first[i] = 0.9 * first[i] + 0.1 * slope
                second[i] = 0.999 * second[i] + 0.001 * slope * slope
                parameters[i] = parameters[i] - rate * first[i] / (1 - 0.9**step) / (np.sqrt(second[i] / (1 - 0.999**step)) + 1e-8)
    return parameters


def exported(parameters, source, time_last):
    """The model with the names and shapes of the bundle's model."""
    given, gives = source.graph.input[0], source.graph.output[0]
    names = ['conv_weight', 'conv_bias', 'dense_weight', 'dense_bias']
    tensors = [numpy_helper.from_array(p.astype(np.float32), name) for p, name in zip(parameters, names)]
    nodes = [] if time_last else [helper.make_node('Transpose', [given.name], ['by_channel'], perm=[0, 2, 1])]
    first = given.name if time_last else 'by_channel'
    nodes += [
        helper.make_node('Conv', [first, names[0], names[1]], ['convolved'], kernel_shape=[KERNEL]),
        helper.make_node('Relu', ['convolved'], ['rectified']),
        helper.make_node('GlobalAveragePool', ['rectified'], ['pooled']),
        helper.make_node('Flatten', ['pooled'], ['flat'], axis=1),
        helper.make_node('Gemm', ['flat', names[2], names[3]], [gives.name], transB=1),
    ]
    graph = helper.make_graph(nodes, 'retrained', [given], [gives], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', OPSET)], producer_name='retrain.py')
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return model


def card_of(text, version):
    """The card under another version, without what was written of the old model."""
    text, count = re.subn(r'(?m)^version = ".*"$', f'version = "{version}"', text, count=1)
    if count != 1:
        stop('the card has no line version = "..."')
    return '\n'.join(line for line in text.split('[golden]')[0].rstrip().splitlines() if not line.startswith('#')) + '\n'


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--bundle', type=Path, required=True, help='the folder of the version in use')
    parser.add_argument('--captures', type=Path, required=True)
    parser.add_argument('--labels', type=Path, required=True)
    parser.add_argument('--version', required=True, help='of the new model')
    parser.add_argument('--out', type=Path, required=True, help='the folder of the new bundle')
    a = parser.parse_args()
    text = (a.bundle / 'card.toml').read_text(encoding='utf-8')
    card = tomllib.loads(text)
    source = onnx.load(a.bundle / card['model'].get('file', 'model.onnx'))
    if card['output']['kind'] != 'classification' or len(card['input']) != 1 or source.graph.input[0].type.tensor_type.elem_type != TensorProto.FLOAT:
        stop('this script is for classification models with one input in float')
    windows, lines = captured(a.captures, card['input'][0]['name'])
    if windows.ndim != 4 or windows.shape[1] != 1:
        stop(f'this script is for windows of shape [1, channels, time] or [1, time, channels], not {list(windows.shape[1:])}')
    time_last = card['input'][0].get('layout') == 'channel-time'
    x = windows[:, 0] if time_last else windows[:, 0].transpose(0, 2, 1)
    names, known = card['output']['labels'], truth(a.labels)
    rows = [i for i, line in enumerate(lines) if known.get(line['id']) in names]
    if not rows:
        stop('no captured window has a label')
    labels = np.array([names.index(known[lines[i]['id']]) for i in rows])
    x, before = x[rows].astype(np.float64), np.array([lines[i]['label'] == known[lines[i]['id']] for i in rows])
    devices = [lines[i]['device'] for i in rows]
    held = set(sorted(set(devices))[::HELD_OUT])
    out = np.array([device in held for device in devices])
    missing = [name for i, name in enumerate(names) if not (labels[~out] == i).any()]
    if missing:
        stop(f'no window to train with has the label {", ".join(missing)}: capture and label more')
    parameters = train(x[~out], labels[~out], len(names))
    after = forward(parameters, x)[0].argmax(axis=1) == labels
    print(json.dumps({'windows': len(rows), 'devices': len(set(devices)), 'held_out_windows': int(out.sum()),
                      'accuracy_before': round(float(before[out].mean()), 4), 'accuracy': round(float(after[out].mean()), 4)}))
    a.out.mkdir(parents=True, exist_ok=True)
    onnx.save(exported(parameters, source, time_last), a.out / 'model.onnx')
    (a.out / 'card.toml').write_text(card_of(text, a.version), encoding='utf-8')


if __name__ == '__main__':
    main()

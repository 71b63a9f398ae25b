"""Makes the demonstration model from the recordings: see README.md one folder up.

    train.py TRAIN.ts TEST.ts --models DIR      train, export, quantize, write DIR/motion and DIR/recordings
    train.py TRAIN.ts TEST.ts --choose          cross-validate the choices on the training recordings only
"""
import argparse
import json
import string
from pathlib import Path

import numpy as np
import onnx

import exact
import export
import network
import recordings
import score

LENGTH, HOP, SEED = 40, 10, 1
STEPS_PER_SECOND, SAMPLES_WINDOWS, SAMPLES_TOLERANCE = 10, 3, 0.001
CALIBRATION_HOP = 5
CANDIDATES = {
    '32 steps, 8-12-16': (32, network.Shape(((8, 5, 1), (12, 5, 2), (16, 3, 2)))),
    '32 steps, 16-24-32': (32, network.Shape()),
    '40 steps, 8-12-16': (40, network.Shape(((8, 5, 1), (12, 5, 2), (16, 3, 2)))),
    '40 steps, 16-24-32': (40, network.Shape()),
}


class Scale:
    """Per-channel mean and standard deviation, rounded as the card states them so that both agree."""

    def __init__(self, values):
        self.mean = np.round(values.mean(axis=(0, 2)), 5)
        self.std = np.round(values.std(axis=(0, 2)), 5)

    def normalize(self, windows):
        """(x - mean) / std over the channel axis, the last but one; f32, as the daemon hands it over."""
        return ((windows - self.mean[:, None]) / self.std[:, None]).astype(np.float32)


def choose(values, labels):
    """Five stratified folds of the training recordings, float and int8, for each candidate."""
    print('| candidate | recordings, float | windows, float | recordings, int8 | windows, int8 |\n|---|---|---|---|---|')
    for name, (length, shape) in CANDIDATES.items():
        right = np.zeros((4, 2), int)
        for kept, held in recordings.folds(labels, 5, SEED):
            scale = Scale(values[kept])
            float_onnx, int8_onnx = fit(values[kept], labels[kept], scale, length, shape)
            windows = scale.normalize(recordings.windows(values[held], length, HOP))
            for i, model in enumerate((float_onnx, int8_onnx)):
                found = score.accuracy(score.runtime_logits(model, windows), labels[held])
                right[2 * i] += found['recordings (mean)']
                right[2 * i + 1] += found['windows']
        print(f'| {name} | ' + ' | '.join(f'{r}/{n}' for r, n in right) + ' |', flush=True)


def fit(values, labels, scale, length, shape):
    """The float and the int8 model, from these recordings alone."""
    layers = network.train(scale.normalize(values), labels, len(recordings.LABELS), length, SEED, shape)
    float_onnx = export.float_model(shape, layers, values.shape[1], length)
    calibration = scale.normalize(recordings.windows(values, length, CALIBRATION_HOP))
    return float_onnx, export.int8_model(float_onnx, calibration.reshape(-1, *calibration.shape[2:]))


def golden(model, windows, per_label=2):
    """Two test windows of each label (of different recordings) and what the model must say to them."""
    last = windows.shape[0] // len(recordings.LABELS)
    picked = [windows[label * last + i, (2 * i + label) % windows.shape[1]]
              for label in range(len(recordings.LABELS)) for i in range(0, last, last // per_label)]
    x = np.stack(picked)[:, None]
    return x, np.stack([exact.run(model, w) for w in x]).astype(np.float32)


def golden_samples(model, values, labels, scale):
    """The first recording of each label as the watch sends it, cut after three windows, with the predictions it must
    give: the proof of everything before and after the model. Written here and not by inferd, which it is to judge."""
    steps = LENGTH + (SAMPLES_WINDOWS - 1) * HOP
    found = []
    for label, name in enumerate(recordings.LABELS):
        of = int(np.flatnonzero(labels == label)[0])
        rows = values[of][:, :steps]
        windows = scale.normalize(recordings.windows(rows[None], LENGTH, HOP))[0]
        expected = []
        for i, window in enumerate(windows):
            logits = exact.run(model, window[None])[0]
            scores = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
            best = np.argsort(-scores, kind='stable')
            expected.append({'row': LENGTH - 1 + i * HOP, 'label': recordings.LABELS[best[0]],
                             'score': float(f'{scores[best[0]]:.6g}'),
                             'scores': {recordings.LABELS[b]: float(f'{scores[b]:.6g}') for b in best}})
        found.append({'name': f'{name}-{of}', 'channels': recordings.CHANNELS,
                      'times': [step / STEPS_PER_SECOND for step in range(steps)],
                      'rows': rows.T.tolist(), 'expected': expected})
    return found


def golden_samples_file(found):
    """JSON with a row a line, so that a change can be read."""
    line = lambda items: ',\n'.join(' ' * 8 + json.dumps(item) for item in items)
    texts = []
    for recording in found:
        members = [f'      "{key}": {json.dumps(recording[key])}' for key in ('name', 'channels', 'times')]
        members += [f'      "{key}": [\n{line(recording[key])}\n      ]' for key in ('rows', 'expected')]
        texts.append('    {\n' + ',\n'.join(members) + '\n    }')
    return '{\n  "format": 1,\n  "recordings": [\n' + ',\n'.join(texts) + '\n  ]\n}\n'


def report(float_onnx, int8_onnx, windows, labels):
    """Prints what README.md quotes; returns the two lines for the card."""
    logits = {
        'float, ONNX Runtime': score.runtime_logits(float_onnx, windows),
        'int8, ONNX Runtime': score.runtime_logits(int8_onnx, windows),
        'int8, exact arithmetic': np.stack([[exact.run(int8_onnx, w[None])[0] for w in r] for r in windows]),
    }
    found = {name: score.accuracy(values, labels) for name, values in logits.items()}
    print('| model | recordings (mean) | recordings (majority) | windows |\n|---|---|---|---|')
    for name, right in found.items():
        print(f'| {name} | ' + ' | '.join(f'{r}/{n} ({r / n:.3f})' for r, n in right.values()) + ' |')
    step = export.output_step(int8_onnx)
    off = np.abs(logits['int8, ONNX Runtime'] - logits['int8, exact arithmetic']) / step
    print(f'int8 output step {step:.6f}; ONNX Runtime against exact: at most {off.max():.2f} steps off, '
          f'other than 0 in {(off > 0.5).sum()} of {off.size}, '
          f'winner differs in {winners_differ(logits, "int8, ONNX Runtime")} of {labels.size * windows.shape[1]} windows; '
          f'float winner differs in {winners_differ(logits, "float, ONNX Runtime")}')
    quote = lambda name: ', '.join(f'{r}/{n} {what}' for what, (r, n) in found[name].items())
    return quote('float, ONNX Runtime'), quote('int8, exact arithmetic')


def winners_differ(logits, name):
    return int((logits[name].argmax(axis=2) != logits['int8, exact arithmetic'].argmax(axis=2)).sum())


def write(folder, scale, float_onnx, int8_onnx, test, windows, quotes):
    """The bundle directory: model, golden vectors, golden samples, card; and the float model for comparison beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(int8_onnx, folder / 'model.onnx')
    onnx.save(float_onnx, folder.parent / 'motion-float.onnx')
    x, y = golden(int8_onnx, windows)
    np.savez(folder / 'golden.npz', **{export.INPUT: x, export.OUTPUT: y})
    (folder / 'golden_samples.json').write_text(
        golden_samples_file(golden_samples(int8_onnx, *test, scale)), encoding='utf-8')
    row = lambda v: '[' + ', '.join(f'{e:.5f}' for e in v) + ']'
    card = string.Template(Path(__file__).with_name('card.toml.in').read_text(encoding='utf-8')).substitute(
        float_accuracy=quotes[0], int8_accuracy=quotes[1], length=LENGTH, hop=HOP,
        mean=row(scale.mean), std=row(scale.std),
        tolerance=f'{1.01 * export.output_step(int8_onnx):.4f}', samples_tolerance=SAMPLES_TOLERANCE)
    (folder / 'card.toml').write_text(card, encoding='utf-8')


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('train', type=Path)
    p.add_argument('test', type=Path)
    p.add_argument('--models', type=Path, help='the folder to write motion/ and recordings/ into')
    p.add_argument('--choose', action='store_true')
    a = p.parse_args()
    values, labels = recordings.read_ts(a.train)
    if a.choose:
        return choose(values, labels)
    scale = Scale(values)
    float_onnx, int8_onnx = fit(values, labels, scale, LENGTH, network.Shape())
    path = a.models / 'recordings' / 'basic-motions-test.csv'
    path.parent.mkdir(parents=True, exist_ok=True)
    recordings.write_csv(path, *recordings.read_ts(a.test))
    test_values, test_labels = recordings.read_csv(path)  # as shipped and replayed, so rounded to 0.0001
    windows = scale.normalize(recordings.windows(test_values, LENGTH, HOP))
    quotes = report(float_onnx, int8_onnx, windows, test_labels)
    write(a.models / 'motion', scale, float_onnx, int8_onnx, (test_values, test_labels), windows, quotes)


if __name__ == '__main__':
    main()

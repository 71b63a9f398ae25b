"""The BasicMotions recordings: the archive's `.ts` files, our compact CSV, windows.

Four students wore a smart watch while walking, resting, running and playing badminton: accelerometer and
gyroscope, 10 Hz, 10 s per recording, 40 recordings to train on and 40 to test with.
"""
import csv

import numpy as np

CHANNELS = ['ax', 'ay', 'az', 'gx', 'gy', 'gz']
LABELS = ['badminton', 'resting', 'running', 'walking']
NAMED = {'Badminton': 'badminton', 'Standing': 'resting', 'Running': 'running', 'Walking': 'walking'}
DECIMALS = 4


def read_ts(path):
    """Recordings [n, channel, step] and labels [n] of an archive file: `v,v,…:v,v,…:…:Label` a line."""
    values, labels = [], []
    for line in open(path, encoding='utf-8'):
        if line.strip() and line[0] not in '#@':
            *series, label = line.strip().split(':')
            values.append([[float(v) for v in channel.split(',')] for channel in series])
            labels.append(LABELS.index(NAMED[label]))
    return np.array(values), np.array(labels)


def write_csv(path, values, labels):
    """A row per step: recording, label, step, then the channels, rounded to 0.0001."""
    with open(path, 'w', encoding='utf-8', newline='') as f:
        f.write(','.join(['recording', 'label', 'step'] + CHANNELS) + '\n')
        for r, (recording, label) in enumerate(zip(values, labels)):
            for step, sample in enumerate(recording.T):
                f.write(','.join([str(r), LABELS[label], str(step)] + [f'{v:.{DECIMALS}f}' for v in sample]) + '\n')


def read_csv(path):
    """What `write_csv` wrote: recordings [n, channel, step] and labels [n]."""
    values, labels = [], []
    for row in csv.DictReader(open(path, encoding='utf-8', newline='')):
        if row['step'] == '0':
            values.append([])
            labels.append(LABELS.index(row['label']))
        values[-1].append([float(row[c]) for c in CHANNELS])
    return np.array(values).transpose(0, 2, 1), np.array(labels)


def windows(values, length, hop):
    """Every window of every recording: [n, window, channel, length]."""
    w = np.lib.stride_tricks.sliding_window_view(values, length, axis=2)[:, :, ::hop]
    return w.transpose(0, 2, 1, 3)


def folds(labels, count, seed):
    """Stratified folds of the recordings: pairs (train, validation) of index arrays."""
    rng = np.random.default_rng(seed)
    fold = np.empty(len(labels), int)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        fold[members] = np.arange(len(members)) % count
    return [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(count)]

"""How often a model is right: per window, and per recording."""
import numpy as np
import onnxruntime

from export import INPUT, OUTPUT
from network import softmax


def runtime_logits(model, windows):
    """ONNX Runtime's logits for windows [n, window, channel, length], one run each: [n, window, class]."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=['CPUExecutionProvider'])
    flat = windows.reshape(-1, *windows.shape[2:]).astype(np.float32)
    out = np.concatenate([session.run([OUTPUT], {INPUT: w[None]})[0] for w in flat])
    return out.reshape(*windows.shape[:2], -1)


def verdicts(logits):
    """The label of each recording: the highest mean of its windows' probabilities."""
    return softmax(logits).mean(axis=1).argmax(axis=1)


def majority(logits):
    """The label of each recording: what most of its windows say (a tie goes to the first label)."""
    return np.array([np.bincount(w, minlength=logits.shape[2]).argmax() for w in logits.argmax(axis=2)])


def accuracy(logits, labels):
    """Right answers of all: {"recordings (mean)": (right, of), "recordings (majority)": …, "windows": …}."""
    return {
        'recordings (mean)': (int((verdicts(logits) == labels).sum()), len(labels)),
        'recordings (majority)': (int((majority(logits) == labels).sum()), len(labels)),
        'windows': (int((logits.argmax(axis=2) == labels[:, None]).sum()), logits.shape[0] * logits.shape[1]),
    }

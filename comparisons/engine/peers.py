"""One engine, one model, in a process of its own: time it or compute with it.

    peers.py time ENGINE MODEL REF.npz SECONDS      JSON with the median and the least microseconds
    peers.py infer ENGINE MODEL REF.npz OUT.npz     `y` for every `x` of REF.npz

ENGINE is onnxruntime or litert. Both run on one thread with their default optimisations; buffers are
bound once, so that a run is the engine's work and one call from Python.
"""
import json
import sys
import time

import numpy as np


class OnnxRuntime:
    def __init__(self, path):
        import onnxruntime as ort
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.binding = self.session.io_binding()
        self.name = self.session.get_inputs()[0].name

    def put(self, x):
        import onnxruntime as ort
        self.x = ort.OrtValue.ortvalue_from_numpy(x)
        self.binding.bind_ortvalue_input(self.name, self.x)
        y = self.session.run(None, {self.name: x})[0]
        self.y = ort.OrtValue.ortvalue_from_numpy(y)
        self.binding.bind_ortvalue_output(self.session.get_outputs()[0].name, self.y)

    def run(self):
        self.session.run_with_iobinding(self.binding)

    def take(self):
        return self.y.numpy()


class LiteRt:
    def __init__(self, path):
        from ai_edge_litert.interpreter import Interpreter
        self.interpreter = Interpreter(model_path=path, num_threads=1)
        self.interpreter.allocate_tensors()
        self.input = self.interpreter.get_input_details()[0]
        self.output = self.interpreter.get_output_details()[0]
        self.run = self.interpreter.invoke

    def put(self, x):
        self.interpreter.set_tensor(self.input["index"], x.reshape(self.input["shape"]))

    def take(self):
        return self.interpreter.get_tensor(self.output["index"])


def microseconds(run, seconds):
    """The time of each run, for so many seconds after a tenth of that to warm up."""
    clock, taken = time.perf_counter_ns, []
    start = clock()
    while clock() - start < seconds * 1e8:
        run()
    start = clock()
    while clock() - start < seconds * 1e9:
        before = clock()
        run()
        taken.append(clock() - before)
    return np.array(taken) / 1e3


def main(act, engine, model, reference, last):
    engine = {"onnxruntime": OnnxRuntime, "litert": LiteRt}[engine](model)
    xs = np.load(reference)["x"]
    if act == "time":
        engine.put(xs[0])
        us = microseconds(engine.run, float(last))
        print(json.dumps({"median_us": float(np.median(us)), "min_us": float(us.min())}))
        return
    ys = []
    for x in xs:
        engine.put(x)
        engine.run()
        ys.append(np.array(engine.take()))
    np.savez(last, y=np.stack(ys))


main(*sys.argv[1:])

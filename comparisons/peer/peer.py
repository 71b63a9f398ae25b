#!/usr/bin/env python3
"""The usual Python script on a gateway: paho-mqtt in, ONNX Runtime, paho-mqtt out; kws from raw int8 payloads.

    peer.py MODEL.onnx PORT      serve until stopped
    peer.py MODEL.onnx --time    CPU microseconds of one model run alone
"""
import json
import statistics
import sys
import time

import numpy as np
import onnxruntime
import paho.mqtt.client as mqtt

LABELS = ['down', 'go', 'left', 'no', 'off', 'on', 'right', 'stop', 'up', 'yes', 'silence', 'unknown']
SHAPE = (1, 49, 10, 1)
SCALE, ZERO = 1 / 256, -128


def load(path):
    """One thread: with more, ONNX Runtime spins and needs more CPU for the same run."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])


def serve(session, port):
    name = session.get_inputs()[0].name

    def on_connect(client, userdata, flags, reason, properties):
        client.subscribe('sensors/+/kws', qos=1)

    def on_message(client, userdata, message):
        x = np.frombuffer(message.payload, np.int8).reshape(SHAPE)
        scores = (session.run(None, {name: x})[0][0].astype(np.float32) - ZERO) * SCALE
        best = int(scores.argmax())
        device = message.topic.split('/')[1]
        client.publish(f'predictions/kws/{device}', json.dumps({
            'device': device, 'time': time.time(), 'model': 'kws',
            'label': LABELS[best], 'score': round(float(scores[best]), 4),
            'scores': {label: round(float(s), 4) for label, s in zip(LABELS, scores)},
        }), qos=1)

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id='peer')
    client.on_connect, client.on_message = on_connect, on_message
    client.connect('127.0.0.1', port)
    client.loop_forever()


def time_model(session, runs=3000):
    """Prints the median CPU time of a run in microseconds."""
    name = session.get_inputs()[0].name
    x = np.random.default_rng(1).integers(-128, 128, (64, *SHAPE), np.int8)
    took = []
    for i in range(runs):
        begin = time.thread_time_ns()
        session.run(None, {name: x[i % 64]})
        took.append(time.thread_time_ns() - begin)
    print(statistics.median(took[runs // 10:]) / 1000)


if __name__ == '__main__':
    time_model(load(sys.argv[1])) if sys.argv[2] == '--time' else serve(load(sys.argv[1]), int(sys.argv[2]))

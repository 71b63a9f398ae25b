#!/usr/bin/env python3
"""The witness of the loss check: an ordinary paho-mqtt subscriber, QoS 1, that counts which devices it has seen.

    counter.py PORT TOPIC       then, a line each on stdin: `count`, `missing N` (of devices m0 … mN-1)
"""
import json
import sys
import threading

import paho.mqtt.client as mqtt

seen, received, subscribed = set(), 0, threading.Event()


def on_message(client, userdata, message):
    global received
    received += 1
    seen.add(message.topic.rsplit('/', 1)[1])


def main():
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id='counter')
    client.on_connect = lambda *_: client.subscribe(sys.argv[2], qos=1)
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = on_message
    client.connect('127.0.0.1', int(sys.argv[1]))
    client.loop_start()
    subscribed.wait(10)
    for line in sys.stdin:
        missing = []
        if line.startswith('missing'):
            missing = [f'm{i}' for i in range(int(line.split()[1])) if f'm{i}' not in seen]
        print(json.dumps({'received': received, 'distinct': len(seen - {'probe'}), 'missing': missing[:5]}), flush=True)
    client.disconnect()


main()
